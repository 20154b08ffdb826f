"""Freshness: how long ago the sources were read completely, as the `sync.yaml` beside a snapshot says.

A snapshot that is revalidated every ten minutes looks the same whether syncs run or stopped a week ago. So readers look
into `sync.yaml` as well: that of a local folder, or the published one, which is fetched at most once a day for each
cache, whether that succeeds or not. By the standard library alone: pydantic takes longer to import than a read of all
sessions, and the watchdog runs where nothing could be installed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Optional

from npc_lims.config.disk_cache import CacheEntry, cache_status, load_entry, store_entry, touch_entry
from npc_lims.errors import RemoteStateError, StaleStateWarning, warn_future_timestamp, warn_once
from npc_lims.utils.memory_cache import TTLCache
from npc_lims.utils.timestamps import is_future, parse_utc, utc_text, utc_time
from npc_lims.utils.yaml import load_yaml

SYNC_FILE = "sync.yaml"
STALE_AFTER = datetime.timedelta(hours=48)
"""Syncs run four times a day, but in an unchanged world their times are recorded once a day: these are two periods."""
_DAY = 24 * 3600.0

_checked: TTLCache[bool] = TTLCache(maxsize=64, ttl=3600)


class SourceTimes(NamedTuple):
    """When a source was last read completely, and the first sync that failed for the present reason; None if never."""

    last_complete: Optional[str] = None
    failing_since: Optional[str] = None


def parse_sync_times(content: bytes) -> dict[str, SourceTimes]:
    """Return the times of each source that was ever queried; ValueError if it is no sync.yaml."""
    found = {}
    try:
        for name, source in load_yaml(content)["sources"].items():
            failure = source.get("failure") or {}
            found[name] = SourceTimes(_time(source.get("last_complete")), _time(failure.get("at")))
    except (AttributeError, ImportError, KeyError, TypeError):  # the watchdog has no ruamel.yaml
        raise ValueError("it is not as a sync writes it") from None
    return found


def _time(value: str | None) -> str | None:
    return None if value is None else utc_text(utc_time(value))


def age_of(timestamp: str | None, now: datetime.datetime) -> datetime.timedelta | None:
    """Return how long before *now* a timestamp was, never negative; None if it is no time, or in the future."""
    moment = parse_utc(timestamp)
    return None if moment is None or is_future(moment, now) else max(now - moment, datetime.timedelta(0))


def describe_age(seconds: float) -> str:
    """
    >>> describe_age(42), describe_age(5000), describe_age(300_000)
    ('42 s', '83 min', '3 days')
    """
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


@dataclasses.dataclass(frozen=True)
class SyncCopy:
    """The `sync.yaml` beside a state: of a local folder, or the cached copy of the published one."""

    path: Path
    where: str
    """The folder or URL of the state, for messages."""
    remedy: str
    """What to do where a source is stale."""
    is_cached: bool = True

    @classmethod
    def of_folder(cls, folder: Path) -> SyncCopy:
        remedy = "pull the newest commits, or run npc-lims sync"
        return cls(folder / SYNC_FILE, str(folder), remedy, is_cached=False)

    def load(self) -> CacheEntry | None:
        if self.is_cached:
            return load_entry(self.path)
        try:
            return CacheEntry(self.path.read_bytes())
        except OSError:
            return None

    def update(self, fetch: Callable[[], bytes | None]) -> CacheEntry:
        """Replace the cached copy by what *fetch* returns. A failure counts as an attempt, also for other processes."""
        touch_entry(self.path)
        entry = CacheEntry(fetch() or b"")
        store_entry(self.path, entry)
        _checked.put(self.path, False)
        return entry

    def update_daily(self, fetch: Callable[[], bytes | None]) -> None:
        """Do as `update`, unless that was attempted in the last 24 hours; a failure is ignored until the next."""
        status = cache_status(self.path)
        if status is None or status.age >= _DAY:
            with contextlib.suppress(RemoteStateError):
                self.update(fetch)

    def source_ages(self) -> dict[str, float | None]:
        """Return the seconds since each source was last read completely; None for one that never was, or in future."""
        now = datetime.datetime.now(datetime.timezone.utc)
        entry = self.load()
        try:
            sources = {} if entry is None else parse_sync_times(entry.content)
        except ValueError:
            return {}
        ages = {name: age_of(times.last_complete, now) for name, times in sources.items()}
        return {name: None if age is None else age.total_seconds() for name, age in ages.items()}

    def staleness(self) -> str:
        """Return which sources were stale when it was read, and what to do; empty if none was, or nothing is known."""
        entry = self.load()
        message = "" if entry is None or not entry.content else self._staleness(entry)
        return f"{message}; {self.remedy}" if message else ""

    def _staleness(self, entry: CacheEntry) -> str:
        now, stale = datetime.datetime.fromtimestamp(entry.stored, datetime.timezone.utc), []
        try:
            for name, (last_complete, failing_since) in parse_sync_times(entry.content).items():
                if last_complete is not None and is_future(utc_time(last_complete), now):
                    warn_future_timestamp(f"{self.where}/{SYNC_FILE}", f"{name} {last_complete}")
                # one that never failed either is one that the lab does not use
                since = failing_since if last_complete is None else last_complete
                age = age_of(since, now)
                if age is None or age <= STALE_AFTER:
                    continue
                how_long = describe_age(age.total_seconds())
                if last_complete is None:
                    stale.append(f"{name} (never read completely, failing for {how_long}, since {since})")
                else:
                    stale.append(f"{name} (last read completely {how_long} ago, {since})")
        except ValueError as error:
            return f"{self.where}/{SYNC_FILE} is damaged ({error}), so how old its facts are is unknown"
        return f"{self.where} is out of date: {', '.join(stale)}" if stale else ""

    def warn_if_stale(self) -> None:
        """Warn, once a process, of what was stale when it was read. It is loaded again after an update, or an hour."""
        if _checked.get(self.path):
            return
        _checked.put(self.path, True)
        message = self.staleness()
        if message:
            warn_once(("stale", self.path), message, StaleStateWarning)
