"""Where the files of a data asset are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from npc_lims.clients.s3_upath import s3_path
from npc_lims.config.lazy_settings import settings_for_reading
from npc_lims.errors import NoAssetLocation

if TYPE_CHECKING:
    import uuid

    import upath
    from codeocean.data_asset import DataAsset

__all__ = ["get_data_asset_s3_path", "get_path_from_data_asset"]


def get_path_from_data_asset(asset: str | uuid.UUID | DataAsset) -> upath.UPath:
    """The folder in the bucket that a data asset was made from: where raw data is.

    Raises:
        NoAssetLocation: It was made from no bucket on S3; the message tells what it was made from.
        NoSessionData, MissingCredentials, SourceError: An id was given, and the asset could not be had.
        MissingDependency: s3fs is not installed.
    """
    from npc_lims.codeocean.subject_assets import get_data_asset

    found = get_data_asset(asset)
    uri = _source_uri(found)
    if uri is None:
        raise NoAssetLocation(
            f"{found.name} ({found.id}) was made from no bucket: its files are in Code Ocean's own, where "
            "get_data_asset_s3_path() finds them"
        )
    return s3_path(settings_for_reading(), uri)


def get_data_asset_s3_path(asset_id: str | uuid.UUID | DataAsset) -> upath.UPath:
    """The folder on S3 with the files of a data asset: the bucket that it was made from, else Code Ocean's own.

    Nothing is asked: of an id alone, which may be given as text or as anything with an `id`, the folder is in Code
    Ocean's own bucket, whether it exists or not.

    Raises:
        NoSessionData: It is no id of a data asset.
        NoAssetLocation: The files are in another cloud.
        MissingDependency: s3fs is not installed.
    """
    from npc_lims.codeocean.subject_assets import checked_asset_id

    settings = settings_for_reading()
    uri = _source_uri(asset_id)
    if uri is None:
        # of any other text the path would be that of the whole bucket, or of nothing that is ever there
        uri = f"s3://{settings.codeocean_bucket}/{checked_asset_id(getattr(asset_id, 'id', asset_id))}"
    return s3_path(settings, uri)


def _source_uri(asset: Any) -> str | None:
    """The folder that an asset was made from; None for one made in Code Ocean, or known by its id alone."""
    source = getattr(asset, "source_bucket", None)
    if source is None:
        location: str | None = getattr(asset, "location", None)  # as state has it
        if location is not None and not location.startswith("s3://"):
            raise _elsewhere(asset, f"at {location}")
        return location
    if not source.bucket:
        return None
    path = f"{source.bucket}/{source.prefix or ''}".rstrip("/")
    origin = getattr(source.origin, "value", source.origin)
    if origin == "gcp":
        raise _elsewhere(asset, f"on Google Cloud, at gs://{path}")
    if origin == "local":
        return None
    if origin != "aws":
        raise _elsewhere(asset, f"at {path} in a cloud that is called {origin}")
    return f"s3://{path}"


def _elsewhere(asset: Any, where: str) -> NoAssetLocation:
    return NoAssetLocation(f"the files of {asset.name} ({asset.id}) are {where}: npc_lims reads S3 only")
