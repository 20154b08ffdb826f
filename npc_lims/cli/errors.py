"""Report errors and warnings on standard error: a line says what was found, and ends with what to do."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import typer

from npc_lims.cli import ExitCode
from npc_lims.cli.output import list_problems, print_error, print_warning
from npc_lims.config.error_boundary import describe_unexpected
from npc_lims.errors import InputFileError, NoSessionInfo, NpcLimsError, NpcLimsWarning, SelectionError, SyncRefused
from npc_lims.utils.text import counted, safe_text

if TYPE_CHECKING:
    from npc_lims.model.record import Observation

# newer releases of typer contain a copy of click, older ones depend on click: both have these base classes
_UsageError, _ClickException = cast("tuple[type[Exception], ...]", typer.BadParameter.__mro__[1:3])
_NETWORK_ERRORS = (ConnectionError, TimeoutError)
_MAX_LINE = 700
_ISSUES = "https://github.com/AllenInstitute/npc_lims/issues"


def report_error(error: BaseException) -> int:
    """Print an error, and return the exit code; an exit that is no error is raised again."""
    if _is_closed_pipe(error):
        _discard_output()
        return ExitCode.UNREAD
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        print_error("stopped by Ctrl-C; to go on, give the command again")
        return ExitCode.STOPPED
    if isinstance(error, SystemExit) and error.code == ExitCode.ENDED:
        print_error("ended by SIGTERM; to go on, give the command again")
        return ExitCode.ENDED
    if not isinstance(error, Exception):
        raise error
    if isinstance(error, InputFileError):
        list_problems(error.errors)
    message = _message(error)
    if message is None:
        print_error(f"{describe_unexpected(error)}; report it with that file: {_ISSUES}")
        return ExitCode.UNEXPECTED
    print_error(message, annotate=not isinstance(error, InputFileError))
    return ExitCode.REFUSED if isinstance(error, SyncRefused) else ExitCode.MISTAKE


def error_line(error: Exception) -> str:
    """Return the message of an error in one line, for a report of a run."""
    if isinstance(error, InputFileError):
        return safe_text(error.summary, _MAX_LINE)  # with the first problem, which is not listed there
    return safe_text(_message(error) or describe_unexpected(error), _MAX_LINE)


def is_selection_mistake(error: BaseException | None) -> bool:
    """Return True if a command was refused for an option or argument of its user."""
    return isinstance(error, (SelectionError, NoSessionInfo, _UsageError))


def report_failed_sources(observations: Sequence[Observation]) -> None:
    """Print why sources failed; typer.Exit if any did."""
    for one in observations:
        if one.failure is not None:
            errors = [problem for problem in one.problems if problem.is_error]
            list_problems(errors)
            message = f"{one.source} failed; its recorded values are unchanged: {one.failure.reason}"
            print_error(message, annotate=not errors)
    if any(one.failure is not None for one in observations):
        raise typer.Exit(ExitCode.INCOMPLETE)


def show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Show a Python warning in the style of errors, without its line of source."""
    kind = "" if issubclass(category, NpcLimsWarning) else f"{category.__name__}: "
    print_warning(f"{kind}{message}")


def _message(error: BaseException) -> str | None:
    """Return the message of an expected error; None for an unexpected one."""
    if isinstance(error, InputFileError):  # whose problems are listed before
        files = ", ".join(dict.fromkeys(problem.file for problem in error.errors))
        return f"{files}: {counted(len(error.errors), 'error')}, listed above; correct them and give the command again"
    if isinstance(error, NpcLimsError):
        return str(error)
    if isinstance(error, _ClickException):
        return _usage_message(error)
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, _NETWORK_ERRORS):
        # a full disk, a read-only file, a folder in place of a file
        if error.filename is None:
            return f"{error.strerror or error}; check where the output goes, and the space on its disk"
        return f"{error.filename}: {error.strerror}; check that path, who may write there, and the space on its disk"
    return None


def _usage_message(error: Any) -> str:
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message(), file=sys.stderr)
        return "no command is given; name one of these"
    possible = getattr(error, "possibilities", None) or ()
    message = error.message if possible else error.format_message()
    message = " ".join(message.split()).rstrip(".")
    if possible:
        message = f"{message}. Did you mean {' or '.join(sorted(possible))}?"
    context = getattr(error, "ctx", None)
    message = message if message.endswith("?") else f"{message}."
    return f"{message} See {'npc-lims' if context is None else context.command_path} --help"


def _is_closed_pipe(error: BaseException) -> bool:
    # typer and rich turn it into an exit with code 1
    cause = error.__context__ if isinstance(error, SystemExit) else error
    if isinstance(cause, BrokenPipeError):
        return True
    # the error of Windows for a pipe without a reader
    return os.name == "nt" and isinstance(cause, OSError) and cause.errno == errno.EINVAL and cause.filename is None


def _discard_output() -> None:
    """Redirect output that Python flushes at exit to the null device."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
