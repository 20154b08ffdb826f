"""Publish records of runs on a branch: claims before anything is started, results after.

As with observations (`npc_lims.sync.publish`), commits are made on the newest state of the branch, as often as
others push first. So if two want to claim the same session, the one who pushes second finds the claim of the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from npc_lims.clients.git_push import Draft, Pushed, find_target, newest_tree, push_commits
from npc_lims.clients.git_tree import compose_message, escape_mentions
from npc_lims.model.session_id import subject_of
from npc_lims.processing.pipelines import PIPELINES_FILE
from npc_lims.processing.runs import Change, Run, RunsChange, verify_runs
from npc_lims.state.tree import Tree
from npc_lims.utils.text import single_line

_WIDTH = 72


def read_newest(state: Path, branch: str | None = None) -> Tree:
    """Return the newest state on the remote's *branch*. Nothing is changed, here or there."""
    return newest_tree(find_target(state, branch, PIPELINES_FILE))


def publish_runs(
    state: Path,
    change: Change,
    branch: str | None = None,
    *,
    trailers: Mapping[str, str] | None = None,
    attempts: int = 12,
    backoff: float = 1,
) -> Pushed[None]:
    """Make *change* on the state of the remote's *branch*, and push that.

    Args:
        state: The state folder of a checkout; only its path in the repository matters, not its content.
        branch: The branch that is checked out if not given. Made if the remote has none.
        trailers: More lines for the end of the commit message.
        backoff: Seconds of the longest first wait between two attempts; it doubles.

    Raises:
        GitError: The checkout is in no condition to publish from, or the remote refused.
        StateError: What would be pushed does not verify.
    """

    def make(draft: Draft) -> None:
        draft.commit(runs_message(change(draft.tree), trailers))

    # claims follow pipelines.yaml, which must be the same in the commit
    target = find_target(state, branch, PIPELINES_FILE)
    return push_commits(target, make, lambda tree, changed: verify_runs(tree), attempts=attempts, backoff=backoff)


# --- the message ----------------------------------------------------------------------------------


def runs_message(recorded: Sequence[RunsChange], trailers: Mapping[str, str] | None = None) -> str:
    """Return the commit message: a line of at most 72 characters, the changes of each run, trailers. Pure."""
    from npc_lims import __version__

    happened = {one.process: changes for one in recorded if (changes := _happened(one))}
    lists = {f"{process}:": list(map(_line, changes)) for process, changes in happened.items()}
    return compose_message(_subject(happened), lists, {"Npc-Lims-Version": __version__, **(trailers or {})})


def _line(change: tuple[str, str, str]) -> str:
    session, what, more = change
    return f"{session}: {what}{': ' if more else ''}{escape_mentions(single_line(more))}"


def _happened(recorded: RunsChange) -> list[tuple[str, str, str]]:
    """Return session, kind of change and details of each run that changed."""
    before = {run.key: run for run in recorded.before}
    after = {run.key: run for run in recorded.after}
    changes = [(key, _what(before.get(key), run)) for key, run in after.items() if before.get(key) != run]
    changes += [(key, ("released", "")) for key in before.keys() - after.keys()]
    return [(key[0], *what) for key, what in sorted(changes)]


def _what(before: Run | None, after: Run) -> tuple[str, str]:
    """Return the kind of the last change of a run, and details."""
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
    for process, changes in happened.items():
        words = Counter(what for _, what, _ in changes)
        parts.append(f"{process} " + ", ".join(f"{count} {word}" for word, count in sorted(words.items())))
    subjects = sorted({subject_of(session) for changes in happened.values() for session, _, _ in changes})
    count = sum(map(len, happened.values()))
    candidates = (
        f"runs: {'; '.join(parts)} ({', '.join(subjects)})",
        f"runs: {'; '.join(parts)} ({len(subjects):,} subjects)",
        f"runs: {count:,} runs of {len(parts):,} processes ({len(subjects):,} subjects)",
    )
    return next((subject for subject in candidates if len(subject) <= _WIDTH), candidates[-1])
