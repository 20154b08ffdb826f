"""The training workbooks as databases, cached in memory and on disk, and their rows of subjects and sessions."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import npc_session

from npc_lims.clients.s3 import split_s3_uri
from npc_lims.clients.s3_cached import named_path, store_of
from npc_lims.config.disk_cache import CacheEntry, cache_dir, load_entry, store_entry
from npc_lims.config.settings import Settings, load_settings
from npc_lims.errors import NoSessionInfo, NpcLimsWarning, SourceError, warn
from npc_lims.sources.training import MAX_CELLS, MAX_FILE_SIZE, MAX_ROWS, PartError
from npc_lims.sources.training.cells import EXCLUSION_COLUMNS, name_columns, parse_flag, slug
from npc_lims.sources.training.workbooks import WORKBOOKS, WorkbookFolder, as_training, is_nsb, open_folder
from npc_lims.utils.atomic_write import write_atomically
from npc_lims.utils.memory_cache import TTLCache
from npc_lims.utils.sqlite import SharedConnection, load_image, make_image, quoted

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import Hashable, Iterable, Iterator, Sequence

    import upath

    from npc_lims.sources.training.xlsx import Sheet
    from npc_lims.sources.training.xlsx_parts import Row

_PREFIX, _SUFFIX = "DynamicRoutingTraining", ".xlsx"
_ALL_MICE = "all_mice"

FORMAT = 2
"""Raise it when the same workbook comes to give another database: it invalidates those in the cache."""

ID = "ID"
"""The primary key of every table: 1 for the first row below the header, counting blank rows too."""
MAX_COLUMNS = 900
"""Columns with a name: each takes a parameter, of which an old SQLite allows 999."""

# within the lifetime of an opened one, its version is not queried again
_opened: TTLCache[tuple[str, SharedConnection]] = TTLCache(maxsize=4, ttl=60)
_databases: TTLCache[SharedConnection] = TTLCache(maxsize=4, ttl=24 * 3600)
_sessions: TTLCache[dict[int, tuple[dict[str, Any], ...]]] = TTLCache(maxsize=2, ttl=24 * 3600)


def get_training_db(nsb: bool = False) -> sqlite3.Connection:
    """Return the training workbook, or that of the NSB team, as a database in memory: rows are dicts, values are text.

    All callers and threads are given the same connection, until the workbook changes. It can only be read;
    closing it has no effect.

    Raises:
        SourceError: The workbook is missing, cannot be fetched or cannot be read.
        MissingCredentials: There are no credentials for S3.
    """
    return _open_database(load_settings(), WORKBOOKS[bool(nsb)])[1]


def get_training_spreadsheet_paths() -> tuple[upath.UPath, ...]:
    """Return the paths of all training workbooks, by name.

    Raises:
        SourceError: The folder cannot be listed, or has none.
        MissingCredentials: There are no credentials for S3.
    """
    settings = load_settings()
    return tuple(named_path(settings, uri) for uri in _list_workbooks(settings).values())


def get_training_sqlite_paths() -> tuple[upath.UPath, ...]:
    """Return the paths that `update_training_dbs()` writes. Raises as `get_training_spreadsheet_paths`."""
    return tuple(path.with_suffix(".sqlite") for path in get_training_spreadsheet_paths())


def download_training_dbs(
    save_dir: str | os.PathLike[str] | upath.UPath | None = None, nsb: bool | None = None
) -> tuple[upath.UPath, ...]:
    """Write the database of each training workbook as `<name of the workbook>.sqlite`.

    Args:
        save_dir: Where to; made if it is not there (default: a new temporary folder).
        nsb: True for the NSB team's alone, False for all others.

    Raises:
        SourceError, MissingCredentials: As `get_training_db`; or *save_dir* cannot be written to.
    """
    settings = load_settings()
    names = [name for name in _list_workbooks(settings) if nsb is None or ("NSB" in name) == nsb]
    folder = tempfile.mkdtemp(prefix="npc_lims-") if save_dir is None else str(save_dir).rstrip("/")
    return tuple(_write_database(settings, name, folder + "/") for name in names)


def update_training_dbs() -> None:
    """Write the database of each training workbook beside it: the files that `get_training_sqlite_paths()` names.

    Raises:
        SourceError, MissingCredentials: As `get_training_db`; or the folder of the workbooks cannot be written to.
    """
    settings = load_settings()
    for name, address in _list_workbooks(settings).items():
        _write_database(settings, name, address[: -len(name)])


def excel_to_sqlite(spreadsheet: str | upath.UPath, save_path: str | upath.UPath) -> upath.UPath:
    """Write the database of any workbook, a file of this machine or on S3, to *save_path*, and return that path.

    Raises:
        SourceError, MissingCredentials: The workbook cannot be read, or *save_path* cannot be written.
    """
    settings, address = load_settings(), str(spreadsheet)
    if address.startswith("s3://"):
        with as_training():
            content = store_of(settings).read(*split_s3_uri(address), MAX_FILE_SIZE)
        if content is None:
            raise SourceError("training", f"there is no {address}")
    else:
        try:
            content = Path(address).read_bytes()
        except OSError as error:
            raise SourceError("training", f"cannot read {address}: {error.strerror}") from error
    return _write(settings, str(save_path), make_image(build_database(content, Path(address).name)))


def get_subjects_from_training_db(nsb: bool = False) -> dict[npc_session.SubjectRecord, dict[str, Any]]:
    """Return the row of each subject in the sheet `all_mice` of one workbook; of two rows, the first.

    Raises:
        SourceError: The workbook is missing, cannot be fetched or read, or has no such sheet.
        MissingCredentials: There are no credentials for S3.
    """
    database = get_training_db(nsb)
    columns = {row["name"].lower() for row in database.execute(f"PRAGMA table_info({_ALL_MICE})")}
    if "mouse_id" not in columns:
        message = f"{WORKBOOKS[bool(nsb)]} has no sheet {_ALL_MICE!r} with a column 'mouse id'"
        raise SourceError("training", message)
    subjects: dict[npc_session.SubjectRecord, dict[str, Any]] = {}
    for row in database.execute(f"SELECT * FROM {_ALL_MICE} ORDER BY ID"):  # noqa: S608
        subject = _subject(row["mouse_id"])
        if subject is not None:
            subjects.setdefault(subject, row)
    return subjects


def get_sessions_from_training_db() -> dict[int, tuple[dict[str, Any], ...]]:
    """Return the rows with a start time that no column excludes, of the subjects' sheets in both workbooks.

    Each has `nsb` besides: whether it is of the NSB team's workbook, whose sheet of a subject takes precedence.

    Raises:
        SourceError: A workbook is missing, cannot be fetched or cannot be read.
        MissingCredentials: There are no credentials for S3.
    """
    settings = load_settings()
    keys, databases = zip(*(_open_database(settings, name) for name in WORKBOOKS))

    def load() -> dict[int, tuple[dict[str, Any], ...]]:
        return dict(itertools.chain(*map(_sessions_in, databases, map(is_nsb, WORKBOOKS))))

    # callers may change the rows that they get
    return {subject: tuple(map(dict, rows)) for subject, rows in _sessions.get_or_load(keys, load).items()}


def get_session_id_from_db_row(subject: int | str, row: dict[str, Any]) -> npc_session.SessionRecord:
    """Return the session of a row of a subject's sheet, by its first column that names a start date or time.

    Examples:
        >>> get_session_id_from_db_row(366122, {"start_time": "2023-01-30 12:56:27"})
        '366122_2023-01-30'

    Raises:
        NoSessionInfo: The row has no such column, or no date in it.
    """
    start = next((value for name, value in row.items() if "start" in name and ("date" in name or "time" in name)), None)
    try:
        return npc_session.SessionRecord(f"{subject} {start or ''}")
    except ValueError:
        raise NoSessionInfo(
            f"subject {subject!r} and start time {start!r} are no session: a row has a column such as start_time, "
            f"which holds a date; the columns of this one are {', '.join(map(str, row))}"
        ) from None


def _list_workbooks(settings: Settings) -> dict[str, str]:
    """Return the addresses of the workbooks by file name, in order."""
    with as_training():
        folder = _folder(settings)
        names = sorted(name for name in folder.names() if name.startswith(_PREFIX) and name.endswith(_SUFFIX))
    if not names:
        raise SourceError("training", f"there is no {_PREFIX}*{_SUFFIX} in {folder.address} (NPC_LIMS_TRAINING)")
    return {name: f"{folder.address}{name}" for name in names}


def _folder(settings: Settings) -> WorkbookFolder:
    return open_folder(settings, lambda: store_of(settings))


def _open_database(settings: Settings, name: str) -> tuple[Hashable, SharedConnection]:
    """Return the database of the workbook *name*, and a key of its content: equal for equal contents only."""
    key = (settings.training, settings.aws_endpoint_url, str(settings.mirror), name)

    def load() -> tuple[str, SharedConnection]:
        folder = _folder(settings)
        version = folder.version(name)
        database = _databases.get_or_load((key, version), lambda: _load_database(settings, folder, name, version))
        return version, database

    with as_training():
        version, database = _opened.get_or_load(key, load)
    return (key, version), database


def _load_database(settings: Settings, folder: WorkbookFolder, name: str, version: str) -> SharedConnection:
    """Load a database from the cache on disk, or build it."""
    path, address = cache_dir(settings) / "training" / _sqlite_name(name), f"{folder.address}{name}"
    entry = load_entry(path, address, f"{version} {FORMAT}")
    if entry is not None:
        return load_image(entry.content)
    content, version = folder.fetch(name, version, fresh=False)
    database = build_database(content, name)
    store_entry(path, CacheEntry(make_image(database), f"{version} {FORMAT}", address))
    return database


def _sessions_in(database: sqlite3.Connection, nsb: bool) -> Iterator[tuple[int, tuple[dict[str, Any], ...]]]:
    for table in [row["name"] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]:
        subject = _subject(table)
        if subject is not None:
            rows = database.execute(f"SELECT * FROM {quoted(table)} ORDER BY ID")  # noqa: S608
            included = (row for row in rows if not any(parse_flag(row.get(column)) for column in EXCLUSION_COLUMNS))
            yield subject, tuple({**row, "nsb": nsb} for row in included if row.get("start_time"))


def _subject(text: str) -> npc_session.SubjectRecord | None:
    return npc_session.SubjectRecord(text) if text.isdecimal() and text.isascii() else None


def _write_database(settings: Settings, name: str, folder: str) -> upath.UPath:
    return _write(settings, folder + _sqlite_name(name), make_image(_open_database(settings, name)[1]))


def _write(settings: Settings, address: str, content: bytes) -> upath.UPath:
    if address.startswith("s3://"):
        with as_training():
            store_of(settings).write(*split_s3_uri(address), content)
    else:
        try:
            write_atomically(Path(address), content)
        except OSError as error:
            raise SourceError("training", f"cannot write {address}: {error.strerror}") from error
    return named_path(settings, address)


def _sqlite_name(workbook: str) -> str:
    return str(Path(workbook).with_suffix(".sqlite"))


def build_database(content: bytes, name: str) -> SharedConnection:
    """Return the workbook *name* as a read-only database in memory.

    A table has the slugged title of its sheet, a column the slugged name of its own; of two with one name the first
    takes precedence. Values are text: `str()` of the cell, stripped, and '' for an empty one. Sheets
    without a header, columns without a name, and rows below the last that holds anything are left out.
    """
    from npc_lims.sources.training.xlsx import open_xlsx  # openpyxl takes 0.15 s to import

    database = SharedConnection()
    builder = _DatabaseBuilder(name, database)
    with open_xlsx(content, name) as book:
        database.execute("BEGIN")
        for sheet in book.sheets:
            if sheet.kind == "worksheet":
                builder.add(sheet)
        database.execute("COMMIT")
    for message in builder.left_out:
        warn(f"{name}{message}", NpcLimsWarning)
    database.seal()
    return database


class _DatabaseBuilder:
    """Adds one table after another, and collects what was left out."""

    def __init__(self, name: str, database: SharedConnection) -> None:
        self.left_out: list[str] = []
        self._name = name
        self._database = database
        self._cells = 0
        self._tables: dict[str, str] = {}

    def add(self, sheet: Sheet) -> None:
        try:
            rows = self._rows(sheet)
            line, header = next(rows, (0, {}))
            columns, _ = name_columns(header)
            columns.pop(ID.lower(), None)  # the key of the table
            if columns and self._is_valid_table(slug(sheet.title), sheet.title):
                self._fill(sheet, columns, ((number - line, cells) for number, cells in rows))
        except PartError as error:
            raise self._failure(f"has a sheet {sheet.title!r} that cannot be read: {error}") from None

    def _failure(self, reason: str) -> SourceError:
        return SourceError("training", f"{self._name} {reason}")

    def _is_valid_table(self, table: str, title: str) -> bool:
        if not table or table.startswith("sqlite_"):
            self.left_out.append(f"[{title}]: its title cannot be the name of a table; left out: rename it")
            return False
        if table in self._tables:
            reason = f"its title gives the name of the table of sheet {self._tables[table]!r}, {table}"
            self.left_out.append(f"[{title}]: {reason}; left out: rename it")
            return False
        self._tables[table] = title
        return True

    def _fill(self, sheet: Sheet, columns: dict[str, int], rows: Iterator[Row]) -> None:
        if len(columns) > MAX_COLUMNS:
            raise self._failure(f"has a sheet {sheet.title!r} of {len(columns)} columns, as no real workbook")
        table = quoted(slug(sheet.title))
        definitions = "".join(f", {quoted(column)} TEXT" for column in columns)
        self._database.execute(f"CREATE TABLE {table} ({ID} INTEGER PRIMARY KEY{definitions})")
        parameters = ", ".join("?" * (len(columns) + 1))
        # a name cannot be a parameter; it is quoted, and no value is ever part of the text
        insert = f"INSERT INTO {table} VALUES ({parameters})"  # noqa: S608
        self._database.executemany(insert, self._numbered(rows, tuple(columns.values())))

    def _numbered(self, rows: Iterable[Row], indexes: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows with the blank ones between them, each with its number."""
        written = 0
        for number, cells in rows:
            self._cells += (number - written) * (len(indexes) + 1)
            if self._cells > MAX_CELLS:
                raise self._failure(f"has more cells than any real workbook ({MAX_CELLS}); it was not read")
            yield from ((blank, *([""] * len(indexes))) for blank in range(written + 1, number))
            yield (number, *[_text(cells.get(index)) for index in indexes])
            written = number

    def _rows(self, sheet: Sheet) -> Iterator[Row]:
        for line, cells in sheet.rows():
            if line > MAX_ROWS:
                self.left_out.append(f"[{sheet.title}]: rows below {MAX_ROWS} are left out: delete them")
                return
            yield line, cells


def _text(value: Any) -> str:
    text = "" if value is None else str(value).strip()
    return "" if text == "None" else text
