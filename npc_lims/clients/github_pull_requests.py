"""A change of one file as a pull request: one commit on the newest base, and the same edit always the same request."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import itertools
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from npc_lims.clients.github import PAGE, GitHubClient, present
from npc_lims.config.settings import Settings
from npc_lims.errors import GitHubError

if TYPE_CHECKING:
    from github.GitCommit import GitCommit
    from github.GitTree import GitTree
    from github.GitTreeElement import GitTreeElement
    from github.PullRequest import PullRequest
    from github.Repository import Repository

TRAILER = "Npc-Lims-Edit"
"""Marks commits made here, with the name of their branch: a branch that has others is somebody's."""

_NEEDS = "contents: write and pull requests: write"
# Attempts to update a branch that others keep moving.
_ROUNDS = 4
# Requests for a fork that GitHub is still making, per attempt of the settings; seconds of the longest delay.
_FORK_REQUESTS = 3
_MAX_FORK_DELAY = 10.0
# Refused by git in the name of a branch; in an address some of it would lead elsewhere.
_INVALID_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|[./]$|^[./-]|^@?$")


@dataclasses.dataclass(frozen=True)
class Revised:
    """The complete text of a file as a change leaves it, and the body of the pull request, in Markdown."""

    text: str
    body: str


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A change to propose.

    Attributes:
        branch: Name of the branch, which is the identity of the edit: the same one again updates its pull request.
        path: The file, from the root of the repository.
        change: Revises the file's newest text on the base branch. The last of several calls is used.
        base: Branch to change. Default: that of the repository.
    """

    branch: str
    title: str
    path: str
    change: Callable[[str], Revised]
    base: str | None = None


@dataclasses.dataclass(frozen=True)
class Proposed:
    """The pull request of a proposal; if the base branch has the change already, the repository, without a number."""

    url: str
    number: int | None
    branch: str
    is_new: bool
    is_changed: bool
    """False if the pull request existed, with this text and this content."""


@dataclasses.dataclass(frozen=True)
class _Base:
    """The newest commit of the base branch and its tree, and the file in it."""

    commit: GitCommit
    tree: GitTree
    mode: str
    text: str


@dataclasses.dataclass(frozen=True)
class PushTarget:
    """The repository of the branch: that of the base, or a fork of it."""

    repository: Repository
    login: str | None
    """The user of the token; None for that of a workflow or an app."""

    @property
    def name(self) -> str:
        return self.repository.full_name

    @property
    def owner(self) -> str:
        return self.name.partition("/")[0]


class _BranchMoved(Exception):
    """Others changed the branch meanwhile: the proposal starts again from its newest state."""


def propose(settings: Settings, proposal: Proposal) -> Proposed:
    """Open a pull request with the change, or update the one that the same edit opened before.

    It comes from a branch of the repository, or, without the right to push there, of the user's fork, which is made
    if need be. The branch is replaced only if all commits that it has on top of the base were made by this function.
    """
    for name, option in ((proposal.branch, "--branch"), (proposal.base, "--base")):
        if name is not None and _INVALID_BRANCH.search(name):
            raise GitHubError(f"git lets no branch have the name {name!r}: name another with {option}")
    client = GitHubClient.authorized(settings, _NEEDS)
    with client.translated(f"proposing {proposal.branch} to {settings.repo}"):
        return _Proposing(client, proposal).run()


class _Proposing:
    """One call of `propose`."""

    def __init__(self, client: GitHubClient, proposal: Proposal) -> None:
        self._client = client
        self._proposal = proposal
        self._branch = proposal.branch
        self._upstream = client.repository()
        self._name = self._upstream.full_name
        self._base_name: str = proposal.base or present(self._upstream.default_branch)
        if self._branch == self._base_name:
            raise GitHubError(
                f"{self._branch} is the branch to change: the proposal needs one of its own, name it with --branch"
            )

    def run(self) -> Proposed:
        target: PushTarget | None = None
        for _ in range(_ROUNDS):
            base = self._read_base()
            revised = self._proposal.change(base.text)
            if revised.text == base.text:
                self._refuse_open_pull()
                return Proposed(self._upstream.html_url, None, self._branch, is_new=False, is_changed=False)
            if target is None:
                target = self._find_target()
            try:
                return self._update(target, base, revised)
            except _BranchMoved:
                continue
        raise GitHubError(f"{self._branch} of {self._name} keeps being changed by others meanwhile; try again")

    # -- the base

    def _read_base(self) -> _Base:
        path, branch, repo = self._proposal.path, self._base_name, self._upstream
        action = f"reading {path} of {branch} of {self._name}"
        sha = self._head(repo, branch, action)
        if sha is None:
            raise GitHubError(f"{action}: there is no branch {branch}; name another with --base", 404)
        *folders, name = path.split("/")

        def read() -> tuple[GitCommit, GitTree, str, str]:
            commit = repo.get_git_commit(sha)
            root = tree = repo.get_git_tree(present(commit.tree.sha))
            for folder in folders:
                tree = repo.get_git_tree(_entry(action, tree, folder, "tree").sha)
            entry = _entry(action, tree, name, "blob")
            # The blob and not the Contents API, which gives no file of more than a megabyte as JSON.
            return commit, root, present(entry.mode), present(repo.get_git_blob(entry.sha).content)

        commit, root, mode, encoded = self._client.call(action, read)
        try:
            text = base64.b64decode(encoded).decode()
        except UnicodeDecodeError as error:
            raise GitHubError(f"{action}: it is no UTF-8 text (byte {error.start}); correct it there first") from None
        return _Base(commit, root, mode, text)

    def _refuse_open_pull(self) -> None:
        """Raise GitHubError if a change that is not needed has a pull request: it proposes what is not wanted now."""
        login = self._client.login()
        owner = login if login and not self._may_push(login) else PushTarget(self._upstream, login).owner
        for pull in self._open_pulls(owner):
            if pull.base.ref == self._base_name:
                raise GitHubError(
                    f"{self._base_name} of {self._name} says so already, but pull request #{pull.number} still "
                    f"proposes what was asked for before: close it: {pull.html_url}"
                )

    # -- the repository to push to

    def _may_push(self, login: str | None) -> bool:
        # GitHub does not list the permissions of an app: it refuses the push instead
        return login is None or bool(self._upstream.permissions and self._upstream.permissions.push)

    def _find_target(self) -> PushTarget:
        client, login = self._client, self._client.login()
        if self._may_push(login):
            return PushTarget(self._upstream, login)
        name = f"{login}/{self._upstream.name}"
        fork = client.find("looking for a fork of yours", lambda: client.read_repository(name))
        if fork is None or fork.parent is None or fork.parent.full_name != self._name:
            fork = client.call(f"forking {self._name}", self._upstream.create_fork)
        self._wait_for(fork)
        return PushTarget(fork, login)

    def _wait_for(self, fork: Repository) -> None:
        """Wait until the fork has its branches: GitHub answers before it has made them."""
        policy = self._client.policy
        delay = policy.backoff
        for attempt in range(policy.attempts * _FORK_REQUESTS):
            if attempt:
                time.sleep(delay)
                delay = min(2 * delay, _MAX_FORK_DELAY)
            action = f"waiting for the fork {fork.full_name}"
            if self._head(fork, present(fork.default_branch), action, absent=(404, 409)) is not None:
                return
        raise GitHubError(f"the fork {fork.full_name} is still being made by GitHub; try again in a few minutes")

    # -- the branch and its pull request

    def _update(self, target: PushTarget, base: _Base, revised: Revised) -> Proposed:
        content = revised.text.encode()
        head = self._head(target.repository, self._branch, f"looking at {self._branch} of {target.name}")
        pull = None if head is None else self._own_pull(target)
        is_current = head is not None and self._is_current(target, base, content)
        if not is_current:
            self._move_branch(target, self._commit(target, base, content), head)
        if pull is None:
            return self._open_pull(target, revised.body)
        # GitHub returns texts with the line ends of the web
        wanted = (self._proposal.title, revised.body)
        is_same_text = tuple((text or "").replace("\r\n", "\n") for text in (pull.title, pull.body)) == wanted
        if not is_same_text:
            action = f"proposing {self._branch} to {self._name}"
            self._client.call(action, lambda: pull.edit(title=self._proposal.title, body=revised.body))
        is_changed = not (is_current and is_same_text)
        return Proposed(pull.html_url, pull.number, self._branch, is_new=False, is_changed=is_changed)

    def _head(self, repo: Repository, branch: str, action: str, absent: tuple[int, ...] = (404,)) -> str | None:
        """Return the commit of a branch; None if there is no such branch."""
        return self._client.find(action, lambda: present(repo.get_git_ref(f"heads/{branch}").object.sha), absent)

    def _open_pulls(self, owner: str) -> list[PullRequest]:
        head = f"{owner}:{self._branch}"
        action = f"looking for the pull request of {self._branch}"
        return self._client.list_items(
            action, lambda: self._upstream.get_pulls(state="open", head=head), lambda pull: pull
        )

    def _own_pull(self, target: PushTarget) -> PullRequest | None:
        """Return the open pull request of the branch; GitHubError if it is somebody else's, or for another base."""
        for pull in self._open_pulls(target.owner):
            login, kind = (pull.user.login, pull.user.type) if pull.user else ("ghost", "User")
            is_mine = login == target.login if target.login else kind == "Bot"
            named = f"{self._branch} is the branch of pull request #{pull.number}"
            if not is_mine:
                advice = "comment there, or name another branch with --branch"
                raise GitHubError(f"{named} by {login}; {advice}: {pull.html_url}")
            if pull.base.ref != self._base_name:
                raise GitHubError(f"{named}, which is for {pull.base.ref}, not {self._base_name}; close it first")
            return pull
        return None

    def _is_current(self, target: PushTarget, base: _Base, content: bytes) -> bool:
        """Return True if the branch is just this change on top of the base; GitHubError if it has other commits."""
        branch = f"{self._branch} of {target.name}"
        advice = "name another with --branch, or delete that one"

        def compare() -> tuple[tuple[Any, ...], dict[str, list[str]], int]:
            found = self._upstream.compare(base.commit.sha, f"{target.owner}:{self._branch}")
            files = [(file.filename, file.sha) for file in found.files]
            commits = itertools.islice(found.commits, PAGE)
            messages = {commit.sha: commit.commit.message.splitlines() for commit in commits}
            return (found.ahead_by, found.behind_by, files), messages, present(found.total_commits)

        compared = self._client.find(f"comparing {branch} with {self._base_name}", compare)
        if compared is None:
            raise GitHubError(f"{branch} has nothing in common with {self._base_name}: {advice}")
        difference, messages, count = compared
        mark = f"{TRAILER}: {self._branch}"
        foreign = [f"{sha[:7]} {lines[0]!r}" for sha, lines in messages.items() if mark not in lines]
        if foreign or count > len(messages):
            example = foreign[0] if foreign else f"{count} of them"
            raise GitHubError(f"{branch} has commits of somebody else ({example}): {advice}")
        return difference == (1, 0, [(self._proposal.path, _blob_sha(content))])

    def _commit(self, target: PushTarget, base: _Base, content: bytes) -> str:
        """Write the commit. A fork that does not know the base commit is brought up to date first."""
        try:
            return self._write_commit(target, base, content)
        except GitHubError as error:
            # GitHub lets most forks read commits of the repository that they have not got themselves
            if target.name == self._name or error.status not in (404, 422):
                raise
        action = f"bringing {self._base_name} of the fork {target.name} up to date"
        self._client.call(action, lambda: target.repository.merge_upstream(self._base_name))
        return self._write_commit(target, base, content)

    def _write_commit(self, target: PushTarget, base: _Base, content: bytes) -> str:
        from github.InputGitTreeElement import InputGitTreeElement

        repo = target.repository
        message = f"{self._proposal.title}\n\n{TRAILER}: {self._branch}\n"

        def write() -> str:
            blob = repo.create_git_blob(base64.b64encode(content).decode(), "base64")
            entry = InputGitTreeElement(self._proposal.path, base.mode, "blob", sha=present(blob.sha))
            tree = repo.create_git_tree([entry], base.tree)
            return present(repo.create_git_commit(message, tree, [base.commit]).sha)

        return self._client.call(f"writing a commit to {target.name}", write)

    def _move_branch(self, target: PushTarget, commit: str, seen: str | None) -> None:
        """Point the branch at the commit, if it is still at *seen*. _BranchMoved otherwise."""
        action, repo = f"pushing to {self._branch} of {target.name}", target.repository
        try:
            if seen is None:
                self._client.call(action, lambda: repo.create_git_ref(f"refs/heads/{self._branch}", commit))
                return
            # The API cannot be told which commit to replace: a last read leaves others the shortest of moments.
            ref = self._client.call(action, lambda: repo.get_git_ref(f"heads/{self._branch}"))
            if self._client.call(action, lambda: present(ref.object.sha)) != seen:
                raise _BranchMoved
            self._client.call(action, lambda: ref.edit(commit, force=True))
        except GitHubError as error:
            is_gone = error.status == 404 and seen is not None
            if is_gone or (error.status == 422 and re.search("already exists|does not exist", str(error))):
                raise _BranchMoved from None
            raise

    def _open_pull(self, target: PushTarget, body: str) -> Proposed:
        head, title = f"{target.owner}:{self._branch}", self._proposal.title

        def open_pull() -> Proposed:
            pull = self._upstream.create_pull(self._base_name, head, title=title, body=body)
            return Proposed(present(pull.html_url), present(pull.number), self._branch, is_new=True, is_changed=True)

        try:
            return self._client.call(f"proposing {self._branch} to {self._name}", open_pull)
        except GitHubError as error:
            if error.status == 422 and "already exists" in str(error):
                raise _BranchMoved from None
            raise


def _entry(action: str, tree: GitTree, name: str, kind: str) -> GitTreeElement:
    if tree.truncated:
        raise GitHubError(f"{action}: GitHub's answer is incomplete (a truncated tree); use a clone instead")
    for entry in tree.tree:
        if (entry.path, entry.type) == (name, kind):
            return entry
    raise GitHubError(f"{action}: there is no such file in that branch", 404)


def _blob_sha(content: bytes) -> str:
    """Return the name that git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
