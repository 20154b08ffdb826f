"""A folder of a git commit: read, changed in memory, and committed without a worktree or an index."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple

from npc_lims.clients.git import GitFailed, Repository
from npc_lims.errors import GitError
from npc_lims.utils.text import single_line

_LISTED = 20
_HOOKS = ("pre-commit", "prepare-commit-msg", "commit-msg", "post-commit")
# Notes that people typed must not notify anyone, nor close an issue when the commit reaches the default branch.
_MENTION = re.compile(r"(?<!\w)@(?=\w)")
_CLOSING = re.compile(r"\b(close[sd]?|fix(?:e[sd])?|resolve[sd]?)(?=:?\s)", re.IGNORECASE)
_PENDING = "Nothing was pushed; the observations stay pending: correct that, and publish again"


class CommitTree:
    """Files of a folder of a commit (".": all), with changes that are not committed yet; None removes a file."""

    def __init__(self, repository: Repository, commit: str, folder: str, label: str = "") -> None:
        """
        Args:
            label: Text before the paths in messages, such as `origin/main:`.
        """
        self.repository = repository
        self.commit = commit
        self.folder = folder
        self.prefix = "" if folder == "." else f"{folder}/"
        self.changes: dict[str, bytes | None] = {}
        self._label = label
        self._blobs: dict[str, str] | None = None

    def path(self, name: str = "") -> PurePath:
        return PurePosixPath(f"{self._label}{self.prefix}{name}")

    def list_files(self, folder: str = "") -> list[str]:
        names = (name for name in {*self.blob_ids(), *self.changes} if self.changes.get(name, b"") is not None)
        return sorted(name for name in names if not folder or name.startswith(f"{folder}/"))

    def blob_ids(self) -> Mapping[str, str]:
        """Return the id of the blob of each file in the commit, by its name."""
        if self._blobs is None:
            blobs = self.repository.list_files(self.commit, self.folder)
            self._blobs = {path[len(self.prefix) :]: blob for path, blob in blobs.items()}
        return self._blobs

    def read_files(self, names: Iterable[str]) -> dict[str, bytes]:
        wanted = list(names)
        # git finds a blob by its id faster than by its path
        known = self._blobs or {}
        blobs = {name: known.get(name, f"{self.commit}:{self.prefix}{name}") for name in wanted}
        contents = self.repository.read_blobs(blob for name, blob in blobs.items() if name not in self.changes)
        found = {name: self.changes.get(name, contents.get(blob)) for name, blob in blobs.items()}
        return {name: content for name, content in found.items() if content is not None}

    def write_files(self, contents: Mapping[str, bytes | None]) -> None:
        self.changes.update(contents)


class Committed(NamedTuple):
    """The id of a new commit, and whether its files are as they were written: no hook has changed them."""

    id: str
    is_as_written: bool


def commit_changes(tree: CommitTree, message: str, env: Mapping[str, str]) -> Committed | None:
    """Commit the changes of *tree*; None if there are none. GitError if a hook or a setting refused it."""
    if not tree.changes:
        return None
    repository = tree.repository
    changes = {f"{tree.prefix}{name}": content for name, content in tree.changes.items()}
    new = repository.write_tree(tree.commit, changes)
    if new == repository.tree_of(tree.commit):
        return None
    try:
        if _has_hooks(repository):
            commit = _commit_with_hooks(tree, new, message, env)
        else:
            commit = repository.write_commit(new, tree.commit, message, env)
    except GitFailed as error:
        raise GitError(
            f"the commit was refused, by a hook or a setting of this checkout: {error}. {_PENDING}"
        ) from None
    return Committed(commit, repository.tree_of(commit) == new)


def _has_hooks(repository: Repository) -> bool:
    """Return True if git would run a hook while it commits."""
    folder = Path(repository.line("rev-parse", "--path-format=absolute", "--git-path", "hooks"))
    if any(os.access(folder / name, os.X_OK) for name in _HOOKS):
        return True
    return bool(repository.find_line("config", "--get-regexp", r"^hook\..*\.event$"))


def _commit_with_hooks(tree: CommitTree, new: str, message: str, env: Mapping[str, str]) -> str:
    """Commit the tree *new* in a temporary worktree, as hooks read and change the files of one. Return the id."""
    with _temporary_worktree(tree.repository, tree.commit) as worktree:
        worktree.run("read-tree", "--reset", "-u", new)
        command = ("commit", "--quiet", "--cleanup=verbatim", "--file=-")
        worktree.run(*command, stdin=message.encode(), env=env)
        commit = worktree.commit_of("HEAD")
    changed = os.fsdecode(tree.repository.run("diff", "--name-only", "-z", tree.commit, commit)).split("\0")
    others = [path for path in changed if path and not path.startswith(tree.prefix)]
    if others:
        raise GitError(f"a hook of this checkout added {', '.join(others[:3])} to the commit. {_PENDING}")
    return commit


@contextlib.contextmanager
def _temporary_worktree(repository: Repository, head: str) -> Iterator[Repository]:
    """Make a worktree outside of the repository, which has no record of it: one that is left there blocks nobody.

    git's own files are as gitrepository-layout(5) describes them; in the reftable format git has to write them.
    """
    with tempfile.TemporaryDirectory(prefix="npc-lims-") as folder:
        root, metadata = Path(folder, "tree"), Path(folder, "git")
        git_folder = repository.git_folder
        if (git_folder / "reftable").is_dir():
            repository.run("worktree", "add", "--quiet", "--detach", "--no-checkout", str(root), head)
            yield Repository(root)
            repository.run("worktree", "remove", "--force", str(root))
            return
        root.mkdir()
        metadata.mkdir()
        (root / ".git").write_text(f"gitdir: {metadata.as_posix()}\n", encoding="utf-8")
        (metadata / "commondir").write_text(f"{git_folder.as_posix()}\n", encoding="utf-8")
        (metadata / "HEAD").write_text(f"{head}\n", encoding="utf-8")
        yield Repository(root)


def escape_mentions(text: str) -> str:
    """Return *text* changed so that it mentions no user and closes no issue."""
    return _CLOSING.sub(r"'\1'", _MENTION.sub("@ ", text))


def compose_message(subject: str, lists: Mapping[str, Sequence[str]], trailers: Mapping[str, str]) -> str:
    """Return a commit message: subject, lists by headings (the first 20 lines of each), and trailers."""
    blocks = [subject]
    for heading, lines in lists.items():
        more = [f"... and {len(lines) - _LISTED:,} more"] if len(lines) > _LISTED else []
        blocks.append("\n".join([heading, *(f"- {line}" for line in (*lines[:_LISTED], *more))]))
    # a line feed would end a trailer, and begin another one
    blocks.append("\n".join(f"{token}: {single_line(value)}".rstrip() for token, value in trailers.items()))
    return "\n\n".join(block for block in blocks if block) + "\n"
