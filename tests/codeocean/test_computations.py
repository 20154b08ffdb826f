"""Runs of capsules and pipelines, and data assets made of what they gave."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest
from codeocean.computation import ComputationEndStatus, ComputationState, DataAssetsRunParam

import npc_lims
from npc_lims.codeocean.computations import (
    MODEL_CAPSULE_PIPELINE_MAPPING,
    create_session_data_asset,
    get_job_status,
    get_result_names,
    is_computation_errored,
    is_computation_finished,
    run_capsule_or_pipeline,
    set_asset_viewable_for_everyone,
)
from tests.codeocean.conftest import TOKEN
from tests.servers.codeocean import CodeOceanServer, asset_id, make_asset
from tests.servers.faults import Fault, FaultyProxy, Lose, MalformedJson, Refuse, Reset, Status, Truncate

CAPSULE = MODEL_CAPSULE_PIPELINE_MAPPING["dlc_eye"]
SESSION = "654321_2024-01-02"
RAW = f"ecephys_{SESSION}_10-00-00"
UNKNOWN = "00000000-0000-4000-8000-000000000000"


def attach() -> list[DataAssetsRunParam]:
    return [DataAssetsRunParam(id=asset_id(RAW), mount="ecephys")]


@pytest.fixture(autouse=True)
def uploaded(codeocean: CodeOceanServer) -> None:
    """The raw data that runs are given."""
    codeocean.assets = [make_asset(RAW)]


@pytest.fixture
def run(codeocean: CodeOceanServer, proxy: FaultyProxy) -> str:
    """A run that is under way."""
    return codeocean.add_computation(capsule_id=CAPSULE, state="running")


# --- starting


@pytest.mark.parametrize("is_pipeline", [False, True])
def test_a_run_is_started(codeocean: CodeOceanServer, proxy: FaultyProxy, is_pipeline: bool) -> None:
    started = run_capsule_or_pipeline(attach(), CAPSULE, is_pipeline)
    assert started.state is ComputationState.Initializing
    assert [one["id"] for one in codeocean.computations] == [started.id]
    kind = "pipeline_id" if is_pipeline else "capsule_id"
    assert proxy.requests[0].json() == {kind: CAPSULE, "data_assets": [{"id": asset_id(RAW), "mount": "ecephys"}]}
    assert started.data_assets is not None
    assert started.data_assets[0].mount == "ecephys"


@pytest.mark.parametrize(
    ("fault", "reason", "runs"),
    [
        (Lose(), "could not be reached", 1),
        (Lose(instead=Status(504)), "answered 504", 1),
        (Refuse(), "could not be reached", 0),
        (Status(503, {"Retry-After": "0"}), "answered 503", 0),
        (Status(500), "answered 500", 0),
        (Reset(10), "no whole answer", 1),
        (Truncate(5), "no whole answer", 1),
        (MalformedJson(), "no whole answer", 0),
    ],
)
def test_a_start_is_never_sent_twice(
    codeocean: CodeOceanServer, proxy: FaultyProxy, fault: Fault, reason: str, runs: int
) -> None:
    proxy.plan(fault)
    with pytest.raises(npc_lims.ComputationError) as raised:
        run_capsule_or_pipeline(attach(), CAPSULE)
    message = str(raised.value)
    assert reason in message
    assert message.startswith(f"running the capsule {CAPSULE}: ")
    assert message.endswith("it may have been started all the same: look for it in Code Ocean before trying again")
    assert proxy.count == 1
    assert len(codeocean.computations) == runs
    assert TOKEN not in message


def test_a_timeout_leaves_one_run(
    codeocean: CodeOceanServer, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPC_LIMS_TIMEOUT", "0.2")
    proxy.plan(Lose(seconds=3600))
    with pytest.raises(npc_lims.ComputationError, match=r"no answer within 0.2 s.*may have been started"):
        run_capsule_or_pipeline(attach(), CAPSULE)
    while not codeocean.computations:
        time.sleep(0.01)  # the answer was not waited for
    assert (proxy.count, len(codeocean.computations)) == (1, 1)


def test_a_busy_service_is_queried_again(codeocean: CodeOceanServer, proxy: FaultyProxy) -> None:
    proxy.plan(Status(429, {"Retry-After": "0"}))
    started = run_capsule_or_pipeline(attach(), CAPSULE)
    assert [one["id"] for one in codeocean.computations] == [started.id]
    assert proxy.count == 2


def test_a_service_that_stays_busy(codeocean: CodeOceanServer, proxy: FaultyProxy) -> None:
    codeocean.busy = True
    with pytest.raises(npc_lims.SourceError, match=r"too busy \(.*\); nothing was started"):
        run_capsule_or_pipeline(attach(), CAPSULE)
    assert (proxy.count, codeocean.computations) == (2, ())


def test_a_service_that_asks_to_wait_for_long_is_not_waited_for(codeocean: CodeOceanServer, proxy: FaultyProxy) -> None:
    proxy.plan(Status(429, {"Retry-After": "3600"}))
    with pytest.raises(npc_lims.SourceError, match="nothing was started"):
        run_capsule_or_pipeline(attach(), CAPSULE)
    assert proxy.count == 1


def test_what_code_ocean_refuses_is_reported(codeocean: CodeOceanServer, proxy: FaultyProxy) -> None:
    codeocean.capsules = {}
    with pytest.raises(npc_lims.ComputationError, match=f"running the capsule {CAPSULE}: Code Ocean answered 404: "):
        run_capsule_or_pipeline(attach(), CAPSULE)


def test_ids_that_are_none(proxy: FaultyProxy) -> None:
    with pytest.raises(
        npc_lims.ComputationError, match="'dlc_eye' is not the id of a capsule: one looks like 4cf0be83"
    ):
        run_capsule_or_pipeline(attach(), "dlc_eye")
    with pytest.raises(npc_lims.ComputationError, match="is not the id of a computation"):
        get_job_status("../data_assets/search")
    with pytest.raises(npc_lims.ComputationError, match="is not the id of a data asset"):
        set_asset_viewable_for_everyone("")
    assert proxy.count == 0


def test_without_a_token(proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODE_OCEAN_API_TOKEN")
    with pytest.raises(npc_lims.MissingCredentials, match="CODE_OCEAN_API_TOKEN"):
        run_capsule_or_pipeline(attach(), CAPSULE)
    with pytest.raises(npc_lims.MissingCredentials, match="CODE_OCEAN_API_TOKEN"):
        get_job_status(UNKNOWN)


@pytest.mark.parametrize("call", [lambda: run_capsule_or_pipeline(attach(), CAPSULE), lambda: get_job_status(UNKNOWN)])
def test_a_token_that_is_refused(proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, call: Any) -> None:
    monkeypatch.setenv("CODE_OCEAN_API_TOKEN", "cop_outdated")
    with pytest.raises(
        npc_lims.SourceError, match=r"the token was refused \(401: Unauthorized.*make a new one"
    ) as raised:
        call()
    assert "cop_outdated" not in str(raised.value)
    assert proxy.count == 1


# --- looking


def test_a_run_as_it_is_now(codeocean: CodeOceanServer, run: str) -> None:
    assert get_job_status(run).state is ComputationState.Running
    codeocean.finish(run, files={"eye.h5": b"x"})
    now = get_job_status(run)
    assert (now.state, now.end_status) == (ComputationState.Completed, ComputationEndStatus.Succeeded)


def test_records_of_an_older_service(codeocean: CodeOceanServer, proxy: FaultyProxy) -> None:
    body = b'{"id": "1", "created": 5, "name": "Run 5", "state": "initializing", "end_status": null}'
    proxy.plan(Status(200, {"content-type": "application/json"}, body))
    found = get_job_status(UNKNOWN)
    assert (found.owner, found.run_time, found.end_status) == ("", 0, None)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            b'{"id": "1", "name": "Run 5", "state": "running"}',
            "computation 1 is not as the API describes one: it has no created",
        ),
        (b'{"id": "1", "created": 5, "name": "Run 5", "state": "odd"}', "'odd' is not a valid ComputationState"),
    ],
)
def test_records_that_make_no_sense(proxy: FaultyProxy, body: bytes, reason: str) -> None:
    proxy.plan(Status(200, {"content-type": "application/json"}, body))
    with pytest.raises(npc_lims.SourceError, match=reason):
        get_job_status(UNKNOWN)


def test_looking_is_tried_again(run: str, proxy: FaultyProxy) -> None:
    proxy.plan(Status(503))
    assert get_job_status(run).id == run
    assert proxy.count == 2


def test_a_service_that_is_down(run: str, proxy: FaultyProxy) -> None:
    proxy.rule = lambda request: Refuse()
    with pytest.raises(npc_lims.SourceError, match=r"fetching the run .*could not be reached.*2 attempts"):
        get_job_status(run)


def test_a_run_that_is_not_there(proxy: FaultyProxy) -> None:
    with pytest.raises(npc_lims.ComputationError, match=f"fetching the run {UNKNOWN}: Code Ocean answered 404"):
        get_job_status(UNKNOWN)


def test_finished_by_id_or_record(codeocean: CodeOceanServer, run: str, proxy: FaultyProxy) -> None:
    assert is_computation_finished(run) is False
    codeocean.finish(run)
    assert is_computation_finished(run) is True
    record = get_job_status(run)
    asked = proxy.count
    assert is_computation_finished(record) is True
    assert proxy.count == asked


def test_a_failed_run_is_finished(codeocean: CodeOceanServer, run: str) -> None:
    codeocean.finish(run, None, state="failed")
    assert is_computation_finished(run) is True
    assert is_computation_errored(run) is True


@pytest.mark.parametrize(
    ("end", "files", "errored", "requests"),
    [
        ("succeeded", {"eye.h5": b"x"}, False, 2),
        ("succeeded", {"eye.h5": b"x", "output": b"fine"}, False, 4),
        ("succeeded", {"eye.h5": b"x", "output": b"Out of memory."}, True, 4),
        ("succeeded", {"eye.h5": b"x", "output": b"Command error:"}, True, 4),
        ("succeeded", {"eye.h5": b"x", "output": b"Traceback (most recent call last)"}, True, 4),
        ("succeeded", {"x": b"x", "output": b"N E X T F L O W kilosort sorting"}, True, 4),
        ("succeeded", {"output": b"fine"}, True, 2),
        ("succeeded", {"nextflow": {"trace.txt": b"x"}, "output": b"fine"}, True, 2),
        ("succeeded", None, True, 1),
        ("failed", {"eye.h5": b"x"}, True, 1),
        ("stopped", {"eye.h5": b"x"}, True, 1),
    ],
)
def test_errored_runs(
    codeocean: CodeOceanServer, run: str, proxy: FaultyProxy, end: str, files: Any, errored: bool, requests: int
) -> None:
    assert is_computation_errored(run) is False, "it goes on"
    codeocean.finish(run, end, files)
    proxy.reset()
    assert is_computation_errored(run) is errored
    assert proxy.count == requests, "nothing is looked at in vain"


def test_why_a_run_is_errored_is_logged(codeocean: CodeOceanServer, run: str, caplog: pytest.LogCaptureFixture) -> None:
    codeocean.finish(run, files={"output": b"x"})
    with caplog.at_level(logging.WARNING, "npc_lims"):
        get_job_status(run)
        assert caplog.messages == []
        name = get_job_status(run, check_files=True).name
    assert caplog.messages == [f"the run {run} ({name}) is errored: its results hold nothing but output"]


def test_the_address_of_the_output_stands_in_no_message(
    codeocean: CodeOceanServer, run: str, proxy: FaultyProxy
) -> None:
    codeocean.finish(run, files={"x": b"x", "output": b"fine"})
    proxy.rule = lambda request: Status(403) if "/files/" in request.path else None
    with pytest.raises(npc_lims.SourceError, match=r"reading the output of the run .* answered 403") as raised:
        is_computation_errored(run)
    assert "Signature" not in str(raised.value)
    proxy.rule = lambda request: Refuse() if "/files/" in request.path else None
    with pytest.raises(npc_lims.SourceError, match="could not be reached") as raised:
        is_computation_errored(run)
    assert "Signature" not in str(raised.value)
    assert TOKEN not in str(raised.value)


def test_result_names(codeocean: CodeOceanServer, run: str) -> None:
    with pytest.raises(npc_lims.ComputationError, match=r"listing the results of the run .* answered 404"):
        get_result_names(run)
    codeocean.finish(run, files={"output": b"", "nwb": {"a.nwb": b"x"}, "b": b"x"})
    assert get_result_names(run) == ["b", "nwb", "output"]


def test_an_odd_answer_is_not_taken_for_a_list(run: str, proxy: FaultyProxy) -> None:
    proxy.plan(*[Status(200, {"content-type": "application/json"}, b'{"items": [{}]}')] * 2)
    with pytest.raises(npc_lims.SourceError, match="no items with names"):
        get_result_names(run)


# --- making a data asset


def test_a_data_asset_is_made_of_good_results(codeocean: CodeOceanServer, run: str) -> None:
    codeocean.finish(run, files={"eye.h5": b"x"})
    name = f"{RAW}_dlc_eye_2024-01-03_12-00-00"
    made = create_session_data_asset(SESSION, run, name)
    assert made is not None
    assert (made.name, made.mount) == (name, name)
    assert made.tags == ["654321", "derived", "ephys", "results"]
    assert made.custom_metadata is not None
    assert made.custom_metadata["subject id"] == "654321"
    assert made.provenance is not None
    assert made.provenance.computation == run
    assert [asset["id"] for asset in codeocean.assets] == [asset_id(RAW), made.id]


def test_no_data_asset_is_made_of_a_run_that_is_unfinished_or_errored(codeocean: CodeOceanServer, run: str) -> None:
    assert create_session_data_asset(SESSION, run, "x") is None
    codeocean.finish(run, "failed", files={"eye.h5": b"x"})
    assert create_session_data_asset(SESSION, run, "x") is None
    assert len(codeocean.assets) == 1


def test_making_a_data_asset_is_never_sent_twice(codeocean: CodeOceanServer, run: str, proxy: FaultyProxy) -> None:
    codeocean.finish(run, files={"eye.h5": b"x"})
    proxy.rule = lambda request: Lose() if request.path.endswith("/data_assets") else None
    with pytest.raises(npc_lims.ComputationError, match=r"making the data asset x: no whole answer .*look for it"):
        create_session_data_asset(SESSION, run, "x")
    assert [asset["name"] for asset in codeocean.assets] == [RAW, "x"]


def test_a_bad_session_is_reported_before_any_query(run: str, proxy: FaultyProxy) -> None:
    with pytest.raises(npc_lims.NoSessionInfo, match="'nonsense' is not a session"):
        create_session_data_asset("nonsense", run, "x")
    assert proxy.count == 0


def test_sharing(codeocean: CodeOceanServer, proxy: FaultyProxy) -> None:
    proxy.plan(Status(503))
    set_asset_viewable_for_everyone(asset_id(RAW))
    assert codeocean.permissions(asset_id(RAW))["everyone"] == "viewer"
    assert proxy.requests[-1].json() == {"everyone": "viewer", "share_assets": True}


def test_sharing_what_is_not_there(proxy: FaultyProxy) -> None:
    with pytest.raises(npc_lims.ComputationError, match=f"sharing the data asset {UNKNOWN}: Code Ocean answered 404"):
        set_asset_viewable_for_everyone(UNKNOWN)


def test_the_address_of_a_log_gets_no_credentials_of_anybody(
    codeocean: CodeOceanServer, proxy: FaultyProxy, run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    codeocean.finish(run, files={"nwb": {"a.nwb": b"x"}, "output": b"x" * 1000 + b"Out of memory."})
    assert is_computation_errored(run)
    (download,) = [one for one in proxy.requests if one.path.startswith("/files/")]
    assert "authorization" not in download.headers
