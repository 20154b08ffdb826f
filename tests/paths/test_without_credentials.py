"""What state records is returned without s3fs, credentials or network; only files are opened with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import npc_lims
from tests.paths.asked import NEW, NEW_ROOT, RESULTS, SCRATCH, SURFACE

SUBJECT = f"s3://{SCRATCH}/dynamic-routing/DynamicRoutingTask/Data/901003"
SORTED = "ecephys_901003_2024-10-21_11-20-03_sorted_2024-10-23_15-43-03"

RECORDED = {
    "get_raw_data_root(NEW)": NEW_ROOT,
    "get_surface_channel_root(SURFACE)": "s3://aind-ephys-data/ecephys_901001_2024-03-13_15-41-09",
    "get_h5_sync_from_s3(NEW)": f"{NEW_ROOT}/behavior/20241021T112003.h5",
    "get_behavior_video_path_from_s3(NEW)": f"{NEW_ROOT}/behavior-videos/Behavior_20241021T112003.mp4",
    "get_eye_video_path_from_s3(NEW)": f"{NEW_ROOT}/behavior-videos/Eye_20241021T112003.mp4",
    "get_face_video_path_from_s3(NEW)": f"{NEW_ROOT}/behavior-videos/Face_20241021T112003.mp4",
    "get_settings_xml_path_from_s3(NEW)": f"{NEW_ROOT}/ecephys/ecephys_clipped/Record Node 101/settings.xml",
    "[file.path for file in get_hdf5_stim_files_from_s3(NEW)]": [
        f"{SUBJECT}/DynamicRouting1_901003_20241021_113703.hdf5",
        f"{SUBJECT}/RFMapping_901003_20241021_124003.hdf5",
    ],
    "[path.name for path in get_tissuecyte_annotation_files_from_s3(SURFACE)]": [
        "Probe_A3_channels_901001_warped_processed_new_sorting.csv",
        "Probe_F3_channels_901001_warped_processed_new_sorting.csv",
    ],
    "get_cache_path('session', NEW, 'v0.0.300')": (
        f"s3://{SCRATCH}/dynamic-routing/cache/nwb_components/v0.0.300/session/{NEW}.parquet"
    ),
    "get_nwb_path(NEW, 'v0.0.300')": f"s3://{SCRATCH}/dynamic-routing/cache/nwb/v0.0.300/{NEW}.nwb.zarr",
    "get_session_info(NEW).cloud_path": NEW_ROOT,
    "get_session_info(NEW).raw_asset_id == get_session_raw_data_asset(NEW).id": "True",
    "get_session_raw_data_asset(NEW).name": NEW_ROOT.rpartition("/")[2],
    "get_session_raw_data_asset(NEW).source_bucket.prefix": NEW_ROOT.rpartition("/")[2],
    "is_raw_data_asset(get_session_raw_data_asset(NEW).id)": "True",
    "is_sorted_data_asset(get_session_sorted_data_asset(NEW))": "True",
    "is_raw_data_asset(get_session_sorted_data_asset(NEW))": "False",
    "get_session_sorted_data_asset(NEW).name": SORTED,
    "get_session_sorted_data_asset(NEW).created": "1729698183",
    "get_session_capsule_pipeline_data_asset(NEW, 'dlc_eye').name[:41]": "ecephys_901003_2024-10-21_11-20-03_dlc_ey",
    "get_surface_channel_raw_data_asset(SURFACE).name": "ecephys_901001_2024-03-13_15-41-09",
    "get_data_asset(get_session_sorted_data_asset(NEW).id) == get_session_sorted_data_asset(NEW)": "True",
    "get_latest_data_asset([get_session_raw_data_asset(NEW), get_session_sorted_data_asset(NEW)]).name": SORTED,
    "get_path_from_data_asset(get_session_raw_data_asset(NEW).id)": NEW_ROOT,
    "get_data_asset_s3_path(get_session_raw_data_asset(NEW))": NEW_ROOT,
    "get_data_asset_s3_path(get_session_sorted_data_asset(NEW)).parent": f"s3://{RESULTS}/",
    "asset_exists(NEW, 'dlc_eye')": "True",
    "get_codeocean_session_id(NEW)": NEW_ROOT.rpartition("/")[2],
    "get_session_locations(NEW, 'sorted')[0].name": SORTED,
}
"""Expressions, and what they give."""

NOT_RECORDED = {
    "get_raw_data_paths_from_s3(NEW)": f"MissingCredentials {NEW_ROOT} cannot be listed: no AWS credentials",
    "get_recording_dirs_experiment_path_from_s3(NEW)": f"MissingCredentials {NEW_ROOT} cannot be listed",
    "get_sorted_data_paths_from_s3(NEW)": f"MissingCredentials s3://{RESULTS}/",
    "get_sorted_data_paths_from_s3(sorted_data_asset_id=get_session_sorted_data_asset(NEW).id)": (
        f"MissingCredentials s3://{RESULTS}/"
    ),
    "get_dlc_eye_s3_paths(NEW)": f"MissingCredentials s3://{RESULTS}/",
    "get_dlc_side_s3_paths(NEW)": f"MissingCredentials s3://{RESULTS}/",
    "get_dlc_face_s3_paths(NEW)": f"MissingCredentials s3://{RESULTS}/",
    "get_facemap_s3_paths(NEW)": f"MissingCredentials s3://{RESULTS}/",
    "get_LFP_subsampling_paths_from_s3(NEW)": f"MissingCredentials s3://{RESULTS}/",
    "get_lpfaceparts_s3_dir_paths(NEW)": f"MissingCredentials s3://{RESULTS}/",
    "get_lpfaceparts_camera_predictions_s3_paths(NEW, 'side')": f"MissingCredentials s3://{RESULTS}/",
    "get_ibl_annotation_files_from_s3(NEW)": f"MissingCredentials s3://{SCRATCH}/dynamic-routing/ibl-gui-output/901003",
    "get_session_sorted_data_asset(NEW).state": "MissingCredentials state records only id, name, created",
    "is_lighting_pose_gamma_encoded(get_session_capsule_pipeline_data_asset(NEW, 'LPFaceParts'))": (
        "MissingCredentials state records only id, name, created"
    ),
    "get_session_data_assets(NEW)": "MissingCredentials no Code Ocean token",
    "get_session_result_data_assets(NEW)": "MissingCredentials no Code Ocean token",
    "get_subject_data_assets(901003)": "MissingCredentials no Code Ocean token",
    "get_sessions_with_data_assets(901003)": "MissingCredentials no Code Ocean token",
    "get_all_cache_paths('units', 'v0.0.300')": "MissingCredentials no AWS credentials",
    "get_subject_folders_from_data_repo(901003)": "MissingCredentials no AWS credentials",
    "get_sessions_from_data_repo(901003)": "MissingCredentials no AWS credentials",
    "get_raw_data_root(NEW).exists()": "ImportError Install s3fs",
}
"""Expressions that need more than state, and the error that says what."""

APART = {"get_aind_session", "get_current_cache_version", "get_cache_file_suffix", "get_codoecean_session_id"}
"""Functions that query a service of their own, need nothing at all, or are another name of one above."""

PROBE = """\
import importlib.machinery, json, sys

find_spec = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = classmethod(
    lambda cls, name, path=None, target=None: None if name == "s3fs" else find_spec(name, path, target)
)

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise BaseException(f"a connection to {arguments}")

sys.addaudithook(refuse)
from npc_lims import *

def text(value):
    return list(map(str, value)) if isinstance(value, (list, tuple)) else str(value)

names, found = json.load(sys.stdin), {}
for expression in names.pop("expressions"):
    try:
        found[expression] = text(eval(expression, globals(), names))
    except Exception as error:
        found[expression] = f"{type(error).__name__} {error}"
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(demo_state: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("nobody")
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "SYSTEMROOT", "LANG")}
    environ = {**kept, "HOME": str(home), "NPC_LIMS_STATE": str(demo_state), "AWS_EC2_METADATA_DISABLED": "true"}
    environ["PYTHONPATH"] = str(Path(npc_lims.__file__).parents[1])
    given = json.dumps({"NEW": NEW, "SURFACE": SURFACE, "expressions": [*RECORDED, *NOT_RECORDED]})
    command = [sys.executable, "-c", PROBE]
    done = subprocess.run(command, cwd=home, env=environ, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize("expression", RECORDED)
def test_what_is_recorded_needs_nothing(found: dict[str, Any], expression: str) -> None:
    assert found[expression] == RECORDED[expression]


@pytest.mark.parametrize("expression", NOT_RECORDED)
def test_what_is_not_recorded_says_what_it_needs(found: dict[str, Any], expression: str) -> None:
    assert found[expression].startswith(NOT_RECORDED[expression]), found[expression]


def test_no_function_is_left_out() -> None:
    homes = ("npc_lims.paths.", "npc_lims.codeocean.data_assets", "npc_lims.sessions.locations")
    public = {name for name, home in npc_lims._homes.items() if home.startswith(homes)}  # type: ignore[attr-defined]
    functions = {name for name in public if name.startswith(("get_", "is_", "asset_exists"))}
    tried = {name for name in functions if any(f"{name}(" in one for one in (*RECORDED, *NOT_RECORDED))}
    assert functions == tried | APART
