"""The tests' own guard: nothing reaches outside of this machine."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from tests import loopback_guard

OUTSIDE = "192.0.2.1"
"""An address that is kept for documentation: nobody has it."""


def refused() -> list[str]:
    """What the guard has refused in this test, forgotten so that the test does not fail for it."""
    found = list(loopback_guard.attempts)
    loopback_guard.attempts.clear()
    return found


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        (("127.0.0.1", 80), True),
        (("127.8.8.8", 80), True),
        (("::1", 80, 0, 0), True),
        (("localhost", 80), True),
        ("/tmp/socket", True),
        (b"\0abstract", True),
        ("localhost", True),
        (b"127.0.0.1", True),
        (None, True),
        ((OUTSIDE, 80), False),
        (("2001:db8::1", 80, 0, 0), False),
        (("0.0.0.0", 80), False),
        (("169.254.169.254", 80), False),
        ("github.com", False),
        ("localhost.example.org", False),
    ],
)
def test_what_is_outside(address: Any, inside: bool) -> None:
    assert loopback_guard.is_loopback(address) is inside


def test_a_connection_and_a_look_up_are_refused() -> None:
    with socket.socket() as attempt, pytest.raises(loopback_guard.OutsideAddress, match=OUTSIDE):
        attempt.connect((OUTSIDE, 443))
    with pytest.raises(loopback_guard.OutsideAddress, match=r"raw\.githubusercontent\.com"):
        socket.getaddrinfo("raw.githubusercontent.com", 443)
    with pytest.raises(loopback_guard.OutsideAddress):
        requests.get("https://api.github.com", timeout=1)
    assert len(refused()) == 3


def test_an_attempt_is_noted_even_where_its_error_is_swallowed() -> None:
    with contextlib.suppress(BaseException):
        socket.create_connection((OUTSIDE, 443))
    assert refused()


def test_this_machine_may_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
    if hasattr(socket, "AF_UNIX") and sys.platform != "win32":
        with socket.socket(socket.AF_UNIX) as client, pytest.raises(FileNotFoundError):
            client.connect("/nobody/listens/here")
    assert refused() == []


def test_a_process_with_the_guard_is_stopped_and_notes_it(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    program = f"import loopback_guard, socket; socket.create_connection(('{OUTSIDE}', 443))"
    environment = {**os.environ, loopback_guard.NOTES: str(notes)}
    folder = str(Path(loopback_guard.__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "nothing may reach outside" in done.stderr
    assert OUTSIDE in notes.read_text(encoding="utf-8")
