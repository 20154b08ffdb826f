"""process.yml, run as it stands against a real Code Ocean server and a real remote."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from npc_lims.processing.runs import Run as Recorded
from npc_lims.processing.runs import parse_runs
from tests.actions.conftest import NAME, ROOT, alerts, tokens_of
from tests.actions.events import Event, schedule, workflow_dispatch
from tests.actions.remote import Remote
from tests.actions.runner import run_workflow
from tests.actions.workflow import parse
from tests.actions.world import Environment, JobRun, Run, World
from tests.processing.rig import SESSIONS, TOKEN, Rig, make_rig, posts, write_sessions, writes
from tests.servers.codeocean_files import Files
from tests.servers.faults import Lose, Status
from tests.servers.fixtures import Serve
from tests.servers.github_api import GitHubApiServer

(CRON,) = (each["cron"] for each in parse((ROOT / ".github/workflows/process.yml").read_bytes())["on"]["schedule"])
GOOD: Files = {"nwb": {"a.nwb": b"x"}, "output": b"All is well."}


@dataclasses.dataclass
class Lab:
    """The repository, and Code Ocean."""

    remote: Remote
    rig: Rig
    world: World
    api: GitHubApiServer

    def run(self, event: Event) -> Run:
        run = run_workflow(self.remote, ".github/workflows/process.yml", event, self.world)
        assert TOKEN not in run.raw_log, f"the token is in the log:\n{run.log}"
        return run

    def tick(self) -> Run:
        return self.run(schedule(self.remote, CRON))

    def by_hand(self, **inputs: str) -> Run:
        return self.run(workflow_dispatch(self.remote, "process.yml", **inputs))

    def recorded(self, process: str = "dlc_eye") -> tuple[Recorded, ...]:
        path = f"state/runs/{process}.yaml"
        return parse_runs(self.remote.read(path), Path(path)) if path in self.remote.files(below="state/runs/") else ()

    def finish(self) -> None:
        for one in self.rig.going():
            self.rig.server.finish(one["id"], files=GOOD)


@pytest.fixture
def lab(code: Mapping[str, bytes], serve: Serve, tmp_path: Path) -> Lab:
    """This code, with three sessions that are ready for dlc_eye, where processing is on."""
    state = write_sessions(tmp_path / "seed")
    files = {
        path.relative_to(state.parent).as_posix(): path.read_bytes() for path in state.rglob("*") if path.is_file()
    }
    remote = serve(Remote(tmp_path / "remote", NAME, {**code, **files}))
    rig, api = make_rig(serve), serve(GitHubApiServer())
    world = World(
        tmp_path / "world",
        vars={"CODE_OCEAN_DOMAIN": rig.proxy.url, "NPC_LIMS_PROCESS": "true"},
        environments={"process": Environment(secrets={"CODE_OCEAN_API_TOKEN": TOKEN}), "publish": Environment()},
        env={"NPC_LIMS_ATTEMPTS": "2", "NPC_LIMS_BACKOFF": "0.01", "NPC_LIMS_TIMEOUT": "10"},
        api_url=api.url,
        on_token=tokens_of(api, remote),
    )
    return Lab(remote, rig, world, api)


def secrets_of(job: JobRun) -> set[str]:
    return {name for step in job.steps for name, value in step.env.items() if value == TOKEN}


def test_from_claims_to_shared_results(lab: Lab) -> None:
    run = lab.by_hand(process="dlc_eye, facemap", limit="2").expect()
    assert list(run.results) == ["claim", "start and collect", "record", "alert"]
    assert run.name == "process dlc_eye, facemap"
    assert run.concurrency == {"group": "state-main", "cancel-in-progress": False, "queue": "max"}
    assert [one.session for one in lab.recorded()] == list(SESSIONS[1:])
    assert all(one.computation is not None for one in (*lab.recorded(), *lab.recorded("facemap")))
    assert lab.recorded("dlc_face") == ()
    assert {one.by for one in lab.recorded()} == {f"{lab.remote.url}/{NAME}/actions/runs/{run.id}"}
    recorded, claimed = lab.remote.log()[:2]
    assert re.match(r"runs: dlc_eye 2 claimed; facemap 2 claimed \(700000\)\n", claimed)
    assert re.match(r"runs: dlc_eye 2 started; facemap 2 started \(700000\)\n", recorded)
    assert all(path.startswith("state/runs/") for path in lab.remote.changed("main~2", "main"))
    assert f"| dlc_eye | `{SESSIONS[2]}` | 1 | started |" in run.summary

    lab.finish()
    run = lab.by_hand(collect_only="true").expect()
    assert all(one.shared for one in (*lab.recorded(), *lab.recorded("facemap")))
    assert len(posts(lab.rig.proxy.requests)) == 4
    head = lab.remote.head()
    lab.by_hand(collect_only="true").expect()
    assert lab.remote.head() == head, "nothing had happened, so there was nothing to commit"


def test_one_that_had_to_wait_for_another_sees_what_that_recorded(lab: Lab) -> None:
    waiting = schedule(lab.remote, CRON)
    lab.tick()
    lab.finish()
    lab.run(waiting)
    assert all(run.shared for run in lab.recorded())


def test_who_pushes_has_no_token_and_who_starts_may_not_push(lab: Lab) -> None:
    claim, act, record, alert = lab.by_hand(process="dlc_eye").expect().jobs
    assert alert.permissions == {"contents": "read", "issues": "write"}
    assert claim.permissions == record.permissions == {"contents": "write"}
    assert act.permissions == {"contents": "read"}
    assert secrets_of(claim) == secrets_of(record) == secrets_of(alert) == set()
    assert secrets_of(act) == {"CODE_OCEAN_API_TOKEN"}


@pytest.mark.parametrize("variables", [{"NPC_LIMS_PROCESS": ""}, {"NPC_LIMS_PAUSE": "true"}])
def test_it_is_off_where_nobody_turned_it_on_or_somebody_pauses(variables: Mapping[str, str], lab: Lab) -> None:
    lab.world = dataclasses.replace(lab.world, vars={**lab.world.vars, **variables})
    before = lab.remote.head()
    assert set(lab.tick().expect().results.values()) == {"skipped"}
    assert lab.remote.head() == before
    assert lab.rig.proxy.requests == []


def test_an_answer_that_is_lost_and_a_failure_leave_a_record(lab: Lab) -> None:
    faults = iter([Lose(), None, Status(401)])
    lab.rig.proxy.rule = lambda request: next(faults, None) if posts([request]) else None
    run = lab.by_hand(process="dlc_eye").expect("failure")
    assert [job.result for job in run.jobs] == ["success", "failure", "success", "success"]
    assert alerts(lab.api, "open", "process") == ["Processing fails"]
    assert "the token was refused (401" in run.log
    # two are going and recorded, the third was given back
    assert sorted(one["id"] for one in lab.rig.going()) == sorted(str(one.computation) for one in lab.recorded())
    assert len(lab.recorded()) == 2
    lab.rig.proxy.rule = None
    lab.by_hand(process="dlc_eye").expect()
    lab.rig.runs = lab.recorded()
    lab.rig.assert_one_each()
    assert len(alerts(lab.api, "open", "process")) == 1, "of a part alone nothing follows for the rest"
    lab.tick().expect()
    assert alerts(lab.api, "open", "process") == []
    assert len(alerts(lab.api, "closed", "process")) == 1


def test_what_was_lost_between_two_jobs_is_found_again(lab: Lab) -> None:
    lab.remote.protect("main", "nobody")
    run = lab.by_hand(process="dlc_eye").expect("failure")
    assert [job.result for job in run.jobs] == ["failure", "skipped", "skipped", "success"]
    assert len(alerts(lab.api, "open", "process")) == 1
    assert writes(lab.rig.proxy.requests) == []


def test_a_job_that_could_do_nothing_leaves_nothing_to_record(lab: Lab) -> None:
    lab.world = dataclasses.replace(lab.world, environments={"process": Environment(), "publish": Environment()})
    run = lab.by_hand(process="dlc_eye").expect("failure")
    assert [job.result for job in run.jobs] == ["success", "failure", "success", "success"]
    assert "no Code Ocean token: set CODE_OCEAN_API_TOKEN" in run.log
    (body,) = [issue.body or "" for issue in lab.api.records.repos[NAME].issues.values()]
    assert "job start and collect" in body
    assert "job record" not in body


def test_names_and_sessions_are_taken_as_such(lab: Lab) -> None:
    before = lab.remote.head()
    for inputs in ({"process": "--help"}, {"process": "$(touch x)"}, {"sessions": "--publish"}, {"limit": "many"}):
        run = lab.by_hand(**inputs).expect("failure")
        assert [job.result for job in run.jobs] == ["failure", "skipped", "skipped", "skipped"]
        assert len(run.annotations) == 1
    assert lab.api.records.repos[NAME].issues == {}, "whoever made the mistake sees it"
    assert lab.remote.head() == before
    assert writes(lab.rig.proxy.requests) == []
