"""A server that forks writers for test_kill: each goes on changing a state folder until it is killed.

Each line of standard input is a day: a writer is forked that begins there, and says its process id as it begins to
write; `gone` follows when it is dead. Forking is what makes kills cheap: the imports are paid for once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from npc_lims.model.record import Record
from npc_lims.state.store import read_state, write_state
from npc_lims.state.sync_file import SourceSync, SyncFile, write_sync_file
from tests.builders import many_records, tracked

SESSIONS = 200
CHANGED = 8


def world(day: int) -> dict[str, Record]:
    """All sessions as they are on a day: a few differ from those of the day before, and a few are not there."""
    records = many_records(SESSIONS)
    ids = list(records)
    for n in range(CHANGED):
        session_id = ids[(day * CHANGED + n) % SESSIONS]
        changed = tracked(notes=f"day {day}", issues=["x" * 200])
        records[session_id] = records[session_id].model_copy(update={"tracked": changed})
    for n in range(3):
        del records[ids[(day * CHANGED + 50 + n) % SESSIONS]]
    return records


def write_for_ever(folder: Path, day: int) -> None:
    loaded = read_state(folder)
    say(os.getpid())
    while True:
        write_state(folder, loaded, world(day))
        write_sync_file(folder, SyncFile(sources={"tracked": SourceSync(counts={"day": day})}))
        loaded = read_state(folder)
        day += 1


def say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def main() -> None:
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            write_for_ever(folder, int(line))
        os.waitpid(child, 0)
        say("gone")


if __name__ == "__main__":
    main()
