"""The stages of the pipeline: how many sessions completed each, and which wait for one for longer than usual.

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

from npc_lims.model.flags import FLAGS, VIDEO_RESULTS, platform_of
from npc_lims.model.session_id import split_session_id
from npc_lims.utils.timestamps import parse_utc

FirstSeen = Mapping[str, Mapping[str, datetime.datetime]]
"""Session id to flag to when a sync first observed its change from no to yes, as far as history is available."""

MIN_EXAMPLES = 8
"""Minimum number of sessions for a median."""
MIN_WAIT = datetime.timedelta(days=2)
"""Minimum duration of a stall, however quick others were: a sync may be a day behind."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of the pipeline; what does not apply is empty."""

    flag: str
    """The flag that is true once it is done."""
    after: str
    """The flag that must be true before; empty if being recorded is enough."""
    before: str = ""
    """Description of a session that waits for it; for a family, what it lacks."""
    remedy: str = ""
    family: str = ""
    """Name of stages that are reported together."""


STAGES = (
    Stage(
        "is_uploaded",
        "",
        "tracked but not uploaded",
        "Upload them or correct their paths; if that will never be: npc-lims track edit ID --set is_production=false.",
    ),
    Stage(
        "is_sorted",
        "is_uploaded",
        "uploaded but not sorted",
        "Start the sorting; where it cannot succeed, note an issue in tracked_sessions.yaml.",
    ),
    Stage(
        "is_annotated",
        "is_sorted",
        "sorted but not annotated",
        "Annotate them in the IBL GUI; where that cannot be done, note an issue in tracked_sessions.yaml.",
    ),
    *(
        Stage(
            flag,
            "is_uploaded",
            FLAGS[flag].label,
            "npc-lims process plan shows whether they would run now, and why not.",
            "video results",
        )
        for flag in VIDEO_RESULTS
    ),
    Stage("is_parquet_cached", "is_uploaded"),
    Stage("is_nwb_cached", "is_sorted", "sorted but not in the NWB cache", "Write the cache again with npc_sessions."),
)
"""Stages in their order. Optional steps (surface channels, imaging) are none."""


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

    stage: Stage
    median: datetime.timedelta
    ninth_decile: datetime.timedelta
    examples: int
    waiting: tuple[WaitingSession, ...]


def is_recording(record: Mapping[str, Any]) -> bool:
    """Return True for a production session with ephys or sync: training is uploaded and processed by exception."""
    return platform_of(record) in ("ephys", "behavior_with_sync") and record["status"].get("is_production") is not False


def status_symbol(status: Mapping[str, Any], flag: str) -> str:
    """Return yes, no, unknown or does not apply as one character.

    >>> [status_symbol({"is_sorted": True, "is_video": None}, flag) for flag in ("is_sorted", "is_video", "is_facemap")]
    ['y', '?', '-']
    """
    if flag not in status:
        return "-"
    value = status[flag]
    return "?" if value is None else "y" if value else "n"


def funnel(records: Iterable[Mapping[str, Any]]) -> list[StageCount]:
    """Count the stages for recordings (`is_recording`)."""
    statuses = [record["status"] for record in records if is_recording(record)]
    counts = []
    for stage in STAGES:
        found = Counter(status_symbol(status, stage.flag) for status in statuses)
        yes, no, unknown = found["y"], found["n"], found["?"]
        counts.append(StageCount(stage.flag, yes + no + unknown, yes, no, unknown, FLAGS[stage.flag].label))
    return counts


def find_stalls(records: Iterable[Mapping[str, Any]], first_seen: FirstSeen, now: datetime.datetime) -> list[Stall]:
    """Return the stages for which sessions wait longer than usual, in their order.

    Only recordings for production count (`is_recording`), without those that have a noted issue. A stage that less
    than half of the ready sessions completed is optional, and has no stalls.
    """
    wanted = [record for record in records if is_recording(record)]
    found = (_stall(stage, wanted, first_seen, now) for stage in STAGES if stage.before)
    return [stall for stall in found if stall is not None and stall.waiting]


def _stall(
    stage: Stage, records: Sequence[Mapping[str, Any]], first_seen: FirstSeen, now: datetime.datetime
) -> Stall | None:
    durations: list[datetime.timedelta] = []
    waiting: list[tuple[Mapping[str, Any], WaitingSession]] = []
    undated = 0
    for record in records:
        seen, status = first_seen.get(record["id"], {}), record["status"]
        ready = _ready(stage, record, seen)
        if status.get(stage.flag) is True:
            done = _date_of(stage.flag, record, seen)
            if ready is None or done is None:
                undated += 1
            else:
                durations.append(max(done - ready, datetime.timedelta(0)))
        elif status.get(stage.flag) is False and ready and (not stage.after or status.get(stage.after) is True):
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


def _ready(stage: Stage, record: Mapping[str, Any], seen: Mapping[str, datetime.datetime]) -> datetime.datetime | None:
    if not stage.after:
        return parse_utc(f"{split_session_id(record['id'])[1]}T00:00:00Z")
    return _date_of(stage.after, record, seen)


def _date_of(flag: str, record: Mapping[str, Any], seen: Mapping[str, datetime.datetime]) -> datetime.datetime | None:
    """Return when the flag became true: when its asset was created, or first observed if that was earlier."""
    asset = (record["codeocean"] or {}).get(FLAGS[flag].asset) or {}
    times = (parse_utc(asset.get("created")), seen.get(flag))
    return min((time for time in times if time is not None), default=None)
