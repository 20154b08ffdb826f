"""Editing of tracked_sessions.yaml in place: text in, text out."""

from __future__ import annotations

from npc_lims.track.dedupe import Deduped, Repeat, dedupe
from npc_lims.track.edits import Add, Change, Changed, Edit, Remove, apply_changes, make_changes
from npc_lims.track.summary import Touched

__all__ = [
    "Add",
    "Change",
    "Changed",
    "Deduped",
    "Edit",
    "Remove",
    "Repeat",
    "Touched",
    "apply_changes",
    "dedupe",
    "make_changes",
]
