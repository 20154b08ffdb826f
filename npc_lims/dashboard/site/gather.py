"""Read the inputs of a site: a state folder, the tracked file beside it, and their checkout."""

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


@dataclasses.dataclass(frozen=True)
class Checkout:
    """The checkout of a state folder.

    Attributes:
        state: Path of the folder in it, with forward slashes.
        commit: The checked-out commit; None if there is none.
        is_shallow: It lacks commits.
        is_published: It has a remote.
    """

    repository: Repository
    state: str
    commit: str | None
    is_shallow: bool
    is_published: bool

    @property
    def tracked(self) -> str:
        """Path of the tracked file beside the folder, whether it exists or not."""
        return (PurePosixPath(self.state).parent / TRACKED_FILE).as_posix()


@dataclasses.dataclass(frozen=True)
class SiteInputs:
    """The inputs of a site.

    Attributes:
        snapshot: Content of `sessions.jsonl`.
        sync_content: Content of `sync.yaml`, empty if there is none.
        records: All sessions as plain data, the newest first.
        runs: The runs of each process.
        tracked: The tracked file beside the folder, if there is one.
        checkout: The checkout, if there is one.
        no_checkout: Message of git if there is none.
    """

    snapshot: bytes
    records: Sequence[Mapping[str, Any]]
    sync_file: SyncFile
    sync_content: bytes
    runs: Mapping[str, Sequence[Run]]
    tracked: TrackedFile | None
    checkout: Checkout | None
    no_checkout: str | None = None


def gather(state: Path) -> SiteInputs:
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
    return SiteInputs(
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
        raise StateError(f"{path}: {error}; run npc-lims sync to regenerate it") from None
    found = []
    for line in lines:
        try:
            found.append(_facts(line))
        except (ValueError, RecursionError) as error:  # also of pydantic and json
            reason = error.errors()[0]["msg"] if isinstance(error, pydantic.ValidationError) else str(error)
            raise StateError(
                f"{path}: the line of {line_id(line)} is damaged ({reason}); run npc-lims sync to regenerate it"
            ) from None
    return found


def _facts(line: bytes) -> dict[str, Any]:
    """Parse a line, and check it: its id becomes a file name, and browsers cannot parse NaN."""
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
    """Return the checkout, or why there is none."""
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
