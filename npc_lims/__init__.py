"""Paths, metadata and state of Mindscope Neuropixels sessions, stored in git.

Names are loaded on first use (PEP 562), from the modules that `__init__.pyi` lists: importing the package itself costs
next to nothing.
"""

from __future__ import annotations

import importlib
import sys

TYPE_CHECKING = False  # typing takes longer to import than all of this
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

__version__ = "1.0.0"


def _read_stub() -> dict[str, str]:
    """Return the module of each public name: each is on a line `NAME as NAME`, with or after `from MODULE import`."""
    modules: dict[str, str] = {}
    module = ""
    stub: bytes = __loader__.get_data(f"{__file__}i")  # the package may be in a zip
    for line in stub.decode().splitlines():
        words = line.split()
        if words[:1] == ["from"]:
            module = words[1]
        if words[-2:-1] == ["as"]:
            modules[words[-3]] = module
    return modules


_homes = _read_stub()
__all__ = sorted(_homes)


def __getattr__(name: str) -> object:
    if name not in _homes:
        from npc_lims.old_paths import load

        return load(name, __name__)
    value: object = getattr(importlib.import_module(_homes[name]), name)
    globals()[name] = value  # the next access finds it without coming here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_GONE = frozenset(
    {
        "npc_lims.exceptions",
        "npc_lims.jobs",
        "npc_lims.jobs.queue",
        "npc_lims.metadata.codeocean_utils",
        "npc_lims.metadata.spreadsheets",
        "npc_lims.metadata.types",
        "npc_lims.paths.cache",
        "npc_lims.paths.s3",
        "npc_lims.status",
        "npc_lims.status.behavior_sessions",
        "npc_lims.status.tracked_sessions",
    }
)
"""Modules of 0.1 that are gone, which `old_paths` makes on import."""


class _OldPathFinder:
    """Finds them before the folders that git leaves of them in a checkout, which hold nothing but `__pycache__`."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name not in _GONE:
            return None
        from npc_lims.old_paths import find_spec

        return find_spec(name)


sys.meta_path.insert(0, _OldPathFinder)
