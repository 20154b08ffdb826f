"""Folders and files of a raw data asset, as S3 lists them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from npc_lims.clients.s3_cached import S3Folder, named_path, s3_path
from npc_lims.errors import AssetError, NoSessionData, SourceError

if TYPE_CHECKING:
    import upath

    from npc_lims.config.settings import Settings
    from npc_lims.model.record import Asset


class RawEntry(NamedTuple):
    """A file or folder of the raw data, by its path below their folder."""

    name: str
    is_folder: bool


@dataclasses.dataclass(frozen=True)
class RawFolder:
    """The raw data folder of a session."""

    session_id: str
    asset: Asset
    folder: S3Folder

    @classmethod
    def of(cls, settings: Settings, session_id: str, asset: Asset) -> RawFolder:
        return cls(session_id, asset, asset_folder(settings, asset))

    def below(self, folders: Iterable[str]) -> list[RawEntry]:
        """Return the entries of these folders, folder by folder, each sorted by name."""
        wanted = list(folders)
        return [
            RawEntry(f"{folder}/{name}", is_folder)
            for folder, listed in zip(wanted, self.folder.list_each(wanted))
            for name, is_folder in sorted([*((n, True) for n in listed.folders), *((n, False) for n in listed.files)])
        ]

    def entries(self) -> list[RawEntry]:
        """Return the content of the folders at the top, the files at the top, and the content of `ecephys*` folders.

        Raises:
            NoSessionData: There is nothing.
        """
        top = self.folder.listing()
        inside = self.below(top.folders)
        recordings = [entry.name for entry in inside if entry.is_folder and holds_recordings(entry.name)]
        entries = [*inside, *(RawEntry(name, is_folder=False) for name in top.files), *self.below(recordings)]
        if not entries:
            raise NoSessionData(
                f"{self.session_id}: an upload was started ({self.asset.name} is registered), but no files have "
                f"arrived: there is nothing in {self.folder.uri}"
            )
        return entries


def raw_data_paths(settings: Settings, session_id: str, asset: Asset) -> tuple[upath.UPath, ...]:
    """Return `get_raw_data_paths_from_s3` of a raw asset that is known. Raises as that does."""
    raw = RawFolder.of(settings, session_id, asset)
    return raw.folder.paths(entry.name for entry in raw.entries())


def holds_recordings(name: str) -> bool:
    return "ecephys" in PurePosixPath(name).stem and not is_zarr(name)


def is_zarr(name: str) -> bool:
    """Return True for a folder that holds one object for each chunk: it is never listed."""
    return ".zarr" in PurePosixPath(name).suffix


def asset_path(settings: Settings, asset: Asset) -> upath.UPath:
    """Return the path of the folder with the files of an asset.

    Raises:
        MissingDependency: It is on S3, and s3fs is not installed.
    """
    from npc_lims.sources.s3.query import asset_uri

    uri = asset_uri(asset, settings.codeocean_bucket)
    # another cloud's paths can be named, and opened by whoever has installed what that takes
    return s3_path(settings, uri) if uri.startswith("s3://") else named_path(settings, uri)


def asset_folder(settings: Settings, asset: Asset) -> S3Folder:
    """Return the folder with the files of an asset, to be listed.

    Raises:
        AssetError: They are not on S3.
    """
    from npc_lims.sources.s3.query import asset_root

    try:
        return S3Folder(settings, *asset_root(asset, settings.codeocean_bucket))
    except SourceError as error:
        raise AssetError(f"{error.reason}, which cannot be listed") from None
