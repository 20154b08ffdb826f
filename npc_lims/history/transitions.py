"""Changes of one session by one commit of state. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from npc_lims.state.diff import SessionChange, compare_sessions
from npc_lims.state.revision import Commit

__all__ = ["IN_TRACKED", "IN_TRAINING", "RECORDED", "Transition", "changes_of", "created_assets", "skipped_message"]

RECORDED = "already present at first sync"
"""The change of a session in the first commit of the history: it may be much older."""
IN_TRACKED = "in tracked_sessions.yaml"
IN_TRAINING = "in a training workbook"

Facts = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Transition:
    """One change of one session.

    Attributes:
        session: Session id.
        commit: The commit of state that recorded it.
        change: What changed.
        editors: The commits that edited the session's entry in tracked_sessions.yaml before that, where this is
            a change of what is tracked.
        created: Kind of each data asset that appeared, such as `sorted`, and when Code Ocean says that it was made.
    """

    session: str
    commit: Commit
    change: SessionChange
    editors: tuple[Commit, ...] = ()
    created: tuple[tuple[str, str], ...] = ()

    @property
    def is_first(self) -> bool:
        """True if the history begins with the session, which may be older."""
        return RECORDED in self.change.what

    def as_dict(self) -> dict[str, Any]:
        """Return the transition as JSON."""
        return {
            "session": self.session,
            "when": self.commit.when,
            **{name: value for name, value in self.change.as_dict().items() if name != "id"},
            "created": dict(self.created),
            "commit": self.commit.as_dict(),
            "editors": [editor.as_dict() for editor in self.editors],
        }


def changes_of(before: Mapping[str, Facts], after: Mapping[str, Facts], *, begins: bool) -> list[SessionChange]:
    """Return the changes between two versions of some sessions, in id order; of a new one, what made it known.

    Args:
        begins: The history begins with *after*: what is in it may be older.
    """
    changes = []
    for change in compare_sessions(before, after):
        if change.what[:1] == ("new",):
            known = ((IN_TRACKED, "tracked"), (IN_TRAINING, "training"))
            details = [words for words, section in known if after[change.id].get(section)]
            if begins:
                details += [f"already {word}" for word in change.what[1:]]
            change = dataclasses.replace(change, what=(RECORDED,) if begins else change.what, details=tuple(details))
        changes.append(change)
    return changes


def created_assets(before: Facts | None, after: Facts | None) -> tuple[tuple[str, str], ...]:
    """Return the kind and creation time of each data asset that *after* has and *before* has not."""
    old, new = _assets(before), _assets(after)
    return tuple((kind, asset["created"]) for kind, asset in new.items() if old.get(kind, {}).get("id") != asset["id"])


def skipped_message(commit: Commit, error: Exception) -> str:
    """Return the warning of a damaged version, without the remedy, which its error names last."""
    return f"the version of commit {commit.sha[:10]} is passed over: {str(error).partition('; ')[0]}"


def _assets(facts: Facts | None) -> dict[str, Mapping[str, Any]]:
    section = (facts or {}).get("codeocean")
    assets = section.items() if isinstance(section, Mapping) else ()
    return {
        kind: asset
        for kind, asset in assets
        if isinstance(asset, Mapping) and isinstance(asset.get("created"), str) and "id" in asset
    }
