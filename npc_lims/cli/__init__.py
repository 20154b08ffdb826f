"""The `npc-lims` command: one module for each group of commands.

Exit codes are in `exit_codes.py`, what is told of an error in `failures.py`, how lists are printed in `lists.py`.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator

from npc_lims.cli.exit_codes import ExitCode

__all__ = ["main"]


def main() -> None:
    """Entry point: whatever goes wrong is told in one style and is the exit code. A mistake is never a traceback."""
    # closed streams (`>&-`) are None in Python; what is printed there goes nowhere
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    try:
        from npc_lims.cli.failures import show_warning, tell
    except KeyboardInterrupt:
        sys.exit(ExitCode.STOPPED)  # half of what the command needs is imported, and nothing that could tell of it
    for stream in (sys.stdout, sys.stderr):
        # the encoding of a Windows pipe lacks many a character: better a question mark than a traceback
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    warnings.showwarning = show_warning
    try:
        with _ended_as_by_ctrl_c():
            code = _run()
    except BaseException as error:
        sys.exit(tell(error))  # its context is the error, for scripts that run a command in their process
    sys.exit(code)


@contextlib.contextmanager
def _ended_as_by_ctrl_c() -> Iterator[None]:
    """SIGTERM, too, lets what is half done be cleaned up: such as a temporary folder."""

    def end(signum: int, frame: object) -> None:
        signal.signal(signum, signal.SIG_DFL)  # whoever says it twice wants it now
        sys.exit(ExitCode.ENDED)

    if threading.current_thread() is not threading.main_thread():
        yield  # no other one hears of signals
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run() -> int:
    from npc_lims.cli.app import app

    # not "standalone", in which typer tells of mistakes in a style of its own; what it returns is an exit code
    code = app(prog_name="npc-lims", standalone_mode=False)
    if code == ExitCode.STOPPED:
        raise KeyboardInterrupt
    sys.stdout.flush()  # here, not as Python ends: then a reader that has gone away would be a traceback
    return int(code or ExitCode.DONE)
