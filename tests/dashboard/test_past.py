"""Recent events of sessions: those that the overview counts, and the list selects."""

from __future__ import annotations

import datetime

from npc_lims.dashboard.past import Past
from npc_lims.history.transitions import Transition
from npc_lims.processing.runs import Run
from npc_lims.state.diff import FieldChange, SessionChange
from tests.builders import SECOND, SESSION
from tests.dashboard.made import commit, happened, past_of

NOW = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.timezone.utc)


def test_the_last_time_of_each_event_counts() -> None:
    past = past_of(
        NOW,
        happened("2026-10-01T00:00:00Z", "new", "uploaded"),
        happened("2026-11-01T00:00:00Z", "sorted"),
        happened("2026-11-20T00:00:00Z", "no longer sorted"),
        happened("2026-11-21T00:00:00Z", "sorted", "with video"),
        happened("2026-11-22T00:00:00Z", "new", "uploaded", session=SECOND),
        happened("2027-01-01T00:00:00Z", "sorted", session=SECOND),
    )
    assert past.events == {
        "new": {SECOND: "2026-11-22T00:00:00Z"},
        "uploaded": {SECOND: "2026-11-22T00:00:00Z"},
        "sorted": {SESSION: "2026-11-21T00:00:00Z"},
        "failed": {},
    }, "neither what was long ago, nor what is in the future, nor other changes"


def test_the_begin_of_the_history_is_no_event() -> None:
    assert not any(past_of(NOW, happened("2026-11-22T00:00:00Z", "already present at first sync")).events.values())


def test_failed_are_errored_results_and_runs() -> None:
    def changed(session: str, name: str, before: object, after: object) -> Transition:
        change = SessionChange(session, ("codeocean facts changed",), fields=(FieldChange(name, before, after),))
        return Transition(session, commit("2026-11-22T00:00:00Z"), change)

    past = past_of(
        NOW,
        changed(SESSION, "codeocean.errored.asset-1", None, "Out of memory."),
        changed("626791_2022-08-16", "codeocean.errored.asset-1", "Out of memory.", None),
        changed("626791_2022-08-17", "codeocean.sorted", False, {"id": "1"}),
    )
    assert past.events["failed"] == {SESSION: "2026-11-22T00:00:00Z"}
    fields = {"input": "raw-1", "attempt": 1, "claim": "c1", "claimed": "2026-11-22T10:00:00Z", "computation": "c-1"}
    errored = {"outcome": "errored", "reason": "exit code 1", "started": "2026-11-22T11:00:00Z"}
    past.add_runs(
        [
            Run.model_validate({"session": SESSION, **fields, **errored, "seconds": 60}),
            Run.model_validate({"session": SECOND, **fields, "outcome": "succeeded"}),
        ]
    )
    assert past.events["failed"] == {SESSION: "2026-11-22T11:01:00Z"}
    assert Past(NOW).events["failed"] == {}
