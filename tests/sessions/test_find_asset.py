"""Which data asset of a session is meant: from state, and from Code Ocean where state has none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import npc_lims
from npc_lims.config.settings import Settings, load_settings
from npc_lims.model.session_id import resolve_session_id
from npc_lims.sessions.find_asset import find_asset, find_sorted, recorded_fact, recorded_section, state_address
from npc_lims.utils.memory_cache import clear_caches
from tests.integration.world import Cloud, GitHub, run_sync, write_tracked
from tests.servers.codeocean import asset_id, make_asset
from tests.servers.faults import Status

WITH_SURFACE = "901001_2024-03-13"
ONLY_ERRORED = "901002_2024-05-14"
BEING_SORTED = "901002_2024-05-16"
MOUSE = 654321
"""A subject that state has never heard of."""
DAY = f"{MOUSE}_2024-01-02"
LOST = f"{MOUSE}_2024-01-03"
RAW = f"ecephys_{DAY}_10-00-00"
SORTED = f"{RAW}_sorted_2024-01-05_12-00-00"


@pytest.fixture
def settings(synced: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """State made by a sync of both services, which the environment points at."""
    monkeypatch.setenv("NPC_LIMS_STATE", str(synced / "state"))
    cloud.forget_requests()
    return load_settings(folder=synced)


def add(cloud: Cloud, *names: str, **overrides: Any) -> None:
    cloud.codeocean.assets = [*cloud.codeocean.assets, *(make_asset(name, **overrides) for name in names)]


# --- ids and sections


@pytest.mark.parametrize("session", [WITH_SURFACE, "901001_20240313", f"s3://bucket/ecephys_{WITH_SURFACE}_13-22-17"])
def test_whatever_names_a_session_is_its_id(session: str) -> None:
    assert resolve_session_id(session) == WITH_SURFACE


def test_text_without_a_session_id_is_an_error() -> None:
    with pytest.raises(
        npc_lims.NoSessionInfo, match="'nonsense' is not a session: give an id such as 626791_2022-08-15"
    ):
        resolve_session_id("nonsense")


def test_sections_as_recorded(settings: Settings) -> None:
    section = recorded_section(settings, WITH_SURFACE, "codeocean")
    assert section is not None
    assert section["raw"]["name"] == f"ecephys_{WITH_SURFACE}_13-22-17"
    assert recorded_section(settings, DAY, "codeocean") is None


def test_unreadable_state_has_no_section(github: GitHub, cloud: Cloud) -> None:
    github.proxy.rule = lambda request: Status(503)
    settings = load_settings()
    assert recorded_section(settings, WITH_SURFACE, "codeocean") is None
    assert state_address(settings) == "lab/state at main"


def test_absent_and_unknown_assets_differ(settings: Settings) -> None:
    assert recorded_fact(settings, ONLY_ERRORED, "sorted") is False
    assert recorded_fact(settings, DAY, "sorted") is None


# --- from state


@pytest.mark.parametrize("kind", ["raw", "sorted", "dlc_eye", "facemap", "LFP_Subsampled", "surface"])
def test_what_state_has_costs_no_request(settings: Settings, cloud: Cloud, kind: str) -> None:
    found = find_asset(settings, WITH_SURFACE, kind)
    assert found.id == recorded_fact(settings, WITH_SURFACE, kind)["id"]
    assert cloud.requests == 0


def test_the_second_recording_is_the_surface_recording_of_the_first(settings: Settings, cloud: Cloud) -> None:
    assert find_asset(settings, f"{WITH_SURFACE}_1", "raw") == find_asset(settings, WITH_SURFACE, "surface")
    assert find_asset(settings, f"{WITH_SURFACE}_1", "raw").name.endswith("_15-41-09")
    assert cloud.requests == 0


def test_what_state_has_needs_no_token(settings: Settings) -> None:
    without = settings.replace(codeocean_token=None)
    assert find_sorted(without, WITH_SURFACE) == (find_asset(settings, WITH_SURFACE, "sorted"), "")


# --- from Code Ocean


def test_an_asset_missing_in_published_state_is_queried(cloud: Cloud, github: GitHub) -> None:
    settings = load_settings()
    for _ in range(2):  # state is read from the session's own file, then from the snapshot
        with pytest.raises(npc_lims.NoSessionData, match=f"{ONLY_ERRORED} has no surface-channel raw data asset"):
            find_asset(settings, ONLY_ERRORED, "surface")
        npc_lims.clear_caches()
    assert github.paths == [f"state/sessions/901002/{ONLY_ERRORED}.yaml", "state/sessions.jsonl"]


def test_what_state_has_not_is_searched_for_once(settings: Settings, cloud: Cloud) -> None:
    add(cloud, RAW, f"{RAW}_dlc_eye_2024-01-03_12-00-00")
    assert find_asset(settings, DAY, "raw").id == asset_id(RAW)
    assert cloud.codeocean_proxy.count == 2, "by metadata, and by any word"
    assert cloud.s3_proxy.count == 1, "whether it is the main recording"
    assert find_asset(settings, DAY, "dlc_eye").name.endswith("_dlc_eye_2024-01-03_12-00-00")
    assert find_asset(settings, DAY, "raw").id == asset_id(RAW)
    assert cloud.requests == 3


def test_threads_that_ask_together_search_once(settings: Settings, cloud: Cloud) -> None:
    add(cloud, RAW)
    cloud.codeocean_proxy.latency = 0.1
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: find_asset(settings, DAY, "raw").id, range(8)))
    finally:
        cloud.codeocean_proxy.latency = 0
    assert set(found) == {asset_id(RAW)}
    assert cloud.requests == 3


def test_a_no_of_state_may_be_out_of_date(settings: Settings, cloud: Cloud) -> None:
    name = f"ecephys_{BEING_SORTED}_13-12-58_dlc_eye_2024-11-06_16-30-09"
    add(cloud, name)
    assert recorded_fact(settings, BEING_SORTED, "dlc_eye") is False
    assert find_asset(settings, BEING_SORTED, "dlc_eye").id == asset_id(name)


def test_a_recorded_absence_is_used_without_credentials(settings: Settings) -> None:
    without = settings.replace(codeocean_token=None)
    with pytest.raises(npc_lims.NoSessionData) as raised:
        find_asset(without, BEING_SORTED, "dlc_eye")
    assert f"{BEING_SORTED} has no dlc_eye data asset: state ({settings.state}) has none" in str(raised.value)
    assert "could not be queried: no Code Ocean token: set CODE_OCEAN_API_TOKEN" in str(raised.value)


def test_without_a_recorded_absence_a_token_is_required(settings: Settings) -> None:
    without = settings.replace(codeocean_token=None)
    with pytest.raises(npc_lims.MissingCredentials, match="CODE_OCEAN_API_TOKEN"):
        find_asset(without, DAY, "raw")


def test_the_error_explains_why_code_ocean_was_queried(github: GitHub, cloud: Cloud) -> None:
    github.proxy.rule = lambda request: Status(503)
    settings = load_settings()
    cloud.codeocean_proxy.rule = lambda request: Status(503)
    with pytest.raises(
        npc_lims.SourceError, match=r"codeocean: .*503.*; state could not be read: .*lab/state/main/.*503"
    ):
        find_asset(settings, WITH_SURFACE, "raw")
    without = settings.replace(codeocean_token=None)
    with pytest.raises(npc_lims.MissingCredentials, match=r"CODE_OCEAN_API_TOKEN .*; state could not be read: .*503"):
        find_asset(without, WITH_SURFACE, "raw")


def test_a_failure_is_raised_and_not_cached(settings: Settings, cloud: Cloud) -> None:
    add(cloud, RAW)
    cloud.codeocean_proxy.rule = lambda request: Status(503)
    with pytest.raises(npc_lims.SourceError, match="503"):
        find_asset(settings, DAY, "raw")
    cloud.codeocean_proxy.rule = None
    assert find_asset(settings, DAY, "raw").id == asset_id(RAW)


def test_nothing_anywhere_names_the_places(settings: Settings, cloud: Cloud) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        find_asset(settings, DAY, "raw")
    assert str(raised.value) == (
        f"{DAY} has no raw data asset: state ({settings.state}) names none, and {settings.codeocean_domain} has none"
    )
    assert isinstance(raised.value, ValueError)
    assert cloud.requests == 4, "two searches, and two for archived ones"


def test_an_index_beyond_the_recordings_of_the_day(settings: Settings, cloud: Cloud) -> None:
    add(cloud, RAW)
    with pytest.raises(
        npc_lims.SessionIndexError, match=r"_1 has no raw data asset: .* of that day it has 1 recording$"
    ):
        find_asset(settings, f"{DAY}_1", "raw")
    with pytest.raises(IndexError, match=r"of that day it has 1 recording$"):
        find_asset(settings, f"{DAY}_2", "dlc_eye")


def test_no_surface_recording_is_no_matter_of_an_index(settings: Settings, cloud: Cloud) -> None:
    add(cloud, RAW)
    with pytest.raises(npc_lims.NoSessionData, match="no surface-channel raw data asset") as raised:
        find_asset(settings, DAY, "surface")
    assert not isinstance(raised.value, npc_lims.SessionIndexError)


def test_a_surface_recording_of_just_now(settings: Settings, cloud: Cloud) -> None:
    second = f"ecephys_{DAY}_15-00-00"
    add(cloud, RAW, second)
    assert find_asset(settings, f"{DAY}_1", "raw").id == asset_id(second)
    assert find_asset(settings, DAY, "surface").id == asset_id(second)
    assert find_asset(settings, DAY, "raw").id == asset_id(RAW)


def test_imaging_is_of_the_subject(settings: Settings, cloud: Cloud) -> None:
    add(cloud, f"SmartSPIM_{MOUSE}_2024-02-01_09-00-00", f"SmartSPIM_{MOUSE}_2024-03-01_09-00-00")
    add(cloud, RAW)
    assert find_asset(settings, DAY, "smartspim").name == f"SmartSPIM_{MOUSE}_2024-03-01_09-00-00"


# --- several, or of no use


def test_two_raw_assets_the_newest_is_used_with_a_warning(settings: Settings, cloud: Cloud) -> None:
    old = make_asset(RAW, id=asset_id("old"), created=1704190000)
    new = make_asset(RAW, created=1704290000)
    cloud.codeocean.assets = [new, old]
    with pytest.warns(npc_lims.AmbiguousAssetWarning) as told:
        assert find_asset(settings, DAY, "raw").id == new["id"]
    assert str(told[0].message) == (
        f"{DAY} has several raw data assets: the newest, {RAW} ({new['id']}), is used; also there: {RAW} ({old['id']})"
    )


def test_two_raw_assets_of_one_second_are_an_error(settings: Settings, cloud: Cloud) -> None:
    cloud.codeocean.assets = [make_asset(RAW), make_asset(RAW, id=asset_id("other"))]
    with pytest.raises(
        npc_lims.AmbiguousAsset, match=r"made in the same second: .*; archive those that are not meant"
    ) as e:
        find_asset(settings, DAY, "raw")
    assert asset_id(RAW) in str(e.value)
    assert asset_id("other") in str(e.value)


def test_a_newer_result_replaces_an_older_one_silently(settings: Settings, cloud: Cloud) -> None:
    names = [f"{RAW}_facemap_2024-01-0{day}_12-00-00" for day in (3, 4)]
    add(cloud, RAW, *names)
    assert find_asset(settings, DAY, "facemap").name == names[1]


def test_an_archived_asset_is_named(settings: Settings, cloud: Cloud) -> None:
    add(cloud, RAW, archived=True)
    with pytest.raises(npc_lims.AssetError) as raised:
        find_asset(settings, DAY, "raw")
    assert str(raised.value) == (
        f"{DAY}: its raw data asset {RAW} ({asset_id(RAW)}) is archived in Code Ocean; unarchive it there to use it"
    )
    assert not isinstance(raised.value, FileNotFoundError), "it is there"


def test_an_archived_asset_of_another_recording_is_ignored(settings: Settings, cloud: Cloud) -> None:
    add(cloud, RAW, f"ecephys_{DAY}_15-00-00")
    add(cloud, f"ecephys_{DAY}_15-00-00_dlc_eye_2024-01-03_12-00-00", archived=True)
    with pytest.raises(npc_lims.NoSessionData, match="has no dlc_eye data asset"):
        find_asset(settings, DAY, "dlc_eye")


@pytest.mark.parametrize("state", ["failed", "draft"])
def test_an_asset_that_is_not_ready_is_named(settings: Settings, cloud: Cloud, state: str) -> None:
    add(cloud, RAW)
    name = f"{RAW}_dlc_eye_2024-01-03_12-00-00"
    add(cloud, name, state=state)
    with pytest.raises(
        npc_lims.NoSessionData, match=rf"that is ready: {name} \({asset_id(name)}\) is in state {state}"
    ):
        find_asset(settings, DAY, "dlc_eye")


# --- sorting results


def test_errored_results_are_named_with_the_reason(settings: Settings) -> None:
    with pytest.raises(npc_lims.NoSessionData) as raised:
        find_asset(settings, ONLY_ERRORED, "sorted")
    message = str(raised.value)
    assert "has none that is good; errored: " in message
    assert "_sorted_2024-06-03_18-02-11" in message
    assert "Out of memory." in message
    assert "only 6 files" in message


def test_the_newest_errored_result_is_had_with_its_reason(settings: Settings, cloud: Cloud) -> None:
    asset, reason = find_sorted(settings, ONLY_ERRORED)
    assert asset.name.endswith("_sorted_2024-06-03_18-02-11")
    assert reason == "Out of memory."
    assert cloud.s3_proxy.count == 0, "the verdicts are recorded"


def test_a_new_result_is_validated_by_its_log(settings: Settings, cloud: Cloud) -> None:
    bad, good = f"{RAW}_sorted_2024-01-06_12-00-00", SORTED
    add(cloud, RAW, good, bad)
    bucket = settings.codeocean_bucket
    cloud.change(
        **{f"{bucket}/{asset_id(bad)}/output": b"Command error:", f"{bucket}/{asset_id(good)}/output": b"fine"}
    )
    cloud.forget_requests()
    assert find_sorted(settings, DAY)[0].id == asset_id(good)
    assert find_asset(settings, DAY, "sorted").id == asset_id(good)
    assert (cloud.codeocean_proxy.count, cloud.s3_proxy.count) == (2, 3), "two logs, and the folder of the raw data"


def test_looking_for_raw_data_reads_no_log(settings: Settings, cloud: Cloud) -> None:
    add(cloud, RAW, SORTED)
    assert find_asset(settings, DAY, "raw").id == asset_id(RAW)
    assert [request.path for request in cloud.s3_proxy.requests if "output" in request.path] == []
    assert cloud.s3_proxy.count == 1


def test_what_a_recording_of_surface_channels_alone_is_good_for(settings: Settings, cloud: Cloud) -> None:
    """The main recording was lost."""
    name = f"ecephys_{LOST}_10-00-00"
    add(cloud, name)
    cloud.s3.put("aind-ephys-data", f"{name}/ecephys_compressed/x.dat")
    with pytest.raises(npc_lims.NoSessionData) as raised:
        find_asset(settings, LOST, "raw")
    why = f"{name} ({asset_id(name)}) holds no folder 'behavior' or 'behavior-videos'"
    assert f"has none of its own: {why}" in str(raised.value)
    assert find_asset(settings, LOST, "surface").name == name
    for result in ("sorted", "dlc_eye", "LFP_Subsampled"):
        add(cloud, f"{name}_{result}_2024-01-03_12-00-00")
    clear_caches()
    for kind in ("sorted", "dlc_eye", "LFP_Subsampled"):
        with pytest.raises(npc_lims.NoSessionData) as raised:
            find_asset(settings, LOST, kind)
        assert f"has none of its own: {why}" in str(raised.value)
    assert find_asset(settings, LOST, "surface_sorted").name.startswith(f"{name}_sorted")
    with pytest.raises(npc_lims.NoSessionData, match="has none of its own"):
        find_sorted(settings, LOST)
    with pytest.raises(npc_lims.SessionIndexError):
        find_asset(settings, f"{LOST}_1", "raw")
    with pytest.raises(npc_lims.NoSessionInfo):
        npc_lims.get_session_info(LOST)
    cloud.s3_proxy.rule = lambda request: Status(503)
    clear_caches()
    with pytest.raises(npc_lims.SourceError, match=f"cannot look into the raw data {name}"):
        find_asset(settings, LOST, "raw")


def test_files_choose_between_two_uploads_of_one_second(settings: Settings, cloud: Cloud) -> None:
    name = f"ecephys_{MOUSE}_2024-01-04_10-00-00"
    for number, folders in enumerate((("behavior", "ecephys"), ("ecephys",))):
        source = {"origin": "aws", "bucket": "aind-ephys-data", "prefix": f"{number}/{name}"}
        add(cloud, name, id=str(number), created=1704190000, source_bucket=source)
        for folder in folders:
            cloud.s3.put("aind-ephys-data", f"{number}/{name}/{folder}/x")
    assert find_asset(settings, f"{MOUSE}_2024-01-04", "raw").id == "0"


def test_a_log_that_cannot_be_read_is_no_verdict(settings: Settings, cloud: Cloud) -> None:
    add(cloud, RAW, SORTED)
    cloud.s3_proxy.rule = lambda request: Status(503) if request.path.endswith("output") else None
    with pytest.raises(npc_lims.SourceError, match="cannot validate the sorting result"):
        find_asset(settings, DAY, "sorted")


def test_raw_data_that_cannot_be_looked_into_leave_open_whose_a_sorting_is(settings: Settings, cloud: Cloud) -> None:
    add(cloud, RAW, SORTED)
    cloud.s3_proxy.rule = lambda request: Status(503)
    with pytest.raises(npc_lims.SourceError, match=f"cannot look into the raw data {RAW}"):
        find_asset(settings, DAY, "sorted")


def test_nothing_sorted_at_all(settings: Settings, cloud: Cloud) -> None:
    add(cloud, RAW)
    with pytest.raises(npc_lims.NoSessionData, match="no sorted data asset"):
        find_sorted(settings, DAY)


# --- how recordings are counted


def test_what_state_knows_of_the_day_decides_what_counts(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state of the tracked file alone: the morning's behavior asset is none of an ephys session."""
    write_tracked(tmp_path, 2)
    run_sync(tmp_path, sources=["tracked"])
    monkeypatch.setenv("NPC_LIMS_STATE", str(tmp_path / "state"))
    found = find_asset(load_settings(), "901003_2024-10-23", "raw")
    assert found.name == "ecephys_901003_2024-10-23_11-31-15"


def test_a_mirror_answers_as_the_service_does(
    demo_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "state"
    empty.mkdir()
    monkeypatch.setenv("NPC_LIMS_STATE", str(empty))
    monkeypatch.setenv("NPC_LIMS_MIRROR", str(demo_state.parent / "mirror"))
    settings = load_settings()
    assert find_asset(settings, "901003_2024-10-21", "raw").name == "ecephys_901003_2024-10-21_11-20-03"
    assert find_asset(settings, WITH_SURFACE, "surface").name.endswith("_15-41-09")
    with pytest.raises(npc_lims.NoSessionData, match=r"Out of memory\."):
        find_asset(settings, ONLY_ERRORED, "sorted")
    with pytest.raises(npc_lims.NoSessionData, match=rf"{DAY} has no raw data asset: .*mirror has none"):
        find_asset(settings, DAY, "raw")


def test_an_archived_recording_is_not_taken_for_another_of_its_day(settings: Settings, cloud: Cloud) -> None:
    later = f"ecephys_{DAY}_13-00-00"
    add(cloud, RAW, archived=True)
    add(cloud, later)
    with pytest.raises(npc_lims.NoSessionData, match="has no surface-channel raw data asset"):
        find_asset(settings, DAY, "surface")
    npc_lims.clear_caches()
    cloud.codeocean.assets = [{**one, "archived": one["archived"] or one["name"] == later} for one in _all(cloud)]
    for kind, name in (("raw", RAW), ("surface", later)):
        with pytest.raises(npc_lims.AssetError, match=f"data asset {name} .* is archived in Code Ocean"):
            find_asset(settings, DAY, kind)


def _all(cloud: Cloud) -> list[dict[str, Any]]:
    return [{"archived": False, **one} for one in cloud.codeocean.assets]


def test_a_log_that_cannot_be_read_for_want_of_credentials(
    settings: Settings, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(cloud, RAW, SORTED)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    without = settings.replace(aws_access_key_id=None, aws_secret_access_key=None)
    with pytest.raises(npc_lims.MissingCredentials, match="no AWS credentials: set AWS_ACCESS_KEY_ID"):
        find_sorted(without, DAY)
    with pytest.raises(npc_lims.MissingCredentials, match="no AWS credentials: set AWS_ACCESS_KEY_ID"):
        find_asset(without, DAY, "raw")
