"""Step of the alert job of a workflow: opens, updates or closes the issue about failing runs.

`python3 scripts/alert.py WORKFLOW "JOB=RESULT ERROR"...` needs neither installed packages nor artifacts: the issue must
also be opened if these are what failed. ERROR (from `github_job.run_command`) and the variable OUTCOME (from `npc-lims
observe` or `publish` with `--outcome`) are outputs of the other jobs. Without them only the results of the jobs are
known. The texts of the issue are in `npc_lims/clients/github_alerts.py`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from github_job import run_url, update_issue

from npc_lims.clients.github_alerts import ALERTS, RunReport, parse_outcome, update_alert
from npc_lims.clients.github_plain import PlainGitHubClient


def report_of(outcome: str) -> RunReport:
    """Return what is known of the sources: nothing, if the job that knew it ended before it could say so."""
    try:
        return parse_outcome(outcome)
    except ValueError as error:
        print(f"no details of sources: {error}")
        return RunReport((), (), is_complete=False)


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> str:
    workflow, *jobs = arguments
    results, errors = {}, {}
    for job in jobs:
        name, _, ended = job.partition("=")
        results[name], _, errors[name] = ended.partition(" ")
    return update_alert(
        PlainGitHubClient.of_job(environ),
        ALERTS[workflow],
        results,
        report_of(environ.get("OUTCOME", "")),
        run_url(environ),
        errors,
    )


if __name__ == "__main__":
    update_issue(lambda: main(sys.argv[1:], os.environ))
