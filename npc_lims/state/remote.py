"""Published state: files of the repository on raw GitHub, and the cached copy of its snapshot."""

from __future__ import annotations

import functools
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from npc_lims.config.disk_cache import CacheEntry, cache_dir, load_entry, store_entry, touch_entry
from npc_lims.config.environment import TRACKED_FILE
from npc_lims.errors import NoRemoteState, RemoteStateError
from npc_lims.state.snapshot import SNAPSHOT, checked_lines
from npc_lims.utils.timestamps import is_future

if TYPE_CHECKING:
    from npc_lims.clients.http import HttpResponse
    from npc_lims.config.settings import Settings

_MAX_BYTES = 128 * 2**20
"""Bytes of a file: a snapshot of 100,000 sessions has 95 million."""

Check = Optional[Callable[[bytes], None]]
"""Raises ValueError for a content that is not what was requested."""


def cached_snapshot_path(settings: Settings) -> Path:
    """Return where the cache holds the snapshot of a repository and ref."""
    return snapshot_file(cache_dir(settings), f"{settings.raw_url}/{settings.repo}/{settings.ref}", ".jsonl")


@functools.lru_cache(maxsize=64)
def snapshot_file(cache: Path, source: str, suffix: str) -> Path:
    """Return the file of a cache that holds the snapshot of *source*. Each read needs several, each time."""
    return cache / "snapshots" / f"{urllib.parse.quote(source, safe='')}{suffix}"


def fetch_snapshot(settings: Settings) -> CacheEntry:
    """Return the current snapshot, which is cached, in one request.

    Raises:
        NoRemoteState: The repository or ref has no snapshot.
        RemoteStateError: GitHub refused (429), failed or could not be reached.
    """
    path = cached_snapshot_path(settings)
    cached = load_entry(path)
    headers = {"If-None-Match": cached.etag} if cached is not None and cached.etag else {}
    fetched = _fetch_raw(settings, f"state/{SNAPSHOT}", settings.ref, headers, check_snapshot)
    return update_entry(path, fetched, cached)


def update_entry(path: Path, fetched: CacheEntry | None, cached: CacheEntry | None) -> CacheEntry:
    """Cache what was fetched, and return it; None confirms the cached entry."""
    if fetched is not None:
        store_entry(path, fetched)
        return fetched
    assert cached is not None, "the server answered 304 to a request without If-None-Match"
    touch_entry(path)
    return cached


def check_snapshot(content: bytes) -> None:
    """Raise ValueError for what is no snapshot, and for an empty one: no lab publishes that it has no sessions."""
    if not checked_lines(content):
        raise ValueError("empty")


def fetch_file(settings: Settings, path: str, ref: str | None = None, check: Check = None) -> bytes | None:
    """Return a file of the published repository, or None if it has none at that path.

    Args:
        ref: Branch, tag or commit; None for NPC_LIMS_REF.
        check: Raise ValueError for a content that is something else.

    Raises:
        RemoteStateError: GitHub refused (429), failed or could not be reached.
    """
    try:
        fetched = _fetch_raw(settings, path, settings.ref if ref is None else ref, {}, check)
    except NoRemoteState:
        return None
    return None if fetched is None else fetched.content


def check_ref(settings: Settings, path: str) -> None:
    """Tell a file that does not exist from a ref that does not: GitHub's response is the same for both.

    Raises:
        NoRemoteState: There is no such file, either.
        RemoteStateError: GitHub could not be queried.
    """
    if fetch_file(settings, path) is None:
        raise NoRemoteState(
            f"{settings.repo} has neither state nor {TRACKED_FILE} at {settings.ref}: check the name of the branch, "
            "tag or commit (main~1 is none to GitHub), NPC_LIMS_REPO, and GITHUB_TOKEN if the repository is private"
        )


def _fetch_raw(settings: Settings, path: str, ref: str, headers: dict[str, str], check: Check) -> CacheEntry | None:
    url = f"{settings.raw_url}/{settings.repo}/{urllib.parse.quote(ref)}/{path}"
    token = settings.github_token
    try:
        return fetch_url(settings, url, headers, check, None if token is None else token.get_secret_value())
    except NoRemoteState as error:
        raise NoRemoteState(f"{error}: check NPC_LIMS_REPO and NPC_LIMS_REF") from None


def fetch_url(
    settings: Settings,
    url: str,
    headers: dict[str, str],
    check: Check = None,
    token: str | None = None,
    may_follow: Callable[[str, str], bool] = lambda url, target: False,
) -> CacheEntry | None:
    """Return what is at *url*; None if the server confirms what conditional *headers* describe.

    Args:
        may_follow: Whether to follow a redirect from one URL to another.

    Raises:
        NoRemoteState: There is nothing.
        RemoteStateError: The server refused (429), failed or could not be reached.
    """
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
