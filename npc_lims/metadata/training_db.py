"""The database of each training workbook: kept in memory, or written to where it is asked for."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npc_lims.clients.s3 import split_s3_uri
from npc_lims.clients.s3_cached import store_of
from npc_lims.clients.s3_upath import named_path
from npc_lims.config.disk_cache import cache_dir, load_copy, save_copy
from npc_lims.config.settings import load_settings
from npc_lims.errors import SourceError
from npc_lims.metadata.training_workbooks import list_workbooks, origin_of_workbooks, sqlite_name
from npc_lims.sources.training.workbooks import WORKBOOKS, as_training
from npc_lims.utils.memory_cache import TTLCache
from npc_lims.utils.sqlite import SharedConnection, load_image, make_image

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import Hashable

    import upath

    from npc_lims.config.settings import Settings

__all__ = ["download_training_dbs", "excel_to_sqlite", "get_training_db", "open_training_db", "update_training_dbs"]

FORMAT = 2
"""Raise it when the same workbook comes to give another database: it makes kept ones be built again."""

# within its lifetime, a workbook that was asked about is not asked about again
_versions: TTLCache[str] = TTLCache(maxsize=16, ttl=60)
_databases: TTLCache[SharedConnection] = TTLCache(maxsize=4, ttl=24 * 3600)
_building = threading.Lock()


def get_training_db(nsb: bool = False) -> sqlite3.Connection:
    """The training workbook, or that of the NSB team, as a database in memory: rows are dicts, values are text.

    All callers and threads are given the same connection, until the workbook changes. It can only be read.

    Raises:
        SourceError: The workbook is missing, cannot be fetched or cannot be read.
        MissingCredentials: There are no credentials for S3.
    """
    return open_training_db(load_settings(), WORKBOOKS[bool(nsb)])[1]


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
    return tuple(_write_database(settings, name, f"{folder}/{sqlite_name(name)}") for name in names)


def update_training_dbs() -> None:
    """Write the database of each training workbook beside it: the files that `get_training_sqlite_paths()` names.

    Raises:
        SourceError, MissingCredentials: As `get_training_db`; or the folder of the workbooks cannot be written to.
    """
    settings = load_settings()
    for name, address in list_workbooks(settings).items():
        _write_database(settings, name, address[: -len(name)] + sqlite_name(name))


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
    """The database of the workbook *name*, and what tells it from the databases of all other contents and places."""
    place = (settings.training, settings.aws_endpoint_url, str(settings.mirror), name)
    with _building:  # many threads that ask at once wait for one to build it
        version = _versions.get(place)
        kept = None if version is None else _kept(place, version)
        if version is None or kept is None:
            version, kept = _look(settings, place)
            _versions.put(place, version)
        return (place, version), kept


def _look(settings: Settings, place: tuple[Any, ...]) -> tuple[str, SharedConnection]:
    """The workbook's version now, and its database: in memory, as kept on disk, or built anew."""
    name = place[-1]
    with as_training():
        origin = origin_of_workbooks(settings)
        version = origin.version(name)
        path, address = cache_dir(settings) / "training" / sqlite_name(name), f"{origin.address}{name}"
        database = _kept(place, version)
        if database is None:
            image = load_copy(path, address, f"{version} {FORMAT}")
            database = None if image is None else load_image(image)
        if database is None:
            from npc_lims.metadata.training_tables import build_database  # openpyxl takes 0.15 s to import

            content, version = origin.fetch(name, version, fresh=False)
            database = build_database(content, name)
            save_copy(path, address, f"{version} {FORMAT}", make_image(database))
    return version, _databases.put((place, version), database)


def _kept(place: tuple[Any, ...], version: str) -> SharedConnection | None:
    """The database built before, unless somebody closed it."""
    kept = _databases.get((place, version))
    return None if kept is None or kept.closed else kept


def _write_database(settings: Settings, name: str, address: str) -> upath.UPath:
    return _write(settings, address, make_image(open_training_db(settings, name)[1]))


def _read(settings: Settings, address: str) -> bytes:
    from npc_lims.sources.training.xlsx import MAX_FILE_SIZE

    if address.startswith("s3://"):
        with as_training():
            content = store_of(settings).read(*split_s3_uri(address), MAX_FILE_SIZE)
        if content is None:
            raise SourceError("training", f"there is no {address}")
        return content
    try:
        with open(address, "rb") as file:
            return file.read(MAX_FILE_SIZE + 1)  # the parser refuses one byte too many
    except OSError as error:
        raise SourceError("training", f"cannot read {address}: {error.strerror}") from error


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
