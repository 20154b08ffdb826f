"""What people mean by "since": an age, a date, or a commit."""

from __future__ import annotations

import datetime
import re

from npc_lims.clients.git import Repository
from npc_lims.errors import GitError, NpcLimsError
from npc_lims.history.git_log import newest_before
from npc_lims.utils.timestamps import utc_time

__all__ = ["beginning", "start_of"]

_AGE = re.compile(r"([0-9]{1,5})\s*([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
# Python 3.11 takes 20240601 and 2024-W22, too, of which the one may be a commit
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?")


def start_of(repository: Repository, tip: str, since: str, now: datetime.datetime | None = None) -> str | None:
    """The last commit that is not meant by "since"; None if all up to *tip* are.

    Raises:
        NpcLimsError: It is none of what can be meant.
    """
    moment = beginning(since, now)
    if moment is not None:
        return newest_before(repository, tip, moment)
    try:
        return repository.commit_of(since)
    except GitError as error:
        raise NpcLimsError(
            f"--since {since}: neither an age (24h, 7d, 2w), nor a date such as 2024-06-01, nor a commit: {error}"
        ) from None


def beginning(since: str, now: datetime.datetime | None = None) -> datetime.datetime | None:
    """The moment that an age or a date means (UTC where it does not say); None if *since* is neither.

    >>> beginning("7d", datetime.datetime(2024, 6, 8)), beginning("2024-06-01"), beginning("main")
    (datetime.datetime(2024, 6, 1, 0, 0), datetime.datetime(2024, 6, 1, 0, 0, tzinfo=datetime.timezone.utc), None)

    Raises:
        NpcLimsError: It looks like a date, and is none in the calendar; or is longer ago than there were calendars.
    """
    age = _AGE.fullmatch(since.strip())
    try:
        if age is not None:
            now = datetime.datetime.now(datetime.timezone.utc) if now is None else now
            return now - datetime.timedelta(**{_UNITS[age[2]]: int(age[1])})
        if _DATE.fullmatch(since.strip()):
            return utc_time(since)
    except (ValueError, OverflowError) as error:
        raise NpcLimsError(f"--since {since}: no date in the calendar ({error}); write it as 2024-06-01") from None
    return None
