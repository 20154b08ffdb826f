"""Commit what a sync saw, and push it: one commit, on top of whatever others have pushed by then.

A commit is never made from the files of the checkout. What was seen is applied to the newest state of the
branch, in a worktree of its own, as often as others push first: there is nothing to merge, nothing is forced,
and whatever goes wrong, the checkout stays as it was.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import random
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from npc_lims.commit_message import commit_message
from npc_lims.errors import GitError, SourceError
from npc_lims.git import GitFailed, Repository, find_repository
from npc_lims.later import OBSERVED_TRAILER, seen_later, with_later
from npc_lims.model import SECTIONS
from npc_lims.observed import SUFFIX, Observed, file_name, read_observed, write_observed
from npc_lims.state.diff import SessionChange
from npc_lims.state.store import read_state
from npc_lims.sync import SyncResult, apply

__all__ = ["Published", "Waiting", "held", "hold", "publish"]

REMOTE = "origin"
TRACKED_FILE = "tracked_sessions.yaml"
_LONGEST_WAIT = 30.0
# What a push says when somebody else was quicker: the commit is made again on top of theirs.
_OVERTAKEN = re.compile(
    r"\((fetch first|non-fast-forward|stale info|reference already exists|failed to update ref|incorrect old value"
    r"|cannot lock ref|failed to lock)"
    r"|cannot lock ref|incorrect old value|failed to update ref"
)
_NO_ACCESS = re.compile(
    r"Authentication failed|could not read (Username|Password)|Invalid username or (password|token)"
    r"|Permission to \S+ denied|returned error: 40[13]|Permission denied \(publickey|Repository not found"
)
_RULES = re.compile(r"protected branch|GH006|GH013|rule violations|Cannot update this protected ref", re.IGNORECASE)
_BOT = ("github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com")


@dataclasses.dataclass(frozen=True)
class Published:
    """What publishing did.

    Attributes:
        commit: The commit that is on the remote now; None if there was nothing to add to what is there.
        branch: Where.
        message: Its message, or that which it would have; empty if there is nothing to add.
        changes: Sessions that changed by it.
        failures: Sources that could not be asked when the looks were made.
        attempts: Pushes it took.
        notes: What the user should know of the checkout.
    """

    commit: str | None
    branch: str
    message: str
    changes: tuple[SessionChange, ...]
    failures: tuple[SourceError, ...]
    attempts: int
    notes: tuple[str, ...] = ()


# --- looks that wait in a checkout ----------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Waiting:
    """A look that was written to the files of a checkout, and waits to be published."""

    path: Path
    observed: Observed


def hold(state: Path, observed: Observed) -> bool:
    """Keep *observed* until it is published, if *state* lies in a git checkout. Whether it does.

    It is kept in the folder of git, where neither status nor clean look. A whole one takes the place of those
    that wait.
    """
    try:
        folder = _waiting_folder(find_repository(state), state)
    except GitError:
        return False
    if _is_whole(observed):
        for path in folder.glob(f"*{SUFFIX}"):
            path.unlink(missing_ok=True)
    write_observed(folder / f"{observed.at:%Y%m%dT%H%M%S.%fZ}-{file_name(observed.scope)}", observed)
    return True


def held(state: Path) -> list[Waiting]:
    """Looks that wait to be published from the checkout of *state*, the oldest first.

    Raises:
        GitError: It is not in one.
        NpcLimsError: One of them is damaged.
    """
    folder = _waiting_folder(find_repository(state), state)
    return [Waiting(path, read_observed(path)) for path in sorted(folder.glob(f"*{SUFFIX}"))]


def _is_whole(observed: Observed) -> bool:
    """Whether it saw all that there is to see: nothing then is left of those before it.

    What is as it was when it was last recorded is no news to the state that it was recorded in, and to no other.
    """
    seen = {one.source for one in observed.observations if not one.unchanged}
    return observed.scope.is_whole and seen == set(SECTIONS) and not observed.failures


def _waiting_folder(repository: Repository, state: Path) -> Path:
    git_folder = Path(repository.line("rev-parse", "--absolute-git-dir"))
    return git_folder / "npc-lims" / "-".join(Path(repository.path_of(state)).parts)


# --- publishing -----------------------------------------------------------------------------------


def publish(
    state: Path,
    observed: Sequence[Observed],
    branch: str | None = None,
    *,
    trailers: Mapping[str, str] | None = None,
    dry_run: bool = False,
    attempts: int = 12,
    backoff: float = 1,
) -> Published:
    """Apply *observed* to the state on the remote's *branch*, and push that as one commit.

    Args:
        state: The state folder of a checkout; only where it lies in the repository matters, not what it holds.
        observed: Looks at the sources, in the order in which they were made.
        branch: Where to push; the branch that is checked out if not given. Made if the remote has none.
        trailers: More lines for the end of the commit message.
        dry_run: Push nothing: the answer holds the message that the commit would have.
        attempts: Pushes tried at most while others push first.
        backoff: Seconds of the longest first wait between two of them; it doubles.

    Raises:
        GitError: The checkout is in no condition to publish from, or the remote refused.
        StateError: The state on the branch is damaged.
        SyncRefused: The breaker; nothing was pushed.
    """
    repository = find_repository(state)
    inside = Path(repository.path_of(state))
    target = branch or _current_branch(repository)
    _check_checkout(repository, inside.parent / TRACKED_FILE)
    identity = _identity(repository)
    with _worktree(repository) as tree:
        for attempt in range(1, attempts + 1):
            parent = _newest(tree, target, min(one.at for one in observed))
            tree.run("checkout", "--quiet", "--force", "--detach", parent)
            folder = tree.root / inside
            result = apply(folder, _up_to_date(tree, parent, inside, observed), tracked=_tracked_beside(folder))
            tree.run("add", "--all", "--", inside.as_posix())
            if not tree.run("diff", "--cached", "--name-only"):
                return _published(None, target, "", result, attempt, ())
            failed = list(dict.fromkeys(failure.source for failure in result.failures))
            message = commit_message(result.changes, {**_trailers(result, observed), **(trailers or {})}, failed)
            if dry_run:
                return _published(None, target, message, result, attempt, ())
            commit = _commit(tree, message, identity)
            if _push(tree, target):
                notes = _catch_up(repository, inside, target, commit)
                return _published(commit, target, message, result, attempt, notes)
            time.sleep(random.uniform(0, min(backoff * 2**attempt, _LONGEST_WAIT)))
    raise GitError(
        f"{REMOTE}/{target}: others pushed first {attempts} times in a row; nothing was pushed. What was seen is "
        "kept: publish again"
    )


def _published(
    commit: str | None, branch: str, message: str, result: SyncResult, attempts: int, notes: Sequence[str]
) -> Published:
    return Published(commit, branch, message, tuple(result.changes), result.failures, attempts, tuple(notes))


def _trailers(result: SyncResult, observed: Sequence[Observed]) -> dict[str, str]:
    from npc_lims import __version__

    return {
        "Npc-Lims-Version": __version__,
        OBSERVED_TRAILER: max(one.at.astimezone(datetime.timezone.utc) for one in observed).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        ),
        "Npc-Lims-Sources": " ".join(dict.fromkeys(o.source for o in result.observations if o.failure is None)),
        "Npc-Lims-Sessions": str(len(result.after)),
        "Npc-Lims-Changed": str(len(result.changes)),
    }


# --- the checkout ---------------------------------------------------------------------------------


def _current_branch(repository: Repository) -> str:
    try:
        return repository.line("symbolic-ref", "--short", "--quiet", "HEAD")
    except GitFailed:
        raise GitError(
            f"{repository.root}: HEAD is detached, no branch is checked out; say where to push: --branch main"
        ) from None


def _check_checkout(repository: Repository, tracked: Path) -> None:
    unfinished = repository.is_unfinished()
    if unfinished:
        raise GitError(f"{repository.root}: {unfinished} is under way; finish or abort it, then publish")
    if repository.find_commit("HEAD") is None:
        raise GitError(f"{repository.root}: there is no commit yet; commit and push the repository first")
    if REMOTE not in repository.line("remote").splitlines():
        raise GitError(f"{repository.root}: there is no remote {REMOTE} to push to; git remote add {REMOTE} ADDRESS")
    if repository.run("status", "--porcelain", "--untracked-files=no", "--", tracked.as_posix()):
        raise GitError(
            f"{repository.root / tracked} has changes that are not committed, and state is published for the file "
            "as it is committed: commit and push it (or stash it), then sync and publish"
        )


def _tracked_beside(state: Path) -> Path | None:
    """The tracked file of a checkout; None if it has none, as one that observes something else."""
    path = state.parent / TRACKED_FILE
    return path if path.is_file() else None


def _identity(repository: Repository) -> Mapping[str, str]:
    """Environment variables that tell git who commits, where it does not know itself."""
    try:
        repository.line("var", "GIT_COMMITTER_IDENT")
        repository.line("config", "user.email")
        return {}
    except GitFailed:
        pass
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


@contextlib.contextmanager
def _worktree(repository: Repository) -> Iterator[Repository]:
    """A second set of files of the repository, which goes when it is done with."""
    folder = Path(tempfile.mkdtemp(prefix="npc-lims-publish-"))
    # those of publishers that were killed, whose files are gone
    repository.run("worktree", "prune")
    try:
        repository.run("worktree", "add", "--quiet", "--detach", "--force", str(folder / "tree"), "HEAD")
        yield Repository(folder / "tree")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        repository.run("worktree", "prune")


def _up_to_date(tree: Repository, parent: str, inside: Path, observed: Sequence[Observed]) -> list[Observed]:
    """The looks, with what others saw later and published already in place of what these saw of it."""
    later = [seen_later(tree, parent, inside.as_posix(), one.at) for one in observed]
    recorded = read_state(tree.root / inside).records if any(later) else {}
    return [with_later(one, than, recorded) for one, than in zip(observed, later)]


def _newest(repository: Repository, branch: str, since: datetime.datetime) -> str:
    """The remote's newest commit of *branch*; what is checked out here if the remote has no such branch.

    In a shallow clone only what was committed after *since* comes with it.
    """
    try:
        listed = repository.line("ls-remote", "--heads", REMOTE, f"refs/heads/{branch}")
        if not listed:
            return repository.commit_of("HEAD")
        commit = listed.split()[0]
        _fetch(repository, branch, since)
        # the branch may have moved on since it was listed: what was fetched is what there is
        return repository.find_commit("FETCH_HEAD") or commit
    except GitFailed as error:
        raise _explained(error, branch, f"{REMOTE} could not be read") from None


def _fetch(repository: Repository, branch: str, since: datetime.datetime) -> None:
    fetch = ("fetch", "--quiet", "--no-tags")
    ref = f"refs/heads/{branch}"
    if not repository.is_shallow():
        repository.run(*fetch, REMOTE, ref)
        return
    try:
        repository.run(*fetch, f"--shallow-since={since.isoformat()}", REMOTE, ref)
        # and the commit before these, which tells what they changed
        repository.run(*fetch, "--deepen=1", REMOTE, ref)
    except GitFailed:
        # there is none after *since*
        repository.run(*fetch, "--depth=1", REMOTE, ref)


def _commit(tree: Repository, message: str, identity: Mapping[str, str]) -> str:
    try:
        tree.run("commit", "--quiet", "--cleanup=verbatim", "--file=-", stdin=message.encode(), env=dict(identity))
    except GitFailed as error:
        raise GitError(
            f"the commit was refused, by a hook or a setting of this checkout: {error}. Nothing was pushed; what was "
            "seen is kept: mend that, and publish again"
        ) from None
    return tree.commit_of("HEAD")


def _push(tree: Repository, branch: str) -> bool:
    """Push the worktree's commit; False if somebody else was quicker."""
    try:
        tree.run("push", REMOTE, f"HEAD:refs/heads/{branch}")
        return True
    except GitFailed as error:
        if _OVERTAKEN.search(error.output):
            return False
        raise _explained(error, branch, "nothing was pushed") from None


def _explained(error: GitFailed, branch: str, what: str) -> GitError:
    """What git said, what it means, and what to do."""
    said = error.output
    if _NO_ACCESS.search(said):
        remedy = (
            "the token or key was refused: it has expired, or may not write to this repository; in Actions the job "
            "needs 'permissions: contents: write'"
        )
    elif _RULES.search(said):
        remedy = (
            f"{branch} is protected, and this identity may not push to it: let a GitHub App that the rules exempt do "
            "it (docs/github.md), or publish to another branch: --branch state"
        )
    elif "hook declined" in said:
        remedy = "a hook of the remote refused the commit: do what it says above"
    elif "shallow" in said:
        remedy = "this is a shallow clone that the remote does not take commits from: git fetch --unshallow"
    else:
        remedy = "what was seen is kept: publish again once the remote answers"
    return GitError(f"{REMOTE}/{branch}: {what}: {error}; {remedy}")


def _catch_up(repository: Repository, inside: Path, branch: str, commit: str) -> tuple[str, ...]:
    """Move the checkout on to what was published, if it stands on that branch and nothing in it is in the way."""
    try:
        if repository.line("symbolic-ref", "--short", "--quiet", "HEAD") != branch:
            return ()
    except GitFailed:
        return ()
    has_state = (repository.root / inside).exists()
    try:
        if has_state:
            # its files are those of the commit by now: git sees that once they are staged
            repository.run("add", "--all", "--", inside.as_posix())
        repository.run("merge", "--quiet", "--ff-only", commit)
    except GitFailed:
        if has_state:
            repository.run("reset", "--quiet", "--", inside.as_posix())
        return (f"this checkout is behind what was published: git restore {inside.as_posix()} && git pull",)
    return ()
