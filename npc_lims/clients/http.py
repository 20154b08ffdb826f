"""HTTP requests with retries, a total deadline and a limit on the size of a response."""

from __future__ import annotations

import dataclasses
import datetime
import json as json_module
import random
import time
import urllib.parse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Optional, TypeVar

from npc_lims.utils.ca_bundle import ca_bundle_failure
from npc_lims.utils.redaction import safe_text

if TYPE_CHECKING:
    import requests

    from npc_lims.config.settings import Settings

MAX_BYTES = 64 * 2**20
"""Bytes of a decoded body that are accepted unless a caller says otherwise."""

RETRYABLE_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECT_STATUS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 3

_T = TypeVar("_T")
Auth = Callable[["requests.PreparedRequest"], "requests.PreparedRequest"]


class RequestFailed(Exception):
    """No usable response was received; the message says in one line why. It holds no header and no token.

    Attributes:
        response: The last response, if there was one.
        retry_after: Seconds that it asks to wait, None if it does not say.
        is_sent: Whether the last request may have reached the server.
    """

    def __init__(self, message: str, response: HttpResponse | None = None, *, is_sent: bool = True) -> None:
        self.response = response
        self.retry_after = None if response is None else retry_after_seconds(response.headers.get("Retry-After"))
        self.is_sent = is_sent
        super().__init__(safe_text(message))


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
        """Return the policy of NPC_LIMS_ATTEMPTS, NPC_LIMS_TIMEOUT and NPC_LIMS_BACKOFF."""
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
class HttpResponse:
    """A complete response; header names are case-insensitive."""

    url: str
    status: int
    reason: str
    headers: Mapping[str, str] = dataclasses.field(repr=False)
    content: bytes = dataclasses.field(repr=False)

    @property
    def location(self) -> str | None:
        """Absolute URL that a redirect leads to, None for any other response; ValueError if it is no URL."""
        location = self.headers.get("Location") if self.status in _REDIRECT_STATUS else None
        return None if location is None else urllib.parse.urljoin(self.url, location)

    def json(self) -> Any:
        """Parse the content. Raises as `parse_json`."""
        return parse_json(self.content)


def parse_json(content: bytes) -> Any:
    """Parse JSON in UTF-8, with or without a byte order mark.

    `requests` decodes what is not UTF-8 with replacement characters, in which a damaged name looks like another one.

    Raises:
        ValueError: It is something else.
        RecursionError: It nests too deep.

    >>> parse_json(b'{"a": 1}')
    {'a': 1}
    """
    return json_module.loads(content.decode("utf-8-sig"))


def basic_auth(user: str) -> Auth:
    """Authenticate as *user* without a password."""
    from requests.auth import HTTPBasicAuth

    return HTTPBasicAuth(user, "")


def bearer_auth(token: str | None) -> Auth:
    """Authenticate with a token, if there is one."""

    def authenticate(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        if token is not None:
            prepared.headers["Authorization"] = f"Bearer {token}"
        return prepared

    return authenticate


class HttpClient:
    """Connections to one service.

    Args:
        policy: How often and how long to try.
        auth: Adds credentials to each request. None are taken from a .netrc.
    """

    def __init__(self, policy: RetryPolicy, auth: Auth | None = None) -> None:
        from npc_lims.clients.http_transport import open_session

        self.policy = policy
        self._session = open_session(auth or bearer_auth(None))

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def request(
        self,
        method: str,
        url: str,
        parse: Callable[[HttpResponse], _T],
        *,
        is_idempotent: bool = True,
        attempts: Optional[int] = None,
        max_bytes: int = MAX_BYTES,
        tail: Optional[int] = None,
        may_follow: Callable[[str, str], bool] = lambda url, target: False,
        **more: Any,
    ) -> _T:
        """Return what *parse* makes of the response.

        A response of status 408, 425, 429 or 5xx, a reset, a timeout, a body that is incomplete or that *parse*
        rejects (`ValueError`) is retried. Any other status is a result: *parse* sees it.

        Args:
            is_idempotent: If not, the request is repeated only after a status of 429, by which nothing was done.
            attempts: Maximum number of requests, if not that of the policy.
            max_bytes: Of a longer body, once decoded, the request fails.
            tail: Number of bytes at the end of the body to keep; None for all.
            may_follow: Tells whether to follow a redirect from one URL to another, where credentials go along.
            **more: As `requests` takes them: `headers`, `json`, `params`.

        Raises:
            RequestFailed: All attempts failed, the deadline is over, or the server asks for too long a delay.
        """
        deadline = time.monotonic() + self.policy.deadline
        attempts = attempts or self.policy.attempts
        failure = RequestFailed("was not sent", is_sent=False)
        try:
            for attempt in range(1, attempts + 1):
                try:
                    response = self._send(method, url, deadline, max_bytes, tail, more)
                    redirects = 0
                    while redirects < _MAX_REDIRECTS and (target := response.location) and may_follow(url, target):
                        url, redirects = target, redirects + 1
                        response = self._send(method, url, deadline, max_bytes, tail, more)
                    if response.status not in RETRYABLE_STATUS:
                        return parse(response)
                    failure = RequestFailed(f"answered {response.status} {response.reason}".strip(), response)
                except _Transient as error:
                    failure = error
                except (RecursionError, ValueError) as error:
                    failure = RequestFailed(f"sent an answer that cannot be read ({error})")
                delay = self._delay(failure, attempt + 1)
                if not is_idempotent and (failure.response is None or failure.response.status != 429):
                    raise failure
                if attempt == attempts or time.monotonic() + delay >= deadline:
                    break
                time.sleep(delay)
            raise RequestFailed(f"{failure} ({attempt} attempts)" if attempt > 1 else str(failure), failure.response)
        finally:
            del failure  # its traceback has this frame: connections would stay open until a garbage collection

    def _delay(self, failure: RequestFailed, attempt: int) -> float:
        delay, requested = self.policy.delay(attempt), failure.retry_after
        if requested is None:
            return delay
        if requested > self.policy.max_delay:
            message = f"{failure} and asks to wait {requested:.0f} s; try again later"
            raise RequestFailed(message, failure.response)
        # exactly what was requested is when every client comes back: spread out after it
        return requested + random.uniform(0, min(1.0, delay))

    def _send(
        self, method: str, url: str, deadline: float, max_bytes: int, tail: int | None, more: dict[str, Any]
    ) -> HttpResponse:
        """Send one request and receive its response, or raise one of `RequestFailed`."""
        import socket

        import requests
        import urllib3

        from npc_lims.clients.http_transport import BodyTooLarge, limited, read_body, remaining_timeout

        try:
            timeout = remaining_timeout(self.policy.timeout, deadline)
            with limited(timeout, deadline, max_bytes):
                try:
                    response = self._session.request(
                        method, url, timeout=timeout, allow_redirects=False, stream=True, **more
                    )
                except ValueError as error:  # an address or a header, which may be a secret, that cannot be sent
                    raise RequestFailed(f"cannot be asked ({type(error).__name__})", is_sent=False) from None
                with response:
                    content = read_body(response, max_bytes, tail)
            return HttpResponse(url, response.status_code, response.reason or "", response.headers, content)
        except BodyTooLarge as error:
            raise RequestFailed(str(error)) from None  # nor would it be shorter another time
        except (requests.Timeout, TimeoutError, socket.timeout, urllib3.exceptions.TimeoutError):
            raise _Transient(self._timeout_message(deadline)) from None
        except (OSError, urllib3.exceptions.HTTPError) as error:
            # requests raises none of its own kind for a CA bundle that does not exist
            bundle = ca_bundle_failure(error)
            if bundle is not None or not isinstance(error, (requests.RequestException, urllib3.exceptions.HTTPError)):
                raise RequestFailed(f"could not be reached: {bundle or error}", is_sent=False) from None
            raise _Transient(f"could not be reached or interrupted the response ({type(error).__name__})") from None

    def _timeout_message(self, deadline: float) -> str:
        if time.monotonic() < deadline:
            return f"gave no answer within {self.policy.timeout:g} s"
        return f"gave no complete answer within {self.policy.deadline:g} s"


class _Transient(RequestFailed):
    """A failure that may not occur again."""


def retry_after_seconds(value: str | None, now: datetime.datetime | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks to wait: a number, or an HTTP date. None if it is neither.

    >>> retry_after_seconds("7"), retry_after_seconds("soon")
    (7.0, None)
    """
    import email.utils

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
