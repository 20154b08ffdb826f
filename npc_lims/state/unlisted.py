"""`unlisted.jsonl`: the recordings in Code Ocean that belong to no session, one line for each.

A sync writes the file beside the sessions, from the search for all assets. Without it they were never observed.
"""

from __future__ import annotations

from pathlib import PurePath

from npc_lims.config.disk_cache import CacheEntry, cache_status, load_entry, store_entry
from npc_lims.config.settings import Settings
from npc_lims.errors import RemoteStateError, StaleStateWarning, StateError, warn_once
from npc_lims.model.session_id import day_of
from npc_lims.model.types import At
from npc_lims.model.unlisted import Unlisted, parse_unlisted, render_unlisted
from npc_lims.state import published
from npc_lims.state.snapshot import with_unix_lines
from npc_lims.state.store import StateFolder, open_tree, session_ids

UNLISTED = "unlisted.jsonl"
_REMEDY = "restore it (git checkout), or delete it and sync"


def load_unlisted(state: StateFolder) -> Unlisted | None:
    """Return the recordings in a state, the newest first; None if they were never observed, StateError if damaged."""
    tree = open_tree(state)
    content = tree.read_files([UNLISTED]).get(UNLISTED)
    return None if content is None else _parse(content, tree.path(UNLISTED))


def write_unlisted(state: StateFolder, before: Unlisted | None, after: Unlisted | None) -> list[PurePath]:
    """Make a state hold *after* in place of *before*. Return the changed paths."""
    if after == before or after is None:
        return []
    tree = open_tree(state)
    tree.write_files({UNLISTED: render_unlisted(after)})
    return [tree.path(UNLISTED)]


def verify_unlisted(state: StateFolder) -> list[str]:
    """Return what is wrong with the file of a state, in sentences."""
    tree = open_tree(state)
    path, content = tree.path(UNLISTED), tree.read_files([UNLISTED]).get(UNLISTED)
    if content is None:
        return []
    try:
        recordings = _parse(content, path)
        days = set(map(day_of, session_ids(tree)))
    except StateError as error:
        return [str(error)]
    if with_unix_lines(content) != render_unlisted(recordings):
        return [f"{path}: not written as npc-lims writes it; {_REMEDY}"]
    listed = [one for one in recordings if one.session in days]
    return [f"{path}: {one.name} belongs to the day of a session; run npc-lims sync" for one in listed[:1]]


def read_unlisted(settings: Settings, at: At | None = None) -> Unlisted | None:
    """Return the recordings of the state that reads use, or used at *at*; None if they were never observed.

    Of published state this is one request, cached as long as the snapshot is. RemoteStateError if GitHub fails and
    nothing is cached, StateError if the file is damaged; errors of reading the past: as `snapshot_at`.
    """
    if at is not None:
        from npc_lims.state.as_of import read_file_at

        content = read_file_at(settings, at, UNLISTED)
    elif settings.state is not None:
        return load_unlisted(settings.state)
    else:
        content = _published(settings) or None
    return None if content is None else _parse(content, PurePath("state", UNLISTED))


def _published(settings: Settings) -> bytes:
    """Return the content of the published file, empty if there is none: of the cache for as long as NPC_LIMS_TTL."""
    path = published.cached_snapshot_path(settings).with_suffix(f".{UNLISTED}")
    status, cached = cache_status(path), load_entry(path)
    if status is not None and cached is not None and status.age < settings.ttl:
        return cached.content
    try:
        fetched = CacheEntry(published.fetch_file(settings, f"state/{UNLISTED}", check=_check) or b"")
    except RemoteStateError as error:
        if cached is None:
            raise
        warn_once(("cached", path), f"{error}; using the cached list of unlisted recordings", StaleStateWarning)
        return cached.content
    store_entry(path, fetched)
    return fetched.content


def _check(content: bytes) -> None:
    parse_unlisted(content)


def _parse(content: bytes, path: PurePath) -> Unlisted:
    try:
        return parse_unlisted(content)
    except (RecursionError, ValueError) as error:
        raise StateError(f"{path}: damaged ({' '.join(str(error).split())[:200]}); {_REMEDY}") from None
