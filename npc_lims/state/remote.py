"""Published state, read raw from GitHub, and the copy of its snapshot that is kept on disk."""

from __future__ import annotations

import dataclasses
import json
import os
import time
import urllib.parse
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from npc_lims.cachedir import cache_dir
from npc_lims.errors import NoRemoteState, RemoteStateError
from npc_lims.state.files import write_atomically
from npc_lims.state.snapshot import SNAPSHOT, checked_lines, split_lines

if TYPE_CHECKING:
    from npc_lims.settings import Settings

__all__ = ["CachedSnapshot", "cached_snapshot_path", "fetch_file", "fetch_snapshot", "read_cached_snapshot"]

# A person waits for this answer, and a stale copy or a live query can stand in for it.
_ATTEMPTS = 2
_TIMEOUT = 10.0
_LONGEST_WAIT = 2.0


@dataclasses.dataclass(frozen=True)
class CachedSnapshot:
    """A snapshot that was fetched before.

    Attributes:
        lines: Its lines.
        etag: As GitHub sent it: the key of asking whether it is still the same.
        age: Seconds since GitHub last said that it is the present one.
    """

    lines: list[bytes]
    etag: str
    age: float


def cached_snapshot_path(settings: Settings) -> Path:
    """The file that keeps the snapshot of one repository and ref."""
    name = urllib.parse.quote(f"{settings.raw_url}/{settings.repo}/{settings.ref}", safe="")
    return cache_dir(settings) / "snapshots" / f"{name}.jsonl"


def read_cached_snapshot(settings: Settings) -> CachedSnapshot | None:
    """The kept snapshot, or None if there is none. A damaged one is as good as none."""
    path = cached_snapshot_path(settings)
    try:
        with open(path, "rb") as file:
            checked = os.fstat(file.fileno()).st_mtime
            head, _, content = file.read().partition(b"\n")
        meta = json.loads(head)
        if meta["crc32"] != zlib.crc32(content):
            return None
        return CachedSnapshot(split_lines(content), str(meta["etag"]), max(0.0, time.time() - checked))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def fetch_snapshot(settings: Settings, cached: CachedSnapshot | None) -> list[bytes]:
    """The lines of the present snapshot, in one request, kept on disk for the next time.

    Raises:
        NoRemoteState: The repository or ref has no snapshot.
        RemoteStateError: GitHub refused (429), failed or could not be reached.
    """
    etag = cached.etag if cached is not None else None
    answer = _fetch(settings, f"state/{SNAPSHOT}", etag, check=_check_snapshot)
    path = cached_snapshot_path(settings)
    try:
        if answer is None:
            assert cached is not None, "GitHub answered 304 to a request without If-None-Match"
            os.utime(path)
            return cached.lines
        content, new_etag = answer
        lines = split_lines(content)
        head = json.dumps({"etag": new_etag, "crc32": zlib.crc32(content)}).encode()
        write_atomically(path, head + b"\n" + content)
    except OSError:
        # the answer is here; that it cannot be kept (read-only home, full disk) costs the next caller a request
        return cached.lines if answer is None and cached is not None else lines
    return lines


def _check_snapshot(content: bytes) -> None:
    """Refuse what is no snapshot, and an empty one: no lab publishes that it has no sessions."""
    if not checked_lines(content):
        raise ValueError("empty")


def fetch_file(settings: Settings, path: str) -> bytes | None:
    """One file of the published repository, or None when it has none at that path.

    Raises:
        RemoteStateError: GitHub refused (429), failed or could not be reached.
    """
    try:
        answer = _fetch(settings, path, None)
    except NoRemoteState:
        return None
    return None if answer is None else answer[0]


def _fetch(settings: Settings, path: str, etag: str | None, check: object = None) -> tuple[bytes, str] | None:
    """Content and ETag, or None where it still has the *etag* given."""
    import requests

    from npc_lims.sources.http import GaveUp, Patience, request

    url = f"{settings.raw_url}/{settings.repo}/{urllib.parse.quote(settings.ref)}/{path}"
    headers = {"If-None-Match": etag} if etag else {}

    def authorize(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        if settings.github_token is not None:
            prepared.headers["Authorization"] = f"Bearer {settings.github_token.get_secret_value()}"
        return prepared

    def parse(response: requests.Response) -> tuple[bytes, str] | None:
        if response.status_code == 304 and etag:
            return None
        if response.status_code == 404:
            raise NoRemoteState(f"there is nothing at {url}: check NPC_LIMS_REPO and NPC_LIMS_REF")
        if response.status_code != 200:
            raise RemoteStateError(f"{url} answered {response.status_code} {response.reason}")
        if callable(check):
            check(response.content)
        return response.content, response.headers.get("ETag", "")

    patience = Patience(
        min(_ATTEMPTS, settings.attempts), min(_TIMEOUT, settings.timeout), settings.backoff, _LONGEST_WAIT
    )
    try:
        with requests.Session() as session:
            result: tuple[bytes, str] | None = request(
                session, "GET", url, patience, parse=parse, headers=headers, auth=authorize
            )
            return result
    except GaveUp as error:
        raise RemoteStateError(f"{url} {error}") from None
