"""Export of all sessions and their history as tables for other programs."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from npc_lims.clients.git import Repository
from npc_lims.clients.git_tree import CommitTree
from npc_lims.errors import NpcLimsError, StateError
from npc_lims.history.export.tables import TABLES, TableRow, TableRows
from npc_lims.history.export.writers import ExportFormat, TableWriter, check_replaceable, open_writer
from npc_lims.history.git_log import commits_of
from npc_lims.history.walk import Progress, read_history
from npc_lims.model.rows import SCHEMA
from npc_lims.state.compare import Facts
from npc_lims.state.session_versions import VersionReader
from npc_lims.state.snapshot import newest_first
from npc_lims.state.store import session_id_of
from npc_lims.utils.atomic_write import replacing

_BATCH = 2_000


@dataclasses.dataclass(frozen=True)
class Exported:
    """An export that was written.

    Attributes:
        path: The database, or the folder of the tables.
        counts: Table to rows.
    """

    path: Path
    counts: Mapping[str, int]


def default_path(kind: ExportFormat) -> Path:
    """Return the default path of an export: a file, or a folder with a file for each table."""
    return Path("npc-lims.sqlite" if kind is ExportFormat.sqlite else f"npc-lims-{kind.value}")


def export_history(
    repository: Repository,
    out: Path,
    kind: ExportFormat = ExportFormat.sqlite,
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
    rows = TableRows()
    with _replacing(out, kind) as writer:
        _write(writer, _rows(rows, repository, commit, folder, progress))
        writer.finish()
    return Exported(out, rows.counts)


def _rows(
    rows: TableRows, repository: Repository, commit: str, folder: str, progress: Progress | None
) -> Iterator[TableRow]:
    from npc_lims import __version__

    for transition in read_history(repository, ref=commit, folder=folder, progress=progress):
        yield from rows.of_transition(transition)
    yield from rows.of_sessions(_sessions(CommitTree(repository, commit, folder)))
    shallow = commits_of(repository, commit)[0] if repository.is_shallow() else None
    yield from rows.about({"npc_lims": __version__, "commit": commit, "folder": folder, "shallow_since": shallow})


def _sessions(tree: CommitTree) -> Iterator[Facts]:
    """Yield the facts of every session, the newest first."""
    names = {session_id: name for name in tree.list_files("sessions") if (session_id := session_id_of(name))}
    ids = newest_first(names)
    reader = VersionReader()
    for start in range(0, len(ids), _BATCH):
        some = [names[session_id] for session_id in ids[start : start + _BATCH]]
        contents = tree.read_files(some)
        for name in some:
            path = tree.path(name).as_posix()
            facts = reader.facts(reader.read(contents[name], path))
            if facts["schema"] != SCHEMA:
                found = facts["schema"]
                raise StateError(f"{path}: schema {found!r}, this version reads {SCHEMA}; upgrade npc_lims")
            yield facts


def _write(writer: TableWriter, rows: Iterable[TableRow]) -> None:
    waiting: dict[str, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
    for table, row in rows:
        waiting[table].append(row)
        if len(waiting[table]) == _BATCH:
            writer.write(table, waiting[table])
            waiting[table] = []
    for table, left in waiting.items():
        if left:
            writer.write(table, left)


@contextlib.contextmanager
def _replacing(out: Path, kind: ExportFormat) -> Iterator[TableWriter]:
    """Yield a writer of tables beside *out*, which take its place when all is written."""
    path = out.resolve()
    try:
        with (
            replacing(path, lambda: check_replaceable(out, kind)) as new,
            contextlib.closing(open_writer(new, kind)) as writer,
        ):
            yield writer  # closed before it replaces *out*
    except OverflowError as error:
        raise StateError(
            f"state holds a number that no table takes ({error}); npc-lims export --format jsonl takes any"
        ) from None
    except sqlite3.OperationalError as error:
        raise NpcLimsError(f"{path}: {error}; check who may write there, and the space on its disk") from None
