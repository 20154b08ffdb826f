"""UTC timestamps: parse, format, and detect those of the future, which a wrong clock has written."""

from __future__ import annotations

import datetime
import time
from typing import Optional, Union

CLOCK_TOLERANCE = datetime.timedelta(minutes=10)
"""Allowed difference between two clocks."""
_LATEST = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.timezone.utc)

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
