"""Changes of tracked_sessions.yaml as changes of its text: a diff holds the entries' own lines and no other."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Union

from npc_lims.errors import NpcLimsError
from npc_lims.model.session_id import make_session_id, parse_session_id, subject_of
from npc_lims.sources.tracked.entries import ParsedEntry
from npc_lims.sources.tracked.schema import PLATFORMS
from npc_lims.track.assignments import checked_entry, edited_keys
from npc_lims.track.entry_spans import Item, Layout, canonical, same_path
from npc_lims.track.insertion import New, project_of
from npc_lims.track.rewrite import Plan, rewrite
from npc_lims.track.summary import Touched, new_warnings, shifted_days, shifted_ids, touched

__all__ = ["FILE", "Add", "Change", "Changed", "Edit", "Remove", "apply_changes", "make_changes"]

FILE = "tracked_sessions.yaml"


@dataclasses.dataclass(frozen=True)
class Add:
    """List a session.

    Attributes:
        path: Path of its data, with its subject and date in it.
        project: By default that of the subject's other sessions, or the platform's most usual one.
        values: What is said of it. An argument of analysis code goes into session_kwargs by itself.
    """

    path: str
    platform: str = "ephys"
    project: str | None = None
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Edit:
    """Change what is said of a session. Of several entries of one path the first is changed, which counts.

    Attributes:
        session: Its id in any form, or its path.
        set: Keys and their new values.
        unset: Keys to remove, at whichever level of the entry they stand.
        append: Keys of lists, and values to put at their ends unless they are in them.
    """

    session: str
    set: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    unset: tuple[str, ...] = ()
    append: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Remove:
    """Take a session off the list: every entry of its path.

    Comments above an entry stay, and so does a project that has no entry left.
    """

    session: str


Change = Union[Add, Edit, Remove]


@dataclasses.dataclass(frozen=True)
class Changed:
    """What changes came to.

    Attributes:
        text: The whole new text.
        sessions: The sessions that are not as they were, in the order of the changes.
        notes: What somebody who asked for the changes should know besides.
    """

    text: str
    sessions: tuple[Touched, ...]
    notes: tuple[str, ...]


def apply_changes(text: str, changes: Sequence[Change], file: str = FILE) -> str:
    """*text* with all changes made, each of another session.

    Raises:
        TrackedFileError: The file holds errors in places that the changes do not touch.
        NpcLimsError: A change cannot be made; then none is.
    """
    return make_changes(text, changes, file).text


def make_changes(text: str, changes: Sequence[Change], file: str = FILE) -> Changed:
    """As `apply_changes`, and tells what changed."""
    planner = _Planner()
    done = rewrite(text, lambda layout: planner.plan(layout, changes), file)
    notes = [
        *planner.notes,
        *shifted_ids(done.before, done.after),
        *shifted_days(done.before, done.after, planner.paths),
    ]
    notes += [str(problem) for problem in new_warnings(done.before, done.after)]
    return Changed(done.text, tuple(touched(done.before, done.after, planner.paths)), tuple(notes))


class _Planner:
    """What is to be done, change by change, and what is to be told of it."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.notes: list[str] = []
        self._keys: dict[int, Mapping[str, Any] | None] = {}
        self._new: list[New] = []

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
        listed = _checked(change.path, change.path, keys)
        _refuse_listed(layout, change.path)
        for other in self._new:
            if same_path(other.listed.path) == same_path(change.path):
                raise NpcLimsError(f"{change.path} is to be added twice: leave one out")
        project = change.project or project_of(layout, change.platform, listed.subject)
        new = New(change.platform, project, listed, keys)
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
        """Numbers of the entries of a session, which no other change may concern."""
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
    """The path, as it is written, of a session that is named by its path or by an id."""
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


def _refuse_listed(layout: Layout, path: str) -> None:
    for item in layout.of_path(path):
        raise NpcLimsError(
            f"{path} is listed already, in line {item.path.line} of {layout.name}: "
            f"change that entry with npc-lims track edit {_name(item)}"
        )


def _refuse_other_of_day(layout: Layout, new: New) -> None:
    """Another session of the day, unless it is plain which is which and the ids of those there stay."""
    listed = new.listed
    others = [item for item in layout.items if item.listed is not None and item.listed.session == listed.session]
    if not others or listed.idx is not None:
        return
    times = [item.listed.time for item in others if item.listed is not None and item.place == new.place]
    if listed.time is not None and len(times) == len(others) and all(time and time < listed.time for time in times):
        return
    item = others[0]
    raise NpcLimsError(
        f"{listed.session} is listed already, in line {item.path.line} of {layout.name} as {item.path.text}: "
        f"change that entry with npc-lims track edit {_name(item)}; "
        f"if this is another session of that day, add it with idx={len({same_path(i.path.text) for i in others})}"
    )


def _name(item: Item) -> str:
    listed = item.listed
    return item.path.text if listed is None else make_session_id(listed.subject, listed.date, listed.idx or 0)
