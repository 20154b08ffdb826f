"""Raw data folders in both layouts, from state and from the servers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import npc_lims
from npc_lims import errors
from npc_lims.clients.s3 import MirrorStore
from npc_lims.paths.assets import (
    get_behavior_video_path_from_s3,
    get_eye_video_path_from_s3,
    get_face_video_path_from_s3,
    get_h5_sync_from_s3,
    get_raw_data_paths_from_s3,
    get_raw_data_root,
    get_recording_dirs_experiment_path_from_s3,
    get_settings_xml_path_from_s3,
    get_surface_channel_root,
)
from npc_lims.sources.s3.query import list_raw_folder
from npc_lims.state.store import Loaded, write_state
from tests import builders
from tests.integration.world import Cloud
from tests.paths.asked import NEW, NEW_ROOT, NOT_UPLOADED, OLD, OLD_ROOT, SURFACE, below, listings
from tests.servers.codeocean import make_asset
from tests.servers.faults import Status

NODE = "ecephys_clipped/Record Node 101"
FILES: dict[str, Callable[[Any], PurePath]] = {
    "behavior/20240311T131005.h5": get_h5_sync_from_s3,
    "behavior_videos/Behavior_20240311T131005.mp4": get_behavior_video_path_from_s3,
    "behavior_videos/Eye_20240311T131005.mp4": get_eye_video_path_from_s3,
    "behavior_videos/Face_20240311T131005.mp4": get_face_video_path_from_s3,
    f"{NODE}/settings.xml": get_settings_xml_path_from_s3,
}


# A folder stays, empty, in the S3 service of the tests when what is in it is deleted (not so in AWS): recordings are
# put into the folders of sessions that no other test looks at, and always the same ones.
RECORDINGS = {
    "901001_2024-03-12": (
        "s3://aind-ephys-data/ecephys_901001_2024-03-12_12-58-41",
        f"{NODE}/experiment1/recording2/structure.oebin",
        f"{NODE}/experiment1/recording1/structure.oebin",
        f"{NODE}/experiment2/recording1/structure.oebin",
        "ecephys_clipped/Record Node 102/experiment1/recording1/structure.oebin",
        "ecephys_compressed/experiment1_Record Node 101#ProbeA-AP.zarr/x/recording1/.zattrs",
    ),
    "901003_2024-10-22": (
        "s3://aind-ephys-data/ecephys_901003_2024-10-22_11-02-49",
        f"ecephys/{NODE}/experiment1/recording1/structure.oebin",
    ),
}


def put(cloud: Cloud, root: str, *names: str) -> None:
    """More files in a raw folder."""
    cloud.change(**{f"{root[len('s3://') :]}/{name}": b"{}" for name in names})
    cloud.forget_requests()


def take(cloud: Cloud, root: str, *names: str) -> None:
    cloud.change(**{f"{root[len('s3://') :]}/{name}": None for name in names})
    cloud.forget_requests()


# --- folders


def test_raw_data_root(either: Cloud) -> None:
    assert str(get_raw_data_root(OLD)) == OLD_ROOT
    assert str(get_raw_data_root(NEW)) == NEW_ROOT, "not that of the archived asset of the same name"
    assert either.s3_proxy.count <= 2, "of each, at most, whether it is the main recording"


@pytest.mark.parametrize("spelling", ["901001_20240311", "DRpilot_901001_20240311", OLD_ROOT, Path(f"a/{OLD}.nwb")])
def test_sessions_are_given_in_any_spelling(recorded: Cloud, spelling: Any) -> None:
    assert str(get_raw_data_root(spelling)) == OLD_ROOT
    assert str(get_raw_data_root(npc_lims.get_session_info(OLD))) == OLD_ROOT
    assert recorded.requests == 0


def test_surface_channel_root(either: Cloud) -> None:
    assert str(get_surface_channel_root(SURFACE)) == "s3://aind-ephys-data/ecephys_901001_2024-03-13_15-41-09"
    assert get_surface_channel_root(f"{SURFACE}_1") == get_surface_channel_root(SURFACE)
    with pytest.raises(errors.NoSessionData, match=f"{OLD} has no surface"):
        get_surface_channel_root(OLD)


def test_no_session(recorded: Cloud) -> None:
    for getter in (get_raw_data_root, get_raw_data_paths_from_s3, *FILES.values()):
        with pytest.raises(errors.NoSessionInfo, match="'yesterday' is not a session"):
            getter("yesterday")


@pytest.mark.parametrize("getter", [get_raw_data_root, get_raw_data_paths_from_s3, *FILES.values()])
def test_a_session_without_raw_data(either: Cloud, getter: Callable[[Any], Any]) -> None:
    with pytest.raises(FileNotFoundError, match=f"{NOT_UPLOADED} has no raw data asset") as raised:
        getter(NOT_UPLOADED)
    assert isinstance(raised.value, errors.NoSessionData)
    assert "NPC_LIMS" not in str(raised.value)


def test_files_of_another_cloud_can_be_named_but_not_listed(live: Cloud) -> None:
    asset = make_asset(
        "ecephys_901004_2024-06-05_09-50-00", source_bucket={"origin": "gcp", "bucket": "far", "prefix": "away"}
    )
    live.codeocean.assets = [*live.codeocean.assets, asset]
    assert str(get_raw_data_root(NOT_UPLOADED)).startswith("gs://far/away")
    with pytest.raises(errors.AssetError, match="not on S3 but at gs://far/away"):
        get_h5_sync_from_s3(NOT_UPLOADED)


# --- listings


def test_the_old_layout_in_its_order(either: Cloud) -> None:
    assert below(OLD_ROOT, get_raw_data_paths_from_s3(OLD)) == [
        "behavior/20240311T131005.h5",
        "behavior_videos/Behavior_20240311T131005.mp4",
        "behavior_videos/Eye_20240311T131005.mp4",
        "behavior_videos/Face_20240311T131005.mp4",
        NODE,
        "ecephys_compressed/experiment1_Record Node 101#ProbeA-AP.zarr",
        "ecephys_compressed/experiment1_Record Node 101#ProbeB-AP.zarr",
        "data_description.json",
        "rig.json",
        "session.json",
        "subject.json",
    ]


def test_the_new_layout_in_its_order(either: Cloud) -> None:
    assert below(NEW_ROOT, get_raw_data_paths_from_s3(NEW)) == [
        "behavior/20241021T112003.h5",
        "behavior-videos/Behavior_20241021T112003.mp4",
        "behavior-videos/Eye_20241021T112003.mp4",
        "behavior-videos/Face_20241021T112003.mp4",
        "ecephys/ecephys_clipped",
        "ecephys/ecephys_compressed",
        "acquisition.json",
        "data_description.json",
        "instrument.json",
        "subject.json",
        "ecephys/ecephys_clipped/Record Node 101",
        "ecephys/ecephys_compressed/experiment1_Record Node 101#ProbeA-AP.zarr",
        "ecephys/ecephys_compressed/experiment1_Record Node 101#ProbeB-AP.zarr",
    ]


def test_a_session_info_gives_the_same_paths_without_another_listing(recorded: Cloud) -> None:
    paths = get_raw_data_paths_from_s3(OLD)
    asked = recorded.s3_proxy.count
    assert npc_lims.get_session_info(OLD).raw_data_paths == paths
    assert recorded.s3_proxy.count == asked


def test_an_upload_of_which_nothing_has_arrived(live: Cloud) -> None:
    live.codeocean.assets = [*live.codeocean.assets, make_asset("ecephys_901004_2024-06-05_09-50-00")]
    with pytest.raises(errors.NoSessionData, match=r"an upload was started.*nothing in s3://") as raised:
        get_raw_data_paths_from_s3(NOT_UPLOADED)
    assert NOT_UPLOADED in str(raised.value)


def test_an_asset_without_a_bucket_is_looked_for_in_that_of_code_ocean(live: Cloud) -> None:
    asset = {**make_asset("ecephys_901004_2024-06-05_09-50-00"), "source_bucket": None}
    live.codeocean.assets = [*live.codeocean.assets, asset]
    live.change(**{f"codeocean-s3datasetsbucket-1u41qdg42ur9/{asset['id']}/behavior/x.h5": b"1"})
    assert get_h5_sync_from_s3(NOT_UPLOADED).parent.parent == get_raw_data_root(NOT_UPLOADED)


# --- requests


def all_getters(session: str) -> list[Callable[[], Any]]:
    getters = (get_raw_data_paths_from_s3, get_recording_dirs_experiment_path_from_s3, *FILES.values())
    return [lambda getter=getter: getter(session) for getter in getters]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("session", "folders"),
    [
        (
            "901001_2024-03-12",
            [
                "",
                "behavior/",
                "behavior_videos/",
                "ecephys_clipped/",
                f"{NODE}/",
                f"{NODE}/experiment1/",
                f"{NODE}/experiment2/",
                "ecephys_clipped/Record Node 102/",
                "ecephys_clipped/Record Node 102/experiment1/",
                "ecephys_compressed/",
            ],
        ),
        (
            "901003_2024-10-22",
            [
                "",
                "behavior/",
                "behavior-videos/",
                "ecephys/",
                "ecephys/ecephys_clipped/",
                f"ecephys/{NODE}/",
                f"ecephys/{NODE}/experiment1/",
                "ecephys/ecephys_compressed/",
            ],
        ),
    ],
)
def test_all_getters_list_each_folder_once(live: Cloud, session: str, folders: list[str]) -> None:
    root, *names = RECORDINGS[session]
    put(live, root, *names)
    for _ in range(2):
        for getter in all_getters(session):
            getter()
    assert sorted(listings(live)) == sorted(f"{root[len('s3://') :]}/{folder}" for folder in folders)


def test_threads_that_ask_at_once_list_each_folder_once(live: Cloud) -> None:
    session = "901003_2024-10-22"
    root, *names = RECORDINGS[session]
    put(live, root, *names)
    get_raw_data_root(session)  # Code Ocean has been asked
    live.s3_proxy.latency = 0.02
    try:
        with ThreadPoolExecutor(16) as pool:
            for future in [pool.submit(getter) for getter in all_getters(session) * 4]:
                future.result()
    finally:
        live.s3_proxy.latency = 0
    asked = listings(live)
    assert len(asked) == len(set(asked)), sorted(asked)


def test_what_is_in_state_needs_no_request(recorded: Cloud) -> None:
    assert below(OLD_ROOT, [getter(OLD) for getter in FILES.values()]) == list(FILES)
    assert str(get_raw_data_root(OLD)) == OLD_ROOT
    assert str(get_h5_sync_from_s3(NEW)) == f"{NEW_ROOT}/behavior/20241021T112003.h5"
    assert str(get_settings_xml_path_from_s3(NEW)) == f"{NEW_ROOT}/ecephys/{NODE}/settings.xml"
    assert recorded.requests == 0


def test_a_mirror_is_read_in_place_of_s3(
    live: Cloud, demo_state: Path, tracked_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = get_raw_data_paths_from_s3(NEW)
    live.forget_requests()
    monkeypatch.setenv("NPC_LIMS_MIRROR", str(demo_state.parent / "mirror"))
    assert get_raw_data_paths_from_s3(NEW) == paths
    assert [str(getter(OLD)) for getter in FILES.values()] == [f"{OLD_ROOT}/{name}" for name in FILES]
    assert live.requests == 0


def test_clear_caches_makes_it_look_again(recorded: Cloud) -> None:
    get_raw_data_paths_from_s3(OLD)
    put(recorded, OLD_ROOT, "behavior/more.json")
    assert "more.json" not in [path.name for path in get_raw_data_paths_from_s3(OLD)]
    npc_lims.clear_caches()
    assert "more.json" in [path.name for path in get_raw_data_paths_from_s3(OLD)]


def test_a_failed_listing_is_not_cached(recorded: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_ATTEMPTS", "1")
    recorded.s3_proxy.rule = lambda request: Status(503)
    with pytest.raises(errors.SourceError, match="ecephys_901001_2024-03-11"):
        get_raw_data_paths_from_s3(OLD)
    recorded.s3_proxy.rule = None
    assert get_raw_data_paths_from_s3(OLD)


def test_listing_needs_credentials(recorded: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert get_h5_sync_from_s3(OLD).name == "20240311T131005.h5", "this is in state"
    with pytest.raises(errors.MissingCredentials, match="AWS_ACCESS_KEY_ID"):
        get_raw_data_paths_from_s3(OLD)


# --- files


@pytest.mark.parametrize("name", FILES)
def test_files_of_the_old_layout(either: Cloud, name: str) -> None:
    assert str(FILES[name](OLD)) == f"{OLD_ROOT}/{name}"


def test_files_of_the_new_layout(either: Cloud) -> None:
    assert below(NEW_ROOT, [getter(NEW) for getter in FILES.values()]) == [
        "behavior/20241021T112003.h5",
        "behavior-videos/Behavior_20241021T112003.mp4",
        "behavior-videos/Eye_20241021T112003.mp4",
        "behavior-videos/Face_20241021T112003.mp4",
        f"ecephys/{NODE}/settings.xml",
    ]


def test_of_several_files_the_first_in_order_is_taken(live: Cloud) -> None:
    put(live, OLD_ROOT, "a.h5", "behavior/30000101T000000.h5", "behavior_videos/Eye_10000101T000000.avi")
    assert get_h5_sync_from_s3(OLD).name == "20240311T131005.h5", "what is at the top comes later"
    assert get_eye_video_path_from_s3(OLD).name == "Eye_10000101T000000.avi"


def test_metadata_of_a_video_is_no_video(live: Cloud) -> None:
    put(live, OLD_ROOT, "behavior_videos/Eye_00000101T000000.json")
    assert get_eye_video_path_from_s3(OLD).suffix == ".mp4"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("behavior/20240311T131005.h5", "sync file"),
        ("behavior_videos/Eye_20240311T131005.mp4", "eye video"),
        (f"{NODE}/settings.xml", "settings.xml"),
    ],
)
def test_a_file_that_is_missing(live: Cloud, name: str, what: str) -> None:
    take(live, OLD_ROOT, name)
    with pytest.raises(errors.NoSessionData, match=f"{OLD} has no {what}.*looked in {OLD_ROOT}"):
        FILES[name](OLD)


def test_a_file_that_arrived_after_the_sync_is_found(recorded: Cloud) -> None:
    session, root = "901004_2024-06-06", "s3://aind-ephys-data/ecephys_901004_2024-06-06_10-25-25"
    with pytest.raises(errors.NoSessionData, match="no eye video"):
        get_eye_video_path_from_s3(session)
    npc_lims.clear_caches()
    # in a folder that is there: the server would keep another one when its file is gone
    put(recorded, root, "behavior/Eye_20240606T102525.mp4")
    assert str(get_eye_video_path_from_s3(session)) == f"{root}/behavior/Eye_20240606T102525.mp4"


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        (
            "901001_2024-03-12",
            [f"{NODE}/experiment1/recording1", "ecephys_clipped/Record Node 102/experiment1/recording1"],
        ),
        ("901003_2024-10-22", [f"ecephys/{NODE}/experiment1/recording1"]),
    ],
)
def test_recordings(either: Cloud, session: str, expected: list[str]) -> None:
    root, *names = RECORDINGS[session]
    put(either, root, *names)
    assert below(root, get_recording_dirs_experiment_path_from_s3(session)) == expected


def test_no_recordings(either: Cloud) -> None:
    with pytest.raises(errors.NoSessionData, match=f"{OLD} has no experiment.*{OLD_ROOT}/{NODE}"):
        get_recording_dirs_experiment_path_from_s3(OLD)


# --- state and listing


FOLDERS = ("", "behavior", "behavior_videos", "behavior/nwb", "ecephys", "ecephys/ecephys_clipped")
FOLDERS += (f"ecephys/{NODE}", "ecephys_clipped", NODE, "ecephys_clipped/Record Node 102")
CHOSEN = (get_h5_sync_from_s3, get_eye_video_path_from_s3, get_settings_xml_path_from_s3)
NAMES = ("a.h5", "b.h5", "Eye_1.mp4", "Eye_2.avi", "settings.xml", "Eye_0.json")
Files = st.sets(st.tuples(st.sampled_from(FOLDERS), st.sampled_from(NAMES)), min_size=1, max_size=8)


@settings(max_examples=12, deadline=None)
@given(files=Files)
@example(files={(f"ecephys/{NODE}", "settings.xml"), (NODE, "settings.xml")})
def test_what_a_sync_records_gives_the_file_that_a_listing_gives(
    tmp_path_factory: pytest.TempPathFactory, files: set[tuple[str, str]]
) -> None:
    home = tmp_path_factory.mktemp("raw")
    builders.put(home / "mirror", "codeocean/data_assets.json", content=b"[]")
    builders.put(home / "mirror" / "s3", *(f"s3://bucket/raw/{folder}/{name}" for folder, name in files))
    asset = builders.asset(location="s3://bucket/raw")
    seen = list_raw_folder(MirrorStore(home / "mirror" / "s3"), asset, "none")
    answers = []
    for listing in (seen, builders.listing()):
        state = home / ("recorded" if listing is seen else "nothing recorded")
        record = builders.record(codeocean=builders.no_assets(raw=asset), s3=builders.nothing_on_s3(raw=listing))
        write_state(state, Loaded({}, {}), {record.id: record})
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("NPC_LIMS_STATE", str(state))
            patch.setenv("NPC_LIMS_MIRROR", str(home / "mirror"))
            answers.append([name_or_error(getter) for getter in CHOSEN])
    assert answers[0] == answers[1]


def name_or_error(getter: Callable[[Any], PurePath]) -> str:
    try:
        return str(getter(builders.SESSION))
    except errors.NoSessionData as error:
        return str(error)
