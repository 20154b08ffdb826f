"""The four places that know of sessions, one module each.

Each module turns one external system into an `Observation`: facts by session id, or a typed
failure. What an observation may change is decided by `npc_lims.reconcile` alone.
"""

__all__ = ["TRACKED_FILE"]

TRACKED_FILE = "tracked_sessions.yaml"
"""The name of the file of sessions that people list, beside `state/`."""
