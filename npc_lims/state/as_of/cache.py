"""What was found of the past, kept on disk: snapshots of commits, which never change, and what commits are called."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from npc_lims.config.disk_cache import cache_dir, keep_within, load_copy, save_copy, touch_entry
from npc_lims.state.as_of.revision import Point

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = ["load_point", "load_snapshot", "save_point", "save_snapshot"]

# Ten thousand sessions are 15 MB: two dozen points of the past.
_SNAPSHOTS = 256
_SNAPSHOT_BYTES = 400_000_000
_POINTS = 4096
_POINT_BYTES = 4_000_000


def load_snapshot(settings: Settings, sha: str, folder: str) -> bytes | None:
    """The snapshot in *folder* at a commit; None if it is not kept."""
    return _load(_snapshots(settings) / f"{sha}.jsonl", folder, sha)


def save_snapshot(settings: Settings, sha: str, folder: str, content: bytes) -> None:
    save_copy(_snapshots(settings) / f"{sha}.jsonl", folder, sha, content)
    keep_within(_snapshots(settings), _SNAPSHOTS, _SNAPSHOT_BYTES)


def load_point(settings: Settings, place: str, name: str) -> Point | None:
    """The commit that was meant by *name* in the repository at *place*; None if it is not kept."""
    content = _load(_points(settings) / _file_name(place, name), place, name)
    return None if content is None else Point(*json.loads(content))


def save_point(settings: Settings, place: str, name: str, point: Point) -> None:
    save_copy(_points(settings) / _file_name(place, name), place, name, json.dumps([point.sha, point.when]).encode())
    keep_within(_points(settings), _POINTS, _POINT_BYTES)


def _load(path: Path, address: str, version: str) -> bytes | None:
    content = load_copy(path, address, version)
    if content is not None:
        touch_entry(path)  # used now: others go first
    return content


def _snapshots(settings: Settings) -> Path:
    return cache_dir(settings) / "history" / "snapshots"


def _points(settings: Settings) -> Path:
    return cache_dir(settings) / "history" / "commits"


def _file_name(place: str, name: str) -> str:
    return hashlib.sha256(f"{place}\n{name}".encode("utf-8", "surrogateescape")).hexdigest()
