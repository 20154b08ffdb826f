"""Transitions as the history has them, made of what changed."""

from __future__ import annotations

import datetime
from typing import Any

from npc_lims.dashboard.past import Past
from npc_lims.history.transitions import Transition
from npc_lims.state.diff import ABSENT, FieldChange, SessionChange
from npc_lims.state.revision import Commit
from tests.builders import SESSION


def commit(when: str, author: str = "Sync", **more: Any) -> Commit:
    return Commit(sha=f"{abs(hash(when)) % 16**40:040x}", when=when, author=author, subject="state: 1 sorted", **more)


def happened(
    when: str, *what: str, session: str = SESSION, editors: tuple[str, ...] = (), **flags: tuple[object, object]
) -> Transition:
    """What happened to a session at a time; flags by name, as what they were and what they became."""
    fields = tuple(FieldChange(f"status.{name}", before, after) for name, (before, after) in flags.items())
    change = SessionChange(session, what, fields=fields)
    return Transition(session, commit(when), change, tuple(commit(when, author) for author in editors))


def past_of(now: datetime.datetime, *transitions: Transition) -> Past:
    past = Past(now)
    for transition in transitions:
        past.add(transition)
    return past


__all__ = ["ABSENT", "commit", "happened", "past_of"]
