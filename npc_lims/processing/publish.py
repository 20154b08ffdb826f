"""Put what is recorded of runs onto a branch, whoever else pushes to it: claims before anything is started, and what
came of them after.

As with looks at the sources (`npc_lims.sync.publish`), what is pushed is made on the newest state of the branch,
as often as others push first. So of two that would claim the same session, the one who pushes second sees that the
other has it.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from npc_lims.clients.git import Repository, find_repository
from npc_lims.clients.git_branch import (
    catch_up,
    check_checkout,
    commit,
    identity,
    newest,
    stage,
    target_branch,
    worktree,
)
from npc_lims.clients.git_race import push_to_newest
from npc_lims.clients.git_trailers import defused, trailer_lines
from npc_lims.model.session_id import subject_of
from npc_lims.processing.pipelines import PIPELINES_FILE
from npc_lims.processing.record import RunsChange
from npc_lims.processing.runs import Run
from npc_lims.processing.runs_file import RUNS, verify_run_files
from npc_lims.state.verification import verify_commit
from npc_lims.utils.text import single_line

__all__ = ["Change", "PublishedRuns", "look_at_newest", "publish_runs", "runs_message"]

_T = TypeVar("_T")

Change = Callable[[Path], Sequence[RunsChange]]
"""Records something in a state folder, and tells what. It may be called several times, each time with the newest state:
what it did to an earlier one is gone then."""

_WIDTH = 72
_LISTED = 20


@dataclasses.dataclass(frozen=True)
class PublishedRuns:
    """What publishing did.

    Attributes:
        commit: What it pushed; None if there was nothing to add to what is there.
        branch: Where.
        attempts: Pushes it took.
        notes: What the user should know of the checkout.
    """

    commit: str | None
    branch: str
    attempts: int
    notes: tuple[str, ...] = ()


def look_at_newest(state: Path, look: Callable[[Path], _T], branch: str | None = None) -> _T:
    """What *look* finds in the state folder of the remote's *branch*. Nothing is changed, here or there.

    Raises:
        GitError: `publish_runs` could not publish from this checkout either, or the remote cannot be asked.
    """
    repository, inside, target = _place(state, branch)
    identity(repository)
    with worktree(repository) as tree:
        since = datetime.datetime.now(datetime.timezone.utc)
        commit = newest(repository, target, since) or repository.commit_of("HEAD")
        tree.run("checkout", "--quiet", "--force", "--detach", commit)
        return look(tree.root / inside)


def publish_runs(
    state: Path,
    change: Change,
    branch: str | None = None,
    *,
    trailers: Mapping[str, str] | None = None,
    attempts: int = 12,
    backoff: float = 1,
) -> PublishedRuns:
    """Make *change* on the state of the remote's *branch*, and push that.

    Args:
        state: The state folder of a checkout; only where it lies in the repository matters, not what it holds.
        change: What to record.
        branch: Where to push; the branch that is checked out if not given. Made if the remote has none.
        trailers: More lines for the end of the commit message.
        attempts: Pushes tried at most while others push first.
        backoff: Seconds of the longest first wait between two of them; it doubles.

    Raises:
        GitError: The checkout is in no condition to publish from, or the remote refused. Nothing was pushed.
        StateError: What would be pushed does not verify. Nothing was pushed.
    """
    repository, inside, target = _place(state, branch)
    who = identity(repository)

    def make(tree: Repository, parent: str) -> tuple[None, bool]:
        recorded = change(tree.root / inside)
        if not stage(tree, inside):
            return None, False
        verify_commit(tree, commit(tree, inside, runs_message(recorded, trailers), who), inside, verify_run_files, RUNS)
        return None, True

    # of a shallow clone, no more than the newest commit is needed
    since = datetime.datetime.now(datetime.timezone.utc)
    pushed = push_to_newest(repository, target, make, since=since, attempts=attempts, backoff=backoff)
    # nothing was written to the state folder here: what differs in it is its user's
    notes = catch_up(repository, None, target, pushed.commit or pushed.parent)
    return PublishedRuns(pushed.commit, target, pushed.attempts, notes)


def _place(state: Path, branch: str | None) -> tuple[Repository, str, str]:
    """The checkout, where the state folder lies in it, and the branch to publish on."""
    repository = find_repository(state)
    inside = repository.path_of(state)
    target = target_branch(repository, branch)
    # claims are made as that file says, and whoever looks at the commit must find it so
    check_checkout(repository, Path(inside).parent / PIPELINES_FILE)
    return repository, inside, target


# --- the message ----------------------------------------------------------------------------------


def runs_message(recorded: Sequence[RunsChange], trailers: Mapping[str, str] | None = None) -> str:
    """What the commit says: a line of at most 72 characters, what happened to which run, trailers. Pure."""
    from npc_lims import __version__

    happened = {one.process: _happened(one) for one in recorded}
    lines = [
        *(_block(process, told) for process, told in happened.items() if told),
        "\n".join(trailer_lines({"Npc-Lims-Version": __version__, **(trailers or {})})),
    ]
    return "\n\n".join([_subject(happened), *lines]) + "\n"


def _happened(recorded: RunsChange) -> list[tuple[str, str, str]]:
    """Session, what happened in a word, and more of it."""
    before = {run.key: run for run in recorded.before}
    after = {run.key: run for run in recorded.after}
    told = [(key, _what(before.get(key), run)) for key, run in after.items() if before.get(key) != run]
    told += [(key, ("released", "")) for key in before.keys() - after.keys()]
    return [(key[0], *what) for key, what in sorted(told)]


def _what(before: Run | None, after: Run) -> tuple[str, str]:
    """The last thing that happened to a run."""
    was_open = before is None or before.is_open
    if after.outcome == "errored" and (was_open or before is None or before.outcome != "errored"):
        return "errored", after.reason
    if after.shared:
        return "shared", after.asset.name if after.asset else ""
    if after.asset is not None:
        return "captured", after.asset.name
    if after.outcome is not None:
        return after.outcome, ""
    if after.computation is not None:
        return "started", after.computation
    return "claimed", ""


def _subject(happened: Mapping[str, Sequence[tuple[str, str, str]]]) -> str:
    """
    >>> _subject({"dlc_eye": [("726088_2024-06-24", "started", ""), ("728916_2024-06-25", "errored", "no results")]})
    'runs: dlc_eye 1 errored, 1 started (726088, 728916)'
    """
    parts = []
    for process, told in happened.items():
        words = [what for _, what, _ in told]
        if words:
            parts.append(f"{process} " + ", ".join(f"{words.count(word)} {word}" for word in sorted(set(words))))
    subjects = sorted({subject_of(session) for told in happened.values() for session, _, _ in told})
    whole = f"runs: {'; '.join(parts)} ({', '.join(subjects)})"
    if len(whole) <= _WIDTH:
        return whole
    whole = f"runs: {'; '.join(parts)} ({len(subjects):,} subjects)"
    if len(whole) <= _WIDTH:
        return whole
    count = sum(len(told) for told in happened.values())
    return f"runs: {count:,} runs of {len(parts):,} processes ({len(subjects):,} subjects)"


def _block(process: str, told: Sequence[tuple[str, str, str]]) -> str:
    lines = [f"{process}:"]
    lines += [
        f"- {session}: {what}{': ' if more else ''}{defused(single_line(more))}"
        for session, what, more in told[:_LISTED]
    ]
    if len(told) > _LISTED:
        lines.append(f"- ... and {len(told) - _LISTED:,} more")
    return "\n".join(lines)
