"""Runs of the sync workflow: start one, find it, and wait for its end.

Functions raise MissingCredentials without a token, and GitHubError if GitHub refuses or cannot be reached.
"""

from __future__ import annotations

import dataclasses
import inspect
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from npc_lims.clients.github import GitHubClient, present
from npc_lims.config.settings import Settings
from npc_lims.errors import GitHubError

if TYPE_CHECKING:
    import github

WORKFLOW = "sync.yml"
_NEEDS = "actions: write"
_NEEDS_TO_READ = "actions: read"


@dataclasses.dataclass(frozen=True)
class JobStep:
    """One step of a job."""

    name: str
    status: str
    """`queued`, `in_progress` or `completed`, as GitHub has it (there are a few more)."""
    conclusion: str | None
    """`success`, `failure`, `cancelled`, `skipped` ...; None until it is over."""
    started: datetime | None
    ended: datetime | None


@dataclasses.dataclass(frozen=True)
class WorkflowJob(JobStep):
    steps: tuple[JobStep, ...]


@dataclasses.dataclass(frozen=True)
class WorkflowRun:
    """A run as it was when it was read; `status` and `conclusion` are those of `JobStep`."""

    id: int
    url: str
    status: str
    conclusion: str | None
    jobs: tuple[WorkflowJob, ...] = ()

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
    """Start the sync workflow of *ref* (default: NPC_LIMS_REF). Return an id of the request, for `find_run`."""
    request = uuid.uuid4().hex[:12]
    ref = ref or settings.ref
    inputs = {"full": "true" if full else "false", "request": request}
    for name, values in (("sources", sources), ("sessions", sessions)):
        if values:
            inputs[name] = ",".join(values)
    action = f"starting {WORKFLOW} of {ref} of {settings.repo}"
    client = GitHubClient.authorized(settings, _NEEDS)
    workflow = client.call(action, lambda: client.github.get_repo(client.repo).get_workflow(WORKFLOW))
    # PyGithub before 2.9, the last for Python 3.9, does not give the reason of a refusal
    has_reasons = "throw" in inspect.signature(workflow.create_dispatch).parameters
    more: dict[str, Any] = {"throw": True} if has_reasons else {}
    if not client.call(action, lambda: workflow.create_dispatch(ref, inputs, **more), is_idempotent=False):
        advice = f"check that the branch has {WORKFLOW} with the inputs {', '.join(inputs)}"
        raise GitHubError(f"{action}: GitHub refused; {advice}, and that GITHUB_TOKEN allows {_NEEDS}")
    return request


def find_run(settings: Settings, request: str, *, interval: float, timeout: float) -> WorkflowRun:
    """Return the run that `dispatch_sync` started. GitHubError if GitHub does not list it within *timeout* seconds."""
    client = GitHubClient.authorized(settings, _NEEDS)
    deadline = time.monotonic() + timeout
    while True:
        # it is among the newest ones: no clock is trusted, ours or theirs
        for run, title in _newest_runs(client, f"looking for the run {request}", event="workflow_dispatch"):
            if request in title:
                return run
        left = deadline - time.monotonic()
        if left <= 0:
            hint = f"see the Actions tab of {settings.repo}; run-name in {WORKFLOW} must hold inputs.request"
            raise GitHubError(f"GitHub took request {request}, but lists no run of it after {timeout:g} s: {hint}")
        time.sleep(min(interval, left))


def find_active_run(settings: Settings) -> WorkflowRun | None:
    """Return the newest run of the sync workflow, of NPC_LIMS_REF, that is not over; None if there is none."""
    client = GitHubClient.authorized(settings, _NEEDS_TO_READ)
    runs = _newest_runs(client, f"looking for runs of {WORKFLOW}", branch=settings.ref)
    return next((run for run, _ in runs if not run.is_over), None)


def get_run(settings: Settings, run_id: int) -> WorkflowRun:
    """Return a run as it is now, with its jobs."""
    client = GitHubClient.authorized(settings, _NEEDS_TO_READ)
    action = f"following the run {run_id}"

    def read() -> tuple[github.WorkflowRun.WorkflowRun, WorkflowRun]:
        found = client.github.get_repo(client.repo).get_workflow_run(run_id)
        return found, _convert_run(found)

    served, run = client.call(action, read)
    # after the run itself: of a run that is over, every job is
    jobs = client.list_items(action, served.jobs, _convert_job, is_counted=True)
    return dataclasses.replace(run, jobs=tuple(jobs))


def wait_for_run(
    settings: Settings,
    run_id: int,
    *,
    interval: float,
    timeout: float,
    on_change: Callable[[WorkflowRun], None] = lambda run: None,
) -> WorkflowRun:
    """Read a run every *interval* s until it is over. GitHubError if it is not within *timeout* s."""
    deadline = time.monotonic() + timeout
    before: WorkflowRun | None = None
    while True:
        try:
            run = get_run(settings, run_id)
        except GitHubError as error:
            # the run goes on meanwhile, so a limit of requests is waited for as long as the run may take
            if error.delay is None or time.monotonic() + error.delay > deadline:
                raise
            time.sleep(error.delay)
            continue
        if run != before:
            on_change(run)
            before = run
        if run.is_over:
            return run
        left = deadline - time.monotonic()
        if left <= 0:
            raise GitHubError(f"the run is not over after {timeout:g} s, and goes on: {run.url}")
        time.sleep(min(interval, left))


def _newest_runs(client: GitHubClient, action: str, **query: Any) -> list[tuple[WorkflowRun, str]]:
    """Return the runs of the first page, each with its title."""
    repository = client.repository()

    def read() -> list[tuple[WorkflowRun, str]]:
        page = repository.get_workflow(WORKFLOW).get_runs(**query).get_page(0)
        return [(_convert_run(run), f"{run.display_title or ''} {run.name or ''}") for run in page]

    return client.call(action, read)


def _convert_run(run: github.WorkflowRun.WorkflowRun) -> WorkflowRun:
    return WorkflowRun(present(run.id), present(run.html_url), run.status or "queued", run.conclusion)


def _convert_job(job: Any) -> WorkflowJob:
    return WorkflowJob(*_values(job), steps=tuple(JobStep(*_values(step)) for step in job.steps or ()))


def _values(item: Any) -> tuple[str, str, str | None, datetime | None, datetime | None]:
    return present(item.name), present(item.status), item.conclusion, item.started_at, item.completed_at
