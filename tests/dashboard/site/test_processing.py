"""`data/processing.json`, and the runs of each session, from pipelines.yaml and `state/runs/`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.dashboard.site.conftest import build
from tests.dashboard.site.formats import PROCESSING
from tests.dashboard.site.lab import NOW
from tests.dashboard.site.processed import FAILED, LATER, REASON, RUNNING, add_processing


def read(site: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((site / "data" / f"{name}.json").read_bytes())
    return found


def session_of(site: Path, session: str) -> dict[str, Any]:
    every: list[dict[str, Any]] = read(site, f"subjects/{session[:6]}")["sessions"]
    return next(one for one in every if one["id"] == session)


@pytest.fixture(scope="module")
def site(demo_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processed")
    shutil.copytree(demo_state, folder / "state")
    add_processing(folder / "state", NOW)
    build(folder / "state", folder / "site")
    return folder / "site"


def test_verdicts_are_those_of_the_plan(site: Path) -> None:
    found = read(site, "processing")
    jsonschema.validate(found, PROCESSING)
    processes = {one["name"]: one for one in found["processes"]}
    assert (list(processes), found["problem"]) == (["dlc_eye", "sorting", "retired"], "")
    eye, sorting, retired = processes.values()
    assert {verdict: count for verdict, count in eye["counts"].items() if count} == {
        "would run": 1,
        "running": 1,
        "done": 12,
        "not ready": 15,
    }
    assert [one["session"] for one in eye["listed"]["running"]] == [RUNNING]
    assert eye["listed"]["running"][0]["run"]["by"] == "https://github.com/lab/state/actions/runs/7"
    [failed] = sorting["listed"]["failed"]
    assert (failed["session"], failed["reason"], failed["run"]["try"]) == (FAILED, REASON, 2)
    [waiting] = sorting["listed"]["waiting"]
    assert waiting["reason"] == "at most 2 run at once"
    assert waiting["input"]["url"].startswith("https://codeocean.allenneuraldynamics.org/data-assets/")
    assert sum(one["total"] for one in sorting["others"]) == sorting["counts"]["done"] + sorting["counts"]["not ready"]
    assert sorting["settings"]["target"]["url"].endswith(f"/capsule/{sorting['settings']['target']['id']}")
    assert (retired["settings"], retired["listed"], retired["states"]) == (None, {}, {"succeeded": 1})


def test_durations_and_runs(site: Path) -> None:
    sorting = read(site, "processing")["processes"][1]
    assert sorting["seconds"] == {"known": 5, "median": 72_900, "longest": 73_800}, "the median of those that succeeded"
    assert sorting["states"] == {"running": 1, "errored": 2, "shared": 3}
    assert [run["session"] for run in sorting["runs"][:3]] == [LATER, FAILED, FAILED]
    shared = sorting["runs"][3]
    assert (shared["state"], shared["seconds"], shared["asset"]["name"][:7]) == ("shared", 72_000, "ecephys")


def test_each_session_has_its_runs_and_why_it_waits(site: Path) -> None:
    failed = session_of(site, FAILED)
    assert [(one["process"], one["state"], one["reason"]) for one in failed["runs"]] == [
        ("sorting", "errored", REASON)
    ] * 2
    assert {one["process"]: (one["flag"], one["verdict"]) for one in failed["plan"]} == {
        "dlc_eye": ("is_dlc_eye", "done"),
        "sorting": ("is_sorted", "failed"),
    }
    waiting = session_of(site, RUNNING)
    assert ("sorting", "waiting", "at most 2 run at once") in [
        (one["process"], one["verdict"], one["reason"]) for one in waiting["plan"]
    ]


def test_without_pipelines_and_with_damaged_ones(site: Path, demo_site: Path, tmp_path: Path) -> None:
    empty = read(demo_site, "processing")
    assert (empty["processes"], empty["problem"]) == ([], "")
    assert (session_of(demo_site, FAILED)["runs"], session_of(demo_site, FAILED)["plan"]) == ([], [])
    shutil.copytree(site.parent / "state", tmp_path / "state")
    (tmp_path / "pipelines.yaml").write_text("processes:\n  sorting: {capsul: x}\n")
    build(tmp_path / "state", tmp_path / "site")
    found = read(tmp_path / "site", "processing")
    jsonschema.validate(found, PROCESSING)
    assert found["problem"].startswith("pipelines.yaml: line 2: ")
    assert [(one["name"], one["settings"], bool(one["runs"])) for one in found["processes"]] == [
        ("dlc_eye", None, True),
        ("retired", None, True),
        ("sorting", None, True),
    ]
