"""The recorded locations of a session's files, without s3fs, credentials or a request to the sources."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Optional, Union

from npc_lims.config.settings import settings_for_reading
from npc_lims.errors import SelectionError
from npc_lims.model.locations import LOCATION_GROUPS, LOCATION_KINDS, SessionLocation, locations_of
from npc_lims.sessions.info import SessionInfo
from npc_lims.sessions.queries import select_session
from npc_lims.utils.text import single_line, suggestion

if TYPE_CHECKING:
    from npc_lims.model.types import Session


def get_session_locations(
    session: Session, kind: Optional[Union[str, Iterable[str]]] = None
) -> tuple[SessionLocation, ...]:
    """Return every recorded location of a session's files, and why there is none of the other kinds.

        {one.kind: one.location for one in npc_lims.get_session_locations(session) if one.location}

    Nothing is queried about a session of state: no file, asset or folder is tested.

    Args:
        session: Any id, path or asset of a session. Of a `SessionInfo` at a commit, the locations recorded then.
        kind: Only this kind, or these: a name of `LOCATION_KINDS` such as `raw` or `dlc_eye`, or `annotations`, `dlc`
            or `caches` for several.

    Raises:
        SelectionError: There is no such kind; the message suggests the nearest one.
        NoSessionInfo: No such session. Other errors: as `get_session_info`.
    """
    settings = settings_for_reading()
    kinds = expand_kinds([kind] if isinstance(kind, str) else kind)
    info = session if isinstance(session, SessionInfo) else select_session(settings, session)
    return locations_of(info.parse_without_caching(), settings, kinds)


def expand_kinds(kinds: Optional[Iterable[str]]) -> tuple[str, ...]:
    """Return the kinds that these names stand for, in one order; all for None. SelectionError for one that is none."""
    if kinds is None:
        return LOCATION_KINDS
    known: dict[str, tuple[str, ...]] = {name.lower(): (name,) for name in LOCATION_KINDS}
    known.update(LOCATION_GROUPS)
    found: set[str] = set()
    for name in kinds:
        chosen = known.get(str(name).strip().lower().replace("-", "_"))
        if chosen is None:
            near = suggestion(str(name), [*LOCATION_KINDS, *LOCATION_GROUPS]) or f"; kinds: {', '.join(LOCATION_KINDS)}"
            raise SelectionError(f"{single_line(repr(name), 60)} is no kind of location{near}")
        found.update(chosen)
    return tuple(kind for kind in LOCATION_KINDS if kind in found)
