"""The mirror of the published snapshot: the status site on GitHub Pages carries it, byte for byte.

It is asked where raw GitHub refuses or cannot be reached, and stands for the branch that the site is built from. The
file bears no date, so the site's does (Last-Modified): when the site was deployed, from a checkout made a little
earlier. A copy that raw GitHub confirmed after that checkout is at least as new, and is not replaced.
"""

from __future__ import annotations

import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

from npc_lims.config.disk_cache import cache_dir
from npc_lims.config.environment import NO_PAGES, RAW_URL, REF
from npc_lims.errors import NoRemoteState, RemoteStateError
from npc_lims.state.freshness import SYNC_FILE
from npc_lims.state.remote import (
    CachedSnapshot,
    Check,
    Fetched,
    Moved,
    check_snapshot,
    fetch,
    keep_snapshot,
    snapshot_file,
)
from npc_lims.state.snapshot import SNAPSHOT

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = ["fetch_mirror", "fetch_mirrored_sync_file", "mirror_path", "mirror_url", "site_url"]

# From github.io to a lab's own domain is one.
_MOST_MOVES = 3
# Seconds from the checkout that a site is built from to its deployment, at most.
_BUILDING = 900.0


def site_url(settings: Settings) -> str | None:
    """Address of the repository's status site: NPC_LIMS_PAGES_URL, else where GitHub has it; None if it has none."""
    if settings.pages_url is not None:
        return None if settings.pages_url == NO_PAGES else settings.pages_url
    if settings.raw_url != RAW_URL:
        return None  # where another GitHub has its sites is not known
    owner, _, name = settings.repo.partition("/")
    host = f"{owner.lower()}.github.io"
    return f"https://{host}" if name.lower() == host else f"https://{host}/{name}"


def mirror_url(settings: Settings) -> str | None:
    """Address of the mirror; None if there is none of what NPC_LIMS_REF says."""
    site = site_url(settings)
    return None if site is None or settings.ref != REF else f"{site}/{SNAPSHOT}"


def mirror_path(settings: Settings) -> Path:
    """The file that keeps what the mirror had."""
    return snapshot_file(cache_dir(settings), f"{site_url(settings)}/{settings.repo}/{settings.ref}", ".mirror.jsonl")


def fetch_mirror(settings: Settings, url: str, cached: CachedSnapshot | None, kept_age: float | None) -> CachedSnapshot:
    """The snapshot that the mirror has, kept on disk for the next time.

    Args:
        cached: What it had before.
        kept_age: Seconds since raw GitHub confirmed the copy that is kept of its own; None if none is.

    Raises:
        RemoteStateError: It has none, or none that is newer than that copy; or it could not be asked.
    """
    import email.utils

    since = None if kept_age is None else time.time() - kept_age + _BUILDING
    older = RemoteStateError(f"{url} has nothing newer than the copy that is kept")
    if since is not None and since > time.time():
        raise older  # whatever it has
    headers = {}
    if cached is not None and cached.etag:
        headers = {"If-None-Match": cached.etag}
    elif since is not None:
        headers = {"If-Modified-Since": email.utils.formatdate(since, usegmt=True)}
    fetched = _fetch(settings, url, headers)
    if fetched is None and "If-None-Match" not in headers:
        raise older
    published = cached.published if fetched is None and cached is not None else fetched.published if fetched else None
    if since is not None and (published is None or published < since):
        raise older
    return CachedSnapshot(keep_snapshot(mirror_path(settings), fetched, cached), "", 0.0, published)


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


def _fetch(settings: Settings, url: str, headers: dict[str, str], check: Check = check_snapshot) -> Fetched | None:
    """What is at *url*, or where that leads: a site of GitHub Pages may have a domain of its own."""
    for _ in range(_MOST_MOVES):
        try:
            return fetch(settings, url, headers, check)
        except Moved as error:
            if url.startswith("https:") and not error.address.startswith("https:"):
                raise  # what is read there could be anybody's
            url = error.address
    return fetch(settings, url, headers, check)


def _check_sync_file(content: bytes) -> None:
    """Refuse a page, which some sites send for whatever they have not got."""
    if not content.startswith(b"schema:"):
        raise ValueError(f"not a {SYNC_FILE}")
