"""Who waits longer than others did, and what that is measured by."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.dashboard.totals import MIN_EXAMPLES, MIN_WAIT, Stall, find_stalls
from npc_lims.model.flags import BOOLEAN_FLAGS, FLAGS, STAGES
from npc_lims.model.record import Record
from npc_lims.processing.process import FACTS
from tests.builders import RAW_NAME, asset, listing, no_assets, nothing_on_s3, record, tracked
from tests.strategies import recorded

NOW = datetime.datetime(2024, 7, 1, tzinfo=datetime.timezone.utc)
UPLOADED = datetime.datetime(2024, 6, 1, tzinfo=datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


def text(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def session(number: int) -> str:
    return f"{700000 + number}_2024-05-31"


def uploaded(number: int, when: datetime.datetime = UPLOADED, *, said: Mapping[str, Any] = {}, **facts: Any) -> Record:
    raw = asset(RAW_NAME, created=text(when))
    there = nothing_on_s3(raw=listing(ecephys=["ecephys_clipped"], videos=["Eye.mp4"]))
    return record(session(number), tracked=tracked(**said), codeocean=no_assets(raw=raw, **facts), s3=there)


def sorted_after(number: int, days: float) -> Record:
    return uploaded(number, sorted=asset("sorted", created=text(UPLOADED + days * DAY)))


def stalls(*records: Record, seen: Mapping[str, Mapping[str, datetime.datetime]] | None = None) -> dict[str, Stall]:
    found = find_stalls([one.as_dict() for one in records], seen or {}, NOW)
    return {stall.stage.name: stall for stall in found}


def test_steps_name_flags_and_facts() -> None:
    assert {step.name for step in STAGES} <= set(BOOLEAN_FLAGS)
    assert {FLAGS[step.name].asset for step in STAGES} - {"", "raw"} <= set(FACTS)
    taken: set[str] = set()
    for step in STAGES:
        assert not step.after or step.after in taken, "a step comes after the one that it needs"
        taken.add(step.name)


def test_the_figures_are_those_of_the_others() -> None:
    """Ten sessions took 1 to 10 days: half of them at most 5, nine tenths at most 9."""
    others = [sorted_after(number, number) for number in range(1, 11)]
    waiting = [uploaded(20, NOW - 20 * DAY), uploaded(21, NOW - 9 * DAY), uploaded(22, NOW - 9.1 * DAY)]
    stall = stalls(*others, *waiting)["is_sorted"]
    assert (stall.median, stall.ninth_decile, stall.examples) == (5 * DAY, 9 * DAY, 10)
    assert [(one.session, one.since) for one in stall.waiting] == [
        (session(22), NOW - 9.1 * DAY),
        (session(20), NOW - 20 * DAY),
    ], "longer than nine tenths of the others, the last that began first"


@pytest.mark.parametrize(("examples", "is_reported"), [(MIN_EXAMPLES - 1, False), (MIN_EXAMPLES, True)])
def test_few_examples_give_no_median(examples: int, is_reported: bool) -> None:
    others = [sorted_after(number, 1) for number in range(examples)]
    assert ("is_sorted" in stalls(*others, uploaded(20))) is is_reported


def test_a_wait_that_a_late_sync_explains_is_no_stall() -> None:
    others = [sorted_after(number, 0.1) for number in range(10)]
    assert "is_sorted" not in stalls(*others, uploaded(20, NOW - MIN_WAIT))
    assert "is_sorted" in stalls(*others, uploaded(20, NOW - MIN_WAIT - DAY))


@pytest.mark.parametrize(
    "said",
    [
        {"issues": ["https://github.com/AllenInstitute/npc_lims/issues/5"]},
        {"session_kwargs": {"is_production": False}},
        {"platform": "behavior"},
    ],
    ids=["somebody knows", "not for production", "does not apply"],
)
def test_sessions_that_are_not_expected_to_go_on(said: dict[str, Any]) -> None:
    others = [sorted_after(number, 1) for number in range(10)]
    assert "is_sorted" not in stalls(*others, uploaded(20, said=said))


def test_a_step_that_most_do_without_is_not_usual() -> None:
    others = [sorted_after(number, 1) for number in range(10)]
    without = [uploaded(20 + number) for number in range(10)]
    assert len(stalls(*others, *without)["is_sorted"].waiting) == 10
    assert "is_sorted" not in stalls(*others, *without, uploaded(40))
    undated = record(session(41), codeocean=no_assets(sorted=asset("sorted")), s3=nothing_on_s3())
    assert len(stalls(*others, undated, *without, uploaded(40))["is_sorted"].waiting) == 11, "that one took it, too"


def test_only_what_is_ready_for_a_step_waits_for_it() -> None:
    """A raw asset has a date, but without recordings in its folder on S3 the session is not uploaded."""
    others = [sorted_after(number, 1) for number in range(10)]
    empty = record(session(20), codeocean=uploaded(20).codeocean, s3=nothing_on_s3(raw=listing()))
    assert empty.status["is_uploaded"] is False
    assert "is_sorted" not in stalls(*others, empty)


def test_a_step_that_was_taken_before_it_could_be_took_no_time() -> None:
    stall = stalls(*(sorted_after(number, -1) for number in range(10)), uploaded(20))["is_sorted"]
    assert (stall.median, stall.ninth_decile) == (0 * DAY, 0 * DAY)


def test_unknown_is_no_wait() -> None:
    others = [sorted_after(number, 1) for number in range(10)]
    assert "is_sorted" not in stalls(*others, uploaded(20, sorted=None))


def test_without_an_upload_the_day_of_the_session_counts() -> None:
    others = [uploaded(number, UPLOADED + DAY) for number in range(10)]
    never = record(session(20), codeocean=no_assets(), s3=nothing_on_s3())
    stall = stalls(*others, never)["is_uploaded"]
    assert stall.ninth_decile == 2 * DAY
    assert [one.since for one in stall.waiting] == [datetime.datetime(2024, 5, 31, tzinfo=datetime.timezone.utc)]


def test_history_dates_what_no_asset_dates() -> None:
    """Annotations are files on S3, of which state has no date."""

    def annotated(number: int, **facts: Any) -> Record:
        one = sorted_after(number, 1)
        there = nothing_on_s3(raw=listing(ecephys=["ecephys_clipped"]), **facts)
        return record(one.id, codeocean=one.codeocean, s3=there)

    others = [annotated(number, ibl_annotations=["probeA"]) for number in range(10)]
    waiting = annotated(20)
    assert "is_annotated" not in stalls(*others, waiting), "nothing tells how long others took"
    seen = {one.id: {"is_annotated": UPLOADED + 4 * DAY} for one in others}
    stall = stalls(*others, waiting, seen=seen)["is_annotated"]
    assert (stall.ninth_decile, [one.session for one in stall.waiting]) == (3 * DAY, [waiting.id])


def test_a_second_sorting_is_no_late_one() -> None:
    """The result that is recorded is the newest one; history knows when there was a first."""
    others = [sorted_after(number, 25) for number in range(10)]
    waiting = uploaded(20, NOW - 10 * DAY)
    assert "is_sorted" not in stalls(*others, waiting)
    seen = {one.id: {"is_sorted": UPLOADED + 2 * DAY} for one in others}
    assert stalls(*others, waiting, seen=seen)["is_sorted"].ninth_decile == 2 * DAY


@given(recorded(), st.datetimes(timezones=st.just(datetime.timezone.utc)))
def test_waiting_sessions_are_ready_and_not_done(records: dict[str, Record], now: datetime.datetime) -> None:
    for stall in find_stalls([one.as_dict() for one in records.values()], {}, now):
        for one in stall.waiting:
            assert records[one.session].status[stall.stage.name] is False
            assert now - one.since > stall.ninth_decile >= stall.median
