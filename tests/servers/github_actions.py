"""Workflows, their runs, and the two ways to start one by a request."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tests.actions.expressions import Scope, as_text, fill_text
from tests.servers.github_call import Call, Refused, Routes, answer
from tests.servers.github_contents import R
from tests.servers.github_git import iso
from tests.servers.github_records import Json, Repo, Run
from tests.servers.web import Response

ROUTES = Routes()
FOLDER = ".github/workflows"


# -- workflows -------------------------------------------------------------------------------------


def workflows(repo: Repo, commit: str) -> dict[str, Json]:
    """The workflow files of a commit that can be read, by path."""
    found = {}
    if repo.git.entry(commit, FOLDER):
        for entry in repo.git.tree(f"{commit}:{FOLDER}"):
            if entry.type == "blob" and entry.path.endswith((".yml", ".yaml")):
                try:
                    read = YAML(typ="safe", pure=True).load(repo.git.blob(entry.sha))
                except YAMLError:
                    continue
                if isinstance(read, dict):
                    found[f"{FOLDER}/{entry.path}"] = read
    return found


def triggers(workflow: Json) -> dict[str, Any]:
    """What starts a workflow: `on` may be a name, a list of names, or names with more about each."""
    on = workflow.get("on")
    if isinstance(on, str):
        return {on: {}}
    if isinstance(on, dict):
        return {name: more or {} for name, more in on.items()}
    return {name: {} for name in on or []}


def _published(call: Call) -> dict[str, Json]:
    """The workflows of the default branch: those that GitHub knows of, each with a number of its own."""
    repo = call.repo
    head = repo.git.branch(repo.default_branch)
    found = workflows(repo, head) if head else {}
    for path in found:
        repo.workflow_ids.setdefault(path, call.records.next_id())
    return found


def _path(call: Call) -> str:
    """The path of the workflow that a call names by file or number."""
    wanted, published = call.params["workflow_id"], _published(call)
    for path in published:
        if wanted in (path.rpartition("/")[2], str(call.repo.workflow_ids[path])):
            return path
    raise Refused(404, "Not Found")


def _name(path: str, workflow: Json) -> str:
    return str(workflow.get("name") or path)


@ROUTES.on("GET", f"{R}/actions/workflows")
def list_workflows(call: Call) -> Response:
    return call.page(list(_published(call).items()), lambda item: _workflow(call, *item), "workflows")


@ROUTES.on("GET", f"{R}/actions/workflows/{{workflow_id}}")
def get_workflow(call: Call) -> Response:
    path = _path(call)
    return answer(_workflow(call, path, _published(call)[path]))


def _workflow(call: Call, path: str, workflow: Json) -> Json:
    return call.write.workflow(call.repo, call.repo.workflow_ids[path], path, _name(path, workflow))


# -- to start a run --------------------------------------------------------------------------------


@ROUTES.on("POST", f"{R}/actions/workflows/{{workflow_id}}/dispatches")
def dispatch_workflow(call: Call) -> Response:
    call.need("push", "actions")
    repo, path, body = call.repo, _path(call), call.json()
    ref = call.text(body, "ref", "Workflow")
    sha = repo.git.resolve(ref)
    if sha is None:
        raise Refused(422, f"No ref found for: {ref}")
    workflow = workflows(repo, sha).get(path, {})
    if "workflow_dispatch" not in triggers(workflow):
        raise Refused(422, "Workflow does not have 'workflow_dispatch' trigger")
    declared = triggers(workflow)["workflow_dispatch"].get("inputs") or {}
    inputs = _inputs(declared, body.get("inputs") or {})
    branch = ref.removeprefix("refs/heads/")
    run = _start(call, path, workflow, "workflow_dispatch", branch, sha, inputs=inputs)
    if body.get("return_run_details"):
        about = call.write.run(repo, run)
        return answer({"workflow_run_id": run.id, "run_url": about["url"], "html_url": about["html_url"]})
    return answer(None, 204)


def _inputs(declared: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, str]:
    """Every declared input with its value. Refused (422) for one that is unknown, missing or of no use."""
    unknown = [name for name in given if name not in declared]
    if unknown:
        raise Refused(422, f"Unexpected inputs provided: {as_list(unknown)}")
    values = {}
    for name, about in declared.items():
        about = about or {}
        if name not in given and about.get("required") and about.get("default") is None:
            raise Refused(422, f"Required input '{name}' not provided")
        is_boolean = about.get("type") == "boolean"
        default = about.get("default", False if is_boolean else "")
        value = as_text(given.get(name, default))
        allowed = ["true", "false"] if is_boolean else [as_text(option) for option in about.get("options") or []]
        if allowed and value not in allowed:
            raise Refused(422, f"Provided value '{value}' for input '{name}' not in the list of allowed values")
        values[name] = value
    return values


def as_list(names: list[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


@ROUTES.on("POST", f"{R}/dispatches")
def dispatch_repository(call: Call) -> Response:
    """Starts every workflow of the default branch that waits for this type."""
    call.need("push", "contents")
    body = call.json()
    kind, payload = call.text(body, "event_type", "RepositoryDispatch"), body.get("client_payload") or {}
    if len(kind) > 100 or len(payload) > 10:
        raise Refused(422, "No more than 100 characters of event_type and 10 properties of client_payload are allowed")
    repo = call.repo
    head = repo.git.branch(repo.default_branch) or ""
    for path, workflow in _published(call).items():
        about = triggers(workflow).get("repository_dispatch")
        if about is not None and kind in about.get("types", [kind]):
            branch = repo.default_branch
            _start(call, path, workflow, "repository_dispatch", branch, head, kind=kind, payload=payload)
    return answer(None, 204)


def _start(
    call: Call,
    path: str,
    workflow: Json,
    event: str,
    branch: str,
    sha: str,
    *,
    kind: str = "",
    inputs: Mapping[str, str] | None = None,
    payload: Mapping[str, Any] | None = None,
) -> Run:
    repo, inputs = call.repo, inputs or {}
    told = {"inputs": inputs, "client_payload": payload or {}, "action": kind}
    github = {"event_name": event, "event": told, "ref_name": branch, "actor": call.user(), "sha": sha}
    name = _name(path, workflow)
    title = workflow.get("run-name")
    if title is None:
        title = kind if event == "repository_dispatch" else name
    run = Run(
        id=call.records.next_id(),
        number=1 + sum(run.path == path for run in repo.runs),
        path=path,
        name=name,
        title=fill_text(str(title), Scope({"inputs": inputs, "github": github})),
        event=event,
        branch=branch,
        sha=sha,
        actor=call.user(),
        created=call.now,
        updated=call.now,
        inputs=dict(inputs),
        payload=dict(payload or {}),
    )
    repo.runs.append(run)
    call.server.dispatched(run)
    return run


# -- runs ------------------------------------------------------------------------------------------


@ROUTES.on("GET", f"{R}/actions/workflows/{{workflow_id}}/runs")
def list_workflow_runs(call: Call) -> Response:
    path = _path(call)
    return _runs(call, [run for run in call.repo.runs if run.path == path])


@ROUTES.on("GET", f"{R}/actions/runs")
def list_runs(call: Call) -> Response:
    return _runs(call, call.repo.runs)


def _runs(call: Call, runs: list[Run]) -> Response:
    """The newest first."""
    query, created = call.query, call.query.get("created")
    found = [
        run
        for run in reversed(runs)
        if query.get("event") in (None, "", run.event)
        and query.get("branch") in (None, "", run.branch)
        and query.get("actor") in (None, "", run.actor)
        and query.get("status") in (None, "", run.status, run.conclusion)
        and (not created or _is_within(run.created, created))
    ]
    shown = [] if call.server.hides_runs else found
    return call.page(shown, lambda run: call.write.run(call.repo, run), "workflow_runs")


def _is_within(moment: datetime, wanted: str) -> bool:
    """Whether a time fits `2026-11-22`, `>=2026-11-22T10:00:00Z`, `A..B` and the like (`*` is open)."""
    at = iso(moment)
    low, dots, high = wanted.partition("..")
    if dots:
        return (low == "*" or at >= low) and (high == "*" or at[: len(high)] <= high)
    for sign, fits in ((">=", operator.ge), ("<=", operator.le), (">", operator.gt), ("<", operator.lt)):
        if wanted.startswith(sign):
            return bool(fits(at, wanted[len(sign) :]))
    return at.startswith(wanted)


def _run(call: Call) -> Run:
    run = next((run for run in call.repo.runs if str(run.id) == call.params["run_id"]), None)
    if run is None:
        raise Refused(404, "Not Found")
    return run


@ROUTES.on("GET", f"{R}/actions/runs/{{run_id}}")
def get_run(call: Call) -> Response:
    return answer(call.write.run(call.repo, _run(call)))


@ROUTES.on("GET", f"{R}/actions/runs/{{run_id}}/jobs")
def list_jobs(call: Call) -> Response:
    run = _run(call)
    return call.page(list(enumerate(run.jobs)), lambda item: call.write.job(call.repo, run, *item), "jobs")
