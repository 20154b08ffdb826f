"""What an edit of tracked_sessions.yaml will do to state."""

from __future__ import annotations

from npc_lims.model.record import Observation, Record, Tracked
from npc_lims.model.recording_days import reconcile_days
from npc_lims.state.diff import SessionChange
from npc_lims.track.compare import Preview, preview
from tests.builders import SECOND, SESSION, by_id, many_records, record, session_ids, tracked, training

ENTRY = tracked()


def effect(*state: Record, base: dict[str, Tracked] | None = None, now: dict[str, Tracked] | None = None) -> Preview:
    return preview(by_id(*state), {SESSION: ENTRY} if base is None else base, now or {}, "main")


def ids(changes: object) -> list[str]:
    assert isinstance(changes, list)
    assert all(isinstance(change, SessionChange) for change in changes)
    return [change.id for change in changes]


def test_an_edit_that_changes_nothing() -> None:
    found = effect(record(), now={SESSION: ENTRY})
    assert (any(found.fates.values()), found.refused) == (False, None)
    assert found.chapter().summary == "no session changes"


def test_an_entry_makes_a_session_appear() -> None:
    found = effect(record(), now={SESSION: ENTRY, SECOND: ENTRY})
    assert ids(found.fates["appear"]) == [SECOND]
    assert found.chapter().summary == "1 will appear"


def test_an_edit_is_shown_by_field() -> None:
    (change,) = effect(record(), now={SESSION: tracked(day=4)}).fates["change"]
    assert change.details == ("day (none) -> 4",)


def test_a_session_goes_that_no_workbook_has() -> None:
    found = effect(record(training=False))
    assert (ids(found.fates["go"]), found.fates["stay"], found.fates["may_go"]) == ([SESSION], [], [])


def test_a_session_stays_that_a_workbook_has() -> None:
    found = effect(record(training=training()))
    assert (found.fates["go"], ids(found.fates["stay"]), found.fates["may_go"]) == ([], [SESSION], [])
    assert found.fates["stay"][0].details == ("no longer in tracked_sessions.yaml",)


def test_a_session_may_go_that_was_never_looked_up() -> None:
    found = effect(record(training=None))
    assert (found.fates["go"], found.fates["stay"], ids(found.fates["may_go"])) == ([], [], [SESSION])


def test_a_session_that_no_sync_has_seen_yet() -> None:
    found = effect()
    assert (found.fates["go"], ids(found.fates["may_go"])) == ([], [SESSION])


def test_what_the_base_does_to_state_is_not_the_edit() -> None:
    found = effect(record(), base={SESSION: ENTRY, SECOND: ENTRY}, now={SESSION: ENTRY, SECOND: ENTRY})
    assert found.chapter().summary == "no session changes"


def test_the_preview_has_the_refusal_of_the_breaker() -> None:
    records = many_records(100, training=False)
    base = dict.fromkeys(session_ids(100), ENTRY)
    kept = dict.fromkeys(session_ids(100)[:80], ENTRY)
    found = preview(records, base, kept, "main")
    assert len(found.fates["go"]) == 20
    assert found.refused is not None
    assert "would remove 20" in found.refused
    assert "The breaker would stop" in found.chapter().notes[0]
    assert preview(records, base, dict.fromkeys(session_ids(100)[:91], ENTRY), "main").refused is None


def test_as_json() -> None:
    told = effect(record(training=False), now={SECOND: ENTRY}).as_dict()
    assert told["base"] == "main"
    assert told["refused"] is None
    assert [change["id"] for change in told["appear"]] == [SECOND]
    assert [change["id"] for change in told["go"]] == [SESSION]


def test_an_ephys_entry_makes_the_second_row_of_its_day_no_session() -> None:
    rows = [
        record(SESSION, tracked=False, training=training()),
        record(SECOND, tracked=False, training=training(start_time="2022-08-15 18:00:00")),
    ]
    added = effect(*rows, base={}, now={SESSION: ENTRY})
    assert (ids(added.fates["change"]), ids(added.fates["go"])) == ([SESSION], [SECOND])
    tracked_now = reconcile_days(by_id(*rows), [Observation("tracked", facts={SESSION: ENTRY}, complete=True)])
    removed = effect(*tracked_now.values())
    assert (ids(removed.fates["stay"]), ids(removed.fates["appear"])) == ([SESSION], [SECOND])
