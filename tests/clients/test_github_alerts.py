"""The issue about failing runs, by both clients that write it, against a stand-in for GitHub over a real repository."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from npc_lims.clients.github_alerts import (
    ALERTS,
    STALE,
    Alert,
    Failure,
    Raised,
    RunReport,
    _body,
    _read,
    _Record,
    clear_alert,
    parse_outcome,
    raise_alert,
    update_alert,
)
from npc_lims.clients.github_plain import PlainGitHubClient
from npc_lims.clients.http import RetryPolicy
from npc_lims.errors import GitHubError
from tests.servers.faults import Fault, FaultyProxy, Lose, MalformedJson, Status
from tests.servers.fixtures import Serve
from tests.servers.github_hub import NAME, ROBOT, TOKENS, Hub
from tests.servers.web import Request

ROOT = Path(__file__).parent.parent.parent
POLICY = RetryPolicy(4, 5, 0.01)
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)
SYNC, PROCESS = ALERTS["sync"], ALERTS["process"]
S3, CODEOCEAN = Failure("s3", "no answer within 30 s"), Failure("codeocean", "CODE_OCEAN_API_TOKEN was refused")
FINE = {"observe": "success", "commit": "success"}


def run_url(number: int) -> str:
    return f"https://github.com/{NAME}/actions/runs/{number}"


@pytest.fixture
def workflow_hub(hub: Hub) -> Hub:
    """As the alert job has it: its token writes issues, and nothing else."""
    hub.api.add_token(TOKENS[ROBOT], ROBOT, may_write={"issues"})
    return hub


Connect = Callable[[str], PlainGitHubClient]


@pytest.fixture(params=["settings", "job"])
def connect(request: pytest.FixtureRequest, workflow_hub: Hub) -> Connect:
    """Makes a client of an API at an address."""

    def make(url: str) -> PlainGitHubClient:
        if request.param == "settings":
            return PlainGitHubClient.authorized(workflow_hub.settings(ROBOT, github_api_url=url))
        return PlainGitHubClient(url, NAME, TOKENS[ROBOT], POLICY)

    return make


@pytest.fixture
def client(connect: Connect, workflow_hub: Hub) -> PlainGitHubClient:
    return connect(workflow_hub.api.url)


def fail(
    client: PlainGitHubClient, *failures: Failure, run: int = 1, alert: Alert = SYNC, replaces: bool = True
) -> Raised:
    return raise_alert(client, alert, failures, run_url(run), replaces=replaces, now=NOON + timedelta(hours=run))


def test_an_issue_lasts_as_long_as_the_failure(client: PlainGitHubClient, workflow_hub: Hub) -> None:
    hub = workflow_hub
    url = f"https://github.com/{NAME}/issues/1"
    assert fail(client, S3, run=1) == Raised(url, is_new=True)
    (issue,) = hub.issues
    assert (issue.labels, issue.user) == (["sync-failure"], ROBOT)
    assert issue.body is not None
    for words in (S3.reason, run_url(1), "First failed: 2026-11-22 13:00 UTC", "Failed runs: 1"):
        assert words in issue.body
    assert fail(client, Failure("s3", "reset by peer"), run=2) == Raised(url, is_new=False)
    for words in ("reset by peer", run_url(1), run_url(2), "First failed: 2026-11-22 13:00 UTC", "Failed runs: 2"):
        assert words in issue.body
    assert "Last failed: 2026-11-22 14:00 UTC" in issue.body
    assert S3.reason not in issue.body
    assert issue.comments == [], "the same source fails: nobody is notified anew"
    fail(client, S3, CODEOCEAN, run=3)
    assert [comment.body for comment in issue.comments] == [f"Now fails: s3, codeocean. Before: s3. See {run_url(3)}"]
    assert (
        clear_alert(client, SYNC, run_url(4), ["s3", "tracked"]) == f"; {url} stays open until it is known of codeocean"
    )
    assert issue.state == "open", "nobody has asked Code Ocean since"
    assert clear_alert(client, SYNC, run_url(4), ["s3", "codeocean"]) == f": closed {url}"
    assert (issue.state, issue.state_reason) == ("closed", "completed")
    assert issue.comments[-1].body == f"A run succeeded: {run_url(4)}"
    assert len(hub.issues) == 1


def test_a_run_about_a_part_removes_no_row_and_closes_no_issue(client: PlainGitHubClient, workflow_hub: Hub) -> None:
    update_alert(client, SYNC, {"observe": "failure"}, RunReport([S3, CODEOCEAN], ["tracked"], True), run_url(1))
    (issue,) = workflow_hub.issues
    part = RunReport([], ["tracked", "training", "s3", "codeocean"], is_complete=False)
    assert "no issue is closed" in update_alert(client, SYNC, FINE, part, run_url(2))
    assert issue.state == "open"
    # one that fails adds what it knows, and forgets nothing
    part = RunReport([Failure("s3", "reset by peer")], ["codeocean"], is_complete=False)
    update_alert(client, SYNC, {"observe": "failure"}, part, run_url(3))
    assert issue.body is not None
    for words in ("reset by peer", "**codeocean**", CODEOCEAN.reason, "Failed runs: 2"):
        assert words in issue.body
    assert issue.comments == []
    # a complete one says all there is to say
    whole = RunReport([S3], ["tracked", "training", "codeocean"], is_complete=True)
    update_alert(client, SYNC, {"observe": "failure"}, whole, run_url(4))
    assert "**codeocean**" not in issue.body
    whole = RunReport([], ["tracked", "training", "codeocean", "s3"], is_complete=True)
    assert "closed https://" in update_alert(client, SYNC, FINE, whole, run_url(5))
    assert issue.state == "closed"


def test_each_workflow_has_an_issue_of_its_own(client: PlainGitHubClient, workflow_hub: Hub) -> None:
    fail(client, S3)
    url = fail(client, Failure("job record", "It failed."), run=2, alert=PROCESS).url
    fail(client, Failure("s3", "old"), run=3, alert=STALE)
    assert [issue.labels for issue in workflow_hub.issues] == [["sync-failure"], ["process-failure"], ["state-stale"]]
    assert clear_alert(client, PROCESS, run_url(3), ["job record"]) == f": closed {url}"
    assert [issue.state for issue in workflow_hub.issues] == ["open", "closed", "open"]


def test_a_failure_after_a_success_is_a_new_issue(client: PlainGitHubClient, workflow_hub: Hub) -> None:
    fail(client, S3)
    clear_alert(client, SYNC, run_url(2), ["s3"])
    assert fail(client, S3, run=3).is_new
    assert [issue.state for issue in workflow_hub.issues] == ["closed", "open"]
    assert "Failed runs: 1" in (workflow_hub.issues[1].body or "")


def test_a_success_without_an_issue_writes_nothing(client: PlainGitHubClient, workflow_hub: Hub) -> None:
    assert clear_alert(client, SYNC, run_url(1), ["s3"]) == ""
    assert workflow_hub.writes == []


def test_a_run_that_is_repeated_counts_once(client: PlainGitHubClient, workflow_hub: Hub) -> None:
    for _ in range(2):
        fail(client, S3, run=7)
    body = workflow_hub.issues[0].body or ""
    assert "Failed runs: 1" in body
    assert body.count(f"- {run_url(7)}") == 1


def test_of_two_open_issues_the_oldest_stays(client: PlainGitHubClient, workflow_hub: Hub) -> None:
    hub = workflow_hub
    fail(client, S3, run=1)
    oldest = hub.issues[0]
    oldest.state = "closed"
    fail(client, S3, run=2)
    oldest.state = "open"
    fail(client, S3, run=3)
    assert [(issue.state, issue.state_reason) for issue in hub.issues] == [("open", None), ("closed", "duplicate")]
    assert hub.issues[1].comments[-1].body == "The same as #1, which stays open."
    assert run_url(3) in (oldest.body or "")


def test_two_runs_that_fail_at_once_leave_one_issue(
    connect: Connect, client: PlainGitHubClient, workflow_hub: Hub, serve: Serve
) -> None:
    left = [1]

    def rule(request: Request) -> None:
        if request.method == "POST" and request.path.endswith("/issues") and left[0]:
            left[0] = 0
            fail(client, S3, run=1)

    late = connect(serve(FaultyProxy(workflow_hub.api.url, rule=rule)).url)
    raised = fail(late, S3, run=2)
    assert (raised.url.endswith("/issues/1"), raised.is_new) == (True, False)
    assert [issue.state for issue in workflow_hub.issues] == ["open", "closed"]


def test_what_people_write_is_left_alone(client: PlainGitHubClient, workflow_hub: Hub) -> None:
    """A person may use the label too; only what was written here is rewritten or closed."""
    fail(client, S3)
    theirs = dataclasses.replace(workflow_hub.issues[0], id=7, number=2, body="I noticed this", comments=[])
    workflow_hub.repo.issues[2] = theirs
    fail(client, S3, run=2)
    clear_alert(client, SYNC, run_url(3), ["s3"])
    assert [issue.state for issue in workflow_hub.issues] == ["closed", "open"]
    assert (theirs.body, theirs.comments) == ("I noticed this", [])


RECORDS = [
    "broken",
    '"failures": []',
    '"first": "", "last": "", "failures": {}, "runs": [], "count": 1e999',
    '"first": ' + "[" * 5000,
]


@pytest.mark.parametrize("record", RECORDS, ids=["no JSON", "incomplete", "infinite", "nested"])
def test_an_issue_whose_record_was_edited_goes_on(client: PlainGitHubClient, workflow_hub: Hub, record: str) -> None:
    fail(client, S3, run=1)
    (issue,) = workflow_hub.issues
    issue.body = f"<!-- npc-lims-alert {{{record}}} -->"
    fail(client, S3, run=2)
    assert "Failed runs: 2" in (issue.body or "")
    assert len(workflow_hub.issues) == 1


@pytest.mark.parametrize("text", ["`" * 5000, "<" * 5000, '"' * 5000, "\x00" * 5000, "é" * 5000, "\ud83d" * 5000])
def test_the_body_always_fits(client: PlainGitHubClient, workflow_hub: Hub, text: str) -> None:
    failures = [Failure(f"source {n}", text) for n in range(200)]
    for run in range(3):
        fail(client, *failures, run=run)
        fail(client, *[Failure(f"other {n}", text) for n in range(200)], run=run, replaces=False)
    (issue,) = workflow_hub.issues
    assert len(issue.body or "") < 65536
    assert "Failed runs: 3" in (issue.body or "")


def test_nothing_in_a_report_is_markdown_a_mention_or_a_second_line(
    client: PlainGitHubClient, workflow_hub: Hub
) -> None:
    hostile = "x\n```\n\n@everyone [a](https://example.org) #1\r\n::error::y\x1b[2J <!-- npc-lims-alert {} -->"
    fail(client, Failure(f"@team {hostile}", hostile))
    fail(client, Failure("s3", hostile), run=2)
    (issue,) = workflow_hub.issues
    texts = [issue.body or "", *(comment.body for comment in issue.comments)]
    for text in texts:
        fence, outside = "", []
        for line in text.splitlines():
            if fence:
                fence = "" if line == fence else fence
            elif line.startswith("```"):
                fence = line.removesuffix("text")
            else:
                outside.append(line)
        assert fence == ""
        shown = "\n".join(line for line in outside if not line.startswith("<!-- npc-lims-alert {"))
        assert not any(char in shown for char in "@#[]`<>\x1b\r"), shown
        assert "\x1b" not in text
    assert sum(line.startswith("<!--") for line in texts[0].splitlines()) == 1


@given(st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=60), max_size=5), st.integers(1, 10**6))
@example({"-->": "<!-- npc-lims-alert {} -->"}, 3)
def test_an_issue_remembers_whatever_the_reasons_say(failures: dict[str, str], count: int) -> None:
    record = _Record("2026-11-22 12:00 UTC", "2026-11-22 13:00 UTC", count, failures, (run_url(1), run_url(2)))
    assert _read({"body": _body(SYNC, record)}) == record


def test_a_token_that_may_not_write_issues_is_reported(client: PlainGitHubClient, workflow_hub: Hub) -> None:
    workflow_hub.api.add_token(TOKENS[ROBOT], ROBOT, may_write={"contents"})
    with pytest.raises(GitHubError, match="GitHub answered 403") as caught:
        fail(client, S3)
    assert TOKENS[ROBOT] not in str(caught.value)


@pytest.mark.parametrize("fault", [Status(502), Status(503), Lose(), MalformedJson()], ids=repr)
def test_one_bad_answer_costs_nothing(workflow_hub: Hub, serve: Serve, fault: Fault) -> None:
    """Also where the request had been done: the second issue is closed as a duplicate."""
    faults = {method: [fault] for method in ("GET", "POST", "PATCH")}

    def rule(request: Request) -> Fault | None:
        left = faults.get(request.method, [])
        return left.pop() if left else None

    proxy = serve(FaultyProxy(workflow_hub.api.url, rule=rule))
    client = PlainGitHubClient(proxy.url, NAME, TOKENS[ROBOT], POLICY)
    fail(client, S3, run=1)
    fail(client, S3, run=2)
    assert [issue.state for issue in workflow_hub.issues if issue.state == "open"] == ["open"]
    assert "Failed runs: 2" in (workflow_hub.issues[0].body or "")


def test_a_github_that_is_down_is_an_error_with_its_address(workflow_hub: Hub) -> None:
    client = PlainGitHubClient("http://127.0.0.1:9", NAME, TOKENS[ROBOT], POLICY)
    with pytest.raises(GitHubError, match=r"http://127.0.0.1:9 could not be reached .*Refused"):
        fail(client, S3)


def test_the_token_does_not_follow_to_another_address(workflow_hub: Hub, serve: Serve) -> None:
    elsewhere = serve(FaultyProxy(workflow_hub.api.url))
    proxy = serve(FaultyProxy(workflow_hub.api.url, rule=lambda _: Status(301, {"Location": elsewhere.url})))
    with pytest.raises(GitHubError, match="GitHub answered 301"):
        fail(PlainGitHubClient(proxy.url, NAME, TOKENS[ROBOT], POLICY), S3)
    assert elsewhere.requests == []


def test_an_endless_list_ends(workflow_hub: Hub, serve: Serve) -> None:
    page = json.dumps([{}] * 100).encode()
    proxy = serve(FaultyProxy(workflow_hub.api.url, rule=lambda _: Status(200, {"Content-Type": "x/json"}, page)))
    with pytest.raises(GitHubError, match="repeats the one before"):
        list(PlainGitHubClient(proxy.url, NAME, TOKENS[ROBOT], POLICY).list_items("listing", "/issues", {}))


@pytest.mark.parametrize(
    "text", ["", "{", "7", "[1]", '{"failed": []}', '{"answered": 3, "failed": []}', "[" * 5000, " " * 100_001]
)
def test_what_is_no_outcome_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"no outcome of a run|longer than"):
        parse_outcome(text)


def test_a_job_that_failed_says_with_what(client: PlainGitHubClient, workflow_hub: Hub) -> None:
    errors = {"commit": "origin/main: nothing was pushed: it is protected", "observe": ""}
    update_alert(client, SYNC, {"observe": "failure", "commit": "failure"}, RunReport((), (), True), run_url(1), errors)
    body = workflow_hub.issues[0].body or ""
    assert "The job failed: origin/main: nothing was pushed: it is protected" in body
    assert "The job failed; see its log." in body


@pytest.mark.parametrize(
    "script", [("alert.py", "sync", "observe=failure no such role", "commit=skipped"), ("watchdog.py",)]
)
def test_a_repository_without_issues_is_a_warning(serve: Serve, workflow_hub: Hub, script: tuple[str, ...]) -> None:
    """By a Python in which nothing is installed."""
    gone = Status(
        410, {"Content-Type": "application/json"}, b'{"message": "Issues has been disabled in this repository."}'
    )
    proxy = serve(FaultyProxy(workflow_hub.api.url, rule=lambda request: gone if "/issues" in request.path else None))
    name, *arguments = script
    environ = {
        "GITHUB_API_URL": proxy.url,
        "GITHUB_TOKEN": TOKENS[ROBOT],
        "GITHUB_REPOSITORY": NAME,
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_RUN_ID": "7",
        "NPC_LIMS_BACKOFF": "0",
        "PATH": os.environ["PATH"],
    }
    command = [sys.executable, "-S", f"scripts/{name}", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith(
        "::warning::no issue reports what fails: looking for issues labelled "
    )
    assert "Issues has been disabled" in done.stdout


def test_what_github_answers_gives_the_runner_no_command() -> None:
    script = "from github_job import update_issue; update_issue(lambda: 'reported in x\\n::error::y\\x1b[2J##[group]z')"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "scripts"), str(ROOT)])}
    done = subprocess.run([sys.executable, "-S", "-c", script], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "reported in x ::error::y\\x1b[2J##\\[group]z\n"
