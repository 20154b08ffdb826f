"""Verify what a commit holds of the state, as git has it: not the files that it was made from.

Hooks, filters and sparse checkouts come between the two, and readers get what is committed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from npc_lims.errors import StateError
from npc_lims.git import Repository
from npc_lims.state.store import verify_state
from npc_lims.state.sync_file import read_sync_file

__all__ = ["verify_commit", "verify_sessions"]

Check = Callable[[Path], Sequence[str]]
"""Return the problems of a state folder, each with its file."""


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
    with tempfile.TemporaryDirectory() as folder:
        for path, blob in blobs.items():
            file = Path(folder, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(contents[blob])
        problems = [problem.replace(f"{folder}{os.sep}", "") for problem in check(Path(folder, state))]
    if problems:
        more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
        raise StateError(
            f"the commit would not verify: {problems[0]}{more}. Nothing was pushed, and what was to be published is "
            "kept. A hook, a filter or a sparse checkout changes what is committed here: correct it, and publish again"
        )


def verify_sessions(state: Path) -> list[str]:
    """Return the problems of session files, snapshot and sync.yaml."""
    problems = verify_state(state)
    try:
        read_sync_file(state)
    except StateError as error:
        problems.append(str(error))
    return problems
