"""One training workbook, parsed: pure, and forgiving.

What people leave in a workbook is reported with sheet and row, stepped over, and never costs the
rows beside it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import itertools
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from openpyxl.utils import get_column_letter

from npc_lims.errors import SourceError
from npc_lims.model import Scalar
from npc_lims.problems import Problem
from npc_lims.sources.cells import EXCEL_ERRORS, clean, is_blank, parse_flag, parse_start, slug
from npc_lims.sources.xlsx import Xlsx, failure, open_xlsx

__all__ = ["TrainingRow", "Workbook", "parse_workbook"]

MAX_ROWS = 20_000
"""Rows read of a sheet. A formatted or stray cell far down makes openpyxl give every row above it."""
MAX_CELLS = 10_000_000
"""Cells read of a workbook: a thousand subjects with two hundred sessions each of fifty columns."""

ALL_MICE = "all_mice"
START_TIME = "start_time"
IGNORE = "ignore"
_SUBJECT_COLUMNS = ("mouse_id", "subject_id", "subject", "mouse", "id")
# the fixed facts of model.Training, which a column may not stand in for
_RESERVED = frozenset({"nsb", "row", START_TIME, "other_rows"})
_SUBJECT = re.compile(r"[0-9]{6,7}")
# digits of another count, or the name a spreadsheet gives to a copied sheet
_ALMOST_SUBJECT = re.compile(r"[0-9]+|[0-9]{6,7} ?\([0-9]+\)")


@dataclasses.dataclass(frozen=True)
class TrainingRow:
    """A session's row.

    Attributes:
        subject: The subject's id: the name of its sheet.
        start: Local time of the rig, to the second; 00:00:00 when only the day is given.
        row: 1 for the first row below the header, counting every row, blank and ignored ones too.
        line: Row number as Excel shows it.
        columns: The allowed columns that the sheet has, by slugged name, in the order of the allow-list.
    """

    subject: str
    start: datetime.datetime
    row: int
    line: int
    columns: Mapping[str, Scalar]


@dataclasses.dataclass(frozen=True)
class Workbook:
    """What one training workbook says.

    Attributes:
        name: File name, as problems give it.
        nsb: It is the workbook of the NSB team.
        rows: Sessions, in the order of sheets and rows.
        subjects: The rows of `all_mice` by subject id, every column: for callers, never to be published.
        problems: Everything that was stepped over.
        ignored: How many rows are marked to be ignored.
        damaged: Subjects whose sheets broke off: nothing is known of them from this workbook.
    """

    name: str
    nsb: bool
    rows: tuple[TrainingRow, ...] = ()
    subjects: Mapping[str, Mapping[str, Scalar]] = dataclasses.field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    ignored: int = 0
    damaged: frozenset[str] = frozenset()


def parse_workbook(content: bytes, name: str, columns: Sequence[str], today: datetime.date) -> Workbook:
    """Sessions and subjects of the workbook *name*.

    Args:
        content: The .xlsx file.
        name: Its file name; `NSB` in it tells whose it is.
        columns: The only columns that may reach `TrainingRow.columns`, in their order there.
        today: A session that starts on a later day is a mistake.

    Raises:
        SourceError: It is no .xlsx file, truncated, hostile, larger than any such workbook, or has
            no sheet of a training workbook.
    """
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        # openpyxl warns of what it steps over (a date out of range, an unknown extension)
        warnings.simplefilter("ignore")
        reader = open_xlsx(content, name)
        stack.callback(reader.archive.close)
        return _Parsing(name, columns, today, reader.wb.epoch).parse(reader)


class _Columns:
    """The header of a sheet: which columns count, and what is wrong with the others."""

    def __init__(self, cells: Sequence[Any]) -> None:
        self.index: dict[str, int] = {}
        self.duplicates: list[tuple[int, int, str]] = []
        self.named: list[int] = []
        for i, cell in enumerate(cells):
            name = "" if cell is None else slug(str(cell))
            if not name:
                continue
            self.named.append(i)
            if name in self.index:
                self.duplicates.append((i, self.index[name], name))
            else:
                self.index[name] = i
        self._named = frozenset(self.named)
        self._first_unnamed = next(i for i in itertools.count() if i not in self._named)

    def start_time(self) -> int | None:
        """Index of the start time: the column of that name, else the first that sounds like it."""
        if START_TIME in self.index:
            return self.index[START_TIME]
        for name, i in self.index.items():
            if "start" in name and ("time" in name or "date" in name):
                return i
        return None

    def unnamed(self, cells: Sequence[Any]) -> Iterator[int]:
        """Indexes of the cells that hold something below no name."""
        if len(cells) > self._first_unnamed:
            yield from (i for i, cell in enumerate(cells) if i not in self._named and not is_blank(cell))

    def is_blank(self, cells: Sequence[Any]) -> bool:
        return all(is_blank(cells[i]) for i in self.named if i < len(cells))


class _Parsing:
    """What has been gathered so far of one workbook."""

    def __init__(self, name: str, columns: Sequence[str], today: datetime.date, epoch: datetime.datetime) -> None:
        self.name = name
        self.allowed = tuple(dict.fromkeys(name for name in map(slug, columns) if name not in _RESERVED))
        self.today = today
        self.epoch = epoch
        self.rows: list[TrainingRow] = []
        self.subjects: dict[str, Mapping[str, Scalar]] = {}
        self.problems: list[Problem] = []
        self.ignored = 0
        self.damaged: set[str] = set()
        self.cells = 0
        self.sheet = ""
        self._seen: dict[tuple[str, datetime.datetime], tuple[str, int]] = {}

    def parse(self, reader: Xlsx) -> Workbook:
        recognised = False
        for sheet in reader.wb.worksheets:
            self.sheet = sheet.title
            title = self.sheet.strip()
            if _SUBJECT.fullmatch(title):
                recognised = True
                self._guard(title, sheet)
            elif slug(title) == ALL_MICE:
                recognised = True
                self._guard("", sheet)
            else:
                self._report_name(title)
        for self.sheet in reader.chartsheets:
            if _SUBJECT.fullmatch(self.sheet.strip()):
                self._report(0, 0, "is a chart, not a sheet with rows; skipped: rename it")
            else:
                self._report_name(self.sheet.strip())
        if not recognised:
            raise failure(self.name, f"is no training workbook: it has no sheet {ALL_MICE} and none of a subject")
        return Workbook(
            name=self.name,
            nsb="nsb" in self.name.lower(),
            rows=tuple(row for row in self.rows if row.subject not in self.damaged),
            subjects=self.subjects,
            problems=tuple(self.problems),
            ignored=self.ignored,
            damaged=frozenset(self.damaged),
        )

    def _report(self, line: int, column: int, message: str) -> None:
        self.problems.append(Problem(f"{self.name}[{self.sheet}]", line, column, "warning", message))

    def _report_name(self, title: str) -> None:
        if _ALMOST_SUBJECT.fullmatch(title):
            self._report(0, 0, "sheet name is no subject id of 6 or 7 digits; skipped: rename or delete it")

    def _guard(self, subject: str, sheet: Any) -> None:
        """Parse one sheet, so that one that openpyxl cannot read costs no other."""
        try:
            rows = self._rows(sheet)
            if subject:
                self._parse_subject(subject, rows)
            else:
                self._parse_all_mice(rows)
        except SourceError:
            raise
        except Exception as error:  # malformed XML, an impossible cell, a string that does not exist
            # not the error's message: it may quote a cell that is not for the public
            kind = type(error).__name__
            self._report(0, 0, f"sheet cannot be read ({kind}); skipped: open and save the workbook again")
            if subject:
                self.damaged.add(subject)

    def _rows(self, sheet: Any) -> Iterator[tuple[int, Sequence[Any]]]:
        """Row numbers, and the cells of rows that hold anything at all."""
        # the size that a sheet declares may be wrong, or be that of the largest sheet possible
        sheet.reset_dimensions()
        for line, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
            if line > MAX_ROWS:
                self._report(line, 0, f"rows below {MAX_ROWS} are not read: delete them, even empty ones")
                return
            self.cells += len(cells)
            if self.cells > MAX_CELLS:
                raise failure(self.name, f"has more cells than any real workbook ({MAX_CELLS}); it was not read")
            if not all(map(is_blank, cells)):
                yield line, cells

    def _header(self, rows: Iterator[tuple[int, Sequence[Any]]]) -> tuple[int, _Columns] | None:
        """The first row that is not blank; None (reported) for an empty sheet."""
        for line, cells in rows:
            columns = _Columns(cells)
            for i, first, name in columns.duplicates:
                # a name that is not allowed stays in the workbook: messages end in public logs
                quoted = f" {name!r}" if name in self.allowed else ""
                letter, first_letter = get_column_letter(i + 1), get_column_letter(first + 1)
                self._report(
                    line,
                    i + 1,
                    f"column {letter} has the name{quoted} of column {first_letter}; left out: rename it",
                )
            return line, columns
        self._report(0, 0, "sheet is empty")
        return None

    def _report_unnamed(self, header_line: int, indexes: set[int]) -> None:
        if indexes:
            letters = ", ".join(get_column_letter(i + 1) for i in sorted(indexes)[:10])
            message = f"column {letters} holds values and has no name; left out: name it"
            self._report(header_line, min(indexes) + 1, message)

    def _parse_subject(self, subject: str, rows: Iterator[tuple[int, Sequence[Any]]]) -> None:
        header = self._header(rows)
        if header is None:
            return
        header_line, columns = header
        start_column = columns.start_time()
        if start_column is None:
            self._report(header_line, 0, "sheet has no column 'start time'; skipped: add one")
            return
        wanted = {name: columns.index[name] for name in self.allowed if name in columns.index}
        errors: dict[str, list[int]] = {}
        unnamed: set[int] = set()
        for line, cells in rows:
            unnamed.update(columns.unnamed(cells))
            if columns.is_blank(cells) or self._is_ignored(line, cells, columns.index.get(IGNORE)):
                continue
            for name, i in wanted.items():
                if _is_error(_cell(cells, i)):
                    errors.setdefault(name, []).append(line)
            start = self._start(subject, line, cells, start_column)
            if start is not None:
                values = {name: clean(_cell(cells, i)) for name, i in wanted.items()}
                self.rows.append(TrainingRow(subject, start, line - header_line, line, values))
        for name, lines in errors.items():
            message = f"{name} holds an Excel error in {len(lines)} row(s), taken as empty: correct the formula"
            self._report(lines[0], columns.index[name] + 1, message)
        self._report_unnamed(header_line, unnamed)

    def _is_ignored(self, line: int, cells: Sequence[Any], index: int | None) -> bool:
        if index is None:
            return False
        ignored = parse_flag(_cell(cells, index))
        if ignored is None:
            self._report(line, index + 1, "ignore is neither 1 nor 0, and the row counts: write 1 or 0")
        self.ignored += bool(ignored)
        return bool(ignored)

    def _start(self, subject: str, line: int, cells: Sequence[Any], index: int) -> datetime.datetime | None:
        """Start time of a row; None (reported) when it has none that can be used."""
        value = _cell(cells, index)
        try:
            if is_blank(value):
                raise ValueError("no start time (a formula that was saved without its value is empty too)")
            start = parse_start(value, self.today, self.epoch)
            here = (self.sheet, line)
            first = self._seen.setdefault((subject, start), here)
            if first != here:
                raise ValueError(f"start time {start} is that of row {first[1]} of sheet {first[0]!r}")
        except ValueError as error:
            self._report(line, index + 1, f"{error}; row skipped")
            return None
        return start

    def _parse_all_mice(self, rows: Iterator[tuple[int, Sequence[Any]]]) -> None:
        header = self._header(rows)
        if header is None:
            return
        header_line, columns = header
        index = next((columns.index[name] for name in _SUBJECT_COLUMNS if name in columns.index), None)
        if index is None:
            self._report(header_line, 0, "sheet has no column 'mouse id'; skipped: add one")
            return
        unnamed: set[int] = set()
        for line, cells in rows:
            unnamed.update(columns.unnamed(cells))
            if columns.is_blank(cells):
                continue
            subject = str(clean(_cell(cells, index)) or "")
            if not _SUBJECT.fullmatch(subject):
                self._report(line, index + 1, "mouse id is no number of 6 or 7 digits; row skipped")
            elif subject in self.subjects:
                self._report(line, index + 1, f"subject {subject} has a row already; this one is skipped")
            else:
                self.subjects[subject] = {name: clean(_cell(cells, i)) for name, i in columns.index.items()}
        self._report_unnamed(header_line, unnamed)


def _cell(cells: Sequence[Any], index: int | None) -> Any:
    # rows are only as wide as their last cell
    return cells[index] if index is not None and index < len(cells) else None


def _is_error(value: Any) -> bool:
    return isinstance(value, str) and value.strip() in EXCEL_ERRORS
