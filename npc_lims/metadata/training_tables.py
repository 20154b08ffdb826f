"""A workbook as a database: a table for each sheet, a TEXT column for each of its columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from npc_lims.errors import NpcLimsWarning, warn
from npc_lims.sources.training.cells import name_columns, slug
from npc_lims.sources.training.xlsx import MAX_CELLS, MAX_ROWS, Sheet, failure, open_xlsx
from npc_lims.sources.training.xlsx_parts import PartError, Row
from npc_lims.utils.sqlite import SharedConnection, quoted

ID = "ID"
"""The primary key of every table: 1 for the first row below the header, counting blank rows too."""
MAX_COLUMNS = 900
"""Columns with a name: each takes a parameter, of which an old SQLite allows 999."""


def build_database(content: bytes, name: str) -> SharedConnection:
    """Return the workbook *name* as a read-only database in memory.

    A table has the slugged title of its sheet, a column the slugged name of its own; of two with one name the first
    takes precedence. Values are text: `str()` of the cell, stripped, and '' for an empty one. Sheets
    without a header, columns without a name, and rows below the last that holds anything are left out.
    """
    database = SharedConnection()
    builder = _DatabaseBuilder(name, database)
    with open_xlsx(content, name) as book:
        database.execute("BEGIN")
        for sheet in book.sheets:
            if sheet.kind == "worksheet":
                builder.add(sheet)
        database.execute("COMMIT")
    for message in builder.left_out:
        warn(f"{name}{message}", NpcLimsWarning)
    database.seal()
    return database


class _DatabaseBuilder:
    """Adds one table after another, and collects what was left out."""

    def __init__(self, name: str, database: SharedConnection) -> None:
        self.left_out: list[str] = []
        self._name = name
        self._database = database
        self._cells = 0
        self._tables: dict[str, str] = {}

    def add(self, sheet: Sheet) -> None:
        try:
            rows = self._rows(sheet)
            line, header = next(rows, (0, {}))
            columns, _ = name_columns(header)
            columns.pop(ID.lower(), None)  # the key of the table
            if columns and self._is_valid_table(slug(sheet.title), sheet.title):
                self._fill(sheet, columns, ((number - line, cells) for number, cells in rows))
        except PartError as error:
            raise failure(self._name, f"has a sheet {sheet.title!r} that cannot be read: {error}") from None

    def _is_valid_table(self, table: str, title: str) -> bool:
        if not table or table.startswith("sqlite_"):
            self.left_out.append(f"[{title}]: its title cannot be the name of a table; left out: rename it")
            return False
        if table in self._tables:
            reason = f"its title gives the name of the table of sheet {self._tables[table]!r}, {table}"
            self.left_out.append(f"[{title}]: {reason}; left out: rename it")
            return False
        self._tables[table] = title
        return True

    def _fill(self, sheet: Sheet, columns: dict[str, int], rows: Iterator[Row]) -> None:
        if len(columns) > MAX_COLUMNS:
            raise failure(self._name, f"has a sheet {sheet.title!r} of {len(columns)} columns, as no real workbook")
        table = quoted(slug(sheet.title))
        definitions = "".join(f", {quoted(column)} TEXT" for column in columns)
        self._database.execute(f"CREATE TABLE {table} ({ID} INTEGER PRIMARY KEY{definitions})")
        parameters = ", ".join("?" * (len(columns) + 1))
        # a name cannot be a parameter; it is quoted, and no value is ever part of the text
        insert = f"INSERT INTO {table} VALUES ({parameters})"  # noqa: S608
        self._database.executemany(insert, self._numbered(rows, tuple(columns.values())))

    def _numbered(self, rows: Iterable[Row], indexes: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows with the blank ones between them, each with its number."""
        written = 0
        for number, cells in rows:
            self._cells += (number - written) * (len(indexes) + 1)
            if self._cells > MAX_CELLS:
                raise failure(self._name, f"has more cells than any real workbook ({MAX_CELLS}); it was not read")
            yield from ((blank, *([""] * len(indexes))) for blank in range(written + 1, number))
            yield (number, *[_text(cells.get(index)) for index in indexes])
            written = number

    def _rows(self, sheet: Sheet) -> Iterator[Row]:
        for line, cells in sheet.rows():
            if line > MAX_ROWS:
                self.left_out.append(f"[{sheet.title}]: rows below {MAX_ROWS} are left out: delete them")
                return
            yield line, cells


def _text(value: Any) -> str:
    text = "" if value is None else str(value).strip()
    return "" if text == "None" else text
