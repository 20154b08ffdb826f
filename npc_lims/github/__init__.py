"""What is asked of GitHub: pull requests, runs of the sync workflow, and the issues about failures.

Importing this takes the standard library alone, as `alert` runs where nothing is installed.
"""

from __future__ import annotations

from npc_lims.github.alert import ALERTS, Alert, Cleared, Failure, RunReport, clear_alert, raise_alert, update_alert
from npc_lims.github.dispatch import (
    Job,
    Run,
    Step,
    dispatch_sync,
    find_run,
    find_running,
    follow_run,
    look_at_run,
)
from npc_lims.github.propose import Proposal, Proposed, Revised, propose

__all__ = [
    "ALERTS",
    "Alert",
    "Cleared",
    "Failure",
    "Job",
    "Proposal",
    "Proposed",
    "Revised",
    "Run",
    "RunReport",
    "Step",
    "clear_alert",
    "dispatch_sync",
    "find_run",
    "find_running",
    "follow_run",
    "look_at_run",
    "propose",
    "raise_alert",
    "update_alert",
]
