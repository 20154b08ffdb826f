"""HTTP requests with retries, a total deadline and a limit on the size of a response.

Importing this takes the standard library alone, as the issue about a failing workflow is opened where nothing could be
installed; `requests` is imported by the first request.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import email.utils
import functools
import gzip
import http.client
import json as json_module
import os
import random
import re
import socket
import ssl
import threading
import time
import urllib.parse
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, TypeVar

from npc_lims.config.settings import Settings
from npc_lims.utils.text import safe_text

if TYPE_CHECKING:
    import email.message

    import requests

MAX_BYTES = 64 * 2**20
"""Bytes of a decoded body that are accepted unless a caller says otherwise."""

RETRYABLE_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
# Of a request that was refused for now: 403 is GitHub's for a limit of requests, which a caller's *parse* recognises.
_NOT_DONE_STATUS = frozenset({403, 429})
_REDIRECT_STATUS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 3
_CHUNK = 2**16
CA_BUNDLE = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables that name a CA bundle for `requests`, by precedence."""
# In messages of OpenSSL: a handshake may also break off.
_OF_CERTIFICATES = re.compile(r"certificate|x509|\bpem\b", re.IGNORECASE)

_T = TypeVar("_T")


class RequestFailed(Exception):
    """No usable response was received; the message says in one line why. It holds no header and no token.

    Attributes:
        response: The last response, if there was one.
        retry_after: Seconds that it asks to wait, None if it does not say.
        is_sent: The last request may have reached the server.
    """

    def __init__(self, message: str, response: HttpResponse | None = None, *, is_sent: bool = True) -> None:
        self.response = response
        self.retry_after = None if response is None else retry_after_seconds(response.headers.get("Retry-After"))
        self.is_sent = is_sent
        super().__init__(safe_text(message))


class TransientFailure(RequestFailed):
    """A failure that may not occur again, after *retry_after* seconds."""


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """How often and how long to try.

    Attributes:
        attempts: Maximum number of requests, including the first.
        timeout: Seconds to wait for a connection, and for each part of a response.
        backoff: Seconds of the first delay; each further delay may be twice as long.
        max_delay: Seconds of the longest delay; a server that asks for more is not retried.
        deadline: Seconds for all attempts together, from the first connection to the end of the last body.
    """

    attempts: int
    timeout: float
    backoff: float
    max_delay: float = 60.0
    deadline: float = 300.0

    @classmethod
    def from_settings(cls, settings: Settings) -> RetryPolicy:
        return cls(settings.attempts, settings.timeout, settings.backoff, deadline=10 * settings.timeout)

    @classmethod
    def interactive(cls, settings: Settings) -> RetryPolicy:
        """Return a policy for responses that a person waits for, and can do without."""
        timeout = min(10.0, settings.timeout)
        return cls(min(2, settings.attempts), timeout, settings.backoff, max_delay=2.0, deadline=2 * timeout)

    def delay(self, attempt: int) -> float:
        """Return the seconds to wait before *attempt* (2, 3, ...), randomized so that clients spread out."""
        longest = min(self.backoff * 2 ** (attempt - 2), self.max_delay)
        return random.uniform(longest / 2, longest)


@dataclasses.dataclass(frozen=True)
class HttpRequest:
    """One request, and the bounds of its response, as `HttpClient.request` takes them."""

    method: str
    url: str
    headers: Mapping[str, str] = dataclasses.field(repr=False)
    body: bytes | None = dataclasses.field(repr=False)
    deadline: float
    """By `time.monotonic`."""
    max_bytes: int
    tail: int | None


@dataclasses.dataclass(frozen=True)
class HttpResponse:
    """A complete response; names of headers are case-insensitive."""

    url: str
    status: int
    reason: str
    headers: Mapping[str, str] | email.message.Message = dataclasses.field(repr=False)
    content: bytes = dataclasses.field(repr=False)

    @property
    def location(self) -> str | None:
        """Absolute URL that a redirect leads to, None for any other response; ValueError if it is no URL."""
        location = self.headers.get("Location") if self.status in _REDIRECT_STATUS else None
        return None if location is None else urllib.parse.urljoin(self.url, location)

    def json(self) -> Any:
        return parse_json(self.content)


def parse_json(content: bytes) -> Any:
    """Parse JSON in UTF-8, with or without a byte order mark. ValueError, or RecursionError if it nests too deep."""
    return json_module.loads(content.decode("utf-8-sig"))


def basic_auth(user: str) -> dict[str, str]:
    """Return the header that authenticates as *user* without a password."""
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:'.encode()).decode()}"}


def bearer_auth(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


class HttpClient:
    """Connections to one service, which stay open for the next request, each with *headers*, such as credentials.

    Proxies and CA bundles are those of the environment; no credentials are taken from a .netrc.
    """

    ca_bundle_variables: tuple[str, ...] = CA_BUNDLE

    def __init__(self, policy: RetryPolicy, headers: Mapping[str, str] | None = None) -> None:
        self.policy = policy
        self._headers = {"Accept-Encoding": "gzip", "User-Agent": "npc-lims", **(headers or {})}

    @functools.cached_property
    def _session(self) -> requests.Session:
        import requests

        session = requests.Session()
        session.auth = lambda prepared: prepared  # which is used in place of a .netrc
        return session

    def request(
        self,
        method: str,
        url: str,
        parse: Callable[[HttpResponse], _T],
        *,
        json: Any = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        is_idempotent: bool = True,
        attempts: Optional[int] = None,
        max_bytes: int = MAX_BYTES,
        tail: Optional[int] = None,
        may_follow: Callable[[str, str], bool] = lambda url, target: False,
    ) -> _T:
        """Return what *parse* makes of the response.

        A response of status 408, 425, 429 or 5xx, a reset, a timeout, a body that is incomplete or that *parse*
        rejects (`ValueError`, `TransientFailure`) is retried. Any other status is a result: *parse* sees it.

        Args:
            is_idempotent: If not, the request is repeated only where it was refused for now (429).
            attempts: Maximum number of requests, if not that of the policy.
            max_bytes: Of a longer body, once decoded, the request fails.
            tail: Number of bytes at the end of the body to return; None for all.
            may_follow: Whether to follow a redirect from one URL to another, where credentials go along.

        Raises:
            RequestFailed: All attempts failed, the deadline is over, or the server asks for too long a delay.
        """
        deadline = time.monotonic() + self.policy.deadline
        attempts = attempts or self.policy.attempts
        url = f"{url}?{urllib.parse.urlencode(params)}" if params else url
        sent = {**self._headers, **(headers or {})}
        body = None if json is None else json_module.dumps(json).encode()
        if body is not None:
            sent["Content-Type"] = "application/json"

        request = HttpRequest(method, url, sent, body, deadline, max_bytes, tail)
        for attempt in range(1, attempts + 1):
            try:
                response = self._within_deadline(request)
                redirects = 0
                while redirects < _MAX_REDIRECTS and (target := response.location) and may_follow(request.url, target):
                    request, redirects = dataclasses.replace(request, url=target), redirects + 1
                    response = self._within_deadline(request)
                if response.status not in RETRYABLE_STATUS:
                    return parse(response)
                failure = RequestFailed(f"answered {response.status} {response.reason}".strip(), response)
            except TransientFailure as error:
                failure = error
            except (RecursionError, ValueError) as error:
                failure = RequestFailed(f"sent an answer that cannot be read ({error})")
            delay = self._delay(failure, attempt + 1)
            is_refused = failure.response is not None and failure.response.status in _NOT_DONE_STATUS
            if not (is_idempotent or is_refused) or attempt == attempts or time.monotonic() + delay >= deadline:
                break
            time.sleep(delay)
        message = f"{failure} ({attempt} attempts)" if attempt > 1 else str(failure)
        raise RequestFailed(message, failure.response) from failure

    def _delay(self, failure: RequestFailed, attempt: int) -> float:
        delay, requested = self.policy.delay(attempt), failure.retry_after
        if requested is None:
            return delay
        if requested > self.policy.max_delay:
            message = f"{failure} and asks to wait {requested:.0f} s; try again later"
            raise RequestFailed(message, failure.response)
        # exactly what was requested is when every client comes back: spread out after it
        return requested + random.uniform(0, min(1.0, delay))

    def _within_deadline(self, request: HttpRequest) -> HttpResponse:
        """Return the response of one request, or raise one of `RequestFailed`."""
        try:
            return call_within(request.deadline - time.monotonic(), lambda: self._exchange(request))
        except (OSError, http.client.HTTPException) as error:
            raise connection_failure(error, self.policy, self.ca_bundle_variables) from None

    def _exchange(self, request: HttpRequest) -> HttpResponse:
        """Send one request and receive its response, of any status. OSError if that fails."""
        import requests
        import urllib3

        try:
            response = self._session.request(
                request.method,
                request.url,
                data=request.body,
                headers=request.headers,
                timeout=self.policy.timeout,
                allow_redirects=False,
                stream=True,
            )
        except ValueError as error:  # an address or a header, which may be a secret, that cannot be sent
            raise RequestFailed(f"cannot be queried ({type(error).__name__})", is_sent=False) from None
        try:
            with response:
                content = _read_body(response, request.deadline, request.max_bytes, request.tail)
        except urllib3.exceptions.HTTPError as error:
            raise requests.ConnectionError from error
        return HttpResponse(request.url, response.status_code, response.reason or "", response.headers, content)


def _read_body(response: requests.Response, deadline: float, max_bytes: int, tail: int | None) -> bytes:
    """Receive and decode a body, or its last *tail* bytes, in pieces of limited size. ValueError if it is damaged.

    By gzip, since urllib3 hands over an incomplete gzip as if it were complete.
    """
    raw = response.raw
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise ValueError(f"has the encoding {encoding}, gzip was requested")
    is_gzip = encoding.endswith("gzip")
    if (raw.length_remaining or 0) > max_bytes and not is_gzip and tail is None:
        raise too_large(max_bytes)
    reader = gzip.GzipFile(fileobj=raw) if is_gzip else raw
    content, size = bytearray(), 0
    try:
        while chunk := reader.read(_CHUNK):
            size += len(chunk)
            if size > max_bytes:
                raise too_large(max_bytes)
            content += chunk
            if tail is not None:
                del content[:-tail]
            if time.monotonic() >= deadline:
                raise DeadlineExceeded
    except EOFError:
        raise ValueError("is an incomplete gzip") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"is no gzip: {error}") from None
    if raw.length_remaining:  # which urllib3 before version 2 hands over as if it were complete
        raise ValueError(f"ended {raw.length_remaining} bytes early")
    return bytes(content)


def too_large(max_bytes: int) -> RequestFailed:
    return RequestFailed(f"sent more than {max_bytes / 2**20:,.0f} MiB, which is not accepted")


def connection_failure(
    error: Exception, policy: RetryPolicy, ca_bundle_variables: tuple[str, ...] = CA_BUNDLE
) -> RequestFailed:
    """Return what has happened to a request that has no response."""
    if isinstance(error, DeadlineExceeded):
        return TransientFailure(f"gave no complete answer within {policy.deadline:g} s")
    bundle_failure = ca_bundle_failure(error, ca_bundle_variables)
    if bundle_failure is not None:
        return RequestFailed(f"could not be reached: {bundle_failure}", is_sent=False)
    # urllib3 before version 2 tries calls that end in a TypeError
    causes = [cause for cause in _causes(error) if isinstance(cause, (OSError, http.client.HTTPException))]
    if any(isinstance(cause, (TimeoutError, socket.timeout)) for cause in causes):
        return TransientFailure(f"gave no answer within {policy.timeout:g} s")
    return TransientFailure(f"could not be reached or interrupted the response ({type(causes[-1]).__name__})")


def is_unreachable(error: BaseException) -> bool:
    """Return True if *error* comes from a host to which no connection could be made."""
    import urllib3

    unmade = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    return any(isinstance(cause, unmade) for cause in _causes(error))


def ca_bundle_failure(error: BaseException, variables: tuple[str, ...]) -> str | None:
    """Return what is wrong with the CA bundle of the first of *variables* that is set, and what to do.

    None if none is set, or *error* has another cause.
    """
    variable = next((name for name in variables if os.environ.get(name)), None)
    if variable is None:
        return None
    bundle = os.environ[variable]
    reasons = list(_causes(error))
    is_file = any(isinstance(one, (FileNotFoundError, PermissionError, IsADirectoryError)) for one in reasons)
    is_tls = any(isinstance(one, ssl.SSLError) and _OF_CERTIFICATES.search(str(one)) for one in reasons)
    is_named = any(bundle in str(one) for one in reasons)
    is_suspect = is_file or is_tls or is_named
    if is_suspect and not Path(bundle).exists():
        return f"{variable} names a CA bundle that does not exist ({bundle}); correct or unset {variable}"
    if is_suspect and not os.access(bundle, os.R_OK):
        return f"{variable} names a CA bundle that may not be read ({bundle}); correct or unset {variable}"
    if is_tls or is_named:  # a file that is missing is another one
        return f"no certificate was accepted with the CA bundle {bundle}; correct or unset {variable}"
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and what it was raised from, the nearest first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def retry_after_seconds(value: str | None, now: datetime.datetime | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks to wait: a number, or an HTTP date. None if it is neither.

    >>> retry_after_seconds("7"), retry_after_seconds("soon")
    (7.0, None)
    """
    if value is None:
        return None
    value = value.strip()
    if value.isdecimal():
        return float(value)
    try:
        then = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=datetime.timezone.utc)
    now = datetime.datetime.now(datetime.timezone.utc) if now is None else now
    return max(0.0, (then - now).total_seconds())


class DeadlineExceeded(TimeoutError):
    """A call was abandoned at its deadline."""


def call_within(seconds: float, function: Callable[[], _T], discard: Callable[[_T], object] | None = None) -> _T:
    """Return the result of *function*, which runs in a thread of its own. DeadlineExceeded after *seconds*.

    Time-outs of sockets bound only the wait for the next bytes, and subprocesses of libraries have none. An abandoned
    thread ends when its call does, and keeps no process alive; *discard* gets its result, to close it.
    """
    future: Future[_T] = Future()

    def run() -> None:
        try:
            result = function()
        except BaseException as error:  # raised below, in the thread of the caller
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
            return
        if future.set_running_or_notify_cancel():
            future.set_result(result)
        elif discard is not None:
            discard(result)

    threading.Thread(target=run, name="npc-lims-deadline", daemon=True).start()
    try:
        return future.result(seconds)
    except FutureTimeout:
        if future.cancel():
            raise DeadlineExceeded(f"not done within {seconds:g} s") from None
        return future.result()  # it ended at the last moment, or raised a time-out of its own
