"""The ephys tracking workbook, in which the lab plans its sessions: read from .xlsx, or from a sheet exported as .csv.

A cell that cannot be read is reported with sheet and row, and costs nothing beside it. A file that cannot be opened
is a `SourceError`.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime
import functools
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from npc_lims.errors import Problem, Severity, SourceError
from npc_lims.sources.training import MAX_FILE_SIZE, MAX_ROWS, PartError
from npc_lims.sources.training.cells import is_blank, name_columns, slug
from npc_lims.sources.training.xlsx import Sheet, open_xlsx
from npc_lims.sources.training.xlsx_parts import Row
from npc_lims.track.planning import cells

DEEP_UM = 3800
"""Micrometres: a probe inserted further is deep."""

BY_MOUSE = "by_mouse"
BY_SESSION = "by_session"
_REQUIRED = {BY_MOUSE: ("mouse", "days_recorded"), BY_SESSION: ("mouse", "date")}
_ALIASES = {
    "mouse": ("mid", "mouse_id", "subject", "subject_id"),
    "date": ("session_date",),
    "probes_in_brain": ("probes",),
    "exp_type": ("experiment_type",),
    "surface_channel_recording": ("surface_channel_recordings",),
}
"""Other names of columns, used in this order where the first is missing."""
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
class SessionRow:
    """A row of a sheet `by_session_*`; None where a cell is empty or missing."""

    session: str
    """Subject and date, as `626791_2022-08-15`."""
    sheet: str
    """As `workbook.xlsx[sheet]`, or the name of an exported file."""
    line: int
    recorded: frozenset[str] | None = None
    """Letters of the probes that were recorded."""
    is_deep: bool | None = None
    """One of them was inserted further than `DEEP_UM`."""
    is_injection: bool | None = None
    """A substance was injected that is no control."""
    surface: frozenset[str] | bool | None = None
    """Letters of the probes whose surface channels were recorded, or whether any were."""

    @property
    def where(self) -> str:
        return f"{self.sheet} row {self.line}"


@dataclasses.dataclass(frozen=True)
class PlanningWorkbook:
    """The rows of one workbook or of several exported sheets; an error among the problems costs a row or a field."""

    mice: list[MouseRow] = dataclasses.field(default_factory=list)
    sessions: list[SessionRow] = dataclasses.field(default_factory=list)
    problems: list[Problem] = dataclasses.field(default_factory=list)
    kinds: set[str] = dataclasses.field(default_factory=set)


def read_planning_workbooks(paths: Iterable[Path], today: datetime.date) -> PlanningWorkbook:
    """Read one workbook, or sheets exported from it."""
    paths, found = list(paths), PlanningWorkbook()
    for path in paths:
        content = read_limited(path, "workbook", MAX_FILE_SIZE)
        if path.suffix.lower() in (".xlsx", ".xlsm"):
            _read_workbook(content, path.name, today, found)
        elif path.suffix.lower() == ".csv":
            _read_exported(content, path.name, today, found)
        else:
            raise _failure(path.name, "is neither .xlsx nor .csv: save it as one of them")
    if BY_MOUSE not in found.kinds:
        names = ", ".join(path.name for path in paths)
        message = "no sheet by_mouse, the only one with ephys_day, project and experiment type"
        found.problems.append(Problem(names, 0, 0, "warning", message))
    return found


def _failure(name: str, reason: str) -> SourceError:
    return SourceError("workbook", f"{name} {reason}")


def read_limited(path: Path, kind: str, limit: int) -> bytes:
    """Return the content of a file of at most *limit* bytes, a `workbook` or a `batch` file."""
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        raise SourceError(kind, f"there is no file {path}: give the path of a {kind} file") from None
    except OSError as error:
        hint = "it is a folder" if path.is_dir() else f"{error.strerror or error}; close it if another program has it"
        raise SourceError(kind, f"{path} cannot be read: {hint}") from error
    if len(content) > limit:
        raise SourceError(kind, f"{path.name} has more than {limit} bytes: it is no {kind} file")
    return content


def decode_utf8(content: bytes, name: str, kind: str, save_as: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"byte 0x{content[error.start]:02x} in line {content.count(bytes([10]), 0, error.start) + 1}"
        raise SourceError(kind, f"{name} is not UTF-8 ({found}): save it as {save_as}") from None


def _read_workbook(content: bytes, name: str, today: datetime.date, found: PlanningWorkbook) -> None:
    try:
        with open_xlsx(content, name) as book:
            sheets = [sheet for sheet in book.sheets if sheet.kind == "worksheet"]
            if not any(_kind(sheet.title) for sheet in sheets):
                titles = ", ".join(sheet.title for sheet in sheets) or "none"
                raise _failure(name, f"has no sheet by_mouse or by_session_* (found: {titles}): is it the right one?")
            for sheet in sheets:
                kind = _kind(sheet.title)
                if kind:
                    _SheetParser(f"{name}[{sheet.title}]", today, book.epoch, found).read(kind, sheet)
    except SourceError as error:
        raise SourceError("workbook", error.reason) from error


def _kind(title: str) -> str | None:
    name = slug(title)
    return BY_MOUSE if name == BY_MOUSE else BY_SESSION if name.startswith(BY_SESSION) else None


def _read_exported(content: bytes, name: str, today: datetime.date, found: PlanningWorkbook) -> None:
    parser = _SheetParser(name, today, _EXCEL_EPOCH, found)
    rows = parser.limited(_csv_rows(decode_utf8(content, name, "workbook", "'CSV UTF-8'"), name))
    # its columns show its kind
    if not any(parser.add(kind, rows) for kind in (BY_MOUSE, BY_SESSION)):
        raise _failure(
            name,
            "is no sheet of a tracking workbook: by_mouse needs columns 'mouse' and 'days recorded', "
            f"by_session_* 'mouse' and 'date'; found {_shown(rows)}",
        )


def _shown(rows: Sequence[Row]) -> str:
    return ", ".join(repr(str(cell).strip()) for _, cell in sorted(rows[0][1].items()))[:200] if rows else "nothing"


def _csv_rows(text: str, name: str) -> Iterator[Row]:
    """Yield rows that are not blank, with the line that each begins on."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in reader:
            filled = {i: cell for i, cell in enumerate(row) if not is_blank(cell)}
            if filled:
                yield line, filled
            line = reader.line_num + 1
    except csv.Error as error:
        raise _failure(name, f"is no .csv file from line {line} on ({error}): export the sheet again") from error


def _column_name(text: str) -> str:
    """Return the name of a column whatever its case and spaces."""
    return re.sub(r"_+", "_", slug(text.replace("\n", " "))).strip("_")


def _without_unit(text: str) -> str:
    return _UNIT.sub("", _column_name(text))


class _SheetParser:
    """Adds the rows and problems of one sheet to those of the workbook."""

    def __init__(self, name: str, today: datetime.date, epoch: datetime.datetime, found: PlanningWorkbook) -> None:
        self._name = name
        self._today = today
        self._epoch = epoch
        self._found = found
        self._header: Mapping[int, Any] = {}
        self._columns: dict[str, int] = {}
        self._line = 0
        self._cells: Mapping[int, Any] = {}
        self._invalid: set[str] = set()

    def read(self, kind: str, sheet: Sheet) -> None:
        if sheet.is_hidden:
            message = "sheet is hidden, and so skipped: show it in Excel if it counts, or else delete it"
            self._report(message, severity="warning")
            return
        try:
            rows = self.limited(sheet.rows())
        except PartError as error:
            self._report(f"sheet cannot be read: {error}; open and save the workbook again")
            return
        if not self.add(kind, rows):
            required = ", ".join(f"'{name.replace('_', ' ')}'" for name in _REQUIRED[kind])
            self._line = rows[0][0] if rows else 0
            self._report(f"needs columns {required}, but has {_shown(rows)}; sheet skipped")

    def limited(self, rows: Iterable[Row]) -> list[Row]:
        """Return the rows down to the last that is read."""
        found: list[Row] = []
        for line, row in rows:
            if line > MAX_ROWS:
                self._line = line
                self._report(f"rows below {MAX_ROWS} are not read: delete them")
                break
            found.append((line, row))
        return found

    def add(self, kind: str, rows: Sequence[Row]) -> bool:
        """Add the rows below the header; return False if none of the first rows has the required columns."""
        remaining = iter(rows)
        for self._line, self._header in itertools.islice(remaining, _HEADER_WITHIN):
            self._columns, duplicates = name_columns(self._header, _without_unit)
            for name, aliases in _ALIASES.items():
                for alias in aliases:
                    if alias in self._columns:
                        self._columns.setdefault(name, self._columns[alias])
            if all(name in self._columns for name in _REQUIRED[kind]):
                break
        else:
            return False
        self._found.kinds.add(kind)
        for duplicate in duplicates.values():
            self._report(f"column {duplicate!r} is there twice: the first counts", severity="warning")
        for self._line, self._cells in remaining:
            self._invalid = set()
            if all(is_blank(self._cells.get(self._columns[name])) for name in _REQUIRED[kind]):
                required = " nor ".join(_REQUIRED[kind]).replace("_", " ")
                self._report(f"names neither {required}; row skipped", severity="warning")
            elif kind == BY_MOUSE:
                self._add_mouse()
            else:
                self._add_session()
        return True

    def _add_mouse(self) -> None:
        subject = self._read("mouse", cells.parse_subject)
        if subject is None:
            return
        week_of = self._read("week_of", lambda cell: None if cells.parse_text(cell) is None else self._day(cell))
        project, exp_type = self._read("project", cells.parse_text), self._read("exp_type", cells.parse_experiment)
        days = self._read("days_recorded", lambda cell: cells.parse_days(cell, week_of, self._today, self._epoch) or ())
        self._found.mice.append(MouseRow(subject, project, exp_type, days))

    def _day(self, cell: Any) -> datetime.date:
        return cells.parse_day(cell, self._today, self._epoch)

    def _add_session(self) -> None:
        subject, date = self._read("mouse", cells.parse_subject), self._read("date", self._day)
        if subject is None or date is None:
            return
        recorded = self._read("probes_in_brain", cells.parse_probes)
        columns = {letter: f"{letter.lower()}_depth" for letter in cells.PROBES}
        depths = {letter: self._depth(column) for letter, column in columns.items()}
        if recorded is None:
            placed = {
                letter for letter in depths if self._read(f"{letter.lower()}_loc", cells.is_filled) or depths[letter]
            }
            # one cell that cannot be read leaves open whether its probe is another of them
            recorded = None if self._invalid else frozenset(placed) or None
        counted = frozenset(cells.PROBES) if recorded is None else recorded
        known = [depth for letter, depth in depths.items() if depth is not None and letter in counted]
        is_deep = any(depth > DEEP_UM for depth in known)
        is_open = not known or any(columns[letter] in self._invalid for letter in counted)
        self._found.sessions.append(
            SessionRow(
                f"{subject}_{date}",
                self._name,
                self._line,
                recorded,
                None if is_open and not is_deep else is_deep,
                is_injection=self._read("injection_substance", cells.parse_injection),
                surface=self._read("surface_channel_recording", cells.parse_surface),
            )
        )

    def _depth(self, column: str) -> float | None:
        title = _column_name(str(self._header.get(self._columns.get(column, -1))))
        return self._read(column, functools.partial(cells.parse_depth, scale=1000 if title.endswith("_mm") else 1))

    def _read(self, column: str, parse: Callable[[Any], T]) -> T | None:
        """Return a parsed cell of the current row; None if there is no such column, or (reported) it is invalid."""
        index = self._columns.get(column)
        if index is None:
            return None
        try:
            return parse(self._cells.get(index))
        except ValueError as error:
            self._invalid.add(column)
            title = _without_unit(str(self._header[index])).replace("_", " ")
            self._report(f"{title}: {error}", column=index + 1)
            return None

    def _report(self, message: str, *, severity: Severity = "error", column: int = 0) -> None:
        self._found.problems.append(Problem(self._name, self._line, column, severity, message))
