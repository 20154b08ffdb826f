"""What the sync workflow's commit job runs: `npc-lims publish`, to the branch of the run, with its address."""

from __future__ import annotations

import os
import sys

from github_job import outcome_file, run_command, run_url

if __name__ == "__main__":
    of_this_run = [
        f"--branch={os.environ['GITHUB_REF']}",
        f"--summary={os.environ['GITHUB_STEP_SUMMARY']}",
        f"--trailer=Npc-Lims-Run={run_url()}",
        f"--outcome={outcome_file()}",
    ]
    sys.exit(run_command(["publish", *of_this_run, *sys.argv[1:]]))
