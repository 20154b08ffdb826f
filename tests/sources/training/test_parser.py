"""One workbook: every kind of dirt is reported with sheet and row, and costs nothing beside it."""

from __future__ import annotations

import contextlib
import datetime
import io
import string
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.chart import BarChart
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from npc_lims.errors import Problem, SourceError
from npc_lims.sources.training import xlsx
from npc_lims.sources.training.cells import clean, parse_flag, parse_start, slug
from npc_lims.sources.training.parser import UnreadableSheet, Workbook, parse_workbook
from npc_lims.sources.training.workbooks import is_nsb

TODAY = datetime.date(2024, 6, 1)
EPOCH = datetime.datetime(1899, 12, 30)
NAME = "DynamicRoutingTraining.xlsx"
COLUMNS = (
    "start_time",
    "rig_name",
    "task_version",
    "hits",
    "dprime_same_modality",
    "dprime_other_modality_go_stim",
    "pass",
    "ignore",
)
HEADER = ["start time", "rig name", "hits", "ignore"]
FIRST = datetime.datetime(2023, 3, 7, 12, 56, 27)
GOOD = [FIRST, "B2", 12, 0]

Rows = Sequence[Sequence[Any]]


def save(book: openpyxl.Workbook) -> bytes:
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def make_book(sheets: dict[str, Rows], all_mice: Rows = (["mouse id"], [626791])) -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for title, rows in {"all_mice": all_mice, **sheets}.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(list(row))
    return book


def parse(content: bytes, columns: Sequence[str] = COLUMNS) -> Workbook:
    return parse_workbook(content, NAME, columns, TODAY)


def parse_rows(*rows: Sequence[Any], header: Sequence[Any] = HEADER) -> Workbook:
    """A workbook whose one subject has *rows*: the first of them is row 2 of the sheet."""
    return parse(save(make_book({"626791": [header, *rows]})))


def starts(book: Workbook) -> list[str]:
    return [str(row.start) for row in book.rows]


def problem(line: int, column: int, message: str, sheet: str = "626791") -> Problem:
    return Problem(f"{NAME}[{sheet}]", line, column, "warning", message)


def assert_only_problem(book: Workbook, line: int, column: int, words: str, sheet: str = "626791") -> None:
    (found,) = book.problems
    assert (found.file, found.line, found.column) == (f"{NAME}[{sheet}]", line, column)
    assert words in found.message


def rewrite(content: bytes, change: Callable[[str, bytes], bytes | None]) -> bytes:
    """The zip with each member changed; None drops it."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for member in old.namelist():
            changed = change(member, old.read(member))
            if changed is not None:
                new.writestr(member, changed)
    return stream.getvalue()


def replace_in(content: bytes, member: str, old: bytes, new: bytes) -> bytes:
    seen = []

    def change(name: str, data: bytes) -> bytes:
        if name != member:
            return data
        assert old in data
        seen.append(name)
        return data.replace(old, new)

    changed = rewrite(content, change)
    assert seen
    return changed


SHEET_2 = "xl/worksheets/sheet2.xml"


class TestRows:
    def test_a_row_is_a_session(self) -> None:
        header = [
            "start time",
            "rig name",
            "task version",
            "hits",
            "d' same modality",
            "d' other modality go stim",
            "pass",
            "ignore",
        ]
        book = parse_rows([FIRST, " B2 ", "stage 0 moving", 12.0, 1.25, None, 1, 0], header=header)
        assert book.problems == ()
        (row,) = book.rows
        assert (row.subject, row.start, row.row, row.line) == ("626791", FIRST, 1, 2)
        assert list(row.columns.items()) == [
            ("rig_name", "B2"),
            ("task_version", "stage 0 moving"),
            ("hits", 12),
            ("dprime_same_modality", 1.25),
            ("dprime_other_modality_go_stim", None),
            ("pass", 1),
            ("ignore", 0),
        ]
        assert isinstance(row.columns["hits"], int)

    def test_only_allowed_columns_in_the_order_of_the_list(self) -> None:
        content = save(make_book({"626791": [["secret", "hits", "start time", "Rig-Name"], ["x", 3, FIRST, "B2"]]}))
        book = parse(content, ["Rig name", "hits", "hits", "weight", "row", "nsb"])
        assert list(book.rows[0].columns.items()) == [("rig_name", "B2"), ("hits", 3)]

    def test_a_column_named_like_a_fixed_fact_is_not_one(self) -> None:
        content = save(make_book({"626791": [["start time", "row", "nsb"], [FIRST, 99, "x"]]}))
        assert parse(content, ["row", "nsb", "start_time"]).rows[0].columns == {}

    def test_empty_rows_count_but_say_nothing(self) -> None:
        book = parse_rows([], GOOD, ["", None, "  "], [datetime.datetime(2023, 3, 8, 9), "B2", 1, None])
        assert [(row.row, row.line) for row in book.rows] == [(2, 3), (4, 5)]
        assert book.problems == ()

    def test_empty_rows_above_the_header(self) -> None:
        book = parse(save(make_book({"626791": [[], [], HEADER, GOOD]})))
        assert [(row.row, row.line) for row in book.rows] == [(1, 4)]

    def test_trailing_blank_columns(self) -> None:
        book = parse_rows([*GOOD, None, "", "  "], header=[*HEADER, None, " ", ""])
        assert (len(book.rows), book.problems) == (1, ())

    def test_short_rows(self) -> None:
        assert parse_rows([FIRST]).rows[0].columns == {"rig_name": None, "hits": None, "ignore": None}

    def test_subject_of_seven_digits_and_padded_sheet_name(self) -> None:
        book = parse(save(make_book({"1234567": [HEADER, GOOD], " 626791 ": [HEADER, GOOD]})))
        assert [row.subject for row in book.rows] == ["1234567", "626791"]

    @pytest.mark.parametrize(("name", "nsb"), [(NAME, False), ("DynamicRoutingTrainingNSB.xlsx", True)])
    def test_nsb_is_told_by_the_name(self, name: str, nsb: bool) -> None:
        assert is_nsb(name) is nsb


class TestStartTimes:
    @pytest.mark.parametrize(
        ("cell", "expected"),
        [
            (FIRST, "2023-03-07 12:56:27"),
            (datetime.datetime(2023, 3, 7, 12, 56, 27, 600_000), "2023-03-07 12:56:27"),
            (datetime.date(2023, 3, 7), "2023-03-07 00:00:00"),
            ("2023-03-07 12:56:27", "2023-03-07 12:56:27"),
            (" 2023-03-07T12:56 ", "2023-03-07 12:56:00"),
            ("2023/3/7 1:06:07.25", "2023-03-07 01:06:07"),
            ("2023-03-07_12-56-27", "2023-03-07 12:56:27"),
            ("2023-03-07", "2023-03-07 00:00:00"),
            ("20230307_125627", "2023-03-07 12:56:27"),
            ("20230307125627", "2023-03-07 12:56:27"),
            ("20230307 12:56", "2023-03-07 12:56:00"),
            ("20230307", "2023-03-07 00:00:00"),
            ("3/7/2023 12:56", "2023-03-07 12:56:00"),
            ("03/07/2023 12:56:27", "2023-03-07 12:56:27"),
            ("3/7/23 1:56 PM", "2023-03-07 13:56:00"),
            ("3/7/2023 12:06:01 a.m.", "2023-03-07 00:06:01"),
            ("3/7/2023, 12:06 pm", "2023-03-07 12:06:00"),
            ("3/7/2023", "2023-03-07 00:00:00"),
            (44992.5392013889, "2023-03-07 12:56:27"),
            (44992, "2023-03-07 00:00:00"),
            (20230307, "2023-03-07 00:00:00"),
            (20230307125627, "2023-03-07 12:56:27"),
            (datetime.datetime(2024, 6, 1, 23, 59), "2024-06-01 23:59:00"),
        ],
    )
    def test_accepted(self, cell: Any, expected: str) -> None:
        book = parse_rows(["2023-01-01 10:00", "B1", 0, 0], [cell, "B2", 1, 0])
        assert starts(book)[1:] == [expected]
        assert book.problems == ()

    @pytest.mark.parametrize(
        ("cell", "words"),
        [
            ("mouse was sick, see Ann", "the content is no start time: write it as 2023-03-07 12:56:27"),
            ("13/7/2023 12:56", "'13/7/2023 12:56' is no start time: month must be in 1..12"),
            ("2023-02-30", "is no start time: day"),
            ("2023-03-07 25:00", "hour must be in 0..23"),
            ("12:56", "'12:56' is no start time"),
            ("2023-03-07T12:56:27Z", "is no start time"),
            ("7.3.2023", "is no start time"),
            (datetime.time(12, 56), "start time 12:56:00 has no day"),
            (datetime.timedelta(hours=30), "has no day"),
            (True, "True is no start time"),
            (7, "'7' is no start time"),
            (1.5e300, "is no start time"),
            (12345678, "'12345678' is no start time"),
            (44992 + 36525, "is no start time"),
            (datetime.datetime(2032, 3, 7), "start time 2032-03-07 00:00:00 is in the future"),
            ("2024-06-02 00:00", "is in the future"),
            (datetime.datetime(1923, 3, 7), "is before 2016-01-01"),
            ("#N/A", "the content is no start time"),
            (None, "no start time; row skipped"),
        ],
    )
    def test_refused_row_costs_no_other(self, cell: Any, words: str) -> None:
        later = [datetime.datetime(2023, 3, 9), "B2", 2, 0]
        book = parse_rows(GOOD, [cell, "B2", 1, 0], later)
        assert starts(book) == ["2023-03-07 12:56:27", "2023-03-09 00:00:00"]
        assert [row.row for row in book.rows] == [1, 3]
        assert_only_problem(book, 3, 1, words)
        assert book.problems[0].message.endswith("; row skipped")

    @pytest.mark.parametrize("shown_as", ["[h]:mm:ss", "[mm]:ss", "h:mm", "0.00"])
    def test_a_date_that_is_shown_as_something_else(self, shown_as: str) -> None:
        book = make_book({"626791": [HEADER, GOOD]})
        book["626791"]["A2"].number_format = shown_as
        assert starts(parse(save(book))) == [str(FIRST)]

    def test_a_note_is_not_repeated_in_public(self) -> None:
        assert "Ann" not in str(parse_rows(["mouse was sick, see Ann"]).problems)

    def test_a_date_cell_beyond_all_dates(self) -> None:
        content = save(make_book({"626791": [HEADER, GOOD, [datetime.datetime(2023, 3, 8), "B2", 1, 0]]}))
        content = replace_in(content, SHEET_2, b">44993<", b">99999999999<")
        book = parse(content)
        assert starts(book) == ["2023-03-07 12:56:27"]
        assert_only_problem(book, 3, 1, "is no start time")

    def test_dates_since_1904(self) -> None:
        book = make_book({"626791": [HEADER, [FIRST, "B2", 1, 0], [44992 - 1462 + 1, "B2", 1, 0]]})
        book.epoch = CALENDAR_MAC_1904
        assert starts(parse(save(book))) == ["2023-03-07 12:56:27", "2023-03-08 00:00:00"]

    def test_the_same_start_twice(self) -> None:
        book = parse_rows(GOOD, ["3/7/2023 12:56:27", "B3", 1, 0])
        assert [row.columns["rig_name"] for row in book.rows] == ["B2"]
        assert_only_problem(book, 3, 1, "start time 2023-03-07 12:56:27 is that of row 2 of sheet '626791'")

    @pytest.mark.parametrize("name", ["Start Time", "START-TIME", "session start date", "date started"])
    def test_other_names_of_the_column(self, name: str) -> None:
        assert starts(parse_rows([1, FIRST], header=["hits", name])) == [str(FIRST)]

    def test_the_exact_name_wins(self) -> None:
        book = parse_rows(["2023-01-01", FIRST], header=["start date of training", "start time"])
        assert starts(book) == [str(FIRST)]


class TestIgnore:
    @pytest.mark.parametrize("cell", [1, 1.0, True, "1", "true", "TRUE", " x ", "Yes"])
    def test_yes(self, cell: Any) -> None:
        book = parse_rows([FIRST, "B2", 1, cell], ["no date", "B2", 1, cell], [datetime.datetime(2023, 3, 8)])
        assert [row.row for row in book.rows] == [3]
        assert (book.ignored, book.problems) == (2, ())

    @pytest.mark.parametrize("cell", [0, 0.0, False, "0", "false", "no", "", None])
    def test_no(self, cell: Any) -> None:
        book = parse_rows([FIRST, "B2", 1, cell])
        assert (len(book.rows), book.ignored, book.problems) == (1, 0, ())

    @pytest.mark.parametrize("cell", [2, "licked Bob", -1])
    def test_neither(self, cell: Any) -> None:
        book = parse_rows([FIRST, "B2", 1, cell])
        assert (len(book.rows), book.ignored) == (1, 0)
        assert book.problems == (problem(2, 4, "ignore is neither 1 nor 0, and the row counts: write 1 or 0"),)

    @pytest.mark.parametrize("column", ["noLicks", "NoLicks", "no_licks", "no licks", "No-Licks", " no  licks "])
    def test_other_columns_that_exclude(self, column: str) -> None:
        header = ["start time", "rig name", "hits", column]
        book = parse_rows([FIRST, "B2", 1, 1], ["2023-03-08", "B2", 1, 0], ["2023-03-09", "B2", 1], header=header)
        assert starts(book) == ["2023-03-08 00:00:00", "2023-03-09 00:00:00"]
        assert (book.ignored, book.problems) == (1, ())

    def test_any_of_these_columns_excludes(self) -> None:
        rows: Rows = [["2023-03-01", 0, 1, 0], ["2023-03-02", 1], ["2023-03-03", None, "?", 1], ["2023-03-04", 0, 0, 0]]
        book = parse_rows(*rows, header=["start time", "ignore", "noLicks", "no_licks"])
        assert (starts(book), book.ignored, book.problems) == (["2023-03-04 00:00:00"], 3, ())

    def test_without_the_column(self) -> None:
        assert len(parse_rows([FIRST, "B2"], header=["start time", "rig name"]).rows) == 1

    def test_it_counts_where_it_is_not_allowed(self) -> None:
        content = save(make_book({"626791": [HEADER, [FIRST, "B2", 1, True]]}))
        assert parse(content, ["hits"]).ignored == 1


class TestColumns:
    def test_duplicate_names(self) -> None:
        header = [*HEADER, "Hits", "weight", "weight"]
        book = parse_rows([*GOOD, 99, 20, 21], [datetime.datetime(2023, 3, 8), "B2", 5, 0, 98], header=header)
        assert [row.columns["hits"] for row in book.rows] == [12, 5]
        assert book.problems == (
            problem(1, 5, "column E has the name 'hits' of column C; left out: rename it"),
            problem(1, 7, "column G has the name of column F; left out: rename it"),
        )

    @pytest.mark.parametrize("blank", [None, " ", "???"])
    def test_unnamed_column(self, blank: Any) -> None:
        rows: Rows = [[FIRST, "secret", 3], ["2023-03-08"], ["2023-03-09", "x", 4, "y"]]
        book = parse_rows(*rows, header=["start time", blank, "hits"])
        assert [row.columns["hits"] for row in book.rows] == [3, None, 4]
        assert book.problems == (problem(1, 2, "column B, D holds values and has no name; left out: name it"),)

    def test_unnamed_column_among_short_rows(self) -> None:
        book = parse_rows([FIRST, "x"], header=["start time", None, "hits", "pass", "ignore"])
        assert_only_problem(book, 1, 2, "column B holds")

    def test_a_row_with_nothing_but_a_note_beside_the_table(self) -> None:
        book = parse_rows(GOOD, [None, None, None, None, None, "note"])
        assert_only_problem(book, 1, 6, "column F holds values and has no name")

    def test_excel_errors(self) -> None:
        book = parse_rows(
            [FIRST, "#N/A", "#DIV/0!", 0],
            ["2023-03-08", "#REF!", 3, 0],
            header=["start time", "rig name", "hits"],
        )
        assert [dict(row.columns) for row in book.rows] == [
            {"rig_name": None, "hits": None},
            {"rig_name": None, "hits": 3},
        ]
        assert book.problems == (
            problem(2, 2, "rig_name holds an Excel error in 2 row(s), taken as empty: correct the formula"),
            problem(2, 3, "hits holds an Excel error in 1 row(s), taken as empty: correct the formula"),
            problem(1, 4, "column D holds values and has no name; left out: name it"),
        )

    def test_formula_without_a_value(self) -> None:
        book = parse_rows([FIRST, "B2", "=SUM(A1:A2)", 0])
        assert book.rows[0].columns["hits"] is None
        assert_only_problem(book, 2, 3, "hits holds an Excel error in 1 row(s), taken as empty")

    @pytest.mark.parametrize("place", ["A3", "D3"])
    def test_a_session_that_depends_on_a_formula_without_a_value_is_unknown(self, place: str) -> None:
        """As in a workbook that a script saved: what the formula gave is gone, and with it which sessions there are."""
        book = make_book({"626791": [HEADER, GOOD, [datetime.datetime(2023, 3, 8), "B2", 1, 0]], "626792": [HEADER]})
        book["626791"][place] = "=B1+1"
        parsed = parse(save(book))
        reason = f"{place} is a formula that was saved without its value"
        assert (parsed.rows, parsed.unreadable) == ((), (UnreadableSheet("626791", "626791", reason),))

    def test_a_formula_that_gives_an_empty_text_was_saved(self) -> None:
        content = save(make_book({"626791": [HEADER, GOOD, [None, None, None, "=A1"]]}))
        content = replace_in(content, SHEET_2, b'<c r="D3"><f>', b'<c r="D3" t="str"><f>')
        book = parse(content)
        assert (len(book.rows), book.problems, book.unreadable) == (1, (), ())

    @pytest.mark.parametrize("error", ["#REF!", "Loading...", "=IMPORTRANGE(A1)"])
    @pytest.mark.parametrize("rows", [[GOOD], []])
    def test_a_header_that_was_not_calculated(self, error: str, rows: Rows) -> None:
        book = parse_rows(*rows, header=["start time", "rig name", "hits", error])
        reason = "D1, in its header, is an error"
        assert (book.rows, [sheet.reason for sheet in book.unreadable]) == ((), [reason])

    def test_header_of_other_types(self) -> None:
        book = parse_rows([FIRST, 1, 2, 3], header=["start time", 2023, FIRST, True])
        assert (len(book.rows), book.problems) == (1, ())


class TestSheets:
    def test_names_that_are_no_subject(self) -> None:
        titles = ["notes", "1234", "12345678", "626791 (2)", "template 626791"]
        book = parse(save(make_book({title: [HEADER, GOOD] for title in [*titles, "626791"]})))
        assert len(book.rows) == 1
        assert [found.file for found in book.problems] == [
            f"{NAME}[1234]",
            f"{NAME}[12345678]",
            f"{NAME}[626791 (2)]",
        ]
        assert {found.message for found in book.problems} == {
            "sheet name is no subject id of 6 or 7 digits; skipped: rename or delete it"
        }

    @pytest.mark.parametrize("title", ["626791\u200b", "\u00a0626791 ", "626\u00ad791"])
    def test_what_nobody_sees_is_no_part_of_a_subject(self, title: str) -> None:
        book = parse(save(make_book({title: [HEADER, GOOD, ["?"]]})))
        assert [row.subject for row in book.rows] == ["626791"]
        assert all(found.file.isprintable() for found in book.problems)

    def test_problems_of_a_sheet_are_listed_up_to_a_number(self) -> None:
        """Somebody filled a column down to the end of the sheet."""
        rows = [[None, "B2"]] * 1000
        book = parse(save(make_book({"626791": [HEADER, GOOD, *rows], "626792": [HEADER, ["?"]]})))
        assert len(book.rows) == 1
        assert [found.line for found in book.problems] == [*range(3, 103), 0, 2]
        assert book.problems[100] == problem(0, 0, "900 more problems in this sheet are not listed")

    def test_empty_sheets(self) -> None:
        book = parse(save(make_book({"626791": [], "Sheet1": [], "626792": [HEADER, GOOD], "626793": [HEADER]})))
        assert [row.subject for row in book.rows] == ["626792"]
        assert book.problems == (problem(0, 0, "sheet is empty"),)

    def test_without_start_time(self) -> None:
        book = parse(save(make_book({"626791": [["hits"], [1]], "626792": [HEADER, GOOD]})))
        assert len(book.rows) == 1
        reason = "its header (row 1) has no column 'start time': add one, or rename the sheet"
        assert book.unreadable == (UnreadableSheet("626791", "626791", reason),)
        assert book.problems == (problem(0, 0, f"sheet cannot be read: {reason}"),)

    def test_without_start_time_and_without_rows(self) -> None:
        book = parse(save(make_book({"626791": [["retired"]], "626792": [HEADER, GOOD]})))
        assert book.unreadable == ()
        assert book.problems == (problem(1, 0, "sheet has no column 'start time'; skipped: add one"),)

    @pytest.mark.parametrize("with_chart", [True, False])
    def test_chart_sheets(self, with_chart: bool) -> None:
        book = make_book({"626791": [HEADER, GOOD]})
        for title in ("learning curve", "626792"):
            sheet = book.create_chartsheet(title)
            if with_chart:
                sheet.add_chart(BarChart())
        parsed = parse(save(book))
        assert len(parsed.rows) == 1
        assert_only_problem(parsed, 0, 0, "is a chartsheet, not a sheet with rows", sheet="626792")

    @pytest.mark.parametrize("kind", [b"Worksheet", b"sheet", b"worksheet/"])
    def test_a_sheet_of_an_unknown_kind_is_read(self, kind: bytes) -> None:
        content = save(make_book({"626791": [HEADER, GOOD]}))
        book = parse(replace_in(content, "xl/_rels/workbook.xml.rels", b'/worksheet"', b"/" + kind + b'"'))
        assert (starts(book), book.problems) == ([str(FIRST)], ())

    def test_two_sheets_of_one_subject(self) -> None:
        later = [datetime.datetime(2023, 3, 8), "B2", 1, 0]
        book = parse(save(make_book({"626791": [HEADER, GOOD], "626791 ": [HEADER, GOOD, later]})))
        assert starts(book) == ["2023-03-07 12:56:27", "2023-03-08 00:00:00"]
        assert_only_problem(book, 2, 1, "is that of row 2 of sheet '626791'", sheet="626791 ")

    @pytest.mark.parametrize("dimension", [b"A1", b"A1:XFD1048576", b"C3:D4"])
    def test_wrong_dimensions(self, dimension: bytes) -> None:
        content = save(make_book({"626791": [HEADER, GOOD]}))
        book = parse(replace_in(content, SHEET_2, b'ref="A1:D2"', b'ref="' + dimension + b'"'))
        assert [row.columns["hits"] for row in book.rows] == [12]

    def test_a_stray_cell_far_below(self) -> None:
        book = make_book({"626791": [HEADER, GOOD], "626792": [HEADER, GOOD]})
        book["626791"].cell(1_048_576, 1).value = "stray"
        parsed = parse(save(book))
        assert len(parsed.rows) == 2
        assert_only_problem(parsed, 1_048_576, 1, "the content is no start time")

    def test_a_stray_cell_far_right(self) -> None:
        book = make_book({"626791": [HEADER, GOOD]})
        book["626791"].cell(2, 16_384).value = "stray"
        assert_only_problem(parse(save(book)), 1, 16_384, "column XFD holds")

    def test_hidden_sheets_count(self) -> None:
        book = make_book({"626791": [HEADER, GOOD]})
        book["626791"].sheet_state = "hidden"
        assert len(parse(save(book)).rows) == 1

    def test_an_unreadable_sheet_is_unknown_not_empty(self) -> None:
        content = save(make_book({"626791": [HEADER, GOOD], "626792": [HEADER, GOOD]}))
        content = replace_in(content, SHEET_2, b"<v>12</v>", b"<v>twelve of Bob's</v>")
        book = parse(content)
        assert [row.subject for row in book.rows] == ["626792"]
        reason = "cell C2 holds no number where one is expected"
        assert book.unreadable == (UnreadableSheet("626791", "626791", reason),)
        assert_only_problem(book, 0, 0, f"sheet cannot be read: {reason}")

    def test_of_a_subject_with_two_sheets_one_that_is_unreadable_counts(self) -> None:
        content = save(make_book({"626791": [HEADER, GOOD], "626791 ": [HEADER, GOOD]}))
        book = parse(replace_in(content, SHEET_2, b"</sheetData>", b""))
        assert book.rows == ()
        assert [(sheet.title, sheet.subject) for sheet in book.unreadable] == [("626791", "626791")]

    @pytest.mark.parametrize("content", [None, b"", b"<worksheet>", b"<worksheet/>", b"<html/>"])
    def test_a_lost_sheet_costs_no_other(self, content: bytes | None) -> None:
        book = save(make_book({"626791": [HEADER, GOOD], "626792": [HEADER, GOOD]}))
        found = parse(rewrite(book, lambda name, data: content if name == SHEET_2 else data))
        assert [row.subject for row in found.rows] == ["626792"]
        assert [sheet.title for sheet in found.unreadable] == ["626791"]

    @pytest.mark.parametrize("member", ["xl/worksheets/sheet1.xml", "xl/worksheets/sheet3.xml"])
    def test_only_sheets_that_are_read_can_be_unreadable(self, member: str) -> None:
        book = save(make_book({"626791": [HEADER, GOOD], "notes": [["x"]]}))
        found = parse(rewrite(book, lambda name, data: data[:-9] if name == member else data))
        assert len(found.rows) == 1
        assert [sheet.title for sheet in found.unreadable] == (["all_mice"] if "sheet1" in member else [])


class TestAllMice:
    def test_ids_of_any_form(self) -> None:
        rows: Rows = [
            ["Mouse ID", "alive", "d' goal"],
            [],
            [626791.0, True, " x "],
            [],
            ["626792", None, 1.5],
            [626793],
        ]
        book = parse(save(make_book({}, all_mice=rows)))
        assert book.problems == ()

    def test_bad_rows(self) -> None:
        rows: Rows = [["mouse id", "alive"], ["retired", True], [626791, True], [626791, False], [None, True]]
        book = parse(save(make_book({"626791": [HEADER, GOOD]}, all_mice=rows)))
        assert len(book.rows) == 1
        assert [(found.file, found.line, found.column) for found in book.problems] == [
            (f"{NAME}[all_mice]", line, 1) for line in (2, 4, 5)
        ]

    def test_without_mouse_id(self) -> None:
        book = parse(save(make_book({"626791": [HEADER, GOOD]}, all_mice=[["alive"], [1]])))
        assert len(book.rows) == 1
        assert_only_problem(book, 1, 0, "sheet has no column 'mouse id'", sheet="all_mice")


def assert_refused(content: bytes, words: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse(content)
    assert caught.value.source == "training"
    assert caught.value.reason.startswith(NAME)
    assert words in caught.value.reason
    assert "\n" not in caught.value.reason


class TestRefused:
    CONTENT = save(make_book({"626791": [HEADER, *([[FIRST + datetime.timedelta(n), "B2", n, 0] for n in range(50)])]}))

    @pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999])
    def test_truncated(self, part: float) -> None:
        assert_refused(self.CONTENT[: int(len(self.CONTENT) * part)], "is truncated, damaged or no .xlsx file")

    @pytest.mark.parametrize("content", [b"start time,rig\n", b"<html>404</html>", bytes(1000)])
    def test_no_zip(self, content: bytes) -> None:
        assert_refused(content, "is truncated, damaged or no .xlsx file")

    def test_a_flipped_bit(self) -> None:
        with zipfile.ZipFile(io.BytesIO(self.CONTENT)) as archive:
            info = archive.getinfo(SHEET_2)
        damaged = bytearray(self.CONTENT)
        damaged[info.header_offset + 200] ^= 1
        assert_refused(bytes(damaged), "is truncated, damaged")

    def test_another_zip(self) -> None:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("readme.txt", "not a workbook")
        assert_refused(stream.getvalue(), "is a zip file without a workbook: save it as Excel Workbook (.xlsx)")

    def test_another_workbook(self) -> None:
        assert_refused(save(openpyxl.Workbook()), "is no training workbook")

    def test_password(self) -> None:
        assert_refused(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(5000), "is protected by a password")

    @pytest.mark.parametrize("member", ["xl/workbook.xml", "xl/styles.xml", "_rels/.rels"])
    def test_malformed_parts_of_all_sheets(self, member: str) -> None:
        content = rewrite(self.CONTENT, lambda name, data: data[:-5] if name == member else data)
        assert_refused(content, f"cannot be read ({member}: malformed XML: ")

    def test_too_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(xlsx, "MAX_FILE_SIZE", len(self.CONTENT) - 1)
        assert_refused(self.CONTENT, "bytes of any real workbook")

    def test_zip_bomb(self) -> None:
        content = rewrite(self.CONTENT, lambda name, data: data + b" " * 2**25 if name == SHEET_2 else data)
        assert len(content) < 2**17
        assert_refused(content, "a zip bomb")

    def test_too_much_unpacked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(xlsx, "MAX_UNPACKED", 2000)
        assert_refused(self.CONTENT, "a zip bomb")

    def test_too_many_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(xlsx, "MAX_MEMBERS", 3)
        assert_refused(self.CONTENT, "parts, as no real workbook")

    def test_too_many_sheets_of_one_part(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sheet = b'<sheet name="626791" sheetId="9" state="visible" r:id="rId2" '
        sheet += b'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"/>'
        content = replace_in(self.CONTENT, "xl/workbook.xml", b"</sheets>", sheet * 50 + b"</sheets>")
        assert_refused(content, "has two sheets in one part")
        monkeypatch.setattr(xlsx, "MAX_MEMBERS", 40)
        assert_refused(content, "sheets, as no real workbook")

    def test_too_many_cells(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(xlsx, "MAX_CELLS", 100)
        assert_refused(self.CONTENT, "has more cells than any real workbook")

    def test_unusual_compression(self) -> None:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_LZMA) as archive:
            archive.writestr("[Content_Types].xml", b"x" * 1000)
        assert_refused(stream.getvalue(), "in an unusual way")

    BILLION_LAUGHS = (
        b'<!DOCTYPE lolz [<!ENTITY lol "lol">'
        + b"".join(b'<!ENTITY lol%d "%s">' % (n, b"&lol%s;" % (b"%d" % (n - 1) if n else b"") * 10) for n in range(9))
        + b"]>"
    )

    @pytest.mark.parametrize("member", ["xl/workbook.xml", SHEET_2, "_rels/.rels", "xl/styles.xml"])
    @pytest.mark.parametrize(
        "doctype",
        [
            BILLION_LAUGHS,
            b'<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">',
            b'<!DOCTYPE x [<!ENTITY a SYSTEM "/etc/x">]>',
        ],
        ids=["bomb", "dtd", "file"],
    )
    def test_document_types(self, member: str, doctype: bytes) -> None:
        def change(name: str, data: bytes) -> bytes:
            if name != member:
                return data
            start = data.index(b"?>") + 2 if data.startswith(b"<?xml") else 0
            return data[:start] + doctype + data[start:]

        assert_refused(rewrite(self.CONTENT, change), "declares a document type")

    @pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
    def test_document_type_in_utf_16(self, encoding: str) -> None:
        text = "\ufeff<!DOCTYPE x [<!ENTITY a 'b'>]><worksheet/>"
        content = rewrite(self.CONTENT, lambda name, data: text.encode(encoding) if name == SHEET_2 else data)
        assert_refused(content, "declares a document type")

    def test_document_type_in_an_encoding_in_which_no_search_finds_it(self) -> None:
        data = b'<?xml version="1.0" encoding="cp037"?>' + "<!DOCTYPE x><worksheet/>".encode("cp037")
        content = rewrite(self.CONTENT, lambda name, old: data if name == SHEET_2 else old)
        with contextlib.suppress(SourceError):
            assert parse(content).unreadable


# what a cell can be made to hold by typing and by programs; these formulas would be saved without their values
cells = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=True, allow_infinity=True),
    st.datetimes(datetime.datetime(1901, 1, 1), datetime.datetime(2100, 1, 1)),
    st.times(),
    st.timedeltas(datetime.timedelta(0), datetime.timedelta(9999)),
    st.text(alphabet=string.printable.replace("\x0b", "").replace("\x0c", "") + "é\u2019\u2028\xa0", max_size=20),
    st.sampled_from(["#N/A", "#DIV/0!", "2023-03-07 12:56:27", "3/7/2023", "x", "1", ""]),
).filter(lambda cell: not (isinstance(cell, str) and cell.startswith("=")))


class TestProperties:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.lists(cells, max_size=7), max_size=8), st.data())
    def test_no_cell_costs_a_good_row(self, weird: list[list[Any]], data: st.DataObject) -> None:
        good = [[datetime.datetime(2020, 1, 1, 0, 0, n + 1), f"rig {n}", n, 0] for n in range(3)]
        rows: list[list[Any]] = [*weird]
        for row in good:
            rows.insert(data.draw(st.integers(0, len(rows))), row)
        # a weird row may repeat a good one's start only if it comes to that very second: it does not
        book = parse(save(make_book({"626791": [HEADER, *rows], "626792": weird, "626793": [HEADER, *good]})))
        kept = {(row.subject, row.columns.get("rig_name")): row for row in book.rows}
        for n, row in enumerate(good):
            assert kept["626791", f"rig {n}"].row == rows.index(row) + 1
            assert kept["626793", f"rig {n}"].row == n + 1
        for found in book.rows:
            for value in found.columns.values():
                assert value is None or isinstance(value, (bool, int, float, str))
                assert value == value
                assert value not in ("", float("inf"), -float("inf"))
        # of the sheet without a header at most its first row can be taken for one
        assert {sheet.subject for sheet in book.unreadable} <= {"626792"}

    @given(st.text())
    def test_slug_is_idempotent(self, name: str) -> None:
        assert slug(slug(name)) == slug(name)

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            (" Start  Time ", "start_time"),
            ("rig\u00a0name", "rig_name"),
            ("rig\r\nname\u200b", "rig_name"),
            ("d' same modality", "dprime_same_modality"),
            ("D\u2019 other modality go stim", "dprime_other_modality_go_stim"),
            ("pre-test - hits (%)", "pre_test_hits_"),
            ("a_-b", "a__b"),
            ("?", ""),
        ],
    )
    def test_slugs(self, name: str, expected: str) -> None:
        assert slug(name) == expected

    @given(cells)
    def test_clean_is_idempotent(self, value: Any) -> None:
        assert clean(clean(value)) == clean(value)

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (-0.0, 0),
            (1e300, 1e300),
            (0.1, 0.1),
            (True, True),
            (float("nan"), None),
            (float("-inf"), None),
            ("  ", None),
            ("a\nb\x85c\ud800", "a b c"),
            ("x" * 40_000, "x" * 32_767),
            (datetime.date(2023, 3, 7), "2023-03-07"),
            (datetime.time(12, 56, 27, 9), "12:56:27"),
            (datetime.datetime(2023, 3, 7), "2023-03-07 00:00:00"),
        ],
    )
    def test_clean(self, value: Any, expected: Any) -> None:
        cleaned = clean(value)
        assert (cleaned, type(cleaned)) == (expected, type(expected))

    @given(cells)
    def test_flags_and_starts_never_surprise(self, value: Any) -> None:
        assert parse_flag(value) in (True, False, None)
        with contextlib.suppress(ValueError):
            assert datetime.date(2016, 1, 1) <= parse_start(value, TODAY, EPOCH).date() <= TODAY

    @given(st.datetimes(datetime.datetime(2016, 1, 1), datetime.datetime(2024, 6, 1)))
    def test_every_format_means_the_same(self, start: datetime.datetime) -> None:
        start = start.replace(microsecond=0)
        for form in ("%Y-%m-%d %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%Y%m%d_%H%M%S", "%m/%d/%y %I:%M:%S %p"):
            assert parse_start(start.strftime(form), TODAY, EPOCH) == start
        assert parse_start((start - EPOCH) / datetime.timedelta(days=1), TODAY, EPOCH) == start
