"""Options that several commands share: which sources and sessions are meant, and which tracked file."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from npc_lims.cli.places import checkout
from npc_lims.config.environment import TRACKED_FILE
from npc_lims.errors import NpcLimsError, SelectionError
from npc_lims.model.record import SECTIONS

__all__ = [
    "CHANGED_HELP",
    "ONLY_HELP",
    "SESSIONS_HELP",
    "session_ids_of",
    "sources_of",
    "tracked_beside",
]

ONLY_HELP = f"Sources to ask, of {', '.join(SECTIONS)}; repeat or separate by commas."
SESSIONS_HELP = "Sessions that may change, by any form of their ids; repeat or separate by commas."
CHANGED_HELP = "Only sessions whose entry in the tracked file says something new, or that were never asked about."


def tracked_beside(folder: Path) -> Path:
    """The tracked file that belongs to a state folder.

    Raises:
        NpcLimsError: There is neither: a sync would begin a state where nobody wants one.
    """
    beside = folder.resolve().parent / TRACKED_FILE
    found = beside if beside.is_file() else checkout() / TRACKED_FILE
    if not found.exists() and not folder.exists():
        raise NpcLimsError(
            f"{found}: there is no such file, and no state folder {folder}: "
            "run this in a checkout that has them, or give --state and --tracked"
        )
    return found


def sources_of(only: Optional[list[str]]) -> list[str]:
    """
    Raises:
        SelectionError: One of these is no source, or there are none.
    """
    chosen = _split(only)
    if only is not None and not chosen:
        raise SelectionError("--only names no source; leave it out for all of them")
    unknown = [name for name in chosen if name not in SECTIONS]
    if unknown:
        raise SelectionError(f"--only {','.join(unknown)}: no such source; there are {', '.join(SECTIONS)}")
    return [name for name in SECTIONS if name in chosen] if chosen else list(SECTIONS)


def session_ids_of(values: Optional[list[str]]) -> Optional[frozenset[str]]:
    """
    Raises:
        SelectionError: One of these is no session id, or there are none.
    """
    from npc_lims.model.session_id import parse_session_id

    if values is None:
        return None
    if not _split(values):
        raise SelectionError("--sessions names no session; leave it out for all of them")
    ids = []
    for value in _split(values):
        try:
            ids.append(parse_session_id(value))
        except ValueError:
            raise SelectionError(f"--sessions {value}: there is no subject and date in it") from None
    return frozenset(ids)


def _split(values: Optional[list[str]]) -> list[str]:
    return [part.strip() for value in values or [] for part in value.split(",") if part.strip()]
