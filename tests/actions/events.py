"""What happens on GitHub and may start a workflow, and whether a workflow's `on:` asks for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.actions.remote import NOTHING, Remote

DEFAULT_TYPES = {"pull_request": ("opened", "synchronize", "reopened")}
"""Activity types that start a workflow which names none; other events: all."""
KNOWN_EVENTS = ("push", "pull_request", "schedule", "workflow_dispatch", "repository_dispatch", "workflow_run")


class NotTriggered(Exception):
    """GitHub would not start this workflow for this event."""


@dataclass(frozen=True)
class Event:
    """One event: its payload is what `github.event` and GITHUB_EVENT_PATH hold, `sha` and `ref` what it is about."""

    name: str
    ref: str
    sha: str
    payload: Mapping[str, Any]
    action: str = ""
    """Its activity type."""
    changed: tuple[str, ...] = ()
    """Paths that path filters look at."""
    from_fork: bool = False
    """Whether it comes from a fork's pull request: GitHub then keeps secrets and write permissions back."""
    base: str = ""
    """The branch that a pull request wants to change."""
    head: str = ""
    """The branch that a pull request comes from."""
    inputs: Mapping[str, Any] = field(default_factory=dict)


def push(repo: Remote, before: str, ref: str = "refs/heads/main") -> Event:
    """A push that has just moved `ref` from the commit `before` (40 zeros for a new one) to where it is."""
    after = repo.head(ref)
    payload = {**_common(repo), "ref": ref, "before": before, "after": after, "created": before == NOTHING}
    payload |= {"deleted": False, "forced": False, "commits": [], "head_commit": {"id": after}, "base_ref": None}
    return Event("push", ref, after, payload, changed=tuple(repo.changed(before, after)))


def schedule(repo: Remote, cron: str) -> Event:
    """A tick of one of the workflow's schedules."""
    # the one event whose payload does not tell of the repository
    return Event("schedule", "refs/heads/main", repo.head(), {"schedule": cron})


def workflow_dispatch(repo: Remote, workflow: str, **inputs: str) -> Event:
    """Started by hand or by the API, which both give inputs as texts."""
    payload = {**_common(repo), "ref": "refs/heads/main", "workflow": workflow, "inputs": inputs}
    return Event("workflow_dispatch", "refs/heads/main", repo.head(), payload, inputs=inputs)


def repository_dispatch(repo: Remote, event_type: str, client_payload: Mapping[str, Any]) -> Event:
    """Sent by another program with a token."""
    payload = {**_common(repo), "action": event_type, "branch": "main", "client_payload": dict(client_payload)}
    return Event("repository_dispatch", "refs/heads/main", repo.head(), payload, action=event_type)


def workflow_run(repo: Remote, workflow: str, conclusion: str = "success", branch: str = "main") -> Event:
    """A run of another workflow has ended. Whatever that was about, this one is about the newest commit of main."""
    about = {"name": workflow, "conclusion": conclusion, "status": "completed", "head_branch": branch}
    payload = {**_common(repo), "action": "completed", "workflow_run": about, "workflow": {"name": workflow}}
    return Event("workflow_run", "refs/heads/main", repo.head(), payload, action="completed", base=branch)


def pull_request(repo: Remote, number: int, branch: str, action: str = "opened", from_fork: bool = False) -> Event:
    """A pull request of `branch` into main; its merge commit is made in the repository, as GitHub does."""
    base, head = repo.head(), repo.head(branch)
    repo.git("update-ref", f"refs/pull/{number}/head", head)
    ref = f"refs/pull/{number}/merge"
    merge = repo.merge(base, head, ref)
    owner = "someone" if from_fork else repo.name.split("/")[0]
    head_repo = {"full_name": f"{owner}/{repo.name.split('/')[1]}", "fork": from_fork}
    about = {
        "number": number,
        "title": repo.log(head)[0].partition("\n")[0],
        "body": None,
        "state": "open",
        "draft": False,
        "labels": [],
        "user": {"login": "someone"},
        "head": {"ref": branch, "sha": head, "label": f"{owner}:{branch}", "repo": head_repo},
        "base": {"ref": "main", "sha": base, "repo": {"full_name": repo.name, "fork": False}},
        "merge_commit_sha": merge,
    }
    payload = {**_common(repo), "action": action, "number": number, "pull_request": about}
    changed = tuple(repo.changed(repo.git("merge-base", base, head).decode().strip(), head))
    return Event("pull_request", ref, merge, payload, action, changed, from_fork=from_fork, base="main", head=branch)


def _common(repo: Remote) -> dict[str, Any]:
    """What every payload tells of the repository and of who did it."""
    owner, name = repo.name.split("/")
    about = {"name": name, "full_name": repo.name, "private": False, "default_branch": "main", "fork": False}
    return {"repository": {**about, "owner": {"login": owner}}, "sender": {"login": "someone", "type": "User"}}


# -- does a workflow ask for it ----------------------------------------------------------------------


def check_trigger(on: Any, event: Event) -> dict[str, Any]:
    """The `inputs` of a run: those given, and the defaults of others, with the types that they declare.

    Raises:
        NotTriggered: `on:` does not ask for this event, or does not take these inputs.
    """
    asked = {on: None} if isinstance(on, str) else dict.fromkeys(on) if isinstance(on, list) else dict(on)
    for name in asked:
        if name not in KNOWN_EVENTS:
            raise ValueError(f"on: {name}: this runner knows {', '.join(KNOWN_EVENTS)}")
    if event.name not in asked:
        raise NotTriggered(f"the workflow asks for {', '.join(asked)}, not for {event.name}")
    filters: Any = asked[event.name] or {}
    if event.name == "schedule":
        _check_schedule(filters, event)
    elif event.name == "workflow_run":
        _check_workflow_run(filters, event)
    elif event.name == "workflow_dispatch":
        return _inputs(filters.get("inputs") or {}, event.inputs)
    else:
        _check_filters(filters, event)
    return {}


def _check_schedule(schedules: list[Mapping[str, str]], event: Event) -> None:
    crons = [each["cron"] for each in schedules]
    for cron in crons:
        if len(cron.split()) != 5:
            raise ValueError(f"schedule: {cron!r} has not five fields")
    if event.payload["schedule"] not in crons:
        raise NotTriggered(f"the workflow is scheduled at {crons}, not at {event.payload['schedule']!r}")


def _check_workflow_run(filters: Mapping[str, Any], event: Event) -> None:
    if unknown := set(filters) - {"workflows", "types", "branches", "branches-ignore"}:
        raise ValueError(f"on: workflow_run: unknown {sorted(unknown)}")
    name = event.payload["workflow_run"]["name"]
    if name not in filters["workflows"]:
        raise NotTriggered(f"the workflow follows {filters['workflows']}, not {name!r}")
    if event.action not in filters.get("types", [event.action]):
        raise NotTriggered(f"workflow_run asks for the types {filters['types']}, not for {event.action!r}")
    branches = {f"branches{kind}": filters.get(f"branches{kind}") for kind in ("", "-ignore")}
    _check_ref(branches, f"refs/heads/{event.base}")


def _check_filters(filters: Mapping[str, Any], event: Event) -> None:
    known = {"types", "branches", "branches-ignore", "tags", "tags-ignore", "paths", "paths-ignore"}
    if unknown := set(filters) - known:
        raise ValueError(f"on: {event.name}: unknown {sorted(unknown)}")
    types = filters.get("types", DEFAULT_TYPES.get(event.name))
    if event.action and types is not None and event.action not in types:
        raise NotTriggered(f"{event.name} asks for the types {types}, not for {event.action!r}")
    if event.name == "push":
        _check_ref(filters, event.ref)
    elif event.name == "pull_request":
        _check_ref(
            {f"branches{kind}": filters.get(f"branches{kind}") for kind in ("", "-ignore")}, f"refs/heads/{event.base}"
        )
    included, ignored = filters.get("paths"), filters.get("paths-ignore")
    if event.ref.startswith("refs/tags/"):
        return
    if included is not None and not any(matches(path, included) for path in event.changed):
        raise NotTriggered(f"none of {list(event.changed)} is in the paths {included}")
    if ignored is not None and all(matches(path, ignored) for path in event.changed):
        raise NotTriggered(f"all of {list(event.changed)} are in paths-ignore {ignored}")


def _check_ref(filters: Mapping[str, Any], ref: str) -> None:
    """The filters of branches and tags; naming only one kind leaves the other out."""
    kind, other = ("tags", "branches") if ref.startswith("refs/tags/") else ("branches", "tags")
    name = ref.split("/", 2)[2]
    wanted, unwanted = filters.get(kind), filters.get(f"{kind}-ignore")
    if wanted is None and unwanted is None:
        if filters.get(other) is not None or filters.get(f"{other}-ignore") is not None:
            raise NotTriggered(f"the workflow asks for {other} only, not for {ref}")
    elif (wanted is not None and not matches(name, wanted)) or (unwanted is not None and matches(name, unwanted)):
        raise NotTriggered(
            f"{name!r} is not among the {kind} {wanted or ''}{' but ' + str(unwanted) if unwanted else ''}"
        )


def _inputs(declared: Mapping[str, Mapping[str, Any]], given: Mapping[str, str]) -> dict[str, Any]:
    """Inputs as the `inputs` context has them."""
    if unknown := set(given) - set(declared):
        raise NotTriggered(f"unexpected inputs {sorted(unknown)}: the workflow takes {sorted(declared)}")
    return {name: _input(name, about or {}, given.get(name)) for name, about in declared.items()}


def _input(name: str, about: Mapping[str, Any], given: str | None) -> Any:
    kind = about.get("type", "string")
    if given is None and about.get("required") and "default" not in about:
        raise NotTriggered(f"input {name!r} is required")
    value = about.get("default", {"boolean": False, "number": 0}.get(kind, "")) if given is None else given
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if kind == "boolean":
        if text not in ("true", "false"):
            raise NotTriggered(f"input {name!r} is true or false, not {text!r}")
        return text == "true"
    if kind == "number":
        return float(text)
    if kind == "choice" and text not in about["options"]:
        raise NotTriggered(f"input {name!r} is one of {about['options']}, not {text!r}")
    if kind not in ("string", "choice", "environment"):
        raise ValueError(f"input {name!r}: unknown type {kind!r}")
    return text


def matches(name: str, patterns: list[str]) -> bool:
    """Whether a name passes a list of GitHub's filter patterns: the last one that fits it decides, ! excludes."""
    found = False
    for pattern in patterns:
        if re.fullmatch(_regex(pattern.removeprefix("!")), name):
            found = not pattern.startswith("!")
    return found


def _regex(pattern: str) -> str:
    """`*` is anything but /, `**` anything; ? and + repeat what is before them; [] as in regular expressions."""
    parts = re.findall(r"\*\*/|\*\*|\*|\?|\+|\[[^\]]*\]|\\.|[^*?+\[\\]+", pattern)
    special = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "?", "+": "+"}
    return "".join(special.get(part) or (part if part[0] in "[\\" else re.escape(part)) for part in parts)
