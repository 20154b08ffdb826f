"""Objects in buckets: S3 through boto3, or a folder that mirrors it.

All reads of buckets go through an `ObjectStore`, so that `--mirror DIR` runs the same code on
`DIR/s3/<bucket>/<key>`. This is the only module that imports boto3.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from npc_lims.clients.aws_credentials import Credentials, check_keys, register_session_token
from npc_lims.clients.s3_pages import ListingCheck, check_answer
from npc_lims.errors import SourceError

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

# A request that is answered at all, and a program that gives credentials, may take as many time-outs as this.
_DEADLINE_FACTOR = 4


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
    """Access to buckets. Every method raises `SourceError` if it cannot give a complete answer."""

    def list_folder(self, bucket: str, prefix: str) -> Folder:
        """Return the names directly below *prefix* (which ends with a slash, or is empty)."""

    def list_all(self, bucket: str, prefix: str) -> Iterator[ObjectInfo]:
        """Yield every object whose key begins with *prefix*, in key order."""

    def list_tree(self, bucket: str, prefix: str, closed: str) -> Iterator[str]:
        """Yield the keys that begin with *prefix*, and one for all in a folder whose name ends with *closed*."""

    def has_any(self, bucket: str, prefix: str) -> bool:
        """Return True if any key begins with *prefix*: by one small request, which also shows if access is allowed."""

    def head(self, bucket: str, key: str) -> ObjectInfo | None:
        """Return the object, or None if there is none with that key."""

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        """Return the content, or None if there is no object with that key. Over *limit* bytes is a `SourceError`."""

    def write(self, bucket: str, key: str, content: bytes) -> None:
        """Write an object. No sync and no read does this."""


def split_s3_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of `s3://bucket/key`.

    >>> split_s3_uri("s3://aind-ephys-data/ecephys_626791_2022-08-15_13-07-32")
    ('aind-ephys-data', 'ecephys_626791_2022-08-15_13-07-32')
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise ValueError(f"{uri!r} is not an address such as s3://bucket/folder")
    return bucket, key


def open_store(settings: Settings) -> ObjectStore:
    """Return the mirror folder if one is set, else S3 with the credentials that boto3 finds."""
    if settings.mirror is not None:
        return MirrorStore(settings.mirror / "s3")
    return S3Store(settings)


class S3Store:
    """S3, or any server with its protocol (`AWS_ENDPOINT_URL`); safe for threads, as a boto3 client is."""

    def __init__(self, settings: Settings) -> None:
        from npc_lims.clients.s3_transport import is_missing, translated

        check_keys(settings)
        self._translated, self._is_missing = translated, is_missing
        with self._translated("S3"):
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

    def _send(self, operation: str, **parameters: Any) -> dict[str, Any] | None:
        """Return the answer; None if there is no such object."""
        from botocore.exceptions import ClientError

        self._credentials.refresh()
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**parameters)
            return answer
        except ClientError as error:
            if self._is_missing(error):
                return None
            raise

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
        name = f"s3://{bucket}/{prefix}"
        with self._translated(name):
            page = self._send("list_objects_v2", Bucket=bucket, Prefix=prefix, **request)
        if page is None:  # an empty folder is a page without entries, and a missing bucket has a code of its own
            raise SourceError("s3", f"{name}: 404 to a listing is no answer of S3; check AWS_ENDPOINT_URL")
        return page

    def head(self, bucket: str, key: str) -> ObjectInfo | None:
        name = f"s3://{bucket}/{key}"
        with self._translated(name):
            answer = self._send("head_object", Bucket=bucket, Key=key)
            if answer is None:
                return None
            etag, size = str(_field(answer, "ETag", name)).strip('"'), int(_field(answer, "ContentLength", name))
        if size < 0:
            raise SourceError("s3", f"{name}: its header declares {size} bytes; check AWS_ENDPOINT_URL and proxies")
        return ObjectInfo(key, size, etag)

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        name = f"s3://{bucket}/{key}"
        with self._translated(name):
            answer = self._send("get_object", Bucket=bucket, Key=key)
            if answer is None:
                return None
            _field(answer, "ETag", name)
            body = answer["Body"]
            content = self._transport.bounded(lambda: _read_up_to(body, limit), name)
            declared = int(_field(answer, "ContentLength", name))
        _check_size(name, len(content), limit)
        if len(content) != declared:
            found = f"has {len(content)} bytes where its header declares {declared}"
            raise SourceError("s3", f"{name} {found}; try again")
        return content

    def write(self, bucket: str, key: str, content: bytes) -> None:
        name = f"s3://{bucket}/{key}"
        with self._translated(name, "write"):
            answer = self._send("put_object", Bucket=bucket, Key=key, Body=content)
            if answer is None:
                raise SourceError("s3", f"{name}: there is nothing that could hold it: check the bucket settings")
            _field(answer, "ETag", name)


class MirrorStore:
    """A folder whose files `<bucket>/<key>` stand for the objects of buckets."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise SourceError("s3", f"there is no folder {root}: a mirror holds s3/<bucket>/<key>")
        self._root = root

    def list_folder(self, bucket: str, prefix: str) -> Folder:
        with _file_errors(self._root / bucket / prefix):
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
        with _file_errors(folder):
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
        with _file_errors(top / prefix):
            for parent, folders, names in os.walk(top / prefix, onerror=_unless_missing):
                path = f"{Path(parent).relative_to(top).as_posix()}/"
                yield from (path + name for name in names)
                yield from (f"{path}{name}/" for name in folders)
                folders[:] = [name for name in folders if not name.endswith(closed)]

    def has_any(self, bucket: str, prefix: str) -> bool:
        return next(self.list_all(bucket, prefix), None) is not None

    def head(self, bucket: str, key: str) -> ObjectInfo | None:
        content = self.read(bucket, key, limit=2**40)
        return None if content is None else ObjectInfo(key, len(content), hashlib.sha256(content).hexdigest())

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        path = self._root / bucket / key
        with _file_errors(path):
            if not path.is_file():
                return None
            _check_size(f"{path}", path.stat().st_size, limit)
            return path.read_bytes()
        return None

    def write(self, bucket: str, key: str, content: bytes) -> None:
        path = self._root / bucket / key
        with _file_errors(path, "write"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _without_redirects(context: dict[str, Any], **_: Any) -> None:
    """Keep botocore from looking for the bucket of a redirected request, which would be redirected in turn."""
    context["s3_redirect"]["redirected"] = True


def _again_after_429(most: int, backoff: float) -> Callable[..., float | None]:
    """Return a handler that retries after a bare 429, as proxies send it: many versions of botocore do not."""

    def wait(response: Any, attempts: int, **_: Any) -> float | None:
        is_429 = response is not None and response[0].status_code == 429
        return min(backoff * 2 ** (attempts - 1), 20.0) if is_429 and attempts < most else None

    return wait


def _field(answer: Mapping[str, Any], field: str, name: str) -> Any:
    """Return a field of every answer of S3: without it, it comes from something else, such as a login page."""
    if field not in answer:
        raise SourceError("s3", f"{name}: what answers is not S3 (no {field}); check AWS_ENDPOINT_URL and proxies")
    return answer[field]


def _unless_missing(error: OSError) -> None:
    """Raise what `os.walk` would skip: a folder that may not be read is not an empty one."""
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


@contextlib.contextmanager
def _file_errors(path: Path, action: str = "read") -> Iterator[None]:
    """Raise SourceError for an error of the file system."""
    try:
        yield
    except (OSError, ValueError) as error:  # no path may hold a null byte or half a character
        raise SourceError("s3", f"cannot {action} {path}: {getattr(error, 'strerror', error)}") from error
