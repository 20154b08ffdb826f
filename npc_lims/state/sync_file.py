"""`sync.yaml`: when each source was last queried, its counts and versions, and its last failure.

Times change at every sync, facts seldom do. So that a sync of an unchanged world leaves nothing to
commit, the file is rewritten only when something but a time changed, or once a day.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Annotated, Any, Optional

import pydantic

from npc_lims.errors import StateError, warn_future_timestamp
from npc_lims.model.record import Model, Observation, check_time, validate_model
from npc_lims.model.sections import SECTIONS
from npc_lims.model.unlisted import Unlisted
from npc_lims.state.freshness import SYNC_FILE
from npc_lims.state.store import Loaded, StateFolder, open_tree, read_state
from npc_lims.state.unlisted import load_unlisted
from npc_lims.utils.text import single_line
from npc_lims.utils.timestamps import is_future, utc_text, utc_time
from npc_lims.utils.yaml import load_yaml, render_yaml

_REWRITE_AFTER = datetime.timedelta(days=1)

Time = Annotated[str, pydantic.AfterValidator(check_time)]


class SyncFailure(Model):
    at: Optional[Time]
    """UTC time of the first sync that failed for this reason; null if that is not known."""
    reason: str


class SourceSync(Model):
    """The record of one source."""

    last_complete: Optional[Time] = None
    """UTC time of the last sync that read the source completely; null if none ever did."""
    counts: dict[str, int] = pydantic.Field(default_factory=dict)
    versions: dict[str, str] = pydantic.Field(default_factory=dict)
    """ETags of what was read: what has not changed is not read again."""
    failure: Optional[SyncFailure] = None
    """The failure of the last sync, null if it was complete."""


class SyncFile(Model):
    schema_: int = pydantic.Field(default=1, alias="schema")
    snapshot: Optional[str] = None
    """Digest of the snapshot written with it. To another snapshot the versions below say nothing: files were
    edited, deleted or taken from another commit, or a sync was killed."""
    recorded: dict[str, SourceSync] = pydantic.Field(default_factory=dict, alias="sources")

    @property
    def sources(self) -> dict[str, SourceSync]:
        """The recorded sources, without times in the future by the clock here, which may be the one that is wrong."""
        return {name: _without_future(source) for name, source in self.recorded.items()}

    def without_versions(self) -> SyncFile:
        """Return a copy that makes the next sync read everything again."""
        sources = {name: source.model_copy(update={"versions": {}}) for name, source in self.recorded.items()}
        return self.model_copy(update={"recorded": sources})

    @pydantic.field_validator("recorded")
    @classmethod
    def _check_sources(cls, value: dict[str, SourceSync]) -> dict[str, SourceSync]:
        if not value.keys() <= set(SECTIONS):
            raise ValueError(f"the sources are {', '.join(SECTIONS)}")
        return value


def _without_future(source: SourceSync) -> SourceSync:
    failure = source.failure
    if source.last_complete is not None and is_future(utc_time(source.last_complete)):
        source = source.model_copy(update={"last_complete": None})
    if failure is not None and failure.at is not None and is_future(utc_time(failure.at)):
        source = source.model_copy(update={"failure": failure.model_copy(update={"at": None})})
    return source


@dataclasses.dataclass(frozen=True)
class Recorded:
    """The content of a state."""

    loaded: Loaded
    sync_file: SyncFile
    last: SyncFile
    """The same, without versions unless all that was recorded with them is still there."""
    unlisted: Unlisted | None = None
    """Recordings that belong to no session; None if they were never observed."""

    def versions(self, source: str) -> Mapping[str, str]:
        """Return the versions at the last read of a source; none if the facts of that read are gone."""
        recorded = self.last.sources.get(source)
        return recorded.versions if recorded is not None and self.loaded.records else {}


def read_recorded(state: StateFolder) -> Recorded:
    """Return what is recorded in a state; StateError if it is damaged."""
    loaded = read_state(state)
    sync_file = read_sync_file(state)
    is_trusted = loaded.is_intact and loaded.snapshot == sync_file.snapshot
    last = sync_file if is_trusted else sync_file.without_versions()
    return Recorded(loaded, sync_file, last, load_unlisted(state))


def read_sync_file(state: StateFolder) -> SyncFile:
    """Return the content of the file, without times in the future; StateError if it is damaged."""
    tree = open_tree(state)
    content = tree.read_files([SYNC_FILE]).get(SYNC_FILE)
    return SyncFile() if content is None else parse_sync_file(content, str(tree.path(SYNC_FILE)))


def parse_sync_file(content: bytes, name: str) -> SyncFile:
    """Do as `read_sync_file` with the content of a file called *name*."""
    try:
        found = validate_model(SyncFile, load_yaml(content))
    except ValueError as error:
        remedy = "restore it (git checkout), or delete it and sync --full"
        raise StateError(f"{name}: damaged ({single_line(error, 200)}); {remedy}") from None
    for source, one in found.recorded.items():
        times = {"last_complete": one.last_complete, "failure.at": one.failure.at if one.failure else None}
        for key, time in times.items():
            if time is not None and is_future(utc_time(time)):
                warn_future_timestamp(f"{name}: sources.{source}.{key}", time)
    return found


def verify_sync_file(state: StateFolder) -> list[str]:
    """Return the problems of the file, in words."""
    try:
        read_sync_file(state)
    except StateError as error:
        return [str(error)]
    return []


def write_sync_file(state: StateFolder, content: SyncFile) -> PurePath:
    tree = open_tree(state)
    tree.write_files({SYNC_FILE: render_yaml(content.model_dump(by_alias=True)).encode()})
    return tree.path(SYNC_FILE)


def next_sync_file(
    before: SyncFile,
    observed: Iterable[Observation],
    now: datetime.datetime,
    *,
    full: bool = True,
    snapshot: str | None = None,
) -> SyncFile:
    """Return the file after a sync: *before* itself where only times would change and they are recent.

    *snapshot* is the digest as it is now. A sync of some sessions, not *full*, does not update when all were last read.
    """
    sources = dict(before.recorded)
    for observation in observed:
        old = sources.get(observation.source, SourceSync())
        sources[observation.source] = _next_source(old, observation, utc_text(now), full)
    after = SyncFile(snapshot=snapshot, recorded={name: sources[name] for name in SECTIONS if name in sources})
    return before if _without_times(after) == _without_times(before) and not _is_stale(before, after, now) else after


def _next_source(old: SourceSync, observation: Observation, stamp: str, full: bool) -> SourceSync:
    known = _without_future(old)  # a time in the future stays until the source is read completely
    # what was read of some sessions, or in part, is recorded beside what was read of the others before
    is_mixed = (observation.complete or bool(observation.facts)) and dict(observation.versions) != old.versions
    unchanged = old.model_copy(update={"versions": {}}) if is_mixed else old
    if observation.failure is not None:
        failure = SyncFailure(at=stamp, reason=observation.failure.reason)
        if known.failure is not None and known.failure.at is not None and known.failure.reason == failure.reason:
            failure = known.failure
        return unchanged.model_copy(update={"failure": failure})
    if not full:
        return unchanged
    return SourceSync(
        last_complete=max(stamp, known.last_complete or ""),
        counts=dict(observation.counts) or old.counts,
        versions=dict(observation.versions),
    )


def _without_times(content: SyncFile) -> tuple[str | None, Mapping[str, Any]]:
    sources = {name: source.model_dump() for name, source in content.sources.items()}
    for source in sources.values():
        # that it has been complete once is a fact, when is a time
        source["last_complete"] = source["last_complete"] is not None
        if source["failure"]:
            source["failure"]["at"] = source["failure"]["at"] is not None
    return content.snapshot, sources


def _is_stale(before: SyncFile, after: SyncFile, now: datetime.datetime) -> bool:
    """Return True if a time that would change is a day old; that of a source that was not queried does not change."""
    return any(
        source.last_complete is not None
        and source.last_complete != after.recorded[name].last_complete
        and now - utc_time(source.last_complete) >= _REWRITE_AFTER
        for name, source in before.recorded.items()
    )
