"""The tables as a folder of files, one for each: JSON lines, CSV, or Parquet."""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from npc_lims.errors import MissingDependency, NpcLimsError
from npc_lims.history.export.tables import TABLES, cells
from npc_lims.state.diff import ABSENT

__all__ = ["CSVFiles", "JSONFiles", "ParquetFiles", "check_replaceable"]

_SUFFIXES = (".jsonl", ".csv", ".parquet")


def check_replaceable(folder: Path) -> None:
    """
    Raises:
        NpcLimsError: Something else than such a folder is there.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise NpcLimsError(f"{folder}: a file; name the folder that the tables are to be in")
    found = {path.name for path in folder.iterdir()}
    # an export has all tables: a folder with a sessions.csv alone is somebody else's
    if found and not any(found == {f"{table}{suffix}" for table in TABLES} for suffix in _SUFFIXES):
        raise NpcLimsError(
            f"{folder}: holds {min(found)}, and is no export of npc-lims: name another folder, which is replaced whole"
        )


class JSONFiles:
    """A JSON object a line. A key that is not there is a value that was or is not there."""

    def __init__(self, folder: Path) -> None:
        self._files = {table: (folder / f"{table}.jsonl").open("w", encoding="utf-8", newline="") for table in TABLES}

    def write(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        names = [column.name for column in TABLES[table].columns]
        for row in rows:
            told = {name: value for name, value in zip(names, row) if value is not ABSENT}
            # ASCII, so that whatever people typed survives any reader
            self._files[table].write(f"{json.dumps(told, separators=(',', ':'))}\n")

    def finish(self) -> None:
        self.close()

    def close(self) -> None:
        for file in self._files.values():
            file.close()


class CSVFiles:
    """UTF-8 as RFC 4180 has it, a line of names and then a line for each row; an empty cell is null."""

    def __init__(self, folder: Path) -> None:
        self._files = {table: (folder / f"{table}.csv").open("w", encoding="utf-8", newline="") for table in TABLES}
        # Python before 3.13 quotes a carriage return only where it is of the line's end
        self._writers = {table: csv.writer(file, lineterminator="\r\n") for table, file in self._files.items()}
        for table, writer in self._writers.items():
            writer.writerow([column.name for column in TABLES[table].columns])

    def write(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self._writers[table].writerows([_word(value) for value in row] for row in cells(TABLES[table].columns, rows))

    def finish(self) -> None:
        self.close()

    def close(self) -> None:
        for file in self._files.values():
            file.close()


class ParquetFiles:
    """Parquet, compressed; what is no text, number or boolean is JSON text."""

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


def _word(value: Any) -> Any:
    return ("false", "true")[value] if isinstance(value, bool) else value
