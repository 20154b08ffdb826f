"""A change of one file as a pull request: one commit on the newest base, and the same edit always the same request."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

from npc_lims.clients.github import GitHubClient
from npc_lims.config.settings import Settings
from npc_lims.errors import GitHubError

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

    commit: str
    tree: str
    mode: str
    text: str


@dataclasses.dataclass(frozen=True)
class PushTarget:
    """The repository of the branch: that of the base, or a fork of it."""

    client: GitHubClient
    login: str | None
    """The user of the token; None for that of a workflow or an app."""

    @property
    def owner(self) -> str:
        return self.client.repo.partition("/")[0]


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
    with client.validated(f"proposing {proposal.branch} to {settings.repo}"):
        return _Proposing(client, proposal, settings.attempts * _FORK_REQUESTS, settings.backoff).run()


class _Proposing:
    """One call of `propose`."""

    def __init__(self, client: GitHubClient, proposal: Proposal, fork_requests: int, backoff: float) -> None:
        self._proposal = proposal
        self._branch = proposal.branch
        self._fork_requests = fork_requests
        self._backoff = backoff
        self._info: dict[str, Any] = client.request(f"looking at {client.repo}", "GET", "")
        self._upstream = client.at(self._info["full_name"])
        self._name = self._upstream.repo
        self._base_name: str = proposal.base or self._info["default_branch"]
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
                return Proposed(self._info["html_url"], None, self._branch, is_new=False, is_changed=False)
            if target is None:
                target = self._find_target()
            try:
                return self._update(target, base, revised)
            except _BranchMoved:
                continue
        raise GitHubError(f"{self._branch} of {self._name} keeps being changed by others meanwhile; try again")

    # -- the base

    def _read_base(self) -> _Base:
        path, branch = self._proposal.path, self._base_name
        action = f"reading {path} of {branch} of {self._name}"
        commit = _head(self._upstream, branch, action)
        if commit is None:
            raise GitHubError(f"{action}: there is no branch {branch}; name another with --base", 404)
        tree: str = self._upstream.request(action, "GET", f"/git/commits/{commit}")["tree"]["sha"]
        *folders, name = path.split("/")
        folder = tree
        for each in folders:
            folder = self._entry(action, folder, each, "tree")["sha"]
        entry = self._entry(action, folder, name, "blob")
        # The blob and not the Contents API, which gives no file of more than a megabyte as JSON.
        encoded = self._upstream.request(action, "GET", f"/git/blobs/{entry['sha']}")["content"]
        try:
            text = base64.b64decode(encoded).decode()
        except UnicodeDecodeError as error:
            raise GitHubError(f"{action}: it is no UTF-8 text (byte {error.start}); correct it there first") from None
        return _Base(commit, tree, entry["mode"], text)

    def _entry(self, action: str, tree: str, name: str, kind: str) -> dict[str, Any]:
        found = self._upstream.request(action, "GET", f"/git/trees/{tree}")
        if found["truncated"]:
            raise GitHubError(f"{action}: GitHub's answer is incomplete (a truncated tree); use a clone instead")
        for entry in found["tree"]:
            if (entry["path"], entry["type"]) == (name, kind):
                return dict(entry)
        raise GitHubError(f"{action}: there is no such file in that branch", 404)

    def _refuse_open_pull(self) -> None:
        """Raise GitHubError if a change that is not needed has a pull request: it proposes what is not wanted now."""
        login = self._login()
        repo = self._name if self._may_push(login) else f"{login}/{self._info['name']}"
        for pull in self._open_pulls(PushTarget(self._upstream.at(repo), login)):
            if pull["base"]["ref"] == self._base_name:
                raise GitHubError(
                    f"{self._base_name} of {self._name} says so already, but pull request #{pull['number']} still "
                    f"proposes what was asked for before: close it: {pull['html_url']}"
                )

    # -- the repository to push to

    def _login(self) -> str | None:
        """Return the user of the token; None for that of a workflow or an app, which has none."""
        try:
            return str(self._upstream.fetch("looking for the user of GITHUB_TOKEN", "/user").body["login"])
        except GitHubError as error:
            if error.status == 403 and error.delay is None:
                return None
            raise

    def _may_push(self, login: str | None) -> bool:
        # GitHub does not list the permissions of an app: it refuses the push instead
        return login is None or bool(self._info.get("permissions", {}).get("push"))

    def _find_target(self) -> PushTarget:
        login = self._login()
        if self._may_push(login):
            return PushTarget(self._upstream, login)
        fork = self._upstream.at(f"{login}/{self._info['name']}").find("looking for a fork of yours", "")
        if fork is None or (fork.get("parent") or {}).get("full_name") != self._name:
            fork = self._upstream.request(f"forking {self._name}", "POST", "/forks")
        client = self._upstream.at(fork["full_name"])
        self._wait_for(client, fork["default_branch"])
        return PushTarget(client, login)

    def _wait_for(self, fork: GitHubClient, branch: str) -> None:
        """Wait until the fork has its branches: GitHub answers before it has made them."""
        delay = self._backoff
        for attempt in range(self._fork_requests):
            if attempt:
                time.sleep(delay)
                delay = min(2 * delay, _MAX_FORK_DELAY)
            if _head(fork, branch, f"waiting for the fork {fork.repo}", absent=(404, 409)) is not None:
                return
        raise GitHubError(f"the fork {fork.repo} is still being made by GitHub; try again in a few minutes")

    # -- the branch and its pull request

    def _update(self, target: PushTarget, base: _Base, revised: Revised) -> Proposed:
        content, title = revised.text.encode(), self._proposal.title
        head = _head(target.client, self._branch, f"looking at {self._branch} of {target.client.repo}")
        pull = None if head is None else self._own_pull(target)
        is_current = head is not None and self._is_current(target, base, content)
        if not is_current:
            self._move_branch(target, self._commit(target, base, content), head)
        if pull is None:
            return self._open_pull(target, revised.body)
        # GitHub returns texts with the line ends of the web
        is_same_text = [(text or "").replace("\r\n", "\n") for text in (pull["title"], pull["body"])] == [
            title,
            revised.body,
        ]
        if not is_same_text:
            action, path = f"proposing {self._branch} to {self._name}", f"/pulls/{pull['number']}"
            self._upstream.request(action, "PATCH", path, {"title": title, "body": revised.body})
        is_changed = not (is_current and is_same_text)
        return Proposed(pull["html_url"], pull["number"], self._branch, is_new=False, is_changed=is_changed)

    def _open_pulls(self, target: PushTarget) -> list[dict[str, Any]]:
        action = f"looking for the pull request of {self._branch}"
        query = {"state": "open", "head": f"{target.owner}:{self._branch}"}
        return list(self._upstream.list_items(action, "/pulls", query))

    def _own_pull(self, target: PushTarget) -> dict[str, Any] | None:
        """Return the open pull request of the branch; GitHubError if it is somebody else's, or for another base."""
        for pull in self._open_pulls(target):
            user = pull["user"] or {"login": "ghost", "type": "User"}
            is_mine = user["login"] == target.login if target.login else user["type"] == "Bot"
            named = f"{self._branch} is the branch of pull request #{pull['number']}"
            if not is_mine:
                advice = "comment there, or name another branch with --branch"
                raise GitHubError(f"{named} by {user['login']}; {advice}: {pull['html_url']}")
            base = pull["base"]["ref"]
            if base != self._base_name:
                raise GitHubError(f"{named}, which is for {base}, not {self._base_name}; close it first")
            return pull
        return None

    def _is_current(self, target: PushTarget, base: _Base, content: bytes) -> bool:
        """Return True if the branch is just this change on top of the base; GitHubError if it has other commits."""
        branch = f"{self._branch} of {target.client.repo}"
        head = urllib.parse.quote(f"{target.owner}:{self._branch}")
        found = self._upstream.find(f"comparing {branch} with {self._base_name}", f"/compare/{base.commit}...{head}")
        advice = "name another with --branch, or delete that one"
        if found is None:
            raise GitHubError(f"{branch} has nothing in common with {self._base_name}: {advice}")
        mark = f"{TRAILER}: {self._branch}"
        messages = {commit["sha"]: commit["commit"]["message"].splitlines() for commit in found["commits"]}
        foreign = [f"{sha[:7]} {lines[0]!r}" for sha, lines in messages.items() if mark not in lines]
        count = found["total_commits"]
        if foreign or count > len(messages):
            example = foreign[0] if foreign else f"{count} of them"
            raise GitHubError(f"{branch} has commits of somebody else ({example}): {advice}")
        changed = [(file["filename"], file["sha"]) for file in found["files"]]
        return (found["ahead_by"], found["behind_by"], changed) == (1, 0, [(self._proposal.path, _blob_sha(content))])

    def _commit(self, target: PushTarget, base: _Base, content: bytes) -> str:
        """Write the commit. A fork that does not know the base commit is brought up to date first."""
        try:
            return self._write_commit(target.client, base, content)
        except GitHubError as error:
            # GitHub lets most forks read commits of the repository that they have not got themselves
            if target.client.repo == self._name or error.status not in (404, 422):
                raise
        action = f"bringing {self._base_name} of the fork {target.client.repo} up to date"
        target.client.request(action, "POST", "/merge-upstream", {"branch": self._base_name})
        return self._write_commit(target.client, base, content)

    def _write_commit(self, client: GitHubClient, base: _Base, content: bytes) -> str:
        action, encoded = f"writing a commit to {client.repo}", base64.b64encode(content).decode()
        blob = client.request(action, "POST", "/git/blobs", {"content": encoded, "encoding": "base64"})["sha"]
        entry = {"path": self._proposal.path, "mode": base.mode, "type": "blob", "sha": blob}
        tree = client.request(action, "POST", "/git/trees", {"base_tree": base.tree, "tree": [entry]})["sha"]
        message = f"{self._proposal.title}\n\n{TRAILER}: {self._branch}\n"
        commit = {"message": message, "tree": tree, "parents": [base.commit]}
        return str(client.request(action, "POST", "/git/commits", commit)["sha"])

    def _move_branch(self, target: PushTarget, commit: str, seen: str | None) -> None:
        """Point the branch at the commit, if it is still at *seen*. _BranchMoved otherwise."""
        client = target.client
        action = f"pushing to {self._branch} of {client.repo}"
        try:
            if seen is None:
                client.request(action, "POST", "/git/refs", {"ref": f"refs/heads/{self._branch}", "sha": commit})
                return
            # The API cannot be told which commit to replace: a last read leaves others the shortest of moments.
            if _head(client, self._branch, action) != seen:
                raise _BranchMoved
            path = f"/git/refs/heads/{urllib.parse.quote(self._branch)}"
            client.request(action, "PATCH", path, {"sha": commit, "force": True})
        except GitHubError as error:
            if error.status == 422 and re.search("already exists|does not exist", str(error)):
                raise _BranchMoved from None
            raise

    def _open_pull(self, target: PushTarget, body: str) -> Proposed:
        head = f"{target.owner}:{self._branch}"
        wanted = {"title": self._proposal.title, "body": body, "base": self._base_name, "head": head}
        try:
            pull = self._upstream.request(f"proposing {self._branch} to {self._name}", "POST", "/pulls", wanted)
        except GitHubError as error:
            if error.status == 422 and "already exists" in str(error):
                raise _BranchMoved from None
            raise
        return Proposed(pull["html_url"], pull["number"], self._branch, is_new=True, is_changed=True)


def _head(client: GitHubClient, branch: str, action: str, absent: tuple[int, ...] = (404,)) -> str | None:
    """Return the commit of a branch; None if there is no such branch."""
    found = client.find(action, f"/git/ref/heads/{urllib.parse.quote(branch)}", absent=absent)
    return None if found is None else str(found["object"]["sha"])


def _blob_sha(content: bytes) -> str:
    """Return the name that git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
