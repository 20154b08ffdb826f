"""State of a commit, from GitHub: one request to name the commit, one for its snapshot."""

from __future__ import annotations

import re
import time
import urllib.parse
from typing import TYPE_CHECKING, Any

from npc_lims.clients.github_get import GitHubPage, get_github
from npc_lims.errors import GitHubError, HistoryError, RemoteStateError, StateError
from npc_lims.state.as_of.cache import load_commit, load_snapshot, save_commit, save_snapshot
from npc_lims.state.as_of.revision import RUN_TRAILER, AsOf, Commit, Revision, check_schema
from npc_lims.state.reader import Origin, SessionLines, Snapshot
from npc_lims.state.remote import check_snapshot, fetch_file
from npc_lims.state.snapshot import SNAPSHOT, checked_lines
from npc_lims.utils.memory_cache import TTLCache
from npc_lims.utils.text import single_line
from npc_lims.utils.timestamps import utc_text, utc_time
from npc_lims.utils.urls import web_address

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

_FOLDER = "state"
_ABBREVIATED = re.compile(r"[0-9a-f]{4,64}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# what no branch, tag or commit is called (git check-ref-format), but git reads as a way to walk from one; nor can
# bytes that are no text be requested
_NOT_A_NAME = re.compile(r"[~^:?*\[\\\x00-\x20\x7f\ud800-\udfff]|\.\.|@\{|^[-/]|//|/$|\.$")
_RUN = re.compile(rf"^{RUN_TRAILER}: *(\S+) *$", re.MULTILINE)
_CLONE = "let NPC_LIMS_STATE name its state folder"

# a loop over ids must not query, and wait for, a failing GitHub a thousand times
_snapshots: TTLCache[Snapshot] = TTLCache(maxsize=4, ttl=24 * 3600, error_ttl=60)
_commits: TTLCache[Commit] = TTLCache(maxsize=1024, ttl=24 * 3600, error_ttl=60)


def snapshot_of_github(settings: Settings, revision: Revision) -> Snapshot:
    """Return the published state at a revision. Raises as `snapshot_at`."""
    source = f"{settings.raw_url}/{settings.repo}"
    commit = _find(settings, source, revision)
    return _snapshots.get_or_load((source, commit.sha), lambda: _read(settings, source, commit))


def _find(settings: Settings, source: str, revision: Revision) -> Commit:
    """Return the commit of a revision: as cached on disk, if it can mean no other by now, else as GitHub says."""
    name = f"{settings.ref} until {revision.last}" if isinstance(revision, AsOf) else revision

    def load() -> Commit:
        may_be_cached = isinstance(revision, AsOf) or _ABBREVIATED.fullmatch(revision)
        cached = load_commit(settings, source, name) if may_be_cached else None
        return cached or _query(settings, source, revision, name)

    return _commits.get_or_load((source, name), load, settings.ttl)


def _query(settings: Settings, source: str, revision: Revision, name: str) -> Commit:
    now = time.time()
    commit = _query_time(settings, revision) if isinstance(revision, AsOf) else _query_name(settings, revision)
    is_settled = revision.is_settled(now) if isinstance(revision, AsOf) else commit.sha.startswith(revision)
    for settled in {commit.sha, name} if is_settled else {commit.sha}:
        save_commit(settings, source, settled, commit)
    return commit


def _query_name(settings: Settings, name: str) -> Commit:
    missing = f"{settings.repo} has no branch, tag or commit {name}; a date is written 2024-06-01"
    if _NOT_A_NAME.search(name):
        raise HistoryError(f"{missing}. Ways from one commit to another (main~1) need a clone: {_CLONE}")
    try:
        # a commit lists the files it changed: one of them is enough
        path = f"/repos/{settings.repo}/commits/{urllib.parse.quote(name)}"
        answer = get_github(settings, f"looking for {name} of {settings.repo}", path, {"per_page": 1})
    except GitHubError as error:
        if error.status == 422:
            raise HistoryError(missing) from None
        raise
    return parse_commit(settings, answer.body)


def _query_time(settings: Settings, as_of: AsOf) -> Commit:
    # GitHub knows no times before 1970
    listed = _query_list(settings, until=utc_text(max(as_of.last, 0))).body
    if not listed:
        raise HistoryError(f"there is no state at {as_of.text}: {_begin(settings)}")
    return parse_commit(settings, listed[0])


def _query_list(settings: Settings, **more: str | int) -> GitHubPage:
    """Return the newest commit of the branch that changed state.

    GitHub lists commits of merged branches as well, but only syncs of the branch itself change state.
    """
    query = {"sha": settings.ref, "path": _FOLDER, "per_page": 1, **more}
    doing = f"looking for commits of {settings.repo}"
    try:
        answer = get_github(settings, doing, f"/repos/{settings.repo}/commits", query)
    except GitHubError as error:
        if error.status == 404:
            raise HistoryError(f"{error}; check that it has the branch {settings.ref} (NPC_LIMS_REF), too") from None
        raise
    if not isinstance(answer.body, list):
        raise unreadable_commit(settings)
    return answer


def _begin(settings: Settings) -> str:
    """Return where the state of the branch begins, as a clause."""
    try:
        newest = _query_list(settings)
        if not newest.body:
            return f"no commit of {settings.ref} in {settings.repo} has {_FOLDER}/"
        oldest = newest if newest.last_page == 1 else _query_list(settings, page=newest.last_page)
    except (GitHubError, HistoryError) as error:
        return f"where it begins is unknown ({error})"
    if not oldest.body:
        raise unreadable_commit(settings)
    return f"that of {settings.repo} begins with {parse_commit(settings, oldest.body[0])}"


def parse_commit(settings: Settings, answer: Any) -> Commit:
    """Parse a commit of GitHub's API.

    Raises:
        GitHubError: It is something else.
    """
    try:
        sha, commit = answer["sha"], answer["commit"]
        when, author = utc_text(utc_time(commit["committer"]["date"])), single_line(commit["author"]["name"])
        message = commit["message"]
        run = _RUN.search(message)
        if _COMMIT.fullmatch(sha):
            subject = single_line(message.partition("\n")[0])
            return Commit(sha, when, author, subject, web_address(run[1]) if run else None)
    except (KeyError, TypeError, AttributeError, ValueError):
        pass
    raise unreadable_commit(settings)


def unreadable_commit(settings: Settings) -> GitHubError:
    return GitHubError(f"{settings.github_api_url} sent an answer that is no commit; check GITHUB_API_URL")


def _read(settings: Settings, source: str, commit: Commit) -> Snapshot:
    content = load_snapshot(settings, commit.sha, _FOLDER)
    if content is None:
        content = _fetch(settings, commit)
        save_snapshot(settings, commit.sha, _FOLDER, content)
    lines = checked_lines(content)
    try:
        check_schema(lines, commit, settings.repo)
    except (ValueError, RecursionError):
        raise StateError(f"{commit}: its {SNAPSHOT} is damaged; a clone can read its session files: {_CLONE}") from None
    return Snapshot(SessionLines(lines), Origin("past", source, commit=commit.sha, when=commit.when))


def _fetch(settings: Settings, commit: Commit) -> bytes:
    try:
        content = fetch_file(settings, f"{_FOLDER}/{SNAPSHOT}", commit.sha, check=check_snapshot)
    except RemoteStateError as error:
        # it may be truncated in transit, or damaged in the repository
        error.args = (f"{error}; if it stays so, a clone can read the session files of {commit}: {_CLONE}",)
        raise
    if content is None:
        begin = _begin(settings)
        raise HistoryError(
            f"{commit} has no {_FOLDER}/{SNAPSHOT}: {begin}. Session files without one need a clone: {_CLONE}"
        )
    return content
