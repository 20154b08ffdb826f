"""git, as far as publishing and comparing need it: the command itself, as every user of it has it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from npc_lims.config.settings import Settings
from npc_lims.errors import GitError
from npc_lims.utils.text import redact, safe_text

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
_ON_GITHUB = re.compile(
    r"(?:[a-z+]+://)?(?:[^/@\s]*@)?(?:www\.|ssh\.)?github\.com(?::[0-9]+)?[:/]/*([\w.-]+/[\w.-]+?)(?:\.git)?/*",
    re.IGNORECASE,
)
_UNUSED_REF = "refs/npc-lims/unused"
_REQUESTS = 30
"""Names of blobs that fit into a pipe, of 4 KiB on some systems: more could block both ends."""

ReadBlobs = Callable[[Iterable[str]], dict[str, bytes]]
"""Returns contents by blob id, of those that exist."""


class GitFailed(GitError):
    """A git command exited with an error; `output` is its stderr, without secrets."""

    def __init__(self, command: str, output: str) -> None:
        self.command = redact(command)
        self.output = redact(output)
        super().__init__(self.command, self.output)

    def __str__(self) -> str:
        reasons = [line for line in self.output.splitlines() if line.strip() and not line.startswith("hint:")]
        return safe_text(f"git {self.command} failed: {' / '.join(reasons) or 'it gave no reason'}")


@dataclasses.dataclass(frozen=True)
class Repository:
    """A checkout, by its root folder."""

    root: Path

    def run(self, *args: str, stdin: bytes | None = None, env: Mapping[str, str] | None = None) -> bytes:
        """Return the output of the command; GitFailed if it exited with an error."""
        with self._to_git_error():
            done = subprocess.run(
                ["git", *args],
                cwd=self.root,
                input=stdin or b"",
                capture_output=True,
                env=_environment(env),
                check=False,
            )
        if done.returncode:
            raise _failed(args, done.stderr)
        return done.stdout

    @contextlib.contextmanager
    def printing(self, *args: str) -> Iterator[IO[bytes]]:
        """Yield the output of the command while it runs; GitFailed if it exited with an error at the end."""
        with tempfile.TemporaryFile() as stderr, self._start(args, stderr) as process:
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

    def _start(
        self, args: Sequence[str], stderr: IO[bytes], stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        with self._to_git_error():
            return subprocess.Popen(
                ["git", *args],
                cwd=self.root,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=_environment(),
            )

    @contextlib.contextmanager
    def _to_git_error(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            if not self.root.is_dir():
                raise GitError(f"{self.root}: there is no such folder") from None
            raise GitError("there is no git on this machine's PATH: install it") from None

    def line(self, *args: str) -> str:
        return os.fsdecode(self.run(*args)).rstrip("\r\n")

    def find_line(self, *args: str) -> str | None:
        """Return the output of the command as one line; None if it exits with an error."""
        try:
            return self.line(*args)
        except GitFailed:
            return None

    def commit_of(self, ref: str) -> str:
        """Return the full id of the commit that *ref* names; a GitError if there is none."""
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
        # a ref that begins with a dash would be taken for an option
        found = self.find_line("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        # ^HEAD is answered, too: with all that is not HEAD
        return found if found is not None and _COMMIT_ID.fullmatch(found) else None

    def tree_of(self, commit: str) -> str:
        return self.line("rev-parse", f"{commit}^{{tree}}")

    @property
    def git_folder(self) -> Path:
        """The folder of git that the worktrees of the repository share."""
        return Path(self.line("rev-parse", "--path-format=absolute", "--git-common-dir"))

    def names_on_github(self) -> list[str]:
        """Return `OWNER/NAME` of each remote on GitHub, `origin` first."""
        found = self.find_line("config", "--get-regexp", r"^remote\..*\.url$") or ""
        urls = sorted(
            (line.partition(" ") for line in found.splitlines()), key=lambda one: one[0] != "remote.origin.url"
        )
        return [match[1] for _, _, url in urls if (match := _ON_GITHUB.fullmatch(url))]

    def is_shallow(self) -> bool:
        return self.line("rev-parse", "--is-shallow-repository") == "true"

    def fork_point(self, ref: str) -> str:
        """Return the newest commit that *ref* and HEAD have in common; a GitError if there is none."""
        base = self.find_line("merge-base", self.commit_of(ref), "HEAD")
        if base is None:
            raise GitError(
                f"{ref} and HEAD have no commit in common here: git fetch --unshallow brings the history "
                "(in a workflow: fetch-depth: 0)"
            )
        return base

    def path_of(self, path: Path) -> str:
        """Return the path of *path* in the repository, with forward slashes; a GitError if it is elsewhere."""
        try:
            return path.resolve().relative_to(self.root.resolve()).as_posix()
        except ValueError:
            raise GitError(f"{path}: not in the checkout {self.root}") from None

    def changed_since(self, base: str, folder: str) -> dict[str, str]:
        """Return `added`, `changed` or `removed` by path of files under *folder* that differ from *base* by now."""
        words = {"A": "added", "D": "removed"}
        found: dict[str, str] = {}
        for versions in ([base, "HEAD"], ["--cached", base], [base]):
            answer = self.run("diff", "--name-status", "--no-renames", "-z", *versions, "--", folder)
            letters_and_paths = _split_paths(answer)
            for letter, path in zip(letters_and_paths[::2], letters_and_paths[1::2]):
                found[path] = words.get(letter, "changed")
        untracked = self.run("ls-files", "--others", "--exclude-standard", "-z", "--", folder)
        found.update((path, "added") for path in _split_paths(untracked))
        return dict(sorted(found.items()))

    def list_files(self, commit: str, folder: str) -> dict[str, str]:
        """Return the blob id of every file beneath *folder* (with forward slashes) by its path, in order."""
        files = {}
        for entry in _split_paths(self.run("ls-tree", "-r", "-z", "--full-tree", commit, "--", f"{folder}/")):
            facts, path = entry.split("\t", 1)
            _, kind, blob = facts.split(" ")
            if kind == "blob":
                files[path] = blob
        return files

    def read_file(self, commit: str, path: str) -> bytes | None:
        """Return the content of a file as committed; None if there is no such file."""
        name = f"{commit}:{path}"
        return self.read_blobs([name]).get(name)

    def read_blobs(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return contents by blob id, or another name such as `HEAD:path`, of those that exist, by one process."""
        with self.blob_reader() as read:
            return read(names)

    @contextlib.contextmanager
    def blob_reader(self) -> Iterator[ReadBlobs]:
        """Yield a function that does as `read_blobs`, by one process for all its calls."""
        command = ("cat-file", "--batch")
        with tempfile.TemporaryFile() as stderr:
            try:
                with self._start(command, stderr, subprocess.PIPE) as process:
                    assert process.stdin is not None, "it is a pipe"
                    assert process.stdout is not None, "it is a pipe"
                    yield functools.partial(_read_blobs, process.stdin, process.stdout)
            except (BrokenPipeError, EOFError):
                stderr.seek(0)
                raise _failed(command, stderr.read()) from None

    def hash_files(self, paths: Iterable[Path]) -> list[str]:
        """Return the ids of the blobs that files of the checkout would be, with its filters."""
        request = os.fsencode("".join(f"{path.as_posix()}\n" for path in paths))
        return self.run("hash-object", "--stdin-paths", stdin=request).decode().split()

    def write_tree(self, base: str, contents: Mapping[str, bytes | None]) -> str:
        """Write the tree of the commit *base* with other contents of some files (None removes one). Return its id."""
        # trees are made by a commit to a ref, which is taken back before git would write it
        stream = [f"commit {_UNUSED_REF}\ncommitter - <-> 0 +0000\ndata 0\nfrom {base}\n"]
        stream += [f"D {path}\n" for path, content in contents.items() if content is None]
        written = {path: content for path, content in contents.items() if content is not None}
        # fast-import would compress contents twice
        blobs = self._write_blobs(written.values())
        stream += [f"M 100644 {blob} {path}\n" for path, blob in zip(written, blobs)]
        stream.append(f'ls ""\n\nreset {_UNUSED_REF}\nfrom {"0" * len(base)}\n')
        # "040000 tree <id>"
        return self.run("fast-import", "--quiet", stdin=os.fsencode("".join(stream))).split()[2].decode()

    def _write_blobs(self, contents: Iterable[bytes]) -> list[str]:
        """Write blobs as they are, whatever filters the checkout has. Return their ids."""
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for number, content in enumerate(contents):
                path = Path(folder, str(number))
                path.write_bytes(content)
                paths.append(f"{path.as_posix()}\n")
            command = ("hash-object", "-w", "--no-filters", "--stdin-paths")
            return self.run(*command, stdin=os.fsencode("".join(paths))).decode().split()

    def write_commit(self, tree: str, parent: str, message: str, env: Mapping[str, str]) -> str:
        """Write a commit, signed if the settings of the checkout say so. Return its id."""
        sign = ["-S"] if self.find_line("config", "--type=bool", "commit.gpgSign") == "true" else []
        answer = self.run("commit-tree", *sign, "-p", parent, "-F", "-", tree, stdin=message.encode(), env=env)
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
    """Return the repository that contains *start*, which need not exist yet; a GitError if there is none."""
    folder = start.absolute()
    while not folder.is_dir():
        folder = folder.parent
    try:
        return Repository(Path(Repository(folder).line("rev-parse", "--show-toplevel")))
    except GitFailed as error:
        raise GitError(f"{start}: not in a git checkout ({error}); clone the repository and work there") from None


def repository_on_github(settings: Settings, path: Path) -> str | None:
    """Return `OWNER/NAME` for links to GitHub: NPC_LIMS_REPO if it is set, else a remote of the checkout of *path*."""
    if settings.is_set("repo"):
        return settings.repo
    try:
        names = find_repository(path).names_on_github()
    except GitError:
        return None
    # a fork has the commits of the repository, too
    return settings.repo if settings.repo in names else next(iter(names), None)


def _environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if not _REMOVED.fullmatch(name)}
    # messages are matched, so they must be in English; a password cannot be typed
    return {**environ, "LC_ALL": "C", "LANGUAGE": "", "GIT_TERMINAL_PROMPT": "0", **_LOW_SPEED_LIMIT, **(env or {})}


def _failed(args: Sequence[str], stderr: bytes) -> GitFailed:
    return GitFailed(" ".join(args[:2]), stderr.decode("utf-8", "replace").strip())


def _split_paths(output: bytes) -> list[str]:
    """Return what a command with -z printed."""
    return os.fsdecode(output).split("\0")[:-1]


def _read_blobs(requests: IO[bytes], answers: IO[bytes], names: Iterable[str]) -> dict[str, bytes]:
    """Ask a `git cat-file --batch` for blobs; EOFError if its answer breaks off."""
    found = {}
    wanted = list(dict.fromkeys(names))
    for start in range(0, len(wanted), _REQUESTS):
        some = wanted[start : start + _REQUESTS]
        requests.write(os.fsencode("".join(f"{name}\n" for name in some)))
        requests.flush()
        for name in some:
            header = answers.readline().split()
            size = int(header[-1]) if header[-1:] and header[-1].isdigit() else -1  # "<name> missing"
            content = answers.read(size + 1)
            if not header or len(content) <= size:
                raise EOFError
            if size >= 0 and header[-2] == b"blob":
                found[name] = content[:-1]
    return found
