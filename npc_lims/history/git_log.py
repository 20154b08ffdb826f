"""Commits of a branch and the files that each changed, parsed while `git log` prints them."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

from npc_lims.clients.git import Repository
from npc_lims.errors import GitError, NpcLimsError
from npc_lims.state.revision import RUN_TRAILER, Commit
from npc_lims.utils.text import single_line
from npc_lims.utils.timestamps import utc_text, utc_time
from npc_lims.utils.urls import web_address

_FIELDS = ("%H", "%P", "%ct", "%an", "%s", f"%(trailers:key={RUN_TRAILER},valueonly,separator=%x20)")
# %x01 begins a commit, which no path does that anybody has
_FORMAT = "%x01" + "%x00".join(_FIELDS)
_NOTHING = re.compile("0+")
_CHUNK = 1 << 20

_AGE = re.compile(r"([0-9]{1,5})\s*([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
# Python 3.11 takes 20240601 and 2024-W22, too, of which the one may be a commit
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?")


@dataclasses.dataclass(frozen=True)
class FileChange:
    """A file that a commit changed: ids of its blobs, None where there was or is no such file."""

    path: str
    before: str | None
    after: str | None


@dataclasses.dataclass(frozen=True)
class LoggedCommit:
    """A commit and the files that it changed, compared with its first parent."""

    commit: Commit
    parents: tuple[str, ...]
    changed: Sequence[FileChange]


def log_changes(
    repository: Repository, commits: Sequence[str], paths: Iterable[str], *, first_parent: bool = True
) -> Iterator[LoggedCommit]:
    """Yield the commits that changed one of *paths*, the oldest first.

    *commits* are arguments of `git log`, such as `a..b`. With *first_parent* they are those of the branch itself, a
    merge as what it brought; else all but merges.
    """
    line = ("--first-parent", "--diff-merges=first-parent") if first_parent else ("--no-merges", "--topo-order")
    # whatever the user's settings say of logs
    plain = ("--no-show-signature", "--no-follow", "--no-relative", "--no-renames", "--encoding=UTF-8")
    shown = ("--reverse", "--root", "--raw", "-z", "--no-abbrev", f"--format={_FORMAT}")
    command = ("log", *line, *plain, *shown, *commits, "--", *map(literal, paths))
    with repository.printing(*command) as output:
        yield from _parse(_parts(output))


def literal(path: str) -> str:
    """Return *path* as git takes it from any folder of the repository, and for no pattern."""
    return f":(top,literal){path}"


def commits_of(repository: Repository, commits: str) -> list[str]:
    """Return the ids of the commits of the branch itself, the oldest first."""
    return repository.run("rev-list", "--first-parent", "--reverse", commits, "--").decode().split()


def _parts(output: IO[bytes]) -> Iterator[str]:
    """Yield what is between the null bytes."""
    rest = b""
    while chunk := output.read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\0")
        for part in whole:
            yield part.decode("utf-8", "surrogateescape")
    yield rest.decode("utf-8", "surrogateescape")


def _parse(parts: Iterator[str]) -> Iterator[LoggedCommit]:
    head: list[str] = []
    changed: list[FileChange] = []
    for part in parts:
        # a line feed ends the message, where the changes begin
        part = part.lstrip("\n")
        if part.startswith("\x01"):
            if head:
                yield _to_commit(head, changed)
            head, changed = [part[1:], *(next(parts) for _ in _FIELDS[1:])], []
        elif part.startswith(":"):
            _, _, before, after, _ = part.split(" ")
            changed.append(FileChange(next(parts), _blob(before), _blob(after)))
    if head:
        yield _to_commit(head, changed)


def _to_commit(head: Sequence[str], changed: Sequence[FileChange]) -> LoggedCommit:
    sha, parents, seconds, author, subject, run = (printable(part) for part in head)
    commit = Commit(sha, utc_text(int(seconds)), author, subject, web_address(run))
    return LoggedCommit(commit, tuple(parents.split()), changed)


def _blob(sha: str) -> str | None:
    return None if _NOTHING.fullmatch(sha) else sha


def printable(text: str) -> str:
    """Return *text* as one line that every encoding and terminal can take: people commit what they like."""
    return single_line(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def start_of(repository: Repository, tip: str, since: str) -> str | None:
    """Return the last commit before "since"; None if there is none up to *tip*."""
    moment = parse_since(since)
    if moment is not None:
        latest = int(moment.timestamp()) - 1
        if latest < 0:
            return None  # git has no commits from before 1970
        return repository.line("rev-list", "--first-parent", "-1", f"--min-age={latest}", tip, "--") or None
    try:
        return repository.commit_of(since)
    except GitError as error:
        raise NpcLimsError(
            f"--since {since}: neither an age (24h, 7d, 2w), nor a date such as 2024-06-01, nor a commit: {error}"
        ) from None


def parse_since(since: str, now: datetime.datetime | None = None) -> datetime.datetime | None:
    """Return the time that an age or a date means (UTC without a time zone); None if *since* is neither.

    >>> parse_since("7d", datetime.datetime(2024, 6, 8)), parse_since("2024-06-01"), parse_since("main")
    (datetime.datetime(2024, 6, 1, 0, 0), datetime.datetime(2024, 6, 1, 0, 0, tzinfo=datetime.timezone.utc), None)
    """
    age = _AGE.fullmatch(since.strip())
    try:
        if age is not None:
            now = datetime.datetime.now(datetime.timezone.utc) if now is None else now
            return now - datetime.timedelta(**{_UNITS[age[2]]: int(age[1])})
        if _DATE.fullmatch(since.strip()):
            return utc_time(since)
    except (ValueError, OverflowError) as error:
        raise NpcLimsError(f"--since {since}: no date in the calendar ({error}); write it as 2024-06-01") from None
    return None
