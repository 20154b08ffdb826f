"""The data asset of a session that is asked for: from state where it has it, else from Code Ocean now."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from npc_lims.config.settings import Settings
from npc_lims.errors import (
    AmbiguousAsset,
    AmbiguousAssetWarning,
    AssetError,
    MissingCredentials,
    NoSessionData,
    NpcLimsError,
    NpcLimsWarning,
    RemoteStateError,
    SessionIndexError,
    SourceError,
    StateError,
    warn,
)
from npc_lims.model.session_id import day_of, split_session_id, subject_of
from npc_lims.sessions.cached_assets import codeocean_url, records_of_subject
from npc_lims.sessions.resolve import resolve_session
from npc_lims.state.reader import read_one, read_snapshot
from npc_lims.state.snapshot import parse_line
from npc_lims.utils.memory_cache import TTLCache
from npc_lims.utils.text import counted

if TYPE_CHECKING:
    from npc_lims.model.data_asset import DataAsset
    from npc_lims.model.record import Asset, CodeOcean
    from npc_lims.sources.context import SourceContext

Validated = Literal["raw", "sorted"]

_live: TTLCache[SessionAssets] = TTLCache(maxsize=1024, ttl=600)

# the second recording of a day in the record of the first session, where it has none of its own
_OF_SURFACE = {"raw": "surface", "sorted": "surface_sorted"}
_OF_NO_MAIN = (*_OF_SURFACE.values(), "smartspim")
_RAW = ("raw", "surface")
_SORTED = ("sorted", "surface_sorted")
_NAMES = {"surface": "surface-channel raw", "surface_sorted": "surface-channel sorted"}


def recorded_section(settings: Settings, session_id: str, section: str) -> dict[str, Any] | None:
    """Return a section of the session as recorded; None if state cannot be read, or does not have it."""
    return _recorded(settings, session_id).get(section) or None


def _recorded(settings: Settings, session_id: str) -> dict[str, Any]:
    try:
        return read_one(settings, session_id) or {}
    except RemoteStateError:
        return {}


def recorded_fact(settings: Settings, session_id: str, kind: str) -> Any:
    """Return an asset of state as plain data; False if it records that there is none, None if it does not know."""
    record = _recorded(settings, session_id)
    index = split_session_id(session_id)[2]
    if index and not record.get("tracked"):
        main = _recorded(settings, day_of(session_id))
        if not record or (main.get("tracked") or {}).get("platform") == "ephys":
            # a training row of that day is no session: see `recording_days`
            raw = (main.get("codeocean") or {}).get("raw") or {}
            is_main_lost = not str(raw.get("name")).startswith("ecephys")
            if index != 1 or kind not in _OF_SURFACE or is_main_lost:
                return None  # where the main recording was lost, that of surface channels may be the first of the day
            record, kind = main, _OF_SURFACE[kind]
    section = record.get("codeocean")
    return section.get(kind) if section else section


def recorded_asset_of(settings: Settings, asset_id: str) -> tuple[Asset, str] | None:
    """Return the asset of an id as state records it, and its kind; None if no session has it, or state is unread."""
    from npc_lims.model.record import Asset

    try:
        lines = read_snapshot(settings).lines.all
    except (RemoteStateError, StateError):
        return None
    for line in lines:
        if asset_id.encode() in line:
            for kind, fact in (parse_line(line)["codeocean"] or {}).items():
                if kind != "errored" and fact and fact["id"] == asset_id:
                    return Asset.model_validate(fact), kind
    return None


def state_address(settings: Settings) -> str:
    return str(settings.state) if settings.state is not None else f"{settings.repo} at {settings.ref}"


def find_asset(settings: Settings, session: Any, kind: str) -> Asset:
    """Return the newest usable data asset of that kind (a name of `model.CodeOcean`: `raw`, `sorted`, `dlc_eye`, ...).

    An asset that state lacks may be newer than it: Code Ocean is queried.

    Raises:
        NoSessionInfo: *session* has no subject and date in it.
        NoSessionData: There is none, neither in state nor in Code Ocean.
        SessionIndexError: The day has fewer recordings than the index of the session asks for.
        AssetError: It is archived, or there are several and no way to choose.
        MissingCredentials, SourceError: State does not have it, and Code Ocean cannot be queried.
    """
    asset, reason = _find(settings, resolve_session(settings, session), kind, errored=False)
    assert not reason
    return asset


def find_sorted(settings: Settings, session: Any) -> tuple[Asset, str]:
    """Return the newest valid sorting result and '', else the newest and its error. Raises as `find_asset`."""
    return _find(settings, resolve_session(settings, session), "sorted", errored=True)


def find_best_sorted(settings: Settings, session: Any) -> Asset:
    """Return the asset of `find_sorted`; warn if it is an errored one."""
    asset, reason = find_sorted(settings, session)
    if reason:
        session_id = resolve_session(settings, session)
        warn(f"{session_id} has no sorting result without errors: {asset.name} is used ({reason})", NpcLimsWarning)
    return asset


def _find(settings: Settings, session_id: str, kind: str, *, errored: bool) -> tuple[Asset, str]:
    from npc_lims.model.record import Asset

    fact = recorded_fact(settings, session_id, kind)
    if fact:
        return Asset.model_validate(fact), ""
    found = _query_assets(settings, session_id, kind, fact)
    asset = found.of_kind(kind)
    if asset is not None:
        if kind in _RAW:
            _check_choice(kind, asset, found)
        return asset, ""
    results = found.errored(kind) if errored else []
    if not results:
        raise _not_found_error(settings, kind, found)
    newest, reason = results[0]
    return newest.as_fact(), reason


# --- from Code Ocean


@dataclasses.dataclass(frozen=True)
class SessionAssets:
    """The usable data assets of one session, as Code Ocean has them now."""

    session_id: str
    facts: CodeOcean | None
    """As state would record them; None if there is none."""
    recordings: Sequence[Sequence[DataAsset]]
    """Assets of each recording of its day, by start time."""
    rejected: Mapping[str, str]
    """Raw data that are not the session's own: asset id to the reason."""

    def of_kind(self, kind: str) -> Asset | None:
        return getattr(self.facts, kind) or None if self.facts is not None else None

    def of_recording(self, kind: str) -> Sequence[DataAsset]:
        """Return the assets of the recording that the session, or the kind, is about; none if there is no such one."""
        index = split_session_id(self.session_id)[2]
        raw = self.of_kind("raw")
        is_main_lost = self.rejected and not (raw and raw.name.startswith("ecephys"))
        if kind in _OF_SURFACE.values():
            index = 0 if is_main_lost and len(self.recordings) == 1 else 1
        elif is_main_lost and index == 0:
            return ()
        return self.recordings[index] if index < len(self.recordings) else ()

    def errored(self, kind: str) -> list[tuple[DataAsset, str]]:
        """Return sorting results that are of no use, the newest first, each with the reason."""
        reasons = self.facts.errored if kind in _SORTED and self.facts is not None else {}
        errored = [(one, reasons[one.id]) for one in self.of_recording(kind) if one.id in reasons]
        return sorted(errored, key=lambda pair: (pair[0].created, pair[0].id), reverse=True)


def session_assets(settings: Settings, session_id: str, *, validated: tuple[Validated, ...] = ()) -> SessionAssets:
    """Search for the data assets of a session, by its subject; those of *validated* kinds are validated on S3."""

    def load() -> SessionAssets:
        from npc_lims.model.record import Record
        from npc_lims.sessions.live import live_context, records_of_day

        # the others of its day decide how recordings are counted
        records = {session_id: Record(id=session_id), **records_of_day(settings, session_id)}
        return query_session_assets(live_context(settings, records, [session_id]), session_id, validated)

    return _live.get_or_load((codeocean_url(settings), session_id, validated), load)


def query_session_assets(
    context: SourceContext, session_id: str, validated: tuple[Validated, ...] = ()
) -> SessionAssets:
    """Return what `session_assets` does, given the session and the others of its day."""
    from npc_lims.model.record import CodeOcean
    from npc_lims.sources.codeocean.assets import recordings_of_day, select_facts
    from npc_lims.sources.codeocean.query import AssetValidator, fetch_assets

    subject, date, _ = split_session_id(session_id)
    found = fetch_assets(context.assets(), [subject], by_subject=True)
    for invalid in found.invalid:
        if invalid.may_belong_to(session_id):
            raise SourceError("codeocean", f"{invalid}; correct it in Code Ocean, or archive it")
    validator = AssetValidator(context.settings, context.store)

    def validate(asset: DataAsset) -> str | None:
        return validator(asset) if ("sorted" if asset.is_sorted else "raw") in validated else None

    fact = select_facts([session_id], context.records, found.assets, validate)[session_id]
    if validator.failure is not None:
        raise validator.missing_credentials or validator.failure
    day = [one for one in found.assets.get(subject, ()) if one.platform != "SmartSPIM" and one.start[0] == date]
    return SessionAssets(
        session_id,
        facts=fact if isinstance(fact, CodeOcean) else None,
        recordings=recordings_of_day(session_id, context.records, day)[0],
        rejected={asset_id: problem.message for asset_id, problem in validator.rejected().items()},
    )


def _query_assets(settings: Settings, session_id: str, kind: str, fact: Any) -> SessionAssets:
    try:
        found = session_assets(settings, session_id)
        if found.facts is not None and None in (getattr(found.facts, kind), found.facts.raw) and kind != "smartspim":
            # files decide which one is valid, if any: for results of processes, those of the raw data alone
            found = session_assets(settings, session_id, validated=("raw", "sorted") if kind in _SORTED else ("raw",))
        return found
    except (MissingCredentials, SourceError) as error:
        if fact is not False:
            raise _with_unread_state(settings, session_id, error) from None
        raise NoSessionData(
            f"{_missing_message(session_id, kind)}: state ({state_address(settings)}) has none; "
            f"Code Ocean could not be queried: {error}"
        ) from None


def _with_unread_state(settings: Settings, session_id: str, error: NpcLimsError) -> NpcLimsError:
    """Return *error* with why state could not be read, if that was why Code Ocean was queried."""
    try:
        read_one(settings, session_id)
    except RemoteStateError as failure:
        unread = f"state could not be read: {str(failure).partition('; ')[0]}"
        if isinstance(error, SourceError):
            return SourceError(error.source, f"{error.reason}; {unread}")
        return MissingCredentials(f"{error}; {unread}")
    return error


def _check_choice(kind: str, chosen: Asset, found: SessionAssets) -> None:
    """Raw data is uploaded once, and more than one of it is a mistake."""
    platform = chosen.name.partition("_")[0]
    candidates = [one for one in found.of_recording(kind) if one.is_raw and one.platform == platform]
    others = [one for one in candidates if one.id != chosen.id and one.id not in found.rejected]
    if not others:
        return
    what = f"{found.session_id} has several {_NAMES.get(kind, kind)} data assets"
    names = ", ".join(map(_named, others))
    if any(one.as_fact().created == chosen.created for one in others):
        raise AmbiguousAsset(
            f"{what} made in the same second: {_named(chosen)}, {names}; archive those that are not meant"
        )
    warn(f"{what}: the newest, {_named(chosen)}, is used; also there: {names}", AmbiguousAssetWarning)


# --- why there is none


def _named(asset: Asset | DataAsset) -> str:
    return f"{asset.name} ({asset.id})"


def _missing_message(session_id: str, kind: str) -> str:
    return f"{session_id} has no {_NAMES.get(kind, kind)} data asset"


def _not_found_error(settings: Settings, kind: str, found: SessionAssets) -> NpcLimsError:
    session_id = found.session_id
    message = (
        f"{_missing_message(session_id, kind)}: state ({state_address(settings)}) names none, and "
        f"{codeocean_url(settings)} has none"
    )
    errored = found.errored(kind)
    if errored:
        reasons = "; ".join(f"{_named(asset)}: {reason}" for asset, reason in errored)
        return NoSessionData(f"{message} that is good; errored: {reasons}")
    if kind not in _OF_NO_MAIN and found.rejected:
        return NoSessionData(f"{message} of its own: {'; '.join(found.rejected.values())}")
    unusable = _newest_unusable(settings, kind, found)
    if unusable is not None and unusable.archived:
        return AssetError(
            f"{session_id}: its {_NAMES.get(kind, kind)} data asset {_named(unusable)} is archived in Code Ocean; "
            "unarchive it there to use it"
        )
    if unusable is not None:
        return NoSessionData(f"{message} that is ready: {_named(unusable)} is in state {unusable.state}")
    index, count = split_session_id(session_id)[2], len(found.recordings)
    if kind != "smartspim" and index >= max(count, 1):
        return SessionIndexError(f"{message}: of that day it has {counted(count, 'recording')}")
    return NoSessionData(message)


def _newest_unusable(settings: Settings, kind: str, found: SessionAssets) -> DataAsset | None:
    """Return the newest asset of that kind that is archived, failed, or still being made."""
    from npc_lims.model.data_asset import SEARCHED_NAMES, read_asset

    subject = subject_of(found.session_id)
    candidates: list[DataAsset] = []
    for archived in (False, True):
        for raw in records_of_subject(settings, subject, archived=archived):
            match = SEARCHED_NAMES.match(str(raw.get("name")))
            if match is not None and match["subject"] == subject:
                asset = read_asset({**raw, "archived": archived})
                candidates += [] if asset.is_usable or not _is_of_kind(asset, kind) else [asset]
    if kind != "smartspim":
        start = _start(kind, found, candidates)
        candidates = [one for one in candidates if one.start == start]
    return max(candidates, key=lambda one: (one.created, one.id), default=None)


def _is_of_kind(asset: DataAsset, kind: str) -> bool:
    if kind in _RAW:
        return asset.is_raw and asset.platform in (("ecephys", "behavior") if kind == "raw" else ("ecephys",))
    if kind in _SORTED:
        return asset.is_sorted
    return asset.platform == "SmartSPIM" if kind == "smartspim" else kind in asset.process


def _start(kind: str, found: SessionAssets, candidates: Sequence[DataAsset]) -> tuple[str, str] | None:
    """Return the start of the recording that the session, or the kind, is about, or would be with *candidates*."""
    recording = found.of_recording(kind)
    if recording:
        return recording[0].start
    _, date, index = split_session_id(found.session_id)
    index = 1 if kind in _OF_SURFACE.values() else index
    starts = {one.start for group in (candidates, *found.recordings) for one in group if one.start[0] == date}
    return sorted(starts)[index] if index < len(starts) else None
