"""SQLite databases in memory: filled once, then only read, by as many threads as there are."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any


class SharedConnection(sqlite3.Connection):
    """A database in memory whose rows are dicts. Threads share it, so no prepared statements are cached."""

    def __init__(self) -> None:
        super().__init__(":memory:", isolation_level=None, check_same_thread=False, cached_statements=0)
        self.row_factory = _as_dict

    def seal(self) -> None:
        """Refuse every write from now on."""
        self.execute("PRAGMA query_only = ON")

    def close(self) -> None:
        """Do nothing: others use it too. It is closed with the last reference to it."""

    def __del__(self) -> None:
        # left to Python, that would be a warning since 3.13
        super().close()


def _as_dict(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row)}


def quoted(name: str) -> str:
    """Return *name* as an identifier in SQL, whatever it holds.

    >>> quoted('mice"; DROP TABLE mice')
    '"mice""; DROP TABLE mice"'
    """
    return '"' + name.replace('"', '""') + '"'


def load_image(content: bytes) -> SharedConnection:
    """Return the database in a file of *content*, to be read only; sqlite3.DatabaseError if it is none."""
    database = SharedConnection()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.sqlite"
        path.write_bytes(content)
        # immutable: no other process has it, and a database in WAL mode may then be opened as well
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as source:
            source.backup(database)
    database.seal()
    return database


def make_image(database: sqlite3.Connection) -> bytes:
    """Return the file that holds all of *database*."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.sqlite"
        with closing(sqlite3.connect(path)) as target:
            database.backup(target)
        return path.read_bytes()
