"""Files that are either the old one or the new one, whole, whatever happens."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path

__all__ = ["TEMPORARY", "write_atomically"]

TEMPORARY = ".tmp-"
"""Prefix of files that are being written. One that a killed process leaves behind means nothing."""


def write_atomically(path: Path, content: bytes) -> None:
    """Replace *path* by *content*: written beside it, flushed to the disk, then renamed over it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # not tempfile: its files are private to their owner, these must be as public as any other
    temporary = path.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
