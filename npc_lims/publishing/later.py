"""What others published that was seen later than a look of ours: it is not to be undone by that look.

Two syncs may overlap. Whoever pushes last is not always who looked last; for each section of each session the
later look counts.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Iterator, Mapping
from typing import Any

from npc_lims.git import GitFailed, Repository
from npc_lims.model import SECTIONS, Record
from npc_lims.observed import Observed
from npc_lims.reconcile import DISCOVERING
from npc_lims.sources.observation import Found
from npc_lims.state.snapshot import SNAPSHOT, line_id, split_lines
from npc_lims.utc import utc_time

__all__ = ["OBSERVED_TRAILER", "Later", "seen_later", "with_later"]

OBSERVED_TRAILER = "Npc-Lims-Observed"
"""The trailer of a commit of state that tells when its looks began."""

Later = Mapping[str, frozenset[str]]
"""Session id to the sections that a later look changed."""


def seen_later(repository: Repository, head: str, state: str, at: datetime.datetime) -> Later:
    """What the commits up to *head* changed that were observed after *at*.

    Args:
        state: Path of the state folder within the repository, with forward slashes.
    """
    later: dict[str, frozenset[str]] = {}
    for commit in _commits_since(repository, head, at):
        for session_id, sections in _changed_sections(repository, commit, state):
            later[session_id] = later.get(session_id, frozenset()) | sections
    return later


def with_later(observed: Observed, later: Later, recorded: Mapping[str, Record]) -> Observed:
    """*observed* as if it had seen what is *recorded*, wherever a later look has changed it."""
    if not later:
        return observed
    observations = []
    for one in observed.observations:
        named = [session_id for session_id, sections in later.items() if one.source in sections]
        if not named:
            observations.append(one)
            continue
        facts: dict[str, Found] = dict(one.facts)
        for session_id in named:
            found = _recorded_fact(recorded.get(session_id), one.source)
            if found is not None:
                facts[session_id] = found
        # a mixture of two looks is of no version
        observations.append(dataclasses.replace(one, facts=facts, versions={}, unchanged=False))
    return dataclasses.replace(observed, observations=tuple(observations))


def _recorded_fact(record: Record | None, source: str) -> Found | None:
    if record is None:
        # a later look removed it, as neither of the places that make sessions known has it
        return False if source in DISCOVERING else None
    found: Found | None = getattr(record, source)
    return found


def _commits_since(repository: Repository, head: str, at: datetime.datetime) -> Iterator[str]:
    """Commits of state that were observed after *at*, among the newest thousand.

    By what they say themselves: the dates of commits are those of anybody's clock.
    """
    listing = repository.run(
        "log",
        "--max-count=1000",
        f"--format=%H %(trailers:key={OBSERVED_TRAILER},valueonly,separator=%x20)",
        head,
    ).decode("utf-8", "replace")
    for line in listing.splitlines():
        commit, _, told = line.partition(" ")
        try:
            when = utc_time(told)
        except ValueError:
            continue  # made by hand, or by something else: nobody says when it was seen
        if when > at:
            yield commit


def _changed_sections(repository: Repository, commit: str, state: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Session ids and the sections that *commit* changed in them."""
    before = _lines(repository, f"{commit}^", state)
    after = _lines(repository, commit, state)
    for session_id in before.keys() | after.keys():
        old, new = before.get(session_id), after.get(session_id)
        if old != new:
            was, now = _sections(old), _sections(new)
            yield session_id, frozenset(name for name in SECTIONS if was.get(name) != now.get(name))


def _lines(repository: Repository, commit: str, state: str) -> dict[str, bytes]:
    try:
        content = repository.read_file(commit, f"{state}/{SNAPSHOT}")
        return {line_id(line): line for line in split_lines(content or b"")}
    except (GitFailed, ValueError):
        return {}  # the first commit has none before it


def _sections(line: bytes | None) -> dict[str, Any]:
    if line is None:
        return {}
    content = json.loads(line)
    return content if isinstance(content, dict) else {}
