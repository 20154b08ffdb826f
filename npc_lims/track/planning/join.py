"""Sessions of the planning workbook joined with their uploads, with values by the keys of entries."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from npc_lims.errors import Problem
from npc_lims.track.planning.batch_files import Upload
from npc_lims.track.planning.cells import PROBES, is_naive, is_opto, is_production
from npc_lims.track.planning.workbook import MouseRow, PlanningWorkbook, SessionRow

PROBES_TO_SKIP = "probe_letters_to_skip"
SURFACE_TO_SKIP = "surface_recording_probe_letters_to_skip"


@dataclasses.dataclass(frozen=True)
class PlannedSession:
    """One session as planned and uploaded.

    Attributes:
        id: Subject and date, as `626791_2022-08-15`.
        paths: Of its uploads; none for a session that only the workbook has.
        platform: Of its entry.
        workbook: Values of the workbook; probe letters may be empty: none are skipped.
        config: Values of `session_config.json`.
        surface_at_least: Probes without a surface recording, if the workbook only has that there was one: others
            may lack it too.
        where: Sheet and row, or file and line of the upload.
    """

    id: str
    paths: tuple[str, ...]
    platform: str
    workbook: Mapping[str, Any]
    config: Mapping[str, Any]
    surface_at_least: str
    where: str


def join_plans(
    workbook: PlanningWorkbook, uploads: Iterable[Upload]
) -> tuple[tuple[PlannedSession, ...], tuple[Problem, ...]]:
    """Return every session that has a row or an upload, by date, and the problems, such as contradicting rows."""
    problems: list[Problem] = []
    rows: dict[str, SessionRow] = {}
    for row in workbook.sessions:
        session = f"{row.subject}_{row.date}"
        rows[session] = _merged(session, rows[session], row, problems) if session in rows else row
    uploaded: dict[str, list[Upload]] = {}
    for upload in uploads:
        uploaded.setdefault(upload.session, []).append(upload)
    mice: dict[str, list[MouseRow]] = {}
    for mouse in workbook.mice:
        mice.setdefault(mouse.subject, []).append(mouse)
    sessions = [
        _planned(session, rows.get(session), uploaded.get(session, []), mice, problems)
        for session in sorted({*rows, *uploaded}, key=lambda session: session.split("_")[::-1])
    ]
    return tuple(sessions), tuple(problems)


def _merged(session: str, first: SessionRow, second: SessionRow, problems: list[Problem]) -> SessionRow:
    """Merge two rows of a session: each adds what the other lacks."""
    added: dict[str, Any] = {}
    for name in ("recorded", "is_deep", "is_injection", "surface"):
        ours, theirs = getattr(first, name), getattr(second, name)
        if ours is None:
            added[name] = theirs
        elif theirs is not None and ours != theirs:
            what = {"recorded": "probes", "is_deep": "depth", "is_injection": "injection"}.get(name, name)
            message = f"{session} has another {what} in {first.where}, which counts: correct one"
            problems.append(Problem(second.where.sheet, second.where.row, 0, "error", message))
    return dataclasses.replace(first, **added)


def _planned(
    session: str,
    row: SessionRow | None,
    uploads: list[Upload],
    mice: Mapping[str, list[MouseRow]],
    problems: list[Problem],
) -> PlannedSession:
    subject, date = session.split("_")
    source = (row.where.sheet, row.where.row) if row else (uploads[0].file, uploads[0].line)
    of_subject = mice.get(subject, [])
    values = _values_of_mice(of_subject, datetime.date.fromisoformat(date))
    if mice and "ephys_day" not in values and all(mouse.days is not None for mouse in of_subject):
        message = f"{session} is none of the days recorded in by_mouse, so its ephys_day is unknown"
        problems.append(Problem(*source, 0, "warning", message))
    if row:
        values.update(_values_of_row(row))
    else:
        problems.append(Problem(*source, 0, "warning", f"{session} has no row in a sheet by_session_*"))
    at_least = ""
    if row and row.surface is True and row.recorded is not None:
        at_least = _others(row.recorded)
    config: dict[str, Any] = {}
    for upload in uploads:
        config.update(upload.config)
    return PlannedSession(
        session,
        tuple(upload.path for upload in uploads),
        uploads[0].platform if uploads else "ephys",
        values,
        config,
        at_least,
        f"{row.where}" if row else f"{uploads[0].file} line {uploads[0].line}",
    )


def _values_of_mice(rows: list[MouseRow], date: datetime.date) -> dict[str, Any]:
    values: dict[str, Any] = {}
    days = sorted({day for mouse in rows for day in mouse.days or ()})
    # one day that cannot be read makes the rank of every other uncertain
    if date in days and all(mouse.days is not None for mouse in rows):
        values["ephys_day"] = days.index(date) + 1
    mouse = next((mouse for mouse in rows if mouse.days and date in mouse.days), rows[0] if rows else None)
    if mouse is None:
        return values
    if mouse.project:
        values["project"] = mouse.project
    if mouse.exp_type:
        production = is_production(mouse.exp_type)
        if production is not None:
            values["is_production"] = production
        values["is_context_naive"] = is_naive(mouse.exp_type)
    opto = is_opto(f"{mouse.exp_type or ''} {mouse.project or ''}")
    if mouse.exp_type or opto:
        values["is_opto_perturbation"] = opto
    return values


def _values_of_row(row: SessionRow) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if row.recorded is not None:
        values[PROBES_TO_SKIP] = _others(row.recorded)
    if row.surface is False:
        # nothing was recorded, so there is nothing to skip
        values[SURFACE_TO_SKIP] = ""
    elif isinstance(row.surface, frozenset):
        values[SURFACE_TO_SKIP] = _others(row.surface)
    if row.is_deep is not None:
        values["is_deep_insertion"] = row.is_deep
    if row.is_injection is not None:
        values["is_injection_perturbation"] = row.is_injection
    return values


def _others(letters: frozenset[str]) -> str:
    return "".join(letter for letter in PROBES if letter not in letters)
