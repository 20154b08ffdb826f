"""Paths, metadata and state of Mindscope Neuropixels sessions, kept in git.

Names are loaded on first use (PEP 562), from the modules that `__init__.pyi` lists: importing the package itself costs
next to nothing.
"""

from __future__ import annotations

import importlib

__path__.append(f"{__path__[0]}/old_paths")  # packages of 0.1 that are gone: npc_lims.jobs, npc_lims.status

__version__ = "1.0.0"


def _read_stub() -> dict[str, str]:
    """Return the module of each public name: each is on a line `NAME as NAME`, with or after `from MODULE import`."""
    modules: dict[str, str] = {}
    module = ""
    with open(f"{__file__}i", encoding="utf-8") as stub:
        for line in stub:
            words = line.split()
            if words[:1] == ["from"]:
                module = words[1]
            if words[-2:-1] == ["as"]:
                modules[words[-3]] = module
    return modules


_HOMES = _read_stub()

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value  # the next access finds it without coming here
        return value
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from npc_lims.old_paths import load

    return load(name, __name__)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
