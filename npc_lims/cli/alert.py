"""`npc-lims alert`: the issue about a failing workflow. Workflows run the same by scripts/alert.py."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from npc_lims.cli.output import out
from npc_lims.config.settings import load_settings
from npc_lims.errors import NpcLimsError

if TYPE_CHECKING:
    from npc_lims.clients.github_issues import Failure, RunReport

__all__ = ["alert_command"]

_RESULTS = ("success", "failure", "cancelled", "skipped")


def alert_command(
    run: str = typer.Option(..., metavar="URL", help="Address of the run."),
    workflow: str = typer.Option("sync", metavar="NAME", help="Whose issue it is: sync or process."),
    result: Optional[list[str]] = typer.Option(
        None, metavar="JOB=RESULT", help=f"How a job ended, of {', '.join(_RESULTS)}; repeat for each job."
    ),
    failure: Optional[list[str]] = typer.Option(
        None, metavar="SOURCE: REASON", help="A source that could not be asked; repeat for each."
    ),
    outcome: Optional[Path] = typer.Option(
        None,
        help="Written by npc-lims observe or publish --outcome. A missing file says nothing, as after a job that died.",
    ),
) -> None:
    """Open, update or close the issue about a failing workflow.

    There is one, labelled sync-failure or process-failure. It is opened, updated, or closed: by a run in which every
    job succeeded, and every source that the issue names has answered. A run about some of the sessions or sources, as
    its --outcome says, closes nothing. A job that was skipped says nothing; one that was cancelled, while the run went
    on, was stopped by its time limit.

    Reads the results that it is given; writes that issue of NPC_LIMS_REPO. Needs GITHUB_TOKEN (issues: write).

    \b
    Examples:
      npc-lims alert --run https://github.com/lab/state/actions/runs/7 --result observe=success
      npc-lims alert --run https://github.com/lab/state/actions/runs/7 --failure "s3: timed out"
    """
    from npc_lims.clients.github_issues import ALERTS, RunReport, update_alert
    from npc_lims.clients.github_rest import RestClient

    alert = ALERTS.get(workflow)
    if alert is None:
        raise NpcLimsError(f"--workflow {workflow}: there is {' and '.join(ALERTS)}")
    results = _results(result or [])
    given = _given(failure or [])
    found = _outcome_of(outcome)
    report = RunReport([*given, *found.failures], found.answered, found.is_complete)
    done = update_alert(RestClient.from_settings(load_settings()), alert, results, report, run)
    out().print(done, soft_wrap=True)


def _results(values: list[str]) -> dict[str, str]:
    results = {}
    for value in values:
        name, _, said = value.partition("=")
        if not name or said not in _RESULTS:
            raise NpcLimsError(f"--result {value}: it must be JOB=RESULT, with a result of {', '.join(_RESULTS)}")
        results[name] = said
    return results


def _given(values: list[str]) -> list[Failure]:
    from npc_lims.clients.github_issues import Failure

    failures = []
    for value in values:
        source, colon, reason = value.partition(":")
        if not (source.strip() and colon and reason.strip()):
            raise NpcLimsError(f"--failure {value!r}: it must be SOURCE: REASON")
        failures.append(Failure(source.strip(), reason.strip()))
    return failures


def _outcome_of(path: Optional[Path]) -> RunReport:
    from npc_lims.clients.github_issues import RunReport, parse_outcome

    if path is None or not path.exists():
        return RunReport((), (), True)
    try:
        return parse_outcome(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NpcLimsError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise NpcLimsError(f"{path}: not what npc-lims publish --outcome writes") from None
