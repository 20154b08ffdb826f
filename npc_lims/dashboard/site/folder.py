"""Replace the folder of a site at once, so that no reader finds half a site."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from npc_lims.errors import NpcLimsError

__all__ = ["MARKS", "is_site", "replaced"]

MARKS = ("sessions.jsonl", "data/overview.json")
"""Files of every site, which hardly any other folder has."""


def is_site(folder: Path) -> bool:
    return all((folder / mark).is_file() for mark in MARKS)


def _check_replaceable(folder: Path) -> None:
    """
    Raises:
        NpcLimsError: The folder has other files than a site, or is the working directory.
    """
    here = Path.cwd().resolve()
    if folder.resolve() in (here, *here.parents):
        raise NpcLimsError(f"{folder} is the working directory, or above it: name another folder")
    if not folder.exists() or (folder.is_dir() and (is_site(folder) or not any(folder.iterdir()))):
        return
    what = "a folder with other things than a site" if folder.is_dir() else "a file"
    raise NpcLimsError(
        f"{folder} is {what}, and would be replaced: name a new folder, an empty one, or a site made before"
    )


@contextlib.contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Yield a new folder, which then replaces *folder*. If anything fails, *folder* is unchanged.

    Raises:
        NpcLimsError: The folder has other files than a site, or is the working directory.
    """
    folder = folder.resolve()
    _check_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    parent = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        new = parent / "new"
        new.mkdir()
        yield new
        _put_in_place(new, folder, parent / "old")
    finally:
        shutil.rmtree(parent, ignore_errors=True)


def _put_in_place(new: Path, folder: Path, old: Path) -> None:
    """Rename *folder* to *old*, and *new* to *folder*."""
    _check_replaceable(folder)  # again: the build may have taken a minute
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
