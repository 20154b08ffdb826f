"""How botocore's requests to S3 are sent: each within a deadline and a size, all behind a circuit breaker."""

from __future__ import annotations

import contextlib
import io
import os
import threading
import time
from collections.abc import Iterator
from typing import Any, Callable, TypeVar

import botocore.awsrequest
import botocore.httpsession
import botocore.utils
import urllib3.exceptions
from botocore.exceptions import ConnectionClosedError, ConnectTimeoutError, ReadTimeoutError

from npc_lims.errors import SourceError
from npc_lims.utils.deadline import DeadlineExceeded, call_within

__all__ = ["CircuitBreaker", "Transport"]

T = TypeVar("T")

MAX_TIMEOUTS = 5
"""Consecutive time-outs that open the circuit breaker."""
_COOL_DOWN = 60.0
# A page of 1,000 keys of 1,024 characters, each encoded as three, has less than 4 MB.
_MAX_BYTES = 16_000_000


class CircuitBreaker:
    """Stops sending after consecutive time-outs, for a minute.

    Time-outs of requests that ran at the same time count as one: a short outage strikes all threads of a pool at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._timeouts = 0
        self._last = 0.0

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Let one request pass, and learn from its end.

        Raises:
            SourceError: The circuit breaker is open.
        """
        started = time.monotonic()
        with self._lock:
            if self._timeouts >= MAX_TIMEOUTS and started - self._last < _COOL_DOWN:
                raise SourceError(
                    "s3",
                    f"{self._timeouts} requests in a row timed out, so no more are sent for {_COOL_DOWN:.0f} s; check "
                    "AWS_ENDPOINT_URL and the network, and try again",
                )
        try:
            yield
        except (ConnectTimeoutError, ReadTimeoutError, DeadlineExceeded):
            with self._lock:
                if started >= self._last:
                    self._timeouts += 1
                    self._last = time.monotonic()
            raise
        with self._lock:
            self._timeouts = 0


class Transport:
    """Sends requests of a botocore client: a handler of its event `before-send`.

    Args:
        url: The endpoint, to know its proxies.
        timeout: Seconds without a byte before a request counts as lost.
        deadline: Seconds that a request may take in all.
        ca_bundle: As botocore's configuration has it; None for its default.
        connections: Most that are open at once.
    """

    def __init__(self, url: str, *, timeout: float, deadline: float, ca_bundle: str | None, connections: int) -> None:
        self._deadline = deadline
        self._breaker = CircuitBreaker()
        make_session: Any = botocore.httpsession.URLLib3Session  # its stubs know fewer types than botocore passes
        self._session = make_session(
            verify=ca_bundle or os.environ.get("REQUESTS_CA_BUNDLE") or True,
            proxies=botocore.utils.get_environ_proxies(url),
            timeout=(timeout, timeout),
            max_pool_connections=connections,
        )

    def __call__(self, request: Any, **_: Any) -> Any:
        """Return the response. Its body has been read, except that of an object.

        Raises:
            SourceError: The circuit breaker is open, or the answer is too large.
            HTTPClientError: The request failed; botocore knows whether to retry it.
        """
        return self.bounded(lambda: self._send(request), request.url, lambda response: response.raw.close())

    def bounded(self, call: Callable[[], T], url: str, discard: Callable[[T], object] | None = None) -> T:
        """Return the result of *call*, which uses the network, within the deadline.

        Raises:
            SourceError: The circuit breaker is open.
            ReadTimeoutError: The deadline has passed.
        """
        with self._breaker.watch():
            try:
                return call_within(self._deadline, call, discard)
            except DeadlineExceeded as error:
                raise ReadTimeoutError(endpoint_url=url, error=error) from None

    def _send(self, request: Any) -> Any:
        is_object, request.stream_output = request.stream_output, True  # else all of the body would be read
        response: Any = self._session.send(request)
        if is_object and response.status_code < 300:
            return response
        content = _read(response.raw, request)
        return botocore.awsrequest.AWSResponse(response.url, response.status_code, response.headers, _Body(content))


class _Body(io.BytesIO):
    def stream(self) -> Iterator[bytes]:
        yield self.read()


def _read(raw: Any, request: Any) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        for part in raw.stream(65536):
            parts.append(part)
            size += len(part)
            if size > _MAX_BYTES:
                found = f"the answer has more than {_MAX_BYTES // 10**6} MB"
                raise SourceError("s3", f"{request.url}: {found}; check AWS_ENDPOINT_URL and proxies")
    except urllib3.exceptions.ReadTimeoutError as error:
        raise ReadTimeoutError(endpoint_url=request.url, error=error) from None
    except urllib3.exceptions.HTTPError as error:
        raise ConnectionClosedError(error=error, request=request, endpoint_url=request.url) from None
    finally:
        if not raw.closed:
            raw.close()
    return b"".join(parts)
