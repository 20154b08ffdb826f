"""Runs a workflow file as GitHub would: on real clones of a real remote, one job after the other.

Real are the YAML, its expressions, every `run:` script, git with its credentials, files and processes. Stood in for
are published actions (`emulated.py`), machines (folders) and other versions of Python. Jobs never run at once, so
`fail-fast` stops only those of a matrix that come later, and `concurrency` is recorded, not enforced.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from tests.actions.events import Event, check_trigger, matches
from tests.actions.expressions import Scope, as_text, fill, fill_text, is_true, truth
from tests.actions.job import run_steps
from tests.actions.machine import Machine
from tests.actions.remote import Remote
from tests.actions.workflow import ancestors, in_order, leg_name, legs_of, needs_of, parse, permissions_of
from tests.actions.world import Environment, JobRun, Run, World

Jobs = Mapping[str, Mapping[str, Any]]


def run_workflow(repo: Remote, workflow: str, event: Event, world: World) -> Run:
    """Run the workflow at this path of the repository, as the event's commit has it.

    Raises:
        NotTriggered: it does not ask for the event.
        WorkflowError, ExpressionError: GitHub would not take the file.
    """
    return _Workflow(repo, workflow, event, world).run_jobs()


class _Workflow:
    """One run under way."""

    def __init__(self, repo: Remote, path: str, event: Event, world: World) -> None:
        self.repo = repo
        self.event = event
        self.world = world
        self.workflow = parse(repo.read(path, event.sha))
        self.path = path
        inputs = check_trigger(self.workflow["on"], event)
        number = 1 + len(list(world.folder.glob("run*")))
        self.github = self._github(number)
        self.contexts: dict[str, Any] = {"github": self.github, "inputs": inputs, "vars": dict(world.vars)}
        scope = Scope(self.contexts)
        name = fill_text(self.workflow.get("run-name", self.workflow.get("name", path)), scope)
        concurrency = fill(self.workflow.get("concurrency", {}), scope)
        if not isinstance(concurrency, dict):
            concurrency = {"group": as_text(concurrency)}
        self.run = Run(name, event.name, number, concurrency)
        (world.folder / f"run{number}").mkdir(parents=True)
        self.results: dict[str, str] = {}
        self.outputs: dict[str, dict[str, str]] = {}

    def _github(self, number: int) -> dict[str, Any]:
        """The `github` context, but for what differs from job to job."""
        event, repo = self.event, self.repo
        kind, _, short = event.ref.removeprefix("refs/").partition("/")
        return {
            "event": event.payload,
            "event_name": event.name,
            "ref": event.ref,
            "ref_name": short,
            "ref_type": "tag" if kind == "tags" else "branch",
            "sha": event.sha,
            "head_ref": event.head,
            "base_ref": event.base,
            "repository": repo.name,
            "repository_owner": repo.name.split("/")[0],
            "run_id": str(number),
            "run_number": str(number),
            "run_attempt": "1",
            "actor": "someone",
            "triggering_actor": "someone",
            "workflow": self.workflow.get("name", self.path),
            "workflow_ref": f"{repo.name}/{self.path}@{event.ref}",
            "server_url": repo.url,
            "api_url": self.world.api_url,
        }

    def run_jobs(self) -> Run:
        jobs: Jobs = self.workflow["jobs"]
        for key in in_order(jobs):
            self._run_job(key, jobs)
        return self.run

    def _run_job(self, key: str, jobs: Jobs) -> None:
        """Run a job with all of its matrix, or note that it is skipped."""
        job = jobs[key]
        needs = {need: {"result": self.results[need], "outputs": self.outputs[need]} for need in needs_of(job)}
        contexts = {**self.contexts, "needs": needs}
        before = {self.results[each] for each in ancestors(jobs, key)}
        status = {
            "success": lambda: before <= {"success"},
            "failure": lambda: "failure" in before,
            "cancelled": lambda: "cancelled" in before,
            "always": lambda: True,
        }
        self.outputs[key] = {}
        self.results[key] = "skipped"
        if not is_true(job.get("if", True), Scope(contexts, status)):
            # the name of a job that never gets a matrix is shown as it is written
            name = str(job.get("name", key))
            self.run.jobs.append(JobRun(key, name if "matrix" in name else fill_text(name, Scope(contexts))))
            return
        strategy = fill(job.get("strategy", {}), Scope(contexts))
        fail_fast = truth(strategy.get("fail-fast", True))
        legs = legs_of(strategy.get("matrix"))
        results: list[str] = []
        for index, leg in enumerate(legs):
            about = {"fail-fast": fail_fast, "job-index": index, "job-total": len(legs)}
            record = self._begin(key, job, leg, {**contexts, "matrix": leg, "strategy": about})
            if fail_fast and "failure" in results:
                record.result = "cancelled"
            else:
                self._run_leg(record, job, {**contexts, "matrix": leg, "strategy": about}, index)
            results.append(record.result)
            self.outputs[key].update({name: value for name, value in record.outputs.items() if value})
        self.results[key] = next((each for each in ("failure", "cancelled") if each in results), "success")

    def _begin(self, key: str, job: Mapping[str, Any], leg: Mapping[str, Any], contexts: Mapping[str, Any]) -> JobRun:
        """The record of one job, in the run."""
        named = "name" in job and "matrix" in str(job["name"])
        name = fill_text(job.get("name", key), Scope(contexts))
        record = JobRun(key, name if named else leg_name(name, leg), matrix=leg)
        record.permissions = permissions_of(self.workflow, job, self.event.from_fork)
        environment = job.get("environment", "")
        # its address may come from a step, and is for people only
        environment = environment["name"] if isinstance(environment, dict) else environment
        record.environment = as_text(fill(environment, Scope(contexts)))
        self.run.jobs.append(record)
        return record

    def _run_leg(self, record: JobRun, job: Mapping[str, Any], contexts: Mapping[str, Any], index: int) -> None:
        # GitHub makes an environment that is not there, with nothing in it and no rule
        environment = self.world.environments.get(record.environment, Environment(branches=("**",)))
        name = self.event.ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
        if record.environment and not matches(name, list(environment.branches)):
            record.problem = f"{name} is not allowed to deploy to {record.environment}"
            record.result = "failure"
            return
        folder = self.world.folder / f"run{self.run.id}" / f"{record.key}{index}"
        with self._token(record) as token:
            github = {**self.github, "job": record.key, "token": token}
            machine = Machine(self.world, self.repo, self.event, self.run, record, folder, github, token)
            github |= {"workspace": str(machine.workspace), "event_path": str(machine.event_file)}
            known = {} if self.event.from_fork else {**self.world.secrets, **environment.secrets}
            machine.mask(*known.values())
            variables = {**self.world.vars, **environment.vars}
            contexts = {
                **contexts,
                "github": github,
                "vars": variables,
                "secrets": {**known, "GITHUB_TOKEN": token},
            }
            # the job's own `env` and `defaults` stand before those of the workflow
            for where in (self.workflow, job):
                filled = fill(where.get("env", {}), Scope(contexts))
                machine.env.update({name: as_text(value) for name, value in filled.items()})
            shell = {**self.workflow.get("defaults", {}).get("run", {}), **job.get("defaults", {}).get("run", {})}
            record.outputs = run_steps(machine, {**job, "defaults": {"run": shell}}, contexts)
        record.result = machine.status

    @contextlib.contextmanager
    def _token(self, record: JobRun) -> Iterator[str]:
        """The job's GITHUB_TOKEN, which is good for as long as the job runs."""
        token = f"ghs_{secrets.token_hex(18)}"
        self.run.masks.add(token)
        self.repo.grant(token, record.permissions)
        self.world.on_token(token, record.permissions)
        try:
            yield token
        finally:
            self.repo.revoke(token)
