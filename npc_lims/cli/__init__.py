"""The `npc-lims` command: one module for each group of commands.

Exit codes: 0 done; 1 a check found problems; 2 bad input or usage; 3 a source could not be asked, the
rest was done, or a run that was waited for failed; 4 refused by the breaker.
"""

from __future__ import annotations

import io
import sys
import warnings

from npc_lims.errors import InputFileError, NpcLimsError, NpcLimsWarning, SyncRefused

__all__ = ["main"]


def main() -> None:
    """Entry point: a mistake of the user's is one message on stderr, never a traceback."""
    from npc_lims.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        # the encoding of a Windows pipe lacks many a character: better a question mark than a traceback
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    warnings.showwarning = _show_warning
    try:
        app(prog_name="npc-lims")
    except InputFileError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except SyncRefused as error:
        _complain(error, 4)
    except NpcLimsError as error:
        _complain(error, 2)
    except OSError as error:
        # a disk that is full, a file that may not be written, a folder where a file should be
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror or error}", 2)


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Warnings in the style of errors, without the line of source that Python shows."""
    kind = "" if issubclass(category, NpcLimsWarning) else f"{category.__name__}: "
    print(f"npc-lims: warning: {kind}{message}", file=sys.stderr)


def _complain(error: Exception | str, code: int) -> None:
    print(f"npc-lims: error: {error}", file=sys.stderr)
    sys.exit(code)
