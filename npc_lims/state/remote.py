"""Published state, read raw from GitHub, and the copy of its snapshot that is kept on disk."""

from __future__ import annotations

import dataclasses
import functools
import json
import time
import urllib.parse
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

from npc_lims.clients.http import Auth, HttpClient, HttpResponse, RequestFailed, RetryPolicy, bearer_auth
from npc_lims.config.disk_cache import cache_dir, entry_stat, read_entry, touch_entry, write_entry
from npc_lims.config.environment import TRACKED_FILE
from npc_lims.errors import NoRemoteState, RemoteStateError
from npc_lims.state.snapshot import SNAPSHOT, checked_lines, split_lines
from npc_lims.utils.timestamps import is_future

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = [
    "CachedSnapshot",
    "Fetched",
    "Moved",
    "cached_snapshot_path",
    "check_ref",
    "check_snapshot",
    "fetch",
    "fetch_file",
    "fetch_snapshot",
    "keep_snapshot",
    "read_cached_snapshot",
    "read_kept",
    "snapshot_file",
]

Check = Optional[Callable[[bytes], None]]
"""Raises ValueError for a content that is not what was asked for."""


@dataclasses.dataclass(frozen=True)
class CachedSnapshot:
    """A snapshot that was fetched before.

    Attributes:
        lines: Its lines.
        etag: As the server sent it: the key of asking whether it is still the same.
        age: Seconds since the server last said that it is the present one.
        published: When the server had it first, in seconds since 1970; None if it does not say.
    """

    lines: list[bytes]
    etag: str
    age: float
    published: float | None = None


@dataclasses.dataclass(frozen=True)
class Fetched:
    """One file as it was sent, with its ETag and the time of its last change, if that was told."""

    content: bytes
    etag: str
    published: float | None


class Moved(RemoteStateError):
    """What was asked for is at another address.

    Attributes:
        address: That address.
    """

    def __init__(self, url: str, answer: str, address: str) -> None:
        self.address = address
        super().__init__(f"{url} answered {answer}: it is at {address}")


def cached_snapshot_path(settings: Settings) -> Path:
    """The file that keeps the snapshot of one repository and ref."""
    return snapshot_file(cache_dir(settings), f"{settings.raw_url}/{settings.repo}/{settings.ref}", ".jsonl")


@functools.lru_cache(maxsize=64)
def snapshot_file(cache: Path, source: str, suffix: str) -> Path:
    """Return the file of a cache that holds the snapshot of *source*. Each read needs several, each time."""
    return cache / "snapshots" / f"{urllib.parse.quote(source, safe='')}{suffix}"


def read_cached_snapshot(settings: Settings) -> CachedSnapshot | None:
    """The kept snapshot, or None if there is none. A damaged one is as good as none."""
    return read_kept(cached_snapshot_path(settings))


def read_kept(path: Path) -> CachedSnapshot | None:
    """The snapshot that `keep_snapshot` wrote to *path*, or None."""
    status = entry_stat(path)
    if status is None:
        return None
    try:
        head, _, content = (read_entry(path) or b"").partition(b"\n")
        meta = json.loads(head)
        if meta["crc32"] != zlib.crc32(content):
            return None
        published = meta.get("published")
        return CachedSnapshot(
            split_lines(content),
            str(meta["etag"]),
            max(0.0, time.time() - status.st_mtime),
            None if published is None else float(published),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def keep_snapshot(path: Path, fetched: Fetched | None, cached: CachedSnapshot | None) -> list[bytes]:
    """The lines of an answer, kept at *path* for the next time; None is the answer that *cached* is the present one."""
    if fetched is None:
        assert cached is not None, "the server answered 304 to a request without If-None-Match"
        touch_entry(path)
        return cached.lines
    head = {"etag": fetched.etag, "crc32": zlib.crc32(fetched.content), "published": fetched.published}
    write_entry(path, json.dumps(head).encode() + b"\n" + fetched.content)
    return split_lines(fetched.content)


def fetch_snapshot(settings: Settings, cached: CachedSnapshot | None) -> list[bytes]:
    """The lines of the present snapshot, in one request, kept on disk for the next time.

    Raises:
        NoRemoteState: The repository or ref has no snapshot.
        RemoteStateError: GitHub refused (429), failed or could not be reached.
    """
    headers = {"If-None-Match": cached.etag} if cached is not None and cached.etag else {}
    fetched = _fetch_raw(settings, f"state/{SNAPSHOT}", settings.ref, headers, check_snapshot)
    return keep_snapshot(cached_snapshot_path(settings), fetched, cached)


def check_snapshot(content: bytes) -> None:
    """Refuse what is no snapshot, and an empty one: no lab publishes that it has no sessions."""
    if not checked_lines(content):
        raise ValueError("empty")


def fetch_file(settings: Settings, path: str, ref: str | None = None, check: Check = None) -> bytes | None:
    """One file of the published repository, or None when it has none at that path.

    Args:
        ref: Branch, tag or commit; None for what NPC_LIMS_REF says.
        check: What it must be.

    Raises:
        RemoteStateError: GitHub refused (429), failed or could not be reached.
    """
    try:
        fetched = _fetch_raw(settings, path, settings.ref if ref is None else ref, {}, check)
    except NoRemoteState:
        return None
    return None if fetched is None else fetched.content


def check_ref(settings: Settings, path: str) -> None:
    """GitHub answers alike for a file and for a ref that does not exist: another file tells them apart.

    Raises:
        NoRemoteState: There is no such file, either.
        RemoteStateError: GitHub could not be asked.
    """
    if fetch_file(settings, path) is None:
        raise NoRemoteState(
            f"{settings.repo} has neither state nor {TRACKED_FILE} at {settings.ref}: check the name of the branch, "
            "tag or commit (main~1 is none to GitHub), NPC_LIMS_REPO, and GITHUB_TOKEN if the repository is private"
        )


def _fetch_raw(settings: Settings, path: str, ref: str, headers: dict[str, str], check: Check) -> Fetched | None:
    url = f"{settings.raw_url}/{settings.repo}/{urllib.parse.quote(ref)}/{path}"
    token = settings.github_token
    try:
        return fetch(settings, url, headers, check, bearer_auth(None if token is None else token.get_secret_value()))
    except NoRemoteState as error:
        raise NoRemoteState(f"{error}: check NPC_LIMS_REPO and NPC_LIMS_REF") from None


def fetch(
    settings: Settings, url: str, headers: dict[str, str], check: Check = None, auth: Auth | None = None
) -> Fetched | None:
    """What is at *url*; None where the server says that it is as *headers* say.

    Args:
        auth: Adds a token, where one belongs.

    Raises:
        NoRemoteState: There is nothing.
        Moved: It is elsewhere, where no token goes by itself.
        RemoteStateError: The server refused (429), failed or could not be reached.
    """

    def parse(response: HttpResponse) -> Fetched | None:
        if response.status == 304 and headers:
            return None
        if response.status == 404:
            raise NoRemoteState(f"there is nothing at {url}")
        answer = f"{response.status} {response.reason}"
        if response.location is not None:
            raise Moved(url, answer, urllib.parse.urljoin(url, response.location))
        if response.status != 200:
            raise RemoteStateError(f"{url} answered {answer}")
        if check is not None:
            check(response.content)
        changed = _seconds(response.headers.get("Last-Modified"))
        return Fetched(response.content, response.headers.get("ETag", ""), changed)

    try:
        with HttpClient(RetryPolicy.interactive(settings), auth) as client:
            return client.request("GET", url, parse, headers=headers)
    except RequestFailed as error:
        failure = RemoteStateError(f"{url} {error}")
        failure.retry_after = error.retry_after
        raise failure from None


def _seconds(date: str | None) -> float | None:
    """An HTTP date in seconds since 1970; None if it is none, or in the future: nothing says how old that is."""
    import email.utils

    try:
        seconds = None if date is None else email.utils.parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return None if seconds is None or is_future(seconds) else seconds
