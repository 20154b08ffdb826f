"""Record runs in a state folder, also if several processes do so at once, or on a branch of the remote."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from npc_lims.config.disk_cache import cache_dir, entry_stat, prepare_folder
from npc_lims.errors import StateError
from npc_lims.processing.plan import PlanRequest, RecordedState, make_claims, plan_all
from npc_lims.processing.runs import Change, Run, RunsChange, Update, Updates, apply_updates, write_updates
from npc_lims.processing.runs_file import read_runs, write_runs
from npc_lims.state.revision import RUN_TRAILER
from npc_lims.state.store import read_state
from npc_lims.state.tree import StateFolder

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

MAX_WAIT = 60.0
"""Seconds: what is done under the lock takes milliseconds."""


@dataclasses.dataclass(frozen=True)
class Claims:
    """New claims, which are recorded.

    Attributes:
        made: The claims of each process.
        before: What was recorded before.
        changes: What recording them changed.
    """

    made: Mapping[str, tuple[Run, ...]]
    before: RecordedState
    changes: Sequence[RunsChange]


def read_recorded(state: StateFolder, processes: Sequence[str]) -> RecordedState:
    """Read all sessions of a state folder, and the runs of *processes*.

    Raises:
        StateError: A file is damaged.
    """
    return RecordedState(read_state(state).records, {name: read_runs(state, name) for name in processes})


def record(state: StateFolder, updates: Updates) -> list[RunsChange]:
    """Add *updates* to what is recorded in a state folder.

    Raises:
        StateError: A file of runs is damaged.
    """
    changes = []
    for process, some in updates.items():
        before = read_runs(state, process)
        after = apply_updates(before, some)
        write_runs(state, process, after)
        changes.append(RunsChange(process, before, after))
    return changes


def claim(state: StateFolder, request: PlanRequest, *, now: datetime.datetime, by: str = "") -> Claims:
    """Record a claim for each run that would be started, as `plan` says.

    Raises:
        StateError: A file is damaged.
        NpcLimsError: As `plan`.
    """
    before = read_recorded(state, [process.name for process in request.processes])
    plans = plan_all(request, before, now)
    made = {name: make_claims(decisions, now=now, by=by) for name, decisions in plans.items()}
    return Claims(made, before, record(state, made))


@contextlib.contextmanager
def locked(state: Path, locks: Path, max_wait: float = MAX_WAIT) -> Iterator[None]:
    """Hold the lock of a state folder, so that no other process on this machine records there meanwhile.

    It is a lock of SQLite, which every platform has, and which ends with the process that holds it.

    Args:
        state: The state folder.
        locks: Folder of the locks; made if need be.
        max_wait: Seconds to wait for it.

    Raises:
        StateError: Another process holds it for longer, or other users may write to the folder.
    """
    path = locks / f"{hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:32]}.lock"
    if prepare_folder(locks):
        path.touch(mode=0o600)
    if entry_stat(path) is None:
        raise StateError(f"{path}: cannot be used as a lock; delete it, or let NPC_LIMS_CACHE_DIR name another folder")
    connection = sqlite3.connect(path, timeout=max_wait, isolation_level=None)
    try:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise StateError(
                f"{state}: another npc-lims is recording there ({error}); try again when it is done"
            ) from None
        yield
    finally:
        connection.close()


RecordUpdate = Callable[[str, Update], None]
"""Records an update of a run of a process."""


@dataclasses.dataclass(frozen=True)
class RunStore:
    """The runs of a state folder.

    Attributes:
        publish: Record on a branch of the remote, not in the folder.
        branch: The branch; the checked-out one if None.
        by: URL of the workflow run, for the record.
        report: Called with notes about what was pushed.
    """

    settings: Settings
    state: Path
    publish: bool
    branch: str | None = None
    by: str = ""
    report: Callable[[str], object] = lambda note: None

    def read(self, processes: Sequence[str]) -> RecordedState:
        """Read what is recorded, from where it is recorded."""
        if not self.publish:
            return read_recorded(self.state, processes)
        from npc_lims.processing.publish import read_newest

        return read_recorded(read_newest(self.state, self.branch), processes)

    def claim(self, request: PlanRequest) -> Claims:
        """Record a claim for each run that is to be started."""
        claims: list[Claims] = []

        def change(state: StateFolder) -> Sequence[RunsChange]:
            now = datetime.datetime.now(datetime.timezone.utc)
            claims.append(claim(state, request, now=now, by=self.by))
            return claims[-1].changes

        self._change(change, "claims")
        return claims[-1]

    def record(self, updates: Updates) -> None:
        """Record updates of runs."""
        if any(updates.values()):
            self._change(lambda state: record(state, updates), "runs")

    @contextlib.contextmanager
    def recording(self, file: Path | None = None) -> Iterator[RecordUpdate]:
        """Yield a function that records updates at once: in the *file*, else in the folder.

        On a branch all of them are one commit at the end, also if the block ends with an error.
        """
        updates: dict[str, list[Update]] = {}

        def add(process: str, update: Update) -> None:
            updates.setdefault(process, []).append(update)
            if file is not None:
                write_updates(file, updates)
            elif not self.publish:
                self.record({process: [update]})

        if file is not None:
            write_updates(file, updates)
        try:
            yield add
        finally:
            if file is None and self.publish:
                self.record(updates)

    def _change(self, change: Change, what: str) -> None:
        if not self.publish:
            with locked(self.state, cache_dir(self.settings) / "locks"):
                change(self.state)
            return
        from npc_lims.processing.publish import publish_runs

        trailers = {RUN_TRAILER: self.by} if self.by else {}
        done = publish_runs(self.state, change, self.branch, trailers=trailers, backoff=self.settings.backoff)
        if done.commit is not None:
            attempt = f" at attempt {done.attempts}" if done.attempts > 1 else ""
            self.report(f"pushed {what} to {done.branch}{attempt}: {done.commit[:10]}")
        for note in done.notes:
            self.report(note)
