"""Where this package keeps what it can fetch again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from npc_lims.settings import Settings

__all__ = ["cache_dir", "keep_within", "load_copy", "save_copy"]


def cache_dir(settings: Settings) -> Path:
    """`NPC_LIMS_CACHE_DIR`, else the user's cache folder on this platform. It may not exist yet."""
    if settings.cache_dir is not None:
        return settings.cache_dir
    import platformdirs

    return Path(platformdirs.user_cache_dir("npc_lims", appauthor=False))


def load_copy(path: Path, address: str, version: str) -> bytes | None:
    """What `save_copy` kept under that address and version; None if it kept another, or what it kept is damaged."""
    try:
        header, newline, content = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return content if header + newline == _header(address, version, content) else None


def save_copy(path: Path, address: str, version: str, content: bytes) -> None:
    """Keep *content* in place of what *path* kept before."""
    # a cache that cannot be written costs the next process some time, and this one nothing
    with contextlib.suppress(OSError):
        # for the user alone: the workbooks hold more than what is published
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as stream:
            temporary = Path(stream.name)
            try:
                stream.write(_header(address, version, content) + content)
                stream.close()  # an open file cannot be renamed on Windows
                temporary.replace(path)
            except BaseException:
                stream.close()
                temporary.unlink()
                raise


def _header(address: str, version: str, content: bytes) -> bytes:
    """First line of a kept copy: what it is a copy of, and the digest that shows damage."""
    return json.dumps([address, version, hashlib.sha256(content).hexdigest()]).encode() + b"\n"


def keep_within(folder: Path, files: int, size: int) -> None:
    """Delete those files of *folder* that were used least lately, until it holds no more than *files* and *size* bytes.

    The one used last stays, however large it is.
    """
    found = []
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            with contextlib.suppress(OSError):  # another process deletes, too
                stat = path.stat()
                found.append((stat.st_mtime, stat.st_size, path))
    total = 0
    for number, (_, length, path) in enumerate(sorted(found, reverse=True), 1):
        total += length
        if number > 1 and (number > files or total > size):
            with contextlib.suppress(OSError):
                path.unlink()
