"""Freshness: how long ago the sources were read completely, as the `sync.yaml` beside a snapshot says.

A snapshot that is revalidated every ten minutes looks the same whether syncs run or stopped a week ago. So readers look
into `sync.yaml` as well: that of a local folder, or the published one, which is fetched at most once a day for each
cache, whether that succeeds or not. By the standard library alone: pydantic takes longer to import than a read of all
sessions, and the watchdog runs where nothing could be installed.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Optional

from npc_lims.config.disk_cache import CacheEntry, cache_status, load_entry, store_entry, touch_entry
from npc_lims.errors import RemoteStateError, StaleStateWarning, warn_future_timestamp, warn_once
from npc_lims.utils.memory_cache import TTLCache
from npc_lims.utils.timestamps import is_future, parse_utc, utc_text, utc_time
from npc_lims.utils.yaml import load_yaml

SYNC_FILE = "sync.yaml"
FOLDER_REMEDY = "pull the newest commits, or run npc-lims sync"
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


def _time(value: Any) -> str | None:
    """Return a time as a sync writes it, also of one that was typed without quotes, which YAML reads as a time."""
    if value is None:
        return None
    return utc_text(value if isinstance(value, datetime.datetime) else utc_time(value))


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


def cached_sync_path(snapshot: Path) -> Path:
    """Return where the cache holds the `sync.yaml` that was published with a cached snapshot."""
    return snapshot.with_suffix(f".{SYNC_FILE}")


def read_sync_entry(folder: Path) -> CacheEntry:
    """Return the `sync.yaml` of a local state folder, without content if there is none."""
    try:
        return CacheEntry((folder / SYNC_FILE).read_bytes())
    except OSError:
        return CacheEntry(b"")


def fetch_sync_entry(path: Path, fetch: Callable[[], bytes | None]) -> CacheEntry:
    """Fetch a `sync.yaml` by *fetch*, and cache it. A failure counts as an attempt, also for other processes."""
    touch_entry(path)
    entry = CacheEntry(fetch() or b"")
    store_entry(path, entry)
    _checked.put(path, False)
    return entry


def fetch_daily(path: Path, fetch: Callable[[], bytes | None]) -> None:
    """Do as `fetch_sync_entry`, unless that was attempted in the last 24 hours; a failure is ignored until the next."""
    status = cache_status(path)
    if status is None or status.age >= _DAY:
        with contextlib.suppress(RemoteStateError):
            fetch_sync_entry(path, fetch)


def source_ages(entry: CacheEntry | None) -> dict[str, float | None]:
    """Return the seconds since each source was last read completely; None for one that never was, or in the future."""
    now = datetime.datetime.now(datetime.timezone.utc)
    try:
        sources = parse_sync_times(entry.content) if entry is not None else {}
    except ValueError:
        return {}
    ages = {name: age_of(times.last_complete, now) for name, times in sources.items()}
    return {name: None if age is None else age.total_seconds() for name, age in ages.items()}


def describe_staleness(entry: CacheEntry | None, where: str) -> str:
    """Return which sources were stale when *entry* was read, as a clause; empty if none was, or nothing is known.

    A source that was never read completely is stale once it has failed for two periods; one that never failed either is
    one that the lab does not use.
    """
    if entry is None or not entry.content:
        return ""
    stale = []
    try:
        for name, (last_complete, failing_since) in parse_sync_times(entry.content).items():
            since = failing_since if last_complete is None else last_complete
            age = age_of(since, _time_of(entry))
            if age is None or age <= STALE_AFTER:
                continue
            how_long = describe_age(age.total_seconds())
            if last_complete is None:
                stale.append(f"{name} (never read completely, failing for {how_long}, since {since})")
            else:
                stale.append(f"{name} (last read completely {how_long} ago, {since})")
    except ValueError as error:
        return f"{where}/{SYNC_FILE} is damaged ({error}), so how old its facts are is unknown"
    return f"{where} is out of date: {', '.join(stale)}" if stale else ""


def warn_if_stale(path: Path, where: str, remedy: str, load: Callable[[Path], CacheEntry | None] = load_entry) -> None:
    """Warn, once a process, of what was out of date when the `sync.yaml` at *path* was read.

    It is loaded again after it was fetched, or an hour.
    """
    if _checked.get(path):
        return
    _checked.put(path, True)
    entry = load(path)
    if entry is not None:
        with contextlib.suppress(ValueError):
            sources, now = parse_sync_times(entry.content), _time_of(entry)
            times = {name: time for name, (time, _) in sources.items() if time and is_future(utc_time(time), now)}
            if times:
                future = ", ".join(f"{name} {time}" for name, time in times.items())
                warn_future_timestamp(f"{where}/{SYNC_FILE}", future)
    message = describe_staleness(entry, where)
    if message:
        warn_once(("stale", path), f"{message}; {remedy}", StaleStateWarning)


def warn_if_folder_stale(folder: Path) -> None:
    """Warn, once a process, of sources that are out of date in a local state folder, which somebody must pull."""
    warn_if_stale(folder, str(folder), FOLDER_REMEDY, read_sync_entry)


def _time_of(entry: CacheEntry) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(entry.stored, datetime.timezone.utc)
