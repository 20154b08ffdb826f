"""Timestamps that a clock which is ahead has written: everyone who reads a timestamp decides so here."""

from __future__ import annotations

import datetime
import time
from typing import Optional, Union

__all__ = ["CLOCK_TOLERANCE", "is_future", "utc_text", "utc_time"]

CLOCK_TOLERANCE = datetime.timedelta(minutes=10)
"""How far two clocks may be apart."""

Timestamp = Union[datetime.datetime, float]


def is_future(timestamp: Timestamp, now: Optional[Timestamp] = None) -> bool:
    """Return True for a timestamp more than ten minutes after *now*: it is never "the newest", and is to be ignored.

    Args:
        timestamp: With a time zone, or seconds since 1970.
        now: The same; the time of this machine if not given.

    >>> is_future(1717243200.0, now=1717243200.0 - 600), is_future(1717243200.0, now=1717243200.0 - 601)
    (False, True)
    """
    now = time.time() if now is None else now
    return _seconds(timestamp) - _seconds(now) > CLOCK_TOLERANCE.total_seconds()


def _seconds(timestamp: Timestamp) -> float:
    return timestamp.timestamp() if isinstance(timestamp, datetime.datetime) else timestamp


_LATEST = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.timezone.utc)


def utc_text(moment: Union[datetime.datetime, float]) -> str:
    """A moment, or seconds since 1970, as `YYYY-MM-DDTHH:MM:SSZ`: fractions of a second are cut off.

    Seconds may be more than calendars have, which git takes from whoever commits: they are the calendar's last.

    >>> utc_text(1717243200), utc_text(10**14)
    ('2024-06-01T12:00:00Z', '9999-12-31T23:59:59Z')
    """
    if not isinstance(moment, datetime.datetime):
        moment = datetime.datetime.fromtimestamp(min(moment, _LATEST.timestamp()), datetime.timezone.utc)
    return f"{moment.astimezone(datetime.timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def utc_time(text: str) -> datetime.datetime:
    """The moment that an ISO 8601 text names; one without a zone is meant in UTC.

    >>> utc_time("2024-06-24T13:07:32Z")
    datetime.datetime(2024, 6, 24, 13, 7, 32, tzinfo=datetime.timezone.utc)

    Raises:
        ValueError: It names none.
    """
    # Python 3.9 and 3.10 do not know Z
    moment = datetime.datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)
