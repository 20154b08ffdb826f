"""A branch of the remote: its newest commit, a place to make the next one, and the push."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from npc_lims.clients.git import GitFailed, Repository
from npc_lims.errors import GitError

__all__ = [
    "REMOTE",
    "catch_up",
    "check_checkout",
    "commit",
    "explained",
    "identity",
    "newest",
    "push",
    "stage",
    "target_branch",
    "worktree",
]

REMOTE = "origin"
# What a push says when somebody else was quicker: the commit is made again on top of theirs.
_OVERTAKEN = re.compile(
    r"\((fetch first|non-fast-forward|stale info|reference already exists|failed to lock)"
    r"|cannot lock ref|incorrect old value|failed to update ref"
)
_NO_ACCESS = re.compile(
    r"Authentication failed|could not read (Username|Password)|Invalid username or (password|token)"
    r"|Permission to \S+ denied|returned error: 40[13]|Permission denied \(publickey|Repository not found"
)
_RULES = re.compile(r"protected branch|GH006|GH013|rule violations|Cannot update this protected ref", re.IGNORECASE)
_LOCK = re.compile(r"(?<=')[^']+\.lock(?=')")
_BOT = ("github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com")
_BRANCHES = "refs/heads/"
# Commits that a shallow clone fetches besides those of the time that is asked for.
_MARGIN = 20
# Seconds: publishing takes a few.
_STALE_AFTER = 3600


def target_branch(repository: Repository, branch: str | None) -> str:
    """The branch to push to: *branch*, else the one that is checked out.

    Raises:
        GitError: It cannot be the name of one, or none is checked out.
    """
    if branch is None:
        branch = _checked_out(repository)
        if branch is None:
            raise GitError(
                f"{repository.root}: HEAD is detached, no branch is checked out; say where to push: --branch main"
            )
    name = branch[len(_BRANCHES) :] if branch.startswith(_BRANCHES) else branch
    if name.startswith("refs/"):
        raise _not_a_branch(branch)
    try:
        # what git expands, such as @{-1}, is the name of another one
        is_name = repository.line("check-ref-format", "--branch", name) == name
    except GitFailed:
        is_name = False
    if not is_name:
        raise GitError(f"--branch {branch}: not a name that a branch can have")
    return name


def _not_a_branch(name: str) -> GitError:
    return GitError(f"--branch {name}: a tag, or another ref that is no branch; publish to a branch: --branch main")


def check_checkout(repository: Repository, tracked: Path) -> None:
    """
    Raises:
        GitError: The checkout is in no condition to publish from.
    """
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


def identity(repository: Repository) -> Mapping[str, str]:
    """Environment variables that tell git who commits, where it does not know itself.

    Raises:
        GitError: Nobody does.
    """
    try:
        for who in ("COMMITTER", "AUTHOR"):
            # what git would guess from the name of the machine is no identity
            repository.line("-c", "user.useConfigOnly=true", "var", f"GIT_{who}_IDENT")
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
def worktree(repository: Repository) -> Iterator[Repository]:
    """Add a worktree in which nothing is checked out yet, and remove it at the end of the block."""
    git_folder = repository.git_folder
    trees = git_folder / "npc-lims" / "trees"
    trees.mkdir(parents=True, exist_ok=True)
    _remove_stale_worktrees(trees)
    folder = Path(tempfile.mkdtemp(dir=trees))
    try:
        _add_worktree(repository, git_folder, folder)
        yield Repository(folder / "tree")
    finally:
        _remove_worktree(folder)


def _add_worktree(repository: Repository, git_folder: Path, folder: Path) -> None:
    """Add the worktree `tree` in *folder*.

    `git worktree add` first writes a HEAD of zeros. A fetch at that moment fails with `bad object`, and so does every
    later one if the command is killed there. Therefore git's files of the worktree, as gitrepository-layout(5)
    describes them, are moved into `.git/worktrees` in one step. With the reftable format, git has to write them.
    """
    tree = folder / "tree"
    if (git_folder / "reftable").is_dir():
        repository.run("worktree", "add", "--quiet", "--detach", "--force", "--no-checkout", str(tree), "HEAD")
        return
    tree.mkdir()
    new, metadata = folder / "metadata", _metadata_folder(folder)
    new.mkdir()
    (tree / ".git").write_text(f"gitdir: {metadata.as_posix()}\n", encoding="utf-8")
    (new / "gitdir").write_text(f"{(tree / '.git').as_posix()}\n", encoding="utf-8")
    (new / "commondir").write_text("../..\n", encoding="utf-8")
    (new / "HEAD").write_text(f"{repository.commit_of('HEAD')}\n", encoding="utf-8")
    metadata.parent.mkdir(exist_ok=True)
    new.rename(metadata)


def _metadata_folder(folder: Path) -> Path:
    """Return the folder of git's files of the worktree in *folder*, which is in `.git/npc-lims/trees`."""
    return folder.parents[2] / "worktrees" / folder.name


def _remove_worktree(folder: Path) -> None:
    for one in (_metadata_folder(folder), folder):
        shutil.rmtree(one, ignore_errors=True)


def _remove_stale_worktrees(trees: Path) -> None:
    """Remove those of publishers that were killed. A recent one may be in use by another publisher."""
    for folder in trees.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > _STALE_AFTER:
                _remove_worktree(folder)


def newest(repository: Repository, branch: str, since: datetime.datetime) -> str | None:
    """The remote's newest commit of *branch*; None if it has no such branch, and the name is not that of a tag.

    In a shallow clone only what was committed after *since* comes with it, and a few commits before that.

    Raises:
        GitError: The remote could not be read, or *branch* is a tag.
    """
    try:
        others = [f"refs/tags/{branch}", f"refs/{branch}"]
        listed = repository.line("ls-remote", REMOTE, f"{_BRANCHES}{branch}", *others)
        # a pattern names the end of a ref
        refs = {ref: commit for commit, _, ref in (line.partition("\t") for line in listed.splitlines())}
        found = refs.get(f"{_BRANCHES}{branch}")
        if found is None:
            if any(ref in refs or repository.has_ref(ref) for ref in others):
                raise _not_a_branch(branch)
            return None
        _fetch(repository, f"{_BRANCHES}{branch}", since)
        return repository.commit_of(found)
    except GitFailed as error:
        raise explained(error, branch, f"{REMOTE} could not be read") from None


def _fetch(repository: Repository, ref: str, since: datetime.datetime) -> None:
    # refs are not updated: publishers in one checkout share them, and a killed one leaves their lock files
    fetch = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=")
    if not repository.is_shallow():
        repository.run(*fetch, REMOTE, ref)
        return
    try:
        repository.run(*fetch, f"--shallow-since={since.isoformat()}", REMOTE, ref)
        # and those before these: the last tells what the next one changed, and clocks of people may be behind
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
    """Return what to do about a lock file."""
    return f"wait for the git command that has made {lock}, or remove that file if it was killed"


def stage(tree: Repository, folder: str) -> bool:
    """Stage everything in *folder*, whatever rules ignore. Return True if it is not as it is committed."""
    tree.run("add", "--all", "--force", "--", folder)
    return bool(tree.run("diff", "--cached", "--name-only"))


def commit(tree: Repository, folder: str, message: str, who: Mapping[str, str]) -> str:
    """Commit what is staged below *folder*. The id.

    Raises:
        GitError: A hook or a setting refused it, or added something to it.
    """
    kept = "Nothing was pushed; what was seen is kept: mend that, and publish again"
    try:
        tree.run("commit", "--quiet", "--cleanup=verbatim", "--file=-", stdin=message.encode(), env=dict(who))
    except GitFailed as error:
        raise GitError(f"the commit was refused, by a hook or a setting of this checkout: {error}. {kept}") from None
    changed = tree.run("diff", "--name-only", "-z", "HEAD^", "HEAD").decode("utf-8", "replace").split("\0")
    others = [path for path in changed if path and not path.startswith(f"{folder}/")]
    if others:
        raise GitError(f"a hook of this checkout added {', '.join(others[:3])} to the commit. {kept}")
    return tree.commit_of("HEAD")


def push(repository: Repository, branch: str, newest: str) -> GitFailed | None:
    """Push the commit *newest* and those before it. What git said if somebody else was, or may have been, quicker.

    Raises:
        GitError: The remote refused, or could not be reached.
    """
    try:
        repository.run("push", "--no-follow-tags", REMOTE, f"{newest}:{_BRANCHES}{branch}")
        return None
    except GitFailed as error:
        if _OVERTAKEN.search(error.output):
            return error
        raise explained(error, branch, "nothing was pushed") from None


def explained(error: GitFailed, branch: str, what: str) -> GitError:
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
    elif _OVERTAKEN.search(said):
        remedy = "nobody else has pushed: mend what git says of the remote, and publish again; what was seen is kept"
    else:
        remedy = "what was seen is kept: publish again once the remote answers"
    return GitError(f"{REMOTE}/{branch}: {what}: {error}; {remedy}")


def catch_up(repository: Repository, folder: str | None, branch: str, published: str) -> tuple[str, ...]:
    """Move the checkout on to what was published, if it stands on that branch and nothing in it is in the way.

    Args:
        repository: The checkout.
        folder: A folder in it whose files are those that were published; None if there is none.
        branch: The branch that was published on.
        published: Its newest commit.

    Returns:
        What its user has to do, if anything.
    """
    if _checked_out(repository) != branch or repository.commit_of("HEAD") == published:
        return ()
    written = folder if folder is not None and (repository.root / folder).exists() else None
    try:
        if written is not None:
            # its files are those of the commit by now: git sees that once they are staged
            repository.run("add", "--all", "--", written)
        repository.run("merge", "--quiet", "--no-autostash", "--ff-only", published)
    except GitFailed as error:
        remedy = "commit or stash what has changed in it, and git pull"
        if written is not None:
            # if the index is locked, nothing was staged
            with contextlib.suppress(GitFailed):
                repository.run("reset", "--quiet", "--", written)
            remedy = f"git add {written} && git restore --staged --worktree {written} && git pull"
        lock = _LOCK.search(error.output)
        if lock:
            remedy = f"{_unlock(lock[0])}; then {remedy}"
        return (f"this checkout is behind what was published: {remedy}",)
    return ()


def _checked_out(repository: Repository) -> str | None:
    try:
        # the short name would be another one where a tag has it too
        name = repository.line("symbolic-ref", "--quiet", "HEAD")
    except GitFailed:
        return None
    return name[len(_BRANCHES) :] if name.startswith(_BRANCHES) else name
