"""What history says of the sessions: recent events, losses, and first dates of flags."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from npc_lims.utils.timestamps import is_future, utc_text, utc_time

if TYPE_CHECKING:
    from npc_lims.history.transitions import Transition
    from npc_lims.processing.runs import Run

EVENTS = ("new", "uploaded", "sorted", "failed")
"""Failed are sortings and other runs that errored; the others are words of `SessionChange.what`."""
RECENT = datetime.timedelta(days=31)
"""Earlier events are dropped."""
_RETURNED = re.compile(" (first seen|facts changed|added)$")


class Past:
    """Filled with transitions, which are added from the oldest to the newest, and with runs.

    Attributes:
        events: Each of `EVENTS` to session id to when it last happened, within `RECENT`: the time of the commit that
            recorded it; of a run, when it ended, or began if that is all that is known.
        lost: Session id to words of `SessionChange.what`, to the transition that removed something; without what
            returned.
        first_seen: Session id to flag to when its change from no to yes was first observed. A flag that was yes at the
            first observation has no date, and neither has a commit of the future.
    """

    def __init__(self, now: datetime.datetime) -> None:
        self._now = now
        self._oldest = utc_text(now - RECENT)
        self.events: dict[str, dict[str, str]] = {event: {} for event in EVENTS}
        self.lost: dict[str, dict[str, Transition]] = {}
        self.first_seen: dict[str, dict[str, datetime.datetime]] = {}

    def add(self, transition: Transition) -> None:
        when = utc_time(transition.commit.when)
        for field in transition.change.fields:
            is_first = field.field.startswith("status.") and field.before is False and field.after is True
            if is_first and not is_future(when, self._now):
                flag = field.field[len("status.") :]
                self.first_seen.setdefault(transition.session, {}).setdefault(flag, when)
            # a whole mapping, or one item of it
            if field.field.startswith("codeocean.errored") and isinstance(field.after, (dict, str)) and field.after:
                self._add_event("failed", transition.session, transition.commit.when)
        lost = self.lost.setdefault(transition.session, {})
        for word in transition.change.what:
            self._add_event(word, transition.session, transition.commit.when)
            if word == "new":
                lost.clear()
            elif word == "removed" or word.startswith("no longer ") or word.endswith(" gone"):
                lost[word] = transition
            else:  # it returned
                name = _RETURNED.sub("", word)
                for gone in (f"no longer {word}", f"{name} gone", f"{name} facts gone"):
                    lost.pop(gone, None)

    def add_runs(self, runs: Iterable[Run]) -> None:
        for run in runs:
            if run.outcome == "errored":
                began = utc_time(run.started or run.claimed)
                self._add_event("failed", run.session, utc_text(began + datetime.timedelta(seconds=run.seconds or 0)))

    def _add_event(self, event: str, session: str, when: str) -> None:
        times = self.events.get(event)
        if times is not None and when >= self._oldest and not is_future(utc_time(when), self._now):
            times[session] = max(when, times.get(session, ""))
