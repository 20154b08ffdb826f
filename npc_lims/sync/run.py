"""A sync: observe the sources, reconcile with what is recorded, write what changed."""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from npc_lims.clients.codeocean import open_client
from npc_lims.clients.s3_cached import store_of
from npc_lims.config.error_boundary import describe_unexpected, source_failure
from npc_lims.config.settings import Settings
from npc_lims.errors import InputFileError, NoSessionInfo, NpcLimsError, NpcLimsWarning, SourceError, StateError, warn
from npc_lims.model.reconcile import check_breaker
from npc_lims.model.record import Observation, Record, failed
from npc_lims.model.recording_days import reconcile_days, reconcile_scope, report_other_rows
from npc_lims.model.sections import DISCOVERING, SECTIONS
from npc_lims.model.session_id import day_of
from npc_lims.model.unlisted import Unlisted, next_unlisted
from npc_lims.sources.context import SourceContext, observe_source
from npc_lims.sources.tracked.parser import observe_text, tracked_text
from npc_lims.state.diff import SessionChange, changes_between
from npc_lims.state.store import StateFolder, snapshot_digest, write_state
from npc_lims.state.sync_file import Recorded, next_sync_file, read_recorded, read_sync_file, write_sync_file
from npc_lims.state.unlisted import write_unlisted
from npc_lims.sync.observation_file import EVERYTHING, ObservationSet, Scope

_UNCHANGED_SINCE_OTHER = (
    "observed as unchanged since a version that is not the recorded one: others published meanwhile, or state was "
    "edited; observe again (npc-lims sync)"
)


@dataclasses.dataclass(frozen=True)
class SyncOptions:
    state: Path
    tracked: Path
    sources: Sequence[str] = SECTIONS
    scope: Scope = EVERYTHING
    changed: bool = False
    """Only sessions whose tracked entry differs from the recorded one, and those that Code Ocean or S3 were never
    queried for."""
    skip_unknown: bool = False
    """Leave out unknown sessions of *scope*, rather than raise an error."""
    full: bool = False
    """Read unchanged input again, too."""
    dry_run: bool = False
    allow_removals: bool = False
    """Go on where the breaker would refuse."""


@dataclasses.dataclass(frozen=True)
class SyncResult:
    """The result of a sync: records by session id, applied observations, and files that were written or removed."""

    before: Mapping[str, Record]
    after: Mapping[str, Record]
    observations: tuple[Observation, ...]
    written: tuple[PurePath, ...]
    unlisted_before: Unlisted | None = None
    unlisted: Unlisted | None = None
    """Recordings in Code Ocean that belong to no session; None if they were never observed."""

    @property
    def changes(self) -> list[SessionChange]:
        return changes_between(self.before, self.after)

    @property
    def unlisted_changes(self) -> list[str]:
        """Return a line for each recording that has become unlisted, or is no longer."""
        before, after = ({one.name: one for one in found or ()} for found in (self.unlisted_before, self.unlisted))
        days = set(map(day_of, self.after))
        lines = {name: f"{name}: found, and its session is not listed" for name in after.keys() - before.keys()}
        for name in before.keys() - after.keys():
            lines[name] = f"{name}: {'listed now' if before[name].session in days else 'no longer in Code Ocean'}"
        return [lines[name] for name in sorted(lines)]

    @property
    def failures(self) -> tuple[SourceError, ...]:
        return tuple(o.failure for o in self.observations if o.failure is not None)


class SourceProgress(NamedTuple):
    """How far the query of a source is: *done* items of *total*, both None at its begin; the observation at its end."""

    source: str
    done: int | None = None
    total: int | None = None
    observation: Observation | None = None


Report = Callable[[SourceProgress], None]
"""Called from several threads."""


def _guarded(report: Report | None, settings: Settings) -> Report:
    """Return a function that calls *report*, if there is one, until it raises: then a warning says so."""

    def guarded(progress: SourceProgress) -> None:
        nonlocal report
        if report is None:
            return
        try:
            report(progress)
        except BrokenPipeError:
            raise  # the output is no longer read
        except Exception as error:
            report = None
            warn(f"progress is not shown: {describe_unexpected(error, settings)}", NpcLimsWarning)

    return guarded


def sync(
    settings: Settings,
    options: SyncOptions,
    report: Report | None = None,
    on_observed: Callable[[ObservationSet], None] = lambda observed: None,
) -> SyncResult:
    """Run one sync: `observe`, then `apply` the observations. *on_observed* is called before anything is written."""
    recorded = read_recorded(options.state)
    observed = observe(settings, options, report, recorded=recorded)
    on_observed(observed)
    now = (snapshot_digest(options.state), read_sync_file(options.state))
    is_current = now == (recorded.loaded.snapshot, recorded.sync_file)  # no other sync has written meanwhile
    return apply(options.state, observed, recorded=recorded if is_current else None, dry_run=options.dry_run)


def observe(
    settings: Settings, options: SyncOptions, report: Report | None = None, *, recorded: Recorded | None = None
) -> ObservationSet:
    """Query each source in turn, and write nothing. One that fails gives a failed observation and stops no other."""
    if options.changed and "tracked" not in options.sources:
        raise NpcLimsError("--changed selects sessions by the tracked file: query that source, too")
    began = datetime.datetime.now(datetime.timezone.utc)
    recorded = recorded or read_recorded(options.state)
    before = recorded.loaded.records
    scope, guarded = options.scope, _guarded(report, settings)
    observations: tuple[Observation, ...] = ()
    known: Mapping[str, Record] = dict(before)  # parses them: damage is no source's failure
    for source in SECTIONS:
        if source not in options.sources or (options.changed and scope.sessions == frozenset()):
            continue
        context = SourceContext(
            settings=settings,
            tracked=lambda: tracked_text(options.tracked),
            store=lambda: store_of(settings),
            assets=lambda: open_client(settings),
            records=known,
            unlisted=recorded.unlisted or (),
            scope=None if scope.is_full else scope,
            versions=recorded.versions(source),
            full=options.full,
            progress=functools.partial(_report_items, guarded, source),
        )
        guarded(SourceProgress(source))
        observed = _query(source, functools.partial(observe_source, source, context), settings)
        # status flags are computed when records are written: no source needs them
        observations, known = _reconcile_each(before, (*observations, observed), scope, settings, refresh=False)
        guarded(SourceProgress(source, observation=observations[-1]))
        if source == "tracked" and options.changed and observations[-1].failure is None:
            scope = dataclasses.replace(scope, sessions=_edited(before, observations[-1], scope))
            observations, known = _reconcile_each(before, observations, scope, settings, refresh=False)
    if not options.skip_unknown:
        _check_known(options.scope, {*before, *known}, observations)
    observations = report_other_rows(before, known, observations)
    return ObservationSet(observations, scope, began, options.allow_removals)


def _report_items(report: Report, source: str, done: int, total: int | None) -> None:
    report(SourceProgress(source, done, total))


def apply(
    state: StateFolder,
    observed: ObservationSet,
    *,
    recorded: Recorded | None = None,
    tracked: Callable[[], tuple[str, str]] | None = None,
    dry_run: bool = False,
) -> SyncResult:
    """Reconcile observations with *state*, which others may have written to since, and write what changed.

    *recorded* is its content, if that was read. *tracked* returns text and name of the tracked file that belongs to
    this state, and replaces what was observed of it: so state and the file committed with it never disagree.
    """
    known = recorded or read_recorded(state)
    newest = None
    if tracked is not None:
        newest = _query("tracked", lambda: observe_text(*tracked(), known.versions("tracked")))
    before, scope = known.loaded.records, observed.scope
    current = tuple(_current(one, known, newest) for one in observed.observations)
    observations, after = _reconcile_each(before, current, scope)
    if not observed.allow_removals:
        check_breaker(before, after)
    seen = next((one.unlisted for one in observations if one.unlisted is not None), None)
    unlisted = next_unlisted(known.unlisted, seen, scope, scope.is_full, after)
    written: list[PurePath] = []
    if not dry_run:
        written = write_state(state, known.loaded, after)
        written += write_unlisted(state, known.unlisted, unlisted)
        digest = snapshot_digest(state)
        new = next_sync_file(known.last, observations, observed.at, full=scope.is_full, snapshot=digest)
        # last of all: its ETags say that what they stand for has been written
        if new != known.sync_file:
            written.append(write_sync_file(state, new))
    return SyncResult(before, after, observations, tuple(written), known.unlisted, unlisted)


def _edited(previous: Mapping[str, Record], tracked: Observation, scope: Scope) -> frozenset[str]:
    """Return sessions whose tracked facts differ from the recorded ones, or that were never queried."""
    after = reconcile_scope(previous, [tracked], scope)
    changed = {
        id_
        for id_, record in after.items()
        if id_ not in previous
        or (record.tracked, record.training) != (previous[id_].tracked, previous[id_].training)
        or (record.tracked and None in (record.codeocean, record.s3))
    }
    return frozenset(id_ for id_ in changed | (previous.keys() - after.keys()) if id_ in scope)


def _current(observation: Observation, recorded: Recorded, tracked: Observation | None) -> Observation:
    """Return the observation as it may be applied: that of the tracked file is replaced, if *tracked* is given."""
    if tracked is not None and observation.source == "tracked":
        observation = tracked
    versions = observation.versions.items()
    if observation.unchanged and not (versions and versions <= recorded.versions(observation.source).items()):
        # its facts were not observed, and what is recorded of it may be outdated
        return failed(SourceError(observation.source, _UNCHANGED_SINCE_OTHER))
    return observation


def _query(source: str, step: Callable[[], Observation], settings: Settings | None = None) -> Observation:
    """Return what *step* observes. Whatever it raises is a failure of its source alone."""
    try:
        return step()
    except InputFileError as error:
        return Observation(source, problems=error.problems, failure=SourceError(source, error.summary))
    except Exception as error:
        return failed(source_failure(source, error, settings))


def _reconcile_each(
    previous: Mapping[str, Record],
    observed: tuple[Observation, ...],
    scope: Scope,
    settings: Settings | None = None,
    *,
    refresh: bool = True,
) -> tuple[tuple[Observation, ...], Mapping[str, Record]]:
    """Return *observed*, and the records reconciled with it. Invalid facts fail their source alone."""

    def reconcile(observations: Sequence[Observation]) -> Mapping[str, Record]:
        if scope.is_full:
            return reconcile_days(previous, observations, refresh=refresh)
        return reconcile_scope(previous, observations, scope, refresh=refresh)

    try:
        return observed, reconcile(observed)
    except StateError:
        raise
    except Exception:
        reconcilable: tuple[Observation, ...] = ()
    records = reconcile(reconcilable)
    for one in sorted(observed, key=lambda one: SECTIONS.index(one.source)):
        try:
            records = reconcile((*reconcilable, one))
            reconcilable = (*reconcilable, one)
        except Exception as error:
            reconcilable = (*reconcilable, failed(source_failure(one.source, error, settings)))
    return reconcilable, records


def _check_known(scope: Scope, known: Collection[str], observations: Sequence[Observation]) -> None:
    # sessions of other shards are checked by other runners
    unknown = sorted(session for session in scope.sessions or () if session in scope and session not in known)
    if unknown:
        failures = [one.failure for one in observations if one.failure is not None and one.source in DISCOVERING]
        unread = f"; not all of these could be read: {'; '.join(map(str, failures))}" if failures else ""
        raise NoSessionInfo(
            f"no such session: {', '.join(unknown)}; a session is known once it is in tracked_sessions.yaml "
            f"or in a training workbook{unread}"
        )
