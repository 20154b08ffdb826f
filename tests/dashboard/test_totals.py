"""Counts of sessions, the funnel, the months, and when a source is late."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.dashboard.totals import count_sessions, funnel, months, source_ages, status_symbol
from npc_lims.model.flags import BOOLEAN_FLAGS, FLAGS
from npc_lims.model.record import Record
from npc_lims.model.status import is_recording
from npc_lims.state.sync_file import SourceSync, SyncFailure, SyncFile
from tests.builders import SECOND, asset, listing, no_assets, nothing_on_s3, record, tracked, training
from tests.strategies import recorded

ALL = st.builds(lambda found: [one.as_dict() for one in found.values()], recorded())


def plain(*records: Record) -> list[Mapping[str, Any]]:
    return [one.as_dict() for one in records]


def test_every_flag_has_a_label() -> None:
    assert [name for name, flag in FLAGS.items() if flag.label] == list(BOOLEAN_FLAGS)


def test_counts() -> None:
    found = count_sessions(
        plain(
            record(),
            record(SECOND, tracked=tracked("behavior_with_sync")),
            record("668755_2023-08-31", tracked=False, training=training()),
            record("668755_2023-09-01", tracked=tracked("ephys", project="TempletonPilotSession")),
        )
    )
    assert (found.sessions, found.subjects, found.tracked, found.untracked) == (4, 2, 3, 1)
    assert list(found.by_platform.items()) == [("ephys", 2), ("behavior", 1), ("behavior_with_sync", 1)]
    assert list(found.by_project.items()) == [("DynamicRouting", 3), ("TempletonPilotSession", 1)]


def test_nothing_is_counted_of_nothing() -> None:
    assert count_sessions([]).sessions == 0
    assert months([]) == []
    assert {step.applies for step in funnel([])} == {0}


def test_the_funnel_is_of_recordings() -> None:
    """Training in a box, and what is not for production, would hide how far recordings get."""
    uploaded = no_assets(raw=asset())
    there = nothing_on_s3(raw=listing(ecephys=["ecephys_clipped"]))
    records = plain(
        record(codeocean=uploaded, s3=there),
        record(SECOND),
        record("668755_2023-08-31", tracked=tracked(session_kwargs={"is_production": False})),
        record("668755_2023-09-01", tracked=False, training=training(), codeocean=no_assets()),
    )
    assert [is_recording(one) for one in records] == [True, True, False, False]
    steps = {step.flag: step for step in funnel(records)}
    assert (steps["is_uploaded"].yes, steps["is_uploaded"].no, steps["is_uploaded"].unknown) == (1, 0, 1)
    assert (steps["is_sorted"].applies, steps["is_sorted"].no) == (2, 1)
    assert steps["is_sorted"].label == "sorted"


def test_months_have_no_gaps() -> None:
    found = months(plain(record("626791_2023-11-30"), record("626791_2024-02-01"), record("626792_2024-02-29")))
    assert [(one.month, one.ephys) for one in found] == [("2023-11", 1), ("2023-12", 0), ("2024-01", 0), ("2024-02", 2)]


def test_months_count_uploaded_and_sorted_sessions() -> None:
    there = nothing_on_s3(raw=listing(ecephys=["ecephys_clipped"]))
    uploaded = record("626791_2024-02-01", codeocean=no_assets(raw=asset()), s3=there)
    sorted_too = record("626791_2024-02-02", codeocean=no_assets(raw=asset(), sorted=asset("sorted")), s3=there)
    neither = [record(f"626791_2024-02-0{day}", codeocean=no_assets(), s3=there) for day in (3, 4, 5)]
    in_box = record(
        "626791_2024-02-06", tracked=False, training=training(), codeocean=no_assets(raw=asset("behavior_1"))
    )
    (month,) = months(plain(uploaded, sorted_too, *neither, in_box))
    assert in_box.status["is_uploaded"] is True
    assert (month.ephys, month.uploaded, month.sorted, month.training) == (5, 2, 1, 1)


@given(ALL)
def test_every_session_is_counted_once(records: list[Mapping[str, Any]]) -> None:
    found = count_sessions(records)
    assert found.sessions == len(records) == found.tracked + found.untracked
    assert sum(found.by_platform.values()) == sum(found.by_project.values()) == len(records)
    by_month = months(records)
    assert sum(one.ephys + one.training for one in by_month) == len(records)
    assert all(max(one.uploaded, one.sorted) <= one.ephys for one in by_month)
    for step in funnel(records):
        assert step.applies == step.yes + step.no + step.unknown <= len(records)


@given(ALL, st.sampled_from(BOOLEAN_FLAGS))
def test_symbols_agree_with_the_status(records: list[Mapping[str, Any]], flag: str) -> None:
    for one in records:
        said = status_symbol(one, flag)
        assert (said == "-") == (flag not in one["status"])
        assert (said == "y") == (one["status"].get(flag) is True)


# --- ages of the sources

NOW = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.timezone.utc)


@pytest.mark.parametrize(
    ("last", "is_late"),
    [
        ("2026-11-23T11:59:59Z", False),
        # in an unchanged world the time is recorded once a day
        ("2026-11-22T12:00:00Z", False),
        ("2026-11-21T12:00:00Z", False),
        ("2026-11-21T11:59:59Z", True),
        ("2022-01-01T00:00:00Z", True),
        # clocks may be a few minutes apart
        ("2026-11-23T12:10:00Z", False),
        (None, True),
    ],
)
def test_late_is_older_than_two_periods(last: str | None, is_late: bool) -> None:
    ages = {age.name: age for age in source_ages(SyncFile(sources={"s3": SourceSync(last_complete=last)}), NOW)}
    assert ages["s3"].is_late is is_late
    assert ages["s3"].last_complete == last


def test_a_time_in_the_future_is_not_known() -> None:
    """Else a source would look fresh until then, however long it has failed."""
    ages = source_ages(SyncFile(sources={"s3": SourceSync(last_complete="2026-11-23T12:10:01Z")}), NOW)
    assert [(age.last_complete, age.age, age.is_late) for age in ages if age.name == "s3"] == [(None, None, True)]


@pytest.mark.parametrize(("last", "hours"), [("2026-11-23T09:00:00Z", 3), ("2026-11-23T12:10:00Z", 0)])
def test_an_age_is_never_negative(last: str, hours: int) -> None:
    ages = {age.name: age for age in source_ages(SyncFile(sources={"s3": SourceSync(last_complete=last)}), NOW)}
    assert ages["s3"].age == datetime.timedelta(hours=hours)


def test_a_source_that_was_never_queried_is_late() -> None:
    ages = source_ages(SyncFile(), NOW)
    assert [age.name for age in ages] == ["tracked", "training", "codeocean", "s3"]
    assert all(age.is_late and age.age is None and age.failure is None for age in ages)


def test_failures_are_reported_with_their_beginning() -> None:
    failing = SourceSync(
        last_complete="2026-11-23T06:00:00Z", failure=SyncFailure(at="2026-11-23T07:00:00Z", reason="HTTP 401")
    )
    (age,) = (age for age in source_ages(SyncFile(sources={"codeocean": failing}), NOW) if age.name == "codeocean")
    assert (age.failure, age.failing_since, age.is_late) == ("HTTP 401", "2026-11-23T07:00:00Z", False)
