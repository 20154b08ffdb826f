"""Objects in buckets: S3 through boto3, or a folder that mirrors it.

All reads of buckets go through an `ObjectStore`, so that `--mirror DIR` runs the same code on
`DIR/s3/<bucket>/<key>`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from npc_lims.config.settings import OFFLINE, Settings
from npc_lims.errors import SourceError
from npc_lims.utils.text import single_line

# Of 1,000 names each: a folder with more entries is none of a session.
_MAX_FOLDER_PAGES = 100
# The bound of last resort: who lists everything below a prefix knows how much to expect.
_MAX_PAGES = 5_000
# S3 sends a page without keys where many keys in a row were deleted, but not page after page.
_MAX_EMPTY_PAGES = 100
_ENCODED = re.compile("%[0-9A-Fa-f]{2}")
_CHUNK = 2**20
# The alias of an access point stands for a bucket of another name.
_ALIAS_SUFFIX = "-s3alias"


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
    if settings.offline:
        raise SourceError("s3", OFFLINE)
    if settings.mirror is not None:
        return MirrorStore(settings.mirror / "s3")
    return S3Store(settings)


class S3Store:
    """S3, or any server with its protocol (`AWS_ENDPOINT_URL`); safe for threads, as a boto3 client is."""

    def __init__(self, settings: Settings) -> None:
        from npc_lims.clients.s3_client import S3Client

        self._client = S3Client(settings)

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
        return bool(next(self._pages(bucket, prefix, MaxKeys=1)).get("Contents"))

    def _pages(self, bucket: str, prefix: str, delimiter: str = "", **request: Any) -> Iterator[dict[str, Any]]:
        """Yield the pages of a complete listing, else SourceError: botocore ends at any page that has no token."""
        uri = f"s3://{bucket}/{prefix}"
        if delimiter:
            request["Delimiter"] = delimiter
        seen: set[str] = set()
        tokens: set[str] = set()
        total = empty_pages = 0
        for number in itertools.count(1):
            page = self._client.call("list_objects_v2", uri, Bucket=bucket, Prefix=prefix, **request)
            if page is None:  # an empty folder is a page without entries, and a missing bucket has a code of its own
                raise SourceError("s3", f"{uri}: 404 to a listing is no answer of S3; check AWS_ENDPOINT_URL")
            try:
                names = _checked_names(page, bucket, prefix, delimiter)
                seen.update(names)
                total += len(names)
                if len(seen) != total:
                    raise ValueError("the listing repeats keys")
                empty_pages = 0 if names else empty_pages + 1
                if number > (_MAX_FOLDER_PAGES if delimiter else _MAX_PAGES) or empty_pages > _MAX_EMPTY_PAGES:
                    raise ValueError(f"the listing does not end (page {number})")
                token = _next_token(page)
                if token in tokens:
                    raise ValueError("the listing repeats a continuation token")
            except ValueError as error:
                advice = "nothing of it was used; check AWS_ENDPOINT_URL and proxies"
                raise SourceError("s3", f"{single_line(uri)}: {error}; {advice}") from None
            yield page
            if token is None:
                return
            tokens.add(token)
            request["ContinuationToken"] = token

    def head(self, bucket: str, key: str) -> ObjectInfo | None:
        name = f"s3://{bucket}/{key}"
        answer = self._client.call("head_object", name, Bucket=bucket, Key=key)
        if answer is None:
            return None
        size = int(_field(answer, "ContentLength", name))
        if size < 0:
            raise SourceError("s3", f"{name}: its header declares {size} bytes; check AWS_ENDPOINT_URL and proxies")
        return ObjectInfo(key, size, str(_field(answer, "ETag", name)).strip('"'))

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        name = f"s3://{bucket}/{key}"
        answer = self._client.call("get_object", name, Bucket=bucket, Key=key)
        if answer is None:
            return None
        _field(answer, "ETag", name)
        content = self._client.read_body(answer["Body"], name, limit)
        declared = int(_field(answer, "ContentLength", name))
        _check_size(name, len(content), limit)
        if len(content) != declared:
            found = f"has {len(content)} bytes where its header declares {declared}"
            raise SourceError("s3", f"{name} {found}; try again")
        return content

    def write(self, bucket: str, key: str, content: bytes) -> None:
        name = f"s3://{bucket}/{key}"
        answer = self._client.call("put_object", name, "write", Bucket=bucket, Key=key, Body=content)
        if answer is None:
            raise SourceError("s3", f"{name}: there is nothing that could hold it: check the bucket settings")
        _field(answer, "ETag", name)


def _field(answer: Mapping[str, Any], field: str, name: str) -> Any:
    """Return a field of every answer of S3: without it, it comes from something else, such as a login page."""
    if field not in answer:
        raise SourceError("s3", f"{name}: what answers is not S3 (no {field}); check AWS_ENDPOINT_URL and proxies")
    return answer[field]


def _checked_names(page: Mapping[str, Any], bucket: str, prefix: str, delimiter: str) -> list[str]:
    """Return the keys and common prefixes of a page of a listing; ValueError if it is inconsistent."""
    for field in ("Name", "Prefix", "KeyCount", "IsTruncated"):
        if field not in page:  # S3 always sends them: another server has answered
            raise ValueError(f"what answers is not S3 (no {field})")
    if page["Name"] != bucket and not bucket.endswith(_ALIAS_SUFFIX):
        raise ValueError(f"the listing is of another bucket ({single_line(page['Name'], 100)})")
    if page["Prefix"] != prefix:
        raise ValueError(f"the listing is of another prefix ({single_line(page['Prefix'], 100)})")
    names = [_checked_key(item, prefix, delimiter) for item in page.get("Contents", ())]
    for item in page.get("CommonPrefixes", ()):
        folder = item.get("Prefix", "")
        below = folder[len(prefix) :] if folder.startswith(prefix) else ""
        if not delimiter or below.partition(delimiter)[1:] != (delimiter, ""):
            raise ValueError(f"the common prefix {single_line(folder, 200)} does not belong to it")
        names.append(folder)
    if page.get("EncodingType") != "url" and any(map(_ENCODED.search, names)):
        raise ValueError("the keys are encoded, and the listing does not say so (EncodingType)")
    if page["KeyCount"] > len(names):
        raise ValueError(f"a page of {page['KeyCount']} entries holds {len(names)}")
    return names


def _checked_key(item: Mapping[str, Any], prefix: str, delimiter: str) -> str:
    for field in ("Key", "Size", "ETag"):
        if field not in item:
            raise ValueError(f"an object has no {field}")
    key = str(item["Key"])
    if item["Size"] < 0:
        raise ValueError(f"the size of {single_line(key, 200)} is negative")
    if not (key and key.startswith(prefix)) or (delimiter and delimiter in key[len(prefix) :]):
        raise ValueError(f"the key {single_line(key, 200)} does not belong to it")
    return key


def _next_token(page: Mapping[str, Any]) -> str | None:
    """Return the token of the next page, None for the last; ValueError if the page does not say which it is."""
    token: str | None = page.get("NextContinuationToken")
    if token and not page["IsTruncated"]:
        raise ValueError("the listing says that it is complete, and how to go on")
    if page["IsTruncated"] and not token:
        raise ValueError("the listing is truncated, without a token to go on")
    return token or None


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
        folder = prefix[: prefix.rfind("/") + 1]
        keys = sorted(key for key in self._walk(bucket, folder) if key.startswith(prefix) and not key.endswith("/"))
        for key in keys:
            path = self._root / bucket / key
            with _file_errors(path):
                size = path.stat().st_size
            yield ObjectInfo(key, size, "")  # hashing every file of a mirror would read all of it

    def list_tree(self, bucket: str, prefix: str, closed: str) -> Iterator[str]:
        return self._walk(bucket, prefix, closed)

    def _walk(self, bucket: str, prefix: str, closed: str | None = None) -> Iterator[str]:
        """Yield keys of files and, with a slash, of folders; of a folder whose name ends with *closed* nothing else."""
        top = self._root / bucket
        with _file_errors(top / prefix):
            for parent, folders, names in os.walk(top / prefix, onerror=_unless_missing):
                path = "" if Path(parent) == top else f"{Path(parent).relative_to(top).as_posix()}/"
                yield from (path + name for name in names)
                yield from (f"{path}{name}/" for name in folders)
                if closed is not None:
                    folders[:] = [name for name in folders if not name.endswith(closed)]

    def has_any(self, bucket: str, prefix: str) -> bool:
        return next(self.list_all(bucket, prefix), None) is not None

    def head(self, bucket: str, key: str) -> ObjectInfo | None:
        path, digest = self._root / bucket / key, hashlib.sha256()
        with _file_errors(path):
            if not path.is_file():
                return None
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
                return ObjectInfo(key, file.tell(), digest.hexdigest())
        return None

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


def _unless_missing(error: OSError) -> None:
    """Raise what `os.walk` would skip: a folder that may not be read is not an empty one."""
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        raise error


def _check_size(name: str, size: int, limit: int) -> None:
    if size > limit:
        raise SourceError("s3", f"{name} is larger than the {limit} bytes that are read of such a file")


@contextlib.contextmanager
def _file_errors(path: Path, action: str = "read") -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # no path may hold a null byte or half a character
        raise SourceError("s3", f"cannot {action} {path}: {getattr(error, 'strerror', error)}") from error
