"""Connections of `requests` whose reads end at a deadline, and bodies of a limited size."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import http.client
import io
import socket
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Optional

import requests
from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CHUNK = 2**16
# Headers, and the framing of a body that is sent in chunks.
_OVERHEAD = 2**22
_GZIP = 31


class BodyTooLarge(Exception):
    """A response is longer than its caller accepts; the message says so in one line."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"sent more than {max_bytes / 2**20:,.0f} MiB, which is not accepted")


@dataclasses.dataclass
class _Limits:
    timeout: float
    deadline: float
    max_bytes: int
    received: int = 0


_limits: ContextVar[Optional[_Limits]] = ContextVar("npc_lims_http_limits", default=None)


@contextlib.contextmanager
def limited(timeout: float, deadline: float, max_bytes: int) -> Iterator[None]:
    """Bound the responses that this thread receives meanwhile, headers included.

    Args:
        timeout: Seconds that one read may last.
        deadline: Time of the monotonic clock at which the last read ends, with `socket.timeout`.
        max_bytes: Of a body before it is decoded.
    """
    token = _limits.set(_Limits(timeout, deadline, max_bytes))
    try:
        yield
    finally:
        _limits.reset(token)


def remaining_timeout(timeout: float, deadline: float) -> float:
    """Return the seconds that a read may still last; `socket.timeout` if the deadline is over."""
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise socket.timeout("the deadline is over")
    return min(timeout, remaining)


class _LimitedReads(io.RawIOBase):
    """Reads of a socket, each with the time that is left."""

    def __init__(self, connection: socket.socket, raw: io.RawIOBase, limits: _Limits) -> None:
        self._connection = connection
        self._raw = raw
        self._limits = limits

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        limits = self._limits
        self._connection.settimeout(remaining_timeout(limits.timeout, limits.deadline))
        count: int | None = self._raw.readinto(buffer)
        limits.received += count or 0
        if limits.received > limits.max_bytes + _OVERHEAD:
            raise BodyTooLarge(limits.max_bytes)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _LimitedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        limits = _limits.get()
        if limits is not None:
            self.fp = io.BufferedReader(_LimitedReads(sock, self.fp.detach(), limits))


@functools.cache
def _limited_class(connection: type[Any]) -> type[Any]:
    """Return urllib3's class of connections (plain, TLS or SOCKS) with limited responses."""
    return type(connection.__name__, (connection,), {"response_class": _LimitedResponse})


class _LimitedAdapter(HTTPAdapter):
    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        return self._limit(super().get_connection_with_tls_context(*args, **kwargs))

    def get_connection(self, *args: Any, **kwargs: Any) -> Any:  # of requests before 2.32
        return self._limit(super().get_connection(*args, **kwargs))

    @staticmethod
    def _limit(pool: Any) -> Any:
        if not issubclass(pool.ConnectionCls.response_class, _LimitedResponse):
            pool.ConnectionCls = _limited_class(pool.ConnectionCls)
        return pool


def open_session(auth: Callable[[requests.PreparedRequest], requests.PreparedRequest]) -> requests.Session:
    """Return connections that observe `limited`. With *auth*, even one that adds nothing, no .netrc is read."""
    session = requests.Session()
    session.auth = auth
    session.headers["Accept-Encoding"] = "gzip"
    for scheme in ("http://", "https://"):
        session.mount(scheme, _LimitedAdapter())
    return session


def read_body(response: requests.Response, max_bytes: int, tail: int | None = None) -> bytes:
    """Receive and decode a body, or the last *tail* bytes of it.

    Raises:
        BodyTooLarge: It has more than *max_bytes*.
        ValueError: It is incomplete, or has an encoding that was not requested.
    """
    length, encoding = _declared_length(response), response.headers.get("Content-Encoding", "")
    if length > max_bytes and not encoding and tail is None:
        raise BodyTooLarge(max_bytes)
    kept, size = bytearray(), 0
    for chunk in _decoded(_received(response, length), encoding):
        size += len(chunk)
        if size > max_bytes:
            raise BodyTooLarge(max_bytes)
        kept += chunk
        if tail is not None and len(kept) > 2 * tail:
            del kept[:-tail]
    return bytes(kept if tail is None else kept[-tail:])


def _declared_length(response: requests.Response) -> int:
    if response.request.method == "HEAD" or response.status_code in (204, 304):
        return 0  # no body follows, whatever is declared
    declared = response.headers.get("Content-Length", "")
    return int(declared) if declared.isdecimal() else 0


def _received(response: requests.Response, length: int) -> Iterator[bytes]:
    received = 0
    for chunk in response.raw.stream(_CHUNK, decode_content=False):
        received += len(chunk)
        yield chunk
    if received < length:  # which urllib3 before version 2 hands over as if it were complete
        raise ValueError(f"ended after {received} of {length} bytes")


def _decoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Decode gzip in pieces of limited size, however far a chunk expands."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        yield from chunks
        return
    if encoding not in ("gzip", "x-gzip"):
        raise ValueError(f"has the encoding {encoding}, gzip was requested")
    decoder = None
    try:
        for chunk in chunks:
            while chunk:
                if decoder is None or decoder.eof:  # one gzip may follow another
                    decoder = zlib.decompressobj(_GZIP)
                yield decoder.decompress(chunk, _CHUNK)
                chunk = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
        if decoder is not None:
            yield decoder.flush()
    except zlib.error as error:
        raise ValueError(f"is no gzip: {error}") from None
    if decoder is not None and not decoder.eof:
        raise ValueError("is an incomplete gzip")
