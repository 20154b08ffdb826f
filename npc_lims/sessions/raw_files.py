"""Folders and files of a raw data asset, as S3 lists them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from npc_lims.clients.s3_cached import folder_uri, list_folder, list_folders
from npc_lims.clients.s3_upath import named_path, s3_path
from npc_lims.errors import AssetError, NoSessionData, SourceError

if TYPE_CHECKING:
    import upath

    from npc_lims.clients.s3 import Folder
    from npc_lims.config.settings import Settings
    from npc_lims.model.record import Asset


__all__ = ["Entry", "Raw", "asset_folder", "asset_path", "raw_data_paths"]


class Entry(NamedTuple):
    """A file or folder of the raw data."""

    name: str
    """Path below the raw data folder."""
    is_folder: bool


@dataclasses.dataclass(frozen=True)
class Raw:
    """The raw data folder of a session."""

    settings: Settings
    session_id: str
    asset: Asset
    bucket: str
    prefix: str
    """Ends with a slash, unless the folder is the whole bucket."""

    @property
    def uri(self) -> str:
        return folder_uri(self.bucket, self.prefix)

    def paths(self, *names: str) -> tuple[upath.UPath, ...]:
        """Paths of what has these names below the folder."""
        root = s3_path(self.settings, self.uri)
        return tuple(root / name for name in names)

    def below(self, folders: Iterable[str]) -> list[Entry]:
        """The entries of these folders, folder by folder."""
        wanted = list(folders)
        found = list_folders(self.settings, self.bucket, [f"{self.prefix}{folder}/" for folder in wanted])
        return [
            Entry(f"{folder}/{name}", is_folder)
            for folder, listed in zip(wanted, found)
            for name, is_folder in _by_name(listed)
        ]


def _by_name(listed: Folder) -> list[tuple[str, bool]]:
    return sorted([*((name, True) for name in listed.folders), *((name, False) for name in listed.files)])


def raw_data_paths(settings: Settings, session_id: str, asset: Asset) -> tuple[upath.UPath, ...]:
    """`get_raw_data_paths_from_s3` for a raw asset that is known. Raises as it does."""
    raw = Raw(settings, session_id, asset, *asset_folder(settings, asset))
    return raw.paths(*(entry.name for entry in _list_entries(raw)))


def _list_entries(raw: Raw) -> list[Entry]:
    top = list_folder(raw.settings, raw.bucket, raw.prefix)
    inside = raw.below(top.folders)
    recordings = [entry.name for entry in inside if entry.is_folder and _holds_recordings(entry.name)]
    entries = [*inside, *(Entry(name, is_folder=False) for name in top.files), *raw.below(recordings)]
    if not entries:
        raise NoSessionData(
            f"{raw.session_id}: an upload was started ({raw.asset.name} is registered), but no files have arrived: "
            f"there is nothing in {raw.uri}"
        )
    return entries


def _holds_recordings(name: str) -> bool:
    return "ecephys" in PurePosixPath(name).stem and not _is_zarr(name)


def _is_zarr(name: str) -> bool:
    # such a folder holds one object for each chunk: never to be looked into
    return ".zarr" in PurePosixPath(name).suffix


def asset_path(settings: Settings, asset: Asset) -> upath.UPath:
    """The folder with the files of an asset, as a path.

    Raises:
        MissingDependency: It is on S3, and s3fs is not installed.
    """
    from npc_lims.sources.s3.query import asset_uri

    uri = asset_uri(asset, settings.codeocean_bucket)
    # another cloud's paths can be named, and opened by whoever has installed what that takes
    return s3_path(settings, uri) if uri.startswith("s3://") else named_path(settings, uri)


def asset_folder(settings: Settings, asset: Asset) -> tuple[str, str]:
    """Bucket and prefix (ending with a slash) of the files of an asset, to be listed.

    Raises:
        AssetError: They are not on S3.
    """
    from npc_lims.sources.s3.query import asset_root

    try:
        return asset_root(asset, settings.codeocean_bucket)
    except SourceError as error:
        raise AssetError(f"{error.reason}, which cannot be listed") from None
