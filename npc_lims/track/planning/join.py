"""Where the workbook's sessions and the uploads meet: what both say of each session, by the names that entries have."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from npc_lims.errors import Problem
from npc_lims.track.planning.batch_files import Upload
from npc_lims.track.planning.cells import PROBES, says_naive, says_opto, says_production
from npc_lims.track.planning.workbook import Mouse, PlanningWorkbook, SessionRow

__all__ = ["PROBES_TO_SKIP", "SURFACE_TO_SKIP", "PlannedSession", "join_plans"]

PROBES_TO_SKIP = "probe_letters_to_skip"
SURFACE_TO_SKIP = "surface_recording_probe_letters_to_skip"


@dataclasses.dataclass(frozen=True)
class PlannedSession:
    """What is known of one session before the tracked file is looked at.

    Attributes:
        id: Subject and date, as `626791_2022-08-15`.
        paths: Of its uploads; none for a session that only the workbook has.
        platform: Of its entry.
        workbook: What the workbook says, by name; probe letters may be empty, which says that none are skipped.
        config: What `session_config.json` says, by name.
        surface_at_least: Probes without a surface recording, where the workbook says no more than that
            there was one: others may lack it too.
        where: Where it was found: sheet and row, or file and line of the upload.
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
    """Every session that has a row or an upload, by date, and where two rows contradict each other."""
    problems: list[Problem] = []
    rows: dict[str, SessionRow] = {}
    for row in workbook.sessions:
        session = f"{row.subject}_{row.date}"
        rows[session] = _merged(session, rows[session], row, problems) if session in rows else row
    uploaded: dict[str, list[Upload]] = {}
    for upload in uploads:
        uploaded.setdefault(upload.session, []).append(upload)
    mice: dict[str, list[Mouse]] = {}
    for mouse in workbook.mice:
        mice.setdefault(mouse.subject, []).append(mouse)
    sessions = [
        _planned(session, rows.get(session), uploaded.get(session, []), mice, problems)
        for session in sorted({*rows, *uploaded}, key=lambda session: session.split("_")[::-1])
    ]
    return tuple(sessions), tuple(problems)


def _merged(session: str, first: SessionRow, second: SessionRow, problems: list[Problem]) -> SessionRow:
    """Two rows of a session: each adds what the other does not say."""
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
    mice: Mapping[str, list[Mouse]],
    problems: list[Problem],
) -> PlannedSession:
    subject, date = session.split("_")
    place = (row.where.sheet, row.where.row) if row else (uploads[0].file, uploads[0].line)
    of_subject = mice.get(subject, [])
    said = _said_by_mouse(of_subject, datetime.date.fromisoformat(date))
    if mice and "ephys_day" not in said and all(mouse.days is not None for mouse in of_subject):
        message = f"{session} is none of the days recorded in by_mouse, which so does not say its ephys_day"
        problems.append(Problem(*place, 0, "warning", message))
    if row:
        said.update(_said_by_row(row))
    else:
        problems.append(Problem(*place, 0, "warning", f"{session} has no row in a sheet by_session_*"))
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
        said,
        config,
        at_least,
        f"{row.where}" if row else f"{uploads[0].file} line {uploads[0].line}",
    )


def _said_by_mouse(rows: list[Mouse], date: datetime.date) -> dict[str, Any]:
    said: dict[str, Any] = {}
    days = sorted({day for mouse in rows for day in mouse.days or ()})
    # one day that cannot be read leaves the place of every other in doubt
    if date in days and all(mouse.days is not None for mouse in rows):
        said["ephys_day"] = days.index(date) + 1
    mouse = next((mouse for mouse in rows if mouse.days and date in mouse.days), rows[0] if rows else None)
    if mouse is None:
        return said
    if mouse.project:
        said["project"] = mouse.project
    if mouse.exp_type:
        production = says_production(mouse.exp_type)
        if production is not None:
            said["is_production"] = production
        said["is_context_naive"] = says_naive(mouse.exp_type)
    is_opto = says_opto(f"{mouse.exp_type or ''} {mouse.project or ''}")
    if mouse.exp_type or is_opto:
        said["is_opto_perturbation"] = is_opto
    return said


def _said_by_row(row: SessionRow) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if row.recorded is not None:
        said[PROBES_TO_SKIP] = _others(row.recorded)
    if row.surface is False:
        # nothing was recorded, so there is nothing to skip
        said[SURFACE_TO_SKIP] = ""
    elif isinstance(row.surface, frozenset):
        said[SURFACE_TO_SKIP] = _others(row.surface)
    if row.is_deep is not None:
        said["is_deep_insertion"] = row.is_deep
    if row.is_injection is not None:
        said["is_injection_perturbation"] = row.is_injection
    return said


def _others(letters: frozenset[str]) -> str:
    return "".join(letter for letter in PROBES if letter not in letters)
