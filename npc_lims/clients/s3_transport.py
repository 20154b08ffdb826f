"""Requests of botocore to S3: each within a deadline and a size, all behind a circuit breaker; and their errors."""

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
from botocore import exceptions
from botocore.exceptions import ConnectionClosedError, ConnectTimeoutError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from npc_lims.clients.aws_credentials import retrieval_failure
from npc_lims.config.environment import in_github_actions
from npc_lims.errors import MissingCredentials, NpcLimsError, SourceError
from npc_lims.utils.ca_bundle import AWS_BUNDLE, ca_bundle_failure
from npc_lims.utils.deadline import DeadlineExceeded, call_within

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
                raise SourceError("s3", f"{request.url.partition('?')[0]}: {found}; check AWS_ENDPOINT_URL and proxies")
    except urllib3.exceptions.ReadTimeoutError as error:
        raise ReadTimeoutError(endpoint_url=request.url, error=error) from None
    except urllib3.exceptions.HTTPError as error:
        raise ConnectionClosedError(error=error, request=request, endpoint_url=request.url) from None
    finally:
        if not raw.closed:
            raw.close()
    return b"".join(parts)


# --- errors

# Raised by botocore for a value of another kind: a size that is no number, a date before the year 1.
_UNREADABLE = (ResponseParserError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


@contextlib.contextmanager
def translated(name: str, action: str = "read") -> Iterator[None]:
    """Raise SourceError or MissingCredentials, with a remedy, for every exception of botocore.

    Args:
        name: The address of what is read.
    """
    try:
        yield
    except NpcLimsError:
        raise
    # from None: what these say may quote a header with its token, which a traceback would show
    except exceptions.ClientError as error:
        raise SourceError("s3", f"{name}: {_refusal(error, action)}") from None
    except exceptions.NoCredentialsError:
        raise MissingCredentials(f"no AWS credentials: {_credentials_remedy()}") from None
    except (exceptions.PartialCredentialsError, exceptions.ProfileNotFound) as error:
        raise MissingCredentials(f"{error}: check AWS_PROFILE and ~/.aws") from None
    except exceptions.CredentialRetrievalError as error:
        raise retrieval_failure(str(error.kwargs.get("provider"))) from None
    except (exceptions.SSOError, exceptions.TokenRetrievalError) as error:
        raise SourceError("s3", f"no single sign-on ({error}): aws sso login --profile PROFILE") from None
    except (exceptions.BotoCoreError, OSError) as error:
        wrapped = getattr(error, "kwargs", {}).get("error")
        cause = wrapped if isinstance(wrapped, BaseException) else error
        raise SourceError("s3", f"{name}: {ca_bundle_failure(cause, AWS_BUNDLE) or error}") from None
    except _UNREADABLE as error:
        advice = "check AWS_ENDPOINT_URL and proxies"
        raise SourceError("s3", f"{name}: the answer cannot be read ({error}); {advice}") from None


def is_missing(error: exceptions.ClientError) -> bool:
    """Return True if there is no such object."""
    return _code(error) in ("NoSuchKey", "404", "NotFound")


def _code(error: exceptions.ClientError) -> str:
    response: Any = error.response
    return str(response.get("Error", {}).get("Code", response.get("ResponseMetadata", {}).get("HTTPStatusCode")))


def _refusal(error: exceptions.ClientError, action: str) -> str:
    code = _code(error)
    if code in ("ExpiredToken", "ExpiredTokenException", "RequestExpired"):
        return "the AWS credentials have expired: renew them"
    if code in ("InvalidAccessKeyId", "SignatureDoesNotMatch"):
        return "the AWS credentials are wrong: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if code in ("AccessDenied", "403"):
        return f"access denied: these AWS credentials may not {action} it"
    if code in ("301", "302", "307", "308"):
        return f"redirected ({code}) to another address; check AWS_ENDPOINT_URL"
    if code == "NoSuchBucket":
        return "there is no such bucket: check the bucket settings"
    return f"{code} {error.response.get('Error', {}).get('Message', '')}".strip()


def _credentials_remedy() -> str:
    if in_github_actions():
        return (
            "set AWS_ROLE, a variable of the repository, to the ARN of a role that trusts this job; if it is set, "
            "the step configure-aws-credentials says why it was refused (docs/operations/aws-role.md)"
        )
    return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE, or ~/.aws)"
