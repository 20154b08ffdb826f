"""What state does not know, asked of the services; and every property of a session against the lab's own table."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import npc_lims
from npc_lims.config.settings import load_settings
from npc_lims.demo import dataset as lab
from npc_lims.demo.files import world_files, write_world
from npc_lims.sync.run import SyncOptions, sync
from tests.integration.world import (
    ADDED,
    SORTED,
    UPLOADED,
    Cloud,
    GitHub,
    commit_all,
    run_cli,
    run_sync,
    write_tracked,
)
from tests.servers.codeocean import make_asset
from tests.servers.faults import Status

BY_ID = {session.id: session for session in lab.SESSIONS}
HDF5_FOLDER = "//allen/programs/mindscope/workgroups/dynamicrouting/DynamicRoutingTask/Data"
PROCESS_FLAGS = {
    "is_dlc_eye": "dlc_eye",
    "is_dlc_side": "dlc_side",
    "is_dlc_face": "dlc_face",
    "is_facemap": "facemap",
    "is_gamma_encoding": "GammaEncoding",
    "is_LPFaceParts": "LPFaceParts",
}
TRACKED = YAML(typ="safe").load(world_files(2)["tracked_sessions.yaml"])
PATHS = [
    (project, *(entry.popitem() if isinstance(entry, dict) else (entry, {})))
    for projects in TRACKED.values()
    for project, entries in projects.items()
    for entry in entries
]
ENTRIES = dict(zip(BY_ID, PATHS))
"""Project, path and settings of each session in the tracked file, which has the order of the table."""
IMAGED = {901001, 901003}  # tissuecyte, SmartSPIM


def expected_flags(session: lab.Session) -> dict[str, bool]:
    """What the lab's table says of a session on the second day."""
    kwargs = ENTRIES[session.id][2].get("session_kwargs", {})
    uploaded, ephys = session.uploaded <= 2, session.platform == "ephys"
    return {
        "is_uploaded": uploaded,
        "is_session_json": uploaded and "session.json" not in session.missing,
        "is_rig_json": uploaded and "rig.json" not in session.missing,
        "is_video": uploaded and session.platform != "behavior" and "behavior_videos" not in session.missing,
        "is_sorted": ephys and session.sorted <= 2,
        "is_annotated": bool(session.tissuecyte or session.ibl),
        **{flag: process in session.processes for flag, process in PROCESS_FLAGS.items()},
        "is_surface_channels": bool(session.surface) or "probe_letters_with_surface_channel_recording" in kwargs,
        "is_production": kwargs.get("is_production", True),
        "is_imaged": session.subject in IMAGED,
        "is_parquet_cached": "parquet" in session.caches,
        "is_nwb_cached": "nwb" in session.caches,
    }


@pytest.fixture
def folder(demo_state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NPC_LIMS_STATE", str(demo_state))
    return demo_state


# --- properties, from state


@pytest.mark.parametrize("session", lab.SESSIONS, ids=lambda session: session.id)
def test_flags_are_those_of_the_table(folder: Path, session: lab.Session) -> None:
    info = npc_lims.get_session_info(session.id)
    expected = expected_flags(session)
    assert {name: getattr(info, name) for name in expected} == expected
    for camera in ("eye", "side", "face"):
        assert info.is_dlc(camera) is (f"dlc_{camera}" in session.processes)


@pytest.mark.parametrize("session", lab.SESSIONS, ids=lambda session: session.id)
def test_identity_is_that_of_the_table(folder: Path, session: lab.Session) -> None:
    info = npc_lims.get_session_info(session.id)
    assert (info.subject, str(info.date), info.idx) == (session.subject, session.date, session.idx)
    project, path, _ = ENTRIES[session.id]
    assert info.project == project
    assert (info.is_ephys, info.is_sync) == (session.platform == "ephys", session.platform != "behavior")
    assert info.allen_path.as_posix() == path
    assert info.rig == (session.rig if session.task else "unknown")
    assert info.task_version == (session.task or "unknown")
    assert info.is_templeton is project.startswith("Templeton")


def test_an_unknown_camera_is_an_error(folder: Path) -> None:
    with pytest.raises(ValueError, match="eye, side or face"):
        npc_lims.get_session_info(SORTED).is_dlc("nose")  # type: ignore[arg-type]


def test_experiment_days(folder: Path) -> None:
    def days(subject: int) -> list[Any]:
        sessions = [i for i in npc_lims.get_session_info(subject=subject) if str(i.id) in BY_ID]
        return [info.experiment_day for info in reversed(sessions)]

    assert days(901001) == [1, 2, 3, 4]
    assert days(901004) == [1, 2, 2, 3], "by date, two of one day share theirs"
    assert npc_lims.get_session_info(ADDED).experiment_day == 1, "ephys_day"
    assert npc_lims.get_session_info("901001_2024-03-07").experiment_day is None


def test_notes(folder: Path) -> None:
    assert npc_lims.get_session_info("901004_2024-06-05_1").notes == "second half, without mapping"
    assert npc_lims.get_session_info(SORTED).notes == ""


def test_training_info(folder: Path) -> None:
    info = npc_lims.get_session_info("901001_2024-03-07")
    training = info.training_info
    assert training["start_time"] == "2024-03-07 12:56:00", "typed month first"
    assert (training["rig_name"], training["task_version"]) == ("B2", "stage 5 ori AMN timeouts")
    assert training["nsb"] is False
    assert training["ID"] == info.behavior_day == 3, "the row of the sheet, after an empty one"
    assert {"hits", "dprime_same_modality", "dprime_other_modality_go_stim"} <= set(training)
    assert "comments" not in training, "never published"
    assert npc_lims.get_session_info("901006_2024-09-09").training_info["nsb"] is True
    assert npc_lims.get_session_info("901005_2024-10-28").training_info == {}


def test_behavior_days_follow_the_sheet(folder: Path) -> None:
    days = {str(i.id): i.behavior_day for i in npc_lims.get_session_info(subject=901001)}
    assert [days[session_id] for session_id in sorted(days)] == [1, 3, 4, 5, 6, 7, 8]
    assert npc_lims.get_session_info("901004_2024-06-04").behavior_day is None, "Templeton"
    assert npc_lims.get_session_info("901005_2024-10-28").behavior_day is None, "no row"


def test_sessions_that_only_a_workbook_knows(folder: Path) -> None:
    info = npc_lims.get_session_info("901002_2024-05-10")
    assert (info.project, info.is_ephys, info.is_sync) == ("DynamicRouting", False, False)
    assert info.allen_path.as_posix() == f"{HDF5_FOLDER}/901002"
    assert info.is_uploaded is False
    assert info.is_sorted is False
    assert "is_sorted" not in info.status, "does not apply"


def test_cloud_paths(folder: Path) -> None:
    def path(session_id: str) -> str | None:
        found = npc_lims.get_session_info(session_id).cloud_path
        return None if found is None else str(found)

    assert path("901001_2024-03-11") == "s3://aind-ephys-data/ecephys_901001_2024-03-11_13-10-05"
    assert path("901005_2024-10-28") == "s3://aind-behavior-data/behavior_901005_2024-10-28_10-02-11"
    assert path(ADDED) is None, "not uploaded"
    synced = "s3://aind-scratch-data/dynamic-routing/DynamicRoutingTask/Data/901006/"
    assert path("901006_2024-09-10") == synced + "DynamicRouting1_901006_20240910_155330.hdf5"


def test_raw_asset_ids(folder: Path, cloud: Cloud) -> None:
    by_name = {asset["name"]: asset["id"] for asset in cloud.codeocean.assets if not asset.get("archived")}
    info = npc_lims.get_session_info("901003_2024-10-21")
    assert info.raw_asset_id == by_name["ecephys_901003_2024-10-21_11-20-03"], "not the archived one of that name"
    assert npc_lims.get_session_info(ADDED).raw_asset_id is None


def test_surface_channels(folder: Path) -> None:
    info = npc_lims.get_session_info("901001_2024-03-13")
    assert info.surface_channels_id == "ecephys_901001_2024-03-13_15-41-09"
    assert info.is_surface_channels_sorted is True
    within = npc_lims.get_session_info("901003_2024-10-22")
    assert within.is_surface_channels is True
    assert within.is_surface_channels_sorted is True, "in the main recording, which is sorted"
    with pytest.raises(ValueError, match="no separate asset"):
        _ = within.surface_channels_id
    for name in ("surface_channels_id", "is_surface_channels_sorted"):
        with pytest.raises(ValueError, match="No surface channel data for 901001_2024-03-11"):
            getattr(npc_lims.get_session_info("901001_2024-03-11"), name)


def test_a_behavior_asset_in_the_morning_is_no_surface_recording(folder: Path) -> None:
    info = npc_lims.get_session_info("901003_2024-10-23")
    assert info.is_surface_channels is False
    assert str(info.cloud_path).endswith("ecephys_901003_2024-10-23_11-31-15")


def test_errored_sortings_are_not_sorted_and_say_why(folder: Path) -> None:
    info = npc_lims.get_session_info("901002_2024-05-14")
    assert info.is_sorted is False
    assert sorted(info.record["codeocean"]["errored"].values()) == ["Out of memory.", "only 6 files"]
    good = npc_lims.get_session_info("901002_2024-05-13").record["codeocean"]
    assert good["sorted"]["name"] != "ecephys_901002_2024-05-13_13-30-12_sorted_2024-06-20_07-15-02"
    assert list(good["errored"].values()) == ["only 6 files"]


# --- raw data paths


def test_raw_data_paths_of_the_old_layout(folder: Path, cloud: Cloud) -> None:
    paths = npc_lims.get_session_info("901001_2024-03-11").raw_data_paths
    assert paths is not None
    root = "s3://aind-ephys-data/ecephys_901001_2024-03-11_13-10-05/"
    assert sorted(str(path).replace(root, "") for path in paths) == [
        "behavior/20240311T131005.h5",
        "behavior_videos/Behavior_20240311T131005.mp4",
        "behavior_videos/Eye_20240311T131005.mp4",
        "behavior_videos/Face_20240311T131005.mp4",
        "data_description.json",
        "ecephys_clipped/Record Node 101",
        "ecephys_compressed/experiment1_Record Node 101#ProbeA-AP.zarr",
        "ecephys_compressed/experiment1_Record Node 101#ProbeB-AP.zarr",
        "rig.json",
        "session.json",
        "subject.json",
    ]


def test_raw_data_paths_of_the_new_layout(folder: Path, cloud: Cloud) -> None:
    paths = npc_lims.get_session_info("901003_2024-10-21").raw_data_paths
    assert paths is not None
    root = "s3://aind-ephys-data/ecephys_901003_2024-10-21_11-20-03/"
    names = {str(path).replace(root, "") for path in paths}
    assert {"acquisition.json", "ecephys/ecephys_clipped", "ecephys/ecephys_clipped/Record Node 101"} <= names
    assert "ecephys/ecephys_compressed/experiment1_Record Node 101#ProbeA-AP.zarr" in names


def test_raw_data_paths_without_raw_data(folder: Path) -> None:
    assert npc_lims.get_session_info(ADDED).raw_data_paths is None


def test_raw_data_paths_without_credentials(folder: Path) -> None:
    with pytest.raises(npc_lims.MissingCredentials, match="AWS_ACCESS_KEY_ID"):
        _ = npc_lims.get_session_info("901001_2024-03-11").raw_data_paths


def test_raw_data_paths_when_listing_fails(folder: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_ATTEMPTS", "1")
    cloud.s3_proxy.rule = lambda request: Status(503)
    with pytest.raises(npc_lims.SourceError, match="ecephys_901001_2024-03-11"):
        _ = npc_lims.get_session_info("901001_2024-03-11").raw_data_paths


# --- unknown statuses, looked up live


@pytest.fixture
def tracked_only(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state that a sync made with the tracked file alone, as the environment says where to read."""
    write_tracked(tmp_path, 2)
    run_sync(tmp_path, sources=["tracked"])
    monkeypatch.setenv("NPC_LIMS_STATE", str(tmp_path / "state"))
    cloud.forget_requests()
    return tmp_path / "state"


@pytest.mark.parametrize(
    "session_id",
    ["901001_2024-03-13", "901002_2024-05-14", UPLOADED, "901004_2024-06-04", "901004_2024-06-06", "901005_2024-10-28"],
)
def test_unknown_statuses_are_looked_up(cloud: Cloud, tracked_only: Path, session_id: str) -> None:
    info = npc_lims.get_session_info(session_id)
    assert info.status["raw_asset_id"] is None
    expected = expected_flags(BY_ID[session_id])
    assert {name: getattr(info, name) for name in expected} == expected
    assert cloud.codeocean_proxy.count <= 2, "one look at Code Ocean for all of them"


def test_a_live_lookup_is_cached_for_other_objects_and_never_written(cloud: Cloud, tracked_only: Path) -> None:
    before = {path: path.read_bytes() for path in tracked_only.rglob("*") if path.is_file()}
    assert npc_lims.get_session_info(SORTED).is_sorted is True
    asked = cloud.requests
    assert npc_lims.get_session_info(SORTED).is_sorted is True
    assert cloud.requests == asked
    assert {path: path.read_bytes() for path in tracked_only.rglob("*") if path.is_file()} == before


def test_looking_up_without_any_credentials_names_the_variable(
    tracked_only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CODE_OCEAN_API_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    info = npc_lims.get_session_info(SORTED)
    with pytest.raises(npc_lims.MissingCredentials, match="CODE_OCEAN_API_TOKEN"):
        _ = info.is_sorted
    with pytest.raises(npc_lims.MissingCredentials, match="AWS_ACCESS_KEY_ID"):
        _ = info.is_annotated
    with pytest.raises(KeyError):
        _ = info.is_uploaded
    assert info.is_production is True, "what the tracked file says needs nobody"


def test_looking_up_what_s3_knows_needs_no_code_ocean_token(
    cloud: Cloud, tracked_only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CODE_OCEAN_API_TOKEN")
    assert npc_lims.get_session_info("901001_2024-03-11").is_annotated is True
    assert npc_lims.get_session_info("901001_2024-03-11").is_nwb_cached is True


def test_looking_up_what_code_ocean_knows_needs_no_aws_key(
    cloud: Cloud, tracked_only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    info = npc_lims.get_session_info("901001_2024-03-11")
    assert info.is_dlc_eye is True
    for flag in ("is_uploaded", "raw_asset_id"):  # only its files tell that it is the main recording
        with pytest.raises(npc_lims.MissingCredentials, match="AWS_ACCESS_KEY_ID"):
            getattr(info, flag)


def test_a_failing_service_is_named(cloud: Cloud, tracked_only: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_ATTEMPTS", "1")
    cloud.codeocean_proxy.rule = lambda request: Status(503)
    with pytest.raises(npc_lims.SourceError, match="503"):
        _ = npc_lims.get_session_info(SORTED).is_sorted
    cloud.codeocean_proxy.rule = None
    assert npc_lims.get_session_info(SORTED).is_sorted is True, "a failure is not kept"


def test_filters_say_how_many_sessions_are_not_known(tracked_only: Path) -> None:
    with pytest.warns(npc_lims.UnknownStatusWarning, match="is_sorted was never observed"):
        assert npc_lims.get_session_info(is_ephys=True, is_sorted=True) == ()
    assert len(npc_lims.get_session_info(is_ephys=True, is_sorted=None)) == 17


def test_cloud_path_is_looked_up(cloud: Cloud, tracked_only: Path) -> None:
    found = npc_lims.get_session_info("901001_2024-03-11").cloud_path
    assert str(found) == "s3://aind-ephys-data/ecephys_901001_2024-03-11_13-10-05"


# --- sessions that state does not have yet


@pytest.fixture
def first_day(github: GitHub, cloud: Cloud, tmp_path: Path) -> GitHub:
    """GitHub with the state of the first day, while the services have the second already."""
    repository = tmp_path / "first-day"
    cloud.load(1)
    write_tracked(repository, 1)
    run_sync(repository)
    commit_all(repository)
    github.raw.repo_dir = repository
    cloud.load(2)
    return github


def test_a_session_uploaded_just_now_is_found(first_day: GitHub, cloud: Cloud) -> None:
    new = make_asset("ecephys_901003_2024-10-25_11-02-03")
    cloud.codeocean.assets = [*cloud.codeocean.assets, new]
    cloud.change(**{f"aind-ephys-data/{new['name']}/ecephys_compressed/x.zarr/.zattrs": b"{}"})
    cloud.change(**{f"aind-ephys-data/{new['name']}/behavior/x.h5": b"x"})
    info = npc_lims.get_session_info("901003_2024-10-25")
    assert info.raw_asset_id == new["id"]
    assert info.is_ephys is True
    assert info.is_uploaded is True
    assert str(info.cloud_path) == f"s3://aind-ephys-data/{new['name']}"
    assert info.project == "unknown"
    assert "901003_2024-10-25" not in [str(other.id) for other in npc_lims.get_session_info()]


def test_a_session_tracked_just_now_is_found(first_day: GitHub, cloud: Cloud) -> None:
    """The pull request that adds it is merged, and the next sync has not run."""
    write_tracked(first_day.raw.repo_dir, 2)
    commit_all(first_day.raw.repo_dir)
    info = npc_lims.get_session_info(ADDED)
    assert info.is_ephys is True
    assert info.session_kwargs == {"probe_letters_to_skip": "C"}
    assert info.is_uploaded is False
    assert info.is_sorted is False


def test_a_training_row_of_just_now_is_found(first_day: GitHub, cloud: Cloud) -> None:
    """Only a workbook has it yet, not the tracked file."""
    info = npc_lims.get_session_info(ADDED)
    assert info.rig == "NP3"
    assert info.is_ephys is False


def test_a_session_that_is_nowhere_costs_one_search_and_is_not_found_again(first_day: GitHub, cloud: Cloud) -> None:
    for _ in range(5):
        with pytest.raises(npc_lims.NoSessionInfo, match="near to it: 901003"):
            npc_lims.get_session_info("901003_2024-12-24")
    assert cloud.codeocean_proxy.count <= 2
    assert first_day.proxy.count <= 4, "its own file, the snapshot, sync.yaml and the tracked file"


def test_an_unknown_session_without_credentials_names_the_variables(
    first_day: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "CODE_OCEAN")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(npc_lims.NoSessionInfo) as raised:
        npc_lims.get_session_info("901003_2024-12-24")
    assert "CODE_OCEAN_API_TOKEN" in str(raised.value)
    assert "near to it: 901003" in str(raised.value)


def test_a_session_that_only_a_mirror_has_is_known_in_full(
    tmp_path: Path, demo_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = Path(shutil.copytree(demo_state, tmp_path / "state"))
    (state / "sessions.jsonl").unlink()
    shutil.rmtree(state / "sessions" / "901003")
    monkeypatch.setenv("NPC_LIMS_STATE", str(state))
    monkeypatch.setenv("NPC_LIMS_MIRROR", str(demo_state.parent / "mirror"))
    info = npc_lims.get_session_info("901003_2024-10-21")
    assert (info.is_ephys, info.is_uploaded, info.is_sorted, info.is_annotated) == (True, True, True, True)
    assert info.surface_channels_id if info.is_surface_channels else True


def test_a_recording_of_surface_channels_is_no_session(
    synced: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPC_LIMS_STATE", str(synced / "state"))
    with pytest.raises(npc_lims.NoSessionInfo):
        npc_lims.get_session_info("901001_2024-03-13_1")


# --- sessions that the tracked file of a checkout lists, and state does not yet


@pytest.fixture
def edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the state of the first day and the tracked file of the second, and no credentials."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "CODE_OCEAN")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    write_world(tmp_path, 1)
    settings = load_settings({"NPC_LIMS_MIRROR": str(tmp_path / "mirror")}, tmp_path)
    sync(settings, SyncOptions(tmp_path / "state", tmp_path / "tracked_sessions.yaml"))
    write_tracked(tmp_path, 2)
    monkeypatch.setenv("NPC_LIMS_STATE", str(tmp_path / "state"))
    return tmp_path


def test_a_session_that_the_checkout_tracks_needs_no_credentials(edited: Path) -> None:
    with pytest.warns(npc_lims.LiveStateWarning, match=f"{ADDED} is not in state yet.*AWS_ACCESS_KEY_ID"):
        info = npc_lims.get_session_info(ADDED)
    assert (info.is_ephys, info.project, info.experiment_day) == (True, "DynamicRouting", 1)
    assert info.session_kwargs == {"probe_letters_to_skip": "C"}
    with pytest.raises(npc_lims.MissingCredentials, match="CODE_OCEAN_API_TOKEN"):
        _ = info.is_uploaded
    done = run_cli("show", ADDED, "--state", str(edited / "state"))
    assert done.code == 0, done
    assert f"{ADDED} DynamicRouting, ephys" in done.out


def test_what_the_checkout_does_not_track_may_be_too_new(edited: Path) -> None:
    missing = (
        r"no session 901005_2024-11-05; near to it: .*; it could not be looked up live \(no AWS_ACCESS_KEY_ID, no "
    )
    with pytest.raises(npc_lims.NoSessionInfo, match=missing) as raised:
        npc_lims.get_session_info("901005_2024-11-05")
    assert len(str(raised.value).split()) <= 40
    (edited / "tracked_sessions.yaml").write_text("ephys: [\n")
    with pytest.raises(
        npc_lims.NoSessionInfo, match=r"tracked_sessions\.yaml has errors, no AWS_ACCESS_KEY_ID.*doctor"
    ) as raised:
        npc_lims.get_session_info("901005_2024-11-05")
    assert len(str(raised.value).split()) <= 40
    done = run_cli("show", "901005_2024-11-05", "--state", str(edited / "state"))
    assert (done.code, done.err) == (2, f"npc-lims: error: {raised.value}\n")


def test_an_edit_of_the_checkout_is_seen_at_once(edited: Path) -> None:
    path = edited / "tracked_sessions.yaml"
    text = path.read_text()
    write_tracked(edited, 1)
    with pytest.raises(npc_lims.NoSessionInfo):
        npc_lims.get_session_info(ADDED)
    path.write_text(text)
    with pytest.warns(npc_lims.LiveStateWarning):
        assert npc_lims.get_session_info(ADDED).is_ephys is True
