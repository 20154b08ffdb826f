"""Output of commands: the consoles, messages and errors, tables, JSON, CSV, text through a pager, and progress."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import errno
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Callable, Optional, Union, cast

import typer
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment
from rich.text import Text

from npc_lims.cli import ExitCode
from npc_lims.cli.activity import end_activity, paused_activity
from npc_lims.config.error_boundary import describe_unexpected
from npc_lims.config.settings import in_github_actions
from npc_lims.errors import (
    InputFileError,
    NoSessionInfo,
    NpcLimsError,
    NpcLimsWarning,
    Problem,
    SelectionError,
    SyncRefused,
    workflow_command,
)
from npc_lims.utils.text import counted, safe_text, visible

Cell = Union[str, tuple[str, str]]
"""A text, or a text and its style."""

_PIPE_WIDTH = 200
_SYMBOLS = {True: ("✓", "y", "green"), False: ("○", "n", "dim"), None: ("?", "?", "yellow"), "n/a": ("–", "-", "dim")}


def out() -> Console:
    """Return standard output. In a pipe lines are not cut to a terminal's width."""
    return _console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def err() -> Console:
    """Return standard error. Lines are not wrapped: a log is searched by line, and a terminal wraps by itself."""
    return _console(stderr=True, soft_wrap=True)


def _console(**options: Any) -> Console:
    console = Console(highlight=False, markup=False, emoji=False, **options)
    console.push_render_hook(_Guard())
    return console


class _Guard(RenderHook):
    """Removes control characters and workflow commands from all that is printed: it may quote anybody's text."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Visible(one) for one in renderables]


class _Visible:
    """A renderable whose text is `visible`; control segments are those of rich itself."""

    def __init__(self, renderable: ConsoleRenderable) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        line = ""  # the part that is printed: a command begins a line
        for segment in console.render(self._renderable, options):
            if segment.control:
                yield segment
                continue
            before = "x" if line.strip() else ""
            text = visible(before + segment.text)[len(before) :]
            line = (line + segment.text).rpartition("\n")[2]
            yield segment if text == segment.text else Segment(text, segment.style)


def print_error(message: str, *, annotate: bool = True) -> None:
    """Print an error; unless it summarises others, annotate the run in GitHub Actions."""
    if annotate and in_github_actions():
        # not by a console, which makes commands ineffective
        print(workflow_command("error", safe_text(message), {"title": "npc-lims"}), file=sys.stderr)
    else:
        _print_message("error", "bold red", message)


def list_problems(problems: Iterable[Problem]) -> None:
    """Print problems as compilers list them, in GitHub Actions as annotations of their files."""
    for problem in problems:
        print(problem.as_github_annotation() if in_github_actions() else problem, file=sys.stderr)


def print_warning(message: str) -> None:
    _print_message("warning", "bold yellow", message)


def print_note(message: str) -> None:
    _print_message("note", "bold", message)


def _print_message(kind: str, style: str, message: str) -> None:
    # it may quote user input or a response
    err().print(Text.assemble((f"npc-lims: {kind}:", style), f" {safe_text(message)}"))


def print_columns(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Print rows of cells below a *head*; a Table of rich would take 17 s for ten thousand."""
    cells = [[cell if isinstance(cell, tuple) else (cell, "") for cell in row] for row in rows]
    columns = zip(head, *([text for text, _ in row] for row in cells))
    widths = [max(map(len, column)) for column in columns]
    console = out()
    for row in [[(title, "bold") for title in head], *cells]:
        line = Text()
        for (text, style), width in zip(row, widths):
            line.append(text, style).append(" " * (width - len(text) + 2))
        line.rstrip()
        console.print(line, no_wrap=True, crop=False, overflow="ignore")


def symbol(value: Any) -> tuple[str, str]:
    """Return yes, no, unknown or does not apply as one character that the terminal can print, and its style."""
    fancy, plain, style = _SYMBOLS[value if value in (True, False, None) or value == "n/a" else True]
    # all or none: a row of letters and other marks is hard to read
    return (fancy if can_print("".join(mark for mark, _, _ in _SYMBOLS.values())) else plain), style


def can_print(text: str) -> bool:
    """Return True if the encoding of standard output, such as a code page of Windows, has every character of *text*."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


# --- JSON and CSV ---------------------------------------------------------------------------------


def json_option(what: str) -> Any:
    return typer.Option(False, "--json", help=f"Print {what} as JSON, and nothing else.")


@dataclasses.dataclass(frozen=True)
class OutputStyle:
    """The options `--json` and `--csv`; without them a command prints text."""

    json: bool = False
    csv: bool = False

    def __post_init__(self) -> None:
        self.combined("text")

    def combined(self, format: str) -> OutputStyle:
        """Return the style with that of `--format`; NpcLimsError if they exclude each other."""
        chosen = {"--json": self.json, "--csv": self.csv, "--format": format != "text"}
        given = [option for option, is_given in chosen.items() if is_given]
        if len(given) > 1:
            raise NpcLimsError(f"{' and '.join(given)} exclude each other; give one of them")
        return OutputStyle(json=True) if format == "json" else self

    @property
    def is_text(self) -> bool:
        return not (self.json or self.csv)

    def print_rows(self, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], document: object = None) -> bool:
        """Print the *document* (default: the rows) as JSON, or rows as CSV; return False if text is wanted."""
        if self.json:
            print_json(list(rows) if document is None else document)
        elif self.csv:
            print_csv(columns, rows)
        return not self.is_text


def style_options(what: str, columns: Sequence[str]) -> Any:
    """Return the options of a command that prints *what*, for example `an array of all runs`, or a table."""
    csv_help = f"Print a table as CSV, and nothing else: {', '.join(columns)}."
    return {"json": json_option(what), "csv": typer.Option(False, "--csv", help=csv_help)}


def print_json(data: object) -> None:
    """Print an array or an object. Characters beyond ASCII are escaped, so that it survives any pipe."""
    for part in json.JSONEncoder(indent=1).iterencode(data):
        # a workflow command anywhere in a line; JSON has another way to write it
        sys.stdout.write(part.replace("##[", "##\\u005b"))
    sys.stdout.write("\n")


def print_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Print a header and a line for each row, in UTF-8, as RFC 4180 describes.

    The column `input.id` is the `id` of the `input` of a row; missing values are empty. Cells that look like formulas
    are not escaped: a program could not distinguish the escape from the value.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # in the code page of a Windows pipe a name could change
        sys.stdout.reconfigure(encoding="utf-8")
    # Python before 3.13 quotes a carriage return only if it is in the line terminator
    writer = csv.writer(_CsvOutput(), lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_csv_cell(_value_at(row, column)) for column in columns])


class _CsvOutput:
    """Standard output with line feeds; control characters are escaped on a terminal, but not for a program."""

    def write(self, line: str) -> int:
        line = line[: -len("\r\n")]
        return sys.stdout.write((visible(line) if sys.stdout.isatty() else line) + "\n")


def _value_at(row: Mapping[str, Any], column: str) -> Any:
    value: Any = row
    for name in column.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _csv_cell(value: Any) -> str:
    """
    >>> [_csv_cell(value) for value in (None, True, 3, ["sorted", "annotated"], {"a": 1})]
    ['', 'true', '3', 'sorted; annotated', '{"a": 1}']
    """
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return "; ".join(map(_csv_cell, value))
    return json.dumps(value) if isinstance(value, (bool, Mapping)) else str(value)


# --- long text ------------------------------------------------------------------------------------

_ESCAPE_CODE = re.compile(r"\x1b\[[0-9;]*m")
# less: quit if all fits on one screen, keep it there, show colours
_LESS = "FRX"


def show_text(text: str, *, pager: bool = True) -> None:
    """Print *text*; through PAGER (default: less) if it is longer than the terminal."""
    wanted = os.environ.get("PAGER", shutil.which("less") or "")
    is_terminal = sys.stdout.isatty() and sys.stdin.isatty()
    is_long = is_terminal and text.count("\n") >= shutil.get_terminal_size().lines
    if pager and is_long and wanted not in ("", "cat"):
        try:
            _show_in_pager(shlex.split(wanted, posix=os.name != "nt"), text)
            return
        except (OSError, ValueError):  # no such program, or an unbalanced quote
            print_warning(f"{wanted} could not be started; check PAGER, or use --no-pager")
    sys.stdout.write(text)


def _show_in_pager(command: list[str], text: str) -> None:
    if PurePath(command[0]).stem == "less":
        command = [*command, "-R"]  # colours, whatever LESS says
    else:
        text = _ESCAPE_CODE.sub("", text)
    end_activity()
    # Ctrl-C belongs to the pager: it stops a search
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        content = text.encode(sys.stdout.encoding or "utf-8", errors="replace")
        subprocess.run(command, input=content, env={"LESS": _LESS, **os.environ}, check=False)
    finally:
        signal.signal(signal.SIGINT, before)


# --- progress on standard error: bars on a terminal, plain lines elsewhere -----------------------

_SECONDS_BETWEEN_LINES = 5.0


@contextlib.contextmanager
def status_line() -> Iterator[Callable[[str], object]]:
    """Yield a function that shows what is being done: one changing line on a terminal, lines elsewhere."""
    console = err()
    if not console.is_terminal:
        yield console.print
        return
    with paused_activity(), console.status("") as status:
        yield status.update


@contextlib.contextmanager
def progress_bars(*, transient: bool = True) -> Iterator[Callable[..., None]]:
    """Yield a function `show(task, done, total, note)`: it draws a bar for each task, or prints a line now and then."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

    console = err()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    bars = Progress(*columns, TimeElapsedColumn(), console=console, transient=transient)
    tasks: dict[str, TaskID] = {}
    last = time.monotonic()

    def show(task: str, done: Optional[int], total: Optional[int], note: str = "", always: bool = False) -> None:
        nonlocal last
        if console.is_terminal:
            if task not in tasks:
                tasks[task] = bars.add_task(f"{task:<10}", total=None, note="")
            bars.update(tasks[task], completed=done, total=total, note=note)
        elif always or time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            note = note or (f"{done:,} of {total:,}" if total else "")
            console.print(f"{task}: {note}" if note else task)

    if not console.is_terminal:
        yield show
        return
    with paused_activity(), bars:
        yield show


# --- errors: a line on standard error says what was found, and ends with what to do ---------------

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
