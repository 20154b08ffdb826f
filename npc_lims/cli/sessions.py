"""`npc-lims sessions`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import typer

from npc_lims.cli.completion import (
    complete_column,
    complete_columns,
    complete_flag,
    complete_project,
    complete_subject,
)
from npc_lims.cli.console import note, out
from npc_lims.cli.lists import csv_option, json_option, one_style, print_csv, print_json
from npc_lims.cli.paging import show_text
from npc_lims.cli.places import reading_settings
from npc_lims.cli.selection import Selection, columns_named, select, sorted_rows
from npc_lims.errors import NpcLimsError
from npc_lims.model.rows import COLUMNS, session_row

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = ["AT_HELP", "STATE_HELP", "as_of", "sessions_command"]

STATE_HELP = "Read this state folder. Default: that of this checkout, else GitHub."
AT_HELP = "State as it was: at the end of a day (YYYY-MM-DD, UTC), or at a tag or commit."


def sessions_command(
    state: Optional[Path] = typer.Option(None, help=STATE_HELP),
    ephys: bool = typer.Option(False, "--ephys", help="Only ephys sessions."),
    project: Optional[str] = typer.Option(None, help="Only this project.", autocompletion=complete_project),
    subject: Optional[str] = typer.Option(None, help="Only this subject.", autocompletion=complete_subject),
    since: Optional[str] = typer.Option(None, help="Only from this date (YYYY-MM-DD) on."),
    until: Optional[str] = typer.Option(None, help="Only up to this date (YYYY-MM-DD)."),
    is_: Optional[list[str]] = typer.Option(
        None, "--is", metavar="FLAG", help="Only where this flag is true, such as sorted.", autocompletion=complete_flag
    ),
    missing: Optional[list[str]] = typer.Option(
        None, metavar="FLAG", help="Only where this flag applies and is false.", autocompletion=complete_flag
    ),
    unknown: Optional[list[str]] = typer.Option(
        None, metavar="FLAG", help="Only where this flag was never observed.", autocompletion=complete_flag
    ),
    at: Optional[str] = typer.Option(None, metavar="DATE|TAG|SHA", help=AT_HELP),
    columns: Optional[str] = typer.Option(
        None, metavar="NAMES", help="Only these columns, such as id,rig,is_sorted.", autocompletion=complete_columns
    ),
    sort: Optional[str] = typer.Option(
        None, metavar="COLUMN", help="Order by a column; by -column downward.", autocompletion=complete_column
    ),
    limit: Optional[int] = typer.Option(None, min=1, metavar="N", help="Only the first so many."),
    as_json: bool = json_option("an array of all facts"),
    as_csv: bool = csv_option(COLUMNS),
    no_pager: bool = typer.Option(False, "--no-pager", help="Do not page a table that is longer than the screen."),
    watch: bool = typer.Option(False, "--watch", help="Print sessions as they change, until the running sync ends."),
    interval: Optional[float] = typer.Option(
        None, metavar="SECONDS", help="With --watch: look for news as often as this."
    ),
) -> None:
    """List sessions, the newest first.

    A line below the table explains its marks. Reads the state folder of this checkout or what is published on GitHub,
    as it is or as it was (--at); writes nothing. Needs no credentials.

    --watch looks at that again and again, and prints what changes. With GITHUB_TOKEN (actions: read) it sees a commit
    of state at once, and ends with the sync that is running; without, GitHub shows files as they were up to five
    minutes ago. Ctrl-C ends it.

    \b
    Examples:
      npc-lims sessions --ephys --is uploaded --missing sorted --since 2024-01-01
      npc-lims sessions --at 2024-06-01 --columns id,rig,is_sorted --sort -rig --csv
      npc-lims sessions --watch --project DynamicRouting
    """
    one_style(json=as_json, csv=as_csv)
    selection = select(ephys, project, subject, since, until, is_, missing, unknown)
    settings = reading_settings(state)
    if watch:
        _refuse(at=at, columns=columns, sort=sort, limit=limit, csv=as_csv)
        from npc_lims.cli.watch import watch_sessions

        raise typer.Exit(watch_sessions(settings, selection, interval, as_json=as_json))
    if interval is not None:
        raise NpcLimsError("--interval is for --watch: add that, or leave it out")
    names = () if columns is None else columns_named(columns)
    rows = _chosen(_rows(settings, selection, at), selection)
    rows = (rows if sort is None else sorted_rows(rows, sort))[:limit]
    if as_json:
        print_json([{name: row[name] for name in names or COLUMNS} for row in rows])
    elif as_csv:
        print_csv(names or COLUMNS, map(_cells, rows))
    else:
        from npc_lims.cli.sessions_table import render_table

        show_text(render_table(rows, out(), names, as_of(settings, at)), pager=not no_pager)


def as_of(settings: Settings, at: Optional[str]) -> list[str]:
    """What to say below an answer about the past."""
    if at is None:
        return []
    from npc_lims.state.as_of import snapshot_at

    origin = snapshot_at(settings, at).origin
    return [f"as of commit {str(origin.commit)[:10]} of {origin.when}, {origin.place}"]


def _refuse(**options: Any) -> None:
    given = [f"--{name}" for name, value in options.items() if value not in (None, False)]
    if given:
        raise NpcLimsError(f"--watch prints changes as they come: leave out {', '.join(given)}")


def _rows(settings: Settings, selection: Selection, at: Optional[str]) -> list[dict[str, Any]]:
    from npc_lims.sessions.queries import select_sessions

    return [session_row(info.peek()) for info in select_sessions(settings, selection.filters, at=at)]


def _chosen(rows: Iterable[dict[str, Any]], selection: Selection) -> list[dict[str, Any]]:
    judged = [(row, selection.judge(row)) for row in rows]
    undecided = sum(verdict is None for _, verdict in judged)
    if undecided:
        names = ", ".join(selection.true + selection.false)
        note(f"{undecided:,} sessions are left out, as {names} was never observed for them; --unknown lists such")
    return [row for row, verdict in judged if verdict]


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    """A flag that does not apply is an empty cell, as is an unknown one: not_applicable tells which."""
    return {**row, **dict.fromkeys(row["not_applicable"]), "not_applicable": " ".join(row["not_applicable"])}
