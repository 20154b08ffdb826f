"""The session as the package aind_session has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from npc_lims.errors import MissingDependency, NoSessionData, SessionIndexError
from npc_lims.model.session_id import resolve_session_id, split_session_id

if TYPE_CHECKING:
    import npc_session

__all__ = ["get_aind_session"]


def get_aind_session(session_id: str | npc_session.SessionRecord) -> Any:
    """The `aind_session.Session` of a session. It asks Code Ocean by itself, with the variables that it knows.

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
