"""Everything that a site is about, read from a state folder and the checkout that it is in."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pydantic

from npc_lims.clients.git import Repository, find_repository
from npc_lims.config.environment import TRACKED_FILE
from npc_lims.errors import GitError, StateError
from npc_lims.model.record import Record
from npc_lims.model.session_id import ID_PATTERN
from npc_lims.processing.runs_file import read_all_runs
from npc_lims.state.freshness import read_sync_entry
from npc_lims.state.snapshot import SNAPSHOT, checked_lines, line_id, parse_line
from npc_lims.state.sync_file import SyncFile, read_sync_file
from npc_lims.track.compare import decode_tracked

if TYPE_CHECKING:
    from npc_lims.processing.runs import Run
    from npc_lims.sources.tracked.parser import TrackedFile

__all__ = ["Checkout", "Known", "gather"]


@dataclasses.dataclass(frozen=True)
class Checkout:
    """The checkout that a state folder is in.

    Attributes:
        state: Path of the folder in it, with forward slashes.
        commit: What is checked out; None if nothing was ever committed.
        is_shallow: It does not have all commits.
        is_published: There is somewhere that its commits are pushed to: else nobody can look at them.
    """

    repository: Repository
    state: str
    commit: str | None
    is_shallow: bool
    is_published: bool

    @property
    def tracked(self) -> str:
        """Path of the tracked file that belongs to the folder, whether it exists or not."""
        return (PurePosixPath(self.state).parent / TRACKED_FILE).as_posix()


@dataclasses.dataclass(frozen=True)
class Known:
    """What was read.

    Attributes:
        snapshot: `sessions.jsonl` as it is.
        sync_content: `sync.yaml` as it is, empty if there is none.
        records: All sessions as plain data, the newest first.
        runs: What is recorded of each process.
        tracked: The tracked file beside the folder, if it is there.
        checkout: None if the folder is in none, or git does not say so.
        no_checkout: Why there is none, in git's words; None if there is one.
    """

    snapshot: bytes
    records: Sequence[Mapping[str, Any]]
    sync_file: SyncFile
    sync_content: bytes
    runs: Mapping[str, Sequence[Run]]
    tracked: TrackedFile | None
    checkout: Checkout | None
    no_checkout: str | None = None


def gather(state: Path) -> Known:
    """
    Raises:
        StateError: The folder, or a file in it, is missing or damaged.
        OSError: A file cannot be read.
    """
    if not state.is_dir():
        raise StateError(f"there is no state folder {state}: check --state, or run npc-lims sync")
    try:
        snapshot = (state / SNAPSHOT).read_bytes()
    except FileNotFoundError:
        raise StateError(f"{state / SNAPSHOT}: missing; run npc-lims sync to make it") from None
    tracked = state.absolute().parent / TRACKED_FILE
    checkout, no_checkout = _find_checkout(state)
    return Known(
        snapshot,
        _records(state / SNAPSHOT, snapshot),
        read_sync_file(state),
        read_sync_entry(state).content,
        read_all_runs(state),
        decode_tracked(tracked.read_bytes(), TRACKED_FILE) if tracked.is_file() else None,
        checkout,
        no_checkout,
    )


def _records(path: Path, snapshot: bytes) -> list[dict[str, Any]]:
    try:
        lines = checked_lines(snapshot)
    except ValueError as error:
        raise StateError(f"{path}: {error}; run npc-lims sync to make it anew") from None
    found = []
    for line in lines:
        try:
            found.append(_facts(line))
        except (ValueError, RecursionError) as error:  # also of pydantic and json
            reason = error.errors()[0]["msg"] if isinstance(error, pydantic.ValidationError) else str(error)
            raise StateError(
                f"{path}: the line of {line_id(line)} is damaged ({reason}); run npc-lims sync to make it anew"
            ) from None
    return found


def _facts(line: bytes) -> dict[str, Any]:
    """What a line says. It is checked: of its id the name of a file is made, and no browser reads a NaN."""
    facts = parse_line(line)
    del facts["digest"]
    if not ID_PATTERN.fullmatch(Record.model_validate(facts).id):
        raise ValueError("its id is not one of a session")
    if b"NaN" in line or b"Infinity" in line:
        json.loads(line, parse_constant=_refuse)
    return facts


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _find_checkout(state: Path) -> tuple[Checkout | None, str | None]:
    """The checkout, or why there is none."""
    try:
        repository = find_repository(state)
    except GitError as error:
        return None, str(error)
    checkout = Checkout(
        repository,
        repository.path_of(state),
        repository.find_commit("HEAD"),
        repository.is_shallow(),
        bool(repository.line("remote")),
    )
    return checkout, None
