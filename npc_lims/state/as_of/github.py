"""State at a point of the past, of the repository on GitHub: one request to name the commit, one for its snapshot."""

from __future__ import annotations

import re
import time
import urllib.parse
from typing import TYPE_CHECKING, Any

from npc_lims.clients.github_get import GitHubPage, get_github
from npc_lims.errors import GitHubError, HistoryError, RemoteStateError, StateError
from npc_lims.state.as_of.cache import load_point, load_snapshot, save_point, save_snapshot
from npc_lims.state.as_of.revision import Asked, Moment, Point
from npc_lims.state.as_of.schemas import check_schema
from npc_lims.state.reader import Origin, SessionLines, Snapshot
from npc_lims.state.remote import check_snapshot, fetch_file
from npc_lims.state.snapshot import SNAPSHOT, checked_lines
from npc_lims.utils.memory_cache import TTLCache
from npc_lims.utils.timestamps import utc_text, utc_time

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = ["snapshot_of_github"]

_FOLDER = "state"
_ABBREVIATED = re.compile(r"[0-9a-f]{4,64}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# what no branch, tag or commit is called (git check-ref-format), but git reads as a way to walk from one; nor can
# bytes that are no text be asked for
_NOT_A_NAME = re.compile(r"[~^:?*\[\\\x00-\x20\x7f\ud800-\udfff]|\.\.|@\{|^[-/]|//|/$|\.$")
_CLONE = "let NPC_LIMS_STATE name its state folder"

# a loop over ids must not query, and wait for, a failing GitHub a thousand times
_snapshots: TTLCache[Snapshot] = TTLCache(maxsize=4, ttl=24 * 3600, error_ttl=60)
_settled: TTLCache[Point] = TTLCache(maxsize=1024, ttl=24 * 3600)
_passing: TTLCache[Point] = TTLCache(maxsize=256, ttl=24 * 3600, error_ttl=60)


def snapshot_of_github(settings: Settings, asked: Asked) -> Snapshot:
    """State of the published repository as it was then. Raises as `snapshot_at`."""
    place = f"{settings.raw_url}/{settings.repo}"
    point = _find(settings, place, asked)
    return _snapshots.get_or_load((place, point.sha), lambda: _read(settings, place, point))


def _find(settings: Settings, place: str, asked: Asked) -> Point:
    """The commit that is meant: as kept, if it can mean no other by now, else as GitHub says."""
    name = f"{settings.ref} until {asked.last}" if isinstance(asked, Moment) else asked
    known = _settled.get((place, name))
    if known is None and (isinstance(asked, Moment) or _ABBREVIATED.fullmatch(asked)):
        known = load_point(settings, place, name)
    if known is not None:
        return _settled.put((place, name), known)
    return _passing.get_or_load((place, name), lambda: _query(settings, place, asked, name), max_age=settings.ttl)


def _query(settings: Settings, place: str, asked: Asked, name: str) -> Point:
    now = time.time()
    point = _ask_moment(settings, asked) if isinstance(asked, Moment) else _ask_name(settings, asked)
    names = {point.sha}
    if asked.is_settled(now) if isinstance(asked, Moment) else point.sha.startswith(asked):
        names.add(name)
    for settled in names:
        save_point(settings, place, settled, point)
        _settled.put((place, settled), point)
    return point


def _ask_name(settings: Settings, name: str) -> Point:
    missing = f"{settings.repo} has no branch, tag or commit {name}; a date is written 2024-06-01"
    if _NOT_A_NAME.search(name):
        raise HistoryError(f"{missing}. Ways from one commit to another (main~1) need a clone: {_CLONE}")
    try:
        # one commit tells what files it changed: no more than one of them, please
        path = f"/repos/{settings.repo}/commits/{urllib.parse.quote(name)}"
        answer = get_github(settings, f"looking for {name} of {settings.repo}", path, {"per_page": 1})
    except GitHubError as error:
        if error.status == 422:
            raise HistoryError(missing) from None
        raise
    return _point(settings, answer.body)


def _ask_moment(settings: Settings, moment: Moment) -> Point:
    # GitHub knows no times before 1970
    listed = _ask_list(settings, until=utc_text(max(moment.last, 0))).body
    if not listed:
        raise HistoryError(f"there is no state at {moment.text}: {_begin(settings)}")
    return _point(settings, listed[0])


def _ask_list(settings: Settings, **more: str | int) -> GitHubPage:
    """The newest commit of the branch that changed state. Commits of branches that were merged into it are listed
    by GitHub, too: but only syncs of the branch itself change state."""
    query = {"sha": settings.ref, "path": _FOLDER, "per_page": 1, **more}
    doing = f"looking for commits of {settings.repo}"
    try:
        answer = get_github(settings, doing, f"/repos/{settings.repo}/commits", query)
    except GitHubError as error:
        if error.status == 404:
            raise HistoryError(f"{error}; check that it has the branch {settings.ref} (NPC_LIMS_REF), too") from None
        raise
    if not isinstance(answer.body, list):
        raise _unreadable(settings)
    return answer


def _begin(settings: Settings) -> str:
    """Where the state of the branch begins, as a clause."""
    try:
        newest = _ask_list(settings)
        if not newest.body:
            return f"no commit of {settings.ref} in {settings.repo} has {_FOLDER}/"
        oldest = newest if newest.last_page == 1 else _ask_list(settings, page=newest.last_page)
    except (GitHubError, HistoryError) as error:
        return f"where it begins could not be told ({error})"
    if not oldest.body:
        raise _unreadable(settings)
    return f"that of {settings.repo} begins with {_point(settings, oldest.body[0])}"


def _point(settings: Settings, commit: Any) -> Point:
    try:
        sha, when = commit["sha"], commit["commit"]["committer"]["date"]
        if _COMMIT.fullmatch(sha):
            return Point(sha, utc_text(utc_time(when)))
    except (KeyError, TypeError, AttributeError, ValueError):
        pass
    raise _unreadable(settings)


def _unreadable(settings: Settings) -> GitHubError:
    return GitHubError(f"{settings.github_api_url} sent an answer that is no commit; check GITHUB_API_URL")


def _read(settings: Settings, place: str, point: Point) -> Snapshot:
    content = load_snapshot(settings, point.sha, _FOLDER)
    if content is None:
        content = _fetch(settings, point)
        save_snapshot(settings, point.sha, _FOLDER, content)
    lines = checked_lines(content)
    try:
        check_schema(lines, point, settings.repo)
    except (ValueError, RecursionError):
        raise StateError(f"{point}: its {SNAPSHOT} is damaged; a clone can read its session files: {_CLONE}") from None
    return Snapshot(SessionLines(lines), Origin("past", place, commit=point.sha, when=point.when))


def _fetch(settings: Settings, point: Point) -> bytes:
    try:
        content = fetch_file(settings, f"{_FOLDER}/{SNAPSHOT}", point.sha, check=check_snapshot)
    except RemoteStateError as error:
        # whether it broke off on its way or is damaged in the repository, cannot be seen from here
        error.args = (f"{error}; if it stays so, a clone can read the session files of {point}: {_CLONE}",)
        raise
    if content is None:
        raise HistoryError(
            f"{point} has no {_FOLDER}/{SNAPSHOT}: {_begin(settings)}. Session files without one need a clone: {_CLONE}"
        )
    return content
