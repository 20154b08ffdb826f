"""Files of result assets: found by state or Code Ocean, listed on S3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import npc_lims
from npc_lims import errors
from npc_lims.paths.assets import (
    get_dlc_eye_s3_paths,
    get_dlc_face_s3_paths,
    get_dlc_side_s3_paths,
    get_facemap_s3_paths,
    get_LFP_subsampling_paths_from_s3,
    get_lpfaceparts_camera_predictions_s3_paths,
    get_lpfaceparts_s3_dir_paths,
    get_sorted_data_paths_from_s3,
)
from tests.integration.world import Cloud
from tests.paths.asked import NEW, OLD, RESULTS, asset_id, below, listings

GETTERS: dict[str, Callable[[Any], Any]] = {
    "sorted": get_sorted_data_paths_from_s3,
    "dlc_eye": get_dlc_eye_s3_paths,
    "dlc_side": get_dlc_side_s3_paths,
    "dlc_face": get_dlc_face_s3_paths,
    "facemap": get_facemap_s3_paths,
    "LFP_Subsampled": get_LFP_subsampling_paths_from_s3,
}
RECORDING = "ecephys_901001_2024-03-11_13-10-05"
PREDICTIONS = (
    f"{RECORDING}/face/Face_20240311T131005/face_901001_2024-03-11_predictions.csv",
    f"{RECORDING}/side/Behavior_20240311T131005/side_901001_2024-03-11_predictions.csv",
    f"{RECORDING}/side/Behavior_20240311T131005/side_901001_2024-03-11_temporal_norm.csv",
    f"{RECORDING}/side/Behavior_20240311T131005/side_901001_2024-03-10_predictions.csv",
    f"{RECORDING}/side/Behavior_20240311T131005/config.yaml",
)


def put(cloud: Cloud, part: str, *names: str) -> str:
    """Files of the result with *part* in its name; its folder."""
    folder = f"{RESULTS}/{asset_id(cloud, part)}"
    cloud.change(**{f"{folder}/{name}": b"x" for name in names})
    cloud.forget_requests()
    return f"s3://{folder}"


@pytest.mark.parametrize("kind", GETTERS)
def test_what_stands_at_the_top_of_a_result(either: Cloud, kind: str) -> None:
    root = put(either, f"{RECORDING}_{kind}", "z.csv", "a/b.csv")
    for _ in range(2):
        assert below(root, GETTERS[kind](OLD)) == ["a", "output", "z.csv"]
    own = f"{root[len('s3://') :]}/"
    assert listings(either).count(own) == 1


@pytest.mark.parametrize("kind", GETTERS)
def test_a_session_without_such_a_result(either: Cloud, kind: str) -> None:
    with pytest.raises(errors.NoSessionData, match=f"901002_2024-05-16 has no {kind} data asset"):
        GETTERS[kind]("901002_2024-05-16")
    with pytest.raises(errors.NoSessionInfo, match="'nothing' is not a session"):
        GETTERS[kind]("nothing")


def test_a_result_whose_files_are_gone(recorded: Cloud) -> None:
    session = "901001_2024-03-14"
    folder = f"{RESULTS}/{asset_id(recorded, 'ecephys_901001_2024-03-14_12-49-50_facemap')}"
    recorded.change(**{f"{folder}/output": None})
    with pytest.raises(errors.NoSessionData, match=f"{session}: there are no files.*s3://{folder}"):
        get_facemap_s3_paths(session)


def test_a_sorting_result_by_its_id(recorded: Cloud) -> None:
    asset = asset_id(recorded, f"{RECORDING}_sorted")
    assert get_sorted_data_paths_from_s3(sorted_data_asset_id=asset) == get_sorted_data_paths_from_s3(OLD)
    assert get_sorted_data_paths_from_s3(NEW, asset) == get_sorted_data_paths_from_s3(OLD), "the id decides"
    missing = "00000000-0000-0000-0000-000000000000"
    with pytest.raises(errors.NoSessionData, match=missing):
        get_sorted_data_paths_from_s3(sorted_data_asset_id=missing)
    with pytest.raises(ValueError, match="either a session or the id"):
        get_sorted_data_paths_from_s3()


def test_where_all_sorting_is_errored_the_newest_answers_with_a_warning(live: Cloud) -> None:
    newest = asset_id(live, "ecephys_901002_2024-05-14_13-05-33_sorted_2024-06-03")
    with pytest.warns(errors.NpcLimsWarning, match="no sorting result without errors.*Out of memory"):
        paths = get_sorted_data_paths_from_s3("901002_2024-05-14")
    assert below(f"s3://{RESULTS}/{newest}", paths) == ["output"]


# --- Lightning Pose


def test_the_folder_of_face_parts(either: Cloud) -> None:
    root = put(either, f"{RECORDING}_LPFaceParts", *PREDICTIONS, f"{RECORDING}/log.txt")
    assert below(f"{root}/{RECORDING}", get_lpfaceparts_s3_dir_paths(OLD)) == ["face", "log.txt", "side"]


def test_predictions_of_a_camera(either: Cloud) -> None:
    root = put(either, f"{RECORDING}_LPFaceParts", *PREDICTIONS)
    for _ in range(2):
        assert below(root, get_lpfaceparts_camera_predictions_s3_paths(OLD, "side")) == list(PREDICTIONS[1:3])
        assert below(root, get_lpfaceparts_camera_predictions_s3_paths(OLD, "face")) == list(PREDICTIONS[:1])
    asked = [place for place in listings(either) if root[len("s3://") :] in place]
    assert len(asked) == len(set(asked)) == 6, asked


def test_an_unknown_camera(recorded: Cloud) -> None:
    with pytest.raises(ValueError, match="camera must be side or face, not 'eye'"):
        get_lpfaceparts_camera_predictions_s3_paths(OLD, "eye")
    assert recorded.requests == 0


def test_face_parts_that_are_not_there(recorded: Cloud) -> None:
    session, part = NEW, "ecephys_901003_2024-10-21_11-20-03"
    with pytest.raises(errors.NoSessionData, match=f"{session}.*has no folder named after it"):
        get_lpfaceparts_s3_dir_paths(session)
    errors_of = {
        f"{part}/face/Face/other.csv": "no folder side",
        f"{part}/side/Behavior/other.csv": r"no predictions \(.csv\)",
    }
    for name, message in errors_of.items():
        put(recorded, f"{part}_LPFaceParts", name)
        npc_lims.clear_caches()
        with pytest.raises(errors.NoSessionData, match=f"{session} has {message}"):
            get_lpfaceparts_camera_predictions_s3_paths(session, "side")


def test_gamma_encoding_can_be_insisted_on(recorded: Cloud) -> None:
    put(recorded, f"{RECORDING}_LPFaceParts", *PREDICTIONS)
    with pytest.raises(errors.AssetError, match=f"{OLD}.*not made from gamma-encoded videos"):
        get_lpfaceparts_s3_dir_paths(OLD, enforce_gamma_encoding=True)
    gamma = asset_id(recorded, f"{RECORDING}_GammaEncoding")
    recorded.codeocean.assets = [
        {**asset, "provenance": {**asset["provenance"], "data_assets": [gamma]}}
        if f"{RECORDING}_LPFaceParts" in asset["name"]
        else asset
        for asset in recorded.codeocean.assets
    ]
    npc_lims.clear_caches()
    paths = get_lpfaceparts_s3_dir_paths(OLD, enforce_gamma_encoding=True)
    assert paths == get_lpfaceparts_s3_dir_paths(OLD)
    assert get_lpfaceparts_camera_predictions_s3_paths(OLD, "face", enforce_gamma_encoding=True)


@pytest.mark.parametrize("bad", ["zzz", "../computations", OLD])
def test_what_is_no_id_of_an_asset_is_not_queried(cloud: Cloud, bad: str) -> None:
    with pytest.raises(errors.NoSessionData, match="is not the id of a data asset: one looks like"):
        get_sorted_data_paths_from_s3(sorted_data_asset_id=bad)
    assert cloud.requests == 0
