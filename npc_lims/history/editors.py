"""Commits that edited an entry of tracked_sessions.yaml, from its text alone.

A parser of YAML takes a second for each version of the file, and refuses those that hold a mistake. Here a version
is cut into its entries by their dashes and indents. Only the words of an entry count, not its comments and layout.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from npc_lims.clients.git import ReadBlobs, Repository
from npc_lims.history.git_log import FileChange, LoggedCommit, log_changes
from npc_lims.model.session_id import day_of, parse_session_id
from npc_lims.state.revision import Commit

_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")

Entry = tuple[str, tuple[str, ...], str]
"""The day of an entry, the headings above it, and its words."""


class EntryEdits:
    """The commits that edited the entry of a day and were not taken yet."""

    def __init__(self, repository: Repository, path: str, read_blobs: ReadBlobs) -> None:
        self._repository = repository
        self._path = path
        self._read_blobs = read_blobs
        self._waiting: dict[str, list[LoggedCommit]] = {}
        self._days_by_commit = functools.lru_cache(64)(self._read_merge)

    def add(self, logged: LoggedCommit) -> None:
        """Add a commit of the branch, which may have changed the file."""
        for file in logged.changed:
            if file.path == self._path:
                for day in self._days(file):
                    self._waiting.setdefault(day, []).append(logged)

    def take(self, day: str) -> tuple[Commit, ...]:
        """Return the commits that edited the entries of a day since they were last taken, the oldest first."""
        return tuple(commit for logged in self._waiting.pop(day, ()) for commit in self._editors(logged, day))

    def _days(self, file: FileChange) -> frozenset[str]:
        contents = self._read_blobs(filter(None, (file.before, file.after)))
        return days_edited(contents.get(file.before or "", b""), contents.get(file.after or "", b""))

    def _editors(self, logged: LoggedCommit, day: str) -> Sequence[Commit]:
        """Return a commit, or for a merge the commits whose edits it brought."""
        if len(logged.parents) < 2:
            return [logged.commit]
        return [commit for commit, days in self._days_by_commit(logged.parents) if day in days] or [logged.commit]

    def _read_merge(self, parents: tuple[str, ...]) -> list[tuple[Commit, frozenset[str]]]:
        first, *others = parents
        found = log_changes(self._repository, [*others, f"^{first}"], [self._path], first_parent=False)
        return [(one.commit, frozenset().union(*map(self._days, one.changed))) for one in found]


def days_edited(before: bytes, after: bytes) -> frozenset[str]:
    """Return the subject and date (`626791_2022-08-15`) of every entry that differs between two versions of the file.

    >>> old = b"ephys:\\n  A:\\n    - DRpilot_626791_20220815:\\n        day: 1\\n"
    >>> sorted(days_edited(old, old.replace(b"day: 1", b"day: 2 # or 3?")))
    ['626791_2022-08-15']
    >>> sorted(days_edited(old, old.replace(b"day: 1", b"day:  1 # sure")))
    []
    """
    return frozenset(day for day, *_ in _entries(before) ^ _entries(after))


@functools.lru_cache(4)  # a version is compared with the one before it and the one after it
def _entries(content: bytes) -> frozenset[Entry]:
    found: list[tuple[str | None, tuple[str, ...], list[str]]] = []
    headings: list[tuple[int, str]] = []
    dash = -1
    for line in content.decode("utf-8", "replace").replace("\r\n", "\n").split("\n"):
        words = " ".join(_COMMENT.sub("", line).split() if "#" in line else line.split())
        indent = len(line) - len(line.lstrip(" \t"))
        if not words:
            continue
        if 0 <= dash < indent:
            found[-1][2].append(words)
        elif words.startswith("-"):
            dash = indent
            found.append((_day(words), tuple(name for _, name in headings), [words]))
        else:
            dash = -1
            headings = [(column, name) for column, name in headings if column < indent] + [(indent, words)]
    return frozenset((day, names, "\n".join(words)) for day, names, words in found if day is not None)


@functools.lru_cache(4096)
def _day(words: str) -> str | None:
    """Return the day of the session that the first line of an entry names, or None."""
    try:
        return day_of(parse_session_id(words.lstrip("- \"'")))
    except ValueError:
        return None
