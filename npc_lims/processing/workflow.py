"""Claim, start, collect and record runs: in a state folder, or on a branch of the remote."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from npc_lims.clients.git_push import Draft, PublishTarget, Pushed, find_target, newest_tree, push_commits
from npc_lims.clients.git_tree import CommitTree, compose_message, escape_mentions
from npc_lims.config.disk_cache import cache_dir, entry_stat, prepare_folder
from npc_lims.config.settings import Settings
from npc_lims.errors import ComputationError, SourceError, StateError
from npc_lims.model.session_id import subject_of
from npc_lims.processing.pipelines import PIPELINES_FILE
from npc_lims.processing.plan import PlanRequest, RecordedState, make_claims, plan
from npc_lims.processing.process import Process
from npc_lims.processing.runs import (
    Change,
    Run,
    RunEvent,
    RunsChange,
    Update,
    Updates,
    apply_updates,
    read_runs,
    verify_runs,
    write_runs,
    write_updates,
)
from npc_lims.state.revision import RUN_TRAILER
from npc_lims.state.store import StateFolder, read_state
from npc_lims.utils.text import single_line

_WIDTH = 72
_ATTEMPTS = 12


def read_recorded(state: StateFolder, processes: Iterable[Process]) -> RecordedState:
    """Read all sessions of a state, and the runs of *processes*. StateError if a file is damaged."""
    return RecordedState(read_state(state).records, {one.name: read_runs(state, one.name) for one in processes})


def record(state: StateFolder, updates: Updates) -> list[RunsChange]:
    """Add *updates* to what is recorded in a state. StateError if a file of runs is damaged."""
    changes = []
    for process, some in updates.items():
        before = read_runs(state, process)
        after = apply_updates(before, some)
        write_runs(state, process, after)
        changes.append(RunsChange(process, before, after))
    return changes


@contextlib.contextmanager
def locked(state: Path, locks: Path, max_wait: float = 60) -> Iterator[None]:
    """Hold the lock of a state folder, so that no other process on this machine records there meanwhile.

    It is a lock of SQLite, which every platform has, and which ends with the process that holds it. StateError after
    *max_wait* seconds: what is done under the lock takes milliseconds.
    """
    path = locks / f"{hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:32]}.lock"
    if prepare_folder(locks):
        path.touch(mode=0o600)
    if entry_stat(path) is None:
        raise StateError(f"{path}: cannot be used as a lock; delete it, or let NPC_LIMS_CACHE_DIR name another folder")
    with contextlib.closing(sqlite3.connect(path, timeout=max_wait, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            message = f"{state}: another npc-lims is recording there ({error}); try again when it is done"
            raise StateError(message) from None
        yield


@dataclasses.dataclass
class RunResults:
    """The last event of each run, with its process; and sentences about what could not be done."""

    events: list[tuple[str, RunEvent]]
    failures: list[str]


@dataclasses.dataclass(frozen=True)
class RunStore:
    """The runs of a state folder; *by* is the URL of the workflow run, for the record."""

    settings: Settings
    state: Path
    by: str = ""
    records_at_once: ClassVar[bool] = True

    def read(self, processes: Iterable[Process]) -> RecordedState:
        return read_recorded(self.state, processes)

    def claim(self, request: PlanRequest) -> tuple[RecordedState, Mapping[str, tuple[Run, ...]]]:
        """Record a claim for each run that is to be started. Return what was recorded before, and the claims."""
        tries = []

        def change(state: StateFolder) -> Sequence[RunsChange]:
            now = datetime.datetime.now(datetime.timezone.utc)
            before = read_recorded(state, request.processes)
            made = {name: make_claims(some, now, self.by) for name, some in plan(request, before, now).items()}
            tries.append((before, made))
            return record(state, made)

        self._change(change, "claims")
        return tries[-1]

    def record(self, updates: Updates) -> None:
        if any(updates.values()):
            self._change(lambda state: record(state, updates), "runs")

    def follow(
        self,
        processes: Iterable[Process],
        events_of: Callable[[Process], Iterator[RunEvent]],
        progress: Callable[[str], object],
        file: Path | None = None,
    ) -> RunResults:
        """Record each event before the next is requested, in the *file* or the store; some stores do so at the end."""
        updates: dict[str, list[Update]] = {}
        last: dict[tuple[str, object], tuple[str, RunEvent]] = {}
        failures: list[str] = []
        if file is not None:
            write_updates(file, updates)
        try:
            for process, event in _events_of_all(processes, events_of, progress, failures):
                last[process, event.run.key] = process, event
                if event.update is None:
                    continue
                updates.setdefault(process, []).append(event.update)
                if file is not None:
                    write_updates(file, updates)
                elif self.records_at_once:
                    self.record({process: [event.update]})
        finally:
            if file is None and not self.records_at_once:
                self.record(updates)
        return RunResults(list(last.values()), failures)

    def _change(self, change: Change, what: str) -> None:
        with locked(self.state, cache_dir(self.settings) / "locks"):
            change(self.state)


@dataclasses.dataclass(frozen=True)
class BranchRunStore(RunStore):
    """The runs on a branch of the remote. Of the state folder, only its path within the repository is used."""

    branch: str | None = None
    """The checked-out one if None. Made if the remote has none."""
    report: Callable[[str], object] = lambda note: None
    records_at_once: ClassVar[bool] = False  # but in one commit

    def read(self, processes: Iterable[Process]) -> RecordedState:
        return read_recorded(newest_tree(self._target()), processes)

    def push(self, change: Change) -> Pushed[None]:
        """Push *change* on top of the newest state, as often as others push first: nobody claims a session twice."""

        def make(draft: Draft) -> None:
            draft.commit(runs_message(change(draft.tree), self.by))

        def verify(tree: CommitTree, changed: object) -> list[str]:
            return verify_runs(tree)

        return push_commits(self._target(), make, verify, attempts=_ATTEMPTS, backoff=self.settings.backoff)

    def _target(self) -> PublishTarget:
        # claims follow pipelines.yaml, which must be the same in the commit
        return find_target(self.state, self.branch, PIPELINES_FILE)

    def _change(self, change: Change, what: str) -> None:
        done = self.push(change)
        if done.commit is not None:
            attempt = f" at attempt {done.attempts}" if done.attempts > 1 else ""
            self.report(f"pushed {what} to {done.branch}{attempt}: {done.commit[:10]}")
        for note in done.notes:
            self.report(note)


def _events_of_all(
    processes: Iterable[Process],
    events_of: Callable[[Process], Iterator[RunEvent]],
    progress: Callable[[str], object],
    failures: list[str],
) -> Iterator[tuple[str, RunEvent]]:
    """Yield each event with its process. What fails is added to *failures*, and the other processes continue."""
    for process in processes:
        progress(f"{process.name}: querying Code Ocean")
        try:
            for event in events_of(process):
                yield process.name, event
                if event.failure:
                    failures.append(f"{process.name}, {event.run.session}: {event.failure}")
                progress(f"{process.name}: {event.run.session} {event.what}")
        except (ComputationError, SourceError) as error:
            failures.append(f"{process.name}: {error}")


# --- the message ----------------------------------------------------------------------------------


def runs_message(recorded: Sequence[RunsChange], by: str = "") -> str:
    """Return the commit message: a line of at most 72 characters, the changes of each run, trailers. Pure."""
    from npc_lims import __version__

    happened = {one.process: changes for one in recorded if (changes := _happened(one))}
    lists = {f"{process}:": list(map(_line, changes)) for process, changes in happened.items()}
    trailers = {"Npc-Lims-Version": __version__, **({RUN_TRAILER: by} if by else {})}
    return compose_message(_subject(happened), lists, trailers)


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
    if after.outcome == "errored" and (before is None or before.outcome != "errored"):
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
