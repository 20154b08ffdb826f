"""Replace files and folders at once, so that no reader finds a part of one."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

TEMPORARY = ".tmp-"
"""Prefix of files that are being written. One that a killed process leaves behind means nothing."""


def write_atomically(path: Path, content: bytes, *, private: bool = False) -> None:
    """Replace *path* by *content*, written beside it. A *private* file is not worth a wait for the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
    try:
        with open(
            temporary, "xb", opener=lambda name, flags: os.open(name, flags, 0o600 if private else 0o666)
        ) as file:
            file.write(content)
            if not private:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise


@contextlib.contextmanager
def replacing(path: Path, check: Callable[[], object]) -> Iterator[Path]:
    """Yield a path to write a file or folder to, which replaces *path*, a resolved one; if anything fails, it stays.

    *check*, which raises if *path* must not be replaced, is called before, and again after writing.
    """
    check()
    path.parent.mkdir(parents=True, exist_ok=True)
    workspace = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=path.parent))
    new, old = workspace / "new", workspace / "old"
    try:
        yield new
        check()
        if path.is_dir():  # no system can rename a folder over another one
            path.rename(old)
        try:
            new.replace(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
