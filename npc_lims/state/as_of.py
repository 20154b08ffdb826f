"""State as it was: at a date, a tag, a branch or a commit.

    2024-06-01, a `datetime.date`    the end of that day, UTC
    20240601                         the same: eight digits that are a day of the calendar are no abbreviated commit
    2024-06-01T12:00, a `datetime`   that time; UTC without a time zone
    36h, 7d, 2w                      so long ago
    anything else                    a tag, a branch or a commit, which may be abbreviated

State at a time is that of the last commit of the branch that changed it until then: of HEAD in a checkout, of
NPC_LIMS_REF on GitHub. A tag or branch that is named like a date is written `tags/2024-06-01` or `heads/...`.

Commits never change, so their snapshots are cached without expiry. So is the commit of a time on GitHub, once the time
is more than an hour ago: a commit that is pushed later with an earlier date is ignored, as nobody could read it at
that time. A checkout is read again, since a pull brings commits that were made before.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Union

from npc_lims.clients.git import Repository, find_repository
from npc_lims.clients.git_tree import CommitTree
from npc_lims.clients.github import GitHubClient
from npc_lims.config.disk_cache import CacheEntry, cache_dir, load_entry, prune_folder, store_entry, touch_entry
from npc_lims.config.settings import Settings
from npc_lims.errors import GitError, GitHubError, HistoryError, RemoteStateError, StateError
from npc_lims.model.types import At
from npc_lims.state.compare import parse_facts
from npc_lims.state.published import check_snapshot, fetch_file
from npc_lims.state.reader import Origin, SessionLines, Snapshot
from npc_lims.state.revision import RUN_TRAILER, AsOf, Commit, Revision, parse_at
from npc_lims.state.snapshot import SCHEMA, SNAPSHOT, checked_lines, digest_of, make_line, newest_first
from npc_lims.state.store import session_id_of
from npc_lims.utils.memory_cache import TTLCache
from npc_lims.utils.text import single_line
from npc_lims.utils.timestamps import utc_text
from npc_lims.utils.urls import web_address

_DAY = 24 * 3600.0
_FOLDER = "state"
_ABBREVIATED = re.compile(r"[0-9a-f]{4,64}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# what no branch, tag or commit is called (git check-ref-format), but git reads as a way to walk from one; nor can
# bytes that are no text be requested
_NOT_A_NAME = re.compile(r"[~^:?*\[\\\x00-\x20\x7f\ud800-\udfff]|\.\.|@\{|^[-/]|//|/$|\.$")
_RUN = re.compile(rf"^{RUN_TRAILER}: *(\S+) *$", re.MULTILINE)
_CLONE = "let NPC_LIMS_STATE name its state folder"
# Files and bytes on disk. Ten thousand sessions are 15 MB: two dozen commits of the past.
_CACHE_LIMITS = {"snapshots": (256, 400_000_000), "commits": (4096, 4_000_000)}


def snapshot_at(settings: Settings, at: At) -> Snapshot:
    """Return all sessions as state had them at *at*, of the checkout that holds the state folder, else of GitHub."""
    revision = parse_at(at, time.time())
    source: Union[_Checkout, _GitHub] = _GitHub(settings)
    if settings.state is not None:
        source = _Checkout(settings.state, settings.repo)
    commit = source.commits.get_or_load((source.key, revision), lambda: source.find(revision), source.max_age)

    def read() -> Snapshot:
        return Snapshot(
            SessionLines(source.read(commit)), Origin("past", source.name, commit=commit.sha, when=commit.when)
        )

    return source.snapshots.get_or_load((source.key, commit.sha), read)


def read_file_at(settings: Settings, at: At, name: str) -> bytes | None:
    """Return the file *name* of the state as it was at *at*; None if it had none. Raises as `snapshot_at`."""
    commit = str(snapshot_at(settings, at).origin.commit)
    if settings.state is None:
        return fetch_file(settings, f"{_FOLDER}/{name}", commit)
    repository = checkout_of(settings.state)
    return CommitTree(repository, commit, repository.path_of(settings.state)).read_files([name]).get(name)


def find_ref(source: Union[Repository, Settings], ref: str) -> str:
    """Return the commit of the branch at a date, of a checkout or of GitHub; any other *ref* as it is."""
    revision = parse_at(ref, time.time())
    if not isinstance(revision, AsOf):
        return ref
    if isinstance(source, Settings):
        return _GitHub(source).find(revision).sha
    found = source.line("rev-list", "--first-parent", "-1", f"--min-age={max(revision.last, 0)}", "HEAD", "--")
    if not found:
        raise HistoryError(f"HEAD has no commit of {revision.text} or before")
    return found


def checkout_of(state: Path) -> Repository:
    """Return the checkout that holds a state folder; HistoryError if it is in none."""
    try:
        return find_repository(state)
    except GitError as error:
        raise HistoryError(
            f"{error}: only what is committed has a past; without NPC_LIMS_STATE or --state GitHub is queried"
        ) from None


def _check_schema(lines: Sequence[bytes], commit: Commit, repo: str) -> None:
    """Raise a StateError if the first line of a snapshot is of another schema, a ValueError if it is none at all."""
    if not lines:
        return
    facts = json.loads(lines[0])
    found = facts.get("schema") if isinstance(facts, dict) else None
    if found == SCHEMA:
        return
    if isinstance(found, int) and found > SCHEMA:
        remedy = "upgrade npc_lims"
    else:
        remedy = f"the npc_lims of that time reads it: pip install git+https://github.com/{repo}@{commit.sha[:10]}"
    raise StateError(f"{commit}: state of schema {found!r}, this version reads {SCHEMA}; {remedy}")


class _Checkout:
    """The commits of the checkout that holds a state folder."""

    commits: TTLCache[Commit] = TTLCache(maxsize=1024, ttl=_DAY)
    snapshots: TTLCache[Snapshot] = TTLCache(maxsize=4, ttl=_DAY)
    # Seconds. HEAD moves, and with it the commit that a time or a branch means, but a loop need not run git each time.
    max_age = 5.0

    def __init__(self, state: Path, repo: str) -> None:
        self.name = str(state)
        self.key = str(state.absolute())
        self._state = state
        self._repo = repo

    @functools.cached_property
    def _repository(self) -> Repository:
        return checkout_of(self._state)

    @functools.cached_property
    def _folder(self) -> str:
        return self._repository.path_of(self._state)

    def find(self, revision: Revision) -> Commit:
        if isinstance(revision, AsOf):
            self._repository.commit_of("HEAD")  # raises if there is none
            # git has no commits from before 1970
            found = self._list_commits("-1", f"--min-age={max(revision.last, 0)}", "HEAD", "--", self._folder)
            if not found:
                raise HistoryError(f"there is no state at {revision.text}: {self._begin()}")
            return found[0]
        try:
            sha = self._repository.commit_of(revision)
        except GitError as error:
            raise GitError(f"{error}; a date is written 2024-06-01") from None
        (commit,) = self._list_commits("--no-walk", sha)
        return commit

    def _list_commits(self, *arguments: str) -> list[Commit]:
        command = ("--literal-pathspecs", "rev-list", "--first-parent", "--timestamp", *arguments)
        listed = self._repository.run(*command).decode().splitlines()
        return [Commit(sha, utc_text(int(seconds))) for seconds, sha in (line.split() for line in listed)]

    def _begin(self) -> str:
        """Return where the state of the branch begins, as a clause."""
        commits, folder = self._list_commits("HEAD", "--", self._folder), f"{self._folder}/"
        clause = f"here {folder} begins with {commits[-1]}" if commits else f"no commit of HEAD has {folder}"
        if self._repository.is_shallow():
            clause += ", since this is a shallow clone: git fetch --unshallow brings all commits"
        return clause

    def read(self, commit: Commit) -> list[bytes]:
        """Return the lines of the snapshot, made from the session files if it is missing or damaged."""
        tree = CommitTree(self._repository, commit.sha, self._folder)
        content = tree.read_files([SNAPSHOT]).get(SNAPSHOT)
        try:
            lines = [] if content is None else checked_lines(content)
            _check_schema(lines, commit, self._repo)
        except (ValueError, RecursionError):
            lines = []
        lines = lines or self._lines_of_files(tree, commit)
        if not lines and content is None:
            raise HistoryError(f"{commit} has no state in {self._folder}/: {self._begin()}")
        return lines

    def _lines_of_files(self, tree: CommitTree, commit: Commit) -> list[bytes]:
        names = {session_id: name for name in tree.list_files() if (session_id := session_id_of(name)) is not None}
        contents = tree.read_files(names.values())
        lines = []
        for session_id in newest_first(names):
            content = contents[names[session_id]]
            try:
                facts = parse_facts(content, tree.path(names[session_id]))
            except StateError as error:
                raise StateError(f"{commit}: {error}") from None
            lines.append(make_line(facts, digest_of(content)))
            _check_schema(lines[-1:], commit, self._repo)
        return lines


class _GitHub:
    """Commits of the repository on GitHub: one request names a commit (two by a time), one reads its snapshot."""

    # a loop over ids must not query, and wait for, a failing GitHub a thousand times
    commits: TTLCache[Commit] = TTLCache(maxsize=1024, ttl=_DAY, error_ttl=60)
    snapshots: TTLCache[Snapshot] = TTLCache(maxsize=4, ttl=_DAY, error_ttl=60)

    def __init__(self, settings: Settings) -> None:
        self.name = f"{settings.raw_url}/{settings.repo}"
        self.key = f"{self.name}@{settings.ref}"
        self.max_age = settings.ttl
        self._settings = settings

    @functools.cached_property
    def _client(self) -> GitHubClient:
        return GitHubClient.for_reading(self._settings, page=1)  # one commit, and one of the files it changed

    def find(self, revision: Revision) -> Commit:
        """Return the commit of a revision: as cached on disk, if it can mean no other by now, else as GitHub says."""
        settings = self._settings
        name = f"{settings.ref} until {revision.last}" if isinstance(revision, AsOf) else revision
        if isinstance(revision, AsOf) or _ABBREVIATED.fullmatch(revision):
            cached = load_cached(settings, "commits", self.name, name)
            if cached is not None:
                return Commit(*json.loads(cached))
        if isinstance(revision, AsOf):
            is_settled = revision.is_settled(time.time())
            commit = self._query_time(revision)
        else:
            commit = self._query_name(revision)
            is_settled = commit.sha.startswith(revision)
        content = json.dumps([commit.sha, commit.when]).encode()
        for settled in {commit.sha, name} if is_settled else {commit.sha}:
            store_cached(settings, "commits", self.name, settled, content)
        return commit

    def _query_name(self, name: str) -> Commit:
        settings = self._settings
        missing = f"{settings.repo} has no branch, tag or commit {name}; a date is written 2024-06-01"
        if _NOT_A_NAME.search(name):
            raise HistoryError(f"{missing}. Ways from one commit to another (main~1) need a clone: {_CLONE}")
        try:
            action = f"looking for {name} of {settings.repo}"
            client = self._client
            return client.call(action, lambda: parse_commit(client.github.get_repo(client.repo).get_commit(name)))
        except GitHubError as error:
            if error.status == 422:
                raise HistoryError(missing) from None
            raise

    def _query_time(self, as_of: AsOf) -> Commit:
        # GitHub knows no times before 1970
        until = datetime.datetime.fromtimestamp(max(as_of.last, 0), datetime.timezone.utc)
        newest = self._query_list(lambda listing: listing.get_page(0), until=until)
        if newest is None:
            raise HistoryError(f"there is no state at {as_of.text}: {self._begin()}")
        return newest

    def _query_list(self, pick: Callable[[Any], Iterable[Any]], **more: Any) -> Commit | None:
        """Return the first of the commits of the branch that changed state and that *pick* returns, if any."""
        settings, client = self._settings, self._client

        def read() -> Commit | None:
            found = next(iter(pick(client.repository().get_commits(sha=settings.ref, path=_FOLDER, **more))), None)
            return None if found is None else parse_commit(found)

        try:
            client.repository()
            return client.call(f"looking for commits of {settings.repo}", read)
        except GitHubError as error:
            if error.status == 404:
                hint = f"check that it has the branch {settings.ref} (NPC_LIMS_REF), too"
                raise HistoryError(f"{error}; {hint}") from None
            raise

    def _begin(self) -> str:
        """Return where the state of the branch begins, as a clause."""
        settings = self._settings
        try:
            oldest = self._query_list(lambda listing: listing.reversed)
        except (GitHubError, HistoryError) as error:
            return f"where it begins is unknown ({error})"
        if oldest is None:
            return f"no commit of {settings.ref} in {settings.repo} has {_FOLDER}/"
        return f"that of {settings.repo} begins with {oldest}"

    def read(self, commit: Commit) -> list[bytes]:
        content = load_cached(self._settings, "snapshots", _FOLDER, commit.sha)
        if content is None:
            content = self._fetch(commit)
            store_cached(self._settings, "snapshots", _FOLDER, commit.sha, content)
        lines = checked_lines(content)
        try:
            _check_schema(lines, commit, self._settings.repo)
        except (ValueError, RecursionError):
            hint = f"a clone can read its session files: {_CLONE}"
            raise StateError(f"{commit}: its {SNAPSHOT} is damaged; {hint}") from None
        return lines

    def _fetch(self, commit: Commit) -> bytes:
        try:
            content = fetch_file(self._settings, f"{_FOLDER}/{SNAPSHOT}", commit.sha, check=check_snapshot)
        except RemoteStateError as error:
            # it may be truncated in transit, or damaged in the repository
            error.args = (f"{error}; if it stays so, a clone can read the session files of {commit}: {_CLONE}",)
            raise
        if content is None:
            begin = self._begin()
            raise HistoryError(
                f"{commit} has no {_FOLDER}/{SNAPSHOT}: {begin}. Session files without one need a clone: {_CLONE}"
            )
        return content


def parse_commit(found: Any) -> Commit:
    """Convert a commit of PyGithub, within `GitHubClient.call`; ValueError if it is something else."""
    commit = found.commit  # read first: until then the id is the requested name
    sha = found.sha
    if not _COMMIT.fullmatch(sha):
        raise ValueError("no id of a commit")
    when, author = utc_text(commit.committer.date), single_line(commit.author.name)
    run = _RUN.search(commit.message)
    subject = single_line(commit.message.partition("\n")[0])
    return Commit(sha, when, author, subject, web_address(run[1]) if run else None)


def load_cached(settings: Settings, kind: str, source: str, version: str) -> bytes | None:
    """Return a copy from the disk cache of one kind of `_CACHE_LIMITS`, or None."""
    path = _cache_path(settings, kind, source, version)
    entry = load_entry(path, source, version)
    if entry is None:
        return None
    touch_entry(path)  # the least recently used are deleted first
    return entry.content


def store_cached(settings: Settings, kind: str, source: str, version: str, content: bytes) -> None:
    path = _cache_path(settings, kind, source, version)
    store_entry(path, CacheEntry(content, version, source))
    prune_folder(path.parent, *_CACHE_LIMITS[kind])


def _cache_path(settings: Settings, kind: str, source: str, version: str) -> Path:
    name = hashlib.sha256(f"{source}\n{version}".encode("utf-8", "surrogateescape")).hexdigest()
    return cache_dir(settings) / "history" / kind / name
