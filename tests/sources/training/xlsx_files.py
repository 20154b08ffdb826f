"""Makes .xlsx files as Excel, LibreOffice, Google Sheets and instruments write them: the same rows, decorated.

The XML is written here rather than by a library: no library writes what others write and it would not.
"""

from __future__ import annotations

import datetime
import io
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from openpyxl.utils import get_column_letter

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
EPOCH = datetime.datetime(1899, 12, 30)

WORKBOOK = "xl/workbook.xml"
LINKS = "xl/_rels/workbook.xml.rels"
STYLES = "xl/styles.xml"
STRINGS = "xl/sharedStrings.xml"
SHEET = "xl/worksheets/sheet2.xml"
"""The sheet of the first subject, which most decorations are for."""

Members = dict[str, str]
Rows = Sequence[Sequence[Any]]

START = datetime.datetime(2023, 3, 7, 12, 56, 27)
SHEETS: Mapping[str, Rows] = {
    "all_mice": [["mouse id", "alive", "note"], [626791, True, "a & b <c>"], [626792, False, " padded "]],
    "626791": [
        ["start time", "rig name", "hits", "d' same modality", "pass", "duration"],
        [START, "B2", 12, 1.25, True, datetime.timedelta(hours=30)],
        [],
        [START + datetime.timedelta(days=1, seconds=1), "NP3", -3, 1e-7, False, datetime.time(3, 4, 5)],
        [datetime.datetime(2023, 3, 9), "B2\nlower", None, 0.1, None, None, None, "beside"],
    ],
    "626792": [["start time", "hits"], ["2023-03-07 12:56:27", "7"]],
}


def make_members(sheets: Mapping[str, Rows] = SHEETS) -> Members:
    """The parts of a workbook by their paths, as Excel writes them, without any decoration."""
    strings: list[str] = []
    members: Members = {}
    entries, links = [], []
    for n, (title, rows) in enumerate(sheets.items(), start=1):
        lines = "".join(_row_xml(line, row, strings) for line, row in enumerate(rows, start=1) if row)
        members[f"xl/worksheets/sheet{n}.xml"] = (
            f'{HEAD}<worksheet xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheetData>{lines}</sheetData></worksheet>'
        )
        entries.append(f'<sheet name="{escape(title)}" sheetId="{n}" r:id="rId{n}"/>')
        links.append(_link(f"rId{n}", "worksheet", f"worksheets/sheet{n}.xml"))
    links += [_link("rId901", "styles", "styles.xml"), _link("rId902", "sharedStrings", "sharedStrings.xml")]
    texts = "".join(f'<si><t xml:space="preserve">{escape(text)}</t></si>' for text in strings)
    formats = "".join(f'<xf numFmtId="{n}" fontId="0" fillId="0" borderId="0" xfId="0"/>' for n in (0, 22, 46, 21))
    return {
        "[Content_Types].xml": f'{HEAD}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": f'{HEAD}<Relationships xmlns="{PACKAGE}">{_link("rId1", "officeDocument", WORKBOOK)}'
        "</Relationships>",
        WORKBOOK: f'{HEAD}<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{"".join(entries)}</sheets></workbook>',
        LINKS: f'{HEAD}<Relationships xmlns="{PACKAGE}">{"".join(links)}</Relationships>',
        STYLES: f'{HEAD}<styleSheet xmlns="{MAIN}"><cellXfs count="4">{formats}</cellXfs></styleSheet>',
        STRINGS: f'{HEAD}<sst xmlns="{MAIN}">{texts}</sst>',
        **members,
    }


def _link(id_: str, kind: str, target: str) -> str:
    return f'<Relationship Id="{id_}" Type="{OFFICE}/{kind}" Target="{target}"/>'


def _row_xml(line: int, row: Sequence[Any], strings: list[str]) -> str:
    cells = "".join(_cell_xml(f"{get_column_letter(n)}{line}", value, strings) for n, value in enumerate(row, start=1))
    return f'<row r="{line}">{cells}</row>'


def _cell_xml(place: str, value: Any, strings: list[str]) -> str:
    day = datetime.timedelta(days=1)
    if value is None:
        return f'<c r="{place}" s="1"/>'
    if isinstance(value, str):
        if value not in strings:
            strings.append(value)
        return f'<c r="{place}" t="s"><v>{strings.index(value)}</v></c>'
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{value:d}</v></c>'
    if isinstance(value, datetime.datetime):
        return f'<c r="{place}" s="1"><v>{(value - EPOCH) / day!r}</v></c>'
    if isinstance(value, datetime.timedelta):
        return f'<c r="{place}" s="2"><v>{value / day!r}</v></c>'
    if isinstance(value, datetime.time):
        of_day = datetime.timedelta(hours=value.hour, minutes=value.minute, seconds=value.second)
        return f'<c r="{place}" s="3"><v>{of_day / day!r}</v></c>'
    return f'<c r="{place}"><v>{value!r}</v></c>'


def pack(members: Mapping[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for path, content in members.items():
            archive.writestr(path, content)
    return stream.getvalue()


# decorations -----------------------------------------------------------------------------------------

Decoration = Callable[[Members], object]


def _replace(members: Members, path: str, old: str, new: str, count: int = -1) -> None:
    assert old in members[path], (path, old)
    members[path] = members[path].replace(old, new, count)


def _rewrite(path: str, old: str, new: str) -> Decoration:
    return lambda members: _replace(members, path, old, new)


def _resub(path: str, pattern: str, new: Any) -> Decoration:
    def decorate(members: Members) -> None:
        members[path], count = re.subn(pattern, new, members[path])
        assert count, (path, pattern)

    return decorate


def _above(xml: str) -> Decoration:
    return _rewrite(SHEET, "<sheetData>", f"{xml}<sheetData>")


def _below(xml: str) -> Decoration:
    return _rewrite(SHEET, "</sheetData>", f"</sheetData>{xml}")


def _in_styles(xml: str) -> Decoration:
    return _rewrite(STYLES, "<cellXfs", f"{xml}<cellXfs")


def _in_workbook(xml: str) -> Decoration:
    return _rewrite(WORKBOOK, "<sheets>", f"{xml}<sheets>")


def _after_sheets(xml: str) -> Decoration:
    return _rewrite(WORKBOOK, "</sheets>", f"</sheets>{xml}")


def _with_part(path: str, content: str) -> Decoration:
    return lambda members: members.setdefault(path, content)


def _without(path: str) -> Decoration:
    return lambda members: members.pop(path)


def _all(*decorations: Decoration) -> Decoration:
    return lambda members: [decorate(members) for decorate in decorations]


def _everywhere(change: Callable[[str], str]) -> Decoration:
    return lambda members: members.update({path: change(content) for path, content in members.items()})


def _renamed(change: Callable[[str], str]) -> Decoration:
    def decorate(members: Members) -> None:
        renamed = {change(path): content for path, content in members.items()}
        members.clear()
        members.update(renamed)

    return decorate


def _prefixed(content: str) -> str:
    """Every element of the main namespace with a prefix."""
    if f'xmlns="{MAIN}"' not in content:
        return content
    content = content.replace(f'xmlns="{MAIN}"', f'xmlns:x="{MAIN}"')
    return re.sub(r"<(/?)([A-Za-z])", r"<\1x:\2", content)


def _shuffled_dates(members: Members) -> None:
    _replace(members, WORKBOOK, "<sheets>", '<workbookPr date1904="1"/><sheets>')
    members[SHEET] = re.sub(
        r'(s="1"><v>)([0-9.]+)', lambda match: f"{match[1]}{float(match[2]) - 1462!r}", members[SHEET]
    )


def _inline(members: Members) -> None:
    texts = re.findall("<si>(.*?)</si>", members[STRINGS], re.DOTALL)
    for path in [path for path in members if "/sheet" in path]:
        members[path] = re.sub(
            r't="s"><v>([0-9]+)</v>', lambda match: f't="inlineStr"><is>{texts[int(match[1])]}</is>', members[path]
        )
    del members[STRINGS]


def _strict(members: Members) -> None:
    for path, content in members.items():
        content = content.replace(MAIN, "http://purl.oclc.org/ooxml/spreadsheetml/main")
        members[path] = content.replace(OFFICE, "http://purl.oclc.org/ooxml/officeDocument/relationships")
    _replace(members, WORKBOOK, "<workbook ", '<workbook conformance="strict" ')


def _iso_dates(members: Members) -> None:
    def iso(match: re.Match[str]) -> str:
        moment = EPOCH + datetime.timedelta(milliseconds=round(float(match[1]) * 86_400_000))
        return f's="1" t="d"><v>{moment.isoformat(timespec="milliseconds")}</v>'

    _resub(SHEET, r's="1"><v>([0-9.]+)</v>', iso)(members)


EXTENSION = '<extLst><ext xmlns:x14="urn:x14"><x14:things><row r="9"/><v>9</v></x14:things></ext></extLst>'
ALTERNATIVE = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'

DECORATIONS: Mapping[str, Decoration] = {
    "plain": lambda members: None,
    # of a sheet
    "conditional format with operator": _below(
        '<conditionalFormatting sqref="A1:A9"><cfRule type="expression" operator="equal" priority="0"/>'
        "</conditionalFormatting>"
    ),
    "conditional format of an unknown type": _below(
        '<conditionalFormatting sqref="A:A XFD"><cfRule type="sparkle" dxfId="-7"/></conditionalFormatting>'
    ),
    "data validation of a whole column": _below(
        '<dataValidations><dataValidation type="list" sqref="A:A B2:B1048577" errorStyle="loud"/></dataValidations>'
    ),
    "hyperlink without ref": _below('<hyperlinks><hyperlink r:id="rId99" display="x"/></hyperlinks>'),
    "tab colour": _above('<sheetPr><tabColor rgb="#FF00FF" theme="99"/></sheetPr>'),
    "fractional zoom": _above('<sheetViews><sheetView zoomScale="87.5" workbookViewId="x"/></sheetViews>'),
    "panes": _above('<sheetViews><sheetView><pane state="half" topLeftCell="A" ySplit="-1"/></sheetView></sheetViews>'),
    "selection": _above('<sheetViews><sheetView><selection sqref="A:A" activeCell="1"/></sheetView></sheetViews>'),
    "columns": _above('<cols><col min="0" max="16385" width="wide" style="900"/></cols>'),
    "row heights": _above('<sheetFormatPr defaultRowHeight="auto" zeroHeight="maybe"/>'),
    "page setup": _below('<pageMargins left="x"/><pageSetup paperSize="9999" orientation="up" scale="1.5"/>'),
    "headers and footers": _below("<headerFooter><oddHeader>&amp;&amp;&amp;Z</oddHeader></headerFooter>"),
    "protection": _below('<sheetProtection sheet="perhaps" spinCount="-1" algorithmName=""/>'),
    "filter": _below('<autoFilter ref="A:D"><filterColumn colId="99"><filters blank="x"/></filterColumn></autoFilter>'),
    "sorting": _below('<sortState ref="A"/>'),
    "breaks": _below('<rowBreaks count="x"><brk id="-1"/></rowBreaks>'),
    "parts that are lost": _below(
        '<drawing r:id="rId7"/><legacyDrawing r:id=""/><tableParts><tablePart/></tableParts>'
    ),
    "extension of a sheet": _below(EXTENSION),
    "alternative content beside the rows": _below(
        f'<mc:AlternateContent {ALTERNATIVE}><mc:Choice Requires="x14"><controls/></mc:Choice></mc:AlternateContent>'
    ),
    "dimension of the largest sheet": _above('<dimension ref="A1:XFD1048576"/>'),
    "elements that nobody knows": _all(_above("<future><row/></future>"), _below("<row r='1'><c r='A1'/></row>")),
    # of rows and cells
    "rows without numbers": _all(
        _rewrite(SHEET, '<row r="4">', '<row r="3"/><row>'), _resub(SHEET, '<row r="[125]"', "<row")
    ),
    "cells without references": _resub(SHEET, ' r="[A-Z]+[0-9]+"', ""),
    "neither rows nor cells with references": _all(
        _rewrite(SHEET, '<row r="4">', '<row r="3"/><row r="4">'), _resub(SHEET, ' r="[A-Z]*[0-9]+"', "")
    ),
    "formats of rows": _resub(SHEET, "<row ", '<row spans="1:99999" s="77" customFormat="x" ht="none" '),
    "empty rows below": _rewrite(
        SHEET,
        "</sheetData>",
        "".join(f'<row r="{n}"><c r="A{n}" s="1"/></row>' for n in range(6, 2000)) + "</sheetData>",
    ),
    "empty rows in disorder": _rewrite(SHEET, "</sheetData>", '<row r="3"/><row r="1"><c r="A1"/></row></sheetData>'),
    "formatted cells far to the right": _rewrite(SHEET, '<row r="2">', '<row r="2"><c r="XFD2" s="2"/>'),
    "formulas with saved values": _resub(SHEET, "<v>", '<f t="shared" ref="A:A" si="x">A1+B2</f><v>'),
    "formula with a saved text": _rewrite(SHEET, "<v>1.25</v>", '<f ca="1">1.25</f><v>1.25</v>'),
    "array formulas": _rewrite(SHEET, "<v>12</v>", '<f t="array" ref="C2:C1"/><v>12</v>'),
    "formats of cells that do not exist": _rewrite(SHEET, 'r="C2"', 'r="C2" s="4711" cm="1" vm="9" ph="1"'),
    "numbers in other notations": _all(
        _rewrite(SHEET, '"C2"><v>12</v>', '"C2"><v>1.2E1</v>'),
        _rewrite(SHEET, "<v>0.1</v>", "<v>0.10000000000000001</v>"),
    ),
    "explicit types": _resub(SHEET, r'<c r="(C|D)([245])"', r'<c r="\1\2" t="n"'),
    # of texts
    "inline texts": _inline,
    "texts of several formats": _resub(
        STRINGS,
        r'<t xml:space="preserve">(.)(.*?)</t>',
        r'<r><rPr><b val="x"/></rPr><t xml:space="preserve">\1</t></r><r><t xml:space="preserve">\2</t></r>',
    ),
    "phonetic hints": _rewrite(STRINGS, "</t>", '</t><rPh sb="0" eb="1"><t>hint</t></rPh><phoneticPr fontId="x"/>'),
    "wrong count of texts": _rewrite(STRINGS, "<sst ", '<sst count="-1" uniqueCount="99" '),
    "character data sections": _resub(STRINGS, "(B2|hits)", r"<![CDATA[\1]]>"),
    # of styles
    "empty fill": _in_styles('<fills count="1"><fill/></fills>'),
    "colours": _in_styles('<fonts><font><color rgb="#12345"/><family val="99"/><sz val="big"/></font></fonts>'),
    "borders": _in_styles('<borders><border><left style="wavy"/></border></borders>'),
    "22,000 named styles": _in_styles(
        "<cellStyleXfs>"
        + '<xf numFmtId="14"/>' * 22_000
        + "</cellStyleXfs><cellStyles>"
        + "".join(f'<cellStyle name="Style {n}" xfId="{n}"/>' for n in range(22_000))
        + "</cellStyles>"
    ),
    "differential styles": _in_styles('<dxfs count="x"><dxf><numFmt numFmtId="22" formatCode="yyyy"/></dxf></dxfs>'),
    "extension of the styles": _in_styles(EXTENSION),
    "custom date formats": _all(
        _in_styles(
            '<numFmts><numFmt numFmtId="164" formatCode="[$-409]dddd, mmmm dd, yyyy\\ h:mm:ss\\ AM/PM;@"/>'
            '<numFmt numFmtId="165" formatCode="[h]:mm:ss"/><numFmt numFmtId="166" formatCode="&quot;at&quot; hh:mm"/>'
            '<numFmt numFmtId="167" formatCode="[Red]#,##0.00 &quot;days&quot;;\\d0"/></numFmts>'
        ),
        _resub(STYLES, '(?<=<xf )numFmtId="(0|22|46|21)"', lambda match: f'numFmtId="{DATE_FORMATS[match[1]]}"'),
    ),
    "1904 dates": _shuffled_dates,
    # of the workbook
    "views": _in_workbook('<bookViews><workbookView xWindow="x" tabRatio="-1" activeTab="99"/></bookViews>'),
    "calculation": _after_sheets('<calcPr calcId="none" calcMode="never" iterateDelta="x"/>'),
    "defined names": _after_sheets(
        '<definedNames><definedName name="_xlnm.Print_Area" localSheetId="99">#REF!</definedName></definedNames>'
    ),
    "protection of the workbook": _in_workbook('<workbookProtection lockStructure="x"/><fileSharing userName=""/>'),
    "extension of the workbook": _after_sheets(EXTENSION),
    "links to other workbooks": _after_sheets(
        '<externalReferences><externalReference r:id="rId77"/></externalReferences>'
    ),
    "path in alternative content": _in_workbook(
        f'<mc:AlternateContent {ALTERNATIVE}><mc:Choice Requires="x15"><absPath/></mc:Choice></mc:AlternateContent>'
    ),
    "hidden sheets": _rewrite(WORKBOOK, "<sheet ", '<sheet state="veryHidden" '),
    # of the package
    "absolute targets": _rewrite(LINKS, 'Target="', 'Target="/xl/'),
    "names with backslashes": _renamed(lambda path: path.replace("worksheets/", "worksheets\\")),
    "names in other case": _renamed(lambda path: path.replace("sheet", "Sheet").replace("styles", "Styles")),
    "another folder": _all(
        _renamed(lambda path: path.replace("xl/", "content/")),
        _rewrite("_rels/.rels", WORKBOOK, "/content/workbook.xml"),
    ),
    "parts that cannot be read": _all(
        _with_part("docProps/core.xml", "<"), _with_part("xl/theme/theme1.xml", ""), _with_part("xl/comments1.xml", "?")
    ),
    "no content types": _without("[Content_Types].xml"),
    # of the XML
    "prefixes": _everywhere(_prefixed),
    "comments and line breaks": _everywhere(lambda content: content.replace("><c ", ">\n\t<!-- a cell --><c ")),
    "no declarations": _everywhere(lambda content: content.replace(HEAD, "")),
    "byte order marks": _everywhere(lambda content: "\ufeff" + content),
    "strict": _strict,
    "strict with dates as text": _all(_strict, _iso_dates),
}
DATE_FORMATS = {"0": "167", "22": "164", "46": "165", "21": "166"}

OTHERS_REFUSE: Mapping[str, Decoration] = {
    "merged whole columns": _below('<mergeCells count="1"><mergeCell ref="F:F"/><mergeCell ref="A"/></mergeCells>'),
    "wrong dimension": _above('<dimension ref="Q7:ZZZ0"/>'),
    "extension of a cell": _rewrite(SHEET, "<v>12</v></c>", "<v>12</v><extLst><ext><v>13</v></ext></extLst></c>"),
    "macro module without a part": _rewrite(
        WORKBOOK, "</sheets>", '<sheet name="Module1" sheetId="77" r:id=""/></sheets>'
    ),
    "targets with dots": _rewrite(LINKS, 'Target="', 'Target="./../xl/'),
    "targets with backslashes": _rewrite(LINKS, "worksheets/", "worksheets\\"),
    "rows in alternative content": _all(
        _rewrite(
            SHEET,
            "<sheetData>",
            f'<mc:AlternateContent {ALTERNATIVE}><mc:Choice Requires="x99"><sheetData><row r="1"><c r="A1"><v>1</v></c>'
            "</row></sheetData></mc:Choice><mc:Fallback><sheetData>",
        ),
        _rewrite(SHEET, "</sheetData></worksheet>", "</sheetData></mc:Fallback></mc:AlternateContent></worksheet>"),
    ),
}
"""Decorations with which the independent reader refuses the file, or takes it for another: only we are compared."""


def decorated(name: str) -> bytes:
    members = make_members()
    {**DECORATIONS, **OTHERS_REFUSE}[name](members)
    return pack(members)
