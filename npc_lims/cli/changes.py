"""`npc-lims diff`, `preview`, `history` and `export`: what changed, and what an edit will change."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

import typer
from rich.text import Text

from npc_lims.cli import ExitCode
from npc_lims.cli.options import BASE_URL, STATE_HERE, checkout, complete_session, reading_settings
from npc_lims.cli.output import (
    OutputStyle,
    out,
    print_error,
    print_note,
    print_warning,
    progress_bars,
    style_options,
)
from npc_lims.clients.git import Repository, find_repository, repository_on_github
from npc_lims.config.settings import TRACKED_FILE, Settings, load_settings
from npc_lims.errors import GitError, NpcLimsError, TrackedFileError
from npc_lims.history.atom_feed import render_feed
from npc_lims.history.export import ExportFormat, choose_target, export_history
from npc_lims.history.session_history import (
    UNSHALLOW,
    SessionHistory,
    read_session_history,
    repository_of,
    shallow_since,
)
from npc_lims.history.transitions import Digest, Transition
from npc_lims.history.walk import read_history
from npc_lims.sources.tracked.parser import read_tracked
from npc_lims.state.compare import (
    WORKING_TREE,
    StateDiff,
    StateVersion,
    compare_states,
    state_at_commit,
    state_in_folder,
    state_on_github,
)
from npc_lims.state.diff_format import LISTED, SUMMARY_BYTES, Chapter, Format, render_chapters
from npc_lims.state.store import read_state
from npc_lims.track.compare import Preview, TrackedDiff, compare_tracked, decode_tracked, preview, tracked_on_github
from npc_lims.utils.text import one_line
from npc_lims.utils.urls import Links

_COLUMNS = ("of", "group", "id", "what", "details")
_HISTORY_COLUMNS = ("session", "when", "group", "what", "details", "editors", "commit", "address", "run")
_FORMAT = typer.Option(Format.text, help="markdown is for pull requests and job summaries; json is --json.")
_STYLE = style_options("an object that holds everything", _COLUMNS)
_Part = Union[StateDiff, TrackedDiff, Preview]
_LIMIT = typer.Option(LISTED, min=0, help="Maximum number of sessions for each kind of change; 0 for all.")


class What(str, enum.Enum):
    all = "all"
    state = "state"
    tracked = "tracked"


class Side(NamedTuple):
    """One of two versions to compare, and functions that read its parts: only what is compared is read."""

    name: str
    state: Callable[[], StateVersion]
    tracked: Callable[[], Optional[bytes]]


def diff_command(
    ref_a: Optional[str] = typer.Argument(None, help="Commit, branch or tag. Default: HEAD."),
    ref_b: Optional[str] = typer.Argument(None, help="Another one. Default: the files as they are on disk."),
    what: What = typer.Option(What.all, help="Compare state/, tracked_sessions.yaml, or both."),
    format: Format = _FORMAT,
    limit: int = _LIMIT,
    github: bool = typer.Option(False, "--github", help="The refs are those of NPC_LIMS_REPO on GitHub."),
    style: OutputStyle = _STYLE,
) -> None:
    """Show what changed between two versions, session by session.

    Counts come first, then each field. Outside of a checkout, refs are those on GitHub.

    Reads state/ and tracked_sessions.yaml of both versions; writes nothing. Needs no credentials; on GitHub
    GITHUB_TOKEN raises the limit of requests.

    Exits with 0 if the two could be compared, whether they differ or not.

    \b
    Examples:
      npc-lims diff
      npc-lims diff HEAD~5 HEAD --what state
      npc-lims diff v1.0.0 main --github --format markdown
    """
    style = style.combined(format.value)
    old, new = _sides(ref_a, ref_b, github)
    found: dict[str, _Part] = {}
    if what is not What.state:
        found["tracked"] = compare_tracked(old.tracked(), new.tracked(), (old.name, new.name))
    if what is not What.tracked:
        found["state"] = compare_states(old.state(), new.state())
    _print(found, format, limit, style)


def preview_command(
    base: Optional[str] = typer.Argument(
        None, help="Commit, branch or tag. Default: where this branch left origin's default branch, else HEAD."
    ),
    format: Format = _FORMAT,
    limit: int = _LIMIT,
    style: OutputStyle = _STYLE,
) -> None:
    """Show what edits of tracked_sessions.yaml will do to state.

    Lists the sessions that will appear, change or be removed because of the edits since BASE.

    Reads the file as it is and as it was at BASE, and the state folder; writes nothing. Needs no credentials.

    Exits with 0 if there is a preview; with 1 if the file has errors.

    \b
    Examples:
      npc-lims preview
      npc-lims preview origin/main --format markdown
    """
    style = style.combined(format.value)
    home = checkout()
    repository = find_repository(home)
    try:
        now = read_tracked(home / TRACKED_FILE)
    except TrackedFileError as error:
        typer.echo(str(error), err=True)
        message = "there is no preview of a file with errors; npc-lims validate lists them: correct them first"
        print_error(message, annotate=False)  # validate has annotated them
        raise typer.Exit(ExitCode.PROBLEMS) from None
    commit = repository.commit_of(base) if base is not None else _default_base(repository)
    name = _name(base or "", commit)
    content = repository.read_file(commit, repository.path_of(home / TRACKED_FILE))
    before = decode_tracked(content or b"", name)
    if content is not None and any(problem.is_error for problem in before.problems):
        print_warning(f"{name}: its {TRACKED_FILE} has errors; the comparison uses what can be read of it")
    records = read_state(home / "state").records
    _print({"preview": preview(records, before.sessions, now.sessions, name)}, format, limit, style)


def _print(parts: dict[str, _Part], format: Format, limit: int, style: OutputStyle) -> None:
    rows = (row for name, part in parts.items() for row in _rows(name, part))
    if not style.print_rows(_COLUMNS, rows, {name: part.as_dict() for name, part in parts.items()}):
        _print_chapters([part.chapter() for part in parts.values()], format, limit)


def _print_chapters(chapters: Sequence[Chapter], format: Format, limit: int) -> None:
    """Print chapters as text, or as Markdown that fits into a summary of GitHub."""
    max_bytes = SUMMARY_BYTES if format is Format.markdown else sys.maxsize
    text = render_chapters(chapters, format, listed=limit or None, max_bytes=max_bytes, see_all="--limit 0 lists all")
    typer.echo(text, nl=False)


def _rows(name: str, part: _Part) -> Iterator[dict[str, Any]]:
    content = part.as_dict()
    if not isinstance(part, Preview):
        content = {"": content["changes"]}
    for fate, changes in content.items():
        if isinstance(changes, list):
            yield from ({**change, "of": name, "group": fate or change["group"]} for change in changes)


def _sides(ref_a: Optional[str], ref_b: Optional[str], github: bool) -> tuple[Side, Side]:
    if "" in (ref_a, ref_b):  # from an unset variable: the default would be wrong
        raise NpcLimsError("a ref without a name: give a commit, branch or tag, or leave it out")
    home = checkout()
    try:
        repository = None if github else find_repository(home)
    except GitError as error:
        if ref_a is None:
            raise NpcLimsError(f"{error}; or name one or two refs on GitHub") from None
        print_note(f"{home} is in no git checkout: the refs are those on GitHub")
        repository = None
    if repository is not None:
        before = _at_commit(repository, home, ref_a or "HEAD")
        return before, _on_disk(repository, home) if ref_b is None else _at_commit(repository, home, ref_b)
    settings = load_settings()
    if ref_a is None:
        raise NpcLimsError(f"name one or two refs of {settings.repo}; the second is {settings.ref} if not given")
    return _on_github(settings, ref_a), _on_github(settings, ref_b or settings.ref)


def _at_commit(repository: Repository, home: Path, ref: str) -> Side:
    commit = repository.commit_of(ref)
    name = _name(ref, commit)
    folder, tracked = (repository.path_of(home / part) for part in ("state", TRACKED_FILE))
    read_state = partial(state_at_commit, repository, commit, folder, name)
    return Side(name, read_state, partial(repository.read_file, commit, tracked))


def _on_disk(repository: Repository, home: Path) -> Side:
    tracked = home / TRACKED_FILE
    read_state = partial(state_in_folder, repository, home / "state")
    return Side(WORKING_TREE, read_state, lambda: tracked.read_bytes() if tracked.is_file() else None)


def _on_github(settings: Settings, ref: str) -> Side:
    read_state, read_tracked = partial(state_on_github, settings, ref), partial(tracked_on_github, settings, ref)
    return Side(f"{settings.repo}@{ref}", read_state, read_tracked)


def _default_base(repository: Repository) -> str:
    for name in ("origin/HEAD", "origin/main"):
        if repository.find_commit(name) is not None:
            return repository.fork_point(name)
    return repository.commit_of("HEAD")


def _name(ref: str, commit: str) -> str:
    return commit[:10] if commit.startswith(ref) else f"{ref} ({commit[:10]})"


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
    limit: int = _LIMIT,
    base_url: Optional[str] = BASE_URL,
    state: Optional[Path] = STATE_HERE,
    style: OutputStyle = style_options("an object that holds everything", _HISTORY_COLUMNS),
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
    style = style.combined(format.value)
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
    repository, folder = _checkout(settings, "an export is made of commits")
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
    if not style.print_rows(_HISTORY_COLUMNS, rows, history.as_dict(links.commit)):
        _print_session(history, links)
    _note_shallow(history.begins)


def _show_changes(
    settings: Settings, since: str, format: HistoryFormat, limit: int, base_url: Optional[str], style: OutputStyle
) -> None:
    repository, folder = _checkout(settings, "what happened to all sessions is read from commits")
    found = read_history(repository, folder=folder, since=since)
    links, begins = _links(settings), shallow_since(repository)
    digest = Digest(since, tuple(found), begins)
    if format is HistoryFormat.atom:
        _print_feed(digest.transitions, links, base_url)
    elif not style.print_rows(
        _HISTORY_COLUMNS, (_row(one, links) for one in digest.transitions), digest.as_dict(links.commit)
    ):
        # it says itself where the history begins
        _print_chapters([digest.chapter()], Format(format.value), limit)
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
