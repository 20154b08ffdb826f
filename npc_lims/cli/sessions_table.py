"""Sessions as a table that fits the terminal.

It is laid out here: the tables of rich take 1.7 ms a row, which is 17 s for ten thousand.
"""

from __future__ import annotations

import dataclasses
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from npc_lims.cli.console import can_print, symbol
from npc_lims.cli.selection import HEADINGS, applies
from npc_lims.model.rows import FLAG_NAMES
from npc_lims.state.diff import one_line

__all__ = ["render_table"]

_ASKED_FIRST = ("id", "is_uploaded", "is_sorted", "is_annotated")
_GAP = "  "
# Of a project or rig, unless it was asked for: that much tells it from others.
_LONGEST_TEXT = 24
_WIDEST = 200  # lines below the table, where no terminal sets a limit
_MARKS: dict[Any, str] = {True: "yes", False: "no", None: "never observed", "n/a": "does not apply"}
_MARKED = ("is_ephys", "is_sync", *(name for name in FLAG_NAMES if name != "raw_asset_id"))


@dataclasses.dataclass(frozen=True)
class _Column:
    """One column: its cells are text, or keys of `_MARKS`."""

    name: str
    heading: str
    width: int
    cells: Sequence[Any]


def render_table(
    rows: Sequence[dict[str, Any]], console: Console, columns: Sequence[str] = (), notes: Sequence[str] = ()
) -> str:
    """The table as text, with such escape codes as *console* takes.

    Args:
        rows: As `npc_lims.model.rows.session_row` makes them.
        columns: Columns to show, the most important first. Default: those that people ask for most.
        notes: Lines to stand below it.
    """
    names = tuple(columns) or tuple(HEADINGS)
    room = console.width if console.is_terminal else sys.maxsize  # in a pipe nothing is cut that was asked for
    longest = room if columns else _LONGEST_TEXT
    shown = _fitting([_column(name, rows, longest) for name in names], () if columns else _ASKED_FIRST, room)
    below = []
    if any(column.name in _MARKED for column in shown) and rows:
        below.append(_GAP.join(f"{symbol(value)[0]} {words}" for value, words in _MARKS.items()))
    below += notes
    count = f"{len(rows):,} session{'' if len(rows) == 1 else 's'}" if rows else "no session matches"
    hidden = len(names) - len(shown) if rows else 0
    more = "; more columns in a wider terminal, all with --csv or --json" if hidden else ""
    below.append(count + more)
    told = [part for line in below for part in textwrap.wrap(line, min(room, _WIDEST))]
    head = [_styled(console, _GAP.join(_padded(column.heading, column.width) for column in shown).rstrip(), "bold")]
    # not by way of the console: it takes a tenth of a millisecond for a line
    lines = [_GAP.join(cells).rstrip() for cells in zip(*(_rendered(column, console) for column in shown))]
    return "\n".join([*(head if rows else ()), *lines, *(_styled(console, line, "dim") for line in told), ""])


def _column(name: str, rows: Sequence[dict[str, Any]], longest: int) -> _Column:
    heading = HEADINGS.get(name, name.replace("is_", "", 1))
    if name in _MARKED:
        return _Column(name, heading, len(heading), [row[name] if applies(row, name) else "n/a" for row in rows])
    cells = [_cut(_text(name, row[name]), longest) for row in rows]
    return _Column(name, _cut(heading, longest), max(map(cell_len, (heading, *cells))), cells)


def _text(name: str, value: Any) -> str:
    if value is None or (name == "rig" and value == "unknown"):
        return ""
    if name == "platform":
        return str(value).replace("behavior_with_sync", "sync")
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if text.isascii() and text.isprintable() else one_line(text)


def _fitting(columns: Sequence[_Column], first: Sequence[str], width: int) -> list[_Column]:
    """Those columns for which there is room: the *first* ones in any case, or the first of all."""
    always = first or [columns[0].name]
    width += len(_GAP)
    fitting = set()
    for column in sorted(columns, key=lambda column: column.name not in always):
        if column.name in always or column.width + len(_GAP) <= width:
            width -= column.width + len(_GAP)
            fitting.add(column.name)
    return [column for column in columns if column.name in fitting]


def _rendered(column: _Column, console: Console) -> list[str]:
    if column.name not in _MARKED:
        return [_padded(cell, column.width) for cell in column.cells]
    marks = {}
    for value in _MARKS:
        mark, style = symbol(value)
        left, right = mark.center(column.width).split(mark)
        marks[value] = left + _styled(console, mark, style) + right
    return [marks[cell] for cell in column.cells]


def _styled(console: Console, text: str, style: str) -> str:
    if console.legacy_windows:
        return text  # such a console takes no escape codes
    with console.capture() as captured:
        console.print(Text(text, style), end="", soft_wrap=True)
    return captured.get()


def _padded(text: str, width: int) -> str:
    return text.ljust(width) if text.isascii() else set_cell_size(text, width)


def _cut(text: str, longest: int) -> str:
    if cell_len(text) <= longest:
        return text
    dots = "…" if can_print("…") else "..."
    return set_cell_size(text, longest - len(dots)) + dots
