"""Verify what a commit holds of the state, as git has it: not the files that it was made from.

Hooks and filters come between the two, and readers get what is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from npc_lims.clients.git import Repository
from npc_lims.errors import StateError
from npc_lims.state.snapshot import SNAPSHOT
from npc_lims.state.store import check_session_path, verify_contents
from npc_lims.state.sync_file import SYNC_FILE, parse_sync_file

__all__ = ["verify_commit", "verify_sessions"]

Check = Callable[[Path, Mapping[str, bytes]], Sequence[str]]
"""Return the problems of a state folder, each with its file, given the contents of files by their paths in it."""


def verify_commit(repository: Repository, commit: str, state: str, check: Check, part: str = "") -> None:
    """Check the state that *commit* holds.

    Args:
        state: Path of the state folder within the repository, with forward slashes.
        part: A folder in it that is all that *check* reads; the whole state if not given.

    Raises:
        StateError: It has problems; the message names files and reasons.
    """
    blobs = repository.list_files(commit, f"{state}/{part}" if part else state)
    contents = repository.read_blobs(blobs.values())
    problems = check(Path(state), {path[len(state) + 1 :]: contents[blob] for path, blob in blobs.items()})
    if problems:
        more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
        raise StateError(
            f"the commit would not verify: {problems[0]}{more}. Nothing was pushed, and what was to be published is "
            "kept. A hook or a filter changes what is committed here: correct it, and publish again"
        )


def verify_sessions(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Return the problems of session files, snapshot and sync.yaml."""
    problems = verify_contents(folder, files.get(SNAPSHOT), _sessions(folder, files))
    try:
        if SYNC_FILE in files:
            parse_sync_file(files[SYNC_FILE], str(folder / SYNC_FILE))
    except StateError as error:
        problems.append(str(error))
    return problems


def _sessions(folder: Path, files: Mapping[str, bytes]) -> Iterator[tuple[Path, bytes]]:
    for name, content in files.items():
        if name.startswith("sessions/"):
            check_session_path(folder, folder / name)
            yield folder / name, content
