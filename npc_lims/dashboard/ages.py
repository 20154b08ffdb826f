"""Ages of the sources: the time since each was last read completely."""

from __future__ import annotations

import dataclasses
import datetime
from typing import TYPE_CHECKING

from npc_lims.model.record import SECTIONS
from npc_lims.state.sync_times import STALE_AFTER, age_of

if TYPE_CHECKING:
    from npc_lims.state.sync_file import SyncFile


@dataclasses.dataclass(frozen=True)
class SourceAge:
    """The age of one source.

    Attributes:
        name: Name of the source, and of its section.
        last_complete: UTC, `YYYY-MM-DDTHH:MM:SSZ`; None if never.
        age: Time since then; None also if it is in the future.
        is_late: It was never read completely, or not for two periods.
        failure: Why the last sync could not query it; None if it could.
        failing_since: UTC time of the first sync with that failure.
    """

    name: str
    last_complete: str | None
    age: datetime.timedelta | None
    is_late: bool
    failure: str | None = None
    failing_since: str | None = None


def source_ages(sync_file: SyncFile, now: datetime.datetime) -> list[SourceAge]:
    """Return the ages of all sources, in the order of the sections; one missing in the file was never read."""
    return [_age(name, sync_file, now) for name in SECTIONS]


def _age(name: str, sync_file: SyncFile, now: datetime.datetime) -> SourceAge:
    source = sync_file.sources.get(name)
    if source is None:
        return SourceAge(name, None, None, is_late=True)
    failure = source.failure
    age = age_of(source.last_complete, now)
    return SourceAge(
        name,
        None if age is None else source.last_complete,
        age,
        is_late=age is None or age > STALE_AFTER,
        failure=None if failure is None else failure.reason,
        failing_since=None if failure is None else failure.at,
    )
