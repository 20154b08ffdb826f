"""Find facts that disappeared, by the history, and did not return."""

from __future__ import annotations

import dataclasses
import datetime
from typing import TYPE_CHECKING

from npc_lims.utils.timestamps import is_future, parse_utc

if TYPE_CHECKING:
    from npc_lims.history.transitions import Transition
    from npc_lims.state.revision import Commit

LOOK_BACK = datetime.timedelta(days=30)
"""Losses before that are not reported."""
_NO_LONGER = "no longer "
_GONE = " gone"


@dataclasses.dataclass(frozen=True)
class Loss:
    """Facts that one session has lost.

    Attributes:
        what: Words of `SessionChange.what`.
        commit: The last commit that removed something.
        editors: Names of the last editors of the session's entry before that.
    """

    session: str
    what: tuple[str, ...]
    commit: Commit
    editors: tuple[str, ...]


class Past:
    """Losses, and dates of flags, from transitions that are added from the oldest to the newest.

    Attributes:
        first_seen: Session id to flag to when its change from no to yes was first observed. A flag that was yes at the
            first observation has no date, and neither has a commit of the future.
    """

    def __init__(self, now: datetime.datetime) -> None:
        self._now = now
        self._since = now - LOOK_BACK
        self._lost: dict[str, dict[str, Transition]] = {}
        self.first_seen: dict[str, dict[str, datetime.datetime]] = {}

    def add(self, transition: Transition) -> None:
        when = parse_utc(transition.commit.when)
        if when is None:
            return
        for field in transition.change.fields:
            is_first = field.field.startswith("status.") and field.before is False and field.after is True
            if is_first and not is_future(when, self._now):
                flag = field.field[len("status.") :]
                self.first_seen.setdefault(transition.session, {}).setdefault(flag, when)
        lost = self._lost.setdefault(transition.session, {})
        for word in transition.change.what:
            if word == "new":
                lost.clear()
            elif word == "removed" or word.startswith(_NO_LONGER) or word.endswith(_GONE):
                lost[word] = transition
            else:
                # it returned
                lost.pop(f"{_NO_LONGER}{word}", None)
                for ending in (" first seen", " facts changed", " added"):
                    if word.endswith(ending):
                        self._forget_gone(lost, word[: -len(ending)])
        if not lost:
            del self._lost[transition.session]

    @staticmethod
    def _forget_gone(lost: dict[str, Transition], name: str) -> None:
        for word in (f"{name}{_GONE}", f"{name} facts{_GONE}"):
            lost.pop(word, None)

    def losses(self) -> list[Loss]:
        """Return the losses within `LOOK_BACK` that did not return, the latest first."""
        found = []
        for session, words in self._lost.items():
            recent = {word: one for word, one in words.items() if self._is_recent(one.commit)}
            if recent:
                last = max(recent.values(), key=lambda one: one.commit.when)
                editors = dict.fromkeys(commit.author for one in recent.values() for commit in one.editors)
                found.append(Loss(session, tuple(recent), last.commit, tuple(editors)))
        return sorted(sorted(found, key=lambda loss: loss.session), key=lambda loss: loss.commit.when, reverse=True)

    def _is_recent(self, commit: Commit) -> bool:
        when = parse_utc(commit.when)
        return when is not None and when >= self._since
