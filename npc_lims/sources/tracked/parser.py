"""tracked_sessions.yaml: the sessions that people list by hand.

The file is `{platform: {project: [entry, ...]}}`; an entry is the path of a session, or a
one-key mapping from the path to what is to be said of it. `tracked_schema` has its keys.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from npc_lims.errors import Problem, TrackedFileError
from npc_lims.model.observation import Observation
from npc_lims.model.record import Tracked
from npc_lims.model.session_id import make_session_id
from npc_lims.sources.tracked.entries import Listed, read_entries
from npc_lims.sources.tracked.schema import tracked_schema
from npc_lims.sources.tracked.yaml_nodes import Report, compose, show

__all__ = ["TrackedFile", "observe_tracked", "parse_tracked", "read_tracked", "tracked_schema"]

MAX_BYTES = 20_000_000
"""A larger file is not the list of sessions, whatever its name."""

_SPACES = "\u00a0\u2007\u202f"
# Not the joiners, which some scripts and emoji need.
_UNSEEN = re.compile(f"[{_SPACES}\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")


@dataclasses.dataclass(frozen=True)
class TrackedFile:
    """What tracked_sessions.yaml says.

    Attributes:
        sessions: Session id to what is said of it, in file order. Where there are errors, what could be read.
        problems: Everything found, by position.
        lines: Session id to the line of its entry.
    """

    sessions: Mapping[str, Tracked]
    problems: tuple[Problem, ...]
    lines: Mapping[str, int]


PARSER = 1
"""Raise it when the same file comes to give other facts: it makes the next sync parse it again."""


def observe_tracked(path: Path | str, previous: Mapping[str, str] | None = None, *, full: bool = False) -> Observation:
    """The sessions of the file as facts. Complete: a session that is not in it is not tracked.

    Args:
        previous: `versions` of the last observation: a file that is still the same is not parsed, which
            takes 0.6 ms a session, and the answer keeps all that is recorded.
        full: Parse it whatever *previous* says.

    Raises:
        TrackedFileError: The file cannot be read, or holds errors.
    """
    text = _read_text(Path(path), str(path))
    # a checkout may convert line ends, which say nothing
    digest = hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()
    versions = {"content": f"{PARSER}-{digest}"}
    if not full and previous is not None and dict(previous) == versions:
        return Observation(source="tracked", unchanged=True, versions=versions)
    file = _checked(parse_tracked(text, str(path)))
    return Observation(
        source="tracked",
        facts=file.sessions,
        complete=True,
        problems=file.problems,
        counts={"sessions": len(file.sessions), "warnings": len(file.problems)},
        versions=versions,
    )


def read_tracked(path: Path | str) -> TrackedFile:
    """Read and check a file, which must be UTF-8; all of its problems are then warnings.

    Raises:
        TrackedFileError: The file cannot be read, or holds errors; all problems are in it.
    """
    return _checked(parse_tracked(_read_text(Path(path), str(path)), str(path)))


def _checked(file: TrackedFile) -> TrackedFile:
    if any(problem.is_error for problem in file.problems):
        raise TrackedFileError(file.problems)
    return file


def _read_text(path: Path, name: str) -> str:
    def unreadable(message: str, line: int = 0, column: int = 0) -> TrackedFileError:
        return TrackedFileError([Problem(name, line, column, "error", message)])

    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise unreadable("there is no such file: give the path of tracked_sessions.yaml") from None
    except OSError as error:
        if path.is_dir():
            raise unreadable("a folder: give the path of the file in it") from None
        raise unreadable(f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a null byte in the path
        raise unreadable(f"cannot be read: {error}") from error
    if len(content) > MAX_BYTES:
        raise unreadable(f"larger than {MAX_BYTES // 10**6} MB: this cannot be a list of sessions")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line_start = before.rfind(b"\n") + 1
        raise unreadable(
            f"the byte 0x{error.object[error.start]:02x} is not UTF-8: save the file as UTF-8",
            before.count(b"\n") + 1,
            len(before[line_start:].decode("utf-8-sig")) + 1,
        ) from None


def parse_tracked(text: str, file: str = "tracked_sessions.yaml", *, today: datetime.date | None = None) -> TrackedFile:
    """Sessions and problems of the text of a file. Never raises, whatever the text.

    Args:
        text: The whole file.
        file: Its name, as problems are to show it.
        today: The present day, after which no session can be; taken from the clock if not given.
    """
    report = Report(file)
    root = compose(text, report)
    if root is None and not report.problems:
        report.add(1, 1, "error", "the file is empty: it must begin with a platform such as 'ephys:'")
    _warn_of_unseen(text, report)
    entries = [] if root is None else list(read_entries(root, report, today or datetime.date.today()))
    entries = _first_of_each_path(entries, report)
    sessions, lines = {}, {}
    numbers = _number(entries, report)
    places = _Places(entries)
    _check_days(entries, report)
    for entry in entries:
        idx = numbers.get(id(entry))
        if idx is not None:
            session = make_session_id(entry.subject, entry.date, idx)
            sessions[session] = _tracked(entry, places)
            lines[session] = entry.node.line
    return TrackedFile(sessions, report.problems, lines)


def _warn_of_unseen(text: str, report: Report) -> None:
    """Characters that come along when one copies from a chat or a web page, and make a path that is nowhere."""
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        found = _UNSEEN.search(line)
        if found is not None:
            name = unicodedata.name(found[0], "a character without a name").lower()
            what = f"U+{ord(found[0]):04X} ({name}), which nobody sees" + (
                " as what it is" if found[0] in _SPACES else ""
            )
            report.add(number, found.start() + 1, "warning", f"here stands {what}: replace it by a space, or delete it")


def _tracked(entry: Listed, places: _Places) -> Tracked:
    said = entry.said
    return Tracked(
        platform=entry.platform,
        project=entry.project,
        allen_path=entry.path,
        experiment_day=_day(entry) or places.of(entry),
        day=said.get("day"),
        ephys_day=said.get("ephys_day"),
        perturbation_day=said.get("perturbation_day"),
        insertion_day=said.get("insertion_day"),
        session_kwargs=said.get("session_kwargs", {}),
        notes=said.get("notes", ""),
        issues=said.get("issues", []),
    )


class _Places:
    """Where each session stands among the dates of its subject, in its platform and project."""

    def __init__(self, entries: list[Listed]) -> None:
        dates: dict[tuple[str, str, str], set[str]] = {}
        for entry in entries:
            dates.setdefault(self._key(entry), set()).add(entry.date)
        self._dates = {key: sorted(found) for key, found in dates.items()}

    @staticmethod
    def _key(entry: Listed) -> tuple[str, str, str]:
        return entry.platform, entry.project, entry.subject

    def of(self, entry: Listed) -> int:
        return self._dates[self._key(entry)].index(entry.date) + 1


def _first_of_each_path(entries: list[Listed], report: Report) -> list[Listed]:
    """Leave out entries whose path was listed before, saying what they would have changed."""
    first: dict[str, Listed] = {}
    for entry in entries:
        # the same folder, however its slashes and capitals are written: it is on a Windows share
        path = entry.path.replace("\\", "/").rstrip("/").casefold()
        before = first.setdefault(path, entry)
        if before is entry:
            continue
        if before.place != entry.place:
            report.error(
                entry.node,
                f"{entry.session} is listed twice, first in line {before.node.line} under {before.place}: keep one",
            )
            continue
        differs = "; ".join(_differences(before.said, entry.said))
        report.warning(
            entry.node,
            f"{entry.session} is listed twice, first in line {before.node.line}, which counts; "
            + (f"this one differs: {differs}; keep one" if differs else "this one says the same: remove it"),
        )
    return list(first.values())


def _differences(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """What two entries of one path say differently, the first of which counts."""
    for key in dict.fromkeys((*first, *second)):
        if key == "session_kwargs":
            yield from _differences(first.get(key, {}), second.get(key, {}), "session_kwargs.")
            continue
        ours, theirs = (show(said[key]) if key in said else "nothing" for said in (first, second))
        if key not in first or key not in second or first[key] != second[key]:
            yield f"{prefix}{key} {ours} (counts) vs {theirs}"


def _number(entries: list[Listed], report: Report) -> dict[int, int]:
    """Index among the sessions of a subject and day, by `id(entry)`; none for what cannot be told apart.

    The key `idx` wins, then an index that ends the path; the others take what is free, by start time.
    """
    days: dict[str, list[Listed]] = {}
    for entry in entries:
        days.setdefault(entry.session, []).append(entry)
    numbers: dict[int, int] = {}
    for group in days.values():
        taken: dict[int, Listed] = {}
        by_time: list[Listed] = []
        for entry in group:
            if entry.idx is None:
                twin = next((other for other in by_time if not _are_two(entry, other)), None)
                if twin is None:
                    by_time.append(entry)
                else:
                    _report_twin(entry, twin, report)
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


def _are_two(entry: Listed, other: Listed) -> bool:
    """Their paths show that they are two sessions: each names its start, and they differ.

    Not across platforms, where one session's recording and behavior file begin at different times.
    """
    return entry.place == other.place and None not in (entry.time, other.time) and entry.time != other.time


def _report_twin(entry: Listed, first: Listed, report: Report) -> None:
    elsewhere = "" if first.place == entry.place else f" under {first.place}"
    report.error(
        entry.node,
        f"{entry.session} is listed twice, first in line {first.node.line}{elsewhere} by another path: "
        "keep one or, if they are two sessions, give them 'idx: 0' and 'idx: 1'",
    )


def _check_days(entries: list[Listed], report: Report) -> None:
    """Two dates of a subject with one day number: one of them may be a slip."""
    seen: dict[tuple[str, str, int], Listed] = {}
    for entry in entries:
        day = _day(entry)
        if day is None:
            continue
        before = seen.setdefault((entry.place, entry.subject, day), entry)
        if before.date != entry.date:
            report.warning(
                entry.node,
                f"day {day} of subject {entry.subject} is given to {entry.date} here "
                f"and to {before.date} in line {before.node.line}: check both",
            )


def _day(entry: Listed) -> int | None:
    day: int | None = entry.said.get("ephys_day", entry.said.get("day"))
    return day
