"""A `state/` folder on disk.

    sessions/<subject>/<session id>.yaml    the truth, one file a session
    sessions.jsonl                          generated from these, written after them
    sync.yaml                               what the last syncs saw, written last

Whatever happens between two writes, the YAML files stand; a snapshot that is behind them is told
by its digests and made anew by the next sync.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pydantic

from npc_lims.errors import StateError
from npc_lims.model.flags import compute_status
from npc_lims.model.record import Record, describe_invalid_value
from npc_lims.model.rows import SCHEMA
from npc_lims.model.session_id import ID_PATTERN, subject_of
from npc_lims.state.snapshot import (
    SNAPSHOT,
    digest_of,
    line_id,
    make_line,
    newest_first,
    parse_line,
    split_lines,
    with_unix_lines,
)
from npc_lims.utils.atomic_write import TEMPORARY, write_atomically
from npc_lims.utils.yaml_reader import load_yaml
from npc_lims.utils.yaml_writer import render_yaml

__all__ = [
    "Loaded",
    "check_session_path",
    "parse_record",
    "read_record",
    "read_state",
    "session_path",
    "verify_contents",
    "verify_state",
    "write_state",
]

# Waiting for the disk to flush is what takes the time, not computing.
_WRITERS = 16
# Seconds: writing one file takes a fraction of one.
_LEFTOVER_AFTER = 60


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A state folder as read.

    Attributes:
        records: Session id to record.
        lines: Session id to its line of the snapshot, for those whose line and file agree.
        is_intact: All of them agree, and the snapshot has no line without a file. If not, somebody edited
            or deleted files, or a sync was killed: what is recorded may lack what was last observed.
        snapshot: Digest of the snapshot, if there is one.
    """

    records: Mapping[str, Record]
    lines: Mapping[str, bytes]
    is_intact: bool = True
    snapshot: str | None = None


def session_path(folder: Path, session_id: str) -> Path:
    """The file of a session, whether it exists or not."""
    return folder / "sessions" / subject_of(session_id) / f"{session_id}.yaml"


def read_state(folder: Path) -> Loaded:
    """Every session of *folder*: empty if there is no such folder.

    A file that the snapshot mirrors (same digest) is taken from there, which is 200 times faster
    than reading the YAML.

    Raises:
        StateError: A session file is damaged, misplaced or of another schema.
    """
    if folder.exists() and not folder.is_dir():
        raise StateError(f"{folder}: not a folder; name a state folder, or one that does not exist yet")
    mirrored = _read_snapshot(folder)
    records: dict[str, Record] = {}
    lines: dict[str, bytes] = {}
    for session_id, path in _session_files(folder):
        content = path.read_bytes()
        line = mirrored.get(session_id)
        record = None if line is None else _mirrored_record(line, content)
        if record is None:
            record = parse_record(content, path)
        elif line is not None:
            lines[session_id] = line
        records[session_id] = record
    is_intact = lines.keys() == records.keys() == mirrored.keys()
    return Loaded(records, lines, is_intact, snapshot_digest(folder))


def snapshot_digest(folder: Path) -> str | None:
    """Digest of the snapshot, or None if there is none."""
    try:
        return digest_of((folder / SNAPSHOT).read_bytes())
    except FileNotFoundError:
        return None


def read_record(folder: Path, session_id: str) -> Record | None:
    """One session from its own file, or None when there is none.

    Raises:
        StateError: The file is damaged.
    """
    path = session_path(folder, session_id)
    try:
        return parse_record(path.read_bytes(), path)
    except FileNotFoundError:
        return None


def parse_record(content: bytes, path: Path) -> Record:
    """The record in the *content* of a session file; *path* is for the message and must fit the id.

    Raises:
        StateError: It is not YAML, not a session, of another schema, or of another id than its name says.
    """
    remedy = "restore it (git checkout) or delete it and sync again"
    try:
        data = load_yaml(content)
    except ValueError as error:
        raise StateError(f"{path}: not readable as YAML ({error}); {remedy}") from None
    if isinstance(data, dict) and data.get("schema") != SCHEMA:
        raise StateError(
            f"{path}: schema {data.get('schema')!r}, this version reads {SCHEMA}; upgrade npc_lims, or {remedy}"
        )
    try:
        record = Record.model_validate(data, strict=True)
    except pydantic.ValidationError as error:
        invalid = describe_invalid_value(error.errors(include_url=False)[0], data)
        raise StateError(f"{path}: {invalid}; {remedy}") from None
    if record.id != path.stem:
        raise StateError(f"{path}: holds the session {record.id}; {remedy}")
    return record


def write_state(folder: Path, loaded: Loaded, records: Mapping[str, Record]) -> list[Path]:
    """Make *folder*, which was read as *loaded*, hold *records*. The files that changed, as paths.

    The order (session files, removals, snapshot) keeps the folder readable at every instant.
    """
    _remove_leftovers(folder)
    changed = [
        record
        for session_id, record in records.items()
        if session_id not in loaded.lines or loaded.records[session_id] is not record
    ]
    with ThreadPoolExecutor(_WRITERS) as pool:
        written = list(pool.map(lambda record: _write_record(folder, record), changed))
    lines = {session_id: line for session_id, line in loaded.lines.items() if session_id in records}
    lines.update((record.id, line) for record, (_, line) in zip(changed, written))
    paths = [path for path, _ in written if path is not None]
    for session_id in loaded.records:
        if session_id not in records:
            path = session_path(folder, session_id)
            path.unlink()
            paths.append(path)
    content = b"".join(lines[session_id] + b"\n" for session_id in newest_first(lines))
    snapshot = folder / SNAPSHOT
    if not snapshot.is_file() or with_unix_lines(snapshot.read_bytes()) != content:
        write_atomically(snapshot, content)
        paths.append(snapshot)
    return paths


def verify_state(folder: Path) -> list[str]:
    """What is wrong with *folder*, in sentences that name the file; empty when all is well.

    Every line of the snapshot must hold a record, and every file must be the rendering of its record: that is
    to say the same, and needs no parsing of YAML.
    """
    if not folder.is_dir():
        return [f"{folder}: there is no such folder"]
    snapshot = folder / SNAPSHOT
    sessions = ((path, path.read_bytes()) for _, path in _session_files(folder))
    return verify_contents(folder, snapshot.read_bytes() if snapshot.is_file() else None, sessions)


def verify_contents(folder: Path, snapshot: bytes | None, sessions: Iterable[tuple[Path, bytes]]) -> list[str]:
    """Return the problems of a state folder as `verify_state`, given what its files hold, wherever they are.

    Args:
        folder: The folder in messages.
        snapshot: Content of the snapshot; None if there is none.
        sessions: Path and content of each session file. A StateError that they raise is a problem, and ends them.
    """
    path = folder / SNAPSHOT
    if snapshot is None:
        return [f"{path}: missing; run npc-lims sync to make it"]
    try:
        lines = split_lines(snapshot)
    except ValueError as error:
        return [f"{path}: {error}; run npc-lims sync to make it anew"]
    found: list[str] = []
    by_id = _verify_lines(path, lines, found)
    with_carriage_returns = [path] if snapshot != with_unix_lines(snapshot) else []
    ids = set()
    try:
        for path, content in sessions:
            ids.add(path.stem)
            expected = by_id.get(path.stem)
            if expected is not None and with_unix_lines(content) == expected:
                if content != expected:
                    with_carriage_returns.append(path)
                continue
            reason = "not in the snapshot" if expected is None else "does not say what the snapshot says"
            found.append(f"{path}: {reason}")
            try:
                parse_record(content, path)
            except StateError as error:
                found.append(str(error))
    except StateError as error:
        return [*found, str(error)]
    gone = [session_path(folder, session_id) for session_id in by_id if session_id not in ids]
    found += [f"{path}: in the snapshot, but there is no such file" for path in gone]
    return found + _describe_carriage_returns(folder, with_carriage_returns)


def _describe_carriage_returns(folder: Path, paths: Sequence[Path]) -> list[str]:
    if not paths:
        return []
    more = f" and {len(paths) - 1:,} more files" if len(paths) > 1 else ""
    line = f"{folder.name}/** text eol=lf"
    remedy = f"let .gitattributes have the line '{line}', delete the files, and check them out again (git checkout)"
    return [f"{paths[0]}{more}: lines end with CR LF, as git ends them with core.autocrlf; {remedy}"]


def _verify_lines(snapshot: Path, lines: Iterable[bytes], found: list[str]) -> dict[str, bytes]:
    """What the file of each session must hold, by session id; what is wrong with the lines is added to *found*."""
    by_id: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        where = f"{snapshot}:{number}"
        try:
            data = parse_line(line)
            record = _record_of_line(data)
        except (RecursionError, ValueError, StateError, pydantic.ValidationError) as error:
            found.append(f"{where}: not a session ({' '.join(str(error).split())[:120]})")
            continue
        if not ID_PATTERN.fullmatch(record.id):
            found.append(f"{where}: {record.id!r} is no session id")
            continue
        if record.id in by_id:
            found.append(f"{where}: {record.id} is here for the second time")
        rendering = render_yaml(record.as_dict()).encode()
        if data["digest"] != digest_of(rendering):
            found.append(f"{where}: the digest of {record.id} is not that of what the line says")
        if record.status != compute_status(record):
            found.append(f"{where}: the status of {record.id} is not what its sections say")
        by_id[record.id] = rendering
    if list(by_id) != newest_first(by_id):
        found.append(f"{snapshot}: the lines are not in order (newest first)")
    return by_id


def _remove_leftovers(folder: Path) -> None:
    """Files that a killed sync was writing. Young ones may be those of another that is at it now."""
    for path in folder.rglob(f"{TEMPORARY}*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _LEFTOVER_AFTER:
                path.unlink()


def _write_record(folder: Path, record: Record) -> tuple[Path | None, bytes]:
    """Write a session file if its bytes differ. Its path if it was written, and its line of the snapshot."""
    data = record.as_dict()
    content = render_yaml(data).encode()
    path = session_path(folder, record.id)
    line = make_line(data, digest_of(content))
    if path.is_file() and with_unix_lines(path.read_bytes()) == content:
        return None, line
    write_atomically(path, content)
    return path, line


def _read_snapshot(folder: Path) -> dict[str, bytes]:
    """Lines by session id. A snapshot that is missing or damaged mirrors nothing: the files are the truth."""
    try:
        return {line_id(line): line for line in split_lines((folder / SNAPSHOT).read_bytes())}
    except (FileNotFoundError, ValueError):
        return {}


def _mirrored_record(line: bytes, content: bytes) -> Record | None:
    """The record of *line* if that is the line of a file with this *content*."""
    try:
        data = parse_line(line)
        return _record_of_line(data) if data["digest"] == digest_of(content) else None
    except (RecursionError, ValueError, StateError, pydantic.ValidationError):
        return None


def _record_of_line(data: dict[str, Any]) -> Record:
    return Record.model_validate({name: value for name, value in data.items() if name != "digest"}, strict=True)


def _session_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Id and path of every session file, in the order of their paths."""
    root = folder / "sessions"
    if not root.is_dir():
        return
    for subject in sorted(os.scandir(root), key=lambda entry: entry.name):
        if not subject.is_dir():
            raise StateError(f"{subject.path}: only folders named by subject belong here")
        for entry in sorted(os.scandir(subject.path), key=lambda entry: entry.name):
            if entry.name.startswith(TEMPORARY):
                continue
            path = Path(entry.path)
            check_session_path(folder, path)
            yield path.stem, path


def check_session_path(folder: Path, path: Path) -> None:
    """
    Raises:
        StateError: A session file of the state *folder* cannot have that path.
    """
    with contextlib.suppress(ValueError):  # its name is not a session id
        if path.suffix == ".yaml" and path == session_path(folder, path.stem):
            return
    raise StateError(f"{path}: not the file of a session; its name is <subject>/<session id>.yaml")
