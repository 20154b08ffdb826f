"""`npc-lims process`, put together."""

from __future__ import annotations

import typer

from npc_lims.cli import process_collect, process_plan, process_run

__all__ = ["process_app"]

process_app = typer.Typer(
    help="Run capsules and pipelines of Code Ocean for sessions.\n\nWhat is run, and for which, says pipelines.yaml."
    "\n\n\b\nExamples:\n  npc-lims process plan"
    "\n  npc-lims process run --dry-run"
    "\n  npc-lims process collect --wait 600",
    no_args_is_help=True,
    rich_markup_mode=None,
)
process_app.command("plan")(process_plan.plan_command)
process_app.command("runs")(process_plan.runs_command)
process_app.command("run")(process_run.run_command)
process_app.command("collect")(process_collect.collect_command)
process_app.command("claim")(process_run.claim_command)
process_app.command("start")(process_run.start_command)
process_app.command("record")(process_collect.record_command)
