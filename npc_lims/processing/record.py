"""Write down what happens to runs in a state folder, also where two do so at once."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from npc_lims.config.disk_cache import entry_stat, prepare_folder
from npc_lims.errors import StateError
from npc_lims.model.record import Record
from npc_lims.processing.pipelines import Process
from npc_lims.processing.plan import make_claims, plan
from npc_lims.processing.runs import Run, Updates
from npc_lims.processing.runs_file import read_runs, write_runs
from npc_lims.processing.updates import apply_updates

__all__ = ["Claims", "Recorded", "claim", "locked", "record"]

LONGEST_WAIT = 60.0
"""Seconds: what is done under the lock takes milliseconds."""


@dataclasses.dataclass(frozen=True)
class Recorded:
    """The runs of a process, before something was recorded and after."""

    process: str
    before: tuple[Run, ...]
    after: tuple[Run, ...]


@dataclasses.dataclass(frozen=True)
class Claims(Recorded):
    """Claims that are recorded by now.

    Attributes:
        made: Those that were not recorded before.
    """

    made: tuple[Run, ...]


def record(state: Path, updates: Updates) -> list[Recorded]:
    """Add *updates* to what is recorded in a state folder.

    Raises:
        StateError: A file of runs is damaged.
    """
    done = []
    for process, some in updates.items():
        before = read_runs(state, process)
        after = apply_updates(before, some)
        write_runs(state, process, after)
        done.append(Recorded(process, before, after))
    return done


def claim(
    state: Path,
    processes: Iterable[Process],
    records: Mapping[str, Record],
    *,
    now: datetime.datetime,
    limit: int | None = None,
    sessions: Collection[str] | None = None,
    again: bool = False,
    by: str = "",
) -> dict[str, Claims]:
    """Record a claim for each run that would be started, as `plan` says; by process.

    Raises:
        StateError: A file of runs is damaged.
        NpcLimsError: As `plan`.
    """
    claims = {}
    for process in processes:
        before = read_runs(state, process.name)
        decisions = plan(process, records, before, now=now, limit=limit, sessions=sessions, again=again)
        made = make_claims(decisions, now=now, by=by)
        after = apply_updates(before, made)
        claims[process.name] = Claims(process.name, before, after, made)
        write_runs(state, process.name, after)
    return claims


@contextlib.contextmanager
def locked(state: Path, locks: Path, patience: float = LONGEST_WAIT) -> Iterator[None]:
    """Keep others on this machine from recording in the same state folder meanwhile.

    The lock is one of SQLite's, which every platform has, and which goes with the process that holds it.

    Args:
        state: The state folder.
        locks: Where locks are kept; made if need be.
        patience: Seconds to wait for it.

    Raises:
        StateError: Somebody else has it for longer, or may put files there.
    """
    path = locks / f"{hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:32]}.lock"
    if prepare_folder(locks):
        path.touch(mode=0o600)
    if entry_stat(path) is None:
        raise StateError(f"{path}: cannot be used as a lock; delete it, or let NPC_LIMS_CACHE_DIR name another folder")
    connection = sqlite3.connect(path, timeout=patience, isolation_level=None)
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
