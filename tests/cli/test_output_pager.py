"""Long tables on a terminal: through the pager that the user wants, which may be left at any time."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("Windows has no pseudo-terminals that Python can open", allow_module_level=True)

import fcntl
import pty
import select
import struct
import termios

ROWS = 10
ACTIVITY = re.compile(r"\x1b\[\?25l.*?\x1b\[\?25h\r\x1b\[1A\x1b\[2K", re.DOTALL)
"""The line that says what is being done, until it is removed: a slow machine has it."""


@pytest.fixture
def pager(tmp_path: Path) -> Path:
    """A pager that keeps what it is given, and its environment."""
    return script(tmp_path, f'cat > "{tmp_path}/paged"; echo "$LESS" > "{tmp_path}/less"; echo paged')


def script(folder: Path, text: str, name: str = "pager") -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def on_terminal(state: Path, *arguments: str, rows: int = ROWS, keys: bytes = b"", **variables: str) -> tuple[int, str]:
    """The exit code of `npc-lims` in a terminal, and all that it showed there."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 100, 0, 0))
    # readline, which pytest imports, tells the processes below of the size of its own terminal
    others = ("PAGER", "LESS", "NO_COLOR", "COLUMNS", "LINES")
    kept = {name: value for name, value in os.environ.items() if name not in others}
    process = subprocess.Popen(
        [sys.executable, "-m", "npc_lims", *arguments],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**kept, "TERM": "xterm", "NPC_LIMS_STATE": str(state), **variables},
        cwd=state.parent,
        start_new_session=True,
    )
    os.close(terminal)
    shown, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([controller], [], [], 0.1)[0]:
            continue
        try:
            part = os.read(controller, 65536)
        except OSError:  # Linux says so that nobody has the terminal open any more
            part = b""
        if not part:
            break
        shown += part
        if keys and b"project" in shown:  # the head of the table
            os.write(controller, keys)
            keys = b""
    os.close(controller)
    return process.wait(timeout=30), ACTIVITY.sub("", shown.decode())


def test_a_long_table_goes_to_the_pager(demo_state: Path, tmp_path: Path, pager: Path) -> None:
    code, shown = on_terminal(demo_state, "sessions", PAGER=str(pager))
    assert code == 0, shown
    assert shown.strip() == "paged"
    paged = (tmp_path / "paged").read_text()
    assert paged.count("\n") == 32
    assert "\x1b" not in paged, "whether it takes colours is known of less alone"
    assert (tmp_path / "less").read_text() == "FRX\n", "for a less that it may start"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "rows", "variable"),
    [(("sessions", "--no-pager"), ROWS, ""), (("sessions",), 60, ""), (("sessions",), ROWS, "cat")],
)
def test_there_is_a_way_around_it(
    demo_state: Path, pager: Path, arguments: tuple[str, ...], rows: int, variable: str
) -> None:
    code, shown = on_terminal(demo_state, *arguments, rows=rows, PAGER=variable or str(pager))
    assert code == 0
    assert "901001_2024-03-11" in shown
    assert "29 sessions" in shown
    assert "\x1b[32m" in shown, "the terminal has colours"


@pytest.mark.slow
def test_colours_stay_away_where_nobody_wants_them(demo_state: Path) -> None:
    _, shown = on_terminal(demo_state, "sessions", "--no-pager", NO_COLOR="1")
    assert "\x1b[32m" not in shown
    assert "901001_2024-03-11" in shown


@pytest.mark.parametrize("variable", ["no-such-pager -x", "'no-such-pager"])
def test_a_missing_pager_is_reported(demo_state: Path, variable: str) -> None:
    code, shown = on_terminal(demo_state, "sessions", PAGER=variable)
    assert code == 0
    assert f"{variable} could not be started; check PAGER, or use --no-pager" in shown
    assert "29 sessions" in shown


def test_a_pager_that_is_left_early_is_no_failure(demo_state: Path, tmp_path: Path) -> None:
    code, shown = on_terminal(demo_state, "sessions", PAGER=str(script(tmp_path, "exec true")))
    assert (code, shown) == (0, "")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("less") is None, reason="less is not installed")
def test_less_shows_colours_and_is_left_by_a_key(demo_state: Path) -> None:
    code, shown = on_terminal(demo_state, "sessions", keys=b"q")
    assert code == 0, shown
    assert "session" in shown
    assert "901001_2024-03-06" not in shown, "that is on a later page"
    assert "Traceback" not in shown
