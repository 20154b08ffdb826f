"""`npc-lims diff` and `preview`: what changed, and what an edit will change."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

import typer

from npc_lims.cli import ExitCode
from npc_lims.cli.options import checkout
from npc_lims.cli.output import (
    OutputStyle,
    print_error,
    print_note,
    print_warning,
    style_options,
)
from npc_lims.clients.git import Repository, find_repository
from npc_lims.config.settings import TRACKED_FILE, Settings, load_settings
from npc_lims.errors import GitError, NpcLimsError, TrackedFileError
from npc_lims.sources.tracked.parser import read_tracked
from npc_lims.state.as_of import find_ref
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
    ref_a: Optional[str] = typer.Argument(None, help="Commit, branch or tag; or a date or an age (7d). Default: HEAD."),
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
      npc-lims diff 7d
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
    commit = repository.commit_of(find_ref(repository, ref))
    name = _name(ref, commit)
    folder, tracked = (repository.path_of(home / part) for part in ("state", TRACKED_FILE))
    read_state = partial(state_at_commit, repository, commit, folder, name)
    return Side(name, read_state, partial(repository.read_file, commit, tracked))


def _on_disk(repository: Repository, home: Path) -> Side:
    tracked = home / TRACKED_FILE
    read_state = partial(state_in_folder, repository, home / "state")
    return Side(WORKING_TREE, read_state, lambda: tracked.read_bytes() if tracked.is_file() else None)


def _on_github(settings: Settings, ref: str) -> Side:
    commit = find_ref(settings, ref)
    read_state, read_tracked = partial(state_on_github, settings, commit), partial(tracked_on_github, settings, commit)
    return Side(f"{settings.repo}@{ref}", read_state, read_tracked)


def _default_base(repository: Repository) -> str:
    for name in ("origin/HEAD", "origin/main"):
        if repository.find_commit(name) is not None:
            return repository.fork_point(name)
    return repository.commit_of("HEAD")


def _name(ref: str, commit: str) -> str:
    return commit[:10] if commit.startswith(ref) else f"{ref} ({commit[:10]})"
