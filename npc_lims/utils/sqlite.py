"""SQLite databases in memory: filled once, then only read, by as many threads as there are."""

from __future__ import annotations

import functools
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar, cast

_Method = TypeVar("_Method", bound=Callable[..., Any])


def _in_turn(method: _Method) -> _Method:
    """Return a method of a cursor that waits for its turn on the connection."""

    @functools.wraps(method)
    def call(cursor: SharedCursor, *arguments: Any, **options: Any) -> Any:
        with cursor.turn:
            return method(cursor, *arguments, **options)

    return cast("_Method", call)


class SharedConnection(sqlite3.Connection):
    """A database in memory whose rows are dicts, and which threads may share.

    Python caches prepared statements for a connection, and two threads may be handed the same one. So
    that this cannot happen, everything that touches a statement takes turns.
    """

    def __init__(self) -> None:
        super().__init__(":memory:", isolation_level=None, check_same_thread=False)
        self.turn = threading.RLock()
        self.row_factory = _as_dict

    def cursor(self, factory: Any = None) -> Any:
        make: Any = factory or SharedCursor
        return super().cursor(make)

    def execute(self, sql: str, parameters: Any = ()) -> Any:
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any]) -> Any:
        return self.cursor().executemany(sql, parameters)

    def executescript(self, sql_script: str) -> Any:
        return self.cursor().executescript(sql_script)

    def seal(self) -> None:
        """Refuse every write from now on."""
        self.execute("PRAGMA query_only = ON")

    def close(self) -> None:
        """Do nothing: others use it too. It is closed with the last reference to it."""

    def __del__(self) -> None:
        # left to Python, that would be a warning since 3.13
        super().close()


class SharedCursor(sqlite3.Cursor):
    """A cursor each of whose steps waits for its turn on the connection."""

    def __init__(self, connection: SharedConnection) -> None:
        super().__init__(connection)
        self.turn = connection.turn

    execute = _in_turn(sqlite3.Cursor.execute)
    executemany = _in_turn(sqlite3.Cursor.executemany)
    executescript = _in_turn(sqlite3.Cursor.executescript)
    fetchone = _in_turn(sqlite3.Cursor.fetchone)
    fetchmany = _in_turn(sqlite3.Cursor.fetchmany)
    fetchall = _in_turn(sqlite3.Cursor.fetchall)
    __next__ = _in_turn(sqlite3.Cursor.__next__)


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
