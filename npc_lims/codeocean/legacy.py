"""Names that callers of older versions use: processes, their capsules, queue files, sessions of `aind_session`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from npc_lims.clients.codeocean_sdk import as_computation
from npc_lims.errors import (
    InputFileError,
    MissingDependency,
    NoSessionData,
    Problem,
    SessionIndexError,
    SourceError,
)
from npc_lims.model.session_id import resolve_session_id, split_session_id

if TYPE_CHECKING:
    import npc_session
    from codeocean.computation import Computation

__all__ = [
    "MODEL_CAPSULE_PIPELINE_MAPPING",
    "VIDEO_MAPPING",
    "VIDEO_MODELS",
    "CapsulePipelineInfo",
    "asset_exists",
    "get_aind_session",
    "read_computation_queue",
    "serialize_computation",
]


class CapsulePipelineInfo(NamedTuple):
    """A capsule or pipeline, and its process."""

    id: str
    process_name: str
    is_pipeline: bool


MODEL_CAPSULE_PIPELINE_MAPPING: dict[str, str] = {
    "dlc_eye": "4cf0be83-2245-4bb1-a55c-a78201b14bfe",
    "dlc_side": "facff99f-d3aa-4ecd-8ef8-a343c38197aa",
    "dlc_face": "a561aa4c-2066-4ff2-a916-0db86b918cdf",
    "facemap": "670de0b3-f73d-4d22-afe6-6449c45fada4",
    "sorting_pipeline": "1f8f159a-7670-47a9-baf1-078905fc9c2e",
}
"""Process to the id of its capsule; of its pipeline for sorting."""

VIDEO_MODELS = ("dlc_eye", "dlc_side", "dlc_face", "facemap", "LPFaceParts")
"""Processes that need the videos of a session."""

VIDEO_MAPPING: dict[str, str] = {
    "dlc_eye": "dlc_eye",
    "dlc_side": "dlc_side",
    "dlc_face": "dlc_face",
    "facemap": "facemap",
    "LPFaceParts": "LPFaceParts",
    "GammaEncoding": "gamma_encoding",
}
"""Process to the name of its flag, without `is_`."""


def asset_exists(session_id: str | npc_session.SessionRecord, process_name: str) -> bool:
    """Tell whether a session has a result of a video process, as its status says.

    Raises:
        ValueError: There is no such process.
        NoSessionInfo: There is no such session.
        MissingCredentials, SourceError: State does not know, and Code Ocean cannot be queried.
    """
    from npc_lims.sessions.queries import get_session_info

    status = VIDEO_MAPPING.get(process_name)
    if status is None:
        raise ValueError(
            f"there is no process {process_name!r} that is run on videos; known are: {', '.join(VIDEO_MAPPING)}"
        )
    return bool(getattr(get_session_info(session_id), f"is_{status}"))


def read_computation_queue(source: Path) -> dict[str, Computation | None]:
    """Return the run of each session in a queue file; None for a session whose turn has not come.

    Raises:
        InputFileError: The file cannot be read, or is no such queue.
    """
    try:
        queue = json.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unusable(source, f"cannot be read: {error.strerror or error}") from None
    except (RecursionError, ValueError) as error:
        raise _unusable(source, f"is not JSON: {error}", getattr(error, "lineno", 0)) from None
    if not isinstance(queue, dict):
        raise _unusable(source, "is not a queue: an object with a computation, or null, for each session is")
    return {session: _read_entry(source, session, entry) for session, entry in queue.items()}


def _read_entry(source: Path, session: str, entry: Any) -> Computation | None:
    if entry is None:
        return None
    if not isinstance(entry, dict):
        raise _unusable(source, f"{session}: expected a computation or null, found {entry!r}")
    try:
        return as_computation(entry)
    except SourceError as error:
        raise _unusable(source, f"{session}: {error.reason}") from None


def _unusable(source: Path, message: str, line: int = 0) -> InputFileError:
    return InputFileError([Problem(str(source), line, 0, "error", message)])


def serialize_computation(computation: Computation | None) -> dict[str, Any] | None:
    """Return a run as such a file holds it; None for None.

    Raises:
        TypeError: It is no computation.
    """
    from codeocean.computation import Computation

    if computation is None:
        return None
    if not isinstance(computation, Computation):
        raise TypeError(f"expected a Computation of the Code Ocean SDK or None, not {type(computation).__name__}")
    fields: dict[str, Any] = json.loads(computation.to_json())
    return fields


def get_aind_session(session_id: str | npc_session.SessionRecord) -> Any:
    """Return the `aind_session.Session` of a session. It queries Code Ocean by itself, with variables that it knows.

    Raises:
        MissingDependency: aind_session is not installed.
        NoSessionInfo: *session_id* has no subject and date in it.
        NoSessionData: There is none: nothing was uploaded.
        SessionIndexError: The day has fewer than the index of the session asks for.
    """
    checked = resolve_session_id(session_id)
    try:
        import aind_session
    except ImportError as error:
        raise MissingDependency(
            f"get_aind_session needs the package aind_session ({error}): pip install aind-session"
        ) from None
    subject, date, index = split_session_id(checked)
    found = aind_session.get_sessions(subject_id=subject, date=date)
    if not found:
        raise NoSessionData(f"aind_session knows no session of {subject} on {date}: has its raw data been uploaded?")
    if index >= len(found):
        raise SessionIndexError(f"{checked}: aind_session knows {len(found)} of that day, counted from 0")
    return found[index]
