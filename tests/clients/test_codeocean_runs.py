"""What is asked of Code Ocean, how often, and what is made of its answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from npc_lims.clients.codeocean import CodeOceanError, OutcomeUnknown, RateLimited, Rejected, Unauthorized
from npc_lims.clients.codeocean_runs import Computation, RunRequest, RunsClient, RunTarget, parse_asset, parse_run
from npc_lims.config.settings import Settings
from npc_lims.errors import MissingCredentials, SourceError
from tests.processing.rig import CAPSULE, MAKE, SESSIONS, TOKEN, Rig, make_rig, posts, raw_name
from tests.real import REAL, needs_real
from tests.servers.codeocean import asset_id, make_asset
from tests.servers.faults import Fault, Lose, MalformedJson, Refuse, Reset, Status, Truncate
from tests.servers.fixtures import Serve

RAW = asset_id(raw_name(SESSIONS[0]))
HERE = RunTarget("capsule", CAPSULE)
ASKED = RunRequest(HERE, ((RAW, "ecephys"),), {"mode": "all"})
NAME = f"{raw_name(SESSIONS[0])}_dlc_eye_2024-11-22_12-00-00"
GONE = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def rig(serve: Serve) -> Rig:
    return make_rig(serve)


def finished(rig: Rig, **files: Any) -> str:
    """A run that is over, with these results."""
    id_ = rig.server.add_computation(capsule_id=CAPSULE)
    rig.server.finish(id_, files=files)
    return id_


def test_a_token_is_needed() -> None:
    with pytest.raises(MissingCredentials, match=r"CODE_OCEAN_API_TOKEN.*computations: read and write"):
        RunsClient(Settings())


def test_a_run_is_started_with_its_assets_and_parameters(rig: Rig) -> None:
    begun = rig.service().start(ASKED, parse_run)
    (run,) = rig.server.computations
    assert run["id"] == begun.id
    assert {"id": RAW, "mount": "ecephys"} in run["data_assets"]
    assert run["parameters"] == [{"param_name": "mode", "value": "all"}]
    assert begun.matches(ASKED)
    assert begun.began.timestamp() == run["created"]


def test_a_mount_that_is_not_given_is_left_to_code_ocean(rig: Rig) -> None:
    rig.service().start(RunRequest(RunTarget("pipeline", CAPSULE), ((RAW, None),)), parse_run)
    body = json.loads(posts(rig.proxy.requests)[0].body)
    assert body == {"pipeline_id": CAPSULE, "data_assets": [{"id": RAW}]}


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Lose(), "interrupted"),
        (Lose(instead=Status(502)), "502"),
        (Lose(instead=Status(504)), "504"),
        (Lose(3), "no answer within 1 s"),
        (Reset(), "interrupted"),
        (Truncate(), "(interrupted|cannot be read)"),
        (Refuse(), "interrupted"),
        (Status(500), "500"),
        (MalformedJson(), "cannot be read"),
    ],
)
def test_what_starts_a_run_is_sent_once_whatever_comes_back(fault: Fault, says: str, rig: Rig) -> None:
    rig.proxy.plan(fault)
    with pytest.raises(OutcomeUnknown, match=says):
        rig.service(NPC_LIMS_TIMEOUT="1").start(ASKED, parse_run)
    assert len(posts(rig.proxy.requests)) == 1
    assert len(rig.server.computations) <= 1


def test_nobody_listening_is_not_confirmed_either(rig: Rig) -> None:
    service = rig.service()
    rig.proxy.stop()
    with pytest.raises(OutcomeUnknown):
        service.start(ASKED, parse_run)
    rig.proxy.start()


def test_refusals_differ(rig: Rig) -> None:
    service = rig.service()
    rig.server.busy = True
    with pytest.raises(RateLimited, match="Too many requests"):
        service.start(ASKED, parse_run)
    rig.server.busy = False
    with pytest.raises(Rejected, match=f"there is no data asset {GONE}"):
        service.start(RunRequest(HERE, ((GONE, None),)), parse_run)
    rig.server.capsules = {}
    with pytest.raises(CodeOceanError, match=f"capsule {CAPSULE}: Code Ocean answered 404"):
        service.start(ASKED, parse_run)
    with pytest.raises(CodeOceanError, match=f"has no capsule {CAPSULE}.*pipelines.yaml"):
        service.list_runs(HERE)
    rig.proxy.plan(Status(403), Status(302, {"Location": "https://elsewhere.example.org"}))
    with pytest.raises(CodeOceanError, match="computations: read and write"):
        service.start(ASKED, parse_run)
    with pytest.raises(CodeOceanError, match="answered 302"):
        service.start(ASKED, parse_run)
    rig.server.token = "cop_another"
    with pytest.raises(Unauthorized, match="expired"):
        service.start(ASKED, parse_run)
    assert rig.server.computations == ()


def test_runs_are_listed_found_renamed_and_stopped(rig: Rig) -> None:
    service = rig.service()
    begun = service.start(ASKED, parse_run)
    rig.proxy.plan(Refuse(), Status(503))  # what may be said twice is
    service.rename_run(begun.id, "npc_lims dlc_eye & more")
    assert [(one.id, one.name) for one in service.list_runs(HERE)] == [(begun.id, "npc_lims dlc_eye & more")]
    found = service.get_run(begun.id, parse_run)
    assert found is not None and found.state == "initializing"
    service.stop_run(begun.id)
    service.stop_run(begun.id)
    assert service.get_run(begun.id, parse_run) is None


@pytest.mark.parametrize("body", [b"{}", b'[{"id": "1"}]', b"<html>", b'[{"id": "../x", "name": "", "created": 1}]'])
def test_answers_that_make_no_sense_are_reported_as_such(body: bytes, rig: Rig) -> None:
    rig.proxy.plan(*[Status(200, {"content-type": "application/json"}, body)] * 3)
    with pytest.raises(CodeOceanError, match=r"cannot be read.*3 attempts"):
        rig.service().list_runs(HERE)
    rig.proxy.plan(*[Status(200, {"content-type": "application/json"}, body)] * 3)
    with pytest.raises(CodeOceanError) as caught:
        rig.service().list_runs(HERE)
    assert "\n" not in str(caught.value)


def test_results_and_output(rig: Rig) -> None:
    service = rig.service()
    id_ = finished(rig, output=b"All is well.", nwb={"a.nwb": b"x"})
    assert sorted(service.list_results(id_)) == ["nwb", "output"]
    assert service.read_output(id_) == b"All is well."
    assert service.read_output(finished(rig, other=b"x")) is None
    assert service.read_output(finished(rig, output=b"")) == b""
    without = finished(rig)
    assert service.list_results(without) is None
    assert service.read_output(without) is None


def test_the_token_does_not_go_to_where_files_are(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert rig.service().read_output(finished(rig, output=b"log")) == b"log"
    (download,) = [one for one in rig.proxy.requests if one.path.startswith("/files/")]
    assert "authorization" not in download.headers


def test_a_huge_output_is_read_to_a_limit_and_from_its_end(rig: Rig) -> None:
    id_ = finished(rig, output=b"0123456789" * 100_000 + b"Out of memory.")
    found = rig.service().read_output(id_, limit=1000)
    assert found is not None
    assert len(found) == 1000
    assert found.endswith(b"9Out of memory.")


def test_a_download_that_fails_shows_neither_token_nor_address(rig: Rig) -> None:
    id_ = finished(rig, output=b"log" * 10_000)
    rig.proxy.rule = lambda request: Truncate() if request.path.startswith("/files/") else None
    with pytest.raises(CodeOceanError, match=r"reading the output of the run .*3 attempts") as caught:
        rig.service().read_output(id_)
    rig.proxy.rule = lambda request: Status(403) if request.path.startswith("/files/") else None
    with pytest.raises(CodeOceanError, match=r"reading the output of the run .* answered 403") as refused:
        rig.service().read_output(id_)
    for text in (str(caught.value), str(refused.value)):
        assert "Signature" not in text and "http" not in text and TOKEN not in text


def test_data_assets_are_made_found_and_shared(rig: Rig) -> None:
    service = rig.service()
    id_, other = finished(rig, nwb=b"x"), finished(rig, nwb=b"y")
    assert service.find_asset_of(id_, "made", "700000") is None
    made = service.make_asset(
        id_, "made", ["700000"], {"data level": "derived data", "subject id": "700000"}, parse_asset
    )
    assert made.state == "draft"
    for name in ("made", "by another name"):
        found = service.find_asset_of(id_, name, "700000")
        assert found is not None and found.id == made.id
    # the same name is not enough: it tells of another run
    assert service.find_asset_of(other, "made", "700000") is None
    ready = service.get_made_asset(made.id)
    assert ready is not None and ready.state == "ready"
    service.share(made.id)
    assert rig.server.permissions(made.id)["everyone"] == "viewer"
    assert service.get_made_asset(GONE) is None


@pytest.mark.parametrize("provenance", [None, {}, {"computation": None}, {"computation": ""}])
def test_an_asset_that_does_not_name_its_run_is_known_by_its_name(rig: Rig, provenance: object) -> None:
    asset = make_asset(NAME, provenance=provenance)
    rig.server.assets = (*rig.server.assets, asset)
    found = rig.service().find_asset_of(GONE, NAME, "700000")
    assert found is not None and found.id == asset["id"]
    assert rig.service().find_asset_of(GONE, f"{NAME}_again", "700000") is None


def test_a_data_asset_is_requested_once(rig: Rig) -> None:
    id_ = finished(rig, nwb=b"x")
    rig.proxy.plan(Lose())
    with pytest.raises(OutcomeUnknown):
        rig.service().make_asset(id_, "made", [], {}, parse_asset)
    assert len(posts(rig.proxy.requests, MAKE)) == 1
    with pytest.raises(Rejected, match=f"no computation {GONE}"):
        rig.service().make_asset(GONE, "made", [], {}, parse_asset)


def test_an_asset_that_is_not_as_described_is_reported(rig: Rig) -> None:
    good = {"id": "a", "name": "made", "state": "ready", "created": 1}
    for odd, words in (({"id": "a/b"}, "a/b is not as"), ({"id": "b", "created": "soon"}, "b is not as .* created")):
        page = json.dumps({"has_more": False, "results": [good, {**good, **odd}]}).encode()
        rig.proxy.plan(Status(200, {"content-type": "application/json"}, page))
        with pytest.raises(CodeOceanError, match=words):
            rig.service().find_asset_of("1", "made", "700000")
    rig.proxy.plan(*[Status(500)] * 3)
    with pytest.raises(SourceError, match="500"):
        rig.service().find_asset_of("1", "made", "700000")


def test_no_message_holds_the_token(rig: Rig) -> None:
    service = rig.service()
    said = []
    for fault in (Refuse(), Status(401), Status(403), Status(404), Status(418), MalformedJson(), Truncate()):
        rig.proxy.plan(*[fault] * 3)
        with pytest.raises(Exception) as caught:
            service.list_runs(HERE)
        said.append(str(caught.value))
        rig.proxy.reset()
    assert all(said)
    assert not any(TOKEN in text for text in said)
    assert TOKEN not in repr(vars(service))


@needs_real
@pytest.mark.parametrize("name", ["computations.json", "computations-errored.json"])
def test_real_records_are_read(name: str) -> None:
    records = json.loads((REAL / name).read_bytes())
    runs = [Computation.model_validate(record) for record in records.values()]
    assert {run.state for run in runs} <= {"initializing", "running", "finalizing", "completed", "failed"}
    # each is a run of what it ran on, and of nothing else
    for run, record in zip(runs, records.values()):
        asked = RunRequest(HERE, tuple((asset["id"], None) for asset in record.get("data_assets") or ()))
        assert run.matches(asked)
        assert not run.matches(RunRequest(HERE, ((GONE, None),)))


def test_somebody_at_work_on_the_data_is_no_run() -> None:
    run = Computation.model_validate(
        {"id": "1", "name": "n", "created": 1, "state": "running", "data_assets": [{"id": RAW}]}
    )
    asked = RunRequest(HERE, ((RAW, None),))
    assert run.matches(asked)
    assert not run.model_copy(update={"cloud_workstation": True}).matches(asked)
