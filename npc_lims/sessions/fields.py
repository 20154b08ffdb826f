"""The fields of a `SessionInfo`, from the record of a session."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable

from npc_lims.model.rows import allen_path_of, platform_of, project_of

if TYPE_CHECKING:
    import npc_session
    import upath


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
