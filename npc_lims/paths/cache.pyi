"""All public names, under the path of 0.1."""

from npc_lims import *  # noqa: F403
