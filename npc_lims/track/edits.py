"""Changes of tracked_sessions.yaml in its text, and what they change session by session."""

from __future__ import annotations

import dataclasses
import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Optional, Union

from npc_lims.config.settings import TRACKED_FILE
from npc_lims.errors import NpcLimsError
from npc_lims.model.session_id import make_session_id, parse_session_id, subject_of
from npc_lims.sources.tracked.entries import PLATFORMS, same_path
from npc_lims.sources.yaml_nodes import ScalarNode, shorten
from npc_lims.state.diff import SessionChange
from npc_lims.track.assignments import checked_entry, edited_keys, flat_keys
from npc_lims.track.compare import split_known
from npc_lims.track.layout import EntrySpan, Layout, inline, open_layout
from npc_lims.track.rewrite import rewrite
from npc_lims.track.yaml_text import canonical, child, pairs_of


@dataclasses.dataclass(frozen=True)
class Add:
    """Add the entry of a session, by default to the project of its subject or to the platform's most frequent one."""

    path: str
    platform: str = "ephys"
    project: str | None = None
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Edit:
    """Edit the entry of a session, given by its id in any form or its path.

    Of several entries of one path the first is edited, which takes precedence. Keys are removed at whichever level they
    stand, and values appended to lists unless they are there.
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
    """The new text, the sessions that were `added`, `edited` or `removed` (by path if they have no id), and notes."""

    text: str
    sessions: tuple[SessionChange, ...]
    notes: tuple[str, ...]


def make_changes(text: str, changes: Iterable[Change], file: str = TRACKED_FILE) -> EditResult:
    """Make all changes, each of another session; NpcLimsError if one cannot be made: then none is."""
    before = open_layout(text, file)
    planner = _Planner(before)
    for change in changes:
        planner.plan(change)
    after = rewrite(before, planner.keys, planner.new)
    notes = [*planner.notes, *_side_effects(before, after, planner.paths)]
    problems, _ = split_known(after.file.problems, after.yaml.text, before.file.problems, before.yaml.text)
    sessions = _changed_sessions(before, after, planner.paths)
    return EditResult(after.source, tuple(sessions), (*notes, *map(str, problems)))


class _Planner:
    """Collects what is to be done, change by change, and notes about it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.paths: list[str] = []
        self.notes: list[str] = []
        self.keys: dict[int, Mapping[str, Any] | None] = {}
        self.new: list[EntrySpan] = []

    def plan(self, change: Change) -> None:
        if isinstance(change, Add):
            self._add(change)
        elif isinstance(change, Edit):
            self._edit(change)
        else:
            self._remove(change.session)

    def _add(self, change: Add) -> None:
        layout = self._layout
        if change.platform not in PLATFORMS:
            raise NpcLimsError(f"there is no platform {change.platform!r}: the platforms are {', '.join(PLATFORMS)}")
        keys = edited_keys({}, change.values)
        new = checked_entry(change.path, keys, change.path)
        for index in layout.of_path(change.path):
            raise NpcLimsError(f"{change.path} is listed already, {_use_edit(layout, layout.items[index])}")
        if any(same_path(other.path.text) == same_path(change.path) for other in self.new):
            raise NpcLimsError(f"{change.path} is to be added twice: leave one out")
        project = change.project or _default_project(layout, change.platform, new.subject)
        new = dataclasses.replace(new, platform=change.platform, project=ScalarNode(0, 0, text=project))
        _refuse_other_of_day(layout, new)
        self.new.append(new)
        self.paths.append(change.path)

    def _edit(self, change: Edit) -> None:
        index, *others = self._take(change.session)
        item = self._layout.items[index]
        keys = edited_keys(item.keys, change.set, change.unset, change.append)
        if canonical(keys) != canonical(item.keys):
            checked_entry(item.path.text, keys, change.session)
        self.keys[index] = keys
        if others:
            self.notes.append(
                f"{change.session} is listed {len(others) + 1} times: the entry in line {item.path.line}, "
                "which counts, is changed; npc-lims track dedupe removes the others"
            )

    def _remove(self, session: str) -> None:
        indexes = self._take(session)
        self.keys.update(dict.fromkeys(indexes))
        if len(indexes) > 1:
            lines = ", ".join(str(self._layout.items[index].path.line) for index in indexes)
            self.notes.append(f"{session} is listed {len(indexes)} times, in lines {lines}: all are removed")

    def _take(self, session: str) -> list[int]:
        """Return the indexes of the entries of a session, which no other change may concern."""
        path = _path_of(self._layout, session)
        indexes = self._layout.of_path(path)
        if indexes[0] in self.keys:
            raise NpcLimsError(f"two changes of {session}: make one of them, or one after the other")
        self.paths.append(path)
        return indexes


def _path_of(layout: Layout, session: str) -> str:
    """Return the path, as written, of a session that is given by its path or id."""
    for index in layout.of_path(session):
        return layout.items[index].path.text
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


def _refuse_other_of_day(layout: Layout, new: EntrySpan) -> None:
    """Refuse another session of the day, unless their start times distinguish them and no id changes."""
    entry = new.entry
    assert entry is not None
    others = [item for item in layout.items if item.entry is not None and item.entry.session == entry.session]
    if not others or entry.idx is not None:
        return
    if all(item.group == new.group and "" < item.time[1] < new.time[1] for item in others):
        return
    raise NpcLimsError(
        f"{entry.session} is listed already, {_use_edit(layout, others[0], f' as {others[0].path.text}')}; "
        f"if this is another session of that day, add it with idx={len({same_path(i.path.text) for i in others})}"
    )


def _use_edit(layout: Layout, item: EntrySpan, path: str = "") -> str:
    entry = item.entry
    name = item.path.text if entry is None else make_session_id(entry.subject, entry.date, entry.idx or 0)
    return f"in line {item.path.line} of {layout.name}{path}: change that entry with npc-lims track edit {name}"


def _default_project(layout: Layout, platform: str, subject: str) -> str:
    """Return the project of a session without one: its subject's, else the platform's most frequent one."""
    found = child(layout.root, platform)
    items = [item for item in layout.items if item.platform == platform]
    own = {item.project.text for item in items if item.subject == subject}
    if len(own) == 1:
        return own.pop()
    projects = Counter({key.text: 0 for key, _ in pairs_of(found and found[1])})
    projects.update(item.project.text for item in items)
    usual = projects.most_common(2)
    if not usual:
        raise NpcLimsError(f"{layout.name} has no project under {platform}: name one with --project")
    if len(usual) == 2 and usual[0][1] == usual[1][1]:
        raise NpcLimsError(f"{platform} has the projects {', '.join(projects)}: name one with --project")
    return usual[0][0]


# --------------------------------------------------------------------------------- summary


def _changed_sessions(before: Layout, after: Layout, paths: Iterable[str]) -> Iterator[SessionChange]:
    old_ids, new_ids = _ids(before), _ids(after)
    for path in dict.fromkeys(map(same_path, paths)):
        old, new = ([layout.items[index] for index in layout.of_path(path)[:1]] for layout in (before, after))
        was, now = (_by_name(items[0].keys if items else {}) for items in (old, new))
        details = tuple(f"{name} {show_value(value)}" for name, value in (now or was).items())
        if old and new:
            details = tuple(_differences(was, now))
            if details:
                yield SessionChange(new_ids[path], ("edited",), details)
        elif new:
            yield SessionChange(new_ids[path], ("added",), details)
        elif old:
            yield SessionChange(old_ids.get(path, old[0].path.text), ("removed",), details)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if canonical(old) == canonical(new):
            continue
        shown = f"{show_value(old)} -> {show_value(new)}"
        if isinstance(old, list) and isinstance(new, list) and len(old) + len(new) > 2:
            gone = [f"-{show_value(item)}" for item in old if item not in new]
            come = [f"+{show_value(item)}" for item in new if item not in old]
            shown = " ".join(gone + come) or shown
        yield f"{name} {shown}"


def _by_name(keys: Mapping[str, Any]) -> dict[str, Any]:
    flat = flat_keys(keys)
    # a name that stands at both levels needs its level
    return {".".join(path) if path[-1:] in flat else path[-1]: value for path, value in flat.items()}


def show_value(value: Any) -> str:
    """Return a value on one short line, as in the file."""
    return "nothing" if value is None else shorten(inline(value))


def _ids(layout: Layout) -> dict[str, str]:
    return {same_path(tracked.allen_path): session for session, tracked in layout.file.sessions.items()}


def _side_effects(before: Layout, after: Layout, paths: Iterable[str]) -> list[str]:
    """Return messages about ids that changed, and about the experiment_day of other sessions than those of *paths*."""
    changed = set(map(same_path, paths))
    was = {
        same_path(entry.allen_path): (session, entry.experiment_day) for session, entry in before.file.sessions.items()
    }
    ids: list[str] = []
    days: dict[str, list[str]] = {}
    for session, entry in after.file.sessions.items():
        path, day = same_path(entry.allen_path), entry.experiment_day
        old_session, old_day = was.get(path, (session, day))
        if old_session != session:
            ids.append(f"{old_session} becomes {session}, as the sessions of its day are numbered again")
        if old_day != day and path not in changed:
            days.setdefault(subject_of(session), []).append(f"{session} ({old_day} -> {day})")
    return ids + [
        f"experiment_day changes of {', '.join(sessions)}: with no day of their own, the sessions of subject {subject} "
        "are numbered by their dates"
        for subject, sessions in days.items()
    ]


# ------------------------------------------------------------------------------ duplicates


@dataclasses.dataclass(frozen=True)
class Duplicate:
    """One of several entries of a path, with its line in the text as it was; *differs* means from the first of them."""

    id: str
    line: int
    is_removed: bool
    differs: bool
    problem: str


@dataclasses.dataclass(frozen=True)
class Deduped:
    """A text, the duplicates removed from it, and those left in it since they differ from the first of their path."""

    text: str
    removed: tuple[Duplicate, ...]
    left: tuple[Duplicate, ...]


def dedupe(text: str, file: str = TRACKED_FILE, keep: Optional[Literal["first", "last"]] = None) -> Deduped:
    """Remove entries that equal the first of their path, and with *keep* all but the first or last that differ."""
    layout = open_layout(text, file)
    removed: set[int] = set()
    left: set[int] = set()
    for first, *others in layout.by_path.values():
        different = {index for index in others if _differs(layout, index)}
        if keep == "last" and different:
            removed |= {first, *others[:-1]}
        elif keep:
            removed.update(others)
        else:
            removed |= set(others) - different
            left |= different
    after = rewrite(layout, dict.fromkeys(removed))
    removed_ones, left_ones = (
        tuple(_duplicate(layout, index, index in removed) for index in sorted(some)) for some in (removed, left)
    )
    return Deduped(after.source, removed_ones, left_ones)


def _differs(layout: Layout, index: int) -> bool:
    item = layout.items[index]
    first = layout.items[layout.of_path(item.path.text)[0]]
    values, others = (one.entry.values if one.entry else {} for one in (item, first))
    return item.group != first.group or canonical(values) != canonical(others)


def _duplicate(layout: Layout, index: int, is_removed: bool) -> Duplicate:
    item = layout.items[index]
    at = item.path.line, item.path.column
    problem = next((p.message for p in layout.file.problems if (p.line, p.column) == at), "")
    session = item.path.text if item.entry is None else item.entry.session
    return Duplicate(session, item.path.line, is_removed, _differs(layout, index), problem)
