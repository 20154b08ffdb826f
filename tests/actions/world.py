"""The GitHub that a rehearsed workflow meets: settings and secrets of the repository, and what became of a run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MASK = "***"


@dataclass(frozen=True)
class Environment:
    """A deployment environment: what only jobs that name it get, on branches and tags of these patterns."""

    secrets: Mapping[str, str] = field(default_factory=dict)
    vars: Mapping[str, str] = field(default_factory=dict)
    branches: tuple[str, ...] = ("main",)


@dataclass(frozen=True)
class Role:
    """A role at AWS: whose tokens it trusts, by their `sub`, and the variables with its keys."""

    subject: str
    credentials: Mapping[str, str]


@dataclass(frozen=True)
class App:
    """A GitHub App that is installed in the repository."""

    private_key: str
    permissions: Mapping[str, str]
    slug: str = "state-writer"


def nobody(token: str, permissions: Mapping[str, str]) -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class World:
    """`folder` is for the runs' files; `env` what the machine's environment holds besides (addresses of servers)."""

    folder: Path
    vars: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    environments: Mapping[str, Environment] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, Role] = field(default_factory=dict)
    apps: Mapping[str, App] = field(default_factory=dict)
    api_url: str = "http://127.0.0.1:9"
    """Where GitHub's API is; the default is a port where nobody listens."""
    artifacts_are_down: bool = False
    """Whether the service that keeps artifacts fails."""
    on_token: Callable[[str, Mapping[str, str]], None] = nobody
    """Told of each token that is made, and what it allows, so that an API server can take it."""


@dataclass(frozen=True)
class Annotation:
    """What `::error`, `::warning` or `::notice` says, and of which place."""

    level: str
    message: str
    place: Mapping[str, str]


@dataclass
class StepRun:
    """What became of a step. `outcome` is before, `conclusion` after `continue-on-error`."""

    name: str
    id: str = ""
    outcome: str = "skipped"
    conclusion: str = "skipped"
    outputs: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    annotations: list[Annotation] = field(default_factory=list)
    raw_log: str = ""
    """With whatever secrets were printed: to look for them."""


@dataclass
class JobRun:
    """What became of a job, or of one of its matrix."""

    key: str
    name: str
    result: str = "skipped"
    matrix: Mapping[str, Any] = field(default_factory=dict)
    permissions: Mapping[str, str] = field(default_factory=dict)
    environment: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    steps: list[StepRun] = field(default_factory=list)
    problem: str = ""
    """Why it could not begin."""

    def step(self, name: str) -> StepRun:
        """A step by its name or id."""
        return next(step for step in self.steps if name in (step.name, step.id))


@dataclass
class Run:
    """What became of a run."""

    name: str
    event: str
    id: int
    concurrency: Mapping[str, Any]
    jobs: list[JobRun] = field(default_factory=list)
    artifacts: dict[str, Path] = field(default_factory=dict)
    published: list[Path] = field(default_factory=list)
    """Files that were sent to PyPI."""
    deployed: Path | None = None
    """What GitHub Pages serves then."""
    masks: set[str] = field(default_factory=set)
    """What the log hides."""

    @property
    def result(self) -> str:
        """`failure` if a job failed, `cancelled` if one was, else `success`."""
        results = {job.result for job in self.jobs}
        return next((result for result in ("failure", "cancelled") if result in results), "success")

    @property
    def results(self) -> dict[str, str]:
        """Each job's result, by its name."""
        return {job.name: job.result for job in self.jobs}

    def job(self, key: str) -> JobRun:
        """A job by its key or, of a matrix, by its name."""
        return next(job for job in self.jobs if key in (job.name, job.key))

    @property
    def steps(self) -> Iterator[StepRun]:
        """Every step of every job."""
        return (step for job in self.jobs for step in job.steps)

    @property
    def summary(self) -> str:
        """The summaries of all steps, as the page of the run shows them."""
        return "\n".join(step.summary for step in self.steps if step.summary)

    @property
    def annotations(self) -> list[Annotation]:
        """Those of all steps."""
        return [annotation for step in self.steps for annotation in step.annotations]

    @property
    def raw_log(self) -> str:
        """What all steps printed, with nothing hidden."""
        lines: list[str] = []
        for job in self.jobs:
            lines.append(f"=== {job.name}: {job.result} {job.problem}".rstrip())
            lines += [f"--- {step.name}: {step.outcome}\n{step.raw_log}".rstrip() for step in job.steps]
        return "\n".join(lines)

    @property
    def log(self) -> str:
        """What people see: secrets are hidden."""
        return mask(self.raw_log, self.masks)

    def expect(self, result: str = "success") -> Run:
        """This run, if it ended like that; AssertionError with its log otherwise."""
        assert self.result == result, f"the run ended with {self.result}, not {result}:\n{self.log}"
        return self


def mask(text: str, secrets: set[str]) -> str:
    """`text` with each secret hidden, the longest first."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = re.sub(re.escape(secret), MASK, text)
    return text
