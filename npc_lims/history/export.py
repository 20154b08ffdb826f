"""All sessions and their history as tables: one SQLite database, or a folder of JSON lines, CSV or Parquet.

One file of these formats is the table of sessions.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import enum
import importlib
import itertools
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any, NamedTuple

from npc_lims.clients.git import Repository
from npc_lims.clients.git_tree import CommitTree
from npc_lims.errors import MissingDependency, NpcLimsError, StateError
from npc_lims.history.transitions import Transition
from npc_lims.history.walk import Progress, commits_of, read_history
from npc_lims.model.flags import FLAGS
from npc_lims.model.record import Record
from npc_lims.model.rows import COLUMNS, session_row
from npc_lims.model.sections import SECTIONS
from npc_lims.model.session_id import split_session_id
from npc_lims.state.diff import ABSENT
from npc_lims.state.revision import Commit
from npc_lims.state.snapshot import newest_first
from npc_lims.state.store import read_state
from npc_lims.utils.atomic_write import replacing
from npc_lims.utils.sqlite import quoted

_BATCH = 2_000  # rows that are written at a time
_APPLICATION = 0x6E70636C  # `npcl`, in the header of the database: no other file is replaced
_HEAD = b"SQLite format 3\0"
_APPLICATION_BYTES = slice(68, 72)
_COMPARED = 4  # first columns by which an earlier export is recognised
_FILE_TABLES = ("sessions",)
_FOREIGN = "{}: is there already, and no export of npc-lims: move it away, or name another file"
_SQL_TYPES = {"text": "TEXT", "integer": "INTEGER", "boolean": "INTEGER", "json": "TEXT"}


class ExportFormat(str, enum.Enum):
    sqlite = "sqlite"
    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"


SUFFIXES = {
    **dict.fromkeys((".sqlite", ".sqlite3", ".db"), ExportFormat.sqlite),
    **dict.fromkeys((".jsonl", ".ndjson"), ExportFormat.jsonl),
    ".csv": ExportFormat.csv,
    ".parquet": ExportFormat.parquet,
}
"""File extensions, and their formats."""


class Column(NamedTuple):
    name: str
    kind: str = "text"
    """`text` (a time is `2024-06-01T12:00:00Z`), `integer`, `boolean`, or `json`: any plain data, or `ABSENT`, which is
    null where None is a JSON null."""
    refers: tuple[str, str] | None = None
    """The table and column that hold what it names."""
    is_indexed: bool = False


class Table(NamedTuple):
    """A table, and the columns that distinguish its rows, if any do."""

    key: tuple[str, ...]
    columns: tuple[Column, ...]


_KINDS = {
    **dict.fromkeys(FLAGS, "boolean"),
    **dict.fromkeys(("is_ephys", "is_sync"), "boolean"),
    **dict.fromkeys(("subject", "idx", "experiment_day"), "integer"),
    "raw_asset_id": "text",
    "not_applicable": "json",
}
_INDEXED = ("subject", "date", "project", "platform")
_SESSION = Column("session", refers=("sessions", "id"), is_indexed=True)
_TRANSITION = Column("transition", "integer", ("transitions", "id"))
_COMMIT = Column("commit_sha", refers=("commits", "sha"), is_indexed=True)
_TIME = Column("committed_at", is_indexed=True)

TABLES: Mapping[str, Table] = {
    "sessions": Table(
        ("id",),
        (
            *(Column(name, _KINDS.get(name, "text"), is_indexed=name in _INDEXED) for name in COLUMNS),
            Column("is_recorded", "boolean"),
            Column("notes"),
            Column("issues", "json"),
            *(Column(name, "json") for name in SECTIONS),
        ),
    ),
    "commits": Table(
        ("sha",),
        (Column("sha"), Column("place", "integer"), _TIME, Column("author"), Column("subject"), Column("run")),
    ),
    "transitions": Table(
        ("id",),
        (
            Column("id", "integer"),
            _SESSION,
            _COMMIT,
            _TIME,
            Column("kind", is_indexed=True),
            Column("what", "json"),
            Column("details", "json"),
        ),
    ),
    "fields": Table(
        (),
        (
            _TRANSITION._replace(is_indexed=True),
            _SESSION,
            Column("field", is_indexed=True),
            Column("before", "json"),
            Column("after", "json"),
        ),
    ),
    "assets": Table(("transition", "kind"), (_TRANSITION, _SESSION, Column("kind"), Column("created_at"))),
    "edits": Table(("transition", "commit_sha"), (_TRANSITION, _SESSION, _COMMIT)),
    "about": Table(("name",), (Column("name"), Column("value"))),
}
"""The tables, by name:

sessions      every session; a flag is true, false or null; null is unknown, unless `not_applicable` names the flag.
              `is_recorded` is false for one that is no longer in state, of which nothing else is known.
commits       those that changed sessions, by `place` from the oldest (1); and, without one, those that edited entries.
transitions   what a commit did to a session: `kind` as the reports group it, `what` in words, `details`.
fields        each value that differs, as JSON; null where there was or is no such field. A new session has none.
assets        data assets that appeared in a session, and when Code Ocean says that they were made.
edits         the commits that edited the session's entry in tracked_sessions.yaml before the transition.
about         where the tables come from.
"""

Rows = Sequence[Sequence[Any]]
WriteRows = Callable[[str, Rows], None]
"""Writes rows of a table, each in the order of its columns."""


@dataclasses.dataclass(frozen=True)
class Exported:
    """The path of an export (the database, the table, or the folder of tables), and the number of rows by table."""

    path: Path
    counts: Mapping[str, int]


def choose_target(out: Path | None = None, kind: ExportFormat | None = None) -> tuple[Path, ExportFormat]:
    """Return the path and the format of an export, of which a file extension decides the other; both have defaults.

    Raises:
        NpcLimsError: The two contradict each other, or the path has no known extension.
    """
    if out is None:
        kind = kind or ExportFormat.sqlite
        return Path("npc-lims.sqlite" if kind is ExportFormat.sqlite else f"npc-lims-{kind.value}"), kind
    inferred = SUFFIXES.get(out.suffix.lower())
    if kind is None and inferred is None:
        raise NpcLimsError(f"{out}: expected a file name that ends in {', '.join(SUFFIXES)}, or a folder and --format")
    if kind is not None and inferred not in (None, kind):
        raise NpcLimsError(f"{out}: {out.suffix} and --format {kind.value} contradict each other; give one of them")
    return out, kind or inferred or ExportFormat.sqlite


def export_history(
    repository: Repository,
    out: Path,
    kind: ExportFormat = ExportFormat.sqlite,
    *,
    folder: str = "state",
    progress: Progress | None = None,
) -> Exported:
    """Write every session as it is in HEAD, and all transitions before, as the tables of `TABLES`, to *out*.

    That is the database, else a file with the extension of the format, for the sessions alone, or a folder of a file
    for each table. Whatever fails, it is what it was before.
    """
    from npc_lims import __version__

    commit = repository.commit_of("HEAD")
    shallow = commits_of(repository, commit)[0] if repository.is_shallow() else None
    facts = {"npc_lims": __version__, "commit": commit, "folder": folder, "shallow_since": shallow}
    about = (("about", fact) for fact in facts.items())
    records = read_state(CommitTree(repository, commit, folder)).records
    path = out.resolve()
    tables = _FILE_TABLES if _is_one_table(out, kind) else tuple(TABLES)
    counts = dict.fromkeys(tables, 0)
    waiting: dict[str, list[Sequence[Any]]] = {table: [] for table in tables}
    try:
        with replacing(path, lambda: _check_replaceable(out, kind)) as new, _WRITERS[kind](new, tables) as write:
            transitions = read_history(repository, ref=commit, folder=folder, progress=progress)
            for table, row in itertools.chain(_rows(transitions, records), about):
                if table not in counts:
                    continue
                counts[table] += 1
                waiting[table].append(row)
                if len(waiting[table]) == _BATCH:
                    write(table, waiting[table])
                    waiting[table] = []
            for table, rows in waiting.items():
                write(table, rows)
    except OverflowError as error:
        raise StateError(
            f"state holds a number that no table takes ({error}); npc-lims export --format jsonl takes any"
        ) from None
    except sqlite3.OperationalError as error:
        raise NpcLimsError(f"{path}: {error}; check who may write there, and the space on its disk") from None
    return Exported(out, counts)


def _rows(transitions: Iterable[Transition], records: Mapping[str, Record]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield the table and cells of each row; of the sessions at the end, those that are no longer in state last."""
    commits: set[str] = set()
    sessions: set[str] = set()
    places = itertools.count(1)
    for number, transition in enumerate(transitions, 1):
        commit, change, session = transition.commit, transition.change, transition.session
        sessions.add(session)
        if commit.sha not in commits:
            commits.add(commit.sha)
            yield "commits", _commit_row(commit, next(places))
        yield (
            "transitions",
            (number, session, commit.sha, commit.when, change.group, list(change.what), list(change.details)),
        )
        for field in change.fields:
            yield "fields", (number, session, field.field, field.before, field.after)
        for kind, created in transition.created:
            yield "assets", (number, session, kind, created)
        for editor in dict.fromkeys(transition.editors):
            if editor.sha not in commits:
                commits.add(editor.sha)
                yield "commits", _commit_row(editor, None)
            yield "edits", (number, session, editor.sha)
    for session in newest_first(records):
        yield "sessions", _session_row(records[session].as_dict())
    for session in sorted(sessions - records.keys()):
        yield "sessions", _removed_session_row(session)


def _commit_row(commit: Commit, place: int | None) -> Sequence[Any]:
    return commit.sha, place, commit.when, commit.author, commit.subject, commit.run


def _session_row(facts: Mapping[str, Any]) -> Sequence[Any]:
    row = session_row(facts)
    row.update(dict.fromkeys(row["not_applicable"]))
    tracked = facts["tracked"] or {}
    sections = (ABSENT if facts[name] is None else facts[name] for name in SECTIONS)
    return (*(row[name] for name in COLUMNS), True, tracked.get("notes", ""), tracked.get("issues", []), *sections)


def _removed_session_row(session: str) -> Sequence[Any]:
    subject, date, idx = split_session_id(session)
    known = {"id": session, "subject": int(subject), "date": date, "idx": idx, "is_recorded": False}
    columns = TABLES["sessions"].columns
    return [known.get(column.name, ABSENT if column.kind == "json" else None) for column in columns]


def _is_one_table(path: Path, kind: ExportFormat) -> bool:
    """Return True if *path* is to be a file of one table; a folder of that name is an export of all tables."""
    return kind is not ExportFormat.sqlite and SUFFIXES.get(path.suffix.lower()) is kind and not path.is_dir()


def _check_replaceable(path: Path, kind: ExportFormat) -> None:
    """Refuse to replace what is no earlier export."""
    if not path.exists():
        return
    if kind is ExportFormat.sqlite:
        if not path.is_file():
            found = "a folder" if path.is_dir() else "a device or a pipe"
            raise NpcLimsError(f"{path}: {found}; name the file that the database is to be")
        with path.open("rb") as file:
            head = file.read(_APPLICATION_BYTES.stop)
        if head and not (head.startswith(_HEAD) and head[_APPLICATION_BYTES] == _APPLICATION.to_bytes(4, "big")):
            raise NpcLimsError(_FOREIGN.format(path))
        return
    if _is_one_table(path, kind):
        if path.is_file() and (not path.stat().st_size or _first_columns(path, kind) == COLUMNS[:_COMPARED]):
            return
        raise NpcLimsError(_FOREIGN.format(path))
    if not path.is_dir():
        raise NpcLimsError(f"{path}: a file; name the folder that the tables are to be in")
    names = {file.name for file in path.iterdir()}
    # an export has all tables: a folder with a sessions.csv alone is somebody else's
    if names and not any(names == {f"{table}.{other.value}" for table in TABLES} for other in ExportFormat):
        raise NpcLimsError(
            f"{path}: holds {min(names)}, and is no export of npc-lims: name another folder, which is replaced whole"
        )


def _first_columns(path: Path, kind: ExportFormat) -> tuple[str, ...]:
    """Return the names of the first columns of a file; none if it is of another format."""
    try:
        if kind is ExportFormat.parquet:
            return tuple(_import_parquet()[1].read_schema(str(path)).names[:_COMPARED])
        with path.open(encoding="utf-8") as file:
            line = file.readline(1 << 20)
        return tuple(next(csv.reader([line])) if kind is ExportFormat.csv else json.loads(line))[:_COMPARED]
    except (OSError, ValueError, TypeError, csv.Error):  # of Parquet, too
        return ()


@contextlib.contextmanager
def _writing_sqlite(path: Path, _: Sequence[str]) -> Iterator[WriteRows]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        # nobody sees the file before it is complete, so it needs no journal
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"application_id = {_APPLICATION}"):
            database.execute(f"PRAGMA {pragma}")
        for name, table in TABLES.items():
            database.execute(_create_table(name, table))
        database.execute("BEGIN")

        def write(table: str, rows: Rows) -> None:
            marks = ", ".join("?" * len(TABLES[table].columns))
            database.executemany(f'INSERT INTO "{table}" VALUES ({marks})', _cells(table, rows))  # noqa: S608 - a name of ours

        yield write
        for name, table in TABLES.items():
            for column in table.columns:
                if column.is_indexed:
                    database.execute(f'CREATE INDEX "{name}_{column.name}" ON "{name}" ("{column.name}")')
        database.execute("COMMIT")
        database.execute("ANALYZE")


def _create_table(name: str, table: Table) -> str:
    parts = []
    for column in table.columns:
        is_needed = column.name in table.key or column.refers is not None
        parts.append(f"{quoted(column.name)} {_SQL_TYPES[column.kind]}{' NOT NULL' if is_needed else ''}")
    if table.key:
        parts.append(f"PRIMARY KEY ({', '.join(map(quoted, table.key))})")
    for column in table.columns:
        if column.refers is not None:
            other, key = map(quoted, column.refers)
            parts.append(f"FOREIGN KEY ({quoted(column.name)}) REFERENCES {other} ({key})")
    return f"CREATE TABLE {quoted(name)} (\n  " + ",\n  ".join(parts) + "\n)"


def _table_paths(path: Path, tables: Sequence[str], suffix: str) -> dict[str, Path]:
    """Return the file of each table: *path* itself of one, else a file in that folder."""
    if len(tables) == 1:
        return {tables[0]: path}
    path.mkdir()
    return {table: path / f"{table}.{suffix}" for table in tables}


@contextlib.contextmanager
def _text_files(path: Path, tables: Sequence[str], suffix: str) -> Iterator[dict[str, IO[str]]]:
    paths = _table_paths(path, tables, suffix)
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(file.open("w", encoding="utf-8", newline="")) for name, file in paths.items()}


@contextlib.contextmanager
def _writing_jsonl(path: Path, tables: Sequence[str]) -> Iterator[WriteRows]:
    """Write a JSON object a line. A key that is not there is a value that was or is not there."""
    with _text_files(path, tables, "jsonl") as files:

        def write(table: str, rows: Rows) -> None:
            names = [column.name for column in TABLES[table].columns]
            for row in rows:
                fields = {name: value for name, value in zip(names, row) if value is not ABSENT}
                # ASCII, so that whatever people typed survives any reader
                files[table].write(f"{json.dumps(fields, separators=(',', ':'))}\n")

        yield write


@contextlib.contextmanager
def _writing_csv(path: Path, tables: Sequence[str]) -> Iterator[WriteRows]:
    """Write UTF-8 as in RFC 4180, a line of names and then a line for each row; an empty cell is null."""
    with _text_files(path, tables, "csv") as files:
        # Python before 3.13 quotes a carriage return only where it is of the line's end
        writers = {table: csv.writer(file, lineterminator="\r\n") for table, file in files.items()}
        for table, writer in writers.items():
            writer.writerow([column.name for column in TABLES[table].columns])

        def write(table: str, rows: Rows) -> None:
            for row in _cells(table, rows):
                writers[table].writerow([str(cell).lower() if isinstance(cell, bool) else cell for cell in row])

        yield write


def _import_parquet() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise MissingDependency('Parquet needs pyarrow: pip install "npc_lims[parquet]"') from None


@contextlib.contextmanager
def _writing_parquet(path: Path, tables: Sequence[str]) -> Iterator[WriteRows]:
    """Write compressed files; what is no text, number or boolean is JSON text."""
    pyarrow, parquet = _import_parquet()
    types = {"integer": pyarrow.int64(), "boolean": pyarrow.bool_()}
    with contextlib.ExitStack() as stack:
        writers = {}
        for name, file in _table_paths(path, tables, "parquet").items():
            columns = TABLES[name].columns
            schema = pyarrow.schema([(column.name, types.get(column.kind, pyarrow.string())) for column in columns])
            writers[name] = stack.enter_context(parquet.ParquetWriter(str(file), schema))

        def write(table: str, rows: Rows) -> None:
            if rows:
                schema = writers[table].schema
                arrays = [pyarrow.array(cells, field.type) for cells, field in zip(zip(*_cells(table, rows)), schema)]
                writers[table].write_batch(pyarrow.record_batch(arrays, schema=schema))

        yield write


_WRITERS: Mapping[ExportFormat, Callable[[Path, Sequence[str]], AbstractContextManager[WriteRows]]] = {
    ExportFormat.sqlite: _writing_sqlite,
    ExportFormat.jsonl: _writing_jsonl,
    ExportFormat.csv: _writing_csv,
    ExportFormat.parquet: _writing_parquet,
}


def _cells(table: str, rows: Rows) -> Iterator[list[Any]]:
    """Yield rows for what knows no plain data: JSON as text, null as None."""
    are_json = [column.kind == "json" for column in TABLES[table].columns]
    for row in rows:
        yield [_cell(value, is_json) for value, is_json in zip(row, are_json)]


def _cell(value: Any, is_json: bool) -> Any:
    if is_json:
        return None if value is ABSENT else _storable(json.dumps(value, ensure_ascii=False))
    return _storable(value) if isinstance(value, str) else value


def _storable(text: str) -> str:
    """Return *text* without lone surrogates, which YAML and JSON can hold and UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
