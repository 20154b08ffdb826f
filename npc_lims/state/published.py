"""Published state: files of the repository on raw GitHub, its snapshot there and on the mirror, and cached copies.

The status site on GitHub Pages mirrors the snapshot, byte for byte. It is queried when raw GitHub refuses or cannot be
reached, for the branch that the site is built from. The file has no timestamp, so the time at which the site was
deployed (Last-Modified) is used, from a checkout made a little earlier. A copy that raw GitHub confirmed after that
checkout is at least as new, and is not replaced.
"""

from __future__ import annotations

import functools
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from npc_lims.config.disk_cache import CacheEntry, cache_dir, load_entry, store_entry, touch_entry
from npc_lims.config.settings import NO_PAGES, OFFLINE, RAW_URL, REF, TRACKED_FILE, Settings
from npc_lims.errors import NoRemoteState, RemoteStateError
from npc_lims.state.freshness import SYNC_FILE
from npc_lims.state.snapshot import SNAPSHOT, checked_lines
from npc_lims.utils.timestamps import is_future

if TYPE_CHECKING:
    from npc_lims.clients.http import HttpResponse

_MAX_BYTES = 128 * 2**20  # a snapshot of 100,000 sessions has 95 million
_BUILD_SECONDS = 900.0  # at most, from the checkout that a site is built from to its deployment

Check = Optional[Callable[[bytes], None]]  # raises ValueError for a content that is not what was requested


def cached_snapshot_path(settings: Settings) -> Path:
    """Return where the cache holds the snapshot of a repository and ref."""
    return _snapshot_file(cache_dir(settings), f"{settings.raw_url}/{settings.repo}/{settings.ref}", ".jsonl")


def mirror_path(settings: Settings) -> Path:
    source = f"{site_url(settings)}/{settings.repo}/{settings.ref}"
    return _snapshot_file(cache_dir(settings), source, ".mirror.jsonl")


@functools.lru_cache(maxsize=64)  # each read needs several, each time
def _snapshot_file(cache: Path, source: str, suffix: str) -> Path:
    return cache / "snapshots" / f"{urllib.parse.quote(source, safe='')}{suffix}"


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


def fetch_snapshot(settings: Settings) -> CacheEntry:
    """Return the current snapshot, which is cached, in one request; NoRemoteState if there is none."""
    path = cached_snapshot_path(settings)
    cached = load_entry(path)
    headers = {"If-None-Match": cached.etag} if cached is not None and cached.etag else {}
    fetched = _fetch_raw(settings, f"state/{SNAPSHOT}", settings.ref, headers, check_snapshot)
    return _store_current(path, fetched, cached)


def fetch_mirror(settings: Settings, url: str, cached_age: float | None) -> CacheEntry:
    """Return the snapshot of the mirror; RemoteStateError if it is older than one cached *cached_age* seconds ago."""
    import email.utils

    path = mirror_path(settings)
    cached = load_entry(path)
    since = None if cached_age is None else time.time() - cached_age + _BUILD_SECONDS
    older = RemoteStateError(f"{url} has nothing newer than the cached copy")
    if since is not None and since > time.time():
        raise older  # whatever it has
    headers = {}
    if cached is not None and cached.etag:
        headers = {"If-None-Match": cached.etag}
    elif since is not None:
        headers = {"If-Modified-Since": email.utils.formatdate(since, usegmt=True)}
    fetched = _fetch_page(settings, url, headers, check_snapshot)
    found = fetched or (cached if "If-None-Match" in headers else None)
    if found is None or (since is not None and (found.published is None or found.published < since)):
        raise older
    return _store_current(path, fetched, cached)


def fetch_mirrored_sync_file(settings: Settings, url: str) -> bytes | None:
    """Return the `sync.yaml` that the site has beside the mirror at *url*; None if it has none."""

    def check(content: bytes) -> None:
        if not content.startswith(b"schema:"):  # a page, which some sites send for whatever they have not got
            raise ValueError(f"not a {SYNC_FILE}")

    try:
        fetched = _fetch_page(settings, urllib.parse.urljoin(url, SYNC_FILE), {}, check)
    except NoRemoteState:
        return None
    return None if fetched is None else fetched.content


def fetch_file(settings: Settings, path: str, ref: str | None = None, check: Check = None) -> bytes | None:
    """Return a file of the published repository at *ref* (else NPC_LIMS_REF); None if it has none at that path."""
    try:
        fetched = _fetch_raw(settings, path, settings.ref if ref is None else ref, {}, check)
    except NoRemoteState:
        return None
    return None if fetched is None else fetched.content


def check_ref(settings: Settings, path: str) -> None:
    """Raise NoRemoteState if not even *path* exists: GitHub answers the same to a missing file and a missing ref."""
    if fetch_file(settings, path) is None:
        raise NoRemoteState(
            f"{settings.repo} has neither state nor {TRACKED_FILE} at {settings.ref}: check the name of the branch, "
            "tag or commit (main~1 is none to GitHub), NPC_LIMS_REPO, and GITHUB_TOKEN if the repository is private"
        )


def check_snapshot(content: bytes) -> None:
    """Raise ValueError for what is no snapshot, and for an empty one: no lab publishes that it has no sessions."""
    if not checked_lines(content):
        raise ValueError("empty")


def _store_current(path: Path, fetched: CacheEntry | None, cached: CacheEntry | None) -> CacheEntry:
    """Cache what was fetched, and return it; None confirms the cached entry."""
    if fetched is not None:
        store_entry(path, fetched)
        return fetched
    assert cached is not None, "the server answered 304 to a request without If-None-Match"
    touch_entry(path)
    return cached


def _fetch_raw(settings: Settings, path: str, ref: str, headers: dict[str, str], check: Check) -> CacheEntry | None:
    url = f"{settings.raw_url}/{settings.repo}/{urllib.parse.quote(ref)}/{path}"
    token = settings.github_token
    try:
        return _fetch(settings, url, headers, check, None if token is None else token.get_secret_value())
    except NoRemoteState as error:
        raise NoRemoteState(f"{error}: check NPC_LIMS_REPO and NPC_LIMS_REF") from None


def _fetch_page(settings: Settings, url: str, headers: dict[str, str], check: Check) -> CacheEntry | None:
    """Return what is at *url*, or where that leads: a site of GitHub Pages may have a domain of its own."""

    def keeps_https(url: str, target: str) -> bool:  # what is read without it could be anybody's
        return target.startswith("https:") or not url.startswith("https:")

    return _fetch(settings, url, headers, check, may_follow=keeps_https)


def _fetch(
    settings: Settings,
    url: str,
    headers: dict[str, str],
    check: Check,
    token: str | None = None,
    may_follow: Callable[[str, str], bool] = lambda url, target: False,
) -> CacheEntry | None:
    """Return what is at *url*, None if a conditional request confirms it; NoRemoteState if nothing is there."""
    from npc_lims.clients.http import HttpClient, RequestFailed, RetryPolicy, bearer_auth

    def parse(response: HttpResponse) -> CacheEntry | None:
        if response.status == 304 and headers:
            return None
        if response.status == 404:
            raise NoRemoteState(f"there is nothing at {url}")
        answer = f"{response.status} {response.reason}"
        if response.location is not None:
            raise RemoteStateError(f"{response.url} answered {answer}: it is at {response.location}")
        if response.status != 200:
            raise RemoteStateError(f"{url} answered {answer}")
        if check is not None:
            check(response.content)
        published = _seconds(response.headers.get("Last-Modified"))
        return CacheEntry(response.content, response.headers.get("ETag", ""), published=published)

    if settings.offline:
        raise RemoteStateError(f"{url}: {OFFLINE}")
    client = HttpClient(RetryPolicy.interactive(settings), bearer_auth(token))
    try:
        return client.request("GET", url, parse, headers=headers, may_follow=may_follow, max_bytes=_MAX_BYTES)
    except RequestFailed as error:
        failure = RemoteStateError(f"{url} {error}")
        failure.retry_after = error.retry_after
        raise failure from None


def _seconds(date: str | None) -> float | None:
    """Return an HTTP date in seconds since 1970; None if it is none, or in the future."""
    import email.utils

    try:
        seconds = None if date is None else email.utils.parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return None if seconds is None or is_future(seconds) else seconds
