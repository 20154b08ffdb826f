"""What state does not know, asked of the sources themselves. Nothing here is ever written to state."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from npc_lims.clients.s3_cached import RememberingStore
from npc_lims.config.environment import TRACKED_FILE
from npc_lims.config.error_boundary import source_boundary
from npc_lims.errors import (
    InputFileError,
    LiveStateWarning,
    MissingCredentials,
    NoRemoteState,
    NpcLimsError,
    RemoteStateError,
    SourceError,
    notify,
)
from npc_lims.model.observation import Observation
from npc_lims.model.reconcile import DISCOVERING, reconcile_session
from npc_lims.model.record import CodeOcean, Record, Tracked
from npc_lims.model.recording_days import assign_rows, reconcile_days, undecided_sessions
from npc_lims.model.session_id import day_of, split_session_id, subject_of
from npc_lims.sessions.find_asset import recorded_day
from npc_lims.sessions.live_assets import RememberingClient
from npc_lims.sources import open_source
from npc_lims.sources.context import SourceContext
from npc_lims.state.remote import fetch_file
from npc_lims.utils.memory_cache import TTLCache

if TYPE_CHECKING:
    from pathlib import Path

    from npc_lims.config.settings import Settings
    from npc_lims.model.reconcile import Records


__all__ = [
    "all_sessions",
    "complete",
    "find_session",
    "flags_of_all",
    "has_training",
    "listed_day",
    "records_of_day",
    "say_once",
]


_found: TTLCache[Record] = TTLCache(maxsize=4096, ttl=600)
_partly: TTLCache[tuple[Record, list[str]]] = TTLCache(maxsize=4096, ttl=60)  # while a source could not be queried
_not_found: TTLCache[list[str]] = TTLCache(maxsize=4096, ttl=60)
# a loop over ids must not query, and wait, a thousand times
_listings: TTLCache[Observation] = TTLCache(maxsize=4, ttl=600, error_ttl=60)
_told: TTLCache[bool] = TTLCache(maxsize=1024, ttl=24 * 3600)
_everything: TTLCache[Mapping[str, Record]] = TTLCache(maxsize=2, ttl=600)


def complete(settings: Settings, record: Record, flags: Collection[str]) -> Record:
    """*record* with *flags* looked up, Code Ocean first, then S3 for what is still not known.

    Raises:
        MissingCredentials: A source that must be asked needs a token or key; the message names the variable.
        SourceError: A source could not be asked.
    """
    question = (_sources_of(settings), record.id, tuple(sorted(flags)))
    return _found.get_or_load(question, lambda: _complete(settings, record, flags))


def _complete(settings: Settings, record: Record, flags: Collection[str]) -> Record:
    refused: list[NpcLimsError] = []
    day = records_of_day(settings, record.id)
    if record.id not in day:  # it may be newer than state, and so may others of its day
        day = listed_day(settings, record.id)
    for source in ("codeocean", "s3"):
        if not _unknown(record, flags):
            break
        records = {**day, record.id: record}
        try:
            observation = _query(settings, source, records, {record.id})
        except (MissingCredentials, SourceError) as error:
            # S3 alone may still know: what matters is whether the flags are known in the end
            refused.append(error)
            continue
        refused += [] if observation.failure is None else [observation.failure]
        record = reconcile_session(record.id, record, assign_rows(records, [observation]))
    unknown = _unknown(record, flags)
    if unknown:
        raise _refusal(refused, f"{record.id}: {', '.join(unknown)} cannot be told from any source")
    return record


def _sources_of(settings: Settings) -> tuple[str, ...]:
    """Where answers come from: with another one of these they may be others."""
    places = (settings.state, settings.raw_url, settings.repo, settings.ref, settings.training)
    return tuple(map(str, (*places, settings.codeocean_domain, settings.mirror)))


def _refusal(refused: Sequence[NpcLimsError], otherwise: str) -> NpcLimsError:
    """What to raise: of credentials that are missing all are named, since these the caller can set."""
    missing = [error for error in refused if isinstance(error, MissingCredentials)]
    if missing:
        return MissingCredentials("; ".join(map(str, missing)))
    return refused[0] if refused else SourceError("state", otherwise)


def find_session(settings: Settings, session_id: str) -> tuple[Record | None, list[str]]:
    """A session that state does not have, from the sources as they are now, and why some could not be queried."""
    beside = _beside(settings)
    question = (_sources_of(settings), session_id, beside and _version_of(beside))
    kept = _found.get(question)
    if kept is not None:
        return kept, []
    partly = _partly.get(question)
    if partly is not None:
        return partly
    missing = _not_found.get(question)
    if missing is not None:
        return None, missing
    previous = _recorded_day(settings, session_id) or {}
    observations, reasons = _listing_of_day(settings, session_id, DISCOVERING)
    records = reconcile_days(previous, observations)
    records[session_id] = reconcile_session(session_id, None, assign_rows(previous, observations))
    tracked = {one.id for one in records.values() if isinstance(one.tracked, Tracked)}
    try:
        # the start of each recording of the day decides which training row is whose
        observation = _query(settings, "codeocean", records, {session_id, *tracked})
        observations.append(observation)
        reasons += [] if observation.failure is None else [str(observation.failure)]
    except (MissingCredentials, SourceError) as error:
        reasons.append(str(error))
    record = reconcile_session(session_id, None, assign_rows(previous, observations))
    if not _is_known(record):
        return None, _not_found.put(question, reasons)
    return _partly.put(question, (record, reasons)) if reasons else (_found.put(question, record), [])


def records_of_day(settings: Settings, session_id: str) -> dict[str, Record]:
    """Return the sessions of a day by id, as recorded; without state, as far as the sources can be queried.

    If *session_id* is none of those recorded, the tracked file beside the state, which may be newer, is read as well.
    """
    recorded = _recorded_day(settings, session_id)
    if recorded is None:
        return listed_day(settings, session_id)
    if session_id in recorded or _beside(settings) is None:
        return recorded
    return _listed_day(settings, session_id, recorded, ("tracked",))


def listed_day(settings: Settings, session_id: str) -> dict[str, Record]:
    """Return the sessions of a day by id, as the sources list them now and state has recorded the others."""
    return _listed_day(settings, session_id, _recorded_day(settings, session_id) or {}, DISCOVERING)


def _listed_day(settings: Settings, session_id: str, previous: Records, sources: Sequence[str]) -> dict[str, Record]:
    observations, _ = _listing_of_day(settings, session_id, sources)
    recordings, _ = _recordings(settings, reconcile_days(previous, observations))
    return reconcile_days(previous, [*observations, *recordings])


def _recordings(settings: Settings, records: Mapping[str, Record]) -> tuple[list[Observation], list[str]]:
    """What Code Ocean has of undecided sessions, if there are any, and why it could not be queried."""
    undecided = undecided_sessions(records)
    if not undecided:
        return [], []
    try:
        return [_query(settings, "codeocean", records, undecided)], []
    except (MissingCredentials, SourceError) as error:
        return [], [f"which training row belongs to {', '.join(sorted(undecided))}: {error}"]


def _recorded_day(settings: Settings, session_id: str) -> dict[str, Record] | None:
    """What state has of a day; None if it cannot be read."""
    try:
        found = recorded_day(settings, session_id)
    except RemoteStateError:
        return None
    records = {id_: Record.model_validate(record) for id_, record in found.items()}
    # an earlier version may have recorded a training row as a session that is none
    said = {id_: one.tracked for id_, one in records.items() if one.tracked is not None}
    return reconcile_days(records, [Observation("tracked", facts=said)])


def _listing_of_day(settings: Settings, session_id: str, sources: Sequence[str]) -> tuple[list[Observation], list[str]]:
    """What sources that make sessions known have of a day now, and why one of them could not be queried."""
    observations: list[Observation] = []
    reasons: list[str] = []
    day = day_of(session_id)
    for source in sources:
        try:
            observation = _query_listing(settings, source)
        except NoRemoteState:
            continue  # a repository without the file does not list the session either
        except InputFileError as error:
            reasons.append(f"{TRACKED_FILE}: {error.problems[0]}")
        except (MissingCredentials, SourceError, RemoteStateError) as error:
            reasons.append(str(error))
        else:
            facts = {
                id_: found for id_, found in observation.facts.items() if id_.startswith(day) and day_of(id_) == day
            }
            observations.append(dataclasses.replace(observation, facts=facts))
            reasons += [] if observation.failure is None else [str(observation.failure)]
    return observations, reasons


def has_training(settings: Settings, subject: str) -> bool:
    """Return whether the workbooks have a row of the subject now.

    Raises:
        MissingCredentials, SourceError: They cannot be read.
    """
    observation = _query_listing(settings, "training")
    if any(id_.startswith(f"{subject}_") for id_ in observation.facts):
        return True
    if observation.failure is not None:
        raise observation.failure
    return False


def _is_known(record: Record) -> bool:
    """Whether any source has the session: imaging is of the subject, and says nothing of a day.

    A second recording of a day that nobody lists is one of surface channels, and no session of its own.
    """
    if split_session_id(record.id)[2] and not (record.tracked or record.training):
        return False
    if record.tracked or record.training:
        return True
    if not isinstance(record.codeocean, CodeOcean):
        return False
    assets = record.codeocean.model_dump(exclude={"smartspim", "surface", "surface_sorted"})
    # raw data that could not be looked into are there
    return assets["raw"] is None or any(assets.values())


def all_sessions(settings: Settings, why: NpcLimsError) -> Mapping[str, Record]:
    """Every session that tracked_sessions.yaml and the workbooks name, their flags not yet known.

    Raises:
        NpcLimsError: *why* there is no state, if neither place could be asked either.
    """
    return _everything.get_or_load(_sources_of(settings), lambda: _all_sessions(settings, why))


def _all_sessions(settings: Settings, why: NpcLimsError) -> Mapping[str, Record]:
    observations: list[Observation] = []
    reasons: list[str] = []
    for source in DISCOVERING:
        try:
            observations.append(_query_listing(settings, source))
        except (MissingCredentials, SourceError, RemoteStateError, InputFileError) as error:
            reasons.append(str(error))
    if not observations:
        raise RemoteStateError("; ".join([str(why), "and the sources cannot be asked instead", *reasons])) from why
    records = reconcile_days({}, observations)
    recordings, unread = _recordings(settings, records)
    if recordings:
        observations += recordings
        records = reconcile_days({}, observations)
    reasons += unread
    reasons += [str(one.failure) for one in observations if one.failure is not None]
    left_out = f"; left out: {'; '.join(reasons)}" if reasons else ""
    say_once(settings, f"{why}; asking the sources instead, which is slow{left_out}")
    return records


def say_once(settings: Settings, message: str, about: str = "") -> None:
    """Warn once for each place where state should be, and what it is *about*: nothing means that there is none."""
    question = (settings.raw_url, settings.repo, settings.ref, about)
    if _told.get(question) is None:
        _told.put(question, True)
        notify(message, LiveStateWarning)


def _unknown(record: Record, flags: Collection[str]) -> list[str]:
    return [flag for flag in flags if record.status.get(flag, False) is None]


def _query(
    settings: Settings, source: str, records: Mapping[str, Record] | None = None, only: Collection[str] = ()
) -> Observation:
    """Query a source now.

    Args:
        records: What is known of the sessions, for the sources that need it.
        only: Ids of those of *records* that are meant.

    Raises:
        NpcLimsError: It cannot be queried.
    """
    if source == "codeocean" and records:
        # where nobody can tell whether a session is tracked, its assets tell what it is, whether it has a row or not
        records = {
            id_: one if one.tracked is not None else one.model_copy(update={"training": None})
            for id_, one in records.items()
        }
    context = SourceContext(
        settings=settings,
        tracked=lambda: _tracked_text(settings),
        store=lambda: RememberingStore(settings),
        assets=lambda: RememberingClient(settings),
        records=records or {},
        scope=only,
        by_subject=len(set(map(subject_of, only))) == 1,
    )
    with source_boundary(source):
        return open_source(source).observe(context)


def _query_listing(settings: Settings, source: str) -> Observation:
    """Query a source that makes sessions known."""
    beside = _beside(settings) if source == "tracked" else None
    key = (source, *_sources_of(settings), settings.training_columns, beside and _version_of(beside))
    return _listings.get_or_load(key, lambda: _query(settings, source))


def _beside(settings: Settings) -> Path | None:
    """The tracked file of the checkout, where a folder is read."""
    return None if settings.state is None else settings.state.parent / TRACKED_FILE


def _version_of(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _tracked_text(settings: Settings) -> tuple[str, str]:
    """Return the tracked sessions file beside the state: in the checkout of the folder, or published."""
    from npc_lims.sources.tracked.parser import tracked_text

    path = _beside(settings)
    if path is None:
        content = fetch_file(settings, TRACKED_FILE)
        if content is None:
            raise NoRemoteState(f"{settings.repo} has no {TRACKED_FILE} at {settings.ref}")
        return content.decode("utf-8", "replace"), TRACKED_FILE
    if not path.is_file():
        raise NoRemoteState(f"there is no {path}")
    return tracked_text(path)


def flags_of_all(settings: Settings, records: Mapping[str, Record]) -> Iterator[Record]:
    """*records* with every flag looked up, each source asked once for all of them.

    Raises:
        MissingCredentials, SourceError: As `complete`.
    """
    observations: list[Observation] = []
    for source in ("codeocean", "s3"):
        observations.append(_query(settings, source, reconcile_days(records, observations), set(records)))
    return iter(reconcile_days(records, observations).values())
