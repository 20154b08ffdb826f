"""`npc-lims sessions`."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from npc_lims.cli.options import (
    SelectionOptions,
    complete_column,
    complete_columns,
    reading_settings,
    refuse_offline,
)
from npc_lims.cli.output import (
    OutputStyle,
    can_print,
    out,
    print_csv,
    print_json,
    show_text,
    style_options,
    symbol,
)
from npc_lims.config.settings import Settings
from npc_lims.errors import NpcLimsError, SelectionError
from npc_lims.model.flags import BOOLEAN_FLAGS, FLAGS, NOT_APPLICABLE
from npc_lims.model.rows import COLUMNS, flag_value
from npc_lims.sessions.filter_values import TERMS, find_name
from npc_lims.sessions.queries import select_sessions, to_records
from npc_lims.utils.text import counted, one_line

if TYPE_CHECKING:
    from npc_lims.sessions.filters import SessionFilters

STATE_HELP = "Read this state folder. Default: that of this checkout, else GitHub."
AT_HELP = "State as it was: at the end of a day (2024-06-01, UTC), so long ago (7d), or at a tag or commit."
HEADINGS = {
    "id": "session",
    "project": "project",
    "platform": "platform",
    "experiment_day": "day",
    "rig": "rig",
    **{flag.name: flag.heading for flag in FLAGS.values() if flag.heading},
}
"""Default columns of the table, in their order; most of their names are too long for a heading."""
_ALWAYS_SHOWN = ("id", "is_uploaded", "is_sorted", "is_annotated")
_GAP = "  "
# Of a project or rig, unless the column was chosen: enough to tell it from others.
_LONGEST_TEXT = 24
_WIDEST = 200  # lines below the table, where no terminal sets a limit
_MARKS: dict[Any, str] = {True: "yes", False: "no", None: "never observed", NOT_APPLICABLE: "does not apply"}
_MARKED = ("is_ephys", "is_sync", *BOOLEAN_FLAGS)


def _named(option: str, name: str, columns: Sequence[str] = COLUMNS) -> str:
    try:
        return find_name(name, columns, "column")
    except SelectionError as error:
        raise SelectionError(f"{option}: {error}") from None


def _sorted_rows(rows: Iterable[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    """Return rows by a column, or in the opposite order by `-column`; those without a value come last either way."""
    column = _named("--sort", by.removeprefix("-"))
    rows = list(rows)
    known = [row for row in rows if row[column] is not None]
    known.sort(key=lambda row: row[column], reverse=by.startswith("-"))
    return known + [row for row in rows if row[column] is None]


def sessions_command(
    state: Optional[Path] = typer.Option(None, help=STATE_HELP),
    selection: SelectionOptions = SelectionOptions(),
    at: Optional[str] = typer.Option(None, metavar="DATE|AGE|TAG|SHA", help=AT_HELP),
    columns: Optional[str] = typer.Option(
        None, metavar="NAMES", help="Only these columns, such as id,rig,is_sorted.", autocompletion=complete_columns
    ),
    sort: Optional[str] = typer.Option(
        None, metavar="COLUMN", help="Sort by a column; -COLUMN for descending order.", autocompletion=complete_column
    ),
    limit: Optional[int] = typer.Option(None, min=1, metavar="N", help="Maximum number of sessions."),
    count_by: Optional[str] = typer.Option(
        None,
        metavar="NAMES",
        help="Count sessions by the values of these columns, or month or year, such as project,rig.",
        autocompletion=complete_columns,
    ),
    terms: Optional[str] = typer.Option(
        None,
        metavar="[COLUMN]",
        help="List columns, flags and the values that occur, for --where; of COLUMN all values.",
        autocompletion=complete_column,
    ),
    style: OutputStyle = style_options("an array of all facts", COLUMNS),
    no_pager: bool = typer.Option(False, "--no-pager", help="Do not page a table that is longer than the screen."),
    watch: bool = typer.Option(False, "--watch", help="Print sessions as they change, until the running sync ends."),
    interval: Optional[float] = typer.Option(None, metavar="SECONDS", help="With --watch: polling interval."),
    unlisted: bool = typer.Option(
        False, "--unlisted", help="List recordings in Code Ocean without a session, and commands that add them."
    ),
) -> None:
    """List sessions, the newest first.

    A line below the table explains its marks. Reads the state folder of this checkout or what is published on GitHub,
    as it is or as it was (--at); writes nothing. Needs no credentials.

    --watch polls the state and prints changes. With GITHUB_TOKEN (actions: read) it sees a commit of state at once, and
    ends with the running sync; without it, files on GitHub may be up to five minutes old. Ctrl-C ends it.

    \b
    Examples:
      npc-lims sessions --ephys --is uploaded --missing sorted --since 2024-01-01
      npc-lims sessions --at 2024-06-01 --columns id,rig,is_sorted --sort -rig --csv
      npc-lims sessions --where rig=NP2 --where rig=NP3 --where task_version~AMN --since 2w
      npc-lims sessions --ephys --count-by project,sorted
      npc-lims sessions --terms rig
      npc-lims sessions --watch --project DynamicRouting
    """
    filters = selection.filters()
    settings = reading_settings(state)
    of_list = {"--columns": columns, "--sort": sort}
    of_counts = {"--count-by": count_by, "--terms": terms}
    if watch:
        others = {"--at": at, "--limit": limit, "--csv": style.csv, "--unlisted": unlisted}
        _refuse("--watch prints changes as they come", **others, **of_list, **of_counts)
        raise typer.Exit(_watch(settings, filters, interval, style))
    if interval is not None:
        raise NpcLimsError("--interval is for --watch: add that, or leave it out")
    if unlisted:
        _refuse("--unlisted lists recordings without a session", **of_list, **of_counts)
        from npc_lims.cli.unlisted import list_unlisted

        list_unlisted(settings, selection, at, limit, style, pager=not no_pager)
        return
    names = _names("--columns", columns)
    if count_by is not None:
        _refuse("--count-by prints counts", **of_list, **{"--limit": limit, "--terms": terms})
    elif terms is not None:
        _refuse("--terms prints counts", **of_list, **{"--limit": limit})
    rows = to_records(select_sessions(settings, filters, at=at))
    if count_by is not None or terms is not None:
        _print_counts(rows, count_by, terms, style)
        for note in as_of(settings, at) if style.is_text else ():
            out().print(note, style="dim", soft_wrap=True)
        return
    rows = (rows if sort is None else _sorted_rows(rows, sort))[:limit]
    if style.json:
        print_json([{name: row[name] for name in names or COLUMNS} for row in rows])
    elif style.csv:
        print_csv(names or COLUMNS, map(_cells, rows))
    else:
        show_text(render_table(rows, out(), names, as_of(settings, at)), pager=not no_pager)


def _watch(settings: Settings, filters: SessionFilters, interval: Optional[float], style: OutputStyle) -> int:
    if settings.state is None:
        refuse_offline("--watch")
    from npc_lims.cli.watch import watch_sessions

    return watch_sessions(settings, filters, interval, as_json=style.json)


def as_of(settings: Settings, at: Optional[str]) -> list[str]:
    """Return the notes below an answer about the past."""
    if at is None:
        return []
    from npc_lims.state.as_of import snapshot_at

    origin = snapshot_at(settings, at).origin
    return [f"as of commit {str(origin.commit)[:10]} of {origin.when}, {origin.place}"]


def _refuse(reason: str, **options: Any) -> None:
    given = [name for name, value in options.items() if value not in (None, False)]
    if given:
        raise NpcLimsError(f"{reason}: leave out {', '.join(given)}")


def _print_counts(
    rows: list[dict[str, Any]], count_by: Optional[str], terms: Optional[str], style: OutputStyle
) -> None:
    from npc_lims.cli.terms import print_counts, print_terms
    from npc_lims.sessions.terms import COUNTED

    if terms is None:
        print_counts(rows, _names("--count-by", count_by, COUNTED), style)
    else:
        print_terms(rows, _named("--terms", terms, TERMS) if terms else None, style)


def _names(option: str, given: Optional[str], columns: Sequence[str] = COLUMNS) -> list[str]:
    """Return the columns that a text names."""
    names = [name.strip() for name in (given or "").split(",") if name.strip()]
    if given is not None and not names:
        raise SelectionError(f"{option} names no column; npc-lims sessions --terms lists all")
    return list(dict.fromkeys(_named(option, name, columns) for name in names))


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    """Leave cells of flags empty that do not apply, as of unknown ones: not_applicable names them."""
    return {**row, **dict.fromkeys(row["not_applicable"]), "not_applicable": " ".join(row["not_applicable"])}


# --- the table


class _Column(NamedTuple):
    name: str
    width: int
    heading: str
    cells: Sequence[str]


def render_table(
    rows: Sequence[dict[str, Any]], console: Console, columns: Sequence[str] = (), notes: Sequence[str] = ()
) -> str:
    """Return the table, by default of the most common columns, and *notes* below it, as text for *console*."""
    names = tuple(columns) or tuple(HEADINGS)
    room = console.width if console.is_terminal else sys.maxsize  # in a pipe no chosen column is cut
    longest = room if columns else _LONGEST_TEXT
    shown = _fitting([_column(name, rows, longest, console) for name in names], () if columns else _ALWAYS_SHOWN, room)
    below = []
    if any(column.name in _MARKED for column in shown) and rows:
        below.append(_GAP.join(f"{symbol(value)[0]} {words}" for value, words in _MARKS.items()))
    below += notes
    count = counted(len(rows), "session") if rows else "no session matches"
    hidden = len(names) - len(shown) if rows else 0
    more = "; more columns in a wider terminal, all with --csv or --json" if hidden else ""
    below.append(count + more)
    wrapped = [part for line in below for part in textwrap.wrap(line, min(room, _WIDEST))]
    head = [_styled(console, _GAP.join(column.heading for column in shown).rstrip(), "bold")]
    # not by way of the console: it takes a tenth of a millisecond for a line
    lines = [_GAP.join(cells).rstrip() for cells in zip(*(column.cells for column in shown))]
    return "\n".join([*(head if rows else ()), *lines, *(_styled(console, line, "dim") for line in wrapped), ""])


def _column(name: str, rows: Sequence[dict[str, Any]], longest: int, console: Console) -> _Column:
    heading = HEADINGS.get(name, name.replace("is_", "", 1))
    if name in _MARKED:
        marks = {}
        for value in _MARKS:
            mark, style = symbol(value)
            left, right = mark.center(len(heading)).split(mark)
            marks[value] = left + _styled(console, mark, style) + right
        return _Column(name, len(heading), heading, [marks[flag_value(row, name)] for row in rows])
    cells = [_cut(text, longest) for text in (heading, *(_text(name, row[name]) for row in rows))]
    width = max(map(cell_len, cells))
    heading, *padded = [cell.ljust(width) if cell.isascii() else set_cell_size(cell, width) for cell in cells]
    return _Column(name, width, heading, padded)


def _text(name: str, value: Any) -> str:
    if value is None or (name == "rig" and value == "unknown"):
        return ""
    if name == "platform":
        return str(value).replace("behavior_with_sync", "sync")
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if text.isascii() and text.isprintable() else one_line(text)


def _fitting(columns: Sequence[_Column], first: Sequence[str], width: int) -> list[_Column]:
    """Return the columns for which there is room: the *first* ones in any case, or the first of all."""
    always = first or [columns[0].name]
    width += len(_GAP)
    fitting = set()
    for column in sorted(columns, key=lambda column: column.name not in always):
        if column.name in always or column.width + len(_GAP) <= width:
            width -= column.width + len(_GAP)
            fitting.add(column.name)
    return [column for column in columns if column.name in fitting]


def _styled(console: Console, text: str, style: str) -> str:
    if console.legacy_windows:
        return text  # such a console takes no escape codes
    with console.capture() as captured:
        console.print(Text(text, style), end="", soft_wrap=True)
    return captured.get()


def _cut(text: str, longest: int) -> str:
    if cell_len(text) <= longest:
        return text
    dots = "…" if can_print("…") else "..."
    return set_cell_size(text, longest - len(dots)) + dots
