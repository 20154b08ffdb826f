"""Stimulus files of a day, chosen from one listing of the subject's folder."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import npc_session
import pytest
import upath

from npc_lims import errors
from npc_lims.paths.subject_folders import StimFile, get_hdf5_stim_files_from_s3
from tests.integration.world import TASK_BUCKET, TASK_FOLDER, Cloud
from tests.paths.asked import OLD, below, listings

ROOT = f"s3://{TASK_BUCKET}/{TASK_FOLDER}Data"


def put(cloud: Cloud, subject: int, sizes: Mapping[str, int]) -> None:
    cloud.change(**{f"{TASK_BUCKET}/{TASK_FOLDER}Data/{subject}/{name}": b"x" * n for name, n in sizes.items()})
    cloud.forget_requests()


def test_files_of_a_day(either: Cloud) -> None:
    files = get_hdf5_stim_files_from_s3(OLD)
    assert below(f"{ROOT}/901001", [file.path for file in files]) == [
        "DynamicRouting1_901001_20240311_132705.hdf5",
        "RFMapping_901001_20240311_143005.hdf5",
    ]
    first = files[0]
    assert (first.name, first.date, first.time, first.size) == ("DynamicRouting1", "2024-03-11", "13:27:05", 8)
    assert isinstance(first.session, npc_session.SessionRecord)
    assert first.session == OLD
    assert listings(either) == [f"{TASK_BUCKET}/{TASK_FOLDER}Data/901001/"], "sizes come with the names"


def test_all_sessions_of_a_subject_share_one_listing(recorded: Cloud) -> None:
    for day in ("11", "12", "13", "14"):
        assert get_hdf5_stim_files_from_s3(f"901001_2024-03-{day}")
    assert recorded.requests == 1


def test_empty_files_are_dropped(recorded: Cloud) -> None:
    """The task of that day was stopped and started again."""
    names = [file.path.name for file in get_hdf5_stim_files_from_s3("901001_2024-03-14")]
    assert "DynamicRouting1_901001_20240314_125501.hdf5" not in names
    assert len(names) == 2


def test_of_several_of_the_task_the_largest_is_returned(recorded: Cloud) -> None:
    put(
        recorded,
        901001,
        {
            "DynamicRouting1_901001_20240311_110000.hdf5": 7,
            "DynamicRouting1_901001_20240311_120000.hdf5": 9,
            "DynamicRouting1_test_20240311_130000.hdf5": 4,
            "OptoTagging_901001_20240311_150000.hdf5": 1,
            "Spontaneous_test_20240311_160000.hdf5": 1,
            "notes_901001_20240311_1500.hdf5": 1,
            "copies/RFMapping_901001_20240311_170000.hdf5": 1,
        },
    )
    assert [file.path.name for file in get_hdf5_stim_files_from_s3(OLD)] == [
        "DynamicRouting1_901001_20240311_120000.hdf5",
        "OptoTagging_901001_20240311_150000.hdf5",
        "RFMapping_901001_20240311_143005.hdf5",
        "Spontaneous_test_20240311_160000.hdf5",
    ]


def test_a_day_without_files(recorded: Cloud) -> None:
    assert get_hdf5_stim_files_from_s3("901001_2024-03-30") == ()


def test_a_subject_without_files(recorded: Cloud) -> None:
    with pytest.raises(FileNotFoundError, match=f"909909_2024-03-30.*{ROOT}/909909.*NSB.*lims2") as raised:
        get_hdf5_stim_files_from_s3("909909_2024-03-30")
    assert isinstance(raised.value, errors.NoSessionData)
    with pytest.raises(errors.NoSessionInfo):
        get_hdf5_stim_files_from_s3("DynamicRouting1.hdf5")


def test_another_root(recorded: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded.change(**{"elsewhere/stim/901001/Task_901001_20240311_110000.hdf5": b"1"})
    monkeypatch.setenv("NPC_LIMS_STIM_ROOT", "s3://elsewhere/stim")
    (file,) = get_hdf5_stim_files_from_s3(OLD)
    assert str(file.path) == "s3://elsewhere/stim/901001/Task_901001_20240311_110000.hdf5"


def test_a_file_made_by_hand_is_queried_for_its_size(tmp_path: Path) -> None:
    path = upath.UPath(tmp_path / "DynamicRouting1_366122_20231231_101112.hdf5")
    path.write_bytes(b"12345")
    file = StimFile(path, npc_session.SessionRecord("366122_2023-12-31"))
    assert (file.name, file.date, file.time, file.size) == ("DynamicRouting1", "2023-12-31", "10:11:12", 5)
    path.write_bytes(b"")
    assert file.size == 5, "asked once"
    assert file == StimFile(path, npc_session.SessionRecord("366122_2023-12-31"), listed_size=7), "the same file"
    assert pickle.loads(pickle.dumps(file)) == file
