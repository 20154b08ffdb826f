"""What the alert job of a workflow runs: it opens, updates or closes the issue about failing runs.

`python3 scripts/alert.py WORKFLOW JOB=RESULT...`, where nothing is installed and no artifact is needed: the issue must
be opened most of all when these cannot be had. OUTCOME is what `npc-lims observe` or `publish` wrote with `--outcome`,
as an output of its job; without it the results of the jobs are all that is known.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from github_job import run_url

from npc_lims.errors import GitHubError
from npc_lims.github.alert import ALERTS, RunReport, parse_outcome, update_alert
from npc_lims.github.plain_client import PlainClient, annotate


def report_of(outcome: str) -> RunReport:
    """Return what is known of the sources: nothing, if the job that knew it ended before it could say so."""
    try:
        return parse_outcome(outcome)
    except ValueError as error:
        print(f"no details of sources: {error}")
        return RunReport((), (), is_complete=False)


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> None:
    workflow, *results = arguments
    done = update_alert(
        PlainClient.of_job(environ),
        ALERTS[workflow],
        dict(result.split("=", 1) for result in results),
        report_of(environ.get("OUTCOME", "")),
        run_url(environ),
    )
    print(done)


if __name__ == "__main__":
    try:
        main(sys.argv[1:], os.environ)
    except GitHubError as error:
        sys.exit(annotate(error))
