"""Annotation files: tissuecyte by experiment day, the IBL GUI by session."""

from __future__ import annotations

import dataclasses

import pytest

import npc_lims
from npc_lims import errors
from npc_lims.paths.subject_folders import get_ibl_annotation_files_from_s3, get_tissuecyte_annotation_files_from_s3
from tests.integration.world import Cloud
from tests.paths.asked import NEW, OLD, SCRATCH, below, listings

TISSUECYTE = "arjun.sridhar/tissuecyte_cloud_processed"
IBL = "dynamic-routing/ibl-gui-output"
NAME = "Probe_{}_channels_901001_warped_processed_new_sorting.csv"


def test_tissuecyte_files_of_the_day(either: Cloud) -> None:
    paths = get_tissuecyte_annotation_files_from_s3(OLD)
    assert below(f"s3://{SCRATCH}/{TISSUECYTE}/901001", paths) == [NAME.format(f"{probe}1") for probe in "ABCF"]


def test_tissuecyte_files_from_state_need_no_request(recorded: Cloud) -> None:
    assert get_tissuecyte_annotation_files_from_s3(OLD)
    assert recorded.requests == 0


def test_all_sessions_of_a_subject_share_one_listing(live: Cloud) -> None:
    for day in ("11", "12", "13"):
        assert get_tissuecyte_annotation_files_from_s3(f"901001_2024-03-{day}")
    assert listings(live) == [f"{SCRATCH}/{TISSUECYTE}/901001/"]


def test_a_session_info_has_its_day(either: Cloud) -> None:
    info = npc_lims.get_session_info(OLD)
    assert get_tissuecyte_annotation_files_from_s3(info) == get_tissuecyte_annotation_files_from_s3(OLD)
    third = dataclasses.replace(info, experiment_day=3)
    assert [path.name for path in get_tissuecyte_annotation_files_from_s3(third)] == [
        NAME.format("A3"),
        NAME.format("F3"),
    ]


def test_the_eleventh_day_is_not_the_first(live: Cloud) -> None:
    live.change(**{f"{SCRATCH}/{TISSUECYTE}/901001/{NAME.format('A11')}": b""})
    assert NAME.format("A11") not in [path.name for path in get_tissuecyte_annotation_files_from_s3(OLD)]


def test_no_tissuecyte_files(either: Cloud) -> None:
    with pytest.raises(FileNotFoundError, match=f"{NEW}.*nothing in s3://{SCRATCH}/{TISSUECYTE}/901003"):
        get_tissuecyte_annotation_files_from_s3(NEW)
    with pytest.raises(errors.NoSessionData, match="none of experiment day 4: check the day"):
        get_tissuecyte_annotation_files_from_s3("901001_2024-03-14")
    with pytest.raises(errors.NoSessionInfo):
        get_tissuecyte_annotation_files_from_s3("?")


def test_ibl_files_of_a_session(either: Cloud) -> None:
    paths = get_ibl_annotation_files_from_s3(NEW)
    folder = f"s3://{SCRATCH}/{IBL}/901003/ecephys_901003_2024-10-21_11-20-03"
    assert below(folder, paths) == [f"probe{letter}/ccf_channel_results.json" for letter in "ABCEF"]
    assert len(get_ibl_annotation_files_from_s3("901003_2024-10-22")) == 6
    assert get_ibl_annotation_files_from_s3(f"{NEW}_1") == (), "11 is the hour"
    assert [place for place in listings(either) if IBL in place] == [f"{SCRATCH}/{IBL}/901003/"]


def test_no_ibl_files(either: Cloud) -> None:
    assert get_ibl_annotation_files_from_s3(OLD) == ()


def test_other_roots(live: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_TISSUECYTE_ROOT", "s3://elsewhere/tissuecyte")
    monkeypatch.setenv("NPC_LIMS_IBL_ROOT", "s3://elsewhere/ibl")
    live.change(
        **{
            f"elsewhere/tissuecyte/901001/{NAME.format('C1')}": b"",
            f"elsewhere/ibl/901001/{OLD}/C/ccf_channel_results.json": b"",
        }
    )
    assert (
        str(get_tissuecyte_annotation_files_from_s3(OLD)[0]) == f"s3://elsewhere/tissuecyte/901001/{NAME.format('C1')}"
    )
    assert len(get_ibl_annotation_files_from_s3(OLD)) == 1
