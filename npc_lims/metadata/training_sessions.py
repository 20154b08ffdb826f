"""Subjects and sessions, as the rows of the training workbooks."""

from __future__ import annotations

import itertools
import sqlite3
from typing import TYPE_CHECKING, Any

from npc_lims.config.settings import load_settings
from npc_lims.errors import NoSessionInfo, SourceError
from npc_lims.metadata.training_db import open_training_db
from npc_lims.sources.training.cells import EXCLUSION_COLUMNS, parse_flag
from npc_lims.sources.training.workbooks import WORKBOOKS, is_nsb
from npc_lims.utils.memory_cache import TTLCache
from npc_lims.utils.sqlite import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import npc_session

__all__ = ["get_session_id_from_db_row", "get_sessions_from_training_db", "get_subjects_from_training_db"]

ALL_MICE = "all_mice"

_sessions: TTLCache[dict[int, tuple[dict[str, Any], ...]]] = TTLCache(maxsize=2, ttl=24 * 3600)


def get_subjects_from_training_db(nsb: bool = False) -> dict[npc_session.SubjectRecord, dict[str, Any]]:
    """Return the row of each subject in the sheet `all_mice` of one workbook; of two rows, the first.

    Raises:
        SourceError: The workbook is missing, cannot be fetched or read, or has no such sheet.
        MissingCredentials: There are no credentials for S3.
    """
    name = WORKBOOKS[bool(nsb)]
    _, database = open_training_db(load_settings(), name)
    if "mouse_id" not in _columns(database, ALL_MICE):
        raise SourceError("training", f"{name} has no sheet {ALL_MICE!r} with a column 'mouse id'")
    subjects: dict[npc_session.SubjectRecord, dict[str, Any]] = {}
    for row in database.execute(f"SELECT * FROM {ALL_MICE} ORDER BY ID"):  # noqa: S608
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
    keys, databases = zip(*(open_training_db(settings, name) for name in WORKBOOKS))

    def load() -> dict[int, tuple[dict[str, Any], ...]]:
        return dict(itertools.chain(*map(_sessions_of, databases, map(is_nsb, WORKBOOKS))))

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
    import npc_session

    start = next((value for name, value in row.items() if "start" in name and ("date" in name or "time" in name)), None)
    try:
        return npc_session.SessionRecord(f"{subject} {start or ''}")
    except ValueError:
        raise NoSessionInfo(
            f"subject {subject!r} and start time {start!r} are no session: a row has a column such as start_time, "
            f"which holds a date; the columns of this one are {', '.join(map(str, row))}"
        ) from None


def _sessions_of(database: sqlite3.Connection, nsb: bool) -> Iterator[tuple[int, tuple[dict[str, Any], ...]]]:
    for table in [row["name"] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]:
        subject = _subject(table)
        if subject is None:
            continue
        rows = database.execute(f"SELECT * FROM {quoted(table)} ORDER BY ID")  # noqa: S608
        yield subject, tuple({**row, "nsb": nsb} for row in rows if row.get("start_time") and not _is_excluded(row))


def _is_excluded(row: Mapping[str, Any]) -> bool:
    return any(parse_flag(row.get(column)) for column in EXCLUSION_COLUMNS)


def _columns(database: sqlite3.Connection, table: str) -> frozenset[str]:
    """Names of the columns in lower case; none for a table that is not there."""
    return frozenset(row["name"].lower() for row in database.execute(f"PRAGMA table_info({quoted(table)})"))


def _subject(text: str) -> npc_session.SubjectRecord | None:
    import npc_session

    return npc_session.SubjectRecord(text) if text.isdecimal() and text.isascii() else None
