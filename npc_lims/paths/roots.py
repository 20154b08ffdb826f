"""Constants: paths of the files that belong to all sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

__all__ = [
    "CACHE_ROOT",
    "CODE_OCEAN_DATA_BUCKET",
    "DR_DATA_REPO",
    "DR_DATA_REPO_ISILON",
    "IBL_ANNOTATIONS_REPO",
    "S3_SCRATCH_ROOT",
    "TISSUECYTE_REPO",
]

_S3_SCRATCH_ROOT = "s3://aind-scratch-data/dynamic-routing"
# Settings whose defaults these are. The getters use the settings: a constant does not change with them.
_SETTINGS = {
    "CACHE_ROOT": "parquet_root",
    "DR_DATA_REPO": "stim_root",
    "IBL_ANNOTATIONS_REPO": "ibl_root",
    "TISSUECYTE_REPO": "tissuecyte_root",
}


def __getattr__(name: str) -> upath.UPath:
    """Make a path when it is used: to import universal_pathlib takes longer than all of this package."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import upath

    from npc_lims.clients.s3_cached import named_path
    from npc_lims.config.settings import Settings, load_settings

    if name == "DR_DATA_REPO_ISILON":
        return upath.UPath(DATA_REPO_ISILON)
    if name == "S3_SCRATCH_ROOT":
        uri = _S3_SCRATCH_ROOT
    elif name == "CODE_OCEAN_DATA_BUCKET":
        uri = f"s3://{Settings.model_fields['codeocean_bucket'].default}"
    else:
        uri = Settings.model_fields[_SETTINGS[name]].default
    return named_path(load_settings(), uri)
