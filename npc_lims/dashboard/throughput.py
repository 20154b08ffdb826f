"""Recordings that reached each milestone of the pipeline per week, and how long that took. Pure."""

from __future__ import annotations

import dataclasses
import datetime
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Optional

from npc_lims.dashboard.totals import FirstSeen, done_date, ready_date
from npc_lims.model.flags import FLAGS, Facts
from npc_lims.model.rows import project_of, rig_of
from npc_lims.model.status import is_recording

MILESTONES = tuple(flag for flag in FLAGS.values() if flag.is_milestone)
WEEKS = 26
MIN_EXAMPLES = 3
"""Minimum number of recordings for a median."""
MOST_GROUPS = 12
"""Further groups are combined."""
OTHERS = "others"
_WEEK = datetime.timedelta(days=7)


@dataclasses.dataclass(frozen=True)
class Throughput:
    """Recordings of one group, by the name of a milestone."""

    name: str
    counts: Mapping[str, Sequence[int]]
    """How many reached it in each week."""
    medians: Mapping[str, Optional[float]]
    """Seconds that these took since the milestone before, or the day of the recording. None with few examples."""


@dataclasses.dataclass(frozen=True)
class WeeklyThroughput:
    """The weeks, as their Mondays in UTC; all recordings, and the same by project and by rig, the largest first."""

    weeks: Sequence[datetime.date]
    total: Throughput
    by_project: Sequence[Throughput]
    by_rig: Sequence[Throughput]


@dataclasses.dataclass(frozen=True)
class _Reached:
    record: Facts
    milestone: str
    week: datetime.date
    took: datetime.timedelta | None


def weekly_throughput(records: Iterable[Facts], first_seen: FirstSeen, now: datetime.datetime) -> WeeklyThroughput:
    """Return the throughput of recordings (`is_recording`) in the last 26 weeks.

    If nothing happened in these, they are the 26 weeks up to the last in which something did.
    """
    reached = list(_reached(records, first_seen, now))
    last = max((one.week for one in reached), default=_monday(now))
    if last > _monday(now) - WEEKS * _WEEK:
        last = _monday(now)
    weeks = [last - number * _WEEK for number in reversed(range(WEEKS))]
    recent = [one for one in reached if weeks[0] <= one.week]
    return WeeklyThroughput(
        weeks,
        _throughput("All", recent, weeks),
        _grouped(recent, weeks, project_of),
        _grouped(recent, weeks, rig_of),
    )


def _monday(moment: datetime.datetime) -> datetime.date:
    day = moment.astimezone(datetime.timezone.utc).date()
    return day - datetime.timedelta(days=day.weekday())


def _reached(records: Iterable[Facts], first_seen: FirstSeen, now: datetime.datetime) -> Iterable[_Reached]:
    """Yield each milestone that a recording has, and that has a date."""
    for record in filter(is_recording, records):
        seen = first_seen.get(record["id"], {})
        for flag in MILESTONES:
            done = done_date(flag.name, record, seen) if record["status"].get(flag.name) is True else None
            if done is not None and done <= now:
                ready = ready_date(flag, record, seen)
                took = None if ready is None else max(done - ready, datetime.timedelta(0))
                yield _Reached(record, flag.name, _monday(done), took)


def _grouped(
    reached: Sequence[_Reached], weeks: Sequence[datetime.date], name_of: Callable[[Facts], str]
) -> list[Throughput]:
    names = [name_of(one.record) for one in reached]
    sizes = sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))
    shown = [name for name, _ in sizes[: MOST_GROUPS if len(sizes) > MOST_GROUPS + 1 else None]]
    groups: dict[str, list[_Reached]] = {name: [] for name in shown}
    for name, one in zip(names, reached):
        groups.setdefault(name if name in shown else OTHERS, []).append(one)
    return [_throughput(name, some, weeks) for name, some in groups.items()]


def _throughput(name: str, reached: Iterable[_Reached], weeks: Sequence[datetime.date]) -> Throughput:
    counts = {flag.name: Counter[datetime.date]() for flag in MILESTONES}
    seconds: dict[str, list[float]] = {flag.name: [] for flag in MILESTONES}
    for one in reached:
        counts[one.milestone][one.week] += 1
        if one.took is not None:
            seconds[one.milestone].append(one.took.total_seconds())
    return Throughput(
        name,
        {milestone: [found[week] for week in weeks] for milestone, found in counts.items()},
        {name: statistics.median(some) if len(some) >= MIN_EXAMPLES else None for name, some in seconds.items()},
    )
