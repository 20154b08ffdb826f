"""Tests of npc_lims, one module for each of the package's, and what they share."""

import hypothesis

# any machine may pause for a moment: how long one example takes is no property of the code
hypothesis.settings.register_profile("npc_lims", deadline=None)
hypothesis.settings.load_profile("npc_lims")
