"""A file of the results of a run, from the signed address that Code Ocean gives for it."""

from __future__ import annotations

from npc_lims.clients.http import HttpClient, HttpResponse, RequestFailed, RetryPolicy

__all__ = ["read_end"]

# A server may send more than the end that it is asked for.
_MAX_BYTES = 2**32


def read_end(url: str, policy: RetryPolicy, limit: int) -> bytes | None:
    """Return a file, or the last *limit* bytes of it; None if there is none.

    The address is good by itself: the token must not go to where it leads, nor the address into a message.

    Raises:
        RequestFailed: It could not be had.
    """

    def parse(response: HttpResponse) -> bytes | None:
        if response.status == 416:
            return b""  # nothing has no last bytes
        if response.status == 404:
            return None
        if response.status not in (200, 206):
            raise RequestFailed(f"answered {response.status}")
        return response.content

    headers = {"Range": f"bytes=-{limit}", "Accept-Encoding": "identity"}
    with HttpClient(policy) as client:
        return client.request("GET", url, parse, headers=headers, max_bytes=_MAX_BYTES, tail=limit)
