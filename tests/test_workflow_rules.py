"""What holds for every workflow of this repository, besides what linters check."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from npc_lims.state.watchdog import PERIOD
from tests.actions.emulated import ACTIONS
from tests.actions.expressions import Scope, fill
from tests.actions.workflow import parse

ROOT = Path(__file__).resolve().parents[1]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").iterdir())
CHECK = ROOT / "scripts" / "check_workflows.py"
NODE_MODULES = ROOT / "tests" / "node" / "node_modules"

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def steps_of(path: Path) -> Iterator[Mapping[str, Any]]:
    for job in parse(path.read_bytes())["jobs"].values():
        yield from job["steps"]


def test_the_workflows_are_there() -> None:
    names = ["pages.yml", "process.yml", "publish.yml", "pull-request.yml", "sync.yml", "test.yml", "watchdog.yml"]
    assert [path.name for path in WORKFLOWS] == names


@each_workflow
def test_permissions_concurrency_and_timeouts_are_said(path: Path) -> None:
    workflow = parse(path.read_bytes())
    assert workflow["permissions"] == {}
    assert "cancel-in-progress" in workflow["concurrency"]
    for key, job in workflow["jobs"].items():
        assert "permissions" in job, key
        assert 0 < job["timeout-minutes"] <= 60, key


@each_workflow
def test_actions_are_pinned_with_their_version(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        if "uses:" in line:
            match = re.fullmatch(r" +(?:- )?uses: ([\w-]+/[\w-]+)@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)
            assert match, line
            assert match[1] in ACTIONS, f"{match[1]} is not rehearsed"


def test_one_version_of_each_action() -> None:
    used = {step["uses"] for path in WORKFLOWS for step in steps_of(path) if "uses" in step}
    assert len(used) == len({uses.partition("@")[0] for uses in used})


@each_workflow
def test_scripts_are_short_and_hold_no_expression(path: Path) -> None:
    for step in steps_of(path):
        assert len(step.get("run", "").strip().splitlines()) <= 2, step
        assert "${{" not in step.get("run", ""), f"say it in env: {step}"


@each_workflow
def test_only_a_job_that_pushes_keeps_credentials(path: Path) -> None:
    for key, job in parse(path.read_bytes())["jobs"].items():
        pushes = job["permissions"].get("contents") == "write"
        checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        kept = [step["with"]["persist-credentials"] for step in checkouts]
        # a job that pushes installs what it needs from a checkout before the one with credentials
        assert kept == ([False, True] if pushes else [False] * len(kept)), key


def test_nothing_is_installed_where_there_are_credentials() -> None:
    for path in WORKFLOWS:
        for key, job in parse(path.read_bytes())["jobs"].items():
            keeps = [step.get("with", {}).get("persist-credentials") is True for step in job["steps"]]
            installs = ["pip install" in step.get("run", "") for step in job["steps"]]
            if any(keeps):
                assert not any(installs[keeps.index(True) :]), f"{path.name}: {key}"


def test_secrets_are_in_environments_and_pull_requests_have_none() -> None:
    for path in WORKFLOWS:
        workflow = parse(path.read_bytes())
        for key, job in workflow["jobs"].items():
            if "secrets." in str(job):
                assert "environment" in job, f"{path.name}: {key}"
                assert "pull_request" not in workflow["on"], f"{path.name}: {key}"
        assert "pull_request_target" not in workflow["on"]


def test_who_may_write_is_not_who_sees_the_cloud() -> None:
    jobs = parse((GITHUB / "workflows" / "sync.yml").read_bytes())["jobs"]
    assert {key for key, job in jobs.items() if job["permissions"].get("contents") == "write"} == {"commit"}
    assert {key for key, job in jobs.items() if "CODE_OCEAN" in str(job) or "aws-actions" in str(job)} == {"observe"}


def test_what_writes_issues_needs_no_package_and_no_artifact() -> None:
    found = 0
    for path in WORKFLOWS:
        for key, job in parse(path.read_bytes())["jobs"].items():
            if job["permissions"].get("issues") == "write":
                found += 1
                used = [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step]
                assert used == ["actions/checkout"], f"{path.name}: {key}"
                (script,) = [step["run"] for step in job["steps"] if "run" in step]
                assert script.startswith("python3 scripts/"), f"{path.name}: {key}"
    assert found == 3


def test_the_watchdog_does_not_wait_for_the_schedule_that_it_watches() -> None:
    workflows = {path.stem: parse(path.read_bytes()) for path in WORKFLOWS}
    on = workflows["watchdog"]["on"]
    assert {"push", "schedule", "workflow_run"} <= set(on)
    assert set(on["workflow_run"]["workflows"]) - {"sync"} <= set(workflows)
    # what it takes for the period of the sync is that of its schedule
    light = workflows["sync"]["on"]["schedule"][0]["cron"].split()[1].split(",")
    hours = [int(hour) for hour in light]
    assert {later - earlier for earlier, later in zip(hours, hours[1:])} == {PERIOD.total_seconds() / 3600}


@pytest.mark.parametrize(
    ("event", "group"),
    [
        ({"workflow_run": {"conclusion": "skipped"}}, "skipped-7"),
        ({"workflow_run": {"conclusion": "success"}}, "pages"),
        ({"workflow_run": {"conclusion": "failure"}}, "pages"),
        ({}, "pages"),
    ],
)
def test_what_will_do_nothing_replaces_no_build_of_the_site_that_waits(event: Mapping[str, Any], group: str) -> None:
    concurrency = parse((GITHUB / "workflows" / "pages.yml").read_bytes())["concurrency"]
    scope = Scope({"github": {"event": event, "run_id": "7"}})
    assert fill(concurrency, scope) == {"group": group, "cancel-in-progress": False}


def test_who_may_push_may_not_start_anything() -> None:
    jobs = parse((GITHUB / "workflows" / "process.yml").read_bytes())["jobs"]
    assert {key for key, job in jobs.items() if job["permissions"].get("contents") == "write"} == {"claim", "record"}
    assert {key for key, job in jobs.items() if "CODE_OCEAN" in str(job)} == {"act"}


@pytest.mark.slow
@pytest.mark.skipif(
    not NODE_MODULES.exists() or shutil.which("node") is None,
    reason="node, or what tests/node needs of npm, is not installed (npm ci in tests/node)",
)
def test_linters_pass_these_workflows_and_find_faults(tmp_path: Path) -> None:
    def lint(folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, str(CHECK), str(folder)], capture_output=True, text=True, check=False)

    done = lint(GITHUB)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = Path(shutil.copytree(GITHUB, tmp_path / ".github"))
    faults = {
        "publish.yml": (r"@[0-9a-f]{40}", "@v4"),
        "pull-request.yml": (r"timeout-minutes", "timeout"),
        "test.yml": (r"matrix\.python \}\}\n      -", "matrix.pyton }}\n      -"),
    }
    for name, (right, wrong) in faults.items():
        workflow = folder / "workflows" / name
        text, count = re.subn(right, wrong, workflow.read_text(encoding="utf-8"))
        assert count
        workflow.write_text(text, encoding="utf-8")
    done = lint(folder)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == "found faults: zizmor, check-jsonschema, node"
    for found in ("unpinned-uses", "'timeout' was unexpected", 'property "pyton" is not defined'):
        assert found in done.stdout + done.stderr
