"""What stands in folders of buckets, asked once: whatever is looked for in a folder, and from however many threads."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from npc_lims.clients.s3 import Folder, ObjectInfo, ObjectStore, open_store, split_s3_uri
from npc_lims.utils.memory_cache import TTLCache

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = ["RememberingStore", "folder_below", "folder_uri", "list_files", "list_folder", "list_folders", "store_of"]

_LIFETIME = 600.0
_stores: TTLCache[ObjectStore] = TTLCache(maxsize=4, ttl=_LIFETIME, survives_fork=False)
_folders: TTLCache[Folder] = TTLCache(maxsize=4096, ttl=_LIFETIME)
# A subject has hundreds of files.
_files: TTLCache[tuple[ObjectInfo, ...]] = TTLCache(maxsize=256, ttl=_LIFETIME)

# What decides which buckets are read, and how: other settings, other answers.
_place_of = operator.attrgetter(
    "mirror",
    "aws_endpoint_url",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_default_region",
    "aws_profile",
    "timeout",
    "attempts",
    "s3_workers",
)


def folder_below(root: str, *names: str) -> tuple[str, str]:
    """Bucket and prefix (ending with a slash) of a folder below an address.

    >>> folder_below("s3://bucket/data", "901001"), folder_below("s3://bucket")
    (('bucket', 'data/901001/'), ('bucket', ''))
    """
    bucket, key = split_s3_uri(root)
    return bucket, "".join(f"{name}/" for name in (key, *names) if name)


def folder_uri(bucket: str, prefix: str) -> str:
    """The address of a folder, without a slash at its end."""
    return f"s3://{bucket}/{prefix}".rstrip("/")


def store_of(settings: Settings) -> ObjectStore:
    """The buckets, opened once: making a client of S3 takes longer than asking it."""
    return _stores.get_or_load(_place_of(settings), lambda: open_store(settings))


class RememberingStore:
    """An `ObjectStore` that lists a folder once, for all who list it: `list_folder`."""

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
        return list_folder(self._settings, bucket, prefix)


def list_folder(settings: Settings, bucket: str, prefix: str) -> Folder:
    """What stands directly below *prefix* (which ends with a slash, or is empty), the names in order.

    Raises:
        MissingCredentials: There are no AWS credentials.
        SourceError: The listing failed.
    """

    def ask() -> Folder:
        found = store_of(settings).list_folder(bucket, prefix)
        # S3 counts the slash after a folder's name; callers have always had them in the order of the names
        return Folder(tuple(sorted(found.folders)), tuple(sorted(found.files)))

    return _folders.get_or_load((_place_of(settings), bucket, prefix), ask)


def list_folders(settings: Settings, bucket: str, prefixes: Iterable[str]) -> list[Folder]:
    """`list_folder` of each, side by side. Raises as it does."""
    wanted = list(prefixes)
    if len(wanted) < 2:
        return [list_folder(settings, bucket, prefix) for prefix in wanted]
    with ThreadPoolExecutor(min(settings.s3_workers, len(wanted))) as pool:
        return list(pool.map(lambda prefix: list_folder(settings, bucket, prefix), wanted))


def list_files(settings: Settings, bucket: str, prefix: str) -> tuple[ObjectInfo, ...]:
    """Every object below *prefix*, however deep, in the order of keys. Raises as `list_folder`."""

    def ask() -> tuple[ObjectInfo, ...]:
        return tuple(store_of(settings).list_all(bucket, prefix))

    return _files.get_or_load((_place_of(settings), bucket, prefix), ask)
