"""Which assets belong to a session and which of them count: each rule once."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.clients.codeocean_runs import find_error_mark
from npc_lims.model.data_asset import SEARCHED_NAMES, DataAsset
from npc_lims.model.reconcile import reconcile_session
from npc_lims.model.record import PROCESSES, Asset, CodeOcean, Found, Observation, Record
from npc_lims.sources.codeocean.assets import ambiguous_assets, select_facts
from tests.builders import (
    LATER_NAME,
    RAW_NAME,
    SECOND,
    SESSION,
    SORTED_NAME,
    asset,
    by_id,
    data_asset,
    no_assets,
    record,
    tracked,
    training,
)

BEHAVIOR_NAME = "behavior_626791_2022-08-15_12-30-00"
SMARTSPIM_NAME = "SmartSPIM_626791_2022-10-11_10-20-30"
SURFACE_SORTED_NAME = f"{LATER_NAME}_sorted_2023-07-11_10-00-00"
SORTED_AGAIN_NAME = f"{RAW_NAME}_sorted_2024-01-01_09-00-00"
NOT_RAW: dict[str, Any] = {"custom_metadata": {"data level": "derived data"}, "tags": ["derived"]}


class Verdicts:
    """A judge that knows what to say of each asset, by name, and counts what it is asked."""

    def __init__(self, **said: str | None) -> None:
        self.said = said
        self.asked: list[str] = []
        self.asked_of_raw: list[str] = []

    def __call__(self, one: DataAsset) -> str | None:
        (self.asked if one.is_sorted else self.asked_of_raw).append(one.name)
        return self.said.get(one.name, "")


def facts_of(
    *assets: DataAsset, session: Record | None = None, others: tuple[Record, ...] = (), verdict: Any = None
) -> Found:
    """What a session gets from these assets, of which the unusable ones are left out as the fetch does."""
    session = session or record()
    usable = [one for one in assets if one.is_usable]
    records = by_id(session, *others)
    return select_facts([session.id], records, {"626791": usable}, verdict or Verdicts())[session.id]


def found(*assets: DataAsset, **more: Any) -> CodeOcean:
    facts = facts_of(*assets, **more)
    assert isinstance(facts, CodeOcean)
    return facts


def name_of(fact: object) -> object:
    """The name of an asset; false and null as they are."""
    return fact.name if isinstance(fact, Asset) else fact


# --- names and states ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "platform", "process"),
    [
        (RAW_NAME, "ecephys", ""),
        (SORTED_NAME, "ecephys", "_sorted_2023-07-11_09-00-00"),
        (BEHAVIOR_NAME, "behavior", ""),
        (f"{BEHAVIOR_NAME}_dlc_eye_2023-01-01_00-00-00", "behavior", "_dlc_eye_2023-01-01_00-00-00"),
        (SMARTSPIM_NAME, "SmartSPIM", ""),
        ("ecephys_1234567_2022-08-15_13-07-32", "ecephys", ""),
    ],
)
def test_names_that_sessions_are_made_of(name: str, platform: str, process: str) -> None:
    one = data_asset(name)
    assert (one.platform, one.process) == (platform, process)


@pytest.mark.parametrize(
    "name",
    [
        "multiplane-ophys_626791_2022-08-15_13-07-32",
        "ecephys_626791_2022-08-15",
        "ecephys_62679_2022-08-15_13-07-32",
        "ecephys_626791_2022-08-15_13-07-32x",
        "my ecephys_626791_2022-08-15_13-07-32",
        "626791_2022-08-15_13-07-32",
    ],
)
def test_other_names_are_none_of_ours(name: str) -> None:
    assert SEARCHED_NAMES.match(name) is None


@pytest.mark.parametrize(
    ("more", "counts"),
    [
        ({}, True),
        ({"state": "draft"}, False),
        ({"state": "failed"}, False),
        ({"archived": True}, False),
        ({"archived": False}, True),
    ],
)
def test_only_ready_assets_that_are_not_archived_count(more: dict[str, Any], counts: bool) -> None:
    assert data_asset(**more).is_usable is counts
    facts = facts_of(data_asset(**more), data_asset(SORTED_NAME, **more))
    assert bool(facts) is counts


def test_what_is_recorded_of_an_asset() -> None:
    fact = data_asset().as_fact()
    assert fact.model_dump() == {
        "id": asset().id,
        "name": RAW_NAME,
        "created": "2022-08-15T13:07:32Z",
        "location": f"s3://aind-ephys-data/{RAW_NAME}",
    }


@pytest.mark.parametrize(
    ("source", "location"),
    [
        ({"origin": "aws", "bucket": "b", "prefix": "p/"}, "s3://b/p"),
        ({"origin": "aws", "bucket": "b", "prefix": ""}, "s3://b"),
        ({"origin": "aws", "bucket": "b"}, "s3://b"),
        ({"origin": "gcp", "bucket": "b", "prefix": "p"}, "gs://b/p"),
        ({"origin": "local", "bucket": "", "prefix": ""}, None),
        (None, None),
    ],
)
def test_location(source: dict[str, str] | None, location: str | None) -> None:
    assert data_asset(source_bucket=source).location == location


# --- raw -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "is_raw"),
    [
        ({"custom_metadata": {"data level": "raw data"}, "tags": []}, True),
        ({"custom_metadata": {"data level": "raw"}, "tags": []}, False),
        ({"custom_metadata": {}, "tags": ["ecephys", "raw"]}, True),
        ({"custom_metadata": None, "tags": ["raw"]}, True),
        ({"custom_metadata": {"data level": "raw data"}, "tags": None}, True),
        ({"custom_metadata": None, "tags": None}, False),
        (NOT_RAW, False),
    ],
)
def test_raw_by_custom_metadata_or_tag(more: dict[str, Any], is_raw: bool) -> None:
    facts = facts_of(data_asset(**more))
    assert bool(facts and name_of(facts.raw)) is is_raw  # type: ignore[union-attr]


def test_a_sorted_result_with_the_tag_raw_is_not_raw() -> None:
    assert found(data_asset(SORTED_NAME, tags=["raw"])).raw is False


def test_ecephys_wins_over_behavior_however_old() -> None:
    behavior = data_asset(RAW_NAME.replace("ecephys", "behavior"), created=2_000_000_000)
    for session in (record(), record(tracked=tracked("behavior"))):
        assert name_of(found(behavior, data_asset(), session=session).raw) == RAW_NAME


def test_a_behavior_asset_stands_in_for_an_ephys_session_without_ecephys() -> None:
    assert name_of(found(data_asset(BEHAVIOR_NAME)).raw) == BEHAVIOR_NAME


def test_the_newest_raw_wins() -> None:
    old, new = data_asset(id="old", created=1), data_asset(id="new", created=2)
    for order in ((old, new), (new, old)):
        raw = found(*order).raw
        assert isinstance(raw, Asset)
        assert raw.id == "new"


def test_between_two_of_one_second_the_order_of_pages_does_not_decide() -> None:
    first, second = data_asset(id="a"), data_asset(id="b")
    assert found(first, second) == found(second, first)


# --- which recording of the day ------------------------------------------------------------------


def test_the_session_of_index_n_is_the_nth_start_of_the_day() -> None:
    assets = (data_asset(LATER_NAME), data_asset())
    sessions = (record(), record(SECOND))
    assert name_of(found(*assets, session=sessions[0], others=sessions[1:]).raw) == RAW_NAME
    assert name_of(found(*assets, session=sessions[1], others=sessions[:1]).raw) == LATER_NAME


def test_several_assets_of_one_start_count_once() -> None:
    assets = (data_asset(), data_asset(SORTED_NAME), data_asset(id="again"), data_asset(LATER_NAME))
    assert name_of(found(*assets, session=record(SECOND)).raw) == LATER_NAME


def test_a_start_that_only_results_tell_of_counts() -> None:
    facts = found(data_asset(SORTED_NAME), data_asset(LATER_NAME), session=record(SECOND), others=(record(),))
    assert name_of(facts.raw) == LATER_NAME


@pytest.mark.parametrize("time", ["12-30-00", "13-07-32", "14-00-00", "18-00-00"])
def test_a_behavior_asset_of_that_day_shifts_nothing_and_is_no_surface_recording(time: str) -> None:
    behavior = data_asset(f"behavior_626791_2022-08-15_{time}")
    first = found(behavior, data_asset())
    assert (name_of(first.raw), first.surface, first.surface_sorted) == (RAW_NAME, False, False)
    second = found(behavior, data_asset(), data_asset(LATER_NAME), session=record(SECOND), others=(record(),))
    assert name_of(second.raw) == LATER_NAME


def test_a_behavior_asset_is_no_raw_data_of_a_second_ephys_session() -> None:
    assert facts_of(data_asset(BEHAVIOR_NAME), data_asset(), session=record(SECOND)) is False


def test_recordings_of_a_behavior_session_are_counted_among_all() -> None:
    behavior = tracked("behavior")
    second = record(SECOND, tracked=behavior)
    facts = found(data_asset(BEHAVIOR_NAME), data_asset(), session=second)
    assert name_of(facts.raw) == RAW_NAME


def test_assets_of_other_days_and_subjects_are_not_looked_at() -> None:
    assets = {"626791": [data_asset("ecephys_626791_2022-08-16_13-00-00")], "626792": [data_asset()]}
    assert select_facts([SESSION], by_id(record()), assets, Verdicts()) == {SESSION: False}


def test_a_session_without_assets_is_a_no() -> None:
    assert select_facts([SESSION], by_id(record()), {}, Verdicts()) == {SESSION: False}


# --- sorted --------------------------------------------------------------------------------------


def test_the_newest_sorted_wins() -> None:
    assert name_of(found(data_asset(SORTED_NAME), data_asset(SORTED_AGAIN_NAME)).sorted) == SORTED_AGAIN_NAME


def test_without_raw_data_a_sorted_result_still_counts() -> None:
    facts = found(data_asset(SORTED_NAME))
    assert (facts.raw, name_of(facts.sorted)) == (False, SORTED_NAME)


@pytest.mark.parametrize(("files", "good"), [(0, False), (6, False), (7, True), (None, True)])
def test_six_files_or_fewer_are_an_errored_result(files: int | None, good: bool) -> None:
    verdict = Verdicts()
    facts = found(data_asset(SORTED_NAME, files=files), data_asset(), verdict=verdict)
    assert bool(facts.sorted) is good
    assert list(facts.errored.values()) == ([] if good else [f"only {files} files"])
    assert verdict.asked == ([SORTED_NAME] if good else [])  # no output is read of what is known to be bad


@pytest.mark.parametrize("state", ["draft", "failed"])
def test_the_newest_good_result_is_behind_those_that_are_not_ready(state: str) -> None:
    facts = found(data_asset(SORTED_NAME), data_asset(SORTED_AGAIN_NAME, state=state))
    assert (name_of(facts.sorted), facts.errored) == (SORTED_NAME, {})


def test_the_newest_good_result_is_behind_those_that_errored() -> None:
    verdict = Verdicts(**{SORTED_AGAIN_NAME: "Out of memory."})
    facts = found(data_asset(SORTED_NAME), data_asset(SORTED_AGAIN_NAME), verdict=verdict)
    assert name_of(facts.sorted) == SORTED_NAME
    assert facts.errored == {data_asset(SORTED_AGAIN_NAME).id: "Out of memory."}


@pytest.mark.parametrize("said", ["", "Out of memory."])
def test_a_result_is_judged_once(said: str) -> None:
    assets = (data_asset(), data_asset(SORTED_NAME))
    first = found(*assets, verdict=Verdicts(**{SORTED_NAME: said}))
    again = Verdicts(**{SORTED_NAME: "asked again"})
    assert found(*assets, session=record(codeocean=first), verdict=again) == first
    assert again.asked == []


def test_all_errored_is_a_no() -> None:
    facts = found(data_asset(), data_asset(SORTED_NAME), verdict=Verdicts(**{SORTED_NAME: "Command error:"}))
    assert facts.sorted is False


def test_results_that_cannot_be_judged_now_are_unknown() -> None:
    facts = found(data_asset(), data_asset(SORTED_NAME), verdict=Verdicts(**{SORTED_NAME: None}))
    assert (name_of(facts.raw), facts.sorted) == (RAW_NAME, None)


def test_nothing_but_a_result_that_cannot_be_judged_is_no_no() -> None:
    facts = found(data_asset(SORTED_NAME), verdict=Verdicts(**{SORTED_NAME: None}))
    assert facts.sorted is None


def test_a_result_that_cannot_be_judged_keeps_what_is_recorded() -> None:
    oldest = f"{RAW_NAME}_sorted_2023-01-01_00-00-00"
    assets = [data_asset(), data_asset(oldest), data_asset(SORTED_NAME)]
    before = record(codeocean=found(*assets, verdict=Verdicts(**{SORTED_NAME: "Out of memory."})))
    unsure = Verdicts(**{SORTED_AGAIN_NAME: None})
    facts = facts_of(*assets, data_asset(SORTED_AGAIN_NAME), session=before, verdict=unsure)
    after = reconcile_session(SESSION, before, [Observation("codeocean", {SESSION: facts})])
    assert after is before
    assert isinstance(after.codeocean, CodeOcean)
    assert after.codeocean.errored == {data_asset(SORTED_NAME).id: "Out of memory."}


@pytest.mark.parametrize(
    ("output", "mark"),
    [
        (b"slurmstepd: Out of memory.\n", "Out of memory."),
        (b"Command error:\n  bash: no", "Command error:"),
        (b'Traceback (most recent call last):\n  File "a.py"', "Traceback (most recent call last)"),
        (b"all 6 probes done\n", ""),
        (b"", ""),
        (None, ""),
        (b"\xff\xfe Out of memory.", "Out of memory."),
    ],
)
def test_marks_of_an_errored_run(output: bytes | None, mark: str) -> None:
    assert find_error_mark(output) == mark


# --- other results -------------------------------------------------------------------------------


@pytest.mark.parametrize("process", PROCESSES)
def test_the_newest_result_of_each_process(process: str) -> None:
    names = [f"{RAW_NAME}_{process}_{day}_09-00-00" for day in ("2023-01-01", "2024-01-01", "2023-06-01")]
    facts = found(data_asset(), *map(data_asset, names))
    assert name_of(getattr(facts, process)) == names[1]
    others = {name: getattr(facts, name) for name in PROCESSES if name != process}
    assert others == dict.fromkeys(others, False)


def test_results_of_another_recording_of_the_day_are_not_taken() -> None:
    later = data_asset(f"{LATER_NAME}_dlc_eye_2023-01-01_00-00-00")
    assert found(data_asset(), later).dlc_eye is False


def test_the_newest_smartspim_asset_of_the_subject_of_any_day() -> None:
    newer = SMARTSPIM_NAME.replace("2022-10-11", "2022-12-01")
    facts = found(data_asset(SMARTSPIM_NAME), data_asset(newer), session=record(SECOND))
    assert name_of(facts.smartspim) == newer
    assert facts.raw is False


# --- surface channels ----------------------------------------------------------------------------


def test_surface_channels_are_the_raw_asset_at_index_1() -> None:
    facts = found(data_asset(), data_asset(LATER_NAME))
    assert (name_of(facts.surface), facts.surface_sorted) == (LATER_NAME, False)


def test_surface_channels_sorted_when_a_good_sorted_asset_is_at_index_1() -> None:
    assets = (data_asset(), data_asset(LATER_NAME), data_asset(SURFACE_SORTED_NAME))
    facts = found(*assets)
    assert (facts.sorted, name_of(facts.surface_sorted)) == (False, SURFACE_SORTED_NAME)
    errored = found(*assets, verdict=Verdicts(**{SURFACE_SORTED_NAME: "Out of memory."}))
    assert (errored.surface_sorted, list(errored.errored.values())) == (False, ["Out of memory."])
    assert found(*assets, verdict=Verdicts(**{SURFACE_SORTED_NAME: None})).surface_sorted is None


def test_surface_results_are_judged_once() -> None:
    assets = (data_asset(), data_asset(LATER_NAME), data_asset(SURFACE_SORTED_NAME))
    verdict = Verdicts()
    assert found(*assets, session=record(codeocean=found(*assets)), verdict=verdict) == found(*assets)
    assert verdict.asked == []


def test_index_1_that_is_not_raw_is_no_surface_recording() -> None:
    assert found(data_asset(), data_asset(LATER_NAME, **NOT_RAW)).surface is False


@pytest.mark.parametrize(
    ("session", "others"),
    [
        (record(SECOND), ()),
        (record(tracked=tracked("behavior")), ()),
        (record(tracked=tracked("behavior_with_sync")), ()),
        (record(tracked=False, training=training()), ()),
        (record(), (record(SECOND),)),
    ],
)
def test_no_surface_recording(session: Record, others: tuple[Record, ...]) -> None:
    facts = found(data_asset(), data_asset(LATER_NAME), session=session, others=others)
    assert facts.surface is False


def test_surface_recordings_are_unknown_while_the_platform_is() -> None:
    facts = found(data_asset(), data_asset(LATER_NAME), session=record(tracked=None, training=training()))
    assert (name_of(facts.raw), facts.surface, facts.surface_sorted) == (RAW_NAME, None, None)


@pytest.mark.parametrize("not_tracked", [None, False])
def test_a_session_that_nobody_lists_is_what_its_assets_are(not_tracked: Literal[False] | None) -> None:
    facts = found(data_asset(), data_asset(LATER_NAME), session=record(tracked=not_tracked))
    assert (name_of(facts.raw), name_of(facts.surface), facts.surface_sorted) == (RAW_NAME, LATER_NAME, False)
    without_behavior = Verdicts(**{RAW_NAME: "no behavior"})
    assert found(data_asset(), session=record(tracked=not_tracked), verdict=without_behavior).raw is False
    behavior = found(data_asset(BEHAVIOR_NAME), session=record(tracked=not_tracked))
    assert (name_of(behavior.raw), behavior.surface) == (BEHAVIOR_NAME, None if not_tracked is None else False)


def test_a_training_row_of_the_day_takes_no_surface_recording() -> None:
    day = (data_asset(), data_asset(LATER_NAME))
    trained = record(SECOND, tracked=False, training=training())
    assert name_of(found(*day, others=(trained,)).surface) == LATER_NAME
    assert select_facts([SECOND], by_id(record(), trained), {"626791": day}, Verdicts()) == {SECOND: False}


# --- raw data that are not the session's own -----------------------------------------------------

NOT_MAIN = Verdicts(**{RAW_NAME: "no behavior"}).said


def test_a_recording_of_surface_channels_is_not_the_sessions_own() -> None:
    facts = found(data_asset(), verdict=Verdicts(**NOT_MAIN))
    assert (facts.raw, name_of(facts.surface), facts.surface_sorted) == (False, RAW_NAME, False)
    facts = found(data_asset(), data_asset(SORTED_NAME), verdict=Verdicts(**NOT_MAIN))
    assert (facts.raw, facts.sorted, name_of(facts.surface_sorted)) == (False, False, SORTED_NAME)
    facts = found(data_asset(), data_asset(LATER_NAME), verdict=Verdicts(**NOT_MAIN))
    assert (facts.raw, name_of(facts.surface)) == (False, LATER_NAME)


def test_what_was_computed_from_a_recording_of_surface_channels_is_no_result_of_the_session() -> None:
    results = [data_asset(f"{RAW_NAME}_{process}_2023-07-11_09-00-00", created=1) for process in ("sorted", *PROCESSES)]
    facts = found(data_asset(), *results, verdict=Verdicts(**NOT_MAIN))
    assert {name: getattr(facts, name) for name in PROCESSES} == dict.fromkeys(PROCESSES, False)
    assert (facts.sorted, name_of(facts.surface_sorted)) == (False, SORTED_NAME)
    errored = found(data_asset(), *results, verdict=Verdicts(**NOT_MAIN, **{SORTED_NAME: "Out of memory."}))
    assert (errored.sorted, errored.surface_sorted) == (False, False)


@pytest.mark.parametrize("main", ["", "no behavior"])
def test_while_a_recording_cannot_be_looked_into_its_results_stay_as_recorded(main: str) -> None:
    results = [data_asset(f"{RAW_NAME}_{process}_2023-07-11_09-00-00", created=1) for process in ("sorted", *PROCESSES)]
    unsure = Verdicts(**{RAW_NAME: None})
    facts = found(data_asset(), *results, verdict=unsure)
    assert (facts.sorted, facts.LFP_Subsampled, name_of(facts.facemap)) == (None, None, results[4].name)
    before = record(codeocean=found(data_asset(), *results, verdict=Verdicts(**{RAW_NAME: main})))
    again = facts_of(data_asset(), *results, session=before, verdict=unsure)
    assert reconcile_session(SESSION, before, [Observation("codeocean", {SESSION: again})]) is before


def test_results_of_behavior_data_that_stand_in_are_those_of_the_session() -> None:
    day = (data_asset(), data_asset(BEHAVIOR_NAME), data_asset(f"{BEHAVIOR_NAME}_dlc_eye_2023-07-11_09-00-00"))
    facts = found(*day, data_asset(f"{RAW_NAME}_facemap_2023-07-11_09-00-00"), verdict=Verdicts(**NOT_MAIN))
    assert (name_of(facts.dlc_eye), facts.facemap) == (day[2].name, False)


def test_an_upload_with_the_main_recording_counts_though_a_newer_one_has_none() -> None:
    class OnlyTheNewest(Verdicts):
        def __call__(self, one: DataAsset) -> str | None:
            super().__call__(one)
            return "no behavior" if one.created == 9 else ""

    verdict = OnlyTheNewest()
    facts = found(data_asset(id="old", created=7), data_asset(id="new", created=9), verdict=verdict)
    assert isinstance(facts.raw, Asset)
    assert (facts.raw.id, verdict.asked_of_raw) == ("old", [RAW_NAME] * 2)


def test_behavior_data_of_the_day_stand_in_for_a_lost_main_recording() -> None:
    assert name_of(found(data_asset(), data_asset(BEHAVIOR_NAME), verdict=Verdicts(**NOT_MAIN)).raw) == BEHAVIOR_NAME


def test_behavior_data_of_another_session_do_not_stand_in() -> None:
    day = (data_asset(), data_asset(LATER_NAME), data_asset(LATER_NAME.replace("ecephys", "behavior")))
    assert found(*day, others=(record(SECOND),), verdict=Verdicts(**NOT_MAIN)).raw is False
    day = (*day, data_asset(BEHAVIOR_NAME))
    assert name_of(found(*day, others=(record(SECOND),), verdict=Verdicts(**NOT_MAIN)).raw) == BEHAVIOR_NAME


def test_raw_data_that_cannot_be_looked_into_keep_what_is_recorded() -> None:
    unsure = Verdicts(**{RAW_NAME: None})
    facts = found(data_asset(), data_asset(BEHAVIOR_NAME), verdict=unsure)
    assert (facts.raw, facts.surface, facts.surface_sorted) == (None, None, None)
    for verdict in (Verdicts(), Verdicts(**NOT_MAIN)):
        before = record(codeocean=found(data_asset(), data_asset(SORTED_NAME), verdict=verdict))
        seen = facts_of(data_asset(), data_asset(SORTED_NAME), session=before, verdict=unsure)
        assert reconcile_session(SESSION, before, [Observation("codeocean", {SESSION: seen})]) is before


def test_what_has_arrived_is_not_looked_for_again() -> None:
    verdict = Verdicts()
    seen = record(s3={"raw": {"asset": data_asset().id, "behavior": ["behavior"]}})
    assert name_of(found(data_asset(), session=seen, verdict=verdict).raw) == RAW_NAME
    assert verdict.asked_of_raw == []
    for listing in ({"asset": data_asset().id, "ecephys": ["ecephys"]}, {"asset": "older", "behavior": ["behavior"]}):
        verdict = Verdicts()
        found(data_asset(), session=record(s3={"raw": listing}), verdict=verdict)
        assert verdict.asked_of_raw == [RAW_NAME]


@pytest.mark.parametrize(
    "session", [record(tracked=tracked("behavior_with_sync")), record(tracked=False, training=training())]
)
def test_only_ephys_sessions_need_a_main_recording(session: Record) -> None:
    assert name_of(found(data_asset(), session=session, verdict=Verdicts(**NOT_MAIN)).raw) == RAW_NAME


def test_a_second_session_of_the_day_needs_one_if_it_is_listed() -> None:
    verdict = Verdicts(**{LATER_NAME: "no behavior"})
    assets = (data_asset(), data_asset(LATER_NAME), data_asset(SURFACE_SORTED_NAME))
    assert found(*assets, session=record(SECOND), verdict=verdict).raw is False
    assert name_of(found(*assets, session=record(SECOND, tracked=None), verdict=verdict).raw) == LATER_NAME


def test_rivals_are_raw_data_of_one_recording_and_one_second() -> None:
    def ids(*assets: DataAsset, rejected: tuple[str, ...] = ()) -> list[list[str]]:
        facts = select_facts(
            [SESSION],
            by_id(record()),
            {"626791": assets},
            lambda one: "no behavior" if one.id in rejected else "",
        )
        return [[one.id for one in group] for group in ambiguous_assets(facts.values(), assets, rejected)]

    def raw(name: str, number: int, **more: Any) -> DataAsset:
        return data_asset(name, id=str(number), created=7, **more)

    assert ids(raw(RAW_NAME, 1), raw(RAW_NAME, 2), data_asset(id="3", created=6)) == [["2", "1"]]
    assert ids(raw(RAW_NAME, 1), raw(RAW_NAME, 2), data_asset(id="3", created=8)) == []
    assert ids(raw(RAW_NAME, 1), raw(LATER_NAME, 2), raw(RAW_NAME, 3, **NOT_RAW), raw(SMARTSPIM_NAME, 4)) == []
    assert ids(raw(RAW_NAME, 1), raw(LATER_NAME, 2), raw(LATER_NAME, 3)) == [["3", "2"]], "of surface channels"
    both = (raw(RAW_NAME, 1), raw(RAW_NAME, 2))
    assert ids(*both, rejected=("2",)) == [], "files have decided"
    assert ids(*both, raw(RAW_NAME, 3), rejected=("3",)) == [["2", "1"]]
    beside = (raw(BEHAVIOR_NAME, 1), raw(BEHAVIOR_NAME, 2))
    assert ids(raw(RAW_NAME, 5), *beside) == [], "nobody uses them"
    assert ids(*beside) == [["2", "1"]]
    other_day = [raw(RAW_NAME.replace("2022-08-15", "2022-08-16"), number) for number in (1, 2)]
    assert ids(raw(RAW_NAME, 3), *other_day) == [], "of no session that is asked about"


# --- any assets ----------------------------------------------------------------------------------

NAMES = (RAW_NAME, LATER_NAME, SORTED_NAME, SORTED_AGAIN_NAME, SURFACE_SORTED_NAME, BEHAVIOR_NAME, SMARTSPIM_NAME)
_POOL = [
    data_asset(name, id=f"{name}{n}", created=n, files=files) for name in NAMES for n in (1, 2) for files in (3, 9)
]
_REASONS = ("", "Out of memory.", None)


@given(st.lists(st.sampled_from(_POOL), unique_by=lambda one: one.id), st.randoms(), st.data())
def test_neither_order_nor_a_second_look_changes_what_is_found(
    assets: list[DataAsset], random: Any, data: st.DataObject
) -> None:
    said = {name: data.draw(st.sampled_from(_REASONS)) for name in NAMES}
    first = facts_of(*assets, verdict=Verdicts(**said))
    assert facts_of(*random.sample(assets, len(assets)), verdict=Verdicts(**said)) == first
    seen = reconcile_session(SESSION, record(), [Observation("codeocean", {SESSION: first})])
    second = facts_of(*assets, session=seen, verdict=Verdicts(**said))
    assert reconcile_session(SESSION, seen, [Observation("codeocean", {SESSION: second})]) is seen


@given(st.lists(st.sampled_from(_POOL), unique_by=lambda one: one.id), st.data())
def test_buckets_that_cannot_be_read_change_nothing(assets: list[DataAsset], data: st.DataObject) -> None:
    said = {name: data.draw(st.sampled_from(_REASONS)) for name in NAMES}
    first = facts_of(*assets, verdict=Verdicts(**said))
    seen = reconcile_session(SESSION, record(), [Observation("codeocean", {SESSION: first})])
    blind = facts_of(*assets, session=seen, verdict=Verdicts(**dict.fromkeys(NAMES)))
    assert reconcile_session(SESSION, seen, [Observation("codeocean", {SESSION: blind})]) is seen


def test_no_assets_builder_is_what_a_look_at_nothing_gives() -> None:
    assert (
        found(data_asset(**NOT_RAW), data_asset(SMARTSPIM_NAME)).model_copy(update={"smartspim": False}) == no_assets()
    )
