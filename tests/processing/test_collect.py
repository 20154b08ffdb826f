"""What became of runs is judged, captured, shared and recorded: each failure is its own, and nothing is done twice."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from npc_lims.clients.codeocean_runs import parse_asset
from npc_lims.errors import ComputationError, SourceError
from npc_lims.processing.collect import collect
from npc_lims.processing.process import AssetRecipe
from npc_lims.processing.runs import Run, RunAsset
from tests.processing.rig import (
    CAPSULE,
    MAKE,
    RECIPE,
    SESSIONS,
    TOKEN,
    Rig,
    dispatcher,
    posts,
    process,
    raw_name,
    sessions,
    whats,
    writes,
)
from tests.servers.codeocean import make_asset
from tests.servers.faults import Fault, Lose, Refuse, Status
from tests.servers.web import Request

FIRST, SECOND, THIRD = SESSIONS
GOOD = {"nwb": {"a.nwb": b"x"}, "output": b"All is well."}


@pytest.fixture
def one(rig: Rig) -> str:
    """A run that is started and recorded: the id of its computation."""
    (id_,) = rig.started(1)
    rig.proxy.reset()
    return id_


def finish_all(rig: Rig, **ending: Any) -> list[str]:
    ids = rig.started(3)
    for id_ in ids:
        rig.server.finish(id_, **{"files": GOOD, **ending})
    rig.proxy.reset()
    return ids


def only(rig: Rig) -> Run:
    (run,) = rig.runs
    return run


def test_a_run_that_is_going_is_left_alone(rig: Rig, one: str) -> None:
    for state in ("initializing", "running", "finalizing"):
        before = rig.runs
        (step,) = rig.collect()
        assert (step.what, step.update) == ("running", None)
        assert step.detail.startswith(state)
        assert rig.runs == before
        rig.server.advance()
    assert writes(rig.proxy.requests) == []


def test_two_that_collect_at_the_same_instant_agree_on_one_data_asset(rig: Rig, one: str) -> None:
    rig.server.finish(one, files=GOOD)
    others = [dataclasses.replace(rig) for _ in range(2)]
    barrier = threading.Barrier(2)
    now = time.time()
    rig.server.clock = lambda: now

    def made_of_it() -> list[Any]:
        return [asset for asset in rig.server.assets if (asset.get("provenance") or {}).get("computation") == one]

    def together(request: Request) -> None:
        # nobody makes one before both have seen that there is none, nor looks again before both have made one
        if request.path == MAKE:
            barrier.wait(60)
            return
        while len(made_of_it()) == 1:
            time.sleep(0.01)

    rig.proxy.rule = together
    with ThreadPoolExecutor(2) as pool:
        steps = [step for some in pool.map(lambda each: each.collect(), others) for step in some]
    made = made_of_it()
    assert len(made) == 2, "both made one: that is what is to be mended"
    first, second = sorted(made, key=lambda asset: (asset["created"], asset["id"]))
    assert [only(each).asset for each in others] == [RunAsset(id=first["id"], name=first["name"])] * 2
    (told,) = [step.failure for step in steps if step.failure]
    assert told.endswith(f"which is used; delete data asset {second['id']}")


def test_an_asset_that_was_made_is_recorded_whatever_comes_next(rig: Rig, one: str) -> None:
    rig.server.finish(one, files=GOOD)

    def after_it_was_made(request: Request) -> Fault | None:
        return Status(503) if posts(rig.proxy.requests, MAKE) and request.path != MAKE else None

    rig.proxy.rule = after_it_was_made
    assert whats(rig.collect()) == ["captured", "not known"]
    assert only(rig).asset is not None
    rig.proxy.rule = None
    assert whats(rig.collect()) == ["shared"]
    assert len(posts(rig.proxy.requests, MAKE)) == 1


def test_a_good_result_becomes_a_data_asset_that_everyone_sees(rig: Rig, one: str) -> None:
    rig.server.finish(one, files=GOOD, run_time=5_400)
    assert whats(rig.collect()) == ["captured", "shared"]
    run = only(rig)
    assert (run.seconds, run.state) == (5_400, "shared")
    assert run.asset is not None and run.shared and run.outcome == "succeeded"
    asset = next(each for each in rig.server.assets if each["id"] == run.asset.id)
    assert run.started is not None
    stamp = run.started.replace("T", "_").replace(":", "-").rstrip("Z")
    assert asset["name"] == run.asset.name == asset["mount"] == f"ecephys_{THIRD}_10-00-00_dlc_eye_{stamp}"
    assert asset["tags"] == ["derived", "700000"]
    assert asset["custom_metadata"] == {"data level": "derived data", "subject id": "700000"}
    assert asset["provenance"]["computation"] == one
    assert rig.server.permissions(run.asset.id)["everyone"] == "viewer"
    # that was all
    rig.proxy.reset()
    assert rig.collect() == []
    assert rig.proxy.requests == []


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        ({"state": "failed", "end_status": None}, "the run failed"),
        ({"end_status": "failed"}, "the run ended as failed"),
        ({"end_status": "stopped"}, "the run was stopped"),
        ({"files": {}}, "it has no results"),
        ({"files": {"output": b"x"}}, "nothing but output"),
        ({"files": {"output": b"x", "nextflow": {"trace.txt": b"x"}}}, "nothing but nextflow and output"),
        ({"files": {**GOOD, "output": b"... Out of memory."}}, "'Out of memory.'"),
        ({"files": {**GOOD, "output": b"Command error:\n  x"}}, "'Command error:'"),
        ({"files": {**GOOD, "output": b"Traceback (most recent call last):\n"}}, "Traceback"),
        ({"files": {**GOOD, "output": b"." * 2_000_000 + b"Out of memory."}}, "'Out of memory.'"),
    ],
)
def test_errored_runs_are_recorded_with_the_reason(ending: dict[str, Any], reason: str, rig: Rig, one: str) -> None:
    rig.server.finish(one, **{"files": GOOD, "run_time": 60, **ending})
    assert whats(rig.collect()) == ["errored"]
    assert only(rig).seconds == 60
    assert reason in only(rig).reason
    assert only(rig).asset is None
    assert writes(rig.proxy.requests) == []
    assert rig.collect() == []
    # and is tried once more, no oftener
    assert whats(rig.run(limit=1, sessions=[THIRD])) == ["started"]
    rig.server.finish(str(rig.runs[-1].computation), "failed")
    rig.collect()
    assert rig.run(sessions=[THIRD]) == []


@pytest.mark.parametrize("output", [None, b"", b"\xff\xfe not text", b"fine" * 500_000])
def test_results_without_complaints_are_good(output: bytes | None, rig: Rig, one: str) -> None:
    files = {"nwb": b"x"} if output is None else {"nwb": b"x", "output": output}
    rig.server.finish(one, files=files)
    assert whats(rig.collect()) == ["captured", "shared"]


def test_a_computation_that_was_deleted_is_reported(rig: Rig, one: str) -> None:
    rig.service().stop_run(one)
    assert whats(rig.collect()) == ["errored"]
    assert only(rig).reason == "Code Ocean has no such computation any more"


def test_a_claim_that_was_started_is_found_and_one_that_was_not_is_left(rig: Rig) -> None:
    claims = rig.claim()
    id_ = rig.server.add_computation(capsule_id=CAPSULE, name=claims[0].name("dlc_eye"))
    rig.server.finish(id_, files=GOOD)
    assert whats(rig.collect()) == ["claimed", "claimed", "found", "captured", "shared"]
    assert rig.recorded() == {THIRD: id_}
    assert len([run for run in rig.runs if run.is_claim]) == 2
    assert posts(rig.proxy.requests) == []


def test_nothing_is_started_and_nothing_queried_without_runs(rig: Rig) -> None:
    assert rig.collect() == []
    assert rig.proxy.requests == []


# --- data assets ----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Lose(), Lose(instead=Status(502))])
def test_a_data_asset_whose_answer_is_lost_is_found(fault: Fault, rig: Rig, one: str) -> None:
    rig.server.finish(one, files=GOOD)
    rig.proxy.rule = lambda request: fault if request.path == MAKE else None
    steps = rig.collect()
    assert [(step.what, step.failure) for step in steps] == [("captured", ""), ("shared", "")]
    assert len(rig.server.assets) == 4


def test_one_that_was_not_made_is_made_by_the_next(rig: Rig, one: str) -> None:
    rig.server.finish(one, files=GOOD)
    rig.proxy.rule = lambda request: Refuse() if request.path == MAKE else None
    (step,) = rig.collect()
    assert step.what == "not captured"
    assert "the next run looks for it" in step.failure
    assert (only(rig).outcome, only(rig).asset) == ("succeeded", None)
    rig.proxy.reset()
    assert whats(rig.collect()) == ["captured", "shared"]
    assert len(rig.server.assets) == 4


def test_one_that_was_made_and_not_recorded_is_found(rig: Rig, one: str) -> None:
    rig.server.finish(one, files=GOOD)
    # killed as soon as it was made
    for step in collect(rig.service(), rig.process, rig.state(), same_second=0):
        assert step.what == "captured"
        break
    assert whats(rig.collect()) == ["found", "shared"]
    assert len(posts(rig.proxy.requests, MAKE)) == 1


def test_one_that_somebody_made_by_hand_is_taken(rig: Rig, one: str) -> None:
    rig.server.finish(one, files=GOOD)
    made = rig.service().make_asset(one, "my favourite result", ["700000"], {}, parse_asset)
    assert whats(rig.collect()) == ["found", "shared"]
    asset = only(rig).asset
    assert asset is not None and (asset.id, asset.name) == (made.id, "my favourite result")


def test_a_data_asset_that_fails_is_an_errored_run(rig: Rig, one: str) -> None:
    rig.server.finish(one, files=GOOD)
    rig.server.asset_failure = "the bucket is full"
    assert whats(rig.collect()) == ["captured", "errored"]
    assert only(rig).reason == "its data asset failed: the bucket is full"
    assert rig.collect() == []


def test_one_that_is_not_ready_is_shared_later(rig: Rig, one: str) -> None:
    rig.server.finish(one, files=GOOD)
    rig.server.draft_reads = None
    assert whats(rig.collect()) == ["captured", "not ready"]
    asset = only(rig).asset
    assert asset is not None and not only(rig).shared
    assert whats(rig.collect(wait=0.1)) == ["not ready"]
    rig.server.settle(asset.id)
    assert whats(rig.collect()) == ["shared"]
    assert len(posts(rig.proxy.requests, MAKE)) == 1


def test_waiting_for_it_shares_it_at_once(rig: Rig, one: str) -> None:
    rig.server.finish(one, files=GOOD)
    rig.server.draft_reads = 2
    assert whats(rig.collect(wait=10)) == ["captured", "shared"]


def test_one_that_may_not_be_shared_is_reported_and_retried(rig: Rig) -> None:
    finish_all(rig)
    refused = iter([Status(403)])
    rig.proxy.rule = lambda request: next(refused, None) if "permissions" in request.path else None
    steps = rig.collect()
    assert whats(steps) == ["captured"] * 3 + ["not known", "shared", "shared"]
    assert "not allowed" in steps[3].failure
    assert [run.shared for run in rig.runs].count(False) == 1
    assert whats(rig.collect()) == ["shared"]


def test_one_that_is_nobody_elses_business_is_not_shared(rig: Rig, one: str) -> None:
    rig.process = process(asset=AssetRecipe(name=RECIPE.name, share="none"))
    rig.server.finish(one, files=GOOD)
    assert whats(rig.collect()) == ["captured", "ready"]
    assert not [request for request in rig.proxy.requests if "permissions" in request.path]
    # until a sync has seen it
    assert whats(rig.collect()) == ["ready"]
    record = rig.records[THIRD]
    rig.records = {**rig.records, THIRD: record.model_copy(update={"status": {**record.status, "is_dlc_eye": True}})}
    assert rig.collect() == []


def test_one_that_is_nobody_elses_business_may_fail_later(rig: Rig, one: str) -> None:
    rig.process = process(asset=AssetRecipe(name=RECIPE.name, share="none"))
    rig.server.finish(one, files=GOOD)
    rig.server.draft_reads = None
    assert whats(rig.collect()) == ["captured", "not ready"]
    asset = only(rig).asset
    assert asset is not None
    rig.server.settle(asset.id, "disk full")
    assert whats(rig.collect()) == ["errored"]
    assert only(rig).reason == "its data asset failed: disk full"


def test_a_data_asset_that_was_deleted_is_reported(rig: Rig, one: str) -> None:
    rig.server.finish(one, files=GOOD)
    rig.server.draft_reads = None
    rig.collect()
    rig.server.assets = [make_asset("another")]
    assert whats(rig.collect()) == ["errored"]
    assert only(rig).reason == "Code Ocean has no such data asset any more"


def test_the_name_is_that_of_the_input_it_ran_on(rig: Rig, one: str) -> None:
    rig.server.finish(one, files=GOOD)
    rig.records = {**rig.records, THIRD: rig.records[FIRST].model_copy(update={"id": THIRD})}
    assert whats(rig.collect()) == ["captured", "shared"]
    asset = only(rig).asset
    assert asset is not None and asset.name.startswith(f"ecephys_{THIRD}_10-00-00_dlc_eye_")


def test_a_dispatcher_is_judged_by_its_end_and_its_log_alone(rig: Rig) -> None:
    rig.process = dispatcher()
    ids = rig.started(3)
    rig.server.finish(ids[0])  # it leaves nothing
    rig.server.finish(ids[1], files={"output": b"all dispatched"})
    rig.server.finish(ids[2], files={"output": b"Traceback (most recent call last)"})
    assert sorted(whats(rig.collect())) == ["errored", "succeeded", "succeeded"]
    assert rig.collect() == []
    assert posts(rig.proxy.requests, MAKE) == []


# --- Code Ocean fails -----------------------------------------------------------------------------


def test_one_run_that_cannot_be_queried_stops_no_other(rig: Rig) -> None:
    ids = finish_all(rig)
    rig.proxy.rule = lambda request: Status(500) if ids[1] in request.path else None
    steps = rig.collect()
    assert sorted(whats(steps)) == ["captured", "captured", "not known", "shared", "shared"]
    (failure,) = [step.failure for step in steps if step.failure]
    assert failure.endswith("answered 500 Internal Server Error (3 attempts)")
    rig.proxy.reset()
    assert whats(rig.collect()) == ["captured", "shared"]


def test_when_it_is_down_it_is_left_alone_soon(rig: Rig) -> None:
    finish_all(rig)
    before = rig.runs
    service = rig.service()
    rig.proxy.stop()
    try:
        steps = []
        with pytest.raises(ComputationError, match="3 runs in a row"):
            steps.extend(collect(service, rig.process, rig.state(), same_second=0))
    finally:
        rig.proxy.start()
    assert rig.runs == before


def test_runs_that_fail_for_ever_do_not_keep_the_others_waiting(rig: Rig) -> None:
    ids = (*SESSIONS, "700000_2024-03-04")
    rig.server.assets = [make_asset(raw_name(id_)) for id_ in ids]
    rig.records = sessions(ids)
    rig.started(4)
    for run in rig.runs:
        rig.server.finish(str(run.computation), files=GOOD)
    last = rig.runs[-1]
    broken = [str(run.computation) for run in rig.runs[:-1]]
    rig.proxy.rule = lambda request: Status(500) if request.path.rpartition("/")[2] in broken else None
    steps = rig.collect()
    assert whats(steps) == ["not known"] * 3 + ["captured", "shared"]
    assert steps[-1].run.session == last.session


def test_a_token_that_expires_midway_loses_nothing(rig: Rig) -> None:
    finish_all(rig)

    def expire(request: Request) -> None:
        if request.path == MAKE and len(posts(rig.proxy.requests, MAKE)) == 2:
            rig.server.token = "cop_another"

    rig.proxy.rule = expire
    with pytest.raises(SourceError, match="expired") as caught:
        rig.collect()
    assert TOKEN not in str(caught.value)
    assert len([run for run in rig.runs if run.asset is not None]) == 1
    rig.server.token = TOKEN
    rig.proxy.reset()
    rig.collect()
    assert all(run.shared for run in rig.runs)
    assert len(rig.server.assets) == 6


def test_data_assets_that_may_not_be_made_are_reported(rig: Rig, one: str) -> None:
    rig.server.finish(one, files=GOOD)
    body = json.dumps({"message": "name is taken"}).encode()
    rig.proxy.rule = lambda request: Status(400, {}, body) if request.path == MAKE else None
    (step,) = rig.collect()
    assert step.failure.endswith("name is taken")
    # no reason to run it once more
    assert only(rig).outcome == "succeeded"
    rig.proxy.rule = lambda request: Status(403) if request.path == MAKE else None
    assert "data assets: read and write" in rig.collect()[0].failure
