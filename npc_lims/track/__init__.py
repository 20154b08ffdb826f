"""Editing of tracked_sessions.yaml in place: text in, text out."""

from npc_lims.track.edits import (
    Add,
    Change,
    Deduped,
    Duplicate,
    Edit,
    EditResult,
    Remove,
    apply_changes,
    dedupe,
    make_changes,
)
from npc_lims.track.summary import ChangedSession

__all__ = [
    "Add",
    "Change",
    "ChangedSession",
    "Deduped",
    "Duplicate",
    "Edit",
    "EditResult",
    "Remove",
    "apply_changes",
    "dedupe",
    "make_changes",
]
