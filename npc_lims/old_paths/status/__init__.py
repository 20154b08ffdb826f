"""Sessions, under the path of 0.1: all names are in `npc_lims`."""

from npc_lims.old_paths import forward

__all__, __getattr__, __dir__ = forward(__name__)
