"""The disk cache of snapshots by commit, which never change, and of commits by name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from npc_lims.config.disk_cache import CacheEntry, cache_dir, load_entry, prune_folder, store_entry, touch_entry
from npc_lims.state.as_of.revision import Commit

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

# Ten thousand sessions are 15 MB: two dozen commits of the past.
_SNAPSHOTS = 256
_SNAPSHOT_BYTES = 400_000_000
_COMMITS = 4096
_COMMIT_BYTES = 4_000_000


def load_snapshot(settings: Settings, sha: str, folder: str) -> bytes | None:
    """Return the cached snapshot in *folder* at a commit, or None."""
    return _load(_folder(settings, "snapshots") / f"{sha}.jsonl", folder, sha)


def save_snapshot(settings: Settings, sha: str, folder: str, content: bytes) -> None:
    path = _folder(settings, "snapshots") / f"{sha}.jsonl"
    store_entry(path, CacheEntry(content, sha, folder))
    prune_folder(path.parent, _SNAPSHOTS, _SNAPSHOT_BYTES)


def load_commit(settings: Settings, source: str, name: str) -> Commit | None:
    """Return the cached commit that *name* means in the repository at *source*, or None."""
    content = _load(_folder(settings, "commits") / _file_name(source, name), source, name)
    return None if content is None else Commit(*json.loads(content))


def save_commit(settings: Settings, source: str, name: str, commit: Commit) -> None:
    path = _folder(settings, "commits") / _file_name(source, name)
    store_entry(path, CacheEntry(json.dumps([commit.sha, commit.when]).encode(), name, source))
    prune_folder(path.parent, _COMMITS, _COMMIT_BYTES)


def _load(path: Path, source: str, version: str) -> bytes | None:
    entry = load_entry(path, source, version)
    if entry is None:
        return None
    touch_entry(path)  # used now: others go first
    return entry.content


def _folder(settings: Settings, name: str) -> Path:
    return cache_dir(settings) / "history" / name


def _file_name(source: str, name: str) -> str:
    return hashlib.sha256(f"{source}\n{name}".encode("utf-8", "surrogateescape")).hexdigest()
