"""What state does not know, asked of the sources themselves. Nothing here is ever written to state."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from npc_lims.errors import (
    LiveStateWarning,
    MissingCredentials,
    NoRemoteState,
    NpcLimsError,
    RemoteStateError,
    SourceError,
    TrackedFileError,
)
from npc_lims.live_assets import RememberingClient
from npc_lims.memo import Memo
from npc_lims.model import CodeOcean, Record
from npc_lims.notice import notify
from npc_lims.reconcile import reconcile, reconcile_session
from npc_lims.session_id import split_session_id
from npc_lims.sources import TRACKED_FILE
from npc_lims.sources.codeocean import observe_codeocean
from npc_lims.sources.listing import RememberingStore, store_of
from npc_lims.sources.observation import Observation
from npc_lims.sources.s3 import observe_s3
from npc_lims.state.remote import fetch_file

if TYPE_CHECKING:
    from npc_lims.settings import Settings

__all__ = ["all_sessions", "complete", "find_session", "say_once"]


_found: Memo[Record] = Memo(size=4096, seconds=600)
_not_found: Memo[list[str]] = Memo(size=4096, seconds=60)
_tracked: Memo[Observation] = Memo(size=2, seconds=600)
_tracked_failed: Memo[RemoteStateError] = Memo(size=16, seconds=60)
_told: Memo[bool] = Memo(size=16, seconds=24 * 3600)
_everything: Memo[Mapping[str, Record]] = Memo(size=2, seconds=600)


def complete(settings: Settings, record: Record, flags: Collection[str]) -> Record:
    """*record* with *flags* looked up, Code Ocean first, then S3 for what is still not known.

    Raises:
        MissingCredentials: A source that must be asked needs a token or key; the message names the variable.
        SourceError: A source could not be asked.
    """
    question = (settings.codeocean_domain, str(settings.mirror), record.id, tuple(sorted(flags)))
    return _found.get_or(question, lambda: _complete(settings, record, flags))


def _complete(settings: Settings, record: Record, flags: Collection[str]) -> Record:
    refused: list[NpcLimsError] = []
    for ask in (_ask_codeocean, _ask_s3):
        if not _unknown(record, flags):
            break
        try:
            observation = ask(settings, {record.id: record}, {record.id})
        except (MissingCredentials, SourceError) as error:
            # S3 alone may still know: what matters is whether the flags are known in the end
            refused.append(error)
            continue
        refused += [] if observation.failure is None else [observation.failure]
        record = reconcile_session(record.id, record, [observation])
    unknown = _unknown(record, flags)
    if unknown:
        raise _refusal(refused, f"{record.id}: {', '.join(unknown)} cannot be told from any source")
    return record


def _refusal(refused: Sequence[NpcLimsError], otherwise: str) -> NpcLimsError:
    """What to raise: of credentials that are missing all are named, since these the caller can set."""
    missing = [error for error in refused if isinstance(error, MissingCredentials)]
    if missing:
        return MissingCredentials("; ".join(map(str, missing)))
    return refused[0] if refused else SourceError("state", otherwise)


def find_session(settings: Settings, session_id: str) -> tuple[Record | None, list[str]]:
    """A session that state does not have, from the places where it may already be, and why some could not be asked."""
    question = (settings.codeocean_domain, str(settings.mirror), session_id)
    kept = _found.get(question)
    if kept is not None:
        return kept, []
    missing = _not_found.get(question)
    if missing is not None:
        return None, missing
    observations: list[Observation] = []
    reasons: list[str] = []

    def so_far() -> Record:
        return reconcile_session(session_id, Record(id=session_id), observations)

    def attempt(ask: Callable[[], Observation]) -> None:
        try:
            observations.append(ask())
        except NoRemoteState:
            return  # a repository without the file does not list the session either
        except TrackedFileError as error:
            reasons.append(f"{TRACKED_FILE}: {error.errors[0]}")
        except (MissingCredentials, SourceError, RemoteStateError) as error:
            reasons.append(str(error))

    if settings.state is None:  # a folder was named so that GitHub is not asked
        attempt(lambda: _ask_tracked(settings))
    attempt(lambda: _ask_codeocean(settings, {session_id: so_far()}, {session_id}))
    if not _is_known(so_far()):
        attempt(lambda: _ask_training(settings))
    record = so_far()
    if not _is_known(record):
        return None, _not_found.put(question, reasons)
    return _found.put(question, record), reasons


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
    return _everything.get_or((settings.raw_url, settings.repo, settings.ref), lambda: _all_sessions(settings, why))


def _all_sessions(settings: Settings, why: NpcLimsError) -> Mapping[str, Record]:
    observations: list[Observation] = []
    reasons: list[str] = []
    for ask in (_ask_tracked, _ask_training):
        try:
            observations.append(ask(settings))
        except (MissingCredentials, SourceError, RemoteStateError, TrackedFileError) as error:
            reasons.append(str(error))
    if not observations:
        raise RemoteStateError("; ".join([str(why), "and the sources cannot be asked instead", *reasons])) from why
    left_out = f"; left out: {'; '.join(reasons)}" if reasons else ""
    say_once(settings, f"{why}; asking the sources instead, which is slow{left_out}")
    return reconcile({}, observations)


def say_once(settings: Settings, message: str) -> None:
    """Warn that there is no state to read, once for each place where it should be."""
    place = (settings.raw_url, settings.repo, settings.ref)
    if _told.get(place) is None:
        _told.put(place, True)
        notify(message, LiveStateWarning)


def _unknown(record: Record, flags: Collection[str]) -> list[str]:
    return [flag for flag in flags if record.status.get(flag, False) is None]


def _ask_tracked(settings: Settings) -> Observation:
    """The tracked sessions file that is published beside the state."""
    place = (settings.raw_url, settings.repo, settings.ref)
    failure = _tracked_failed.get(place)
    if failure is not None:
        raise failure  # a loop over ids must not ask, and wait, a thousand times
    try:
        return _tracked.get_or(place, lambda: _fetch_tracked(settings))
    except RemoteStateError as error:
        _tracked_failed.put(place, error)
        raise


def _fetch_tracked(settings: Settings) -> Observation:
    from npc_lims.sources.tracked import parse_tracked

    content = fetch_file(settings, TRACKED_FILE)
    if content is None:
        raise NoRemoteState(f"{settings.repo} has no {TRACKED_FILE} at {settings.ref}")
    parsed = parse_tracked(content.decode("utf-8", "replace"), TRACKED_FILE)
    if any(problem.is_error for problem in parsed.problems):
        raise TrackedFileError(parsed.problems)
    return Observation(source="tracked", facts=parsed.sessions, complete=True)


def _ask_training(settings: Settings) -> Observation:
    from npc_lims.sources.spreadsheets import observe_training

    store = store_of(settings) if settings.training.startswith("s3://") else None
    return observe_training(settings, store, {})


def _ask_codeocean(settings: Settings, records: Mapping[str, Record], only: Collection[str]) -> Observation:
    return observe_codeocean(
        settings,
        RememberingClient(settings),
        lambda: RememberingStore(settings),
        records,
        only,
        by_subject=len(only) == 1,
    )


def _ask_s3(settings: Settings, records: Mapping[str, Record], only: Collection[str]) -> Observation:
    return observe_s3(settings, RememberingStore(settings), records, only)


def flags_of_all(settings: Settings, records: Mapping[str, Record]) -> Iterator[Record]:
    """*records* with every flag looked up, each source asked once for all of them.

    Raises:
        MissingCredentials, SourceError: As `complete`.
    """
    observations: list[Observation] = []
    for ask in (_ask_codeocean, _ask_s3):
        observations.append(ask(settings, reconcile(records, observations), set(records)))
    return iter(reconcile(records, observations).values())
