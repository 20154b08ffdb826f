"""Raw data of a session: its folder, and files in it.

Two layouts are known. In the old one the folders of recordings (`ecephys_clipped`, `ecephys_compressed`)
stand beside `behavior` and the videos; in the new one they stand in a folder `ecephys`.

Functions raise NoSessionData if there is no raw data asset, nothing of it has arrived on S3, or it has no such file;
NoSessionInfo for a *session* without subject and date, AssetError for a data asset that cannot be used,
MissingCredentials or SourceError if Code Ocean (for an asset that state lacks) or S3 cannot be queried, and
MissingDependency without s3fs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from npc_lims.config.settings import settings_for_reading
from npc_lims.errors import NoSessionData
from npc_lims.model.session_id import day_of, resolve_session_id
from npc_lims.sessions.cached_assets import RawFolder, asset_path, holds_recordings, is_zarr
from npc_lims.sessions.find_asset import find_asset, recorded_section
from npc_lims.sources.s3 import VIDEO_SUFFIXES

if TYPE_CHECKING:
    import upath

    from npc_lims.model.types import Session


def get_raw_data_root(session: Session) -> upath.UPath:
    """Return the folder with the raw data of a session, whether its files have arrived or not."""
    settings = settings_for_reading()
    return asset_path(settings, find_asset(settings, session, "raw"))


def get_surface_channel_root(session: Session) -> upath.UPath:
    """Return the folder with the recording of surface channels that was made on the day of the session.

    NoSessionData is raised if there is none that is a recording of its own.
    """
    settings = settings_for_reading()
    return asset_path(settings, find_asset(settings, day_of(resolve_session_id(session)), "surface"))


def get_raw_data_paths_from_s3(session: Session) -> tuple[upath.UPath, ...]:
    """Return the content of the folders at the top of the raw data, then the files at the top, then the content of
    folders named `ecephys*` one level down.
    """
    return _find_raw(session).entry_paths()


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


def _find_file(session: Session, title: str, recorded: str, matches: Callable[[PurePosixPath], bool]) -> upath.UPath:
    """Return the first match among the files that state has recorded under that name, else among those on S3."""
    raw = _find_raw(session)

    def names() -> Iterator[str]:
        # a sync lists more folders than `RawFolder.entries`
        yield from filter(_is_entry, _recorded_names(raw, recorded))
        yield from (entry.name for entry in raw.entries() if not entry.is_folder)

    return _first_path(raw, title, (name for name in names() if matches(PurePosixPath(name))))


def get_settings_xml_path_from_s3(session: Session) -> upath.UPath:
    """Return the settings.xml of Open Ephys; of several, that of the first recording."""
    raw = _find_raw(session)

    def names() -> Iterator[str]:
        yield from _recorded_names(raw, "settings_xml")
        entries = raw.entries()
        inside = raw.below(entry.name for entry in entries if entry.is_folder and _holds_settings(entry.name))
        for name, is_folder in (*entries, *inside):
            if not is_folder and PurePosixPath(name).name == "settings.xml":
                yield name

    return _first_path(raw, "settings.xml", names())


def get_recording_dirs_experiment_path_from_s3(session: Session) -> tuple[upath.UPath, ...]:
    """Return the first `experiment*/recording*` of each `Record Node` folder with recordings of Open Ephys."""
    raw = _find_raw(session)
    nodes = [
        entry.name
        for entry in raw.entries()
        if entry.is_folder and "Record Node" in entry.name and "zarr" not in entry.name
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
    session_id = resolve_session_id(session)
    return RawFolder.of(settings, session_id, find_asset(settings, session_id, "raw"))


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


def _holds_settings(name: str) -> bool:
    """Return True for a folder that a sync lists, too."""
    return PurePosixPath(name).name.startswith(("ecephys", "Record Node")) and not is_zarr(name)


def _first_path(raw: RawFolder, title: str, names: Iterator[str]) -> upath.UPath:
    name = next(names, None)
    if name is None:
        raise NoSessionData(f"{raw.session_id} has no {title} in its raw data: looked in {raw.folder.uri}")
    return raw.folder.paths([name])[0]
