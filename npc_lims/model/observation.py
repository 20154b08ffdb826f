"""What a source saw in one look."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal, Union

from npc_lims.errors import Problem, SourceError
from npc_lims.model.record import CodeOcean, S3Facts, Tracked, Training

__all__ = ["Facts", "Found", "Observation", "failed"]

Facts = Union[Tracked, Training, CodeOcean, S3Facts]
Found = Union[Facts, Literal[False]]
"""What a source has on a session; false when it was asked and has nothing."""


@dataclasses.dataclass(frozen=True)
class Observation:
    """Facts of one source.

    Attributes:
        source: Section of the state file that these facts belong to.
        facts: Session id to what was found. Inside a section null means not observed.
        complete: Every session was asked about: one that `facts` lacks has nothing there.
            When false, a session that `facts` lacks keeps what is recorded.
        unchanged: What is asked is as it was when all of it was last recorded: there are no new facts,
            and a session of which nothing is recorded has nothing there.
        problems: Mistakes in the input that were stepped over.
        versions: Markers (ETags) of what was read, so that the next sync can skip what is unchanged.
        counts: Numbers worth recording with the sync, such as rows or assets seen.
        lines: Session id to the line, or the row of a sheet, that the fact was read from. Not kept in files of
            observations: only for the messages of whoever reads the source.
        failure: Why the source could not be asked, in part or at all. What facts there are still hold.
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


def failed(error: SourceError) -> Observation:
    """The observation of a source that could not be asked."""
    return Observation(source=error.source, failure=error)
