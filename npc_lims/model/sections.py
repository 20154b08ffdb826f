"""The sections of a session's record: one for each source, which alone writes it. docs/how-to/add-a-source.md."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Source:
    """A source, and the section of its name. `model.record` has the model of the section."""

    name: str
    label: str
    """Its name on pages."""
    module: str
    """Has `observe(context)`, which returns an `Observation`. It is imported when it is first needed."""
    counts: str = ""
    """What its progress counts."""
    lists_sessions: bool = False
    """It makes sessions known; the others are queried about sessions. In these null means that a fact was not observed,
    in others an empty cell."""


_SOURCES = (
    Source("tracked", "tracked_sessions.yaml", "npc_lims.sources.tracked.parser", lists_sessions=True),
    Source("training", "Training workbooks", "npc_lims.sources.training.workbooks", lists_sessions=True),
    Source("codeocean", "Code Ocean", "npc_lims.sources.codeocean.query", "assets"),
    Source("s3", "S3", "npc_lims.sources.s3.query", "listings"),
)
SOURCES: Mapping[str, Source] = {source.name: source for source in _SOURCES}
"""The sources in the order in which they are queried: each is given what those before have found."""
SECTIONS = tuple(SOURCES)
DISCOVERING = tuple(source.name for source in _SOURCES if source.lists_sessions)
"""Sources that make sessions known."""
OBSERVING = tuple(source.name for source in _SOURCES if not source.lists_sessions)
"""Sources that are queried about known sessions."""
