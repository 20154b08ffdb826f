"""What the sync workflow's commit job runs: `npc-lims publish`, to the branch of the run, with its address."""

from __future__ import annotations

import os
import sys

from npc_lims.cli import main

RUN = "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}"

if __name__ == "__main__":
    of_this_run = [
        f"--branch={os.environ['GITHUB_REF']}",
        f"--summary={os.environ['GITHUB_STEP_SUMMARY']}",
        f"--trailer=Npc-Lims-Run={RUN.format_map(os.environ)}",
    ]
    sys.argv[1:1] = ["publish", *of_this_run]
    main()
