"""Push commits to a branch that others push to as well: they are made again on top of whatever was pushed first.

Commits are written by git's plumbing commands from the blobs of the newest commit: without a worktree or an index, so
that a publisher that is killed leaves nothing behind, and the costs follow the number of changes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import random
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Generic, TypeVar

from npc_lims.clients.git import GitFailed, Repository, find_repository
from npc_lims.clients.git_tree import CommitTree, commit_changes
from npc_lims.errors import GitError, StateError

_T = TypeVar("_T")

REMOTE = "origin"
# Answers to a push when somebody else was quicker: the commits are made again on top of theirs.
_NON_FAST_FORWARD = re.compile(
    r"\((fetch first|non-fast-forward|stale info|reference already exists|failed to lock)"
    r"|cannot lock ref|incorrect old value|failed to update ref"
)
_NO_ACCESS = re.compile(
    r"Authentication failed|could not read (Username|Password)|Invalid username or (password|token)"
    r"|Permission to \S+ denied|returned error: 40[13]|Permission denied \(publickey|Repository not found"
)
_RULES = re.compile(r"protected branch|GH006|GH013|rule violations|Cannot update this protected ref", re.IGNORECASE)
# What to do, by messages of git.
_REMEDIES = {
    _NO_ACCESS: "the token or key was refused: it has expired, or may not write to this repository; in Actions the "
    "job needs 'permissions: contents: write'",
    _RULES: "{branch} is protected, and this identity may not push to it: let a GitHub App that the rules exempt do "
    "it (docs/github.md), or publish to another branch: --branch state",
    re.compile("hook declined"): "a hook of the remote refused the commit: do what it says above",
    re.compile("shallow"): "this is a shallow clone that the remote does not take commits from: git fetch --unshallow",
    _NON_FAST_FORWARD: "nobody else has pushed: correct what git says of the remote, and publish again; the "
    "observations stay pending",
}
_LOCK = re.compile(r"(?<=')[^']+\.lock(?=')")
_BOT = ("github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com")
_BRANCHES = "refs/heads/"
# Commits that a shallow clone fetches besides those of the requested time.
_MARGIN = 20
# Seconds between two attempts at most.
_MAX_WAIT = 30.0
# A lock that somebody holds is gone at the next attempt, and the branch has moved.
_MAX_REFUSALS = 3

Verify = Callable[[CommitTree, "Collection[str] | None"], Sequence[str]]
"""Return the problems of a folder of a commit, each with its file; looking only at the named files, if any are."""


@dataclasses.dataclass(frozen=True)
class PublishTarget:
    """A folder of a branch of the remote: its path in the repository, and variables with the committer's identity."""

    repository: Repository
    folder: str
    branch: str
    env: Mapping[str, str]

    @property
    def label(self) -> str:
        """The text before paths in messages."""
        return f"{REMOTE}/{self.branch}:"

    def tree(self, commit: str) -> CommitTree:
        return CommitTree(self.repository, commit, self.folder, self.label)


@dataclasses.dataclass(frozen=True)
class Pushed(Generic[_T]):
    """The result of *make*, the newest commit that was pushed, if any, the pushes it took, and notes for the user."""

    made: _T
    commit: str | None
    branch: str
    attempts: int
    notes: tuple[str, ...] = ()


class Draft:
    """Commits on top of the newest one of a branch, not pushed yet, and the folder as it is in the last one."""

    def __init__(self, target: PublishTarget, parent: str, verify: Verify) -> None:
        self._target = target
        self._verify = verify
        self.parent = parent
        self.tree = target.tree(parent)
        self.commits: list[str] = []

    def commit(self, message: str, *, verify_all: bool = False) -> bool:
        """Commit the changes of the tree; False if there are none. *verify_all*: the parent may be damaged."""
        committed = commit_changes(self.tree, message, self._target.env)
        if committed is None:
            return False
        # what hooks have changed may be anything
        changed = list(self.tree.changes) if committed.is_as_written and not verify_all else None
        self.commits.append(committed.id)
        self.tree = self._target.tree(committed.id)
        problems = self._verify(CommitTree(self._target.repository, committed.id, self._target.folder), changed)
        if problems:
            more = f" (and {len(problems) - 1:,} more)" if len(problems) > 1 else ""
            raise StateError(
                f"the commit would not verify: {problems[0]}{more}. Nothing was pushed, and what was to be published "
                "is kept. If a hook of this checkout changes what is committed, correct it, and publish again"
            )
        return True


def find_target(state: Path, branch: str | None, committed: str) -> PublishTarget:
    """Return where to push the state folder of a checkout. *committed*, a file beside it, must be as in HEAD."""
    repository = find_repository(state)
    folder = repository.path_of(state)
    target = _target_branch(repository, branch)
    _check_checkout(repository, PurePosixPath(folder).parent / committed)
    return PublishTarget(repository, folder, target, _identity(repository))


def newest_tree(target: PublishTarget) -> CommitTree:
    """Return the newest state on the branch, or that of HEAD if the remote has no such branch."""
    newest = _newest(target.repository, target.branch, None)
    return target.tree(newest or target.repository.commit_of("HEAD"))


def push_commits(
    target: PublishTarget,
    make: Callable[[Draft], _T],
    verify: Verify,
    *,
    attempts: int,
    backoff: float,
    since: datetime.datetime | None = None,
    dry_run: bool = False,
    is_written: bool = False,
) -> Pushed[_T]:
    """Push what *make* commits on top of the newest commit of the branch; of HEAD, if the remote has no such branch.

    Args:
        make: Makes the commits. It is called again, with a new draft, when others have pushed first.
        verify: Verifies each commit before it is pushed.
        backoff: Seconds of the longest first wait between two attempts; it doubles.
        since: In a shallow clone, what was committed after this is fetched of the branch; else only the newest commit.
        is_written: The files of the folder in the checkout are those that are pushed.
    """
    repository, branch = target.repository, target.branch
    start = repository.commit_of("HEAD")
    last, refusals = "", 0
    for attempt in range(1, attempts + 1):
        parent = _newest(repository, branch, since) or start
        draft = Draft(target, parent, verify)
        made = make(draft)
        if dry_run:
            return Pushed(made, None, branch, attempt)
        pushed = draft.commits[-1] if draft.commits else None
        refusal = None if pushed is None else _push(repository, branch, pushed)
        if refusal is None:
            notes = _fast_forward(repository, target.folder if is_written else None, branch, pushed or parent)
            return Pushed(made, pushed, branch, attempt, notes)
        refusals = refusals + 1 if parent == last else 0
        if refusals >= _MAX_REFUSALS:
            raise _to_git_error(refusal, branch, "nothing was pushed")
        last = parent
        time.sleep(random.uniform(0, min(backoff * 2**attempt, _MAX_WAIT)))
    raise GitError(
        f"{REMOTE}/{branch}: others pushed first {attempts} times in a row; nothing was pushed. The observations are "
        "kept: publish again"
    )


def _target_branch(repository: Repository, branch: str | None) -> str:
    if branch is None:
        branch = _checked_out(repository)
        if branch is None:
            raise GitError(
                f"{repository.root}: HEAD is detached, no branch is checked out; say where to push: --branch main"
            )
    name = branch.removeprefix(_BRANCHES)
    if name.startswith("refs/"):
        raise _not_a_branch(branch)
    # what git expands, such as @{-1}, is the name of another one
    if repository.find_line("check-ref-format", "--branch", name) != name:
        raise GitError(f"--branch {branch}: not a name that a branch can have")
    return name


def _not_a_branch(name: str) -> GitError:
    return GitError(f"--branch {name}: a tag, or another ref that is no branch; publish to a branch: --branch main")


def _check_checkout(repository: Repository, committed: PurePosixPath) -> None:
    unfinished = repository.is_unfinished()
    if unfinished:
        raise GitError(f"{repository.root}: {unfinished} is under way; finish or abort it, then publish")
    if repository.find_commit("HEAD") is None:
        raise GitError(f"{repository.root}: there is no commit yet; commit and push the repository first")
    if REMOTE not in repository.line("remote").splitlines():
        raise GitError(f"{repository.root}: there is no remote {REMOTE} to push to; git remote add {REMOTE} ADDRESS")
    if repository.run("diff", "--name-only", "HEAD", "--", committed.as_posix()):
        raise GitError(
            f"{repository.root / committed} has changes that are not committed, and state is published for the file "
            "as it is committed: commit and push it (or stash it), then sync and publish"
        )


def _identity(repository: Repository) -> Mapping[str, str]:
    """Return environment variables with the committer, where git does not know it itself."""
    # what git would guess from the name of the machine is no identity
    var = ("-c", "user.useConfigOnly=true", "var")
    if all(repository.find_line(*var, f"GIT_{who}_IDENT") for who in ("COMMITTER", "AUTHOR")):
        return {}
    name, email = (os.environ.get(f"GIT_COMMITTER_{what}") for what in ("NAME", "EMAIL"))
    if not (name and email):
        if os.environ.get("GITHUB_ACTIONS") != "true":
            raise GitError("git does not know who commits: git config --global user.name 'Your Name' and user.email")
        name, email = _BOT
    return {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", name), ("EMAIL", email))
    }


def _newest(repository: Repository, branch: str, since: datetime.datetime | None) -> str | None:
    """Fetch the remote's newest commit of *branch*; None if it has none. A shallow clone gets those after *since*."""
    try:
        others = [f"refs/tags/{branch}", f"refs/{branch}"]
        listed = repository.line("ls-remote", REMOTE, f"{_BRANCHES}{branch}", *others)
        # a pattern names the end of a ref
        refs = {ref: commit for commit, _, ref in (line.partition("\t") for line in listed.splitlines())}
        found = refs.get(f"{_BRANCHES}{branch}")
        if found is None:
            if any(ref in refs or repository.find_line("show-ref", "--verify", "--", ref) for ref in others):
                raise _not_a_branch(branch)
            return None
        _fetch(repository, f"{_BRANCHES}{branch}", since)
        return repository.commit_of(found)
    except GitFailed as error:
        raise _to_git_error(error, branch, f"{REMOTE} could not be read") from None


def _fetch(repository: Repository, ref: str, since: datetime.datetime | None) -> None:
    # refs are not updated: publishers in one checkout share them, and a killed one leaves their lock files
    fetch = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=")
    if not repository.is_shallow():
        repository.run(*fetch, REMOTE, ref)
        return
    since = since or datetime.datetime.now(datetime.timezone.utc)
    try:
        repository.run(*fetch, f"--shallow-since={since.isoformat()}", REMOTE, ref)
        # and those before: the last one shows what the next one changed, and clocks of people may be behind
        repository.run(*fetch, f"--deepen={_MARGIN}", REMOTE, ref)
    except GitFailed as error:
        lock = _LOCK.search(error.output)
        if lock and lock[0].endswith("shallow.lock"):
            raise GitError(
                f"{repository.root}: another git command is fetching into this shallow clone: {_unlock(lock[0])}; "
                "then publish again"
            ) from None
        # there is none after *since*, or the newest one is by such a clock
        repository.run(*fetch, f"--depth={_MARGIN}", REMOTE, ref)


def _unlock(lock: str) -> str:
    return f"wait for the git command that has made {lock}, or remove that file if it was killed"


def _push(repository: Repository, branch: str, newest: str) -> GitFailed | None:
    """Push the commit *newest*. Return the error if somebody else was, or may have been, quicker."""
    try:
        repository.run("push", "--no-follow-tags", REMOTE, f"{newest}:{_BRANCHES}{branch}")
        return None
    except GitFailed as error:
        if _NON_FAST_FORWARD.search(error.output):
            return error
        raise _to_git_error(error, branch, "nothing was pushed") from None


def _to_git_error(error: GitFailed, branch: str, what: str) -> GitError:
    other = "the observations stay pending: publish again once the remote answers"
    remedy = next((text for pattern, text in _REMEDIES.items() if pattern.search(error.output)), other)
    return GitError(f"{REMOTE}/{branch}: {what}: {error}; {remedy.format(branch=branch)}")


def _fast_forward(repository: Repository, folder: str | None, branch: str, published: str) -> tuple[str, ...]:
    """Fast-forward the checkout, whose *folder* may have the files of *published*. Return what its user has to do."""
    if _checked_out(repository) != branch or repository.commit_of("HEAD") == published:
        return ()
    written = folder if folder is not None and (repository.root / folder).exists() else None
    merge = ("merge", "--quiet", "--no-autostash", "--ff-only", published)
    with contextlib.suppress(GitFailed):
        repository.run(*merge)
        return ()
    try:
        if written is not None:
            # its files are those of the commit by now: git sees that once they are staged
            repository.run("add", "--all", "--", written)
        repository.run(*merge)
    except GitFailed as error:
        remedy = "commit or stash what has changed in it, and git pull"
        if written is not None:
            # if the index is locked, nothing was staged
            repository.find_line("reset", "--quiet", "--", written)
            remedy = f"git add {written} && git restore --staged --worktree {written} && git pull"
        lock = _LOCK.search(error.output)
        if lock:
            remedy = f"{_unlock(lock[0])}; then {remedy}"
        return (f"this checkout is behind what was published: {remedy}",)
    return ()


def _checked_out(repository: Repository) -> str | None:
    # the short name would be another one where a tag has it too
    name = repository.find_line("symbolic-ref", "--quiet", "HEAD")
    return None if name is None else name.removeprefix(_BRANCHES)
