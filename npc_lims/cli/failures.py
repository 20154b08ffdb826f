"""What is told of an error and of a warning, and the exit code.

All in one style, on stderr: a line begins with `npc-lims: error:`, so that logs can be searched, says what was found
and ends with what to do.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import typer

from npc_lims.cli.console import complain, list_problems, warn
from npc_lims.cli.exit_codes import ExitCode
from npc_lims.config.error_boundary import describe_unexpected
from npc_lims.errors import InputFileError, NoSessionInfo, NpcLimsError, NpcLimsWarning, SelectionError, SyncRefused
from npc_lims.utils.redaction import safe_text

if TYPE_CHECKING:
    from npc_lims.model.observation import Observation

__all__ = ["error_line", "is_selection_mistake", "report_failed_sources", "show_warning", "tell"]

# typer has a copy of click inside, older releases of it depend on click: the classes are got at through one that it
# has always exported
_UsageError, _ClickException = cast("tuple[type[Exception], ...]", typer.BadParameter.__mro__[1:3])


_OF_NETWORK = (ConnectionError, TimeoutError)
_MAX_LINE = 700
_ISSUES = "https://github.com/AllenInstitute/npc_lims/issues"


def tell(error: BaseException) -> int:
    """Print what went wrong.

    Returns:
        The exit code.

    Raises:
        BaseException: The error itself: it is an exit, not an error.
    """
    if _is_unread(error):
        _print_nothing_more()
        return ExitCode.UNREAD
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        complain("stopped by Ctrl-C; to go on, give the command again")
        return ExitCode.STOPPED
    if isinstance(error, SystemExit) and error.code == ExitCode.ENDED:
        complain("ended by SIGTERM; to go on, give the command again")
        return ExitCode.ENDED
    if not isinstance(error, Exception):
        raise error
    if isinstance(error, InputFileError):
        list_problems(error.errors)
    message = _message(error)
    if message is None:
        complain(f"{describe_unexpected(error)}; report it with that file: {_ISSUES}")
        return ExitCode.UNEXPECTED
    complain(message, annotate=not isinstance(error, InputFileError))
    return ExitCode.REFUSED if isinstance(error, SyncRefused) else ExitCode.MISTAKE


def error_line(error: Exception) -> str:
    """Return what went wrong, in one line of at most 700 characters: for a report of a run."""
    if isinstance(error, InputFileError):
        return safe_text(error.summary, _MAX_LINE)  # with the first mistake, which is not listed there
    return safe_text(_message(error) or describe_unexpected(error), _MAX_LINE)


def is_selection_mistake(error: BaseException | None) -> bool:
    """Return True if a command was refused for an option or argument: whoever gave it is to correct it."""
    return isinstance(error, (SelectionError, NoSessionInfo, _UsageError))


def report_failed_sources(observations: Iterable[Observation]) -> None:
    """Print why each source failed, after the errors in its file if there are any."""
    for one in observations:
        if one.failure is not None:
            errors = [problem for problem in one.problems if problem.is_error]
            list_problems(errors)
            message = f"{one.source} failed, what is recorded of it stays: {one.failure.reason}"
            complain(message, annotate=not errors)


def show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """Warnings in the style of errors, without the line of source that Python shows."""
    kind = "" if issubclass(category, NpcLimsWarning) else f"{category.__name__}: "
    warn(f"{kind}{message}")


def _message(error: BaseException) -> str | None:
    """What was found, and what to do. None if nobody planned for it."""
    if isinstance(error, InputFileError):
        return _of_file(error)
    if isinstance(error, NpcLimsError):
        return str(error)
    if isinstance(error, _ClickException):
        return _of_usage(error)
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, _OF_NETWORK):
        # a disk that is full, a file that may not be written, a folder where a file should be
        if error.filename is None:
            return f"{error.strerror or error}; check where the output goes, and the space on its disk"
        return f"{error.filename}: {error.strerror}; check that path, who may write there, and the space on its disk"
    return None


def _of_file(error: InputFileError) -> str:
    """The problems, as compilers list them, are printed before."""
    problems = error.errors
    files = ", ".join(dict.fromkeys(problem.file for problem in problems))
    count = f"{len(problems):,} error{'' if len(problems) == 1 else 's'}"
    return f"{files}: {count}, listed above; correct them and give the command again"


def _of_usage(error: Any) -> str:
    """A sentence of typer's with the nearest thing that there is, and the help to look at."""
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message(), file=sys.stderr)
        return "which of these commands is missing; name one"
    possible = getattr(error, "possibilities", None) or ()
    said = error.message if possible else error.format_message()
    said = " ".join(said.split()).rstrip(".")
    if possible:
        said = f"{said}. Did you mean {' or '.join(sorted(possible))}?"
    context = getattr(error, "ctx", None)
    told = said if said.endswith("?") else f"{said}."
    return f"{told} See {'npc-lims' if context is None else context.command_path} --help"


def _is_unread(error: BaseException) -> bool:
    """Whether nobody reads the output any more."""
    # typer and rich make an exit of 1 of it, which says something else here
    cause = error.__context__ if isinstance(error, SystemExit) else error
    if isinstance(cause, BrokenPipeError):
        return True
    # what Windows says of a pipe without a reader
    return os.name == "nt" and isinstance(cause, OSError) and cause.errno == errno.EINVAL and cause.filename is None


def _print_nothing_more() -> None:
    """What is still to be written as Python ends goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
