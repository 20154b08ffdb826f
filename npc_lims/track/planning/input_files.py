"""Files that a user names for an import: read with a limit, and decoded."""

from __future__ import annotations

from pathlib import Path

from npc_lims.errors import SourceError


def read_limited(path: Path, kind: str, limit: int) -> bytes:
    """Return the content of a file, a `workbook` or a `batch` file.

    Raises:
        SourceError: It cannot be read, or has more than *limit* bytes.
    """
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
    """Return the text of *content*, without its byte order mark.

    Raises:
        SourceError: It is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = f"byte 0x{content[error.start]:02x} in line {content.count(bytes([10]), 0, error.start) + 1}"
        raise SourceError(kind, f"{name} is not UTF-8 ({found}): save it as {save_as}") from None
