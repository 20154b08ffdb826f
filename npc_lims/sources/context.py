"""The context in which one observes sessions, in a sync or a live lookup."""

from __future__ import annotations

import dataclasses
import datetime
import importlib
from collections.abc import Callable, Container, Mapping
from typing import TYPE_CHECKING, Optional

from npc_lims.config.settings import Settings
from npc_lims.model.record import Observation, Record
from npc_lims.model.sections import SOURCES
from npc_lims.model.unlisted import Unlisted

if TYPE_CHECKING:
    from npc_lims.clients.codeocean import AssetClient
    from npc_lims.clients.s3 import ObjectStore


def observe_source(source: str, context: SourceContext) -> Observation:
    """Return the facts that `observe` of a source's module finds; NpcLimsError if it cannot be queried at all."""
    module = importlib.import_module(SOURCES[source].module)
    observation: Observation = module.observe(context)
    return observation


def ignore_progress(done: int, total: Optional[int]) -> None:
    """Do nothing with the progress of a source."""


@dataclasses.dataclass(frozen=True)
class SourceContext:
    """Sessions to observe, and the ways to the sources."""

    settings: Settings
    tracked: Callable[[], tuple[str, str]]
    """Reads the tracked sessions file: its text, and its name for messages."""
    store: Callable[[], ObjectStore]
    """Opens the buckets. Called only if they are needed, as `assets`, which opens Code Ocean."""
    assets: Callable[[], AssetClient]
    records: Mapping[str, Record] = dataclasses.field(default_factory=dict)
    """Sessions by id: as recorded, with what other sources have observed before."""
    scope: Container[str] | None = None
    """Ids of those of *records* to observe; None for all."""
    unlisted: Unlisted = ()
    """Recordings that are recorded as belonging to no session."""
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Markers of what was read when the source was last recorded: the same is not read again."""
    full: bool = False
    """Read everything again, whatever is recorded."""
    by_subject: bool = False
    """Search for the subjects of these sessions instead of paging through all assets: quick, but it finds only assets
    that name their subject in metadata, tags or description. Not for what is recorded."""
    progress: Callable[[int, Optional[int]], None] = ignore_progress
    """Called with how much has been done, and of how much (None if that is not known)."""
    today: datetime.date = dataclasses.field(
        default_factory=lambda: datetime.datetime.now(datetime.timezone.utc).date()
    )
    """Sessions of a later day are mistakes; UTC, where no rig is ahead."""

    @property
    def wanted(self) -> list[str]:
        """Ids of the sessions to observe, in order."""
        return sorted(one for one in self.records if self.scope is None or one in self.scope)
