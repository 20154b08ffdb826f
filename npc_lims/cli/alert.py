"""`npc-lims alert`: what the last job of a workflow does with the results of the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from npc_lims.cli.console import out
from npc_lims.errors import NpcLimsError
from npc_lims.settings import load_settings

if TYPE_CHECKING:
    from npc_lims.github import Failure

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
        None, help="What npc-lims publish --outcome wrote. A missing file says nothing, as after a job that died."
    ),
) -> None:
    """Keep the issue that tells of a failing workflow.

    There is one, labelled sync-failure or process-failure. It is opened, updated, or closed: by a run in which every
    job succeeded, and every source that the issue names has answered. A job that was skipped says nothing; one that was
    cancelled, while the run went on, was stopped by its time limit.

    Reads the results that it is given; writes that issue of NPC_LIMS_REPO. Needs GITHUB_TOKEN (issues: write).

    \b
    Examples:
      npc-lims alert --run https://github.com/lab/state/actions/runs/7 --result observe=success
      npc-lims alert --run https://github.com/lab/state/actions/runs/7 --failure "s3: timed out"
    """
    from npc_lims.github import ALERTS, clear_alert, raise_alert

    alert = ALERTS.get(workflow)
    if alert is None:
        raise NpcLimsError(f"--workflow {workflow}: there is {' and '.join(ALERTS)}")
    results = _results(result or [])
    answered, failed = _of_outcome(outcome)
    failures = [*_given(failure or []), *failed, *_of_jobs(results)]
    settings = load_settings()
    if failures:
        url = raise_alert(settings, alert, failures, run)
        out().print(f"{', '.join(dict.fromkeys(one.source for one in failures))}: told in {url}", soft_wrap=True)
    elif results and set(results.values()) == {"success"}:
        cleared = clear_alert(settings, alert, run, {*answered, *(_job(name) for name in results)})
        out().print(f"all succeeded{cleared}", soft_wrap=True)
    else:
        out().print("no job failed, and not all of them succeeded: nothing is changed")


def _results(values: list[str]) -> dict[str, str]:
    results = {}
    for value in values:
        name, _, said = value.partition("=")
        if not name or said not in _RESULTS:
            raise NpcLimsError(f"--result {value}: it must be JOB=RESULT, with a result of {', '.join(_RESULTS)}")
        results[name] = said
    return results


def _given(values: list[str]) -> list[Failure]:
    from npc_lims.github import Failure

    failures = []
    for value in values:
        source, colon, reason = value.partition(":")
        if not (source.strip() and colon and reason.strip()):
            raise NpcLimsError(f"--failure {value!r}: it must be SOURCE: REASON")
        failures.append(Failure(source.strip(), reason.strip()))
    return failures


def _of_outcome(path: Optional[Path]) -> tuple[list[str], list[Failure]]:
    """Sources that answered, and those that failed."""
    from npc_lims.github import Failure

    if path is None or not path.exists():
        return [], []
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        failed = [Failure(str(item["source"]), str(item["reason"])) for item in read["failed"]]
        return [str(source) for source in read["answered"]], failed
    except OSError as error:
        raise NpcLimsError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError):
        raise NpcLimsError(f"{path}: not what npc-lims publish --outcome writes") from None


def _of_jobs(results: dict[str, str]) -> list[Failure]:
    from npc_lims.github import Failure

    reasons = {
        "failure": "The job failed; its log tells why.",
        "cancelled": "The job was stopped, most likely by its time limit.",
    }
    return [Failure(_job(name), reasons[said]) for name, said in results.items() if said in reasons]


def _job(name: str) -> str:
    return f"job {name}"
