"""The ephys tracking workbook, in which the lab plans its sessions: read from .xlsx, or from a sheet exported as .csv.

A cell that cannot be read is reported with sheet and row, and costs nothing beside it. A file that cannot be opened
is a `SourceError`.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from npc_lims.errors import Problem, SourceError
from npc_lims.sources.training.cells import is_blank, name_columns, slug
from npc_lims.sources.training.xlsx import MAX_FILE_SIZE, MAX_ROWS, Sheet, open_xlsx
from npc_lims.sources.training.xlsx_parts import PartError, Row
from npc_lims.track.planning.cells import (
    PROBES,
    is_filled,
    parse_day,
    parse_days,
    parse_depth,
    parse_experiment,
    parse_injection,
    parse_probes,
    parse_subject,
    parse_surface,
    parse_text,
)
from npc_lims.track.planning.input_files import decode_utf8, read_limited

DEEP_UM = 3800
"""Micrometres: a probe inserted further is deep."""

BY_MOUSE = "by_mouse"
BY_SESSION = "by_session"
_SUBJECT = ("mouse", "mid", "mouse_id", "subject", "subject_id")
_DATE = ("date", "session_date")
_DAYS = ("days_recorded",)
_PROBES = ("probes_in_brain", "probes")
_SUBSTANCE = ("injection_substance",)
_SURFACE = ("surface_channel_recording", "surface_channel_recordings")
_REQUIRED = {BY_MOUSE: {"mouse": _SUBJECT, "days recorded": _DAYS}, BY_SESSION: {"mouse": _SUBJECT, "date": _DATE}}
_HEADER_WITHIN = 10
"""Rows, blank ones not counted: a title may stand above the header."""

_UNIT = re.compile(r"_(um|µm|μm|microns?|mm)$")
_EXCEL_EPOCH = datetime.datetime(1899, 12, 30)

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class MouseRow:
    """A row of `by_mouse`; *days* are those recorded, in order, or None if they cannot be read."""

    subject: str
    project: str | None
    exp_type: str | None
    days: tuple[datetime.date, ...] | None


@dataclasses.dataclass(frozen=True)
class RowPosition:
    """A row of a sheet, which is `workbook.xlsx[sheet]` or an exported file."""

    sheet: str
    row: int

    def __str__(self) -> str:
        return f"{self.sheet} row {self.row}"


@dataclasses.dataclass(frozen=True)
class SessionRow:
    """A row of a sheet `by_session_*`; None where a cell is empty or missing.

    Attributes:
        recorded: Letters of the probes that were recorded.
        is_deep: One of them was inserted further than `DEEP_UM`.
        is_injection: A substance was injected that is no control.
        surface: Letters of the probes whose surface channels were recorded, or whether any were.
    """

    subject: str
    date: datetime.date
    recorded: frozenset[str] | None
    is_deep: bool | None
    is_injection: bool | None
    surface: frozenset[str] | bool | None
    where: RowPosition


@dataclasses.dataclass(frozen=True)
class PlanningWorkbook:
    """The rows of one workbook or of several exported sheets; an error among the problems costs a row or a field."""

    mice: tuple[MouseRow, ...]
    sessions: tuple[SessionRow, ...]
    problems: tuple[Problem, ...]


def read_planning_workbooks(paths: Iterable[Path], today: datetime.date) -> PlanningWorkbook:
    """Read one workbook, or sheets exported from it.

    Raises:
        SourceError: A file cannot be read, is of another kind, or has no sheet of a tracking workbook.
    """
    parsing = _PlanningParser(today)
    paths = list(paths)
    for path in paths:
        content = read_limited(path, "workbook", MAX_FILE_SIZE)
        if path.suffix.lower() in (".xlsx", ".xlsm"):
            parsing.workbook(content, path.name)
        elif path.suffix.lower() == ".csv":
            parsing.exported(content, path.name)
        else:
            raise _failure(path.name, "is neither .xlsx nor .csv: save it as one of them")
    if BY_MOUSE not in parsing.kinds:
        names = ", ".join(path.name for path in paths)
        parsing.report(
            names, 0, "no sheet by_mouse, the only one with ephys_day, project and experiment type", "warning"
        )
    return PlanningWorkbook(tuple(parsing.mice), tuple(parsing.sessions), tuple(parsing.problems))


def _failure(name: str, reason: str) -> SourceError:
    return SourceError("workbook", f"{name} {reason}")


class _PlanningColumns:
    """Indexes of columns by name, whatever its case, spaces and units."""

    def __init__(self, cells: Mapping[int, Any]) -> None:
        self.index, self.duplicates = name_columns(cells, lambda name: _UNIT.sub("", _column_name(name)))
        self.scale = {
            name: 1000 if _column_name(str(cells[i])).endswith("_mm") else 1 for name, i in self.index.items()
        }

    def find(self, names: Iterable[str]) -> str | None:
        return next((name for name in names if name in self.index), None)

    def lacks(self, kind: str) -> list[str]:
        return [shown for shown, names in _REQUIRED[kind].items() if self.find(names) is None]


class _PlanningParser:
    """Collects the rows and problems of several files."""

    def __init__(self, today: datetime.date) -> None:
        self.today = today
        self.mice: list[MouseRow] = []
        self.sessions: list[SessionRow] = []
        self.problems: list[Problem] = []
        self.kinds: set[str] = set()

    def workbook(self, content: bytes, name: str) -> None:
        try:
            with open_xlsx(content, name) as book:
                sheets = [sheet for sheet in book.sheets if sheet.kind == "worksheet"]
                if not any(_kind(sheet.title) for sheet in sheets):
                    found = ", ".join(sheet.title for sheet in sheets) or "none"
                    message = f"has no sheet by_mouse or by_session_* (found: {found}): is it the right one?"
                    raise _failure(name, message)
                for sheet in sheets:
                    kind = _kind(sheet.title)
                    if kind is not None:
                        self._sheet(f"{name}[{sheet.title}]", kind, sheet, book.epoch)
        except SourceError as error:
            raise SourceError("workbook", error.reason) from error

    def _sheet(self, name: str, kind: str, sheet: Sheet, epoch: datetime.datetime) -> None:
        if sheet.is_hidden:
            message = "sheet is hidden, and so skipped: show it in Excel if it counts, or else delete it"
            self.report(name, 0, message, "warning")
            return
        try:
            rows = self._limited(name, sheet.rows())
        except PartError as error:
            self.report(name, 0, f"sheet cannot be read: {error}; open and save the workbook again")
            return
        if not self._add_rows(name, kind, rows, epoch):
            required = ", ".join(f"'{column}'" for column in _REQUIRED[kind])
            message = f"needs columns {required}, but has {_shown(rows)}; sheet skipped"
            self.report(name, rows[0][0] if rows else 0, message)

    def exported(self, content: bytes, name: str) -> None:
        rows = self._limited(name, _csv_rows(decode_utf8(content, name, "workbook", "'CSV UTF-8'"), name))
        if not any(self._add_rows(name, kind, rows, _EXCEL_EPOCH) for kind in (BY_MOUSE, BY_SESSION)):
            raise _failure(
                name,
                "is no sheet of a tracking workbook: by_mouse needs columns 'mouse' and 'days recorded', "
                f"by_session_* 'mouse' and 'date'; found {_shown(rows)}",
            )

    def _add_rows(self, name: str, kind: str, rows: Sequence[Row], epoch: datetime.datetime) -> bool:
        """Add the rows below the header; return False if none of the first rows has the required columns."""
        headers = ((n, _PlanningColumns(cells)) for n, (_, cells) in enumerate(rows[:_HEADER_WITHIN]))
        header, columns = next((found for found in headers if not found[1].lacks(kind)), (None, None))
        if header is None or columns is None:
            return False
        self.kinds.add(kind)
        for duplicate in columns.duplicates.values():
            self.report(name, rows[header][0], f"column {duplicate!r} is there twice: the first counts", "warning")
        for line, cells in rows[header + 1 :]:
            row = _Cells(name, line, cells, columns, epoch, self)
            if all(is_blank(row.cell(names)) for names in _REQUIRED[kind].values()):
                required = " nor ".join(_REQUIRED[kind])
                self.report(name, line, f"names neither {required}; row skipped", "warning")
            elif kind == BY_MOUSE:
                self._mouse(row)
            else:
                self._session(row)
        return True

    def _mouse(self, row: _Cells) -> None:
        subject = row.read(_SUBJECT, parse_subject)
        if subject is None:
            return
        week_of = row.read(("week_of",), lambda value: _day_if_any(value, self.today, row.epoch))
        self.mice.append(
            MouseRow(
                subject,
                project=row.read(("project",), parse_text),
                exp_type=row.read(("exp_type", "experiment_type"), parse_experiment),
                days=row.read(_DAYS, lambda value: parse_days(value, week_of, self.today, row.epoch) or ()),
            )
        )

    def _session(self, row: _Cells) -> None:
        subject = row.read(_SUBJECT, parse_subject)
        date = row.read(_DATE, lambda value: parse_day(value, self.today, row.epoch))
        if subject is None or date is None:
            return
        before = len(self.problems)
        recorded = row.read(_PROBES, parse_probes)
        depths, unreadable = self._depths(row)
        if recorded is None:
            placed = {letter for letter in PROBES if row.read((f"{letter.lower()}_loc",), is_filled)}
            # one cell that cannot be read leaves open whether its probe is another of them
            if len(self.problems) == before:
                recorded = frozenset(placed | {letter for letter, depth in depths.items() if depth > 0}) or None
        counted = PROBES if recorded is None else recorded
        is_deep = any(depths[letter] > DEEP_UM for letter in depths if letter in counted)
        known = is_deep or (any(letter in counted for letter in depths) and not unreadable & set(counted))
        self.sessions.append(
            SessionRow(
                subject,
                date,
                recorded,
                is_deep if known else None,
                is_injection=row.read(_SUBSTANCE, parse_injection),
                surface=row.read(_SURFACE, parse_surface),
                where=RowPosition(row.name, row.line),
            )
        )

    def _depths(self, row: _Cells) -> tuple[dict[str, float], set[str]]:
        """Depths by letter, and the letters whose depth cannot be read."""
        depths: dict[str, float] = {}
        unreadable: set[str] = set()
        for letter in PROBES:
            column = f"{letter.lower()}_depth"
            scale = row.columns.scale.get(column, 1)
            before = len(self.problems)
            depth = row.read((column,), lambda value, scale=scale: parse_depth(value, scale))  # type: ignore[misc]
            if depth is not None:
                depths[letter] = depth
            elif len(self.problems) > before:
                unreadable.add(letter)
        return depths, unreadable

    def _limited(self, name: str, rows: Iterable[Row]) -> list[Row]:
        """The rows down to the last that is read."""
        found: list[Row] = []
        for line, cells in rows:
            if line > MAX_ROWS:
                self.report(name, line, f"rows below {MAX_ROWS} are not read: delete them")
                break
            found.append((line, cells))
        return found

    def report(self, name: str, line: int, message: str, severity: Any = "error", column: int = 0) -> None:
        self.problems.append(Problem(name, line, column, severity, message))


@dataclasses.dataclass(frozen=True)
class _Cells:
    """One row, whose cells are read by the names of their columns."""

    name: str
    line: int
    cells: Mapping[int, Any]
    columns: _PlanningColumns
    epoch: datetime.datetime
    parsing: _PlanningParser

    def cell(self, names: Iterable[str]) -> Any:
        """Return the value of a cell; None if there is no such column."""
        column = self.columns.find(names)
        return None if column is None else self.cells.get(self.columns.index[column])

    def read(self, names: Iterable[str], parse: Callable[[Any], T]) -> T | None:
        """Return the parsed cell; None if there is no such column, or (reported) it cannot be parsed."""
        column = self.columns.find(names)
        if column is None:
            return None
        try:
            return parse(self.cell(names))
        except ValueError as error:
            index = self.columns.index[column]
            self.parsing.report(self.name, self.line, f"{column.replace('_', ' ')}: {error}", column=index + 1)
            return None


def _column_name(text: str) -> str:
    return re.sub(r"_+", "_", slug(text.replace("\n", " "))).strip("_")


def _kind(title: str) -> str | None:
    name = slug(title)
    return BY_MOUSE if name == BY_MOUSE else BY_SESSION if name.startswith(BY_SESSION) else None


def _day_if_any(value: Any, today: datetime.date, epoch: datetime.datetime) -> datetime.date | None:
    return None if parse_text(value) is None else parse_day(value, today, epoch)


def _shown(rows: Sequence[Row]) -> str:
    """Return the first row, for a message."""
    return ", ".join(repr(str(cell).strip()) for _, cell in sorted(rows[0][1].items()))[:200] if rows else "nothing"


def _csv_rows(text: str, name: str) -> Iterator[Row]:
    """Rows that hold anything, with the line that each begins on; separated by what is most frequent in the first."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            filled = {i: cell for i, cell in enumerate(cells) if not is_blank(cell)}
            if filled:
                yield line, filled
            line = reader.line_num + 1
    except csv.Error as error:
        raise _failure(name, f"is no .csv file from line {line} on ({error}): export the sheet again") from error
