"""The planning workbook, read from real files: what is in it, and what is wrong with it, by sheet and row."""

from __future__ import annotations

import datetime
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from npc_lims.errors import Problem, SourceError
from npc_lims.track.planning.workbook import (
    MouseRow,
    PlanningWorkbook,
    SessionRow,
    read_planning_workbooks,
)
from tests.track.planning.books import BY_MOUSE, BY_SESSION, MOUSE, TODAY, plan_book, session_row, write_book

DAY = datetime.datetime(2024, 6, 24)
SHEET = "tracking.xlsx[by_session_prod]"


def read(*paths: Path) -> PlanningWorkbook:
    return read_planning_workbooks(paths, TODAY)


def only_row(folder: Path, **cells: Any) -> SessionRow:
    """The one row of a workbook that has these cells, and no problems."""
    book = read(plan_book(folder, session_row(714748, DAY, **cells)))
    assert book.problems == []
    (row,) = book.sessions
    return row


def assert_problem(
    book: PlanningWorkbook, line: int, words: str, sheet: str = SHEET, severity: str = "error"
) -> Problem:
    (problem,) = book.problems
    assert (problem.file, problem.line, problem.severity) == (sheet, line, severity)
    assert words in problem.message
    return problem


# ------------------------------------------------------------------------------ what it says


def test_mice_and_sessions_are_read_and_other_sheets_skipped(tmp_path: Path) -> None:
    book = read(plan_book(tmp_path, session_row(714748, DAY, probes_in_brain="ABC", notes="went well")))
    days = tuple(datetime.date(2024, 6, day) for day in (24, 25, 26))
    assert book.mice == [MouseRow("714748", "DynamicRouting", "prod", days)]
    assert book.sessions == [SessionRow("714748_2024-06-24", SHEET, 2, frozenset("ABC"))]
    assert book.problems == []


def test_every_sheet_of_sessions_is_read_with_mouse_or_mid_and_dates_as_dates_or_text(tmp_path: Path) -> None:
    path = write_book(
        tmp_path / "tracking.xlsx",
        {
            "By Mouse": [BY_MOUSE, MOUSE],
            "by_session_prod": [["mouse", "date"], [714748, DAY]],
            "by_session_muscimol": [["MID ", "Date"], ["714748", "6/25/2024"], [714748.0, "2024-06-26"]],
        },
    )
    book = read(path)
    assert [row.session for row in book.sessions] == ["714748_2024-06-24", "714748_2024-06-25", "714748_2024-06-26"]
    assert book.problems == []


def test_probes_that_are_not_listed_are_those_with_a_place_or_a_depth(tmp_path: Path) -> None:
    row = only_row(tmp_path, a_loc="B2", b_loc="x", c_depth=3000, d_depth=0, e_loc="n/a", f_loc=" ")
    assert row.recorded == frozenset("AC")


def test_probes_that_are_listed_win_over_places(tmp_path: Path) -> None:
    assert only_row(tmp_path, probes_in_brain="B", a_loc="B2").recorded == frozenset("B")


def test_probes_without_any_cell_are_unknown(tmp_path: Path) -> None:
    assert only_row(tmp_path).recorded is None


@pytest.mark.parametrize(
    ("depth", "expected"), [(3800, False), (3801, True), ("3,900 um", True), (None, None), ("x", None)]
)
def test_deep_is_past_3800_micrometres(tmp_path: Path, depth: Any, expected: bool | None) -> None:
    assert only_row(tmp_path, probes_in_brain="A", a_depth=depth).is_deep is expected


def test_only_recorded_probes_count_as_deep(tmp_path: Path) -> None:
    assert only_row(tmp_path, probes_in_brain="A", a_depth=3000, b_depth=4000).is_deep is False


def test_names_of_columns_are_read_whatever_their_case_spaces_and_units(tmp_path: Path) -> None:
    header = ["Mouse", "DATE", "A Depth (um)", "b_depth [mm]", "C  depth", "Surface  channel\nrecording"]
    path = write_book(
        tmp_path / "t.xlsx", {"by_mouse": [BY_MOUSE, MOUSE], "by_session": [header, [714748, DAY, 3000, 3.9, "", True]]}
    )
    (row,) = read(path).sessions
    assert (row.recorded, row.is_deep, row.surface) == (frozenset("AB"), True, True)


def test_titles_above_the_header_and_blank_rows_are_stepped_over(tmp_path: Path) -> None:
    path = tmp_path / "tracking.xlsx"
    plan_book(tmp_path)
    book = openpyxl.load_workbook(path)
    sheet = book["by_session_prod"]
    sheet.insert_rows(1, 2)
    sheet["A1"] = "Ephys sessions"
    sheet.merge_cells("A1:F1")
    sheet["A6"], sheet["B6"] = 714748, DAY
    sheet["A9000"].font = openpyxl.styles.Font(bold=True)
    book.save(path)
    found = read(path)
    assert [row.where for row in found.sessions] == [f"{SHEET} row 6"]
    assert found.problems == []


def test_a_workbook_that_counts_days_from_1904_is_understood(tmp_path: Path) -> None:
    path = plan_book(tmp_path, session_row(714748, DAY))
    book = openpyxl.load_workbook(path)
    book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
    book.save(path)
    assert [row.session for row in read(path).sessions] == ["714748_2024-06-24"]


# ------------------------------------------------------------------------- what is wrong


def test_invalid_rows_are_reported_and_the_others_read(tmp_path: Path) -> None:
    path = plan_book(
        tmp_path,
        session_row("mouse 1", DAY),
        session_row(714748, "last week"),
        session_row(714748, None, probes_in_brain="ABC"),
        session_row(None, None, notes="a line of its own"),
        session_row(714748, DAY),
    )
    book = read(path)
    assert [row.line for row in book.sessions] == [6]
    assert [(problem.line, problem.column, problem.severity) for problem in book.problems] == [
        (2, 1, "error"),
        (3, 2, "error"),
        (4, 2, "error"),
        (5, 0, "warning"),
    ]
    assert "'mouse 1' is no mouse" in book.problems[0].message
    assert "'last week' is no date" in book.problems[1].message
    assert "names neither mouse nor date" in book.problems[3].message


def test_of_merged_cells_the_first_is_read_and_the_others_reported(tmp_path: Path) -> None:
    path = plan_book(tmp_path, session_row(714748, DAY), session_row(None, DAY + datetime.timedelta(1)))
    book = openpyxl.load_workbook(path)
    book["by_session_prod"].merge_cells("A2:A3")
    book.save(path)
    found = read(path)
    assert len(found.sessions) == 1
    assert_problem(found, 3, "of merged cells only the first counts")


def test_formulas_that_were_never_computed_are_empty_and_excel_errors_reported(tmp_path: Path) -> None:
    book = read(plan_book(tmp_path, session_row("=714000+748", DAY), session_row(714748, DAY, probes_in_brain="#REF!")))
    assert [problem.line for problem in book.problems] == [2, 3]
    assert "a formula must be saved with its value" in book.problems[0].message
    assert "#REF! is an Excel error" in book.problems[1].message
    assert [row.recorded for row in book.sessions] == [None]


def test_a_cell_that_cannot_be_read_costs_its_field_only(tmp_path: Path) -> None:
    path = plan_book(tmp_path, session_row(714748, DAY, probes_in_brain="most", injection_substance="muscimol"))
    book = read(path)
    problem = assert_problem(book, 2, "probes in brain: 'most' are no probes")
    assert problem.column == 3
    assert book.sessions[0].is_injection is True


def test_a_depth_that_cannot_be_read_leaves_open_whether_it_is_deep(tmp_path: Path) -> None:
    book = read(plan_book(tmp_path, session_row(714748, DAY, probes_in_brain="AB", a_depth=3000, b_depth="very")))
    assert_problem(book, 2, "b depth: 'very' is no depth")
    assert book.sessions[0].is_deep is None


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"probes_in_brain": "A?"}, "are no probes"),
        ({"b_loc": "TBD"}, "leaves open whether anything was there"),
        ({"b_depth": 3.9}, "b depth: '3.9' may be millimetres or micrometres"),
    ],
)
def test_a_cell_that_leaves_a_probe_open_leaves_open_which_were_recorded(
    tmp_path: Path, cells: dict[str, Any], words: str
) -> None:
    book = read(plan_book(tmp_path, session_row(714748, DAY, a_loc="B2", **cells)))
    assert_problem(book, 2, words)
    assert (book.sessions[0].recorded, book.sessions[0].is_deep) == (None, None)


def test_an_unclear_injection_or_experiment_is_unknown_and_reported(tmp_path: Path) -> None:
    mouse = [714748, "DR", "TBD", DAY, "6/24"]
    book = read(plan_book(tmp_path, session_row(714748, DAY, injection_substance="aCSF + muscimol"), mice=[mouse]))
    assert [(problem.file, problem.line, problem.severity) for problem in book.problems] == [
        ("tracking.xlsx[by_mouse]", 2, "error"),
        (SHEET, 2, "error"),
    ]
    assert (book.mice[0].exp_type, book.sessions[0].is_injection) == (None, None)


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
def test_hidden_sheets_are_skipped_and_reported(tmp_path: Path, state: str) -> None:
    path = plan_book(tmp_path, session_row(714748, DAY))
    book = openpyxl.load_workbook(path)
    old = book.copy_worksheet(book["by_session_prod"])
    old.title, old.sheet_state = "by_session_old", state
    book["todo"].sheet_state = state
    book.save(path)
    found = read(path)
    assert [row.sheet for row in found.sessions] == [SHEET]
    assert_problem(found, 0, "sheet is hidden", sheet="tracking.xlsx[by_session_old]", severity="warning")


def test_invalid_days_are_reported(tmp_path: Path) -> None:
    book = read(plan_book(tmp_path, mice=[[714748, "DR", "prod", None, "6/24"]]))
    assert_problem(book, 2, "'week of' is empty", sheet="tracking.xlsx[by_mouse]")
    assert [mouse.days for mouse in book.mice] == [None]


def test_a_sheet_without_required_columns_is_reported_with_those_it_has(tmp_path: Path) -> None:
    path = write_book(
        tmp_path / "tracking.xlsx",
        {"by_mouse": [BY_MOUSE, MOUSE], "by_session_prod": [["mouse", "when"], [714748, DAY]]},
    )
    problem = assert_problem(read(path), 1, "needs columns 'mouse', 'date', but has 'mouse', 'when'")
    assert "skipped" in problem.message


def test_an_empty_sheet_and_a_duplicate_column_are_reported(tmp_path: Path) -> None:
    path = write_book(
        tmp_path / "tracking.xlsx",
        {"by_mouse": [BY_MOUSE, MOUSE], "by_session_x": [], "by_session_y": [["mouse", "date", "Date"]]},
    )
    messages = [problem.message for problem in read(path).problems]
    assert "has nothing" in messages[0]
    assert "'date' is there twice" in messages[1]


def test_a_workbook_without_by_mouse_is_reported(tmp_path: Path) -> None:
    path = write_book(tmp_path / "tracking.xlsx", {"by_session_prod": [BY_SESSION]})
    assert_problem(read(path), 0, "no sheet by_mouse", sheet="tracking.xlsx", severity="warning")


def test_a_damaged_sheet_is_reported_and_the_others_read(tmp_path: Path) -> None:
    path = plan_book(tmp_path, session_row(714748, DAY))
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    members[sheet] = members[sheet][: len(members[sheet]) // 2]
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    book = read(path)
    assert [row.where for row in book.sessions] == [f"{SHEET} row 2"]
    assert "sheet cannot be read" in book.problems[0].message
    assert book.problems[0].file == "tracking.xlsx[by_mouse]"


@pytest.mark.slow
def test_rows_far_below_any_session_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sessions.csv"
    path.write_text("mouse,date\n" + "714748,2024-06-24\n" * 20_001)
    book = read(path)
    assert len(book.sessions) == 19_999
    assert "rows below 20000 are not read" in book.problems[0].message


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("tracking.xlsx", b"not a zip", "is truncated, damaged or no .xlsx file"),
        ("tracking.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "protected by a password"),
        ("tracking.xls", b"", "is neither .xlsx nor .csv"),
        ("by_mouse.csv", b"", "found nothing"),
        ("by_mouse.csv", b"mouse,born\n1,2\n", "found 'mouse', 'born'"),
        ("by_mouse.csv", "mouse,days recorded,wer\n714748,6/24,Jörg\n".encode("latin-1"), "byte 0xf6 in line 2"),
        ("by_mouse.csv", b'mouse,days recorded\n"714748,6/24\n', "is no .csv file from line 2 on"),
    ],
)
def test_files_that_cannot_be_used_are_refused_with_the_reason(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError) as refused:
        read(path)
    assert str(refused.value).startswith(f"workbook: {name} ")
    assert words in str(refused.value)


def test_a_missing_file_a_folder_and_another_workbook_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no file"):
        read(tmp_path / "tracking.xlsx")
    with pytest.raises(SourceError, match=r"cannot be read"):
        read(tmp_path)
    with pytest.raises(SourceError, match=r"no sheet by_mouse or by_session_\* \(found: 714748\)"):
        read(write_book(tmp_path / "training.xlsx", {"714748": [["start time"]]}))


# -------------------------------------------------------------------------------- exports


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_exported_sheets_are_recognised_by_their_columns(tmp_path: Path, delimiter: str, encoding: str) -> None:
    mice, sessions = tmp_path / "mice.csv", tmp_path / "Sessions.CSV"
    days = '"6/24, 6/25"'
    lines = ["mouse;project;exp type;week of;days recorded;surgeon", f"714748;DR;prod;6/24/2024;{days};Jörg"]
    mice.write_bytes("\r\n".join(lines).replace(";", delimiter).encode(encoding))
    lines = ["mid;date;probes;notes", '714748;2024-06-25;"A, B";"two\nlines"', "", "bad;6/26/2024;;"]
    sessions.write_bytes("\n".join(lines).replace(";", delimiter).encode(encoding))
    book = read(mice, sessions)
    assert [[str(day) for day in mouse.days or ()] for mouse in book.mice] == [["2024-06-24", "2024-06-25"]]
    assert book.sessions == [SessionRow("714748_2024-06-25", "Sessions.CSV", 2, frozenset("AB"))]
    # a cell of two lines and an empty line stand above it
    assert_problem(book, 5, "'bad' is no mouse", sheet="Sessions.CSV")
