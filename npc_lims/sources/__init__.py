"""The four sources, one module each, which turns an external system into an `Observation`.

What an observation may change is decided by `npc_lims.model.reconcile` alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from npc_lims.sources.context import Source

_MODULES = {
    "tracked": "npc_lims.sources.tracked.parser",
    "training": "npc_lims.sources.training.workbooks",
    "codeocean": "npc_lims.sources.codeocean.query",
    "s3": "npc_lims.sources.s3.query",
}
"""The module of each section of a record."""


def open_source(name: str) -> Source:
    """Return the source that writes a section of records. Its module is imported when it is first needed."""
    return cast("Source", importlib.import_module(_MODULES[name]))
