"""git, as far as publishing and comparing need it: the command itself, as every user of it has it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from npc_lims.errors import GitError
from npc_lims.utils.redaction import redact, safe_text

# Variables that do not reach git, since they select another repository, or change what is read or printed.
_REMOVED = re.compile(
    "GIT_(?:"
    # the repository and its objects, as inside a hook: here the folder selects the repository
    "DIR|WORK_TREE|IMPLICIT_WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES|COMMON_DIR|PREFIX"
    "|NAMESPACE|SHALLOW_FILE|GRAFT_FILE|REPLACE_REF_BASE|NO_REPLACE_OBJECTS|ATTR_SOURCE|QUARANTINE_PATH"
    # how paths are read, as editors set it: here each path says so for itself
    "|(?:LITERAL|GLOB|NOGLOB|ICASE)_PATHSPECS"
    # traces, which contain credentials: GIT_CURL_VERBOSE has an effect even if it is 0
    "|TRACE.*|CURL_VERBOSE|REDACT_COOKIES|TRANSPORT_HELPER_DEBUG|TRANSLOOP_DEBUG"
    # what is printed, which is parsed
    "|EXTERNAL_DIFF|DIFF_OPTS|PAGER_IN_USE|NOTES_REF|NOTES_DISPLAY_REF|MERGE_VERBOSITY"
    ")"
)

# a connection that stands still for a minute is lost
_LOW_SPEED_LIMIT = {"GIT_HTTP_LOW_SPEED_LIMIT": "1000", "GIT_HTTP_LOW_SPEED_TIME": "60"}
_COMMIT_ID = re.compile(r"[0-9a-f]{40,64}")
_REQUESTS = 60
"""Ids of blobs that fit into a pipe, of 4 KiB on some systems: more could block both ends."""

ReadBlobs = Callable[[Iterable[str]], dict[str, bytes]]
"""Returns contents by blob id, of those that exist."""


class GitFailed(GitError):
    """A git command exited with an error.

    Attributes:
        output: Its stderr, without secrets.
    """

    def __init__(self, command: str, output: str) -> None:
        self.command = redact(command)
        self.output = redact(output)
        super().__init__(self.command, self.output)

    def __str__(self) -> str:
        reasons = [line for line in self.output.splitlines() if line.strip() and not line.startswith("hint:")]
        return safe_text(f"git {self.command} failed: {' / '.join(reasons) or 'it gave no reason'}")


@dataclasses.dataclass(frozen=True)
class Repository:
    """A checkout.

    Attributes:
        root: The folder that holds everything that is checked out.
    """

    root: Path

    def run(self, *args: str, stdin: bytes | None = None, env: dict[str, str] | None = None) -> bytes:
        """Return the output of the command.

        Raises:
            GitFailed: It exited with an error.
        """
        return _run(self.root, args, stdin, env)

    @contextlib.contextmanager
    def printing(self, *args: str) -> Iterator[IO[bytes]]:
        """Yield the output of the command while it runs, for output that may be too large. It ends with the block.

        Raises:
            GitFailed: It exited with an error; at the end of the block, if all that it printed was read.
        """
        with tempfile.TemporaryFile() as stderr, _start(self.root, args, stderr) as process:
            assert process.stdout is not None, "it is a pipe"
            try:
                yield process.stdout
                is_complete = not process.stdout.read(1)
            except BaseException:
                process.kill()
                raise
            if not is_complete:
                process.kill()
            elif process.wait():
                stderr.seek(0)
                raise _failed(args, stderr.read())

    def line(self, *args: str) -> str:
        """Return the output of the command, as one line of text."""
        return os.fsdecode(self.run(*args)).rstrip("\r\n")

    def commit_of(self, ref: str) -> str:
        """Return the full id of the commit that *ref* names.

        Raises:
            GitError: There is none.
        """
        commit = self.find_commit(ref)
        if commit is not None:
            return commit
        if self.find_commit("HEAD") is None:
            remedy = "nothing is committed here yet: git add and git commit make the first one"
        elif self.is_shallow():
            remedy = "this is a shallow clone: git fetch --unshallow brings all commits"
        else:
            remedy = "git fetch brings what others have pushed; git branch --all lists the branches"
        raise GitError(f"{ref or repr(ref)}: no such commit, branch or tag in {self.root}; {remedy}")

    def find_commit(self, ref: str) -> str | None:
        """Do as `commit_of`; return None if there is none."""
        try:
            # a ref that begins with a dash would be taken for an option
            found = self.line("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        except GitFailed:
            return None
        # ^HEAD is answered, too: with all that is not HEAD
        return found if _COMMIT_ID.fullmatch(found) else None

    def tree_of(self, commit: str) -> str:
        """Return the id of the tree of a commit."""
        return self.line("rev-parse", f"{commit}^{{tree}}")

    def has_ref(self, name: str) -> bool:
        """Return True if there is a ref of that full name, such as `refs/tags/v1`."""
        try:
            self.run("show-ref", "--verify", "--quiet", "--", name)
        except GitFailed:
            return False
        return True

    @property
    def git_folder(self) -> Path:
        """The folder of git that the worktrees of the repository share."""
        return Path(self.line("rev-parse", "--path-format=absolute", "--git-common-dir"))

    def is_shallow(self) -> bool:
        return self.line("rev-parse", "--is-shallow-repository") == "true"

    def merge_base(self, one: str, other: str) -> str | None:
        """Return the newest commit that both come from; None if there is none here."""
        try:
            return self.line("merge-base", one, other)
        except GitFailed:
            return None

    def fork_point(self, ref: str) -> str:
        """Return the newest commit that *ref* and HEAD both come from.

        Raises:
            GitError: There is no such ref, or nothing in common.
        """
        base = self.merge_base(self.commit_of(ref), "HEAD")
        if base is None:
            raise GitError(
                f"{ref} and HEAD have no commit in common here: git fetch --unshallow brings the history "
                "(in a workflow: fetch-depth: 0)"
            )
        return base

    def path_of(self, path: Path) -> str:
        """Return the path in the repository of *path*, with forward slashes.

        Raises:
            GitError: It is elsewhere.
        """
        try:
            return path.resolve().relative_to(self.root.resolve()).as_posix()
        except ValueError:
            raise GitError(f"{path}: not in the checkout {self.root}") from None

    def changed_since(self, base: str, folder: str) -> dict[str, str]:
        """Path to `added`, `changed` or `removed` of the files under *folder* that are not as in *base*: in HEAD,
        in the index or on disk."""
        words = {"A": "added", "D": "removed"}
        found: dict[str, str] = {}
        for versions in ([base, "HEAD"], ["--cached", base], [base]):
            answer = self.run("diff", "--name-status", "--no-renames", "-z", *versions, "--", folder)
            letters_and_paths = os.fsdecode(answer).split("\0")
            for letter, path in zip(letters_and_paths[::2], letters_and_paths[1::2]):
                found[path] = words.get(letter, "changed")
        untracked = self.run("ls-files", "--others", "--exclude-standard", "-z", "--", folder)
        found.update((path, "added") for path in os.fsdecode(untracked).split("\0") if path)
        return dict(sorted(found.items()))

    def list_files(self, commit: str, folder: str) -> dict[str, str]:
        """Path to blob id of every file beneath *folder* (with forward slashes), in the order of paths."""
        listing = os.fsdecode(self.run("ls-tree", "-r", "-z", "--full-tree", commit, "--", f"{folder}/"))
        files = {}
        for entry in filter(None, listing.split("\0")):
            facts, path = entry.split("\t", 1)
            _, kind, blob = facts.split(" ")
            if kind == "blob":
                files[path] = blob
        return files

    def read_file(self, commit: str, path: str) -> bytes | None:
        """Return the content of a file as committed; None if there is no such file."""
        return self.read_files(commit, [path]).get(path)

    def read_files(self, commit: str, paths: Iterable[str]) -> dict[str, bytes]:
        """Return contents by path, of those that are files in *commit*, by one process."""
        wanted = list(paths)
        if not wanted:
            return {}
        request = os.fsencode("".join(f"{commit}:{path}\n" for path in wanted))
        answers = _batch(self.run("cat-file", "--batch", stdin=request))
        return {path: content for path, content in zip(wanted, answers) if content is not None}

    def read_blobs(self, blobs: Iterable[str]) -> dict[str, bytes]:
        """Return contents by blob id, of those that exist, by one process."""
        wanted = list(dict.fromkeys(blobs))
        if not wanted:
            return {}
        answers = _batch(self.run("cat-file", "--batch", "--buffer", stdin="".join(f"{b}\n" for b in wanted).encode()))
        return {blob: content for blob, content in zip(wanted, answers) if content is not None}

    @contextlib.contextmanager
    def blob_reader(self) -> Iterator[ReadBlobs]:
        """Yield a function that does as `read_blobs`, in one process for all its calls."""
        command = ("cat-file", "--batch")
        with tempfile.TemporaryFile() as stderr, _start(self.root, command, stderr, subprocess.PIPE) as process:
            requests, answers = process.stdin, process.stdout
            assert requests is not None, "it is a pipe"
            assert answers is not None, "it is a pipe"

            def read(blobs: Iterable[str]) -> dict[str, bytes]:
                found = {}
                wanted = list(dict.fromkeys(blobs))
                for start in range(0, len(wanted), _REQUESTS):
                    some = wanted[start : start + _REQUESTS]
                    requests.write("".join(f"{blob}\n" for blob in some).encode())
                    requests.flush()
                    for blob in some:
                        header = answers.readline().split()
                        if not header:
                            stderr.seek(0)
                            raise _failed(command, stderr.read())
                        if header[-1].isdigit():  # else "<id> missing"
                            found[blob] = answers.read(int(header[-1]) + 1)[:-1]
                return found

            yield read

    def hash_files(self, paths: Iterable[Path]) -> list[str]:
        """Return the ids of the blobs that files of the checkout would be, with its filters."""
        request = os.fsencode("".join(f"{path.as_posix()}\n" for path in paths))
        return self.run("hash-object", "--stdin-paths", stdin=request).decode().split()

    def write_blobs(self, contents: Iterable[bytes]) -> list[str]:
        """Write blobs as they are, whatever filters the checkout has. Their ids."""
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for number, content in enumerate(contents):
                path = Path(folder, str(number))
                path.write_bytes(content)
                paths.append(f"{path.as_posix()}\n")
            answer = self.run("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=os.fsencode("".join(paths)))
        return answer.decode().split()

    def write_tree(self, base: str, changes: Mapping[str, str | None]) -> str:
        """Write the tree of the commit *base* with some files changed. Its id.

        Args:
            changes: Path to the id of the blob that the file is to have; None to remove it.
        """
        folders: dict[str, _Entries] = self._read_folders(base, changes)
        for path, blob in changes.items():
            _set_entry(folders, path, None if blob is None else f"100644 blob {blob}")
        # a tree holds the ids of those in it, so the deepest come first
        by_depth: dict[int, list[str]] = {}
        for folder in folders:
            by_depth.setdefault(_depth(folder), []).append(folder)
        ids: list[str] = []
        for _, some in sorted(by_depth.items(), reverse=True):
            listings = ("".join(f"{entry}\t{name}\0" for name, entry in folders[one].items()) for one in some)
            request = os.fsencode("".join(f"{listing}\0" for listing in listings))
            ids = self.run("mktree", "--batch", "--missing", "-z", stdin=request).decode().split()
            for folder, tree in zip(some, ids):
                if folder:
                    _set_entry(folders, folder, f"040000 tree {tree}" if folders[folder] else None)
        return ids[0]

    def _read_folders(self, commit: str, paths: Iterable[str]) -> dict[str, _Entries]:
        """Return the entries of every folder that is above one of *paths*; none of one that *commit* does not have."""
        folders = sorted({folder for path in paths for folder in _folders_above(path)})
        request = os.fsencode("".join(f"{commit}:{folder}\n" for folder in folders))
        answers = _batch(self.run("cat-file", "--batch", stdin=request), b"tree")
        id_bytes = len(commit) // 2
        return {folder: _parse_tree(content or b"", id_bytes) for folder, content in zip(folders, answers)}

    def write_commit(self, tree: str, parent: str, message: str, env: Mapping[str, str]) -> str:
        """Write a commit, signed if the settings of the checkout say so. Its id."""
        try:
            sign = ["-S"] if self.line("config", "--type=bool", "commit.gpgSign") == "true" else []
        except GitFailed:
            sign = []  # it is not set
        answer = self.run("commit-tree", *sign, "-p", parent, "-F", "-", tree, stdin=message.encode(), env=dict(env))
        return answer.decode().strip()

    def is_unfinished(self) -> str | None:
        """Return the operation that is under way in the checkout, such as a merge; None if there is none."""
        folder = Path(self.line("rev-parse", "--absolute-git-dir"))
        marks = {
            "MERGE_HEAD": "a merge",
            "CHERRY_PICK_HEAD": "a cherry-pick",
            "REVERT_HEAD": "a revert",
            "rebase-merge": "a rebase",
            "rebase-apply": "a rebase",
            "BISECT_LOG": "a bisection",
        }
        return next((name for mark, name in marks.items() if (folder / mark).exists()), None)


def find_repository(start: Path) -> Repository:
    """Return the repository that contains *start*, which need not exist yet.

    Raises:
        GitError: There is none, or no git on this machine.
    """
    folder = start.absolute()
    while not folder.is_dir():
        folder = folder.parent
    try:
        root = _run(folder, ("rev-parse", "--show-toplevel"))
    except GitFailed as error:
        raise GitError(f"{start}: not in a git checkout ({error}); clone the repository and work there") from None
    return Repository(Path(os.fsdecode(root).rstrip("\r\n")))


def _run(folder: Path, args: tuple[str, ...], stdin: bytes | None = None, env: dict[str, str] | None = None) -> bytes:
    with _to_git_error(folder):
        done = subprocess.run(
            ["git", *args], cwd=folder, input=stdin or b"", capture_output=True, env=_environment(env), check=False
        )
    if done.returncode:
        raise _failed(args, done.stderr)
    return done.stdout


def _start(
    folder: Path, args: tuple[str, ...], stderr: IO[bytes], stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    with _to_git_error(folder):
        return subprocess.Popen(
            ["git", *args],
            cwd=folder,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=_environment(None),
        )


@contextlib.contextmanager
def _to_git_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        if not folder.is_dir():
            raise GitError(f"{folder}: there is no such folder") from None
        raise GitError("there is no git on this machine's PATH: install it") from None


def _environment(env: Mapping[str, str] | None) -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if not _REMOVED.fullmatch(name)}
    # messages are matched, so they must be in English; a password cannot be typed
    return {**environ, "LC_ALL": "C", "LANGUAGE": "", "GIT_TERMINAL_PROMPT": "0", **_LOW_SPEED_LIMIT, **(env or {})}


def _failed(args: tuple[str, ...], stderr: bytes) -> GitFailed:
    return GitFailed(" ".join(args[:2]), stderr.decode("utf-8", "replace").strip())


_Entries = dict[str, str]  # name to mode, kind and id, as `git ls-tree` prints them


def _folders_above(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition("/")[0]
        yield path


def _depth(folder: str) -> int:
    return folder.count("/") + 1 if folder else 0


def _set_entry(folders: Mapping[str, _Entries], path: str, entry: str | None) -> None:
    folder, _, name = path.rpartition("/")
    if entry is None:
        folders[folder].pop(name, None)
    else:
        folders[folder][name] = entry


def _parse_tree(content: bytes, id_bytes: int) -> _Entries:
    """Return the entries of a tree object: mode, space, name, null byte and the bytes of an id, for each."""
    entries: _Entries = {}
    position = 0
    while position < len(content):
        end = content.index(b"\0", position)
        mode, _, name = content[position:end].partition(b" ")
        position = end + 1 + id_bytes
        kind = {b"40000": "tree", b"160000": "commit"}.get(mode, "blob")
        entries[os.fsdecode(name)] = f"{mode.decode():0>6} {kind} {content[end + 1 : position].hex()}"
    return entries


def _batch(output: bytes, kind: bytes = b"blob") -> Iterator[bytes | None]:
    """Yield the answers of `git cat-file --batch`, in order; None for what is missing or of another kind."""
    position = 0
    while position < len(output):
        end = output.index(b"\n", position)
        header = output[position:end].split(b" ")
        position = end + 1
        if len(header) < 3 or not header[-1].isdigit():
            yield None  # "<name> missing"
            continue
        size = int(header[-1])
        yield output[position : position + size] if header[-2] == kind else None
        position += size + 1
