"""Apply looks at the sources to the newest state of a branch, and push that: a commit for each look.

A commit is never made from the files of the checkout. What was seen is applied to the newest state of the
branch, in a worktree of its own, as often as others push first: there is nothing to merge, nothing is forced,
and whatever goes wrong, the checkout stays as it was.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from npc_lims.errors import SourceError
from npc_lims.git import Repository, find_repository
from npc_lims.observed import Observed
from npc_lims.publishing.branch import catch_up, check_checkout, commit, identity, target_branch
from npc_lims.publishing.later import OBSERVED_TRAILER, seen_later, with_later
from npc_lims.publishing.message import commit_message
from npc_lims.publishing.race import push_to_newest
from npc_lims.sources import TRACKED_FILE
from npc_lims.state.diff import SessionChange, changes_between
from npc_lims.state.store import read_state
from npc_lims.state.sync_file import read_sync_file
from npc_lims.sync import SyncResult, apply
from npc_lims.utc import utc_text

__all__ = ["Published", "publish"]


@dataclasses.dataclass(frozen=True)
class Published:
    """What publishing did.

    Attributes:
        commit: The newest commit that it pushed; None if there was nothing to add to what is there.
        branch: Where.
        messages: Those of its commits, or of those that it would make; of looks that add nothing there is none.
        changes: Sessions that changed by all of them.
        failures: Sources that could not be asked when the looks were made.
        attempts: Pushes it took.
        notes: What the user should know of the checkout.
    """

    commit: str | None
    branch: str
    messages: tuple[str, ...]
    changes: tuple[SessionChange, ...]
    failures: tuple[SourceError, ...]
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
        StateError: The state on the branch is damaged.
        SyncRefused: The breaker; nothing was pushed.
    """
    repository = find_repository(state)
    inside = repository.path_of(state)
    target = target_branch(repository, branch)
    check_checkout(repository, Path(inside).parent / TRACKED_FILE)
    job = _Job(inside, observed, trailers or {}, identity(repository))

    def make(tree: Repository, parent: str) -> tuple[_Made, bool]:
        made = job.commits(tree, parent)
        return made, bool(made.messages) and not dry_run

    since = min(one.at for one in observed)
    pushed = push_to_newest(repository, target, make, since=since, attempts=attempts, backoff=backoff)
    made = pushed.made
    done = Published(pushed.commit, target, made.messages, made.changes, made.failures, pushed.attempts)
    if dry_run:
        return done
    notes = catch_up(repository, inside, target, pushed.commit or pushed.parent)
    return dataclasses.replace(done, notes=notes)


@dataclasses.dataclass(frozen=True)
class _Made:
    messages: tuple[str, ...]
    changes: tuple[SessionChange, ...]
    failures: tuple[SourceError, ...]


@dataclasses.dataclass(frozen=True)
class _Job:
    """What is to be published, on top of whatever commit."""

    inside: str
    observed: Sequence[Observed]
    trailers: Mapping[str, str]
    who: Mapping[str, str]

    def commits(self, tree: Repository, parent: str) -> _Made:
        """Commit each look that adds something to what *parent* holds, which is checked out in *tree*."""
        folder = tree.root / self.inside
        tracked = folder.parent / TRACKED_FILE
        results = []
        messages = []
        for look in self._up_to_date(tree, parent):
            result = apply(folder, [look], tracked=tracked if tracked.is_file() else None)
            results.append(result)
            tree.run("add", "--all", "--", self.inside)
            if tree.run("diff", "--cached", "--name-only"):
                messages.append(self._message(look, result))
                commit(tree, self.inside, messages[-1], self.who)
        return _Made(
            tuple(messages),
            tuple(changes_between(results[0].before, results[-1].after)),
            tuple(dict.fromkeys(failure for result in results for failure in result.failures)),
        )

    def _up_to_date(self, tree: Repository, parent: str) -> list[Observed]:
        """The looks, with what others saw later and published already in place of what these saw of it."""
        folder = tree.root / self.inside
        later = [seen_later(tree, parent, self.inside, one.at) for one in self.observed]
        recorded = read_state(folder).records if any(later) else {}
        last = {name: one.last_complete for name, one in read_sync_file(folder).sources.items()}
        return [_without_older(with_later(one, than, recorded), last) for one, than in zip(self.observed, later)]

    def _message(self, look: Observed, result: SyncResult) -> str:
        from npc_lims import __version__

        failed = list(dict.fromkeys(failure.source for failure in result.failures))
        trailers = {
            "Npc-Lims-Version": __version__,
            OBSERVED_TRAILER: utc_text(look.at),
            "Npc-Lims-Sources": " ".join(one.source for one in result.observations if one.failure is None),
            "Npc-Lims-Sessions": str(len(result.after)),
            "Npc-Lims-Changed": str(len(result.changes)),
        }
        return commit_message(result.changes, {**trailers, **self.trailers}, failed)


def _without_older(look: Observed, last_complete: Mapping[str, str | None]) -> Observed:
    """*look* without the sources that were asked about everything later than it.

    The tracked file stays: it is read again as it is in the commit.
    """
    kept = (
        one
        for one in look.observations
        if one.source == "tracked" or (last_complete.get(one.source) or "") <= utc_text(look.at)
    )
    return dataclasses.replace(look, observations=tuple(kept))
