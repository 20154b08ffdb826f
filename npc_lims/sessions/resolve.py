"""The session that is meant by an id in any form, by a path, or by the id or name of a data asset."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Callable, Optional

from npc_lims.config.settings import Settings
from npc_lims.errors import NoSessionData, NoSessionInfo, NpcLimsError, RemoteStateError, StateError
from npc_lims.model.flags import Facts
from npc_lims.model.session_id import ID_PATTERN, parse_session_id, resolve_session_id
from npc_lims.state.reader import SessionLines, read_snapshot
from npc_lims.state.snapshot import parse_line
from npc_lims.utils.text import single_line

if TYPE_CHECKING:
    from npc_lims.model.types import Session

_ASSET_ID = re.compile(r"(?<![0-9a-f-])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f-])", re.IGNORECASE)
_ASSET_NAME = re.compile(r"[A-Za-z]+(?P<start>_[0-9]{6,7}_20[0-9]{2}-[0-9]{2}-[0-9]{2}_[0-9]{2}-[0-9]{2}-[0-9]{2})")
# An asset of several sessions is meant as that of the first kind: surface channels are recorded as a session of their
# own, too, and imaging is of all sessions of a subject.
_SHARED = ("surface", "surface_sorted", "smartspim")


def resolve_session(settings: Settings, session: Session, lines: Optional[Callable[[], SessionLines]] = None) -> str:
    """Return the id of a session in its written form, given any form of it, or a data asset of it.

    An asset is searched in state (or in *lines*, those of another time): its name has a time where the id of the
    session has an index. One that state does not record is of the session that its name says; Code Ocean has the name
    of an id.

    Raises:
        NoSessionInfo: It is no session, nor an asset of one; or it is one of several sessions.
    """
    value = getattr(session, "id", session)
    text = str(value)
    if ID_PATTERN.fullmatch(text) or isinstance(value, (list, tuple, set, frozenset, dict)):
        return resolve_session_id(session)
    asset_id, name = _ASSET_ID.search(text), _ASSET_NAME.search(text)
    if asset_id is None and name is None:
        return resolve_session_id(session)
    try:
        known = read_snapshot(settings, warn_stale=False).lines if lines is None else lines()
    except (RemoteStateError, StateError):
        known = SessionLines([])
    found = None
    if asset_id is not None:
        found = _find(known, asset_id[0].lower(), lambda asset, key: asset["id"] == key)
    if found is None and name is not None:
        found = _find_name(known, name["start"])
    if found is not None:
        return found
    return resolve_session_id(session) if _is_named(text) else _of_code_ocean(settings, known, asset_id, text)


def is_asset(text: str) -> bool:
    """Return True for the id of a data asset, and for what may be the name of one; false for a path."""
    return "/" not in text and any(pattern.match(text) for pattern in (_ASSET_ID, _ASSET_NAME))


def _is_named(text: str) -> bool:
    try:
        return bool(parse_session_id(text))
    except ValueError:
        return False


def _find_name(lines: SessionLines, start: str) -> str | None:
    """Return the session with assets of that start: of one recording there may be newer results than state records."""
    return _find(lines, start, lambda asset, key: key in asset["name"])


def _of_code_ocean(settings: Settings, lines: SessionLines, asset_id: re.Match[str] | None, text: str) -> str:
    from npc_lims.sessions.cached_assets import asset_record

    assert asset_id is not None, f"{text}: any name of an asset holds a subject and a date"
    key = asset_id[0].lower()
    try:
        name = str(asset_record(settings, key).get("name"))
    except NoSessionData as error:
        raise NoSessionInfo(f"no session of state has it, and {error}") from None
    except NpcLimsError as error:
        why = f"state records no data asset {key}, and Code Ocean could not be queried: {error}"
        raise NoSessionInfo(why) from None
    match = _ASSET_NAME.search(name)
    try:
        return (match and _find_name(lines, match["start"])) or parse_session_id(name)
    except ValueError:
        raise NoSessionInfo(f"the data asset {key}, {single_line(name, 100)}, is not of one session") from None


def _find(lines: SessionLines, key: str, matches: Callable[[Any, str], bool]) -> str | None:
    """Return the session with a matching asset; None if there is none. Only lines that hold *key* are parsed."""
    needle = key.encode()
    holding = (parse_line(line) for line in lines.all if needle in line)
    found = [one for record in holding for one in _ranked(record, key, matches)]
    if not found:
        return None
    best = min(found)[0]
    ids = list(dict.fromkeys(session_id for rank, session_id in found if rank == best))
    if len(ids) > 1:
        shown = ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
        raise NoSessionInfo(f"{key.strip('_')} is a data asset of {len(ids)} sessions ({shown}): name one of them")
    return ids[0]


def _ranked(record: Facts, key: str, matches: Callable[[Any, str], bool]) -> Iterator[tuple[int, str]]:
    """Yield the rank and the session of each matching asset of a record."""
    for kind, asset in (record["codeocean"] or {}).items():
        if key in asset if kind == "errored" else asset and matches(asset, key):
            yield _SHARED.index(kind) + 1 if kind in _SHARED else 0, record["id"]
