"""`npc-lims show` and `npc-lims paths`: one session, and where its files are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Optional

import typer
from rich.text import Text

from npc_lims.cli import ExitCode
from npc_lims.cli.options import (
    SelectionOptions,
    complete_kind,
    complete_session,
    reading_settings,
)
from npc_lims.cli.output import OutputStyle, err, json_option, out, print_json, style_options, symbol
from npc_lims.cli.sessions import AT_HELP, STATE_HELP, as_of
from npc_lims.config.settings import Settings
from npc_lims.errors import NpcLimsError, SelectionError
from npc_lims.model.flags import FLAGS, NOT_APPLICABLE
from npc_lims.model.locations import LOCATION_KINDS, SessionLocation, locations_of
from npc_lims.model.rows import flag_value, session_row
from npc_lims.model.sections import SECTIONS
from npc_lims.model.status import explain
from npc_lims.sessions.info import SessionInfo
from npc_lims.sessions.locations import expand_kinds
from npc_lims.sessions.queries import select_session, select_sessions
from npc_lims.utils.text import one_line, single_line
from npc_lims.utils.yaml import render_yaml

_COLUMNS = ("session", *(field.name for field in dataclasses.fields(SessionLocation)))
_LONGEST = 400  # of what is said of a flag
_WIDTH = max(map(len, LOCATION_KINDS))


def show_command(
    session: str = typer.Argument(
        ..., help="Any id or path of the session, or id or name of a data asset of it.", autocompletion=complete_session
    ),
    state: Optional[Path] = typer.Option(None, help=STATE_HELP),
    at: Optional[str] = typer.Option(None, metavar="DATE|AGE|TAG|SHA", help=AT_HELP),
    web: bool = typer.Option(False, "--web", help="Open its page of the status site, else its file on GitHub."),
    as_json: bool = json_option("an object of all facts"),
) -> None:
    """Show all facts about one session.

    These are its status, the locations of its files, and what each source has.
    Reads the state folder of this checkout or what is published on GitHub, as it is or as it was (--at); writes
    nothing. Needs no credentials; with them, a session that is not in state yet is looked up live.

    \b
    Examples:
      npc-lims show DRpilot_626791_20220815
      npc-lims show 626791_2022-08-15 --at 2024-06-01
      npc-lims show 83636983-f80d-42d6-a075-09b60c6abd5e --web
    """
    settings = reading_settings(state)
    info = select_session(settings, session, at=at)
    if web:
        _open_page(settings, str(info.id))
    elif as_json:
        sections = {name: info.record[name] for name in SECTIONS}
        locations = [*map(dataclasses.asdict, locations_of(info.record, settings))]
        print_json({**session_row(info.record), "locations": locations, **sections})
    else:
        _print_session(settings, info, as_of(settings, at))


def _print_session(settings: Settings, info: SessionInfo, notes: list[str]) -> None:
    record, row = info.record, session_row(info.record)
    console = out()
    console.print(Text(row["id"], "bold"), f"{one_line(row['project'])}, {row['platform']}")
    for text in notes:
        console.print(text, style="dim", soft_wrap=True)
    for flag in FLAGS:
        value = flag_value(row, flag)
        if value != NOT_APPLICABLE:
            said = value if isinstance(value, str) else "" if value else single_line(explain(record, flag), _LONGEST)
            line = Text.assemble(symbol(value), f"  {flag:26}  ", (said, "" if value else "dim"))
            line.rstrip()
            console.print(line, soft_wrap=True)
    if row["not_applicable"]:
        console.print(f"does not apply: {', '.join(row['not_applicable'])}", style="dim")
    console.print(Text("locations", "bold"))
    _print_locations(locations_of(record, settings), indent="  ")
    for name in SECTIONS:
        section = record[name]
        note = ": never observed" if section is None else "" if section else ": nothing there"
        console.print(Text.assemble((name, "bold"), note))
        for fact in render_yaml(section).splitlines() if section else ():
            console.print(f"  {fact}", soft_wrap=True)  # a path is copied in one piece


def _print_locations(locations: Iterable[SessionLocation], indent: str = "") -> None:
    console, before = out(), ""
    for one in locations:
        if one.location is not None:
            kind = "" if one.kind == before else one.kind
            before = one.kind
            console.print(Text.assemble(indent, (kind.ljust(_WIDTH), "dim"), "  ", one.location), soft_wrap=True)


def _open_page(settings: Settings, session_id: str) -> None:
    from npc_lims.clients.git import repository_on_github
    from npc_lims.sessions.html import session_links

    if settings.state is not None:
        repository = repository_on_github(settings, settings.state)
        settings = settings.replace(state=None, **({} if repository is None else {"repo": repository}))
        if repository is None and not settings.is_set("pages_url"):
            raise NpcLimsError(
                f"{session_id} has no page: its state is in no repository with a remote on GitHub; npc-lims site serve "
                "shows the site on this machine, and NPC_LIMS_PAGES_URL names one that is elsewhere"
            )
    address = session_links(settings).session(session_id)
    assert address is not None, "of a repository there is always the file"
    typer.echo(address)
    if not settings.offline:
        import webbrowser

        webbrowser.open(address)  # false where there is no browser: then the address is enough


# --- paths


def paths_command(
    session: Optional[str] = typer.Argument(
        None,
        help="Any id or path of a session, or id or name of a data asset of it. Default: the sessions selected by "
        "the options.",
        autocompletion=complete_session,
    ),
    kind: Optional[list[str]] = typer.Option(
        None,
        metavar="KIND",
        help="Only this kind, such as raw, sorted, dlc_eye, stim, annotations, sync; repeat for several.",
        autocompletion=complete_kind,
    ),
    state: Optional[Path] = typer.Option(None, help=STATE_HELP),
    selection: SelectionOptions = SelectionOptions(),
    at: Optional[str] = typer.Option(None, metavar="DATE|AGE|TAG|SHA", help=AT_HELP),
    style: OutputStyle = style_options("an array of locations, also of kinds without one", _COLUMNS),
) -> None:
    """Print where the files of a session are, one location per line.

    Standard error says what is missing, and why. On a terminal, kinds stand beside the locations unless one is chosen.
    Reads the state folder of this checkout or what is published on GitHub, as it is or as it was (--at); writes
    nothing, and tests no location. Needs no credentials. Exit code 1 if a session has no location of a chosen kind.

    \b
    Examples:
      npc-lims paths 626791_2022-08-15
      npc-lims paths 626791_2022-08-15 --kind sorted
      npc-lims paths --project DynamicRouting --since 2w --kind raw --kind sync
    """
    groups = [expand_kinds([name]) for name in kind or ()]
    kinds = expand_kinds(kind or None)
    settings = reading_settings(state)
    infos = _chosen(settings, session, selection, at)
    found = {str(info.id): locations_of(info.parse_without_caching(), settings, kinds) for info in infos}
    rows = [{"session": id_, **dataclasses.asdict(one)} for id_, every in found.items() for one in every]
    is_text, is_complete = not style.print_rows(_COLUMNS, rows), True
    for id_, every in found.items():
        if is_text:
            _print_all(every, with_kinds=not kind)
            _print_missing(id_ if session is None else "", every, is_short=not kind)
        there = {one.kind for one in every if one.location is not None}
        is_complete = is_complete and all(there & {*group} for group in groups)
    if not is_complete:
        raise typer.Exit(ExitCode.PROBLEMS)


def _chosen(
    settings: Settings, session: Optional[str], selection: SelectionOptions, at: Optional[str]
) -> Sequence[SessionInfo]:
    is_selected = any(vars(selection).values())
    if session is not None:
        if is_selected:
            raise NpcLimsError("name a session, or select some by options: not both")
        return [select_session(settings, session, at=at)]
    if not is_selected:
        raise NpcLimsError("name a session, or select some by options such as --project and --since")
    found = select_sessions(settings, selection.filters(), at=at)
    if not found:
        raise SelectionError("no session matches")
    return found


def _print_all(locations: Sequence[SessionLocation], *, with_kinds: bool) -> None:
    console = out()
    if with_kinds and console.is_terminal:
        _print_locations(locations)
        return
    for one in locations:
        if one.location is not None:
            console.print(Text(one.location), soft_wrap=True)


def _print_missing(session_id: str, locations: Sequence[SessionLocation], *, is_short: bool) -> None:
    """Print why there are no locations; kinds that do not apply in one line, unless they were chosen."""
    console, head = err(), f"{session_id}: " if session_id else ""
    apart = [one.kind for one in locations if is_short and one.status == "does not apply"]
    reasons: dict[str, list[str]] = {}
    for one in locations:
        if one.reason is not None and one.kind not in apart:
            status = "" if one.status in ("none", "recorded") else f"{one.status}: "
            reasons.setdefault(status + one.reason, []).append(one.kind)
    for reason, kinds in reasons.items():
        console.print(f"{head}{', '.join(kinds)}: {reason}", style="dim")
    if apart:
        console.print(f"{head}does not apply: {', '.join(apart)}", style="dim")
