"""One training workbook, parsed. Pure.

A mistake in a cell is reported with sheet and row, and costs no other row. A sheet that cannot be read at all is
`unreadable`: nothing is known of its subject.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from openpyxl.utils import get_column_letter

from npc_lims.errors import Problem
from npc_lims.model.record import Scalar
from npc_lims.sources.training import PartError
from npc_lims.sources.training.cells import (
    EXCEL_ERRORS,
    EXCLUSION_COLUMNS,
    UNSAVED,
    clean,
    name_columns,
    parse_flag,
    parse_start,
    slug,
)
from npc_lims.sources.training.xlsx import Sheet, Xlsx, failure, open_xlsx
from npc_lims.sources.training.xlsx_parts import Row, cell_name

MAX_PROBLEMS = 100
"""Problems of a sheet that are listed: somebody may have filled a column down to the last row there is."""

ALL_MICE = "all_mice"
START_TIME = "start_time"
_SUBJECT_COLUMNS = ("mouse_id", "subject_id", "subject", "mouse", "id")
# the fixed facts of model.Training, which a column may not stand in for
_RESERVED = frozenset({"nsb", "row", START_TIME, "other_rows"})
_SUBJECT = re.compile(r"[0-9]{6,7}")
# digits of another count, or the name a spreadsheet gives to a copied sheet
_ALMOST_SUBJECT = re.compile(r"[0-9]+|[0-9]{6,7} ?\([0-9]+\)")

Cells = Mapping[int, Any]
"""The values of a row by column, from 0."""


@dataclasses.dataclass(frozen=True)
class TrainingRow:
    """The row of a session in the sheet of its subject."""

    subject: str
    start: datetime.datetime
    """Local time of the rig, to the second; 00:00:00 when only the day is given."""
    row: int
    """1 for the first row below the header, counting every row, blank and ignored ones too."""
    line: int
    """Row number as Excel shows it."""
    columns: Mapping[str, Scalar]
    """The allowed columns that the sheet has, by slugged name, in the order of the allow-list."""


@dataclasses.dataclass(frozen=True)
class UnreadableSheet:
    """A sheet that could not be read; `subject` is empty if it is not that of a subject."""

    title: str
    subject: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Workbook:
    """One training workbook: its session rows, and everything that was skipped."""

    name: str
    rows: tuple[TrainingRow, ...] = ()
    problems: tuple[Problem, ...] = ()
    ignored: int = 0
    """How many rows are excluded by one of their columns."""
    unreadable: tuple[UnreadableSheet, ...] = ()
    """Sheets whose subjects have no rows here."""


def parse_workbook(content: bytes, name: str, columns: Sequence[str], today: datetime.date) -> Workbook:
    """Parse *columns* of the workbook *name*; SourceError as `open_xlsx`, or if no sheet is one of training."""
    with open_xlsx(content, name) as book:
        return _TrainingParser(name, columns, today, book.epoch).parse(book)


class _TrainingColumns:
    """The header of a sheet: columns by slugged name, and what is wrong with it."""

    def __init__(self, line: int, cells: Cells) -> None:
        self.line = line
        self.index, self.duplicates = name_columns(cells)
        self.named = {*self.index.values(), *self.duplicates}
        self.unnamed: set[int] = set()
        self.errors = [i for i, cell in sorted(cells.items()) if _is_error(cell)]


class _TrainingParser:
    """Collects the rows and problems of one workbook."""

    def __init__(self, name: str, columns: Sequence[str], today: datetime.date, epoch: datetime.datetime) -> None:
        self._name = name
        self._rows: list[TrainingRow] = []
        self._problems: list[Problem] = []
        self._ignored = 0
        self._unreadable: list[UnreadableSheet] = []
        self._allowed = tuple(dict.fromkeys(name for name in map(slug, columns) if name not in _RESERVED))
        self._today = today
        self._epoch = epoch
        self._sheet = ""
        self._reported = 0
        self._seen: dict[tuple[str, datetime.datetime], tuple[str, int]] = {}

    def parse(self, book: Xlsx) -> Workbook:
        recognised = False
        for sheet in book.sheets:
            self._sheet = sheet.title
            title = sheet.title.strip()
            subject = title if _SUBJECT.fullmatch(title) else ""
            if not subject and slug(title) != ALL_MICE:
                if _ALMOST_SUBJECT.fullmatch(title):
                    self._add_problem(
                        0, 0, "sheet name is no subject id of 6 or 7 digits; skipped: rename or delete it"
                    )
            elif sheet.kind not in ("worksheet", ""):
                self._add_problem(0, 0, f"is a {sheet.kind}, not a sheet with rows; skipped: rename it")
            else:
                recognised = True
                self._parse_sheet(subject, sheet)
        if not recognised:
            raise failure(self._name, f"is no training workbook: it has no sheet {ALL_MICE} and none of a subject")
        unknown = {sheet.subject for sheet in self._unreadable}
        rows = tuple(row for row in self._rows if row.subject not in unknown)
        return Workbook(self._name, rows, tuple(self._problems), self._ignored, tuple(self._unreadable))

    def _report(self, line: int, column: int, message: str) -> None:
        self._reported += 1
        if self._reported <= MAX_PROBLEMS:
            self._add_problem(line, column, message)

    def _add_problem(self, line: int, column: int, message: str) -> None:
        self._problems.append(Problem(f"{self._name}[{self._sheet}]", line, column, "warning", message))

    def _parse_sheet(self, subject: str, sheet: Sheet) -> None:
        """Parse one sheet, so that one that cannot be read costs no other."""
        self._reported = 0
        try:
            rows = sheet.rows(with_unsaved=bool(subject))
            header = next(rows, None)  # the first row that is not blank
            if header is None:
                self._report(0, 0, "sheet is empty")
            else:
                columns = self._header(*header)
                if subject:
                    self._parse_subject(subject, columns, rows)
                else:
                    self._check_all_mice(columns, rows)
                self._report_unnamed(columns)
        except PartError as error:
            self._unreadable.append(UnreadableSheet(self._sheet, subject, str(error)))
            self._add_problem(0, 0, f"sheet cannot be read: {error}")
        if self._reported > MAX_PROBLEMS:
            self._add_problem(0, 0, f"{self._reported - MAX_PROBLEMS} more problems in this sheet are not listed")

    def _header(self, line: int, cells: Cells) -> _TrainingColumns:
        columns = _TrainingColumns(line, cells)
        for i, name in columns.duplicates.items():
            # a name that is not allowed stays in the workbook: messages end in public logs
            quoted = f" {name!r}" if name in self._allowed else ""
            letter, first_letter = get_column_letter(i + 1), get_column_letter(columns.index[name] + 1)
            message = f"column {letter} has the name{quoted} of column {first_letter}; left out: rename it"
            self._report(line, i + 1, message)
        return columns

    def _filled(self, columns: _TrainingColumns, rows: Iterator[Row]) -> Iterator[Row]:
        """Yield the rows with a value in a named column."""
        for line, cells in rows:
            columns.unnamed.update(cells.keys() - columns.named)
            if not columns.named.isdisjoint(cells):
                yield line, cells

    def _report_unnamed(self, columns: _TrainingColumns) -> None:
        if columns.unnamed:
            letters = ", ".join(get_column_letter(i + 1) for i in sorted(columns.unnamed)[:10])
            message = f"column {letters} holds values and has no name; left out: name it"
            self._report(columns.line, min(columns.unnamed) + 1, message)

    def _parse_subject(self, subject: str, columns: _TrainingColumns, rows: Iterator[Row]) -> None:
        if columns.errors:
            raise PartError(f"{cell_name(columns.line, columns.errors[0])}, in its header, is an error")
        similar = (i for name, i in columns.index.items() if "start" in name and ("time" in name or "date" in name))
        start_column = columns.index.get(START_TIME, next(similar, None))
        if start_column is None:
            if next(rows, None) is not None:
                lack = f"its header (row {columns.line}) has no column 'start time'"
                raise PartError(f"{lack}: add one, or rename the sheet")
            self._report(columns.line, 0, "sheet has no column 'start time'; skipped: add one")
            return
        excluding = {name: columns.index[name] for name in EXCLUSION_COLUMNS if name in columns.index}
        allowed = {name: columns.index[name] for name in self._allowed if name in columns.index}
        errors: dict[str, list[int]] = {}
        for line, cells in self._filled(columns, rows):
            if self._is_excluded(line, cells, excluding):
                continue
            for name, i in allowed.items():
                if _is_error(cells.get(i)):
                    errors.setdefault(name, []).append(line)
            start = self._start(subject, line, cells, start_column)
            if start is not None:
                values = {name: clean(cells.get(i)) for name, i in allowed.items()}
                self._rows.append(TrainingRow(subject, start, line - columns.line, line, values))
        for name, lines in errors.items():
            message = f"{name} holds an Excel error in {len(lines)} row(s), taken as empty: correct the formula"
            self._report(lines[0], columns.index[name] + 1, message)

    def _is_excluded(self, line: int, cells: Cells, columns: Mapping[str, int]) -> bool:
        flags = {name: parse_flag(_saved_value(line, cells, i)) for name, i in columns.items()}
        is_excluded = any(flags.values())
        for name, flag in flags.items():
            if flag is None and not is_excluded:
                self._report(line, columns[name] + 1, f"{name} is neither 1 nor 0, and the row counts: write 1 or 0")
        self._ignored += is_excluded
        return is_excluded

    def _start(self, subject: str, line: int, cells: Cells, index: int) -> datetime.datetime | None:
        """Return the start time of a row; None (reported) if it has no valid one."""
        value = _saved_value(line, cells, index)
        try:
            if value is None:
                raise ValueError("no start time")
            start = parse_start(value, self._today, self._epoch)
            here = (self._sheet, line)
            first = self._seen.setdefault((subject, start), here)
            if first != here:
                raise ValueError(f"start time {start} is that of row {first[1]} of sheet {first[0]!r}")
        except ValueError as error:
            self._report(line, index + 1, f"{error}; row skipped")
            return None
        return start

    def _check_all_mice(self, columns: _TrainingColumns, rows: Iterator[Row]) -> None:
        index = next((columns.index[name] for name in _SUBJECT_COLUMNS if name in columns.index), None)
        if index is None:
            self._report(columns.line, 0, "sheet has no column 'mouse id'; skipped: add one")
            return
        subjects: set[str] = set()
        for line, cells in self._filled(columns, rows):
            subject = str(clean(cells.get(index)) or "")
            if not _SUBJECT.fullmatch(subject):
                self._report(line, index + 1, "mouse id is no number of 6 or 7 digits; row skipped")
            elif subject in subjects:
                self._report(line, index + 1, f"subject {subject} has a row already; this one is skipped")
            subjects.add(subject)


def _saved_value(line: int, cells: Cells, index: int) -> Any:
    """Return a value that decides whether its row is a session; PartError if that is a formula without its value."""
    value = cells.get(index)
    if value == UNSAVED:
        raise PartError(f"{cell_name(line, index)} is a formula that was saved without its value")
    return value


def _is_error(value: Any) -> bool:
    return isinstance(value, str) and value.strip() in EXCEL_ERRORS
