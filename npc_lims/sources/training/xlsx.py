"""An .xlsx file: checked for damage and malice, and read for its rows only.

A file that cannot be read completely is a `SourceError` or, where only a sheet is concerned, a `PartError`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import posixpath
import zipfile
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Callable, cast
from urllib.parse import unquote

from openpyxl.utils.datetime import MAC_EPOCH, WINDOWS_EPOCH

from npc_lims.errors import SourceError
from npc_lims.sources.training import MAX_CELLS, MAX_FILE_SIZE, PartError
from npc_lims.sources.training.cells import UNSAVED
from npc_lims.sources.training.xlsx_parts import (
    DocumentTypeError,
    Row,
    RowParser,
    read_entries,
    read_shared_strings,
    read_styles,
)
from npc_lims.utils.mappings import grouped
from npc_lims.utils.text import single_line

MAX_UNPACKED = 256 * 2**20
"""Bytes of all members unpacked: 85 MiB for those thousand subjects."""
MAX_RATIO = 200
"""Unpacked to packed: 6 for such workbooks, 12 with rows all alike; a bomb approaches 1,000."""
RATIO_FREE = 16 * 2**20
"""Bytes unpacked below which the ratio does not matter: they can do no harm."""
MAX_MEMBERS = 10_000
"""Members of the zip, and sheets: a sheet takes one member, or three with comments."""
MAX_TITLE = 255
"""Characters of the title of a sheet: 31 in Excel, more elsewhere."""

# any other kind is read as a worksheet
_KINDS_WITHOUT_ROWS = frozenset({"chartsheet", "dialogsheet", "xlMacrosheet", "xlIntlMacrosheet"})
_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_CHUNK = 2**20
_REMEDY = "save it as Excel Workbook (.xlsx)"


def failure(name: str, reason: str) -> SourceError:
    return SourceError("training", f"{name} {reason}")


@dataclasses.dataclass(frozen=True)
class Sheet:
    """A sheet of a workbook; *kind* is `worksheet`, one without rows (`chartsheet`, ...), or empty for an old macro
    module, which has no part."""

    title: str
    is_hidden: bool
    kind: str
    path: str
    _read: Callable[[str], Iterator[Row]]

    def rows(self, *, with_unsaved: bool = False) -> Iterator[Row]:
        """Yield each row that is not empty, as `RowParser.parse`; PartError, or SourceError for hostile content."""
        for line, cells in self._read(self.path):
            if not with_unsaved:
                cells = {i: value for i, value in cells.items() if value != UNSAVED}
            if cells:
                yield line, cells


class Xlsx:
    """An open workbook, to be closed by a `with` statement: its sheets in order, and the day its dates count from."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self._name = name
        self._archive = archive
        self._members = grouped((_resolve("", member.filename), member) for member in archive.infolist())
        self._cells = 0
        targets = [target for kind, target in self._relationships("").values() if kind == "officeDocument"]
        path = targets[0] if targets else "xl/workbook.xml"
        if path.endswith(".bin"):
            raise failure(name, f"is a binary workbook (.xlsb): {_REMEDY}")
        if path not in self._members:
            raise failure(name, f"is a zip file without a workbook: {_REMEDY}")
        parts = self._relationships(path)
        self.epoch = WINDOWS_EPOCH
        self.sheets = self._read_sheets(path, parts)
        shared = {kind: target for kind, target in parts.values() if target in self._members}
        strings: list[str] = []
        kinds: dict[str, str] = {}
        if "sharedStrings" in shared:
            with self._open_shared(shared["sharedStrings"]) as stream:
                strings = read_shared_strings(stream)
        if "styles" in shared:
            with self._open_shared(shared["styles"]) as stream:
                kinds = read_styles(stream)
        self._parser = RowParser(strings, kinds, self.epoch)

    def __enter__(self) -> Xlsx:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def _relationships(self, path: str) -> dict[str, tuple[str, str]]:
        """Return the kind of each relationship of a part (as `worksheet`) and the path of its target, by id."""
        folder, name = posixpath.split(path)
        source = posixpath.join(folder, "_rels", f"{name}.rels")
        if source not in self._members:
            return {}
        found = {}
        with self._open_shared(source) as stream:
            for _, attributes, _ in read_entries(stream, "Relationships", "/Relationship"):
                is_external = attributes.get("TargetMode", "").lower() == "external"
                target = "" if is_external else _resolve(folder, attributes.get("Target", ""))
                kind = single_line(attributes.get("Type", "").rpartition("/")[2], 40)
                found[attributes.get("Id", "")] = (kind, target)
        return found

    def _read_sheets(self, path: str, parts: Mapping[str, tuple[str, str]]) -> tuple[Sheet, ...]:
        sheets = []
        with self._open_shared(path) as stream:
            for element, attributes, _ in read_entries(stream, "workbook", "/workbookPr", "/sheets", "/sheets/sheet"):
                if element == "/sheets/sheet":
                    # the prefix of its namespace is whatever the file declares
                    id_ = next((value for key, value in attributes.items() if key.rpartition(":")[2] == "id"), "")
                    kind, target = parts.get(id_, ("worksheet" if id_ else "", ""))
                    kind = kind if kind in ("", *_KINDS_WITHOUT_ROWS) else "worksheet"
                    is_hidden = attributes.get("state", "visible") != "visible"
                    sheets.append(Sheet(_title(attributes), is_hidden, kind, target, self._rows))
                elif element == "/workbookPr":
                    is_1904 = attributes.get("date1904", "").strip().lower() in ("1", "true", "on")
                    self.epoch = MAC_EPOCH if is_1904 else WINDOWS_EPOCH
        if len(sheets) > MAX_MEMBERS:
            raise failure(self._name, f"has {len(sheets)} sheets, as no real workbook; it was not read")
        used = [sheet.path for sheet in sheets if sheet.path in self._members]
        if len(used) > len(set(used)):
            raise failure(self._name, "has two sheets in one part, as no real workbook; it was not read")
        return tuple(sheets)

    @contextlib.contextmanager
    def _open_shared(self, path: str) -> Iterator[BinaryIO]:
        """Open a part that all sheets need."""
        try:
            with self._open(path) as stream:
                yield stream
        except PartError as error:
            raise failure(
                self._name, f"cannot be read ({single_line(path, 100)}: {error}): open and save it again"
            ) from None

    @contextlib.contextmanager
    def _open(self, path: str) -> Iterator[BinaryIO]:
        first, *more = self._members[path]
        if more:
            raise PartError(f"the file has {len(more) + 1} parts of this name")
        try:
            with self._archive.open(first) as stream:
                yield cast(BinaryIO, stream)
        except DocumentTypeError:
            raise failure(
                self._name, f"declares a document type in {single_line(path, 100)!r}: an attack; it was not read"
            ) from None

    def _rows(self, path: str) -> Iterator[Row]:
        if path not in self._members:
            raise PartError("its part is missing from the file")
        with self._open(path) as stream:
            for row in self._parser.parse(stream):
                self._cells += len(row[1])
                if self._cells > MAX_CELLS:
                    raise failure(self._name, f"has more cells than any real workbook ({MAX_CELLS}); it was not read")
                yield row


def _title(attributes: Mapping[str, str]) -> str:
    title = attributes.get("name", "")
    if not title:
        raise PartError("a sheet has no title")
    if len(title) > MAX_TITLE:
        raise PartError(f"a sheet has a title of {len(title)} characters")
    return "".join(" " if char.isspace() else char for char in title if char.isprintable() or char.isspace())


def _resolve(folder: str, target: str) -> str:
    """Return the path of a part, regardless of case, from its name or from a reference in a part in *folder*.

    >>> _resolve("xl", "worksheets/Sheet1.xml"), _resolve("xl", "/xl/styles.xml"), _resolve("xl", "..\\\\a.xml")
    ('xl/worksheets/sheet1.xml', 'xl/styles.xml', 'a.xml')
    """
    path = posixpath.join("/", folder, unquote(target.replace("\\", "/")))
    return posixpath.normpath(path).lstrip("/").lower()


def open_xlsx(content: bytes, name: str) -> Xlsx:
    """Open the workbook *name*; SourceError if it is no .xlsx file, truncated, hostile, or larger than any real one."""
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
            raise failure(name, f"packs {single_line(member.filename, 100)!r} in an unusual way; it was not read")
        # zipfile returns at most the declared size, which the sum above bounds
        with archive.open(member) as stream:
            while stream.read(_CHUNK):
                pass
