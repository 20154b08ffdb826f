"""A state: one YAML file per session, a snapshot of them all, and `sync.yaml`, in a folder or in a git commit.

    sessions/<subject>/<session id>.yaml    authoritative, one file per session
    sessions.jsonl                          generated from these, written after them
    sync.yaml                               the last answers of the sources, written last

A stale snapshot, as after an interrupted sync, is detected by its digests; the next sync regenerates it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath
from typing import Any, Protocol, Union

from npc_lims.errors import StateError
from npc_lims.model.flags import FLAGS, compute_status
from npc_lims.model.record import ModelT, Record, Status, validate_model
from npc_lims.model.session_id import ID_PATTERN, subject_of
from npc_lims.state.snapshot import (
    SCHEMA,
    SNAPSHOT,
    digest_of,
    line_digest,
    line_id,
    lines_by_id,
    make_line,
    newest_first,
    parse_line,
    split_lines,
    with_unix_lines,
)
from npc_lims.utils.atomic_write import TEMPORARY, write_atomically
from npc_lims.utils.mappings import LazyMapping, differing_keys, with_changes
from npc_lims.utils.yaml import load_yaml, render_yaml

SESSIONS = "sessions"
# Waiting for the disk to flush is what takes the time, not computing.
_WRITERS = 16
# Seconds: writing one file takes a fraction of one.
_LEFTOVER_AFTER = 60


# --- files, in a folder or in a git commit (`npc_lims.clients.git_tree`) -----------------------------


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


# --- reading and writing --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A state as read."""

    records: Mapping[str, Record]
    """Session id to record. Those whose line and file agree are parsed when they are first used."""
    lines: Mapping[str, bytes]
    """Session id to its line of the snapshot, for those whose line and file agree."""
    is_intact: bool = True
    """All of them agree, and the snapshot has no line without a file. If not, somebody edited or deleted files, or a
    sync was killed: what is recorded may lack what was last observed."""
    snapshot: str | None = None


def session_name(session_id: str) -> str:
    return f"{SESSIONS}/{subject_of(session_id)}/{session_id}.yaml"


def session_path(folder: Path, session_id: str) -> Path:
    """Return the file of a session, whether it exists or not."""
    return folder / session_name(session_id)


def session_id_of(name: str) -> str | None:
    """Return the session that a file of a state is of; None if it is another file."""
    session_id = name.rpartition("/")[2][: -len(".yaml")]
    return session_id if ID_PATTERN.fullmatch(session_id) and name == session_name(session_id) else None


def session_ids(tree: Tree) -> dict[str, str]:
    """Return the name of each session file by session id, in the order of names; no other files may be there."""
    found = {}
    for name in tree.list_files(SESSIONS):
        session_id = session_id_of(name)
        if session_id is None:
            if name.count("/") == 1:
                raise StateError(f"{tree.path(name)}: only folders named by subject belong here")
            raise StateError(f"{tree.path(name)}: not the file of a session; its name is <subject>/<session id>.yaml")
        found[session_id] = name
    return found


def read_state(state: StateFolder) -> Loaded:
    """Read every session: by its line of the snapshot where that mirrors the file, as YAML takes longer."""
    tree = open_tree(state)
    names = session_ids(tree)
    contents = tree.read_files([SNAPSHOT, *names.values()])
    snapshot = contents.get(SNAPSHOT)
    mirrored = lines_by_id(snapshot or b"")
    names = {session_id: name for session_id, name in names.items() if name in contents}
    lines: dict[str, bytes] = {}
    parsed: dict[str, Record] = {}
    for session_id, name in names.items():
        line, content = mirrored.get(session_id), contents[name]
        if line is not None and line_digest(line) == digest_of(content):
            lines[session_id] = line
        else:
            parsed[session_id] = parse_record(content, tree.path(name))

    def read(session_id: str) -> Record:
        line = lines.get(session_id)
        if line is not None:
            try:
                return _record_of_line(parse_line(line))
            except (RecursionError, ValueError, StateError):
                lines.pop(session_id, None)  # it is damaged beside its digest
        return parse_record(contents[names[session_id]], tree.path(names[session_id]))

    records = with_changes(LazyMapping(names, read), parsed, ())
    is_intact = lines.keys() == records.keys() == mirrored.keys()
    return Loaded(records, lines, is_intact, None if snapshot is None else digest_of(snapshot))


def snapshot_digest(state: StateFolder) -> str | None:
    """Return the digest of the snapshot, or None if there is none."""
    content = open_tree(state).read_files([SNAPSHOT]).get(SNAPSHOT)
    return None if content is None else digest_of(content)


def read_record(state: StateFolder, session_id: str) -> Record | None:
    """Return one session from its own file, None when there is none; StateError if it is damaged."""
    tree, name = open_tree(state), session_name(session_id)
    content = tree.read_files([name]).get(name)
    return None if content is None else parse_record(content, tree.path(name))


def parse_record(content: bytes, path: PurePath) -> Record:
    """Return the record in the *content* of the session file at *path*, whose name must be its id; else StateError."""
    remedy = "restore it (git checkout) or delete it and sync again"
    record = parse_yaml_model(Record, content, path, remedy)
    if record.id != path.stem:
        raise StateError(f"{path}: holds the session {record.id}; {remedy}")
    return record


def parse_yaml_model(model: type[ModelT], content: bytes, path: PurePath, remedy: str) -> ModelT:
    """Return the *content* of a YAML file as a model of `SCHEMA`; StateError if it is none."""
    try:
        data = load_yaml(content)
    except ValueError as error:
        raise StateError(f"{path}: not readable as YAML ({error}); {remedy}") from None
    if isinstance(data, dict) and data.get("schema") != SCHEMA:
        found = data.get("schema")
        raise StateError(f"{path}: schema {found!r}, this version reads {SCHEMA}; upgrade npc_lims, or {remedy}")
    try:
        return validate_model(model, data, strict=True)
    except ValueError as error:
        raise StateError(f"{path}: {error}; {remedy}") from None


def write_state(state: StateFolder, loaded: Loaded, records: Mapping[str, Record]) -> list[PurePath]:
    """Make a state, which was read as *loaded*, hold *records*, readable at every instant. Return the changed paths."""
    tree = open_tree(state)
    if isinstance(tree, FolderTree):
        tree.remove_leftovers()
    differing = differing_keys(loaded.records, records)
    changed = dict.fromkeys(
        [session_id for session_id in differing if session_id in records]
        + [session_id for session_id in records if session_id not in loaded.lines]
    )
    lines = {session_id: line for session_id, line in loaded.lines.items() if session_id in records}
    files = {}
    for session_id in changed:
        data = records[session_id].as_dict()
        content = render_yaml(data).encode()
        files[session_name(session_id)] = content
        lines[session_id] = make_line(data, digest_of(content))
    written = _write_differing(tree, files)
    removed = [session_name(session_id) for session_id in differing if session_id not in records]
    tree.write_files(dict.fromkeys(removed))
    snapshot = b"".join(lines[session_id] + b"\n" for session_id in newest_first(lines))
    return [tree.path(name) for name in (*written, *removed, *_write_differing(tree, {SNAPSHOT: snapshot}))]


def _write_differing(tree: Tree, contents: Mapping[str, bytes]) -> list[str]:
    """Write the files whose contents are others. Their names."""
    before = tree.read_files(contents)
    differing = {
        name: content
        for name, content in contents.items()
        if name not in before or with_unix_lines(before[name]) != content
    }
    tree.write_files(differing)
    return list(differing)


def verify_state(state: StateFolder, only: Collection[str] | None = None) -> list[str]:
    """Return what is wrong with a state, or with the sessions *only*, in sentences that name the file."""
    if isinstance(state, Path) and not state.is_dir():
        return [f"{state}: there is no such folder"]
    return list(_find_problems(open_tree(state), only))


def _find_problems(tree: Tree, only: Collection[str] | None) -> Iterator[str]:
    path = tree.path(SNAPSHOT)
    snapshot = tree.read_files([SNAPSHOT]).get(SNAPSHOT)
    if snapshot is None:
        yield f"{path}: missing; run npc-lims sync to make it"
        return
    try:
        lines = split_lines(snapshot)
    except ValueError as error:
        yield f"{path}: {error}; run npc-lims sync to regenerate it"
        return
    by_id = yield from _verify_lines(path, lines, only)
    try:
        names = session_ids(tree) if only is None else {session_id: session_name(session_id) for session_id in only}
    except StateError as error:
        yield str(error)
        return
    with_carriage_returns = [path] if snapshot != with_unix_lines(snapshot) else []
    contents = tree.read_files(names.values())
    for session_id in dict.fromkeys((*names, *(by_id if only is None else ()))):
        path, expected = tree.path(session_name(session_id)), by_id.get(session_id)
        content = contents.get(session_name(session_id))
        if content is not None and content != expected and with_unix_lines(content) == expected:
            with_carriage_returns.append(path)
        elif content != expected:
            yield from _describe_difference(path, content, expected)
    if with_carriage_returns:
        others = len(with_carriage_returns) - 1
        more = f" and {others:,} more files" if others else ""
        line = f"{tree.path().name}/** text eol=lf"
        remedy = f"let .gitattributes have the line '{line}', delete the files, and check them out again (git checkout)"
        yield f"{with_carriage_returns[0]}{more}: lines end with CR LF, as git ends them with core.autocrlf; {remedy}"


def _describe_difference(path: PurePath, content: bytes | None, expected: bytes | None) -> Iterator[str]:
    if content is None:
        yield f"{path}: in the snapshot, but there is no such file"
        return
    yield f"{path}: {'not in the snapshot' if expected is None else 'does not say what the snapshot says'}"
    try:
        parse_record(content, path)
    except StateError as error:
        yield str(error)


def _verify_lines(
    snapshot: PurePath, lines: Iterable[bytes], only: Collection[str] | None
) -> Generator[str, None, dict[str, bytes]]:
    """Yield the problems of the lines, and return the file's content by id; it is empty for sessions not in *only*."""
    by_id: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        where = f"{snapshot}:{number}"
        try:
            session_id = line_id(line)
            data = parse_line(line) if only is None or session_id in only else None
            record = None if data is None else _record_of_line(data)
        except (RecursionError, ValueError, StateError) as error:
            yield f"{where}: not a session ({' '.join(str(error).split())[:120]})"
            continue
        if not ID_PATTERN.fullmatch(session_id):
            yield f"{where}: {session_id!r} is no session id"
            continue
        if session_id in by_id:
            yield f"{where}: {session_id} is here for the second time"
        by_id[session_id] = b""
        if record is not None and data is not None:
            by_id[session_id] = rendering = render_yaml(record.as_dict()).encode()
            if data["digest"] != digest_of(rendering):
                yield f"{where}: the digest of {session_id} is not that of what the line says"
            if _differs(record.status, compute_status(data)):
                yield f"{where}: the status of {session_id} is not what its sections say"
    if list(by_id) != newest_first(by_id):
        yield f"{snapshot}: the lines are not in order (newest first)"
    return by_id


def _differs(recorded: Status, computed: Status) -> bool:
    """Return whether a status is not what was computed, apart from flags that one of two versions does not know."""
    missing = any(name not in computed for name in recorded if name in FLAGS)
    return missing or any(recorded[name] != value for name, value in computed.items() if name in recorded)


def _record_of_line(data: dict[str, Any]) -> Record:
    return Record.model_validate({name: value for name, value in data.items() if name != "digest"}, strict=True)
