"""`npc-lims dispatch`: start the sync workflow on GitHub, and watch it."""

from __future__ import annotations

from typing import Optional

import typer

from npc_lims.cli import ExitCode
from npc_lims.cli.options import ONLY_HELP, SESSIONS_HELP, session_ids_of, sources_of
from npc_lims.cli.output import err, out, print_error
from npc_lims.config.settings import load_settings

__all__ = ["dispatch_command"]

# Seconds that GitHub takes at most, on its busy days, to list a run that it has accepted.
_APPEARS_WITHIN = 120.0


def dispatch_command(
    only: Optional[list[str]] = typer.Option(None, help=ONLY_HELP),
    sessions: Optional[list[str]] = typer.Option(None, help=SESSIONS_HELP),
    full: bool = typer.Option(False, "--full", help="Read again also what has not changed."),
    ref: Optional[str] = typer.Option(None, metavar="BRANCH", help="Branch to sync. Default: NPC_LIMS_REF."),
    wait: bool = typer.Option(False, "--wait", help="Follow the run to its end."),
    timeout: float = typer.Option(3600, min=0, metavar="SECONDS", help="Follow it no longer than this."),
    poll: float = typer.Option(5, min=0.01, metavar="SECONDS", help="Look at it as often as this."),
) -> None:
    """Start the sync workflow on GitHub.

    Printed is the address of its run.

    Reads nothing here: the workflow reads the branch on GitHub, and writes state there. Needs GITHUB_TOKEN (actions:
    write).

    Exits with 0 if it was started, and with --wait if it succeeded; 2 if it cannot be started, is not listed or is not
    over in time; 3 with --wait if it did not succeed.

    \b
    Examples:
      npc-lims dispatch
      npc-lims dispatch --only codeocean,s3 --wait
      npc-lims dispatch --sessions 626791_2022-08-15 --full
    """
    from npc_lims.cli.run_view import watching
    from npc_lims.clients.github_actions import dispatch_sync, find_run, wait_for_run

    settings = load_settings()
    sources = sources_of(only) if only else []
    request = dispatch_sync(
        settings, sources=sources, sessions=sorted(session_ids_of(sessions) or ()), full=full, ref=ref
    )
    run = find_run(settings, request, interval=poll, timeout=min(timeout, _APPEARS_WITHIN))
    out().print(run.url, soft_wrap=True)
    if not wait:
        return
    with watching(err()) as watch:
        run = wait_for_run(settings, run.id, interval=poll, timeout=timeout, on_change=watch)
    if run.conclusion != "success":
        failed = [job.name for job in run.jobs if job.conclusion not in ("success", "skipped", None)]
        which = f" ({', '.join(failed)})" if failed else ""
        print_error(f"the run ended with {run.conclusion}{which}; its log tells why: {run.url}")
        raise typer.Exit(ExitCode.INCOMPLETE)
