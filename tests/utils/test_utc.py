"""Times: written in one way, read in the ways of Python 3.9 to 3.14."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.utils.timestamps import utc_text, utc_time

PACIFIC = datetime.timezone(datetime.timedelta(hours=-8))


@given(st.datetimes(datetime.datetime(1000, 1, 2), timezones=st.just(datetime.timezone.utc)))
def test_what_is_written_is_read(moment: datetime.datetime) -> None:
    assert utc_time(utc_text(moment)) == moment.replace(microsecond=0)


def test_a_moment_of_another_zone_is_written_in_utc() -> None:
    assert utc_text(datetime.datetime(2024, 6, 1, 20, tzinfo=PACIFIC)) == "2024-06-02T04:00:00Z"


@pytest.mark.parametrize(
    "text", ["2024-06-01T20:00:00-08:00", "2024-06-02T04:00:00Z", "2024-06-02T04:00:00", " 2024-06-02T04:00:00+00:00\n"]
)
def test_a_time_is_that_moment_however_it_is_written(text: str) -> None:
    assert utc_time(text) == datetime.datetime(2024, 6, 2, 4, tzinfo=datetime.timezone.utc)


@pytest.mark.parametrize("text", ["", "yesterday", "2024-06-31T00:00:00Z", "2024-06-01T25:00:00Z"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        utc_time(text)
