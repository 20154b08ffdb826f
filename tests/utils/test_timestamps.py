"""Timestamps in the future."""

from __future__ import annotations

import datetime
import math

import pytest

from npc_lims.utils.timestamps import CLOCK_TOLERANCE, is_future, parse_date, parse_day

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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("36h", NOON - datetime.timedelta(hours=36)),
        (" 2 w ", NOON - datetime.timedelta(days=14)),
        ("2024-06-01", datetime.date(2024, 6, 1)),
        ("20240601", datetime.date(2024, 6, 1)),
        ("2024-06-01 12:30", datetime.datetime(2024, 6, 1, 12, 30)),
        ("2024-06-01T12:30:05.123456789Z", datetime.datetime(2024, 6, 1, 12, 30, 5, tzinfo=datetime.timezone.utc)),
        *((text, None) for text in ("", "7x", "-7d", "June", "2024-W22", "20240631", "main", "123456d")),
    ],
)
def test_a_date_or_an_age(text: str, expected: datetime.date | None) -> None:
    assert parse_date(text, NOON.timestamp() + 30) == expected


def test_the_day_of_a_date() -> None:
    noon = NOON.timestamp()
    assert [parse_day(text, noon) for text in ("7d", "20240601", "2024-06-01T23:59-07:00")] == [
        "2024-09-24",
        "2024-06-01",
        "2024-06-01",
    ]
    for text in ("June", "20240631", "1 June 2024"):
        with pytest.raises(ValueError, match="is not a date such as 2024-06-01, or an age such as 36h, 7d or 2w"):
            parse_day(text)
    for text in ("2024-06-31", "2024-06-01T24:30"):
        with pytest.raises(ValueError, match="of the calendar"):
            parse_day(text)
