"""Where answers about sessions come from, and the order in which the places are tried.

1. the folder that NPC_LIMS_STATE names: no network
2. the snapshot kept on disk, while it is younger than NPC_LIMS_TTL
3. raw GitHub, asked whether it has a newer one
4. its mirror, the status site, when raw GitHub refuses or cannot be reached
5. the kept snapshot, however old, when neither has a newer one
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from npc_lims.config.disk_cache import entry_stat
from npc_lims.errors import GitError, NoRemoteState, RemoteStateError, StaleStateWarning, StateError, notify
from npc_lims.state.freshness import (
    FOLDER_REMEDY,
    SYNC_FILE,
    SyncCopy,
    describe_staleness,
    fetch_daily,
    fetch_sync_copy,
    load_sync_copy,
    read_sync_copy,
    source_ages,
    sync_copy_path,
    warn_if_folder_stale,
    warn_if_stale,
)
from npc_lims.state.pages_mirror import fetch_mirror, fetch_mirrored_sync_file, mirror_path, mirror_url
from npc_lims.state.remote import cached_snapshot_path, fetch_file, fetch_snapshot, read_cached_snapshot, read_kept
from npc_lims.state.snapshot import SNAPSHOT, checked_lines, line_id, parse_line
from npc_lims.state.sync_times import describe_age
from npc_lims.utils.memory_cache import TTLCache

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = ["Origin", "Snapshot", "origin_of_state", "read_one", "read_snapshot", "staleness", "sync_copy"]


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where state was read from.

    Attributes:
        kind: `folder` (on this machine), `cache` (kept copy, young enough), `github` (fetched or
            confirmed just now), `mirror` (the status site, since raw GitHub could not answer),
            `stale cache` (neither could), `live` (there is no state), `past` (state as it was).
        place: The folder, or the address of the snapshot.
        commit: Commit of the folder's checkout, where it is in one; of the past, that which was asked of.
        age: Seconds since GitHub last confirmed it, for the mirror since it was published there; None for a folder,
            for the past, and where the mirror does not tell.
        when: For the past, when that was committed: UTC, `YYYY-MM-DDTHH:MM:SSZ`.
        source_ages: Of `state_origin()`: seconds since each source was last read completely, by name, as `sync.yaml`
            says (the published one is fetched once a day); None for one that never was. Empty where nothing says so.
    """

    kind: Literal["folder", "cache", "github", "mirror", "stale cache", "live", "past"]
    place: str
    commit: str | None = None
    age: float | None = None
    when: str | None = None
    source_ages: Mapping[str, float | None] = dataclasses.field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        more = f" at commit {self.commit[:10]}" if self.commit else ""
        if self.when is not None:
            more += f" of {self.when}"
        if self.age is not None:
            more += f", {describe_age(self.age)} old"
        return f"{self.kind}: {self.place}{more}"


class Lines:
    """All sessions, the newest first, as lines that are parsed when they are looked at.

    Attributes:
        published: When a mirror had them first, in seconds since 1970, if it tells.
    """

    def __init__(self, lines: list[bytes], published: float | None = None) -> None:
        self.all = lines
        self.published = published

    def ids(self) -> list[str]:
        return list(self._by_id)

    def find(self, session_id: str) -> bytes | None:
        """The line of a session, or None."""
        return self._by_id.get(session_id)

    @functools.cached_property
    def _by_id(self) -> dict[str, bytes]:
        return {line_id(line): line for line in self.all}


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """All sessions, and where they were read from."""

    lines: Lines
    origin: Origin


_kept_lines: TTLCache[Lines] = TTLCache(maxsize=2, ttl=24 * 3600)
# Where nothing can be kept on disk (a home that cannot be written), memory has to do.
_unkept: TTLCache[tuple[float, Lines]] = TTLCache(maxsize=2, ttl=24 * 3600)
_single: TTLCache[tuple[float, dict[str, Any]]] = TTLCache(maxsize=256, ttl=24 * 3600)  # with the time it was read
_own_files: TTLCache[dict[str, Any]] = TTLCache(maxsize=256, ttl=3600)
_asked: TTLCache[bool] = TTLCache(maxsize=64, ttl=3600)
_warned: TTLCache[bool] = TTLCache(maxsize=64, ttl=24 * 3600)
# After a server failed, it is left alone until then: a loop over ids must not ask a thousand times.
_failed: TTLCache[tuple[float, RemoteStateError]] = TTLCache(maxsize=16, ttl=3600)
_LEFT_ALONE = 60.0
_LEFT_ALONE_AT_MOST = 1800.0
_loading = threading.Lock()


def read_snapshot(settings: Settings, ttl: float | None = None, *, warn_stale: bool = True) -> Snapshot:
    """All sessions.

    Args:
        ttl: Seconds that a kept snapshot is good for; None for the setting.
        warn_stale: Warn of sources that are out of date; not for those who report that themselves.

    Raises:
        StateError: The folder that NPC_LIMS_STATE names is missing or damaged.
        NoRemoteState: The repository publishes no state.
        RemoteStateError: GitHub could not be asked, and no copy is kept.
    """
    with _loading:  # threads that ask together cost one request
        if settings.state is not None:
            snapshot = _read_folder(settings.state)
        else:
            snapshot = _read_published(settings, settings.ttl if ttl is None else ttl)
    if warn_stale:
        _warn_if_stale(settings, snapshot.origin)
    return snapshot


def read_one(settings: Settings, session_id: str, ttl: float | None = None) -> dict[str, Any] | None:
    """One session as plain data, or None if the state does not have it.

    With nothing kept, the first session asked for costs one small request, for its own file; the
    next one fetches the snapshot, which then answers all others.

    Raises:
        As `read_snapshot`.
    """
    if settings.state is not None:
        record = _read_own_file(settings.state, session_id)
        _warn_if_stale(settings, Origin("folder", str(settings.state)))
        return record
    path = cached_snapshot_path(settings)
    question = (str(path), session_id)
    kept = _single.get(question)
    if kept is not None and time.monotonic() - kept[0] < (settings.ttl if ttl is None else ttl):
        return kept[1]
    nothing_kept = not any(entry_stat(kept) or _unkept.get(str(kept)) for kept in (path, mirror_path(settings)))
    if nothing_kept and _asked.get(str(path)) is None and _failure(path) is None:
        _asked.put(str(path), True)
        found = _fetch_own_file(settings, session_id)
        if found is not None:
            _single.put(question, (time.monotonic(), found))
            _fetch_times(settings, path)
            _warn_if_stale(settings, Origin("github", _where(settings)))
            return found
    line = read_snapshot(settings, ttl).lines.find(session_id)
    return None if line is None else _facts_of(line)


def _fetch_times(settings: Settings, path: Path) -> None:
    """Fetch the `sync.yaml` beside a published snapshot once a day."""
    once = settings.model_copy(update={"attempts": 1})
    fetch_daily(sync_copy_path(path), lambda: fetch_file(once, f"state/{SYNC_FILE}"))


def _facts_of(line: bytes) -> dict[str, Any]:
    """What a line says of its session: as the session's own file does, without the digest of that."""
    facts = parse_line(line)
    del facts["digest"]
    return facts


def origin_of_state(settings: Settings) -> Origin:
    """Where the next answer comes from: reads the state if it has not been read yet."""
    origin = read_snapshot(settings, warn_stale=False).origin
    commit = None if settings.state is None else _commit_of(settings.state)
    return dataclasses.replace(origin, commit=commit, source_ages=source_ages(_load_sync_copy(settings, origin)))


def sync_copy(settings: Settings, origin: Origin, max_age: float) -> SyncCopy | None:
    """Return the `sync.yaml` beside the state of *origin*, at most *max_age* seconds old unless GitHub is unavailable.

    Raises:
        RemoteStateError: It could not be fetched.
    """
    copy = _load_sync_copy(settings, origin)
    if settings.state is not None or origin.kind in ("stale cache", "mirror"):
        return copy
    if copy is not None and 0 <= time.time() - copy.checked < max_age:
        return copy
    return fetch_sync_copy(_sync_copy_path(settings, origin), lambda: fetch_file(settings, f"state/{SYNC_FILE}"))


def _load_sync_copy(settings: Settings, origin: Origin) -> SyncCopy | None:
    return read_sync_copy(settings.state) if settings.state else load_sync_copy(_sync_copy_path(settings, origin))


def _sync_copy_path(settings: Settings, origin: Origin) -> Path:
    is_mirror = origin.kind == "mirror"
    return sync_copy_path(mirror_path(settings) if is_mirror else cached_snapshot_path(settings))


def staleness(settings: Settings, origin: Origin) -> str:
    """Return which sources of the state of *origin* are out of date, and what to do; empty if none is known to be."""
    message = describe_staleness(_load_sync_copy(settings, origin), _where(settings))
    return f"{message}; {_remedy(settings)}" if message else ""


def _warn_if_stale(settings: Settings, origin: Origin) -> None:
    if settings.state is not None:
        warn_if_folder_stale(settings.state)
        return
    path = _sync_copy_path(settings, origin)
    warn_if_stale(path, _where(settings), _remedy(settings), lambda: load_sync_copy(path))


def _where(settings: Settings) -> str:
    is_folder = settings.state is not None
    return str(settings.state) if is_folder else f"{settings.raw_url}/{settings.repo}/{settings.ref}/state"


def _remedy(settings: Settings) -> str:
    if settings.state is not None:
        return FOLDER_REMEDY
    return f"check that the sync workflow of {settings.repo} runs: GitHub drops schedules, and disables some"


def _read_folder(folder: Path) -> Snapshot:
    path = folder / SNAPSHOT
    origin = Origin("folder", str(folder))
    try:
        stat = path.stat()
        question = (str(path), stat.st_mtime_ns, stat.st_size)
        return Snapshot(_kept_lines.get_or_load(question, lambda: Lines(checked_lines(path.read_bytes()))), origin)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except ValueError as error:
        raise StateError(f"{path}: {error}; run npc-lims sync to make it anew") from None
    if not folder.is_dir():
        raise StateError(f"there is no state folder {folder}: check NPC_LIMS_STATE or --state, or run npc-lims sync")
    return Snapshot(Lines(_lines_of_files(folder)), origin)


def _lines_of_files(folder: Path) -> list[bytes]:
    """Lines made from the session files, for a folder without a snapshot."""
    from npc_lims.state.snapshot import make_line, newest_first
    from npc_lims.state.store import read_state

    if not (folder / "sessions").is_dir():  # a mistyped folder must not pass for a lab without sessions
        raise StateError(f"there is no state in {folder}: check NPC_LIMS_STATE or --state, or run npc-lims sync")
    records = read_state(folder).records
    return [make_line(records[session_id].as_dict(), "") for session_id in newest_first(records)]


def _read_own_file(folder: Path, session_id: str) -> dict[str, Any] | None:
    from npc_lims.state.store import read_record, session_path

    # reading YAML takes thirty milliseconds, and every path of a session begins with this
    path = session_path(folder, session_id)
    question = _version(path, _status(path))
    kept = None if question is None else _own_files.get(question)
    if kept is not None:
        return kept
    record = read_record(folder, session_id)
    if record is None and not folder.is_dir():
        raise StateError(f"there is no state folder {folder}: check NPC_LIMS_STATE or --state, or run npc-lims sync")
    if record is None:
        return None
    return record.as_dict() if question is None else _own_files.put(question, record.as_dict())


def _fetch_own_file(settings: Settings, session_id: str) -> dict[str, Any] | None:
    from npc_lims.state.store import parse_record, session_path

    path = session_path(Path("state"), session_id)
    try:
        content = fetch_file(settings, path.as_posix())
        return None if content is None else parse_record(content, path).as_dict()
    except RemoteStateError as error:
        _leave_alone(cached_snapshot_path(settings), error)
    except StateError:
        pass  # damaged there: the snapshot, asked next, may still have it
    return None


def _read_published(settings: Settings, ttl: float) -> Snapshot:
    path = cached_snapshot_path(settings)
    place = f"{settings.raw_url}/{settings.repo}/{settings.ref}"
    kept = _kept(path, ttl)
    if kept is not None:
        return Snapshot(kept[1], Origin("cache", place, age=kept[0]))
    mirror = mirror_url(settings)
    mirrored = None if mirror is None else _kept(mirror_path(settings), ttl)
    if mirror is not None and mirrored is not None:
        return _of_mirror(mirror, mirrored[1])
    try:
        lines = _ask(path, lambda: Lines(fetch_snapshot(settings, read_cached_snapshot(settings))))
        _fetch_times(settings, path)
        return Snapshot(lines, Origin("github", place, age=0.0))
    except RemoteStateError as error:
        failure = error
    kept = _kept(path)
    if mirror is not None and not isinstance(failure, NoRemoteState):
        try:
            snapshot = _of_mirror(mirror, _ask_mirror(settings, mirror, None if kept is None else kept[0]))
            _warn_once(path, f"{failure}; using {snapshot.origin}")
            return snapshot
        except RemoteStateError as error:
            failure = _joined(failure, error)
        mirrored = _kept(mirror_path(settings))
        # what the mirror had was newer when it was kept, unless raw GitHub has confirmed the other one since
        if mirrored is not None and (kept is None or mirrored[0] < kept[0]):
            kept, place = mirrored, mirror
    if kept is None:
        raise failure
    _warn_once(path, f"{failure}; using the copy of {place} that is {describe_age(kept[0])} old")
    return Snapshot(kept[1], Origin("stale cache", place, age=kept[0]))


def _ask_mirror(settings: Settings, mirror: str, kept_age: float | None) -> Lines:
    path = mirror_path(settings)

    def ask() -> Lines:
        cached = fetch_mirror(settings, mirror, read_kept(path), kept_age)
        once = settings.model_copy(update={"attempts": 1})
        fetch_daily(sync_copy_path(path), lambda: fetch_mirrored_sync_file(once, mirror))
        return Lines(cached.lines, cached.published)

    return _ask(path, ask)


def _of_mirror(mirror: str, lines: Lines) -> Snapshot:
    age = None if lines.published is None else max(0.0, time.time() - lines.published)
    return Snapshot(lines, Origin("mirror", mirror, age=age))


def _kept(path: Path, ttl: float = math.inf) -> tuple[float, Lines] | None:
    """What is kept of a server's answer, on disk or in memory, and how many seconds ago it was last confirmed."""
    age = _age(path)
    unkept = _unkept.get(str(path))
    if unkept is not None and (age is None or time.monotonic() - unkept[0] < age):
        age, lines = time.monotonic() - unkept[0], unkept[1]
        return (age, lines) if age < ttl else None
    if age is not None and age < ttl and (kept := _read_kept(path)) is not None:
        return age, kept
    return None


def _ask(path: Path, ask: Callable[[], Lines]) -> Lines:
    """What *ask* gets from a server and keeps at *path*, unless the server is to be left alone."""
    failure = _failure(path)
    if failure is not None:
        raise failure
    try:
        lines = ask()
    except RemoteStateError as error:
        raise _leave_alone(path, error) from None
    question, age = _version(path, entry_stat(path)), _age(path)
    if question is not None:
        _kept_lines.put(question, lines)
    if age is None or age >= _LEFT_ALONE:  # not written
        _unkept.put(str(path), (time.monotonic(), lines))
    return lines


def _leave_alone(path: Path, failure: RemoteStateError) -> RemoteStateError:
    asked = min(max(failure.retry_after or 0.0, _LEFT_ALONE), _LEFT_ALONE_AT_MOST)
    _failed.put(str(path), (time.monotonic() + asked, failure))
    return failure


def _failure(path: Path) -> RemoteStateError | None:
    """Why a server is left alone for now."""
    failed = _failed.get(str(path))
    return failed[1] if failed is not None and time.monotonic() < failed[0] else None


def _joined(failure: RemoteStateError, other: RemoteStateError) -> RemoteStateError:
    return RemoteStateError(f"{failure}; nor is there a newer mirror: {other}")


def _warn_once(path: Path, message: str) -> None:
    if _warned.get(str(path)) is None:
        _warned.put(str(path), True)
        notify(message, StaleStateWarning)


def _age(path: Path) -> float | None:
    status = entry_stat(path)
    # a time in the future, by a clock that was wrong then or is now, makes the copy as doubtful as an old one
    return None if status is None else abs(time.time() - status.st_mtime)


def _version(path: Path, status: os.stat_result | None) -> tuple[str, int, int, int] | None:
    """What tells one content of a file from another."""
    return None if status is None else (str(path), status.st_ino, status.st_size, status.st_mtime_ns)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _read_kept(path: Path) -> Lines | None:
    question = _version(path, entry_stat(path))
    lines = None if question is None else _kept_lines.get(question)
    if lines is not None or question is None:
        return lines
    cached = read_kept(path)
    return None if cached is None else _kept_lines.put(question, Lines(cached.lines, cached.published))


def _commit_of(folder: Path) -> str | None:
    from npc_lims.clients.git import Repository

    try:
        return Repository(folder).find_commit("HEAD")
    except GitError:
        return None
