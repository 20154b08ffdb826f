"""Which workbooks there are, and where; and the database of each, published beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from npc_lims.clients.s3_cached import store_of
from npc_lims.clients.s3_upath import named_path, s3_path
from npc_lims.config.settings import load_settings
from npc_lims.errors import SourceError
from npc_lims.sources.training.workbooks import Origin, as_training, open_origin

if TYPE_CHECKING:
    import upath

    from npc_lims.config.settings import Settings

__all__ = [
    "get_training_spreadsheet_paths",
    "get_training_sqlite_paths",
    "list_workbooks",
    "origin_of_workbooks",
    "sqlite_name",
]

_PREFIX, _SUFFIX = "DynamicRoutingTraining", ".xlsx"


def get_training_spreadsheet_paths() -> tuple[upath.UPath, ...]:
    """All training workbooks, by name.

    Raises:
        SourceError: The folder cannot be listed, or has none.
        MissingCredentials: There are no credentials for S3.
        MissingDependency: They are on S3, and s3fs is not installed.
    """
    settings = load_settings()
    addresses = list_workbooks(settings).values()
    return tuple((s3_path if uri.startswith("s3://") else named_path)(settings, uri) for uri in addresses)


def get_training_sqlite_paths() -> tuple[upath.UPath, ...]:
    """Where `update_training_dbs()` writes: beside each workbook. Raises as `get_training_spreadsheet_paths`."""
    return tuple(path.with_suffix(".sqlite") for path in get_training_spreadsheet_paths())


def list_workbooks(settings: Settings) -> dict[str, str]:
    """Addresses of the workbooks by their file names, in the order of names."""
    with as_training():
        origin = origin_of_workbooks(settings)
        names = sorted(name for name in origin.names() if name.startswith(_PREFIX) and name.endswith(_SUFFIX))
    if not names:
        raise SourceError("training", f"there is no {_PREFIX}*{_SUFFIX} in {origin.address} (NPC_LIMS_TRAINING)")
    return {name: f"{origin.address}{name}" for name in names}


def origin_of_workbooks(settings: Settings) -> Origin:
    """The folder or bucket with the workbooks, the bucket opened once with all others."""
    return open_origin(settings, store_of(settings) if settings.training.startswith("s3://") else None)


def sqlite_name(workbook: str) -> str:
    """
    >>> sqlite_name("DynamicRoutingTrainingNSB.xlsx")
    'DynamicRoutingTrainingNSB.sqlite'
    """
    return str(Path(workbook).with_suffix(".sqlite"))
