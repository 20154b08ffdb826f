"""Constants: paths of the files that belong to all sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from npc_lims.clients.s3_cached import named_path
from npc_lims.config.settings import Settings, load_settings
from npc_lims.model.rows import DATA_REPO_ISILON

if TYPE_CHECKING:
    import upath

    CACHE_ROOT: upath.UPath
    CODE_OCEAN_DATA_BUCKET: upath.UPath
    DR_DATA_REPO: upath.UPath
    DR_DATA_REPO_ISILON: upath.UPath
    IBL_ANNOTATIONS_REPO: upath.UPath
    S3_SCRATCH_ROOT: upath.UPath
    TISSUECYTE_REPO: upath.UPath

# Of settings the defaults: the getters use the settings, and a constant does not change with them.
_URIS = {
    "CACHE_ROOT": Settings.parquet_root.default,
    "CODE_OCEAN_DATA_BUCKET": f"s3://{Settings.codeocean_bucket.default}",
    "DR_DATA_REPO": Settings.stim_root.default,
    "DR_DATA_REPO_ISILON": DATA_REPO_ISILON,
    "IBL_ANNOTATIONS_REPO": Settings.ibl_root.default,
    "S3_SCRATCH_ROOT": "s3://aind-scratch-data/dynamic-routing",
    "TISSUECYTE_REPO": Settings.tissuecyte_root.default,
}


def __getattr__(name: str) -> upath.UPath:
    """Make a path when it is used: to import universal_pathlib takes longer than all of this package."""
    if name not in _URIS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return named_path(load_settings(), _URIS[name])
