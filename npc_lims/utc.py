"""Times as everything here writes them: text, in UTC, to the second."""

from __future__ import annotations

import datetime
from typing import Union

__all__ = ["utc_text", "utc_time"]

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
