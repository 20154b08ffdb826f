"""Folders of buckets, listed once for all threads and for ten minutes, and paths that s3fs opens."""

from __future__ import annotations

import dataclasses
import importlib.util
import operator
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from npc_lims.clients.s3 import Folder, ObjectStore, open_store, split_s3_uri
from npc_lims.config.settings import SETTINGS, Settings
from npc_lims.utils.memory_cache import TTLCache

if TYPE_CHECKING:
    import upath


_LIFETIME = 600.0
_stores: TTLCache[ObjectStore] = TTLCache(maxsize=4, ttl=_LIFETIME, survives_fork=False)
_folders: TTLCache[Folder] = TTLCache(maxsize=4096, ttl=_LIFETIME)
# A subject has hundreds of files.
_files: TTLCache[dict[str, int]] = TTLCache(maxsize=256, ttl=_LIFETIME)

# The settings that decide which buckets are read, and how.
_aws_settings = (name for name in SETTINGS if name.startswith("aws_"))
_store_key = operator.attrgetter("offline", "mirror", "timeout", "attempts", "s3_workers", *_aws_settings)


def store_of(settings: Settings) -> ObjectStore:
    """Return the buckets, opened once: to make a client of S3 takes longer than a request."""
    return _stores.get_or_load(_store_key(settings), lambda: open_store(settings))


class CachedStore:
    """An `ObjectStore` whose folders are listed as `S3Folder` does."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        store = store_of(settings)
        self.list_all = store.list_all
        self.list_tree = store.list_tree
        self.has_any = store.has_any
        self.head = store.head
        self.read = store.read
        self.write = store.write

    def list_folder(self, bucket: str, prefix: str) -> Folder:
        return S3Folder(self._settings, bucket, prefix).listing()


@dataclasses.dataclass(frozen=True)
class S3Folder:
    """A folder of a bucket, with cached listings, which raise MissingCredentials and SourceError."""

    settings: Settings = dataclasses.field(repr=False)
    bucket: str
    prefix: str
    """Ends with a slash; empty for the whole bucket."""

    @classmethod
    def at(cls, settings: Settings, uri: str, *names: str) -> S3Folder:
        bucket, key = split_s3_uri(uri.rstrip("/"))
        return cls(settings, bucket, f"{key}/" if key else "").below(*names)

    def below(self, *names: str) -> S3Folder:
        return dataclasses.replace(self, prefix=self.prefix + "".join(f"{name}/" for name in names))

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def listing(self) -> Folder:
        """Return the names directly in the folder, sorted."""

        def load() -> Folder:
            found = store_of(self.settings).list_folder(self.bucket, self.prefix)
            # S3 orders a folder by its name with the slash
            return Folder(tuple(sorted(found.folders)), tuple(sorted(found.files)))

        return _folders.get_or_load((_store_key(self.settings), self.bucket, self.prefix), load)

    def list_each(self, names: Iterable[str]) -> list[Folder]:
        """Return the listings of folders below this one, made side by side."""
        folders = [self.below(name) for name in names]
        with ThreadPoolExecutor(self.settings.s3_workers) as pool:
            return [*pool.map(S3Folder.listing, folders)]

    def files(self) -> dict[str, int]:
        """Return every file below the folder, however deep: its path from here and its size, in the order of keys."""

        def load() -> dict[str, int]:
            found = store_of(self.settings).list_all(self.bucket, self.prefix)
            return {file.key[len(self.prefix) :]: file.size for file in found}

        return _files.get_or_load((_store_key(self.settings), self.bucket, self.prefix), load)

    def paths(self, names: Iterable[str]) -> tuple[upath.UPath, ...]:
        """Return paths of these names below the folder."""
        root = named_path(self.settings, self.uri)
        return tuple(root / name for name in names)


def named_path(settings: Settings, uri: str) -> upath.UPath:
    """Return *uri* as a path. To name it takes no s3fs; to open one on S3 does."""
    import upath

    if uri.startswith("s3://") and _has_s3fs():
        _configure_fsspec(settings)
    return upath.UPath(uri)


def _has_s3fs() -> bool:
    return importlib.util.find_spec("s3fs") is not None


def _configure_fsspec(settings: Settings) -> None:
    """Make settings of a `.env` for S3 the defaults of s3fs: as options of a path they would be pickled with it."""
    options: dict[str, Any] = {}
    if settings.aws_endpoint_url is not None and _unset("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        options["endpoint_url"] = settings.aws_endpoint_url
    if settings.aws_profile is not None and _unset("AWS_PROFILE"):
        options["profile"] = settings.aws_profile
    if settings.aws_default_region is not None and _unset("AWS_DEFAULT_REGION"):
        options["client_kwargs"] = {"region_name": settings.aws_default_region}
    key, secret = settings.aws_access_key_id, settings.aws_secret_access_key
    if key is not None and secret is not None and (_unset("AWS_ACCESS_KEY_ID") or _unset("AWS_SECRET_ACCESS_KEY")):
        token = settings.aws_session_token
        options["key"], options["secret"] = key.get_secret_value(), secret.get_secret_value()
        options["token"] = None if token is None else token.get_secret_value()
    if options:
        import fsspec.config  # type: ignore[import-untyped]

        fsspec.config.conf.setdefault("s3", {}).update(options)


def _unset(*names: str) -> bool:
    return not any(os.environ.get(name) for name in names)
