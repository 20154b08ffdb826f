"""Tests of npc_lims, one module for each of the package's, and what they share."""

import hypothesis

# Any machine may pause for a moment: how long one example takes is no property of the code. Every run tries the same
# examples, so that CI fails for what was changed; `pytest --all --hypothesis-profile=explore` looks for new ones.
hypothesis.settings.register_profile("npc_lims", deadline=None, derandomize=True)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("npc_lims")
