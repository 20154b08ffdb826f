"""A workbook as a database: tables, columns and values, and that no name or cell is ever taken for SQL."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npc_lims.errors import NpcLimsWarning, SourceError
from npc_lims.metadata import training_db
from npc_lims.metadata.training_db import build_database
from npc_lims.sources.training import xlsx
from npc_lims.sources.training.cells import slug
from npc_lims.utils.sqlite import SharedConnection, quoted
from tests.sources.training.test_parser import Rows, make_book, replace_in, rewrite, save

NAME = "DynamicRoutingTraining.xlsx"
START = datetime.datetime(2023, 3, 7, 12, 56, 27)


def build(sheets: dict[str, Rows]) -> SharedConnection:
    return build_database(save(make_book(sheets)), NAME)


def names(database: SharedConnection) -> list[str]:
    return [row["name"] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


def rows(database: SharedConnection, table: str) -> list[dict[str, Any]]:
    found = database.execute(f"SELECT * FROM {quoted(table)} ORDER BY ID").fetchall()
    return [dict(row) for row in found]


def test_tables_and_columns_have_slugged_names() -> None:
    made = build(
        {
            "626791": [["start time", " d' same modality", "Rig-name (old)", "Müde?"], [START, 1, 2, 3]],
            "Old - Mice!": [["a"]],
        }
    )
    assert names(made) == ["all_mice", "626791", "old_mice"]
    assert list(rows(made, "626791")[0]) == ["ID", "start_time", "dprime_same_modality", "rig_name_old", "müde"]
    assert rows(made, "all_mice") == [{"ID": 1, "mouse_id": "626791"}]
    assert rows(made, "old_mice") == []


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        ("None", ""),
        ("  B2 ", "B2"),
        (12, "12"),
        (12.5, "12.5"),
        (True, "True"),
        ("#N/A", "#N/A"),
        (START, "2023-03-07 12:56:27"),
        (datetime.date(2023, 3, 7), "2023-03-07 00:00:00"),
        (datetime.time(3, 4, 5), "03:04:05"),
        ("'; DROP TABLE all_mice; --", "'; DROP TABLE all_mice; --"),
        ("=A1", ""),  # saved without the value that a spreadsheet would have computed
    ],
)
def test_values_are_text(cell: Any, text: str) -> None:
    made = build({"626791": [["value", "last"], [cell, "x"]]})
    assert rows(made, "626791") == [{"ID": 1, "value": text, "last": "x"}]


def test_rows_are_counted_from_the_header_on_and_blank_ones_too() -> None:
    made = build({"626791": [[], ["a", "b"], [1], [], [" ", None], [2, 3], [None], [""]]})
    assert rows(made, "626791") == [
        {"ID": 1, "a": "1", "b": ""},
        {"ID": 2, "a": "", "b": ""},
        {"ID": 3, "a": "", "b": ""},
        {"ID": 4, "a": "2", "b": "3"},
    ]


def test_what_nobody_sees_in_a_title_is_no_part_of_it() -> None:
    assert names(build({"626\u00ad791\u200b": [["a"]], "old\u00a0mice": [["a"]]})) == ["all_mice", "626791", "old_mice"]


def test_headers_that_old_releases_fell_over() -> None:
    made = build({"626791": [["a", None, " ", 7, START, "A", "?!", "id", "b"], list(range(9))]})
    assert rows(made, "626791") == [{"ID": 1, "a": "0", "7": "3", "2023_03_07_125627": "4", "b": "8"}]


def test_sheets_without_a_header_are_left_out() -> None:
    assert names(build({"empty": [], "blank": [[None, " "]], "626791": [["?", "..."], [1, 2]]})) == ["all_mice"]


def test_names_are_never_taken_for_sql() -> None:
    header = ['a"); DROP TABLE all_mice; --', "select", "group by", "a`b", "[c]", "1", "x TEXT, y"]
    made = build({'x"; DROP TABLE all_mice': [header, list(range(7))], "table": [["from"], ["where"]]})
    assert names(made) == ["all_mice", "x_drop_table_all_mice", "table"]
    assert list(rows(made, "x_drop_table_all_mice")[0].values()) == [1, *map(str, range(7))]
    assert rows(made, "table") == [{"ID": 1, "from": "where"}]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=12), min_size=1, max_size=8),
    st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=12), min_size=1, max_size=8),
)
def test_any_header_and_any_text(header: list[str], values: list[str]) -> None:
    # what begins with = is a formula to openpyxl
    header, values = [f"h{text}" for text in header], [f"v{text}" for text in values]
    made = build({"626791": [header, values]})
    expected: dict[str, Any] = {"ID": 1}
    for i, text in enumerate(header):
        expected.setdefault(slug(text), values[i].strip() if i < len(values) else "")
    assert rows(made, "626791") == [expected]


def test_sheets_that_cannot_be_tables_are_told_of_and_left_out() -> None:
    with pytest.warns(NpcLimsWarning) as told:
        made = build({"a b": [["x"], [1]], "a-b": [["x"], [2]], "sqlite_master": [["x"]], "!!!": [["x"]]})
    assert names(made) == ["all_mice", "a_b"]
    assert rows(made, "a_b") == [{"ID": 1, "x": "1"}]
    assert [str(warning.message) for warning in told] == [
        f"{NAME}[a-b]: its title gives the name of the table of sheet 'a b', a_b; left out: rename it",
        f"{NAME}[sqlite_master]: its title cannot be the name of a table; left out: rename it",
        f"{NAME}[!!!]: its title cannot be the name of a table; left out: rename it",
    ]


def test_of_two_sheets_with_one_title_the_first_counts() -> None:
    content = save(make_book({"626791": [["x"], [1]], "626792": [["x"], [2]]}))
    content = replace_in(content, "xl/workbook.xml", b'"626792"', b'"626791"')
    with pytest.warns(NpcLimsWarning, match="its title gives the name of the table of sheet '626791'"):
        made = build_database(content, NAME)
    assert rows(made, "626791") == [{"ID": 1, "x": "1"}]


def test_rows_far_below_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_db, "MAX_ROWS", 4)
    with pytest.warns(NpcLimsWarning, match=re.escape(f"{NAME}[626791]: rows below 4 are left out: delete them")):
        made = build({"626791": [["a"], [1], [2], [3], [4], [5]]})
    assert [row["a"] for row in rows(made, "626791")] == ["1", "2", "3"]


def test_a_workbook_of_too_many_cells_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MAX_CELLS", 10)
    with pytest.raises(SourceError, match="more cells than any real workbook"):
        build({"626791": [["a", "b", "c"]] * 4})


def test_blank_rows_count_as_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file may have a stray cell far below in each of thousands of sheets."""
    monkeypatch.setattr(training_db, "MAX_CELLS", 200)
    assert len(rows(build({"626791": [["a"], *[[]] * 90, [1]]}), "626791")) == 91
    with pytest.raises(SourceError, match="more cells than any real workbook"):
        build({"626791": [["a"], *[[]] * 100, [1]]})


def test_a_sheet_of_too_many_columns_is_refused() -> None:
    with pytest.raises(SourceError, match=f"{NAME} has a sheet '626791' of 901 columns"):
        build({"626791": [[f"c{n}" for n in range(901)]]})


@pytest.mark.parametrize("content", [b"", b"no workbook", save(make_book({}))[:-300]])
def test_what_is_no_workbook_is_refused(content: bytes) -> None:
    with pytest.raises(SourceError, match=NAME):
        build_database(content, NAME)


def test_a_sheet_that_breaks_off_is_named() -> None:
    whole = save(make_book({"626791": [["a"], [1]]}))
    broken = replace_in(whole, "xl/worksheets/sheet2.xml", b"</sheetData>", b"<row")
    with pytest.raises(SourceError, match=f"{NAME} has a sheet '626791' that cannot be read"):
        build_database(broken, NAME)


def test_a_sheet_that_is_lost_is_named_and_a_macro_module_is_not_one() -> None:
    whole = save(make_book({"626791": [["a"], [1]]}))
    module = replace_in(whole, "xl/workbook.xml", b"</sheets>", b'<sheet name="Module1" sheetId="9"/></sheets>')
    assert names(build_database(module, NAME)) == ["all_mice", "626791"]
    lost = rewrite(whole, lambda name, data: None if name == "xl/worksheets/sheet2.xml" else data)
    with pytest.raises(SourceError, match="sheet '626791' that cannot be read: its part is missing"):
        build_database(lost, NAME)
