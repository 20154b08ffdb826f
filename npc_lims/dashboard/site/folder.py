"""The folder of a site: written beside its place and put there whole, so that nobody ever finds half a site."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from npc_lims.errors import NpcLimsError

__all__ = ["MARKS", "check_place", "is_site", "put_in_place", "replaced"]

MARKS = ("sessions.jsonl", "data/overview.json")
"""What every site has, and hardly any other folder."""


def is_site(folder: Path) -> bool:
    return all((folder / mark).is_file() for mark in MARKS)


def check_place(folder: Path) -> None:
    """
    Raises:
        NpcLimsError: Something else than a site is there, and would be lost; or somebody stands in it.
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
    """A new folder to write to, which then stands in place of *folder*. If anything fails, *folder* stays as it was.

    Raises:
        NpcLimsError: As `check_place`.
    """
    folder = folder.resolve()
    check_place(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    workshop = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        new = workshop / "new"
        new.mkdir()
        yield new
        put_in_place(new, folder, workshop / "old")
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def put_in_place(new: Path, folder: Path, old: Path) -> None:
    """Rename *new* to *folder*; what was there is *old* then."""
    check_place(folder)  # once more: the site may have taken a minute
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
