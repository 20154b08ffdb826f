"""Freshness: how long ago the sources were read completely, as the `sync.yaml` beside a snapshot says.

A snapshot that is revalidated every ten minutes looks the same whether syncs run or stopped a week ago. So readers look
into `sync.yaml` as well: that of a local folder, or the published one, which is fetched at most once a day for each
cache, whether that succeeds or not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import time
import zlib
from collections.abc import Callable
from pathlib import Path

from npc_lims.config.disk_cache import entry_stat, read_entry, touch_entry, write_entry
from npc_lims.errors import RemoteStateError, StaleStateWarning, notify, warn_future_timestamp
from npc_lims.state.sync_times import age_of, future_times, parse_sync_times, stale_sources
from npc_lims.utils.memory_cache import TTLCache

__all__ = [
    "FOLDER_REMEDY",
    "SYNC_FILE",
    "SyncCopy",
    "describe_staleness",
    "fetch_daily",
    "fetch_sync_copy",
    "load_sync_copy",
    "read_sync_copy",
    "source_ages",
    "sync_copy_path",
    "warn_if_folder_stale",
    "warn_if_stale",
]

SYNC_FILE = "sync.yaml"
FOLDER_REMEDY = "pull the newest commits, or run npc-lims sync"
_DAY = 24 * 3600.0

_copies: TTLCache[SyncCopy] = TTLCache(maxsize=8, ttl=_DAY)  # for a cache that cannot be written
_attempts: TTLCache[float] = TTLCache(maxsize=8, ttl=_DAY)
_judged: TTLCache[bool] = TTLCache(maxsize=64, ttl=3600)
_warned: TTLCache[bool] = TTLCache(maxsize=64, ttl=_DAY)


@dataclasses.dataclass(frozen=True)
class SyncCopy:
    """A `sync.yaml` as it was read.

    Attributes:
        content: Empty if there was none.
        checked: When that was, in seconds since 1970.
    """

    content: bytes
    checked: float


def sync_copy_path(snapshot: Path) -> Path:
    """Return where the cache holds the `sync.yaml` that was published with a cached snapshot."""
    return snapshot.with_suffix(f".{SYNC_FILE}")


def read_sync_copy(folder: Path) -> SyncCopy:
    """Return the `sync.yaml` of a local state folder."""
    try:
        return SyncCopy((folder / SYNC_FILE).read_bytes(), time.time())
    except OSError:
        return SyncCopy(b"", time.time())


def load_sync_copy(path: Path) -> SyncCopy | None:
    """Return what the cache holds at *path*; None if it was never fetched, or is damaged."""
    head, _, content = (read_entry(path) or b"").partition(b"\n")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        meta = json.loads(head)
        if meta["crc32"] == zlib.crc32(content):
            return SyncCopy(content, float(meta["checked"]))
    return _copies.get(str(path))


def fetch_sync_copy(path: Path, fetch: Callable[[], bytes | None]) -> SyncCopy:
    """Fetch a `sync.yaml` and cache it at *path*.

    Args:
        fetch: Gives its content, or None if there is none.

    Raises:
        RemoteStateError: As *fetch*. It counts as an attempt, also for other processes.
    """
    _attempts.put(str(path), time.monotonic())
    if entry_stat(path) is None:
        write_entry(path, b"")
    touch_entry(path)
    copy = SyncCopy(fetch() or b"", time.time())
    head = {"checked": copy.checked, "crc32": zlib.crc32(copy.content)}
    write_entry(path, json.dumps(head).encode() + b"\n" + copy.content)
    _judged.put(str(path), False)
    return _copies.put(str(path), copy)


def fetch_daily(path: Path, fetch: Callable[[], bytes | None]) -> None:
    """Do as `fetch_sync_copy`, unless that was attempted in the last 24 hours; a failure is ignored until the next."""
    attempted, status = _attempts.get(str(path)), entry_stat(path)
    if attempted is not None and time.monotonic() - attempted < _DAY:
        return
    if status is None or abs(time.time() - status.st_mtime) >= _DAY:
        with contextlib.suppress(RemoteStateError):
            fetch_sync_copy(path, fetch)


def source_ages(copy: SyncCopy | None) -> dict[str, float | None]:
    """Return the seconds since each source was last read completely.

    None for one that never was, or in the future; empty if there is no sync.yaml, or it cannot be read.
    """
    now = datetime.datetime.now(datetime.timezone.utc)
    try:
        sources = parse_sync_times(copy.content) if copy is not None else {}
    except ValueError:
        return {}
    ages = {name: age_of(times.last_complete, now) for name, times in sources.items()}
    return {name: None if age is None else age.total_seconds() for name, age in ages.items()}


def describe_staleness(copy: SyncCopy | None, where: str) -> str:
    """Return what was out of date when *copy* was read, as a clause; empty if nothing was, or nothing is known.

    Args:
        where: The folder or address of the state.
    """
    if copy is None or not copy.content:
        return ""
    try:
        stale = ", ".join(stale_sources(parse_sync_times(copy.content), _time_of(copy)))
    except ValueError as error:
        return f"{where}/{SYNC_FILE} is damaged ({error}), so how old its facts are is unknown"
    return f"{where} is out of date: {stale}" if stale else ""


def warn_if_stale(key: Path, where: str, remedy: str, load: Callable[[], SyncCopy | None]) -> None:
    """Warn, once a process, of what was out of date when *load*'s copy was read.

    Args:
        key: Path of the copy: it is loaded again after it was fetched, or an hour.
        where: The folder or address of the state, for the message.
        remedy: What to do, for the message.
    """
    if _judged.get(str(key)):
        return
    _judged.put(str(key), True)
    copy = load()
    future, message = _future_times(copy), describe_staleness(copy, where)
    if _warned.get(str(key)) or not (future or message):
        return
    _warned.put(str(key), True)
    if future:
        warn_future_timestamp(f"{where}/{SYNC_FILE}", future)
    if message:
        notify(f"{message}; {remedy}", StaleStateWarning)


def warn_if_folder_stale(folder: Path) -> None:
    """Warn, once a process, of sources that are out of date in a local state folder, which somebody must pull."""
    warn_if_stale(folder / SYNC_FILE, str(folder), FOLDER_REMEDY, lambda: read_sync_copy(folder))


def _future_times(copy: SyncCopy | None) -> str:
    if copy is None:
        return ""
    with contextlib.suppress(ValueError):
        return ", ".join(future_times(parse_sync_times(copy.content), _time_of(copy)))
    return ""


def _time_of(copy: SyncCopy) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(copy.checked, datetime.timezone.utc)
