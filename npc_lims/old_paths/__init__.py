"""Modules of npc_lims 0.1 under their old paths, and names that they passed on.

All public names are in `npc_lims`. A module of 0.1 that is gone is a file of a few lines, which loads names from there
when they are asked for: importing it costs next to nothing.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, Callable

from npc_lims.old_paths.retired import RETIRED

__all__ = ["forward", "load"]

_MODULES = {
    "behavior_sessions": "npc_lims.status.behavior_sessions",
    "cache": "npc_lims.paths.cache",
    "codeocean_utils": "npc_lims.metadata.codeocean_utils",
    "exceptions": "npc_lims.exceptions",
    "jobs": "npc_lims.jobs",
    "metadata": "npc_lims.metadata",
    "paths": "npc_lims.paths",
    "queue": "npc_lims.jobs.queue",
    "s3": "npc_lims.paths.s3",
    "spreadsheets": "npc_lims.metadata.spreadsheets",
    "status": "npc_lims.status",
    "targeting": "npc_lims.metadata.targeting",
    "tracked_sessions": "npc_lims.status.tracked_sessions",
    "types": "npc_lims.model.types",
}
"""Modules that `import npc_lims` loaded, by the name under which it and its packages had them."""

_SDK = {
    "CodeOcean": "codeocean.client",
    "Computation": "codeocean.computation",
    "ComputationEndStatus": "codeocean.computation",
    "ComputationSource": "codeocean.data_asset",
    "ComputationState": "codeocean.computation",
    "DataAsset": "codeocean.data_asset",
    "DataAssetOrigin": "codeocean.data_asset",
    "DataAssetParams": "codeocean.data_asset",
    "DataAssetState": "codeocean.data_asset",
    "DataAssetType": "codeocean.data_asset",
    "DataAssetsRunParam": "codeocean.computation",
    "EveryoneRole": "codeocean.components",
    "Permissions": "codeocean.components",
    "RunParams": "codeocean.computation",
    "Source": "codeocean.data_asset",
}
"""Classes of the Code Ocean SDK that 0.1 passed on, by their module."""


def load(name: str, module: str) -> object:
    """A name of 0.1 that *module* is asked for and that is not public any more.

    Raises:
        AttributeError: There is none; for a retired name the message says what to use.
    """
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name in _SDK:
        return getattr(importlib.import_module(_SDK[name]), name)
    message = f"module {module!r} has no attribute {name!r}"
    raise AttributeError(f"{message}: use {RETIRED[name]} (docs/migration.md)" if name in RETIRED else message)


def forward(module: str) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """`__all__`, `__getattr__` and `__dir__` of a module whose names are those of `npc_lims`."""

    package = sys.modules["npc_lims"]
    public: list[str] = package.__all__

    def get(name: str) -> Any:
        return getattr(package, name) if name in public else load(name, module)

    def names() -> list[str]:
        return sorted({*vars(sys.modules[module]), *public})

    return public, get, names
