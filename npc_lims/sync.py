"""A sync: observe the sources, reconcile with what is recorded, write what changed."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from npc_lims.errors import MissingCredentials, NpcLimsError, SourceError, TrackedFileError
from npc_lims.model import SECTIONS, Record
from npc_lims.reconcile import check_breaker, reconcile
from npc_lims.settings import Settings
from npc_lims.sources.codeocean import observe_codeocean, open_client
from npc_lims.sources.objects import StoreOpener
from npc_lims.sources.observation import Observation, failed
from npc_lims.sources.s3 import observe_s3
from npc_lims.sources.spreadsheets import observe_training
from npc_lims.sources.tracked import observe_tracked
from npc_lims.state.diff import SessionChange, changes_between
from npc_lims.state.store import Loaded, read_state, snapshot_digest, write_state
from npc_lims.state.sync_file import SyncFile, next_sync_file, read_sync_file, write_sync_file

__all__ = ["Reporter", "SilentReporter", "SyncOptions", "SyncResult", "observe", "sync"]


@dataclasses.dataclass(frozen=True)
class SyncOptions:
    """What a sync covers.

    Attributes:
        state: The state folder, made if it is not there.
        tracked: The tracked sessions file.
        sources: Sources to ask, of `model.SECTIONS`.
        sessions: Ids that may change; None for all.
        full: Read again also what is recorded as unchanged.
        dry_run: Write nothing.
        allow_removals: Go on where the breaker would refuse.
    """

    state: Path
    tracked: Path
    sources: Sequence[str] = SECTIONS
    sessions: Collection[str] | None = None
    full: bool = False
    dry_run: bool = False
    allow_removals: bool = False


@dataclasses.dataclass(frozen=True)
class SyncResult:
    """What a sync did.

    Attributes:
        before: Records by session id as they were.
        after: Records as they are now, or would be after a dry run.
        observations: One for each source that was asked.
        written: Files that were written or removed.
    """

    before: Mapping[str, Record]
    after: Mapping[str, Record]
    observations: tuple[Observation, ...]
    written: tuple[Path, ...]

    @property
    def changes(self) -> list[SessionChange]:
        return changes_between(self.before, self.after)

    @property
    def failures(self) -> tuple[SourceError, ...]:
        return tuple(o.failure for o in self.observations if o.failure is not None)


class Reporter(Protocol):
    """Hears how far a sync is. Called from several threads."""

    def started(self, source: str) -> None: ...

    def progress(self, source: str, done: int, total: int | None) -> None: ...

    def finished(self, source: str, observation: Observation) -> None: ...


class SilentReporter:
    def started(self, source: str) -> None:
        """Says nothing."""

    def progress(self, source: str, done: int, total: int | None) -> None:
        """Says nothing."""

    def finished(self, source: str, observation: Observation) -> None:
        """Says nothing."""


def sync(settings: Settings, options: SyncOptions, reporter: Reporter | None = None) -> SyncResult:
    """Run one sync.

    Raises:
        TrackedFileError: The tracked sessions file holds errors; nothing was asked or written.
        StateError: The state folder is damaged; nothing was written.
        SyncRefused: The breaker; nothing was written.
    """
    loaded = read_state(options.state)
    sync_file = read_sync_file(options.state)
    # what was read last time may be skipped only if all that was recorded of it is still there
    is_trusted = loaded.is_intact and loaded.snapshot == sync_file.snapshot
    last = sync_file if is_trusted else sync_file.without_versions()
    observations = observe(settings, options, loaded.records, last, reporter or SilentReporter())
    after = reconcile(loaded.records, observations, options.sessions)
    if options.sessions is not None:
        _check_known(options.sessions, after)
    if not options.allow_removals:
        check_breaker(loaded.records, after)
    written = () if options.dry_run else _write(options, loaded, after, sync_file, last, observations)
    return SyncResult(loaded.records, after, tuple(observations), tuple(written))


def observe(
    settings: Settings,
    options: SyncOptions,
    previous: Mapping[str, Record],
    sync_file: SyncFile,
    reporter: Reporter,
) -> list[Observation]:
    """Ask each source in turn. One that fails gives a failed observation and never stops the others."""
    observations: list[Observation] = []
    # the buckets are opened by the first source that needs them, and by none if none does
    store = StoreOpener(settings)

    def versions(source: str) -> Mapping[str, str]:
        """What was read last time; nothing if the facts that were read then are not there any more."""
        recorded = sync_file.sources.get(source)
        return recorded.versions if recorded is not None and previous else {}

    def training() -> Observation:
        needs_store = settings.training.startswith("s3://")
        return observe_training(settings, store() if needs_store else None, versions("training"), full=options.full)

    def codeocean() -> Observation:
        return observe_codeocean(
            settings,
            open_client(settings),
            store,
            known(),
            options.sessions,
            lambda done: reporter.progress("codeocean", done, None),
        )

    def s3() -> Observation:
        return observe_s3(
            settings,
            store(),
            known(),
            options.sessions,
            full=options.full,
            progress=lambda done, total: reporter.progress("s3", done, total),
        )

    def known() -> Mapping[str, Record]:
        """What is known by now: each source builds on what those before it have seen."""
        return reconcile(previous, observations, options.sessions)

    steps: dict[str, Callable[[], Observation]] = {
        "tracked": lambda: observe_tracked(options.tracked, versions("tracked"), full=options.full),
        "training": training,
        "codeocean": codeocean,
        "s3": s3,
    }
    for source in SECTIONS:
        if source not in options.sources:
            continue
        reporter.started(source)
        observation = _ask(source, steps[source])
        observations.append(observation)
        reporter.finished(source, observation)
    return observations


def _ask(source: str, step: Callable[[], Observation]) -> Observation:
    try:
        return step()
    except TrackedFileError:
        raise  # a mistake in a file of this repository is bad input, not an outage
    except SourceError as error:
        return failed(SourceError(source, error.reason))
    except MissingCredentials as error:
        return failed(SourceError(source, str(error)))


def _check_known(sessions: Collection[str], records: Mapping[str, Record]) -> None:
    unknown = sorted(set(sessions) - set(records))
    if unknown:
        raise NpcLimsError(
            f"no such session: {', '.join(unknown)}; a session is known once it is in tracked_sessions.yaml "
            "or in a training workbook"
        )


def _write(
    options: SyncOptions,
    loaded: Loaded,
    after: Mapping[str, Record],
    sync_file: SyncFile,
    last: SyncFile,
    observations: Sequence[Observation],
) -> list[Path]:
    written = write_state(options.state, loaded, after)
    now = datetime.datetime.now(datetime.timezone.utc)
    digest = snapshot_digest(options.state)
    new = next_sync_file(last, observations, now, whole=options.sessions is None, snapshot=digest)
    # last of all: its ETags say that what they stand for has been written
    if new != sync_file:
        written.append(write_sync_file(options.state, new))
    return written
