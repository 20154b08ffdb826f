"""watchdog.yml, run as it stands after a sync: by the state that is committed."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from tests.actions.conftest import NAME, ROOT, Lab
from tests.actions.events import Event, NotTriggered, push, schedule, workflow_run
from tests.actions.workflow import parse
from tests.servers.github_records import Run

WORKFLOW = parse((ROOT / ".github/workflows/watchdog.yml").read_bytes())
((CRON),) = (each["cron"] for each in WORKFLOW["on"]["schedule"])
SYNC_FILE = "state/sync.yaml"


def succeeded(lab: Lab, age: timedelta) -> None:
    """Let GitHub know of a sync that succeeded so long ago."""
    at = datetime.now(timezone.utc).replace(microsecond=0) - age
    repo = lab.api.records.repos[NAME]
    path = ".github/workflows/sync.yml"
    head = lab.remote.head()
    run = Run(1, 1, path, "sync", "sync", "schedule", "main", head, "someone", at, at, {}, {}, "completed", "success")
    repo.runs.append(run)


def issues(lab: Lab) -> list[tuple[str, str]]:
    return [(issue.title, issue.state) for issue in lab.api.records.repos[NAME].issues.values()]


def test_state_that_stays_old_is_reported_once_and_closed_on_recovery(synced_lab: Lab) -> None:
    lab = synced_lab
    fresh = lab.remote.read(SYNC_FILE)
    succeeded(lab, timedelta(hours=1))
    run = lab.run("watchdog", workflow_run(lab.remote, "sync")).expect()
    assert "the state is fresh" in run.log
    assert issues(lab) == []
    assert [job.permissions for job in run.jobs] == [{"contents": "read", "issues": "write", "actions": "write"}]

    # the event is of before: what counts is what main holds now
    events: list[Event] = [schedule(lab.remote, CRON), workflow_run(lab.remote, "process", "skipped")]
    year = fresh[fresh.index(b'last_complete: "') + 16 :][:4]
    before = lab.remote.head()
    lab.remote.commit({SYNC_FILE: fresh.replace(year + b"-", b"2020-")}, "Old")
    events.append(push(lab.remote, before))
    for event in events:
        lab.run("watchdog", event).expect()
        assert issues(lab) == [("The state is stale", "open")]
    started = [run for run in lab.api.records.repos[NAME].runs if run.event == "workflow_dispatch"]
    assert [(run.name, run.branch) for run in started] == [("sync", "main")]

    lab.remote.commit({SYNC_FILE: fresh}, "Fresh")
    lab.run("watchdog", workflow_run(lab.remote, "sync")).expect()
    assert issues(lab) == [("The state is stale", "closed")]


def test_a_pause_that_was_forgotten_is_reported(synced_lab: Lab) -> None:
    lab = synced_lab
    lab.set_vars(NPC_LIMS_PAUSE="until Monday")
    succeeded(lab, timedelta(days=3))
    lab.run("watchdog", schedule(lab.remote, CRON)).expect()
    (issue,) = lab.api.records.repos[NAME].issues.values()
    assert "NPC_LIMS_PAUSE stops it" in (issue.body or "")
    assert len(lab.api.records.repos[NAME].runs) == 1, "nothing is started"
    with pytest.raises(NotTriggered):
        lab.run("watchdog", workflow_run(lab.remote, "sync", branch="try"))
