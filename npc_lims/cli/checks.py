"""`npc-lims validate` and `npc-lims verify`: what people edit, and what the sync wrote."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Optional

import typer

from npc_lims.cli.places import TRACKED_FILE, checkout

__all__ = ["validate_command", "verify_command"]


class Format(str, enum.Enum):
    text = "text"
    github = "github"


def validate_command(
    file: Optional[Path] = typer.Argument(None, help="Default: tracked_sessions.yaml of this checkout."),
    format: Format = typer.Option(Format.text, help="text, or github for annotations on the lines of a pull request."),
) -> None:
    """Check a tracked sessions file: every problem with its line, as `file:line:col: severity: message`.

    Exits with 1 if there are errors; warnings alone are listed and accepted.

    Example: npc-lims validate tracked_sessions.yaml
    """
    from npc_lims.errors import TrackedFileError
    from npc_lims.sources.tracked import read_tracked

    path = checkout() / TRACKED_FILE if file is None else file
    try:
        tracked = read_tracked(path)
        problems, sessions = tracked.problems, f"{len(tracked.sessions)} sessions, "
    except TrackedFileError as error:
        problems, sessions = error.problems, ""
    for problem in problems:
        typer.echo(problem.as_github_annotation() if format is Format.github else str(problem))
    errors = sum(problem.is_error for problem in problems)
    typer.echo(f"{path}: {sessions}{_count(errors, 'error')}, {_count(len(problems) - errors, 'warning')}", err=True)
    if errors:
        raise typer.Exit(1)


def verify_command(
    state: Optional[Path] = typer.Option(None, help="State folder. Default: that of this checkout."),
) -> None:
    """Check that the snapshot and the session files say the same, and that every file parses.

    Exits with 1 if anything is wrong.

    Example: npc-lims verify --state state
    """
    from npc_lims.state.snapshot import SNAPSHOT
    from npc_lims.state.store import verify_state
    from npc_lims.state.sync_file import read_sync_file

    folder = checkout() / "state" if state is None else state
    problems = verify_state(folder)
    for problem in problems:
        typer.echo(problem)
    if problems:
        typer.echo(f"{folder}: {_count(len(problems), 'problem')}", err=True)
        raise typer.Exit(1)
    read_sync_file(folder)
    count = (folder / SNAPSHOT).read_bytes().count(b"\n")
    typer.echo(f"{folder}: {_count(count, 'session')}, all files and the snapshot agree")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
