"""The fields of a `SessionInfo`, from the record of a session and back."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable

from npc_lims.model.rows import allen_path_of, platform_of, project_of

if TYPE_CHECKING:
    import npc_session
    import upath

    from npc_lims.model.record import Platform
    from npc_lims.sessions.info import SessionInfo

__all__ = ["FIELDS", "record_of"]


def _parse_record_id(record: Mapping[str, Any]) -> npc_session.SessionRecord:
    import npc_session

    return npc_session.SessionRecord(record["id"])


def _allen_upath(record: Mapping[str, Any]) -> upath.UPath:
    import upath

    return upath.UPath(allen_path_of(record))


def _tracked(name: str, default: Callable[[], Any]) -> Callable[[Mapping[str, Any]], Any]:
    # a copy: objects made from one line share what it was parsed to, and callers may change what they are given
    return lambda record: copy.deepcopy((record["tracked"] or {}).get(name)) or default()


FIELDS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "id": _parse_record_id,
    "project": project_of,
    "is_ephys": lambda record: platform_of(record) == "ephys",
    "is_sync": lambda record: platform_of(record) in ("ephys", "behavior_with_sync"),
    "allen_path": _allen_upath,
    "experiment_day": _tracked("experiment_day", type(None)),
    "session_kwargs": _tracked("session_kwargs", dict),
    "notes": _tracked("notes", str),
    "issues": _tracked("issues", list),
}


def record_of(info: SessionInfo) -> dict[str, Any]:
    """The record behind a SessionInfo that somebody constructed: what it says of itself, and nothing more."""
    from npc_lims.model.reconcile import reconcile_session
    from npc_lims.model.record import Record, Tracked

    platform: Platform = "ephys" if info.is_ephys else "behavior_with_sync" if info.is_sync else "behavior"
    tracked = Tracked(
        platform=platform,
        project=info.project,
        allen_path=str(info.allen_path),
        experiment_day=info.experiment_day or 1,
        session_kwargs=dict(info.session_kwargs),
        notes=info.notes,
        issues=list(info.issues),
    )
    record: Record = reconcile_session(str(info.id), Record(id=str(info.id), tracked=tracked), ())
    return record.as_dict()
