"""History of a session from GitHub, without a checkout: a request for its commits, and one for each version."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npc_lims.clients.github_rest import RestClient
from npc_lims.errors import HistoryWarning, RemoteStateError, StateError, warn
from npc_lims.history.transitions import Transition, changes_of, created_assets, skipped_message
from npc_lims.state.as_of import parse_commit, unreadable_commit
from npc_lims.state.remote import fetch_file
from npc_lims.state.revision import Commit
from npc_lims.state.session_versions import SessionVersion, VersionReader
from npc_lims.state.store import session_path

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

_FOLDER = "state"


def published_history(settings: Settings, session_id: str) -> Iterator[Transition]:
    """Yield every change of the session on the branch, the oldest first; none if it never had a file.

    Without those who edited its entry in tracked_sessions.yaml: that would take all versions of that file.

    Raises:
        GitHubError, RemoteStateError: GitHub could not be queried.
    """
    path = session_path(Path(_FOLDER), session_id).as_posix()
    reader = VersionReader()
    before: SessionVersion | None = None
    commits = list(_commits(settings, path))
    for commit, parents in reversed(commits):
        content = _fetch(settings, path, commit.sha)
        after: SessionVersion | None = None
        if content is not None:
            try:
                after = reader.read(content, path, before)
            except StateError as error:
                warn(skipped_message(commit, error), HistoryWarning)
                continue
        old = {} if before is None else {session_id: reader.facts(before)}
        new = {} if after is None else {session_id: reader.facts(after)}
        begins = before is None and (commit, parents) == commits[-1] and _is_beginning(settings, parents)
        for change in changes_of(old, new, begins=begins):
            yield Transition(session_id, commit, change, (), created_assets(old.get(session_id), new.get(session_id)))
        before = after


def _commits(settings: Settings, path: str) -> Iterator[tuple[Commit, tuple[str, ...]]]:
    """Yield the commits of the branch that changed a file, and their parents, the newest first."""
    query = {"sha": settings.ref, "path": path}
    action = f"looking for commits of {settings.repo}"
    listed = RestClient.for_reading(settings).list_items(action, "/commits", query)
    return (_with_parents(settings, one) for one in listed)


def _with_parents(settings: Settings, answer: Any) -> tuple[Commit, tuple[str, ...]]:
    commit = parse_commit(settings, answer)
    try:
        return commit, tuple(str(parent["sha"]) for parent in answer["parents"])
    except (KeyError, TypeError):
        raise unreadable_commit(settings) from None


def _fetch(settings: Settings, path: str, sha: str) -> bytes | None:
    try:
        return fetch_file(settings, path, sha)
    except RemoteStateError as error:
        if settings.github_token is not None:
            raise
        raise RemoteStateError(f"{error}; GITHUB_TOKEN raises the limit of requests") from None


def _is_beginning(settings: Settings, parents: tuple[str, ...]) -> bool:
    """Return whether the repository had no state before."""
    if not parents:
        return True
    action, path = f"looking into {settings.repo}", f"/contents/{_FOLDER}/sessions"
    return RestClient.for_reading(settings).find(action, path, {"ref": parents[0]}) is None
