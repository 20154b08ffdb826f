"""What changed between two states, in words that a person would use. Pure."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from npc_lims.model import SECTIONS, Asset, CodeOcean, Record, Tracked

__all__ = ["SessionChange", "changes_between", "headline"]

_FLAG_WORDS = {
    "is_uploaded": "uploaded",
    "is_session_json": "with session metadata",
    "is_rig_json": "with rig metadata",
    "is_video": "with video",
    "is_sorted": "sorted",
    "is_annotated": "annotated",
    "is_dlc_eye": "with DLC eye",
    "is_dlc_side": "with DLC side",
    "is_dlc_face": "with DLC face",
    "is_facemap": "with Facemap",
    "is_gamma_encoding": "gamma-encoded",
    "is_LPFaceParts": "with LPFaceParts",
    "is_surface_channels": "with surface channels",
    "is_surface_channels_sorted": "with surface channels sorted",
    "is_production": "production",
    "is_imaged": "imaged",
    "is_parquet_cached": "cached (parquet)",
    "is_nwb_cached": "cached (NWB)",
}
_MILESTONES = ("is_uploaded", "is_sorted", "is_annotated")


@dataclasses.dataclass(frozen=True)
class SessionChange:
    """One session that changed.

    Attributes:
        id: Session id.
        what: Kinds of change, such as `new`, `sorted`, `no longer sorted`, `asset replaced`, `edited`.
        details: What exactly, such as `day 3 -> 4`, for the kinds that need it.
    """

    id: str
    what: tuple[str, ...]
    details: tuple[str, ...] = ()


def changes_between(before: Mapping[str, Record], after: Mapping[str, Record]) -> list[SessionChange]:
    """Every session that differs, in id order."""
    changes = []
    for session_id in sorted({*before, *after}):
        old, new = before.get(session_id), after.get(session_id)
        if new is None:
            changes.append(SessionChange(session_id, ("removed",)))
        elif old is None:
            # of a session that was not there, only the milestones are news
            milestones = {flag: value for flag, value in new.status.items() if flag in _MILESTONES}
            changes.append(SessionChange(session_id, ("new", *_gained({}, milestones))))
        elif old is not new and old != new:
            changes.append(_change(session_id, old, new))
    return changes


def headline(changes: Iterable[SessionChange]) -> str:
    """Counts of each kind of change, the commonest first.

    >>> headline([SessionChange("a", ("sorted",)), SessionChange("b", ("sorted",)), SessionChange("c", ("new",))])
    '2 sorted, 1 new'
    """
    counts = Counter(word for change in changes for word in change.what)
    return ", ".join(f"{count} {word}" for word, count in counts.most_common()) or "nothing changed"


def _change(session_id: str, old: Record, new: Record) -> SessionChange:
    what = list(_gained(old.status, new.status))
    what += [
        f"no longer {word}"
        for flag, word in _FLAG_WORDS.items()
        if old.status.get(flag) is True and new.status.get(flag) is not True
    ]
    details: list[str] = []
    replaced = _replaced_assets(old, new)
    if replaced:
        what.append("asset replaced")
        details += replaced
    edits = _edits(old, new)
    if edits:
        what.append("edited")
        details += edits
    if old.training != new.training and (old.training or new.training):
        happened = "changed" if old.training and new.training else "added" if new.training else "gone"
        what.append(f"training row {happened}")
    if not what:
        moved = [name for name in SECTIONS if getattr(old, name) != getattr(new, name)]
        first = [name for name in moved if getattr(old, name) is None]
        what = [f"{name} first seen" for name in first] or [f"{name} facts changed" for name in moved]
    return SessionChange(session_id, tuple(what or ["status recomputed"]), tuple(details))


def _gained(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(word for flag, word in _FLAG_WORDS.items() if new.get(flag) is True and old.get(flag) is not True)


def _replaced_assets(old: Record, new: Record) -> list[str]:
    if not (isinstance(old.codeocean, CodeOcean) and isinstance(new.codeocean, CodeOcean)):
        return []
    found = []
    for name in CodeOcean.model_fields:
        was, now = getattr(old.codeocean, name), getattr(new.codeocean, name)
        if isinstance(was, Asset) and isinstance(now, Asset) and was.id != now.id:
            found.append(f"{name} {was.name} -> {now.name}")
    return found


def _edits(old: Record, new: Record) -> list[str]:
    was, now = old.tracked, new.tracked
    if not isinstance(was, Tracked) and not isinstance(now, Tracked):
        return []
    if not isinstance(was, Tracked):
        return [] if was is None else ["now in tracked_sessions.yaml"]
    if not isinstance(now, Tracked):
        return ["no longer in tracked_sessions.yaml"]
    return list(_field_edits(was.model_dump(), now.model_dump(), ""))


def _field_edits(was: Mapping[str, Any], now: Mapping[str, Any], prefix: str) -> Iterable[str]:
    for name in dict.fromkeys([*was, *now]):
        a, b = was.get(name), now.get(name)
        if a == b:
            continue
        if isinstance(a, Mapping) or isinstance(b, Mapping):
            yield from _field_edits(a or {}, b or {}, "")
        else:
            yield f"{prefix}{name} {_short(a)} -> {_short(b)}"


def _short(value: Any) -> str:
    text = "(none)" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
