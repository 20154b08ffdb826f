"""git, as far as publishing and comparing need it: on real repositories."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from npc_lims.clients.git import GitFailed, Repository, find_repository, repository_on_github
from npc_lims.config.settings import Environment, Settings
from npc_lims.errors import GitError
from tests.integration.world import commit_all, run_git
from tests.servers.web import Request, Response, Server

DEFAULT = "AllenInstitute/npc_lims"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with an empty commit."""
    root = tmp_path / "repository"
    root.mkdir()
    commit_all(root, "nothing")
    return Repository(root)


def test_the_repository_of_a_folder_that_is_not_there_yet(repository: Repository, tmp_path: Path) -> None:
    assert find_repository(repository.root / "state" / "new").root.resolve() == repository.root.resolve()
    with pytest.raises(GitError, match=r"plain: not in a git checkout.*clone the repository"):
        find_repository(tmp_path / "plain")


def test_commits_by_any_name(repository: Repository) -> None:
    commit = run_git(repository.root, "rev-parse", "HEAD").strip()
    run_git(repository.root, "tag", "v1")
    for ref in ("HEAD", "main", "v1", commit[:8], commit):
        assert repository.commit_of(ref) == commit
    for ref in ("nowhere", "--all", "-x", "main..main", "HEAD^{tree}", "", "HEAD~5"):
        with pytest.raises(GitError, match="no such commit, branch or tag"):
            repository.commit_of(ref)


def test_a_shallow_clone_names_the_remedy_for_what_it_lacks(repository: Repository, tmp_path: Path) -> None:
    commit_all(repository.root, "one more")
    run_git(tmp_path, "clone", "--quiet", "--depth=1", repository.root.as_uri(), "shallow")
    shallow = Repository(tmp_path / "shallow")
    assert shallow.is_shallow() and not repository.is_shallow()
    with pytest.raises(GitError, match="--unshallow"):
        shallow.commit_of("HEAD~1")


def test_files_of_a_commit(repository: Repository) -> None:
    folder = repository.root / "state" / "é"
    folder.mkdir(parents=True)
    contents = {"state/é/a b.yaml": b"x\n\0y", "state/empty": b"", "README": b"r"}
    for path, content in contents.items():
        (repository.root / path).write_bytes(content)
    commit = commit_all(repository.root)
    (repository.root / "README").write_text("edited since")
    assert list(repository.list_files(commit, "state")) == ["state/empty", "state/é/a b.yaml"]
    assert {path: repository.read_file(commit, path) for path in contents} == contents
    assert repository.read_file(commit, "nowhere") is repository.read_file(commit, "state") is None
    assert repository.read_blobs([]) == {}


def test_what_is_under_way_is_named(repository: Repository) -> None:
    assert repository.is_unfinished() is None
    run_git(repository.root, "bisect", "start")
    assert repository.is_unfinished() == "a bisection"


def test_a_command_that_fails_is_reported_in_gits_words(repository: Repository) -> None:
    with pytest.raises(GitFailed, match=r"git checkout nowhere failed: error: pathspec 'nowhere' did not match"):
        repository.run("checkout", "nowhere")


class _Refusing(Server):
    """Sets a cookie, and refuses whatever is asked."""

    def answer(self, request: Request) -> Response:
        return Response(403, {"set-cookie": "session=cookie-secret"}, b"no")


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"GIT_CURL_VERBOSE": "0"},
        {"GIT_CURL_VERBOSE": "1", "GIT_TRACE_REDACT": "0", "GIT_REDACT_COOKIES": "none"},
        {"GIT_TRACE_CURL": "1", "GIT_TRACE_REDACT": "0", "GIT_TRACE": "2", "GIT_TRACE2_EVENT": "2"},
    ],
    ids=lambda variables: "+".join(variables) or "none",
)
def test_no_secret_is_in_the_error_of_a_failing_command(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with _Refusing() as server:
        address = server.url.replace("://", "://user-secret:pass-secret@")
        run_git(repository.root, "config", "http.extraHeader", "Authorization: Basic header-secret")
        with pytest.raises(GitFailed) as caught:
            repository.run("fetch", address)
    assert "secret" not in f"{caught.value} {caught.value.output} {caught.value!r}"
    assert server.requests
    assert "Send header" not in caught.value.output


@pytest.mark.parametrize(
    "variables",
    [
        {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_DIR": "/nowhere", "GIT_ALTERNATE_OBJECT_DIRECTORIES": "/nowhere"},
        {"GIT_NAMESPACE": "other", "GIT_SHALLOW_FILE": "/nowhere", "GIT_GRAFT_FILE": "/nowhere"},
        {"GIT_EXTERNAL_DIFF": "false", "GIT_PAGER_IN_USE": "1", "GIT_DIFF_OPTS": "--unified=0", "GIT_ATTR_SOURCE": "x"},
    ],
)
def test_the_folder_alone_selects_the_repository(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    (repository.root / "a").write_text("1\n")
    commit = commit_all(repository.root)
    (repository.root / "a").write_text("2\n")
    expected = repository.run("diff")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert repository.find_commit("HEAD") == commit
    assert repository.run("diff") == expected


def test_the_path_of_a_file(repository: Repository, tmp_path: Path) -> None:
    assert repository.path_of(repository.root / "state" / "sync.yaml") == "state/sync.yaml"
    with pytest.raises(GitError, match="not in the checkout"):
        repository.path_of(tmp_path / "elsewhere")


def test_the_fork_point(repository: Repository) -> None:
    start = repository.commit_of("HEAD")
    run_git(repository.root, "switch", "--quiet", "--create", "mine")
    commit_all(repository.root, "mine")
    run_git(repository.root, "switch", "--quiet", "main")
    commit_all(repository.root, "theirs")
    assert repository.fork_point("mine") == start
    run_git(repository.root, "switch", "--quiet", "--orphan", "other")
    commit_all(repository.root, "unrelated")
    with pytest.raises(GitError, match="no commit in common"):
        repository.fork_point("main")
    with pytest.raises(GitError, match="no such commit"):
        repository.fork_point("nowhere")


def test_files_that_are_not_as_they_were(repository: Repository) -> None:
    folder = repository.root / "state"
    (folder).mkdir()
    for name in ("kept", "edited", "removed", "restored", "é removed"):
        (folder / name).write_text(name)
    base = commit_all(repository.root)
    assert repository.changed_since(base, "state") == {}
    (folder / "restored").write_text("for one commit")
    (folder / "é removed").unlink()
    commit_all(repository.root)
    (folder / "restored").write_text("restored")
    (folder / "edited").write_text("?")
    (folder / "removed").unlink()
    (folder / "added").write_text("?")
    (repository.root / "elsewhere").write_text("?")
    assert repository.changed_since(base, "state") == {
        "state/added": "added",
        "state/edited": "changed",
        "state/removed": "removed",
        "state/restored": "changed",
        "state/é removed": "removed",
    }


def test_a_commit_is_made_without_a_worktree_and_an_index(repository: Repository) -> None:
    for path in ("README", "state/kept", "state/a/edited", "state/b/removed"):
        (repository.root / path).parent.mkdir(parents=True, exist_ok=True)
        (repository.root / path).write_text("old\n")
    (repository.root / "run.sh").write_text("#!/bin/sh\n")
    (repository.root / "run.sh").chmod(0o755)
    parent = commit_all(repository.root)
    # neither a lock nor a filter is in the way
    (repository.root / ".git" / "index.lock").touch()
    (repository.root / ".gitattributes").write_text("* filter=broken\n")
    run_git(repository.root, "config", "filter.broken.clean", "false")

    contents = {"state/a/edited": b"new\r\n", "state/é/c d": b"new", "state/b/removed": None, "nowhere": None}
    tree = repository.write_tree(parent, contents)
    who = {f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    commit = repository.write_commit(tree, parent, "subject\n\n# body\n", who)

    assert repository.line("log", "-1", "--format=%P %an", commit) == f"{parent} x@y"
    assert repository.run("log", "-1", "--format=%B", commit) == b"subject\n\n# body\n\n"
    changed = repository.run("diff", "--name-status", "-z", "--no-renames", parent, commit).decode().split("\0")
    assert changed == ["M", "state/a/edited", "D", "state/b/removed", "A", "state/é/c d", ""]
    assert {path: repository.read_file(commit, path) for path in contents} == contents
    run_git(repository.root, "fsck", "--strict")


def test_a_damaged_blob_is_an_error(repository: Repository) -> None:
    (repository.root / "large").write_bytes(random.Random(1).randbytes(300_000))
    commit_all(repository.root)
    blob = repository.line("rev-parse", "HEAD:large")
    path = repository.git_folder / "objects" / blob[:2] / blob[2:]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:200_000])
    with pytest.raises(GitFailed, match=r"git cat-file --batch failed: "):
        repository.read_blobs([blob])
    assert repository.read_blobs(["HEAD:nothing 5", "HEAD", "HEAD:"]) == {}


@pytest.mark.parametrize(
    ("remotes", "expected"),
    [
        ({}, None),
        ({"origin": "https://github.com/lab/state.git"}, "lab/state"),
        ({"origin": "git@github.com:lab/my.state"}, "lab/my.state"),
        ({"origin": "ssh://git@ssh.github.com:443/lab/state.git/"}, "lab/state"),
        ({"origin": "https://user:x@GitHub.com/lab/state"}, "lab/state"),
        ({"a": "https://github.com/fork/state", "origin": "https://github.com/lab/state"}, "lab/state"),
        ({"origin": "https://github.com/me/x", "up": "https://github.com/AllenInstitute/npc_lims"}, DEFAULT),
        ({"origin": "https://gitlab.com/github.com/state", "b": "/srv/github.com/lab/state"}, None),
        ({"origin": "https://github.com.example.org/lab/state", "b": "https://notgithub.com/lab/state"}, None),
    ],
)
def test_links_are_those_of_a_remote_on_github(
    repository: Repository, remotes: dict[str, str], expected: str | None
) -> None:
    for name, url in remotes.items():
        run_git(repository.root, "remote", "add", name, url)
    settings = Settings()
    assert repository_on_github(settings, repository.root / "state") == expected
    assert repository_on_github(settings.replace(repo="our/state"), repository.root) == "our/state"


def test_what_is_in_no_checkout_has_no_links(tmp_path: Path) -> None:
    assert repository_on_github(Settings(), tmp_path) is None
    set_ = Settings(Environment({"NPC_LIMS_REPO": "lab/state"}, None))
    assert repository_on_github(set_, tmp_path) == "lab/state"
