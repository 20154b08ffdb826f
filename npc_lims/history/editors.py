"""Commits that edited an entry of tracked_sessions.yaml, from its text alone.

A parser of YAML takes a second for each version of the file, and refuses those that hold a mistake. Here a version
is cut into its entries by their dashes and indents; of two neighbours only the entries between their common
beginning and their common end are looked at. Only the words of an entry count, not its comments and layout.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from npc_lims.clients.git import Repository
from npc_lims.history.git_log import LoggedCommit, log_changes
from npc_lims.model.session_id import day_of, parse_session_id
from npc_lims.state.revision import Commit

_DASH = re.compile(r"^(?=[ \t]*-(?:[ \t]|$))", re.MULTILINE)
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")


class _EntryText(NamedTuple):
    """An entry: its day, the headings above it in the part that was compared, and its words."""

    day: str
    headings: tuple[str, ...]
    words_of_entry: str


class EntryEdits:
    """The commits that edited the entry of a day and were not taken yet."""

    def __init__(self, repository: Repository, path: str) -> None:
        self._repository = repository
        self._path = path
        self._waiting: dict[str, list[LoggedCommit]] = {}
        self._taken: dict[str, tuple[Commit, ...]] = {}
        self._taken_at = ""
        self._brought_by = functools.lru_cache(64)(self._read_merge)

    def add(self, logged: LoggedCommit, before: bytes, after: bytes) -> None:
        """Add a commit of the branch that changed the file from *before* to *after*; empty if there was or is none."""
        for day in days_edited(before, after):
            self._waiting.setdefault(day, []).append(logged)

    def take(self, session_id: str, at: Commit) -> tuple[Commit, ...]:
        """Return the commits that edited the entries of the session's day since they were last taken, the oldest first.

        Args:
            at: For which commit: the sessions of a day that it changed are all given the same.
        """
        day = day_of(session_id)
        if at.sha != self._taken_at:
            self._taken, self._taken_at = {}, at.sha
        if day not in self._taken:
            waiting = self._waiting.pop(day, ())
            self._taken[day] = tuple(commit for logged in waiting for commit in self._editors(logged, day))
        return self._taken[day]

    def _editors(self, logged: LoggedCommit, day: str) -> Sequence[Commit]:
        """Return a commit, or for a merge the commits whose edits it brought."""
        if len(logged.parents) < 2:
            return [logged.commit]
        return [commit for commit, days in self._brought_by(logged.parents) if day in days] or [logged.commit]

    def _read_merge(self, parents: tuple[str, ...]) -> list[tuple[Commit, frozenset[str]]]:
        first, *others = parents
        found = list(log_changes(self._repository, [*others, f"^{first}"], [self._path], first_parent=False))
        ids = [(changed.before or "", changed.after or "") for one in found for changed in one.changed]
        texts = self._repository.read_blobs(blob for pair in ids for blob in pair if blob)
        days = [days_edited(texts.get(before, b""), texts.get(after, b"")) for before, after in ids]
        return [(one.commit, edited) for one, edited in zip(found, days)]


def days_edited(before: bytes, after: bytes) -> frozenset[str]:
    """Return the subject and date (`626791_2022-08-15`) of every entry that differs between two versions of the file.

    >>> old = b"ephys:\\n  A:\\n    - DRpilot_626791_20220815:\\n        day: 1\\n"
    >>> sorted(days_edited(old, old.replace(b"day: 1", b"day: 2 # or 3?")))
    ['626791_2022-08-15']
    >>> sorted(days_edited(old, old.replace(b"day: 1", b"day:  1 # sure")))
    []
    """
    old, new = _pieces(before), _pieces(after)
    start = _entry_above(old, _common(old, new))
    end = _common(old[start:][::-1], new[start:][::-1])
    entries = set(_entries(old[start : len(old) - end])) ^ set(_entries(new[start : len(new) - end]))
    if end and _headings(old[start : len(old) - end]) != _headings(new[start : len(new) - end]):
        # what follows came to stand in another project
        entries = set(_entries(old[start:])) ^ set(_entries(new[start:]))
    return frozenset(entry.day for entry in entries)


def _pieces(content: bytes) -> list[str]:
    """Return the text, cut before each dash."""
    return _DASH.split(content.decode("utf-8", "replace").replace("\r\n", "\n"))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many of the first pieces are equal."""
    length = min(len(one), len(other))
    return next((n for n in range(length) if one[n] != other[n]), length)


def _entry_above(pieces: Sequence[str], at: int) -> int:
    """Return where the entry begins that may contain the piece *at*."""
    return next((n for n in range(min(at, len(pieces)) - 1, 0, -1) if _day(pieces[n].partition("\n")[0].strip())), 0)


def _lines(pieces: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the indent and words of the lines that hold any."""
    for line in "".join(pieces).split("\n"):
        words = _COMMENT.sub("", line).split()
        if words:
            yield len(line) - len(line.lstrip(" \t")), " ".join(words)


def _entries(pieces: Sequence[str]) -> Iterator[_EntryText]:
    headings: list[tuple[int, str]] = []
    dash, day, words_of_entry = -1, None, [""]
    for indent, words in [*_lines(pieces), (-1, "")]:
        if dash >= 0 and indent > dash:
            words_of_entry.append(words)
            continue
        if day is not None:
            yield _EntryText(day, tuple(name for _, name in headings), "\n".join(words_of_entry))
        if words.startswith("-"):
            dash, day, words_of_entry = indent, _day(words), [words]
        else:
            headings = [(column, name) for column, name in headings if column < indent] + [(indent, words)]
            dash, day = -1, None


def _headings(pieces: Sequence[str]) -> list[str]:
    """Return the lines outside of entries, such as names of projects."""
    dash, found = -1, []
    for indent, words in _lines(pieces):
        if dash < 0 or indent <= dash:
            dash = indent if words.startswith("-") else -1
            found += [words] * (dash < 0)
    return found


@functools.lru_cache(4096)
def _day(words: str) -> str | None:
    """Return the day of the session that the first line of an entry names, or None."""
    try:
        return day_of(parse_session_id(words.lstrip("- \"'")))
    except ValueError:
        return None
