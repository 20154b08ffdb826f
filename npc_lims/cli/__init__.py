"""The `npc-lims` command: its entry point and exit codes. `app.py` lists the commands and their modules."""

from __future__ import annotations

import contextlib
import enum
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator


class ExitCode(enum.IntEnum):
    """Exit codes, which scripts may act on."""

    DONE = 0
    PROBLEMS = 1
    MISTAKE = 2
    INCOMPLETE = 3
    REFUSED = 4
    UNEXPECTED = 70
    STOPPED = 130
    UNREAD = 141
    ENDED = 143


MEANINGS = {
    ExitCode.DONE: "Done.",
    ExitCode.PROBLEMS: "A check found problems. They are listed.",
    ExitCode.MISTAKE: "Bad input or usage: nothing was done, unless the message says so.",
    ExitCode.INCOMPLETE: "A source could not be queried, and the rest was done; or a run that was waited for failed.",
    ExitCode.REFUSED: "Refused by the breaker: a sync would remove or blank too many sessions.",
    ExitCode.UNEXPECTED: "An unexpected error: the message names a file with its details.",
    ExitCode.STOPPED: "Stopped by Ctrl-C.",
    ExitCode.UNREAD: "The reader of the output closed it, as `head` does.",
    ExitCode.ENDED: "Ended by SIGTERM: `timeout`, `kill`, a cancelled job.",
}
"""Sentences for `--help` and the documentation."""


def main() -> None:
    """Run the command. Every error is reported in one style, with an exit code and without a traceback."""
    # closed streams (`>&-`) are None in Python
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    try:
        from npc_lims.cli.errors import report_error, show_warning
    except KeyboardInterrupt:
        sys.exit(ExitCode.STOPPED)  # imports are incomplete, and so nothing can report it
    for stream in (sys.stdout, sys.stderr):
        # the encoding of a Windows pipe lacks many characters: print a question mark instead of a traceback
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    warnings.showwarning = show_warning
    try:
        with _sigterm_as_exit():
            code = _run()
    except BaseException as error:
        sys.exit(report_error(error))  # with the error as its context, for scripts that call main()
    sys.exit(code)


@contextlib.contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """Exit on SIGTERM as on Ctrl-C, so that temporary folders are removed."""

    def end(signum: int, frame: object) -> None:
        signal.signal(signum, signal.SIG_DFL)  # a second one ends the process at once
        sys.exit(ExitCode.ENDED)

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can handle signals
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run() -> int:
    from npc_lims.cli.app import app

    # not "standalone", in which typer reports errors in its own style; the return value is an exit code
    code = app(prog_name="npc-lims", standalone_mode=False)
    if code == ExitCode.STOPPED:
        raise KeyboardInterrupt
    sys.stdout.flush()  # a closed pipe would be a traceback if Python flushed at exit
    return int(code or ExitCode.DONE)
