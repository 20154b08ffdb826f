"""Revisions: a date, a tag, a branch or a commit whose state is read, and the commits that they mean."""

from __future__ import annotations

import dataclasses
import datetime
import math
from typing import Any, Union

from npc_lims.errors import HistoryError
from npc_lims.model.types import At
from npc_lims.utils.timestamps import parse_date, start_of, utc_text

_SETTLED_AFTER = 3600.0
RUN_TRAILER = "Npc-Lims-Run"
"""The trailer of a commit of state that names the workflow run that made it."""


@dataclasses.dataclass(frozen=True)
class AsOf:
    """A time whose state is read: its text, and its last second since 1970."""

    text: str
    last: int

    def is_settled(self, now: float) -> bool:
        """Return True if all commits up to it have been pushed."""
        return now > self.last + _SETTLED_AFTER


@dataclasses.dataclass(frozen=True)
class Commit:
    sha: str
    when: str
    """When it was committed: UTC, `YYYY-MM-DDTHH:MM:SSZ`."""
    author: str = ""
    """Name of its author, never an address."""
    subject: str = ""
    run: str | None = None
    """URL of the workflow run that made it, if it names one."""

    def __str__(self) -> str:
        return f"commit {self.sha[:10]} of {self.when}"

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


Revision = Union[AsOf, str]
"""A time, or the name of a tag, branch or commit."""


def parse_at(at: At, now: float) -> Revision:
    """Return the revision that *at* means; a HistoryError if it is in the future, or no date of the calendar."""
    text = at.isoformat() if isinstance(at, datetime.date) else str(at).strip()
    if not text:
        raise HistoryError("there is no date, tag, branch or commit without a name; a date is written 2024-06-01")
    try:
        moment = at if isinstance(at, datetime.date) else parse_date(text, now)
    except ValueError as error:
        raise HistoryError(str(error)) from None
    if moment is None:
        return text
    if isinstance(moment, datetime.datetime):
        length, problem = 1, "is still to come"
        hint = "" if moment.tzinfo else "; a time that names no zone is UTC"
    else:
        length, problem, hint = 24 * 3600, "has not begun", ""
    first = math.floor(start_of(moment).timestamp())
    if first > now:
        clock = datetime.datetime.fromtimestamp(now, datetime.timezone.utc)
        raise HistoryError(f"{text} {problem}: it is {clock:%Y-%m-%d %H:%M} (UTC){hint}")
    return AsOf(utc_text(first) if text[-1] in "hdw" else text, first + length - 1)
