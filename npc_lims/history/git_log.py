"""The commits of a branch, and what each changed, as `git log` tells it: read once, while it is printed."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

from npc_lims.clients.git import Repository
from npc_lims.utils.text import single_line
from npc_lims.utils.timestamps import utc_text
from npc_lims.utils.urls import web_address

__all__ = [
    "RUN_TRAILER",
    "Changed",
    "Commit",
    "Logged",
    "commits_of",
    "log_changes",
    "newest_before",
    "printable",
]

RUN_TRAILER = "Npc-Lims-Run"
"""The trailer of a commit of state that names the workflow run that made it."""

_FIELDS = ("%H", "%P", "%ct", "%an", "%s", f"%(trailers:key={RUN_TRAILER},valueonly,separator=%x20)")
# %x01 begins a commit, which no path does that anybody has
_FORMAT = "%x01" + "%x00".join(_FIELDS)
_NOTHING = re.compile("0+")
_CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True)
class Commit:
    """One commit.

    Attributes:
        sha: Its full id.
        when: When it was committed: UTC, `YYYY-MM-DDTHH:MM:SSZ`.
        author: Name of its author, never an address.
        subject: The first line of its message.
        run: Address of the workflow run that made it, if it names one.
    """

    sha: str
    when: str
    author: str
    subject: str
    run: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Changed:
    """One file that a commit changed: ids of its blobs, None where there was or is no such file."""

    path: str
    before: str | None
    after: str | None


@dataclasses.dataclass(frozen=True)
class Logged:
    """A commit and the files that it changed, compared with its first parent."""

    commit: Commit
    parents: tuple[str, ...]
    changed: Sequence[Changed]


def log_changes(
    repository: Repository, commits: Sequence[str], paths: Iterable[str], *, first_parent: bool = True
) -> Iterator[Logged]:
    """The commits that changed one of *paths*, the oldest first.

    Args:
        commits: Which, as `git log` is told: a commit, or `a..b`.
        paths: Files and folders of the repository, with forward slashes; no patterns.
        first_parent: Only the commits of the branch itself, merges as what they brought to it; else all commits
            that are no merges.

    Raises:
        GitError: git could not read them.
    """
    line = ("--first-parent", "--diff-merges=first-parent") if first_parent else ("--no-merges", "--topo-order")
    # whatever the user's settings say of logs
    plain = ("--no-show-signature", "--no-follow", "--no-relative", "--no-renames", "--encoding=UTF-8")
    shown = ("--reverse", "--root", "--raw", "-z", "--no-abbrev", f"--format={_FORMAT}")
    command = ("log", *line, *plain, *shown, *commits, "--", *map(literal, paths))
    with repository.printing(*command) as output:
        yield from _parse(_parts(output))


def literal(path: str) -> str:
    """*path* as git takes it from any folder of the repository, and for no pattern."""
    return f":(top,literal){path}"


def commits_of(repository: Repository, commits: str) -> list[str]:
    """Ids of the commits of the branch itself, the oldest first."""
    return repository.run("rev-list", "--first-parent", "--reverse", commits, "--").decode().split()


def newest_before(repository: Repository, ref: str, moment: datetime.datetime) -> str | None:
    """The newest commit of the branch that was committed before *moment*; None if all are later."""
    latest = int(moment.timestamp()) - 1
    if latest < 0:
        return None  # git has no commits from before 1970
    return repository.line("rev-list", "--first-parent", "-1", f"--min-age={latest}", ref, "--") or None


def _parts(output: IO[bytes]) -> Iterator[str]:
    """What stands between the null bytes."""
    rest = b""
    while chunk := output.read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\0")
        for part in whole:
            yield part.decode("utf-8", "surrogateescape")
    yield rest.decode("utf-8", "surrogateescape")


def _parse(parts: Iterator[str]) -> Iterator[Logged]:
    head: list[str] = []
    changed: list[Changed] = []
    for part in parts:
        # a line feed ends the message, where the changes begin
        part = part.lstrip("\n")
        if part.startswith("\x01"):
            if head:
                yield _logged(head, changed)
            head, changed = [part[1:], *(next(parts) for _ in _FIELDS[1:])], []
        elif part.startswith(":"):
            _, _, before, after, _ = part.split(" ")
            changed.append(Changed(next(parts), _blob(before), _blob(after)))
    if head:
        yield _logged(head, changed)


def _logged(head: Sequence[str], changed: Sequence[Changed]) -> Logged:
    sha, parents, seconds, author, subject, run = (printable(part) for part in head)
    commit = Commit(sha, utc_text(int(seconds)), author, subject, web_address(run))
    return Logged(commit, tuple(parents.split()), changed)


def _blob(sha: str) -> str | None:
    return None if _NOTHING.fullmatch(sha) else sha


def printable(text: str) -> str:
    """*text* as one line that every encoding and terminal can take: whoever commits may write what they like."""
    return single_line(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
