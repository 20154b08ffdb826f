"""Long output: on a terminal through the user's pager, elsewhere as it is."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import PurePath
from typing import Optional

from npc_lims.cli.console import warn

__all__ = ["show_text"]

_ESCAPE_CODE = re.compile(r"\x1b\[[0-9;]*m")
# less ends by itself where all fits on the screen, leaves it there, and takes colours.
_LESS = "FRX"


def show_text(text: str, *, pager: bool = True) -> None:
    """Print *text*, on a terminal through PAGER (less, where there is one) if it is longer than the screen."""
    if pager and _is_long(text) and (command := _pager()) is not None:
        if _paged(command, text):
            return
        warn(f"{command[0]} could not be started; check PAGER, or use --no-pager")
    sys.stdout.write(text)


def _is_long(text: str) -> bool:
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        return False
    return text.count("\n") >= shutil.get_terminal_size().lines


def _pager() -> Optional[list[str]]:
    """The command that PAGER holds; None where nobody wants one or there is none."""
    wanted = os.environ.get("PAGER")
    if wanted is None:
        found = shutil.which("less")
        return None if found is None else [found]
    try:
        command = shlex.split(wanted, posix=os.name != "nt")
    except ValueError:  # a quote without its other half: no such program, which is told
        command = [wanted]
    return command if command and command != ["cat"] else None


def _paged(command: list[str], text: str) -> bool:
    """Whether the pager showed it."""
    environment = {**os.environ, "LESS": os.environ.get("LESS", _LESS)}
    options = [environment["LESS"], *command[1:]]
    is_less = PurePath(command[0]).stem == "less"
    if not (is_less and any("r" in option.lower() for option in options)):
        text = _ESCAPE_CODE.sub("", text)
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
    except OSError:
        return False
    # Ctrl-C is the pager's: it stops a search, and is no reason to leave the pager behind without us
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.communicate(text.encode(sys.stdout.encoding or "utf-8", errors="replace"))
    finally:
        signal.signal(signal.SIGINT, before)
    return True
