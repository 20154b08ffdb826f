"""An .xlsx file: checked for damage and malice, and read for its rows only.

A file that cannot be read completely is a `SourceError` or, where only a sheet is concerned, a `PartError`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import posixpath
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO, Callable, TypeVar, cast
from urllib.parse import unquote

from npc_lims.errors import SourceError
from npc_lims.sources.training.cells import UNSAVED
from npc_lims.sources.training.xlsx_parts import (
    DateFormats,
    DocumentTypeError,
    PartError,
    Relationship,
    SheetEntry,
    read_relationships,
    read_rows,
    read_shared_strings,
    read_styles,
    read_workbook,
)
from npc_lims.utils.text import single_line

MAX_FILE_SIZE = 32 * 2**20
"""Bytes. A thousand subjects with two hundred sessions each take 13 MiB."""
MAX_UNPACKED = 256 * 2**20
"""Bytes of all members unpacked: 85 MiB for those thousand subjects."""
MAX_RATIO = 200
"""Unpacked to packed: 6 for such workbooks, 12 with rows all alike; a bomb approaches 1,000."""
RATIO_FREE = 16 * 2**20
"""Bytes unpacked below which the ratio does not matter: they can do no harm."""
MAX_MEMBERS = 10_000
"""Members of the zip, and sheets: a sheet takes one member, or three with comments."""
MAX_CELLS = 10_000_000
"""Cells of a workbook that hold anything: a thousand subjects with two hundred sessions each of fifty columns."""
MAX_ROWS = 20_000
"""Rows of a sheet for those who keep one entry for every row, blank ones too: a stray cell may be far below."""

# any other kind is read as a worksheet
_KINDS_WITHOUT_ROWS = frozenset({"chartsheet", "dialogsheet", "xlMacrosheet", "xlIntlMacrosheet"})
_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_CHUNK = 2**20
_REMEDY = "save it as Excel Workbook (.xlsx)"
T = TypeVar("T")
Row = tuple[int, dict[int, Any]]


def failure(name: str, reason: str) -> SourceError:
    return SourceError("training", f"{name} {reason}")


def _check_archive(archive: zipfile.ZipFile, size: int, name: str) -> None:
    """Unpack everything once, which proves sizes and checksums."""
    members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    if len(members) > MAX_MEMBERS:
        raise failure(name, f"has {len(members)} parts, as no real workbook; it was not read")
    if unpacked > MAX_UNPACKED or unpacked > max(RATIO_FREE, MAX_RATIO * size):
        raise failure(name, f"would unpack to {unpacked} bytes: a zip bomb, or damaged; it was not read")
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise failure(name, f"packs {_shown(member.filename)!r} in an unusual way; it was not read")
        # zipfile returns at most the declared size, which the sum above bounds
        with archive.open(member) as stream:
            while stream.read(_CHUNK):
                pass


@dataclasses.dataclass(frozen=True)
class Sheet:
    """A sheet of a workbook; *kind* is `worksheet`, one without rows (`chartsheet`, ...), or empty for an old macro
    module, which has no part."""

    title: str
    is_hidden: bool
    kind: str
    _read: Callable[[], Iterator[Row]]

    def rows(self, *, with_unsaved: bool = False) -> Iterator[Row]:
        """Yield each row that is not empty, as `xlsx_parts.read_rows`.

        Args:
            with_unsaved: Keep `cells.UNSAVED`, the value of a formula that was saved without one.

        Raises:
            PartError: The sheet is missing, or cannot be read to its end.
            SourceError: It is hostile, or the workbook has more cells than any real one.
        """
        for line, cells in self._read():
            if not with_unsaved:
                cells = {i: value for i, value in cells.items() if value != UNSAVED}
            if cells:
                yield line, cells


class Xlsx:
    """An open workbook, to be closed by a `with` statement: its sheets in order, and the day its dates count from."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._name = name
        self._package = _Package(archive)
        self._cells = 0
        main = next((one for one in self._relationships("").values() if one.kind == "officeDocument"), None)
        path = "xl/workbook.xml" if main is None else main.target
        if path.endswith(".bin"):
            raise failure(name, f"is a binary workbook (.xlsb): {_REMEDY}")
        if path not in self._package:
            raise failure(name, f"is a zip file without a workbook: {_REMEDY}")
        entries, self.epoch = self._read(path, read_workbook)
        if len(entries) > MAX_MEMBERS:
            raise failure(name, f"has {len(entries)} sheets, as no real workbook; it was not read")
        parts = self._relationships(path)
        by_kind = {part.kind: part.target for part in parts.values() if part.target in self._package}
        strings = self._read(by_kind["sharedStrings"], read_shared_strings) if "sharedStrings" in by_kind else []
        formats = self._read(by_kind["styles"], read_styles) if "styles" in by_kind else DateFormats()
        self._parse: Callable[[BinaryIO], Iterator[Row]] = functools.partial(
            read_rows, strings=strings, formats=formats, epoch=self.epoch
        )
        self.sheets = tuple(self._sheet(entry, parts.get(entry.relationship)) for entry in entries)
        used = [parts[entry.relationship].target for entry in entries if entry.relationship in parts]
        used = [path for path in used if path in self._package]
        if len(used) > len(set(used)):
            raise failure(name, "has two sheets in one part, as no real workbook; it was not read")

    def __enter__(self) -> Xlsx:
        return self

    def __exit__(self, *_: object) -> None:
        self._package.archive.close()

    def _relationships(self, path: str) -> dict[str, Relationship]:
        """Return the relationships of a part by id, each with the path of its target."""
        folder, name = posixpath.split(path)
        source = posixpath.join(folder, "_rels", f"{name}.rels")
        found = self._read(source, read_relationships) if source in self._package else {}
        return {
            id_: dataclasses.replace(one, target="" if one.is_external else _resolve(folder, one.target))
            for id_, one in found.items()
        }

    def _read(self, path: str, read: Callable[[BinaryIO], T]) -> T:
        """Read a part that all sheets need."""
        try:
            with self._open(path) as stream:
                return read(stream)
        except PartError as error:
            raise failure(self._name, f"cannot be read ({_shown(path)}: {error}): open and save it again") from None

    @contextlib.contextmanager
    def _open(self, path: str) -> Iterator[BinaryIO]:
        try:
            with self._package.open(path) as stream:
                yield stream
        except DocumentTypeError:
            raise failure(
                self._name, f"declares a document type in {_shown(path)!r}: an attack; it was not read"
            ) from None

    def _sheet(self, entry: SheetEntry, part: Relationship | None) -> Sheet:
        kind = "worksheet" if part is not None or entry.relationship else ""
        if part is not None and part.kind in _KINDS_WITHOUT_ROWS:
            kind = part.kind
        path = "" if part is None else part.target
        return Sheet(entry.title, entry.is_hidden, kind, lambda: self._rows(path))

    def _rows(self, path: str) -> Iterator[Row]:
        if path not in self._package:
            raise PartError("its part is missing from the file")
        with self._open(path) as stream:
            for row in self._parse(stream):
                self._cells += len(row[1])
                if self._cells > MAX_CELLS:
                    raise failure(self._name, f"has more cells than any real workbook ({MAX_CELLS}); it was not read")
                yield row


class _Package:
    """The parts of a file by their paths, regardless of case."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        self._members: dict[str, list[zipfile.ZipInfo]] = {}
        for member in archive.infolist():
            self._members.setdefault(_resolve("", member.filename), []).append(member)

    def __contains__(self, path: str) -> bool:
        return path in self._members

    def open(self, path: str) -> BinaryIO:
        first, *more = self._members[path]
        if more:
            raise PartError(f"the file has {len(more) + 1} parts of this name")
        return cast(BinaryIO, self.archive.open(first))


def _shown(path: str) -> str:
    """Return the path of a part, which the file chose, for a message."""
    return single_line(path, 100)


def _resolve(folder: str, target: str) -> str:
    """Return the path of a part from its name, or from a reference in a part in *folder*.

    >>> _resolve("xl", "worksheets/Sheet1.xml"), _resolve("xl", "/xl/styles.xml"), _resolve("xl", "..\\\\a.xml")
    ('xl/worksheets/sheet1.xml', 'xl/styles.xml', 'a.xml')
    """
    path = posixpath.join("/", folder, unquote(target.replace("\\", "/")))
    return posixpath.normpath(path).lstrip("/").lower()


def open_xlsx(content: bytes, name: str) -> Xlsx:
    """Open the workbook *name*.

    Raises:
        SourceError: It is no .xlsx file, truncated, hostile, or larger than any such workbook.
    """
    if len(content) > MAX_FILE_SIZE:
        raise failure(name, f"has more than the {MAX_FILE_SIZE} bytes of any real workbook; it was not read")
    if content.startswith(_OLE_MAGIC):
        raise failure(name, "is protected by a password or of the old .xls format: save it as a plain .xlsx")
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        _check_archive(archive, len(content), name)
    except SourceError:
        raise
    except Exception as error:  # BadZipFile, zlib.error, EOFError, RuntimeError, OverflowError and more
        reason = single_line(f"{type(error).__name__}: {error}", 200)
        raise failure(name, f"is truncated, damaged or no .xlsx file ({reason}): upload it again") from error
    return Xlsx(archive, name)
