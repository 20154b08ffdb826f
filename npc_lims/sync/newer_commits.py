"""Find what newer observations that are already published have changed: `keep_newest` lets them stand."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from typing import Any

from npc_lims.clients.git import Repository
from npc_lims.errors import warn_future_timestamp
from npc_lims.model.reconcile import Newer, is_newer
from npc_lims.model.record import SECTIONS
from npc_lims.state.snapshot import SNAPSHOT, lines_by_id
from npc_lims.utils.text import single_line
from npc_lims.utils.timestamps import is_future, utc_text, utc_time

OBSERVED_TRAILER = "Npc-Lims-Observed"
"""The trailer of a commit of state that has the time of its observations."""


def newer_changes(repository: Repository, head: str, state: str, at: datetime.datetime) -> Newer:
    """Return what the commits up to *head* changed that were observed after *at*.

    Args:
        state: Path of the state folder within the repository, with forward slashes.
    """
    newer: dict[str, frozenset[str]] = {}
    for commit in _commits_since(repository, head, at):
        for session_id, sections in _changed_sections(repository, commit, state):
            newer[session_id] = newer.get(session_id, frozenset()) | sections
    return newer


def _commits_since(repository: Repository, head: str, at: datetime.datetime) -> Iterator[str]:
    """Commits of state that were observed after *at*, among the newest thousand.

    By what they say themselves: the dates of commits are those of anybody's clock. One that says that it was observed
    in the future is ignored with a warning.
    """
    listing = repository.run(
        "log",
        "--max-count=1000",
        f"--format=%H %(trailers:key={OBSERVED_TRAILER},valueonly,separator=%x20)",
        head,
    ).decode("utf-8", "replace")
    for line in listing.splitlines():
        commit, _, trailers = line.partition(" ")
        if any(is_newer(when, at) for when in _times(trailers, f"commit {commit[:10]}: {OBSERVED_TRAILER}")):
            yield commit


def _times(trailers: str, where: str) -> list[str]:
    """Return the times in the trailers of a commit: several if it was squashed, none if it was made by hand."""
    found = []
    for text in trailers.split():
        try:
            when = utc_time(text)
        except ValueError:
            continue
        if is_future(when):
            warn_future_timestamp(where, single_line(text, 40))
        else:
            found.append(utc_text(when))
    return found


def _changed_sections(repository: Repository, commit: str, state: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield session ids and the sections that *commit* changed in them."""
    path = f"{state}/{SNAPSHOT}"
    # the first commit has none before it
    before, after = (lines_by_id(repository.read_file(one, path) or b"") for one in (f"{commit}^", commit))
    for session_id in before.keys() | after.keys():
        old, new = before.get(session_id), after.get(session_id)
        if old != new:
            was, now = _sections(old), _sections(new)
            yield session_id, frozenset(name for name in SECTIONS if was.get(name) != now.get(name))


def _sections(line: bytes | None) -> dict[str, Any]:
    """Return the sections of a line of the snapshot; a damaged one has none."""
    try:
        content = None if line is None else json.loads(line)
    except (RecursionError, ValueError):
        content = None
    return content if isinstance(content, dict) else {}
