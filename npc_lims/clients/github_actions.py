"""Runs of the sync workflow: to start one, find it, and follow it to its end."""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from npc_lims.clients.github_paging import items_of
from npc_lims.clients.github_rest import LONGEST_WAIT, Client, Json, answers_of
from npc_lims.errors import GitHubError
from npc_lims.utils.timestamps import utc_time

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = [
    "WORKFLOW",
    "Job",
    "Run",
    "Step",
    "dispatch_sync",
    "find_run",
    "find_running",
    "follow_run",
    "look_at_run",
]

WORKFLOW = "sync.yml"
_NEEDS = "actions: write"
_NEEDS_TO_LOOK = "actions: read"


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of a job.

    Attributes:
        status: `queued`, `in_progress` or `completed`, as GitHub has it (there are a few more).
        conclusion: `success`, `failure`, `cancelled`, `skipped` ...; None until it is over.
        started: When; None until then.
        ended: When; None until then.
    """

    name: str
    status: str
    conclusion: str | None
    started: datetime | None
    ended: datetime | None


@dataclasses.dataclass(frozen=True)
class Job(Step):
    """One job of a run, with its steps so far."""

    steps: tuple[Step, ...]


@dataclasses.dataclass(frozen=True)
class Run:
    """A run as it was at one look; `status` and `conclusion` are those of `Step`."""

    id: int
    url: str
    status: str
    conclusion: str | None
    jobs: tuple[Job, ...] = ()

    @property
    def is_over(self) -> bool:
        return self.status == "completed"


def dispatch_sync(
    settings: Settings,
    *,
    sources: Sequence[str] = (),
    sessions: Sequence[str] = (),
    full: bool = False,
    ref: str | None = None,
) -> str:
    """Start the sync workflow of the branch *ref* (default: NPC_LIMS_REF). The request, which `find_run` takes.

    Raises:
        MissingCredentials: There is no token.
        GitHubError: GitHub refused: no such branch, no workflow in it, or not one that can be started so.
    """
    request = uuid.uuid4().hex[:12]
    ref = ref or settings.ref
    inputs = {"full": "true" if full else "false", "request": request}
    for name, values in (("sources", sources), ("sessions", sessions)):
        if values:
            inputs[name] = ",".join(values)
    doing = f"starting {WORKFLOW} of {ref} of {settings.repo}"
    path = f"/repos/{settings.repo}/actions/workflows/{WORKFLOW}/dispatches"
    Client(settings, _NEEDS).ask(doing, "POST", path, {"ref": ref, "inputs": inputs})
    return request


def find_run(settings: Settings, request: str, *, poll: float, patience: float) -> Run:
    """The run that `dispatch_sync` started, once GitHub lists it; looked for every *poll* s, *patience* s at most.

    Raises:
        GitHubError: GitHub refused, or lists no such run.
    """
    client = Client(settings, _NEEDS)
    doing = f"looking for the run {request}"
    path = f"/repos/{settings.repo}/actions/workflows/{WORKFLOW}/runs"
    deadline = time.monotonic() + patience
    while True:
        # it is among the newest ones: no clock is trusted, ours or theirs
        listed = client.ask(doing, "GET", path, query={"event": "workflow_dispatch", "per_page": 50})
        with answers_of(settings):
            for item in items_of(doing, listed, "workflow_runs"):
                if request in (item.get("display_title") or "") or request in (item.get("name") or ""):
                    return _run(item)
        left = deadline - time.monotonic()
        if left <= 0:
            hint = f"see the Actions tab of {settings.repo}; run-name in {WORKFLOW} must hold inputs.request"
            raise GitHubError(f"GitHub took request {request}, but lists no run of it after {patience:g} s: {hint}")
        time.sleep(min(poll, left))


def find_running(settings: Settings) -> Run | None:
    """The newest run of the sync workflow, of NPC_LIMS_REF, that is not over; None if there is none.

    Raises:
        MissingCredentials: There is no token.
        GitHubError: GitHub refused, or could not be reached.
    """
    path = f"/repos/{settings.repo}/actions/workflows/{WORKFLOW}/runs"
    doing = f"looking for runs of {WORKFLOW}"
    listed = Client(settings, _NEEDS_TO_LOOK).ask(doing, "GET", path, query={"branch": settings.ref, "per_page": 20})
    with answers_of(settings):
        runs = (_run(item) for item in items_of(doing, listed, "workflow_runs"))
        return next((run for run in runs if not run.is_over), None)


def look_at_run(settings: Settings, run_id: int) -> Run:
    """A run as it is now, with its jobs. Raises as `find_running`."""
    return _look(Client(settings, _NEEDS_TO_LOOK), settings.repo, run_id, LONGEST_WAIT)


def follow_run(
    settings: Settings,
    run_id: int,
    *,
    poll: float,
    patience: float,
    on_change: Callable[[Run], None] = lambda run: None,
) -> Run:
    """Look at a run every *poll* s until it is over, *patience* s at most; *on_change* gets each look that differs.

    Raises:
        GitHubError: GitHub refused, or the run is not over by then.
    """
    client = Client(settings, _NEEDS)
    deadline = time.monotonic() + patience
    seen: Run | None = None
    while True:
        # a run goes on while nobody may look: who follows it has time for limits, too
        longest = max(deadline - time.monotonic(), LONGEST_WAIT)
        run = _look(client, settings.repo, run_id, longest)
        if run != seen:
            on_change(run)
            seen = run
        if run.is_over:
            return run
        left = deadline - time.monotonic()
        if left <= 0:
            raise GitHubError(f"the run is not over after {patience:g} s, and goes on: {run.url}")
        time.sleep(min(poll, left))


def _look(client: Client, repo: str, run_id: int, longest: float) -> Run:
    doing, path = f"following the run {run_id}", f"/repos/{repo}/actions/runs/{run_id}"
    with answers_of(client.settings):
        run = _run(client.ask(doing, "GET", path, longest=longest))
        # after the run itself: of a run that is over, every job is
        jobs = client.every(doing, f"{path}/jobs", key="jobs")
        return dataclasses.replace(run, jobs=tuple(_job(job) for job in jobs))


def _run(item: Json) -> Run:
    return Run(item["id"], item["html_url"], item["status"] or "queued", item["conclusion"])


def _job(item: Json) -> Job:
    return Job(*_step_values(item), steps=tuple(Step(*_step_values(step)) for step in item.get("steps") or ()))


def _step_values(item: Json) -> tuple[str, str, str | None, datetime | None, datetime | None]:
    started, ended = (_time(item.get(name)) for name in ("started_at", "completed_at"))
    return item["name"], item["status"], item["conclusion"], started, ended


def _time(text: str | None) -> datetime | None:
    return utc_time(text) if text else None
