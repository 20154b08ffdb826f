"""UTC timestamps, and dates that users write: parse, format, and detect those of the future."""

from __future__ import annotations

import datetime
import re
import time
from typing import Optional, Union

from npc_lims.utils.text import single_line

CLOCK_TOLERANCE = datetime.timedelta(minutes=10)
"""Allowed difference between two clocks."""
_LATEST = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.timezone.utc)

DATE_FORMS = "a date such as 2024-06-01, or an age such as 36h, 7d or 2w"
"""What `parse_date` accepts, for messages and help."""
_AGE = re.compile(r"([0-9]{1,5})\s*([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}")
_TIME = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})[T ](?P<clock>[0-9]{2}:[0-9]{2}(:[0-9]{2})?)(\.[0-9]{1,9})?"
    r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?"
)

Timestamp = Union[datetime.datetime, float]
"""A time with its zone, or seconds since 1970."""


def is_future(timestamp: Timestamp, now: Optional[Timestamp] = None) -> bool:
    """Return True for a timestamp more than ten minutes after *now*: it is never "the newest", and is to be ignored.

    >>> is_future(1717243200.0, now=1717243200.0 - 600), is_future(1717243200.0, now=1717243200.0 - 601)
    (False, True)
    """
    now = time.time() if now is None else now
    return _seconds(timestamp) - _seconds(now) > CLOCK_TOLERANCE.total_seconds()


def _seconds(timestamp: Timestamp) -> float:
    return timestamp.timestamp() if isinstance(timestamp, datetime.datetime) else timestamp


def utc_text(timestamp: Timestamp) -> str:
    """Return a time as `YYYY-MM-DDTHH:MM:SSZ`, without fractions of a second.

    Seconds beyond the calendar, which git accepts in commits, become its last second.

    >>> utc_text(1717243200), utc_text(10**14)
    ('2024-06-01T12:00:00Z', '9999-12-31T23:59:59Z')
    """
    if not isinstance(timestamp, datetime.datetime):
        timestamp = datetime.datetime.fromtimestamp(min(timestamp, _LATEST.timestamp()), datetime.timezone.utc)
    return f"{timestamp.astimezone(datetime.timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def utc_time(text: str) -> datetime.datetime:
    """Return the time of an ISO 8601 text, in UTC if it names no time zone; ValueError for any other."""
    # Python 3.9 and 3.10 do not know Z
    moment = datetime.datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)


def parse_utc(text: Optional[str]) -> Optional[datetime.datetime]:
    """Do as `utc_time`; return None for None, and for a text that is no time.

    >>> parse_utc("2024-06-24T13:07:32Z")
    datetime.datetime(2024, 6, 24, 13, 7, 32, tzinfo=datetime.timezone.utc)
    >>> parse_utc("2024-06-31T13:07:32Z"), parse_utc(None)
    (None, None)
    """
    try:
        return None if text is None else utc_time(text)
    except ValueError:
        return None


def parse_date(text: str, now: Optional[float] = None) -> Optional[datetime.date]:
    """Return the day, or the time (a `datetime`, without a zone if it names none), that a user means by *text*.

    An age is a time in UTC, to the minute. None for a text of another form, which may be the name of a commit.

    >>> parse_date("7d", now=1717243230)
    datetime.datetime(2024, 5, 25, 12, 0, tzinfo=datetime.timezone.utc)
    >>> parse_date("2024-06-01"), parse_date("20240601"), parse_date("main")
    (datetime.date(2024, 6, 1), datetime.date(2024, 6, 1), None)

    Raises:
        ValueError: There is no such day or time.
    """
    text = text.strip()
    age, time_of_day = _AGE.fullmatch(text), _TIME.fullmatch(text)
    try:
        if age is not None:
            minute = (time.time() if now is None else now) // 60 * 60
            moment = datetime.datetime.fromtimestamp(minute, datetime.timezone.utc)
            return moment - datetime.timedelta(**{_UNITS[age[2]]: int(age[1])})
        if time_of_day is not None:
            zone = (time_of_day["zone"] or "").replace("Z", "+00:00")  # which Python 3.9 does not know
            return datetime.datetime.fromisoformat(f"{time_of_day['day']}T{time_of_day['clock']}{zone}")
        if _DAY.fullmatch(text):
            return datetime.datetime.strptime(text.replace("-", ""), "%Y%m%d").date()
    except (ValueError, OverflowError):
        if "-" in text or age:  # digits that are no date may well begin a commit
            raise ValueError(f"{text} is no {'day' if _DAY.fullmatch(text) else 'time'} of the calendar") from None
    return None


def parse_day(text: str, now: Optional[float] = None) -> str:
    """Return the day that a user means, as `2024-06-01`: of a time its day as written, of an age its day in UTC.

    >>> parse_day("36h", now=1717243230), parse_day("2024-06-01 23:30"), parse_day("20240601")
    ('2024-05-31', '2024-06-01', '2024-06-01')

    Raises:
        ValueError: It is no day; the message says what is expected.
    """
    day = parse_date(text, now)
    if day is None:
        raise ValueError(f"{single_line(repr(text), 100)} is not {DATE_FORMS}")
    return day.isoformat()[:10]


def start_of(day: datetime.date) -> datetime.datetime:
    """Return the time at which a day begins, or a time itself; UTC if it names no zone."""
    if not isinstance(day, datetime.datetime):
        day = datetime.datetime(day.year, day.month, day.day)
    return day if day.tzinfo else day.replace(tzinfo=datetime.timezone.utc)
