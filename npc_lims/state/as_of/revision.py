"""What people mean by a point of the past."""

from __future__ import annotations

import dataclasses
import datetime
import math
import re
from typing import TYPE_CHECKING, Union

from npc_lims.errors import HistoryError

if TYPE_CHECKING:
    from npc_lims.model.types import At

__all__ = ["Asked", "Moment", "Point", "parse_at"]

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}")
_TIME = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})[T ](?P<clock>[0-9]{2}:[0-9]{2}(:[0-9]{2})?)(\.[0-9]{1,9})?"
    r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?"
)
_SETTLED_AFTER = 3600.0


@dataclasses.dataclass(frozen=True)
class Moment:
    """A time that is asked of.

    Attributes:
        text: As it was asked for.
        last: The last second that counts, in seconds since 1970.
    """

    text: str
    last: int

    def is_settled(self, now: float) -> bool:
        """Whether no commit that counts is still to come."""
        return now > self.last + _SETTLED_AFTER


@dataclasses.dataclass(frozen=True)
class Point:
    """A commit, and when it was committed: UTC, `YYYY-MM-DDTHH:MM:SSZ`."""

    sha: str
    when: str

    def __str__(self) -> str:
        return f"commit {self.sha[:10]} of {self.when}"


Asked = Union[Moment, str]
"""A moment, or the name of a tag, branch or commit."""


def parse_at(at: At, now: float) -> Asked:
    """What is meant by *at*.

    Raises:
        HistoryError: It is in the future, or no date of the calendar.
    """
    if isinstance(at, datetime.datetime):
        return _of_time(at.isoformat(), at, now)
    if isinstance(at, datetime.date):
        return _of_day(at.isoformat(), at, now)
    text = str(at).strip()
    if not text:
        raise HistoryError("there is no date, tag, branch or commit without a name; a date is written 2024-06-01")
    if _DAY.fullmatch(text):
        dashed = text if "-" in text else f"{text[:4]}-{text[4:6]}-{text[6:]}"
        try:
            return _of_day(text, datetime.date.fromisoformat(dashed), now)
        except ValueError:
            if "-" not in text:
                return text  # digits that are no date may well begin a commit
            raise HistoryError(f"{text} is no day of the calendar") from None
    match = _TIME.fullmatch(text)
    if match is None:
        return text
    zone = (match["zone"] or "").replace("Z", "+00:00")  # which Python 3.9 does not know
    try:
        moment = datetime.datetime.fromisoformat(f"{match['day']}T{match['clock']}{zone}")
    except ValueError:
        raise HistoryError(f"{text} is no time of the calendar") from None
    return _of_time(text, moment, now)


def _of_day(text: str, day: datetime.date, now: float) -> Moment:
    begin = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.timezone.utc).timestamp()
    if begin > now:
        raise HistoryError(f"{text} has not begun: it is {_clock(now)} (UTC)")
    return Moment(text, int(begin) + 24 * 3600 - 1)


def _of_time(text: str, moment: datetime.datetime, now: float) -> Moment:
    has_zone = moment.tzinfo is not None
    last = math.floor((moment if has_zone else moment.replace(tzinfo=datetime.timezone.utc)).timestamp())
    if last > now:
        hint = "" if has_zone else "; a time that names no zone is UTC"
        raise HistoryError(f"{text} is still to come: it is {_clock(now)} (UTC){hint}")
    return Moment(text, last)


def _clock(now: float) -> str:
    return f"{datetime.datetime.fromtimestamp(now, datetime.timezone.utc):%Y-%m-%d %H:%M}"
