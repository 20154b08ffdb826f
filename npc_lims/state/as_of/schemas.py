"""Whether this version of the package can read what was committed by another one."""

from __future__ import annotations

import json
from collections.abc import Sequence

from npc_lims.errors import StateError
from npc_lims.model.rows import SCHEMA
from npc_lims.state.as_of.revision import Point

__all__ = ["check_schema"]


def check_schema(lines: Sequence[bytes], point: Point, repo: str) -> None:
    """Refuse a snapshot of another schema. All lines of a snapshot are of one: the first tells.

    Raises:
        StateError: It is of another schema.
        ValueError: It is no snapshot.
    """
    if not lines:
        return
    facts = json.loads(lines[0])
    found = facts.get("schema") if isinstance(facts, dict) else None
    if found == SCHEMA:
        return
    if isinstance(found, int) and found > SCHEMA:
        remedy = "upgrade npc_lims"
    else:
        remedy = f"the npc_lims of that time reads it: pip install git+https://github.com/{repo}@{point.sha[:10]}"
    raise StateError(f"{point}: state of schema {found!r}, this version reads {SCHEMA}; {remedy}")
