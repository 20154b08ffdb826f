"""Which session a caller means, and which ones they may have meant."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from npc_lims.errors import NoSessionInfo
from npc_lims.model.session_id import parse_session_id, subject_of
from npc_lims.utils.text import single_line

if TYPE_CHECKING:
    from npc_lims.model.types import Session

__all__ = ["near_to", "which_session"]

_NAMED = 3
_SHOWN = 100


def which_session(session: Session) -> str:
    """The session id that *session* is a form of.

    Raises:
        NoSessionInfo: It is none.
    """
    text = getattr(session, "id", session)
    if isinstance(text, Iterable) and not isinstance(text, (str, bytes, os.PathLike)):
        # its text begins with its first id, for which it must not be taken
        raise NoSessionInfo(
            f"{single_line(session, _SHOWN)!r} is not a session: give one id; get_session_info(id=[...]) finds several"
        )
    try:
        return parse_session_id(text)
    except ValueError:
        raise NoSessionInfo(
            f"{single_line(session, _SHOWN)!r} is not a session: give an id such as 626791_2022-08-15, or any path or "
            "asset name that holds a subject and a date"
        ) from None


def near_to(session_id: str, ids: Iterable[str]) -> str:
    """A clause that names the first ids near to one that is not among them; empty if there are none.

    >>> near_to("626791_2022-08-14", ["626791_2022-08-15", "636397_2022-09-26"])
    '; near to it: 626791_2022-08-15'
    """
    known = list(ids)
    # of the same subject, else mistyped in a digit or two; what is further away is no help
    near = [other for other in known if subject_of(other) == subject_of(session_id)][:_NAMED]
    near = near or difflib.get_close_matches(session_id, known, _NAMED, cutoff=0.9)
    return f"; near to it: {', '.join(near)}" if near else ""
