"""The files of a state, wherever it is stored: in a folder, or in a git commit (`npc_lims.clients.git_tree`)."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath
from typing import Protocol, Union

from npc_lims.errors import StateError
from npc_lims.utils.atomic_write import TEMPORARY, write_atomically

# Waiting for the disk to flush is what takes the time, not computing.
_WRITERS = 16
# Seconds: writing one file takes a fraction of one.
_LEFTOVER_AFTER = 60


class Tree(Protocol):
    """Files by their paths in a state folder, with forward slashes."""

    def path(self, name: str = "") -> PurePath:
        """Return the path of a file, or of the folder, for messages."""

    def list_files(self, folder: str = "") -> list[str]:
        """Return the names of all files beneath *folder*, in order."""

    def read_files(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return the contents, by name, of those that exist."""

    def write_files(self, contents: Mapping[str, bytes | None]) -> None:
        """Write these files; None removes one."""


class FolderTree:
    """A folder on disk. Each file is either the old or the new one, whatever happens."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, name: str = "") -> Path:
        return self._folder / name if name else self._folder

    def list_files(self, folder: str = "") -> list[str]:
        """Return the names of all files beneath *folder*, in order; StateError if that is a file."""
        if self._folder.exists() and not self._folder.is_dir():
            raise StateError(f"{self._folder}: not a folder; name a state folder, or one that does not exist yet")
        return sorted(name for name in self._walk(folder) if not name.rpartition("/")[2].startswith(TEMPORARY))

    def read_files(self, names: Iterable[str]) -> dict[str, bytes]:
        found = {}
        for name in names:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                found[name] = (self._folder / name).read_bytes()
        return found

    def write_files(self, contents: Mapping[str, bytes | None]) -> None:
        with ThreadPoolExecutor(_WRITERS) as pool:
            list(pool.map(self._write, contents.items()))

    def remove_leftovers(self) -> None:
        """Remove files that a killed process was writing. Recent ones may be those of another that is at it now."""
        for name in self._walk(""):
            if name.rpartition("/")[2].startswith(TEMPORARY):
                path = self._folder / name
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > _LEFTOVER_AFTER:
                        path.unlink()

    def _write(self, item: tuple[str, bytes | None]) -> None:
        name, content = item
        if content is None:
            (self._folder / name).unlink()
        else:
            write_atomically(self._folder / name, content)

    def _walk(self, folder: str) -> Iterator[str]:
        prefix = f"{folder}/" if folder else ""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(self._folder / folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    yield from self._walk(f"{prefix}{entry.name}")
                else:
                    yield f"{prefix}{entry.name}"


StateFolder = Union[Path, Tree]
"""A state: the path of its folder, or its files wherever they are stored."""


def open_tree(state: StateFolder) -> Tree:
    return FolderTree(state) if isinstance(state, Path) else state
