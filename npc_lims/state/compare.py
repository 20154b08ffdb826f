"""Compare two versions of `state/`: of commits, of a checkout or on GitHub."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from npc_lims.clients.git import Repository
from npc_lims.clients.git_tree import CommitTree
from npc_lims.config.settings import TRACKED_FILE, Settings
from npc_lims.errors import NoRemoteState, StateError
from npc_lims.model.flags import Facts
from npc_lims.state.diff import SessionChange, compare_sessions, headline
from npc_lims.state.diff_format import Chapter, groups_of
from npc_lims.state.published import check_ref, fetch_snapshot
from npc_lims.state.snapshot import SCHEMA, SNAPSHOT, digest_of, line_id, lines_by_id, parse_line, split_lines
from npc_lims.state.store import FolderTree, Tree, parse_record, session_id_of, session_name
from npc_lims.utils.text import counted, single_line
from npc_lims.utils.yaml import load_yaml

WORKING_TREE = "working tree"

_SCHEMA_LINE = re.compile(rb"^schema: *([0-9]{1,9}) *$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class StateVersion:
    """`state/` as it is somewhere, with ids of the contents of session files, and of others but for the snapshot."""

    name: str
    sessions: Mapping[str, object]
    others: Mapping[str, object]
    read: Callable[[Iterable[str]], dict[str, Facts]]
    """Returns facts of some sessions, by id."""


@dataclasses.dataclass(frozen=True)
class StateDiff:
    """The difference between two versions of `state/`, which are named."""

    before: str
    after: str
    changes: Sequence[SessionChange]
    format_only: Sequence[str]
    """Ids of sessions whose files differ in layout alone."""
    schema_only: Mapping[str, str]
    """Ids of sessions that differ in the number of their schema alone, to both numbers."""
    others: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
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
            notes.append(f"format only: {counted(len(self.format_only), 'file')}, with the same facts")
        for schemas, count in Counter(self.schema_only.values()).items():
            notes.append(f"schema {schemas} only: {counted(count, 'file')}, whose facts are the same")
        if self.others:
            notes.append(f"other files that differ: {', '.join(self.others[:10])}{' ...' * (len(self.others) > 10)}")
        sessions = counted(len(self.changes), "session")
        summary = f"{sessions} changed: {headline(self.changes)}" if self.changes else "no facts changed"
        return Chapter(f"state, {self.before} -> {self.after}", summary, notes, groups_of(self.changes))


def state_at_commit(repository: Repository, commit: str, folder: str, name: str) -> StateVersion:
    """Return the state folder at path *folder* of a commit; empty if the commit has none."""
    tree = CommitTree(repository, commit, folder)
    return _version(tree, tree.blob_ids(), name)


def state_in_folder(repository: Repository, folder: Path) -> StateVersion:
    """Return a state folder of the checkout as it is on disk; empty if there is none."""
    tree = FolderTree(folder.absolute())
    names = tree.list_files()
    # git itself computes the ids, since it may be configured to convert line ends
    return _version(tree, dict(zip(names, repository.hash_files(map(tree.path, names)))), WORKING_TREE)


def _version(tree: Tree, blobs: Mapping[str, str], name: str) -> StateVersion:
    ids = {file: session_id_of(file) for file in blobs}

    def read(sessions: Iterable[str]) -> dict[str, Facts]:
        files = {session_id: session_name(session_id) for session_id in sessions}
        contents = tree.read_files([SNAPSHOT, *files.values()])
        lines = lines_by_id(contents.get(SNAPSHOT, b""))
        return {
            session_id: _facts(contents[file], lines.get(session_id), tree.path(file))
            for session_id, file in files.items()
        }

    return StateVersion(
        name,
        {session_id: blobs[file] for file, session_id in ids.items() if session_id is not None},
        {file: blobs[file] for file, session_id in ids.items() if session_id is None and file != SNAPSHOT},
        read,
    )


def state_on_github(settings: Settings, ref: str) -> StateVersion:
    """Return the state published at a branch, tag or commit, in one request; empty if there is none at that ref."""
    name = f"{settings.repo}@{ref}"
    at_ref = settings.replace(ref=ref)
    try:
        lines = {line_id(line): line for line in split_lines(fetch_snapshot(at_ref).content)}
    except NoRemoteState:
        check_ref(at_ref, TRACKED_FILE)
        lines = {}

    return StateVersion(name, lines, {}, lambda ids: {one: _facts_of_line(lines[one])[0] for one in ids})


def compare_states(before: StateVersion, after: StateVersion) -> StateDiff:
    """Return the difference. Only the files that differ are read."""
    differ = _differing(before.sessions, after.sessions)
    old, new = (_read(version, differ) for version in (before, after))
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


def _read(version: StateVersion, session_ids: Iterable[str]) -> dict[str, Facts]:
    try:
        return version.read(session_id for session_id in session_ids if session_id in version.sessions)
    except StateError as error:
        raise StateError(f"{version.name}: {error}") from None


def _facts(content: bytes, line: bytes | None, path: PurePath) -> Facts:
    """Return the facts of a session file: those of its line in the snapshot if that mirrors it, which is faster."""
    if line is not None:
        with contextlib.suppress(StateError):  # the file is authoritative
            facts, digest = _facts_of_line(line)
            if digest == digest_of(content):
                return facts
    return parse_facts(content, path)


def _facts_of_line(line: bytes) -> tuple[Facts, object]:
    try:
        facts = json.loads(line)
    except (RecursionError, ValueError):
        facts = None
    if not isinstance(facts, dict):
        raise StateError(f"the line of {line_id(line)} in {SNAPSHOT} is damaged; sync again")
    if facts.get("schema") == SCHEMA:
        facts = parse_line(line)
    return facts, facts.pop("digest", None)


def parse_facts(content: bytes, path: PurePath) -> Facts:
    """Return the facts of a session file of any schema; StateError if it is damaged, or not that of *path*."""
    schema = _SCHEMA_LINE.search(content)
    if schema is None or int(schema[1]) == SCHEMA:
        return parse_record(content, path).as_dict()
    # of another schema, whose meaning is not known here; but equal facts can be recognised
    try:
        facts = json.loads(json.dumps(load_yaml(content), default=str, allow_nan=False))
    except (RecursionError, ValueError, TypeError) as error:
        raise StateError(f"{path}: not readable as YAML ({single_line(error, 200)})") from None
    if not isinstance(facts, dict):
        raise StateError(f"{path}: not a session")
    return facts
