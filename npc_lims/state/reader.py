"""Read state, from the first of these that answers.

1. the folder that NPC_LIMS_STATE names: no network
2. the snapshot cached on disk, while it is younger than NPC_LIMS_TTL
3. raw GitHub, which says whether the cached one is current
4. its mirror, the status site, when raw GitHub refuses or cannot be reached
5. the cached snapshot, however old, when neither has a newer one

With NPC_LIMS_OFFLINE it is the folder, else the newest cached snapshot.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from npc_lims.config.disk_cache import CacheEntry, cache_status, load_entry
from npc_lims.config.settings import OFFLINE, Settings
from npc_lims.errors import GitError, NoRemoteState, RemoteStateError, StaleStateWarning, StateError, warn_once
from npc_lims.state import published
from npc_lims.state.freshness import SYNC_FILE, SyncCopy, describe_age
from npc_lims.state.snapshot import SNAPSHOT, checked_lines, line_id, make_line, newest_first, parse_line, split_lines
from npc_lims.utils.memory_cache import TTLCache

if TYPE_CHECKING:
    from npc_lims.state.sync_file import SyncFile


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where state was read from."""

    kind: Literal["folder", "cache", "github", "mirror", "stale cache", "live", "past"]
    """`folder` (on this machine), `cache` (cached snapshot within its lifetime), `github` (fetched or revalidated now),
    `mirror` (the status site, as raw GitHub failed), `stale cache` (both failed), `live` (there is no state), `past`
    (state of a commit)."""
    place: str
    """The folder, or the URL of the snapshot."""
    commit: str | None = None
    """Commit of the folder's checkout, if it is in one; for `past`, that of the state."""
    age: float | None = None
    """Seconds since GitHub last confirmed it, for the mirror since it was published there; None for a folder, for
    `past`, and if the mirror does not say."""
    when: str | None = None
    """For `past`, when that was committed: UTC, `YYYY-MM-DDTHH:MM:SSZ`."""
    source_ages: Mapping[str, float | None] = dataclasses.field(default_factory=dict, hash=False)
    """Of `state_origin()`: seconds since each source was last read completely, by name, as `sync.yaml` says (the
    published one is fetched once a day); None for one that never was. Empty if nothing says so."""

    def __str__(self) -> str:
        more = f" at commit {self.commit[:10]}" if self.commit else ""
        if self.when is not None:
            more += f" of {self.when}"
        if self.age is not None:
            more += f", {describe_age(self.age)} old"
        return f"{self.kind}: {self.place}{more}"


class SessionLines:
    """All sessions, the newest first, as lines of a snapshot; *published* is when a mirror got them, if known."""

    def __init__(self, lines: list[bytes], published: float | None = None) -> None:
        self.all = lines
        self.published = published

    def ids(self) -> list[str]:
        return list(self._by_id)

    def find(self, session_id: str) -> bytes | None:
        return self._by_id.get(session_id)

    def facts(self, session_id: str) -> dict[str, Any] | None:
        """Return a session as plain data, or None."""
        line = self.find(session_id)
        if line is None:
            return None
        facts = parse_line(line)
        del facts["digest"]  # which the session's own file does not hold
        return facts

    @functools.cached_property
    def _by_id(self) -> dict[str, bytes]:
        return {line_id(line): line for line in self.all}


@dataclasses.dataclass(frozen=True)
class Snapshot:
    lines: SessionLines
    origin: Origin


_snapshots: TTLCache[SessionLines] = TTLCache(maxsize=2, ttl=24 * 3600)
# the session that was read from its own file, by the path of the cached snapshot
_first_reads: TTLCache[dict[str, dict[str, Any]]] = TTLCache(maxsize=64, ttl=24 * 3600)
# a loop over ids must not query a failing server a thousand times
_servers: TTLCache[Snapshot] = TTLCache(maxsize=16, ttl=0, error_ttl=60)


def read_snapshot(settings: Settings, ttl: float | None = None, *, warn_stale: bool = True) -> Snapshot:
    """Read all sessions: from a cached snapshot up to *ttl* s old (None: as set), with a warning of stale sources.

    StateError if the folder is missing or damaged, NoRemoteState if nothing is published, RemoteStateError if GitHub
    fails and nothing is cached.
    """
    if settings.state is not None:
        snapshot = _read_folder(settings.state)
    else:
        snapshot = _read_published(settings, settings.ttl if ttl is None else ttl)
    if warn_stale:
        sync_copy(settings, snapshot.origin).warn_if_stale()
    return snapshot


def read_one(settings: Settings, session_id: str, ttl: float | None = None) -> dict[str, Any] | None:
    """Read one session as plain data; None if state does not have it. Raises as `read_snapshot`.

    The first one is a small request for its own file; the next one fetches the snapshot, which answers all others.
    """
    if settings.state is not None:
        from npc_lims.state.store import read_record

        record = read_record(settings.state, session_id)
        if record is None and not settings.state.is_dir():
            raise _no_folder(settings.state)
        sync_copy(settings).warn_if_stale()
        return None if record is None else record.as_dict()
    path = published.cached_snapshot_path(settings)
    first_read = _first_reads.get(path, settings.ttl if ttl is None else ttl) or {}
    if session_id in first_read:
        return first_read[session_id]
    is_cached = settings.offline or any(map(cache_status, (path, published.mirror_path(settings))))
    if not is_cached and _first_reads.get(path) is None and _servers.error(path) is None:
        _first_reads.put(path, {})
        found = _fetch_session_file(settings, session_id)
        if found is not None:
            _first_reads.put(path, {session_id: found})
            _fetch_sync_file_daily(settings)
            sync_copy(settings).warn_if_stale()
            return found
    return read_snapshot(settings, ttl).lines.facts(session_id)


def origin_of_state(settings: Settings) -> Origin:
    """Return where the next answer comes from: reads the state if it has not been read yet."""
    origin = read_snapshot(settings, warn_stale=False).origin
    commit = None
    if settings.state is not None:
        from npc_lims.clients.git import Repository

        with contextlib.suppress(GitError):
            commit = Repository(settings.state).find_commit("HEAD")
    return dataclasses.replace(origin, commit=commit, source_ages=sync_copy(settings, origin).source_ages())


def recorded_sync(settings: Settings, origin: Origin) -> SyncFile:
    """Return the `sync.yaml` beside the state of *origin*; of GitHub it may be as old as the cached snapshot."""
    from npc_lims.state.sync_file import SyncFile, parse_sync_file, read_sync_file

    if settings.state is not None:
        return read_sync_file(settings.state)
    copy = sync_copy(settings, origin)
    entry = copy.load()
    is_cached = entry is not None and 0 <= time.time() - entry.stored < settings.ttl
    if origin.kind not in ("stale cache", "mirror") and not is_cached and not settings.offline:
        entry = copy.update(lambda: published.fetch_file(settings, f"state/{SYNC_FILE}"))
    return SyncFile() if entry is None or not entry.content else parse_sync_file(entry.content, origin.place)


def sync_copy(settings: Settings, origin: Origin | None = None) -> SyncCopy:
    """Return the `sync.yaml` beside the state of *origin*, else of the folder or of raw GitHub."""
    if settings.state is not None:
        return SyncCopy.of_folder(settings.state)
    is_mirror = origin is not None and origin.kind == "mirror"
    snapshot = published.mirror_path(settings) if is_mirror else published.cached_snapshot_path(settings)
    remedy = f"check that the sync workflow of {settings.repo} runs: GitHub drops schedules, and disables some"
    return SyncCopy(snapshot.with_suffix(f".{SYNC_FILE}"), f"{_url(settings)}/state", remedy)


def _url(settings: Settings) -> str:
    return f"{settings.raw_url}/{settings.repo}/{settings.ref}"


def _read_folder(folder: Path) -> Snapshot:
    path = folder / SNAPSHOT
    try:
        status = path.stat()
        key = (path, status.st_mtime_ns, status.st_size)
        lines = _snapshots.get_or_load(key, lambda: SessionLines(checked_lines(path.read_bytes())))
    except (FileNotFoundError, NotADirectoryError):
        lines = SessionLines(_lines_of_files(folder))
    except ValueError as error:
        raise StateError(f"{path}: {error}; run npc-lims sync to regenerate it") from None
    return Snapshot(lines, Origin("folder", str(folder)))


def _no_folder(folder: Path, what: str = "state folder") -> StateError:
    return StateError(f"there is no {what} {folder}: check NPC_LIMS_STATE or --state, or run npc-lims sync")


def _lines_of_files(folder: Path) -> list[bytes]:
    """Make lines of the session files, for a folder without a snapshot."""
    from npc_lims.state.store import read_state

    if not (folder / "sessions").is_dir():  # a mistyped folder must not pass for a lab without sessions
        raise _no_folder(folder, "state in" if folder.is_dir() else "state folder")
    records = read_state(folder).records
    return [make_line(records[session_id].as_dict(), "") for session_id in newest_first(records)]


def _fetch_session_file(settings: Settings, session_id: str) -> dict[str, Any] | None:
    from npc_lims.state.store import parse_record, session_path

    path = session_path(Path("state"), session_id)
    try:
        content = published.fetch_file(settings, path.as_posix())
        return None if content is None else parse_record(content, path).as_dict()
    except RemoteStateError as error:
        _servers.put_error(published.cached_snapshot_path(settings), error)
    except StateError:
        pass  # damaged there: the snapshot, which is read next, may still have it
    return None


def _read_published(settings: Settings, ttl: float) -> Snapshot:
    if settings.offline:
        return _read_cached(settings)
    path, mirror = published.cached_snapshot_path(settings), published.mirror_url(settings)
    snapshot = _cached_snapshot(settings, ttl)
    if snapshot is not None:
        return snapshot
    try:
        return _servers.get_or_load(path, lambda: _cached_snapshot(settings, ttl) or _fetch_snapshot(settings))
    except RemoteStateError as error:
        failure = error
    cached, url = _cached_lines(path), _url(settings)
    if mirror is not None and not isinstance(failure, NoRemoteState):
        age = None if cached is None else cached[0]
        try:
            snapshot = _servers.get_or_load(
                published.mirror_path(settings), lambda: _fetch_mirror(settings, mirror, age)
            )
            warn_once(("cached", path), f"{failure}; using {snapshot.origin}", StaleStateWarning)
            return snapshot
        except RemoteStateError as error:
            failure, before = RemoteStateError(f"{failure}; and the mirror has nothing newer: {error}"), failure
            failure.__cause__ = before
        mirrored = _cached_lines(published.mirror_path(settings))
        # that of the mirror was newer when it was cached, unless raw GitHub has confirmed the other one since
        if mirrored is not None and (cached is None or mirrored[0] < cached[0]):
            cached, url = mirrored, mirror
    if cached is None:
        raise failure
    message = f"{failure}; using the copy of {url} that is {describe_age(cached[0])} old"
    warn_once(("cached", path), message, StaleStateWarning)
    return Snapshot(cached[1], Origin("stale cache", url, age=cached[0]))


def _read_cached(settings: Settings) -> Snapshot:
    """Return the newest cached snapshot, however old, with a warning that states its age."""
    paths = [published.cached_snapshot_path(settings), published.mirror_path(settings)]
    found = [(*cached, path) for path in paths if (cached := _cached_lines(path)) is not None]
    url = _url(settings)
    if not found:
        raise NoRemoteState(
            f"{OFFLINE}, and no snapshot of {url} is cached: read it once without (npc-lims sessions), or name a state "
            "folder (NPC_LIMS_STATE)"
        )
    age, lines, path = min(found, key=lambda one: one[0])
    if path == published.mirror_path(settings):
        url = str(published.mirror_url(settings))
    message = f"offline: using the copy of {url} that is {describe_age(age)} old"
    warn_once(("offline", path), message, StaleStateWarning)
    return Snapshot(lines, Origin("cache", url, age=age))


def _cached_snapshot(settings: Settings, ttl: float) -> Snapshot | None:
    """Return a cached snapshot within its lifetime: of raw GitHub, else of the mirror."""
    cached = _cached_lines(published.cached_snapshot_path(settings), ttl)
    if cached is not None:
        return Snapshot(cached[1], Origin("cache", _url(settings), age=cached[0]))
    mirror = published.mirror_url(settings)
    cached = None if mirror is None else _cached_lines(published.mirror_path(settings), ttl)
    return None if mirror is None or cached is None else _of_mirror(mirror, cached[1])


def _fetch_snapshot(settings: Settings) -> Snapshot:
    lines = _parse(published.cached_snapshot_path(settings), published.fetch_snapshot(settings))
    _fetch_sync_file_daily(settings)
    return Snapshot(lines, Origin("github", _url(settings), age=0.0))


def _fetch_sync_file_daily(settings: Settings) -> None:
    once = settings.replace(attempts=1)
    sync_copy(settings).update_daily(lambda: published.fetch_file(once, f"state/{SYNC_FILE}"))


def _fetch_mirror(settings: Settings, mirror: str, cached_age: float | None) -> Snapshot:
    lines = _parse(published.mirror_path(settings), published.fetch_mirror(settings, mirror, cached_age))
    snapshot, once = _of_mirror(mirror, lines), settings.replace(attempts=1)
    sync_copy(settings, snapshot.origin).update_daily(lambda: published.fetch_mirrored_sync_file(once, mirror))
    return snapshot


def _of_mirror(mirror: str, lines: SessionLines) -> Snapshot:
    age = None if lines.published is None else max(0.0, time.time() - lines.published)
    return Snapshot(lines, Origin("mirror", mirror, age=age))


def _cached_lines(path: Path, ttl: float = math.inf) -> tuple[float, SessionLines] | None:
    """Return the age of a cached snapshot in seconds and its lines; None without one that is younger than *ttl*."""
    status = cache_status(path)
    if status is None or status.age >= ttl:
        return None
    lines = _snapshots.get(status.key)
    if lines is None:
        entry = load_entry(path)
        lines = None if entry is None else _parse(path, entry)
    return None if lines is None else (status.age, lines)


def _parse(path: Path, entry: CacheEntry) -> SessionLines:
    lines = SessionLines(split_lines(entry.content), entry.published)
    status = cache_status(path)
    return lines if status is None else _snapshots.put(status.key, lines)
