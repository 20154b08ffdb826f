"""`npc-lims show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from npc_lims.cli.completion import complete_session
from npc_lims.cli.console import out, symbol
from npc_lims.cli.lists import json_option, print_json
from npc_lims.cli.places import reading_settings
from npc_lims.cli.selection import applies
from npc_lims.cli.sessions import AT_HELP, STATE_HELP, as_of
from npc_lims.model.rows import FLAG_NAMES, session_row
from npc_lims.state.diff import one_line

if TYPE_CHECKING:
    from npc_lims.sessions.info import SessionInfo

__all__ = ["show_command"]


def show_command(
    session: str = typer.Argument(
        ..., help="Any id, path or asset name of the session.", autocompletion=complete_session
    ),
    state: Optional[Path] = typer.Option(None, help=STATE_HELP),
    at: Optional[str] = typer.Option(None, metavar="DATE|TAG|SHA", help=AT_HELP),
    as_json: bool = json_option("an object of all facts"),
) -> None:
    """Show everything that is known of one session, by source.

    Reads the state folder of this checkout or what is published on GitHub, as it is or as it was (--at); writes
    nothing. Needs no credentials: a session that state does not know yet is looked up where there are some.

    \b
    Examples:
      npc-lims show DRpilot_626791_20220815
      npc-lims show 626791_2022-08-15 --at 2024-06-01
    """
    from npc_lims.sessions.queries import select_session

    settings = reading_settings(state)
    info = select_session(settings, session, at=at)
    if as_json:
        sections = {name: info.record[name] for name in ("tracked", "training", "codeocean", "s3")}
        print_json({**session_row(info.record), **sections})
    else:
        _print_session(info, as_of(settings, at))


def _print_session(info: SessionInfo, notes: list[str]) -> None:
    from rich.text import Text

    from npc_lims.utils.yaml_writer import render_yaml

    record, row = info.record, session_row(info.record)
    console = out()
    console.print(Text(row["id"], "bold"), f"{one_line(row['project'])}, {row['platform']}")
    for note in notes:
        console.print(note, style="dim", soft_wrap=True)
    for flag in FLAG_NAMES:
        if applies(row, flag):
            value = row[flag]
            told = f"  {flag:26}  {value}" if isinstance(value, str) else f"  {flag}"
            console.print(Text.assemble(symbol(value), told), soft_wrap=True)
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
                console.print(f"  {line}", soft_wrap=True)  # a path is copied in one piece
