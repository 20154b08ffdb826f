"""`npc-lims dispatch`: a run is started, named, and with --wait followed to its end."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from rich.console import Console

from npc_lims.cli.actions import show_run
from npc_lims.clients.github_actions import JobStep, WorkflowJob, WorkflowRun
from tests.integration.world import Done, run_cli
from tests.servers.github_hub import MEMBER, NAME, TOKENS, Hub
from tests.servers.github_records import Run as ServedRun

WAIT = ("--wait", "--poll", "0.02", "--timeout", "20")
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)


def dispatch(*more: str) -> Done:
    done = run_cli("dispatch", *more)
    assert TOKENS[MEMBER] not in done.out + done.err
    return done


def ends(hub: Hub, conclusion: str) -> Callable[[ServedRun], None]:
    """What a run does: two jobs, the last of which ends so."""

    def run(started: ServedRun) -> None:
        step = {"name": "look at S3", "status": "completed", "conclusion": "success"}
        times = {"started_at": "2026-11-22T12:00:00Z", "completed_at": "2026-11-22T12:01:05Z"}
        jobs: list[dict[str, Any]] = [
            {"name": "observe", "status": "completed", "conclusion": "success", "steps": [{**step, **times}], **times},
            {"name": "commit", "status": "completed", "conclusion": conclusion},
            {"name": "alert", "status": "completed", "conclusion": "skipped"},
        ]
        hub.api.set_run(started.id, status="completed", conclusion=conclusion, jobs=jobs)

    return run


def test_a_run_is_started_and_its_address_printed(hub: Hub) -> None:
    done = dispatch("--only", "s3,codeocean", "--sessions", "DRpilot_626791_20220815", "--full")
    assert done.code == 0, done
    (run,) = hub.runs
    assert done.out == f"https://github.com/{NAME}/actions/runs/{run.id}\n"
    wanted = {"sources": "codeocean,s3", "sessions": "626791_2022-08-15", "full": "true"}
    assert {name: run.inputs[name] for name in wanted} == wanted


def test_all_sources_and_sessions_are_the_default(hub: Hub) -> None:
    assert dispatch().code == 0
    (run,) = hub.runs
    assert (run.inputs["sources"], run.inputs["sessions"], run.inputs["full"], run.branch) == ("", "", "false", "main")


def test_another_branch_can_be_named(hub: Hub) -> None:
    hub.git.move_ref("refs/heads/side", hub.git.branch("main") or "", "0" * 40)
    assert dispatch("--ref", "side").code == 0
    assert hub.runs[0].branch == "side"


def test_a_run_is_followed_to_success(hub: Hub) -> None:
    hub.api.on_dispatch = ends(hub, "success")
    done = dispatch(*WAIT)
    assert done.code == 0, done
    lines = done.err.splitlines()
    assert "observe: success (1 min 5 s)" in lines
    assert "observe / look at S3: success (1 min 5 s)" in lines
    assert lines[-1] == f"run {hub.runs[0].id}: success"
    assert len(lines) == len(set(lines))


@pytest.mark.parametrize("conclusion", ["failure", "cancelled", "timed_out"])
def test_a_run_that_fails_is_exit_3(hub: Hub, conclusion: str) -> None:
    hub.api.on_dispatch = ends(hub, conclusion)
    done = dispatch(*WAIT)
    assert done.code == 3, done
    told = f"the run ended with {conclusion} (commit); see its log: https://github.com/{NAME}/actions/runs/"
    assert told in done.err


def test_a_run_that_never_appears_is_reported(hub: Hub) -> None:
    hub.api.hides_runs = True
    done = dispatch("--poll", "0.01", "--timeout", "0.05")
    assert done.code == 2, done
    assert "lists no run of it after 0.05 s: see the Actions tab of lab/state" in done.err


def test_a_run_that_takes_too_long_is_reported(hub: Hub) -> None:
    done = dispatch("--wait", "--poll", "0.01", "--timeout", "0.1")
    assert done.code == 2, done
    assert f"not over after 0.1 s, and goes on: https://github.com/{NAME}/actions/runs/" in done.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--only", "s4"), "--only s4: no such source"),
        (("--sessions", "nonsense"), "'nonsense' is not a session"),
        (("--ref", "nowhere"), "starting sync.yml of nowhere of lab/state: GitHub"),
    ],
)
def test_mistakes_are_reported(hub: Hub, options: tuple[str, ...], said: str) -> None:
    done = dispatch(*options)
    assert done.code == 2, done
    assert said in done.err
    assert hub.runs == []


def test_without_a_token_it_says_what_to_set(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    done = dispatch()
    assert done.code == 2, done
    assert "GITHUB_TOKEN is not set: make a token for lab/state that allows actions: write" in done.err


# -- the view on a terminal ------------------------------------------------------------------------


def looks() -> list[WorkflowRun]:
    """A run as it goes."""
    ago = datetime.now(timezone.utc) - timedelta(seconds=75)
    steps = (
        JobStep("check out", "completed", "success", NOON, NOON + timedelta(seconds=3)),
        JobStep("look", "in_progress", None, ago, None),
        JobStep("upload", "queued", None, None, None),
    )
    observe = WorkflowJob("observe [1/1]", "in_progress", None, ago, None, steps)
    done = WorkflowJob("observe [1/1]", "completed", "success", NOON, NOON + timedelta(minutes=2), steps)
    failed = WorkflowJob("commit", "completed", "failure", NOON, NOON + timedelta(seconds=9), (steps[0],))
    return [
        WorkflowRun(7, "https://github.com/lab/state/actions/runs/7", "queued", None),
        WorkflowRun(7, "https://github.com/lab/state/actions/runs/7", "in_progress", None, (observe,)),
        WorkflowRun(7, "https://github.com/lab/state/actions/runs/7", "completed", "failure", (done, failed)),
    ]


def shown(console: Console, run: WorkflowRun | None) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    with show_run(console) as watch:
        if run is not None:
            watch(run)
    return file.getvalue()


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None, highlight=False, markup=False)


def test_a_terminal_shows_jobs_and_the_steps_of_those_under_way() -> None:
    queued, running, over = (shown(terminal(), look) for look in looks())
    assert "waiting for a runner" in queued
    assert "observe [1/1]" in running
    assert "look" in running
    assert "in_progress" in running
    assert "1 min 1" in running, "time goes on"
    assert "observe [1/1]  success  2 min 0 s" in over
    assert "commit         failure        9 s" in over
    assert over.count("check out") == 1, "of what went well one line says enough"


def test_elsewhere_each_change_is_a_line() -> None:
    console = Console(file=io.StringIO(), width=100, highlight=False, markup=False)
    assert isinstance(console.file, io.StringIO)
    with show_run(console) as watch:
        for look in (*looks(), looks()[-1]):
            watch(look)
    assert console.file.getvalue().splitlines() == [
        "observe [1/1]: in_progress",
        "observe [1/1] / check out: success (3 s)",
        "observe [1/1]: success (2 min 0 s)",
        "commit: failure (9 s)",
        "commit / check out: success (3 s)",
        "run 7: failure",
    ]
