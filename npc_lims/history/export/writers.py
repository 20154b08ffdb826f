"""Writers of the tables: one SQLite database, which opens in Datasette, or a folder of JSON lines, CSV or Parquet."""

from __future__ import annotations

import csv
import enum
import importlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from npc_lims.errors import MissingDependency, NpcLimsError
from npc_lims.history.export.tables import TABLES, Column, cells
from npc_lims.state.diff import ABSENT
from npc_lims.utils.sqlite import quoted

_APPLICATION = 0x6E70636C
"""`npcl`, in the header of the database: no other file is replaced."""
_HEAD = b"SQLite format 3\0"
_APPLICATION_BYTES = slice(68, 72)
_SQL_TYPES = {"text": "TEXT", "integer": "INTEGER", "boolean": "INTEGER", "json": "TEXT"}


class ExportFormat(str, enum.Enum):
    sqlite = "sqlite"
    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"


class TableWriter(Protocol):
    """Tables that are being written."""

    def write(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None: ...

    def finish(self) -> None: ...

    def close(self) -> None: ...


def open_writer(path: Path, kind: ExportFormat) -> TableWriter:
    """Create the database, or the folder with its files.

    Raises:
        MissingDependency: Parquet, without pyarrow.
    """
    if kind is ExportFormat.sqlite:
        return _SQLiteWriter(path)
    path.mkdir()
    writers: dict[ExportFormat, Callable[[Path], TableWriter]] = {
        ExportFormat.jsonl: _JSONWriter,
        ExportFormat.csv: _CSVWriter,
        ExportFormat.parquet: _ParquetWriter,
    }
    return writers[kind](path)


def check_replaceable(path: Path, kind: ExportFormat) -> None:
    """Check that nothing is at *path*, or an earlier export.

    Raises:
        NpcLimsError: Something else is there.
    """
    is_database = kind is ExportFormat.sqlite
    what = "file that the database is to be" if is_database else "folder that the tables are to be in"
    if not path.exists():
        return
    if is_database:
        if not path.is_file():
            raise NpcLimsError(f"{path}: {'a folder' if path.is_dir() else 'a device or a pipe'}; name the {what}")
        with path.open("rb") as file:
            head = file.read(_APPLICATION_BYTES.stop)
        if head and not (head.startswith(_HEAD) and head[_APPLICATION_BYTES] == _APPLICATION.to_bytes(4, "big")):
            raise NpcLimsError(
                f"{path}: is there already, and no export of npc-lims: move it away, or name another file"
            )
        return
    if not path.is_dir():
        raise NpcLimsError(f"{path}: a file; name the {what}")
    found = {file.name for file in path.iterdir()}
    # an export has all tables: a folder with a sessions.csv alone is somebody else's
    if found and not any(found == {f"{table}.{other.value}" for table in TABLES} for other in ExportFormat):
        raise NpcLimsError(
            f"{path}: holds {min(found)}, and is no export of npc-lims: name another folder, which is replaced whole"
        )


class _TextWriter:
    """A text file for each table."""

    def __init__(self, folder: Path, suffix: str) -> None:
        self._files: dict[str, IO[str]] = {
            table: (folder / f"{table}.{suffix}").open("w", encoding="utf-8", newline="") for table in TABLES
        }

    def finish(self) -> None:
        self.close()

    def close(self) -> None:
        for file in self._files.values():
            file.close()


class _JSONWriter(_TextWriter):
    """A JSON object a line. A key that is not there is a value that was or is not there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "jsonl")

    def write(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        names = [column.name for column in TABLES[table].columns]
        for row in rows:
            fields = {name: value for name, value in zip(names, row) if value is not ABSENT}
            # ASCII, so that whatever people typed survives any reader
            self._files[table].write(f"{json.dumps(fields, separators=(',', ':'))}\n")


class _CSVWriter(_TextWriter):
    """UTF-8 as in RFC 4180, a line of names and then a line for each row; an empty cell is null."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "csv")
        # Python before 3.13 quotes a carriage return only where it is of the line's end
        self._writers = {table: csv.writer(file, lineterminator="\r\n") for table, file in self._files.items()}
        for table, writer in self._writers.items():
            writer.writerow([column.name for column in TABLES[table].columns])

    def write(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self._writers[table].writerows(
            [str(value).lower() if isinstance(value, bool) else value for value in row]
            for row in cells(TABLES[table].columns, rows)
        )


class _ParquetWriter:
    """Compressed files; what is no text, number or boolean is JSON text."""

    def __init__(self, folder: Path) -> None:
        try:
            pyarrow: Any = importlib.import_module("pyarrow")
            parquet: Any = importlib.import_module("pyarrow.parquet")
        except ImportError:
            raise MissingDependency('Parquet needs pyarrow: pip install "npc_lims[parquet]"') from None
        types = {"integer": pyarrow.int64(), "boolean": pyarrow.bool_()}
        self._arrow = pyarrow
        self._schemas = {
            name: pyarrow.schema([(column.name, types.get(column.kind, pyarrow.string())) for column in table.columns])
            for name, table in TABLES.items()
        }
        self._writers = {
            name: parquet.ParquetWriter(str(folder / f"{name}.parquet"), schema)
            for name, schema in self._schemas.items()
        }

    def write(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        schema = self._schemas[table]
        columns = list(zip(*cells(TABLES[table].columns, rows)))
        arrays = [self._arrow.array(column, field.type) for column, field in zip(columns, schema)]
        self._writers[table].write_batch(self._arrow.record_batch(arrays, schema=schema))

    def finish(self) -> None:
        self.close()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()


class _SQLiteWriter:
    """A database with keys and indexes."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        # nobody sees the file before it is complete, so it needs no journal
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"application_id = {_APPLICATION}"):
            self._connection.execute(f"PRAGMA {pragma}")
        for name in TABLES:
            self._connection.execute(_create_table(name))
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


def _create_table(name: str) -> str:
    table = TABLES[name]
    parts = [_column(column, table.key) for column in table.columns]
    if table.key:
        parts.append(f"PRIMARY KEY ({', '.join(quoted(column) for column in table.key)})")
    for column in table.columns:
        if column.refers is not None:
            other, key = column.refers
            parts.append(f"FOREIGN KEY ({quoted(column.name)}) REFERENCES {quoted(other)} ({quoted(key)})")
    return f"CREATE TABLE {quoted(name)} (\n  " + ",\n  ".join(parts) + "\n)"


def _column(column: Column, key: Sequence[str]) -> str:
    is_needed = column.name in key or column.refers is not None
    return f"{quoted(column.name)} {_SQL_TYPES[column.kind]}" + (" NOT NULL" if is_needed else "")
