"""tracked_sessions.yaml: the sessions that people list by hand.

The file is `{platform: {project: [entry, ...]}}`; an entry is the path of a session, or a mapping from the path to
the keys of `entries.TrackedEntry`.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from npc_lims.errors import Problem, TrackedFileError
from npc_lims.model.record import Observation, Tracked
from npc_lims.model.session_id import make_session_id
from npc_lims.sources.context import SourceContext
from npc_lims.sources.tracked.entries import ParsedEntry, read_entries, same_path
from npc_lims.sources.yaml_nodes import Node, Report, compose, show
from npc_lims.sources.yaml_validation import read_edited_text
from npc_lims.utils.mappings import grouped

MAX_BYTES = 20_000_000
"""A larger file is not the list of sessions, whatever its name."""

_SPACES = "\u00a0\u2007\u202f"
_GIVE_IDX = "give them 'idx: 0' and 'idx: 1'"
# Not the joiners, which some scripts and emoji need.
_INVISIBLE = re.compile(f"[{_SPACES}\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")


@dataclasses.dataclass(frozen=True)
class TrackedFile:
    """The sessions of the file by id, in file order; its problems, by position; the line of each session; and all
    entries, duplicates included, with the node of the file."""

    sessions: Mapping[str, Tracked]
    problems: tuple[Problem, ...]
    lines: Mapping[str, int]
    entries: Sequence[ParsedEntry] = dataclasses.field(compare=False, repr=False)
    root: Node | None = dataclasses.field(compare=False, repr=False)


PARSER = 1
"""Raise it when the same file comes to give other facts: it makes the next sync parse it again."""


def observe(context: SourceContext) -> Observation:
    """Return the sessions of the file as facts, all of them; TrackedFileError if it cannot be read, or holds errors."""
    return observe_text(*context.tracked(), context.versions, full=context.full)


def observe_text(text: str, name: str, versions: Mapping[str, str], *, full: bool = False) -> Observation:
    """Do as `observe` with a text called *name*; of the recorded version, which is not parsed (0.6 ms a session)."""
    # a checkout may convert line ends
    digest = hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()
    version = {"content": f"{PARSER}-{digest}"}
    if not full and dict(versions) == version:
        return Observation(source="tracked", unchanged=True, versions=version)
    file = _checked(parse_tracked(text, name))
    return Observation(
        source="tracked",
        facts=file.sessions,
        complete=True,
        problems=file.problems,
        counts={"sessions": len(file.sessions), "warnings": len(file.problems)},
        versions=version,
    )


def read_tracked(path: Path | str) -> TrackedFile:
    """Read and check a file, which must be UTF-8; TrackedFileError, with all problems, if it holds errors."""
    return _checked(parse_tracked(*tracked_text(path)))


def tracked_text(path: Path | str, data: bytes | None = None) -> tuple[str, str]:
    """Return the text of a file, of which *data* is the content if it is not on disk, and its name for messages."""
    missing = "give the path of tracked_sessions.yaml"
    content = "a list of sessions"
    text = read_edited_text(path, TrackedFileError, max_bytes=MAX_BYTES, missing=missing, content=content, data=data)
    return text, str(path)


def _checked(file: TrackedFile) -> TrackedFile:
    if any(problem.is_error for problem in file.problems):
        raise TrackedFileError(file.problems)
    return file


def parse_tracked(text: str, file: str = "tracked_sessions.yaml", *, today: datetime.date | None = None) -> TrackedFile:
    """Return the sessions and problems of a text; of one with errors, what could be read. Never raises."""
    report = Report(file)
    root = compose(text, report)
    if root is None and not report.problems:
        report.add(1, 1, "error", "the file is empty: it must begin with a platform such as 'ephys:'")
    _warn_of_invisible(text, report)
    listed = [] if root is None else list(read_entries(root, report, today or datetime.date.today()))
    entries = _first_of_each_path(listed, report)
    numbers = _number(entries, report)
    _check_days(entries, report)
    dates: dict[tuple[str, str], set[str]] = {}
    for entry in entries:
        dates.setdefault((entry.group, entry.subject), set()).add(entry.date)
    sessions, lines = {}, {}
    for entry in entries:
        if id(entry) not in numbers:
            continue
        session = make_session_id(entry.subject, entry.date, numbers[id(entry)])
        rank = sorted(dates[entry.group, entry.subject]).index(entry.date) + 1
        sessions[session] = Tracked(
            platform=entry.platform,
            project=entry.project,
            allen_path=entry.path,
            experiment_day=entry.day or rank,
            **{key: value for key, value in entry.values.items() if key in Tracked.model_fields},
        )
        lines[session] = entry.node.line
    return TrackedFile(sessions, report.problems, lines, listed, root)


def _warn_of_invisible(text: str, report: Report) -> None:
    """Warn of characters that come along when one copies from a chat or a web page, and make a path wrong."""
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        found = _INVISIBLE.search(line)
        if found is not None:
            name = unicodedata.name(found[0], "a character without a name").lower()
            what = f"U+{ord(found[0]):04X} ({name}), which nobody sees{' as what it is' * (found[0] in _SPACES)}"
            report.add(number, found.start() + 1, "warning", f"found {what}: replace it by a space, or delete it")


def _first_of_each_path(entries: list[ParsedEntry], report: Report) -> list[ParsedEntry]:
    """Leave out entries whose path was listed before, and report what they would have changed."""
    first: dict[str, ParsedEntry] = {}
    for entry in entries:
        before = first.setdefault(same_path(entry.path), entry)
        if before is entry:
            continue
        twice = f"{entry.session} is listed twice, first in line {before.node.line}"
        if before.group != entry.group:
            report.error(entry.node, f"{twice} under {before.group}: keep one")
            continue
        differs = "; ".join(_differences(before.values, entry.values))
        remedy = f"this one differs: {differs}; keep one" if differs else "this one is equal: remove it"
        report.warning(entry.node, f"{twice}, which takes precedence; {remedy}")
    return list(first.values())


def _differences(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Describe how two entries of one path differ, of which the first takes precedence."""
    for key in dict.fromkeys((*first, *second)):
        if key == "session_kwargs":
            yield from _differences(first.get(key, {}), second.get(key, {}), "session_kwargs.")
            continue
        ours, theirs = (show(values[key]) if key in values else "nothing" for values in (first, second))
        if key not in first or key not in second or first[key] != second[key]:
            yield f"{prefix}{key} {ours} (used) vs {theirs}"


def _number(entries: list[ParsedEntry], report: Report) -> dict[int, int]:
    """Return the index of each entry among those of its subject and day, by `id(entry)`; none for duplicates.

    The key `idx` takes precedence, then an index at the end of the path; the others take what is free, by start time.
    """
    numbers: dict[int, int] = {}
    for group in grouped((entry.session, entry) for entry in entries).values():
        taken: dict[int, ParsedEntry] = {}
        by_time: list[ParsedEntry] = []
        for entry in group:
            if entry.idx is None:
                duplicate = next((other for other in by_time if not _is_distinct(entry, other)), None)
                if duplicate is None:
                    by_time.append(entry)
                    continue
                where = "" if duplicate.group == entry.group else f" under {duplicate.group}"
                twice = f"{entry.session} is listed twice, first in line {duplicate.node.line}{where} by another path"
                report.error(entry.node, f"{twice}: keep one or, if they are two sessions, {_GIVE_IDX}")
            elif entry.idx in taken:
                line = taken[entry.idx].node.line
                report.error(entry.node, f"{entry.session} has the idx {entry.idx} in line {line} too: change one")
            else:
                taken[entry.idx] = entry
        free = (number for number in range(len(group) + 1) if number not in taken)
        for entry in sorted(by_time, key=lambda entry: str(entry.time)):
            numbers[id(entry)] = next(free)
        numbers.update((id(entry), number) for number, entry in taken.items())
    return numbers


def _is_distinct(entry: ParsedEntry, other: ParsedEntry) -> bool:
    # not across platforms, where one session's recording and behavior file begin at different times
    return entry.group == other.group and None not in (entry.time, other.time) and entry.time != other.time


def _check_days(entries: list[ParsedEntry], report: Report) -> None:
    """Warn of two dates of a subject with one day number: one of them may be a mistake."""
    seen: dict[tuple[str, str, int], ParsedEntry] = {}
    for entry in entries:
        if entry.day is None:
            continue
        before = seen.setdefault((entry.group, entry.subject, entry.day), entry)
        if before.date != entry.date:
            dates = f"{entry.date} here and to {before.date} in line {before.node.line}"
            report.warning(entry.node, f"day {entry.day} of subject {entry.subject} is given to {dates}: check both")
