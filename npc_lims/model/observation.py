"""Observations of sources, and the scope of a run."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from typing import Literal, Union

from npc_lims.errors import NpcLimsError, Problem, SourceError
from npc_lims.model.record import CodeOcean, S3Facts, Tracked, Training
from npc_lims.model.session_id import subject_of

Facts = Union[Tracked, Training, CodeOcean, S3Facts]
Found = Union[Facts, Literal[False]]
"""Facts of a source on a session; false when it was queried and has none."""


@dataclasses.dataclass(frozen=True)
class Observation:
    """Facts of one source, the section of the state file that it writes.

    Attributes:
        facts: Session id to what was found. Inside a section null means not observed.
        complete: All sessions were queried: one that `facts` lacks has nothing there.
            When false, a session that `facts` lacks keeps what is recorded.
        unchanged: The source is as it was when all of it was last recorded: there are no new facts,
            and a session of which nothing is recorded has nothing there.
        problems: Mistakes in the input that were stepped over.
        versions: Markers (ETags) of what was read, so that the next sync can skip what is unchanged.
        counts: Numbers to record with the sync, such as rows or assets seen.
        lines: Session id to the line, or the row of a sheet, that the fact was read from. Not written to files of
            observations: only for the messages of whoever reads the source.
        failure: Why the source could not be queried, in part or at all. The facts hold nevertheless.
    """

    source: str
    facts: Mapping[str, Found] = dataclasses.field(default_factory=dict)
    complete: bool = False
    unchanged: bool = False
    problems: tuple[Problem, ...] = ()
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    lines: Mapping[str, int] = dataclasses.field(default_factory=dict, repr=False, compare=False)
    failure: SourceError | None = None

    def is_about(self, session_id: str) -> bool:
        """Return whether the source was queried for a session, whatever it has of it."""
        return self.complete or self.unchanged or session_id in self.facts


def failed(error: SourceError) -> Observation:
    """Return the observation of a source that could not be queried."""
    return Observation(source=error.source, failure=error)


@dataclasses.dataclass(frozen=True)
class Scope:
    """A set of sessions that needs no list of all of them: `session_id in scope`.

    Attributes:
        sessions: Their ids; None for all.
        shards: Numbers, from 1, of shards; None for all. A subject is always in the same shard.
        of: Number of all shards.
    """

    sessions: frozenset[str] | None = None
    shards: frozenset[int] | None = None
    of: int = 1

    def __contains__(self, session_id: object) -> bool:
        if not isinstance(session_id, str) or (self.sessions is not None and session_id not in self.sessions):
            return False
        return self.shards is None or shard_of(session_id, self.of) in self.shards

    @property
    def is_full(self) -> bool:
        return self.sessions is None and (self.shards is None or len(self.shards) == self.of)


EVERYTHING = Scope()


def shard_of(session_id: str, of: int) -> int:
    """The shard, from 1, that a session is in: by its subject, and the same on every machine and day."""
    return int.from_bytes(hashlib.sha256(subject_of(session_id).encode()).digest()[:8], "big") % of + 1


def parse_shard(text: str) -> tuple[int, int]:
    """Number and count of `2/3`.

    >>> parse_shard("2/3")
    (2, 3)

    Raises:
        NpcLimsError: It is not of that form, or there is no such shard.
    """
    match = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text.strip())
    number, of = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= of:
        raise NpcLimsError(f"--shard {text}: expected NUMBER/COUNT from 1/COUNT to COUNT/COUNT, such as 1/4")
    return number, of
