"""Changes of the tracked file from what the lab planned and uploaded, and the report of them. Pure.

For each field the workbook takes precedence over `session_config.json`, and that over the file. Fields that
neither names stay as they are.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from npc_lims.errors import TrackedFileError
from npc_lims.model.record import Tracked
from npc_lims.model.session_id import day_of
from npc_lims.sources.tracked.entries import same_path
from npc_lims.sources.tracked.parser import TrackedFile, parse_tracked
from npc_lims.state.diff import SessionChange, one_line
from npc_lims.state.diff_format import Chapter, Group
from npc_lims.track.edits import Add, Edit, EditResult
from npc_lims.track.planning.join import PROBES_TO_SKIP, SURFACE_TO_SKIP, PlannedSession

_LETTERS = frozenset({PROBES_TO_SKIP, SURFACE_TO_SKIP, "probe_letters_with_surface_channel_recording"})
_DEFAULTS = {
    "is_production": True,
    "is_context_naive": False,
    "is_deep_insertion": False,
    "is_injection_control": False,
    "is_injection_perturbation": False,
    "is_opto_perturbation": False,
    "is_split_recording": False,
}
"""Values of an entry without the key."""

_PROJECTS = {"dr": "DynamicRouting", "templeton": "TempletonPilotSession"}
"""The lab's short names of projects."""

_CONFIG = "session_config.json"


@dataclasses.dataclass(frozen=True)
class Conflict:
    """Sources with different values of one field: *values* by source in order of precedence, and the value taken."""

    session: str
    field: str
    values: tuple[tuple[str, Any], ...]
    taken: Any
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.session}: {self.gist}"

    @property
    def gist(self) -> str:
        """The message without the session."""
        values = ", ".join(f"{source} {show_value(value)}" for source, value in self.values)
        return f"{self.field}: {values}: {show_value(self.taken)} is taken{self.remedy}"


@dataclasses.dataclass(frozen=True)
class Skipped:
    """A session that is not imported, and why."""

    session: str
    reason: str
    where: str


@dataclasses.dataclass(frozen=True)
class ImportPlan:
    """The effect of an import on one text of the tracked file.

    Attributes:
        changes: For `apply_changes`, the entries to add in order of their dates.
        unchanged: Sessions whose entries have all values already.
    """

    changes: tuple[Add | Edit, ...]
    conflicts: tuple[Conflict, ...]
    skipped: tuple[Skipped, ...]
    unchanged: tuple[str, ...]


class _Skip(Exception):
    """A session cannot be imported; the message has the reason."""


def plan_import(
    sessions: Iterable[PlannedSession],
    tracked_text: str,
    *,
    project: str | None = None,
    file: str = "tracked_sessions.yaml",
    today: datetime.date | None = None,
) -> ImportPlan:
    """Return the changes that import *sessions* into a tracked file.

    Args:
        project: Of new entries, whatever workbook and configs have.
        file: Name of the tracked file, for messages.
        today: Sessions of a later day are mistakes (default: by the clock).

    Raises:
        TrackedFileError: The tracked file holds errors.
    """
    tracked = parse_tracked(tracked_text.lstrip("\ufeff"), file, today=today)
    if any(problem.is_error for problem in tracked.problems):
        raise TrackedFileError(tracked.problems)
    planning = _Planning(tracked, project, today or datetime.date.today())
    for session in sessions:
        try:
            planning.session(session)
        except _Skip as skip:
            planning.skipped.append(Skipped(session.id, str(skip), session.where))
    return ImportPlan(
        tuple(planning.changes),
        tuple(planning.conflicts),
        tuple(planning.skipped),
        tuple(planning.unchanged),
    )


class _Planning:
    """Collects changes, conflicts and skipped sessions."""

    def __init__(self, tracked: TrackedFile, project: str | None, today: datetime.date) -> None:
        self.project = project
        self.today = today
        self.sessions = tracked.sessions
        self.by_day: dict[str, list[str]] = {}
        self.folders: dict[str, set[str]] = {}
        for session, entry in tracked.sessions.items():
            self.by_day.setdefault(day_of(session), []).append(session)
            self.folders.setdefault(_folder(entry.allen_path), set()).add(entry.project)
        named = {*_PROJECTS.values(), *(entry.project for entry in tracked.sessions.values())}
        self.projects = {_letters_of(name): name for name in sorted(named)} | _PROJECTS
        self.changes: list[Add | Edit] = []
        self.conflicts: list[Conflict] = []
        self.skipped: list[Skipped] = []
        self.unchanged: list[str] = []

    def session(self, planned: PlannedSession) -> None:
        known = self._tracked_id(planned)
        if known is None:
            self._add(planned)
        else:
            self._edit(planned, known, self.sessions[known])

    def _tracked_id(self, planned: PlannedSession) -> str | None:
        """The entry of the session; of several on its day, the one that has its path."""
        known = self.by_day.get(planned.id, [])
        if len(known) > 1:
            paths = {same_path(path) for path in planned.paths}
            known = [session for session in known if same_path(self.sessions[session].allen_path) in paths]
            if len(known) != 1:
                raise _Skip(
                    "several sessions of that day are tracked, and its uploads do not identify one: use track edit"
                )
        if known and self.sessions[known[0]].platform != planned.platform:
            platform = self.sessions[known[0]].platform
            raise _Skip(
                f"it is tracked below {platform}, not {planned.platform}: move its entry, or correct it by hand"
            )
        return known[0] if known else None

    def _add(self, planned: PlannedSession) -> None:
        if datetime.date.fromisoformat(planned.id.split("_")[1]) > self.today:
            raise _Skip("its date lies ahead")
        if not planned.paths:
            raise _Skip("not uploaded: no path")
        if len({same_path(path) for path in planned.paths}) > 1:
            raise _Skip(f"uploaded from several paths, {' and '.join(planned.paths)}: comment out all but one")
        path = planned.paths[0]
        project = self._project(planned, path)
        fields = self._fields(planned, {}, planned.id)
        values = {name: value for name, value in fields if not _is_default(name, value)}
        self.changes.append(Add(path, platform=planned.platform, project=project, values=values))

    def _edit(self, planned: PlannedSession, session: str, entry: Tracked) -> None:
        present = _present(entry)
        to_set: dict[str, Any] = {}
        to_unset: list[str] = []
        for name, value in self._fields(planned, present, session):
            if _meaning(name, present.get(name)) == _meaning(name, value):
                continue
            if _is_default(name, value):
                to_unset.append(name)
            else:
                to_set[name] = value
        self._compare_position(planned, session, entry)
        if to_set or to_unset:
            self.changes.append(Edit(session, set=to_set, unset=tuple(to_unset)))
        else:
            self.unchanged.append(session)

    def _fields(self, planned: PlannedSession, present: Mapping[str, Any], session: str) -> Iterator[tuple[str, Any]]:
        """Each field that workbook or config control, and what it is to be. Notes where sources differ."""
        workbook = dict(planned.workbook)
        if planned.surface_at_least:
            others = planned.config.get(SURFACE_TO_SKIP, present.get(SURFACE_TO_SKIP))
            together = {*planned.surface_at_least, *(_meaning(SURFACE_TO_SKIP, others) or "")}
            workbook[SURFACE_TO_SKIP] = "".join(sorted(together))
        for name in dict.fromkeys((*workbook, *planned.config)):
            if name == "project":
                continue
            sources = (("workbook", workbook), (_CONFIG, planned.config), ("tracked", present))
            found = tuple((source, values[name]) for source, values in sources if name in values)
            if any(_meaning(name, value) != _meaning(name, found[0][1]) for _, value in found):
                self.conflicts.append(Conflict(session, name, found, found[0][1]))
            yield name, found[0][1]

    def _compare_position(self, planned: PlannedSession, session: str, entry: Tracked) -> None:
        """List differences of project and path, which an import does not change."""
        remedy = ", since an import moves no entry: correct what is wrong by hand"
        if planned.paths and same_path(entry.allen_path) not in {same_path(path) for path in planned.paths}:
            paths = (("upload", planned.paths[0]), ("tracked", entry.allen_path))
            self.conflicts.append(Conflict(session, "path", paths, entry.allen_path, remedy))
        sources = (("--project", self.project), *_projects(planned))
        for source, name in sources:
            if name and self.projects.get(_letters_of(name), name) != entry.project:
                projects = ((source, name), ("tracked", entry.project))
                self.conflicts.append(Conflict(session, "project", projects, entry.project, remedy))
                break

    def _project(self, planned: PlannedSession, path: str) -> str:
        if self.project:
            return self.projects.get(_letters_of(self.project), self.project)
        given = _projects(planned)
        names = {source: self.projects.get(_letters_of(name)) for source, name in given}
        for source, name in given:
            found = names[source]
            if found is None:
                known = ", ".join(sorted(set(self.projects.values())))
                raise _Skip(f"{source} gives the project {name!r}, which is none of {known}: give --project")
            if len(set(names.values())) > 1:
                self.conflicts.append(Conflict(planned.id, "project", tuple(given), found))
            return found
        # the lab keeps the sessions of a project together
        beside = self.folders.get(_folder(path), set())
        if len(beside) == 1:
            return next(iter(beside))
        raise _Skip("its project is unknown: give --project")


def _projects(planned: PlannedSession) -> list[tuple[str, str]]:
    sources = (("workbook", planned.workbook), (_CONFIG, planned.config))
    return [(source, str(values["project"])) for source, values in sources if "project" in values]


def _present(entry: Tracked) -> dict[str, Any]:
    """Return the values of an entry by name."""
    values = entry.model_dump(include={"day", "ephys_day", "perturbation_day", "insertion_day", "notes", "issues"})
    present = {name: value for name, value in values.items() if value not in (None, "", [])}
    if "day" in present:
        # the older name of the same number
        present.setdefault("ephys_day", present["day"])
    return {**present, **entry.session_kwargs}


def _meaning(name: str, value: Any) -> Any:
    """Return a value in the one form that equal values share."""
    if name in _LETTERS:
        return "".join(sorted({letter for part in value or () for letter in part}))
    return _DEFAULTS.get(name) if value is None else value


def _is_default(name: str, value: Any) -> bool:
    return (name in _LETTERS or name in _DEFAULTS) and _meaning(name, value) == _meaning(name, None)


def _letters_of(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _folder(path: str) -> str:
    return same_path(path).rpartition("/")[0]


def show_value(value: Any) -> str:
    """
    >>> show_value("EF"), show_value(""), show_value(True), show_value(3)
    ('EF', 'none', 'true', '3')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(show_value, value)) + "]"
    return "none" if value in (None, "") else one_line(str(value))


# ---------------------------------------------------------------------------------- report


def import_chapter(plan: ImportPlan, changed: EditResult, title: str) -> Chapter:
    """Return the report of an import, for the terminal and for the pull request; *changed* is the result of *plan*."""
    added, edited = (
        [
            SessionChange(one.session, one.fields or ("nothing but its path",))
            for one in changed.sessions
            if one.what == what
        ]
        for what in ("added", "edited")
    )
    groups = (
        _group("added", added),
        _group("edited", edited),
        _group("conflicts", [SessionChange(conflict.session, (conflict.gist,)) for conflict in plan.conflicts]),
        _group("skipped", [SessionChange(skip.session, (f"{skip.reason} ({skip.where})",)) for skip in plan.skipped]),
    )
    unchanged = _group("unchanged", [SessionChange(session, ()) for session in plan.unchanged])
    summary = ", ".join(group.title for group in (*groups, unchanged) if group.changes) or "no sessions"
    return Chapter(title, summary, changed.notes, tuple(group for group in groups if group.changes))


def _group(name: str, changes: list[SessionChange]) -> Group:
    return Group(f"{len(changes)} {name.rstrip('s') if len(changes) == 1 else name}", changes)
