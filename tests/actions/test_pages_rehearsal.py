"""pages.yml, run as it stands after a sync: what is deployed, and when nothing is."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.actions.conftest import NAME, Lab
from tests.actions.events import NotTriggered, workflow_run
from tests.actions.world import Run

pytestmark = pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="the extra docs is not installed")


@pytest.fixture
def synced(synced_lab: Lab) -> Lab:
    """After the first sync, with Pages set up."""
    synced_lab.set_vars(NPC_LIMS_PAGES="true")
    return synced_lab


def read(run: Run, name: str) -> Any:
    assert run.deployed is not None, run.log
    return json.loads((run.deployed / name).read_bytes())


def files(run: Run) -> set[str]:
    assert run.deployed is not None, run.log
    return {path.relative_to(run.deployed).as_posix() for path in run.deployed.rglob("*") if path.is_file()}


def test_after_a_sync_the_site_is_deployed(synced: Lab) -> None:
    run = synced.run("pages", workflow_run(synced.remote, "sync")).expect()
    assert run.results == {"build": "success", "deploy": "success"}
    assert {"index.html", "sessions.html", "404.html", "sessions.jsonl", "docs/index.html"} <= files(run)
    overview = read(run, "data/overview.json")
    assert (overview["repository"], overview["commit"]) == (NAME, synced.remote.head())
    assert overview["shallow"] is False, "all of the history was fetched"
    assert (overview["totals"]["sessions"], overview["history_begins"] is None) == (28, False)
    owner, name = NAME.split("/")
    assert run.deployed is not None
    feed = (run.deployed / "feed.atom").read_text(encoding="utf-8")
    assert f"https://{owner.lower()}.github.io/{name}/" in feed
    mirror = (run.deployed / "sessions.jsonl").read_bytes()
    assert mirror == synced.remote.read("state/sessions.jsonl", synced.remote.head())

    # each job has the rights of its part alone
    assert [job.permissions for job in run.jobs] == [
        {"contents": "read", "pages": "read"},
        {"pages": "write", "id-token": "write"},
    ]
    assert [job.environment for job in run.jobs] == ["", "github-pages"]
    assert run.concurrency == {"group": "pages", "cancel-in-progress": False}


@pytest.mark.parametrize(
    ("variables", "conclusion"), [({"NPC_LIMS_PAGES": ""}, "success"), ({}, "skipped")], ids=["not set up", "paused"]
)
def test_nothing_is_deployed(variables: Mapping[str, str], conclusion: str, synced: Lab) -> None:
    synced.set_vars(**variables)
    run = synced.run("pages", workflow_run(synced.remote, "sync", conclusion))
    assert set(run.results.values()) == {"skipped"}
    assert run.deployed is None


def test_it_follows_what_writes_state_to_main(synced: Lab) -> None:
    for workflow, branch in (("test", "main"), ("pull-request", "main"), ("sync", "try")):
        with pytest.raises(NotTriggered):
            synced.run("pages", workflow_run(synced.remote, workflow, branch=branch))


def test_a_failure_deploys_nothing(synced: Lab) -> None:
    """A state that cannot be read leaves the site of before."""
    path = "state/sessions.jsonl"
    content = synced.remote.read(path, synced.remote.head())
    synced.remote.commit({path: content[:-20]}, "damaged")
    run = synced.run("pages", workflow_run(synced.remote, "sync")).expect("failure")
    assert run.job("deploy").result == "skipped"
    assert "breaks off" in run.log
    assert run.deployed is None
