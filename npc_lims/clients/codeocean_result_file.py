"""A file of the results of a run, from the signed address that Code Ocean gives for it."""

from __future__ import annotations

import requests

from npc_lims.clients.http import GaveUp, Patience, request

__all__ = ["read_end"]

_CHUNK = 2**20


def read_end(url: str, patience: Patience, limit: int) -> bytes | None:
    """The file, or the last *limit* bytes of it; None if there is none.

    The address is good by itself: the token must not go to where it leads, nor the address into a message.

    Raises:
        GaveUp: It could not be had.
    """

    def parse(response: requests.Response) -> bytes | None:
        with response:
            if response.status_code == 416:
                return b""  # nothing has no last bytes
            if response.status_code == 404:
                return None
            if response.status_code not in (200, 206):
                raise GaveUp(f"answered {response.status_code}")
            return _last_bytes(response, limit)

    # a session of its own, which has no token; nor may one be taken from a .netrc
    with requests.Session() as plain:
        plain.auth = _no_credentials
        headers = {"Range": f"bytes=-{limit}", "Accept-Encoding": "identity"}
        found: bytes | None = request(plain, "GET", url, patience, parse=parse, headers=headers, stream=True)
        return found


def _last_bytes(response: requests.Response, limit: int) -> bytes:
    """The last *limit* bytes: also where more comes than was asked for. Never more than twice that in memory."""
    kept, seen = bytearray(), 0
    for chunk in response.iter_content(min(_CHUNK, limit)):
        kept += chunk
        seen += len(chunk)
        if len(kept) > 2 * limit:
            del kept[:-limit]
    declared = response.headers.get("Content-Length", "")
    if declared.isdecimal() and seen < int(declared):
        raise ValueError(f"broke off after {seen} of {declared} bytes")
    return bytes(kept[-limit:])


def _no_credentials(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    return prepared
