"""What is recorded and observed becomes what will be recorded: the rules, then any records and observations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.errors import SourceError, SyncRefused
from npc_lims.model.flags import compute_status
from npc_lims.model.reconcile import check_breaker, reconcile, reconcile_session
from npc_lims.model.record import CodeOcean, Observation, Record, S3Facts, Training, failed
from npc_lims.model.sections import DISCOVERING, SECTIONS
from tests.builders import (
    SECOND,
    SESSION,
    asset,
    by_id,
    listing,
    many_records,
    no_assets,
    nothing_on_s3,
    observation,
    record,
    session_ids,
    tracked,
    training,
)
from tests.strategies import IDS, looks, recorded, some_ids

# --- one session ---------------------------------------------------------------------------------


@pytest.mark.parametrize("source", DISCOVERING)
def test_a_discovering_source_makes_a_session_known(source: str) -> None:
    facts = {"tracked": tracked(), "training": training()}[source]
    after = reconcile({}, [observation(source, found=facts)])
    assert list(after) == [SESSION]
    assert {name: getattr(after[SESSION], name) for name in SECTIONS if name != source} == dict.fromkeys(
        [name for name in SECTIONS if name != source]
    )
    assert getattr(after[SESSION], source) == facts


@pytest.mark.parametrize("facts", [("codeocean", no_assets(raw=asset())), ("s3", nothing_on_s3(stim=["a.hdf5"]))])
def test_other_sources_make_no_session_known(facts: tuple[str, Any]) -> None:
    assert reconcile({}, [observation(facts[0], found=facts[1])]) == {}


def test_an_absence_adds_no_session() -> None:
    assert reconcile({}, [observation("tracked", found=False, complete=True)]) == {}


def test_what_a_complete_observation_lacks_is_absent() -> None:
    before = by_id(record(training=training()))
    assert reconcile(before, [observation("training", complete=True)])[SESSION].training is False
    assert reconcile(before, [observation("training", complete=False)])[SESSION] is before[SESSION]


def test_a_complete_observation_is_a_no_to_new_sessions_too() -> None:
    after = reconcile({}, [observation("tracked", found=tracked()), observation("training", complete=True)])
    assert after[SESSION].training is False


def test_null_inside_a_section_keeps_what_is_recorded() -> None:
    before = record(codeocean=no_assets(raw=asset(), sorted=asset("a")), s3=nothing_on_s3(stim=["a.hdf5"]))
    seen = [
        observation("codeocean", found=no_assets(raw=asset(), sorted=None, dlc_eye=asset("b"))),
        observation("s3", found=nothing_on_s3(raw=listing(), stim=None)),
    ]
    after = reconcile_session(SESSION, before, seen)
    assert isinstance(after.codeocean, CodeOcean)
    assert isinstance(after.s3, S3Facts)
    assert (after.codeocean.sorted, after.codeocean.dlc_eye) == (asset("a"), asset("b"))
    assert (after.s3.stim, after.s3.raw) == (["a.hdf5"], listing())


def test_null_keeps_a_recorded_no_as_well() -> None:
    before = record(codeocean=no_assets())
    after = reconcile_session(SESSION, before, [observation("codeocean", found=no_assets(sorted=None))])
    assert after is before


def test_false_inside_a_section_takes_the_fact_away() -> None:
    before = record(codeocean=no_assets(sorted=asset()))
    after = reconcile_session(SESSION, before, [observation("codeocean", found=no_assets())])
    assert after.codeocean == no_assets()
    assert (before.status["is_sorted"], after.status["is_sorted"]) == (True, False)


def test_what_people_edit_is_replaced_whole() -> None:
    before = record(tracked=tracked(day=3, notes="a"), training=training(hits=5))
    seen = [observation("tracked", found=tracked(day=4)), observation("training", found=training())]
    after = reconcile_session(SESSION, before, seen)
    assert after.tracked == tracked(day=4)
    assert isinstance(after.training, Training)
    assert after.training.model_extra == {}


@pytest.mark.parametrize(("was", "now"), [(0, False), (1, True), (1, 1.0), ([0], [False])])
def test_values_of_another_type_are_a_change(was: object, now: object) -> None:
    before = record(tracked=tracked(session_kwargs={"is_production": was}))
    seen = [observation("tracked", found=tracked(session_kwargs={"is_production": now}))]
    after = reconcile_session(SESSION, before, seen)
    assert repr(after.tracked) == repr(tracked(session_kwargs={"is_production": now}))


def test_status_follows_newer_rules_though_nothing_was_observed() -> None:
    before = record().model_copy(update={"status": {"is_production": False}})
    assert reconcile(by_id(before), [])[SESSION].status == compute_status(before.as_dict())


@pytest.mark.parametrize(
    ("tracks", "trains", "stays"),
    [(False, False, False), (False, None, True), (None, False, True), (None, None, True), (True, False, True)],
)
def test_a_session_goes_only_when_both_say_no(tracks: bool | None, trains: bool | None, stays: bool) -> None:
    sections = {
        "tracked": tracked() if tracks else tracks,
        "training": training() if trains else trains,
        "codeocean": no_assets(raw=asset()),
    }
    unchanged = [Observation(source="tracked", unchanged=True), Observation(source="training", unchanged=True)]
    seen = [one for one in unchanged if sections[one.source] is not None]
    assert (SESSION in reconcile(by_id(record(**sections)), seen)) is stays


def test_a_session_goes_when_both_say_no_at_once() -> None:
    before = by_id(record(tracked=tracked(), training=training()))
    both = [observation("tracked", complete=True), observation("training", complete=True)]
    assert reconcile(before, both) == {}
    assert reconcile(before, [both[0], Observation(source="training", unchanged=True)])[SESSION].training == training()


@pytest.mark.parametrize("asked", ["tracked", "training"])
def test_a_session_that_moves_stays_while_the_other_source_is_unavailable(asked: str) -> None:
    before = by_id(record(tracked=False, training=False))
    assert SESSION in reconcile(before, [observation(asked, complete=True)])


def test_only_sessions_in_scope_change() -> None:
    before = by_id(record(training=training()), record(SECOND, training=training()))
    after = reconcile(before, [observation("training", complete=True)], only=[SECOND])
    assert after[SESSION] is before[SESSION]
    assert after[SECOND].training is False


def test_only_leaves_new_sessions_out_that_it_does_not_name() -> None:
    seen = [observation("tracked", found=tracked(), second=tracked())]
    assert list(reconcile({}, seen, only=[SECOND])) == [SECOND]


# --- any sessions --------------------------------------------------------------------------------


@given(recorded(), looks())
def test_idempotent(before: dict[str, Record], seen: list[Observation]) -> None:
    once = reconcile(before, seen)
    twice = reconcile(once, seen)
    assert list(twice) == list(once)
    assert all(twice[session_id] is once[session_id] for session_id in once)


@given(recorded(), looks(), st.randoms())
def test_order_does_not_matter(before: dict[str, Record], seen: list[Observation], random: Any) -> None:
    shuffled = random.sample(seen, len(seen))
    keys = random.sample(sorted(before), len(before))
    assert reconcile({key: before[key] for key in keys}, shuffled) == reconcile(before, seen)


@given(recorded(), looks())
def test_one_after_the_other_is_all_at_once(before: dict[str, Record], seen: list[Observation]) -> None:
    at_once, step = reconcile(before, seen), before
    ever_gone: set[str] = set()
    for one in seen:
        step = reconcile(step, [one])
        ever_gone |= set(before) - set(step)
    # a session that one says is gone before another says it is back has lost what was recorded
    for session_id in set(at_once) - ever_gone:
        if session_id in before:
            assert step[session_id] == at_once[session_id]


@given(recorded(), st.lists(st.sampled_from(SECTIONS), unique=True))
def test_failed_observations_never_change_anything(before: dict[str, Record], sources: list[str]) -> None:
    after = reconcile(before, [failed(SourceError(source, "timed out")) for source in sources])
    assert list(after) == sorted(before)
    assert all(after[session_id] is before[session_id] for session_id in before)


@given(recorded(), looks())
def test_nothing_known_is_erased_by_a_null(before: dict[str, Record], seen: list[Observation]) -> None:
    after = reconcile(before, seen)
    for one in seen:
        for session_id in set(before) & set(after):
            old, new = getattr(before[session_id], one.source), getattr(after[session_id], one.source)
            found = one.facts.get(session_id)
            if found is None and not one.complete:
                assert new is old
            if isinstance(found, (CodeOcean, S3Facts)) and old:
                for name in type(found).model_fields:
                    if getattr(found, name) is None:
                        assert getattr(new, name) == getattr(old, name)
            assert old is None or new is not None


@given(recorded(), looks())
def test_each_source_writes_its_own_section_only(before: dict[str, Record], seen: list[Observation]) -> None:
    asked = {one.source for one in seen}
    for session_id, after in reconcile(before, seen).items():
        old = before.get(session_id, Record(id=session_id))
        assert {name for name in SECTIONS if getattr(after, name) != getattr(old, name)} <= asked
        assert after.status == compute_status(after.as_dict())


@given(recorded(), looks(), some_ids)
def test_sessions_in_only_alone_change(before: dict[str, Record], seen: list[Observation], only: set[str]) -> None:
    after, of_all = reconcile(before, seen, only), reconcile(before, seen)
    assert list(after) == sorted(after)
    for session_id in IDS:
        if session_id in only:
            assert after.get(session_id) == of_all.get(session_id)
        else:
            assert after.get(session_id) is before.get(session_id)


@given(recorded(), looks())
def test_a_session_goes_exactly_when_both_say_no(before: dict[str, Record], seen: list[Observation]) -> None:
    after = reconcile(before, seen)
    for session_id, old in before.items():
        new = reconcile_session(session_id, old, seen)
        answered = {one.source for one in seen if one.complete or session_id in one.facts}
        says_no = new.tracked is False and new.training is False and {"tracked", "training"} <= answered
        assert (session_id not in after) is says_no


# --- the breaker ---------------------------------------------------------------------------------

BOUNDARIES = [
    (5, 5, False),
    (10, 10, False),
    (11, 11, True),
    (100, 10, False),
    (100, 11, True),
    (200, 11, True),
    (220, 11, False),
    (220, 12, True),
    (240, 12, False),
    (240, 13, True),
    (1000, 50, False),
    (1000, 51, True),
]


def _refuses(before: dict[str, Record], after: dict[str, Record]) -> bool:
    try:
        check_breaker(before, after)
    except SyncRefused:
        return True
    return False


@pytest.mark.parametrize(("total", "lost", "refused"), BOUNDARIES)
def test_breaker_counts_removed_sessions(total: int, lost: int, refused: bool) -> None:
    before = many_records(total)
    after = {session_id: before[session_id] for session_id in session_ids(total)[lost:]}
    assert _refuses(before, after) is refused


@pytest.mark.parametrize(("total", "lost", "refused"), BOUNDARIES)
@pytest.mark.parametrize("blank", [False, None])
def test_breaker_counts_blanked_sections(total: int, lost: int, refused: bool, blank: bool | None) -> None:
    before = many_records(total, training=training())
    blanks = {i: before[i].model_copy(update={"training": blank}) for i in session_ids(total)[:lost]}
    assert _refuses(before, {**before, **blanks}) is refused


@pytest.mark.parametrize(("total", "lost", "refused"), BOUNDARIES)
@pytest.mark.parametrize("value", [False, None])
def test_breaker_counts_flags_that_are_no_longer_true(total: int, lost: int, refused: bool, value: bool | None) -> None:
    before = many_records(total, codeocean=no_assets(sorted=asset()))
    status = {**before[session_ids(1)[0]].status, "is_sorted": value}
    blanks = {i: before[i].model_copy(update={"status": status}) for i in session_ids(total)[:lost]}
    assert _refuses(before, {**before, **blanks}) is refused


def test_breaker_adds_removed_and_blanked() -> None:
    before = many_records(100, training=training())
    ids = session_ids(100)
    blanked = {i: before[i].model_copy(update={"training": False}) for i in ids[6:11]}
    after = {**{i: before[i] for i in ids[6:]}, **blanked}
    with pytest.raises(SyncRefused, match=r"remove 6 and blank 5 of 100 sessions.*700000_2024-03-01.*--allow-removals"):
        check_breaker(before, after)


def test_breaker_names_training_rows_that_make_no_session_any_more() -> None:
    """As in the first sync after 0.1 or a pre-release, which recorded them as sessions."""
    ids = session_ids(20)
    main = many_records(20, training=training().model_copy(update={"other_rows": [training(row=9)]}))
    before = {**many_records(20), **{f"{id_}_1": record(id=f"{id_}_1", training=training(row=9)) for id_ in ids}}
    with pytest.raises(SyncRefused, match=r"remove 20 and.*20 of them are training rows of days with a recording"):
        check_breaker(before, main)


def test_breaker_lets_any_number_of_gains_and_edits_through() -> None:
    before = many_records(100, codeocean=no_assets(raw=asset("a")))
    after = many_records(300, codeocean=no_assets(raw=asset("b"), sorted=asset("c")), training=training())
    assert check_breaker(before, after) is None


def test_breaker_does_not_count_facts_that_were_never_there() -> None:
    before = many_records(50, training=False, s3=None)
    after = {i: one.model_copy(update={"training": None, "s3": False}) for i, one in before.items()}
    assert check_breaker(before, after) is None
