"""Counts of sessions (totals, by month), ages of the sources, and progress in the pipeline: stages, and who waits.

Waits are measured from when a session was ready for the stage (for example, its raw asset was created) to when it was
done (its sorting result was created). Where state has no date, it is the first time that a sync observed it.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from npc_lims.model.flags import FLAGS, NOT_APPLICABLE, STAGES, StatusFlag
from npc_lims.model.rows import platform_of, project_of
from npc_lims.model.sections import SECTIONS
from npc_lims.model.session_id import split_session_id, subject_of
from npc_lims.model.status import is_recording, recorded_flag
from npc_lims.state.freshness import STALE_AFTER, age_of
from npc_lims.state.sync_file import SourceSync, SyncFile
from npc_lims.utils.timestamps import parse_utc

FirstSeen = Mapping[str, Mapping[str, datetime.datetime]]
"""Session id to flag to when a sync first observed its change from no to yes, as far as history is available."""

MIN_EXAMPLES = 8
"""Minimum number of sessions for a median."""
MIN_WAIT = datetime.timedelta(days=2)
"""Minimum duration of a stall, however quick others were: a sync may be a day behind."""


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
    """Sessions recorded in one month (`YYYY-MM`): ephys, how many of them are uploaded and sorted, and all others."""

    month: str
    ephys: int
    uploaded: int
    sorted: int
    training: int


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
        is_ephys = platform_of(record) == "ephys"
        counts["ephys" if is_ephys else "training"] += 1
        counts["uploaded"] += is_ephys and record["status"].get("is_uploaded") is True
        counts["sorted"] += is_ephys and record["status"].get("is_sorted") is True
    if not found:
        return []
    fields = [field.name for field in dataclasses.fields(Month)[1:]]
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


# --- the stages of the pipeline -------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class StageCount:
    """Counts of one flag: of the sessions to which it applies, each is a yes, a no or unknown."""

    flag: str
    applies: int
    yes: int
    no: int
    unknown: int
    label: str


class WaitingSession(NamedTuple):
    session: str
    since: datetime.datetime


@dataclasses.dataclass(frozen=True)
class Stall:
    """Sessions that wait longer than 90 % of the *examples* did, the latest first; half of these took the *median*."""

    stage: StatusFlag
    median: datetime.timedelta
    ninth_decile: datetime.timedelta
    examples: int
    waiting: tuple[WaitingSession, ...]


def status_symbol(record: Mapping[str, Any], flag: str) -> str:
    """Return yes, no, unknown or does not apply as one character: `y`, `n`, `?` or `-`."""
    value = recorded_flag(record, flag)
    if value == NOT_APPLICABLE:
        return "-"
    return "?" if value is None else "y" if value else "n"


def funnel(records: Iterable[Mapping[str, Any]]) -> list[StageCount]:
    """Count the stages for recordings (`is_recording`)."""
    recordings = [record for record in records if is_recording(record)]
    counts = []
    for stage in STAGES:
        found = Counter(status_symbol(record, stage.name) for record in recordings)
        yes, no, unknown = found["y"], found["n"], found["?"]
        counts.append(StageCount(stage.name, yes + no + unknown, yes, no, unknown, stage.label))
    return counts


def find_stalls(records: Iterable[Mapping[str, Any]], first_seen: FirstSeen, now: datetime.datetime) -> list[Stall]:
    """Return the stages for which sessions wait longer than usual, in their order.

    Only recordings for production count (`is_recording`), without those that have a noted issue. A stage that less
    than half of the ready sessions completed is optional, and has no stalls.
    """
    wanted = [record for record in records if is_recording(record)]
    found = (_stall(stage, wanted, first_seen, now) for stage in STAGES if stage.waiting)
    return [stall for stall in found if stall is not None and stall.waiting]


def _stall(
    stage: StatusFlag, records: Sequence[Mapping[str, Any]], first_seen: FirstSeen, now: datetime.datetime
) -> Stall | None:
    durations: list[datetime.timedelta] = []
    waiting: list[tuple[Mapping[str, Any], WaitingSession]] = []
    undated = 0
    for record in records:
        seen, status = first_seen.get(record["id"], {}), record["status"]
        ready = ready_date(stage, record, seen)
        if status.get(stage.name) is True:
            done = done_date(stage.name, record, seen)
            if ready is None or done is None:
                undated += 1
            else:
                durations.append(max(done - ready, datetime.timedelta(0)))
        elif status.get(stage.name) is False and ready and (not stage.after or status.get(stage.after) is True):
            waiting.append((record, WaitingSession(record["id"], ready)))
    if len(durations) < MIN_EXAMPLES:
        return None
    durations.sort()
    median, ninth_decile = (durations[max(0, math.ceil(share * len(durations)) - 1)] for share in (0.5, 0.9))
    late = [(record, wait) for record, wait in waiting if now - wait.since > max(ninth_decile, MIN_WAIT)]
    if len(late) > len(durations) + undated:
        return None
    waits = [wait for record, wait in late if not (record["tracked"] or {}).get("issues")]
    waits.sort(key=lambda wait: (-wait.since.timestamp(), wait.session))
    return Stall(stage, median, ninth_decile, len(durations), tuple(waits))


def ready_date(
    stage: StatusFlag, record: Mapping[str, Any], seen: Mapping[str, datetime.datetime]
) -> datetime.datetime | None:
    if not stage.after:
        return parse_utc(f"{split_session_id(record['id'])[1]}T00:00:00Z")
    return done_date(stage.after, record, seen)


def done_date(flag: str, record: Mapping[str, Any], seen: Mapping[str, datetime.datetime]) -> datetime.datetime | None:
    """Return when the flag became true: when its asset was created, or first observed if that was earlier."""
    asset = (record["codeocean"] or {}).get(FLAGS[flag].asset) or {}
    times = (parse_utc(asset.get("created")), seen.get(flag))
    return min((time for time in times if time is not None), default=None)
