"""`npc-lims dispatch` and `npc-lims alert`: runs of workflows on GitHub, and the issues about those that fail."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import starmap
from pathlib import Path
from typing import Callable, Optional

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from npc_lims.cli import ExitCode
from npc_lims.cli.activity import paused_activity
from npc_lims.cli.options import FULL, ONLY, SESSIONS, pairs_of, session_ids_of, sources_of
from npc_lims.cli.output import err, out, print_error
from npc_lims.clients.github_actions import JobStep, WorkflowRun, dispatch_sync, find_run, wait_for_run
from npc_lims.clients.github_alerts import ALERTS, Failure, RunReport, parse_outcome, update_alert
from npc_lims.clients.github_plain import PlainGitHubClient
from npc_lims.config.settings import load_settings
from npc_lims.errors import NpcLimsError

_RESULTS = ("success", "failure", "cancelled", "skipped")
_STYLES = {"success": "green", "failure": "bold red", "timed_out": "bold red", "in_progress": "cyan"}

# Seconds that GitHub takes at most, on its busy days, to list a run that it has accepted.
_APPEARS_WITHIN = 120.0


def dispatch_command(
    only: Optional[list[str]] = ONLY,
    sessions: Optional[list[str]] = SESSIONS,
    full: bool = FULL,
    ref: Optional[str] = typer.Option(None, metavar="BRANCH", help="Branch to sync. Default: NPC_LIMS_REF."),
    wait: bool = typer.Option(False, "--wait", help="Follow the run to its end."),
    timeout: float = typer.Option(3600, min=0, metavar="SECONDS", help="Maximum time to follow it."),
    poll: float = typer.Option(5, min=0.01, metavar="SECONDS", help="Polling interval."),
) -> None:
    """Start the sync workflow on GitHub.

    Prints the URL of the run.

    Reads nothing here: the workflow reads the branch on GitHub, and writes state there. Needs GITHUB_TOKEN (actions:
    write).

    Exits with 0 if it was started, and with --wait if it succeeded; 2 if it cannot be started, does not appear or does
    not end in time; 3 with --wait if it did not succeed.

    \b
    Examples:
      npc-lims dispatch
      npc-lims dispatch --only codeocean,s3 --wait
      npc-lims dispatch --sessions 626791_2022-08-15 --full
    """
    settings = load_settings()
    sources = sources_of(only) if only else []
    request = dispatch_sync(
        settings, sources=sources, sessions=sorted(session_ids_of(sessions) or ()), full=full, ref=ref
    )
    run = find_run(settings, request, interval=poll, timeout=min(timeout, _APPEARS_WITHIN))
    out().print(run.url, soft_wrap=True)
    if not wait:
        return
    with show_run(err()) as update:
        run = wait_for_run(settings, run.id, interval=poll, timeout=timeout, on_change=update)
    raise typer.Exit(exit_code_of(run))


def exit_code_of(run: WorkflowRun) -> int:
    """Return the exit code for a run that is over, and report one that failed."""
    if run.conclusion == "success":
        return ExitCode.DONE
    failed = [job.name for job in run.jobs if job.conclusion not in ("success", "skipped", None)]
    which = f" ({', '.join(failed)})" if failed else ""
    print_error(f"the run ended with {run.conclusion}{which}; see its log: {run.url}")
    return ExitCode.INCOMPLETE


@contextlib.contextmanager
def show_run(console: Console) -> Iterator[Callable[[WorkflowRun], None]]:
    """Yield a function that shows a run: in a live table on a terminal, else by a line for each change."""
    if not console.is_terminal:
        yield RunLines(console)
        return
    from rich.live import Live

    runs: list[WorkflowRun] = []
    # drawn twice a second, as times go on
    with paused_activity(), Live(get_renderable=lambda: _run_table(runs), console=console, refresh_per_second=2):
        yield runs.append


class RunLines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed: set[str] = set()

    def __call__(self, run: WorkflowRun) -> None:
        for job in run.jobs:
            self._print(f"{job.name}: {_state(job)}", job)
            for step in job.steps:
                # steps take seconds: they are printed when they are over
                if step.status == "completed":
                    self._print(f"{job.name} / {step.name}: {_state(step)}", step)
        if run.is_over:
            self._print(f"run {run.id}: {run.conclusion}")

    def _print(self, line: str, step: Optional[JobStep] = None) -> None:
        if line not in self._printed:
            self._printed.add(line)
            self._console.print(line + (f" ({_duration(step)})" if step and step.ended and _duration(step) else ""))


def _run_table(runs: list[WorkflowRun]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    jobs = runs[-1].jobs if runs else ()
    if not jobs:
        table.add_row("waiting for a runner", "", "")
    for job in jobs:
        # the line of the job is enough, unless it is under way or has failed
        steps = () if job.conclusion in ("success", "skipped") else job.steps
        for step, name in ((job, Text(job.name, "bold")), *((step, Text(f"  {step.name}")) for step in steps)):
            table.add_row(name, Text(_state(step), _STYLES.get(_state(step), "")), _duration(step))
    return table


def _state(step: JobStep) -> str:
    return step.conclusion or step.status


def _duration(step: JobStep) -> str:
    """Return the time that it took, or has taken so far; empty if it never began."""
    if step.started is None or step.conclusion == "skipped" or step.status == "queued":
        return ""
    seconds = max(0, round(((step.ended or datetime.now(timezone.utc)) - step.started).total_seconds()))
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"


def alert_command(
    run: str = typer.Option(..., metavar="URL", help="URL of the run."),
    workflow: str = typer.Option("sync", metavar="NAME", help="Workflow that the issue is about: sync or process."),
    result: Optional[list[str]] = typer.Option(
        None, metavar="JOB=RESULT", help=f"How a job ended, of {', '.join(_RESULTS)}; repeat for each job."
    ),
    failure: Optional[list[str]] = typer.Option(
        None, metavar="SOURCE: REASON", help="A source that could not be queried; repeat for each."
    ),
    outcome: Optional[Path] = typer.Option(
        None,
        help="Written by npc-lims observe or publish --outcome. A missing file is ignored.",
    ),
) -> None:
    """Open, update or close the issue about a failing workflow.

    The issue is labelled sync-failure or process-failure. A run in which every job succeeded, and every source that the
    issue names was read, closes it. A run about some of the sessions or sources, as its --outcome says, closes nothing.
    A skipped job is ignored; a job that was cancelled while the run continued is reported as stopped by its time limit.

    Reads the results that it is given; writes that issue of NPC_LIMS_REPO. Needs GITHUB_TOKEN (issues: write).

    \b
    Examples:
      npc-lims alert --run https://github.com/lab/state/actions/runs/7 --result observe=success
      npc-lims alert --run https://github.com/lab/state/actions/runs/7 --failure "s3: timed out"
    """
    alert = ALERTS.get(workflow)
    if alert is None:
        raise NpcLimsError(f"--workflow {workflow}: there is {' and '.join(ALERTS)}")
    expected = f"JOB=RESULT, with a result of {', '.join(_RESULTS)}"
    results = dict(pairs_of("--result", result, f"(.+?)=({'|'.join(_RESULTS)})", expected))
    given = pairs_of("--failure", failure, r"([^:]*[^:\s])\s*:\s*(.+)", "SOURCE: REASON")
    found = _outcome_of(outcome)
    report = RunReport([*starmap(Failure, given), *found.failures], found.answered, found.is_complete)
    done = update_alert(PlainGitHubClient.authorized(load_settings()), alert, results, report, run)
    out().print(done, soft_wrap=True)


def _outcome_of(path: Optional[Path]) -> RunReport:
    if path is None or not path.exists():
        return RunReport((), (), True)
    try:
        return parse_outcome(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NpcLimsError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise NpcLimsError(f"{path}: not what npc-lims publish --outcome writes") from None
