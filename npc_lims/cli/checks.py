"""`npc-lims validate` and `npc-lims verify`: what people edit, and what the sync wrote."""

from __future__ import annotations

import dataclasses
import enum
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import typer

from npc_lims.cli.places import checkout
from npc_lims.problems import Problem
from npc_lims.sources import TRACKED_FILE

__all__ = ["validate_command", "verify_command"]

_MOST_LISTED = 30

_EDITED = (
    "by hand: state is what the sync saw, and the next sync undoes it. Correct a fact where it comes from "
    "(tracked: tracked_sessions.yaml; training: the workbook; codeocean, s3: Code Ocean), or open an issue "
    "'Report a wrong fact'."
)
_RUN_EDITED = (
    "by hand: runs are recorded as they are started and end, and one that is changed here is started twice or lost. "
    "To have a session run once more: npc-lims process run PROCESS --sessions SESSION --again."
)


class Format(str, enum.Enum):
    text = "text"
    github = "github"


_FORMAT = typer.Option(Format.text, help="text, or github for annotations on the lines of a pull request.")


def validate_command(
    file: Optional[Path] = typer.Argument(None, help="Default: tracked_sessions.yaml of this checkout."),
    format: Format = _FORMAT,
    base: Optional[str] = typer.Option(
        None, help="File, commit, branch or tag: warnings that are there already are only counted, new ones fail."
    ),
) -> None:
    """Check a tracked sessions file, and the pipelines.yaml beside it if there is one: every problem with its line,
    as `file:line:col: severity: message`.

    Exits with 1 if there are errors; warnings alone are listed and accepted, or with --base refused if new.

    Example: npc-lims validate tracked_sessions.yaml --base origin/main
    """
    from npc_lims.errors import TrackedFileError
    from npc_lims.review.report import counted
    from npc_lims.sources.tracked import read_tracked

    path = _default_file() if file is None else file
    try:
        tracked = read_tracked(path)
        problems, sessions = tracked.problems, f"{counted(len(tracked.sessions), 'session')}, "
    except TrackedFileError as error:
        problems, sessions = error.problems, ""
    new, known = (list(problems), []) if base is None else _compared(path, problems, base)
    known_errors = [_known_error(problem) for problem in known if problem.is_error]
    _tell(sorted([*new, *known_errors]), format)
    errors = sum(problem.is_error for problem in problems)
    warnings = sum(not problem.is_error for problem in new)
    told = f"{counted(errors, 'error')}, {counted(warnings, 'warning' if base is None else 'new warning')}"
    more = "" if base is None else f", {len(known) - len(known_errors)} known"
    typer.echo(f"{path}: {sessions}{told}{more}", err=True)
    are_pipelines_good = _check_pipelines(path.parent, format)
    if errors or (base is not None and warnings) or not are_pipelines_good:
        raise typer.Exit(1)


def verify_command(
    state: Optional[Path] = typer.Option(None, help="State folder. Default: that of this checkout."),
    since: Optional[str] = typer.Option(
        None, help="Commit, branch or tag: refuse whatever was edited in the folder since this one left it."
    ),
    format: Format = _FORMAT,
) -> None:
    """Check that the snapshot and the session files say the same, and that every file parses, those of runs as well.

    Exits with 1 if anything is wrong.

    Example: npc-lims verify --since origin/main
    """
    from npc_lims.errors import StateError
    from npc_lims.processing.runs_file import verify_runs
    from npc_lims.review.report import counted
    from npc_lims.state.snapshot import SNAPSHOT
    from npc_lims.state.store import verify_state
    from npc_lims.state.sync_file import read_sync_file

    folder = checkout() / "state" if state is None else state
    edited = [] if since is None else _hand_edits(folder, since)
    for edit in edited[:_MOST_LISTED]:
        typer.echo(edit.as_github_annotation() if format is Format.github else str(edit))
    if len(edited) > _MOST_LISTED:
        typer.echo(f"... and {len(edited) - _MOST_LISTED:,} more files edited by hand")
    wrong = verify_state(folder)
    try:
        read_sync_file(folder)
    except StateError as error:
        wrong.append(str(error))
    wrong += verify_runs(folder)
    problems = [Problem(str(folder), 1, 1, "error", text) for text in wrong]
    for problem in problems:
        typer.echo(problem.as_github_annotation() if format is Format.github else problem.message)
    if edited or problems:
        typer.echo(f"{folder}: {counted(len(edited) + len(problems), 'problem')}", err=True)
        raise typer.Exit(1)
    count = (folder / SNAPSHOT).read_bytes().count(b"\n")
    typer.echo(f"{folder}: {counted(count, 'session')}, all files and the snapshot agree")


def _tell(problems: Sequence[Problem], format: Format) -> None:
    for problem in problems:
        typer.echo(problem.as_github_annotation() if format is Format.github else str(problem))


def _check_pipelines(folder: Path, format: Format) -> bool:
    """Whether the pipelines.yaml of *folder* can be used; true if there is none. Its problems are told."""
    from npc_lims.errors import PipelinesError
    from npc_lims.processing.pipelines import PIPELINES_FILE, read_pipelines
    from npc_lims.review.report import counted

    path = folder / PIPELINES_FILE
    if not path.exists():
        return True
    try:
        count = len(read_pipelines(path))
        told = f"{count:,} process{'' if count == 1 else 'es'}, 0 errors"
        problems: Sequence[Problem] = ()
    except PipelinesError as error:
        problems = error.problems
        told = counted(len(problems), "error")
    _tell(problems, format)
    typer.echo(f"{path}: {told}", err=True)
    return not problems


def _default_file() -> Path:
    """The tracked file of this checkout: by its name alone where one stands, which is how GitHub names it."""
    home = checkout()
    return Path(TRACKED_FILE) if home == Path.cwd() else home / TRACKED_FILE


def _compared(path: Path, problems: Sequence[Problem], base: str) -> tuple[list[Problem], list[Problem]]:
    """New and known problems. *base* is a file, or a commit that has one at the path of *path*."""
    from npc_lims.git import find_repository
    from npc_lims.review.baseline import split_known
    from npc_lims.review.tracked import decode_tracked

    content: Optional[bytes]
    if Path(base).is_file():
        content = Path(base).read_bytes()
    else:
        repository = find_repository(path)
        content = repository.read_file(repository.commit_of(base), repository.path_of(path))
    if content is None:
        typer.echo(f"npc-lims: {base} has no {path.name}: all of it counts as new", err=True)
        return list(problems), []
    text = path.read_bytes().decode("utf-8-sig", "replace") if path.is_file() else ""
    known = decode_tracked(content, base).problems
    return split_known(problems, text, known, content.decode("utf-8-sig", "replace"))


def _known_error(problem: Problem) -> Problem:
    return dataclasses.replace(problem, message=f"{problem.message} (the base has this error too)")


def _hand_edits(folder: Path, since: str) -> list[Problem]:
    """Files of a state folder that are not as they were, each with the reason why that is refused."""
    from npc_lims.git import find_repository
    from npc_lims.processing.runs_file import RUNS
    from npc_lims.state.files import TEMPORARY

    repository = find_repository(folder)
    base = repository.fork_point(since)
    inside = repository.path_of(folder)
    changed = repository.changed_since(base, inside)
    quoted = shlex.quote(inside)
    undo = f"To undo: git restore --source={base[:10]} --staged --worktree -- {quoted}"
    if any(how == "added" for how in changed.values()):
        undo += f" && git clean -f -d -- {quoted}"
    return [
        Problem(path, 1, 1, "error", f"{how} {_RUN_EDITED if path.startswith(f'{inside}/{RUNS}/') else _EDITED} {undo}")
        for path, how in changed.items()
        if not path.rpartition("/")[2].startswith(TEMPORARY)
    ]
