"""All sessions and all that happened to them as files that other programs read."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from npc_lims.clients.git import Repository
from npc_lims.errors import NpcLimsError, StateError
from npc_lims.history.export import files as export_files
from npc_lims.history.export import sqlite_file as export_sqlite
from npc_lims.history.export.tables import TABLES, Rows, TableRow
from npc_lims.history.git_log import commits_of
from npc_lims.history.walk import Progress, read_history
from npc_lims.model.rows import SCHEMA
from npc_lims.model.session_id import ID_PATTERN
from npc_lims.state.compare import Facts
from npc_lims.state.session_versions import VersionReader
from npc_lims.state.snapshot import newest_first
from npc_lims.state.store import session_path
from npc_lims.utils.atomic_write import TEMPORARY

__all__ = ["Exported", "Format", "default_place", "export_history"]

_BATCH = 2_000


class Format(str, enum.Enum):
    sqlite = "sqlite"
    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"


@dataclasses.dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        place: The database, or the folder of the tables.
        counts: Table to rows.
    """

    place: Path
    counts: Mapping[str, int]


class _Sink(Protocol):
    """Tables that are being filled."""

    def write(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None: ...

    def finish(self) -> None: ...

    def close(self) -> None: ...


_FOLDERS: Mapping[Format, Callable[[Path], _Sink]] = {
    Format.jsonl: export_files.JSONFiles,
    Format.csv: export_files.CSVFiles,
    Format.parquet: export_files.ParquetFiles,
}


def default_place(kind: Format) -> Path:
    """Where an export goes if nobody says: a file, or a folder with a file for each table."""
    return Path("npc-lims.sqlite" if kind is Format.sqlite else f"npc-lims-{kind.value}")


def export_history(
    repository: Repository,
    out: Path,
    kind: Format = Format.sqlite,
    *,
    folder: str = "state",
    progress: Progress | None = None,
) -> Exported:
    """Write every session as it is in HEAD, and all transitions before, as the tables of `tables.TABLES`.

    Whatever fails, *out* is what it was before; an earlier export is replaced.

    Args:
        out: The database; of other formats the folder that is to hold a file for each table.
        folder: Path of the state folder in the repository, with forward slashes.

    Raises:
        NpcLimsError: Something else is at *out*, or SQLite cannot write there.
        MissingDependency: Parquet, without pyarrow.
        GitError, StateError: There is no commit, or the state of HEAD is damaged.
    """
    commit = repository.commit_of("HEAD")
    rows = Rows()
    with _replacing(out, kind) as sink:
        _write(sink, _rows(rows, repository, commit, folder, progress))
        sink.finish()
    return Exported(out, rows.counts)


def _rows(
    rows: Rows, repository: Repository, commit: str, folder: str, progress: Progress | None
) -> Iterator[TableRow]:
    for transition in read_history(repository, ref=commit, folder=folder, progress=progress):
        yield from rows.of_transition(transition)
    yield from rows.of_sessions(_sessions(repository, commit, folder))
    yield from rows.about(_about(repository, commit, folder))


def _sessions(repository: Repository, commit: str, folder: str) -> Iterator[Facts]:
    """The facts of every session, the newest first."""
    files = {}
    for path, blob in repository.list_files(commit, f"{folder}/sessions").items():
        session_id = PurePosixPath(path).stem
        if ID_PATTERN.fullmatch(session_id) and path == session_path(Path(folder), session_id).as_posix():
            files[session_id] = (path, blob)
    reader = VersionReader()
    names = newest_first(files)
    for start in range(0, len(names), _BATCH):
        some = {name: files[name] for name in names[start : start + _BATCH]}
        contents = repository.read_blobs(blob for _, blob in some.values())
        for path, blob in some.values():
            facts = reader.facts(reader.read(contents[blob], path))
            if facts["schema"] != SCHEMA:
                found = facts["schema"]
                raise StateError(f"{path}: schema {found!r}, this version reads {SCHEMA}; upgrade npc_lims")
            yield facts


def _about(repository: Repository, commit: str, folder: str) -> dict[str, str | None]:
    from npc_lims import __version__

    shallow = commits_of(repository, commit)[0] if repository.is_shallow() else None
    return {"npc_lims": __version__, "commit": commit, "folder": folder, "shallow_since": shallow}


def _write(sink: _Sink, rows: Iterable[TableRow]) -> None:
    waiting: dict[str, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
    for table, row in rows:
        waiting[table].append(row)
        if len(waiting[table]) == _BATCH:
            sink.write(table, waiting[table])
            waiting[table] = []
    for table, left in waiting.items():
        if left:
            sink.write(table, left)


@contextlib.contextmanager
def _replacing(out: Path, kind: Format) -> Iterator[_Sink]:
    """Tables beside *out*, which take its place when all is written."""
    is_file = kind is Format.sqlite
    (export_sqlite if is_file else export_files).check_replaceable(out)
    out = out.resolve()  # a link stays one, and "." has a name
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
    try:
        if not is_file:
            beside.mkdir()
        with contextlib.closing(export_sqlite.SQLiteFile(beside) if is_file else _FOLDERS[kind](beside)) as sink:
            yield sink
        if out.is_dir():
            _swap(beside, out)
        else:
            beside.replace(out)
    except OverflowError as error:
        raise StateError(
            f"state holds a number that no table takes ({error}); npc-lims export --format jsonl takes any"
        ) from None
    except sqlite3.OperationalError as error:
        raise NpcLimsError(f"{out}: {error}; check who may write there, and the space on its disk") from None
    finally:
        if beside.is_dir():
            shutil.rmtree(beside, ignore_errors=True)
        else:
            beside.unlink(missing_ok=True)


def _swap(new: Path, out: Path) -> None:
    """A folder in place of another one: no system can rename it over that."""
    old = out.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
    out.rename(old)
    try:
        new.rename(out)
    except OSError:
        old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)
