"""Apply looks at the sources to the newest state of a branch, and push that: a commit for each look.

A commit is never made from the files of the checkout. What was seen is applied to the newest state of the
branch, in a worktree of its own, as often as others push first: there is nothing to merge, nothing is forced,
and whatever goes wrong, the checkout stays as it was.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from npc_lims.clients.git import Repository, find_repository
from npc_lims.clients.git_branch import REMOTE, catch_up, check_checkout, commit, identity, stage, target_branch
from npc_lims.clients.git_race import push_to_newest
from npc_lims.config.environment import TRACKED_FILE
from npc_lims.errors import NpcLimsError, SourceError
from npc_lims.state.diff import SessionChange, changes_between
from npc_lims.state.store import read_state
from npc_lims.state.sync_file import SYNC_FILE, SyncFile, read_sync_file
from npc_lims.state.verification import verify_commit, verify_sessions
from npc_lims.sync.commit_message import commit_message
from npc_lims.sync.newer_commits import OBSERVED_TRAILER, Dropped, keep_complete, keep_newer, newer_changes
from npc_lims.sync.observation_file import Observed, check_time
from npc_lims.sync.run import SyncResult, apply
from npc_lims.utils.timestamps import utc_text

__all__ = ["Published", "publish"]

_TRAILERS = ("Npc-Lims-Version", OBSERVED_TRAILER, "Npc-Lims-Sources", "Npc-Lims-Sessions", "Npc-Lims-Changed")


@dataclasses.dataclass(frozen=True)
class Published:
    """What publishing did.

    Attributes:
        commit: The newest commit that it pushed; None if there was nothing to add to what is there.
        branch: Where.
        messages: Those of its commits, or of those that it would make; of looks that add nothing there is none.
        changes: Sessions that changed by all of them.
        failures: Sources that could not be asked when the looks were made, or not be applied.
        unapplied: Those of the failures that arose now: what was observed could not be applied to what is published.
        applied: For each look whether nothing of it is left to apply: what is dropped as newer observations are
            published is done with.
        dropped: Number of sections, by source, that were dropped for that reason.
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
    observed: Sequence[Observed],
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
        observed: Looks at the sources, at least one, in the order in which they were made. Each becomes a commit.
        branch: Where to push; the branch that is checked out if not given. Made if the remote has none.
        trailers: More lines for the ends of the commit messages.
        dry_run: Push nothing: the answer holds the messages that the commits would have.
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
    repository = find_repository(state)
    inside = repository.path_of(state)
    target = target_branch(repository, branch)
    check_checkout(repository, Path(inside).parent / TRACKED_FILE)
    job = _Job(inside, f"{REMOTE}/{target}:{inside}/{SYNC_FILE}", observed, trailers or {}, identity(repository))

    def make(tree: Repository, parent: str) -> tuple[_Made, bool]:
        made = job.commits(tree, parent)
        return made, bool(made.messages) and not dry_run

    since = min(one.at for one in observed)
    pushed = push_to_newest(repository, target, make, since=since, attempts=attempts, backoff=backoff)
    made = {field.name: getattr(pushed.made, field.name) for field in dataclasses.fields(pushed.made)}
    done = Published(commit=pushed.commit, branch=target, attempts=pushed.attempts, **made)
    if dry_run:
        return done
    notes = catch_up(repository, inside, target, pushed.commit or pushed.parent)
    return dataclasses.replace(done, notes=notes)


@dataclasses.dataclass(frozen=True)
class _Made:
    """Fields of `Published` that are known before the push."""

    messages: tuple[str, ...]
    changes: tuple[SessionChange, ...]
    failures: tuple[SourceError, ...]
    unapplied: tuple[SourceError, ...]
    applied: tuple[bool, ...]
    dropped: Dropped


@dataclasses.dataclass(frozen=True)
class _Job:
    """What is to be published, on top of whatever commit.

    Attributes:
        inside: Path of the state folder within the repository.
        sync_file: Name of sync.yaml in messages.
        observed: Looks at the sources.
        trailers: More lines for the ends of the commit messages.
        who: Variables that tell git who commits.
    """

    inside: str
    sync_file: str
    observed: Sequence[Observed]
    trailers: Mapping[str, str]
    who: Mapping[str, str]

    def commits(self, tree: Repository, parent: str) -> _Made:
        """Commit each look that adds something to what *parent* holds, which is checked out in *tree*."""
        folder = tree.root / self.inside
        tracked = folder.parent / TRACKED_FILE
        results = []
        messages = []
        looks, dropped = self._up_to_date(tree, parent)
        for look in looks:
            result = apply(folder, [look], tracked=tracked if tracked.is_file() else None, sync_file=self.sync_file)
            results.append(result)
            if stage(tree, self.inside):
                messages.append(self._message(look, result))
                commit(tree, self.inside, messages[-1], self.who)
        if messages:
            verify_commit(tree, tree.commit_of("HEAD"), self.inside, verify_sessions)
        last = _last_complete(read_sync_file(folder, self.sync_file))
        unapplied = [_unapplied(look, result, last) for look, result in zip(self.observed, results)]
        known = [_known_failures(look, result) for look, result in zip(self.observed, results)]
        return _Made(
            tuple(messages),
            tuple(changes_between(results[0].before, results[-1].after)),
            _flat([*known, *unapplied]),
            _flat(unapplied),
            tuple(not some for some in unapplied),
            dropped,
        )

    def _up_to_date(self, tree: Repository, parent: str) -> tuple[list[Observed], Dropped]:
        """The looks, with newer observations that are published already in place of theirs, and what that drops."""
        folder = tree.root / self.inside
        newer = [newer_changes(tree, parent, self.inside, one.at) for one in self.observed]
        recorded = read_state(folder).records if any(newer) else {}
        last = _last_complete(read_sync_file(folder, self.sync_file))
        looks: list[Observed] = []
        dropped: Counter[str] = Counter()
        for one, than in zip(self.observed, newer):
            look, whole = keep_complete(one, last)
            look, sections = keep_newer(look, than, recorded)
            looks.append(look)
            dropped.update(whole)
            dropped.update(sections)
        return looks, dropped

    def _message(self, look: Observed, result: SyncResult) -> str:
        from npc_lims import __version__

        failed = list(dict.fromkeys(failure.source for failure in result.failures))
        values = (
            __version__,
            utc_text(look.at),
            " ".join(one.source for one in result.observations if one.failure is None),
            str(len(result.after)),
            str(len(result.changes)),
        )
        return commit_message(result.changes, {**dict(zip(_TRAILERS, values)), **self.trailers}, failed)


def _check_trailers(trailers: Mapping[str, str]) -> None:
    """
    Raises:
        NpcLimsError: One is written by publishing itself. Which observation is the newest depends on these.
    """
    for token in trailers:
        # git reads their names in any case
        if token.lower() in map(str.lower, _TRAILERS):
            raise NpcLimsError(f"--trailer {token}: written by npc-lims itself; choose another key, such as Run")


def _last_complete(sync_file: SyncFile) -> Mapping[str, str | None]:
    return {name: source.last_complete for name, source in sync_file.sources.items()}


def _known_failures(look: Observed, result: SyncResult) -> list[SourceError]:
    """Failures of sources that had failed when the look was made."""
    known = {one.source for one in look.failures}
    return [failure for failure in result.failures if failure.source in known]


def _unapplied(look: Observed, result: SyncResult, last_complete: Mapping[str, str | None]) -> list[SourceError]:
    """Failures of sources that had been observed, unless a newer observation takes the place of that by now.

    The tracked file is not as it was observed but as it is in the commit.
    """
    known = {one.source for one in look.failures}
    return [
        failure
        for failure in result.failures
        if failure.source not in known
        and (failure.source == "tracked" or (last_complete.get(failure.source) or "") <= utc_text(look.at))
    ]


def _flat(failures: Iterable[Iterable[SourceError]]) -> tuple[SourceError, ...]:
    return tuple(dict.fromkeys(failure for some in failures for failure in some))
