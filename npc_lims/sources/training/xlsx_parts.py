"""The XML parts of an .xlsx file, read for sheets, rows, texts and number formats. Pure.

Decoration (fonts, conditional formats, hyperlinks, views) is skipped, whatever it holds. Strict Open XML differs in its
namespaces, which are not compared, and in dates written as text.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import re
from collections.abc import Iterator, Mapping, Sequence, Sized
from typing import Any, BinaryIO, Callable, Optional
from xml.parsers import expat

from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format, is_timedelta_format
from openpyxl.utils import column_index_from_string, get_column_letter
from openpyxl.utils.datetime import MAC_EPOCH, WINDOWS_EPOCH, from_excel, from_ISO8601

from npc_lims.sources.training.cells import UNSAVED
from npc_lims.utils.text import single_line

LAST_ROW, LAST_COLUMN = 1_048_576, 16_384
"""As the format defines them: XFD1048576 is the last cell."""

MAX_ENTRIES = 100_000
"""Sheets, relationships or number formats of a file. Excel has at most a few thousand of each."""
MAX_TITLE = MAX_CODE = 255
"""Characters of the title of a sheet (31 in Excel, more elsewhere), and of a number format."""

_ROW_NUMBER = re.compile(r"[1-9][0-9]{0,6}", re.ASCII)
# longer ones do not fit into 64 bits: Excel has them as floats
_INTEGER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_NUMBER = re.compile(
    r"[-+]?(?:[0-9]{1,400}\.?[0-9]{0,400}|\.[0-9]{1,400})(?:e[-+]?[0-9]{1,6})?|[-+]?(?:inf|nan)",
    re.ASCII | re.IGNORECASE,
)
_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")
_BOOLEANS = {"1": True, "true": True, "0": False, "false": False}
# East Asian date and time formats, which have no code of their own in the file
_LOCAL_DATES = (*range(27, 37), *range(50, 59))


# bytes; a token that is longer is scanned again with each chunk, so that small chunks would make that slow
_CHUNK = 2**20


class PartError(ValueError):
    """A part cannot be read: the reason in a few words, without content, which may not be public."""


class DocumentTypeError(PartError):
    """A part declares a document type, which no spreadsheet program writes: with it come entities."""


@dataclasses.dataclass
class Element:
    """An element to be read: those inside it, and functions to call at its start, at its end, and with its text."""

    children: Mapping[str, Element] = dataclasses.field(default_factory=dict)
    on_start: Optional[Callable[[dict[str, str]], None]] = None
    on_end: Optional[Callable[[], None]] = None
    on_text: Optional[Callable[[str], None]] = None


class Parser:
    """Parser of a part that calls the functions of a tree of `Element` and skips all elements that are not in it.

    Namespaces are not compared. Document types, and with them entities, are refused.
    """

    def __init__(self, root: str, element: Element) -> None:
        self._root = root
        self._element = Element({root: element})
        self._open: list[Element] = []
        self._skipped = 0
        self._text: list[str] = []
        self._expat = expat.ParserCreate()
        self._expat.buffer_text = True
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.CharacterDataHandler = self._characters
        self._expat.StartDoctypeDeclHandler = self._refuse_document_type

    def parse(self, stream: BinaryIO) -> Iterator[None]:
        """Parse *stream*, and yield after each chunk. Raises PartError for malformed XML, or a part of another kind."""
        chunk = None
        try:
            while chunk != b"":
                chunk = stream.read(_CHUNK)
                self._expat.Parse(chunk, not chunk)
                yield
        except expat.ExpatError as error:
            raise PartError(f"malformed XML: {error}") from None
        except PartError:
            raise
        except (ValueError, LookupError, TypeError):  # of a codec that the file names
            raise PartError("malformed XML: unknown encoding") from None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._skipped:
            self._skipped += 1
            return
        name = name.rpartition(":")[2]
        child = self._element.children.get(name)
        if child is None:
            if not self._open:
                raise PartError(f"it begins with <{single_line(name, 40)}>, expected <{self._root}>")
            if name not in ("AlternateContent", "Fallback"):
                self._skipped = 1
                return
            child = self._element  # the content for older programs is read as if it stood there by itself
        elif child.on_start is not None:
            child.on_start(attributes)
        self._open.append(self._element)
        self._element = child

    def _end(self, _: str) -> None:
        if self._skipped:
            self._skipped -= 1
            return
        element, self._element = self._element, self._open.pop()
        if element is self._element:
            return
        if element.on_text is not None:
            element.on_text("".join(self._text))
            self._text.clear()
        if element.on_end is not None:
            element.on_end()

    def _characters(self, data: str) -> None:
        if self._element.on_text is not None and not self._skipped:
            self._text.append(data)

    def _refuse_document_type(self, *_: object) -> None:
        raise DocumentTypeError("it declares a document type")


def parse(stream: BinaryIO, root: str, element: Element) -> None:
    """Parse a whole part, whose outermost element is *root*; raises as `Parser.parse`."""
    for _ in Parser(root, element).parse(stream):
        pass


# ------------------------------------------------------------------------------- parts


@dataclasses.dataclass(frozen=True)
class Relationship:
    """A reference of a part to another; `kind` is the last word of its type, such as `worksheet`."""

    kind: str
    target: str
    is_external: bool


@dataclasses.dataclass(frozen=True)
class SheetEntry:
    """A sheet as the workbook lists it; a macro module, which has no part, has no relationship."""

    title: str
    is_hidden: bool
    relationship: str


def _check_count(entries: Sized) -> None:
    if len(entries) > MAX_ENTRIES:
        raise PartError(f"it has more than {MAX_ENTRIES} entries of a kind")


def read_relationships(stream: BinaryIO) -> dict[str, Relationship]:
    """Return the relationships of a part by id. Raises PartError if it cannot be read, as all readers below."""
    found: dict[str, Relationship] = {}

    def add(attributes: dict[str, str]) -> None:
        kind = single_line(attributes.get("Type", "").rpartition("/")[2], 40)
        is_external = attributes.get("TargetMode", "").lower() == "external"
        found[attributes.get("Id", "")] = Relationship(kind, attributes.get("Target", ""), is_external)
        _check_count(found)

    parse(stream, "Relationships", Element({"Relationship": Element(on_start=add)}))
    return found


def read_workbook(stream: BinaryIO) -> tuple[list[SheetEntry], datetime.datetime]:
    """Return the sheets in their order, and the day from which dates are counted."""
    sheets: list[SheetEntry] = []
    epochs = [WINDOWS_EPOCH]

    def add(attributes: dict[str, str]) -> None:
        # the prefix of its namespace is whatever the file declares
        relationship = next((value for name, value in attributes.items() if name.rpartition(":")[2] == "id"), "")
        title = attributes.get("name", "")
        if not title:
            raise PartError("a sheet has no title")
        if len(title) > MAX_TITLE:
            raise PartError(f"a sheet has a title of {len(title)} characters")
        title = "".join(" " if char.isspace() else char for char in title if char.isprintable() or char.isspace())
        sheets.append(SheetEntry(title, attributes.get("state", "visible") != "visible", relationship))
        _check_count(sheets)

    def set_epoch(attributes: dict[str, str]) -> None:
        is_1904 = attributes.get("date1904", "").strip().lower() in ("1", "true", "on")
        epochs.append(MAC_EPOCH if is_1904 else WINDOWS_EPOCH)

    tree = {"sheets": Element({"sheet": Element(on_start=add)}), "workbookPr": Element(on_start=set_epoch)}
    parse(stream, "workbook", Element(tree))
    return sheets, epochs[-1]


def read_shared_strings(stream: BinaryIO) -> list[str]:
    """Return the texts that cells refer to by number, without formatting and phonetic hints."""
    strings: list[str] = []
    runs: list[str] = []

    def finish() -> None:
        strings.append(_unescape("".join(runs)))
        runs.clear()

    parse(stream, "sst", Element({"si": Element(_text_runs(runs), on_end=finish)}))
    return strings


def _text_runs(runs: list[str]) -> dict[str, Element]:
    """Return the elements of a text, plain or of several formats, whose content is appended to *runs*."""
    text = Element(on_text=runs.append)
    return {"t": text, "r": Element({"t": text})}


def _unescape(text: str) -> str:
    """Replace `_x000D_` and the like, for characters that XML cannot hold or changes."""
    if "_x" not in text:
        return text
    text = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    # two halves may make one character; a half alone is none
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class DateFormats:
    """Number formats: which numbers are dates, times or durations."""

    def __init__(self, ids: Sequence[int] = (), codes: Mapping[int, str] | None = None) -> None:
        self._ids = ids
        self._codes = {**BUILTIN_FORMATS, **dict.fromkeys(_LOCAL_DATES, "yyyy-mm-dd"), **(codes or {})}
        self._kinds: dict[str, str] = {}

    def kind(self, style: str) -> str:
        """Return `date`, `duration` or an empty text for the style of a cell, which may be any text."""
        if style not in self._kinds:
            index = int(style) if _INTEGER.fullmatch(style) else -1
            code = self._codes.get(self._ids[index]) if 0 <= index < len(self._ids) else None
            is_date, is_duration = is_date_format(code), is_timedelta_format(code)
            self._kinds[style] = "" if not is_date else "duration" if is_duration else "date"
        return self._kinds[style]


def read_styles(stream: BinaryIO) -> DateFormats:
    """Return the number formats of a styles part. Fonts, fills and named styles are skipped."""
    ids: list[int] = []
    codes: dict[int, str] = {}

    def number(attributes: dict[str, str]) -> int:
        text = attributes.get("numFmtId", "0").strip()
        return int(text) if _INTEGER.fullmatch(text) else 0

    def add_code(attributes: dict[str, str]) -> None:
        codes[number(attributes)] = attributes.get("formatCode", "")[:MAX_CODE]
        _check_count(codes)

    tree = {
        "numFmts": Element({"numFmt": Element(on_start=add_code)}),
        "cellXfs": Element({"xf": Element(on_start=lambda attributes: ids.append(number(attributes)))}),
    }
    parse(stream, "styleSheet", Element(tree))
    return DateFormats(ids, codes)


def read_rows(
    stream: BinaryIO, strings: Sequence[str], formats: DateFormats, epoch: datetime.datetime
) -> Iterator[tuple[int, dict[int, Any]]]:
    """Yield the number of each row that is not empty, and its values by column, from 0.

    A value is a bool, int, float, datetime, time, timedelta or a text that is not blank. Formulas give the value that
    was saved with them, or `cells.UNSAVED`.

    Raises:
        PartError: The sheet cannot be read, or contradicts itself; what was yielded is incomplete.
    """
    reader = _RowReader(strings, formats, epoch)
    parser = Parser("worksheet", reader.tree)
    for _ in parser.parse(stream):
        yield from reader.rows
        reader.rows.clear()
    if not reader.has_data:
        raise PartError("it has no sheetData")


class _RowReader:
    """Handlers of the elements of a sheet; `rows` are those that are complete."""

    def __init__(self, strings: Sequence[str], formats: DateFormats, epoch: datetime.datetime) -> None:
        self.rows: list[tuple[int, dict[int, Any]]] = []
        self.has_data = False
        self._strings = strings
        self._formats = formats
        self._epoch = epoch
        self._line = self._last = 0
        self._cells: dict[int, Any] = {}
        self._column = -1
        self._cell: dict[str, str] = {}
        self._value: str | None = None
        self._is_formula = False
        self._runs: list[str] = []
        formula, value = Element(on_start=self._start_formula), Element(on_text=self._set_value)
        parts = {"f": formula, "v": value, "is": Element(_text_runs(self._runs))}
        cell = Element(parts, on_start=self._start_cell, on_end=self._end_cell)
        row = Element({"c": cell}, on_start=self._start_row, on_end=self._end_row)
        self.tree = Element({"sheetData": Element({"row": row}, on_start=self._start_data)})

    def _start_data(self, _: dict[str, str]) -> None:
        self.has_data = True

    def _start_row(self, attributes: dict[str, str]) -> None:
        number = attributes.get("r")
        if number is not None and not _ROW_NUMBER.fullmatch(number):
            raise PartError(f"the row after row {self._line} has no valid number")
        line = self._line + 1 if number is None else int(number)
        if line > LAST_ROW:
            raise PartError(f"row {line} is below the last row that a sheet can have")
        self._line = line
        self._column = -1

    def _end_row(self) -> None:
        if self._cells:
            if self._line <= self._last:
                raise PartError(f"row {self._line} comes after row {self._last}")
            self._last = self._line
            self.rows.append((self._line, self._cells))
            self._cells = {}

    def _start_cell(self, attributes: dict[str, str]) -> None:
        reference = attributes.get("r")
        if reference is None:
            self._column += 1
        else:
            letters = reference.rstrip("0123456789")
            try:
                self._column = _column_index(letters)
            except ValueError:
                raise PartError(f"row {self._line} has a cell with an invalid reference") from None
            if reference[len(letters) :] != str(self._line):
                raise PartError(f"row {self._line} has a cell of another row")
        self._cell = attributes
        self._value = None
        self._is_formula = False
        self._runs.clear()

    def _start_formula(self, _: dict[str, str]) -> None:
        self._is_formula = True

    def _set_value(self, text: str) -> None:
        if self._value is not None:
            raise PartError(f"cell {self._name()} has two values")
        self._value = text

    def _end_cell(self) -> None:
        try:
            value = self._parse_value()
        except (ValueError, LookupError) as error:
            reason = error if isinstance(error, PartError) else "an invalid value"
            raise PartError(f"cell {self._name()} holds {reason}") from None
        if value is None or (isinstance(value, str) and not value.strip()):
            return
        if self._column in self._cells:
            raise PartError(f"cell {self._name()} is there twice")
        self._cells[self._column] = value

    def _name(self) -> str:
        return f"{get_column_letter(self._column + 1)}{self._line}"

    def _parse_value(self) -> Any:
        kind = self._cell.get("t", "n")
        if kind == "inlineStr":
            return _unescape("".join(self._runs))
        text = self._value
        if not text:
            return UNSAVED if self._is_formula and kind == "n" else None  # an empty text is of type str
        if kind == "n":
            return self._parse_number(text.strip())
        if kind == "s":
            if not _INTEGER.fullmatch(text.strip()) or not 0 <= int(text) < len(self._strings):
                raise PartError(f"a reference to a shared text that does not exist (there are {len(self._strings)})")
            return self._strings[int(text)]
        if kind == "b":
            return _BOOLEANS[text.strip().lower()]
        if kind == "d":
            return _parse_iso_date(text.strip())
        if kind in ("str", "e"):
            return _unescape(text)
        raise PartError("a value of an unknown type")

    def _parse_number(self, text: str) -> Any:
        if not text:
            return None
        if not _NUMBER.fullmatch(text):
            raise PartError("no number where one is expected")
        number = int(text) if _INTEGER.fullmatch(text) else float(text)
        style = self._cell.get("s")
        kind = "" if style is None else self._formats.kind(style)
        if not kind:
            return number
        try:
            return from_excel(number, self._epoch, timedelta=kind == "duration")
        except (OverflowError, ValueError):
            return "#VALUE!"  # no calendar has that day; a spreadsheet shows ######


@functools.lru_cache(maxsize=2**15)
def _column_index(letters: str) -> int:
    index = column_index_from_string(letters) - 1
    if index >= LAST_COLUMN:
        raise ValueError
    return index


def _parse_iso_date(text: str) -> Any:
    try:
        value = from_ISO8601(text)  # type: ignore[no-untyped-call]
    except ValueError:
        return text
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return datetime.datetime(value.year, value.month, value.day)
    return value
