"""Killed at any instant, a writer leaves a state folder that is readable, and that the next write completes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from npc_lims.state.snapshot import SNAPSHOT
from npc_lims.state.store import read_state, verify_state, write_state
from npc_lims.state.sync_file import read_sync_file
from npc_lims.utils.atomic_write import TEMPORARY
from tests.state.writer import SESSIONS, world

ROOT = Path(__file__).resolve().parents[2]
KILLS = 25
MOST_KILLS = 60
# the C parser where there is one: it is ten times faster
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has neither fork nor SIGKILL")


def kill_a_writer(server: subprocess.Popen[str], day: int, after: float) -> None:
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(f"{day}\n")
    server.stdin.flush()
    child = int(server.stdout.readline())
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    assert server.stdout.readline() == "gone\n"


@pytest.mark.slow
def test_a_killed_writer_costs_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    write_state(folder, read_state(folder), world(0))
    interrupted = 0  # kills that came in the middle of a write
    command = [sys.executable, "-m", "tests.state.writer", str(folder)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as server:
        for day in range(1, MOST_KILLS):
            if day > KILLS and interrupted > KILLS / 5:
                break
            kill_a_writer(server, day, after=random.uniform(0, 0.1))
            check_every_file(folder)
            loaded = read_state(folder)
            interrupted += len(loaded.lines) < len(loaded.records) or any(folder.rglob(f"{TEMPORARY}*"))
            assert SESSIONS - 6 <= len(loaded.records) <= SESSIONS
            for path in folder.rglob(f"{TEMPORARY}*"):
                os.utime(path, (0, 0))  # young ones could be of a writer that is alive
            write_state(folder, loaded, world(day))
            assert verify_state(folder) == []
            assert not any(folder.rglob(f"{TEMPORARY}*"))


def check_every_file(folder: Path) -> None:
    """Each file that stands in the folder is whole."""
    paths = list((folder / "sessions").rglob("*.yaml"))
    for path in paths:
        assert yaml.load(path.read_bytes(), LOADER)["id"] == path.stem
    assert (folder / SNAPSHOT).read_bytes().endswith(b"}\n")
    assert read_sync_file(folder).schema_ == 1
