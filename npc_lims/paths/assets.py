"""Files of the data assets of a session: raw data and results.

Two layouts of raw data are known. In the old one the folders of recordings (`ecephys_clipped`, `ecephys_compressed`)
stand beside `behavior` and the videos; in the new one they stand in a folder `ecephys`.

Functions raise NoSessionData if there is no such data asset, nothing of it has arrived on S3, or it has no such file;
NoSessionInfo for a *session* without subject and date, AssetError for a data asset that cannot be used,
MissingCredentials or SourceError if Code Ocean (for an asset that state lacks) or S3 (for files that state does not
record) cannot be queried. Paths are named without s3fs, and opened with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from npc_lims.clients.s3_cached import S3Folder
from npc_lims.config.settings import Settings, settings_for_reading
from npc_lims.errors import AssetError, MissingCredentials, NoSessionData, SourceError
from npc_lims.model.session_id import day_of
from npc_lims.sessions.cached_assets import (
    RawFolder,
    asset_folder,
    asset_path,
    asset_record,
    holds_recordings,
    is_zarr,
    listing_of,
)
from npc_lims.sessions.find_asset import find_asset, find_best_sorted, recorded_asset_of, recorded_section
from npc_lims.sessions.resolve import resolve_session
from npc_lims.sources.s3 import CAMERA_POSITIONS, VIDEO_SUFFIXES

if TYPE_CHECKING:
    import upath

    from npc_lims.model.record import Asset
    from npc_lims.model.types import Session

# --- raw data -------------------------------------------------------------------------------------


def get_raw_data_root(session: Session) -> upath.UPath:
    """Return the folder with the raw data of a session, whether its files have arrived or not."""
    settings = settings_for_reading()
    return asset_path(settings, find_asset(settings, session, "raw"))


def get_surface_channel_root(session: Session) -> upath.UPath:
    """Return the folder with the recording of surface channels that was made on the day of the session.

    NoSessionData is raised if there is none that is a recording of its own.
    """
    settings = settings_for_reading()
    return asset_path(settings, find_asset(settings, day_of(resolve_session(settings, session)), "surface"))


def get_raw_data_paths_from_s3(session: Session) -> tuple[upath.UPath, ...]:
    """Return the content of the folders at the top of the raw data, then the files at the top, then the content of
    folders named `ecephys*` one level down.
    """
    raw = _find_raw(session)
    with listing_of(raw.folder.uri):
        return raw.entry_paths()


def get_h5_sync_from_s3(session: Session) -> upath.UPath:
    """Return the file with the sync data (.h5); of several, the first in the order of `get_raw_data_paths_from_s3`."""
    return _find_file(session, "sync file (.h5)", "sync", lambda path: path.suffix == ".h5")


def get_behavior_video_path_from_s3(session: Session) -> upath.UPath:
    """Return the video of the camera at the side."""
    return _find_video(session, "Behavior")


def get_eye_video_path_from_s3(session: Session) -> upath.UPath:
    """Return the video of the eye."""
    return _find_video(session, "Eye")


def get_face_video_path_from_s3(session: Session) -> upath.UPath:
    """Return the video of the face."""
    return _find_video(session, "Face")


def _find_video(session: Session, camera: str) -> upath.UPath:
    def matches(path: PurePosixPath) -> bool:
        return camera in path.stem and path.suffix.lower() in VIDEO_SUFFIXES

    return _find_file(session, f"{camera.lower()} video", "videos", matches)


def get_settings_xml_path_from_s3(session: Session) -> upath.UPath:
    """Return the settings.xml of Open Ephys; of several, that of the first recording."""
    return _find_file(session, "settings.xml", "settings_xml", lambda path: path.name == "settings.xml", is_deep=True)


def _find_file(
    session: Session, title: str, recorded: str, matches: Callable[[PurePosixPath], bool], *, is_deep: bool = False
) -> upath.UPath:
    """Return the first match among the files that state has recorded under that name, else among those on S3.

    With *is_deep*, files in the folders of recordings of Open Ephys match, too.
    """
    raw = _find_raw(session)

    def names() -> Iterator[str]:
        # a sync lists more folders than `RawFolder.entries`
        yield from (name for name in _recorded_names(raw, recorded) if is_deep or _is_entry(name))
        entries = raw.entries()
        if is_deep:
            entries += raw.below(entry.name for entry in entries if entry.is_folder and _is_recording(entry.name))
        yield from (entry.name for entry in entries if not entry.is_folder)

    name = next((name for name in names() if matches(PurePosixPath(name))), None)
    if name is None:
        raise NoSessionData(f"{raw.session_id} has no {title} in its raw data: looked in {raw.folder.uri}")
    return raw.folder.paths([name])[0]


def get_recording_dirs_experiment_path_from_s3(session: Session) -> tuple[upath.UPath, ...]:
    """Return the first `experiment*/recording*` of each `Record Node` folder with recordings of Open Ephys."""
    raw = _find_raw(session)
    with listing_of(raw.folder.uri):
        entries = raw.entries()
    nodes = [
        entry.name for entry in entries if entry.is_folder and "Record Node" in entry.name and "zarr" not in entry.name
    ]
    experiments = raw.below(entry.name for entry in raw.below(nodes) if entry.is_folder)
    first: dict[str, str] = {}
    for name, is_folder in experiments:
        node, _, recording = name.rsplit("/", 2)
        if is_folder and recording.startswith("recording"):
            first.setdefault(node, name)
    without = sorted(set(nodes) - set(first))
    if without or not nodes:
        uri = raw.folder.uri
        where = f"{uri}/{without[0]}" if without else f"the Record Node folders of {uri}"
        raise NoSessionData(f"{raw.session_id} has no experiment*/recording* folder in {where}")
    return raw.folder.paths(first[node] for node in nodes)


def _find_raw(session: Session) -> RawFolder:
    settings = settings_for_reading()
    session_id = resolve_session(settings, session)
    return RawFolder(settings, session_id, find_asset(settings, session_id, "raw"))


def _recorded_names(raw: RawFolder, name: str) -> list[str]:
    """Return recorded files in the order of `RawFolder.entries`; none if the listing is of another asset."""
    section = recorded_section(raw.folder.settings, raw.session_id, "s3")
    listing = (section or {}).get("raw") or {}
    return sorted(listing.get(name) or (), key=_order) if listing.get("asset") == raw.asset.id else []


def _order(name: str) -> tuple[int, tuple[str, ...]]:
    parts = PurePosixPath(name).parts
    return {2: 0, 1: 1}.get(len(parts), len(parts)), parts


def _is_entry(name: str) -> bool:
    """Return True for a file that would be among `RawFolder.entries`."""
    folders = PurePosixPath(name).parts[:-1]
    return len(folders) < 2 or (len(folders) == 2 and holds_recordings(folders[1]))


def _is_recording(name: str) -> bool:
    """Return True for a folder that a sync lists, too."""
    return PurePosixPath(name).name.startswith(("ecephys", "Record Node")) and not is_zarr(name)


# --- results --------------------------------------------------------------------------------------


def get_sorted_data_paths_from_s3(
    session: Session | None = None, sorted_data_asset_id: str | None = None
) -> tuple[upath.UPath, ...]:
    """Return the top of a sorting result: the newest good one of a session, or the one with the given asset id.

    If all results of a session are errored, it is the newest of them, with a warning.

    Raises:
        ValueError: Neither a session nor an asset id is given.
    """
    settings = settings_for_reading()
    if sorted_data_asset_id is not None:
        asset = _asset_of(settings, sorted_data_asset_id)
        return _top_paths(settings, f"asset {sorted_data_asset_id}", asset)
    if session is None:
        raise ValueError("give either a session or the id of a sorted data asset")
    session_id = resolve_session(settings, session)
    return _top_paths(settings, session_id, find_best_sorted(settings, session_id))


def get_dlc_eye_s3_paths(session: Session) -> tuple[upath.UPath, ...]:
    """Return the top of the DeepLabCut result for the eye."""
    return _paths_of(session, "dlc_eye")


def get_dlc_side_s3_paths(session: Session) -> tuple[upath.UPath, ...]:
    """Return the top of the DeepLabCut result for the side."""
    return _paths_of(session, "dlc_side")


def get_dlc_face_s3_paths(session: Session) -> tuple[upath.UPath, ...]:
    """Return the top of the DeepLabCut result for the face."""
    return _paths_of(session, "dlc_face")


def get_facemap_s3_paths(session: Session) -> tuple[upath.UPath, ...]:
    """Return the top of the Facemap result."""
    return _paths_of(session, "facemap")


def get_LFP_subsampling_paths_from_s3(session: Session) -> tuple[upath.UPath, ...]:  # noqa: N802  # its name for ever
    """Return the top of the subsampled LFP."""
    return _paths_of(session, "LFP_Subsampled")


def get_lpfaceparts_s3_dir_paths(session: Session, enforce_gamma_encoding: bool = False) -> tuple[upath.UPath, ...]:
    """Return the content of the session's folder in its Lightning Pose result for face parts.

    Args:
        enforce_gamma_encoding: Refuse a result that was not made from gamma-encoded videos.

    Raises:
        AssetError: It was not made from gamma-encoded videos, and that is enforced.
    """
    folder = _lpfaceparts_folder(settings_for_reading(), session, enforce_gamma_encoding)
    return folder.paths(sorted(folder.listing().names))


def get_lpfaceparts_camera_predictions_s3_paths(
    session: Session, camera: str, enforce_gamma_encoding: bool = False
) -> tuple[upath.UPath, ...]:
    """Return the predictions (.csv) of Lightning Pose for the videos of a camera, `side` or `face`.

    Raises:
        ValueError: There is no such camera.
        AssetError: As `get_lpfaceparts_s3_dir_paths`.
    """
    if camera not in CAMERA_POSITIONS:
        raise ValueError(f"camera must be {' or '.join(CAMERA_POSITIONS)}, not {camera!r}")
    settings = settings_for_reading()
    session_id = resolve_session(settings, session)
    parts = _lpfaceparts_folder(settings, session_id, enforce_gamma_encoding)
    if camera not in parts.listing().folders:
        raise NoSessionData(f"{session_id} has no folder {camera} in its LPFaceParts result: looked in {parts.uri}")
    folder = parts.below(camera)
    videos = folder.listing().folders
    names = [
        f"{video}/{name}"
        for video, listed in zip(videos, folder.list_each(videos))
        for name in listed.files
        if fnmatchcase(name, f"*_{day_of(session_id)}_*.csv")
    ]
    if not names:
        raise NoSessionData(f"{session_id} has no predictions (.csv) in its LPFaceParts result: looked in {folder.uri}")
    return folder.paths(names)


def _lpfaceparts_folder(settings: Settings, session: Session, enforce_gamma_encoding: bool) -> S3Folder:
    """Return the folder that is named after the recording, whose name has a time where the session has an index."""
    session_id = resolve_session(settings, session)
    asset = find_asset(settings, session_id, "LPFaceParts")
    if enforce_gamma_encoding:
        from npc_lims.codeocean.data_assets import get_data_asset, is_lighting_pose_gamma_encoded

        if not is_lighting_pose_gamma_encoded(get_data_asset(asset.id)):
            raise AssetError(
                f"{session_id}: its LPFaceParts result {asset.name} ({asset.id}) was not made from gamma-encoded "
                "videos; run it again on the result of GammaEncoding, or do without enforce_gamma_encoding"
            )
    top = asset_folder(settings, asset)
    with listing_of(top.uri):
        folders = top.listing().folders
    name = next((name for name in folders if day_of(session_id) in name), None)
    if name is None:
        found = f"its LPFaceParts result {asset.name} has no folder named after it"
        raise NoSessionData(f"{session_id}: {found}: looked in {top.uri}")
    return top.below(name)


def _asset_of(settings: Settings, asset_id: str) -> Asset:
    """Return an asset by its id: as Code Ocean has it or, where that cannot be queried, as recorded."""
    from npc_lims.codeocean.data_assets import checked_id
    from npc_lims.model.data_asset import read_asset

    checked = checked_id(asset_id)
    try:
        return read_asset(asset_record(settings, checked)).as_fact()
    except (MissingCredentials, SourceError):
        recorded = recorded_asset_of(settings, checked)
        if recorded is None:
            raise
        return recorded[0]


def _paths_of(session: Session, kind: str) -> tuple[upath.UPath, ...]:
    settings = settings_for_reading()
    return _top_paths(settings, resolve_session(settings, session), find_asset(settings, session, kind))


def _top_paths(settings: Settings, owner: str, asset: Asset) -> tuple[upath.UPath, ...]:
    folder = asset_folder(settings, asset)
    with listing_of(folder.uri):
        names = sorted(folder.listing().names)
    if not names:
        raise NoSessionData(f"{owner}: there are no files of the data asset {asset.name} in {folder.uri}")
    return folder.paths(names)
