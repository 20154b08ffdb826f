"""Keep newer observations that are already published when an older one is applied.

Two syncs may overlap, and whoever pushes last is not always who observed last: for each section of each session the
newest observation counts.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Iterator, Mapping
from typing import Any

from npc_lims.clients.git import Repository
from npc_lims.errors import warn_future_timestamp
from npc_lims.model.observation import Found
from npc_lims.model.reconcile import DISCOVERING
from npc_lims.model.record import SECTIONS, Record
from npc_lims.state.snapshot import SNAPSHOT, lines_by_id
from npc_lims.sync.observation_file import Observed
from npc_lims.utils.text import single_line
from npc_lims.utils.timestamps import is_future, utc_text, utc_time

__all__ = ["OBSERVED_TRAILER", "Dropped", "Newer", "keep_complete", "keep_newer", "newer_changes"]

OBSERVED_TRAILER = "Npc-Lims-Observed"
"""The trailer of a commit of state that tells when its looks began."""

Newer = Mapping[str, frozenset[str]]
"""Session id to the sections that a newer observation changed."""

Dropped = Mapping[str, int]
"""Source to the number of its sections that were dropped, as a newer observation is published."""


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


def keep_newer(observed: Observed, newer: Newer, recorded: Mapping[str, Record]) -> tuple[Observed, Dropped]:
    """Return *observed* with what is *recorded* in place of its own wherever a newer observation has changed it.

    What it says of these sections is dropped, unless it is the same.
    """
    observations = []
    dropped: dict[str, int] = {}
    for one in observed.observations:
        named = [session_id for session_id, sections in newer.items() if one.source in sections]
        # one that is unchanged has no facts that could undo anything
        if one.unchanged or not named:
            observations.append(one)
            continue
        facts: dict[str, Found] = dict(one.facts)
        for session_id in named:
            found = _recorded_fact(recorded.get(session_id), one.source)
            own = facts.get(session_id, False if one.complete else None)
            if found is not None:
                if own not in (None, found) and session_id in observed.scope:
                    dropped[one.source] = dropped.get(one.source, 0) + 1
                facts[session_id] = found
        # a mixture of two observations is of no version
        observations.append(dataclasses.replace(one, facts=facts, versions={}))
    return dataclasses.replace(observed, observations=tuple(observations)), dropped


def keep_complete(observed: Observed, last_complete: Mapping[str, str | None]) -> tuple[Observed, Dropped]:
    """Return *observed* without the sources that were queried in full after it.

    The tracked file stays: it is read again as it is in the commit.
    """
    kept = []
    dropped = {}
    for one in observed.observations:
        if one.source == "tracked" or (last_complete.get(one.source) or "") <= utc_text(observed.at):
            kept.append(one)
        elif one.facts or one.failure is None:
            # that there is nothing, or nothing new, is an observation, too
            dropped[one.source] = max(1, len(one.facts))
    return dataclasses.replace(observed, observations=tuple(kept)), dropped


def _recorded_fact(record: Record | None, source: str) -> Found | None:
    if record is None:
        # a newer observation removed it: neither of the sources that make sessions known has it
        return False if source in DISCOVERING else None
    found: Found | None = getattr(record, source)
    return found


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
        commit, _, told = line.partition(" ")
        if any(when > at for when in _times(told, f"commit {commit[:10]}: {OBSERVED_TRAILER}")):
            yield commit


def _times(told: str, where: str) -> list[datetime.datetime]:
    """The times that the trailers of a commit name: several of one that was squashed, none of one made by hand."""
    found = []
    for text in told.split():
        try:
            when = utc_time(text)
        except ValueError:
            continue
        if is_future(when):
            warn_future_timestamp(where, single_line(text, 40))
        else:
            found.append(when)
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
    """The sections of a line of the snapshot; one that somebody damaged has none."""
    try:
        content = None if line is None else json.loads(line)
    except (RecursionError, ValueError):
        content = None
    return content if isinstance(content, dict) else {}
