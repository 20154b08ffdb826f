"""Timestamps in the future."""

from __future__ import annotations

import datetime
import math

import pytest

from npc_lims.utils.timestamps import CLOCK_TOLERANCE, is_future

NOON = datetime.datetime(2024, 10, 1, 12, tzinfo=datetime.timezone.utc)
SECOND = datetime.timedelta(seconds=1)
EAST = datetime.timezone(datetime.timedelta(hours=14))


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        (NOON, False),
        (NOON + CLOCK_TOLERANCE, False),
        (NOON + CLOCK_TOLERANCE + SECOND, True),
        (NOON.astimezone(EAST), False),
        (datetime.datetime.min.replace(tzinfo=EAST), False),
        (datetime.datetime.max.replace(tzinfo=datetime.timezone.utc), True),
    ],
)
def test_more_than_ten_minutes_ahead_is_the_future(timestamp: datetime.datetime, expected: bool) -> None:
    assert is_future(timestamp, NOON) is expected
    assert is_future(timestamp.timestamp(), NOON.timestamp()) is expected


def test_now_is_that_of_this_machine() -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    assert not is_future(now)
    assert is_future(now + datetime.timedelta(hours=1))
    assert is_future(math.inf)
