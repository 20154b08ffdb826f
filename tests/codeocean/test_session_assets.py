"""The data assets of one session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from codeocean.data_asset import DataAsset, DataAssetType

import npc_lims
from npc_lims.codeocean.computations import get_skipped_probes, get_sorting_output_text
from npc_lims.codeocean.data_assets import (
    asset_exists,
    get_codeocean_session_id,
    get_codoecean_session_id,
    get_data_asset,
    get_session_capsule_pipeline_data_asset,
    get_session_data_assets,
    get_session_raw_data_asset,
    get_session_result_data_assets,
    get_session_sorted_data_asset,
    get_surface_channel_raw_data_asset,
    is_lighting_pose_gamma_encoded,
)
from npc_lims.config.settings import settings_for_reading
from npc_lims.sessions.find_asset import recorded_fact
from tests.integration.world import Cloud, run_sync
from tests.servers.codeocean import asset_id, make_asset

SESSION = "901001_2024-03-13"
NAME = f"ecephys_{SESSION}_13-22-17"
ONLY_ERRORED = "901002_2024-05-14"
NEW = "654321_2024-01-02"
RAW = f"ecephys_{NEW}_10-00-00"


@pytest.fixture(autouse=True)
def world(synced: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """State made by a sync of both services, which the environment points at."""
    monkeypatch.setenv("NPC_LIMS_STATE", str(synced / "state"))
    monkeypatch.chdir(synced)
    cloud.forget_requests()


def add(cloud: Cloud, *names: str, **overrides: Any) -> None:
    cloud.codeocean.assets = [*cloud.codeocean.assets, *(make_asset(name, **overrides) for name in names)]


# --- one asset


@pytest.mark.parametrize(
    ("get", "kind"),
    [
        (get_session_raw_data_asset, "raw"),
        (get_session_sorted_data_asset, "sorted"),
        (get_surface_channel_raw_data_asset, "surface"),
        (lambda session: get_session_capsule_pipeline_data_asset(session, "dlc_eye"), "dlc_eye"),
        (lambda session: get_session_capsule_pipeline_data_asset(session, "LPFaceParts"), "LPFaceParts"),
        (lambda session: get_session_capsule_pipeline_data_asset(session, "sorted"), "sorted"),
    ],
)
def test_what_state_has_is_one_request(cloud: Cloud, get: Any, kind: str) -> None:
    found = get(SESSION)
    assert isinstance(found, DataAsset)
    assert found.id == recorded_fact(settings_for_reading(), SESSION, kind)["id"]
    assert [request.method for request in cloud.codeocean_proxy.requests] == ["GET"]
    assert get("901001_20240313") is found
    assert cloud.requests == 1


def test_what_a_search_finds_is_not_queried_again(cloud: Cloud) -> None:
    add(cloud, RAW)
    assert get_session_raw_data_asset(NEW).id == asset_id(RAW)
    assert cloud.codeocean_proxy.count == 2


def test_the_surface_recording_whatever_the_index() -> None:
    surface = get_surface_channel_raw_data_asset(SESSION)
    assert surface.name.endswith("_15-41-09")
    assert get_surface_channel_raw_data_asset(f"{SESSION}_1") is surface
    assert get_session_raw_data_asset(f"{SESSION}_1") is surface


def test_results_of_other_processes_are_found_by_name(cloud: Cloud) -> None:
    names = [f"{RAW}_unit_maps_2024-01-0{day}_12-00-00" for day in (3, 4)]
    add(cloud, RAW, *names)
    add(cloud, f"{RAW}_unit_maps_2024-01-05_12-00-00", state="failed")
    assert get_session_capsule_pipeline_data_asset(NEW, "unit_maps").name == names[1]
    with pytest.raises(
        FileNotFoundError, match=f"{NEW} has no odd data asset: no name of its assets in http.* has that"
    ):
        get_session_capsule_pipeline_data_asset(NEW, "odd")


def test_the_newest_errored_sorting_result_comes_with_a_warning(cloud: Cloud) -> None:
    with pytest.warns(npc_lims.NpcLimsWarning) as told:
        found = get_session_sorted_data_asset(ONLY_ERRORED)
    assert found.name.endswith("_sorted_2024-06-03_18-02-11")
    assert str(told[0].message) == (
        f"{ONLY_ERRORED} has no sorting result without errors: {found.name} is used (Out of memory.)"
    )


@pytest.mark.parametrize(
    "get",
    [
        get_session_raw_data_asset,
        get_session_sorted_data_asset,
        get_surface_channel_raw_data_asset,
        lambda session: get_session_capsule_pipeline_data_asset(session, "facemap"),
    ],
)
def test_nothing_is_both_of_the_errors_it_used_to_be(get: Any) -> None:
    for kind in (FileNotFoundError, ValueError):
        with pytest.raises(kind, match=f"{NEW} has no .* data asset: state .* names none, and http.* has none"):
            get(NEW)
    with pytest.raises(npc_lims.NoSessionInfo, match="'nonsense' is not a session"):
        get("nonsense")


# --- all of them


def test_all_assets_of_a_recording(cloud: Cloud) -> None:
    found = get_session_data_assets(SESSION)
    assert len(found) > 5
    assert all(asset.name.startswith(NAME) for asset in found)
    assert [asset.created for asset in found] == sorted(asset.created for asset in found)
    results = get_session_result_data_assets(SESSION)
    assert results == tuple(asset for asset in found if asset.type is DataAssetType.Result)
    assert len(results) == len(found) - 1
    assert cloud.requests == 2


def test_assets_of_the_second_recording_are_its_own() -> None:
    second = get_session_data_assets(f"{SESSION}_1")
    assert second
    assert not {asset.id for asset in second} & {asset.id for asset in get_session_data_assets(SESSION)}


def test_a_session_without_assets_has_none() -> None:
    assert get_session_data_assets(NEW) == ()
    assert get_session_result_data_assets(NEW) == ()


# --- the name of a recording


def test_the_name_of_a_recording_comes_from_state(cloud: Cloud) -> None:
    assert get_codeocean_session_id(SESSION) == NAME
    assert get_codeocean_session_id(f"{SESSION}_1") == f"ecephys_{SESSION}_15-41-09"
    assert cloud.requests == 0
    assert get_codoecean_session_id is get_codeocean_session_id


def test_the_name_of_a_recording_that_state_does_not_have(cloud: Cloud) -> None:
    add(cloud, f"{RAW}_dlc_eye_2024-01-03_12-00-00", f"behavior_{NEW}_08-00-00")
    assert get_codeocean_session_id(NEW) == RAW, "a behavior recording of the morning does not count"
    with pytest.raises(
        npc_lims.SessionIndexError, match=f"{NEW}_1: of that day http.* has 1 recording, counted from 0"
    ):
        get_codeocean_session_id(f"{NEW}_1")
    with pytest.raises(npc_lims.SessionIndexError):
        get_session_data_assets(f"{NEW}_1")


def test_behavior_data_that_stand_in_for_lost_ephys_data_name_no_recording(
    cloud: Cloud, synced: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    behavior, sorting = NAME.replace("ecephys", "behavior"), f"{NAME}_sorted_2024-03-15_17-45-17"
    cloud.codeocean.assets = [make_asset(behavior), make_asset(sorting)]
    run_sync(synced, sources=("codeocean",), allow_removals=True)
    npc_lims.clear_caches()
    for state in (synced / "state", synced / "empty"):
        state.mkdir(exist_ok=True)
        monkeypatch.setenv("NPC_LIMS_STATE", str(state))
        assert get_session_raw_data_asset(SESSION).name == behavior
        assert get_codeocean_session_id(SESSION) == NAME
        assert [one.name for one in get_session_data_assets(SESSION)] == [sorting]


def test_no_recording_has_no_name() -> None:
    with pytest.raises(npc_lims.NoSessionData, match=f"{NEW} has no data assets in http.* when it was started"):
        get_codeocean_session_id(NEW)


# --- gamma encoding


def test_whether_lightning_pose_saw_gamma_encoded_videos(cloud: Cloud) -> None:
    encoded, plain = f"{RAW}_GammaEncoding_2024-01-03_12-00-00", RAW
    add(cloud, encoded, plain)
    pose = make_asset(f"{RAW}_LPFaceParts_2024-01-04_12-00-00")

    def result(*inputs: str) -> DataAsset:
        provenance = {**pose["provenance"], "data_assets": [asset_id(name) for name in inputs]}
        return DataAsset.from_dict({**pose, "provenance": provenance})

    assert is_lighting_pose_gamma_encoded(result(plain, encoded)) is True
    assert is_lighting_pose_gamma_encoded(result(plain)) is False
    with pytest.raises(npc_lims.AssetError, match=f"{pose['name']} .* does not say which data assets it was made from"):
        is_lighting_pose_gamma_encoded(result())
    with pytest.raises(npc_lims.NoSessionData, match="there is no data asset"):
        is_lighting_pose_gamma_encoded(result("gone"))
    with pytest.raises(npc_lims.AssetError, match="does not say"):
        is_lighting_pose_gamma_encoded(get_data_asset(asset_id(plain)))


# --- status


def test_results_of_video_processes_by_status(cloud: Cloud) -> None:
    assert asset_exists(SESSION, "dlc_eye") is True
    assert asset_exists(SESSION, "GammaEncoding") is True
    assert asset_exists("901003_2024-10-23", "dlc_side") is False
    assert cloud.requests == 0


def test_an_unknown_process() -> None:
    with pytest.raises(ValueError, match="is run on videos") as raised:
        asset_exists(SESSION, "dlc_nose")
    assert str(raised.value) == (
        "there is no process 'dlc_nose' that is run on videos; known are: dlc_eye, dlc_side, dlc_face, facemap, "
        "LPFaceParts, GammaEncoding"
    )


# --- the log of sorting


def sorting_log(cloud: Cloud, content: bytes | None) -> None:
    fact = recorded_fact(settings_for_reading(), SESSION, "sorted")
    cloud.change(**{f"{settings_for_reading().codeocean_bucket}/{fact['id']}/output": content})
    cloud.forget_requests()


def test_the_log_of_sorting_is_one_request_to_s3(cloud: Cloud) -> None:
    sorting_log(cloud, "fine \N{GREEK SMALL LETTER MU}".encode() + b"\xff")
    assert get_sorting_output_text(SESSION) == "fine \N{GREEK SMALL LETTER MU}\N{REPLACEMENT CHARACTER}"
    assert get_sorting_output_text(SESSION).startswith("fine")
    assert get_skipped_probes(SESSION) == ""
    assert (cloud.s3_proxy.count, cloud.codeocean_proxy.count) == (1, 0)


def test_probes_that_sorting_gave_up(cloud: Cloud) -> None:
    part = (
        "PREPROCESSING\nexperiment1_Record Node 102#Neuropix-PXI-100.Probe{}-AP_recording1\n"
        "Number of channels: 384\n{}\n"
    )
    give_up = "Skipping further processing for this recording."
    text = part.format("A", "done") + part.format("B", give_up) + part.format("C", "done") + part.format("E", give_up)
    sorting_log(cloud, text.encode())
    assert get_skipped_probes(SESSION) == "BE"


def test_a_log_that_does_not_tell_the_probe(cloud: Cloud) -> None:
    sorting_log(cloud, b"PREPROCESSING\nsomething\nSkipping further processing for this recording\n")
    with pytest.raises(npc_lims.AssetError, match=f"{SESSION}: the log of its sorting says .* names no probe"):
        get_skipped_probes(SESSION)


def test_a_sorting_result_without_a_log(cloud: Cloud) -> None:
    sorting_log(cloud, None)
    with pytest.raises(npc_lims.NoSessionData, match=f"{SESSION}: the sorting result .* has no file s3://.*/output"):
        get_sorting_output_text(SESSION)


def test_the_log_of_a_session_that_was_not_sorted() -> None:
    with pytest.raises(npc_lims.NoSessionData, match=f"{NEW} has no sorted data asset"):
        get_sorting_output_text(NEW)


def test_the_log_of_an_errored_result() -> None:
    assert "Out of memory." in get_sorting_output_text(ONLY_ERRORED)
