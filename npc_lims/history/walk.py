"""The history of state: what each commit did to each session, read from git once."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import IO

from npc_lims.clients.git import ReadBlobs, Repository
from npc_lims.config.settings import TRACKED_FILE
from npc_lims.errors import GitError, HistoryWarning, NpcLimsError, StateError, warn
from npc_lims.history.transitions import Transition, compare_versions, skipped_message
from npc_lims.model.flags import Facts
from npc_lims.model.session_id import day_of, parse_session_id
from npc_lims.state.compare import parse_facts
from npc_lims.state.revision import RUN_TRAILER, Commit
from npc_lims.state.store import SESSIONS, session_id_of, session_name
from npc_lims.utils.text import single_line
from npc_lims.utils.timestamps import DATE_FORMS, parse_date, start_of, utc_text
from npc_lims.utils.urls import web_address

Progress = Callable[[int, int], None]
"""Takes how many commits were read, of how many."""

_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")
_Entry = tuple[str, tuple[str, ...], str]
"""The day of an entry, the headings above it, and its words."""

_CACHED = 15_000  # sessions whose latest version is cached: of as many, nothing is read twice
_SEARCHED = 50  # older versions among which a valid one is looked for
_NAMED = 10  # damaged versions that have a warning each; all are counted


def read_history(
    repository: Repository,
    *,
    ref: str = "HEAD",
    folder: str = "state",
    since: str | None = None,
    session: str | None = None,
    progress: Progress | None = None,
) -> Iterator[Transition]:
    """Yield every change of every session, the oldest commit first, those of one commit in id order.

    Only the commits of the branch itself count; a merge counts as what it brought. A damaged version is skipped, with
    a warning that names it: the version before it is compared with the one after it.

    Args:
        since: Only later commits: a date (from that day on, UTC), an age such as `7d`, or a commit, branch or tag.
    """
    if ref == "HEAD" and repository.find_commit(ref) is None:
        return iter(())  # a repository without any commit
    tip = repository.commit_of(ref)
    base = None if since is None else commit_before(repository, tip, since)
    one = None if session is None else parse_session_id(session)
    return _walk(repository, folder, one, tip, base, progress)


def _walk(
    repository: Repository, folder: str, session: str | None, tip: str, base: str | None, progress: Progress | None
) -> Iterator[Transition]:
    with repository.blob_reader() as read_blobs:
        yield from _HistoryWalk(repository, folder, session, read_blobs).read(tip, base, progress)


class _HistoryWalk:
    def __init__(self, repository: Repository, folder: str, session: str | None, read_blobs: ReadBlobs) -> None:
        root = PurePosixPath(folder)
        self._repository = repository
        self._read_blobs = read_blobs
        self._prefix = f"{root.as_posix()}/"
        self._sessions = (root / SESSIONS).as_posix()
        self._tracked = (root.parent / TRACKED_FILE).as_posix()
        self._wanted = self._sessions if session is None else (root / session_name(session)).as_posix()
        self._is_shallow = repository.is_shallow()
        self._edits = EntryEdits(repository, self._tracked, read_blobs)
        # blob and version of each session file, the least recently changed first
        self._versions: dict[str, tuple[str, Facts | None]] = {}
        self._first_commit: str | None = None
        self._damaged = 0

    def read(self, tip: str, base: str | None, progress: Progress | None) -> Iterator[Transition]:
        numbers = {sha: n for n, sha in enumerate(commits_of(self._repository, _between(base, tip)), 1)}
        if base is not None and numbers:
            # of a commit that was merged git would leave out the merge: what counts is where the branch was before
            base = self._repository.find_commit(f"{next(iter(numbers))}^")
        # edits since the last commit of state count for the next one, which may be the first that is wanted
        start = None if base is None else self._last_state(base)
        for logged in log_changes(self._repository, [_between(start, tip)], [self._wanted, self._tracked]):
            # what a shallow clone begins with was not written by whoever made that commit
            if logged.parents or not self._is_shallow:
                self._edits.add(logged)
            number = numbers.get(logged.commit.sha)
            if number is not None:
                yield from self._transitions(logged)
                if progress is not None:
                    progress(number, len(numbers))
        if self._damaged > _NAMED:
            warn(f"{self._damaged:,} damaged versions of session files are skipped", HistoryWarning)

    def _last_state(self, commit: str) -> str | None:
        return self._repository.line("rev-list", "--first-parent", "-1", commit, "--", literal(self._sessions)) or None

    def _transitions(self, logged: LoggedCommit) -> Iterator[Transition]:
        names = {file.path.removeprefix(self._prefix): file for file in logged.changed}
        files = {session: file for name, file in names.items() if (session := session_id_of(name)) is not None}
        contents = self._read_blobs(self._unread_blobs(files.values()))
        take_edits = functools.lru_cache(None)(self._edits.take)  # the sessions of a day are all given the same
        for session, file in sorted(files.items()):
            before, after = self._two_versions(logged.commit, file, contents)
            begins = before is None and after is not None and self._begins_with(logged)
            transition = compare_versions(session, logged.commit, before, after, begins=begins)
            if transition is not None and transition.is_of_tracking:
                yield dataclasses.replace(transition, editors=take_edits(day_of(session)))
            elif transition is not None:
                yield transition

    def _unread_blobs(self, files: Iterable[FileChange]) -> Iterator[str]:
        for file in files:
            if file.after is not None:
                yield file.after
            if file.before is not None and self._versions.get(file.path, (None,))[0] != file.before:
                yield file.before

    def _two_versions(
        self, commit: Commit, file: FileChange, contents: Mapping[str, bytes]
    ) -> tuple[Facts | None, Facts | None]:
        """Return the versions before and after a commit; the last valid one stands in for a damaged one."""
        blob, before = self._versions.pop(file.path, (None, None))
        if blob != file.before:
            before = None if file.before is None else self._parse(file.path, contents.get(file.before))
            if file.before is not None and before is None:
                before = self._older_version(commit, file.path)
        if file.after is None:
            return before, None
        after = self._parse(file.path, contents.get(file.after), commit)
        self._versions[file.path] = (file.after, after or before)
        if len(self._versions) > _CACHED:
            del self._versions[next(iter(self._versions))]
        return before, after or before

    def _older_version(self, commit: Commit, path: str) -> Facts | None:
        """Return the last valid version before that in the parent of *commit*, which is damaged."""
        older = list(log_changes(self._repository, [f"{commit.sha}^"], [path]))[-_SEARCHED:]
        for logged in reversed(older):
            blob = logged.changed[0].before
            found = None if blob is None else self._parse(path, self._read_blobs([blob]).get(blob))
            if blob is None or found is not None:
                return found
        return None

    def _parse(self, path: str, content: bytes | None, commit: Commit | None = None) -> Facts | None:
        """Return a version, or None if it is damaged; then warn, if *commit* is what changed it."""
        try:
            if content is None:
                raise StateError(f"{path}: no file, or its content is not in this clone")
            return parse_facts(content, PurePosixPath(path))
        except StateError as error:
            if commit is not None:
                self._damaged += 1
                if self._damaged <= _NAMED:
                    warn(skipped_message(commit, error), HistoryWarning)
            return None

    def _begins_with(self, logged: LoggedCommit) -> bool:
        """Return True if state begins with this commit; called for each that adds a session."""
        if self._first_commit is None:
            had_some = any(self._last_state(parent) for parent in logged.parents[:1])
            self._first_commit = "" if had_some else logged.commit.sha
        return self._first_commit == logged.commit.sha


def _between(base: str | None, tip: str) -> str:
    return tip if base is None else f"{base}..{tip}"


class EntryEdits:
    """The commits that edited the entry of a day in tracked_sessions.yaml and were not taken yet, from its text alone.

    A parser of YAML takes a second for each version of the file, and refuses those that hold a mistake. Here a version
    is cut into its entries by their dashes and indents. Only the words of an entry count, not its comments and layout.
    """

    def __init__(self, repository: Repository, path: str, read_blobs: ReadBlobs) -> None:
        self._repository = repository
        self._path = path
        self._read_blobs = read_blobs
        self._waiting: dict[str, list[LoggedCommit]] = {}
        self._days_by_commit = functools.lru_cache(64)(self._read_merge)

    def add(self, logged: LoggedCommit) -> None:
        """Add a commit of the branch, which may have changed the file."""
        for file in logged.changed:
            if file.path == self._path:
                for day in self._days(file):
                    self._waiting.setdefault(day, []).append(logged)

    def take(self, day: str) -> tuple[Commit, ...]:
        """Return the commits that edited the entries of a day since they were last taken, the oldest first."""
        return tuple(commit for logged in self._waiting.pop(day, ()) for commit in self._editors(logged, day))

    def _days(self, file: FileChange) -> frozenset[str]:
        contents = self._read_blobs(filter(None, (file.before, file.after)))
        return days_edited(contents.get(file.before or "", b""), contents.get(file.after or "", b""))

    def _editors(self, logged: LoggedCommit, day: str) -> Sequence[Commit]:
        """Return a commit, or for a merge the commits whose edits it brought."""
        if len(logged.parents) < 2:
            return [logged.commit]
        return [commit for commit, days in self._days_by_commit(logged.parents) if day in days] or [logged.commit]

    def _read_merge(self, parents: tuple[str, ...]) -> list[tuple[Commit, frozenset[str]]]:
        first, *others = parents
        found = log_changes(self._repository, [*others, f"^{first}"], [self._path], first_parent=False)
        return [(one.commit, frozenset().union(*map(self._days, one.changed))) for one in found]


def days_edited(before: bytes, after: bytes) -> frozenset[str]:
    """Return the subject and date (`626791_2022-08-15`) of every entry that differs between two versions of the file.

    >>> old = b"ephys:\\n  A:\\n    - DRpilot_626791_20220815:\\n        day: 1\\n"
    >>> sorted(days_edited(old, old.replace(b"day: 1", b"day: 2 # or 3?")))
    ['626791_2022-08-15']
    >>> sorted(days_edited(old, old.replace(b"day: 1", b"day:  1 # sure")))
    []
    """
    return frozenset(day for day, *_ in _entries(before) ^ _entries(after))


@functools.lru_cache(4)  # a version is compared with the one before it and the one after it
def _entries(content: bytes) -> frozenset[_Entry]:
    found: list[tuple[str | None, tuple[str, ...], list[str]]] = []
    headings: list[tuple[int, str]] = []
    dash = -1
    for line in content.decode("utf-8", "replace").replace("\r\n", "\n").split("\n"):
        words = " ".join(_COMMENT.sub("", line).split() if "#" in line else line.split())
        indent = len(line) - len(line.lstrip(" \t"))
        if not words:
            continue
        if 0 <= dash < indent:
            found[-1][2].append(words)
        elif words.startswith("-"):
            dash = indent
            found.append((_day(words), tuple(name for _, name in headings), [words]))
        else:
            dash = -1
            headings = [(column, name) for column, name in headings if column < indent] + [(indent, words)]
    return frozenset((day, names, "\n".join(words)) for day, names, words in found if day is not None)


@functools.lru_cache(4096)
def _day(words: str) -> str | None:
    """Return the day of the session that the first line of an entry names, or None."""
    try:
        return day_of(parse_session_id(words.lstrip("- \"'")))
    except ValueError:
        return None


# --- the log of git -------------------------------------------------------------------------------

_FIELDS = ("%H", "%P", "%ct", "%an", "%s", f"%(trailers:key={RUN_TRAILER},valueonly,separator=%x20)")
# %x01 begins a commit, which no path does that anybody has
_FORMAT = "%x01" + "%x00".join(_FIELDS)
_NOTHING = re.compile("0+")
_CHUNK = 1 << 20


@dataclasses.dataclass(frozen=True)
class FileChange:
    """A file that a commit changed: ids of its blobs, None where there was or is no such file."""

    path: str
    before: str | None
    after: str | None


@dataclasses.dataclass(frozen=True)
class LoggedCommit:
    """A commit and the files that it changed, compared with its first parent."""

    commit: Commit
    parents: tuple[str, ...]
    changed: Sequence[FileChange]


def log_changes(
    repository: Repository, commits: Sequence[str], paths: Iterable[str], *, first_parent: bool = True
) -> Iterator[LoggedCommit]:
    """Yield the commits that changed one of *paths*, the oldest first.

    *commits* are arguments of `git log`, such as `a..b`. With *first_parent* they are those of the branch itself, a
    merge as what it brought; else all but merges.
    """
    line = ("--first-parent", "--diff-merges=first-parent") if first_parent else ("--no-merges", "--topo-order")
    # whatever the user's settings say of logs
    plain = ("--no-show-signature", "--no-follow", "--no-relative", "--no-renames", "--encoding=UTF-8")
    shown = ("--reverse", "--root", "--raw", "-z", "--no-abbrev", f"--format={_FORMAT}")
    command = ("log", *line, *plain, *shown, *commits, "--", *map(literal, paths))
    with repository.printing(*command) as output:
        yield from _parse(_parts(output))


def literal(path: str) -> str:
    """Return *path* as git takes it from any folder of the repository, and for no pattern."""
    return f":(top,literal){path}"


def commits_of(repository: Repository, commits: str) -> list[str]:
    """Return the ids of the commits of the branch itself, the oldest first."""
    return repository.run("rev-list", "--first-parent", "--reverse", commits, "--").decode().split()


def _parts(output: IO[bytes]) -> Iterator[str]:
    """Yield what is between the null bytes."""
    rest = b""
    while chunk := output.read(_CHUNK):
        *whole, rest = (rest + chunk).split(b"\0")
        for part in whole:
            yield part.decode("utf-8", "surrogateescape")
    yield rest.decode("utf-8", "surrogateescape")


def _parse(parts: Iterator[str]) -> Iterator[LoggedCommit]:
    head: list[str] = []
    changed: list[FileChange] = []
    for part in parts:
        # a line feed ends the message, where the changes begin
        part = part.lstrip("\n")
        if part.startswith("\x01"):
            if head:
                yield _to_commit(head, changed)
            head, changed = [part[1:], *(next(parts) for _ in _FIELDS[1:])], []
        elif part.startswith(":"):
            _, _, before, after, _ = part.split(" ")
            changed.append(FileChange(next(parts), _blob(before), _blob(after)))
    if head:
        yield _to_commit(head, changed)


def _to_commit(head: Sequence[str], changed: Sequence[FileChange]) -> LoggedCommit:
    sha, parents, seconds, author, subject, run = (printable(part) for part in head)
    commit = Commit(sha, utc_text(int(seconds)), author, subject, web_address(run))
    return LoggedCommit(commit, tuple(parents.split()), changed)


def _blob(sha: str) -> str | None:
    return None if _NOTHING.fullmatch(sha) else sha


def printable(text: str) -> str:
    """Return *text* as one line that every encoding and terminal can take: people commit what they like."""
    return single_line(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def commit_before(repository: Repository, tip: str, since: str) -> str | None:
    """Return the last commit before "since"; None if there is none up to *tip*."""
    try:
        day = parse_date(since)
    except ValueError as error:
        raise NpcLimsError(f"--since: {error}") from None
    if day is not None:
        latest = int(start_of(day).timestamp()) - 1
        if latest < 0:
            return None  # git has no commits from before 1970
        return repository.line("rev-list", "--first-parent", "-1", f"--min-age={latest}", tip, "--") or None
    try:
        return repository.commit_of(since)
    except GitError as error:
        raise NpcLimsError(f"--since {since}: expected {DATE_FORMS}, or a commit: {error}") from None
