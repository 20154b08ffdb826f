"""Training rows on days with a tracked ephys session: which session each belongs to, and what is left over."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from npc_lims.config.settings import load_settings
from npc_lims.model.reconcile import reconcile
from npc_lims.model.record import Observation, Record, Training
from npc_lims.model.recording_days import (
    files_of_session,
    is_folder_of,
    reconcile_days,
    reconcile_scope,
    recording_start,
    report_other_rows,
)
from npc_lims.sessions.info import SessionInfo
from npc_lims.state.compare import parse_facts
from npc_lims.state.store import read_state, write_state
from tests.builders import (
    LATER_NAME,
    RAW_NAME,
    SECOND,
    SESSION,
    asset,
    by_id,
    no_assets,
    observation,
    record,
    tracked,
    training,
)
from tests.strategies import looks, recorded

THIRD = f"{SESSION}_2"
MORNING = training(row=1, start_time="2022-08-15 09:00:00", rig_name="B2")
TASK = training(row=2, start_time="2022-08-15 13:24:00", rig_name="NP2")
EVENING = training(row=3, start_time="2022-08-15 18:00:00", rig_name="B3")
UPLOADED = no_assets(raw=asset())  # 13:07:32


def rows(*found: Training, **more: Any) -> Observation:
    ids = (SESSION, SECOND, THIRD)
    return Observation("training", facts=dict(zip(ids, found)), **{"complete": True, **more})


def listed(*facts: Any, **more: Any) -> Observation:
    ids = (SESSION, SECOND, THIRD)
    return Observation("tracked", facts=dict(zip(ids, facts)), **{"complete": True, **more})


def with_others(row: Training, *others: Training) -> Training:
    return row.model_copy(update={"other_rows": list(others)})


UNCHANGED = Observation("training", unchanged=True)
FAILED = Observation("training")
HABITUATION = "behavior_626791_2022-08-15_09-05-12"
ASSETS = Observation("codeocean", facts={SESSION: UPLOADED})


@pytest.mark.parametrize("order", [(MORNING, TASK), (TASK, EVENING), (MORNING, TASK, EVENING)])
def test_the_row_closest_to_the_recording_belongs_to_the_session(order: tuple[Training, ...]) -> None:
    after = reconcile_days({}, [listed(tracked()), rows(*order), ASSETS])
    assert list(after) == [SESSION]
    assert after[SESSION].training == with_others(TASK, *(row for row in order if row is not TASK))


def test_nothing_changes_the_second_time() -> None:
    seen = [listed(tracked()), rows(MORNING, TASK), ASSETS]
    once = reconcile_days({}, seen)
    for again in (seen, [listed(tracked()), UNCHANGED], [UNCHANGED], []):
        twice = reconcile_days(once, again)
        assert list(twice) == [SESSION]
        assert twice[SESSION] is once[SESSION]


def test_a_day_that_becomes_a_recording_day_after_the_workbook_was_read() -> None:
    before = reconcile_days({}, [listed(), rows(MORNING, TASK)])
    assert list(before) == [SESSION, SECOND]
    for training_now in (UNCHANGED, FAILED):
        after = reconcile_days(before, [listed(tracked()), training_now, ASSETS])
        assert list(after) == [SESSION]
        assert after[SESSION].training == with_others(TASK, MORNING)


def test_a_day_that_is_no_recording_day_any_more() -> None:
    before = reconcile_days({}, [listed(tracked()), rows(MORNING, TASK), ASSETS])
    after = reconcile_days(before, [listed(), UNCHANGED])
    assert {id_: one.training for id_, one in after.items()} == {SESSION: MORNING, SECOND: TASK}
    assert after[SECOND].tracked is False


def test_a_start_that_is_known_after_the_workbook_was_read() -> None:
    before = reconcile_days({}, [listed(tracked()), rows(MORNING, TASK)])
    assert before[SESSION].training == with_others(MORNING, TASK), "the first one, until more is known"
    after = reconcile_days(before, [UNCHANGED, ASSETS])
    assert after[SESSION].training == with_others(TASK, MORNING)


def test_a_row_stays_a_session_while_the_tracked_file_cannot_be_read() -> None:
    before = by_id(record(training=MORNING, codeocean=UPLOADED), record(SECOND, tracked=False, training=TASK))
    after = reconcile_days(before, [Observation("tracked"), UNCHANGED])
    assert after[SESSION].training == with_others(TASK, MORNING)
    assert after[SECOND] is before[SECOND]
    assert list(reconcile_days(after, [Observation("tracked", unchanged=True), UNCHANGED])) == [SESSION]


def test_a_row_that_is_gone_is_gone() -> None:
    before = reconcile_days({}, [listed(tracked()), rows(MORNING, TASK), ASSETS])
    after = reconcile_days(before, [rows(TASK)])
    assert after[SESSION].training == TASK
    assert reconcile_days(before, [rows()])[SESSION].training is False


def test_sessions_outside_the_scope_stay_and_their_rows_take_part() -> None:
    before = reconcile_days({}, [listed(), rows(MORNING, TASK)])
    after = reconcile_scope(before, [listed(tracked()), UNCHANGED, ASSETS], {SESSION})
    assert after[SESSION].training == with_others(TASK, MORNING)
    assert after[SECOND] is before[SECOND]
    assert list(reconcile_days(after, [listed(tracked()), UNCHANGED])) == [SESSION]
    fresh = reconcile_scope({}, [listed(tracked()), rows(MORNING, TASK), ASSETS], {SESSION})
    assert fresh[SESSION].training == with_others(TASK, MORNING)


PATH = "//allen/pilot recordings/2022-08-15_{}_626791"


def test_two_recordings_of_a_day_have_the_row_of_each() -> None:
    first, second = (tracked(allen_path=PATH.format(time)) for time in ("13-07-32", "17-45-00"))
    after = reconcile_days({}, [listed(first, second), rows(MORNING, TASK, EVENING)])
    assert {id_: one.training for id_, one in after.items()} == {
        SESSION: with_others(TASK, MORNING),
        SECOND: EVENING,
    }
    after = reconcile_days({}, [listed(first, second), rows(EVENING)])
    assert {id_: one.training for id_, one in after.items()} == {SESSION: False, SECOND: EVENING}


def test_only_the_second_of_a_day_is_tracked() -> None:
    seen = [Observation("tracked", facts={SECOND: tracked()}, complete=True), rows(TASK)]
    after = reconcile_days({}, seen)
    assert {id_: one.training for id_, one in after.items()} == {SECOND: TASK}


def test_a_row_without_a_time_of_day_is_the_last_to_be_given() -> None:
    dateless = training(row=1, start_time="2022-08-15 00:00:00")
    for more in ([], [ASSETS]):
        after = reconcile_days({}, [listed(tracked()), rows(dateless, EVENING), *more])
        assert after[SESSION].training == with_others(EVENING, dateless)
    assert reconcile_days({}, [listed(tracked()), rows(dateless), ASSETS])[SESSION].training == dateless


@pytest.mark.parametrize("platform", ["behavior", "behavior_with_sync"])
def test_without_an_ephys_session_each_row_is_a_session(platform: str) -> None:
    after = reconcile_days({}, [listed(tracked(platform)), rows(MORNING, TASK)])
    assert {id_: one.training for id_, one in after.items()} == {SESSION: MORNING, SECOND: TASK}


@pytest.mark.parametrize(
    ("path", "assets", "start"),
    [
        ("//allen/DRpilot_626791_20220815", None, None),
        ("//allen/DRpilot_626791_20220815", UPLOADED, "2022-08-15 13:07:32"),
        (PATH.format("13-00-00"), None, "2022-08-15 13:00:00"),
        (PATH.format("13-00-00"), UPLOADED, "2022-08-15 13:07:32"),
        (PATH.format("13-00-00"), no_assets(), "2022-08-15 13:00:00"),
        (PATH.format("13-00-00"), no_assets(raw=asset(HABITUATION)), "2022-08-15 13:00:00"),
        ("//allen/DRpilot_626791_20220815", no_assets(raw=asset(HABITUATION)), "2022-08-15 09:05:12"),
        ("//allen/DRpilot_626791_20220815", no_assets(surface=asset(LATER_NAME)), "2022-08-15 15:00:00"),
    ],
)
def test_when_a_recording_started(path: str, assets: Any, start: str | None) -> None:
    found = recording_start(record(tracked=tracked(allen_path=path), codeocean=assets))
    assert (None if found is None else str(found)) == start


def test_each_row_that_is_no_session_is_a_warning_with_its_place() -> None:
    read = dataclasses.replace(rows(MORNING, TASK), lines={SESSION: 5, SECOND: 6}, counts={"problems": 1})
    seen = [listed(tracked()), read, ASSETS]
    after = reconcile_days({}, seen)
    (reported,) = (one for one in report_other_rows({}, after, seen) if one.problems)
    assert reported.source == "training"
    assert reported.counts == {"problems": 2}
    (problem,) = reported.problems
    assert (problem.file, problem.line, problem.severity) == ("DynamicRoutingTraining.xlsx[626791]", 5, "warning")
    assert problem.message.startswith("row 1 below the header (2022-08-15 09:00:00) is no session: row 2 ")
    assert report_other_rows(after, after, [UNCHANGED]) == (UNCHANGED,), "once"
    edited = [Observation("tracked", facts={SESSION: tracked()}, complete=True)]
    before = by_id(record(training=MORNING, tracked=False), record(SECOND, training=TASK, tracked=False))
    (reported,) = report_other_rows(before, reconcile_days(before, edited), edited)
    assert [(one.file, one.line) for one in reported.problems] == [("DynamicRoutingTraining.xlsx[626791]", 0)]


@given(recorded(), looks())
def test_any_records_settle_at_once(before: dict[str, Record], seen: list[Observation]) -> None:
    once = reconcile_days(before, seen)
    twice = reconcile_days(once, seen)
    assert list(twice) == list(once)
    assert all(twice[session_id] is once[session_id] for session_id in once)


@given(recorded(), looks())
def test_other_sources_are_not_touched(before: dict[str, Record], seen: list[Observation]) -> None:
    plain, after = reconcile(before, seen), reconcile_days(before, seen)
    for session_id in after.keys() & plain.keys():
        for section in ("tracked", "codeocean", "s3"):
            assert getattr(after[session_id], section) == getattr(plain[session_id], section)


def test_observation_of_one_session_is_untouched() -> None:
    seen = [observation("training", found=TASK)]
    assert reconcile_days({}, seen)[SESSION].training == TASK


def test_a_session_file_with_other_rows_is_read_back_everywhere(tmp_path: Path) -> None:
    """In the store, as a version of history, and as what callers see."""
    sitting = reconcile_days({}, [listed(tracked()), rows(MORNING, TASK), ASSETS])
    write_state(tmp_path, read_state(tmp_path), sitting)
    assert read_state(tmp_path).records == sitting
    path = f"sessions/626791/{SESSION}.yaml"
    content = (tmp_path / path).read_bytes()
    facts = parse_facts(content, Path(path))
    assert facts["training"]["other_rows"][0]["rig_name"] == "B2"
    info = SessionInfo.from_record(facts, load_settings({}, tmp_path))
    assert (info.rig, info.behavior_day, "other_rows" in info.training_info) == ("NP2", 2, False)


def test_files_of_sessions_without_other_rows_stay_as_they_were() -> None:
    assert set(record(training=TASK).as_dict()["training"]) == {"nsb", "row", "start_time", "rig_name"}


# --- stimulus files

FILES = [f"DynamicRouting1_626791_20220815_{time}.hdf5" for time in ("085900", "090000", "132359", "180000")]


@pytest.mark.parametrize(
    ("day", "files"),
    [
        ({SESSION: record(tracked=False, training=MORNING)}, {SESSION: FILES}),
        (
            {SESSION: record(tracked=False, training=MORNING), SECOND: record(SECOND, tracked=False, training=TASK)},
            {SESSION: FILES[:2], SECOND: FILES[2:], THIRD: FILES},
        ),
        (
            {SESSION: record(codeocean=UPLOADED), SECOND: record(SECOND, tracked=False, training=EVENING)},
            {SESSION: FILES[:3], SECOND: FILES[3:]},
        ),
        ({SESSION: record(), SECOND: record(SECOND, tracked=False, training=EVENING)}, {SESSION: FILES, SECOND: FILES}),
        (
            {
                SESSION: record(tracked=tracked("behavior", allen_path=PATH.format("20-00-00")), training=MORNING),
                SECOND: record(SECOND, tracked=False, training=TASK),
            },
            {SESSION: FILES[:2], SECOND: FILES[2:]},
        ),
    ],
    ids=["one", "two rows", "a recording and a row", "no start", "a row before the path"],
)
def test_each_session_of_a_day_has_its_own_files(day: dict[str, Record], files: dict[str, list[str]]) -> None:
    assert {id_: files_of_session(FILES, id_, day) for id_ in files} == files


# --- folders that are named after a recording

OWN, SURFACE_FOLDER, NO_TIME, INDEXED = (RAW_NAME, f"{LATER_NAME}_sorted", SESSION, f"{SESSION}_1")


@pytest.mark.parametrize(
    ("session", "own"),
    [
        (record(), [OWN, SURFACE_FOLDER, NO_TIME]),
        (record(codeocean=no_assets(raw=asset())), [OWN, NO_TIME]),
        (record(codeocean=no_assets(raw=asset(), surface=asset(LATER_NAME))), [OWN, NO_TIME]),
        (record(codeocean=no_assets(surface=asset(RAW_NAME))), [SURFACE_FOLDER, NO_TIME]),
        (record(SECOND, codeocean=no_assets(raw=asset(LATER_NAME))), [SURFACE_FOLDER, INDEXED]),
        (record(SECOND), [INDEXED]),
    ],
)
def test_folders_of_a_session(session: Record, own: list[str]) -> None:
    assert [name for name in (OWN, SURFACE_FOLDER, NO_TIME, INDEXED) if is_folder_of(name, session)] == own
