"""boto3's client of S3: each request within a deadline and a size, behind a circuit breaker; and its errors.

This is the only module that imports boto3.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import threading
import time
from collections.abc import Iterator
from typing import Any, Callable, TypeVar

import boto3
import botocore.awsrequest
import botocore.config
import botocore.httpsession
import botocore.session
import botocore.utils
import urllib3.exceptions
from botocore import exceptions
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import ConnectionClosedError, ConnectTimeoutError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from npc_lims.clients.http import DeadlineExceeded, ca_bundle_failure, call_within
from npc_lims.config.settings import Settings, in_github_actions
from npc_lims.errors import MissingCredentials, NpcLimsError, SourceError
from npc_lims.utils.text import register_secret

T = TypeVar("T")

# Variables in which boto3 looks for a CA bundle, by precedence.
_CA_BUNDLE = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")

_LISTING = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<[?!][^>]*>\s*)*<ListBucketResult[\s>]")
_IS_TRUNCATED = re.compile(rb"<IsTruncated>(?:true|false)</IsTruncated>")
# A request that is answered at all, and a program that gives credentials, may take as many time-outs as this.
_DEADLINE_FACTOR = 4
# Consecutive time-outs that open the circuit breaker.
_MAX_TIMEOUTS = 5
_COOL_DOWN = 60.0
# A page of 1,000 keys of 1,024 characters, each encoded as three, has less than 4 MB.
_MAX_BYTES = 16_000_000


class S3Client:
    """S3, or any server with its protocol; safe for threads. All failures are SourceError or MissingCredentials."""

    def __init__(self, settings: Settings) -> None:
        _check_keys(settings)
        with _translated("S3"):
            self._deadline = _DEADLINE_FACTOR * settings.timeout
            has_keys = settings.aws_access_key_id is not None
            core = botocore.session.Session()
            session = boto3.Session(
                botocore_session=core,
                aws_access_key_id=_plain(settings.aws_access_key_id),
                aws_secret_access_key=_plain(settings.aws_secret_access_key),
                # one that is left over from other keys would replace those of ~/.aws
                aws_session_token=_plain(settings.aws_session_token) if has_keys else None,
                region_name=settings.aws_default_region,
                profile_name=settings.aws_profile,
            )
            self._refreshable = self._find_refreshable(session)
            self._client: Any = session.client(
                "s3",
                endpoint_url=settings.aws_endpoint_url,
                config=botocore.config.Config(
                    retries={"mode": "standard", "total_max_attempts": settings.attempts},
                    connect_timeout=settings.timeout,
                    read_timeout=settings.timeout,
                    max_pool_connections=settings.s3_workers,
                ),
            )
            self._transport = _Transport(
                self._client.meta.endpoint_url, settings, self._deadline, core.get_config_variable("ca_bundle")
            )
        events: Any = self._client.meta.events
        events.register("needs-retry.s3", _retry_after_429(settings.attempts, settings.backoff))
        events.register("before-call.s3.HeadBucket", _without_redirects)
        events.register("before-send.s3", _register_session_token)
        events.register("before-send.s3", self._transport)
        events.register("after-call.s3", _check_answer)

    def call(self, operation: str, name: str, action: str = "read", **parameters: Any) -> dict[str, Any] | None:
        """Return the response to an operation on what messages call *name*; None if there is no such object."""
        with _translated(name, action):
            if self._refreshable is not None and self._refreshable.refresh_needed():
                # botocore would, without a deadline, when it signs a request
                self._retrieve(self._refreshable.get_frozen_credentials)
            try:
                answer: dict[str, Any] = getattr(self._client, operation)(**parameters)
                return answer
            except exceptions.ClientError as error:
                if _code(error) in ("NoSuchKey", "404", "NotFound"):
                    return None
                raise

    def read_body(self, body: Any, name: str, limit: int) -> bytes:
        """Return the body of an object, or one byte more than *limit*: its Content-Length is not trusted."""

        def read() -> bytes:
            with contextlib.closing(body):
                content: bytes = body.read(limit + 1)
            return content

        with _translated(name):
            return self._transport.bounded(read, name)

    def _find_refreshable(self, session: Any) -> RefreshableCredentials | None:
        """Return the credentials that boto3 finds, if they expire; others are only checked, and redacted."""
        try:
            found = self._retrieve(session.get_credentials)
        except (exceptions.BotoCoreError, MissingCredentials):
            raise
        except Exception as error:  # of any kind: the output of a program or the answer of a server may be anything
            is_file = isinstance(error, OSError) and error.filename is not None
            raise _retrieval_failure(str(error) if is_file else type(error).__name__) from None
        if isinstance(found, RefreshableCredentials):
            return found
        if found is not None:
            for name, value in (("aws_access_key_id", found.access_key), ("aws_secret_access_key", found.secret_key)):
                if not value:
                    raise MissingCredentials(f"{name} is empty in ~/.aws (profile {session.profile_name}): set it")
            register_secret(found.secret_key)
            register_secret(found.token)
        return None

    def _retrieve(self, retrieve: Callable[[], Any]) -> Any:
        try:
            return call_within(self._deadline, retrieve)
        except DeadlineExceeded:
            raise _retrieval_failure(f"no answer within {self._deadline:g} s") from None


def _check_keys(settings: Settings) -> None:
    """Refuse half of a key pair, with which botocore fails in ways that do not say so."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    has_id, has_secret = settings.aws_access_key_id is not None, settings.aws_secret_access_key is not None
    if has_id != has_secret:
        given, missing = names if has_id else reversed(names)
        raise MissingCredentials(
            f"{missing} is not set or empty, although {given} is set: set both, or neither to use ~/.aws"
        )


def _plain(secret: Any) -> str | None:
    return None if secret is None else str(secret.get_secret_value())


# --- handlers of botocore's events


def _retry_after_429(most: int, backoff: float) -> Callable[..., float | None]:
    """Return a handler that retries after a bare 429, as proxies send it: many versions of botocore do not."""

    def wait(response: Any, attempts: int, **_: Any) -> float | None:
        is_429 = response is not None and response[0].status_code == 429
        return min(backoff * 2 ** (attempts - 1), 20.0) if is_429 and attempts < most else None

    return wait


def _without_redirects(context: dict[str, Any], **_: Any) -> None:
    """Keep botocore from looking for the bucket of a redirected request, which would be redirected in turn."""
    context["s3_redirect"]["redirected"] = True


def _register_session_token(request: Any, **_: Any) -> None:
    token = request.headers.get("X-Amz-Security-Token")
    register_secret(token.decode() if isinstance(token, bytes) else token)


def _check_answer(http_response: Any, model: Any, **_: Any) -> None:
    """Raise ValueError for an answer that S3 does not give: botocore reads any XML document, as a shorter listing."""
    status = http_response.status_code
    if 200 < status < 300:
        raise ValueError(f"answered {status} in place of 200")
    if status == 200 and model.name == "ListObjectsV2":
        if not _LISTING.match(http_response.content):
            raise ValueError("the answer is not a listing (expected the XML element ListBucketResult)")
        if len(_IS_TRUNCATED.findall(http_response.content)) != 1:
            raise ValueError("the listing does not say once whether it is truncated (IsTruncated: true or false)")


class _Transport:
    """Sends requests, each within a deadline; after consecutive time-outs none, for a minute.

    Time-outs of requests that ran at the same time count as one: a short outage strikes all threads of a pool at once.
    """

    def __init__(self, url: str, settings: Settings, deadline: float, ca_bundle: str | None) -> None:
        self._deadline = deadline
        self._lock = threading.Lock()
        self._timeouts = 0
        self._last_timeout = 0.0
        make_session: Any = botocore.httpsession.URLLib3Session  # its stubs know fewer types than botocore passes
        self._session = make_session(
            verify=ca_bundle or os.environ.get("REQUESTS_CA_BUNDLE") or True,
            proxies=botocore.utils.get_environ_proxies(url),
            timeout=(settings.timeout, settings.timeout),
            max_pool_connections=settings.s3_workers,
        )

    def __call__(self, request: Any, **_: Any) -> Any:
        """Return the response. Its body has been read, except that of an object."""
        return self.bounded(lambda: self._send(request), request.url, lambda response: response.raw.close())

    def bounded(self, call: Callable[[], T], url: str, discard: Callable[[T], object] | None = None) -> T:
        """Return the result of *call*, which uses the network. ReadTimeoutError after the deadline."""
        started = time.monotonic()
        with self._lock:
            if self._timeouts >= _MAX_TIMEOUTS and started - self._last_timeout < _COOL_DOWN:
                raise SourceError(
                    "s3",
                    f"{self._timeouts} requests in a row timed out, so no more are sent for {_COOL_DOWN:.0f} s; check "
                    "AWS_ENDPOINT_URL and the network, and try again",
                )
        try:
            result = call_within(self._deadline, call, discard)
        except (ConnectTimeoutError, ReadTimeoutError, DeadlineExceeded) as error:
            with self._lock:
                if started >= self._last_timeout:
                    self._timeouts += 1
                    self._last_timeout = time.monotonic()
            if isinstance(error, DeadlineExceeded):
                raise ReadTimeoutError(endpoint_url=url, error=error) from None
            raise
        with self._lock:
            self._timeouts = 0
        return result

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
    content = bytearray()
    try:
        with contextlib.closing(raw):
            for part in raw.stream(65536):
                content += part
                if len(content) > _MAX_BYTES:
                    advice = "check AWS_ENDPOINT_URL and proxies"
                    found = f"the answer has more than {_MAX_BYTES // 10**6} MB"
                    raise SourceError("s3", f"{request.url.partition('?')[0]}: {found}; {advice}")
    except urllib3.exceptions.ReadTimeoutError as error:
        raise ReadTimeoutError(endpoint_url=request.url, error=error) from None
    except urllib3.exceptions.HTTPError as error:
        raise ConnectionClosedError(error=error, request=request, endpoint_url=request.url) from None
    return bytes(content)


# --- errors

# Raised by botocore for a value of another kind: a size that is no number, a date before the year 1.
_UNREADABLE = (ResponseParserError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_REFUSALS = (
    (("ExpiredToken", "ExpiredTokenException", "RequestExpired"), "the AWS credentials have expired: renew them"),
    (
        ("InvalidAccessKeyId", "SignatureDoesNotMatch"),
        "the AWS credentials are wrong: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    (("AccessDenied", "403"), "access denied: these AWS credentials may not {action} it"),
    (("301", "302", "307", "308"), "redirected ({code}) to another address; check AWS_ENDPOINT_URL"),
    (("NoSuchBucket",), "there is no such bucket: check the bucket settings"),
)


@contextlib.contextmanager
def _translated(name: str, action: str = "read") -> Iterator[None]:
    """Raise SourceError or MissingCredentials, with a remedy, for every exception of botocore."""
    try:
        yield
    except NpcLimsError:
        raise
    # from None: what these say may quote a header with its token, which a traceback would show
    except exceptions.ClientError as error:
        code, message = _code(error), error.response.get("Error", {}).get("Message", "")
        remedies = (text.format(action=action, code=code) for codes, text in _REFUSALS if code in codes)
        raise SourceError("s3", f"{name}: {next(remedies, f'{code} {message}'.strip())}") from None
    except exceptions.NoCredentialsError:
        raise MissingCredentials(f"no AWS credentials: {_credentials_remedy()}") from None
    except (exceptions.PartialCredentialsError, exceptions.ProfileNotFound) as error:
        raise MissingCredentials(f"{error}: check AWS_PROFILE and ~/.aws") from None
    except exceptions.CredentialRetrievalError as error:
        raise _retrieval_failure(str(error.kwargs.get("provider"))) from None
    except (exceptions.SSOError, exceptions.TokenRetrievalError) as error:
        raise SourceError("s3", f"no single sign-on ({error}): aws sso login --profile PROFILE") from None
    except (exceptions.BotoCoreError, OSError) as error:
        wrapped = getattr(error, "kwargs", {}).get("error")
        cause = wrapped if isinstance(wrapped, BaseException) else error
        raise SourceError("s3", f"{name}: {ca_bundle_failure(cause, _CA_BUNDLE) or error}") from None
    except _UNREADABLE as error:
        advice = "check AWS_ENDPOINT_URL and proxies"
        raise SourceError("s3", f"{name}: the answer cannot be read ({error}); {advice}") from None


def _code(error: exceptions.ClientError) -> str:
    response: Any = error.response
    return str(response.get("Error", {}).get("Code", response.get("ResponseMetadata", {}).get("HTTPStatusCode")))


def _credentials_remedy() -> str:
    if in_github_actions():
        return (
            "set AWS_ROLE, a variable of the repository, to the ARN of a role that trusts this job; if it is set, "
            "the step configure-aws-credentials says why it was refused (docs/operations/aws-role.md)"
        )
    return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE, or ~/.aws)"


def _retrieval_failure(reason: str) -> MissingCredentials:
    """Return the error for a program or server of ~/.aws; no secret that it gave may be in *reason*."""
    return MissingCredentials(
        f"AWS credentials could not be retrieved ({reason}); check AWS_PROFILE and ~/.aws: "
        "aws sts get-caller-identity shows more"
    )
