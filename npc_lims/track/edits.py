"""Changes of tracked_sessions.yaml as changes of its text: a diff holds the entries' own lines and no other."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Optional, Union

from npc_lims.errors import NpcLimsError
from npc_lims.model.session_id import make_session_id, parse_session_id, subject_of
from npc_lims.sources.tracked.entries import ParsedEntry, same_path
from npc_lims.sources.tracked.schema import PLATFORMS
from npc_lims.track.assignments import checked_entry, edited_keys
from npc_lims.track.entry_spans import EntrySpan, Layout, canonical
from npc_lims.track.insertion import NewEntry, default_project
from npc_lims.track.rewrite import Plan, rewrite
from npc_lims.track.summary import ChangedSession, changed_sessions, new_warnings, shifted_days, shifted_ids

FILE = "tracked_sessions.yaml"


@dataclasses.dataclass(frozen=True)
class Add:
    """Add the entry of a session.

    Attributes:
        path: Path of its data, with its subject and date in it.
        project: By default that of the subject's other sessions, or the platform's most frequent one.
        values: Its keys and values. Arguments of analysis code go into session_kwargs.
    """

    path: str
    platform: str = "ephys"
    project: str | None = None
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Edit:
    """Edit the entry of a session; of several entries of one path the first, which takes precedence.

    Attributes:
        session: Its id in any form, or its path.
        set: Keys and their new values.
        unset: Keys to remove, at whichever level of the entry they stand.
        append: Keys of lists, and values to append unless they are there.
    """

    session: str
    set: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    unset: tuple[str, ...] = ()
    append: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Remove:
    """Remove every entry of a session's path. Comments above them, and an empty project, stay."""

    session: str


Change = Union[Add, Edit, Remove]


@dataclasses.dataclass(frozen=True)
class EditResult:
    """The new text, the sessions that changed (in the order of the changes), and notes for the user."""

    text: str
    sessions: tuple[ChangedSession, ...]
    notes: tuple[str, ...]


def apply_changes(text: str, changes: Sequence[Change], file: str = FILE) -> str:
    """Return *text* with all changes made, each of another session.

    Raises:
        TrackedFileError: The file holds errors in entries that the changes do not touch.
        NpcLimsError: A change cannot be made; then none is.
    """
    return make_changes(text, changes, file).text


def make_changes(text: str, changes: Sequence[Change], file: str = FILE) -> EditResult:
    """Make changes as `apply_changes`, and report what changed."""
    planner = _Planner()
    done = rewrite(text, lambda layout: planner.plan(layout, changes), file)
    notes = [
        *planner.notes,
        *shifted_ids(done.before, done.after),
        *shifted_days(done.before, done.after, planner.paths),
        *map(str, new_warnings(done.before, done.after)),
    ]
    return EditResult(done.text, tuple(changed_sessions(done.before, done.after, planner.paths)), tuple(notes))


class _Planner:
    """Collects what is to be done, change by change, and notes about it."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.notes: list[str] = []
        self._keys: dict[int, Mapping[str, Any] | None] = {}
        self._new: list[NewEntry] = []

    def plan(self, layout: Layout, changes: Sequence[Change]) -> Plan:
        for change in changes:
            if isinstance(change, Add):
                self._add(layout, change)
            elif isinstance(change, Edit):
                self._edit(layout, change)
            else:
                self._remove(layout, change)
        return Plan(self._keys, self._new)

    def _add(self, layout: Layout, change: Add) -> None:
        if change.platform not in PLATFORMS:
            raise NpcLimsError(f"there is no platform {change.platform!r}: the platforms are {', '.join(PLATFORMS)}")
        keys = edited_keys({}, change.values)
        entry = _checked(change.path, change.path, keys)
        for item in layout.of_path(change.path):
            raise NpcLimsError(
                f"{change.path} is listed already, in line {item.path.line} of {layout.name}: "
                f"change that entry with npc-lims track edit {_name(item)}"
            )
        for other in self._new:
            if same_path(other.entry.path) == same_path(change.path):
                raise NpcLimsError(f"{change.path} is to be added twice: leave one out")
        project = change.project or default_project(layout, change.platform, entry.subject)
        new = NewEntry(change.platform, project, entry, keys)
        _refuse_other_of_day(layout, new)
        self._new.append(new)
        self.paths.append(change.path)

    def _edit(self, layout: Layout, change: Edit) -> None:
        numbers = self._take(layout, change.session)
        item = layout.items[numbers[0]]
        keys = edited_keys(item.keys, change.set, change.unset, change.append)
        if canonical(keys) != canonical(item.keys):
            _checked(change.session, item.path.text, keys)
        self._keys[numbers[0]] = keys
        if len(numbers) > 1:
            self.notes.append(
                f"{change.session} is listed {len(numbers)} times: the entry in line {item.path.line}, which counts, "
                "is changed; npc-lims track dedupe removes the others"
            )

    def _remove(self, layout: Layout, change: Remove) -> None:
        numbers = self._take(layout, change.session)
        self._keys.update((number, None) for number in numbers)
        if len(numbers) > 1:
            lines = ", ".join(str(layout.items[number].path.line) for number in numbers)
            self.notes.append(f"{change.session} is listed {len(numbers)} times, in lines {lines}: all are removed")

    def _take(self, layout: Layout, session: str) -> list[int]:
        """Return the numbers of the entries of a session, which no other change may concern."""
        path = _path_of(layout, session)
        numbers = [n for n, item in enumerate(layout.items) if same_path(item.path.text) == same_path(path)]
        if numbers[0] in self._keys:
            raise NpcLimsError(f"two changes of {session}: make one of them, or one after the other")
        self.paths.append(path)
        return numbers


def _checked(name: str, path: str, keys: Mapping[str, Any]) -> ParsedEntry:
    try:
        return checked_entry(path, keys)
    except NpcLimsError as error:
        raise NpcLimsError(f"{name}: {error}") from None


def _path_of(layout: Layout, session: str) -> str:
    """Return the path, as written, of a session that is given by its path or id."""
    if layout.of_path(session):
        return layout.of_path(session)[0].path.text
    try:
        session_id = parse_session_id(session)
    except ValueError:
        raise NpcLimsError(
            f"{session!r} names no session: give an id such as 626791_2022-08-15, or the path of its entry"
        ) from None
    found = layout.file.sessions.get(session_id)
    if found is not None and "/" in same_path(session):
        raise NpcLimsError(
            f"{session} is the path of no entry in {layout.name}; {session_id} is listed there in line "
            f"{layout.file.lines[session_id]} as {found.allen_path}: give that path, or the id"
        )
    if found is not None:
        return found.allen_path
    known = list(layout.file.sessions)
    of_subject = [known_id for known_id in known if subject_of(known_id) == subject_of(session_id)]
    near = difflib.get_close_matches(session_id, of_subject or known, n=5, cutoff=0.5)
    hint = f"; near it are {', '.join(sorted(near))}" if near else ""
    raise NpcLimsError(f"{session_id} is not listed in {layout.name}{hint}; npc-lims track add lists a session")


def _refuse_other_of_day(layout: Layout, new: NewEntry) -> None:
    """Refuse another session of the day, unless their start times tell them apart and no id changes."""
    entry = new.entry
    others = [item for item in layout.items if item.entry is not None and item.entry.session == entry.session]
    if not others or entry.idx is not None:
        return
    times = [item.entry.time for item in others if item.entry is not None and item.group == new.group]
    if entry.time is not None and len(times) == len(others) and all(time and time < entry.time for time in times):
        return
    item = others[0]
    raise NpcLimsError(
        f"{entry.session} is listed already, in line {item.path.line} of {layout.name} as {item.path.text}: "
        f"change that entry with npc-lims track edit {_name(item)}; "
        f"if this is another session of that day, add it with idx={len({same_path(i.path.text) for i in others})}"
    )


def _name(item: EntrySpan) -> str:
    entry = item.entry
    return item.path.text if entry is None else make_session_id(entry.subject, entry.date, entry.idx or 0)


# ------------------------------------------------------------------------------ duplicates


@dataclasses.dataclass(frozen=True)
class Duplicate:
    """One of several entries of a path.

    Attributes:
        line: Its line in the text as it was.
        session: Subject and date; its path where that names none.
        differs: Its values differ from those of the first.
        problem: What validation reports about it.
    """

    line: int
    session: str
    differs: bool
    problem: str


@dataclasses.dataclass(frozen=True)
class Deduped:
    """A text, the duplicates removed from it, and those left in it since they differ from the first of their path."""

    text: str
    removed: tuple[Duplicate, ...]
    left: tuple[Duplicate, ...]


def dedupe(text: str, file: str = FILE, keep: Optional[Literal["first", "last"]] = None) -> Deduped:
    """Remove entries that equal the first of their path, and with *keep* those that differ.

    Args:
        keep: The entry that stays of those that differ. While all are there the first takes precedence.

    Raises:
        TrackedFileError: The file holds errors elsewhere than in entries that are removed.
    """
    removed: list[Duplicate] = []
    left: list[Duplicate] = []

    def plan(layout: Layout) -> Plan:
        by_path: dict[str, list[int]] = {}
        for number, item in enumerate(layout.items):
            by_path.setdefault(same_path(item.path.text), []).append(number)
        for numbers in by_path.values():
            first, *others = (layout.items[number] for number in numbers)
            same = [n for n, item in zip(numbers[1:], others) if _content(item) == _content(first)]
            gone = numbers[1:] if keep else same
            if keep == "last" and len(same) < len(others):
                gone = numbers[:-1]
            removed.extend(_duplicate(layout, number, first) for number in gone)
            if keep is None:
                left.extend(_duplicate(layout, number, first) for number in numbers[1:] if number not in gone)
            plans.update(dict.fromkeys(gone))
        return Plan(plans)

    plans: dict[int, Optional[Mapping[str, Any]]] = {}
    done = rewrite(text, plan, file)
    return Deduped(done.text, _by_line(removed), _by_line(left))


def _by_line(duplicates: list[Duplicate]) -> tuple[Duplicate, ...]:
    return tuple(sorted(duplicates, key=lambda duplicate: duplicate.line))


def _content(item: EntrySpan) -> tuple[str, str]:
    return item.group, canonical({} if item.entry is None else item.entry.values)


def _duplicate(layout: Layout, number: int, first: EntrySpan) -> Duplicate:
    item = layout.items[number]
    at = item.path.line, item.path.column
    problem = next((p.message for p in layout.file.problems if (p.line, p.column) == at), "")
    session = item.path.text if item.entry is None else item.entry.session
    return Duplicate(item.path.line, session, _content(item) != _content(first), problem)
