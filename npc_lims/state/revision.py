"""Revisions: a date, a tag, a branch or a commit whose state is read, and the commits that they mean."""

from __future__ import annotations

import dataclasses
import datetime
import math
import re
from typing import TYPE_CHECKING, Any, Union

from npc_lims.errors import HistoryError

if TYPE_CHECKING:
    from npc_lims.model.types import At

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}")
_TIME = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})[T ](?P<clock>[0-9]{2}:[0-9]{2}(:[0-9]{2})?)(\.[0-9]{1,9})?"
    r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?"
)
_SETTLED_AFTER = 3600.0
RUN_TRAILER = "Npc-Lims-Run"
"""The trailer of a commit of state that names the workflow run that made it."""


@dataclasses.dataclass(frozen=True)
class AsOf:
    """A time whose state is read.

    Attributes:
        text: As the caller wrote it.
        last: Its last second, in seconds since 1970.
    """

    text: str
    last: int

    def is_settled(self, now: float) -> bool:
        """Return True if all commits up to it have been pushed."""
        return now > self.last + _SETTLED_AFTER


@dataclasses.dataclass(frozen=True)
class Commit:
    """A commit.

    Attributes:
        sha: Its full id.
        when: When it was committed: UTC, `YYYY-MM-DDTHH:MM:SSZ`.
        author: Name of its author, never an address.
        subject: The first line of its message.
        run: URL of the workflow run that made it, if it names one.
    """

    sha: str
    when: str
    author: str = ""
    subject: str = ""
    run: str | None = None

    def __str__(self) -> str:
        return f"commit {self.sha[:10]} of {self.when}"

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


Revision = Union[AsOf, str]
"""A time, or the name of a tag, branch or commit."""


def parse_at(at: At, now: float) -> Revision:
    """Return the revision that *at* means.

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


def _of_day(text: str, day: datetime.date, now: float) -> AsOf:
    begin = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.timezone.utc).timestamp()
    if begin > now:
        raise HistoryError(f"{text} has not begun: it is {_clock(now)} (UTC)")
    return AsOf(text, int(begin) + 24 * 3600 - 1)


def _of_time(text: str, moment: datetime.datetime, now: float) -> AsOf:
    has_zone = moment.tzinfo is not None
    last = math.floor((moment if has_zone else moment.replace(tzinfo=datetime.timezone.utc)).timestamp())
    if last > now:
        hint = "" if has_zone else "; a time that names no zone is UTC"
        raise HistoryError(f"{text} is still to come: it is {_clock(now)} (UTC){hint}")
    return AsOf(text, last)


def _clock(now: float) -> str:
    return f"{datetime.datetime.fromtimestamp(now, datetime.timezone.utc):%Y-%m-%d %H:%M}"
