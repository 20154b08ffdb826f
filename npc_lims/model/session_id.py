"""Session ids in their one written form: `<subject>_<YYYY-MM-DD>`, with `_<idx>` from the second of a day on."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterable
from typing import Any

from npc_lims.errors import NoSessionInfo
from npc_lims.model.types import Session
from npc_lims.utils.text import single_line

ID_PATTERN = re.compile(r"(?P<subject>[0-9]{6,7})_(?P<date>20[0-9]{2}-[0-9]{2}-[0-9]{2})(?:_(?P<idx>[1-9][0-9]?))?")

_SHOWN = 100
_SESSIONS_OF_A_DAY = 4  # more than there have ever been


def make_session_id(subject: int | str, date: str, idx: int = 0) -> str:
    """
    >>> make_session_id(626791, "2022-08-15"), make_session_id(626791, "2022-08-15", 1)
    ('626791_2022-08-15', '626791_2022-08-15_1')
    """
    return f"{subject}_{date}" + (f"_{idx}" if idx else "")


def split_session_id(session_id: str) -> tuple[str, str, int]:
    """
    >>> split_session_id("626791_2022-08-15")
    ('626791', '2022-08-15', 0)
    """
    match = ID_PATTERN.fullmatch(session_id)
    if match is None:
        raise ValueError(f"{session_id!r} is not a session id such as 626791_2022-08-15 or 626791_2022-08-15_1")
    return match["subject"], match["date"], int(match["idx"] or 0)


def subject_of(session_id: str) -> str:
    return split_session_id(session_id)[0]


def day_of(session_id: str) -> str:
    """The id without its index: what all sessions of a subject on one day share."""
    subject, date, _ = split_session_id(session_id)
    return f"{subject}_{date}"


def ids_of_day(session_id: str) -> list[str]:
    """Return the ids that sessions of that subject and day can have: the first few, and its own.

    >>> ids_of_day("626791_2022-08-15_1")
    ['626791_2022-08-15', '626791_2022-08-15_1', '626791_2022-08-15_2', '626791_2022-08-15_3']
    """
    subject, date, index = split_session_id(session_id)
    return [make_session_id(subject, date, number) for number in sorted({*range(_SESSIONS_OF_A_DAY), index})]


def parse_session_id(value: Any) -> str:
    """Return the id in a path, asset name or record, by the rules of `npc_session.SessionRecord`; ValueError if none.

    >>> parse_session_id("DRpilot_626791_20220815")
    '626791_2022-08-15'
    """
    text = str(getattr(value, "id", value))
    # an id in its written form is by far the commonest and needs no npc_session, which takes 20 ms to import
    if ID_PATTERN.fullmatch(text):
        datetime.date.fromisoformat(split_session_id(text)[1])
        return text
    import npc_session

    written = str(npc_session.SessionRecord(text))
    if not ID_PATTERN.fullmatch(written):  # an index of so many digits names no session, nor a file
        raise ValueError(f"{single_line(text, 100)!r} has an index above 99")
    return written


def resolve_session_id(session: Session) -> str:
    """Return the id of a session in its written form, given any form of it; NoSessionInfo if it is none."""
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
            "asset name that holds a subject and a date that a session can have"
        ) from None


def suggest_ids(session_id: str, ids: Iterable[str]) -> str:
    """Return a clause that names ids similar to one that is not among them; empty if there are none.

    >>> suggest_ids("626791_2022-08-14", ["626791_2022-08-15", "636397_2022-09-26"])
    '; near to it: 626791_2022-08-15'
    """
    import difflib

    known = list(ids)
    # of the same subject, else mistyped in a digit or two; what is further away is no help
    near = [other for other in known if subject_of(other) == subject_of(session_id)][:3]
    near = near or difflib.get_close_matches(session_id, known, 3, cutoff=0.9)
    return f"; near to it: {', '.join(near)}" if near else ""
