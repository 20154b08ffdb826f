"""The repository of behavior files, by subject and session."""

from __future__ import annotations

from collections.abc import Callable

import npc_session
import pytest

from npc_lims.errors import NoSessionData, SourceError
from npc_lims.paths.subject_folders import get_sessions_from_data_repo, get_subject_folders_from_data_repo
from tests.metadata.conftest import BUCKET, FOLDER, Lab
from tests.servers.faults import Status

ROOT = f"s3://{BUCKET}/{FOLDER}Data"


@pytest.fixture
def repo(lab: Lab) -> Lab:
    for path in (
        "626791/DynamicRouting1_626791_20220815_130732.hdf5",
        "626791/DynamicRouting1_626791_20220814_100000.hdf5",
        "626791/RFMapping_626791_20220815_150000.hdf5",
        "626791/notes.txt",
        "626791/old/DynamicRouting1_626791_20220101_100000.hdf5",
        "659250/Spontaneous_659250_20230309_101010.hdf5",
        "366122/DynamicRouting1_366122_20230130_125627.hdf5",
        "test/DynamicRouting1_test_20230130_125627.hdf5",
        "retired 668755/DynamicRouting1_668755_20230130_125627.hdf5",
        "700000/nothing yet.txt",
        "readme.txt",
    ):
        lab.put(f"Data/{path}")
    return lab


def test_folders_of_all_subjects_in_one_request(repo: Lab) -> None:
    pytest.importorskip("s3fs")
    found = get_subject_folders_from_data_repo()
    assert {subject: str(path) for subject, path in found.items()} == {
        subject: f"{ROOT}/{subject}" for subject in (626791, 659250, 700000)
    }
    assert all(isinstance(subject, npc_session.SubjectRecord) for subject in found)
    get_subject_folders_from_data_repo()
    assert len(repo.asked()) == 1


@pytest.mark.parametrize("subject", [626791, "626791", npc_session.SubjectRecord(366122)])
def test_folder_of_one_subject(repo: Lab, subject: int | str) -> None:
    pytest.importorskip("s3fs")
    assert str(get_subject_folders_from_data_repo(subject)) == f"{ROOT}/{subject}"


def test_sessions_of_one_subject(repo: Lab) -> None:
    found = get_sessions_from_data_repo(626791)
    assert found == ("626791_2022-08-14", "626791_2022-08-15")
    assert all(isinstance(session, npc_session.SessionRecord) for session in found)
    assert get_sessions_from_data_repo("366122") == ("366122_2023-01-30",)
    assert get_sessions_from_data_repo(700000) == ()
    get_sessions_from_data_repo(626791)
    assert len(repo.asked()) == 3


def test_sessions_of_all_subjects_in_one_request(repo: Lab) -> None:
    assert get_sessions_from_data_repo() == {
        626791: ("626791_2022-08-14", "626791_2022-08-15"),
        659250: ("659250_2023-03-09",),
        700000: (),
    }
    get_sessions_from_data_repo()
    assert len(repo.asked()) == 1


@pytest.mark.parametrize("ask", [get_subject_folders_from_data_repo, get_sessions_from_data_repo])
def test_a_subject_without_a_folder(repo: Lab, ask: Callable[[object], object]) -> None:
    with pytest.raises(NoSessionData, match=f"there is no folder of subject 999999 in {ROOT}"):
        ask(999999)
    with pytest.raises(FileNotFoundError, match="'mouse' is no subject"):
        ask("mouse")


def test_a_listing_that_fails_is_no_answer(repo: Lab) -> None:
    repo.proxy.rule = lambda request: Status(500)
    with pytest.raises(SourceError, match="s3://"):
        get_sessions_from_data_repo(626791)
    repo.proxy.rule = None
    assert len(get_sessions_from_data_repo(626791)) == 2
