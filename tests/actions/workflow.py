"""A workflow file: what it may say, its permissions, and the jobs that a matrix makes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import ruamel.yaml

KEYS = {
    "the workflow": {"name", "run-name", "on", "permissions", "env", "defaults", "concurrency", "jobs"},
    "a job": {
        "name", "needs", "if", "runs-on", "permissions", "environment", "concurrency", "outputs", "env", "defaults",
        "timeout-minutes", "strategy", "steps",
    },
    "a step": {
        "id", "name", "if", "run", "uses", "with", "env", "shell", "working-directory", "continue-on-error",
        "timeout-minutes",
    },
}  # fmt: skip
"""What this runner knows; anything else is an error, not passed over."""
SCOPES = {
    "actions", "attestations", "checks", "contents", "deployments", "discussions", "id-token", "issues", "models",
    "packages", "pages", "pull-requests", "security-events", "statuses",
}  # fmt: skip


class WorkflowError(ValueError):
    """A workflow that GitHub, or this runner, would not take."""


def parse(text: bytes) -> dict[str, Any]:
    """A workflow, with only keys that are known here."""
    workflow = ruamel.yaml.YAML(typ="safe", pure=True).load(text)
    _check_keys("the workflow", workflow)
    for required in ("on", "jobs"):
        if required not in workflow:
            raise WorkflowError(f"the workflow has no {required!r}")
    for key, job in workflow["jobs"].items():
        _check_keys("a job", job, key)
        for required in ("runs-on", "steps"):
            if required not in job:
                raise WorkflowError(f"job {key!r} has no {required!r}")
        for need in needs_of(job):
            if need not in workflow["jobs"]:
                raise WorkflowError(f"job {key!r} needs {need!r}, which is no job")
        for step in job["steps"]:
            _check_keys("a step", step, key)
            if ("run" in step) is ("uses" in step):
                raise WorkflowError(f"a step of job {key!r} must have either run or uses: {step}")
    return dict(workflow)


def _check_keys(what: str, found: Mapping[str, Any], where: str = "") -> None:
    if unknown := set(found) - KEYS[what]:
        raise WorkflowError(f"{what} {where} has {sorted(unknown)}, which this runner does not know")


def needs_of(job: Mapping[str, Any]) -> list[str]:
    """Keys of the jobs that a job names in `needs`."""
    needs = job.get("needs", [])
    return [needs] if isinstance(needs, str) else list(needs)


def in_order(jobs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Keys of jobs, each after those that it needs."""
    ordered: list[str] = []
    while len(ordered) < len(jobs):
        ready = [key for key in jobs if key not in ordered and set(needs_of(jobs[key])) <= set(ordered)]
        if not ready:
            raise WorkflowError(f"jobs need each other: {sorted(set(jobs) - set(ordered))}")
        ordered += ready
    return ordered


def ancestors(jobs: Mapping[str, Mapping[str, Any]], key: str) -> set[str]:
    """Keys of the jobs that a job needs, directly or not."""
    direct = set(needs_of(jobs[key]))
    return direct.union(*(ancestors(jobs, need) for need in direct))


def permissions_of(workflow: Mapping[str, Any], job: Mapping[str, Any], from_fork: bool) -> dict[str, str]:
    """What the token of a job allows: what the job says, else the workflow, else reading contents."""
    said = job.get("permissions", workflow.get("permissions", {"contents": "read"}))
    if said in ("read-all", "write-all"):
        said = dict.fromkeys(SCOPES, said.partition("-")[0])
    if unknown := set(said) - SCOPES:
        raise WorkflowError(f"unknown permissions {sorted(unknown)}")
    if wrong := set(said.values()) - {"read", "write", "none"}:
        raise WorkflowError(f"permissions are read, write or none, not {sorted(wrong)}")
    limit = {"write": "read"} if from_fork else {}
    return {scope: limit.get(access, access) for scope, access in said.items() if access != "none"}


def legs_of(matrix: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The combinations of a matrix, whose expressions are filled in; one empty combination where there is none."""
    if matrix is None:
        return [{}]
    axes = {key: values for key, values in matrix.items() if key not in ("include", "exclude")}
    for key, values in axes.items():
        if not isinstance(values, list):
            raise WorkflowError(f"matrix.{key} is no list but {values!r}")
    legs = [dict(zip(axes, values)) for values in itertools.product(*axes.values())] if axes else []
    legs = [leg for leg in legs if not any(_covers(leg, out) for out in matrix.get("exclude") or [])]
    originals = [dict(leg) for leg in legs]
    for extra in matrix.get("include") or []:
        shared = {key: value for key, value in extra.items() if key in axes}
        fitting = [leg for leg, original in zip(legs, originals) if _covers(original, shared)]
        for leg in fitting:
            leg.update(extra)
        if not fitting:
            legs.append(dict(extra))
    if not legs:
        raise WorkflowError("the matrix is empty")
    return legs


def _covers(leg: Mapping[str, Any], part: Mapping[str, Any]) -> bool:
    return all(key in leg and leg[key] == value for key, value in part.items())


def leg_name(name: str, leg: Mapping[str, Any]) -> str:
    """How GitHub shows a job of a matrix that does not name itself by it."""
    return f"{name} ({', '.join(map(str, _values(leg)))})" if leg else name


def _values(leg: Mapping[str, Any]) -> Iterator[Any]:
    for value in leg.values():
        yield from _values(value) if isinstance(value, Mapping) else [value]
