"""Subjects and sessions as the workbooks have them."""

from __future__ import annotations

import datetime

import npc_session
import pytest

from npc_lims.clients.s3 import open_store
from npc_lims.config.settings import load_settings
from npc_lims.errors import NoSessionInfo, SourceError
from npc_lims.metadata.training_db import (
    get_session_id_from_db_row,
    get_sessions_from_training_db,
    get_subjects_from_training_db,
)
from npc_lims.sources.training.workbooks import observe
from tests.builders import context
from tests.metadata.conftest import HEADER, NSB, OTHER, Folder, Lab, row

START = datetime.datetime(2023, 3, 7, 12, 56, 27)


def test_subjects(folder: Folder) -> None:
    found = get_subjects_from_training_db()
    assert found == {
        626791: {"ID": 1, "mouse_id": "626791", "alive": "True", "trainer": "x"},
        659250: {"ID": 2, "mouse_id": "659250", "alive": "False", "trainer": ""},
    }
    assert all(isinstance(subject, npc_session.SubjectRecord) for subject in found)
    assert get_subjects_from_training_db(nsb=True) == {659250: {"ID": 1, "mouse_id": "659250"}}


def test_rows_of_all_mice_without_a_subject(folder: Folder) -> None:
    folder.upload(OTHER, {}, (["mouse id"], ["test mouse"], [None], [626791], ["6_2"]))
    assert list(get_subjects_from_training_db()) == [626791]


@pytest.mark.parametrize("all_mice", [(["subject"], [626791]), ()])
def test_a_workbook_without_its_list_of_subjects(folder: Folder, all_mice: tuple[list[object], ...]) -> None:
    folder.upload(OTHER, {}, all_mice)
    with pytest.raises(SourceError, match=f"{OTHER} has no sheet 'all_mice' with a column 'mouse id'"):
        get_subjects_from_training_db()


def test_sessions_of_both_workbooks(folder: Folder) -> None:
    found = get_sessions_from_training_db()
    # of 626791 one row is to be ignored and one has no start; 659250 is told by the NSB team's workbook
    assert found == {
        626791: ({"ID": 1, "start_time": "2023-03-07 12:56:27", "rig_name": "B2", "ignore": "0", "nsb": False},),
        659250: (
            {"ID": 1, "start_time": "2023-03-09 12:56:27", "rig_name": "NSB1", "ignore": "0", "nsb": True},
            {"ID": 2, "start_time": "2023-03-10 12:56:27", "rig_name": "NSB1", "ignore": "0", "nsb": True},
        ),
    }
    assert all(isinstance(subject, npc_session.SubjectRecord) for subject in found)


@pytest.mark.parametrize("column", ["ignore", "Ignore", "noLicks", "no licks"])
def test_columns_that_leave_rows_out(folder: Folder, column: str) -> None:
    rows = [[START + datetime.timedelta(days=n), value] for n, value in enumerate((0, 1, None, "1", " 1 ", True, 2))]
    folder.upload(OTHER, {"626791": [["start time", column], *rows]})
    assert [row["ID"] for row in get_sessions_from_training_db()[626791]] == [1, 3, 7]


def test_of_several_such_columns_any_excludes_a_row(folder: Folder) -> None:
    rows = [[START + datetime.timedelta(days=n), *flags] for n, flags in enumerate([(1, 0), (0, 1), (None, 0), (1, 1)])]
    folder.upload(OTHER, {"626791": [["start time", "no licks", "ignore"], *rows]})
    assert [row["ID"] for row in get_sessions_from_training_db()[626791]] == [3]


@pytest.mark.parametrize("column", ["ignore", "noLicks", "no_licks", "No-Licks "])
def test_a_sync_excludes_the_same_rows(folder: Folder, column: str) -> None:
    cells = (0, 1, None, "1", " 1 ", True, 2, "x", "no", 1.0, "TRUE")
    rows = [[START + datetime.timedelta(days=n), value] for n, value in enumerate(cells)]
    folder.upload(OTHER, {"626791": [["start time", column], *rows]})
    settings = load_settings()
    observation = observe(context(settings, store=lambda: open_store(settings), full=True))
    synced = {name for name in observation.facts if name.startswith("626791")}
    of_database = {f"626791_{row['start_time'][:10]}" for row in get_sessions_from_training_db()[626791]}
    assert synced == of_database
    assert len(synced) == 4


def test_sheets_that_are_no_subjects_and_subjects_without_sessions(folder: Folder) -> None:
    folder.upload(OTHER, {"notes": [HEADER, row(7)], "626791 (2)": [HEADER, row(7)], "700000": [["rig"], ["B2"]]})
    assert get_sessions_from_training_db()[700000] == ()  # type: ignore[index]
    assert list(get_sessions_from_training_db()) == [700000, 659250]


def test_answers_are_kept_until_a_workbook_changes(lab: Lab) -> None:
    found = get_sessions_from_training_db()
    lab.asked()
    found.pop(next(iter(found)))  # the caller's own
    assert len(get_sessions_from_training_db()) == 2
    assert lab.asked() == []
    lab.upload(NSB, {"700000": [HEADER, row(1)]})
    lab.new_process()
    assert list(get_sessions_from_training_db()) == [626791, 659250, 700000]


def test_the_session_of_a_row(folder: Folder) -> None:
    for subject, rows in get_sessions_from_training_db().items():
        for one in rows:
            session = get_session_id_from_db_row(subject, one)
            assert isinstance(session, npc_session.SessionRecord)
            assert session == f"{subject}_{one['start_time'][:10]}"


@pytest.mark.parametrize("column", ["start_time", "date_start", "start_date_time", "session_start_time"])
def test_columns_that_name_a_start(column: str) -> None:
    assert get_session_id_from_db_row("366122", {"ID": "7", column: "2023-01-30 12:56:27"}) == "366122_2023-01-30"


@pytest.mark.parametrize("row", [{}, {"start_time": ""}, {"start_time": "noon"}, {"time": "2023-01-30"}])
def test_rows_of_no_session(row: dict[str, str]) -> None:
    with pytest.raises(NoSessionInfo, match=r"subject 366122 and start time .* are no session"):
        get_session_id_from_db_row(366122, row)


def test_rows_are_the_callers_own(folder: Folder) -> None:
    subject, (first, *_) = next((subject, rows) for subject, rows in get_sessions_from_training_db().items() if rows)
    first.clear()
    assert get_sessions_from_training_db()[subject][0]["ID"] == 1
