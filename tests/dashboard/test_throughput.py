"""Recordings by the week in which they reached a milestone, and the median time of each step."""

from __future__ import annotations

import datetime
from typing import Any

from npc_lims.dashboard.throughput import MOST_GROUPS, OTHERS, WEEKS, Throughput, WeeklyThroughput, weekly_throughput
from npc_lims.model.record import Record
from tests.builders import asset, listing, no_assets, nothing_on_s3, record, tracked, training

NOW = datetime.datetime(2026, 11, 25, 12, tzinfo=datetime.timezone.utc)  # a Wednesday
DAY = 86_400


def recording(session: str, uploaded: str, sorted_: str | None = None, rig: str = "NP2", **more: Any) -> Record:
    assets: dict[str, Any] = {"raw": asset(created=uploaded)}
    if sorted_:
        assets["sorted"] = asset("sorted", created=sorted_)
    there = nothing_on_s3(raw=listing(ecephys=["ecephys_clipped"]), ibl_annotations=["probeA"])
    facts = {"codeocean": no_assets(**assets), "s3": there, "training": training(rig_name=rig)}
    return record(session, **facts, **{"tracked": tracked(), **more})


def measured(*records: Record, first_seen: Any = None, now: datetime.datetime = NOW) -> WeeklyThroughput:
    return weekly_throughput([one.as_dict() for one in records], first_seen or {}, now)


def last_weeks(group: Throughput, milestone: str, count: int = 2) -> list[int]:
    return list(group.counts[milestone][-count:])


def test_a_week_begins_on_monday_in_utc() -> None:
    found = measured(
        recording("626791_2026-11-10", "2026-11-22T23:59:59Z", "2026-11-23T00:00:00Z"),
        recording("626791_2026-11-11", "2026-11-24T00:00:00Z"),
    )
    assert (found.weeks[-1], found.weeks[0]) == (datetime.date(2026, 11, 23), datetime.date(2026, 6, 1))
    assert len(found.weeks) == len(found.total.counts["is_sorted"]) == WEEKS
    assert last_weeks(found.total, "is_uploaded") == [1, 1]
    assert last_weeks(found.total, "is_sorted") == [0, 1]


def test_only_recordings_with_a_date_of_these_weeks_count() -> None:
    found = measured(
        recording("626791_2026-11-10", "2026-11-12T00:00:00Z"),
        recording("626791_2024-11-10", "2024-11-12T00:00:00Z"),
        recording("626791_2026-11-11", "2026-12-12T00:00:00Z"),
        recording(
            "626791_2026-11-12", "2026-11-13T00:00:00Z", tracked=tracked(session_kwargs={"is_production": False})
        ),
        recording("626791_2026-11-13", "2026-11-14T00:00:00Z", tracked=False),
    )
    assert sum(found.total.counts["is_uploaded"]) == 1
    assert sum(found.total.counts["is_annotated"]) == 0, "only the history dates annotations"


def test_the_history_dates_annotations() -> None:
    one = recording("626791_2026-11-10", "2026-11-12T00:00:00Z", "2026-11-13T00:00:00Z")
    seen = {one.id: {"is_annotated": datetime.datetime(2026, 11, 17, tzinfo=datetime.timezone.utc)}}
    assert last_weeks(measured(one, first_seen=seen).total, "is_annotated") == [1, 0]


def test_medians_are_of_each_step() -> None:
    days = [(12, 14), (13, 14), (15, 25)]
    records = [
        recording(f"626791_2026-11-1{n}", f"2026-11-{up}T00:00:00Z", f"2026-11-{done}T00:00:00Z")
        for n, (up, done) in enumerate(days)
    ]
    assert measured(*records).total.medians == {"is_uploaded": 2 * DAY, "is_sorted": 2 * DAY, "is_annotated": None}
    assert measured(*records[:2]).total.medians["is_sorted"] is None, "two are no median"


def test_groups_add_up_and_the_largest_comes_first() -> None:
    records = [
        recording(f"62679{n % 10}_2026-11-{10 + n // 10}", "2026-11-20T00:00:00Z", rig=f"NP{min(n, 15)}")
        for n in range(20)
    ]
    records.append(recording("626799_2026-11-19", "2026-11-20T00:00:00Z", tracked=tracked(project="Templeton")))
    found = measured(*records)
    assert [group.name for group in found.by_project] == ["DynamicRouting", "Templeton"]
    assert found.by_rig[0].name == "NP15"
    assert (len(found.by_rig), found.by_rig[-1].name) == (MOST_GROUPS + 1, OTHERS)
    for groups in (found.by_project, found.by_rig):
        assert sum(last_weeks(group, "is_uploaded")[0] for group in groups) == 21


def test_a_lab_that_rests_shows_its_last_weeks() -> None:
    found = measured(recording("626791_2024-11-10", "2024-11-12T00:00:00Z", "2024-11-20T00:00:00Z"))
    assert found.weeks[-1] == datetime.date(2024, 11, 18)
    assert last_weeks(found.total, "is_uploaded") == [1, 0]
    assert measured().weeks[-1] == datetime.date(2026, 11, 23)
