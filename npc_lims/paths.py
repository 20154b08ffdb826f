"""Where a session's files are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import upath

    from npc_lims.settings import Settings
    from npc_lims.sources.objects import ObjectStore

__all__ = ["list_raw_data_paths"]


def list_raw_data_paths(settings: Settings, raw: Mapping[str, Any]) -> tuple[upath.UPath, ...]:
    """Files at the top of a raw data folder, entries one level down, and those inside of `ecephys*` folders there.

    Raises:
        MissingCredentials: No AWS credentials.
        SourceError: A listing failed, or the folder is not on S3.
        FileNotFoundError: The folder is empty: an upload was begun and nothing has arrived.
    """
    import upath

    from npc_lims.model import Asset
    from npc_lims.sources.objects import open_store
    from npc_lims.sources.s3 import raw_root

    bucket, root = raw_root(Asset.model_validate(raw), settings.codeocean_bucket)
    paths = tuple(upath.UPath(f"s3://{bucket}/{root}{name}") for name in _names(open_store(settings), bucket, root))
    if not paths:
        raise FileNotFoundError(f"nothing has been uploaded to s3://{bucket}/{root} yet")
    return paths


def _names(store: ObjectStore, bucket: str, root: str) -> Iterator[str]:
    top = store.list_folder(bucket, root)
    for folder in top.folders:
        inside = store.list_folder(bucket, f"{root}{folder}/")
        yield from (f"{folder}/{name}" for name in inside.names)
        for below in inside.folders:
            if "ecephys" in below:
                deeper = store.list_folder(bucket, f"{root}{folder}/{below}/")
                yield from (f"{folder}/{below}/{name}" for name in deeper.names)
    yield from top.files
