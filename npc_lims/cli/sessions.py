"""`npc-lims sessions` and `npc-lims show`."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import typer

from npc_lims.cli.console import err, out, symbol
from npc_lims.cli.places import reading_settings
from npc_lims.errors import NpcLimsError
from npc_lims.rows import COLUMNS, FLAG_NAMES, session_row

if TYPE_CHECKING:
    from rich.text import Text

    from npc_lims.session_info import SessionInfo

__all__ = ["sessions_command", "show_command"]

_TABLE_FLAGS = {
    "is_uploaded": "up",
    "is_sorted": "sort",
    "is_annotated": "annot",
    "is_video": "video",
    "is_dlc_eye": "eye",
    "is_dlc_side": "side",
    "is_dlc_face": "face",
    "is_facemap": "fmap",
    "is_gamma_encoding": "gamma",
    "is_LPFaceParts": "lp",
    "is_surface_channels": "surf",
    "is_nwb_cached": "nwb",
}
_TABLE_TEXTS = ("session", "project", "platform", "day", "rig")
_GAP = 2
_STATE = typer.Option(None, help="Read this state folder. Default: that of this checkout, else GitHub.")


def sessions_command(
    state: Optional[Path] = _STATE,
    ephys: bool = typer.Option(False, "--ephys", help="Only ephys sessions."),
    project: Optional[str] = typer.Option(None, help="Only this project."),
    subject: Optional[str] = typer.Option(None, help="Only this subject."),
    since: Optional[str] = typer.Option(None, help="Only from this date (YYYY-MM-DD) on."),
    until: Optional[str] = typer.Option(None, help="Only up to this date (YYYY-MM-DD)."),
    is_: Optional[list[str]] = typer.Option(None, "--is", help="Only where this flag is true, such as sorted."),
    missing: Optional[list[str]] = typer.Option(None, help="Only where this flag applies and is false."),
    as_json: bool = typer.Option(False, "--json", help="Print a JSON array of all facts."),
    as_csv: bool = typer.Option(False, "--csv", help="Print all facts as CSV."),
) -> None:
    """List sessions, the newest first. ✓ yes, · no, ? never observed, – does not apply.

    Example: npc-lims sessions --ephys --is uploaded --missing sorted --since 2024-01-01
    """
    from npc_lims.sessions import select_sessions

    filters: dict[str, Any] = {"is_ephys": True} if ephys else {}
    filters.update({"project": project} if project else {})
    filters.update({"subject": subject} if subject else {})
    rows = [session_row(info.record) for info in select_sessions(reading_settings(state), filters)]
    first, last = _date("--since", since), _date("--until", until)
    rows = [row for row in rows if (not first or row["date"] >= first) and (not last or row["date"] <= last)]
    rows = _with_flags(rows, [_flag(name) for name in is_ or []], [_flag(name) for name in missing or []])
    if as_json:
        json.dump(rows, sys.stdout, indent=1)
        sys.stdout.write("\n")
    elif as_csv:
        _print_csv(rows)
    else:
        _print_table(rows)


def show_command(
    session: str = typer.Argument(..., help="Any id, path or asset name of the session."),
    state: Optional[Path] = _STATE,
    as_json: bool = typer.Option(False, "--json", help="Print all facts as a JSON object."),
) -> None:
    """Show everything that is known of one session, by source.

    Example: npc-lims show DRpilot_626791_20220815
    """
    from npc_lims.sessions import select_session

    info = select_session(reading_settings(state), session)
    if as_json:
        sections = {name: info.record[name] for name in ("tracked", "training", "codeocean", "s3")}
        json.dump({**session_row(info.record), **sections}, sys.stdout, indent=1)
        sys.stdout.write("\n")
    else:
        _print_session(info)


def _flag(name: str) -> str:
    """The flag that a user means by `sorted`, `is_sorted` or `lpfaceparts`."""
    known = {flag.lower().replace("is_", "", 1).replace("_", ""): flag for flag in FLAG_NAMES}
    plain = name.lower().replace("-", "_").replace("is_", "", 1).replace("_", "")
    if plain not in known:
        raise NpcLimsError(f"no such flag: {name}; there are {', '.join(FLAG_NAMES)}")
    return known[plain]


def _date(option: str, value: Optional[str]) -> Optional[str]:
    import datetime

    if value is None:
        return None
    try:
        return datetime.date.fromisoformat(value).isoformat()
    except ValueError:
        raise NpcLimsError(f"{option} {value}: not a date such as 2024-06-01") from None


def _with_flags(rows: list[dict[str, Any]], true: list[str], false: list[str]) -> list[dict[str, Any]]:
    unknown = [row for row in rows if any(row[flag] is None and _applies(row, flag) for flag in true + false)]
    if unknown:
        names = ", ".join(true + false)
        err().print(f"npc-lims: {len(unknown)} sessions are left out because {names} was never observed for them")
    return [
        row
        for row in rows
        if all(row[flag] for flag in true) and all(row[flag] is False and _applies(row, flag) for flag in false)
    ]


def _applies(row: dict[str, Any], flag: str) -> bool:
    return flag not in row["not_applicable"]


def _cell(row: dict[str, Any], flag: str) -> Text:
    from rich.text import Text

    return Text(*symbol(row[flag] if _applies(row, flag) else "n/a"))


def _print_csv(rows: Iterable[dict[str, Any]]) -> None:
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells = {name: json.dumps(value) if isinstance(value, (bool, list)) else value for name, value in row.items()}
        # a flag that does not apply is an empty cell, as is an unknown one: not_applicable tells which
        cells.update(dict.fromkeys(row["not_applicable"]))
        cells["not_applicable"] = " ".join(row["not_applicable"])
        writer.writerow(cells)


def _print_table(rows: list[dict[str, Any]]) -> None:
    # laid out here: rich's Table takes 1.7 ms a row, which is 17 s for ten thousand
    from rich.text import Text

    console = out()
    if not rows:
        console.print("no session matches")
        return
    texts = [_texts(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(_TABLE_TEXTS, *texts)]
    flags = _flags_that_fit(console.width - sum(widths) - _GAP * len(widths))
    head = [name.ljust(width + _GAP) for name, width in zip(_TABLE_TEXTS, widths)]
    console.print(Text("".join([*head, *(f"{_TABLE_FLAGS[flag]}  " for flag in flags)]).rstrip(), "bold"))
    symbols = {value: symbol(value) for value in (True, False, None, "n/a")}
    for row, cells in zip(rows, texts):
        line = Text("".join(cell.ljust(width + _GAP) for cell, width in zip(cells, widths)))
        for flag in flags:
            mark, style = symbols[row[flag] if _applies(row, flag) else "n/a"]
            line.append(mark.center(len(_TABLE_FLAGS[flag])) + " " * _GAP, style)
        console.print(line, no_wrap=True, crop=False, overflow="ignore")
    hidden = "" if len(flags) == len(_TABLE_FLAGS) else "; more columns in a wider terminal, all with --csv or --json"
    console.print(f"{len(rows)} session{'s' if len(rows) > 1 else ''}{hidden}", style="dim")


def _texts(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["id"],
        row["project"],
        row["platform"].replace("behavior_with_sync", "sync"),
        "" if row["experiment_day"] is None else str(row["experiment_day"]),
        "" if row["rig"] == "unknown" else row["rig"],
    )


def _flags_that_fit(width: int) -> list[str]:
    """Flags for the columns that are left, the most asked for first; always the first three."""
    fitting: list[str] = []
    for flag, short in _TABLE_FLAGS.items():
        width -= len(short) + _GAP
        if width < 0 and len(fitting) >= 3:
            break
        fitting.append(flag)
    return fitting


def _print_session(info: SessionInfo) -> None:
    from rich.table import Table
    from rich.text import Text

    from npc_lims.state.render import render_yaml

    record, row = info.record, session_row(info.record)
    console = out()
    console.print(Text(row["id"], "bold"), f"{row['project']}, {row['platform']}")
    table = Table(box=None, show_header=False, pad_edge=False)
    for flag in FLAG_NAMES:
        if _applies(row, flag):
            value = row[flag]
            table.add_row(_cell(row, flag), flag, value if isinstance(value, str) else "")
    console.print(table)
    if row["not_applicable"]:
        console.print(f"does not apply: {', '.join(row['not_applicable'])}", style="dim")
    for name in ("tracked", "training", "codeocean", "s3"):
        section = record[name]
        if section is None:
            console.print(Text.assemble((name, "bold"), ": never observed"))
        elif not section:
            console.print(Text.assemble((name, "bold"), ": nothing there"))
        else:
            console.print(Text(name, "bold"))
            for line in render_yaml(section).splitlines():
                console.print(f"  {line}")
