"""When each source was last read completely, from the text of `sync.yaml`.

A sync writes that file with one key a line, so its times are found without a YAML parser, which takes longer to import
than a read of all sessions. Needs nothing but the standard library.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterator, Mapping
from typing import Optional

from npc_lims.utils.timestamps import is_future, utc_time

STALE_AFTER = datetime.timedelta(hours=48)
"""Two sync periods. Syncs run four times a day, but in an unchanged world their times are recorded once a day."""

_SOURCE = re.compile(r"  ([A-Za-z0-9_]+):")
_LAST_COMPLETE = re.compile(r"    last_complete: (?:null|[\"']?([0-9T:Z-]+)[\"']?)")
_FAILING_SINCE = re.compile(r"      at: [\"']?([0-9-]{10}T[0-9:]{8}Z)[\"']?")


@dataclasses.dataclass(frozen=True)
class SourceTimes:
    """The times recorded of one source, as they are written.

    Attributes:
        last_complete: When it was last read completely; None if it never was.
        failing_since: The first sync that failed for the present reason; None if the last one was complete.
    """

    last_complete: Optional[str] = None
    failing_since: Optional[str] = None


def parse_sync_times(content: bytes) -> dict[str, SourceTimes]:
    """Return the times of each source that was ever queried, by its name.

    >>> parse_sync_times(b'schema: 1\\nsources:\\n  s3:\\n    last_complete: "2024-06-01T12:00:00Z"\\n')
    {'s3': SourceTimes(last_complete='2024-06-01T12:00:00Z', failing_since=None)}

    Raises:
        ValueError: It is not a sync.yaml as a sync writes it.
    """
    lines = iter(content.decode().splitlines())
    if not next(lines, "").startswith("schema: "):
        raise ValueError("its first line is not the schema")
    if not any(line in ("sources:", "sources: {}") for line in lines):
        raise ValueError("it does not list the sources")
    found: dict[str, SourceTimes] = {}
    times = SourceTimes()
    for line in lines:
        if not line.startswith(" "):
            raise ValueError(f"{line[:40]!r} follows the sources")
        if match := _SOURCE.fullmatch(line):
            times = found[match[1]] = SourceTimes()
        elif line.startswith("    last_complete:"):
            match = _LAST_COMPLETE.fullmatch(line)
            if match is None or not found:
                raise ValueError(f"{line.strip()!r} is not the time of a source")
            if match[1] is not None:
                utc_time(match[1])
            times = found[[*found][-1]] = dataclasses.replace(times, last_complete=match[1])
        elif found and (match := _FAILING_SINCE.fullmatch(line)):
            times = found[[*found][-1]] = dataclasses.replace(times, failing_since=match[1])
    return found


def age_of(timestamp: str | None, now: datetime.datetime) -> datetime.timedelta | None:
    """Return how long before *now* a timestamp (`YYYY-MM-DDTHH:MM:SSZ`) was, never negative.

    None for None, for a text that is no time, and for a time in the future, which is to be ignored.
    """
    try:
        moment = None if timestamp is None else utc_time(timestamp)
    except ValueError:
        return None
    return None if moment is None or is_future(moment, now) else max(now - moment, datetime.timedelta(0))


def stale_sources(sources: Mapping[str, SourceTimes], now: datetime.datetime) -> Iterator[str]:
    """Yield a clause for each source whose last complete read is older than two sync periods.

    One that was never read completely is stale once it has failed for that long; one that never failed either is one
    that the lab does not use.
    """
    for name, times in sources.items():
        since = times.failing_since if times.last_complete is None else times.last_complete
        age = age_of(since, now)
        if age is not None and age > STALE_AFTER:
            how_long = describe_age(age.total_seconds())
            if times.last_complete is None:
                yield f"{name} (never read completely, failing for {how_long}, since {since})"
            else:
                yield f"{name} (last read completely {how_long} ago, {since})"


def future_times(sources: Mapping[str, SourceTimes], now: datetime.datetime) -> Iterator[str]:
    """Yield the name and time of each source whose last complete read lies in the future, which says nothing of it."""
    for name, times in sources.items():
        if times.last_complete is not None and is_future(utc_time(times.last_complete), now):
            yield f"{name} {times.last_complete}"


def describe_age(seconds: float) -> str:
    """
    >>> describe_age(42), describe_age(5000), describe_age(300_000)
    ('42 s', '83 min', '3 days')
    """
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
