"""The tables as one SQLite database, which opens in Datasette."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from npc_lims.errors import NpcLimsError
from npc_lims.history.export.tables import TABLES, Column, cells

__all__ = ["SQLiteFile", "check_replaceable"]

_APPLICATION = 0x6E70636C
"""`npcl`, in the header of the file: nothing else is replaced."""
_HEAD = b"SQLite format 3\0"
_AT = slice(68, 72)
_TYPES = {"text": "TEXT", "integer": "INTEGER", "boolean": "INTEGER", "json": "TEXT"}


def check_replaceable(path: Path) -> None:
    """
    Raises:
        NpcLimsError: Something else than such a database is there.
    """
    if path.is_dir():
        raise NpcLimsError(f"{path}: a folder; name the file that the database is to be")
    if not path.exists():
        return
    if not path.is_file():
        raise NpcLimsError(f"{path}: a device or a pipe; name the file that the database is to be")
    with path.open("rb") as file:
        head = file.read(_AT.stop)
    if head and not (head.startswith(_HEAD) and head[_AT] == _APPLICATION.to_bytes(4, "big")):
        raise NpcLimsError(f"{path}: is there already, and no export of npc-lims: move it away, or name another file")


class SQLiteFile:
    """A database that is being filled."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        # nobody sees the file before it is whole: a journal would be for nothing
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"application_id = {_APPLICATION}"):
            self._connection.execute(f"PRAGMA {pragma}")
        for name in TABLES:
            self._connection.execute(_create(name))
        self._connection.execute("BEGIN")

    def write(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        columns = TABLES[table].columns
        marks = ", ".join("?" * len(columns))
        # the name is one of ours
        self._connection.executemany(f'INSERT INTO "{table}" VALUES ({marks})', cells(columns, rows))  # noqa: S608

    def finish(self) -> None:
        for name, table in TABLES.items():
            for column in table.columns:
                if column.is_indexed:
                    self._connection.execute(f'CREATE INDEX "{name}_{column.name}" ON "{name}" ("{column.name}")')
        self._connection.execute("COMMIT")
        self._connection.execute("ANALYZE")

    def close(self) -> None:
        self._connection.close()


def _create(name: str) -> str:
    table = TABLES[name]
    parts = [_column(column, table.key) for column in table.columns]
    if table.key:
        parts.append(f"PRIMARY KEY ({', '.join(_quoted(column) for column in table.key)})")
    for column in table.columns:
        if column.refers is not None:
            other, key = column.refers
            parts.append(f"FOREIGN KEY ({_quoted(column.name)}) REFERENCES {_quoted(other)} ({_quoted(key)})")
    return f"CREATE TABLE {_quoted(name)} (\n  " + ",\n  ".join(parts) + "\n)"


def _column(column: Column, key: Sequence[str]) -> str:
    is_needed = column.name in key or column.refers is not None
    return f"{_quoted(column.name)} {_TYPES[column.kind]}" + (" NOT NULL" if is_needed else "")


def _quoted(name: str) -> str:
    return f'"{name}"'
