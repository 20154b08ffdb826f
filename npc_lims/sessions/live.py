"""Sessions and flags that state does not know, queried from the sources. Nothing here is ever written to state."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Hashable, Mapping, Sequence
from pathlib import Path

from npc_lims.clients.s3_cached import CachedStore
from npc_lims.config.error_boundary import source_boundary
from npc_lims.config.settings import TRACKED_FILE, Settings
from npc_lims.errors import (
    InputFileError,
    LiveStateWarning,
    MissingCredentials,
    NoRemoteState,
    NpcLimsError,
    RemoteStateError,
    SourceError,
    warn_once,
)
from npc_lims.model.reconcile import Records, reconcile_session
from npc_lims.model.record import CodeOcean, Observation, Record, Tracked
from npc_lims.model.recording_days import assign_rows, reconcile_days, undecided_sessions
from npc_lims.model.sections import DISCOVERING, OBSERVING
from npc_lims.model.session_id import day_of, ids_of_day, split_session_id, subject_of
from npc_lims.sessions.cached_assets import CachedAssetClient
from npc_lims.sources.context import SourceContext, observe_source
from npc_lims.state.published import fetch_file
from npc_lims.state.reader import read_one
from npc_lims.utils.memory_cache import TTLCache

Answer = tuple["Record | None", "list[str]"]
"""A session, and why some sources could not be queried for it."""

_flags: TTLCache[Record] = TTLCache(maxsize=4096, ttl=600)
# for a shorter time if there is no session, or not all sources could be queried
_sessions: TTLCache[Answer] = TTLCache(maxsize=4096, ttl=lambda answer: 60 if answer[0] is None or answer[1] else 600)
# a loop over ids must not query, and wait, a thousand times
_listings: TTLCache[Observation] = TTLCache(maxsize=4, ttl=600, error_ttl=60)
_all: TTLCache[Mapping[str, Record]] = TTLCache(maxsize=2, ttl=600)


# --- the sources


def live_context(settings: Settings, records: Records, scope: Collection[str]) -> SourceContext:
    """Return the context of a query now: responses are cached, and nothing is taken from state."""
    return SourceContext(
        settings=settings,
        tracked=lambda: _tracked_text(settings),
        store=lambda: CachedStore(settings),
        assets=lambda: CachedAssetClient(settings),
        records=records,
        scope=scope,
        by_subject=len(set(map(subject_of, scope))) == 1,
    )


def _tracked_text(settings: Settings) -> tuple[str, str]:
    """Return the tracked sessions file beside the state: in the checkout of the folder, or published."""
    from npc_lims.sources.tracked.parser import tracked_text

    path = _tracked_file(settings)
    if path is None:
        content = fetch_file(settings, TRACKED_FILE)
        if content is None:
            raise NoRemoteState(f"{settings.repo} has no {TRACKED_FILE} at {settings.ref}")
        return tracked_text(TRACKED_FILE, content)
    if not path.is_file():
        raise NoRemoteState(f"there is no {path}")
    return tracked_text(path)


def _tracked_file(settings: Settings) -> Path | None:
    return None if settings.state is None else settings.state.parent / TRACKED_FILE


def _cache_key(settings: Settings) -> tuple[Hashable, ...]:
    """Return what the answers of the sources depend on: their addresses, and the version of a local file."""
    path = _tracked_file(settings)
    status = path.stat() if path is not None and path.is_file() else None
    version = status and (status.st_size, status.st_mtime_ns)
    addresses = (settings.state, settings.raw_url, settings.repo, settings.ref, settings.training)
    return (*map(str, (*addresses, settings.codeocean_domain, settings.mirror)), settings.training_columns, version)


def _query(settings: Settings, source: str, records: Records, scope: Collection[str]) -> Observation:
    if source == "codeocean":
        # while it is unknown whether a session is tracked, its assets determine its platform, even if it has a row
        records = {
            id_: one if one.tracked is not None else one.model_copy(update={"training": None})
            for id_, one in records.items()
        }
    with source_boundary(source):
        return observe_source(source, live_context(settings, records, scope))


def _query_listing(settings: Settings, source: str) -> Observation:
    return _listings.get_or_load((source, *_cache_key(settings)), lambda: _query(settings, source, {}, ()))


def _observe(
    settings: Settings, source: str, records: Records, scope: Collection[str]
) -> tuple[list[Observation], list[NpcLimsError]]:
    """Return the observation of a source, if there is one, and why it could not be queried, in part or at all."""
    try:
        is_listing = source in DISCOVERING
        one = _query_listing(settings, source) if is_listing else _query(settings, source, records, scope)
    except (MissingCredentials, SourceError, RemoteStateError, InputFileError) as error:
        return [], [error]
    return [one], [] if one.failure is None else [one.failure]


def _observe_listings(settings: Settings, sources: Sequence[str]) -> tuple[list[Observation], list[NpcLimsError]]:
    found = [_observe(settings, source, {}, ()) for source in sources]
    return [one for observed, _ in found for one in observed], [error for _, failed in found for error in failed]


def _reconcile_listed(
    settings: Settings, previous: Records, listed: Sequence[Observation]
) -> tuple[dict[str, Record], list[str]]:
    """Return the listed sessions, each with its training row, and why the rows of some are not known to be theirs."""
    records = reconcile_days(previous, listed)
    undecided = undecided_sessions(records)
    if not undecided:
        return records, []
    recordings, failures = _observe(settings, "codeocean", records, undecided)
    reasons = [str(error) for error in failures]
    if not recordings:
        reasons = [f"which training row belongs to {', '.join(sorted(undecided))}: {reasons[0]}"]
    return reconcile_days(previous, [*listed, *recordings]), reasons


# --- flags of sessions that state has


def complete(settings: Settings, record: Record, flags: Collection[str]) -> Record:
    """Return *record* with *flags* looked up, Code Ocean first, then S3 for those still unknown."""
    key = (_cache_key(settings), record.id, tuple(sorted(flags)))
    return _flags.get_or_load(key, lambda: _complete(settings, record, flags))


def _complete(settings: Settings, record: Record, flags: Collection[str]) -> Record:
    failures: list[NpcLimsError] = []
    record = reconcile_session(record.id, record, ())  # it may be older than the flags
    day = records_of_day(settings, record.id)
    if record.id not in day:  # it may be newer than state, and so may others of its day
        day = listed_day(settings, record.id)
    for source in OBSERVING:
        if not _unknown(record, flags):
            break
        records = {**day, record.id: record}
        observed, failed = _observe(settings, source, records, {record.id})
        # S3 alone may still know: what matters is whether the flags are known in the end
        failures += failed
        if observed:
            record = reconcile_session(record.id, record, assign_rows(records, observed))
    unknown = _unknown(record, flags)
    if not unknown:
        return record
    # of missing credentials all are named, since these the caller can set
    missing = [error for error in failures if isinstance(error, MissingCredentials)]
    if missing:
        raise MissingCredentials("; ".join(map(str, missing)))
    if failures:
        raise failures[0]
    raise SourceError("state", f"{record.id}: no source shows {', '.join(unknown)}")


def _unknown(record: Record, flags: Collection[str]) -> list[str]:
    return [flag for flag in flags if record.status.get(flag, False) is None]


def flags_of_all(settings: Settings, records: Records) -> Records:
    """Return *records* with every flag looked up, each source queried once for all of them."""
    observations: list[Observation] = []
    for source in OBSERVING:
        observations.append(_query(settings, source, reconcile_days(records, observations), set(records)))
    return reconcile_days(records, observations)


# --- sessions that state does not have


def find_session(settings: Settings, session_id: str) -> Answer:
    """Return a session that state does not have, and why some sources could not be queried; None if there is none."""
    return _sessions.get_or_load((_cache_key(settings), session_id), lambda: _find_session(settings, session_id))


def _find_session(settings: Settings, session_id: str) -> Answer:
    previous = _recorded_day(settings, session_id) or {}
    observations, failures = _observe_day(settings, session_id, DISCOVERING)
    records = reconcile_days(previous, observations)
    records[session_id] = reconcile_session(session_id, None, assign_rows(previous, observations))
    # the start of each recording of the day decides which training row is whose
    tracked = {one.id for one in records.values() if isinstance(one.tracked, Tracked)}
    recordings, failed = _observe(settings, "codeocean", records, {session_id, *tracked})
    record = reconcile_session(session_id, None, assign_rows(previous, [*observations, *recordings]))
    # a repository without the tracked file does not list the session either
    reasons = [_reason(error) for error in (*failures, *failed) if not isinstance(error, NoRemoteState)]
    return (record if _is_known(record) else None), reasons


def _reason(error: NpcLimsError) -> str:
    """Return in a few words why a source could not be queried; `npc-lims doctor` has the whole message."""
    if isinstance(error, InputFileError):
        return f"{TRACKED_FILE} has errors"
    if isinstance(error, SourceError):
        return f"{error.source} could not be queried"
    variable = re.search(r"[A-Z]+(?:_[A-Z]+)+", str(error))
    if isinstance(error, MissingCredentials) and variable is not None:
        return f"no {variable[0]}"
    return f"{TRACKED_FILE} could not be read"


def _is_known(record: Record) -> bool:
    if record.tracked or record.training:
        return True
    # a second recording of a day that is not listed is one of surface channels, and imaging is of the subject
    if split_session_id(record.id)[2] or not isinstance(record.codeocean, CodeOcean):
        return False
    assets = record.codeocean.model_dump(exclude={"smartspim", "surface", "surface_sorted"})
    # raw data that could not be looked into are there
    return assets["raw"] is None or any(assets.values())


def records_of_day(settings: Settings, session_id: str) -> dict[str, Record]:
    """Return the sessions of a day by id, as recorded; also by the tracked file, if *session_id* is none of them."""
    recorded = _recorded_day(settings, session_id)
    if recorded is None:
        return listed_day(settings, session_id)
    if session_id in recorded or _tracked_file(settings) is None:
        return recorded
    return _reconcile_listed(settings, recorded, _observe_day(settings, session_id, ("tracked",))[0])[0]


def listed_day(settings: Settings, session_id: str) -> dict[str, Record]:
    """Return the sessions of a day by id, as the sources list them now and state has recorded the others."""
    recorded = _recorded_day(settings, session_id) or {}
    return _reconcile_listed(settings, recorded, _observe_day(settings, session_id, DISCOVERING)[0])[0]


def _observe_day(
    settings: Settings, session_id: str, sources: Sequence[str]
) -> tuple[list[Observation], list[NpcLimsError]]:
    """Return what sources that make sessions known list of a day, and why some of them could not be queried."""
    day = day_of(session_id)
    listed, failures = _observe_listings(settings, sources)
    of_day = [
        {id_: fact for id_, fact in one.facts.items() if id_.startswith(day) and day_of(id_) == day} for one in listed
    ]
    return [dataclasses.replace(one, facts=facts) for one, facts in zip(listed, of_day)], failures


def _recorded_day(settings: Settings, session_id: str) -> dict[str, Record] | None:
    """Return what state has of a day; None if it cannot be read."""
    try:
        found = [read_one(settings, one) for one in ids_of_day(session_id)]
    except RemoteStateError:
        return None
    records = {one["id"]: Record.model_validate(one) for one in found if one is not None}
    # an earlier version may have recorded a training row as a session that is none
    tracked = {id_: one.tracked for id_, one in records.items() if one.tracked is not None}
    return reconcile_days(records, [Observation("tracked", facts=tracked)])


def has_training(settings: Settings, subject: str) -> bool:
    """Return whether the workbooks have a row of the subject now; an error if they cannot be read."""
    observation = _query_listing(settings, "training")
    if any(id_.startswith(f"{subject}_") for id_ in observation.facts):
        return True
    if observation.failure is not None:
        raise observation.failure
    return False


def all_sessions(settings: Settings, why: NpcLimsError) -> Mapping[str, Record]:
    """Return every session that tracked_sessions.yaml and the workbooks name, their flags not yet known."""
    return _all.get_or_load(_cache_key(settings), lambda: _all_sessions(settings, why))


def _all_sessions(settings: Settings, why: NpcLimsError) -> Mapping[str, Record]:
    listed, failures = _observe_listings(settings, DISCOVERING)
    reasons = [_reason(error) for error in failures]
    if not listed:
        raise RemoteStateError(f"{why}; nor can the sources be queried: {', '.join(reasons)}") from why
    records, undecided = _reconcile_listed(settings, {}, listed)
    left_out = f"; left out: {'; '.join([*reasons, *undecided])}" if reasons or undecided else ""
    warn_live(settings, f"{why}; querying the sources instead, which is slow{left_out}")
    return records


def warn_live(settings: Settings, message: str, about: str = "") -> None:
    """Warn once for each address of state, and session that it is *about*: none means that there is no state."""
    warn_once((settings.raw_url, settings.repo, settings.ref, about), message, LiveStateWarning)
