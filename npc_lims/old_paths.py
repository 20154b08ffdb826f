"""Modules of npc_lims 0.1 under their old paths, and names that they passed on.

All public names are in `npc_lims`. A module of 0.1 that is gone is made on import, and loads names from there on first
use: importing it costs next to nothing.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType

_PACKAGE = sys.modules["npc_lims"]
_PATHS = (*_PACKAGE._GONE, "npc_lims.metadata", "npc_lims.metadata.targeting", "npc_lims.paths")
_BY_SHORT_NAME = {path.rpartition(".")[2]: path for path in _PATHS}
"""Modules that `import npc_lims` loaded, by the name under which it and its packages had them."""

_SDK = {
    "codeocean.client": ("CodeOcean",),
    "codeocean.components": ("EveryoneRole", "Permissions"),
    "codeocean.computation": (
        "Computation", "ComputationEndStatus", "ComputationState", "DataAssetsRunParam", "RunParams",
    ),
    "codeocean.data_asset": (
        "ComputationSource", "DataAsset", "DataAssetOrigin", "DataAssetParams", "DataAssetState", "DataAssetType",
        "Source",
    ),
}  # fmt: skip
"""Classes of the Code Ocean SDK that 0.1 passed on, by their module."""

_RUN = "`npc-lims process run`, which records runs in state/runs, or npc_lims.run_capsule_or_pipeline for a single one"
_RECORDS = "`npc-lims process runs`: runs are recorded in state/runs/<process>.yaml"
_EXAMPLES = [f"EXAMPLE_JOB_STATUS{end}" for end in ("", "_BAD_RESULT", "_FAIL", "_INIT", "_NO_RESULTS", "_RUNNING")]

RETIRED = {
    **dict.fromkeys(_EXAMPLES, "an example of your own, of codeocean.computation.Computation"),
    "ModelCapsuleMappingError": "npc_lims.PipelinesError: processes and their capsules stand in pipelines.yaml",
    "ResultItemAPI": "dict[str, Any]",
    "RunCapsuleResponseAPI": "codeocean.computation.Computation",
    "SessionFileEntry": "npc_lims.FileContents, the type of the whole file",
    "add_sessions_to_queue": "`npc-lims process plan`: what is to run follows from state, and nothing is queued",
    "add_to_computation_queue": _RUN,
    "add_to_json": _RUN,
    "add_to_queue": _RUN,
    "add_tracked_ephys_sessions_from_spreadsheet": "`npc-lims track import`, or `npc-lims track add`",
    "create_all_data_assets": "`npc-lims process collect`",
    "create_data_asset": "`npc-lims process collect`, or npc_lims.create_session_data_asset for a single one",
    "get_current_job_status": f"npc_lims.get_job_status, or {_RECORDS}",
    "get_current_queue_computation": f"npc_lims.get_job_status, or {_RECORDS}",
    "get_data_asset_name": "the `asset` of the process in pipelines.yaml",
    "is_session_in_queue": _RECORDS,
    "is_started_or_completed": _RECORDS,
    "process_capsule_or_pipeline_queue": "`npc-lims process run` and `npc-lims process collect`",
    "read_json": f"{_RECORDS}; npc_lims.read_computation_queue still reads queue files",
    "start": _RUN,
    "sync_and_get_num_running_jobs": "`npc-lims process collect`",
    "sync_json": "`npc-lims process collect`",
}
"""Public names of 0.1 that are gone, and what to use instead. docs/migration.md gives the reasons."""


class _OldModule(Loader):
    """A module that is gone."""

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(zip(("__all__", "__getattr__", "__dir__"), forward(module.__name__)))


def find_spec(name: str) -> ModuleSpec:
    """Return the spec of a module that is gone."""
    return ModuleSpec(name, _OldModule(), is_package=True)


def load(name: str, module: str) -> object:
    """Return what 0.1 had as *name* in *module*, and is no public name any more; else AttributeError with a remedy."""
    if name in _BY_SHORT_NAME:
        return importlib.import_module(_BY_SHORT_NAME[name])
    for sdk_module, names in _SDK.items():
        if name in names:
            return getattr(importlib.import_module(sdk_module), name)
    message = f"module {module!r} has no attribute {name!r}"
    raise AttributeError(f"{message}: use {RETIRED[name]} (docs/migration.md)" if name in RETIRED else message)


def forward(module: str) -> tuple[list[str], Callable[[str], object], Callable[[], list[str]]]:
    """Return `__all__`, `__getattr__` and `__dir__` of a module whose names are those of `npc_lims`."""
    public: list[str] = _PACKAGE.__all__

    def get(name: str) -> object:
        return getattr(_PACKAGE, name) if name in public else load(name, module)

    def names() -> list[str]:
        return sorted({*vars(sys.modules[module]), *public})

    return public, get, names
