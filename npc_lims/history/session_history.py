"""History of one session: when it was first tracked, uploaded, sorted, sorted again, and who edited its entry.

From a checkout; without one from GitHub, by requests for the repository and its commits, and one for each version.
Changes of all sessions that match are read from a checkout alone.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from npc_lims.clients.git import Repository
from npc_lims.clients.github import GitHubClient
from npc_lims.config.settings import Settings, settings_for_reading
from npc_lims.errors import (
    HistoryError,
    HistoryWarning,
    NoSessionInfo,
    NpcLimsError,
    RemoteStateError,
    StateError,
    warn,
)
from npc_lims.history.transitions import IN_TRACKED, IN_TRAINING, Digest, Transition, compare_versions, skipped_message
from npc_lims.history.walk import Progress, commits_of, literal, read_history
from npc_lims.model.flags import Facts
from npc_lims.model.sections import SECTIONS
from npc_lims.model.session_id import suggest_ids
from npc_lims.model.types import Session
from npc_lims.sessions.filters import SessionFilters
from npc_lims.sessions.queries import select_sessions
from npc_lims.sessions.resolve import resolve_session
from npc_lims.state.as_of import checkout_of, parse_commit
from npc_lims.state.compare import parse_facts
from npc_lims.state.published import fetch_file
from npc_lims.state.reader import read_snapshot
from npc_lims.state.revision import Commit
from npc_lims.state.snapshot import SNAPSHOT
from npc_lims.state.store import SESSIONS, session_name, session_path
from npc_lims.utils.timestamps import DATE_FORMS, parse_date, start_of, utc_text

UNSHALLOW = "git fetch --unshallow brings all of it"

_FIRST_OF = ("uploaded", "sorted", "annotated")
_ASSET_OF = {"uploaded": "raw", "sorted": "sorted", "sorted again": "sorted"}
_ALREADY = "already "
_FOLDER = "state"
"""The state folder of a published repository."""


@dataclasses.dataclass(frozen=True)
class HistoryEvent:
    """An event in the history of a session."""

    name: str
    """For example `tracked`, `sorted`, `sorted again`, `no longer annotated`."""
    when: str | None
    """When a sync recorded it; None if it is older than the history."""
    commit: Commit
    created: str | None = None
    """When the data asset was created, as Code Ocean says; None if there is none, or it is not known."""


@dataclasses.dataclass(frozen=True)
class SessionHistory:
    """The recorded changes of one session."""

    session: str
    transitions: tuple[Transition, ...]
    """The oldest first."""
    place: str
    """The folder or the repository on GitHub that was read."""
    begins: str | None = None
    """Date of the oldest commit of a shallow clone; None if the history is complete."""

    @property
    def events(self) -> tuple[HistoryEvent, ...]:
        return tuple(event for transition in self.transitions for event in _events(transition))

    def as_dict(self, address_of: Callable[[str], str | None] = lambda sha: None) -> dict[str, Any]:
        """Return the history as JSON, with the URL of each commit by *address_of* its id."""
        transitions = [one.as_dict() for one in self.transitions]
        for transition in transitions:
            for commit in (transition["commit"], *transition["editors"]):
                commit["address"] = address_of(commit["sha"])
        return {
            "session": self.session,
            "place": self.place,
            "shallow_since": self.begins,
            "steps": [
                {"name": event.name, "when": event.when, "created": event.created, "commit": event.commit.sha}
                for event in self.events
            ],
            "transitions": transitions,
        }


def get_session_history(
    session: Session | None = None, *, since: str | None = None, until: str | None = None, **filters: Any
) -> tuple[Transition, ...]:
    """Return the changes of a session, or of all that match the filters, that a sync recorded, the oldest first.

    From the checkout that holds the folder named by NPC_LIMS_STATE. Of one session also without a checkout, from
    GitHub, which takes a request for each change (GITHUB_TOKEN raises the limit of 60 an hour) and leaves out who
    edited the tracked entry.

    Args:
        session: Any id, path or record of a session, or the id or name of a data asset of it. None for all that match.
        since: Only later changes: an age such as `7d`, a date (from that day on, UTC), or a commit, branch or tag.
        until: Only changes up to then: an age, a time, or a date (to the end of that day, UTC).
        **filters: As of `get_session_info`, of sessions as they are now; those since removed, as they were last.

    Raises:
        NoSessionInfo: The history has no such session; the message names similar ones.
        HistoryError: NPC_LIMS_STATE is in no checkout.
        NpcLimsError: All changes are wanted, and there is no checkout; or `since` or `until` is no date.
        GitHubError, RemoteStateError: GitHub could not be queried.
        TypeError: Both a session and filters, or a filter of another name.
    """
    if session is None:
        digest = read_changes(settings_for_reading(), SessionFilters(filters), since, until)
        _warn_shallow(digest.begins)
        return tuple(digest.transitions)
    if since or until or filters:
        raise TypeError("filters select among all sessions: give either them or a session")
    history = read_session_history(settings_for_reading(), session)
    _warn_shallow(history.begins)
    return history.transitions


def _warn_shallow(begins: str | None) -> None:
    if begins is not None:
        warn(f"this is a shallow clone, whose history begins {begins}: {UNSHALLOW}", HistoryWarning)


def read_changes(
    settings: Settings,
    filters: SessionFilters,
    since: str | None = None,
    until: str | None = None,
    progress: Progress | None = None,
) -> Digest:
    """Read the changes of all sessions that match. Raises as `get_session_history`."""
    repository, folder = checkout_of_state(settings)
    last = _end_of(until)
    selected: set[str] | None = None
    if not filters.is_empty:  # first: a value that no session has is to be reported at once
        selected = {str(info.id) for info in select_sessions(settings, filters)}
    found = read_history(repository, folder=folder, since=since, progress=progress)
    transitions = [one for one in found if last is None or one.commit.when <= last]
    if selected is not None:
        present = set(read_snapshot(settings).lines.ids())
        removed = {one.session: one for one in transitions if one.session not in present}  # the last change of each
        selected |= {id_ for id_, one in removed.items() if filters.matches(_last_version(repository, folder, one))}
        transitions = [one for one in transitions if one.session in selected]
    return Digest(since, transitions, shallow_since(repository))


def _last_version(repository: Repository, folder: str, change: Transition) -> Facts:
    """Return a session after a change, or before it if that removed the session."""
    path, sha = PurePosixPath(folder, session_name(change.session)), change.commit.sha
    versions = (repository.read_file(commit, path.as_posix()) for commit in (sha, f"{sha}^"))
    try:
        return parse_facts(next(filter(None, versions), b""), path)
    except StateError:  # a damaged version: only its id is known
        return {"id": change.session, **dict.fromkeys(SECTIONS), "status": {}}


def _end_of(until: str | None) -> str | None:
    """Return the last second of a day, or a time, as commits have it."""
    if until is None:
        return None
    try:
        day = parse_date(until)
    except ValueError as error:
        raise NpcLimsError(f"--until: {error}") from None
    if day is None:
        raise NpcLimsError(f"--until {until}: expected {DATE_FORMS}")
    is_time = isinstance(day, datetime.datetime)
    return utc_text(start_of(day) + datetime.timedelta(seconds=0 if is_time else 24 * 3600 - 1))


def checkout_of_state(settings: Settings) -> tuple[Repository, str]:
    """Return the checkout that holds the state folder, and the path of that in it; NpcLimsError without a folder."""
    if settings.state is None:
        raise NpcLimsError(
            "all changes are read from commits, and here is no state folder: work in a clone of the repository "
            f"(git clone https://github.com/{settings.repo}), or name its state folder with --state"
        )
    repository = repository_of(settings.state)
    return repository, repository.path_of(settings.state)


def read_session_history(settings: Settings, session: Session) -> SessionHistory:
    """Read the history of a session. Raises as `get_session_history`."""
    session_id = resolve_session(settings, session)
    if settings.state is None:
        place = f"{settings.repo}@{settings.ref}"
        transitions = tuple(published_history(settings, session_id))
        if not transitions:
            raise _not_found(session_id, read_snapshot(settings).lines.ids(), place)
        return SessionHistory(session_id, transitions, place)
    repository, place = repository_of(settings.state), str(settings.state)
    folder = repository.path_of(settings.state)
    transitions = tuple(read_history(repository, folder=folder, session=session_id))
    begins = shallow_since(repository)
    if not transitions:
        files = repository.list_files("HEAD", f"{folder}/{SESSIONS}") if repository.find_commit("HEAD") else {}
        raise _not_found(session_id, (Path(path).stem for path in files), place, begins)
    return SessionHistory(session_id, transitions, place, begins)


def repository_of(state: Path) -> Repository:
    """Return the checkout that holds a state folder; HistoryError if it is in none, or was never one of state."""
    repository = checkout_of(state)
    # a mistyped folder must not pass for a lab in which nothing happened
    if (state / SNAPSHOT).exists() or (state / SESSIONS).exists():
        return repository
    sessions = literal(repository.path_of(state / SESSIONS))
    if repository.find_commit("HEAD") is not None and repository.line("rev-list", "-1", "HEAD", "--", sessions):
        return repository
    raise HistoryError(
        f"there is no state in {state}, nor in any commit: check NPC_LIMS_STATE or --state, or run npc-lims sync"
    )


def shallow_since(repository: Repository) -> str | None:
    """Return the date of the oldest commit of a shallow clone; None if the clone has all commits."""
    if not repository.is_shallow():
        return None
    seconds = repository.line("rev-list", "--no-walk", "--timestamp", commits_of(repository, "HEAD")[0])
    return utc_text(int(seconds.split()[0]))[:10]


def _not_found(session_id: str, ids: Iterable[str], place: str, begins: str | None = None) -> NoSessionInfo:
    hint = "" if begins is None else f"; this is a shallow clone, whose history begins {begins}: {UNSHALLOW}"
    return NoSessionInfo(f"no commit of {place} has a session {session_id}{suggest_ids(session_id, sorted(ids))}{hint}")


def published_history(settings: Settings, session_id: str) -> Iterator[Transition]:
    """Yield every change on the branch, the oldest first; without editors, which would take all tracked files."""
    path = session_path(Path(_FOLDER), session_id).as_posix()
    client = GitHubClient.for_reading(settings)
    repository = client.repository()
    answers = client.list_items(
        f"looking for commits of {settings.repo}",
        lambda: repository.get_commits(sha=settings.ref, path=path),
        lambda found: (parse_commit(found), [parent.sha for parent in found.parents]),
    )
    before: Facts | None = None
    for number, (commit, parents) in enumerate(reversed(answers)):
        content = _fetch(settings, path, commit.sha)
        try:
            after = None if content is None else parse_facts(content, PurePosixPath(path))
        except StateError as error:
            warn(skipped_message(commit, error), HistoryWarning)
            continue
        begins = before is None and number == 0 and _is_beginning(client, parents)
        transition = compare_versions(session_id, commit, before, after, begins=begins)
        if transition is not None:
            yield transition
        before = after


def _fetch(settings: Settings, path: str, sha: str) -> bytes | None:
    try:
        return fetch_file(settings, path, sha)
    except RemoteStateError as error:
        if settings.github_token is not None:
            raise
        raise RemoteStateError(f"{error}; GITHUB_TOKEN raises the limit of requests") from None


def _is_beginning(client: GitHubClient, parents: Sequence[str]) -> bool:
    """Return True if the repository had no state before a commit with these parents."""
    if not parents:
        return True
    repository, folder = client.repository(), f"{_FOLDER}/{SESSIONS}"
    action = f"looking into {client.repo}"
    return client.find(action, lambda: repository.get_contents(folder, parents[0])) is None


def _events(transition: Transition) -> Iterator[HistoryEvent]:
    commit, created = transition.commit, dict(transition.created)
    when = None if transition.is_first else commit.when
    for name in dict.fromkeys(_names(transition)):
        yield HistoryEvent(name, when, commit, created.get(_ASSET_OF.get(name, "")))


def _names(transition: Transition) -> Iterator[str]:
    change = transition.change
    if not change.fields:
        known = {IN_TRACKED: "tracked", IN_TRAINING: "in a training workbook"}
        yield from (known[detail] for detail in change.details if detail in known)
        already = [detail[len(_ALREADY) :] for detail in change.details if detail.startswith(_ALREADY)]
        yield from (word for word in (*already, *change.what) if word in (*_FIRST_OF, "removed"))
    for field in change.fields:
        is_replaced = isinstance(field.before, Mapping) and isinstance(field.after, Mapping)
        if field.field == "tracked":
            yield "tracked" if field.after else "no longer tracked"
        elif field.field == "training" and field.after:
            yield "in a training workbook"
        elif field.field == "codeocean.sorted" and is_replaced:
            yield "sorted again"
    for word in change.what:
        if word in _FIRST_OF or word.startswith("no longer ") or word.endswith(" gone"):
            yield word
