"""Where commands print, how errors and warnings look, and how a value looks in a table."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any, Union

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.segment import Segment

from npc_lims.config.environment import in_github_actions
from npc_lims.errors import Problem, workflow_command
from npc_lims.utils.redaction import safe_text
from npc_lims.utils.text import visible

__all__ = ["Cell", "can_print", "complain", "err", "list_problems", "note", "out", "print_columns", "symbol", "warn"]

Cell = Union[str, tuple[str, str]]
"""A text, or a text and its style."""

_PIPE_WIDTH = 200
_SYMBOLS = {True: ("✓", "y", "green"), False: ("·", "n", "dim"), None: ("?", "?", "yellow"), "n/a": ("–", "-", "dim")}


def out() -> Console:
    """Standard output. In a pipe lines are not cut to some terminal's width."""
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return _guarded(Console(width=width, highlight=False, markup=False, emoji=False))


def err() -> Console:
    """Standard error. Lines are never broken by us: a log is searched by line, a terminal breaks its own."""
    return _guarded(Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True))


def _guarded(console: Console) -> Console:
    console.push_render_hook(_Guard())
    return console


class _Guard(RenderHook):
    """Shows whatever is printed without control characters and workflow commands: it may quote anybody's text."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Visible(one) for one in renderables]


class _Visible:
    """A renderable whose text is `visible`. What rich itself says to the terminal is in segments of another kind."""

    def __init__(self, renderable: ConsoleRenderable) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        line = ""  # as far as it is printed: a command begins it
        for segment in console.render(self._renderable, options):
            if segment.control:
                yield segment
                continue
            before = "x" if line.strip() else ""
            text = visible(before + segment.text)[len(before) :]
            line = (line + segment.text).rpartition("\n")[2]
            yield segment if text == segment.text else Segment(text, segment.style)


def complain(message: str, *, annotate: bool = True) -> None:
    """Print an error: what was found, and at its end what to do.

    Args:
        annotate: In GitHub Actions it is an annotation of the run; not if it only sums up others.
    """
    if annotate and in_github_actions():
        # not by a console, which shows commands rather than giving any
        print(workflow_command("error", safe_text(message), {"title": "npc-lims"}), file=sys.stderr)
    else:
        _tell("error", "bold red", message)


def list_problems(problems: Iterable[Problem]) -> None:
    """Print problems as compilers list them, in GitHub Actions as annotations of their files."""
    for problem in problems:
        print(problem.as_github_annotation() if in_github_actions() else problem, file=sys.stderr)


def warn(message: str) -> None:
    """Print a warning: the command goes on."""
    _tell("warning", "bold yellow", message)


def note(message: str) -> None:
    """Print what is good to know, and no reason to worry."""
    _tell("note", "bold", message)


def _tell(kind: str, style: str, message: str) -> None:
    from rich.text import Text

    # it may quote what people typed, or what a server answered
    err().print(Text.assemble((f"npc-lims: {kind}:", style), f" {safe_text(message)}"))


def print_columns(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Print rows of cells below a *head*.

    They are laid out here: a Table of rich takes 1.7 ms for a row, which is 17 s for ten thousand.
    """
    from rich.text import Text

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
    """Yes, no, unknown or does not apply, as one character that the terminal's encoding has, and its style."""
    fancy, plain, style = _SYMBOLS[value if value in (True, False, None) or value == "n/a" else True]
    # all or none of them: a row in which some marks are letters and some are not is hard to read
    return (fancy if can_print("".join(mark for mark, _, _ in _SYMBOLS.values())) else plain), style


def can_print(text: str) -> bool:
    """Whether the encoding of standard output, such as a code page of Windows, has every character of *text*."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
