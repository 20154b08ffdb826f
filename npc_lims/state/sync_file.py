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
from npc_lims.model.observation import Observation
from npc_lims.model.record import SECTIONS, Model, describe_invalid_value
from npc_lims.state.freshness import SYNC_FILE
from npc_lims.state.store import Loaded, read_state
from npc_lims.state.tree import StateFolder, open_tree
from npc_lims.utils.text import single_line
from npc_lims.utils.timestamps import is_future, utc_text, utc_time
from npc_lims.utils.yaml import load_yaml, render_yaml

_REWRITE_AFTER = datetime.timedelta(days=1)


def _unquoted(value: Any) -> Any:
    """Return the text of a time that was typed without quotes, which YAML reads as a timestamp."""
    return utc_text(value) if isinstance(value, datetime.datetime) and value.tzinfo is not None else value


def _check_time(text: str) -> str:
    if utc_text(utc_time(text)) != text:
        raise ValueError("a time is written YYYY-MM-DDTHH:MM:SSZ")
    return text


Time = Annotated[str, pydantic.BeforeValidator(_unquoted), pydantic.AfterValidator(_check_time)]


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
    sources: dict[str, SourceSync] = pydantic.Field(default_factory=dict)

    _in_future: dict[str, str] = pydantic.PrivateAttr(default_factory=dict)
    """Times of `last_complete` that are in the future by the clock here, which may be the one that is wrong."""

    def without_versions(self) -> SyncFile:
        """Return a copy that makes the next sync read everything again."""
        sources = {name: source.model_copy(update={"versions": {}}) for name, source in self.sources.items()}
        return self.model_copy(update={"sources": sources})

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @pydantic.field_validator("sources")
    @classmethod
    def _check_sources(cls, value: dict[str, SourceSync]) -> dict[str, SourceSync]:
        if not value.keys() <= set(SECTIONS):
            raise ValueError(f"the sources are {', '.join(SECTIONS)}")
        return value


@dataclasses.dataclass(frozen=True)
class Recorded:
    """The content of a state.

    Attributes:
        loaded: Session files and snapshot.
        sync_file: Content of sync.yaml.
        last: The same, without versions unless all that was recorded with them is still there.
    """

    loaded: Loaded
    sync_file: SyncFile
    last: SyncFile

    def versions(self, source: str) -> Mapping[str, str]:
        """Return the versions at the last read of a source; none if the facts of that read are gone."""
        recorded = self.last.sources.get(source)
        return recorded.versions if recorded is not None and self.loaded.records else {}


def read_recorded(state: StateFolder) -> Recorded:
    """Return what is recorded in a state.

    Raises:
        StateError: It is damaged.
    """
    loaded = read_state(state)
    sync_file = read_sync_file(state)
    is_trusted = loaded.is_intact and loaded.snapshot == sync_file.snapshot
    return Recorded(loaded, sync_file, sync_file if is_trusted else sync_file.without_versions())


def read_sync_file(state: StateFolder) -> SyncFile:
    """Return the content of the file in a state; nothing is known if there is none.

    A timestamp in the future is ignored with a warning.

    Raises:
        StateError: The file is damaged.
    """
    tree = open_tree(state)
    content = tree.read_files([SYNC_FILE]).get(SYNC_FILE)
    return SyncFile() if content is None else parse_sync_file(content, str(tree.path(SYNC_FILE)))


def parse_sync_file(content: bytes, name: str) -> SyncFile:
    """Do as `read_sync_file` with the content of a file called *name*."""
    try:
        data = load_yaml(content)
        found = SyncFile.model_validate(data)
    except pydantic.ValidationError as error:
        raise _damaged(name, describe_invalid_value(error.errors(include_url=False)[0], data)) from None
    except ValueError as error:
        raise _damaged(name, single_line(error, 200)) from None
    sources = {source: _without_future(one, f"{name}: sources.{source}") for source, one in found.sources.items()}
    if sources == found.sources:
        return found
    known = found.model_copy(update={"sources": sources})
    known._in_future = {
        source: one.last_complete
        for source, one in found.sources.items()
        if one.last_complete is not None and sources[source].last_complete is None
    }
    return known


def _damaged(name: str, reason: str) -> StateError:
    return StateError(f"{name}: damaged ({reason}); restore it (git checkout), or delete it and sync --full")


def _without_future(source: SourceSync, where: str) -> SourceSync:
    failure = source.failure
    if source.last_complete is not None and is_future(utc_time(source.last_complete)):
        warn_future_timestamp(f"{where}.last_complete", source.last_complete)
        source = source.model_copy(update={"last_complete": None})
    if failure is not None and failure.at is not None and is_future(utc_time(failure.at)):
        warn_future_timestamp(f"{where}.failure.at", failure.at)
        source = source.model_copy(update={"failure": failure.model_copy(update={"at": None})})
    return source


def write_sync_file(state: StateFolder, content: SyncFile) -> PurePath:
    """Write the file; a time in the future stays until its source is read completely. Return its path."""
    tree = open_tree(state)
    data = content.model_dump(by_alias=True)
    for source, last_complete in content._in_future.items():
        data["sources"][source]["last_complete"] = last_complete
    tree.write_files({SYNC_FILE: render_yaml(data).encode()})
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

    Args:
        snapshot: Digest of the snapshot as it is now.
        full: All sessions were in scope; a sync of some sessions does not update when all were last read.
    """
    stamp = utc_text(now)
    sources = dict(before.sources)
    for observation in observed:
        old = before.sources.get(observation.source, SourceSync())
        sources[observation.source] = _next_source(old, observation, stamp, full)
    after = SyncFile(snapshot=snapshot, sources=dict(sorted(sources.items(), key=lambda item: _order(item[0]))))
    after._in_future = {
        source: time for source, time in before._in_future.items() if sources[source].last_complete is None
    }
    if _without_times(after) == _without_times(before) and not _is_stale(before, after, now):
        return before
    return after


def _next_source(old: SourceSync, observation: Observation, stamp: str, full: bool) -> SourceSync:
    # what was read of some sessions, or in part, is recorded beside what was read of the others before
    is_mixed = (observation.complete or bool(observation.facts)) and dict(observation.versions) != old.versions
    kept = old.model_copy(update={"versions": {}}) if is_mixed else old
    if observation.failure is not None:
        failure = SyncFailure(at=stamp, reason=observation.failure.reason)
        if old.failure is not None and old.failure.at is not None and old.failure.reason == failure.reason:
            failure = old.failure
        return kept.model_copy(update={"failure": failure})
    if not full:
        return kept
    return SourceSync(
        last_complete=max(stamp, old.last_complete or ""),
        counts=dict(observation.counts) or old.counts,
        versions=dict(observation.versions),
    )


def _order(source: str) -> int:
    return SECTIONS.index(source)


def _without_times(content: SyncFile) -> Mapping[str, Any]:
    data = content.model_dump()
    for source in data["sources"].values():
        # that it has been complete once is a fact, when is a time
        source["last_complete"] = source["last_complete"] is not None
        if source["failure"]:
            source["failure"]["at"] = source["failure"]["at"] is not None
    return data


def _is_stale(before: SyncFile, after: SyncFile, now: datetime.datetime) -> bool:
    """Return True if a time that would change is a day old; that of a source that was not queried does not change."""
    for name, source in before.sources.items():
        last = source.last_complete
        if last is not None and last != after.sources[name].last_complete and now - utc_time(last) >= _REWRITE_AFTER:
            return True
    return False
