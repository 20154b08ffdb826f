"""The four places that know of sessions, one module each.

Each module turns one external system into an `Observation`: facts by session id, or a typed
failure. What an observation may change is decided by `npc_lims.reconcile` alone.
"""

from __future__ import annotations

from npc_lims.sources.observation import Observation, failed

__all__ = ["Observation", "failed"]
