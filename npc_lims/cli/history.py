"""`npc-lims history` and `npc-lims export`: changes of one session or of all, and tables of everything."""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import typer
from rich.text import Text

from npc_lims.cli.diff import LIMIT, print_chapters
from npc_lims.cli.options import check_base_url, complete_session, reading_settings
from npc_lims.cli.output import OutputStyle, out, print_csv, print_json, print_note, progress_bar, style_options
from npc_lims.clients.git import Repository
from npc_lims.config.settings import Settings
from npc_lims.errors import NpcLimsError
from npc_lims.history.atom_feed import render_feed
from npc_lims.history.export import ExportFormat, default_path, export_history
from npc_lims.history.session_history import (
    UNSHALLOW,
    SessionHistory,
    read_session_history,
    repository_of,
    shallow_since,
)
from npc_lims.history.transitions import Digest, Transition
from npc_lims.history.walk import read_history
from npc_lims.state.diff import one_line
from npc_lims.state.diff_format import Format
from npc_lims.utils.urls import Links

_COLUMNS = ("session", "when", "group", "what", "details", "editors", "commit", "address", "run")


class HistoryFormat(str, enum.Enum):
    text = "text"
    markdown = "markdown"
    json = "json"
    atom = "atom"


def history_command(
    session: Optional[str] = typer.Argument(
        None, help="Any id, path or asset name of the session.", autocompletion=complete_session
    ),
    since: Optional[str] = typer.Option(
        None,
        metavar="AGE|DATE|REF",
        help="List all changes since an age (24h, 7d, 2w), a date or a commit.",
    ),
    format: HistoryFormat = typer.Option(
        HistoryFormat.text, help="Output format with --since. json is --json; atom is a feed for feed readers."
    ),
    limit: int = LIMIT,
    base_url: Optional[str] = typer.Option(None, help="URL of the site, for links in an atom feed."),
    state: Optional[Path] = typer.Option(None, help="State folder in a checkout. Default: that of this checkout."),
    style: OutputStyle = style_options("an object that holds everything", _COLUMNS),
) -> None:
    """Show the history of a session, or all changes since a date.

    For a session: when it was first tracked, uploaded, sorted, sorted again, annotated, and who edited its entry.
    A date is that of the sync that observed the change; "created" is that of the data asset on Code Ocean.

    Reads the commits of the checkout that holds state/; writes nothing. Outside a checkout the history of one
    session is read from GitHub: one request per change, without the editors of its entry. Needs no credentials;
    on GitHub GITHUB_TOKEN raises the limit from 60 requests an hour to 5,000.

    \b
    Examples:
      npc-lims history DRpilot_626791_20220815
      npc-lims history 626791_2022-08-15 --json
      npc-lims history --since 7d
      npc-lims history --since 2024-06-01 --format markdown --limit 0
    """
    style.check_alone(format is not HistoryFormat.text)
    settings = reading_settings(state)
    if (session is None) == (since is None):
        raise NpcLimsError("name a session, or with --since from when on; npc-lims history --help has examples")
    if session is not None:
        if format is not HistoryFormat.text:
            raise NpcLimsError(f"--format {format.value} is of --since; one session's history has --json and --csv")
        _show_session(settings, session, style)
    elif since is not None:
        _show_changes(settings, since, format, limit, base_url, style)


def export_command(
    place: Optional[Path] = typer.Argument(
        None, metavar="OUT", help="The database; of other formats a folder. Default: npc-lims.sqlite, npc-lims-csv ..."
    ),
    format: ExportFormat = typer.Option(
        ExportFormat.sqlite, help="sqlite is one file; the others are a folder with a file for each table."
    ),
    state: Optional[Path] = typer.Option(None, help="State folder in a checkout. Default: that of this checkout."),
) -> None:
    """Write all sessions and their history as tables.

    The tables are sessions (a column for each status), transitions, fields (each value that differed), assets, commits,
    edits and about. SQLite opens in Datasette. Parquet needs pyarrow: pip install "npc_lims[parquet]".

    Reads the commits of the checkout that holds state/. Writes only OUT: an earlier export there is replaced once the
    new one is complete, and nothing else ever is. Needs no credentials.

    \b
    Examples:
      npc-lims export
      npc-lims export sessions.sqlite
      npc-lims export tables --format csv
    """
    settings = reading_settings(state)
    repository, folder = _checkout(settings, "an export is made of commits")
    target = default_path(format) if place is None else place
    with progress_bar() as progress:
        done = export_history(
            repository, target, format, folder=folder, progress=lambda *counts: progress("reading commits", *counts)
        )
    counts = ", ".join(f"{count:,} {table}" for table, count in done.counts.items() if table != "about")
    out().print(f"{done.path}: {counts}", soft_wrap=True)
    _note_shallow(shallow_since(repository))


def _show_session(settings: Settings, session: str, style: OutputStyle) -> None:
    history = read_session_history(settings, session)
    links = _links(settings)
    if style.json:
        print_json(history.as_dict(links.commit))
    elif style.csv:
        print_csv(_COLUMNS, (_row(one, links) for one in history.transitions))
    else:
        _print_session(history, links)
    _note_shallow(history.begins)


def _show_changes(
    settings: Settings, since: str, format: HistoryFormat, limit: int, base_url: Optional[str], style: OutputStyle
) -> None:
    repository, folder = _checkout(settings, "what happened to all sessions is read from commits")
    found = read_history(repository, folder=folder, since=since)
    links, begins = _links(settings), shallow_since(repository)
    if style.csv:
        print_csv(_COLUMNS, (_row(one, links) for one in found))
    elif format is HistoryFormat.atom:
        _print_feed(found, links, base_url)
    elif style.json or format is HistoryFormat.json:
        print_json(Digest(since, tuple(found), begins).as_dict(links.commit))
    else:
        # it says itself where the history begins
        print_chapters([Digest(since, tuple(found), begins).chapter()], Format(format.value), limit)
        return
    _note_shallow(begins)


def _checkout(settings: Settings, why: str) -> tuple[Repository, str]:
    """Return the checkout that holds the state folder, and the path of that in it."""
    if settings.state is None:
        raise NpcLimsError(
            f"{why}, and here is no state folder: work in a clone of the repository "
            f"(git clone https://github.com/{settings.repo}), or name its state folder with --state"
        )
    repository = repository_of(settings.state)
    return repository, repository.path_of(settings.state)


def _print_feed(found: Iterator[Transition], links: Links, base_url: Optional[str]) -> None:
    check_base_url(base_url)
    content = render_feed(found, links.repository, base=base_url, address_of=links.commit)
    # the feed says that it is UTF-8, whatever the code page of a Windows pipe
    if hasattr(sys.stdout, "buffer"):
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
    else:
        sys.stdout.write(content.decode())


def _print_session(history: SessionHistory, links: Links) -> None:
    console = out()
    count = len(history.transitions)
    entries = f"{count} {'entry' if count == 1 else 'entries'}, the oldest first"
    console.print(Text.assemble((history.session, "bold"), f": {entries} (from {history.place})"), soft_wrap=True)
    firsts = {event.name: event for event in reversed(history.events)}
    for event in sorted(firsts.values(), key=history.events.index):
        when = f"before {event.commit.when[:10]}" if event.when is None else event.when[:10]
        created = f", created {one_line(event.created[:10])}" if event.created and event.created[:10] != when else ""
        console.print(f"  {event.name:<24}{when}{created}")
    for one in history.transitions:
        console.print()
        console.print(Text(f"{one.commit.when[:10]} {one.commit.when[11:16]} UTC", "bold"), ", ".join(one.change.what))
        for line in _lines(one, links):
            console.print(f"  {line}", soft_wrap=True)


def _lines(one: Transition, links: Links) -> Iterator[str]:
    yield from one.change.details
    yield from (one_line(f"{kind} asset created {created}") for kind, created in one.created)
    for editor in one.editors:
        yield f"edited by {editor.author}, {editor.when[:10]}: {editor.subject} ({_url_of(editor.sha, links)})"
    yield _url_of(one.commit.sha, links)
    if one.commit.run:
        yield one.commit.run


def _url_of(sha: str, links: Links) -> str:
    return links.commit(sha) or f"commit {sha[:10]}"


def _row(one: Transition, links: Links) -> dict[str, Any]:
    return {
        **one.as_dict(),
        "editors": [editor.author for editor in one.editors],
        "commit": one.commit.sha,
        "address": links.commit(one.commit.sha),
        "run": one.commit.run,
    }


def _links(settings: Settings) -> Links:
    """Return URLs on GitHub; none if the commits are on this machine alone."""
    is_published = settings.state is None or bool(repository_of(settings.state).line("remote"))
    return Links(settings.repo if is_published else None)


def _note_shallow(begins: Optional[str]) -> None:
    if begins is not None:
        print_note(f"this is a shallow clone, whose history begins {begins}: {UNSHALLOW}")
