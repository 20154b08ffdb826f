"""Freshness: how long ago the sources were read completely, as the `sync.yaml` beside a snapshot says.

A snapshot that is revalidated every ten minutes looks the same whether syncs run or stopped a week ago. So readers look
into `sync.yaml` as well: that of a local folder, or the published one, which is fetched at most once a day for each
cache, whether that succeeds or not.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable
from pathlib import Path

from npc_lims.config.disk_cache import CacheEntry, cache_status, load_entry, store_entry, touch_entry
from npc_lims.errors import RemoteStateError, StaleStateWarning, warn_future_timestamp, warn_once
from npc_lims.state.sync_times import age_of, future_times, parse_sync_times, stale_sources
from npc_lims.utils.memory_cache import TTLCache

SYNC_FILE = "sync.yaml"
FOLDER_REMEDY = "pull the newest commits, or run npc-lims sync"
_DAY = 24 * 3600.0

_checked: TTLCache[bool] = TTLCache(maxsize=64, ttl=3600)


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
    """Fetch a `sync.yaml` and cache it at *path*.

    Args:
        fetch: Return its content, or None if there is none.

    Raises:
        RemoteStateError: As *fetch*. It counts as an attempt, also for other processes.
    """
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
    """Return the seconds since each source was last read completely.

    None for one that never was, or in the future; empty if there is no sync.yaml, or it cannot be read.
    """
    now = datetime.datetime.now(datetime.timezone.utc)
    try:
        sources = parse_sync_times(entry.content) if entry is not None else {}
    except ValueError:
        return {}
    ages = {name: age_of(times.last_complete, now) for name, times in sources.items()}
    return {name: None if age is None else age.total_seconds() for name, age in ages.items()}


def describe_staleness(entry: CacheEntry | None, where: str) -> str:
    """Return what was out of date when *entry* was read, as a clause; empty if nothing was, or nothing is known.

    Args:
        where: The folder or URL of the state.
    """
    if entry is None or not entry.content:
        return ""
    try:
        stale = ", ".join(stale_sources(parse_sync_times(entry.content), _time_of(entry)))
    except ValueError as error:
        return f"{where}/{SYNC_FILE} is damaged ({error}), so how old its facts are is unknown"
    return f"{where} is out of date: {stale}" if stale else ""


def warn_if_stale(path: Path, where: str, remedy: str, load: Callable[[Path], CacheEntry | None] = load_entry) -> None:
    """Warn, once a process, of what was out of date when a `sync.yaml` was read.

    Args:
        path: The cached `sync.yaml`: it is loaded again after it was fetched, or an hour.
        where: The folder or URL of the state, for the message.
        remedy: What to do, for the message.
    """
    if _checked.get(path):
        return
    _checked.put(path, True)
    entry = load(path)
    with contextlib.suppress(ValueError):
        future = ", ".join(future_times(parse_sync_times(entry.content), _time_of(entry))) if entry is not None else ""
        if future:
            warn_future_timestamp(f"{where}/{SYNC_FILE}", future)
    message = describe_staleness(entry, where)
    if message:
        warn_once(("stale", path), f"{message}; {remedy}", StaleStateWarning)


def warn_if_folder_stale(folder: Path) -> None:
    """Warn, once a process, of sources that are out of date in a local state folder, which somebody must pull."""
    warn_if_stale(folder, str(folder), FOLDER_REMEDY, read_sync_entry)


def _time_of(entry: CacheEntry) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(entry.stored, datetime.timezone.utc)
