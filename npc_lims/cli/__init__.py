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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class ExitCode(enum.IntEnum):
    """Exit codes, which scripts may act on, each with a sentence for `--help` and the documentation."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    DONE = 0, "Done."
    PROBLEMS = 1, "A check found problems. They are listed."
    MISTAKE = 2, "Bad input or usage: nothing was done, unless the message says so."
    INCOMPLETE = 3, "A source could not be queried, and the rest was done; or a run that was waited for failed."
    REFUSED = 4, "Refused by the breaker: a sync would remove or blank too many sessions."
    UNEXPECTED = 70, "An unexpected error: the message names a file with its details."
    STOPPED = 130, "Stopped by Ctrl-C."
    UNREAD = 141, "The reader of the output closed it, as `head` does."
    ENDED = 143, "Ended by SIGTERM: `timeout`, `kill`, a cancelled job."


def main() -> None:
    """Run the command. Every error is reported in one style, with an exit code and without a traceback."""
    # closed streams (`>&-`) are None in Python
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    try:
        from npc_lims.cli.output import report_error, show_warning
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


def _arguments() -> list[str]:
    """Return the words of the command line; `--offline` first, which may stand after the command, too."""
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    if "--offline" not in words[:end]:
        return words
    return ["--offline", *(word for word in words[:end] if word != "--offline"), *words[end:]]


def _run() -> int:
    from npc_lims.cli.activity import shown_activity

    if os.environ.get("_NPC_LIMS_COMPLETE") == "complete_bash":
        from npc_lims.cli.options import join_words_of_bash

        join_words_of_bash()

    arguments = _arguments()
    with shown_activity(" ".join(["npc-lims", *(word for word in arguments if word != "--offline")][:2])):
        from npc_lims.cli.app import app

        # not "standalone", in which typer reports errors in its own style; the return value is an exit code
        code = app(prog_name="npc-lims", args=arguments, standalone_mode=False)
    if code == ExitCode.STOPPED:
        raise KeyboardInterrupt
    sys.stdout.flush()  # a closed pipe would be a traceback if Python flushed at exit
    return int(code or ExitCode.DONE)
