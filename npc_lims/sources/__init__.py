"""The four places that know of sessions, one module each.

Each module turns one external system into an `Observation`: facts by session id, or a typed
failure. What an observation may change is decided by `npc_lims.model.reconcile` alone.
"""

__all__ = []
