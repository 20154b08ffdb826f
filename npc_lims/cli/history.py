"""`npc-lims history` and `export`: what happened to sessions, from the commits of state."""

from __future__ import annotations

import dataclasses
import enum
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Optional

import typer
from rich.text import Text

from npc_lims.cli.options import BASE_URL, STATE_HERE, SelectionOptions, complete_session, reading_settings
from npc_lims.cli.output import OutputStyle, out, print_note, progress_bars, style_options
from npc_lims.clients.git import repository_on_github
from npc_lims.config.settings import Settings
from npc_lims.errors import NpcLimsError
from npc_lims.history.atom_feed import render_feed
from npc_lims.history.export import ExportFormat, choose_target, export_history
from npc_lims.history.session_history import (
    UNSHALLOW,
    SessionHistory,
    checkout_of_state,
    read_changes,
    read_session_history,
    shallow_since,
)
from npc_lims.history.transitions import Digest, Transition
from npc_lims.state.diff_format import LISTED, SUMMARY_BYTES, Format, render_chapters
from npc_lims.utils.text import one_line, visible
from npc_lims.utils.urls import Links

_COLUMNS = ("session", "when", "group", "what", "details", "editors", "commit", "address", "run")
# the dates are those of changes, not of recordings
_SELECTION: Any = {
    "since": typer.Option(None, metavar="AGE|DATE|REF", help="Only changes since then: 24h, 7d, 2w, 2024-06-01."),
    "until": typer.Option(None, metavar="AGE|DATE", help="Only changes up to then, or the end of that day (UTC)."),
}
_SEE_ALL = "--limit 0 lists all"


class HistoryFormat(str, enum.Enum):
    text = "text"
    markdown = "markdown"
    json = "json"
    atom = "atom"


def history_command(
    session: Optional[str] = typer.Argument(
        None, help="Any id, path or asset name of the session.", autocompletion=complete_session
    ),
    selection: SelectionOptions = _SELECTION,
    format: HistoryFormat = typer.Option(
        HistoryFormat.text, help="Output format of changes. json is --json; atom is a feed for feed readers."
    ),
    limit: Optional[int] = typer.Option(
        None, min=0, help=f"Maximum number of changes, 0 for all. Default: {LISTED} in text, else all."
    ),
    base_url: Optional[str] = BASE_URL,
    state: Optional[Path] = STATE_HERE,
    style: OutputStyle = style_options("an object that holds everything", _COLUMNS),
) -> None:
    """Show the history of a session, or recent changes.

    For a session: when it was first tracked, uploaded, sorted, sorted again, annotated, and who edited its entry.
    A date is that of the sync that observed the change; "created" is that of the data asset on Code Ocean.

    Without one: what changed, the newest first, of the sessions that match the options as they are now; of removed
    ones, as they were last.

    Reads the commits of the checkout that holds state/; writes nothing. Outside a checkout the history of one
    session is read from GitHub: one request per change, without the editors of its entry. Needs no credentials;
    on GitHub GITHUB_TOKEN raises the limit from 60 requests an hour to 5,000.

    \b
    Examples:
      npc-lims history DRpilot_626791_20220815
      npc-lims history --since 7d --project DynamicRouting
      npc-lims history --subject 626791 --limit 5 --json
      npc-lims history --since 2024-06-01 --format markdown --limit 0
    """
    style = style.combined(format.value)
    settings = reading_settings(state)
    is_selection = any(value for value in dataclasses.asdict(selection).values())
    if (session is None) != is_selection:
        raise NpcLimsError("name a session, or select some by --since, --project ...; --help has examples")
    if session is None:
        _show_changes(settings, selection, format, limit, base_url, style)
    elif format is not HistoryFormat.text:
        raise NpcLimsError(f"--format {format.value} is of many sessions; one session's history has --json and --csv")
    else:
        _show_session(settings, session, style)


def export_command(
    place: Optional[Path] = typer.Argument(
        None, metavar="OUT", help="File, whose extension decides the format; or folder, with --format."
    ),
    format: Optional[ExportFormat] = typer.Option(
        None, help="Default: that of the extension. A folder of csv, jsonl or parquet has a file for each table."
    ),
    state: Optional[Path] = STATE_HERE,
) -> None:
    """Write all sessions and their history as tables.

    The tables are sessions (a column for each status), transitions, fields (each value that differed), assets, commits,
    edits and about. A .sqlite or .db file has all of them; a .csv, .jsonl or .parquet file has the sessions. SQLite
    opens in Datasette. Parquet needs pyarrow: pip install "npc_lims[parquet]".

    Reads the commits of the checkout that holds state/. Writes only OUT: an earlier export there is replaced once the
    new one is complete, and nothing else ever is. Needs no credentials.

    \b
    Examples:
      npc-lims export
      npc-lims export sessions.csv
      npc-lims export tables --format csv
    """
    target, kind = choose_target(place, format)
    settings = reading_settings(state)
    repository, folder = checkout_of_state(settings)
    with progress_bars() as progress:
        done = export_history(
            repository, target, kind, folder=folder, progress=lambda *counts: progress("reading commits", *counts)
        )
    counts = ", ".join(f"{count:,} {table}" for table, count in done.counts.items() if table != "about")
    out().print(f"{done.path}: {counts}", soft_wrap=True)
    _note_shallow(shallow_since(repository))


def _show_session(settings: Settings, session: str, style: OutputStyle) -> None:
    history = read_session_history(settings, session)
    links = _links(settings)
    rows = (_row(one, links) for one in history.transitions)
    if not style.print_rows(_COLUMNS, rows, history.as_dict(links.commit)):
        _print_session(history, links)
    _note_shallow(history.begins)


def _show_changes(
    settings: Settings,
    selection: SelectionOptions,
    format: HistoryFormat,
    limit: Optional[int],
    base_url: Optional[str],
    style: OutputStyle,
) -> None:
    filters = dataclasses.replace(selection, since=None, until=None).filters()
    with progress_bars() as progress:
        digest = read_changes(
            settings, filters, selection.since, selection.until, lambda *counts: progress("reading commits", *counts)
        )
    links = _links(settings)
    if format is HistoryFormat.markdown:
        listed = LISTED if limit is None else limit or None
        text = render_chapters(
            [digest.chapter()], Format.markdown, listed=listed, max_bytes=SUMMARY_BYTES, see_all=_SEE_ALL
        )
        typer.echo(text, nl=False)
        return
    newest = digest.newest(limit or None)
    if format is HistoryFormat.atom:
        _print_feed(reversed(newest), links, base_url)
    elif not style.print_rows(
        _COLUMNS, (_row(one, links) for one in newest), digest.as_dict(links.commit, limit or None)
    ):
        # it says itself where the history begins
        _print_changes(digest, LISTED if limit is None else limit)
        return
    _note_shallow(digest.begins)


def _print_changes(digest: Digest, limit: int) -> None:
    """Print a summary, and a line for each change, the newest first; a terminal cuts long ones."""
    chapter = digest.chapter()
    console = out()
    for text in (f"{chapter.title}: {chapter.summary}", *(f"  {note}" for note in chapter.notes)):
        console.print(visible(text).replace("\n", " "), soft_wrap=True)
    found = [one for one in digest.newest() if not one.is_first]
    for one in found[: limit or None]:
        details = "; ".join([*one.change.details, *(f"edited by {editor.author}" for editor in one.editors)])
        when = f"{one.commit.when[:10]} {one.commit.when[11:16]}"
        line = Text.assemble((f"{when}  ", "dim"), (one.session, "bold"), f"  {', '.join(one.change.what)}")
        line.append(visible(f": {details}").replace("\n", " ") if details else "", "dim")
        is_cut = console.is_terminal
        console.print(line, no_wrap=True, overflow="ellipsis", crop=is_cut, soft_wrap=not is_cut)
    if limit and len(found) > limit:
        console.print(f"... and {len(found) - limit:,} more ({_SEE_ALL})")


def _print_feed(found: Iterable[Transition], links: Links, base_url: Optional[str]) -> None:
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
    """Return URLs on GitHub; none if the commits are not known to be there."""
    if settings.state is None:
        return Links(settings.repo)
    return Links(repository_on_github(settings, settings.state))


def _note_shallow(begins: Optional[str]) -> None:
    if begins is not None:
        print_note(f"this is a shallow clone, whose history begins {begins}: {UNSHALLOW}")
