"""Where the files of a data asset are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from npc_lims.clients.s3_upath import named_path, s3_path
from npc_lims.errors import AssetError, SourceError

if TYPE_CHECKING:
    import upath

    from npc_lims.config.settings import Settings
    from npc_lims.model.record import Asset

__all__ = ["asset_folder", "asset_path"]


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
