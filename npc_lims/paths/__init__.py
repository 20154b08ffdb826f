"""Locations of the files of a session: one module for each kind of file."""

from npc_lims.old_paths import forward

__all__, __getattr__, __dir__ = forward(__name__)  # 0.1 had the functions here, too
