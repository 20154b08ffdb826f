"""Constants: paths of the files that belong to all sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from npc_lims.model.flags import DATA_REPO_ISILON

if TYPE_CHECKING:
    import upath

    CACHE_ROOT: upath.UPath
    CODE_OCEAN_DATA_BUCKET: upath.UPath
    DR_DATA_REPO: upath.UPath
    DR_DATA_REPO_ISILON: upath.UPath
    IBL_ANNOTATIONS_REPO: upath.UPath
    S3_SCRATCH_ROOT: upath.UPath
    TISSUECYTE_REPO: upath.UPath

_FIXED = {"DR_DATA_REPO_ISILON": DATA_REPO_ISILON, "S3_SCRATCH_ROOT": "s3://aind-scratch-data/dynamic-routing"}
# Settings whose defaults these are. The getters use the settings: a constant does not change with them.
_SETTINGS = {
    "CACHE_ROOT": "parquet_root",
    "CODE_OCEAN_DATA_BUCKET": "codeocean_bucket",
    "DR_DATA_REPO": "stim_root",
    "IBL_ANNOTATIONS_REPO": "ibl_root",
    "TISSUECYTE_REPO": "tissuecyte_root",
}


def __getattr__(name: str) -> upath.UPath:
    """Make a path when it is used: to import universal_pathlib takes longer than all of this package."""
    if name not in _FIXED and name not in _SETTINGS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from npc_lims.clients.s3_cached import named_path
    from npc_lims.config.settings import SETTINGS, load_settings

    uri = _FIXED.get(name)
    if uri is None:
        default = SETTINGS[_SETTINGS[name]].default
        uri = default if default.startswith("s3://") else f"s3://{default}"
    return named_path(load_settings(), uri)
