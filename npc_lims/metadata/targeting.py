"""Probe insertions of sessions, from the targeting database and the shields that npc_shields defines."""

from __future__ import annotations

import ast
import sqlite3
from typing import TYPE_CHECKING, Any

import npc_session

from npc_lims.clients.s3 import split_s3_uri
from npc_lims.clients.s3_cached import named_path, store_of
from npc_lims.config.settings import Settings, load_settings
from npc_lims.errors import NoSessionData, RemoteStateError, SourceError
from npc_lims.old_paths import forward
from npc_lims.sessions.resolve import resolve_session
from npc_lims.state.published import fetch_file
from npc_lims.utils.memory_cache import TTLCache
from npc_lims.utils.sqlite import SharedConnection, load_image

if TYPE_CHECKING:
    import upath

    S3_PROBE_TARGET_DB_PATH: upath.UPath

__all__ = [
    "S3_PROBE_TARGET_DB_PATH",
    "get_probe_insertion_info",
    "get_probe_insertion_metadata",
    "get_probe_target_db",
]

DATABASE = "s3://aind-scratch-data/arjun.sridhar/probe_targeting/dr_master.db"
MAX_DATABASE = 256 * 2**20
"""Bytes: it holds a row for each session."""
SHIELDS_REPO, SHIELDS_FILE = "AllenInstitute/npc_shields", "src/npc_shields/shields.py"
LETTERS = "ABCDEF"

_, _get_public, __dir__ = forward(__name__)  # 0.1 had this module, too

_databases: TTLCache[SharedConnection] = TTLCache(maxsize=2, ttl=3600)
_drawings: TTLCache[dict[str, str]] = TTLCache(maxsize=2, ttl=3600)


def __getattr__(name: str) -> Any:
    """Make the path on access: universal_pathlib takes long to import."""
    if name != "S3_PROBE_TARGET_DB_PATH":
        return _get_public(name)
    return named_path(load_settings(), DATABASE)


def get_probe_target_db() -> sqlite3.Connection:
    """Return the targeting database in memory, with dicts as rows: read-only, and shared by all callers and threads.

    Raises:
        SourceError: It cannot be fetched, or is no database.
        MissingCredentials: There are no credentials for S3.
    """
    settings = load_settings()
    key = (settings.aws_endpoint_url, str(settings.mirror))
    return _databases.get_or_load(key, lambda: _fetch_database(settings))


def get_probe_insertion_info(probe_insertion_default: dict[str, Any], metadata: dict[str, str | int]) -> dict[str, Any]:
    """Return *probe_insertion_default* with the letter and hole of each probe, and the implant, of a database row.

    Raises:
        KeyError: One of them lacks a probe or the implant.
    """
    insertions = probe_insertion_default["probe_insertions"]
    for letter in LETTERS:
        insertions[f"probe{letter}"].update(letter=letter, hole=metadata[f"Probe{letter}"])
    insertions["implant"] = metadata["implant"]
    return probe_insertion_default


def get_probe_insertion_metadata(session: str | npc_session.SessionRecord) -> dict[str, Any]:
    """Return the shield, the hole of each probe and the experiment day of a session.

    The keys are `shield` (`name` and `drawing_id`), `probes` and `notes` (a value for each letter),
    `session` and `experiment_day`. A probe that was not inserted has None.

    Raises:
        NoSessionInfo: *session* has no subject and date in it.
        NoSessionData: The database has no such session, or npc_shields has no such shield.
        SourceError: The database or the shields cannot be fetched or read.
        MissingCredentials: There are no credentials for S3.
    """
    settings = load_settings()
    record = npc_session.SessionRecord(resolve_session(settings, session))
    row = _row(f"{record.subject}_{record.date}")
    probes: dict[str, Any] = dict.fromkeys(LETTERS)
    for column, hole in row.items():
        try:
            probes[str(npc_session.ProbeRecord(column))] = hole
        except ValueError:
            continue  # not the column of a probe
    drawings = _drawings.get_or_load(settings.raw_url, lambda: _fetch_drawings(settings))
    shield = str(row["implant"])
    if shield not in drawings:
        where = f"{SHIELDS_FILE} of github.com/{SHIELDS_REPO}"
        raise NoSessionData(f"{record} has the shield {shield!r}, which is not defined in {where}: add it there")
    return {
        "shield": {"name": row["implant"], "drawing_id": drawings[shield]},
        "probes": probes,
        "notes": dict.fromkeys(LETTERS),
        "session": str(record.id),  # with the index, also where it is 0
        "experiment_day": row["day"],
    }


def _row(session_day: str) -> dict[str, Any]:
    try:
        found = get_probe_target_db().execute("SELECT * FROM session_metadata WHERE session = ?", (session_day,))
        row: dict[str, Any] | None = found.fetchone()
    except sqlite3.DatabaseError as error:  # no such table, or a page that is damaged
        raise SourceError("s3", f"{DATABASE} is not the targeting database ({error})") from error
    if row is None:
        table = f"the table session_metadata of {DATABASE}"
        raise NoSessionData(f"{session_day} is not in {table}: nobody entered its probes")
    missing = [column for column in ("implant", "day") if column not in row]
    if missing:
        raise SourceError("s3", f"{DATABASE}: the table session_metadata has no column {' or '.join(missing)}")
    return row


def _fetch_database(settings: Settings) -> SharedConnection:
    content = store_of(settings).read(*split_s3_uri(DATABASE), MAX_DATABASE)
    if content is None:
        raise SourceError("s3", f"there is no {DATABASE}")
    try:
        return load_image(content)
    except sqlite3.DatabaseError as error:
        raise SourceError("s3", f"{DATABASE} cannot be read ({error}): upload it again") from error


def _fetch_drawings(settings: Settings) -> dict[str, str]:
    source = f"{SHIELDS_FILE} of github.com/{SHIELDS_REPO}"
    try:
        content = fetch_file(settings.replace(repo=SHIELDS_REPO, ref="main"), SHIELDS_FILE)
    except RemoteStateError as error:
        raise SourceError("npc_shields", str(error)) from None
    if content is None:
        raise SourceError("npc_shields", f"there is no {source}")
    try:
        drawings = parse_drawings(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SourceError("npc_shields", f"{source} is no module of Python ({type(error).__name__})") from None
    if not drawings:
        raise SourceError("npc_shields", f"{source} defines no shield by name=... and drawing_id=... any more")
    return drawings


def parse_drawings(content: bytes) -> dict[str, str]:
    """Return drawing ids by the names of shields, from a module that makes each by a call with both as plain values.

    >>> parse_drawings(b'DR2002 = Shield(name="2002", drawing_id="0283-200-002")')
    {'2002': '0283-200-002'}
    """
    drawings: dict[str, str] = {}
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Call):
            plain = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
            if "name" in plain and "drawing_id" in plain:
                drawings.setdefault(str(plain["name"]), str(plain["drawing_id"]))
    return drawings
