"""Objects in buckets: S3 through boto3, or a folder that mirrors it.

Everything that reads buckets asks an `ObjectStore`, so that `--mirror DIR` runs the same code
on `DIR/s3/<bucket>/<key>`. This is the only module that imports boto3.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from npc_lims.clients.aws_credentials import Credentials, check_keys, register_session_token, retrieval_failure
from npc_lims.clients.s3_pages import ListingCheck, check_answer
from npc_lims.config.environment import in_github_actions
from npc_lims.errors import MissingCredentials, NpcLimsError, SourceError
from npc_lims.utils.ca_bundle import AWS_BUNDLE, ca_bundle_failure

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = ["Folder", "MirrorStore", "ObjectInfo", "ObjectStore", "S3Store", "StoreOpener", "open_store", "split_s3_uri"]


@dataclasses.dataclass(frozen=True)
class ObjectInfo:
    """One object: its key, its size in bytes and its ETag (without quotes)."""

    key: str
    size: int
    etag: str


@dataclasses.dataclass(frozen=True)
class Folder:
    """One level below a prefix: names of the folders (no slash at the end) and of the files."""

    folders: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return self.folders + self.files


class ObjectStore(Protocol):
    """Access to buckets. Every method raises `SourceError` when it cannot give a whole answer."""

    def list_folder(self, bucket: str, prefix: str) -> Folder:
        """What stands directly below *prefix* (which ends with a slash, or is empty)."""

    def list_all(self, bucket: str, prefix: str) -> Iterator[ObjectInfo]:
        """Yield every object whose key begins with *prefix*, in key order."""

    def list_tree(self, bucket: str, prefix: str, closed: str) -> Iterator[str]:
        """Yield the keys that begin with *prefix*, and one for all in a folder whose name ends with *closed*."""

    def has_any(self, bucket: str, prefix: str) -> bool:
        """Whether any key begins with *prefix*: one small request, to see whether it may be read at all."""

    def head(self, bucket: str, key: str) -> ObjectInfo | None:
        """The object, or None when there is none of that key."""

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        """Content of the object, or None when there is none of that key. Over *limit* bytes is a `SourceError`."""

    def write(self, bucket: str, key: str, content: bytes) -> None:
        """Make *content* the object. No sync and no read of anything does this."""


def split_s3_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`.

    >>> split_s3_uri("s3://aind-ephys-data/ecephys_626791_2022-08-15_13-07-32")
    ('aind-ephys-data', 'ecephys_626791_2022-08-15_13-07-32')
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise ValueError(f"{uri!r} is not an address such as s3://bucket/folder")
    return bucket, key


class StoreOpener:
    """Opens the buckets when they are first asked for, once, whichever thread asks."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._store: ObjectStore | None = None

    def __call__(self) -> ObjectStore:
        with self._lock:
            if self._store is None:
                self._store = open_store(self._settings)
            return self._store


def open_store(settings: Settings) -> ObjectStore:
    """The mirror folder if one is set, else S3 with the credentials that boto3 finds."""
    if settings.mirror is not None:
        return MirrorStore(settings.mirror / "s3")
    return S3Store(settings)


# A request that is answered at all, and a program that gives credentials, may take as many time-outs as this.
_DEADLINE_FACTOR = 4


class S3Store:
    """S3, or any server that speaks its language (`AWS_ENDPOINT_URL`).

    Safe to use from several threads: a boto3 client is.
    """

    def __init__(self, settings: Settings) -> None:
        check_keys(settings)
        with _S3Errors("S3"):
            self._client: Any = self._open(settings)

    def _open(self, settings: Settings) -> Any:
        import boto3
        import botocore.config
        import botocore.session

        from npc_lims.clients.s3_transport import Transport

        deadline = _DEADLINE_FACTOR * settings.timeout
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
        self._credentials = Credentials(session, deadline)
        client: Any = session.client(
            "s3",
            endpoint_url=settings.aws_endpoint_url,
            config=botocore.config.Config(
                retries={"mode": "standard", "total_max_attempts": settings.attempts},
                connect_timeout=settings.timeout,
                read_timeout=settings.timeout,
                max_pool_connections=settings.s3_workers,
            ),
        )
        client.meta.events.register("needs-retry.s3", _again_after_429(settings.attempts, settings.backoff))
        client.meta.events.register("before-call.s3.HeadBucket", _without_redirects)
        client.meta.events.register("before-send.s3", register_session_token)
        client.meta.events.register("after-call.s3", check_answer)
        self._transport = Transport(
            client.meta.endpoint_url,
            timeout=settings.timeout,
            deadline=deadline,
            ca_bundle=core.get_config_variable("ca_bundle"),
            connections=settings.s3_workers,
        )
        client.meta.events.register("before-send.s3", self._transport)
        return client

    def _send(self, operation: str, **parameters: Any) -> dict[str, Any]:
        self._credentials.refresh()
        answer: dict[str, Any] = getattr(self._client, operation)(**parameters)
        return answer

    def list_folder(self, bucket: str, prefix: str) -> Folder:
        folders: list[str] = []
        files: list[str] = []
        for page in self._pages(bucket, prefix, "/"):
            folders += [p["Prefix"][len(prefix) : -1] for p in page.get("CommonPrefixes", ())]
            files += [o["Key"][len(prefix) :] for o in page.get("Contents", ()) if o["Key"] != prefix]
        return Folder(tuple(folders), tuple(files))

    def list_all(self, bucket: str, prefix: str) -> Iterator[ObjectInfo]:
        for page in self._pages(bucket, prefix):
            for item in page.get("Contents", ()):
                yield ObjectInfo(item["Key"], int(item["Size"]), str(item["ETag"]).strip('"'))

    def list_tree(self, bucket: str, prefix: str, closed: str) -> Iterator[str]:
        for page in self._pages(bucket, prefix, f"{closed}/"):
            yield from (item["Key"] for item in page.get("Contents", ()))
            yield from (item["Prefix"] for item in page.get("CommonPrefixes", ()))

    def has_any(self, bucket: str, prefix: str) -> bool:
        page = self._page(bucket, prefix, MaxKeys=1)
        ListingCheck(bucket, prefix).add(page)
        return bool(page.get("Contents"))

    def _pages(self, bucket: str, prefix: str, delimiter: str = "") -> Iterator[dict[str, Any]]:
        check = ListingCheck(bucket, prefix, delimiter)
        request: dict[str, Any] = {"Delimiter": delimiter} if delimiter else {}
        while True:
            page = self._page(bucket, prefix, **request)
            token = check.add(page)
            yield page
            if token is None:
                return
            request["ContinuationToken"] = token

    def _page(self, bucket: str, prefix: str, **request: Any) -> dict[str, Any]:
        with _S3Errors(f"s3://{bucket}/{prefix}") as missing:
            page = self._send("list_objects_v2", Bucket=bucket, Prefix=prefix, **request)
        if missing:
            raise _no_listing(bucket, prefix)
        return page

    def head(self, bucket: str, key: str) -> ObjectInfo | None:
        with _S3Errors(f"s3://{bucket}/{key}") as missing:
            answer = self._send("head_object", Bucket=bucket, Key=key)
        if missing:
            return None
        name = f"s3://{bucket}/{key}"
        etag = str(_always_sent(answer, "ETag", name)).strip('"')
        size = int(_always_sent(answer, "ContentLength", name))
        if size < 0:
            raise SourceError("s3", f"{name}: its header declares {size} bytes; check AWS_ENDPOINT_URL and proxies")
        return ObjectInfo(key, size, etag)

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        with _S3Errors(f"s3://{bucket}/{key}") as missing:
            answer = self._send("get_object", Bucket=bucket, Key=key)
            _always_sent(answer, "ETag", f"s3://{bucket}/{key}")
            content = self._transport.bounded(lambda: _read_up_to(answer["Body"], limit), f"s3://{bucket}/{key}")
            declared = int(_always_sent(answer, "ContentLength", f"s3://{bucket}/{key}"))
        if missing:
            return None
        _check_size(f"s3://{bucket}/{key}", len(content), limit)
        if len(content) != declared:
            found = f"has {len(content)} bytes where its header declares {declared}"
            raise SourceError("s3", f"s3://{bucket}/{key} {found}; try again")
        return content

    def write(self, bucket: str, key: str, content: bytes) -> None:
        name = f"s3://{bucket}/{key}"
        with _S3Errors(name, "write") as missing:
            _always_sent(self._send("put_object", Bucket=bucket, Key=key, Body=content), "ETag", name)
        if missing:
            raise SourceError("s3", f"{name}: there is nothing that could hold it: check the bucket settings")


class MirrorStore:
    """A folder whose `<bucket>/<key>` files stand for the objects of buckets. What it has not got is not there."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise SourceError("s3", f"there is no folder {root}: a mirror holds s3/<bucket>/<key>")
        self._root = root

    def list_folder(self, bucket: str, prefix: str) -> Folder:
        with _FileErrors(self._root / bucket / prefix):
            try:
                entries = sorted(os.scandir(self._root / bucket / prefix), key=lambda entry: entry.name)
            except (FileNotFoundError, NotADirectoryError):
                return Folder((), ())
            return Folder(
                tuple(entry.name for entry in entries if entry.is_dir()),
                tuple(entry.name for entry in entries if not entry.is_dir()),
            )

    def list_all(self, bucket: str, prefix: str) -> Iterator[ObjectInfo]:
        top = self._root / bucket
        folder = top / prefix.rpartition("/")[0]
        with _FileErrors(folder):
            keys = [
                (Path(parent) / name).relative_to(top).as_posix()
                for parent, _, names in os.walk(folder, onerror=_unless_missing)
                for name in names
            ]
            for key in sorted(key for key in keys if key.startswith(prefix)):
                # a listing gives sizes only: hashing every file of a mirror would read all of it
                yield ObjectInfo(key, (top / key).stat().st_size, "")

    def list_tree(self, bucket: str, prefix: str, closed: str) -> Iterator[str]:
        top = self._root / bucket
        with _FileErrors(top / prefix):
            for parent, folders, names in os.walk(top / prefix, onerror=_unless_missing):
                path = f"{Path(parent).relative_to(top).as_posix()}/"
                yield from (path + name for name in names)
                yield from (f"{path}{name}/" for name in folders)
                folders[:] = [name for name in folders if not name.endswith(closed)]

    def has_any(self, bucket: str, prefix: str) -> bool:
        return next(self.list_all(bucket, prefix), None) is not None

    def head(self, bucket: str, key: str) -> ObjectInfo | None:
        content = self.read(bucket, key, limit=2**40)
        if content is None:
            return None
        return ObjectInfo(key, len(content), hashlib.sha256(content).hexdigest())

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        path = self._root / bucket / key
        with _FileErrors(path):
            if not path.is_file():
                return None
            _check_size(f"{path}", path.stat().st_size, limit)
            return path.read_bytes()
        return None

    def write(self, bucket: str, key: str, content: bytes) -> None:
        path = self._root / bucket / key
        with _FileErrors(path, "write"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _without_redirects(context: dict[str, Any], **_: Any) -> None:
    """Botocore asks where the bucket of a redirected request is, and asks again, without end, if that is redirected."""
    context["s3_redirect"]["redirected"] = True


def _again_after_429(most: int, backoff: float) -> Callable[..., float | None]:
    """What asks again after a bare 429, such as a proxy sends: botocore, in many of its versions, does not."""

    def wait(response: Any, attempts: int, **_: Any) -> float | None:
        is_429 = response is not None and response[0].status_code == 429
        return min(backoff * 2 ** (attempts - 1), 20.0) if is_429 and attempts < most else None

    return wait


def _always_sent(answer: Mapping[str, Any], field: str, name: str) -> Any:
    """What every answer of S3 holds: without it the answer is another server's, such as a login page."""
    if field not in answer:
        raise SourceError("s3", f"{name}: what answers is not S3 (no {field}); check AWS_ENDPOINT_URL and proxies")
    return answer[field]


def _no_listing(bucket: str, prefix: str) -> SourceError:
    """What a 404 to a listing means: an empty folder is a page without entries, and a bucket that is not there has a
    code of its own."""
    return SourceError("s3", f"s3://{bucket}/{prefix}: 404 to a listing is no answer of S3; check AWS_ENDPOINT_URL")


def _unless_missing(error: OSError) -> None:
    """What `os.walk` would step over: a folder that may not be read is not an empty one."""
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error


def _read_up_to(body: Any, limit: int) -> bytes:
    """Return one byte past the limit of what is longer: Content-Length is the server's claim, not a fact."""
    with contextlib.closing(body):
        content: bytes = body.read(limit + 1)
    return content


def _check_size(name: str, size: int, limit: int) -> None:
    if size > limit:
        raise SourceError("s3", f"{name} is larger than the {limit} bytes that are read of such a file")


def _plain(secret: Any) -> str | None:
    return None if secret is None else str(secret.get_secret_value())


class _FileErrors:
    """Turn what the file system raises into a `SourceError` naming the path."""

    def __init__(self, path: Path, doing: str = "read") -> None:
        self._path = path
        self._doing = doing

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, (OSError, ValueError)):  # no path may hold a null byte or half a character
            reason = getattr(error, "strerror", error)
            raise SourceError("s3", f"cannot {self._doing} {self._path}: {reason}") from error


# What botocore lets through where a value is not of its kind: a size that is no number, a date before the year 1.
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class _S3Errors:
    """Turn what botocore raises into a typed error that says what to do.

    As a context value it gives a list that is non-empty when the object does not exist.
    """

    def __init__(self, name: str, doing: str = "read") -> None:
        self._name = name
        self._doing = doing
        self._missing: list[bool] = []

    def __enter__(self) -> list[bool]:
        return self._missing

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        from botocore import exceptions
        from botocore.parsers import ResponseParserError

        if error is None or isinstance(error, NpcLimsError):
            return False
        if isinstance(error, exceptions.ClientError):
            return self._client_error(error)
        # from None: what these say may quote a header with its token, which a traceback would show
        if isinstance(error, exceptions.NoCredentialsError):
            raise MissingCredentials(f"no AWS credentials: {_remedy()}") from None
        if isinstance(error, (exceptions.PartialCredentialsError, exceptions.ProfileNotFound)):
            raise MissingCredentials(f"{error}: check AWS_PROFILE and ~/.aws") from None
        if isinstance(error, exceptions.CredentialRetrievalError):
            raise retrieval_failure(str(error.kwargs.get("provider"))) from None
        if isinstance(error, (exceptions.SSOError, exceptions.TokenRetrievalError)):
            raise SourceError("s3", f"no single sign-on ({error}): aws sso login --profile PROFILE") from None
        if isinstance(error, (exceptions.BotoCoreError, exceptions.HTTPClientError, OSError)):
            reason = ca_bundle_failure(_cause(error), AWS_BUNDLE) or error
            raise SourceError("s3", f"{self._name}: {reason}") from None
        if isinstance(error, (ResponseParserError, *_UNREADABLE)):
            advice = "check AWS_ENDPOINT_URL and proxies"
            raise SourceError("s3", f"{self._name}: the answer cannot be read ({error}); {advice}") from None
        return False

    def _client_error(self, error: Any) -> bool:
        details = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = str(details.get("Code", status))
        if code in ("NoSuchKey", "404", "NotFound"):
            self._missing.append(True)
            return True
        if code in ("ExpiredToken", "ExpiredTokenException", "RequestExpired"):
            advice = "the AWS credentials have expired: renew them"
        elif code in ("InvalidAccessKeyId", "SignatureDoesNotMatch"):
            advice = "the AWS credentials are wrong: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        elif code in ("AccessDenied", "403"):
            advice = f"access denied: these AWS credentials may not {self._doing} it"
        elif code in ("301", "302", "307", "308"):
            advice = f"redirected ({code}) to another address; check AWS_ENDPOINT_URL"
        elif code == "NoSuchBucket":
            advice = "there is no such bucket: check the bucket settings"
        else:
            advice = f"{code} {details.get('Message', '')}".strip()
        raise SourceError("s3", f"{self._name}: {advice}") from None


def _cause(error: BaseException) -> BaseException:
    """What botocore wrapped in an error of its own."""
    wrapped = getattr(error, "kwargs", {}).get("error")
    return wrapped if isinstance(wrapped, BaseException) else error


def _remedy() -> str:
    if in_github_actions():
        return (
            "set AWS_ROLE, a variable of the repository, to the ARN of a role that trusts this job; if it is set, "
            "the step configure-aws-credentials says why it was refused (docs/operations/aws-role.md)"
        )
    return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE, or ~/.aws)"
