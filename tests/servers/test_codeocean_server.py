"""Computations, results, new data assets and permissions on the Code Ocean server, as the official SDK finds them."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import codeocean
import pytest
import requests
from codeocean.computation import (
    Computation,
    ComputationEndStatus,
    ComputationState,
    DataAssetsRunParam,
    NamedRunParam,
    PipelineProcessParams,
    RunParams,
)
from codeocean.data_asset import (
    AWSS3Target,
    ComputationSource,
    DataAssetParams,
    DataAssetSearchParams,
    Source,
    Target,
)
from codeocean.error import Error
from codeocean.models.components import (
    EveryoneRole,
    GroupPermissions,
    GroupRole,
    Permissions,
    UserPermissions,
    UserRole,
)

from tests.real import REAL, needs_real
from tests.servers.codeocean import CodeOceanServer, asset_id, make_asset
from tests.servers.codeocean_files import Files
from tests.servers.faults import FaultyProxy, Lose
from tests.servers.fixtures import Serve

RAW = "ecephys_676909_2023-12-13_13-43-40"
OTHER = "ecephys_626791_2022-08-15_13-07-32"
CAPSULE = "4cf0be83-2245-4bb1-a55c-a78201b14bfe"
PIPELINE = "1f8f159a-7670-47a9-baf1-078905fc9c2e"
MODELS = {"id": "7daf6149-88d2-44ba-8218-b519b4fba45f", "mount": "unit_classifier_models_v1.0"}
RESULTS: Files = {
    "output": b"all is well\n",
    "nextflow": {"trace.txt": "1\tdone\n", "work": {"a b & ü?.log": b"\x00\xff"}},
    "empty": {},
}


@pytest.fixture
def server(serve: Serve) -> CodeOceanServer:
    """Two raw assets; the clock stands still."""
    made = serve(CodeOceanServer([make_asset(RAW), make_asset(OTHER)]))
    made.clock = lambda: 1_709_337_736.9
    return made


@pytest.fixture
def api(server: CodeOceanServer) -> codeocean.CodeOcean:
    return codeocean.CodeOcean(domain=server.url, token="cop_test")


def run_params(*names: str, **more: Any) -> RunParams:
    attached = [DataAssetsRunParam(id=asset_id(name), mount="ecephys") for name in names]
    return RunParams(capsule_id=CAPSULE, data_assets=attached, **more)


def asset_params(computation: str, path: str | None = None, **more: Any) -> DataAssetParams:
    source = Source(computation=ComputationSource(id=computation, path=path))
    return DataAssetParams(**{"name": "made", "tags": ["derived"], "mount": "made", "source": source, **more})


def refusal(ask: Callable[[], object]) -> tuple[int, str]:
    """The status and message with which the service refuses."""
    with pytest.raises(Error) as caught:
        ask()
    return caught.value.status_code, caught.value.message


def post(server: CodeOceanServer, path: str, body: object) -> requests.Response:
    return requests.post(f"{server.url}/api/v1/{path}", json=body, auth=("cop_test", ""))


# -- starting runs -----------------------------------------------------------------------------------


def test_a_run_is_named_by_the_service_and_has_what_was_attached(
    server: CodeOceanServer, api: codeocean.CodeOcean
) -> None:
    server.capsules = {CAPSULE: [MODELS]}
    run = api.computations.run_capsule(run_params(RAW))
    assert (run.name, run.created, run.state) == ("Run 9337736", 1709337736, ComputationState.Initializing)
    assert (run.run_time, run.end_status, run.has_results, run.parameters) == (0, None, False, None)
    attached = {asset.id: asset.mount for asset in run.data_assets or ()}
    assert attached == {asset_id(RAW): "ecephys", MODELS["id"]: MODELS["mount"]}
    assert list(attached) == sorted(attached)
    assert api.computations.get_computation(run.id) == run
    assert api.capsules.list_computations(CAPSULE) == [run]
    assert server.computations[0]["id"] == run.id
    assert [request.method for request in server.requests] == ["POST", "GET", "GET"]


def test_the_mount_of_an_asset_is_its_own_where_the_client_gives_none(
    server: CodeOceanServer, api: codeocean.CodeOcean
) -> None:
    run = api.computations.run_capsule(
        RunParams(capsule_id=CAPSULE, data_assets=[DataAssetsRunParam(id=asset_id(RAW))])
    )
    assert [(asset.id, asset.mount) for asset in run.data_assets or ()] == [(asset_id(RAW), RAW)]


def test_parameters_are_kept_and_show_in_the_name(api: codeocean.CodeOcean) -> None:
    named = [NamedRunParam(param_name="probe", value="A")]
    run = api.computations.run_capsule(run_params(RAW, parameters=["fast"], named_parameters=named))
    assert run.name == "Run With Parameters 9337736"
    assert [(p.param_name, p.value) for p in run.parameters or ()] == [(None, "fast"), ("probe", "A")]


def test_a_name_leaves_out_zeros_that_its_digits_begin_with(server: CodeOceanServer, api: codeocean.CodeOcean) -> None:
    server.clock = lambda: 1_710_962_969
    assert api.computations.run_capsule(run_params()).name == "Run 962969"


def test_a_pipeline_runs_with_its_processes_and_only_pipelines_list_it(api: codeocean.CodeOcean) -> None:
    process = PipelineProcessParams(name="sort", named_parameters=[NamedRunParam("threshold", "5")])
    params = RunParams(pipeline_id=PIPELINE, processes=[process], nextflow_profile="big")
    run = api.computations.run_pipeline(params)
    assert (run.name, run.nextflow_profile) == ("Run With Parameters 9337736", "big")
    assert run.processes is not None and run.processes[0].name == "sort" and run.processes[0].capsule_id
    assert [(p.param_name, p.value) for p in run.processes[0].parameters or ()] == [("threshold", "5")]
    assert api.pipelines.list_computations(PIPELINE) == [run]
    assert api.capsules.list_computations(PIPELINE) == []


def test_only_known_capsules_and_pipelines_run(server: CodeOceanServer, api: codeocean.CodeOcean) -> None:
    server.capsules, server.pipelines = {CAPSULE: []}, {PIPELINE: [MODELS]}
    assert api.computations.run_capsule(run_params()).data_assets == []
    assert [asset.id for asset in api.computations.run_pipeline(RunParams(pipeline_id=PIPELINE)).data_assets or ()] == [
        MODELS["id"]
    ]
    for params in (RunParams(capsule_id=PIPELINE), RunParams(pipeline_id=CAPSULE)):
        assert refusal(lambda params=params: api.computations.run_capsule(params)) == (404, "Not found")
    assert refusal(lambda: api.capsules.list_computations(PIPELINE))[0] == 404
    assert len(server.computations) == 2


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [({"state": "draft"}, "not ready"), ({"state": "failed"}, "not ready"), ({"archived": True}, "archived")],
)
def test_assets_that_cannot_be_used_are_refused(
    server: CodeOceanServer, api: codeocean.CodeOcean, overrides: dict[str, Any], reason: str
) -> None:
    server.assets = [make_asset(RAW, **overrides)]
    status, message = refusal(lambda: api.computations.run_capsule(run_params(RAW)))
    assert (status, asset_id(RAW) in message, reason in message) == (400, True, True)
    assert refusal(lambda: api.computations.run_capsule(run_params(OTHER)))[0] == 400
    assert server.computations == ()


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"capsule_id": ""},
        {"capsule_id": 5},
        {"capsule_id": CAPSULE, "pipeline_id": PIPELINE},
        {"capsule_id": CAPSULE, "data_assets": {}},
        {"capsule_id": CAPSULE, "data_assets": [asset_id(RAW)]},
        {"capsule_id": CAPSULE, "data_assets": [{"mount": "x"}]},
        {"capsule_id": CAPSULE, "parameters": "fast"},
        {"capsule_id": CAPSULE, "parameters": [5]},
        {"capsule_id": CAPSULE, "named_parameters": [{"value": "x"}]},
        {"pipeline_id": PIPELINE, "processes": [{}]},
    ],
)
def test_parameters_that_make_no_sense_are_400_with_a_reason(server: CodeOceanServer, body: object) -> None:
    answer = post(server, "computations", body)
    assert (answer.status_code, bool(answer.json()["message"])) == (400, True)
    assert server.computations == ()


def test_a_busy_service_starts_nothing_and_still_answers(server: CodeOceanServer, api: codeocean.CodeOcean) -> None:
    run = api.computations.run_capsule(run_params())
    server.busy = True
    status, message = refusal(lambda: api.computations.run_capsule(run_params()))
    assert (status, "Too many" in message) == (429, True)
    assert api.computations.get_computation(run.id) == run
    server.busy = False
    api.computations.run_capsule(run_params())
    assert len(server.computations) == 2


def test_clients_that_start_runs_at_once_get_one_each(server: CodeOceanServer, api: codeocean.CodeOcean) -> None:
    with ThreadPoolExecutor(8) as pool:
        started = list(pool.map(lambda _: post(server, "computations", {"capsule_id": CAPSULE}).json(), range(40)))
    assert len({run["id"] for run in started}) == 40
    assert {run["name"] for run in started} == {"Run 9337736"}  # of one second: a name says nothing
    assert {run.id for run in api.capsules.list_computations(CAPSULE)} == {run["id"] for run in started}


# -- their lives -------------------------------------------------------------------------------------


def test_a_run_goes_through_its_states_and_ends(server: CodeOceanServer, api: codeocean.CodeOcean) -> None:
    run = api.computations.run_capsule(run_params(RAW))
    states: list[tuple[str, int]] = []
    for seconds in (10, 20, 30):
        server.clock = lambda seconds=seconds: 1_709_337_736 + seconds
        server.advance()
        now = api.computations.get_computation(run.id)
        states.append((now.state, now.run_time))
        assert "end_status" not in server.computations[0]
    assert states == [("running", 10), ("finalizing", 20), ("finalizing", 30)]
    server.finish(run.id, files=RESULTS)
    ended = api.computations.get_computation(run.id)
    assert (ended.state, ended.end_status) == (ComputationState.Completed, ComputationEndStatus.Succeeded)
    assert (ended.has_results, ended.run_time, ended.exit_code) == (True, 30, None)
    server.advance()
    assert api.computations.get_computation(run.id) == ended


@pytest.mark.parametrize(("state", "end_status"), [("completed", "failed"), ("failed", None), ("completed", "stopped")])
def test_a_run_can_end_badly(
    server: CodeOceanServer, api: codeocean.CodeOcean, state: str, end_status: str | None
) -> None:
    run = api.computations.run_capsule(run_params())
    server.finish(run.id, end_status, state=state, exit_code=137, run_time=5472)
    ended = api.computations.get_computation(run.id)
    assert (ended.state, ended.end_status, ended.exit_code, ended.run_time) == (state, end_status, 137, 5472)
    assert ended.has_results is False


def test_endings_that_do_not_exist_are_mistakes_of_the_test(server: CodeOceanServer) -> None:
    run_id = server.add_computation(capsule_id=CAPSULE)
    with pytest.raises(ValueError, match="no computation ends"):
        server.finish(run_id, "great")
    with pytest.raises(ValueError, match="no computation ends"):
        server.finish(run_id, state="running")
    with pytest.raises(KeyError):
        server.finish("no-such-run")
    with pytest.raises(ValueError, match="not the name"):
        server.finish(run_id, files={"a/b": b""})
    assert server.computations[0]["state"] == "initializing"


def test_runs_are_listed_newest_first_and_the_later_one_of_a_second(
    server: CodeOceanServer, api: codeocean.CodeOcean
) -> None:
    for name, created in [("old", 100), ("first", 200), ("second", 200), ("oldest", 50)]:
        server.add_computation(capsule_id=CAPSULE, name=name, created=created)
    server.add_computation(pipeline_id=CAPSULE, name="of a pipeline", created=300)
    listed = [run.name for run in api.capsules.list_computations(CAPSULE)]
    assert listed == ["second", "first", "old", "oldest"]
    assert [run["name"] for run in server.computations] == ["of a pipeline", *listed]


def test_runs_are_renamed_and_deleted(server: CodeOceanServer, api: codeocean.CodeOcean) -> None:
    run = api.computations.run_capsule(run_params())
    api.computations.rename_computation(run.id, "dlc_eye 676909 & more")
    assert api.computations.get_computation(run.id).name == "dlc_eye 676909 & more"
    assert [found.name for found in api.capsules.list_computations(CAPSULE)] == ["dlc_eye 676909 & more"]
    nameless = requests.patch(f"{server.url}/api/v1/computations/{run.id}", auth=("cop_test", ""))
    assert (nameless.status_code, nameless.json()) == (400, {"message": "name is required"})
    api.computations.delete_computation(run.id)
    for ask in (
        lambda: api.computations.get_computation(run.id),
        lambda: api.computations.rename_computation(run.id, "x"),
        lambda: api.computations.delete_computation(run.id),
        lambda: api.computations.list_computation_results(run.id),
    ):
        assert refusal(ask) == (404, "Not found")
    assert server.computations == ()


def test_a_run_that_is_there_already_has_only_known_fields_and_one_place(server: CodeOceanServer) -> None:
    with pytest.raises(TypeError, match="stat"):
        server.add_computation(capsule_id=CAPSULE, stat="running")
    for places in ({}, {"capsule_id": CAPSULE, "pipeline_id": PIPELINE}):
        with pytest.raises(ValueError, match="either"):
            server.add_computation(**places)
    run_id = server.add_computation(capsule_id=CAPSULE, state="completed", end_status="succeeded", files=RESULTS)
    mine = server.computations[0]
    assert (mine["id"], mine["has_results"], list(mine)) == (run_id, True, sorted(mine))
    mine["state"] = "mine"
    assert server.computations[0]["state"] == "completed"


@needs_real
def test_real_records_come_back_as_they_are(server: CodeOceanServer, api: codeocean.CodeOcean) -> None:
    records = json.loads((REAL / "computations.json").read_text("utf-8"))
    for record in records.values():
        server.add_computation(pipeline_id=PIPELINE, **record)
    (errored,) = json.loads((REAL / "computations-errored.json").read_text("utf-8")).values()
    server.add_computation(pipeline_id=PIPELINE, **errored)
    found = {run.id: run for run in api.pipelines.list_computations(PIPELINE)}
    assert len(found) == len(records) + 1
    sent = {run["id"]: run for run in server.computations}
    for record in records.values():
        assert {**record, "owner": found[record["id"]].owner} == sent[record["id"]]
        run = found[record["id"]]
        assert run == Computation.from_dict(sent[record["id"]]) == api.computations.get_computation(run.id)
        assert (run.state, run.end_status, run.has_results, run.run_time) == (
            record["state"],
            record.get("end_status"),
            record["has_results"],
            record["run_time"],
        )


@needs_real
def test_names_and_fields_are_those_of_real_records(server: CodeOceanServer, api: codeocean.CodeOcean) -> None:
    records = json.loads((REAL / "computations.json").read_text("utf-8")).values()
    for record in records:
        server.clock = lambda record=record: record["created"]
        more = {"parameters": ["x"]} if "Parameters" in record["name"] else {}
        assert api.computations.run_capsule(run_params(**more)).name == record["name"]
    server.clock = lambda: 2_000_000_000
    run = api.computations.run_capsule(run_params(RAW))
    under_way = next(record for record in records if record["state"] == "running")
    assert list(server.computations[0]) == sorted([*under_way, "owner"])
    server.finish(run.id, files=RESULTS)
    over = next(record for record in records if record["state"] == "completed")
    assert list(server.computations[0]) == sorted([*over, "owner"])


# -- results -----------------------------------------------------------------------------------------


@pytest.fixture
def done(server: CodeOceanServer, api: codeocean.CodeOcean) -> str:
    """A run with results."""
    run = api.computations.run_capsule(run_params(RAW))
    server.finish(run.id, files=RESULTS)
    return run.id


def test_results_are_listed_folder_by_folder(api: codeocean.CodeOcean, done: str) -> None:
    def items(path: str) -> list[tuple[str, str, str, int | None]]:
        found = api.computations.list_computation_results(done, path).items
        return [(item.name, item.path, item.type, item.size) for item in found]

    assert items("") == [
        ("empty", "empty", "folder", None),
        ("nextflow", "nextflow", "folder", None),
        ("output", "output", "file", 12),
    ]
    assert (
        items("nextflow")
        == items("/nextflow/")
        == [
            ("trace.txt", "nextflow/trace.txt", "file", 7),
            ("work", "nextflow/work", "folder", None),
        ]
    )
    assert items("empty") == []
    for path in ("output", "nowhere", "output/deeper", ".."):
        assert refusal(lambda path=path: items(path)) == (404, "Not found")


def test_a_run_without_results_has_none_to_list(server: CodeOceanServer, api: codeocean.CodeOcean) -> None:
    run = api.computations.run_capsule(run_params())
    assert refusal(lambda: api.computations.list_computation_results(run.id)) == (404, "Not found")
    server.finish(run.id, "failed")
    assert refusal(lambda: api.computations.get_result_file_urls(run.id, "output")) == (404, "Not found")


@pytest.mark.parametrize(
    ("path", "data"),
    [("output", b"all is well\n"), ("nextflow/trace.txt", b"1\tdone\n"), ("nextflow/work/a b & ü?.log", b"\x00\xff")],
)
def test_files_are_downloaded_by_their_urls(api: codeocean.CodeOcean, done: str, path: str, data: bytes) -> None:
    urls = api.computations.get_result_file_urls(done, path)
    with pytest.warns(DeprecationWarning, match="deprecated"):
        deprecated = api.computations.get_result_file_download_url(done, path).url
    assert "/api/v1/" not in urls.download_url and len({urls.download_url, urls.view_url, deprecated}) == 3
    for url in (urls.download_url, urls.view_url, deprecated):
        assert requests.get(url).content == data


def test_an_url_of_a_file_takes_its_signature_and_no_other_authorization(
    server: CodeOceanServer, api: codeocean.CodeOcean, done: str
) -> None:
    url = api.computations.get_result_file_urls(done, "output").download_url
    answer = requests.get(url, auth=("cop_test", ""))
    assert (answer.status_code, "InvalidArgument" in answer.text) == (400, True)
    other = api.computations.get_result_file_urls(done, "nextflow/trace.txt").download_url
    plain, _, signature = url.partition("?")
    for wrong in (plain, f"{plain}?X-Amz-Signature=0", f"{other.partition('?')[0]}?{signature}"):
        assert requests.get(wrong).status_code == 403
    assert requests.head(url).status_code == 403  # signed for GET
    server.revoke_urls()
    assert requests.get(url).status_code == 403
    assert requests.get(api.computations.get_result_file_urls(done, "output").download_url).ok


@pytest.mark.parametrize("path", ["nextflow", "nowhere", "output/deeper"])
def test_only_files_have_urls(api: codeocean.CodeOcean, done: str, path: str) -> None:
    assert refusal(lambda: api.computations.get_result_file_urls(done, path)) == (404, "Not found")


def test_a_proxy_in_front_sees_the_download_too(serve: Serve, server: CodeOceanServer, done: str) -> None:
    proxy = serve(FaultyProxy(server.url))
    through = codeocean.CodeOcean(domain=proxy.url, token="cop_test")
    url = through.computations.get_result_file_urls(done, "output").download_url
    assert requests.get(url).content == b"all is well\n"
    assert proxy.count == 2


# -- data assets made of results ---------------------------------------------------------------------


def test_a_result_becomes_a_data_asset_that_is_found(
    server: CodeOceanServer, api: codeocean.CodeOcean, done: str
) -> None:
    params = asset_params(done, description="eyes", custom_metadata={"subject id": "676909"})
    made = api.data_assets.create_data_asset(params)
    assert (made.state, made.type, made.name, made.mount, made.tags) == ("draft", "result", "made", "made", ["derived"])
    assert (made.description, made.custom_metadata) == ("eyes", {"subject id": "676909"})
    assert (made.files, made.size, made.failure_reason) == (None, None, None)
    assert made.provenance is not None
    assert (made.provenance.computation, made.provenance.capsule) == (done, CAPSULE)
    assert made.provenance.data_assets == [asset_id(RAW)]
    found = api.data_assets.search_data_assets(DataAssetSearchParams(query="subject id: 676909 tag:derived"))
    assert found.results == [made]
    ready = api.data_assets.wait_until_ready(made)
    assert (ready.state, ready.files, ready.size) == ("ready", 3, 21)
    assert server.assets[-1]["state"] == "ready"
    listed = api.data_assets.list_data_asset_files(made.id, "nextflow").items
    assert [item.path for item in listed] == ["nextflow/trace.txt", "nextflow/work"]
    assert (
        requests.get(api.data_assets.get_data_asset_file_urls(made.id, "output").download_url).text == "all is well\n"
    )
    run = api.computations.run_capsule(RunParams(capsule_id=CAPSULE, data_assets=[DataAssetsRunParam(id=made.id)]))
    assert [asset.mount for asset in run.data_assets or ()] == ["made"]


def test_a_folder_of_the_results_alone_can_be_taken(api: codeocean.CodeOcean, done: str) -> None:
    made = api.data_assets.create_data_asset(asset_params(done, "nextflow/work"))
    assert [item.path for item in api.data_assets.list_data_asset_files(made.id).items] == ["a b & ü?.log"]
    assert api.data_assets.get_data_asset(made.id).size == 2


def test_a_bucket_outside_can_hold_the_files(api: codeocean.CodeOcean, done: str) -> None:
    params = asset_params(done, target=Target(aws=AWSS3Target(bucket="aind-ephys-data", prefix="made")))
    place = api.data_assets.create_data_asset(params).source_bucket
    assert place is not None
    assert (place.origin, place.bucket, place.prefix, place.external) == ("aws", "aind-ephys-data", "made", True)


def test_parameters_of_the_run_stay_with_the_asset(server: CodeOceanServer, api: codeocean.CodeOcean) -> None:
    run = api.computations.run_capsule(run_params(named_parameters=[NamedRunParam("probe", "A")]))
    server.finish(run.id, files={"output": "x"})
    made = api.data_assets.create_data_asset(asset_params(run.id))
    assert [(item.name, item.value) for item in made.app_parameters or ()] == [("probe", "A")]


def test_an_asset_is_a_draft_for_as_many_reads_as_wanted(
    server: CodeOceanServer, api: codeocean.CodeOcean, done: str
) -> None:
    server.draft_reads = 2
    made = api.data_assets.create_data_asset(asset_params(done))
    api.data_assets.search_data_assets(DataAssetSearchParams())
    assert [api.data_assets.get_data_asset(made.id).state for _ in range(4)] == ["draft", "draft", "ready", "ready"]


def test_an_asset_is_a_draft_until_it_is_settled(server: CodeOceanServer, api: codeocean.CodeOcean, done: str) -> None:
    server.draft_reads = None
    good, bad = (api.data_assets.create_data_asset(asset_params(done)).id for _ in range(2))
    assert {api.data_assets.get_data_asset(good).state for _ in range(5)} == {"draft"}
    use = RunParams(capsule_id=CAPSULE, data_assets=[DataAssetsRunParam(id=good)])
    assert refusal(lambda: api.computations.run_capsule(use))[0] == 400
    server.settle(good)
    server.settle(bad, "no space left")
    assert api.data_assets.get_data_asset(good).state == "ready"
    failed = api.data_assets.get_data_asset(bad)
    assert (failed.state, failed.failure_reason, failed.files) == ("failed", "no space left", None)
    with pytest.raises(KeyError):
        server.settle(good)


def test_an_asset_fails_by_itself_where_the_server_is_told_so(
    server: CodeOceanServer, api: codeocean.CodeOcean, done: str
) -> None:
    server.asset_failure = "no space left"
    made = api.data_assets.create_data_asset(asset_params(done))
    assert made.state == "draft"
    failed = api.data_assets.wait_until_ready(made)
    assert (failed.state, failed.failure_reason) == ("failed", "no space left")


def test_only_completed_runs_with_results_become_assets(server: CodeOceanServer, api: codeocean.CodeOcean) -> None:
    running = server.add_computation(capsule_id=CAPSULE, state="running")
    failed = server.add_computation(capsule_id=CAPSULE, state="failed", files=RESULTS)
    bare = server.add_computation(capsule_id=CAPSULE, state="completed", end_status="failed")
    done = server.add_computation(capsule_id=CAPSULE, state="completed", end_status="failed", files=RESULTS)
    asked = [
        (asset_params("no-such-run"), "no computation"),
        (asset_params(running), "running"),
        (asset_params(failed), "failed, not completed"),
        (asset_params(bare), "no results"),
        (asset_params(done, "nowhere"), "nowhere"),
        (asset_params(done, "output"), "output"),
        (asset_params(done, name=""), "name"),
        (asset_params(done, mount=""), "mount"),
        (DataAssetParams(name="x", tags=[], mount="x"), "source.computation.id"),
    ]
    for params, reason in asked:
        status, message = refusal(lambda params=params: api.data_assets.create_data_asset(params))
        assert (status, reason in message) == (400, True), message
    for part in ({"tags": "derived"}, {"tags": [1]}, {"custom_metadata": []}, {"target": {}}, {"description": 5}):
        body = {**asset_params(done).to_dict(), **part}
        assert post(server, "data_assets", body).status_code == 400
    assert len(server.assets) == 2
    api.data_assets.create_data_asset(asset_params(done))
    assert len(server.assets) == 3


def test_assets_made_at_once_are_all_kept(server: CodeOceanServer, done: str) -> None:
    body = asset_params(done).to_dict()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: post(server, "data_assets", body).json()["id"], range(40)))
    assert sorted(asset["id"] for asset in server.assets[2:]) == sorted(made)


def test_files_can_be_given_to_any_asset(server: CodeOceanServer, api: codeocean.CodeOcean) -> None:
    assert refusal(lambda: api.data_assets.list_data_asset_files(asset_id(RAW))) == (404, "Not found")
    server.put_files(asset_id(RAW), {"settings.xml": "<x/>"})
    (item,) = api.data_assets.list_data_asset_files(asset_id(RAW)).items
    assert (item.name, item.path, item.type, item.size) == ("settings.xml", "settings.xml", "file", 4)


# -- permissions -------------------------------------------------------------------------------------


def test_an_asset_is_private_until_it_is_shared(server: CodeOceanServer, api: codeocean.CodeOcean) -> None:
    before = api.data_assets.get_permissions(asset_id(RAW))
    assert before.everyone == EveryoneRole.None_
    assert [user.role for user in before.users or ()] == [UserRole.Owner]
    api.data_assets.update_permissions(asset_id(RAW), Permissions(everyone=EveryoneRole.Viewer))
    after = api.data_assets.get_permissions(asset_id(RAW))
    assert (after.everyone, after.users) == (EveryoneRole.Viewer, before.users)
    groups = [GroupPermissions(group="mindscope", role=GroupRole.Discoverable)]
    users = [UserPermissions(email="a@example.org", role=UserRole.Editor)]
    update = Permissions(users=users, groups=groups, share_assets=True)
    api.data_assets.update_permissions(asset_id(RAW), update)
    both = api.data_assets.get_permissions(asset_id(RAW))
    assert (both.users, both.groups, both.everyone) == (users, groups, EveryoneRole.Viewer)
    assert server.permissions(asset_id(RAW))["everyone"] == "viewer"
    assert server.permissions(asset_id(OTHER))["everyone"] == "none"


def test_permissions_that_do_not_exist_are_refused(server: CodeOceanServer, api: codeocean.CodeOcean) -> None:
    for body in (
        {"everyone": "owner"},
        {"everyone": 1},
        {"users": [{"email": "a@example.org", "role": "discoverable"}]},
        {"users": [{"role": "viewer"}]},
        {"groups": "all"},
        {"share_assets": "yes"},
    ):
        answer = post(server, f"data_assets/{asset_id(RAW)}/permissions", body)
        assert (answer.status_code, bool(answer.json()["message"])) == (400, True)
    assert server.permissions(asset_id(RAW))["everyone"] == "none"
    assert refusal(lambda: api.data_assets.get_permissions("no-such-asset")) == (404, "Not found")
    assert refusal(lambda: api.data_assets.update_permissions("no-such-asset", Permissions())) == (404, "Not found")


# -- the rest ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "computations"),
        ("GET", "computations/x"),
        ("GET", f"capsules/{CAPSULE}/computations"),
        ("POST", "data_assets"),
        ("GET", f"data_assets/{asset_id(RAW)}/permissions"),
    ],
)
def test_every_path_of_the_api_wants_the_token(server: CodeOceanServer, method: str, path: str) -> None:
    answer = requests.request(method, f"{server.url}/api/v1/{path}", json={"capsule_id": CAPSULE}, auth=("x", ""))
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})
    assert server.computations == ()


def test_a_run_whose_answer_is_lost_has_begun_all_the_same(serve: Serve, server: CodeOceanServer) -> None:
    proxy = serve(FaultyProxy(server.url))
    through = codeocean.CodeOcean(domain=proxy.url, token="cop_test")
    proxy.plan(Lose())
    with pytest.raises(requests.ConnectionError):
        through.computations.run_capsule(run_params(RAW))
    (run,) = through.capsules.list_computations(CAPSULE)
    assert [asset.id for asset in run.data_assets or ()] == [asset_id(RAW)]
