"""A change of one file as a pull request: one commit on the newest base, and the same edit always the same request."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from npc_lims.clients.github_paging import entries_of
from npc_lims.clients.github_rest import Client, Json, answers_of
from npc_lims.errors import GitHubError

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = ["TRAILER", "Proposal", "Proposed", "Revised", "propose"]

TRAILER = "Npc-Lims-Edit"
"""Marks commits made here, with the name of their branch: a branch that has others is somebody's."""

_NEEDS = "contents: write and pull requests: write"
# Looks at a branch that others keep moving.
_ROUNDS = 4
# Looks at a fork that GitHub is still making, per attempt of the settings; seconds of the longest wait between two.
_FORK_LOOKS = 3
_FORK_WAIT = 10.0
# What git refuses in the name of a branch; in an address some of it would lead elsewhere.
_NO_NAME = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|[./]$|^[./-]|^@?$")


@dataclasses.dataclass(frozen=True)
class Revised:
    """What a change made of a file.

    Attributes:
        text: All of it, changed.
        body: What a reader of the pull request should know of the change, in Markdown.
    """

    text: str
    body: str


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A change to propose.

    Attributes:
        branch: Name of the branch, which is the identity of the edit: the same one again updates its pull request.
        title: Of the pull request and of the commit.
        path: The file, from the root of the repository.
        change: Revises the file's newest text on the base branch. May be called more than once: the last call counts.
        base: Branch to change. Default: that of the repository.
    """

    branch: str
    title: str
    path: str
    change: Callable[[str], Revised]
    base: str | None = None


@dataclasses.dataclass(frozen=True)
class Proposed:
    """What became of a proposal.

    Attributes:
        url: Address of the pull request; of the repository if there is nothing to change.
        number: Of the pull request; None if the base branch has the change already.
        branch: Where the commit is.
        is_new: The pull request was opened now.
        is_changed: Something was: false if the pull request was there, and said and held all this.
    """

    url: str
    number: int | None
    branch: str
    is_new: bool
    is_changed: bool


@dataclasses.dataclass(frozen=True)
class _Base:
    """The newest commit of the base branch, and the file in it."""

    branch: str
    commit: str
    tree: str
    mode: str
    text: str


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where the branch goes: the repository itself, or a fork of it."""

    upstream: str
    repo: str
    login: str | None

    @property
    def owner(self) -> str:
        return self.repo.partition("/")[0]


class _Moved(Exception):
    """Somebody else was quicker: all has to be looked at again."""


def propose(settings: Settings, proposal: Proposal) -> Proposed:
    """Open a pull request with the change, or update the one that the same edit opened before.

    It comes from a branch of the repository, or, without the right to push there, of the user's fork, which is made
    if need be. The branch is replaced only if all that it has on top of the base is commits made by this function.

    Raises:
        MissingCredentials: There is no token.
        GitHubError: GitHub refused; the branch is somebody else's; the file is missing or no text; or the base
            branch holds the change already, while the pull request of an earlier one is open.
    """
    with answers_of(settings):
        return _propose(settings, proposal)


def _propose(settings: Settings, proposal: Proposal) -> Proposed:
    for name, option in ((proposal.branch, "--branch"), (proposal.base, "--base")):
        if name is not None and _NO_NAME.search(name):
            raise GitHubError(f"git lets no branch have the name {name!r}: name another with {option}")
    client = Client(settings, _NEEDS)
    upstream = client.ask(f"looking at {settings.repo}", "GET", f"/repos/{settings.repo}")
    base_name = proposal.base or str(upstream["default_branch"])
    if proposal.branch == base_name:
        raise GitHubError(
            f"{proposal.branch} is the branch to change: the proposal needs one of its own, name it with --branch"
        )
    place: _Place | None = None
    for _ in range(_ROUNDS):
        base = _read_base(client, settings.repo, base_name, proposal.path)
        revised = proposal.change(base.text)
        if revised.text == base.text:
            _refuse_left_open(client, upstream, proposal.branch, base_name)
            return Proposed(str(upstream["html_url"]), None, proposal.branch, is_new=False, is_changed=False)
        if place is None:
            place = _writable_place(client, upstream)
        try:
            return _bring_about(client, place, proposal, base, revised)
        except _Moved:
            continue
    raise GitHubError(f"{proposal.branch} of {settings.repo} keeps being changed by others meanwhile; try again")


def _read_base(client: Client, repo: str, branch: str, path: str) -> _Base:
    doing = f"reading {path} of {branch} of {repo}"
    ref = client.find(doing, f"/repos/{repo}/git/ref/heads/{_quoted(branch)}")
    if ref is None:
        raise GitHubError(f"{doing}: there is no branch {branch}; name another with --base", 404)
    sha = ref["object"]["sha"]
    tree = root = client.ask(doing, "GET", f"/repos/{repo}/git/commits/{sha}")["tree"]["sha"]
    *folders, name = path.split("/")
    for folder in folders:
        tree = _entry(client, doing, repo, tree, folder, "tree")["sha"]
    entry = _entry(client, doing, repo, tree, name, "blob")
    # The blob and not the Contents API, which gives no file of more than a megabyte as JSON.
    content = base64.b64decode(client.ask(doing, "GET", f"/repos/{repo}/git/blobs/{entry['sha']}")["content"])
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise GitHubError(f"{doing}: it is no UTF-8 text (byte {error.start}); correct it there first") from None
    return _Base(branch, sha, root, entry["mode"], text)


def _entry(client: Client, doing: str, repo: str, tree: str, name: str, kind: str) -> Json:
    for entry in entries_of(doing, client.ask(doing, "GET", f"/repos/{repo}/git/trees/{tree}")):
        if (entry.get("path"), entry.get("type")) == (name, kind):
            return dict(entry)
    raise GitHubError(f"{doing}: there is no such file in that branch", 404)


def _refuse_left_open(client: Client, upstream: Json, branch: str, base: str) -> None:
    """GitHubError if a change that is not needed has a pull request: that proposes what is not wanted any more."""
    name, login = str(upstream["full_name"]), client.login()
    repo = name if _may_push(upstream, login) else f"{login}/{upstream['name']}"
    for pull in _open_pulls(client, _Place(name, repo, login), branch):
        if pull["base"]["ref"] == base:
            raise GitHubError(
                f"{base} of {name} says so already, but pull request #{pull['number']} still proposes what was "
                f"asked for before: close it: {pull['html_url']}"
            )


def _may_push(upstream: Json, login: str | None) -> bool:
    # what an app may do is not told in `permissions`: it is left to GitHub to refuse
    return login is None or bool(upstream.get("permissions", {}).get("push"))


def _writable_place(client: Client, upstream: Json) -> _Place:
    name, login = str(upstream["full_name"]), client.login()
    if _may_push(upstream, login):
        return _Place(name, name, login)
    fork = client.find("looking for a fork of yours", f"/repos/{login}/{upstream['name']}")
    if fork is None or (fork.get("parent") or {}).get("full_name") != name:
        fork = client.ask(f"forking {name}", "POST", f"/repos/{name}/forks", {})
    _wait_for(client, fork)
    return _Place(name, str(fork["full_name"]), login)


def _wait_for(client: Client, fork: Json) -> None:
    """Until the fork's branches are there: GitHub answers before it has made them."""
    name, branch = fork["full_name"], fork["default_branch"]
    wait = client.settings.backoff
    for look in range(client.settings.attempts * _FORK_LOOKS):
        if look:
            time.sleep(wait)
            wait = min(2 * wait, _FORK_WAIT)
        doing = f"waiting for the fork {name}"
        if client.find(doing, f"/repos/{name}/git/ref/heads/{_quoted(branch)}", absent=(404, 409)) is not None:
            return
    raise GitHubError(f"the fork {name} is still being made by GitHub; try again in a few minutes")


def _bring_about(client: Client, place: _Place, proposal: Proposal, base: _Base, revised: Revised) -> Proposed:
    content = revised.text.encode()
    doing = f"proposing {proposal.branch} to {place.upstream}"
    seen = _head(client, place, proposal.branch)
    pull = _open_pull(client, place, proposal.branch, base.branch) if seen else None
    is_current = seen is not None and _check_ours(client, place, proposal, base, content)
    if not is_current:
        commit = _commit_with_base(client, place, proposal, base, content)
        _point(client, place, proposal.branch, commit, seen)
    if pull is None:
        return _open(client, place, proposal, base.branch, revised.body)
    wanted = {"title": proposal.title, "body": revised.body}
    # GitHub gives texts back with the line ends of the web
    is_said = all((pull[name] or "").replace("\r\n", "\n") == text for name, text in wanted.items())
    if not is_said:
        client.ask(doing, "PATCH", f"/repos/{place.upstream}/pulls/{pull['number']}", wanted)
    is_changed = not (is_current and is_said)
    return Proposed(pull["html_url"], pull["number"], proposal.branch, is_new=False, is_changed=is_changed)


def _head(client: Client, place: _Place, branch: str) -> str | None:
    """The commit that the branch is at; None where there is no such branch."""
    ref = client.find(f"looking at {branch} of {place.repo}", f"/repos/{place.repo}/git/ref/heads/{_quoted(branch)}")
    return None if ref is None else str(ref["object"]["sha"])


def _open_pull(client: Client, place: _Place, branch: str, base: str) -> Json | None:
    """The open pull request of the branch; GitHubError if it is somebody else's, or for another base."""
    for pull in _open_pulls(client, place, branch):
        user = pull["user"] or {"login": "ghost", "type": "User"}
        is_mine = user["login"] == place.login if place.login else user["type"] == "Bot"
        named = f"{branch} is the branch of pull request #{pull['number']}"
        if not is_mine:
            raise GitHubError(
                f"{named} by {user['login']}; comment there, or name another branch with --branch: {pull['html_url']}"
            )
        if pull["base"]["ref"] != base:
            raise GitHubError(f"{named}, which is for {pull['base']['ref']}, not {base}; close it first")
        return pull
    return None


def _open_pulls(client: Client, place: _Place, branch: str) -> Iterator[Json]:
    doing = f"looking for the pull request of {branch}"
    path, head = f"/repos/{place.upstream}/pulls", f"{place.owner}:{branch}"
    yield from client.every(doing, path, {"state": "open", "head": head})


def _check_ours(client: Client, place: _Place, proposal: Proposal, base: _Base, content: bytes) -> bool:
    """Whether the branch is just this change on top of the base. GitHubError if anything in it is not from here."""
    branch = f"{proposal.branch} of {place.repo}"
    path = f"/repos/{place.upstream}/compare/{base.commit}...{_quoted(f'{place.owner}:{proposal.branch}')}"
    compared = client.find(f"comparing {branch} with {base.branch}", path)
    if compared is None:
        raise GitHubError(
            f"{branch} has nothing in common with {base.branch}: name another with --branch, or delete that one"
        )
    commits = compared["commits"]
    mark = f"{TRAILER}: {proposal.branch}"
    messages = {item["sha"]: item["commit"]["message"].splitlines() for item in commits}
    strange = [f"{sha[:7]} {lines[0]!r}" for sha, lines in messages.items() if mark not in lines]
    if strange or compared["total_commits"] > len(commits):
        what = strange[0] if strange else f"{compared['total_commits']} of them"
        raise GitHubError(
            f"{branch} has commits of somebody else ({what}): name another with --branch, or delete that one"
        )
    files = [(item["filename"], item["sha"]) for item in compared["files"]]
    return (compared["ahead_by"], compared["behind_by"], files) == (1, 0, [(proposal.path, _blob_sha(content))])


def _commit_with_base(client: Client, place: _Place, proposal: Proposal, base: _Base, content: bytes) -> str:
    """As `_commit`, in a fork that may not have the base commit yet: GitHub lets forks see it, but does not say so."""
    try:
        return _commit(client, place, proposal, base, content)
    except GitHubError as error:
        if place.repo == place.upstream or error.status not in (404, 422):
            raise
    doing = f"bringing {base.branch} of the fork {place.repo} up to date"
    client.ask(doing, "POST", f"/repos/{place.repo}/merge-upstream", {"branch": base.branch})
    return _commit(client, place, proposal, base, content)


def _commit(client: Client, place: _Place, proposal: Proposal, base: _Base, content: bytes) -> str:
    doing, git = f"writing a commit to {place.repo}", f"/repos/{place.repo}/git"
    encoded = base64.b64encode(content).decode()
    blob = client.ask(doing, "POST", f"{git}/blobs", {"content": encoded, "encoding": "base64"})["sha"]
    entry = {"path": proposal.path, "mode": base.mode, "type": "blob", "sha": blob}
    tree = client.ask(doing, "POST", f"{git}/trees", {"base_tree": base.tree, "tree": [entry]})["sha"]
    message = f"{proposal.title}\n\n{TRAILER}: {proposal.branch}\n"
    commit = {"message": message, "tree": tree, "parents": [base.commit]}
    return str(client.ask(doing, "POST", f"{git}/commits", commit)["sha"])


def _point(client: Client, place: _Place, branch: str, commit: str, seen: str | None) -> None:
    """Point the branch at the commit, if it is still where it was seen. _Moved otherwise."""
    doing, refs = f"pushing to {branch} of {place.repo}", f"/repos/{place.repo}/git/refs"
    try:
        if seen is None:
            client.ask(doing, "POST", refs, {"ref": f"refs/heads/{branch}", "sha": commit})
            return
        # The API cannot be told what is to be replaced: a last look leaves others the shortest of moments.
        if _head(client, place, branch) != seen:
            raise _Moved
        client.ask(doing, "PATCH", f"{refs}/heads/{_quoted(branch)}", {"sha": commit, "force": True})
    except GitHubError as error:
        if error.status == 422 and ("already exists" in str(error) or "does not exist" in str(error)):
            raise _Moved from None
        raise


def _open(client: Client, place: _Place, proposal: Proposal, base: str, body: str) -> Proposed:
    doing = f"proposing {proposal.branch} to {place.upstream}"
    wanted: dict[str, Any] = {
        "title": proposal.title,
        "body": body,
        "head": f"{place.owner}:{proposal.branch}",
        "base": base,
    }
    try:
        pull = client.ask(doing, "POST", f"/repos/{place.upstream}/pulls", wanted)
    except GitHubError as error:
        if error.status == 422 and "already exists" in str(error):
            raise _Moved from None
        raise
    return Proposed(pull["html_url"], pull["number"], proposal.branch, is_new=True, is_changed=True)


def _blob_sha(content: bytes) -> str:
    """The name that git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _quoted(name: str) -> str:
    """A branch in an address; slashes stay."""
    from urllib.parse import quote

    return quote(name)
