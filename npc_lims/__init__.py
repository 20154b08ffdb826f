"""Paths, metadata and state of Mindscope Neuropixels sessions, kept in git.

Names are loaded on first use (PEP 562): importing the package itself costs next to nothing.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # as type checkers read it too; importing typing takes longer than all the rest
if TYPE_CHECKING:
    from npc_lims.errors import (
        GitError,
        GitHubError,
        LiveStateWarning,
        MissingCredentials,
        NoRemoteState,
        NoSessionInfo,
        NpcLimsError,
        NpcLimsWarning,
        RemoteStateError,
        SettingsError,
        SourceError,
        StaleStateWarning,
        StateError,
        SyncRefused,
        TrackedFileError,
        UnknownStatusWarning,
    )
    from npc_lims.memo import clear_caches
    from npc_lims.session_info import SessionInfo
    from npc_lims.sessions import (
        get_session_info,
        get_session_issues,
        get_session_kwargs,
        state_origin,
    )

__version__ = "1.0.0"

__all__ = [
    "GitError",
    "GitHubError",
    "LiveStateWarning",
    "MissingCredentials",
    "NoRemoteState",
    "NoSessionInfo",
    "NpcLimsError",
    "NpcLimsWarning",
    "RemoteStateError",
    "SessionInfo",
    "SettingsError",
    "SourceError",
    "StaleStateWarning",
    "StateError",
    "SyncRefused",
    "TrackedFileError",
    "UnknownStatusWarning",
    "clear_caches",
    "get_session_info",
    "get_session_issues",
    "get_session_kwargs",
    "state_origin",
]

_HOMES = {
    "clear_caches": "npc_lims.memo",
    "SessionInfo": "npc_lims.session_info",
    "get_session_info": "npc_lims.sessions",
    "get_session_issues": "npc_lims.sessions",
    "get_session_kwargs": "npc_lims.sessions",
    "state_origin": "npc_lims.sessions",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES.get(name, "npc_lims.errors")), name)
    globals()[name] = value  # the next access finds it without coming here
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
