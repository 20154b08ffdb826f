"""What a command shows on a terminal while it waits: standard error of a real terminal, and a server that waits."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.world import GitHub

if sys.platform == "win32":
    pytest.skip("Windows has no pseudo-terminals that Python can open", allow_module_level=True)

import pty

if TYPE_CHECKING:
    from tests.servers.web import Request

WAITED = 60
"""Seconds after which a test fails; nothing else depends on it."""


class Waiting:
    """Holds every answer of a server until it is to come."""

    def __init__(self, github: GitHub) -> None:
        self.may_answer = threading.Event()
        github.proxy.rule = self._wait

    def _wait(self, request: Request) -> None:
        assert self.may_answer.wait(WAITED)


def start(*arguments: str, stdout: int, stderr: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "TERM": "xterm", "NPC_LIMS_TIMEOUT": str(WAITED)}
    command = [sys.executable, "-m", "npc_lims", *arguments]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=environment)


def read_until(controller: int, words: str) -> str:
    shown = b""
    while words.encode() not in shown:
        shown += os.read(controller, 4096)  # which ends with the command
    return shown.decode()


def read_rest(controller: int) -> str:
    shown = b""
    try:
        while part := os.read(controller, 4096):
            shown += part
    except OSError:  # the other end is closed
        pass
    return shown.decode()


READING = "reading the state of lab/state, on GitHub"


@pytest.mark.parametrize(
    ("command", "doing", "answer", "code"),
    [
        ((), READING, "npc-lims sessions --is uploaded", 0),
        (("sessions",), READING, "29 sessions", 0),
        (("show", "901001_2024-03-11"), READING, "is_uploaded", 0),
        (("doctor",), "checking state", "29 sessions", 1),
    ],
)
def test_a_command_that_waits_shows_what_it_does(
    command: tuple[str, ...], doing: str, answer: str, code: int, github: GitHub, elsewhere: Path
) -> None:
    waiting = Waiting(github)
    controller, terminal = pty.openpty()
    process = start(*command, stdout=terminal, stderr=terminal)
    os.close(terminal)
    read_until(controller, doing)
    waiting.may_answer.set()
    shown = read_rest(controller)
    os.close(controller)
    assert process.wait(WAITED) == code, shown
    assert answer in shown.rpartition("\x1b[2K")[2], "the line was removed before"
    assert "\x1b[?25l" not in shown.rpartition("\x1b[?25h")[2], "the cursor is shown again"


def test_in_a_pipe_there_is_the_answer_alone(github: GitHub, elsewhere: Path) -> None:
    waiting = Waiting(github)
    controller, terminal = pty.openpty()
    process = start("sessions", "--csv", stdout=subprocess.PIPE, stderr=terminal)
    os.close(terminal)
    read_until(controller, "reading the state")
    waiting.may_answer.set()
    out, _ = process.communicate(timeout=WAITED)
    assert process.returncode == 0
    assert len(out.splitlines()) == 30
    assert b"\x1b" not in out
    os.close(controller)
    process = start("sessions", "--csv", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.communicate(timeout=WAITED) == (out, b"")
