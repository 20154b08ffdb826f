"""The cache on disk: copies of what this package can fetch again, in files that are the user's alone.

Each file has a line of JSON with its CacheEntry's fields, and the content. Its modification time is when the copy was
last found to be current. Where a file cannot be written, memory stands in for it.

Folders have mode 0700 and files 0600. An entry that another user (other than root) owns, or that is reached by a
symbolic link, is ignored with one warning: whoever can put a file there could otherwise decide what this package
answers. Windows keeps a user's cache folder from others by itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import stat
import time
import zlib
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import NamedTuple

from npc_lims.config.settings import Settings
from npc_lims.errors import CacheWarning, warn_once
from npc_lims.utils.atomic_write import write_atomically
from npc_lims.utils.memory_cache import TTLCache

_NESTED = "history"
"""The folder of the cache that has folders in it; all others hold files."""
_FOLDERS = frozenset({"snapshots", "training", "locks", "failures", _NESTED})
_PRIVATE = 0o700
_PRIVATE_FILE = 0o600
_HAS_OWNERS = hasattr(os, "geteuid")


@dataclasses.dataclass(frozen=True)
class CacheEntry:
    """A copy of something, such as a file at a URL; times are seconds since 1970."""

    content: bytes
    etag: str = ""
    """ETag or another version of it."""
    source: str = ""
    """What it is a copy of, where the path does not say so."""
    published: float | None = None
    """When it appeared there, if that is known."""
    stored: float = dataclasses.field(default_factory=time.time)


class CacheStatus(NamedTuple):
    age: float
    """Seconds since the entry was stored or found to be current."""
    key: Hashable
    """Changes whenever it is stored or touched."""
    unwritten: CacheEntry | None = None
    """The entry, if memory stands in for its file."""


# what could not be written: when it was stored or touched, and the entry
_unwritten: TTLCache[tuple[float, CacheEntry | None]] = TTLCache(maxsize=8, ttl=24 * 3600)


def cache_dir(settings: Settings | None) -> Path:
    """`NPC_LIMS_CACHE_DIR`, else the user's cache folder on this platform. It may not exist yet."""
    if settings is not None and settings.cache_dir is not None:
        return settings.cache_dir
    import platformdirs

    return Path(platformdirs.user_cache_dir("npc_lims", appauthor=False))


def cache_status(path: Path) -> CacheStatus | None:
    """Return the status of an entry; None if there is none that can be trusted."""
    status, unwritten, now = entry_stat(path), _unwritten.get(path), time.time()
    # a time in the future, by a clock that was wrong then or is now, makes a copy as doubtful as an old one
    age = None if status is None else abs(now - status.st_mtime)
    if unwritten is not None and (age is None or abs(now - unwritten[0]) < age):
        return CacheStatus(abs(now - unwritten[0]), (path, unwritten[0]), unwritten[1])
    if status is None or age is None:
        return None
    return CacheStatus(age, (path, status.st_ino, status.st_size, status.st_mtime_ns))


def load_entry(path: Path, source: str | None = None, etag: str | None = None) -> CacheEntry | None:
    """Return an entry; None if there is none that can be trusted, it is damaged, or a copy of something else."""
    status = cache_status(path)
    entry = None if status is None else status.unwritten or _read_entry(path)
    if entry is None or source not in (None, entry.source) or etag not in (None, entry.etag):
        return None
    return entry


def _read_entry(path: Path) -> CacheEntry | None:
    with contextlib.suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
        head, _, content = path.read_bytes().partition(b"\n")
        fields = json.loads(head)
        if fields["crc32"] == zlib.crc32(content):
            published = None if fields["published"] is None else float(fields["published"])
            return CacheEntry(content, str(fields["etag"]), str(fields["source"]), published, float(fields["stored"]))
    return None


def store_entry(path: Path, entry: CacheEntry) -> None:
    """Replace an entry; where that cannot be written, memory stands in for it."""
    fields = {"etag": entry.etag, "source": entry.source, "published": entry.published, "stored": entry.stored}
    head = json.dumps({**fields, "crc32": zlib.crc32(entry.content)})
    if not write_private_file(path, head.encode() + b"\n" + entry.content):
        _unwritten.put(path, (time.time(), entry))


def touch_entry(path: Path) -> None:
    """Note that an entry was found to be current now; without one, that it was looked for."""
    if entry_stat(path) is not None:
        with contextlib.suppress(OSError):
            os.utime(path)
            return
    elif write_private_file(path, b""):
        return
    _unwritten.put(path, (time.time(), load_entry(path)))


def entry_stat(path: Path) -> os.stat_result | None:
    """Return the status of the file of a cache, which is made private; None if there is none that can be trusted."""
    return _trusted_stat(path, path.parent, stat.S_ISREG) if _are_trusted(path.parent) else None


def write_private_file(path: Path, content: bytes) -> bool:
    """Replace the file of a cache, and return whether that worked."""
    with contextlib.suppress(OSError):
        if not prepare_folder(path.parent):
            return False
        write_atomically(path, content, private=True)
        return True
    return False


def prepare_folder(folder: Path) -> bool:
    """Make a folder of a cache, for the user alone; return whether it can be trusted. OSError if it cannot be made."""
    folders = _folders(folder)
    root = folders[0].parent
    root.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    # one that holds other things as well is not for the cache alone
    if {entry.name for entry in os.scandir(root)} <= _FOLDERS:
        _make_private(root, root.stat())
    for each in folders:
        with contextlib.suppress(FileExistsError):
            each.mkdir(mode=_PRIVATE)
    return _are_trusted(folder)


def prune_folder(folder: Path, files: int, size: int) -> None:
    """Delete the least recently used files of a folder until it holds at most *files* and *size* bytes, or one file."""
    found = []
    with contextlib.suppress(OSError):
        for path in folder.iterdir() if _are_trusted(folder) else ():
            with contextlib.suppress(OSError):  # another process deletes, too
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
    total = 0
    for number, (_, length, path) in enumerate(sorted(found, reverse=True), 1):
        total += length
        if number > 1 and (number > files or total > size):
            with contextlib.suppress(OSError):
                path.unlink()


def _folders(folder: Path) -> list[Path]:
    """Return a folder of a cache with the one that it is in, if that is one of the cache, too: the outer one first."""
    return [folder.parent, folder] if folder.parent.name == _NESTED else [folder]


def _are_trusted(folder: Path) -> bool:
    return all(_trusted_stat(each, folder, stat.S_ISDIR) is not None for each in _folders(folder))


def _trusted_stat(path: Path, folder: Path, is_kind: Callable[[int], bool]) -> os.stat_result | None:
    """Return the status of what is at *path*, if it is of that kind and the user's (then made private) or root's."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    if stat.S_ISLNK(status.st_mode):
        _warn_ignored(path, folder, "is a symbolic link")
        return None
    if not is_kind(status.st_mode):
        return None
    if _HAS_OWNERS and status.st_uid not in (os.geteuid(), 0):
        _warn_ignored(path, folder, f"belongs to another user (uid {status.st_uid})")
        return None
    _make_private(path, status)
    return status


def _make_private(path: Path, status: os.stat_result) -> None:
    mode = stat.S_IMODE(status.st_mode)
    private = mode & (_PRIVATE if stat.S_ISDIR(status.st_mode) else _PRIVATE_FILE)
    if _HAS_OWNERS and status.st_uid == os.geteuid() and mode != private:
        with contextlib.suppress(OSError):
            path.chmod(private)


def _warn_ignored(path: Path, folder: Path, reason: str) -> None:
    """Warn of what is ignored, once for each cache."""
    root = _folders(folder)[0].parent
    warn_once(
        ("cache", root),
        f"{path} {reason}: it is ignored, as is everything like it in this cache; delete it, or let "
        "NPC_LIMS_CACHE_DIR name another folder",
        CacheWarning,
    )
