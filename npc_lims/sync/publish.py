"""Apply observations to the newest state of a branch, and push that: one commit for each observation run.

A commit is never made from the files of the checkout. Observations are applied to the newest state of the branch, as
often as others push first: there is nothing to merge, nothing is forced, and whatever goes wrong, the checkout stays
as it was.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from npc_lims.clients.git_push import Draft, PublishTarget, find_target, push_commits
from npc_lims.config.environment import TRACKED_FILE
from npc_lims.errors import NpcLimsError, SourceError, StateError
from npc_lims.model.reconcile import Dropped, is_newer, keep_newest
from npc_lims.sources.tracked.parser import tracked_text
from npc_lims.state.diff import SessionChange, changes_between
from npc_lims.state.store import session_id_of, verify_state
from npc_lims.state.sync_file import Recorded, SyncFile, read_recorded, read_sync_file
from npc_lims.state.tree import Tree
from npc_lims.sync.commit_message import commit_message
from npc_lims.sync.newer_commits import OBSERVED_TRAILER, newer_changes
from npc_lims.sync.observation_file import ObservationSet, check_time
from npc_lims.sync.run import SyncResult, apply
from npc_lims.utils.timestamps import utc_text

_TRAILERS = ("Npc-Lims-Version", OBSERVED_TRAILER, "Npc-Lims-Sources", "Npc-Lims-Sessions", "Npc-Lims-Changed")


@dataclasses.dataclass(frozen=True)
class Published:
    """The result of publishing.

    Attributes:
        commit: The newest commit that was pushed; None if there was nothing to add.
        branch: The branch.
        messages: The messages of the commits; an observation set that adds nothing has none.
        changes: Sessions that changed.
        failures: Sources that could not be queried, or whose observations could not be applied.
        unapplied: The latter.
        applied: For each observation set, whether all of it was applied or dropped.
        dropped: Number of sections, by source, that were dropped because newer observations are published.
        attempts: Pushes it took.
        notes: What the user should know of the checkout.
    """

    commit: str | None
    branch: str
    messages: tuple[str, ...]
    changes: tuple[SessionChange, ...]
    failures: tuple[SourceError, ...]
    unapplied: tuple[SourceError, ...]
    applied: tuple[bool, ...]
    dropped: Dropped
    attempts: int
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
        state: The state folder of a checkout; only where it lies in the repository matters, not what it holds.
        observed: Observations, at least one set, in the order in which they were made. Each becomes a commit.
        branch: Where to push; the branch that is checked out if not given. Made if the remote has none.
        trailers: More lines for the ends of the commit messages.
        dry_run: Push nothing; the result has the messages of the commits.
        attempts: Pushes tried at most while others push first.
        backoff: Seconds of the longest first wait between two of them; it doubles.

    Raises:
        GitError: The checkout is in no condition to publish from, or the remote refused.
        NpcLimsError: An observation is from the future, or a trailer is one of ours; nothing was pushed.
        StateError: The state on the branch is damaged, or what would be pushed does not verify; nothing was pushed.
        SyncRefused: The breaker; nothing was pushed.
    """
    _check_trailers(trailers or {})
    for one in observed:
        check_time(one.at, "observations")
    target = find_target(state, branch, TRACKED_FILE)
    job = _Job(target, observed, trailers or {})
    since = min(one.at for one in observed)
    pushed = push_commits(
        target,
        job.make_commits,
        _verify,
        since=since,
        attempts=attempts,
        backoff=backoff,
        dry_run=dry_run,
        is_written=True,
    )
    return dataclasses.replace(
        pushed.made, commit=pushed.commit, branch=pushed.branch, attempts=pushed.attempts, notes=pushed.notes
    )


def _verify(tree: Tree, changed: Collection[str] | None) -> list[str]:
    """Return the problems of session files, snapshot and sync.yaml: of the changed sessions, if that is known."""
    only = None if changed is None else {one for name in changed if (one := session_id_of(name)) is not None}
    problems = verify_state(tree, only)
    try:
        read_sync_file(tree)
    except StateError as error:
        problems.append(str(error))
    return problems


@dataclasses.dataclass(frozen=True)
class _Job:
    """Observations to be published, on top of whatever commit.

    Attributes:
        target: Where to.
        observed: Observations, in the order in which they were made.
        trailers: More lines for the ends of the commit messages.
    """

    target: PublishTarget
    observed: Sequence[ObservationSet]
    trailers: Mapping[str, str]

    def make_commits(self, draft: Draft) -> Published:
        """Commit each observation run that adds something to the newest state."""
        path = (PurePosixPath(self.target.folder).parent / TRACKED_FILE).as_posix()
        content = self.target.repository.read_file(draft.parent, path)
        tracked = None if content is None else functools.partial(tracked_text, f"{self.target.label}{path}", content)
        recorded = read_recorded(draft.tree)
        runs, dropped = self._without_older(draft, recorded)
        results = []
        messages = []
        for one in runs:
            result = apply(draft.tree, [one], recorded=recorded, tracked=tracked)
            results.append(result)
            message = self._message(one, result)
            # a snapshot that no sync has written may say what the session files do not say
            if draft.commit(message, verify_all=recorded.loaded.snapshot != recorded.sync_file.snapshot):
                messages.append(message)
            recorded = read_recorded(draft.tree) if len(runs) > 1 else recorded
        last = _last_complete(read_sync_file(draft.tree))
        unapplied = [_unapplied(one, result, last) for one, result in zip(self.observed, results)]
        known = [_known_failures(one, result) for one, result in zip(self.observed, results)]
        return Published(
            commit=None,
            branch=self.target.branch,
            messages=tuple(messages),
            changes=tuple(changes_between(results[0].before, results[-1].after)),
            failures=_flat([*known, *unapplied]),
            unapplied=_flat(unapplied),
            applied=tuple(not some for some in unapplied),
            dropped=dropped,
            attempts=0,
        )

    def _without_older(self, draft: Draft, recorded: Recorded) -> tuple[list[ObservationSet], Dropped]:
        """Return the observations without those that newer published ones replace, and how many these are."""
        last = _last_complete(recorded.sync_file)
        kept: list[ObservationSet] = []
        dropped: Counter[str] = Counter()
        for one in self.observed:
            newer = newer_changes(self.target.repository, draft.parent, self.target.folder, one.at)
            observations, lost = keep_newest(one.observations, one.at, recorded.loaded.records, newer, last, one.scope)
            kept.append(dataclasses.replace(one, observations=observations))
            dropped.update(lost)
        return kept, dropped

    def _message(self, observed: ObservationSet, result: SyncResult) -> str:
        from npc_lims import __version__

        failed = list(dict.fromkeys(failure.source for failure in result.failures))
        values = (
            __version__,
            utc_text(observed.at),
            " ".join(one.source for one in result.observations if one.failure is None),
            str(len(result.after)),
            str(len(result.changes)),
        )
        return commit_message(result.changes, {**dict(zip(_TRAILERS, values)), **self.trailers}, failed)


def _check_trailers(trailers: Mapping[str, str]) -> None:
    """
    Raises:
        NpcLimsError: One is written by publishing itself: these determine which observation is the newest.
    """
    for token in trailers:
        # git reads their names in any case
        if token.lower() in map(str.lower, _TRAILERS):
            raise NpcLimsError(f"--trailer {token}: written by npc-lims itself; choose another key, such as Run")


def _last_complete(sync_file: SyncFile) -> Mapping[str, str | None]:
    return {name: source.last_complete for name, source in sync_file.sources.items()}


def _known_failures(observed: ObservationSet, result: SyncResult) -> list[SourceError]:
    """Return failures of sources that could not be queried."""
    known = {one.source for one in observed.failures}
    return [failure for failure in result.failures if failure.source in known]


def _unapplied(
    observed: ObservationSet, result: SyncResult, last_complete: Mapping[str, str | None]
) -> list[SourceError]:
    """Return failures to apply observations, unless newer ones of the source are published.

    The tracked file is read from the commit, whatever was observed of it.
    """
    known = {one.source for one in observed.failures}
    return [
        failure
        for failure in result.failures
        if failure.source not in known
        and (failure.source == "tracked" or not is_newer(last_complete.get(failure.source), observed.at))
    ]


def _flat(failures: Iterable[Iterable[SourceError]]) -> tuple[SourceError, ...]:
    return tuple(dict.fromkeys(failure for some in failures for failure in some))
