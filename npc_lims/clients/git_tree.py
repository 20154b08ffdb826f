"""A folder of a git commit: read, changed in memory, and committed without a worktree or an index."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath, PurePosixPath

from npc_lims.clients.git import GitFailed, Repository
from npc_lims.errors import GitError
from npc_lims.utils.text import single_line

TOKEN_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
"""The key of a trailer of a commit message."""

_LISTED = 20
_HOOKS = ("pre-commit", "prepare-commit-msg", "commit-msg", "post-commit")
# Notes that people typed must not notify anyone, nor close an issue when the commit reaches the default branch.
_MENTION = re.compile(r"(?<!\w)@(?=\w)")
_CLOSING = re.compile(r"\b(close[sd]?|fix(?:e[sd])?|resolve[sd]?)(?=:?\s)", re.IGNORECASE)
_KEPT = "Nothing was pushed; the observations are kept: correct that, and publish again"


class CommitTree:
    """Files of a folder of a commit, with changes that are not committed yet.

    Attributes:
        repository: The repository that has the commit.
        commit: Its id.
        folder: Path of the folder in it, with forward slashes; "." for all of it.
        prefix: What the paths of the files begin with in the repository.
        changes: Content by name of files that were written; None for one that was removed.
    """

    def __init__(self, repository: Repository, commit: str, folder: str, label: str = "") -> None:
        """
        Args:
            label: Text before the paths in messages, such as `origin/main:`.
        """
        self.repository = repository
        self.commit = commit
        self.folder = folder
        self.changes: dict[str, bytes | None] = {}
        self.prefix = "" if folder == "." else f"{folder}/"
        self._label = label
        self._blobs: dict[str, str] | None = None
        self._contents: dict[str, bytes] = {}

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
        missing = [name for name in wanted if name not in self.changes and name not in self._contents]
        self._contents.update(self._read(missing))
        found = {name: self.changes.get(name, self._contents.get(name)) for name in wanted}
        return {name: content for name, content in found.items() if content is not None}

    def _read(self, names: Sequence[str]) -> dict[str, bytes]:
        if self._blobs is None or len(names) == 1:
            contents = self.repository.read_files(self.commit, map(self._path_of, names))
            return {name: contents[path] for name in names if (path := self._path_of(name)) in contents}
        blobs = {name: self._blobs[name] for name in names if name in self._blobs}
        contents = self.repository.read_blobs(blobs.values())
        return {name: contents[blob] for name, blob in blobs.items()}

    def write_files(self, contents: Mapping[str, bytes | None]) -> None:
        self.changes.update(contents)

    def changes_by_path(self) -> dict[str, bytes | None]:
        """Return the changes by paths in the repository."""
        return {self._path_of(name): content for name, content in self.changes.items()}

    def _path_of(self, name: str) -> str:
        return f"{self.prefix}{name}"


@dataclasses.dataclass(frozen=True)
class Committed:
    """A new commit.

    Attributes:
        id: Its id.
        is_as_written: No hook has changed the files in it.
    """

    id: str
    is_as_written: bool = True


def commit_changes(tree: CommitTree, message: str, env: Mapping[str, str]) -> Committed | None:
    """Commit the changes of *tree*; None if there are none.

    Args:
        env: Variables with the identity of the committer.

    Raises:
        GitError: A hook or a setting refused it, or a hook added a file that is not in the folder.
    """
    if not tree.changes:
        return None
    repository = tree.repository
    changes = tree.changes_by_path()
    contents = {path: content for path, content in changes.items() if content is not None}
    blobs = dict(zip(contents, repository.write_blobs(contents.values())))
    new = repository.write_tree(tree.commit, {path: blobs.get(path) for path in changes})
    if new == repository.tree_of(tree.commit):
        return None
    try:
        if not _has_hooks(repository):
            return Committed(repository.write_commit(new, tree.commit, message, env))
        commit = _commit_with_hooks(tree, new, message, env)
    except GitFailed as error:
        raise GitError(f"the commit was refused, by a hook or a setting of this checkout: {error}. {_KEPT}") from None
    return Committed(commit, repository.tree_of(commit) == new)


def _has_hooks(repository: Repository) -> bool:
    """Return True if git would run a hook while it commits."""
    folder = Path(repository.line("rev-parse", "--path-format=absolute", "--git-path", "hooks"))
    if any(os.access(folder / name, os.X_OK) for name in _HOOKS):
        return True
    try:
        return bool(repository.run("config", "--get-regexp", r"^hook\..*\.event$"))
    except GitFailed:
        return False  # none is set


def _commit_with_hooks(tree: CommitTree, new: str, message: str, env: Mapping[str, str]) -> str:
    """Commit the tree *new* in a temporary worktree, as hooks read and change the files of one. Return the id.

    Raises:
        GitFailed: A hook refused it.
        GitError: A hook added something to it that is not in the folder.
    """
    with _temporary_worktree(tree.repository, tree.commit) as worktree:
        worktree.run("read-tree", "--reset", "-u", new)
        command = ("commit", "--quiet", "--cleanup=verbatim", "--file=-")
        worktree.run(*command, stdin=message.encode(), env=dict(env))
        commit = worktree.commit_of("HEAD")
    changed = os.fsdecode(tree.repository.run("diff", "--name-only", "-z", tree.commit, commit)).split("\0")
    others = [path for path in changed if path and not path.startswith(tree.prefix)]
    if others:
        raise GitError(f"a hook of this checkout added {', '.join(others[:3])} to the commit. {_KEPT}")
    return commit


@contextlib.contextmanager
def _temporary_worktree(repository: Repository, head: str) -> Iterator[Repository]:
    """Make a worktree outside of the repository, which has no record of it: one that is left there is in no one's way.

    git's own files of a worktree are as gitrepository-layout(5) describes them. In the reftable format git has to
    write them.
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


def compose_message(
    subject: str, lists: Mapping[str, Sequence[str]], trailers: Mapping[str, str | Sequence[str]]
) -> str:
    """Return a commit message.

    Args:
        subject: Its first line.
        lists: Heading to the lines of a list, of which the first 20 are shown.
        trailers: Token (letters, digits and hyphens) to value; for several lines of one token, several values.

    Raises:
        ValueError: A token is none that git reads as one.
    """
    blocks = [subject]
    for heading, lines in lists.items():
        more = [f"... and {len(lines) - _LISTED:,} more"] if len(lines) > _LISTED else []
        blocks.append("\n".join([heading, *(f"- {line}" for line in (*lines[:_LISTED], *more))]))
    blocks.append("\n".join(_trailer_lines(trailers)))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _trailer_lines(trailers: Mapping[str, str | Sequence[str]]) -> Iterator[str]:
    for token, value in trailers.items():
        if not TOKEN_PATTERN.fullmatch(token):
            raise ValueError(f"{token!r} is no trailer token: it may have letters, digits and hyphens")
        for one in [value] if isinstance(value, str) else value:
            # a line feed would end the trailer, and begin another one
            yield f"{token}: {single_line(one)}".rstrip()
