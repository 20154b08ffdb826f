"""Counts of sessions: totals, pipeline progress, and by month."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from npc_lims.model.flags import FLAGS
from npc_lims.model.rows import platform_of, project_of
from npc_lims.model.session_id import split_session_id

FUNNEL = (
    "is_uploaded",
    "is_sorted",
    "is_annotated",
    "is_dlc_eye",
    "is_dlc_side",
    "is_dlc_face",
    "is_facemap",
    "is_gamma_encoding",
    "is_LPFaceParts",
    "is_parquet_cached",
    "is_nwb_cached",
)
"""Flags of the pipeline, in its order."""


@dataclasses.dataclass(frozen=True)
class Totals:
    """Counts of all sessions.

    Attributes:
        tracked: Sessions in tracked_sessions.yaml.
        untracked: All others.
        by_platform: Sessions by platform, the most frequent first.
        by_project: Sessions by project, likewise.
    """

    sessions: int
    subjects: int
    tracked: int
    untracked: int
    by_platform: Mapping[str, int]
    by_project: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class StageCount:
    """Counts of one flag: of the sessions to which it applies, each is a yes, a no or unknown."""

    flag: str
    applies: int
    yes: int
    no: int
    unknown: int

    @property
    def label(self) -> str:
        return FLAGS[self.flag].label


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
    platforms: Counter[str] = Counter()
    projects: Counter[str] = Counter()
    subjects = set()
    tracked = 0
    for record in records:
        platforms[platform_of(record)] += 1
        projects[project_of(record)] += 1
        subjects.add(split_session_id(record["id"])[0])
        tracked += bool(record["tracked"])
    sessions = sum(platforms.values())
    return Totals(
        sessions,
        len(subjects),
        tracked,
        sessions - tracked,
        _most_frequent_first(platforms),
        _most_frequent_first(projects),
    )


def is_recording(record: Mapping[str, Any]) -> bool:
    """Return True for a production session with ephys or sync.

    Training in a box is uploaded and processed only by exception.
    """
    return platform_of(record) in ("ephys", "behavior_with_sync") and record["status"].get("is_production") is not False


def funnel(records: Iterable[Mapping[str, Any]]) -> list[StageCount]:
    """Count the stages of `FUNNEL` for recordings (`is_recording`)."""
    statuses = [record["status"] for record in records if is_recording(record)]
    return [_count_stage(flag, statuses) for flag in FUNNEL]


def _count_stage(flag: str, statuses: Iterable[Mapping[str, Any]]) -> StageCount:
    counts = Counter(status_symbol(status, flag) for status in statuses)
    yes, no, unknown = counts["y"], counts["n"], counts["?"]
    return StageCount(flag, yes + no + unknown, yes, no, unknown)


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


def status_symbol(status: Mapping[str, Any], flag: str) -> str:
    """Return yes, no, unknown or does not apply as one character.

    >>> [status_symbol({"is_sorted": True, "is_video": None}, flag) for flag in ("is_sorted", "is_video", "is_facemap")]
    ['y', '?', '-']
    """
    if flag not in status:
        return "-"
    value = status[flag]
    return "?" if value is None else "y" if value else "n"


def _most_frequent_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
