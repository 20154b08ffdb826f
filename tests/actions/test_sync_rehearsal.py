"""sync.yml, run as it stands against real servers and a real remote, from an empty repository on."""

from __future__ import annotations

import dataclasses
import re

import pytest

from tests.actions.conftest import NAME, ROOT, FirstSync, Lab, alerts, tracked
from tests.actions.events import NotTriggered, push, repository_dispatch, schedule, workflow_dispatch
from tests.actions.workflow import parse
from tests.actions.world import App, Environment, JobRun, Run
from tests.integration.world import ADDED, SORTED, TOKEN, UPLOADED, down
from tests.servers.s3 import SeaweedS3

LIGHT, FULL = (each["cron"] for each in parse((ROOT / ".github/workflows/sync.yml").read_bytes())["on"]["schedule"])
GENERATED = {"state/sessions.jsonl", "state/sync.yaml"}


def session_file(session: str) -> str:
    return f"state/sessions/{session.split('_')[0]}/{session}.yaml"


def tick(lab: Lab, cron: str = LIGHT) -> Run:
    """A scheduled run."""
    return lab.run("sync", schedule(lab.remote, cron))


def changed_since(lab: Lab, commit: str) -> set[str]:
    """The files that differ, but those that tell of all sessions or of the sync."""
    return set(lab.remote.changed(commit, lab.remote.head())) - GENERATED


def test_from_an_empty_repository_to_a_sync_after_something_happened(lab: Lab) -> None:
    merged = lab.push_tracked(tracked(1))
    run = lab.run("sync", merged).expect()
    assert set(run.results.values()) == {"success"}
    assert re.match(r"state: 19 new, ", lab.remote.log()[0])
    assert f"Npc-Lims-Run: {lab.remote.url}/{lab.remote.name}/actions/runs/{run.id}" in lab.remote.log()[0]
    assert lab.remote.head("main~1") == merged.sha
    assert all(path.startswith("state/") for path in lab.remote.changed("main~1", "main"))
    assert len(lab.remote.files(below="state/sessions/")) == 19
    assert f"| `{UPLOADED}` | new |" in run.summary
    assert run.concurrency == {"group": "state-main", "cancel-in-progress": False, "queue": "max"}

    # a push syncs the sessions that it changed; those of the workbooks come with the next tick
    assert tick(lab).expect()
    first = lab.remote.head()
    assert len(lab.remote.files(below="state/sessions/")) == 28
    assert tick(lab).expect()
    assert lab.remote.head() == first, "nothing had changed, so there was nothing to commit"

    lab.cloud.load(2)
    run = tick(lab, FULL).expect()
    assert changed_since(lab, first) == {session_file(session) for session in (UPLOADED, SORTED, ADDED)}
    assert lab.remote.head("main~1") == first
    for session in (UPLOADED, SORTED, ADDED):
        assert session in lab.remote.log()[0]
        assert f"`{session}`" in run.summary
    assert alerts(lab.api, "open") == alerts(lab.api, "closed") == []


def test_each_job_has_the_secrets_and_rights_of_its_part_alone(first_sync: FirstSync) -> None:
    run = first_sync.run
    observe, commit, alert = run.jobs
    assert observe.permissions == {"contents": "read", "id-token": "write"}
    assert commit.permissions == {"contents": "write"}
    assert alert.permissions == {"contents": "read", "issues": "write"}

    def secrets_of(job: JobRun) -> set[str]:
        pairs = [pair for step in job.steps for pair in step.env.items()]
        return {name for name, value in pairs if value in (TOKEN, SeaweedS3.secret_key) or value.startswith("ghs_")}

    assert secrets_of(observe) == {"AWS_SECRET_ACCESS_KEY", "CODE_OCEAN_API_TOKEN"}
    assert secrets_of(commit) == set()
    assert secrets_of(alert) == {"GITHUB_TOKEN"}
    # nor does a file hold any that one job hands to another
    files = [path.read_bytes() for folder in run.artifacts.values() for path in folder.rglob("*") if path.is_file()]
    assert files
    assert not any(secret.encode() in file for file in files for secret in (TOKEN, SeaweedS3.secret_key))


def test_the_summary_is_a_table_below_what_github_shows(first_sync: FirstSync) -> None:
    summary = first_sync.run.summary
    assert len(summary.encode()) < 1024 * 1024
    assert summary.count("\n| `") == 28
    assert first_sync.run.annotations == []


def test_two_shards_commit_once_what_one_runner_would(synced_lab: Lab) -> None:
    lab = synced_lab
    whole = {path: lab.remote.read(path) for path in lab.remote.files(below="state/sessions/")}
    before = lab.remote.commit(dict.fromkeys(lab.remote.files(below="state/")), "Begin anew")
    lab.set_vars(NPC_LIMS_SHARDS='["1/2", "2/2"]')
    run = tick(lab).expect()
    assert list(run.results) == ["observe 1/2", "observe 2/2", "commit", "alert"]
    assert lab.remote.head("main~1") == before
    assert {path: lab.remote.read(path) for path in lab.remote.files(below="state/sessions/")} == whole


def test_a_source_that_fails_opens_an_issue_and_the_next_success_closes_it(synced_lab: Lab) -> None:
    lab = synced_lab
    before = lab.remote.head()
    lab.cloud.load(2)
    for _ in range(2):
        with down(lab.cloud.codeocean_proxy):
            run = tick(lab).expect("failure")
        assert [job.result for job in run.jobs] == ["failure", "success", "success"]
        assert len(alerts(lab.api, "open")) == 1
    # what the other sources said is committed: the new session is in a workbook, and its files are on S3
    assert session_file(ADDED) in changed_since(lab, before)
    assert b"is_sorted: false" in lab.remote.read(session_file(SORTED))
    tick(lab).expect()
    assert alerts(lab.api, "open") == []
    assert len(alerts(lab.api, "closed")) == 1
    assert b"is_sorted: true" in lab.remote.read(session_file(SORTED))


def body_of_issue(lab: Lab) -> str:
    (issue,) = lab.api.records.repos[NAME].issues.values()
    assert issue.state == "open"
    return issue.body or ""


def test_missing_credentials_fail_what_needs_them_and_name_what_is_set_on_github(synced_lab: Lab) -> None:
    lab = synced_lab
    lab.world = dataclasses.replace(lab.world, roles={}, environments={"sync": Environment()})
    run = tick(lab).expect("failure")
    assert "Not authorized to perform sts:AssumeRoleWithWebIdentity" in run.log
    assert [job.result for job in run.jobs] == ["failure", "success", "success"]
    body = body_of_issue(lab)
    for words in (
        "**codeocean**",
        "set CODE_OCEAN_API_TOKEN (as a secret of this job's environment",
        "**s3**",
        "set AWS_ROLE, a variable of the repository",
    ):
        assert words in body
    annotated = [annotation.message for annotation in run.annotations if annotation.level == "error"]
    assert [message.split(" failed")[0] for message in annotated] == ["training", "codeocean", "s3"]


def test_the_issue_is_opened_where_nothing_can_be_installed(synced_lab: Lab) -> None:
    synced_lab.world = dataclasses.replace(synced_lab.world, env={**synced_lab.world.env, "PIP_PYTHON": "/nowhere"})
    run = tick(synced_lab).expect("failure")
    assert [job.result for job in run.jobs] == ["failure", "failure", "success"]
    assert "**job observe**" in body_of_issue(synced_lab)
    assert not any("pip" in step.name for step in run.job("alert").steps)


def test_without_artifacts_the_issue_has_what_the_observe_job_says(synced_lab: Lab) -> None:
    lab = synced_lab
    lab.world = dataclasses.replace(lab.world, artifacts_are_down=True)
    with down(lab.cloud.codeocean_proxy):
        run = tick(lab).expect("failure")
    assert [job.result for job in run.jobs] == ["failure", "failure", "success"]
    body = body_of_issue(lab)
    for words in ("**codeocean**", "**job observe**", "**job commit**"):
        assert words in body


def test_a_mistake_in_the_tracked_file_fails_that_source_alone(synced_lab: Lab) -> None:
    lab = synced_lab
    lab.cloud.load(2)
    before = lab.remote.head()
    text = tracked(1).decode()
    event = lab.push_tracked(text.replace("        day: 3\n", "        days: 3\n", 1).encode())
    line = 1 + text[: text.index("        day: 3\n")].count("\n")
    run = lab.run("sync", event).expect("failure")
    assert [job.result for job in run.jobs] == ["failure", "success", "success"]
    # the others are committed, the last valid facts stay
    assert session_file(UPLOADED) in changed_since(lab, before)
    assert session_file(SORTED) in changed_since(lab, before)
    for path in lab.remote.files(below="state/sessions/"):
        if path in lab.remote.files(before):
            section = lab.remote.read(path).partition(b"\ntraining:")[0]
            assert lab.remote.read(path, before).startswith(section)
    body = body_of_issue(lab)
    assert "**tracked**" in body
    assert f"line {line}: unknown key 'days'" in body
    # an annotation for each problem, on the line of the file
    (annotation,) = run.annotations
    assert annotation.place["file"] == "tracked_sessions.yaml"
    assert annotation.place["line"] == str(line)
    assert annotation.message.startswith("unknown key 'days'")
    lab.push_tracked(tracked(2))
    tick(lab).expect()
    assert alerts(lab.api, "open") == []


def test_a_run_about_a_part_does_not_close_the_issue_of_a_scheduled_one(synced_lab: Lab) -> None:
    lab = synced_lab
    with down(lab.cloud.codeocean_proxy):
        tick(lab).expect("failure")
    body = body_of_issue(lab)
    parts = (
        repository_dispatch(lab.remote, "session-changed", {"session": UPLOADED}),
        workflow_dispatch(lab.remote, "sync.yml", sessions=SORTED),
        workflow_dispatch(lab.remote, "sync.yml", sources="tracked,codeocean"),
        lab.push_tracked(tracked(2)),
    )
    for event in parts:
        lab.run("sync", event).expect()
        assert body_of_issue(lab) == body
    lab.run("sync", workflow_dispatch(lab.remote, "sync.yml", request="mine")).expect()
    assert alerts(lab.api, "open") == []


def test_a_request_that_is_refused_is_told_to_whoever_made_it(synced_lab: Lab) -> None:
    lab = synced_lab
    before = lab.remote.head()
    for event, words in (
        (repository_dispatch(lab.remote, "session-changed", {"session": "2024-01-01"}), "is not a session"),
        (repository_dispatch(lab.remote, "session-changed", {}), "session-changed came with {}; send"),
        (workflow_dispatch(lab.remote, "sync.yml", sessions="rubbish"), "is not a session"),
        (workflow_dispatch(lab.remote, "sync.yml", sessions="999999_2024-01-01"), "no such session"),
        (workflow_dispatch(lab.remote, "sync.yml", sources="github"), "no such source"),
    ):
        run = lab.run("sync", event).expect("failure")
        assert [job.result for job in run.jobs] == ["failure", "skipped", "skipped"]
        (annotation,) = run.annotations
        assert words in annotation.message
    assert lab.remote.head() == before
    assert lab.api.records.repos[NAME].issues == {}


@pytest.mark.parametrize(("value", "paused"), [("true", True), ("until Monday", True), ("false", False)])
def test_a_variable_pauses_syncs(value: str, paused: bool, lab: Lab) -> None:
    before = lab.remote.head()
    lab.set_vars(NPC_LIMS_PAUSE=value)
    event = lab.push_tracked(tracked(1))
    run = lab.run("sync", event).expect()
    assert (set(run.results.values()) == {"skipped"}) is paused
    assert (lab.remote.head("main~1") == before) is paused


def test_a_session_changed_says_a_pipeline(synced_lab: Lab) -> None:
    lab = synced_lab
    before = lab.remote.head()
    lab.cloud.load(2)
    run = lab.run("sync", repository_dispatch(lab.remote, "session-changed", {"session": UPLOADED})).expect()
    assert run.name == f"sync {UPLOADED}"
    assert changed_since(lab, before) == {session_file(UPLOADED)}
    with pytest.raises(NotTriggered):
        lab.run("sync", repository_dispatch(lab.remote, "session-vanished", {"session": UPLOADED}))
    # one that is done before its session is tracked is no failure
    lab.run("sync", repository_dispatch(lab.remote, "session-changed", {"session": "999999_2024-01-01"})).expect()
    assert alerts(lab.api, "open") == []
    before = lab.remote.head()
    run = lab.run("sync", repository_dispatch(lab.remote, "session-changed", {"session": 7}))
    assert "session-changed came with" in run.expect("failure").log
    run = lab.run("sync", repository_dispatch(lab.remote, "session-changed", {"session": "$(touch x)"}))
    assert run.expect("failure").job("commit").result == "skipped"
    assert "$(touch x)" in run.log
    assert lab.remote.head() == before


def test_started_by_hand_for_some_sources_and_sessions(synced_lab: Lab) -> None:
    lab = synced_lab
    before = lab.remote.head()
    lab.cloud.load(2)
    event = workflow_dispatch(lab.remote, "sync.yml", sources="codeocean", sessions=f"{SORTED},{UPLOADED}", full="true")
    lab.run("sync", event).expect()
    assert changed_since(lab, before) <= {session_file(session) for session in (SORTED, UPLOADED)}
    assert session_file(SORTED) in changed_since(lab, before)


def test_a_push_of_sessions_syncs_only_those_and_other_pushes_nothing(synced_lab: Lab) -> None:
    lab = synced_lab
    lab.cloud.load(2)
    event = lab.push_tracked(tracked(2))
    before = lab.remote.head()
    lab.run("sync", event).expect()
    assert changed_since(lab, before) == {session_file(ADDED)}
    before = lab.remote.head()
    lab.remote.commit({"README.md": b"New\n"}, "Documents")
    with pytest.raises(NotTriggered):
        lab.run("sync", push(lab.remote, before))


def test_commits_that_come_between_stay(synced_lab: Lab) -> None:
    lab = synced_lab
    lab.cloud.load(2)
    event = schedule(lab.remote, LIGHT)
    between = lab.remote.commit({"README.md": b"Meanwhile\n"}, "Meanwhile")
    lab.run("sync", event).expect()
    assert lab.remote.head("main~1") == between
    assert lab.remote.read("README.md") == b"Meanwhile\n"
    assert session_file(SORTED) in changed_since(lab, between)


def test_a_queued_run_builds_on_what_the_run_before_it_published(synced_lab: Lab) -> None:
    """Here everything is changed and changed back meanwhile, so that to the commit of its event nothing is new."""
    lab = synced_lab
    first = {path: lab.remote.read(path) for path in lab.remote.files(below="state/sessions/")}
    queued = schedule(lab.remote, LIGHT)
    lab.cloud.load(2)
    tick(lab).expect()
    assert {path: lab.remote.read(path) for path in lab.remote.files(below="state/sessions/")} != first
    lab.cloud.load(1)
    run = lab.run("sync", queued).expect()
    assert {path: lab.remote.read(path) for path in lab.remote.files(below="state/sessions/")} == first
    assert "all files and the snapshot agree" in run.log


def test_a_protected_main_takes_the_commit_of_an_app(lab: Lab) -> None:
    lab.remote.protect("main", "state-writer[bot]")
    event = lab.push_tracked(tracked(1))
    before = lab.remote.head()
    run = lab.run("sync", event).expect("failure")
    assert run.job("commit").result == "failure"
    assert "GH013" in run.log
    assert "main is protected, and this identity may not push to it" in body_of_issue(lab)
    assert lab.remote.head() == before
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----"
    publish = Environment(secrets={"NPC_LIMS_APP_KEY": key})
    lab.world = dataclasses.replace(
        lab.world,
        apps={"12345": App(key, {"contents": "write", "metadata": "read"})},
        environments={**lab.world.environments, "publish": publish},
    )
    lab.set_vars(NPC_LIMS_APP_ID="12345")
    run = tick(lab).expect()
    assert lab.remote.head("main~1") == before
    assert "MIIEpAIBAAKCAQEA" not in run.raw_log
