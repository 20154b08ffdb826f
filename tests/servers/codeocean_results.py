"""Data assets that clients make from the results of runs, and with whom they are shared."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.servers.asset_search import Asset, BadRequestError
from tests.servers.codeocean_files import NotFoundError, Tree, folder, measure
from tests.servers.codeocean_runs import Json, Run, Runs, objects, text

OWNER_EMAIL = "owner@example.org"
EVERYONE = ("viewer", "discoverable", "none")
USER_ROLES = ("owner", "editor", "viewer")
GROUP_ROLES = (*USER_ROLES, "discoverable")


@dataclass
class Draft:
    """A data asset under way: its files, how many reads still find it so (None: all), and why it will fail, if so."""

    files: Tree
    reads: int | None
    failure: str | None


def source_of(params: Json, runs: Runs) -> tuple[Run, Tree]:
    """The run that a data asset is to be made of, and its files; BadRequestError where it cannot be."""
    source = params.get("source")
    given = {name: value for name, value in source.items() if value is not None} if isinstance(source, dict) else {}
    if given.keys() != {"computation"} or not isinstance(given["computation"], dict):
        raise BadRequestError("this server makes data assets of a computation only: source.computation.id is required")
    run_id = text(given["computation"], "id", required=True)
    path = text(given["computation"], "path")
    try:
        run = runs.find(run_id)
    except NotFoundError:
        raise BadRequestError(f"there is no computation {run_id}") from None
    if run.record["state"] != "completed":
        raise BadRequestError(f"computation {run_id} is {run.record['state']}, not completed")
    if not run.record["has_results"]:
        raise BadRequestError(f"computation {run_id} has no results")
    try:
        return run, folder(run.files, path)
    except NotFoundError:
        raise BadRequestError(f"computation {run_id} has no folder {path!r} in its results") from None


def new_asset(params: Json, run: Run, now: float) -> Asset:
    """The draft of a data asset made of a run; BadRequestError where a field makes no sense."""
    tags, metadata = params.get("tags"), params.get("custom_metadata")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise BadRequestError("tags must be a list of strings")
    if not isinstance(metadata, (dict, type(None))):
        raise BadRequestError("custom_metadata must be an object")
    asset: Asset = {
        "id": str(uuid.uuid4()),
        "created": int(now),
        "name": text(params, "name", required=True),
        "mount": text(params, "mount", required=True),
        "last_used": 0,
        "owner": run.record["owner"],
        "state": "draft",
        "type": "result",
        "description": text(params, "description"),
        "tags": list(tags),
        "custom_metadata": metadata or {},
        "source_bucket": target_of(params),
        "provenance": {
            "commit": "0" * 40,
            "run_script": "code/run",
            "docker_image": "registry.example.org/capsule:1",
            "capsule": run.place[1],
            "data_assets": [asset["id"] for asset in run.record.get("data_assets") or ()],
            "computation": run.record["id"],
        },
    }
    if parameters := run.record.get("parameters"):
        asset["app_parameters"] = [
            {"name": item.get("param_name") or item.get("name") or "", "value": item["value"]} for item in parameters
        ]
    return asset


def target_of(params: Json) -> Json:
    """Where the files will be: within Code Ocean, or in the bucket that the client names."""
    target = params.get("target")
    if target is None:
        return {"origin": "local", "bucket": "", "prefix": "", "external": False}
    aws = target.get("aws") if isinstance(target, dict) else None
    if not isinstance(aws, dict):
        raise BadRequestError("target must name a bucket: target.aws.bucket")
    bucket, prefix = text(aws, "bucket", required=True), text(aws, "prefix")
    return {"origin": "aws", "bucket": bucket, "prefix": prefix, "external": True}


def settled(asset: Asset, draft: Draft) -> Asset:
    """What becomes of a draft: ready with its files counted, or failed with the reason."""
    if draft.failure is not None:
        return {**asset, "state": "failed", "failure_reason": draft.failure}
    count, size = measure(draft.files)
    return {**asset, "state": "ready", "files": count, "size": size}


# -- permissions -------------------------------------------------------------------------------------


def private() -> Json:
    """The permissions of a data asset that nobody has shared."""
    return {"users": [{"email": OWNER_EMAIL, "role": "owner"}], "groups": [], "everyone": "none"}


def permissions_of(params: Json) -> Json:
    """What an update sets; parts that are not given stay as they are. BadRequestError for unknown roles."""
    updated: Json = {}
    if params.get("everyone") is not None:
        updated["everyone"] = role(params["everyone"], EVERYONE)
    for part, key, roles in (("users", "email", USER_ROLES), ("groups", "group", GROUP_ROLES)):
        if params.get(part) is not None:
            updated[part] = [
                {key: text(item, key, required=True), "role": role(item.get("role"), roles)}
                for item in objects(params, part)
            ]
    if not isinstance(params.get("share_assets"), (bool, type(None))):
        raise BadRequestError("share_assets must be true or false")
    return updated


def role(value: Any, allowed: Iterable[str]) -> str:
    """A role; BadRequestError for one that does not exist."""
    if value not in allowed:
        raise BadRequestError(f"invalid role: {value!r}")
    return str(value)
