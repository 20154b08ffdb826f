"""What the `track` commands do with a change of the tracked file: show it, write it, or propose it."""

from __future__ import annotations

import difflib
import io
import shlex
from collections.abc import Callable
from pathlib import Path

from npc_lims.cli.console import out
from npc_lims.errors import NpcLimsError
from npc_lims.settings import Settings, load_settings
from npc_lims.state.files import write_atomically

__all__ = ["apply_or_propose", "read_text"]

_MOST_LINES = 60
_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def apply_or_propose(
    change: Callable[[str], str], *, tracked: Path, dry_run: bool, pr: bool, branch: str, title: str, body: str
) -> None:
    """Print the diff that *change* makes and write nothing (*dry_run*); or open or update a pull request (*pr*);
    or change the file, and tell how to go on with git.

    A pull request is made on the base branch's newest file, whatever *tracked* holds. Without a
    token there can be none: then the file is changed as without *pr*.

    Raises:
        NpcLimsError: The file cannot be read or changed as asked; it is as it was.
    """
    settings = load_settings()
    if pr and not dry_run and settings.github_token is not None:
        _propose(settings, change, branch, title, body)
        return
    old = read_text(tracked)
    new = change(old)
    if new == old:
        out().print(f"{tracked}: nothing to change, it says so already", soft_wrap=True)
        return
    _print_diff(old, new, tracked.name, None if dry_run else _MOST_LINES)
    if dry_run:
        return
    if read_text(tracked) != old:
        raise NpcLimsError(f"{tracked}: changed by somebody else meanwhile; nothing is written, give the command again")
    _write(tracked, new)
    if pr:
        out().print(
            "\nGITHUB_TOKEN is not set, so no pull request was opened; the file here is changed.", soft_wrap=True
        )
    _print_next_steps(settings, tracked, branch, title)


def read_text(path: Path) -> str:
    """The file with its byte order mark and its line breaks as they are.

    Raises:
        NpcLimsError: It cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise NpcLimsError(f"{path}: there is no such file; name one with --tracked") from None
    except OSError as error:
        raise NpcLimsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise NpcLimsError(f"{path}:{line}: not UTF-8; npc-lims validate tells where, save the file as UTF-8") from None


def _write(path: Path, text: str) -> None:
    path = path.resolve()  # of a link, the file behind it
    mode = path.stat().st_mode
    try:
        write_atomically(path, text.encode("utf-8"))
        if path.stat().st_mode != mode:
            path.chmod(mode)
    except OSError as error:
        raise NpcLimsError(f"{path}: cannot be written: {error.strerror or error}") from None


def _propose(settings: Settings, change: Callable[[str], str], branch: str, title: str, body: str) -> None:
    from npc_lims.github import Proposal, propose

    proposal = Proposal(branch=branch, title=title, body=body, path="tracked_sessions.yaml", change=change)
    proposed = propose(settings, proposal)
    if proposed.number is None:
        said = f"nothing to change: {proposed.url} says so already"
    else:
        what = "opened" if proposed.is_new else "updated" if proposed.is_changed else "is up to date"
        said = f"pull request {what}: {proposed.url}"
    out().print(said, soft_wrap=True)


def _print_diff(old: str, new: str, name: str, most: int | None) -> None:
    console = out()
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


def _print_next_steps(settings: Settings, tracked: Path, branch: str, title: str) -> None:
    console = out()
    console.print("\nTo propose this change:")
    for command in (
        f"git switch -c {branch}",
        f"git add {shlex.quote(str(tracked))}",
        f'git commit -m "{title}"',
        f"git push -u origin {branch}",
    ):
        console.print(f"  {command}", soft_wrap=True)
    console.print(f"and open https://github.com/{settings.repo}/compare/{branch}?expand=1", soft_wrap=True)
