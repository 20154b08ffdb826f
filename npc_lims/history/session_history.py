"""History of one session: when it was first tracked, uploaded, sorted, sorted again, and who edited its entry.

From a checkout; without one from GitHub, by requests for the repository and its commits, and one for each version.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from npc_lims.clients.git import Repository
from npc_lims.clients.github import GitHubClient
from npc_lims.config.settings import Settings, settings_for_reading
from npc_lims.errors import HistoryError, HistoryWarning, NoSessionInfo, RemoteStateError, StateError, warn
from npc_lims.history.transitions import IN_TRACKED, IN_TRAINING, Transition, compare_versions, skipped_message
from npc_lims.history.walk import commits_of, literal, read_history
from npc_lims.model.session_id import resolve_session_id, suggest_ids
from npc_lims.model.types import Session
from npc_lims.state.as_of import checkout_of, parse_commit
from npc_lims.state.compare import Facts, parse_facts
from npc_lims.state.published import fetch_file
from npc_lims.state.reader import read_snapshot
from npc_lims.state.revision import Commit
from npc_lims.state.snapshot import SNAPSHOT
from npc_lims.state.store import SESSIONS, session_path
from npc_lims.utils.timestamps import utc_text

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


def get_session_history(session: Session) -> tuple[Transition, ...]:
    """Return every change of a session that a sync recorded, the oldest first.

    From the checkout that holds the folder named by NPC_LIMS_STATE; without one from GitHub, which takes a request
    for each change (GITHUB_TOKEN raises the limit of 60 an hour) and leaves out who edited the tracked entry.

    Args:
        session: Any id, path, asset name or record of a session.

    Raises:
        NoSessionInfo: The history has no such session; the message names similar ones.
        HistoryError: NPC_LIMS_STATE is in no checkout.
        GitHubError, RemoteStateError: GitHub could not be queried.
    """
    history = read_session_history(settings_for_reading(), session)
    if history.begins is not None:
        warn(f"{history.place} is a shallow clone, whose history begins {history.begins}: {UNSHALLOW}", HistoryWarning)
    return history.transitions


def read_session_history(settings: Settings, session: Session) -> SessionHistory:
    """Read the history of a session. Raises as `get_session_history`."""
    session_id = resolve_session_id(session)
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
