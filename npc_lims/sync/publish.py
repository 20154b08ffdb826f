"""Apply observations to the newest state of a branch, and push that: one commit for each observation run.

A commit is never made from the files of the checkout. Observations are applied to the newest state of the branch, as
often as others push first: there is nothing to merge, nothing is forced, and whatever goes wrong, the checkout stays
as it was.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from npc_lims.clients.git import Repository
from npc_lims.clients.git_push import Draft, PublishTarget, find_target, push_commits
from npc_lims.clients.git_tree import compose_message, escape_mentions
from npc_lims.config.settings import TRACKED_FILE
from npc_lims.errors import NpcLimsError, SourceError, warn_future_timestamp
from npc_lims.model.reconcile import Dropped, Newer, is_newer, keep_newest
from npc_lims.model.sections import SECTIONS
from npc_lims.model.session_id import subject_of
from npc_lims.sources.tracked.parser import tracked_text
from npc_lims.state.diff import GROUPS, SessionChange, changes_between, word_counts
from npc_lims.state.diff_format import groups_of
from npc_lims.state.snapshot import SNAPSHOT, lines_by_id
from npc_lims.state.store import Tree, session_id_of, verify_state
from npc_lims.state.sync_file import Recorded, SyncFile, read_recorded, read_sync_file, verify_sync_file
from npc_lims.state.unlisted import verify_unlisted
from npc_lims.sync.observation_file import ObservationSet, check_time
from npc_lims.sync.run import SyncResult, apply
from npc_lims.utils.text import counted, single_line
from npc_lims.utils.timestamps import is_future, utc_text, utc_time

_OBSERVED_TRAILER = "Npc-Lims-Observed"
"""The trailer of a commit of state that has the time of its observations."""
_TRAILERS = ("Npc-Lims-Version", _OBSERVED_TRAILER, "Npc-Lims-Sources", "Npc-Lims-Sessions", "Npc-Lims-Changed")
_WIDTH = 72
_SUBJECTS_NAMED = 4
_DETAILS = 6


@dataclasses.dataclass(frozen=True)
class Published:
    commit: str | None
    """The newest commit that was pushed; None if there was nothing to add."""
    branch: str
    messages: tuple[str, ...]
    """The messages of the commits; an observation set that adds nothing has none."""
    changes: tuple[SessionChange, ...]
    failures: tuple[SourceError, ...]
    """Sources that could not be queried, or whose observations could not be applied."""
    unapplied: tuple[SourceError, ...]
    """Those whose observations could not be applied."""
    applied: tuple[bool, ...]
    """For each observation set, whether all of it was applied or dropped."""
    dropped: Dropped
    """Number of sections, by source, that were dropped because newer observations are published."""
    attempts: int = 0
    notes: tuple[str, ...] = ()


def publish(
    state: Path,
    observed: Sequence[ObservationSet],
    branch: str | None = None,
    *,
    trailers: Mapping[str, str] | None = None,
    dry_run: bool = False,
    attempts: int = 12,
    backoff: float = 1,
) -> Published:
    """Apply *observed* to the state on the remote's *branch*, and push that.

    Args:
        state: The state folder of a checkout; only its path in the repository matters, not its content.
        observed: Observations, at least one set, in the order in which they were made. Each becomes a commit.
        branch: The branch that is checked out if not given. Made if the remote has none.
        trailers: More lines for the ends of the commit messages.
        backoff: Seconds of the longest first wait between two attempts; it doubles.
    """
    for token in trailers or {}:
        # git reads their names in any case; these determine which observation is the newest
        if token.lower() in map(str.lower, _TRAILERS):
            raise NpcLimsError(f"--trailer {token}: written by npc-lims itself; choose another key, such as Run")
    for one in observed:
        check_time(one.at, "observations")
    target = find_target(state, branch, TRACKED_FILE)
    pushed = push_commits(
        target,
        lambda draft: _make_commits(target, draft, observed, trailers or {}),
        _verify,
        since=min(one.at for one in observed),
        attempts=attempts,
        backoff=backoff,
        dry_run=dry_run,
        is_written=True,
    )
    return dataclasses.replace(pushed.made, commit=pushed.commit, attempts=pushed.attempts, notes=pushed.notes)


def _verify(tree: Tree, changed: Collection[str] | None) -> list[str]:
    """Return the problems of session files and of those beside them: of the changed sessions, if these are known."""
    only = None if changed is None else {one for name in changed if (one := session_id_of(name)) is not None}
    return [*verify_state(tree, only), *verify_sync_file(tree), *verify_unlisted(tree)]


def _make_commits(
    target: PublishTarget, draft: Draft, observed: Sequence[ObservationSet], trailers: Mapping[str, str]
) -> Published:
    """Commit each observation set that adds something to the newest state."""
    path = (PurePosixPath(target.folder).parent / TRACKED_FILE).as_posix()
    content = target.repository.read_file(draft.parent, path)
    tracked = None if content is None else functools.partial(tracked_text, f"{target.label}{path}", content)
    recorded = read_recorded(draft.tree)
    newest, dropped = _without_older(target, draft.parent, observed, recorded)
    results, messages = [], []
    for one in newest:
        result = apply(draft.tree, one, recorded=recorded, tracked=tracked)
        results.append(result)
        message = _message(one, result, trailers)
        # a snapshot that no sync has written may differ from the session files
        if draft.commit(message, verify_all=recorded.loaded.snapshot != recorded.sync_file.snapshot):
            messages.append(message)
        recorded = read_recorded(draft.tree) if len(newest) > 1 else recorded
    last = _last_complete(read_sync_file(draft.tree))
    known, unapplied = [], []
    for one, result in zip(observed, results):
        not_queried = {failure.source for failure in one.failures}
        known.append([failure for failure in result.failures if failure.source in not_queried])
        # unless newer ones are published; the tracked file is read from the commit, whatever was observed of it
        unapplied.append(
            [
                failure
                for failure in result.failures
                if failure.source not in not_queried
                and (failure.source == "tracked" or not is_newer(last.get(failure.source), one.at))
            ]
        )
    return Published(
        commit=None,
        branch=target.branch,
        messages=tuple(messages),
        changes=tuple(changes_between(results[0].before, results[-1].after)),
        failures=_flat([*known, *unapplied]),
        unapplied=_flat(unapplied),
        applied=tuple(not some for some in unapplied),
        dropped=dropped,
    )


def _last_complete(sync_file: SyncFile) -> Mapping[str, str | None]:
    return {name: source.last_complete for name, source in sync_file.sources.items()}


def _flat(failures: Iterable[Iterable[SourceError]]) -> tuple[SourceError, ...]:
    return tuple(dict.fromkeys(failure for some in failures for failure in some))


# --- newer observations that are published --------------------------------------------------------


def _without_older(
    target: PublishTarget, head: str, observed: Sequence[ObservationSet], recorded: Recorded
) -> tuple[list[ObservationSet], Dropped]:
    """Return the observations without those that newer published ones replace, and how many these are."""
    last = _last_complete(recorded.sync_file)
    current: list[ObservationSet] = []
    dropped: Counter[str] = Counter()
    for one in observed:
        newer = _newer_changes(target.repository, head, target.folder, one.at)
        observations, lost = keep_newest(one.observations, one.at, recorded.loaded.records, newer, last, one.scope)
        current.append(dataclasses.replace(one, observations=observations))
        dropped.update(lost)
    return current, dropped


def _newer_changes(repository: Repository, head: str, folder: str, at: datetime.datetime) -> Newer:
    """Return what the newest thousand commits changed in *folder* that, by their trailers, were observed after *at*."""
    newer: dict[str, frozenset[str]] = {}
    trailers = f"%(trailers:key={_OBSERVED_TRAILER},valueonly,separator=%x20)"
    listing = repository.run("log", "--max-count=1000", f"--format=%H {trailers}", head).decode("utf-8", "replace")
    for line in listing.splitlines():
        commit, _, times = line.partition(" ")
        if any(is_newer(when, at) for when in _parse_times(commit, times)):
            for session_id, sections in _changed_sections(repository, commit, f"{folder}/{SNAPSHOT}"):
                newer[session_id] = newer.get(session_id, frozenset()) | sections
    return newer


def _parse_times(commit: str, trailers: str) -> Iterator[str]:
    """Yield the times in the trailers of a commit: several if it was squashed, none if it was made by hand."""
    for text in trailers.split():
        try:
            when = utc_time(text)
        except ValueError:
            continue
        if is_future(when):
            warn_future_timestamp(f"commit {commit[:10]}: {_OBSERVED_TRAILER}", single_line(text, 40))
        else:
            yield utc_text(when)


def _changed_sections(repository: Repository, commit: str, path: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield session ids and the sections that *commit* changed in them, by the snapshot at *path*."""
    # the first commit has none before it
    before, after = (lines_by_id(repository.read_file(one, path) or b"") for one in (f"{commit}^", commit))
    for session_id in before.keys() | after.keys():
        old, new = before.get(session_id), after.get(session_id)
        if old != new:
            was, now = _parse_sections(old), _parse_sections(new)
            yield session_id, frozenset(name for name in SECTIONS if was.get(name) != now.get(name))


def _parse_sections(line: bytes | None) -> dict[str, Any]:
    """Return the sections of a line of the snapshot; a damaged one has none."""
    try:
        content = None if line is None else json.loads(line)
    except (RecursionError, ValueError):
        content = None
    return content if isinstance(content, dict) else {}


# --- the message ----------------------------------------------------------------------------------


def _message(observed: ObservationSet, result: SyncResult, trailers: Mapping[str, str]) -> str:
    from npc_lims import __version__

    failed = list(dict.fromkeys(failure.source for failure in result.failures))
    values = (
        __version__,
        utc_text(observed.at),
        " ".join(one.source for one in result.observations if one.failure is None),
        str(len(result.after)),
        str(len(result.changes)),
    )
    return commit_message(result.changes, {**dict(zip(_TRAILERS, values)), **trailers}, failed, result.unlisted_changes)


def commit_message(
    changes: Sequence[SessionChange],
    trailers: Mapping[str, str],
    failed: Sequence[str] = (),
    unlisted: Sequence[str] = (),
) -> str:
    """Return the message: a subject, the list of changes, trailers; *failed* sources if no session changed."""
    lists = {f"{title}:": list(map(_line, members)) for title, members in groups_of(changes).items()}
    if unlisted:
        lists["Unlisted recordings:"] = list(unlisted)
    return compose_message(commit_subject(changes, failed, len(unlisted)), lists, trailers)


def commit_subject(changes: Sequence[SessionChange], failed: Sequence[str] = (), unlisted: int = 0) -> str:
    """Return one line of at most 72 characters.

    >>> commit_subject([SessionChange("726088_2024-06-24", ("sorted",)), SessionChange("728916_2024-06-25", ("new",))])
    'state: 1 new, 1 sorted (726088, 728916)'
    """
    if not changes:
        recordings = f"; {counted(unlisted, 'unlisted recording')} found or gone" if unlisted and not failed else ""
        return f"state: no session changed{'; failed: ' + ', '.join(failed) if failed else recordings}"
    subjects = sorted({subject_of(change.id) for change in changes})
    where = ", ".join(subjects) if len(subjects) <= _SUBJECTS_NAMED else f"{len(subjects):,} subjects"
    parts = {word: f"{count:,} {word}" for word, count in word_counts(changes).items()}
    subject = f"state: {', '.join(parts.values())} ({where})"
    if len(subject) <= _WIDTH:
        return subject
    # what does not fit is left out, the least important first; the body has it
    fitting: list[str] = []
    for word in sorted(parts, key=lambda word: GROUPS.index(SessionChange("", (word,)).group)):
        trial = [part for one, part in parts.items() if one in (*fitting, word)]
        if len(f"state: {', '.join(trial)} ... ({where})") <= _WIDTH:
            fitting.append(word)
    shown = ", ".join(part for word, part in parts.items() if word in fitting) or f"{len(changes):,} sessions changed"
    return f"state: {shown} ... ({where})"


def _line(change: SessionChange) -> str:
    details = list(map(escape_mentions, change.details[:_DETAILS]))
    if len(change.details) > _DETAILS:
        details.append(f"and {len(change.details) - _DETAILS} more")
    return f"{change.id}: {'; '.join([', '.join(change.what), *details])}"
