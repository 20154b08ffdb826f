"""The training workbooks and their databases: cached in memory and on disk, or written to a folder."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from npc_lims.clients.s3 import split_s3_uri
from npc_lims.clients.s3_cached import named_path, s3_path, store_of
from npc_lims.config.disk_cache import CacheEntry, cache_dir, load_entry, store_entry
from npc_lims.config.settings import load_settings
from npc_lims.errors import SourceError
from npc_lims.sources.training.workbooks import (
    WORKBOOKS,
    WorkbookFolder,
    as_training,
    open_folder,
    read_workbook_file,
)
from npc_lims.utils.memory_cache import TTLCache
from npc_lims.utils.sqlite import SharedConnection, load_image, make_image

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import Hashable

    import upath

    from npc_lims.config.settings import Settings

__all__ = [
    "download_training_dbs",
    "excel_to_sqlite",
    "get_training_db",
    "get_training_spreadsheet_paths",
    "get_training_sqlite_paths",
    "open_training_db",
    "update_training_dbs",
]

_PREFIX, _SUFFIX = "DynamicRoutingTraining", ".xlsx"

FORMAT = 2
"""Raise it when the same workbook comes to give another database: it invalidates those in the cache."""

# within its lifetime, the version of a workbook is not queried again
_versions: TTLCache[str] = TTLCache(maxsize=16, ttl=60)
_databases: TTLCache[SharedConnection] = TTLCache(maxsize=4, ttl=24 * 3600)
_loading = threading.Lock()


def get_training_db(nsb: bool = False) -> sqlite3.Connection:
    """Return the training workbook, or that of the NSB team, as a database in memory: rows are dicts, values are text.

    All callers and threads are given the same connection, until the workbook changes. It can only be read.

    Raises:
        SourceError: The workbook is missing, cannot be fetched or cannot be read.
        MissingCredentials: There are no credentials for S3.
    """
    return open_training_db(load_settings(), WORKBOOKS[bool(nsb)])[1]


def get_training_spreadsheet_paths() -> tuple[upath.UPath, ...]:
    """Return the paths of all training workbooks, by name.

    Raises:
        SourceError: The folder cannot be listed, or has none.
        MissingCredentials: There are no credentials for S3.
        MissingDependency: They are on S3, and s3fs is not installed.
    """
    settings = load_settings()
    addresses = list_workbooks(settings).values()
    return tuple((s3_path if uri.startswith("s3://") else named_path)(settings, uri) for uri in addresses)


def get_training_sqlite_paths() -> tuple[upath.UPath, ...]:
    """Return the paths that `update_training_dbs()` writes. Raises as `get_training_spreadsheet_paths`."""
    return tuple(path.with_suffix(".sqlite") for path in get_training_spreadsheet_paths())


def list_workbooks(settings: Settings) -> dict[str, str]:
    """Return the addresses of the workbooks by file name, in order."""
    with as_training():
        folder = _folder(settings)
        names = sorted(name for name in folder.names() if name.startswith(_PREFIX) and name.endswith(_SUFFIX))
    if not names:
        raise SourceError("training", f"there is no {_PREFIX}*{_SUFFIX} in {folder.address} (NPC_LIMS_TRAINING)")
    return {name: f"{folder.address}{name}" for name in names}


def download_training_dbs(
    save_dir: str | os.PathLike[str] | upath.UPath | None = None, nsb: bool | None = None
) -> tuple[upath.UPath, ...]:
    """Write the database of each training workbook as `<name of the workbook>.sqlite`.

    Args:
        save_dir: Where to; made if it is not there (default: a new temporary folder).
        nsb: True for the NSB team's alone, False for all others.

    Raises:
        SourceError, MissingCredentials: As `get_training_db`; or *save_dir* cannot be written to.
    """
    settings = load_settings()
    names = [name for name in list_workbooks(settings) if nsb is None or ("NSB" in name) == nsb]
    folder = tempfile.mkdtemp(prefix="npc_lims-") if save_dir is None else str(save_dir).rstrip("/")
    return tuple(_write_database(settings, name, f"{folder}/{_sqlite_name(name)}") for name in names)


def update_training_dbs() -> None:
    """Write the database of each training workbook beside it: the files that `get_training_sqlite_paths()` names.

    Raises:
        SourceError, MissingCredentials: As `get_training_db`; or the folder of the workbooks cannot be written to.
    """
    settings = load_settings()
    for name, address in list_workbooks(settings).items():
        _write_database(settings, name, address[: -len(name)] + _sqlite_name(name))


def excel_to_sqlite(spreadsheet: str | upath.UPath, save_path: str | upath.UPath) -> upath.UPath:
    """Write the database of any workbook, a file of this machine or on S3, to *save_path*, and give that back.

    Raises:
        SourceError, MissingCredentials: The workbook cannot be read, or *save_path* cannot be written.
    """
    from npc_lims.metadata.training_tables import build_database

    settings = load_settings()
    database = build_database(_read(settings, str(spreadsheet)), Path(str(spreadsheet)).name)
    return _write(settings, str(save_path), make_image(database))


def open_training_db(settings: Settings, name: str) -> tuple[Hashable, SharedConnection]:
    """Return the database of the workbook *name*, and a key of its content: equal for equal contents only."""
    key = (settings.training, settings.aws_endpoint_url, str(settings.mirror), name)
    with as_training(), _loading:  # threads that need it at once wait for one to query its version and load it
        cached_version = _versions.get(key)
        version = cached_version or _folder(settings).version(name)
        database = _databases.get((key, version))
        if database is None or database.closed:  # by a caller
            database = _databases.put((key, version), _load(settings, name, version))
        if cached_version is None:  # not before the database is loaded: one that cannot be read is queried again
            _versions.put(key, version)
    return (key, version), database


def _load(settings: Settings, name: str, version: str) -> SharedConnection:
    """Load a database from the cache on disk, or build it."""
    folder = _folder(settings)
    path, address = cache_dir(settings) / "training" / _sqlite_name(name), f"{folder.address}{name}"
    entry = load_entry(path, address, f"{version} {FORMAT}")
    database = None if entry is None else load_image(entry.content)
    if database is None:
        from npc_lims.metadata.training_tables import build_database  # openpyxl takes 0.15 s to import

        content, version = folder.fetch(name, version, fresh=False)
        database = build_database(content, name)
        store_entry(path, CacheEntry(make_image(database), f"{version} {FORMAT}", address))
    return database


def _folder(settings: Settings) -> WorkbookFolder:
    return open_folder(settings, lambda: store_of(settings))


def _write_database(settings: Settings, name: str, address: str) -> upath.UPath:
    return _write(settings, address, make_image(open_training_db(settings, name)[1]))


def _read(settings: Settings, address: str) -> bytes:
    from npc_lims.sources.training.xlsx import MAX_FILE_SIZE

    if not address.startswith("s3://"):
        return read_workbook_file(Path(address))
    with as_training():
        content = store_of(settings).read(*split_s3_uri(address), MAX_FILE_SIZE)
    if content is None:
        raise SourceError("training", f"there is no {address}")
    return content


def _write(settings: Settings, address: str, content: bytes) -> upath.UPath:
    from npc_lims.utils.atomic_write import write_atomically

    if address.startswith("s3://"):
        with as_training():
            store_of(settings).write(*split_s3_uri(address), content)
    else:
        try:
            write_atomically(Path(address), content)
        except OSError as error:
            raise SourceError("training", f"cannot write {address}: {error.strerror}") from error
    return named_path(settings, address)


def _sqlite_name(workbook: str) -> str:
    """
    >>> _sqlite_name("DynamicRoutingTrainingNSB.xlsx")
    'DynamicRoutingTrainingNSB.sqlite'
    """
    return str(Path(workbook).with_suffix(".sqlite"))
