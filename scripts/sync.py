"""What the sync workflow runs: `npc-lims sync` with the arguments given."""

from __future__ import annotations

import sys

from npc_lims.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["sync"]
    main()
