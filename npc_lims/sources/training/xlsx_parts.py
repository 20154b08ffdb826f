"""The XML parts of an .xlsx file, read for sheets, rows, texts and number formats. Pure.

Decoration (fonts, conditional formats, hyperlinks, views) is skipped, whatever it holds. Strict Open XML differs in its
namespaces, which are not compared, and in dates written as text.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Optional
from xml.parsers import expat

from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format, is_timedelta_format
from openpyxl.utils import column_index_from_string, get_column_letter
from openpyxl.utils.datetime import from_excel, from_ISO8601

from npc_lims.sources.training import PartError
from npc_lims.sources.training.cells import UNSAVED, is_blank
from npc_lims.utils.text import single_line

LAST_ROW, LAST_COLUMN = 1_048_576, 16_384
"""As the format defines them: XFD1048576 is the last cell."""
MAX_ENTRIES = 100_000
"""Sheets, relationships or formats of a file. Excel has at most 64,000 formats, and fewer of the others."""
MAX_DEPTH = 100
"""Levels of elements: a dozen in sheets, and a few more in decorations. The parser takes memory for each."""
MAX_CODE = 255
"""Characters of a number format."""

# bytes; a token that is longer is scanned again with each chunk, so that small chunks would make that slow
_CHUNK = 2**20
_ROW_NUMBER = re.compile(r"[1-9][0-9]{0,6}", re.ASCII)
# longer ones do not fit into 64 bits: Excel has them as floats
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(
    r"[-+]?(?:[0-9]{1,400}\.?[0-9]{0,400}|\.[0-9]{1,400})(?:e[-+]?[0-9]{1,6})?|[-+]?(?:inf|nan)",
    re.ASCII | re.IGNORECASE,
)
_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")
_BOOLEANS = {"1": True, "true": True, "0": False, "false": False}
# East Asian date and time formats have no code of their own in the file
_BUILTIN_CODES = {**BUILTIN_FORMATS, **dict.fromkeys((*range(27, 37), *range(50, 59)), "yyyy-mm-dd")}

_ROW, _CELL = "/sheetData/row", "/sheetData/row/c"
_SHEET_PATHS = frozenset(
    ("/sheetData", _ROW, _CELL, *(f"{_CELL}/{name}" for name in ("f", "v", "is", "is/t", "is/r", "is/r/t")))
)

Row = tuple[int, dict[int, Any]]
Element = tuple[str, dict[str, str], str]
"""An element of a part: its path below the outermost one, its attributes, and its text after the last element in it."""


class DocumentTypeError(PartError):
    """A part declares a document type, which no spreadsheet program writes: with it come entities."""


class _ElementParser:
    """Parser of a part: yields the elements of *paths*, each at its end; their parents must be in *paths* too."""

    def __init__(self, root: str, paths: Collection[str]) -> None:
        self._root = root
        self._paths = paths
        self._open: list[tuple[str, Optional[dict[str, str]]]] = []
        self._skipped = 0
        self._text: list[str] = []
        self._ended: list[Element] = []

    def parse(self, stream: BinaryIO) -> Iterator[Element]:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = self._refuse_document_type
        chunk = None
        while chunk != b"":
            chunk = stream.read(_CHUNK)
            try:
                parser.Parse(chunk, not chunk)
            except expat.ExpatError as error:
                raise PartError(f"malformed XML: {error}") from None
            except PartError:
                raise
            except (ValueError, LookupError, TypeError):  # of a codec that the file names
                raise PartError("malformed XML: unknown encoding") from None
            yield from self._ended
            self._ended.clear()

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        if len(self._open) + self._skipped >= MAX_DEPTH:
            raise PartError(f"its elements are nested deeper than {MAX_DEPTH} levels")
        if self._skipped:
            self._skipped += 1
        elif not self._open:
            if name != self._root:
                raise PartError(f"it begins with <{single_line(name, 40)}>, expected <{self._root}>")
            self._open.append(("", None))
        elif name in ("AlternateContent", "Fallback"):
            # the content for older programs is read as if it stood there by itself
            self._open.append((self._open[-1][0], None))
        else:
            path = f"{self._open[-1][0]}/{name}"
            if path in self._paths:
                self._open.append((path, attributes))
                self._text.clear()
            else:
                self._skipped = 1

    def _end(self, _: str) -> None:
        if self._skipped:
            self._skipped -= 1
            return
        path, attributes = self._open.pop()
        if attributes is not None:
            self._ended.append((path, attributes, "".join(self._text)))
            self._text.clear()

    def _characters(self, data: str) -> None:
        if not self._skipped:
            self._text.append(data)

    def _refuse_document_type(self, *_: object) -> None:
        raise DocumentTypeError("it declares a document type")


def read_entries(stream: BinaryIO, root: str, *paths: str) -> list[Element]:
    """Return the elements of a part that is no table, and therefore has few."""
    entries = list(itertools.islice(_ElementParser(root, paths).parse(stream), MAX_ENTRIES + 1))
    if len(entries) > MAX_ENTRIES:
        raise PartError(f"it has more than {MAX_ENTRIES} entries of a kind")
    return entries


def read_shared_strings(stream: BinaryIO) -> list[str]:
    """Return the texts that cells refer to by number, without formatting and phonetic hints."""
    strings: list[str] = []
    runs: list[str] = []
    for path, _, text in _ElementParser("sst", ("/si", "/si/t", "/si/r", "/si/r/t")).parse(stream):
        if path.endswith("/t"):
            runs.append(text)
        elif path == "/si":
            strings.append(_unescape("".join(runs)))
            runs.clear()
    return strings


def _unescape(text: str) -> str:
    """Replace `_x000D_` and the like, for characters that XML cannot hold or changes."""
    if "_x" not in text:
        return text
    text = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    # two halves may make one character; a half alone is none
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def read_styles(stream: BinaryIO) -> dict[str, str]:
    """Return whether numbers are shown as `date` or `duration`, by the style of their cells."""
    codes = {str(number): code for number, code in _BUILTIN_CODES.items()}
    numbers = []
    for path, attributes, _ in read_entries(
        stream, "styleSheet", "/numFmts", "/numFmts/numFmt", "/cellXfs", "/cellXfs/xf"
    ):
        number = attributes.get("numFmtId", "0").strip()
        if path == "/numFmts/numFmt":
            codes[number] = attributes.get("formatCode", "")[:MAX_CODE]
        elif path == "/cellXfs/xf":
            numbers.append(number)
    kinds = {
        number: "duration" if is_timedelta_format(code) else "date"
        for number, code in codes.items()
        if is_date_format(code)
    }
    return {str(style): kinds[number] for style, number in enumerate(numbers) if number in kinds}


@dataclasses.dataclass(frozen=True)
class RowParser:
    """Parser of the rows of a sheet, with the texts, kinds of styles and first day of dates of its workbook."""

    strings: Sequence[str]
    kinds: Mapping[str, str]
    epoch: datetime.datetime

    def parse(self, stream: BinaryIO) -> Iterator[Row]:
        """Yield the number of each row that is not empty, and its values by column, from 0.

        A value is a bool, int, float, datetime, time, timedelta or a text that is not blank. Formulas give the value
        that was saved with them, or `cells.UNSAVED`.
        """
        line = last = 0
        has_data = False
        cells: list[tuple[dict[str, str], dict[str, list[str]]]] = []
        content: dict[str, list[str]] = {}
        for path, attributes, text in _ElementParser("worksheet", _SHEET_PATHS).parse(stream):
            if path == _CELL:
                cells.append((attributes, content))
                content = {}
                if len(cells) > LAST_COLUMN:
                    raise PartError(f"a row below row {last} has more cells than there are columns")
            elif path == _ROW:
                line = _row_number(attributes, line)
                row = self._parse_row(line, cells)
                cells.clear()
                if row:
                    if line <= last:
                        raise PartError(f"row {line} comes after row {last}")
                    last = line
                    yield line, row
            elif path == "/sheetData":
                has_data = True
            else:
                content.setdefault(path.rpartition("/")[2], []).append(text)
        if not has_data:
            raise PartError("it has no sheetData")

    def _parse_row(self, line: int, cells: Sequence[tuple[dict[str, str], dict[str, list[str]]]]) -> dict[int, Any]:
        row: dict[int, Any] = {}
        column = -1
        for attributes, content in cells:
            column = _column(attributes["r"], line) if "r" in attributes else column + 1
            if len(content.get("v", ())) > 1:
                raise PartError(f"cell {cell_name(line, column)} has two values")
            try:
                value = self._parse_value(attributes, content)
            except (ValueError, LookupError) as error:
                reason = error if isinstance(error, PartError) else "an invalid value"
                raise PartError(f"cell {cell_name(line, column)} holds {reason}") from None
            if is_blank(value):
                continue
            if column in row:
                raise PartError(f"cell {cell_name(line, column)} is there twice")
            row[column] = value
        return row

    def _parse_value(self, attributes: dict[str, str], content: Mapping[str, Sequence[str]]) -> Any:
        kind = attributes.get("t", "n")
        if kind == "inlineStr":
            return _unescape("".join(content.get("t", ())))
        text = "".join(content.get("v", ()))
        if not text:
            return UNSAVED if "f" in content and kind == "n" else None  # an empty text is of type str
        if kind == "n":
            return self._parse_number(text.strip(), attributes.get("s", ""))
        if kind == "s":
            if not _INTEGER.fullmatch(text.strip()) or not 0 <= int(text) < len(self.strings):
                raise PartError(f"a reference to a shared text that does not exist (there are {len(self.strings)})")
            return self.strings[int(text)]
        if kind == "b":
            return _BOOLEANS[text.strip().lower()]
        if kind == "d":
            return _parse_iso_date(text.strip())
        if kind in ("str", "e"):
            return _unescape(text)
        raise PartError("a value of an unknown type")

    def _parse_number(self, text: str, style: str) -> Any:
        if not text:
            return None
        if not _NUMBER.fullmatch(text):
            raise PartError("no number where one is expected")
        number = int(text) if _INTEGER.fullmatch(text) else float(text)
        kind = self.kinds.get(style)
        if kind is None:
            return number
        try:
            return from_excel(number, self.epoch, timedelta=kind == "duration")
        except (OverflowError, ValueError):
            return "#VALUE!"  # no calendar has that day; a spreadsheet shows ######


def cell_name(line: int, index: int) -> str:
    """
    >>> cell_name(3, 0)
    'A3'
    """
    return f"{get_column_letter(index + 1)}{line}"


def _row_number(attributes: Mapping[str, str], before: int) -> int:
    number = attributes.get("r", str(before + 1))
    if not _ROW_NUMBER.fullmatch(number):
        raise PartError(f"the row after row {before} has no valid number")
    if int(number) > LAST_ROW:
        raise PartError(f"row {number} is below the last row that a sheet can have")
    return int(number)


def _column(reference: str, line: int) -> int:
    letters = reference.rstrip("0123456789")
    index = _column_index(letters)
    if index is None:
        raise PartError(f"row {line} has a cell with an invalid reference")
    if reference[len(letters) :] != str(line):
        raise PartError(f"row {line} has a cell of another row")
    return index


@functools.lru_cache(maxsize=2**15)
def _column_index(letters: str) -> int | None:
    try:
        index = column_index_from_string(letters) - 1
    except ValueError:
        return None
    return index if index < LAST_COLUMN else None


def _parse_iso_date(text: str) -> Any:
    try:
        value = from_ISO8601(text)  # type: ignore[no-untyped-call]
    except ValueError:
        return text
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return datetime.datetime(value.year, value.month, value.day)
    return value
