"""Files of the result assets of a session.

Functions raise NoSessionData if there is no such asset, or no files of it; NoSessionInfo for a *session* without
subject and date, AssetError for a data asset that cannot be used, MissingCredentials or SourceError if Code Ocean
(for an asset that state lacks) or S3 cannot be queried, and MissingDependency without s3fs.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from npc_lims.clients.s3_cached import S3Folder
from npc_lims.config.settings import Settings, settings_for_reading
from npc_lims.errors import AssetError, NoSessionData
from npc_lims.model.session_id import day_of, resolve_session_id
from npc_lims.sessions.cached_assets import asset_folder, asset_record
from npc_lims.sessions.find_asset import find_asset, find_best_sorted
from npc_lims.sources.s3 import CAMERA_POSITIONS

if TYPE_CHECKING:
    import upath

    from npc_lims.model.record import Asset
    from npc_lims.model.types import Session


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
        from npc_lims.codeocean.data_assets import checked_id
        from npc_lims.model.data_asset import read_asset

        record = asset_record(settings, checked_id(sorted_data_asset_id))
        return _top_paths(settings, f"asset {sorted_data_asset_id}", read_asset(record).as_fact())
    if session is None:
        raise ValueError("give either a session or the id of a sorted data asset")
    session_id = resolve_session_id(session)
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
    folder = _lpfaceparts_folder(resolve_session_id(session), enforce_gamma_encoding)
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
    session_id = resolve_session_id(session)
    parts = _lpfaceparts_folder(session_id, enforce_gamma_encoding)
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


def _lpfaceparts_folder(session_id: str, enforce_gamma_encoding: bool) -> S3Folder:
    """Return the folder that is named after the recording, whose name has a time where the session has an index."""
    settings = settings_for_reading()
    asset = find_asset(settings, session_id, "LPFaceParts")
    if enforce_gamma_encoding:
        from npc_lims.codeocean.data_assets import get_data_asset, is_lighting_pose_gamma_encoded

        if not is_lighting_pose_gamma_encoded(get_data_asset(asset.id)):
            raise AssetError(
                f"{session_id}: its LPFaceParts result {asset.name} ({asset.id}) was not made from gamma-encoded "
                "videos; run it again on the result of GammaEncoding, or do without enforce_gamma_encoding"
            )
    top = asset_folder(settings, asset)
    name = next((name for name in top.listing().folders if day_of(session_id) in name), None)
    if name is None:
        found = f"its LPFaceParts result {asset.name} has no folder named after it"
        raise NoSessionData(f"{session_id}: {found}: looked in {top.uri}")
    return top.below(name)


def _paths_of(session: Session, kind: str) -> tuple[upath.UPath, ...]:
    settings = settings_for_reading()
    session_id = resolve_session_id(session)
    return _top_paths(settings, session_id, find_asset(settings, session_id, kind))


def _top_paths(settings: Settings, owner: str, asset: Asset) -> tuple[upath.UPath, ...]:
    folder = asset_folder(settings, asset)
    names = sorted(folder.listing().names)
    if not names:
        raise NoSessionData(f"{owner}: there are no files of the data asset {asset.name} in {folder.uri}")
    return folder.paths(names)
