"""When a source is late."""

from __future__ import annotations

import datetime

import pytest

from npc_lims.dashboard.ages import source_ages
from npc_lims.state.sync_file import SourceSync, SyncFailure, SyncFile

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


def test_a_source_that_was_never_asked_is_late() -> None:
    ages = source_ages(SyncFile(), NOW)
    assert [age.name for age in ages] == ["tracked", "training", "codeocean", "s3"]
    assert all(age.is_late and age.age is None and age.failure is None for age in ages)


def test_a_failure_is_told_with_its_beginning() -> None:
    failing = SourceSync(
        last_complete="2026-11-23T06:00:00Z", failure=SyncFailure(at="2026-11-23T07:00:00Z", reason="HTTP 401")
    )
    (age,) = (age for age in source_ages(SyncFile(sources={"codeocean": failing}), NOW) if age.name == "codeocean")
    assert (age.failure, age.failing_since, age.is_late) == ("HTTP 401", "2026-11-23T07:00:00Z", False)
