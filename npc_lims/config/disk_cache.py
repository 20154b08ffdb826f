"""The cache on disk: what this package can fetch again, in files that are the user's alone.

Folders have mode 0700 and files 0600. An entry that another user (other than root) owns, or that is reached by a
symbolic link, is ignored with one warning: whoever can put a file there could otherwise decide what this package
answers. Windows keeps a user's cache folder from others by itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from npc_lims.errors import CacheWarning, notify
from npc_lims.utils.memory_cache import TTLCache

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = [
    "cache_dir",
    "entry_stat",
    "keep_within",
    "load_copy",
    "prepare_folder",
    "read_entry",
    "save_copy",
    "touch_entry",
    "write_entry",
]

_NESTED = "history"
"""The folder of the cache that has folders in it; all others hold files."""
_FOLDERS = frozenset({"snapshots", "training", "locks", "failures", _NESTED})
_PRIVATE = 0o700
_PRIVATE_FILE = 0o600
_HAS_OWNERS = hasattr(os, "geteuid")

_warned: TTLCache[bool] = TTLCache(maxsize=64, ttl=24 * 3600)


def cache_dir(settings: Settings | None) -> Path:
    """`NPC_LIMS_CACHE_DIR`, else the user's cache folder on this platform. It may not exist yet."""
    if settings is not None and settings.cache_dir is not None:
        return settings.cache_dir
    import platformdirs

    return Path(platformdirs.user_cache_dir("npc_lims", appauthor=False))


def entry_stat(path: Path) -> os.stat_result | None:
    """Return the status of the file of a cache, which is made private; None if there is none that can be trusted."""
    if not _are_trusted(path.parent):
        return None
    return _trusted_stat(path, path.parent, stat.S_ISREG)


def read_entry(path: Path) -> bytes | None:
    """Return the content of the file of a cache; None if there is none that can be trusted, or it cannot be read."""
    if entry_stat(path) is None:
        return None
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return None


def write_entry(path: Path, content: bytes) -> bool:
    """Replace the file of a cache, and return whether that worked.

    A cache that cannot be written (read-only home, full disk) costs the next process some time, and this one nothing.
    """
    with contextlib.suppress(OSError):
        if not prepare_folder(path.parent):
            return False
        # tempfile makes files of mode 0600
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".tmp-", delete=False) as stream:
            temporary = Path(stream.name)
            try:
                stream.write(content)
                stream.close()  # an open file cannot be renamed on Windows
                temporary.replace(path)
            except BaseException:
                stream.close()
                temporary.unlink()
                raise
        return True
    return False


def touch_entry(path: Path) -> None:
    """Set the time of a file of a cache to now, if it is there and can be trusted."""
    if entry_stat(path) is not None:
        with contextlib.suppress(OSError):
            os.utime(path)


def prepare_folder(folder: Path) -> bool:
    """Make a folder of a cache, for the user alone; return whether it can be trusted.

    Raises:
        OSError: It cannot be made.
    """
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


def load_copy(path: Path, address: str, version: str) -> bytes | None:
    """What `save_copy` kept under that address and version; None if it kept another, or what it kept is damaged."""
    header, newline, content = (read_entry(path) or b"").partition(b"\n")
    return content if header + newline == _header(address, version, content) else None


def save_copy(path: Path, address: str, version: str, content: bytes) -> None:
    """Keep *content* in place of what *path* kept before."""
    write_entry(path, _header(address, version, content) + content)


def _header(address: str, version: str, content: bytes) -> bytes:
    """First line of a kept copy: what it is a copy of, and the digest that shows damage."""
    return json.dumps([address, version, hashlib.sha256(content).hexdigest()]).encode() + b"\n"


def keep_within(folder: Path, files: int, size: int) -> None:
    """Delete those files of *folder* that were used least lately, until it holds no more than *files* and *size* bytes.

    The one used last stays, however large it is.
    """
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
        _warn_once(path, folder, "is a symbolic link")
        return None
    if not is_kind(status.st_mode):
        return None
    if _HAS_OWNERS and status.st_uid not in (os.geteuid(), 0):
        _warn_once(path, folder, f"belongs to another user (uid {status.st_uid})")
        return None
    _make_private(path, status)
    return status


def _make_private(path: Path, status: os.stat_result) -> None:
    mode = stat.S_IMODE(status.st_mode)
    private = mode & (_PRIVATE if stat.S_ISDIR(status.st_mode) else _PRIVATE_FILE)
    if _HAS_OWNERS and status.st_uid == os.geteuid() and mode != private:
        with contextlib.suppress(OSError):
            path.chmod(private)


def _warn_once(path: Path, folder: Path, reason: str) -> None:
    """Warn of what is ignored, once for each cache."""
    root = str(_folders(folder)[0].parent)
    if _warned.get(root) is None:
        _warned.put(root, True)
        notify(
            f"{path} {reason}: it is ignored, as is everything like it in this cache; delete it, or let "
            "NPC_LIMS_CACHE_DIR name another folder",
            CacheWarning,
        )
