"""Which data asset of a session is meant: from state where it has it, else asked of Code Ocean now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from npc_lims.errors import (
    AmbiguousAsset,
    AmbiguousAssetWarning,
    AssetError,
    MissingCredentials,
    NoSessionData,
    NpcLimsError,
    RemoteStateError,
    SessionIndexError,
    SourceError,
    notify,
)
from npc_lims.model.resolve_session_id import which_session
from npc_lims.model.session_id import day_of, ids_of_day, split_session_id
from npc_lims.state.reader import read_one

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings
    from npc_lims.model.data_asset import DataAsset
    from npc_lims.model.record import Asset, Record
    from npc_lims.sessions.live_assets import Judged, SessionAssets

__all__ = [
    "find_asset",
    "find_sorted",
    "live_assets",
    "recorded_fact",
    "recorded_section",
    "state_place",
]

# What the second recording of a day is called in the record of the first, where it has none of its own.
_OF_SURFACE = {"raw": "surface", "sorted": "surface_sorted"}
_OF_NO_MAIN = (*_OF_SURFACE.values(), "smartspim")
_SORTED = ("sorted", "surface_sorted")
_NAMES = {"surface": "surface-channel raw", "surface_sorted": "surface-channel sorted"}
_DECIDED_BY: Mapping[str, tuple[Judged, ...]] = {
    "raw": ("raw",),
    "surface": ("raw",),
    "sorted": ("raw", "sorted"),
    "surface_sorted": ("raw", "sorted"),
}
"""Assets whose files decide which one of a kind counts, if any: for results of processes, the raw data alone."""


def recorded_section(settings: Settings, session_id: str, section: str) -> dict[str, Any] | None:
    """A section of the session as recorded; None if state cannot be read, lacks the session, or says nothing there."""
    return (_recorded(settings, session_id) or {}).get(section) or None


def _recorded(settings: Settings, session_id: str) -> dict[str, Any] | None:
    try:
        return read_one(settings, session_id)
    except RemoteStateError:
        return None


def state_place(settings: Settings) -> str:
    """Where state is read, for messages."""
    return str(settings.state) if settings.state is not None else f"{settings.repo} at {settings.ref}"


def find_asset(settings: Settings, session: Any, kind: str) -> Asset:
    """The newest usable data asset of that kind (a name of `model.CodeOcean`: `raw`, `sorted`, `dlc_eye`, ...).

    What state has is taken from there. What it has not may be newer than state, and is asked of Code Ocean.

    Raises:
        NoSessionInfo: *session* has no subject and date in it.
        NoSessionData: There is none, neither in state nor in Code Ocean.
        SessionIndexError: The day has fewer recordings than the index of the session asks for.
        AssetError: It is archived, or there are several and no way to choose.
        MissingCredentials, SourceError: State does not have it, and Code Ocean cannot be asked.
    """
    session_id = which_session(session)
    fact = recorded_fact(settings, session_id, kind)
    if fact:
        return _as_asset(fact)
    found = _ask_code_ocean(settings, session_id, kind, fact)
    asset = _fact_of(found, kind)
    if asset:
        _check_choice(session_id, kind, asset, found)
        return asset
    raise _nothing(settings, session_id, kind, found)


def find_sorted(settings: Settings, session: Any) -> tuple[Asset, str]:
    """The newest good sorting result and an empty text; if all are errored, the newest of them and why it is errored.

    Raises:
        As `find_asset`.
    """
    session_id = which_session(session)
    fact = recorded_fact(settings, session_id, "sorted")
    if fact:
        return _as_asset(fact), ""
    found = _ask_code_ocean(settings, session_id, "sorted", fact)
    asset = _fact_of(found, "sorted")
    if asset:
        return asset, ""
    for errored, reason in _errored(session_id, "sorted", found):
        return errored.as_fact(), reason
    raise _nothing(settings, session_id, "sorted", found)


def live_assets(settings: Settings, session_id: str, *, judged: tuple[Judged, ...] = ()) -> SessionAssets:
    """The usable data assets of a session, as Code Ocean has them now.

    Args:
        judged: Which assets it matters of whether they count, by their files on S3.

    Raises:
        MissingCredentials, SourceError: Code Ocean cannot be asked.
    """
    from npc_lims.sessions.live_assets import assets_of_session

    return assets_of_session(settings, session_id, _records_of_day(settings, session_id), judged=judged)


def _records_of_day(settings: Settings, session_id: str) -> dict[str, Record]:
    """The session and the others of its day, which decide how recordings are counted."""
    from npc_lims.model.record import Record
    from npc_lims.sessions.live import records_of_day

    return {session_id: Record(id=session_id), **records_of_day(settings, session_id)}


def recorded_day(settings: Settings, session_id: str) -> dict[str, dict[str, Any]]:
    """What state has of the session and of the others of its day, by id.

    Raises:
        RemoteStateError: State cannot be read.
    """
    found = ((one, read_one(settings, one)) for one in ids_of_day(session_id))
    return {one: record for one, record in found if record is not None}


def recorded_fact(settings: Settings, session_id: str, kind: str) -> Any:
    """What state says: an asset as plain data, False for none, None if it does not know."""
    record = _recorded(settings, session_id)
    if split_session_id(session_id)[2] and not (record or {}).get("tracked"):
        main = _recorded(settings, day_of(session_id))
        if record is None or _is_tracked_ephys(main):
            # a training row of that day is no session: see `recording_days`
            if split_session_id(session_id)[2] != 1 or kind not in _OF_SURFACE or not _has_main(main):
                return None  # where the main recording was lost, that of surface channels may be the first of the day
            record, kind = main, _OF_SURFACE[kind]
    section = (record or {}).get("codeocean")
    return section.get(kind) if isinstance(section, Mapping) else section


def _is_tracked_ephys(record: Mapping[str, Any] | None) -> bool:
    return ((record or {}).get("tracked") or {}).get("platform") == "ephys"


def _has_main(record: Mapping[str, Any] | None) -> bool:
    raw = ((record or {}).get("codeocean") or {}).get("raw") or {}
    return str(raw.get("name")).startswith("ecephys")


def _as_asset(fact: Mapping[str, Any]) -> Asset:
    from npc_lims.model.record import Asset

    return Asset.model_validate(fact)


def _fact_of(found: SessionAssets, kind: str) -> Asset | None:
    return getattr(found.facts, kind) or None if found.facts is not None else None


def _ask_code_ocean(settings: Settings, session_id: str, kind: str, fact: Any) -> SessionAssets:
    try:
        found = live_assets(settings, session_id)
        if found.facts is not None and None in (getattr(found.facts, kind), found.facts.raw) and kind != "smartspim":
            found = live_assets(settings, session_id, judged=_DECIDED_BY.get(kind, ("raw",)))
        return found
    except (MissingCredentials, SourceError) as error:
        if fact is not False:
            raise _with_unread_state(settings, session_id, error) from None
        raise NoSessionData(
            f"{_lack(session_id, kind)}: state ({state_place(settings)}) has none; "
            f"whether there is one by now could not be asked: {error}"
        ) from None


def _with_unread_state(settings: Settings, session_id: str, error: NpcLimsError) -> NpcLimsError:
    """*error*, with why state could not answer before Code Ocean was asked, if it could not be read."""
    try:
        read_one(settings, session_id)
    except RemoteStateError as unread:
        if isinstance(error, SourceError):
            return SourceError(error.source, f"{error.reason}; it was asked because of this: {unread}")
        return MissingCredentials(f"{error}; it is needed because of this: {unread}")
    return error


def _lack(session_id: str, kind: str) -> str:
    return f"{session_id} has no {_NAMES.get(kind, kind)} data asset"


def _recording(session_id: str, kind: str, found: SessionAssets) -> Sequence[DataAsset]:
    """Assets of the recording that the session, or the kind, is about."""
    index = split_session_id(session_id)[2]
    if kind in _OF_SURFACE.values():
        return found.of_recording(0 if found.is_main_lost and len(found.recordings) == 1 else 1)
    return () if found.is_main_lost and index == 0 else found.of_recording(index)


def _is_of_kind(asset: DataAsset, kind: str) -> bool:
    if kind in ("raw", "surface"):
        return asset.is_raw and asset.platform in (("ecephys", "behavior") if kind == "raw" else ("ecephys",))
    if kind in _SORTED:
        return asset.is_sorted
    return asset.platform == "SmartSPIM" if kind == "smartspim" else kind in asset.process


def _check_choice(session_id: str, kind: str, chosen: Asset, found: SessionAssets) -> None:
    """Raw data is uploaded once, and more than one of it is a mistake; a newer result replaces an older one."""
    if kind not in ("raw", "surface"):
        return
    platform = chosen.name.partition("_")[0]
    rivals = [one for one in _recording(session_id, kind, found) if one.is_raw and one.platform == platform]
    others = [one for one in rivals if one.id != chosen.id and one.id not in found.passed_over]
    if not others:
        return
    names = ", ".join(map(_named, others))
    if any(one.as_fact().created == chosen.created for one in others):
        raise AmbiguousAsset(
            f"{session_id} has several {_NAMES.get(kind, kind)} data assets made in the same second: {_named(chosen)}, "
            f"{names}; archive those that are not meant"
        )
    notify(
        f"{session_id} has several {_NAMES.get(kind, kind)} data assets: the newest, {_named(chosen)}, is used; "
        f"also there: {names}",
        AmbiguousAssetWarning,
    )


def _named(asset: Asset | DataAsset) -> str:
    return f"{asset.name} ({asset.id})"


def _errored(session_id: str, kind: str, found: SessionAssets) -> list[tuple[DataAsset, str]]:
    """Sorting results that are of no use, the newest first, each with the reason."""
    if kind not in _SORTED or found.facts is None:
        return []
    reasons = found.facts.errored
    errored = [(one, reasons[one.id]) for one in _recording(session_id, kind, found) if one.id in reasons]
    return sorted(errored, key=lambda pair: (pair[0].created, pair[0].id), reverse=True)


def _nothing(settings: Settings, session_id: str, kind: str, found: SessionAssets) -> NpcLimsError:
    place = settings.mirror or settings.codeocean_domain
    message = f"{_lack(session_id, kind)}: state ({state_place(settings)}) names none, and {place} has none"
    errored = _errored(session_id, kind, found)
    if errored:
        reasons = "; ".join(f"{_named(asset)}: {reason}" for asset, reason in errored)
        return NoSessionData(f"{message} that is good; errored: {reasons}")
    if kind not in _OF_NO_MAIN and found.passed_over:
        return NoSessionData(f"{message} of its own: {'; '.join(found.passed_over.values())}")
    unusable = _unusable(settings, session_id, kind, found)
    if unusable is not None and unusable.archived:
        return AssetError(
            f"{session_id}: its {_NAMES.get(kind, kind)} data asset {_named(unusable)} is archived in Code Ocean; "
            "unarchive it there to use it"
        )
    if unusable is not None:
        return NoSessionData(f"{message} that is ready: {_named(unusable)} is in state {unusable.state}")
    index, count = split_session_id(session_id)[2], len(found.recordings)
    if kind != "smartspim" and index >= max(count, 1):
        return SessionIndexError(f"{message}: of that day it has {count} recording{'' if count == 1 else 's'}")
    return NoSessionData(message)


def _unusable(settings: Settings, session_id: str, kind: str, found: SessionAssets) -> DataAsset | None:
    """The newest asset of that kind that is there and of no use."""
    from npc_lims.sessions.live_assets import unusable_assets

    candidates = [one for one in unusable_assets(settings, session_id) if _is_of_kind(one, kind)]
    if kind != "smartspim":
        start = _start(session_id, kind, found, candidates)
        candidates = [one for one in candidates if one.start == start]
    return max(candidates, key=lambda one: (one.created, one.id), default=None)


def _start(session_id: str, kind: str, found: SessionAssets, candidates: Sequence[DataAsset]) -> tuple[str, str] | None:
    """When the recording started that the session, or the kind, is about, or would be if *candidates* were of use."""
    recording = _recording(session_id, kind, found)
    if recording:
        return recording[0].start
    _, date, index = split_session_id(session_id)
    starts = {one.start for group in (candidates, *found.recordings) for one in group if one.start[0] == date}
    ordered = sorted(starts)
    index = 1 if kind in _OF_SURFACE.values() else index
    return ordered[index] if index < len(ordered) else None
