"""Timestamps that a clock which is ahead has written: everyone who reads a timestamp decides so here."""

from __future__ import annotations

import datetime
import time
from typing import Optional, Union

__all__ = ["CLOCK_TOLERANCE", "is_future"]

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
