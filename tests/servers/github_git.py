"""A bare git repository as GitHub's API needs it: refs moved by compare-and-swap, objects written, commits compared."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.git_environment import plain_environment

NO_OBJECT = "0" * 40
_RECORD = "%H%x00%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B%x01"


class GitError(Exception):
    """Git refused; the message is what it printed."""


@dataclass(frozen=True)
class Signature:
    """Who, and when (ISO 8601)."""

    name: str
    email: str
    date: str


@dataclass(frozen=True)
class Commit:
    """One commit, whole."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: Signature
    committer: Signature
    message: str


@dataclass(frozen=True)
class Entry:
    """One line of a tree; `size` is None but for blobs."""

    mode: str
    type: str
    sha: str
    size: int | None
    path: str


@dataclass(frozen=True)
class ChangedFile:
    """One file that two commits do not have in common."""

    path: str
    status: str
    sha: str
    additions: int
    deletions: int


class GitRepo:
    """`path` is the bare repository. Every method asks git anew, so pushes by path are seen at once.

    `beside` are repositories whose objects can be read as if they were here.
    """

    def __init__(self, path: Path, beside: Sequence[Path] = ()) -> None:
        self.path = path
        self._objects = os.pathsep.join(str(other / "objects") for other in beside)

    def git(self, *arguments: str, stdin: bytes | None = None, env: dict[str, str] | None = None) -> bytes:
        """What git prints. GitError where it fails."""
        environment = plain_environment()
        if self._objects:
            environment["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = self._objects
        command = ["git", "-C", str(self.path), *arguments]
        environment.update(env or {})
        done = subprocess.run(command, input=stdin, env=environment, capture_output=True, check=False)
        if done.returncode:
            raise GitError(done.stderr.decode(errors="replace").strip())
        return done.stdout

    def line(self, *arguments: str) -> str:
        """The one line that git prints; empty where it fails."""
        try:
            return self.git(*arguments).decode().strip()
        except GitError:
            return ""

    # -- refs ------------------------------------------------------------------------------------

    def ref(self, name: str) -> tuple[str, str] | None:
        """Type and sha of what the ref of this whole name points at."""
        return dict(self.refs(name)).get(name)

    def refs(self, prefix: str) -> list[tuple[str, tuple[str, str]]]:
        """Refs whose whole names begin with `prefix`, as (name, (type, sha)), by name."""
        every = self.git("for-each-ref", "--format=%(objecttype) %(objectname) %(refname)").decode().splitlines()
        found = (line.split(" ", 2) for line in every)
        return [(name, (kind, sha)) for kind, sha, name in found if name.startswith(prefix)]

    def move_ref(self, name: str, new: str, old: str) -> None:
        """Point the ref at `new` if it is still at `old` (`NO_OBJECT`: does not exist). GitError otherwise."""
        self.git("update-ref", name, new, old)

    def delete_ref(self, name: str, old: str) -> None:
        self.git("update-ref", "-d", name, old)

    def branch(self, name: str) -> str | None:
        """The commit that a branch points at."""
        found = self.ref(f"refs/heads/{name}")
        return found[1] if found else None

    def resolve(self, name: str) -> str | None:
        """The commit that a branch, a tag, or a sha (7 digits at least) names; also `heads/...` and `tags/...`."""
        names = [name] if name.startswith("refs/") else [f"refs/heads/{name}", f"refs/tags/{name}"]
        if name.startswith(("heads/", "tags/")):
            names.append(f"refs/{name}")
        if 7 <= len(name) <= 40 and set(name) <= set("0123456789abcdef"):
            names.append(name)
        for full in names:
            if sha := self.line("rev-parse", "--verify", "--quiet", "--end-of-options", f"{full}^{{commit}}"):
                return sha
        return None

    def is_ancestor(self, old: str, new: str) -> bool:
        return self.line("merge-base", old, new) == old

    # -- objects ---------------------------------------------------------------------------------

    def type_of(self, sha: str) -> str:
        """`blob`, `tree`, `commit` or `tag`; empty where no object has this sha."""
        return self.line("cat-file", "-t", sha)

    def blob(self, sha: str) -> bytes:
        return self.git("cat-file", "blob", sha)

    def write_blob(self, content: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", stdin=content).decode().strip()

    def tree(self, sha: str, *, recursive: bool = False) -> list[Entry]:
        """The entries of the tree of a tree or commit."""
        options = ["-r", "-t"] if recursive else []
        entries = []
        for line in self.git("ls-tree", "-z", "--long", *options, sha).decode().split("\0"):
            if line:
                head, path = line.split("\t", 1)
                mode, kind, object_sha, size = head.split()
                entries.append(Entry(mode, kind, object_sha, None if size == "-" else int(size), path))
        return entries

    def entry(self, commit: str, path: str) -> Entry | None:
        """What a commit holds at a path."""
        parent, _, name = path.rpartition("/")
        try:
            entries = self.tree(f"{commit}:{parent}")
        except GitError:  # no such folder
            return None
        return next((entry for entry in entries if entry.path == name), None)

    def write_tree(self, base: str | None, changes: list[tuple[str, str | None, str]]) -> str:
        """A tree like `base` with (mode, sha or None for gone, path) put in. GitError for what cannot be."""
        lines = []
        for mode, sha, path in changes:
            if mode == "040000" and sha:
                kept = self.tree(base, recursive=True) if base else []
                lines += [f"0 {NO_OBJECT}\t{old.path}" for old in kept if old.path.startswith(f"{path}/")]
                new = (entry for entry in self.tree(sha, recursive=True) if entry.type != "tree")
                lines += [f"{entry.mode} {entry.sha}\t{path}/{entry.path}" for entry in new]
            else:
                lines.append(f"{mode} {sha}\t{path}" if sha else f"0 {NO_OBJECT}\t{path}")
        with tempfile.TemporaryDirectory() as folder:
            env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            if base:
                self.git("read-tree", base, env=env)
            self.git("update-index", "-z", "--index-info", stdin="".join(f"{x}\0" for x in lines).encode(), env=env)
            return self.git("write-tree", env=env).decode().strip()

    def write_commit(self, tree: str, parents: list[str], message: str, author: Signature, committer: Signature) -> str:
        env = {
            "GIT_AUTHOR_NAME": author.name,
            "GIT_AUTHOR_EMAIL": author.email,
            "GIT_AUTHOR_DATE": author.date,
            "GIT_COMMITTER_NAME": committer.name,
            "GIT_COMMITTER_EMAIL": committer.email,
            "GIT_COMMITTER_DATE": committer.date,
        }
        options = [option for parent in parents for option in ("-p", parent)]
        return self.git("commit-tree", tree, *options, stdin=message.encode(), env=env).decode().strip()

    # -- history ---------------------------------------------------------------------------------

    def log(self, *arguments: str) -> list[Commit]:
        """Commits as `git log` chooses and orders them."""
        printed = self.git("log", f"--format={_RECORD}", "--no-color", *arguments, "--").decode(errors="replace")
        commits = []
        for record in printed.split("\x01"):
            if not record.strip():
                continue
            sha, tree, parents, *people, message = record.lstrip("\n").split("\0")
            author, committer = Signature(*people[:3]), Signature(*people[3:])
            commits.append(Commit(sha, tree, tuple(parents.split()), author, committer, message.rstrip("\n")))
        return commits

    def commit(self, sha: str) -> Commit:
        return self.log("-1", sha)[0]

    def merge_base(self, one: str, other: str) -> str:
        """The commit that two histories share; empty where they share none."""
        return self.line("merge-base", one, other)

    def changed_files(self, old: str, new: str) -> list[ChangedFile]:
        """Files that differ between two commits or trees, by path."""
        options = ("--no-renames", "--abbrev=40", "-z")
        raw = self.git("diff", "--raw", *options, old, new).decode().split("\0")
        counted = self.git("diff", "--numstat", *options, old, new).decode().split("\0")
        counts = {}
        for line in filter(None, counted):
            added, deleted, path = line.split("\t", 2)
            counts[path] = (0, 0) if added == "-" else (int(added), int(deleted))
        files = []
        for head, path in zip(raw[::2], raw[1::2]):
            _, _, old_sha, new_sha, letter = head.split()
            status = {"A": "added", "D": "removed"}.get(letter, "modified")
            files.append(ChangedFile(path, status, old_sha if letter == "D" else new_sha, *counts[path]))
        return files

    def fetch(self, source: Path, sha: str, ref: str) -> None:
        """Have a commit of another repository, with all that it needs, under `ref`."""
        self.git("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", str(source), f"+{sha}:{ref}")


def init_bare(path: Path) -> GitRepo:
    """An empty repository."""
    path.mkdir(parents=True)
    repo = GitRepo(path)
    repo.git("init", "--quiet", "--bare", "--initial-branch=main")
    return repo


def clone_bare(source: Path, path: Path, *, shares: bool) -> GitRepo:
    """A bare clone; if it `shares`, it sees every object of `source`, later ones too, as forks on GitHub do."""
    command = ["git", "clone", "--quiet", "--bare", *(["--shared"] if shares else []), str(source), str(path)]
    subprocess.run(command, env=plain_environment(), check=True, capture_output=True)
    return GitRepo(path)


def iso(moment: datetime) -> str:
    """A time as the API writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
