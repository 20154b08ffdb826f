"""What two versions of `state/` say: of commits, of a checkout or on GitHub."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from npc_lims.clients.git import Repository
from npc_lims.config.environment import TRACKED_FILE
from npc_lims.config.settings import Settings
from npc_lims.errors import NoRemoteState, StateError
from npc_lims.model.rows import SCHEMA
from npc_lims.model.session_id import ID_PATTERN
from npc_lims.state.diff import SessionChange, compare_sessions, headline
from npc_lims.state.diff_format import Chapter, counted, groups_of
from npc_lims.state.remote import check_ref, fetch_snapshot
from npc_lims.state.snapshot import SNAPSHOT, digest_of, line_id, parse_line, split_lines
from npc_lims.state.store import parse_record
from npc_lims.utils.atomic_write import TEMPORARY
from npc_lims.utils.text import single_line
from npc_lims.utils.yaml_reader import load_yaml

__all__ = [
    "WORKING_TREE",
    "Facts",
    "StateDiff",
    "Version",
    "compare_states",
    "parse_facts",
    "state_at_commit",
    "state_in_folder",
    "state_on_github",
]

WORKING_TREE = "working tree"
Facts = Mapping[str, Any]
"""A session as plain data: the content of its file."""

_SCHEMA_LINE = re.compile(rb"^schema: *([0-9]{1,9}) *$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Version:
    """`state/` as it is somewhere.

    Attributes:
        name: Where, as people are to read it.
        sessions: Session id to what tells one content of its file from another.
        others: Path of each other file to the same, but for the snapshot.
        read: Facts of some sessions, by id.
    """

    name: str
    sessions: Mapping[str, object]
    others: Mapping[str, object]
    read: Callable[[Iterable[str]], dict[str, Facts]]


@dataclasses.dataclass(frozen=True)
class StateDiff:
    """How two versions of `state/` differ.

    Attributes:
        before: Name of the one version.
        after: Name of the other.
        changes: Sessions of which facts differ.
        format_only: Ids of those whose files differ and say the same: another layout.
        schema_only: Ids of those whose files say the same, but for the number of their schema.
        others: Other files that differ.
    """

    before: str
    after: str
    changes: Sequence[SessionChange]
    format_only: Sequence[str]
    schema_only: Mapping[str, str]
    others: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "before": self.before,
            "after": self.after,
            "headline": headline(self.changes),
            "changes": [change.as_dict() for change in self.changes],
            "format_only": list(self.format_only),
            "schema_only": dict(self.schema_only),
            "other_files": list(self.others),
        }

    def chapter(self) -> Chapter:
        notes = []
        if self.format_only:
            notes.append(f"format only: {counted(len(self.format_only), 'file')}, which say what they said")
        for schemas, count in Counter(self.schema_only.values()).items():
            notes.append(f"schema {schemas} only: {counted(count, 'file')}, whose facts are the same")
        if self.others:
            notes.append(f"other files that differ: {', '.join(self.others[:10])}{' ...' * (len(self.others) > 10)}")
        told = headline(self.changes)
        summary = f"{counted(len(self.changes), 'session')} changed: {told}" if self.changes else "no facts changed"
        return Chapter(f"state, {self.before} -> {self.after}", summary, notes, groups_of(self.changes))


def state_at_commit(repository: Repository, commit: str, folder: str, name: str) -> Version:
    """The state folder at path *folder* of a commit; empty if the commit has none."""
    sessions: dict[str, object] = {}
    others: dict[str, object] = {}
    for path, blob in repository.list_files(commit, folder).items():
        _file_under(path[len(folder) + 1 :], blob, sessions, others)

    def read(ids: Iterable[str]) -> dict[str, Facts]:
        paths = {session_id: f"{folder}/{_path_of(session_id)}" for session_id in ids}
        contents = repository.read_files(commit, [f"{folder}/{SNAPSHOT}", *paths.values()])
        lines = _lines(contents.get(f"{folder}/{SNAPSHOT}", b""))
        return {
            session_id: _facts(contents[path], lines.get(session_id), Path(path), name)
            for session_id, path in paths.items()
        }

    return Version(name, sessions, others, read)


def state_in_folder(repository: Repository, folder: Path) -> Version:
    """A state folder of the checkout as it is on disk; empty if there is none."""
    folder = folder.absolute()
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(TEMPORARY)]
    # git itself computes the ids, since it may be told to convert line ends
    request = os.fsencode("".join(f"{path.as_posix()}\n" for path in found))
    blobs = repository.run("hash-object", "--stdin-paths", stdin=request).decode().split()
    sessions: dict[str, object] = {}
    others: dict[str, object] = {}
    for path, blob in zip(found, blobs):
        _file_under(path.relative_to(folder).as_posix(), blob, sessions, others)

    def read(ids: Iterable[str]) -> dict[str, Facts]:
        snapshot = folder / SNAPSHOT
        lines = _lines(snapshot.read_bytes() if snapshot.is_file() else b"")
        paths = {session_id: folder / _path_of(session_id) for session_id in ids}
        return {
            session_id: _facts(path.read_bytes(), lines.get(session_id), path, WORKING_TREE)
            for session_id, path in paths.items()
        }

    return Version(WORKING_TREE, sessions, others, read)


def state_on_github(settings: Settings, ref: str) -> Version:
    """The state published at a branch, tag or commit, in one request; empty if there is none at that ref.

    Raises:
        NoRemoteState: There is no such ref.
        RemoteStateError: GitHub could not be asked.
    """
    name = f"{settings.repo}@{ref}"
    at_ref = settings.model_copy(update={"ref": ref})
    try:
        lines = {line_id(line): line for line in split_lines(fetch_snapshot(at_ref).content)}
    except NoRemoteState:
        check_ref(at_ref, TRACKED_FILE)
        lines = {}

    def read(ids: Iterable[str]) -> dict[str, Facts]:
        return {session_id: _facts_of_line(lines[session_id], name)[0] for session_id in ids}

    return Version(name, dict(lines), {}, read)


def compare_states(before: Version, after: Version) -> StateDiff:
    """Reads only the files that differ.

    Raises:
        StateError: One of these is damaged.
    """
    differ = _differing(before.sessions, after.sessions)
    old = before.read(session_id for session_id in differ if session_id in before.sessions)
    new = after.read(session_id for session_id in differ if session_id in after.sessions)
    changes = compare_sessions(old, new)
    schema_only = {
        change.id: f"{old[change.id].get('schema')} -> {new[change.id].get('schema')}"
        for change in changes
        if [field.field for field in change.fields] == ["schema"]
    }
    changed = {change.id for change in changes}
    return StateDiff(
        before.name,
        after.name,
        [change for change in changes if change.id not in schema_only],
        [session_id for session_id in differ if session_id not in changed],
        schema_only,
        _differing(before.others, after.others),
    )


def _differing(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _file_under(path: str, blob: str, sessions: dict[str, object], others: dict[str, object]) -> None:
    """Enter a file, by its path below the state folder, where it belongs."""
    name = path.rpartition("/")[2]
    session_id = name[: -len(".yaml")] if name.endswith(".yaml") else ""
    if ID_PATTERN.fullmatch(session_id) and path == _path_of(session_id):
        sessions[session_id] = blob
    elif path != SNAPSHOT:
        others[path] = blob


def _path_of(session_id: str) -> str:
    return f"sessions/{session_id.partition('_')[0]}/{session_id}.yaml"


def _lines(snapshot: bytes) -> dict[str, bytes]:
    """Lines by session id; none if the snapshot is damaged, since it is only the quicker way to the same facts."""
    try:
        return {line_id(line): line for line in split_lines(snapshot)}
    except ValueError:
        return {}


def _facts(content: bytes, line: bytes | None, path: Path, name: str) -> Facts:
    """Facts of a session file: those of its line in the snapshot if that mirrors it, which is 200 times faster."""
    try:
        if line is not None:
            facts, digest = _facts_of_line(line, name)
            if digest == digest_of(content):
                return facts
    except StateError:
        pass  # the file is the truth
    try:
        return parse_facts(content, path)
    except StateError as error:
        raise StateError(f"{name}: {error}") from None


def _facts_of_line(line: bytes, name: str) -> tuple[Facts, object]:
    """Facts and digest."""
    try:
        facts = json.loads(line)
    except (RecursionError, ValueError):
        facts = None
    if not isinstance(facts, dict):
        raise StateError(f"{name}: the line of {line_id(line)} in {SNAPSHOT} is damaged; sync again")
    if facts.get("schema") == SCHEMA:
        facts = parse_line(line)
    return facts, facts.pop("digest", None)


def parse_facts(content: bytes, path: Path) -> Facts:
    """Facts of a session file of whatever schema.

    Raises:
        StateError: It is damaged, or the file of another session than *path* says.
    """
    schema = _SCHEMA_LINE.search(content)
    if schema is None or int(schema[1]) == SCHEMA:
        return parse_record(content, path).as_dict()
    # of another version: what it means is not known here, but that it says the same can be seen
    try:
        facts = json.loads(json.dumps(load_yaml(content), default=str))
    except (RecursionError, ValueError, TypeError) as error:
        raise StateError(f"{path}: not readable as YAML ({single_line(error, 200)})") from None
    if not isinstance(facts, dict):
        raise StateError(f"{path}: not a session")
    return facts
