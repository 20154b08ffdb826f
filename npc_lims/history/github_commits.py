"""One session's history from GitHub, where there is no checkout: a request for its commits, one for each version."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npc_lims.clients.github_get import get_github, list_github
from npc_lims.errors import GitHubError, HistoryWarning, RemoteStateError, StateError, notify
from npc_lims.history.git_log import RUN_TRAILER, Commit, printable
from npc_lims.history.transitions import Transition, changes_of, created_assets, passed_over
from npc_lims.state.remote import fetch_file
from npc_lims.state.session_versions import Reader, Version
from npc_lims.state.store import session_path
from npc_lims.utils.timestamps import utc_text, utc_time
from npc_lims.utils.urls import web_address

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = ["published_history"]

_FOLDER = "state"
_TRAILER = re.compile(rf"^{RUN_TRAILER}: *(\S+) *$", re.MULTILINE)
_COMMIT = re.compile(r"[0-9a-f]{40,64}")


def published_history(settings: Settings, session_id: str) -> Iterator[Transition]:
    """Every change of the session on the branch, the oldest first; none if it never had a file.

    Who edited its entry in tracked_sessions.yaml is not told: that would take all versions of that file.

    Raises:
        GitHubError, RemoteStateError: GitHub could not be asked.
    """
    path = session_path(Path(_FOLDER), session_id).as_posix()
    reader = Reader()
    before: Version | None = None
    commits = list(_commits(settings, path))
    for commit, parents in reversed(commits):
        content = _fetch(settings, path, commit.sha)
        after: Version | None = None
        if content is not None:
            try:
                after = reader.read(content, path, before)
            except StateError as error:
                notify(passed_over(commit, error), HistoryWarning)
                continue
        old = {} if before is None else {session_id: reader.facts(before)}
        new = {} if after is None else {session_id: reader.facts(after)}
        begins = before is None and (commit, parents) == commits[-1] and _is_beginning(settings, parents)
        for change in changes_of(old, new, begins=begins):
            yield Transition(session_id, commit, change, (), created_assets(old.get(session_id), new.get(session_id)))
        before = after


def _commits(settings: Settings, path: str) -> Iterator[tuple[Commit, tuple[str, ...]]]:
    """Commits of the branch that changed a file, and their parents, the newest first."""
    query = {"sha": settings.ref, "path": path}
    action = f"looking for commits of {settings.repo}"
    listed = list_github(settings, action, f"/repos/{settings.repo}/commits", query)
    return (_commit(settings, one) for one in listed)


def _commit(settings: Settings, answer: Any) -> tuple[Commit, tuple[str, ...]]:
    try:
        sha, told = str(answer["sha"]), answer["commit"]
        message = str(told["message"])
        run = _TRAILER.search(message)
        when = utc_text(utc_time(str(told["committer"]["date"])))
        subject = printable(message.partition("\n")[0])
        author = printable(str(told["author"]["name"]))
        parents = tuple(str(parent["sha"]) for parent in answer["parents"])
    except (KeyError, TypeError, ValueError):
        raise _unreadable(settings) from None
    if not _COMMIT.fullmatch(sha):
        raise _unreadable(settings)
    return Commit(sha, when, author, subject, web_address(run[1]) if run else None), parents


def _fetch(settings: Settings, path: str, sha: str) -> bytes | None:
    try:
        return fetch_file(settings, path, sha)
    except RemoteStateError as error:
        if settings.github_token is not None:
            raise
        raise RemoteStateError(f"{error}; GITHUB_TOKEN raises the limit of requests") from None


def _is_beginning(settings: Settings, parents: tuple[str, ...]) -> bool:
    """Whether the repository had no state before."""
    if not parents:
        return True
    path = f"/repos/{settings.repo}/contents/{_FOLDER}/sessions"
    try:
        get_github(settings, f"looking into {settings.repo}", path, {"ref": parents[0]})
    except GitHubError as error:
        if error.status == 404:
            return True
        raise
    return False


def _unreadable(settings: Settings) -> GitHubError:
    return GitHubError(f"{settings.github_api_url} sent an answer that is no commit; check GITHUB_API_URL")
