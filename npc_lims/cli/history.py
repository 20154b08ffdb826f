"""`npc-lims history`: one session's life, and what happened to all of them since some day."""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import typer

from npc_lims.cli.completion import complete_session
from npc_lims.cli.options import reading_settings
from npc_lims.cli.output import csv_option, json_option, one_style, out, print_csv, print_json, print_note
from npc_lims.errors import NpcLimsError
from npc_lims.state.diff import one_line
from npc_lims.state.diff_format import LISTED, SUMMARY_BYTES, render_chapters
from npc_lims.state.diff_format import Format as ReportFormat

if TYPE_CHECKING:
    from npc_lims.clients.git import Repository
    from npc_lims.config.settings import Settings
    from npc_lims.history.digest import Digest
    from npc_lims.history.session_history import SessionHistory
    from npc_lims.history.transitions import Transition
    from npc_lims.utils.urls import Links

__all__ = ["history_command"]

_COLUMNS = ("session", "when", "group", "what", "details", "editors", "commit", "address", "run")


class Format(str, enum.Enum):
    text = "text"
    markdown = "markdown"
    json = "json"
    atom = "atom"


def history_command(
    session: Optional[str] = typer.Argument(
        None, help="Any id, path or asset name of the session.", autocompletion=complete_session
    ),
    since: Optional[str] = typer.Option(
        None, metavar="AGE|DATE|REF", help="What happened to all sessions since: 24h, 7d, 2w, 2024-06-01, a commit."
    ),
    format: Format = typer.Option(Format.text, help="Of --since. json is --json; atom is a feed for news readers."),
    limit: int = typer.Option(LISTED, min=0, help="Most sessions to list of each kind of change; 0 for all."),
    base_url: Optional[str] = typer.Option(None, help="Address of the site, which an atom feed then links to."),
    state: Optional[Path] = typer.Option(None, help="State folder in a checkout. Default: that of this checkout."),
    as_json: bool = json_option("an object that holds everything"),
    as_csv: bool = csv_option(_COLUMNS),
) -> None:
    """Tell one session's life, or what happened since a day.

    Of a session: when it was first tracked, uploaded, sorted, sorted again, annotated, and who edited its entry.
    Dates are those of the syncs that saw it, and those that Code Ocean gives to data assets.

    Reads the commits of the checkout that holds state/; writes nothing. Without a checkout one session's history is
    asked of GitHub: a request for each of its changes, without who edited it. Needs no credentials; on GitHub
    GITHUB_TOKEN raises the limit from 60 requests an hour to 5,000.

    \b
    Examples:
      npc-lims history DRpilot_626791_20220815
      npc-lims history 626791_2022-08-15 --json
      npc-lims history --since 7d
      npc-lims history --since 2024-06-01 --format markdown --limit 0
    """
    one_style(json=as_json, csv=as_csv, format=format is not Format.text)
    settings = reading_settings(state)
    if (session is None) == (since is None):
        raise NpcLimsError("name a session, or with --since from when on; npc-lims history --help has examples")
    if session is not None:
        if format is not Format.text:
            raise NpcLimsError(f"--format {format.value} is of --since; one session's history has --json and --csv")
        _show_session(settings, session, as_json, as_csv)
    elif since is not None:
        chosen = Format.json if as_json else format
        _show_changes(settings, since, chosen, limit, base_url, as_csv)


def _show_session(settings: Settings, session: str, as_json: bool, as_csv: bool) -> None:
    from npc_lims.history.session_history import read_session_history

    history = read_session_history(settings, session)
    links = _links(settings)
    if as_json:
        print_json(history.as_dict(links.commit))
    elif as_csv:
        print_csv(_COLUMNS, (_row(one, links) for one in history.transitions))
    else:
        _print_session(history, links)
    _note_shallow(history.begins)


def _show_changes(
    settings: Settings, since: str, format: Format, limit: int, base_url: Optional[str], as_csv: bool
) -> None:
    from npc_lims.history.digest import digest_of
    from npc_lims.history.session_history import repository_of, shallow_since
    from npc_lims.history.walk import read_history

    if settings.state is None:
        raise NpcLimsError(
            "what happened to all sessions is read from commits, and here is no state folder: work in a clone of "
            f"the repository (git clone https://github.com/{settings.repo}), or name its state folder with --state"
        )
    repository = repository_of(settings.state)
    found = read_history(repository, folder=repository.path_of(settings.state), since=since)
    links = _links(settings, repository)
    begins = shallow_since(repository)
    if as_csv:
        print_csv(_COLUMNS, (_row(one, links) for one in found))
    elif format is Format.atom:
        _print_feed(found, links, base_url)
    else:
        _print_digest(digest_of(found, since, begins), format, limit, links)
        begins = None if format is not Format.json else begins
    _note_shallow(begins)


def _print_digest(digest: Digest, format: Format, limit: int, links: Links) -> None:
    if format is Format.json:
        print_json(digest.as_dict(links.commit))
        return
    style = ReportFormat(format.value)
    text = render_chapters(
        [digest.chapter()],
        style,
        listed=limit or None,
        max_bytes=SUMMARY_BYTES if format is Format.markdown else sys.maxsize,
        see_all="--limit 0 lists all",
    )
    typer.echo(text, nl=False)


def _print_feed(found: Iterator[Transition], links: Links, base_url: Optional[str]) -> None:
    from npc_lims.history.atom_feed import render_feed
    from npc_lims.utils.urls import web_address

    if base_url is not None and web_address(base_url) is None:
        raise NpcLimsError(f"--base-url {base_url}: not an address such as https://example.org/sessions/")
    content = render_feed(found, links.repository, base=base_url, address_of=links.commit)
    # the feed says that it is UTF-8, whatever the code page of a Windows pipe
    if hasattr(sys.stdout, "buffer"):
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
    else:
        sys.stdout.write(content.decode())


def _print_session(history: SessionHistory, links: Links) -> None:
    from rich.text import Text

    console = out()
    console.print(Text(history.session, "bold"), f"{history.place}, {_counted(history)}")
    firsts = {event.name: event for event in reversed(history.events)}
    for event in sorted(firsts.values(), key=history.events.index):
        when = f"before {event.commit.when[:10]}" if event.when is None else event.when[:10]
        made = f", made {one_line(event.created[:10])}" if event.created and event.created[:10] != when else ""
        console.print(f"  {event.name:<24}{when}{made}")
    for one in history.transitions:
        console.print()
        console.print(Text(f"{one.commit.when[:10]} {one.commit.when[11:16]} UTC", "bold"), ", ".join(one.change.what))
        for line in _lines(one, links):
            console.print(f"  {line}", soft_wrap=True)


def _counted(history: SessionHistory) -> str:
    count = len(history.transitions)
    return f"{count} {'entry' if count == 1 else 'entries'} in its history, the oldest first"


def _lines(one: Transition, links: Links) -> Iterator[str]:
    yield from one.change.details
    yield from (one_line(f"{kind} made {created}") for kind, created in one.created)
    for editor in one.editors:
        yield f"edited by {editor.author}, {editor.when[:10]}: {editor.subject} ({_place(editor.sha, links)})"
    yield _place(one.commit.sha, links)
    if one.commit.run:
        yield one.commit.run


def _place(sha: str, links: Links) -> str:
    return links.commit(sha) or f"commit {sha[:10]}"


def _row(one: Transition, links: Links) -> dict[str, Any]:
    return {
        "session": one.session,
        "when": one.commit.when,
        "group": one.change.group,
        "what": one.change.what,
        "details": one.change.details,
        "editors": [editor.author for editor in one.editors],
        "commit": one.commit.sha,
        "address": links.commit(one.commit.sha),
        "run": one.commit.run,
    }


def _links(settings: Settings, repository: Optional[Repository] = None) -> Links:
    """Addresses on GitHub; none where the commits are on this machine alone."""
    from npc_lims.history.session_history import repository_of
    from npc_lims.utils.urls import Links

    if repository is None and settings.state is not None:
        repository = repository_of(settings.state)
    is_published = repository is None or bool(repository.line("remote"))
    return Links(settings.repo if is_published else None)


def _note_shallow(begins: Optional[str]) -> None:
    from npc_lims.history.session_history import UNSHALLOW

    if begins is not None:
        print_note(f"this is a shallow clone, whose history begins {begins}: {UNSHALLOW}")
