"""The stand-in for GitHub's API behaves as its own clients expect, and answers in the shapes that GitHub publishes."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import github
import pytest
import requests

from tests.servers.github_api import GitHubApiServer
from tests.servers.github_contents import RULES
from tests.servers.github_git import GitRepo, Signature, init_bare
from tests.servers.github_hub import MEMBER, NAME, ROBOT, STRANGER, TOKENS, TRACKED, Hub
from tests.servers.github_records import Run
from tests.servers.github_schema import DESCRIPTION, NODE, assert_published_schema

REPO = {"owner": "lab", "repo": "state"}


def client(hub: Hub, login: str | None = MEMBER) -> github.Github:
    return github.Github(
        auth=github.Auth.Token(TOKENS[login]) if login else None,
        base_url=hub.api.url,
        retry=None,
        seconds_between_requests=None,
        seconds_between_writes=None,
    )


def send(hub: Hub, method: str, path: str, body: Any = None, login: str | None = MEMBER, **headers: str) -> Any:
    """One request without any client's help."""
    if login:
        headers["authorization"] = f"Bearer {TOKENS[login]}"
    return requests.request(method, hub.api.url + path, json=body, headers=headers, timeout=60)


def put_branch(hub: Hub, name: str, files: dict[str, str | None], git: GitRepo | None = None) -> str:
    """A branch from main with one more commit."""
    git = git or hub.git
    git.move_ref(f"refs/heads/{name}", git.branch("main") or "", "0" * 40)
    return hub.commit(files, name, git=git)


# -- with PyGithub ---------------------------------------------------------------------------------


def test_pygithub_reads_a_repository(hub: Hub) -> None:
    repo = client(hub).get_repo(NAME)
    assert (repo.full_name, repo.default_branch, repo.private, repo.fork) == (NAME, "main", False, False)
    assert (repo.permissions.push, repo.permissions.admin) == (True, False)
    assert client(hub, STRANGER).get_repo(NAME).permissions.push is False
    assert client(hub).get_user().login == MEMBER
    assert [branch.name for branch in repo.get_branches()] == ["main"]
    assert repo.get_branch("main").commit.sha == hub.git.branch("main")
    assert [commit.commit.message for commit in repo.get_commits()] == ["x"]
    assert repo.get_commit("main").files[0].status == "added"


def test_pygithub_lists_commits_of_a_path_and_a_time_in_pages(hub: Hub) -> None:
    """Each commit of the hub bears the same date: those of this test have dates of their own."""
    git, shas = hub.git, [hub.git.branch("main") or ""]
    for day in (1, 2, 3, 4):
        who = Signature("Sync", "sync@example.org", f"2027-03-0{day}T12:00:00Z")
        path = "state/one" if day % 2 else "other"
        tree = git.write_tree(shas[-1], [("100644", git.write_blob(str(day).encode()), path)])
        shas.append(git.write_commit(tree, [shas[-1]], f"day {day}", who, who))
    git.move_ref("refs/heads/main", shas[-1], shas[0])
    git.move_ref("refs/tags/v1", shas[2], "0" * 40)
    repo = client(hub).get_repo(NAME)

    def messages(**query: Any) -> list[str]:
        return [commit.commit.message for commit in repo.get_commits(**query)]

    noon = datetime(2027, 3, 3, 12, tzinfo=timezone.utc)
    assert messages(path="state") == messages(path="state/one") == ["day 3", "day 1"]
    assert messages(until=noon) == ["day 3", "day 2", "day 1", "x"]
    assert messages(until=noon.replace(hour=11), path="state") == ["day 1"]
    assert messages(since=noon) == ["day 4", "day 3"]
    assert messages(sha="v1") == ["day 2", "day 1", "x"]
    assert messages(until=datetime(2020, 1, 1, tzinfo=timezone.utc)) == []
    one = send(hub, "GET", f"/repos/{NAME}/commits?path=state&per_page=1")
    assert [commit["sha"] for commit in one.json()] == [shas[3]]
    assert one.links["last"]["url"].endswith("/commits?path=state&per_page=1&page=2")
    assert [commit["sha"] for commit in requests.get(one.links["next"]["url"], timeout=60).json()] == [shas[1]]
    assert send(hub, "GET", f"/repos/{NAME}/commits?sha=none").status_code == 404
    for name in ("v1", "tags/v1", shas[2][:7], "heads/main", "main"):
        found = send(hub, "GET", f"/repos/{NAME}/commits/{name}").json()["sha"]
        assert found == (shas[4] if "main" in name else shas[2])


def test_a_commit_tells_of_its_files_in_pages(hub: Hub) -> None:
    hub.commit({f"folder/{number:03}": "x" for number in range(301)})
    address = f"/repos/{NAME}/commits/main"
    whole = send(hub, "GET", address)
    assert len(whole.json()["files"]) == 300 and whole.links["last"]["url"].endswith("page=2")
    assert [file["filename"] for file in send(hub, "GET", f"{address}?page=2").json()["files"]] == ["folder/300"]
    small = send(hub, "GET", f"{address}?per_page=1")
    assert (len(small.json()["files"]), small.json()["sha"]) == (1, whole.json()["sha"])
    assert len(list(client(hub).get_repo(NAME).get_commit("main").files)) == 301


def test_pygithub_reads_files_of_every_size_and_folders(hub: Hub) -> None:
    big = "x" * (2**20 + 1)
    hub.commit({"folder/big.txt": big, "folder/small.txt": "one\r\ntwo"})
    repo = client(hub).get_repo(NAME)
    assert repo.get_contents("folder/small.txt").decoded_content == b"one\r\ntwo"  # type: ignore[union-attr]
    assert [item.path for item in repo.get_contents("folder")] == ["folder/big.txt", "folder/small.txt"]  # type: ignore[union-attr]
    assert repo.get_contents("folder/big.txt").encoding == "none"  # type: ignore[union-attr]
    raw = send(hub, "GET", f"/repos/{NAME}/contents/folder/big.txt", accept="application/vnd.github.raw+json")
    assert raw.text == big
    entry = hub.git.entry("main", "folder/big.txt")
    assert entry is not None
    assert base64.b64decode(repo.get_git_blob(entry.sha).content) == big.encode()
    paths = [item.path for item in repo.get_git_tree("main", recursive=True).tree]
    assert {"folder", "folder/big.txt", "tracked_sessions.yaml"} <= set(paths)


def test_pygithub_commits_through_the_git_database(hub: Hub) -> None:
    repo = client(hub).get_repo(NAME)
    head = repo.get_git_commit(repo.get_git_ref("heads/main").object.sha)
    blob = repo.create_git_blob(base64.b64encode(b"a\r\n\xff").decode(), "base64")
    elements = [
        github.InputGitTreeElement("deep/er/file", "100644", "blob", sha=blob.sha),
        github.InputGitTreeElement("tracked_sessions.yaml", "100644", "blob", sha=None),
        github.InputGitTreeElement("copied", "040000", "tree", sha=repo.get_git_tree("main").tree[0].sha),
    ]
    tree = repo.create_git_tree(elements, head.tree)
    commit = repo.create_git_commit("a title\n\na body", tree, [head])
    repo.create_git_ref("refs/heads/side/branch", commit.sha)
    assert hub.git.git("cat-file", "blob", "side/branch:deep/er/file") == b"a\r\n\xff"
    listed = hub.git.git("ls-tree", "-r", "--name-only", "side/branch").decode().split()
    assert listed == [".github/workflows/sync.yml", "copied/workflows/sync.yml", "deep/er/file"]
    written = hub.git.commit(commit.sha)
    assert (written.author.name, written.message, written.parents) == (MEMBER, "a title\n\na body", (head.sha,))


def test_pygithub_moves_refs_only_forward_unless_forced(hub: Hub) -> None:
    repo = client(hub).get_repo(NAME)
    first = hub.git.branch("main") or ""
    second = hub.commit({"a": "1"})
    ref = repo.get_git_ref("heads/main")
    with pytest.raises(github.GithubException, match="not a fast forward") as caught:
        ref.edit(first)
    assert caught.value.status == 422
    ref.edit(first, force=True)
    assert hub.git.branch("main") == first
    ref.edit(second)
    with pytest.raises(github.GithubException, match="Reference already exists"):
        repo.create_git_ref("refs/heads/main", second)
    with pytest.raises(github.GithubException, match="Object does not exist"):
        repo.create_git_ref("refs/heads/other", "0" * 39 + "1")
    repo.create_git_ref("refs/heads/other", second).delete()
    assert hub.git.branch("other") is None
    with pytest.raises(github.UnknownObjectException):
        _ = repo.get_git_ref("heads/other").object
    assert [ref.ref for ref in repo.get_git_matching_refs("heads/m")] == ["refs/heads/main"]


def test_of_many_who_make_a_branch_at_once_one_does(hub: Hub) -> None:
    body = {"ref": "refs/heads/side", "sha": hub.git.branch("main")}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: send(hub, "POST", f"/repos/{NAME}/git/refs", body), range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [422] * 7


def test_a_protected_branch_takes_no_push(hub: Hub) -> None:
    hub.repo.protected.add("main")
    side = put_branch(hub, "side", {"a": "1"})
    repo = client(hub).get_repo(NAME)
    assert repo.get_branch("main").protected
    with pytest.raises(github.GithubException, match="Repository rule violations found"):
        repo.get_git_ref("heads/main").edit(side)
    with pytest.raises(github.GithubException) as caught:
        repo.create_file("b", "message", "content")
    assert (caught.value.status, caught.value.data["message"]) == (409, RULES)


def test_files_are_written_only_over_the_version_that_was_seen(hub: Hub) -> None:
    repo = client(hub).get_repo(NAME)
    made = repo.create_file("notes.txt", "first", "one\r\n")
    assert hub.text("notes.txt") == "one\r\n"
    with pytest.raises(github.GithubException, match="wasn't supplied") as caught:
        repo.create_file("notes.txt", "again", "two")
    assert caught.value.status == 422
    hub.commit({"notes.txt": "meanwhile"})
    with pytest.raises(github.GithubException, match="does not match") as caught:
        repo.update_file("notes.txt", "second", "two", made["content"].sha)
    assert caught.value.status == 409
    seen = repo.get_contents("notes.txt").sha  # type: ignore[union-attr]
    repo.update_file("notes.txt", "second", "two", seen)
    assert hub.text("notes.txt") == "two"


def test_pygithub_lives_through_a_pull_request(hub: Hub) -> None:
    side = put_branch(hub, "side", {"a": "1\n2\n"})
    repo = client(hub).get_repo(NAME)
    pull = repo.create_pull(base="main", head="side", title="A title", body="A body")
    assert (pull.commits, pull.additions, pull.deletions, pull.changed_files) == (1, 2, 0, 1)
    assert [file.filename for file in pull.get_files()] == ["a"]
    assert [commit.sha for commit in pull.get_commits()] == [side]
    assert hub.git.ref(f"refs/pull/{pull.number}/head") == ("commit", side)
    with pytest.raises(github.GithubException, match=r"A pull request already exists for lab:side\.") as caught:
        repo.create_pull(base="main", head="lab:side", title="Again")
    assert caught.value.status == 422
    newer = hub.commit({"a": "3\n"}, "side")
    assert repo.get_pull(pull.number).head.sha == newer
    assert hub.git.ref(f"refs/pull/{pull.number}/head") == ("commit", newer)
    assert [one.number for one in repo.get_pulls(head="lab:side", base="main")] == [pull.number]
    assert list(repo.get_pulls(head="lab:other")) == list(repo.get_pulls(state="closed")) == []
    pull.edit(title="Another", body="body", state="closed")
    assert [one.title for one in repo.get_pulls(state="closed")] == ["Another"]
    again = repo.create_pull(base="main", head="side", title="A title")
    assert again.number == pull.number + 1
    repo.get_git_ref("heads/side").delete()
    assert repo.get_pull(again.number).state == "closed", "its branch is gone"


@pytest.mark.parametrize(
    ("head", "base", "said"),
    [
        ("nowhere", "main", "head"),
        ("main", "nowhere", "base"),
        ("carol:main", "main", "head"),
        ("main", "main", "No commits"),
    ],
)
def test_a_pull_request_of_nothing_is_refused(hub: Hub, head: str, base: str, said: str) -> None:
    with pytest.raises(github.GithubException, match=said) as caught:
        client(hub).get_repo(NAME).create_pull(base=base, head=head, title="t")
    assert caught.value.status == 422


def test_a_fork_shares_objects_and_takes_its_time(hub: Hub) -> None:
    hub.api.fork_takes = 1
    upstream = client(hub, STRANGER).get_repo(NAME)
    fork = upstream.create_fork()
    assert (fork.full_name, fork.parent.full_name, fork.permissions.admin) == ("bob/state", NAME, True)
    with pytest.raises(github.GithubException, match="empty") as caught:
        _ = fork.get_git_ref("heads/main").object
    assert caught.value.status == 409
    assert upstream.create_fork().id == fork.id, "there is one already"
    newer = hub.commit({"later": "than the fork"})
    base = fork.get_git_commit(newer)
    element = github.InputGitTreeElement("a", "100644", "blob", content="1")
    commit = fork.create_git_commit("in the fork", fork.create_git_tree([element], base.tree), [base])
    fork.create_git_ref("refs/heads/side", commit.sha)
    pull = upstream.create_pull(base="main", head="bob:side", title="From a fork")
    assert (pull.head.repo.full_name, pull.commits) == ("bob/state", 1)
    assert hub.git.type_of(commit.sha) == "commit", "refs/pull/*/head brings the objects along"
    assert [commit.sha for commit in upstream.compare("main", "bob:side").commits] == [commit.sha]
    assert [one.full_name for one in upstream.get_forks()] == ["bob/state"]


def test_a_fork_that_shares_nothing_is_compared_and_brought_up_to_date(hub: Hub) -> None:
    hub.api.forks_share = False
    client(hub, STRANGER).get_repo(NAME).create_fork()
    fork = hub.fork()
    side = put_branch(hub, "side", {"a": "1"}, fork.git)
    newer = hub.commit({"later": "than the fork"})
    assert fork.git.type_of(newer) == hub.git.type_of(side) == ""
    compared = client(hub).get_repo(NAME).compare("main", "bob:side")
    assert (compared.status, compared.behind_by, compared.commits[0].sha) == ("diverged", 1, side)
    path = f"/repos/{fork.full_name}/merge-upstream"
    merged = [send(hub, "POST", path, {"branch": "main"}, login=STRANGER).json()["merge_type"] for _ in range(2)]
    assert (merged, fork.git.branch("main")) == (["fast-forward", "none"], newer)
    assert send(hub, "POST", path, {"branch": "side"}, login=STRANGER).status_code == 422
    hub.commit({"a": "2"}, git=fork.git)
    hub.commit({"a": "3"})
    assert send(hub, "POST", path, {"branch": "main"}, login=STRANGER).status_code == 409
    assert send(hub, "POST", path, {"branch": "main"}).status_code == 403


def test_comparisons_count_both_ways(hub: Hub) -> None:
    put_branch(hub, "side", {"tracked_sessions.yaml": "new\n", "b": None})
    hub.commit({"c": "1"})
    compared = client(hub).get_repo(NAME).compare("main", "side")
    assert (compared.status, compared.ahead_by, compared.behind_by) == ("diverged", 1, 1)
    assert [(file.filename, file.status) for file in compared.files] == [("tracked_sessions.yaml", "modified")]
    assert client(hub).get_repo(NAME).compare("main", "main").status == "identical"


def test_pygithub_lives_through_an_issue(hub: Hub) -> None:
    repo = client(hub).get_repo(NAME)
    repo.create_label("sync-failure", "d73a4a", "syncs fail")
    with pytest.raises(github.GithubException, match="already_exists"):
        repo.create_label("Sync-Failure", "d73a4a")
    issue = repo.create_issue("It fails", "since today", labels=["sync-failure"])
    other = client(hub, STRANGER).get_repo(NAME).create_issue("A question", labels=["sync-failure"])
    assert other.labels == [], "who may not push sets no labels"
    assert [one.number for one in repo.get_issues(labels=["sync-failure"])] == [issue.number]
    issue.create_comment("still")
    issue.edit(state="closed", state_reason="completed", body="since yesterday")
    again = repo.get_issue(issue.number)
    assert (again.state, again.state_reason, again.body, again.comments) == (
        "closed",
        "completed",
        "since yesterday",
        1,
    )
    assert [comment.body for comment in again.get_comments()] == ["still"]
    assert [one.number for one in repo.get_issues()] == [other.number]
    with pytest.raises(github.GithubException) as caught:
        client(hub, STRANGER).get_repo(NAME).get_issue(issue.number).edit(title="Mine")
    assert caught.value.status == 403
    with pytest.raises(github.GithubException, match="too long"):
        repo.create_issue("t", "x" * 65537)


def test_pygithub_dispatches_and_watches_a_run(hub: Hub) -> None:
    started = threading.Event()
    seen: list[Run] = []
    hub.api.on_dispatch = lambda run: (seen.append(run), started.set())  # type: ignore[func-returns-value]
    workflow = client(hub).get_repo(NAME).get_workflow("sync.yml")
    assert workflow.create_dispatch("main", {"request": "abc", "full": True})
    assert started.wait(10)
    assert dict(seen[0].inputs) == {"sources": "", "sessions": "", "full": "true", "request": "abc"}
    (run,) = workflow.get_runs(event="workflow_dispatch", branch="main", status="queued")
    assert (run.display_title, run.event, run.head_sha) == ("sync abc", "workflow_dispatch", hub.git.branch("main"))
    step = {"name": "build", "status": "completed", "conclusion": "success"}
    hub.api.set_run(run.id, status="in_progress", jobs=[{"name": "observe", "status": "in_progress", "steps": [step]}])
    (job,) = run.jobs()
    assert (job.name, job.steps[0].conclusion) == ("observe", "success")
    hub.api.set_run(run.id, status="completed", conclusion="failure")
    assert client(hub).get_repo(NAME).get_workflow_run(run.id).conclusion == "failure"
    assert [one.id for one in client(hub).get_repo(NAME).get_workflow_runs(status="failure")] == [run.id]
    today = run.created_at.date()
    for created, count in ((f">={today}", 1), (f"<{today}", 0), (f"{today}..*", 1), (str(today), 1)):
        assert workflow.get_runs(created=created).totalCount == count, created


@pytest.mark.parametrize(
    ("workflow", "body", "status", "said"),
    [
        ("sync.yml", {"ref": "main", "inputs": {"typo": "1"}}, 422, 'Unexpected inputs provided: ["typo"]'),
        ("sync.yml", {"ref": "main", "inputs": {"full": "yes"}}, 422, "not in the list of allowed values"),
        ("sync.yml", {"ref": "nowhere"}, 422, "No ref found for: nowhere"),
        ("sync.yml", {}, 422, "Validation Failed"),
        ("sync.yml", {"ref": "side"}, 422, "does not have 'workflow_dispatch' trigger"),
        ("other.yml", {"ref": "main"}, 404, "Not Found"),
    ],
)
def test_a_dispatch_of_nothing_is_refused(hub: Hub, workflow: str, body: Any, status: int, said: str) -> None:
    put_branch(hub, "side", {".github/workflows/sync.yml": "on: [push]\n"})
    answer = send(hub, "POST", f"/repos/{NAME}/actions/workflows/{workflow}/dispatches", body)
    assert answer.status_code == status
    assert said in answer.json()["message"]
    assert hub.runs == []


def test_a_repository_dispatch_starts_what_waits_for_it(hub: Hub) -> None:
    payload = {"session": "626791_2022-08-15"}
    assert client(hub).get_repo(NAME).create_repository_dispatch("session-changed", payload)
    assert client(hub).get_repo(NAME).create_repository_dispatch("other")
    (run,) = hub.runs
    assert (run.event, run.title, dict(run.payload)) == ("repository_dispatch", "sync repository_dispatch", payload)


NONE = "0" * 39 + "1"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PATCH", "git/refs/heads/none", {"sha": NONE}, 422),
        ("PATCH", "git/refs/heads/main", {"sha": NONE}, 422),
        ("POST", "git/refs", {"ref": "main", "sha": NONE}, 422),
        ("GET", f"git/blobs/{NONE}", None, 404),
        ("GET", f"git/trees/{NONE}", None, 404),
        ("POST", "git/trees", {"base_tree": NONE, "tree": [{}]}, 404),
        ("POST", "git/trees", {"tree": []}, 422),
        ("POST", "git/trees", {"tree": [{"path": "a", "mode": "100000", "sha": NONE}]}, 422),
        ("POST", "git/trees", {"tree": [{"path": "a", "mode": "100644", "type": "blob", "sha": NONE}]}, 422),
        ("POST", "git/trees", {"tree": [{"path": "../a", "mode": "100644", "type": "blob", "content": "x"}]}, 422),
        ("GET", f"git/commits/{NONE}", None, 404),
        ("POST", "git/commits", {"message": "m", "tree": NONE}, 422),
        ("GET", "contents/a?ref=none", None, 404),
        ("PUT", "contents/a", {"message": "m", "content": "aGk=", "branch": "none"}, 404),
        ("PUT", "contents/a", {"message": "m", "content": "a"}, 422),
        ("GET", "branches/none", None, 404),
        ("GET", "commits?sha=none", None, 404),
        ("GET", "commits/none", None, 422),
        ("GET", "compare/main...none", None, 404),
        ("GET", "pulls/7", None, 404),
        ("GET", "issues/7", None, 404),
        ("GET", "labels/none", None, 404),
        ("POST", "issues", {"body": "no title"}, 422),
        ("GET", "actions/runs/7", None, 404),
        ("GET", "actions/workflows/none.yml", None, 404),
    ],
)
def test_what_is_not_there_or_makes_no_sense_is_refused(
    hub: Hub, method: str, path: str, body: Any, status: int
) -> None:
    answer = send(hub, method, f"/repos/{NAME}/{path}", body)
    assert answer.status_code == status, answer.text
    assert answer.json()["message"]


# -- who may do what -------------------------------------------------------------------------------


def test_strangers_read_what_is_public_and_write_nothing(hub: Hub) -> None:
    assert client(hub, None).get_repo(NAME).get_contents("tracked_sessions.yaml").decoded_content == TRACKED.encode()  # type: ignore[union-attr]
    refused = send(hub, "POST", f"/repos/{NAME}/issues", {"title": "t"}, login=None)
    assert (refused.status_code, refused.json()["message"]) == (401, "Requires authentication")
    assert send(hub, "GET", "/user", login=None).status_code == 401


def test_a_private_repository_is_hidden(hub: Hub, tmp_path: Path) -> None:
    hub.api.add_repo("lab/secret", init_bare(tmp_path / "secret.git").path, private=True, permissions={MEMBER: "pull"})
    assert client(hub).get_repo("lab/secret").private
    for login in (STRANGER, None):
        assert send(hub, "GET", "/repos/lab/secret", login=login).status_code == 404


def test_a_token_that_is_no_good_is_refused_everywhere(hub: Hub) -> None:
    hub.api.revoke(TOKENS[MEMBER])
    with pytest.raises(github.BadCredentialsException, match="Bad credentials"):
        client(hub).get_repo(NAME)


def test_rights_are_those_of_the_user_and_of_the_token(hub: Hub) -> None:
    path, body = f"/repos/{NAME}/git/refs", {"ref": "refs/heads/side", "sha": hub.git.branch("main")}
    refused = send(hub, "POST", path, body, login=STRANGER)
    assert (refused.status_code, refused.headers["x-accepted-github-permissions"]) == (403, "contents=write")
    hub.api.add_token(TOKENS[ROBOT], ROBOT, may_write={"issues"})
    refused = send(hub, "POST", path, body, login=ROBOT)
    assert (refused.status_code, refused.json()["message"]) == (403, "Resource not accessible by integration")
    assert send(hub, "POST", f"/repos/{NAME}/issues", {"title": "t"}, login=ROBOT).status_code == 201
    assert send(hub, "GET", "/user", login=ROBOT).status_code == 403
    assert send(hub, "GET", f"/repos/{NAME}", login=ROBOT).json()["permissions"]["push"] is False


# -- limits ----------------------------------------------------------------------------------------


def test_the_primary_limit_is_counted_and_exhausted(hub: Hub) -> None:
    left = [int(send(hub, "GET", f"/repos/{NAME}").headers["x-ratelimit-remaining"]) for _ in range(2)]
    assert left == [4999, 4998]
    before = time.time()
    hub.api.limit(MEMBER, remaining=1, reset_in=60)
    after = time.time()
    assert send(hub, "GET", f"/repos/{NAME}").status_code == 200
    refused = send(hub, "GET", f"/repos/{NAME}")
    assert (refused.status_code, refused.headers["x-ratelimit-remaining"]) == (403, "0")
    assert before + 59 <= int(refused.headers["x-ratelimit-reset"]) <= after + 61
    with pytest.raises(github.RateLimitExceededException):
        client(hub).get_repo(NAME)
    assert client(hub).get_rate_limit().resources.core.remaining == 0, "to ask is free"
    assert send(hub, "GET", f"/repos/{NAME}", login=STRANGER).status_code == 200, "each has an own limit"
    assert send(hub, "GET", f"/repos/{NAME}", login=None).headers["x-ratelimit-limit"] == "60"


def test_the_limit_comes_back_at_its_hour(tmp_path: Path) -> None:
    clock = [datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)]
    with GitHubApiServer(now=lambda: clock[0]) as api:
        api.add_repo("lab/empty", init_bare(tmp_path / "empty.git").path)
        api.limit(None, remaining=0, reset_in=10)
        assert requests.get(f"{api.url}/repos/lab/empty", timeout=60).status_code == 403
        clock[0] = clock[0].replace(second=11)
        answer = requests.get(f"{api.url}/repos/lab/empty", timeout=60)
        assert (answer.status_code, answer.json()["created_at"]) == (200, "2026-11-22T12:00:00Z")


def test_the_secondary_limit_tells_how_long(hub: Hub) -> None:
    hub.api.slow_down(retry_after=7)
    hub.api.slow_down(status=429)
    refused = send(hub, "GET", "/user")
    assert (refused.status_code, refused.headers["retry-after"]) == (403, "7")
    assert "secondary rate limit" in refused.json()["message"]
    refused = send(hub, "GET", "/user")
    assert (refused.status_code, refused.headers.get("retry-after")) == (429, None)
    assert send(hub, "GET", "/user").status_code == 200


def test_what_has_not_changed_costs_nothing(hub: Hub) -> None:
    first = send(hub, "GET", f"/repos/{NAME}/branches")
    again = send(hub, "GET", f"/repos/{NAME}/branches", **{"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["x-ratelimit-remaining"] == first.headers["x-ratelimit-remaining"]
    hub.commit({"a": "1"})
    assert send(hub, "GET", f"/repos/{NAME}/branches", **{"if-none-match": first.headers["etag"]}).status_code == 200


def test_lists_have_pages(hub: Hub) -> None:
    for number in range(7):
        send(hub, "POST", f"/repos/{NAME}/issues", {"title": f"t{number}"})
    page = send(hub, "GET", f"/repos/{NAME}/issues?per_page=3&page=2&direction=asc")
    assert [issue["title"] for issue in page.json()] == ["t3", "t4", "t5"]
    assert set(page.links) == {"prev", "next", "last", "first"}
    assert page.links["next"]["url"].startswith(hub.api.url)
    assert [issue["title"] for issue in requests.get(page.links["next"]["url"], timeout=60).json()] == ["t6"]
    listed = github.Github(base_url=hub.api.url, per_page=2, retry=None, seconds_between_requests=None)
    assert listed.get_repo(NAME).get_issues().totalCount == 7


@pytest.mark.parametrize("body", [b"{", b"[]"])
def test_a_body_that_is_no_object_is_refused(hub: Hub, body: bytes) -> None:
    headers = {"authorization": f"token {TOKENS[MEMBER]}"}
    answer = requests.post(f"{hub.api.url}/repos/{NAME}/issues", data=body, headers=headers, timeout=60)
    assert answer.status_code == 400
    assert set(answer.json()) == {"message", "documentation_url", "status"}


# -- octokit, and the published shapes -------------------------------------------------------------


def octokit(hub: Hub, *calls: tuple[str, dict[str, Any]], login: str = MEMBER) -> list[Any]:
    """What GitHub's own client makes of each call, in order."""
    node = shutil.which("node")
    if node is None or not (NODE / "node_modules" / "@octokit" / "rest").is_dir():
        pytest.skip("node, or what tests/node needs of npm, is not installed (npm ci in tests/node)")
    told = json.dumps({"baseUrl": hub.api.url, "auth": TOKENS[login], "calls": calls})
    done = subprocess.run([node, str(NODE / "drive.mjs")], input=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    given: list[Any] = json.loads(done.stdout)
    return given


def test_octokit_proposes_a_change(hub: Hub) -> None:
    given = octokit(
        hub,
        ("repos.get", REPO),
        ("git.getRef", {**REPO, "ref": "heads/main"}),
        ("git.getCommit", {**REPO, "commit_sha": "$1.data.object.sha"}),
        ("git.createBlob", {**REPO, "content": "aGk=", "encoding": "base64"}),
        (
            "git.createTree",
            {
                **REPO,
                "base_tree": "$2.data.tree.sha",
                "tree": [{"path": "a", "mode": "100644", "type": "blob", "sha": "$3.data.sha"}],
            },
        ),
        ("git.createCommit", {**REPO, "message": "m", "tree": "$4.data.sha", "parents": ["$1.data.object.sha"]}),
        ("git.createRef", {**REPO, "ref": "refs/heads/o/k", "sha": "$5.data.sha"}),
        ("pulls.create", {**REPO, "title": "t", "head": "o/k", "base": "main"}),
        ("pulls.create", {**REPO, "title": "t", "head": "o/k", "base": "main"}),
        ("pulls.listFiles", {**REPO, "pull_number": "$7.data.number"}),
        ("repos.compareCommitsWithBasehead", {**REPO, "basehead": "main...o/k"}),
    )
    assert [item["status"] for item in given] == [200, 200, 200, 201, 201, 201, 201, 201, 422, 200, 200]
    assert "A pull request already exists for lab:o/k" in given[8]["message"]
    assert [file["filename"] for file in given[9]["data"]] == ["a"]
    assert hub.text("a", "o/k") == "hi"


def test_octokit_tells_of_failures_and_starts_runs(hub: Hub) -> None:
    label = {"name": "sync-failure", "color": "d73a4a"}
    given = octokit(
        hub,
        ("issues.createLabel", {**REPO, **label}),
        *[("issues.create", {**REPO, "title": f"t{n}", "labels": ["sync-failure"]}) for n in range(3)],
        ("issues.createComment", {**REPO, "issue_number": "$1.data.number", "body": "b"}),
        ("issues.update", {**REPO, "issue_number": "$1.data.number", "state": "closed", "state_reason": "duplicate"}),
        ("paginate:issues.listForRepo", {**REPO, "labels": "sync-failure", "per_page": 1}),
        (
            "actions.createWorkflowDispatch",
            {**REPO, "workflow_id": "sync.yml", "ref": "main", "inputs": {"request": "r7"}},
        ),
        ("actions.listWorkflowRuns", {**REPO, "workflow_id": "sync.yml", "event": "workflow_dispatch"}),
        ("actions.listJobsForWorkflowRun", {**REPO, "run_id": "$8.data.workflow_runs.0.id"}),
        ("repos.createDispatchEvent", {**REPO, "event_type": "session-changed", "client_payload": {"session": "x"}}),
        ("actions.createWorkflowDispatch", {**REPO, "workflow_id": "sync.yml", "ref": "main", "inputs": {"no": "1"}}),
        ("repos.createFork", REPO),
        ("rateLimit.get", {}),
        ("users.getAuthenticated", {}),
    )
    statuses = [201, 201, 201, 201, 201, 200, 200, 204, 200, 200, 204, 422, 202, 200, 200]
    assert [item["status"] for item in given] == statuses
    assert [issue["title"] for issue in given[6]["data"]] == ["t2", "t1"]
    assert given[8]["data"]["workflow_runs"][0]["display_title"] == "sync r7"
    assert given[8]["headers"]["x-ratelimit-limit"] == "5000"


def test_octokit_reads_and_writes_files(hub: Hub) -> None:
    given = octokit(
        hub,
        ("repos.getContent", {**REPO, "path": "tracked_sessions.yaml"}),
        ("repos.getContent", {**REPO, "path": ""}),
        ("repos.getContent", {**REPO, "path": "nowhere"}),
        (
            "repos.createOrUpdateFileContents",
            {**REPO, "path": "a/b", "message": "m", "content": "aGk="},
        ),
        (
            "repos.createOrUpdateFileContents",
            {**REPO, "path": "a/b", "message": "m", "content": "aGk=", "sha": "0" * 40},
        ),
        ("repos.listBranches", REPO),
        ("repos.getBranch", {**REPO, "branch": "main"}),
        ("repos.listCommits", {**REPO, "path": "a/b"}),
        ("repos.getCommit", {**REPO, "ref": "main"}),
        ("git.getTree", {**REPO, "tree_sha": "main", "recursive": "true"}),
        ("git.listMatchingRefs", {**REPO, "ref": "heads/"}),
        ("git.updateRef", {**REPO, "ref": "heads/main", "sha": "$8.data.parents.0.sha"}),
        ("git.updateRef", {**REPO, "ref": "heads/main", "sha": "$8.data.parents.0.sha", "force": True}),
        ("git.deleteRef", {**REPO, "ref": "heads/none"}),
    )
    assert [item["status"] for item in given] == [200, 200, 404, 201, 409, 200, 200, 200, 200, 200, 200, 422, 200, 422]
    assert len(given[7]["data"]) == 1


@pytest.mark.skipif(not DESCRIPTION.is_file(), reason="@octokit/openapi is not installed (npm ci in tests/node)")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"default_branch": None}, "default_branch"),
        ({"id": "7"}, "id"),
        ({"created_at": "yesterday"}, "created_at"),
        ({"html_url": "github.com"}, "html_url"),
        ({"owner": {"login": "lab"}}, "owner"),
    ],
)
def test_an_answer_of_another_shape_is_noticed(hub: Hub, change: dict[str, Any], said: str) -> None:
    send(hub, "GET", f"/repos/{NAME}")
    (exchange,) = hub.api.exchanges
    assert_published_schema([exchange])
    body = json.dumps({**json.loads(exchange.response.body), **change}).encode()
    with pytest.raises(AssertionError, match=said):
        assert_published_schema([replace(exchange, response=replace(exchange.response, body=body))])


@pytest.mark.skipif(not DESCRIPTION.is_file(), reason="@octokit/openapi is not installed (npm ci in tests/node)")
def test_a_request_or_status_that_is_not_described_is_noticed(hub: Hub) -> None:
    send(hub, "POST", f"/repos/{NAME}/issues", {"title": "t"})
    (exchange,) = hub.api.exchanges
    with pytest.raises(AssertionError, match="no such answer"):
        assert_published_schema([replace(exchange, response=replace(exchange.response, status=202))])
    with pytest.raises(AssertionError, match=r"request.*title"):
        assert_published_schema([replace(exchange, request=replace(exchange.request, body=b"{}"))])
    with pytest.raises(AssertionError, match="no such operation"):
        assert_published_schema([replace(exchange, template=None)])
