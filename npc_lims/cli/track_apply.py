"""Changes of the tracked file, as the `track` commands show, write or propose them."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import io
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional
from urllib.parse import quote

import typer
from rich.console import Console

from npc_lims.cli.options import checkout
from npc_lims.cli.output import OutputStyle, err, out, print_note
from npc_lims.clients.github_pull_requests import Proposal, Revised, propose
from npc_lims.config.settings import TRACKED_FILE, Settings, load_settings
from npc_lims.errors import NpcLimsError
from npc_lims.utils.atomic_write import write_atomically

MAX_BODY = 50_000
"""Bytes of the list of changes in a pull request; GitHub refuses bodies of more than 65,536 characters."""
_MOST_LINES = 60
_LONGEST_BRANCH = 120
_STYLES = {"+": "green", "-": "red", "@": "cyan"}


@dataclasses.dataclass(frozen=True)
class Outcome(Revised):
    """A changed file, with notes and a list of what was done, as lines and for programs as rows."""

    notes: Sequence[str] = ()
    listed: Sequence[str] = ()
    rows: Sequence[Mapping[str, Any]] = ()


Revision = Callable[[str, str], Outcome]
"""Revises the text of the file of a name."""


@dataclasses.dataclass(frozen=True)
class Target:
    """Options of all commands: the file that is changed, and how the change is proposed."""

    tracked: Optional[Path] = typer.Option(None, help="Default: tracked_sessions.yaml of this checkout.")
    dry_run: bool = typer.Option(False, "--dry-run", help="Show the diff; write nothing.")
    pr: bool = typer.Option(
        False,
        "--pr",
        help="Open or update a pull request, based on the newest version of the file on GitHub. "
        "Needs GITHUB_TOKEN; without it the local file is changed.",
    )
    branch: Optional[str] = typer.Option(
        None,
        help="Branch of the pull request. Default: one named after the change, so that the same again updates its "
        "pull request.",
    )
    base: Optional[str] = typer.Option(
        None, help="Branch that the pull request is to change. Default: that of the repository."
    )


def apply_or_propose(
    change: Revision,
    target: Target,
    name: str,
    title: str,
    style: OutputStyle = OutputStyle(),
    columns: Sequence[str] = (),
) -> None:
    """Print the diff of a change; or open or update a pull request on the newest file of the base branch; or, also
    without a token, write the file, and print the git commands to go on with.

    The branch has the *name* of the change unless *target* names one. The last call of *change* counts.
    """
    settings = load_settings()
    branch, title = target.branch or branch_name(name), f"track: {title}"
    console = out() if style.is_text else err()

    def report(outcome: Outcome) -> None:
        if not style.is_text:
            style.print_rows(columns, outcome.rows)
            return
        for note in outcome.notes:
            print_note(note)
        for line in outcome.listed:
            console.print(line, soft_wrap=True)

    if target.pr and not target.dry_run and settings.github_token is not None:
        outcome, message = _propose(settings, change, target.base, branch, title)
        report(outcome)
        console.print(message, soft_wrap=True)
        return
    tracked = checkout() / TRACKED_FILE if target.tracked is None else target.tracked
    old = _read_text(tracked)
    outcome = change(old, str(tracked))
    if outcome.text == old:
        report(outcome)
        console.print(f"{tracked}: nothing to change", soft_wrap=True)
        return
    if not target.dry_run:
        _refuse_read_only(tracked)
    _print_diff(console, old, outcome.text, tracked.name, None if target.dry_run else _MOST_LINES)
    report(outcome)
    if target.dry_run:
        return
    if _read_text(tracked) != old:
        raise NpcLimsError(f"{tracked}: changed by somebody else meanwhile; nothing is written, give the command again")
    _write(tracked, outcome.text)
    if target.pr:
        console.print(
            "\nGITHUB_TOKEN is not set, so no pull request was opened; the file here is changed.", soft_wrap=True
        )
    _print_next_steps(console, settings.repo, tracked, target.base, branch, title)


def branch_name(name: str) -> str:
    """Return the branch of a change: equal for equal names, so that a repeated change updates its pull request."""
    # no dots: git refuses some, such as two in a row or .lock at the end
    name = "track/" + re.sub(r"[^A-Za-z0-9_-]+", "_", name)
    if len(name) <= _LONGEST_BRANCH:
        return name
    return f"{name[: _LONGEST_BRANCH - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def code(text: str) -> str:
    """Return *text* as code in a line of Markdown."""
    return f"`{' '.join(text.replace('`', chr(39)).split())}`"


def _read_text(path: Path) -> str:
    """Return the content of the file, with its byte order mark and its line breaks as they are."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise NpcLimsError(f"{path}: there is no such file; name one with --tracked") from None
    except OSError as error:
        raise NpcLimsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise NpcLimsError(f"{path}:{line}: not UTF-8; npc-lims validate shows where, save the file as UTF-8") from None


def _refuse_read_only(path: Path) -> None:
    """Refuse a read-only file: it would be replaced by another whatever its mode."""
    if not (path.stat().st_mode & 0o222 and os.access(path, os.W_OK)):
        raise NpcLimsError(f"{path}: is read-only, so nothing is written; make it writable, or propose with --pr")


def _write(path: Path, text: str) -> None:
    path = path.resolve()  # of a link, the file behind it
    mode = path.stat().st_mode
    try:
        write_atomically(path, text.encode("utf-8"))
        if path.stat().st_mode != mode:
            path.chmod(mode)
    except OSError as error:
        raise NpcLimsError(f"{path}: cannot be written: {error.strerror or error}") from None


def _propose(settings: Settings, change: Revision, base: Optional[str], branch: str, title: str) -> tuple[Outcome, str]:
    """Return the change, and a message about its pull request."""
    outcomes: list[Outcome] = []

    def revise(text: str) -> Outcome:
        outcomes.append(change(text, TRACKED_FILE))
        return outcomes[-1]

    proposed = propose(settings, Proposal(branch, title, TRACKED_FILE, revise, base))
    if proposed.number is None:
        return outcomes[-1], f"nothing to change in {proposed.url}"
    what = "opened" if proposed.is_new else "updated" if proposed.is_changed else "is up to date"
    return outcomes[-1], f"pull request {what}: {proposed.url}"


def _print_diff(console: Console, old: str, new: str, name: str, most: int | None) -> None:
    lines = list(difflib.unified_diff(_lines(old), _lines(new), f"a/{name}", f"b/{name}"))
    for number, line in enumerate(lines[:most]):
        style = "bold" if number < 2 else _STYLES.get(line[:1])
        console.print(line.rstrip("\r\n"), style=style, soft_wrap=True)
        if not line.endswith("\n"):
            console.print("\\ No newline at end of file")
    if most is not None and len(lines) > most:
        console.print(f"... and {len(lines) - most} lines more: git diff shows them all")


def _lines(text: str) -> list[str]:
    return io.StringIO(text, newline="\n").readlines()


def _print_next_steps(console: Console, repo: str, tracked: Path, base: Optional[str], branch: str, title: str) -> None:
    console.print("\nTo propose this change:")
    for command in (
        f"git switch -c {shlex.quote(branch)}",
        f"git add {shlex.quote(str(tracked))}",
        f"git commit -m {shlex.quote(title)}",
        f"git push -u origin {shlex.quote(branch)}",
    ):
        console.print(f"  {command}", soft_wrap=True)
    compared = quote(branch) if base is None else f"{quote(base)}...{quote(branch)}"
    console.print(f"and open https://github.com/{repo}/compare/{compared}?expand=1", soft_wrap=True)
