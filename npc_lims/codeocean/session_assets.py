"""The data assets of one session, as objects of the official SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from npc_lims.clients.codeocean_records import as_data_asset
from npc_lims.codeocean.subject_assets import get_data_asset
from npc_lims.config.lazy_settings import settings_for_reading
from npc_lims.errors import AssetError, NoSessionData, NpcLimsWarning, SessionIndexError, notify
from npc_lims.model.session_id import day_of, resolve_session_id, split_session_id, subject_of
from npc_lims.sessions.find_asset import find_asset, find_sorted, recorded_fact, recorded_section, session_assets

if TYPE_CHECKING:
    import npc_session
    from codeocean.data_asset import DataAsset

    from npc_lims.config.settings import Settings

__all__ = [
    "get_codeocean_session_id",
    "get_codoecean_session_id",
    "get_session_capsule_pipeline_data_asset",
    "get_session_data_assets",
    "get_session_raw_data_asset",
    "get_session_result_data_assets",
    "get_session_sorted_data_asset",
    "get_surface_channel_raw_data_asset",
    "is_lighting_pose_gamma_encoded",
]


def get_session_raw_data_asset(session: str | npc_session.SessionRecord) -> DataAsset:
    """The raw data of a session: of the ecephys platform if it has that, else of the behavior platform.

    Raises:
        NoSessionInfo: *session* has no subject and date in it.
        NoSessionData: There is none, neither in state nor in Code Ocean.
        SessionIndexError: The day has fewer recordings than the index of the session asks for.
        AssetError: It is archived, or there are several and no way to choose.
        MissingCredentials, SourceError: Code Ocean must be asked, and cannot be.
    """
    return get_data_asset(find_asset(settings_for_reading(), session, "raw").id)


def get_session_sorted_data_asset(session: str | npc_session.SessionRecord) -> DataAsset:
    """The newest good sorting result of a session. Where all are errored, the newest one, with a warning.

    Raises as `get_session_raw_data_asset`.
    """
    asset, reason = find_sorted(settings_for_reading(), session)
    if reason:
        notify(
            f"{resolve_session_id(session)} has no sorting result without errors: {asset.name} is used ({reason})",
            NpcLimsWarning,
        )
    return get_data_asset(asset.id)


def get_surface_channel_raw_data_asset(session: str | npc_session.SessionRecord) -> DataAsset:
    """The raw data of the surface-channel recording of an ephys session's day.

    Raises as `get_session_raw_data_asset`.
    """
    return get_data_asset(find_asset(settings_for_reading(), day_of(resolve_session_id(session)), "surface").id)


def get_session_capsule_pipeline_data_asset(session: str | npc_session.SessionRecord, process_name: str) -> DataAsset:
    """The newest result of a process, told by the name of the asset: `dlc_eye`, `facemap`, `LPFaceParts`, `sorted`...

    For `sorted`, as `get_session_sorted_data_asset`.

    Raises as `get_session_raw_data_asset`.
    """
    from npc_lims.model.record import PROCESSES

    settings = settings_for_reading()
    if process_name == "sorted":
        return get_session_sorted_data_asset(session)
    if process_name in PROCESSES:
        return get_data_asset(find_asset(settings, session, process_name).id)
    session_id = resolve_session_id(session)
    found = [raw for raw in _records_of_session(settings, session_id) if _is_ready_result_of(raw, process_name)]
    if not found:
        raise NoSessionData(
            f"{session_id} has no {process_name} data asset: no name of its assets in "
            f"{settings.mirror or settings.codeocean_domain} has that in it"
        )
    return as_data_asset(found[-1])


def _is_ready_result_of(raw: dict[str, Any], process_name: str) -> bool:
    return process_name in str(raw.get("name")) and raw.get("state") == "ready"


def get_session_data_assets(session: str | npc_session.SessionRecord) -> tuple[DataAsset, ...]:
    """All data assets named after a session's recording, the oldest first; none if it has no recording there.

    Raises:
        NoSessionInfo: *session* has no subject and date in it.
        SessionIndexError: The day has fewer recordings than the index of the session asks for.
        MissingCredentials, SourceError: Code Ocean cannot be asked.
    """
    return tuple(map(as_data_asset, _records_of_session(settings_for_reading(), resolve_session_id(session))))


def get_session_result_data_assets(session: str | npc_session.SessionRecord) -> tuple[DataAsset, ...]:
    """Those of `get_session_data_assets` that a computation has made. Raises as that."""
    records = _records_of_session(settings_for_reading(), resolve_session_id(session))
    return tuple(as_data_asset(raw) for raw in records if raw.get("type") == "result")


def _records_of_session(settings: Settings, session_id: str) -> list[dict[str, Any]]:
    from npc_lims.sessions.cached_assets import records_of_subject

    try:
        name = _recording_name(settings, session_id)
    except SessionIndexError:
        raise
    except NoSessionData:
        return []
    of_subject = records_of_subject(settings, subject_of(session_id))
    return [raw for raw in of_subject if str(raw.get("name")).startswith(name)]


def get_codeocean_session_id(session: str | npc_session.SessionRecord) -> str:
    """What the names of a session's data assets begin with: platform, subject, date and start time.

    For example `ecephys_703333_2024-04-09_13-06-44`. From state where it has the raw asset, else from Code Ocean.

    Raises:
        NoSessionInfo: *session* has no subject and date in it.
        NoSessionData: There are no data assets of that subject and day.
        SessionIndexError: There are, of fewer recordings than the index of the session asks for.
        MissingCredentials, SourceError: Code Ocean cannot be asked.
    """
    return _recording_name(settings_for_reading(), resolve_session_id(session))


get_codoecean_session_id = get_codeocean_session_id


def _recording_name(settings: Settings, session_id: str) -> str:
    recorded = recorded_fact(settings, session_id, "raw")
    if recorded and _tells_recording(settings, session_id, recorded["name"]):
        return _first_four(recorded["name"])
    recordings = session_assets(settings, session_id).recordings
    index = split_session_id(session_id)[2]
    place = settings.mirror or settings.codeocean_domain
    if not recordings:
        raise NoSessionData(f"{session_id} has no data assets in {place}, which would tell when it was started")
    if index >= len(recordings):
        count = len(recordings)
        raise SessionIndexError(
            f"{session_id}: of that day {place} has {count} recording{'' if count == 1 else 's'}, counted from 0"
        )
    # a behavior asset of the same start is a part of the recording
    return _first_four(max(asset.name for asset in recordings[index]))


def _tells_recording(settings: Settings, session_id: str, raw_name: str) -> bool:
    """Whether the session's raw asset has the name of its recording: not if behavior stands in for lost ephys data."""
    tracked = recorded_section(settings, session_id, "tracked") or {}
    return raw_name.startswith("ecephys") or tracked.get("platform") != "ephys"


def _first_four(name: str) -> str:
    """Platform, subject, date and time of an asset's name."""
    return "_".join(name.split("_")[:4])


def is_lighting_pose_gamma_encoded(lpfaceparts_data_asset: DataAsset) -> bool:
    """Whether Lightning Pose was run on a gamma-encoded video, by the assets that its result was made from.

    Raises:
        AssetError: Code Ocean does not say what it was made from.
        MissingCredentials, SourceError, NoSessionData: These could not be looked at.
    """
    provenance = lpfaceparts_data_asset.provenance
    if provenance is None or not provenance.data_assets:
        raise AssetError(
            f"{lpfaceparts_data_asset.name} ({lpfaceparts_data_asset.id}): Code Ocean does not say which data assets "
            "it was made from"
        )
    return any("Gamma" in get_data_asset(asset_id).name for asset_id in provenance.data_assets)
