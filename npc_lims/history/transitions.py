"""Changes of one session by one commit of state, and digests of many. Pure.

A damaged version of a session file is skipped: the version before it is compared with the one after it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from npc_lims.model.flags import Facts
from npc_lims.model.rows import project_of
from npc_lims.state.diff import FieldChange, SessionChange, compare_sessions, headline
from npc_lims.state.diff_format import Chapter, groups_of
from npc_lims.state.revision import Commit
from npc_lims.utils.mappings import grouped
from npc_lims.utils.text import counted

RECORDED = "already present at first sync"
"""The change of a session in the first commit of the history: it may be much older."""
IN_TRACKED = "in tracked_sessions.yaml"
IN_TRAINING = "in a training workbook"


@dataclasses.dataclass(frozen=True)
class Transition:
    """One change of one session.

    Attributes:
        commit: The commit of state that recorded it.
        editors: The commits that edited the session's entry in tracked_sessions.yaml before that, where this is
            a change of what is tracked.
        project: Project of the session after the change; before it, if that removed the session.
        created: Kind of each data asset that appeared, such as `sorted`, and when Code Ocean says that it was made.
    """

    session: str
    commit: Commit
    change: SessionChange
    editors: tuple[Commit, ...] = ()
    created: tuple[tuple[str, str], ...] = ()
    project: str | None = None

    @property
    def is_first(self) -> bool:
        """True if the history begins with the session, which may be older."""
        return RECORDED in self.change.what

    @property
    def is_of_tracking(self) -> bool:
        """True if its entry in tracked_sessions.yaml was or may have been edited."""
        fields = self.change.fields
        return not fields or any(field.field.startswith("tracked") for field in fields)

    def as_dict(self) -> dict[str, Any]:
        return {
            "session": self.session,
            "when": self.commit.when,
            **{name: value for name, value in self.change.as_dict().items() if name != "id"},
            "created": dict(self.created),
            "commit": self.commit.as_dict(),
            "editors": [editor.as_dict() for editor in self.editors],
        }


def compare_versions(
    session: str, commit: Commit, before: Facts | None, after: Facts | None, *, begins: bool
) -> Transition | None:
    """Return the transition between two versions of a session, of which None is none; None if nothing changed."""
    changes = compare_sessions({} if before is None else {session: before}, {} if after is None else {session: after})
    if not changes:
        return None
    (change,) = changes
    if before is None and after is not None:
        known = ((IN_TRACKED, "tracked"), (IN_TRAINING, "training"))
        details = [words for words, section in known if after.get(section)]
        if begins:
            details += [f"already {word}" for word in change.what[1:]]
        change = dataclasses.replace(change, what=(RECORDED,) if begins else change.what, details=tuple(details))
    was, now = _assets(before), _assets(after)
    created = [(kind, asset["created"]) for kind, asset in now.items() if was.get(kind, {}).get("id") != asset["id"]]
    try:
        project = project_of(after or before or {})
    except (KeyError, TypeError):  # of another schema
        project = None
    return Transition(session, commit, change, created=tuple(created), project=project)


def _assets(facts: Facts | None) -> dict[str, Mapping[str, Any]]:
    section = (facts or {}).get("codeocean")
    assets = section.items() if isinstance(section, Mapping) else ()
    return {
        kind: asset
        for kind, asset in assets
        if isinstance(asset, Mapping) and isinstance(asset.get("created"), str) and "id" in asset
    }


def skipped_message(commit: Commit, error: Exception) -> str:
    """Return the warning of a damaged version, without the remedy, which its error names last."""
    return f"the version of commit {commit.sha[:10]} is skipped: {str(error).partition('; ')[0]}"


@dataclasses.dataclass(frozen=True)
class Digest:
    """All changes since some day; of the whole history, if that is None."""

    since: str | None
    transitions: Sequence[Transition]
    """The oldest first."""
    begins: str | None = None
    """Date of the oldest commit of a shallow clone, if that may be why there is no more."""

    @property
    def commits(self) -> list[Commit]:
        """The commits that changed sessions, the oldest first."""
        return list({one.commit.sha: one.commit for one in self.transitions}.values())

    @property
    def changes(self) -> list[SessionChange]:
        """Changes of each session by all of these commits together, in id order; without what begins the history."""
        by_session = grouped((one.session, one) for one in self.transitions if not one.is_first)
        return [_together(by_session[session]) for session in sorted(by_session)]

    def chapter(self) -> Chapter:
        changes = self.changes
        summary = (
            f"{counted(len(changes), 'session')} changed: {headline(changes)}" if changes else "no session changed"
        )
        return Chapter(
            f"state since {self.since}" if self.since else "all of the history",
            summary,
            list(self._notes()),
            groups_of(changes),
        )

    def _notes(self) -> Iterable[str]:
        commits = self.commits
        if commits:
            yield f"{counted(len(commits), 'commit')}, {_span(commits)}"
        recorded = [one for one in self.transitions if one.is_first]
        if recorded:
            where = f"{recorded[0].commit.when[:10]}, when history begins"
            yield f"{counted(len(recorded), 'session')} recorded on {where}"
        editors = sorted({editor.author for one in self.transitions for editor in one.editors if not one.is_first})
        if editors:
            yield f"tracked_sessions.yaml edited by {', '.join(editors)}"
        if self.begins is not None:
            yield f"a shallow clone, whose history begins {self.begins}: git fetch --unshallow brings all of it"

    def newest(self, limit: int | None = None) -> list[Transition]:
        """Return the newest changes, at most *limit*, the newest first."""
        return list(reversed(self.transitions))[:limit]

    def as_dict(
        self, address_of: Callable[[str], str | None] = lambda sha: None, limit: int | None = None
    ) -> dict[str, Any]:
        """Return the digest as JSON, the newest first, with the URL of each commit by *address_of* its id."""
        changes = self.changes
        return {
            "since": self.since,
            "shallow_since": self.begins,
            "headline": headline(changes),
            "commits": [{**commit.as_dict(), "address": address_of(commit.sha)} for commit in reversed(self.commits)],
            "changes": [change.as_dict() for change in changes],
            "transitions": [{**one.as_dict(), "commit": one.commit.sha} for one in self.newest(limit)],
        }


def _together(transitions: Sequence[Transition]) -> SessionChange:
    """Combine the changes of one session, also what was lost and came back."""
    changes = [one.change for one in transitions]
    return SessionChange(
        changes[0].id,
        tuple(dict.fromkeys(word for change in changes for word in change.what)),
        tuple(dict.fromkeys(detail for change in changes for detail in change.details)),
        tuple(_fields(changes)),
    )


def _fields(changes: Sequence[SessionChange]) -> Iterable[FieldChange]:
    """Yield each value that differed on the way, as it was before and as it is after."""
    last: dict[str, FieldChange] = {}
    for field in (field for change in changes for field in change.fields):
        first = last.get(field.field, field)
        last[field.field] = FieldChange(field.field, first.before, field.after)
    return last.values()


def _span(commits: Sequence[Commit]) -> str:
    first, last = commits[0].when[:10], commits[-1].when[:10]
    return first if first == last else f"{first} to {last}"
