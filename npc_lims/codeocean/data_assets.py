"""Data assets by id, subject or session, as objects of the official SDK, and where their files are.

Functions raise NoSessionInfo for a *session* without subject and date, SessionIndexError if its day has fewer
recordings than its index asks for, and MissingCredentials or SourceError if Code Ocean must be queried, and cannot be.
A single asset that state records is returned without Code Ocean, too, as a `RecordedDataAsset`.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import npc_session

from npc_lims.clients.codeocean import as_data_asset
from npc_lims.clients.s3_cached import named_path
from npc_lims.config.settings import Settings, settings_for_reading
from npc_lims.errors import (
    AssetError,
    MissingCredentials,
    MissingDependency,
    NoAssetLocation,
    NoSessionData,
    NpcLimsError,
    SessionIndexError,
    SourceError,
)
from npc_lims.model.data_asset import is_declared_raw
from npc_lims.model.record import PROCESSES
from npc_lims.model.session_id import day_of, parse_session_id, split_session_id, subject_of
from npc_lims.sessions.cached_assets import asset_record, codeocean_url, records_of_subject
from npc_lims.sessions.find_asset import (
    find_asset,
    find_best_sorted,
    recorded_asset_of,
    recorded_fact,
    recorded_section,
    session_assets,
)
from npc_lims.sessions.queries import get_session_info
from npc_lims.sessions.resolve import resolve_session
from npc_lims.utils.text import counted

if TYPE_CHECKING:
    import upath
    from codeocean.data_asset import DataAsset


VIDEO_MODELS = ("dlc_eye", "dlc_side", "dlc_face", "facemap", "LPFaceParts")
"""Processes that need the videos of a session."""

VIDEO_MAPPING: dict[str, str] = {**dict(zip(VIDEO_MODELS, VIDEO_MODELS)), "GammaEncoding": "gamma_encoding"}
"""Process to the name of its flag, without `is_`."""


def get_subject_data_assets(subject: str | int, ttl_hash: int | None = None) -> tuple[DataAsset, ...]:
    """Return all data assets of a subject that are not archived, in whatever state, the oldest first.

    Args:
        subject: Labtracks number.
        ttl_hash: Another value queries again before the ten minutes are over for which responses are cached.

    Raises:
        NoSessionData: *subject* is not a number.
    """
    return tuple(map(as_data_asset, _records(subject, ttl_hash)))


def get_sessions_with_data_assets(subject: str | int) -> tuple[npc_session.SessionRecord, ...]:
    """Return the days of a subject that data assets are named after, the first one first.

    Raises as `get_subject_data_assets`.
    """
    days: set[npc_session.SessionRecord] = set()
    for raw in _records(subject):
        with contextlib.suppress(ValueError):  # named after something else than a session
            days.add(npc_session.SessionRecord(parse_session_id(str(raw.get("name")))))
    return tuple(sorted(days))


def _records(subject: str | int, ttl_hash: int | None = None) -> list[dict[str, Any]]:
    text = str(subject)
    if not (text.isascii() and text.isdecimal()):
        raise NoSessionData(f"{text!r} is not a subject: a Labtracks number such as 668759 is")
    return records_of_subject(settings_for_reading(), text, ttl_hash=ttl_hash)


def get_data_asset(asset: str | uuid.UUID | DataAsset) -> DataAsset:
    """Return the data asset of an id; an asset as it is.

    Where Code Ocean cannot be queried, one that state records has its `id`, `name`, `created` and `source_bucket`;
    reading any other attribute raises MissingCredentials or SourceError.

    Raises:
        NoSessionData: There is none of that id, or it is no id.
    """
    from codeocean.data_asset import DataAsset

    if isinstance(asset, DataAsset):
        return asset
    settings, asset_id = settings_for_reading(), checked_id(asset)
    try:
        return as_data_asset(asset_record(settings, asset_id))
    except (MissingCredentials, SourceError) as error:
        recorded = recorded_asset_of(settings, asset_id)
        if recorded is None:
            raise
        from npc_lims.codeocean.recorded_asset import RecordedDataAsset

        return RecordedDataAsset(*recorded, error)


def checked_id(value: object, kind: str = "data asset", error: type[NpcLimsError] = NoSessionData) -> str:
    """Return an id of Code Ocean in lower case and with hyphens; *error* is raised if it is no UUID."""
    try:
        return str(uuid.UUID(str(value)))
    except ValueError:
        of_asset, of_capsule = "83636983-f80d-42d6-a075-09b60c6abd5e", "4cf0be83-2245-4bb1-a55c-a78201b14bfe"
        example = of_asset if kind == "data asset" else of_capsule
        raise error(f"{str(value)!r} is not the id of a {kind}: one looks like {example}") from None


def get_latest_data_asset(data_assets: Sequence[DataAsset]) -> DataAsset:
    """Return the newest of them.

    Raises:
        NoSessionData: There are none to choose from.
    """
    if not data_assets:
        raise NoSessionData("there are no data assets to choose the latest of")
    return sorted(data_assets, key=lambda asset: asset.created)[-1]


def is_raw_data_asset(asset: str | DataAsset) -> bool:
    """Return True for raw data, by its metadata or tags. Raises as `get_data_asset`."""
    found = get_data_asset(asset)
    kind = getattr(found, "recorded_as", None)
    if kind is not None:
        return kind in ("raw", "surface")
    return not is_sorted_data_asset(found) and is_declared_raw(found.tags, found.custom_metadata)


def is_sorted_data_asset(asset: str | DataAsset) -> bool:
    """Return True for a sorting result, by its name. Raises as `get_data_asset`."""
    name = get_data_asset(asset).name
    return "ecephys" in name and "sorted" in name


def get_session_raw_data_asset(session: str | npc_session.SessionRecord) -> DataAsset:
    """Return the raw data of a session: of the ecephys platform if it has that, else of the behavior platform.

    Raises:
        NoSessionData: There is none, neither in state nor in Code Ocean.
        AssetError: It is archived, or there are several and no way to choose.
    """
    return get_data_asset(find_asset(settings_for_reading(), session, "raw").id)


def get_session_sorted_data_asset(session: str | npc_session.SessionRecord) -> DataAsset:
    """Return the newest good sorting result of a session. Where all are errored, the newest one, with a warning.

    Raises as `get_session_raw_data_asset`.
    """
    return get_data_asset(find_best_sorted(settings_for_reading(), session).id)


def get_surface_channel_raw_data_asset(session: str | npc_session.SessionRecord) -> DataAsset:
    """Return the raw data of the surface-channel recording of an ephys session's day.

    Raises as `get_session_raw_data_asset`.
    """
    settings = settings_for_reading()
    return get_data_asset(find_asset(settings, day_of(resolve_session(settings, session)), "surface").id)


def get_session_capsule_pipeline_data_asset(session: str | npc_session.SessionRecord, process_name: str) -> DataAsset:
    """Return the newest result of a process by its name: `dlc_eye`, `facemap`, `LPFaceParts`, `sorted`...

    For `sorted`, as `get_session_sorted_data_asset`.

    Raises as `get_session_raw_data_asset`.
    """
    settings = settings_for_reading()
    if process_name == "sorted":
        return get_session_sorted_data_asset(session)
    if process_name in PROCESSES:
        return get_data_asset(find_asset(settings, session, process_name).id)
    session_id = resolve_session(settings, session)
    records = _records_of_session(settings, session_id)
    found = [raw for raw in records if process_name in str(raw.get("name")) and raw.get("state") == "ready"]
    if not found:
        source = codeocean_url(settings)
        raise NoSessionData(
            f"{session_id} has no {process_name} data asset: no name of its assets in {source} has that in it"
        )
    return as_data_asset(found[-1])


def get_session_data_assets(session: str | npc_session.SessionRecord) -> tuple[DataAsset, ...]:
    """Return all data assets named after a session's recording, the oldest first; none if it has no recording there."""
    settings = settings_for_reading()
    return tuple(map(as_data_asset, _records_of_session(settings, resolve_session(settings, session))))


def get_session_result_data_assets(session: str | npc_session.SessionRecord) -> tuple[DataAsset, ...]:
    """Return those of `get_session_data_assets` that a computation has made."""
    settings = settings_for_reading()
    records = _records_of_session(settings, resolve_session(settings, session))
    return tuple(as_data_asset(raw) for raw in records if raw.get("type") == "result")


def _records_of_session(settings: Settings, session_id: str) -> list[dict[str, Any]]:
    try:
        name = _recording_name(settings, session_id)
    except SessionIndexError:
        raise
    except NoSessionData:
        return []
    of_subject = records_of_subject(settings, subject_of(session_id))
    return [raw for raw in of_subject if str(raw.get("name")).startswith(name)]


def asset_exists(session_id: str | npc_session.SessionRecord, process_name: str) -> bool:
    """Return True if a session has a result of a video process, as its status says.

    Raises:
        ValueError: There is no such process.
        NoSessionInfo: There is no such session.
    """
    status = VIDEO_MAPPING.get(process_name)
    if status is None:
        raise ValueError(
            f"there is no process {process_name!r} that is run on videos; known are: {', '.join(VIDEO_MAPPING)}"
        )
    return bool(getattr(get_session_info(session_id), f"is_{status}"))


def get_codeocean_session_id(session: str | npc_session.SessionRecord) -> str:
    """Return what the names of a session's data assets begin with: platform, subject, date and start time.

    For example `ecephys_703333_2024-04-09_13-06-44`. From state where it has the raw asset, else from Code Ocean.

    Raises:
        NoSessionData: There are no data assets of that subject and day.
    """
    settings = settings_for_reading()
    return _recording_name(settings, resolve_session(settings, session))


get_codoecean_session_id = get_codeocean_session_id


def _recording_name(settings: Settings, session_id: str) -> str:
    recorded = recorded_fact(settings, session_id, "raw")
    tracked = recorded_section(settings, session_id, "tracked") or {}
    # behavior that stands in for lost ephys data does not have the name of the recording
    if recorded and (recorded["name"].startswith("ecephys") or tracked.get("platform") != "ephys"):
        return _start_of(recorded["name"])
    recordings = session_assets(settings, session_id).recordings
    index = split_session_id(session_id)[2]
    source = codeocean_url(settings)
    if not recordings:
        raise NoSessionData(f"{session_id} has no data assets in {source}, whose names show when it was started")
    if index >= len(recordings):
        count = len(recordings)
        raise SessionIndexError(f"{session_id}: of that day {source} has {counted(count, 'recording')}, counted from 0")
    # a behavior asset of the same start is a part of the recording
    return _start_of(max(asset.name for asset in recordings[index]))


def _start_of(asset_name: str) -> str:
    """Return platform, subject, date and time."""
    return "_".join(asset_name.split("_")[:4])


def get_aind_session(session_id: str | npc_session.SessionRecord) -> Any:
    """Return the `aind_session.Session` of a session. It queries Code Ocean by itself, with variables that it knows.

    Raises:
        MissingDependency: aind_session is not installed.
        NoSessionData: There is none: nothing was uploaded.
    """
    checked = resolve_session(settings_for_reading(), session_id)
    try:
        import aind_session
    except ImportError as error:
        raise MissingDependency(
            f"get_aind_session needs the package aind_session ({error}): pip install aind-session"
        ) from None
    subject, date, index = split_session_id(checked)
    found = aind_session.get_sessions(subject_id=subject, date=date)
    if not found:
        raise NoSessionData(f"aind_session knows no session of {subject} on {date}: has its raw data been uploaded?")
    if index >= len(found):
        raise SessionIndexError(f"{checked}: aind_session knows {len(found)} of that day, counted from 0")
    return found[index]


def is_lighting_pose_gamma_encoded(lpfaceparts_data_asset: DataAsset) -> bool:
    """Return True if Lightning Pose was run on a gamma-encoded video, by the assets that its result was made from.

    Raises:
        AssetError: Code Ocean does not say what it was made from.
        NoSessionData: One of these is gone.
    """
    provenance = lpfaceparts_data_asset.provenance
    if provenance is None or not provenance.data_assets:
        raise AssetError(
            f"{lpfaceparts_data_asset.name} ({lpfaceparts_data_asset.id}): Code Ocean does not say which data assets "
            "it was made from"
        )
    return any("Gamma" in get_data_asset(asset_id).name for asset_id in provenance.data_assets)


def get_path_from_data_asset(asset: str | uuid.UUID | DataAsset) -> upath.UPath:
    """Return the folder in the bucket that a data asset was made from: where raw data is.

    Raises:
        NoAssetLocation: It was made from no bucket on S3; the message has what it was made from.
        NoSessionData: There is none of that id.
    """
    found = get_data_asset(asset)
    uri = _source_uri(found)
    if uri is None:
        raise NoAssetLocation(
            f"{found.name} ({found.id}) was made from no bucket: its files are in Code Ocean's own, where "
            "get_data_asset_s3_path() finds them"
        )
    return named_path(settings_for_reading(), uri)


def get_data_asset_s3_path(asset_id: str | uuid.UUID | DataAsset) -> upath.UPath:
    """Return the folder on S3 with the files of a data asset: the bucket that it was made from, else Code Ocean's own.

    Sends no request: of an id alone, which may be given as text or as anything with an `id`, the folder is in Code
    Ocean's own bucket, whether it exists or not.

    Raises:
        NoSessionData: It is no id of a data asset.
        NoAssetLocation: The files are in another cloud.
    """
    settings = settings_for_reading()
    uri = _source_uri(asset_id)
    if uri is None:
        # of any other text the path would be that of the whole bucket, or of nothing that is ever there
        uri = f"s3://{settings.codeocean_bucket}/{checked_id(getattr(asset_id, 'id', asset_id))}"
    return named_path(settings, uri)


def _source_uri(asset: Any) -> str | None:
    """Return the folder that an asset was made from; None for one made in Code Ocean, or known by its id alone."""
    source = getattr(asset, "source_bucket", None)
    if source is None:
        uri: str | None = getattr(asset, "location", None)  # as state has it
    else:
        origin = getattr(source.origin, "value", source.origin)
        scheme = {"aws": "s3", "gcp": "gs"}.get(origin, origin)
        is_own = origin == "local" or not source.bucket
        uri = None if is_own else f"{scheme}://{source.bucket}/{source.prefix or ''}".rstrip("/")
    if uri is not None and not uri.startswith("s3://"):
        raise NoAssetLocation(f"the files of {asset.name} ({asset.id}) are at {uri}: npc_lims reads S3 only")
    return uri
