"""Decorated workbooks: no decoration changes a row, and an independent reader sees the same rows."""

from __future__ import annotations

import datetime
import io
import zipfile
from typing import Any

import pytest

from npc_lims.errors import SourceError
from npc_lims.sources.training import PartError, xlsx_parts
from npc_lims.sources.training.cells import EXCEL_ERRORS
from npc_lims.sources.training.xlsx import open_xlsx
from tests.sources.training.xlsx_files import (
    DECORATIONS,
    LINKS,
    OTHERS_REFUSE,
    SHEET,
    SHEETS,
    START,
    STRINGS,
    STYLES,
    WORKBOOK,
    Rows,
    decorated,
    make_members,
    pack,
)

Table = dict[str, dict[int, dict[int, Any]]]


def read(content: bytes) -> Table:
    """The values of each sheet by row and column."""
    with open_xlsx(content, "book.xlsx") as book:
        return {sheet.title: dict(sheet.rows()) for sheet in book.sheets if sheet.kind == "worksheet"}


def read_independently(content: bytes) -> Table:
    """The same by python-calamine, which gives neither integers nor errors, and dates without a time of day."""
    # its last version for Python 3.9 takes some of these files for others
    calamine = pytest.importorskip("python_calamine", reason="needs Python 3.10")
    book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
    return {
        sheet.name: _table(book.get_sheet_by_name(sheet.name).to_python(skip_empty_area=False))
        for sheet in book.sheets_metadata
        if "Work" in str(sheet.typ)
    }


def _table(rows: Rows) -> dict[int, dict[int, Any]]:
    table = {}
    for line, row in enumerate(rows, start=1):
        cells = {i: _moment(value) for i, value in enumerate(row) if str(value).strip()}
        if cells:
            table[line] = cells
    return table


def _moment(value: Any) -> Any:
    if type(value) is datetime.date:
        return datetime.datetime(value.year, value.month, value.day)
    return value


def without_errors(table: Table) -> Table:
    kept = {
        title: {
            line: {i: value for i, value in cells.items() if not isinstance(value, str) or value not in EXCEL_ERRORS}
            for line, cells in rows.items()
        }
        for title, rows in table.items()
    }
    return {title: {line: cells for line, cells in rows.items() if cells} for title, rows in kept.items()}


EXPECTED = {title: _table([["" if v is None else v for v in row] for row in rows]) for title, rows in SHEETS.items()}


@pytest.mark.parametrize("name", [*DECORATIONS, *OTHERS_REFUSE])
def test_no_decoration_changes_a_row(name: str) -> None:
    assert read(decorated(name)) == EXPECTED


@pytest.mark.parametrize("name", DECORATIONS)
def test_an_independent_reader_sees_the_same_rows(name: str) -> None:
    content = decorated(name)
    assert read_independently(content) == without_errors(read(content))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "iso-8859-1"])
def test_encodings(encoding: str) -> None:
    declared = encoding[:6].upper() if encoding.startswith("utf-16") else encoding
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    members = {
        path: (mark + content.replace('"UTF-8"', f'"{declared}"')).encode(encoding)
        for path, content in make_members().items()
    }
    assert read(pack(members)) == EXPECTED


@pytest.mark.parametrize("encoding", ["gb2312", "utf-7", "hex", "nothing", "\\\\", "x" * 5000])
def test_encodings_that_the_parser_does_not_have(encoding: str) -> None:
    members = make_members()
    members[SHEET] = members[SHEET].replace('"UTF-8"', f'"{encoding}"')
    with pytest.raises(PartError, match="malformed XML"):
        read(pack(members))


def test_without_styles_dates_are_numbers() -> None:
    members = make_members()
    del members[STYLES]
    content = pack(members)
    assert read(content)["626791"][2][0] == pytest.approx(44992.539201)
    assert read(content) == read_independently(content)


def test_parts_that_are_stored() -> None:
    assert read(pack(make_members(), zipfile.ZIP_STORED)) == EXPECTED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("start_x000D_\ntime", "start\r\ntime"),
        ("_x005F_x0041_", "_x0041_"),
        ("_xD83D__xDE00_", "\U0001f600"),
        ("_xD83D_", "\ufffd"),
        ("a_x41_b", "a_x41_b"),
    ],
)
def test_characters_that_xml_cannot_hold(text: str, expected: str) -> None:
    assert read(pack(make_members({"626791": [[text]]}))) == {"626791": {1: {0: expected}}}


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ('<c r="C2" t="e"><v>#DIV/0!</v></c>', "#DIV/0!"),
        ('<c r="C2" t="str"><f>A1</f><v>text</v></c>', "text"),
        ('<c r="C2" t="str"><f>A1</f><v></v></c>', None),
        ('<c r="C2"><f>A1</f></c>', None),
        ('<c r="C2" t="s"><f>A1</f></c>', None),
        ('<c r="C2" t="b"><v>true</v></c>', True),
        ('<c r="C2" t="d"><v>2023-03-07</v></c>', datetime.datetime(2023, 3, 7)),
        ('<c r="C2" t="d"><v>2023-03-07T12:56:27Z</v></c>', START),
        ('<c r="C2" t="d"><v>noon</v></c>', "noon"),
        ('<c r="C2" s="1"><v>99999999999</v></c>', "#VALUE!"),
        ('<c r="C2" s="1"><v>NaN</v></c>', "#VALUE!"),
        ('<c r="C2" s="99999999999999999999999"><v>12</v></c>', 12),
        ('<c r="C2"><v>12345678901234567890</v></c>', 12345678901234567890.0),
        ('<c r="C2"><v>1e999999</v></c>', float("inf")),
        ('<c r="C2" t="inlineStr"><is/></c>', None),
        ('<c r="C2" t="inlineStr"><is><t>B</t><rPh sb="0" eb="1"><t>x</t></rPh></is></c>', "B"),
        ("", None),
    ],
)
def test_values(cell: str, expected: Any) -> None:
    assert read(_with_cell(cell))["626791"][2].get(2) == expected


def _with_cell(cell: str) -> bytes:
    members = make_members()
    old = '<c r="C2"><v>12</v></c>'
    assert old in members[SHEET]
    members[SHEET] = members[SHEET].replace(old, cell)
    return pack(members)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (
            '<c r="C2" t="s"><v>99</v></c>',
            "cell C2 holds a reference to a shared text that does not exist (there are 17)",
        ),
        ('<c r="C2" t="s"><v>-1</v></c>', "cell C2 holds a reference to a shared text"),
        ('<c r="C2"><v>secret</v></c>', "cell C2 holds no number where one is expected"),
        ('<c r="C2"><v>1_0</v></c>', "cell C2 holds no number where one is expected"),
        ('<c r="C2" t="b"><v>secret</v></c>', "cell C2 holds an invalid value"),
        ('<c r="C2" t="secret"><v>1</v></c>', "cell C2 holds a value of an unknown type"),
        ('<c r="C3"><v>1</v></c>', "row 2 has a cell of another row"),
        ('<c r="XFE2"><v>1</v></c>', "row 2 has a cell with an invalid reference"),
        ('<c r="2"><v>1</v></c>', "row 2 has a cell with an invalid reference"),
        ('<c r="B2"><v>1</v></c>', "cell B2 is there twice"),
        ('<c r="C2"><v>1</v><v>2</v></c>', "cell C2 has two values"),
        ('</row><row r="2">', "row 2 comes after row 2"),
        ('</row><row r="1048577">', "row 1048577 is below the last row"),
        ('</row><row r="-1">', "the row after row 2 has no valid number"),
        ("<a>" * 100, "its elements are nested deeper than 100 levels"),
        ("<v>", "malformed XML: mismatched tag: line 2, column "),
        ("&secret;", "malformed XML: undefined entity: line 2, column "),
    ],
)
def test_a_sheet_that_contradicts_itself_cannot_be_read(cell: str, reason: str) -> None:
    with pytest.raises(PartError) as caught:
        read(_with_cell(cell))
    assert str(caught.value).startswith(reason)
    assert "secret" not in str(caught.value)


@pytest.mark.slow
def test_the_width_of_a_row_costs_nothing() -> None:
    """A row is as many values as it has cells, wherever they are: here 300,000 in the last column there is."""
    members = make_members()
    far = "".join(f'<row r="{n}"><c r="XFD{n}"><v>1</v></c></row>' for n in range(6, 300_006))
    members[SHEET] = members[SHEET].replace("</sheetData>", f"{far}</sheetData>")
    with open_xlsx(pack(members), "book.xlsx") as book:
        rows = list(book.sheets[1].rows())
    assert len(rows) == 300_004
    assert all(cells == {16_383: 1} for line, cells in rows if line > 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_rels/.rels": ("workbook.xml", "workbook.bin")}, "is a binary workbook (.xlsb): save it as Excel Workbook"),
        ({"_rels/.rels": ("workbook.xml", "other.xml")}, "is a zip file without a workbook: save it as Excel Workbook"),
        ({WORKBOOK: ("<workbook ", "<office ")}, "cannot be read (xl/workbook.xml: it begins with <office>"),
        ({LINKS: ("sheet3.xml", "sheet2.xml")}, "has two sheets in one part"),
        ({WORKBOOK: (' name="626792"', "")}, "cannot be read (xl/workbook.xml: a sheet has no title"),
        ({WORKBOOK: ("626792", "6" * 256)}, "cannot be read (xl/workbook.xml: a sheet has a title of 256 characters)"),
        ({STRINGS: ("</sst>", "")}, "cannot be read (xl/sharedstrings.xml: malformed XML"),
    ],
)
def test_files_that_are_refused(change: dict[str, tuple[str, str]], message: str) -> None:
    members = make_members()
    for path, (old, new) in change.items():
        assert old in members[path]
        members[path] = members[path].replace(old, new)
    with pytest.raises(SourceError) as caught:
        read(pack(members))
    assert caught.value.reason.startswith(f"book.xlsx {message}")


def test_a_part_that_is_there_twice_cannot_be_read() -> None:
    content = pack(make_members())
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr(SHEET.replace("sheet2", "SHEET2"), "<worksheet><sheetData/></worksheet>")
    with pytest.raises(PartError, match="the file has 2 parts of this name"):
        read(stream.getvalue())


@pytest.mark.parametrize(
    ("path", "entry"),
    [
        (WORKBOOK, '<sheet name="x" sheetId="9" r:id=""/>'),
        (LINKS, '<Relationship Id="rId{}" Type="x/theme" Target="t.xml"/>'),
        (STYLES, '<numFmts><numFmt numFmtId="{}" formatCode="0"/></numFmts>'),
    ],
)
def test_more_entries_than_any_file_has(path: str, entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx_parts, "MAX_ENTRIES", 1000)
    members = make_members()
    end = {WORKBOOK: "</sheets>", LINKS: "</Relationships>", STYLES: "</styleSheet>"}[path]
    members[path] = members[path].replace(end, "".join(entry.format(n) for n in range(1000, 2001)) + end)
    with pytest.raises(SourceError, match="it has more than 1000 entries of a kind"):
        read(pack(members))
