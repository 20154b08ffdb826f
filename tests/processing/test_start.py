"""A run is never started twice and never lost, whatever happens on the way."""

from __future__ import annotations

import dataclasses
import datetime
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from npc_lims.errors import ComputationError, StateError
from npc_lims.processing.plan import CLAIM_LIFETIME
from npc_lims.processing.process import Limits
from npc_lims.processing.runs import Run, apply_updates, read_runs
from npc_lims.processing.start import request_of
from npc_lims.processing.workflow import locked, record
from npc_lims.utils.timestamps import utc_text
from tests import builders
from tests.processing.rig import (
    CAPSULE,
    SESSIONS,
    START,
    TOKEN,
    Rig,
    dispatcher,
    make_rig,
    posts,
    process,
    raw_name,
    sessions,
    whats,
    write_sessions,
    writes,
)
from tests.servers.codeocean import asset_id, make_asset
from tests.servers.faults import Fault, Lose, Refuse, Status
from tests.servers.fixtures import Serve
from tests.servers.web import Request

ROOT = Path(__file__).resolve().parents[2]
FIRST, SECOND, THIRD = SESSIONS
NEWEST_FIRST = SESSIONS[::-1]
LATER = CLAIM_LIFETIME + datetime.timedelta(minutes=1)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def input_of(session: str) -> dict[str, Any]:
    return {"id": asset_id(raw_name(session)), "mount": "x"}


def start_by_hand(rig: Rig, session: str, **more: Any) -> str:
    """Somebody runs the capsule on the session's raw data."""
    return rig.server.add_computation(capsule_id=CAPSULE, data_assets=[input_of(session)], **more)


# --- what is started ------------------------------------------------------------------------------


def test_each_claim_is_started_named_and_recorded(rig: Rig) -> None:
    steps = rig.run()
    assert whats(steps) == ["started"] * 3
    assert [step.run.session for step in steps] == list(NEWEST_FIRST)
    rig.assert_one_each()
    names = {one["id"]: one["name"] for one in rig.server.computations}
    assert all(names[str(run.computation)] == run.name("dlc_eye") for run in rig.runs)
    assert all(run.started is not None and run.outcome is None for run in rig.runs)
    # nothing is left to claim
    assert rig.run() == []
    assert len(posts(rig.proxy.requests)) == 3


def test_without_claims_nothing_is_queried(rig: Rig) -> None:
    assert rig.start([]) == []
    assert rig.proxy.requests == []


def test_a_step_is_yielded_before_the_next_is_requested(rig: Rig) -> None:
    from npc_lims.processing.start import start

    claims = rig.claim()
    steps = start(rig.service(), rig.process, claims, rig.state(()))
    for count, _ in zip((1, 2, 3), steps):
        assert len(rig.server.computations) == count


def test_parameters_and_attachments_of_a_dispatcher(rig: Rig) -> None:
    rig.process = dispatcher()
    rig.run(limit=1)
    (run,) = rig.server.computations
    assert run["data_assets"] == []
    values = {each["param_name"]: each["value"] for each in run["parameters"]}
    assert values == {"raw_data_asset_id": asset_id(raw_name(THIRD)), "processes": "GammaEncoding", "dry_run": "0"}


def test_runs_of_one_dispatcher_are_distinguished_by_their_parameters(rig: Rig) -> None:
    rig.process = dispatcher("LPFaceParts")
    rig.run()
    rig.process, others, rig.runs = dispatcher("GammaEncoding"), rig.runs, ()
    assert whats(rig.run()) == ["started"] * 3
    assert len(rig.going()) == 6
    assert not {run.computation for run in others} & {run.computation for run in rig.runs}
    # and found again by them
    rig.runs = ()
    assert whats(rig.run()) == ["found"] * 3


def test_a_claim_for_an_input_that_is_replaced_is_released(rig: Rig) -> None:
    claims = rig.claim()
    rig.records = {**rig.records, THIRD: rig.records[FIRST].model_copy(update={"id": THIRD})}
    steps = rig.start(claims)
    assert whats(steps) == ["not started", "started", "started"]
    assert "another one by now" in steps[0].detail
    assert sorted(run.session for run in rig.runs) == [FIRST, SECOND]


def test_a_claim_whose_parameters_name_a_raw_asset_that_is_gone_is_released(rig: Rig) -> None:
    """As with LPFaceParts, whose input is another asset: that is still there."""
    made = builders.asset(f"{raw_name(THIRD)}_GammaEncoding_2024-04-01_10-00-00")
    facts = {"raw": builders.asset(raw_name(THIRD)), "GammaEncoding": made}
    rig.process = dispatcher("LPFaceParts", input="GammaEncoding", done="is_LPFaceParts")
    rig.records = {THIRD: builders.record(THIRD, codeocean=builders.no_assets(**facts))}
    claims = rig.claim()
    rig.records = {THIRD: builders.record(THIRD, codeocean=builders.no_assets(GammaEncoding=made))}
    assert whats(rig.start(claims)) == ["not started"]
    assert rig.runs == ()
    assert not posts(rig.proxy.requests)


# --- answers that are lost ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [Lose(), Lose(instead=Status(502)), Lose(instead=Status(503, {"Retry-After": "9"})), Lose(2)]
)
def test_a_run_whose_answer_is_lost_is_found(fault: Fault, rig: Rig) -> None:
    claims = rig.claim()
    lost = iter([fault])
    rig.proxy.rule = lambda request: next(lost, None) if request.method == "POST" else None
    steps = rig.start(claims, NPC_LIMS_TIMEOUT="1")
    assert whats(steps) == ["found", "started", "started"]
    rig.assert_one_each()
    assert len(posts(rig.proxy.requests)) == 3


@pytest.mark.parametrize("fault", [Refuse(), Status(502), Status(500), Status(408)])
def test_one_that_did_not_begin_keeps_its_claim_and_the_rest_is_released(fault: Fault, rig: Rig) -> None:
    claims = rig.claim()
    lost = iter([None, fault])
    rig.proxy.rule = lambda request: next(lost, None) if request.method == "POST" else None
    with pytest.raises(ComputationError, match="its start was requested"):
        rig.start(claims)
    assert rig.recorded().keys() == {THIRD}
    assert [run.session for run in rig.runs if run.is_claim] == [SECOND]
    # it is not started as long as somebody may be at it, and looked for before it is started
    assert whats(rig.run()) == ["started"]
    assert whats(rig.run(now=now() + LATER)) == ["started"]
    rig.assert_one_each()


def test_one_that_begins_late_is_found_by_the_next(rig: Rig) -> None:
    claims = rig.claim(limit=1)
    rig.proxy.rule = lambda request: Status(504) if request.method == "POST" else None
    with pytest.raises(ComputationError):
        rig.start(claims)
    rig.proxy.rule = None
    late = start_by_hand(rig, THIRD, state="running")
    assert whats(rig.run()) == ["found", "started", "started"]
    assert rig.recorded()[THIRD] == late
    rig.assert_one_each()


def test_one_that_cannot_be_looked_for_stays_claimed(rig: Rig) -> None:
    claims = rig.claim()
    listings = iter([None])
    rig.proxy.rule = lambda request: Lose() if request.method == "POST" else next(listings, Status(500))
    with pytest.raises(ComputationError, match="500"):
        rig.start(claims)
    assert [run.session for run in rig.runs] == [THIRD]
    rig.proxy.rule = None
    assert whats(rig.run()) == ["found", "started", "started"]
    rig.assert_one_each()


# --- refusals -------------------------------------------------------------------------------------


def test_when_code_ocean_is_busy_claims_are_released(rig: Rig) -> None:
    claims = rig.claim()
    answers = iter([None, Status(429)])
    rig.proxy.rule = lambda request: next(answers, None) if request.method == "POST" else None
    steps = rig.start(claims)
    assert whats(steps) == ["started", "not started", "not started"]
    assert [run.session for run in rig.runs] == [THIRD]
    assert len(posts(rig.proxy.requests)) == 2
    rig.run()
    rig.assert_one_each()


def test_a_run_that_is_refused_is_a_try_and_the_others_go_on(rig: Rig) -> None:
    rig.server.assets = [one for one in rig.server.assets if one["name"] != raw_name(SECOND)]
    steps = rig.run()
    assert whats(steps) == ["started", "refused", "started"]
    (refused,) = [run for run in rig.runs if run.outcome == "errored"]
    assert refused.session == SECOND
    assert refused.reason.startswith("Code Ocean refused to start it: there is no data asset")
    assert whats(rig.run()) == ["refused"]
    assert rig.run() == []
    assert len([run for run in rig.runs if run.session == SECOND]) == 2


@pytest.mark.parametrize(("status", "says"), [(401, "expired"), (403, "not allowed"), (404, "answered 404")])
def test_a_token_that_may_not_start_stops_the_process(status: int, says: str, rig: Rig) -> None:
    claims = rig.claim()
    rig.proxy.rule = lambda request: Status(status) if request.method == "POST" else None
    with pytest.raises(ComputationError, match=says) as caught:
        rig.start(claims)
    assert TOKEN not in str(caught.value)
    assert rig.runs == ()
    assert rig.server.computations == ()


def test_where_runs_cannot_be_listed_nothing_is_started(rig: Rig) -> None:
    claims = rig.claim()
    rig.proxy.rule = lambda request: Status(500) if request.method == "GET" else None
    with pytest.raises(ComputationError, match="500"):
        rig.start(claims)
    assert rig.runs == ()
    assert writes(rig.proxy.requests) == []


def test_a_run_that_cannot_be_named_is_recorded_all_the_same(rig: Rig) -> None:
    rig.proxy.rule = lambda request: Status(403) if request.method == "PATCH" else None
    steps = rig.run()
    assert whats(steps) == ["started"] * 3
    assert all("could not be named" in step.detail for step in steps)
    rig.assert_one_each()


# --- what others started --------------------------------------------------------------------------


def test_a_run_that_somebody_started_by_hand_is_taken_over(rig: Rig) -> None:
    by_hand = start_by_hand(rig, SECOND, name="Look at the eye again", created=int(time.time()) - 90_000)
    steps = rig.run()
    assert whats(steps) == ["started", "found", "started"]
    assert rig.recorded()[SECOND] == by_hand
    rig.assert_one_each()
    # a name that a person gave stays
    assert {one["name"] for one in rig.server.computations} >= {"Look at the eye again"}


def test_neither_an_old_run_nor_somebody_at_work_is_taken_over(rig: Rig) -> None:
    old = start_by_hand(rig, FIRST, created=int(time.time()) - 3600)
    rig.server.finish(old, files={"nwb": b"x"})
    start_by_hand(rig, SECOND, cloud_workstation=True, state="running")
    assert whats(rig.run()) == ["started"] * 3


def test_the_run_of_an_earlier_try_is_not_taken_for_the_next(rig: Rig) -> None:
    rig.run(limit=1)
    (first,) = rig.runs
    rig.server.finish(str(first.computation), "failed")
    rig.runs = apply_updates(rig.runs, [first.model_copy(update={"outcome": "errored", "reason": "it failed"})])
    assert whats(rig.run(limit=1)) == ["started"]
    assert [run.attempt for run in rig.runs] == [1, 2]
    # also where the record of the first is not at hand
    before, rig.runs = rig.runs, ()
    second = before[1].model_copy(update={"computation": None, "started": None})
    assert whats(rig.start([second])) == ["found"]
    assert rig.recorded()[THIRD] == before[1].computation


def test_two_runs_of_one_input_are_two_with_again(rig: Rig) -> None:
    rig.run(limit=1)
    (first,) = rig.runs
    rig.server.finish(str(first.computation), files={"nwb": b"x"})
    rig.runs = apply_updates(rig.runs, [first.model_copy(update={"outcome": "succeeded"})])
    assert rig.run(sessions=[THIRD]) == []
    assert whats(rig.run(sessions=[THIRD], again=True)) == ["started"]
    assert len(rig.going()) == 1


def test_the_limit_counts_what_is_going(rig: Rig) -> None:
    rig.process = process(limits=Limits(running=2, tries=2))
    rig.run()
    assert len(rig.going()) == 2
    assert rig.run() == []
    ended = rig.runs[0]
    rig.server.finish(str(ended.computation), "failed")
    rig.runs = apply_updates(rig.runs, [ended.model_copy(update={"outcome": "errored", "reason": "it failed"})])
    assert whats(rig.run()) == ["started"]
    assert len(rig.going()) == 2


def test_the_limit_holds_where_claims_were_lost_that_are_going(rig: Rig) -> None:
    rig.process = process(limits=Limits(running=1, tries=2))
    start_by_hand(rig, FIRST)
    claimed = now() - LATER
    rig.runs = (rig.claim(now=claimed, sessions=[FIRST], limit=1)[0],)
    # the claim of the first is so old that it does not count
    steps = rig.run()
    assert whats(steps) == ["found", "not started"]
    assert steps[1].detail == "at most 1 run at once"
    assert list(rig.recorded()) == [FIRST]
    assert len(rig.going()) == 1
    assert len(rig.runs) == 1


def test_two_that_start_at_the_same_instant_agree_on_one(serve: Serve) -> None:
    rig = make_rig(serve, same_second=1.5)
    others = [dataclasses.replace(rig) for _ in range(3)]
    barrier = threading.Barrier(len(others))

    def together(request: Request) -> None:
        # nobody starts anything before everybody has seen that there is nothing
        if request.method == "POST" and len(posts(rig.proxy.requests)) <= len(others):
            barrier.wait(60)

    rig.proxy.rule = together
    with ThreadPoolExecutor(len(others)) as pool:
        list(pool.map(lambda one: one.run(), others))
    assert len(posts(rig.proxy.requests)) == 9, "all began all: that is what is to be mended"
    for one in others:
        one.assert_one_each()


@pytest.mark.slow
def test_of_two_in_one_second_the_ids_decide(serve: Serve) -> None:
    """Time enough passes for both to see both, and both decide alike."""
    rig = make_rig(serve, same_second=1.5)
    rig.server.clock = lambda: 1_800_000_000.0
    others = [dataclasses.replace(rig) for _ in range(2)]
    barrier = threading.Barrier(2)
    rig.proxy.rule = lambda request: barrier.wait(60) and None if request.path == START else None
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda one: one.run(limit=1), others))
    (going,) = rig.going()
    assert {one.recorded()[THIRD] for one in others} == {going["id"]}
    assert len([each for each in writes(rig.proxy.requests) if each.startswith("DELETE")]) == 1


def test_the_one_whose_answer_is_lost_is_stopped_where_another_was_quicker(rig: Rig) -> None:
    name = "npc_lims dlc_eye of somebody else"
    elder = []

    def another(request: Request) -> Fault | None:
        if request.path != START or elder:
            return None
        rig.server.clock = lambda: time.time() - 5
        elder.append(start_by_hand(rig, THIRD, name=name))
        rig.server.clock = time.time
        return Lose()

    rig.proxy.rule = another
    rig.run(limit=1)
    assert [one["id"] for one in rig.going()] == elder
    assert rig.recorded() == {THIRD: elder[0]}


def test_of_two_at_once_one_that_the_other_side_has_stopped_is_not_recorded(rig: Rig) -> None:
    elder = []

    def stop(request: Request) -> None:
        if request.method == "PATCH" and not elder:
            (ours,) = rig.going()
            rig.server.clock = lambda: time.time() - 5
            elder.append(start_by_hand(rig, THIRD))
            rig.server._runs.delete(ours["id"])

    rig.proxy.rule = stop
    rig.run(limit=1)
    assert rig.recorded() == {THIRD: elder[0]}


# --- in a state folder ----------------------------------------------------------------------------


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return write_sessions(tmp_path)


def environment(rig: Rig, tmp_path: Path) -> dict[str, str]:
    ours = {
        "CODE_OCEAN_API_TOKEN": TOKEN,
        "CODE_OCEAN_DOMAIN": rig.proxy.url,
        "NPC_LIMS_BACKOFF": "0.01",
        "NPC_LIMS_CACHE_DIR": str(tmp_path / "cache"),
    }
    return {**os.environ, **ours}


def runner(rig: Rig, state: Path, *pause: str) -> subprocess.Popen[str]:
    """A process that runs dlc_eye, and stops for good at the place that *pause* names."""
    command = [sys.executable, "-m", "tests.processing.rig", str(state), *pause]
    return subprocess.Popen(command, cwd=ROOT, env=environment(rig, state.parent), stdout=subprocess.PIPE, text=True)


def kill_at(rig: Rig, state: Path, place: str) -> None:
    with runner(rig, state, place) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == f"{place}\n"
        child.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))


def run_in(rig: Rig, state: Path, at: datetime.datetime | None = None) -> list[str]:
    """Run what is to run, with what the folder records; the folder records what comes of it."""
    rig.runs = read_runs(state, "dlc_eye")
    steps = rig.run(now=at)
    record(state, {"dlc_eye": rig.runs})
    return whats(steps)


def test_killed_between_start_and_record(rig: Rig, state: Path) -> None:
    kill_at(rig, state, "started")
    assert len(rig.going()) == 1
    assert all(run.is_claim for run in read_runs(state, "dlc_eye"))
    # at once: what was begun is recorded, what was not is left to whoever may be at it
    assert run_in(rig, state) == ["found"]
    assert run_in(rig, state) == []
    # when the claims are old, they are taken over
    assert run_in(rig, state, now() + LATER) == ["started", "started"]
    rig.assert_one_each()
    assert len(posts(rig.proxy.requests)) == 3


@pytest.mark.slow
def test_killed_between_start_and_record_and_found_only_after_it_has_ended(rig: Rig, state: Path) -> None:
    kill_at(rig, state, "started")
    (going,) = rig.going()
    rig.server.finish(going["id"], "failed")
    assert run_in(rig, state, now() + LATER)[0] == "found"
    assert rig.recorded()[THIRD] == going["id"]
    assert len(posts(rig.proxy.requests)) == 3


@pytest.mark.slow
def test_killed_before_it_had_a_name(rig: Rig, state: Path) -> None:
    rig.proxy.rule = lambda request: Status(400) if request.method == "PATCH" else None
    kill_at(rig, state, "started")
    rig.proxy.rule = None
    (going,) = rig.going()
    assert going["name"].startswith("Run ")
    rig.server.finish(going["id"], "failed")
    # long over, and known by what it ran on alone
    assert run_in(rig, state, now() + LATER)[0] == "found"
    assert rig.recorded()[THIRD] == going["id"]


@pytest.mark.slow
def test_killed_between_claim_and_start(rig: Rig, state: Path) -> None:
    kill_at(rig, state, "claimed")
    assert rig.going() == []
    assert len(read_runs(state, "dlc_eye")) == 3
    assert run_in(rig, state) == []
    assert run_in(rig, state, now() + LATER) == ["started"] * 3
    rig.assert_one_each()


def test_a_lock_keeps_others_out_and_goes_with_its_process(tmp_path: Path) -> None:
    with locked(tmp_path / "state", tmp_path / "locks"):
        again = locked(tmp_path / "state", tmp_path / "locks", max_wait=0.05)
        with pytest.raises(StateError, match="another npc-lims is recording there"), again:
            pass
        with locked(tmp_path / "another", tmp_path / "locks"):
            pass
    with locked(tmp_path / "state", tmp_path / "locks"):
        pass


def test_what_two_record_at_once_is_all_recorded(state: Path, tmp_path: Path) -> None:
    def one(session: str) -> Run:
        return Run(session=session, input="a-1", attempt=1, claim=f"c{session[-1]}", claimed=utc_text(now()))

    def write(session: str) -> None:
        with locked(state, tmp_path / "locks"):
            record(state, {"dlc_eye": [one(session)]})

    ids = [f"700000_2024-04-{day:02d}" for day in range(1, 25)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, ids))
    assert [run.session for run in read_runs(state, "dlc_eye")] == ids


def test_a_request_is_of_the_input_that_was_claimed() -> None:
    records = sessions([FIRST])
    run = Run(session=FIRST, input=asset_id(raw_name(FIRST)), attempt=1, claim="c", claimed=utc_text(now()))
    asked = request_of(process(mount="ecephys"), run, records[FIRST])
    assert asked is not None
    assert asked.assets == ((asset_id(raw_name(FIRST)), "ecephys"),)
    assert request_of(process(), run.model_copy(update={"input": "other"}), records[FIRST]) is None
    assert request_of(process(), run, None) is None
    assert request_of(process(input="sorted"), run, records[FIRST]) is None
    assert make_asset(raw_name(FIRST))["id"] == run.input
