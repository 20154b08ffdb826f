"""A workbook as a database: a table for each sheet, a TEXT column for each of its columns."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from npc_lims.embedded import SharedConnection, quoted
from npc_lims.errors import NpcLimsWarning, SourceError
from npc_lims.notice import notify
from npc_lims.sources.cells import is_blank, slug
from npc_lims.sources.workbook import MAX_CELLS, MAX_ROWS
from npc_lims.sources.xlsx import failure, open_xlsx

__all__ = ["ID", "build_database"]

ID = "ID"
"""The primary key of every table: 1 for the first row below the header, counting blank rows too."""
MAX_COLUMNS = 900
"""Columns with a name: each takes a parameter, of which an old SQLite allows 999."""


def build_database(content: bytes, name: str) -> SharedConnection:
    """The workbook *name* as a database in memory, sealed against writing.

    A table has the slugged title of its sheet, a column the slugged name of its own; of two that have
    one name the first counts. Values are text: `str()` of the cell, stripped, and '' for an empty one. Sheets
    without a header, columns without a name, and rows below the last that holds anything are left out.

    Raises:
        SourceError: It is no .xlsx file, truncated, hostile, larger than any such workbook, or a sheet
            cannot be read.
    """
    database = SharedConnection()
    building = _Building(name, database)
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        # openpyxl warns of what it steps over (a date out of range, an unknown extension)
        warnings.simplefilter("ignore")
        reader = open_xlsx(content, name)
        stack.callback(reader.archive.close)
        database.execute("BEGIN")
        for sheet in reader.wb.worksheets:
            building.add(sheet)
        database.execute("COMMIT")
    for message in building.left_out:
        notify(f"{name}{message}", NpcLimsWarning)
    database.seal()
    return database


class _Building:
    """A database that grows sheet by sheet, and what was left out of it."""

    def __init__(self, name: str, database: SharedConnection) -> None:
        self.left_out: list[str] = []
        self._name = name
        self._database = database
        self._cells = 0
        self._sheet = ""
        self._tables: dict[str, str] = {}

    def add(self, sheet: Any) -> None:
        self._sheet = sheet.title
        try:
            rows = self._rows(sheet)
            header = next((cells for cells in rows if not all(map(is_blank, cells))), ())
            columns = _columns(header)
            if columns and self._is_new(slug(self._sheet)):
                self._fill(slug(self._sheet), columns, rows)
        except SourceError:
            raise
        except Exception as error:  # malformed XML, an impossible cell, a string that does not exist
            kind = type(error).__name__
            raise failure(
                self._name,
                f"has a sheet {self._sheet!r} that cannot be read ({kind}): open and save the workbook again",
            ) from error

    def _is_new(self, table: str) -> bool:
        """Whether a table can have that name; if not, this is noted."""
        if not table or table.startswith("sqlite_"):
            self._leave_out("its title cannot be the name of a table; left out: rename it")
            return False
        first = self._tables.setdefault(table, self._sheet)
        if first != self._sheet:
            self._leave_out(f"its title gives the name of the table of sheet {first!r}, {table}; left out: rename it")
            return False
        return True

    def _leave_out(self, message: str) -> None:
        self.left_out.append(f"[{self._sheet}]: {message}")

    def _fill(self, table: str, columns: dict[str, int], rows: Iterator[Sequence[Any]]) -> None:
        if len(columns) > MAX_COLUMNS:
            raise failure(self._name, f"has a sheet {self._sheet!r} of {len(columns)} columns, as no real workbook")
        definitions = "".join(f", {quoted(column)} TEXT" for column in columns)
        self._database.execute(f"CREATE TABLE {quoted(table)} ({ID} INTEGER PRIMARY KEY{definitions})")
        places = ", ".join("?" * (len(columns) + 1))
        # a name cannot be a parameter; it is quoted, and no value is ever part of the text
        insert = f"INSERT INTO {quoted(table)} VALUES ({places})"  # noqa: S608
        self._database.executemany(insert, _numbered(rows, tuple(columns.values())))

    def _rows(self, sheet: Any) -> Iterator[Sequence[Any]]:
        # the size that a sheet declares may be wrong, or be that of the largest sheet possible
        sheet.reset_dimensions()
        for line, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
            if line > MAX_ROWS:
                self._leave_out(f"rows below {MAX_ROWS} are not read: delete them, even empty ones")
                return
            self._cells += len(cells)
            if self._cells > MAX_CELLS:
                raise failure(self._name, f"has more cells than any real workbook ({MAX_CELLS}); it was not read")
            yield cells


def _columns(header: Iterable[Any]) -> dict[str, int]:
    """Slugged names of the columns that have one, with their places. The key of the table is no other's name."""
    columns: dict[str, int] = {}
    for index, cell in enumerate(header):
        name = "" if cell is None else slug(str(cell))
        if name and name != ID.lower():
            columns.setdefault(name, index)
    return columns


def _numbered(rows: Iterable[Sequence[Any]], indexes: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    written = 0
    for number, cells in enumerate(rows, start=1):
        if all(map(is_blank, cells)):
            continue  # until something follows: a sheet may be formatted far below its last row
        yield from ((blank, *([""] * len(indexes))) for blank in range(written + 1, number))
        # rows are only as wide as their last cell
        yield (number, *[_text(cells[index]) if index < len(cells) else "" for index in indexes])
        written = number


def _text(value: Any) -> str:
    text = "" if value is None else str(value).strip()
    return "" if text == "None" else text
