"""The computations of the Code Ocean server: their records as clients get them, and how these come about."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from tests.servers.asset_search import BadRequestError
from tests.servers.codeocean_files import NotFoundError, Tree

Json = dict[str, Any]
# The data assets that a capsule or pipeline always has, by its id; None: any id is one, and has none.
Known = Optional[Mapping[str, Sequence[Mapping[str, str]]]]

OWNER = "d3a6a2f5-0b3e-4f0e-9d9c-7a1f2b6c8e10"
UNDER_WAY = ("initializing", "running", "finalizing")
OVER = ("completed", "failed")
END_STATUSES = ("succeeded", "failed", "stopped")
FIELDS = frozenset(
    {
        "cloud_workstation",
        "created",
        "data_assets",
        "end_status",
        "exit_code",
        "has_results",
        "id",
        "name",
        "nextflow_profile",
        "owner",
        "owner_email",
        "parameters",
        "processes",
        "run_time",
        "state",
    }
)


@dataclass
class Run:
    """A computation: what is sent, and what only the server knows.

    `place` is whose run it is, for example ("capsules", id); `began` is when, whatever the record says.
    """

    record: Json
    place: tuple[str, str]
    files: Tree
    began: int

    def sent(self) -> Json:
        """A copy of the record, its keys in order as those of the real service."""
        return {key: copy.deepcopy(self.record[key]) for key in sorted(self.record)}


class Runs:
    """Every run, by its id. Not safe for threads: the server has the lock."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}

    def newest_first(self, place: tuple[str, str] | None = None) -> list[Run]:
        """All runs, or those of one capsule or pipeline. Of one second, the one added later is the newer."""
        runs = [run for run in self._runs.values() if place in (None, run.place)]
        return sorted(runs, key=lambda run: run.began)[::-1]

    def find(self, run_id: str) -> Run:
        """NotFoundError where there is no such run."""
        if run_id not in self._runs:
            raise NotFoundError(run_id)
        return self._runs[run_id]

    def delete(self, run_id: str) -> None:
        """Stop and forget a run; NotFoundError where there is none."""
        self.find(run_id)
        del self._runs[run_id]

    def add(self, place: tuple[str, str], files: Tree, now: float, fields: Json) -> Run:
        """A run with these `fields`, the others as for one that has just begun."""
        unknown = fields.keys() - FIELDS
        if unknown:
            raise TypeError(f"a computation has no {', '.join(sorted(unknown))}")
        began = fields["created"] if isinstance(fields.get("created"), int) else int(now)
        record: Json = {
            "created": began,
            "has_results": bool(files),
            "id": str(uuid.uuid4()),
            "name": service_name(began, fields),
            "owner": OWNER,
            "run_time": 0,
            "state": "initializing",
            **copy.deepcopy(fields),
        }
        run = self._runs[record["id"]] = Run(record, place, files, began)
        return run

    def advance(self, now: float) -> None:
        """Every run under way goes one state further, but none comes to its end."""
        for run in self._runs.values():
            if run.record["state"] in UNDER_WAY:
                step = UNDER_WAY.index(run.record["state"]) + 1
                run.record.update(state=UNDER_WAY[min(step, 2)], run_time=elapsed(run, now))

    def finish(self, run: Run, files: Tree, ending: Json, now: float) -> None:
        """The run has come to its end; `ending` are fields, of which those that are None are left out."""
        if ending["state"] not in OVER or ending["end_status"] not in (*END_STATUSES, None):
            raise ValueError(f"no computation ends as {ending['state']}, {ending['end_status']}")
        run.files = files
        run.record.update(has_results=bool(files), run_time=elapsed(run, now))
        run.record.update({name: value for name, value in ending.items() if value is not None})


def service_name(began: int, fields: Json) -> str:
    """What the service calls a run: by the last seven digits of its time, so that two of one second share a name."""
    parts = [fields, *fields.get("processes", ())]
    with_parameters = any(part.get("parameters") for part in parts)
    return f"Run {'With Parameters ' if with_parameters else ''}{began % 10_000_000}"


def elapsed(run: Run, now: float) -> int:
    """Seconds since the run began."""
    return max(0, int(now) - run.began)


# -- what a client may ask for -----------------------------------------------------------------------


def wanted_place(params: Json, known: Mapping[str, Known]) -> tuple[str, str]:
    """Which capsule or pipeline is to run; NotFoundError for one that is not `known`."""
    given = {"capsules": text(params, "capsule_id"), "pipelines": text(params, "pipeline_id")}
    places = [(kind, place) for kind, place in given.items() if place]
    if len(places) != 1:
        raise BadRequestError("one of capsule_id and pipeline_id is required")
    check_known(places[0], known)
    return places[0]


def check_known(place: tuple[str, str], known: Mapping[str, Known]) -> None:
    """NotFoundError for a capsule or pipeline that the server does not know."""
    kind, place_id = place
    there = known[kind]
    if there is not None and place_id not in there:
        raise NotFoundError(place_id)


def fields_of(params: Json, always: Iterable[Mapping[str, str]], find_asset: Callable[[str], Json]) -> Json:
    """The fields of the run that these RunParams start; BadRequestError where they make no sense."""
    attached: dict[str, Json] = {asset["id"]: dict(asset) for asset in always}
    for item in objects(params, "data_assets"):
        asset = find_asset(text(item, "id", required=True))
        attached[asset["id"]] = {"id": asset["id"], "mount": text(item, "mount") or asset["mount"]}
    fields: Json = {"data_assets": [attached[key] for key in sorted(attached)]}
    if parameters := parameters_of(params):
        fields["parameters"] = parameters
    if processes := [process_of(item) for item in objects(params, "processes")]:
        fields["processes"] = processes
    if profile := text(params, "nextflow_profile"):
        fields["nextflow_profile"] = profile
    return fields


def parameters_of(params: Json) -> list[Json]:
    """The parameters as the record has them: ordered ones without the names that only the app panel knows."""
    ordered = params.get("parameters") or []
    if not isinstance(ordered, list) or not all(isinstance(value, str) for value in ordered):
        raise BadRequestError("parameters must be a list of strings")
    named = [
        {"param_name": text(item, "param_name", required=True), "value": text(item, "value")}
        for item in objects(params, "named_parameters")
    ]
    return [*({"value": value} for value in ordered), *named]


def process_of(item: Json) -> Json:
    """One process of a pipeline. The pipeline alone knows which capsule that runs: here it follows from the name."""
    name = text(item, "name", required=True)
    process: Json = {"name": name, "capsule_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"process/{name}"))}
    return {**process, "parameters": parameters} if (parameters := parameters_of(item)) else process


def text(params: Json, name: str, *, required: bool = False) -> str:
    """A string, empty where it is not given; BadRequestError for anything else."""
    value = params.get(name)
    if value is None:
        value = ""
    if not isinstance(value, str) or (required and not value):
        raise BadRequestError(f"{name} must be a string" + " and not empty" * required)
    return value


def objects(params: Json, name: str) -> list[Json]:
    """A list of objects, empty where it is not given; BadRequestError for anything else."""
    value = params.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise BadRequestError(f"{name} must be a list of objects")
    return value
