"""What the alert job of a workflow runs: `npc-lims alert`, for this repository and run."""

from __future__ import annotations

import os
import sys

from npc_lims.cli import main

RUN = "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}"

if __name__ == "__main__":
    os.environ["NPC_LIMS_REPO"] = os.environ["GITHUB_REPOSITORY"]
    sys.argv[1:1] = ["alert", f"--run={RUN.format_map(os.environ)}"]
    main()
