"""Pull requests, runs and the failure issue, against a stand-in for GitHub over real repositories."""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from npc_lims.clients.github import GitHubClient
from npc_lims.clients.github_actions import WORKFLOW, WorkflowRun, dispatch_sync, find_run, wait_for_run
from npc_lims.clients.github_pull_requests import TRAILER, Proposal, Proposed, Revised
from npc_lims.clients.github_pull_requests import propose as propose_with
from npc_lims.config.settings import Settings
from npc_lims.errors import GitHubError, MissingCredentials, NpcLimsError
from tests.servers.faults import Fault, FaultyProxy, MalformedJson, Status, Truncate
from tests.servers.fixtures import Serve
from tests.servers.github_hub import FILES, MEMBER, NAME, ROBOT, STRANGER, TOKENS, TRACKED, Hub
from tests.servers.github_records import Run as ServedRun
from tests.servers.web import Request

FILE = "tracked_sessions.yaml"
BRANCH = "track/edit-626791"


def day_2(text: str) -> str:
    return text.replace("ephys_day: 1", "ephys_day: 2")


BODY = "It was the second day."


def propose(
    hub: Hub,
    login: str = MEMBER,
    settings: Settings | None = None,
    change: Callable[[str], str] = day_2,
    body: str = BODY,
    **more: Any,
) -> Proposed:
    proposal = Proposal(BRANCH, "626791: day 1 -> 2", FILE, lambda text: Revised(change(text), body))
    return propose_with(settings or hub.settings(login), dataclasses.replace(proposal, **more))


def message_of(hub: Hub, login: str = MEMBER, **changes: Any) -> str:
    """What a proposal that fails says; it never tells the token."""
    with pytest.raises(NpcLimsError) as caught:
        propose(hub, login, **changes)
    assert TOKENS[login] not in str(caught.value)
    return str(caught.value)


# -- a pull request --------------------------------------------------------------------------------


def test_a_proposal_is_one_commit_on_the_base_and_a_pull_request(hub: Hub) -> None:
    base = hub.git.branch("main")
    done = propose(hub)
    assert done == Proposed(f"https://github.com/{NAME}/pull/1", 1, BRANCH, is_new=True, is_changed=True)
    (commit,) = hub.git.log(f"main..{BRANCH}")
    assert commit.parents == (base,)
    assert commit.message == f"626791: day 1 -> 2\n\n{TRAILER}: {BRANCH}"
    assert hub.text(FILE, BRANCH) == day_2(TRACKED)
    assert [file.path for file in hub.git.changed_files("main", BRANCH)] == [FILE], "nothing else is touched"
    (pull,) = hub.pulls
    assert (pull.title, pull.body, pull.user) == ("626791: day 1 -> 2", "It was the second day.", MEMBER)
    assert hub.text(FILE) == TRACKED, "main is as it was"


def test_the_same_again_changes_nothing(hub: Hub) -> None:
    first = propose(hub)
    at = hub.git.branch(BRANCH)
    hub.api.reset()
    again = propose(hub)
    assert again == dataclasses.replace(first, is_new=False, is_changed=False)
    assert (hub.writes, hub.git.branch(BRANCH), len(hub.pulls)) == ([], at, 1)


def test_another_change_updates_the_pull_request(hub: Hub) -> None:
    first = propose(hub)
    again = propose(hub, title="626791: day 1 -> 3", change=lambda text: text.replace("ephys_day: 1", "ephys_day: 3"))
    assert again == dataclasses.replace(first, is_new=False)
    (pull,) = hub.pulls
    assert pull.title == "626791: day 1 -> 3"
    assert hub.git.log(f"main..{BRANCH}")[0].message.startswith("626791: day 1 -> 3")
    assert "ephys_day: 3" in hub.text(FILE, BRANCH)


def test_another_explanation_alone_is_no_push(hub: Hub) -> None:
    propose(hub)
    at = hub.git.branch(BRANCH)
    again = propose(hub, body="More of it.")
    assert (again.is_new, again.is_changed, hub.git.branch(BRANCH)) == (False, True, at)
    assert hub.pulls[0].body == "More of it."


def test_a_base_that_moved_is_followed(hub: Hub) -> None:
    propose(hub)
    newer = hub.commit({FILE: TRACKED + "# a colleague was here\n", "other": "file"})
    again = propose(hub)
    assert (again.number, again.is_new, again.is_changed) == (1, False, True)
    (commit,) = hub.git.log(f"main..{BRANCH}")
    assert commit.parents == (newer,)
    assert hub.text(FILE, BRANCH) == day_2(TRACKED) + "# a colleague was here\n"


def test_the_change_sees_the_newest_text_of_the_base(hub: Hub) -> None:
    hub.commit({FILE: "newer than anything local\n"})
    seen = []
    propose(hub, change=lambda text: seen.append(text) or text + "x\n")  # type: ignore[func-returns-value]
    assert seen == ["newer than anything local\n"]


@pytest.mark.parametrize(
    "text",
    ["a: 1\r\nb: 2\r\n", "a: 1\nb: 2", "\ufeffa: ü\r\n\r\n", "a\rb\x0cc\u2028d\n", "# " + "x" * 2**20],
    # pytest sets the id as an environment variable, which cannot be a megabyte
    ids=["carriage returns", "no last line end", "byte order mark", "other line ends", "a megabyte"],
)
def test_every_byte_survives(hub: Hub, text: str) -> None:
    hub.commit({FILE: text})
    propose(hub, change=lambda old: old + "# end\n")
    assert hub.text(FILE, BRANCH) == text + "# end\n"


def test_what_is_there_already_needs_no_pull_request(hub: Hub) -> None:
    hub.commit({FILE: day_2(TRACKED)})
    hub.api.reset()
    assert propose(hub) == Proposed(f"https://github.com/{NAME}", None, BRANCH, is_new=False, is_changed=False)
    assert (hub.writes, hub.pulls, hub.git.branch(BRANCH)) == ([], [], None)


@pytest.mark.parametrize("login", [MEMBER, STRANGER, ROBOT])
def test_what_is_there_already_while_a_pull_request_says_otherwise_is_reported(hub: Hub, login: str) -> None:
    """Whoever sets a value back to what the base says would find the value of before merged some day."""
    propose(hub, login)
    hub.api.reset()
    said = message_of(hub, login, change=lambda text: text)
    assert said == (
        f"main of {NAME} says so already, but pull request #1 still proposes what was asked for before: "
        f"close it: https://github.com/{NAME}/pull/1"
    )
    assert hub.writes == []
    hub.pulls[0].state = "closed"
    assert propose(hub, login, change=lambda text: text).number is None


def test_the_body_is_about_the_newest_text(hub: Hub) -> None:
    def revise(text: str) -> Revised:
        return Revised(day_2(text), f"{len(text)} characters before")

    proposal = Proposal(BRANCH, "t", FILE, revise)
    propose_with(hub.settings(), proposal)
    assert hub.pulls[0].body == f"{len(TRACKED)} characters before"
    hub.commit({FILE: TRACKED + "# more\n"})
    propose_with(hub.settings(), proposal)
    assert hub.pulls[0].body == f"{len(TRACKED) + 7} characters before"


def test_a_file_in_a_folder_keeps_its_mode(hub: Hub) -> None:
    blob = hub.git.write_blob(b"one\n")
    tree = hub.git.write_tree("main", [("100755", blob, "deep/er/run.sh")])
    base = hub.git.branch("main") or ""
    someone = hub.git.commit(base).author
    hub.git.move_ref("refs/heads/main", hub.git.write_commit(tree, [base], "m", someone, someone), base)
    propose(hub, path="deep/er/run.sh", change=lambda text: text + "two\n")
    entry = hub.git.entry(BRANCH, "deep/er/run.sh")
    assert entry is not None and entry.mode == "100755"
    assert hub.text("deep/er/run.sh", BRANCH) == "one\ntwo\n"


def test_another_base_is_another_pull_request(hub: Hub) -> None:
    hub.git.move_ref("refs/heads/other", hub.git.branch("main") or "", "0" * 40)
    hub.commit({FILE: TRACKED + "# other\n"}, "other")
    propose(hub, base="other")
    assert hub.pulls[0].pull is not None and hub.pulls[0].pull.base_ref == "other"
    assert hub.text(FILE, BRANCH).endswith("# other\n")
    assert "which is for other, not main" in message_of(hub)


def test_a_protected_base_is_fine(hub: Hub) -> None:
    hub.repo.protected.add("main")
    assert propose(hub).is_new


def test_a_branch_left_by_a_closed_or_interrupted_proposal_is_used_again(hub: Hub) -> None:
    propose(hub)
    hub.pulls[0].state = "closed"
    hub.commit({"meanwhile": "1"})
    again = propose(hub)
    assert (again.number, again.is_new) == (2, True)
    assert len(hub.git.log(f"main..{BRANCH}")) == 1


def test_an_error_in_the_change_is_the_callers(hub: Hub) -> None:
    def refuse(text: str) -> str:
        raise NpcLimsError("no entry of 626791 in tracked_sessions.yaml")

    assert message_of(hub, change=refuse) == "no entry of 626791 in tracked_sessions.yaml"
    assert [write for write in hub.writes if "/user" not in write] == []


# -- without the right to push ---------------------------------------------------------------------


def test_who_may_not_push_proposes_from_a_fork(hub: Hub) -> None:
    hub.api.fork_takes = 2
    done = propose(hub, STRANGER)
    fork = hub.fork()
    assert (fork.full_name, done.number, done.is_new) == ("bob/state", 1, True)
    assert hub.text(FILE, BRANCH, git=fork.git) == day_2(TRACKED)
    assert hub.git.branch(BRANCH) is None, "nothing is pushed to the repository itself"
    assert hub.text(FILE, "refs/pull/1/head") == day_2(TRACKED)
    hub.api.reset()
    assert propose(hub, STRANGER).is_changed is False
    assert hub.writes == []


def test_a_fork_that_is_behind_gets_the_newest_base(hub: Hub) -> None:
    propose(hub, STRANGER)
    newer = hub.commit({FILE: TRACKED + "# newer than the fork\n"})
    again = propose(hub, STRANGER)
    assert (again.number, again.is_new, again.is_changed) == (1, False, True)
    fork = hub.fork().git
    assert fork.branch("main") != newer
    assert fork.commit(fork.branch(BRANCH) or "").parents == (newer,)
    assert hub.text(FILE, BRANCH, git=fork) == day_2(TRACKED) + "# newer than the fork\n"


def test_a_fork_that_does_not_see_the_base_is_brought_up_to_date(hub: Hub) -> None:
    hub.api.forks_share = False
    propose(hub, STRANGER)
    newer = hub.commit({FILE: TRACKED + "# newer than the fork\n"})
    assert propose(hub, STRANGER).is_changed
    fork = hub.fork().git
    assert fork.branch("main") == newer
    assert fork.commit(fork.branch(BRANCH) or "").parents == (newer,)
    hub.commit({"a": "1"}, git=fork, message="Work of their own on main")
    hub.commit({FILE: TRACKED + "# newer still\n"})
    assert f"bringing main of the fork {hub.fork().full_name} up to date: GitHub answered 409" in message_of(
        hub, STRANGER
    )


def test_a_repository_of_the_same_name_is_not_taken_for_a_fork(hub: Hub) -> None:
    hub.api.add_repo("bob/state", hub.git.path)
    propose(hub, STRANGER)
    assert hub.fork().full_name == "bob/state-1"


def test_a_fork_that_is_never_ready_is_reported(hub: Hub) -> None:
    hub.api.fork_takes = 1000
    assert "bob/state is still being made" in message_of(hub, STRANGER, settings=hub.settings(STRANGER, attempts=1))


def test_the_token_of_a_workflow_pushes_without_a_fork(hub: Hub) -> None:
    assert propose(hub, ROBOT).is_new
    assert propose(hub, ROBOT).is_changed is False
    assert hub.api.records.forks(hub.repo) == []


# -- what is refused -------------------------------------------------------------------------------


def test_a_branch_of_somebody_else_is_left_alone(hub: Hub) -> None:
    hub.git.move_ref(f"refs/heads/{BRANCH}", hub.git.branch("main") or "", "0" * 40)
    theirs = hub.commit({"a": "1"}, BRANCH, message="My own work")
    said = message_of(hub)
    assert f"{BRANCH} of {NAME} has commits of somebody else ({theirs[:7]} 'My own work')" in said
    assert hub.git.branch(BRANCH) == theirs


def test_a_commit_on_top_of_ours_is_left_alone(hub: Hub) -> None:
    propose(hub)
    theirs = hub.commit({"a": "1"}, BRANCH, message="A correction")
    assert "'A correction'" in message_of(hub, body="else")
    assert hub.git.branch(BRANCH) == theirs


def test_a_branch_without_a_common_past_is_left_alone(hub: Hub) -> None:
    hub.commit({"a": "1"}, BRANCH)
    assert "has nothing in common with main" in message_of(hub)


def test_a_pull_request_of_somebody_else_is_left_alone(hub: Hub) -> None:
    hub.repo.permissions["carol"] = "push"
    hub.api.add_token("ghp_carol", "carol")
    propose(hub)
    at = hub.git.branch(BRANCH)
    with pytest.raises(GitHubError, match="is the branch of pull request #1 by alice"):
        propose(hub, settings=hub.settings().replace(github_token="ghp_carol"))
    assert hub.git.branch(BRANCH) == at


def test_the_base_itself_is_no_branch_to_propose_from(hub: Hub) -> None:
    assert "needs one of its own" in message_of(hub, branch="main")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"path": "nowhere.yaml"}, "no such file"),
        ({"path": "no/where.yaml"}, "no such file"),
        ({"path": ".github"}, "no such file"),
        ({"base": "nowhere"}, "there is no branch nowhere"),
        ({"branch": "not..valid"}, "git lets no branch have the name 'not..valid': name another with --branch"),
        ({"branch": "../pulls/1"}, "git lets no branch have the name"),
        ({"branch": "b.lock"}, "git lets no branch have the name"),
        ({"base": "a b"}, "git lets no branch have the name 'a b': name another with --base"),
    ],
)
def test_what_is_not_there_is_reported(hub: Hub, changes: dict[str, Any], said: str) -> None:
    assert said in message_of(hub, **changes)


def test_a_file_that_is_no_text_is_reported(hub: Hub) -> None:
    blob = hub.git.write_blob(b"\xff\xfe")
    base = hub.git.branch("main") or ""
    someone = hub.git.commit(base).author
    tree = hub.git.write_tree(base, [("100644", blob, FILE)])
    hub.git.move_ref("refs/heads/main", hub.git.write_commit(tree, [base], "m", someone, someone), base)
    assert "no UTF-8 text (byte 0)" in message_of(hub)


def test_without_a_token_nothing_is_requested(hub: Hub) -> None:
    with pytest.raises(MissingCredentials, match=r"GITHUB_TOKEN is not set: .* contents: write"):
        propose(hub, settings=hub.settings(github_token=None))
    assert hub.api.requests == []


def test_an_expired_token_is_reported(hub: Hub) -> None:
    hub.api.revoke(TOKENS[MEMBER])
    said = message_of(hub)
    assert "401 (Bad credentials); GITHUB_TOKEN has expired or is wrong" in said


def test_a_token_for_less_is_reported_with_what_it_must_allow(hub: Hub) -> None:
    hub.api.add_token(TOKENS[MEMBER], MEMBER, may_write={"issues"})
    assert f"GITHUB_TOKEN must allow contents: write for {NAME}" in message_of(hub)
    hub.api.add_token(TOKENS[MEMBER], MEMBER, may_write={"contents"})
    assert f"GITHUB_TOKEN must allow pull_requests: write for {NAME}" in message_of(hub)


def test_a_repository_that_is_not_there_is_reported(hub: Hub) -> None:
    with pytest.raises(GitHubError, match=r"404 \(Not Found\); check NPC_LIMS_REPO \(lab/typo\)"):
        propose(hub, settings=hub.settings(repo="lab/typo"))


def test_nobody_at_the_address_is_reported(hub: Hub) -> None:
    settings = hub.settings(attempts=2)
    hub.api.stop()
    with pytest.raises(GitHubError, match=r"could not be reached .*check GITHUB_API_URL"):
        propose(hub, settings=settings)


@pytest.mark.parametrize("fault", [MalformedJson(), Status(200, {}, b"<html>"), Truncate(), Status(502)])
def test_an_answer_of_something_else_is_reported(hub: Hub, serve: Serve, fault: Fault) -> None:
    proxy = serve(FaultyProxy(hub.api.url, rule=lambda request: fault))
    with pytest.raises(GitHubError, match=r"looking at lab/state: .*(cannot be read|could not be reached|502)"):
        propose(hub, settings=hub.settings(github_api_url=proxy.url, attempts=2))


# -- limits, trouble and races ---------------------------------------------------------------------


def test_a_limit_that_lasts_is_reported_and_not_waited_for(hub: Hub) -> None:
    hub.api.limit(MEMBER, remaining=3, reset_in=1800)
    said = message_of(hub)  # the half hour is not waited for: else nobody would see the end of this test
    assert re.search(r"the limit of requests is used up: try again after \d\d:\d\d:\d\d UTC \(1\d\d\d s", said)


@pytest.mark.parametrize("digits", [20, 400])
def test_a_limit_longer_than_calendars_go_is_reported(hub: Hub, serve: Serve, digits: int) -> None:
    for headers in ({"Retry-After": "9" * digits}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9" * digits}):
        proxy = serve(FaultyProxy(hub.api.url, rule=lambda request, fault=Status(403, headers): fault))
        said = message_of(hub, settings=hub.settings(github_api_url=proxy.url))
        # PyGithub itself fails at the second header of 400 digits
        assert re.search(r"try again after 23:59:59 UTC|cannot be read \(OverflowError\)", said)


@pytest.mark.parametrize("status", [403, 429])
def test_a_short_limit_is_waited_for(hub: Hub, status: int) -> None:
    hub.api.slow_down(times=2, retry_after=0, status=status)
    assert propose(hub).is_new


def test_a_limit_without_end_is_reported(hub: Hub) -> None:
    hub.api.slow_down(times=10, retry_after=0)
    assert "the limit of requests is used up" in message_of(hub)
    assert len(hub.api.requests) == hub.settings().attempts


def test_a_limit_of_unknown_length_is_a_minute(hub: Hub) -> None:
    client = GitHubClient.for_reading(hub.settings())
    hub.api.slow_down()
    with pytest.raises(GitHubError, match=r"asking: GitHub answered 403 .* \(60 s from now\)"):
        client.call("asking", lambda: client.read_repository(NAME))


def test_a_truncated_tree_is_incomplete(hub: Hub) -> None:
    hub.repo.most_entries = 0
    with pytest.raises(GitHubError, match=r"incomplete \(a truncated tree\); use a clone instead"):
        propose(hub)


def test_trouble_that_passes_is_not_noticed(hub: Hub, serve: Serve) -> None:
    proxy = serve(FaultyProxy(hub.api.url))
    proxy.plan(Status(502), None, Status(503), None)
    assert propose(hub, settings=hub.settings(github_api_url=proxy.url)).is_new


def test_trouble_while_writing_is_reported_and_the_next_try_goes_on_from_there(hub: Hub, serve: Serve) -> None:
    def rule(request: Request) -> Status | None:
        return Status(502) if request.method == "POST" and request.path.endswith("/pulls") else None

    proxy = serve(FaultyProxy(hub.api.url, rule=rule))
    settings = hub.settings(github_api_url=proxy.url)
    with pytest.raises(GitHubError, match=r"502 .*GitHub has trouble: try again later"):
        propose(hub, settings=settings)
    at = hub.git.branch(BRANCH)
    proxy.reset()
    assert propose(hub, settings=settings).is_new
    assert hub.git.branch(BRANCH) == at, "the commit was there already"


def meddle(hub: Hub, serve: Serve, when: Callable[[Request], bool], what: Callable[[], object], times: int) -> Settings:
    """Settings for an address where *what* happens just before a request that *when* knows, so often at most."""
    left = [times]

    def rule(request: Request) -> None:
        if when(request) and left[0]:
            left[0] -= 1
            what()

    return hub.settings(github_api_url=serve(FaultyProxy(hub.api.url, rule=rule)).url)


def test_a_base_that_moves_meanwhile_does_no_harm(hub: Hub, serve: Serve) -> None:
    settings = meddle(
        hub, serve, lambda r: r.path.endswith("/git/trees"), lambda: hub.commit({FILE: TRACKED + "# late\n"}), 1
    )
    propose(hub, settings=settings)
    assert len(hub.git.log(f"main..{BRANCH}")) == 1
    propose(hub, settings=settings)
    assert hub.text(FILE, BRANCH) == day_2(TRACKED) + "# late\n"


def test_two_of_the_same_at_once_make_one_pull_request(hub: Hub, serve: Serve) -> None:
    settings = meddle(
        hub, serve, lambda r: r.method == "POST" and r.path.endswith("/git/refs"), lambda: propose(hub), 1
    )
    done = propose(hub, settings=settings)
    assert (done.number, done.is_new, len(hub.pulls)) == (1, False, 1)
    hub.pulls[0].state = "closed"
    settings = meddle(hub, serve, lambda r: r.method == "POST" and r.path.endswith("/pulls"), lambda: propose(hub), 1)
    done = propose(hub, settings=settings)
    assert (done.number, done.is_new, len(hub.pulls)) == (2, False, 2)


def test_a_push_of_somebody_else_meanwhile_is_not_overwritten(hub: Hub, serve: Serve) -> None:
    propose(hub)
    theirs = []
    settings = meddle(
        hub,
        serve,
        lambda r: r.path.endswith("/git/commits"),
        lambda: theirs.append(hub.commit({"a": "1"}, BRANCH, message="Quicker")),
        1,
    )
    with pytest.raises(GitHubError, match="'Quicker'"):
        propose(hub, settings=settings, change=lambda text: text + "# more\n")
    assert hub.git.branch(BRANCH) == theirs[0]


def test_a_branch_that_never_holds_still_is_reported(hub: Hub, serve: Serve) -> None:
    propose(hub)
    count = iter(range(1000))
    mark = f"t\n\n{TRAILER}: {BRANCH}"
    settings = meddle(
        hub,
        serve,
        lambda r: r.path.endswith("/git/commits"),
        lambda: hub.commit({"a": str(next(count))}, BRANCH, message=mark),
        1000,
    )
    with pytest.raises(GitHubError, match="keeps being changed by others"):
        propose(hub, settings=settings, change=lambda text: text + "# more\n")


# -- runs ------------------------------------------------------------------------------------------


def job(name: str, status: str, conclusion: str | None = None, *steps: str) -> dict[str, Any]:
    done = [{"name": step, "status": "completed", "conclusion": "success"} for step in steps]
    return {"name": name, "status": status, "conclusion": conclusion, "steps": done}


def test_a_run_is_started_with_the_given_inputs_and_found(hub: Hub) -> None:
    requests = [
        dispatch_sync(hub.settings(), sources=["s3", "codeocean"], sessions=["626791_2022-08-15"], full=True),
        dispatch_sync(hub.settings()),
    ]
    assert len(set(requests)) == 2
    first, second = hub.runs
    assert dict(first.inputs) == {
        "sources": "s3,codeocean",
        "sessions": "626791_2022-08-15",
        "full": "true",
        "request": requests[0],
    }
    assert (second.inputs["full"], second.inputs["sources"], first.branch) == ("false", "", "main")
    for request, run in zip(requests, (first, second)):
        found = find_run(hub.settings(), request, interval=0.01, timeout=0)
        assert found == WorkflowRun(run.id, f"https://github.com/{NAME}/actions/runs/{run.id}", "queued", None)


def test_the_workflow_of_this_repository_takes_what_is_sent(hub: Hub) -> None:
    ours = Path(__file__).resolve().parent.parent.parent / ".github" / "workflows" / WORKFLOW
    hub.commit({f".github/workflows/{WORKFLOW}": ours.read_text(encoding="utf-8")})
    request = dispatch_sync(hub.settings(), sources=["s3"], sessions=["626791_2022-08-15"], full=True)
    assert find_run(hub.settings(), request, interval=0.01, timeout=0).id == hub.runs[0].id


def test_a_run_that_is_listed_late_is_waited_for(hub: Hub) -> None:
    hub.api.hides_runs = True
    request = dispatch_sync(hub.settings())
    threading.Timer(0.1, lambda: setattr(hub.api, "hides_runs", False)).start()
    assert find_run(hub.settings(), request, interval=0.02, timeout=10).id == hub.runs[0].id


def test_a_run_that_is_never_listed_is_reported(hub: Hub) -> None:
    hub.api.hides_runs = True
    request = dispatch_sync(hub.settings())
    with pytest.raises(GitHubError, match=f"GitHub took request {request}, but lists no run of it after 0.05 s"):
        find_run(hub.settings(), request, interval=0.01, timeout=0.05)


@pytest.mark.parametrize("conclusion", ["success", "failure", "cancelled"])
def test_a_run_is_followed_to_its_end(hub: Hub, conclusion: str) -> None:
    looks: list[WorkflowRun] = []
    moved_on = threading.Event()

    def go_on(run: ServedRun) -> None:
        for status, ended, jobs in (
            ("in_progress", None, [job("observe", "in_progress")]),
            ("in_progress", None, [job("observe", "completed", "success", "look"), job("commit", "queued")]),
            ("completed", conclusion, [job("observe", "completed", "success"), job("commit", "completed", conclusion)]),
        ):
            moved_on.clear()
            hub.api.set_run(run.id, status=status, conclusion=ended, jobs=jobs)
            moved_on.wait(10)  # until it was seen

    def watch(run: WorkflowRun) -> None:
        looks.append(run)
        if run.jobs:
            moved_on.set()

    hub.api.on_dispatch = go_on
    run = find_run(hub.settings(), dispatch_sync(hub.settings()), interval=0.01, timeout=10)
    last = wait_for_run(hub.settings(), run.id, interval=0.01, timeout=20, on_change=watch)
    assert (last.status, last.conclusion, last.is_over) == ("completed", conclusion, True)
    assert [(job.name, job.conclusion) for job in last.jobs] == [("observe", "success"), ("commit", conclusion)]
    assert len(looks) == len(set(looks)), "each look that differs is told once"
    assert looks[-1] == last
    assert any(look.jobs and [step.name for step in look.jobs[0].steps] == ["look"] for look in looks)
    assert last.jobs[0].started is not None and last.jobs[0].started.tzinfo is not None


def test_all_of_many_jobs_are_seen(hub: Hub) -> None:
    dispatch_sync(hub.settings())
    (run,) = hub.runs
    jobs = [job(f"observe {n}", "completed", "success") for n in range(105)]
    hub.api.set_run(run.id, status="completed", conclusion="success", jobs=jobs)
    assert len(wait_for_run(hub.settings(), run.id, interval=0.01, timeout=30).jobs) == 105


def test_a_run_that_takes_too_long_is_reported(hub: Hub) -> None:
    dispatch_sync(hub.settings())
    with pytest.raises(
        GitHubError, match=r"not over after 0\.05 s, and goes on: https://github\.com/lab/state/actions"
    ):
        wait_for_run(hub.settings(), hub.runs[0].id, interval=0.01, timeout=0.05)


def test_limits_are_waited_for_while_following(hub: Hub) -> None:
    dispatch_sync(hub.settings())
    hub.api.set_run(hub.runs[0].id, status="completed", conclusion="success")
    hub.api.slow_down(retry_after=1)
    assert wait_for_run(hub.settings(), hub.runs[0].id, interval=0.01, timeout=30).is_over


def test_a_sync_that_cannot_be_started_is_reported(hub: Hub) -> None:
    with pytest.raises(GitHubError, match=r"No ref found for: nowhere"):
        dispatch_sync(hub.settings(), ref="nowhere")
    with pytest.raises(GitHubError, match=r"403 .* must allow actions: write"):
        dispatch_sync(hub.settings(STRANGER))
    hub.commit({".github/workflows/sync.yml": FILES[".github/workflows/sync.yml"].replace("full:", "fully:")})
    with pytest.raises(GitHubError, match=r"Unexpected inputs .*\[\"full\"\]"):
        dispatch_sync(hub.settings())
