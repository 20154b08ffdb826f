"""An .xlsx file, opened with care: checked before openpyxl sees it, and read for its tables only.

Damage and malice end here, as a `SourceError`: a file that cannot be read whole is a failure, never
a shorter answer.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

import openpyxl.xml
from openpyxl.reader.excel import ExcelReader

from npc_lims.errors import SourceError

__all__ = ["MAX_FILE_SIZE", "Xlsx", "failure", "one_line", "open_xlsx"]

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

_OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_DOCTYPES = tuple("<!DOCTYPE".encode(encoding) for encoding in ("ascii", "utf-16-le", "utf-16-be"))
_CHUNK = 2**20


def failure(name: str, reason: str) -> SourceError:
    return SourceError("training", f"{name} {reason}")


def _check_archive(content: bytes, name: str) -> None:
    """Unpack everything once: sizes and checksums are then facts, and nothing else reads a damaged file."""
    if len(content) > MAX_FILE_SIZE:
        raise failure(name, f"has more than the {MAX_FILE_SIZE} bytes of any real workbook; it was not read")
    if content.startswith(_OLE_MAGIC):
        raise failure(name, "is protected by a password or of the old .xls format: save it as a plain .xlsx")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            unpacked = sum(member.file_size for member in members)
            if len(members) > MAX_MEMBERS:
                raise failure(name, f"has {len(members)} parts, as no real workbook; it was not read")
            if unpacked > MAX_UNPACKED or unpacked > max(RATIO_FREE, MAX_RATIO * len(content)):
                raise failure(name, f"would unpack to {unpacked} bytes: a zip bomb, or damaged; it was not read")
            for member in members:
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise failure(name, f"packs {member.filename!r} in an unusual way; it was not read")
                # zipfile gives no more than the size that the member declares, which the sum above bounds
                with archive.open(member) as stream:
                    _check_member(stream, name, member.filename)
    except SourceError:
        raise
    except Exception as error:  # BadZipFile, zlib.error, EOFError, RuntimeError, OverflowError and more
        raise failure(name, f"is truncated, damaged or no .xlsx file ({one_line(error)}): upload it again") from error


def _check_member(stream: Any, name: str, member: str) -> None:
    is_xml = member.lower().endswith((".xml", ".rels"))
    tail = b""
    while True:
        chunk = stream.read(_CHUNK)
        if not chunk:
            return
        if is_xml and any(doctype in tail + chunk for doctype in _DOCTYPES):
            raise failure(name, f"declares a document type in {member!r}: an attack; it was not read")
        tail = chunk[-2 * len("<!DOCTYPE") :]


class Xlsx(ExcelReader):
    """openpyxl's reader without the parts that a table has no use for, each of which can be malformed."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
        self.chartsheets: list[str] = []

    def read_chartsheet(self, sheet: Any, rel: Any) -> None:
        self.chartsheets.append(str(sheet.name))

    def read_properties(self) -> None:
        pass

    def read_custom(self) -> None:
        pass

    def read_theme(self) -> None:
        pass


def open_xlsx(content: bytes, name: str) -> Xlsx:
    """The workbook *name*, whose `archive` the caller closes.

    Raises:
        SourceError: It is no .xlsx file, truncated, hostile, or larger than any such workbook.
    """
    if not openpyxl.xml.DEFUSEDXML:
        raise SourceError(
            "training", "workbooks are read only with defusedxml: install it, and unset OPENPYXL_DEFUSEDXML"
        )
    _check_archive(content, name)
    try:
        reader = Xlsx(content)
        reader.read()
    except Exception as error:  # what a malformed part raises depends on where openpyxl trips over it
        raise failure(name, f"cannot be read ({one_line(error)}): open and save it again") from error
    found = len(reader.wb.worksheets) + len(reader.chartsheets)
    if found < len(reader.parser.sheets):
        # openpyxl passes over a sheet whose part is missing
        raise failure(name, f"has lost {len(reader.parser.sheets) - found} of its sheets: upload it again")
    if found > MAX_MEMBERS:
        raise failure(name, f"has {found} sheets, as no real workbook; it was not read")
    return reader


def one_line(error: BaseException) -> str:
    """Kind and message of *error*, or of what openpyxl wrapped in advice of its own."""
    error = error.__cause__ or error
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
