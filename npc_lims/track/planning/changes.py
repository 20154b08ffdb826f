"""Changes of the tracked file from what the lab planned and uploaded, and the report of them. Pure.

For each field the workbook takes precedence over `session_config.json`, and that over the file. Fields that
neither names stay as they are.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from npc_lims.config.settings import TRACKED_FILE
from npc_lims.errors import Problem, TrackedFileError
from npc_lims.model.record import Tracked
from npc_lims.model.session_id import day_of
from npc_lims.sources.tracked.entries import same_path
from npc_lims.sources.tracked.parser import TrackedFile, parse_tracked
from npc_lims.state.diff import SessionChange
from npc_lims.state.diff_format import Chapter
from npc_lims.track.edits import Add, Edit, EditResult, show_value
from npc_lims.track.layout import is_blank
from npc_lims.track.planning.batch_files import CONFIG, Upload, Uploads
from npc_lims.track.planning.cells import PROBES, is_naive, is_opto, is_production
from npc_lims.track.planning.workbook import MouseRow, PlanningWorkbook, SessionRow
from npc_lims.utils.mappings import grouped

PROBES_TO_SKIP = "probe_letters_to_skip"
SURFACE_TO_SKIP = "surface_recording_probe_letters_to_skip"

_LETTERS = frozenset({PROBES_TO_SKIP, SURFACE_TO_SKIP, "probe_letters_with_surface_channel_recording"})
_FALSE = ("is_context_naive", "is_deep_insertion", "is_injection_control", "is_injection_perturbation")
_DEFAULTS = {"is_production": True, **dict.fromkeys((*_FALSE, "is_opto_perturbation", "is_split_recording"), False)}
"""Values of an entry without the key."""

_PROJECTS = {"dr": "DynamicRouting", "templeton": "TempletonPilotSession"}
"""The lab's short names of projects."""


@dataclasses.dataclass(frozen=True)
class PlannedSession:
    """One session as planned and uploaded."""

    id: str
    """Subject and date, as `626791_2022-08-15`."""
    paths: tuple[str, ...]
    """Of its uploads; none for a session that only the workbook has."""
    platform: str
    workbook: Mapping[str, Any]
    """Values of the workbook; probe letters may be empty: none are skipped."""
    config: Mapping[str, Any]
    surface_at_least: str
    """Probes without a surface recording, if the workbook does not name those with one."""
    where: str
    """Sheet and row, or file and line of the upload."""


# -------------------------------------------------------------- sessions of workbook and uploads


def join_plans(workbook: PlanningWorkbook, uploads: Uploads) -> tuple[tuple[PlannedSession, ...], list[Problem]]:
    """Return every session that has a row or an upload, by date, and all problems, such as contradicting rows."""
    problems = [*workbook.problems, *uploads.problems]
    rows: dict[str, SessionRow] = {}
    for row in workbook.sessions:
        rows[row.session] = _merged(rows[row.session], row, problems) if row.session in rows else row
    uploaded = grouped((upload.session, upload) for upload in uploads.uploads)
    sessions = [
        _planned(session, rows.get(session), uploaded.get(session, []), workbook.mice, problems)
        for session in sorted({*rows, *uploaded}, key=lambda session: session.split("_")[::-1])
    ]
    return tuple(sessions), problems


def _merged(first: SessionRow, second: SessionRow, problems: list[Problem]) -> SessionRow:
    """Merge two rows of a session: each adds values that the other has not."""
    added: dict[str, Any] = {}
    named = {"recorded": "probes", "is_deep": "depth", "is_injection": "injection", "surface": "surface"}
    for name, what in named.items():
        ours, theirs = getattr(first, name), getattr(second, name)
        if ours is None:
            added[name] = theirs
        elif theirs is not None and ours != theirs:
            message = f"{first.session} has another {what} in {first.where}, which counts: correct one"
            problems.append(Problem(second.sheet, second.line, 0, "error", message))
    return dataclasses.replace(first, **added)


def _planned(
    session: str, row: SessionRow | None, uploads: list[Upload], mice: list[MouseRow], problems: list[Problem]
) -> PlannedSession:
    file, line = (row.sheet, row.line) if row else (uploads[0].file, uploads[0].line)
    subject, date = session.split("_")
    of_subject = [mouse for mouse in mice if mouse.subject == subject]
    values = _values_of_mice(of_subject, datetime.date.fromisoformat(date))
    if mice and "ephys_day" not in values and all(mouse.days is not None for mouse in of_subject):
        message = f"{session} is none of the days recorded in by_mouse, so its ephys_day is unknown"
        problems.append(Problem(file, line, 0, "warning", message))
    at_least = ""
    if row is None:
        problems.append(Problem(file, line, 0, "warning", f"{session} has no row in a sheet by_session_*"))
    else:
        values.update(_values_of_row(row))
        if row.surface is True:
            at_least = values.get(PROBES_TO_SKIP, "")
    return PlannedSession(
        session,
        tuple(upload.path for upload in uploads),
        uploads[0].platform if uploads else "ephys",
        values,
        {name: value for upload in uploads for name, value in upload.config.items()},
        at_least,
        row.where if row else f"{file} line {line}",
    )


def _values_of_mice(rows: list[MouseRow], date: datetime.date) -> dict[str, Any]:
    if not rows:
        return {}
    days = sorted({day for mouse in rows for day in mouse.days or ()})
    # one day that cannot be read makes the rank of every other uncertain
    is_ranked = date in days and all(mouse.days is not None for mouse in rows)
    mouse = next((mouse for mouse in rows if mouse.days and date in mouse.days), rows[0])
    exp_type = mouse.exp_type or ""
    is_perturbed = is_opto(f"{exp_type} {mouse.project or ''}")
    return _without_none(
        ephys_day=days.index(date) + 1 if is_ranked else None,
        project=mouse.project or None,
        is_production=is_production(exp_type),
        is_context_naive=is_naive(exp_type) if exp_type else None,
        is_opto_perturbation=is_perturbed if exp_type or is_perturbed else None,
    )


def _values_of_row(row: SessionRow) -> dict[str, Any]:
    # of probes without a surface recording, there is nothing to skip
    surface = frozenset(PROBES) if row.surface is False else None if row.surface is True else row.surface
    return _without_none(
        probe_letters_to_skip=_others(row.recorded),
        surface_recording_probe_letters_to_skip=_others(surface),
        is_deep_insertion=row.is_deep,
        is_injection_perturbation=row.is_injection,
    )


def _without_none(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _others(letters: frozenset[str] | None) -> str | None:
    return None if letters is None else "".join(letter for letter in PROBES if letter not in letters)


# ----------------------------------------------------------------------- changes of the file


class _Skip(Exception):
    """A session cannot be imported; the message has the reason."""


def plan_import(
    sessions: Iterable[PlannedSession],
    tracked_text: str,
    *,
    project: str | None = None,
    file: str = TRACKED_FILE,
    today: datetime.date | None = None,
) -> ImportPlan:
    """Return the changes that import *sessions* into a tracked file without errors; new entries go to *project*."""
    text = tracked_text.lstrip("\ufeff")
    tracked = parse_tracked("ephys:\n" if is_blank(text) else text, file, today=today)
    if any(problem.is_error for problem in tracked.problems):
        raise TrackedFileError(tracked.problems)
    plan = ImportPlan(tracked, project, today or datetime.date.today())
    for session in sessions:
        plan.add(session)
    return plan


class ImportPlan:
    """The changes of an import, and messages: fields of which sources have different values, and the value taken;
    sessions that are not imported, and why; and those whose entries have all values already."""

    def __init__(self, tracked: TrackedFile, project: str | None, today: datetime.date) -> None:
        self._project = project
        self._today = today
        self._tracked = tracked.sessions
        self._folders: dict[str, set[str]] = {}
        for entry in tracked.sessions.values():
            self._folders.setdefault(_folder(entry.allen_path), set()).add(entry.project)
        named = {*_PROJECTS.values(), *(entry.project for entry in tracked.sessions.values())}
        self._projects = {_letters_of(name): name for name in sorted(named)} | _PROJECTS
        self.changes: list[Add | Edit] = []
        self.conflicts: list[SessionChange] = []
        self.skipped: list[SessionChange] = []
        self.unchanged: list[SessionChange] = []

    def add(self, planned: PlannedSession) -> None:
        try:
            known = self._tracked_id(planned)
            if known is None:
                self._add(planned)
            else:
                self._edit(planned, known, self._tracked[known])
        except _Skip as skip:
            self.skipped.append(SessionChange(planned.id, (f"{skip} ({planned.where})",)))

    def _tracked_id(self, planned: PlannedSession) -> str | None:
        """Return the tracked session; of several on its day, the one that has its path."""
        known = [session for session in self._tracked if day_of(session) == planned.id]
        if len(known) > 1:
            known = [session for session in known if _has_path(planned, self._tracked[session])]
            if len(known) != 1:
                raise _Skip(
                    "several sessions of that day are tracked, and its uploads do not identify one: use track edit"
                )
        if known and self._tracked[known[0]].platform != planned.platform:
            platform = self._tracked[known[0]].platform
            raise _Skip(
                f"it is tracked below {platform}, not {planned.platform}: move its entry, or correct it by hand"
            )
        return known[0] if known else None

    def _add(self, planned: PlannedSession) -> None:
        if datetime.date.fromisoformat(planned.id.split("_")[1]) > self._today:
            raise _Skip("its date lies ahead")
        if not planned.paths:
            raise _Skip("not uploaded: no path")
        if len({same_path(path) for path in planned.paths}) > 1:
            raise _Skip(f"uploaded from several paths, {' and '.join(planned.paths)}: comment out all but one")
        project = self._project_of(planned)
        fields = self._fields(planned, {}, planned.id)
        values = {name: value for name, value in fields if not _is_default(name, value)}
        self.changes.append(Add(planned.paths[0], planned.platform, project, values))

    def _edit(self, planned: PlannedSession, session: str, entry: Tracked) -> None:
        present = _present(entry)
        fields = [
            (name, value)
            for name, value in self._fields(planned, present, session)
            if _meaning(name, present.get(name)) != _meaning(name, value)
        ]
        to_set = {name: value for name, value in fields if not _is_default(name, value)}
        to_unset = tuple(name for name, value in fields if _is_default(name, value))
        self._compare_position(planned, session, entry)
        if fields:
            self.changes.append(Edit(session, to_set, to_unset))
        else:
            self.unchanged.append(SessionChange(session, ()))

    def _fields(self, planned: PlannedSession, present: Mapping[str, Any], session: str) -> Iterator[tuple[str, Any]]:
        """Yield each field that workbook or config control, and its value. Notes where sources differ."""
        workbook = dict(planned.workbook)
        if planned.surface_at_least:
            others = planned.config.get(SURFACE_TO_SKIP, present.get(SURFACE_TO_SKIP))
            together = {*planned.surface_at_least, *(_meaning(SURFACE_TO_SKIP, others) or "")}
            workbook[SURFACE_TO_SKIP] = "".join(sorted(together))
        for name in dict.fromkeys((*workbook, *planned.config)):
            if name == "project":
                continue
            sources = (("workbook", workbook), (CONFIG, planned.config), ("tracked", present))
            found = [(source, values[name]) for source, values in sources if name in values]
            if any(_meaning(name, value) != _meaning(name, found[0][1]) for _, value in found):
                self._conflict(session, name, found, found[0][1])
            yield name, found[0][1]

    def _conflict(
        self, session: str, field: str, values: Iterable[tuple[str, Any]], taken: Any, remedy: str = ""
    ) -> None:
        """Note the values of a field by source, in order of precedence, and the value taken."""
        shown = ", ".join(f"{source} {_show(value)}" for source, value in values)
        message = f"{field}: {shown}: {_show(taken)} is taken{remedy}"
        self.conflicts.append(SessionChange(session, (message,)))

    def _compare_position(self, planned: PlannedSession, session: str, entry: Tracked) -> None:
        """List differences of project and path, which an import does not change."""
        remedy = ", since an import moves no entry: correct what is wrong by hand"
        if planned.paths and not _has_path(planned, entry):
            paths = [("upload", planned.paths[0]), ("tracked", entry.allen_path)]
            self._conflict(session, "path", paths, entry.allen_path, remedy)
        for source, name in (("--project", self._project), *_projects(planned)):
            if name and self._projects.get(_letters_of(name), name) != entry.project:
                projects = [(source, name), ("tracked", entry.project)]
                self._conflict(session, "project", projects, entry.project, remedy)
                break

    def _project_of(self, planned: PlannedSession) -> str:
        if self._project:
            return self._projects.get(_letters_of(self._project), self._project)
        given = _projects(planned)
        if given:
            source, name = given[0]
            found = self._projects.get(_letters_of(name))
            if found is None:
                known = ", ".join(sorted(set(self._projects.values())))
                raise _Skip(f"{source} gives the project {name!r}, which is none of {known}: give --project")
            if any(self._projects.get(_letters_of(other)) != found for _, other in given):
                self._conflict(planned.id, "project", given, found)
            return found
        # the lab keeps the sessions of a project together
        beside = self._folders.get(_folder(planned.paths[0]), set())
        if len(beside) == 1:
            return next(iter(beside))
        raise _Skip("its project is unknown: give --project")


def _projects(planned: PlannedSession) -> list[tuple[str, str]]:
    sources = (("workbook", planned.workbook), (CONFIG, planned.config))
    return [(source, str(values["project"])) for source, values in sources if "project" in values]


def _has_path(planned: PlannedSession, entry: Tracked) -> bool:
    return same_path(entry.allen_path) in map(same_path, planned.paths)


def _present(entry: Tracked) -> dict[str, Any]:
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


def _show(value: Any) -> str:
    return "none" if value in (None, "") else show_value(value)


def _letters_of(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _folder(path: str) -> str:
    return same_path(path).rpartition("/")[0]


# ---------------------------------------------------------------------------------- report


def import_report(plan: ImportPlan, changed: EditResult) -> dict[str, Sequence[SessionChange]]:
    """Return what is done with each session, and each conflict, by kind; *changed* is the result of *plan*."""
    by_kind = {
        kind: [SessionChange(one.id, one.details) for one in changed.sessions if one.what == (kind,)]
        for kind in ("added", "edited")
    }
    return {**by_kind, "conflict": plan.conflicts, "skipped": plan.skipped, "unchanged": plan.unchanged}


def import_chapter(report: Mapping[str, Sequence[SessionChange]], notes: Sequence[str], title: str) -> Chapter:
    titles, groups = [], {}
    for kind, changes in report.items():
        plural = "s" if kind == "conflict" and len(changes) > 1 else ""
        if changes:
            titles.append(f"{len(changes)} {kind}{plural}")
        if changes and kind != "unchanged":
            named = [one if one.what else SessionChange(one.id, ("nothing but its path",)) for one in changes]
            groups[titles[-1]] = named
    return Chapter(title, ", ".join(titles) or "no sessions", notes, groups)
