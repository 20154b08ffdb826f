"""Counts of sessions (totals, by month), and ages of the sources."""

from __future__ import annotations

import dataclasses
import datetime
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from npc_lims.model.flags import platform_of, project_of
from npc_lims.model.record import SECTIONS
from npc_lims.model.session_id import split_session_id, subject_of
from npc_lims.state.freshness import STALE_AFTER, age_of
from npc_lims.state.sync_file import SourceSync, SyncFile


@dataclasses.dataclass(frozen=True)
class Totals:
    """Counts of all sessions. Tracked are those in tracked_sessions.yaml; the most frequent platform comes first."""

    sessions: int
    subjects: int
    tracked: int
    untracked: int
    by_platform: Mapping[str, int]
    by_project: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Month:
    """Sessions recorded in one month (`YYYY-MM`), and how many of them are ephys, uploaded and sorted."""

    month: str
    sessions: int
    ephys: int
    uploaded: int
    sorted: int


def count_sessions(records: Iterable[Mapping[str, Any]]) -> Totals:
    """Count sessions, given as plain data: lines of the snapshot, or session files."""
    sessions = list(records)
    tracked = sum(bool(record["tracked"]) for record in sessions)
    return Totals(
        sessions=len(sessions),
        subjects=len({subject_of(record["id"]) for record in sessions}),
        tracked=tracked,
        untracked=len(sessions) - tracked,
        by_platform=_count(map(platform_of, sessions)),
        by_project=_count(map(project_of, sessions)),
    )


def _count(names: Iterable[str]) -> dict[str, int]:
    """Return how often each name occurs, the most frequent first, then by name."""
    return dict(Counter(sorted(names)).most_common())


def months(records: Iterable[Mapping[str, Any]]) -> list[Month]:
    """Return one item for each month from the first session to the last, also for those without sessions."""
    found: dict[str, Counter[str]] = {}
    for record in records:
        counts = found.setdefault(split_session_id(record["id"])[1][:7], Counter())
        counts["sessions"] += 1
        counts["ephys"] += platform_of(record) == "ephys"
        counts["uploaded"] += record["status"].get("is_uploaded") is True
        counts["sorted"] += record["status"].get("is_sorted") is True
    if not found:
        return []
    fields = ("sessions", "ephys", "uploaded", "sorted")
    return [
        Month(name, *(found.get(name, Counter())[field] for field in fields))
        for name in _months_between(min(found), max(found))
    ]


def _months_between(first: str, last: str) -> list[str]:
    """
    >>> _months_between("2023-11", "2024-02")
    ['2023-11', '2023-12', '2024-01', '2024-02']
    """
    begin, end = (int(name[:4]) * 12 + int(name[5:]) - 1 for name in (first, last))
    return [f"{number // 12:04d}-{number % 12 + 1:02d}" for number in range(begin, end + 1)]


@dataclasses.dataclass(frozen=True)
class SourceAge:
    """The age of one source, and why the last sync could not query it."""

    name: str
    last_complete: str | None
    """UTC, `YYYY-MM-DDTHH:MM:SSZ`; None if never, or in the future."""
    age: datetime.timedelta | None
    is_late: bool
    """It was never read completely, or not for two periods."""
    failure: str | None = None
    failing_since: str | None = None


def source_ages(sync_file: SyncFile, now: datetime.datetime) -> list[SourceAge]:
    """Return the ages of all sources, in the order of the sections; one missing in the file was never read."""
    ages = []
    for name in SECTIONS:
        source = sync_file.sources.get(name, SourceSync())
        age, failure = age_of(source.last_complete, now), source.failure
        reason, since = (None, None) if failure is None else (failure.reason, failure.at)
        last_complete = None if age is None else source.last_complete
        ages.append(SourceAge(name, last_complete, age, age is None or age > STALE_AFTER, reason, since))
    return ages
