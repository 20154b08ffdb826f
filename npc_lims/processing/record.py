"""Record runs in a state folder, also where several processes do so at once."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from npc_lims.config.disk_cache import entry_stat, prepare_folder
from npc_lims.errors import StateError
from npc_lims.processing.plan import PlanRequest, RecordedState, make_claims, plan_all
from npc_lims.processing.runs import Run, Updates, apply_updates
from npc_lims.processing.runs_file import read_runs, write_runs
from npc_lims.state.store import read_state
from npc_lims.state.tree import StateFolder

__all__ = ["Claims", "RunsChange", "claim", "locked", "read_recorded", "record"]

MAX_WAIT = 60.0
"""Seconds: what is done under the lock takes milliseconds."""


@dataclasses.dataclass(frozen=True)
class RunsChange:
    """The runs of a process before and after something was recorded."""

    process: str
    before: tuple[Run, ...]
    after: tuple[Run, ...]


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
