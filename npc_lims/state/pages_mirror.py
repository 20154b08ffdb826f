"""The mirror of the published snapshot: the status site on GitHub Pages carries it, byte for byte.

It is queried when raw GitHub refuses or cannot be reached, for the branch that the site is built from. The file has no
timestamp, so the time at which the site was deployed (Last-Modified) is used, from a checkout made a little earlier. A
copy that raw GitHub confirmed after that checkout is at least as new, and is not replaced.
"""

from __future__ import annotations

import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

from npc_lims.config.disk_cache import CacheEntry, cache_dir, load_entry
from npc_lims.config.environment import NO_PAGES, RAW_URL, REF
from npc_lims.errors import NoRemoteState, RemoteStateError
from npc_lims.state.freshness import SYNC_FILE
from npc_lims.state.remote import Check, check_snapshot, fetch_url, snapshot_file, update_entry
from npc_lims.state.snapshot import SNAPSHOT

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

# Seconds from the checkout that a site is built from to its deployment, at most.
_BUILD_SECONDS = 900.0


def site_url(settings: Settings) -> str | None:
    """Return the URL of the repository's status site: NPC_LIMS_PAGES_URL, else where GitHub has it, or None."""
    if settings.pages_url is not None:
        return None if settings.pages_url == NO_PAGES else settings.pages_url
    if settings.raw_url != RAW_URL:
        return None  # where another GitHub has its sites is not known
    owner, _, name = settings.repo.partition("/")
    host = f"{owner.lower()}.github.io"
    return f"https://{host}" if name.lower() == host else f"https://{host}/{name}"


def mirror_url(settings: Settings) -> str | None:
    """Return the URL of the mirror; None if NPC_LIMS_REF has none."""
    site = site_url(settings)
    return None if site is None or settings.ref != REF else f"{site}/{SNAPSHOT}"


def mirror_path(settings: Settings) -> Path:
    """Return where the cache holds the snapshot of the mirror."""
    return snapshot_file(cache_dir(settings), f"{site_url(settings)}/{settings.repo}/{settings.ref}", ".mirror.jsonl")


def fetch_mirror(settings: Settings, url: str, cached_age: float | None) -> CacheEntry:
    """Return the snapshot of the mirror, which is cached.

    Args:
        cached_age: Seconds since raw GitHub confirmed the cached copy of its own snapshot; None if there is none.

    Raises:
        RemoteStateError: There is none, or none that is newer than that copy; or the site could not be queried.
    """
    import email.utils

    path = mirror_path(settings)
    cached = load_entry(path)
    since = None if cached_age is None else time.time() - cached_age + _BUILD_SECONDS
    older = RemoteStateError(f"{url} has nothing newer than the copy that is kept")
    if since is not None and since > time.time():
        raise older  # whatever it has
    headers = {}
    if cached is not None and cached.etag:
        headers = {"If-None-Match": cached.etag}
    elif since is not None:
        headers = {"If-Modified-Since": email.utils.formatdate(since, usegmt=True)}
    fetched = _fetch(settings, url, headers)
    found = fetched or (cached if "If-None-Match" in headers else None)
    if found is None or (since is not None and (found.published is None or found.published < since)):
        raise older
    return update_entry(path, fetched, cached)


def fetch_mirrored_sync_file(settings: Settings, url: str) -> bytes | None:
    """Return the `sync.yaml` that the site has beside the mirror at *url*; None if it has none.

    Raises:
        RemoteStateError: The site could not be queried, or has something else there.
    """
    try:
        fetched = _fetch(settings, urllib.parse.urljoin(url, SYNC_FILE), {}, _check_sync_file)
    except NoRemoteState:
        return None
    return None if fetched is None else fetched.content


def _fetch(settings: Settings, url: str, headers: dict[str, str], check: Check = check_snapshot) -> CacheEntry | None:
    """Return what is at *url*, or where that leads: a site of GitHub Pages may have a domain of its own."""

    def keeps_https(url: str, target: str) -> bool:  # what is read without it could be anybody's
        return target.startswith("https:") or not url.startswith("https:")

    return fetch_url(settings, url, headers, check, may_follow=keeps_https)


def _check_sync_file(content: bytes) -> None:
    """Raise ValueError for a page, which some sites send for whatever they have not got."""
    if not content.startswith(b"schema:"):
        raise ValueError(f"not a {SYNC_FILE}")
