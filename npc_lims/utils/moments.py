"""Times as state holds them: text, UTC, to the second."""

from __future__ import annotations

import datetime

from npc_lims.utils.timestamps import utc_time

__all__ = ["midnight_of", "moment_of"]


def moment_of(text: str | None) -> datetime.datetime | None:
    """The moment that `YYYY-MM-DDTHH:MM:SSZ` names; None for anything that names none.

    >>> moment_of("2024-06-24T13:07:32Z")
    datetime.datetime(2024, 6, 24, 13, 7, 32, tzinfo=datetime.timezone.utc)
    >>> moment_of("2024-06-31T13:07:32Z"), moment_of(None)
    (None, None)
    """
    try:
        return None if text is None else utc_time(text)
    except ValueError:
        return None


def midnight_of(date: str) -> datetime.datetime | None:
    """When a day (`YYYY-MM-DD`) began in UTC; None if there is no such day, which the form of an id does not rule out.

    >>> midnight_of("2024-02-30") is None
    True
    """
    return moment_of(f"{date}T00:00:00Z")
