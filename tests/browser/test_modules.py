"""The modules that only compute, asked in the browser that runs them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import Site, Visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LIST = """{
  format: 1, made: "", flags: ["is_sorted", "is_video"], labels: {is_sorted: "sorted", is_video: "video"},
  id: ["700001_2024-03-02_1", "700001_2024-03-02", "626791_2022-08-16", "1000000_2022-08-15"],
  project: {values: ["b", "a"], index: [0, 1, 0, 1]}, platform: {values: ["ephys", "behavior"], index: [0, 0, 1, 0]},
  rig: {values: ["NP10", "NP2", "unknown"], index: [0, 1, 2, 1]}, task_version: {values: ["x"], index: [0, 0, 0, 0]},
  experiment_day: [null, 2, 1, null], status: {is_sorted: "yn?-", is_video: "ynyn"},
  headings: {}, groups: {}, next: {values: ["sort", ""], index: [1, 0, 1, 1]}, words: {},
  allen_path: {values: ["//allen/A b/1", ""], index: [0, 1, 1, 1]},
  events: {new: {}, uploaded: {}, sorted: {}, failed: {}}, notes: {1: "Probe C"}, issues: {3: ["https://a.example/issues/1"]},
}"""


@pytest.fixture(scope="module")
def page(browser: Browser, demo: Site) -> Iterator[Page]:
    somebody = Visitor(browser)
    yield somebody.open(f"{demo.address}index.html")
    somebody.leave()
    assert not somebody.said


def run(page: Page, module: str, expression: str, argument: Any = None) -> Any:
    """What *expression* gives; `m` is the module, `a` the argument."""
    return page.evaluate(
        f"async (a) => {{ const m = await import('./static/{module}.js'); return ({expression}); }}", argument
    )


# -- views and their addresses ---------------------------------------------------------------------

VIEW = "m.readView(a, ['is_sorted', 'is_LPFaceParts'], ['id', 'date', 'rig', 'is_sorted'])"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?q=a%20b%20%26%20%3Cscript%3E",
        "?subject=626791,7000",
        "?from=2024-01-01&to=2024-12-31",
        "?event=sorted:31d",
        "?project=a&project=b%2Fc&platform=ephys&rig=NP2",
        "?is=sorted:no,sorted:unknown,LPFaceParts:na",
        "?sort=rig",
        "?sort=date",
        "?columns=id,rig",
        "?columns=",
    ],
)
def test_an_address_is_a_view_and_a_view_is_an_address(page: Page, query: str) -> None:
    read = run(page, "view", VIEW, query)
    assert read["problems"] == []
    assert run(page, "view", "m.writeView(a)", read["view"]) == query


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("?is=sored:no", "is=sored:no"),
        ("?is=sorted:maybe", "is=sorted:maybe"),
        ("?sort=colour", "sort=colour"),
        ("?from=yesterday", "from=yesterday"),
        ("?from=2024-99-99", "from=2024-99-99"),
        ("?to=2024-02-30", "to=2024-02-30"),
        ("?q=a&q=b", "q=b"),
        ("?columns=colour", "columns=colour"),
        ("?columns=id,colour", "columns=colour"),
        ("?proiect=DynamicRouting", "proiect=DynamicRouting"),
    ],
)
def test_what_an_address_says_that_is_not_known_is_told(page: Page, query: str, problem: str) -> None:
    assert run(page, "view", VIEW, query)["problems"] == [problem]


@pytest.mark.parametrize("query", ["?from=2024-99-99", "?to=2024-02-30", "?columns=colour", "?sort=colour"])
def test_what_is_not_known_changes_nothing(page: Page, query: str) -> None:
    """A day that no calendar has would filter, and no field would show it."""
    assert run(page, "view", "m.writeView(a)", run(page, "view", VIEW, query)["view"]) == ""


def test_flags_are_known_with_and_without_is(page: Page) -> None:
    read = run(page, "view", VIEW, "?is=is_sorted:no,sorted:yes,sorted:no")
    assert read["view"]["is"] == {"is_sorted": ["n", "y"]}


# -- filters and order -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ({}, [0, 1, 2, 3]),
        ({"q": "probe"}, [1]),
        ({"q": "PROBE c"}, [1]),
        ({"q": " 700001  _1 "}, [0]),
        ({"q": "\\\\Allen\\a b"}, [0]),
        ({"q": "DRpilot_626791_20220816"}, [2]),
        ({"q": "DRpilot_626791_20220816 probe"}, []),
        ({"subject": "7000, 626"}, [0, 1, 2]),
        ({"from": "2022-08-16", "to": "2024-03-01"}, [2]),
        ({"from": "2022-08-16", "to": "2022-08-16"}, [2]),
        ({"project": ["b"]}, [0, 2]),
        ({"project": ["b"], "platform": ["ephys"]}, [0]),
        ({"rig": ["no such rig"]}, []),
        ({"is": {"is_sorted": ["n", "?"]}}, [1, 2]),
        ({"is": {"is_sorted": ["-"]}}, [3]),
        ({"is": {"is_sorted": ["y"], "is_video": ["n"]}}, []),
    ],
)
def test_filters(page: Page, view: dict[str, Any], expected: list[int]) -> None:
    asked = f"""m.shown((await import('./static/listing.js')).listing({LIST}),
        {{...(await import('./static/view.js')).everything(), ...a}}, [0, 1, 2, 3])"""
    assert run(page, "filters", asked, view) == expected


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("id", [2, 1, 0, 3]),
        ("-id", [3, 0, 1, 2]),
        ("subject", [2, 0, 1, 3]),
        ("-date", [0, 1, 2, 3]),
        ("date", [3, 2, 1, 0]),
        ("project", [1, 3, 0, 2]),
        ("rig", [1, 3, 0, 2]),  # 2 before 10; unknown is last
        ("-rig", [0, 1, 3, 2]),
        ("experiment_day", [2, 1, 0, 3]),
        ("-experiment_day", [1, 2, 0, 3]),
        ("is_sorted", [0, 1, 2, 3]),
        ("-is_sorted", [2, 1, 0, 3]),
        ("notes", [1, 3, 0, 2]),
        ("next", [1, 0, 2, 3]),
        ("-allen_path", [0, 1, 2, 3]),
    ],
)
def test_order(page: Page, sort: str, expected: list[int]) -> None:
    asked = f"[...m.sorter((await import('./static/listing.js')).listing({LIST}))(a)]"
    assert run(page, "sorting", asked, sort) == expected


def test_counts_of_a_facet_disregard_its_own_filter(page: Page) -> None:
    asked = f"""m.countFacet((await import('./static/listing.js')).listing({LIST}),
        {{...(await import('./static/view.js')).everything(), ...a}}, 'project', [0, 1, 2, 3])"""
    assert run(page, "filters", asked, {"project": ["a"], "platform": ["ephys"]}) == [1, 2]


def test_counts_of_a_status_disregard_its_own_filter(page: Page) -> None:
    asked = f"""m.countStatuses((await import('./static/listing.js')).listing({LIST}),
        {{...(await import('./static/view.js')).everything(), ...a}}, [0, 1, 2, 3])"""
    counts = run(page, "filters", asked, {"is": {"is_sorted": ["y"]}})
    assert counts == {"is_sorted": {"y": 1, "n": 1, "?": 1, "-": 1}, "is_video": {"y": 1, "n": 0, "?": 0, "-": 0}}


# -- CSV -------------------------------------------------------------------------------------------


def test_csv_is_read_back_as_it_was(page: Page) -> None:
    rows = [["id", "notes"], ["1", 'a "quoted" word, and\r\na line'], ["2", ""], ["3", " spaces "], ["4", "für später"]]
    text = run(page, "csv", "m.csv(a)", rows)
    assert text.startswith("\ufeffid,notes\r\n")
    assert list(csv.reader(io.StringIO(text[1:], newline=""))) == rows


@pytest.mark.parametrize(
    "formula", ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://a.example")']
)
def test_a_cell_is_never_a_formula(page: Page, formula: str) -> None:
    [[cell]] = csv.reader(io.StringIO(run(page, "csv", "m.cell(a)", formula), newline=""))
    assert cell == f"'{formula}"


def test_numbers_stay_numbers(page: Page) -> None:
    assert run(page, "csv", "[m.cell(-1), m.cell(2.5), m.cell(null), m.cell('')]") == ["-1", "2.5", "", ""]


# -- ids -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("626791_2022-08-15", "626791_2022-08-15"),
        ("626791_2022-08-15_1", "626791_2022-08-15_1"),
        ("626791_2022-08-15_0", "626791_2022-08-15"),
        ("626791 20220815", "626791_2022-08-15"),
        ("DRpilot_626791_20220815", "626791_2022-08-15"),
        ("ecephys_626791_2022-08-15_13-07-32", "626791_2022-08-15"),
        ("ecephys_626791_2022-08-15_13-07-32_sorted_2022-09-01_00-00-00", "626791_2022-08-15"),
        ("626791", None),
        ("probe C", None),
        ("", None),
    ],
)
def test_ids_are_found_in_what_people_paste(page: Page, text: str, expected: str | None) -> None:
    assert run(page, "ids", "m.sessionIn(a)", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" 626791_2022-08-15 ", "session.html?id=626791_2022-08-15"),
        ("626791", "subject.html?id=626791"),
        ("probe & C", "sessions.html?q=probe%20%26%20C"),
        ("", "sessions.html"),
    ],
)
def test_where_a_search_leads(page: Page, text: str, expected: str) -> None:
    assert run(page, "ids", "m.pageFor(a)", text) == expected


IDS = ["626791_2022-08-15", "626791_2022-08-17", "626791_2024-08-15", "626719_2022-08-15", "700001_2022-08-16"]


@pytest.mark.parametrize(
    ("wanted", "first"),
    [
        ("626791_2022-08-18", "626791_2022-08-17"),
        ("626791_2022-08-14", "626791_2022-08-15"),
        ("626719_2022-08-15", "626719_2022-08-15"),
        ("6267911_2022-08-15", "626791_2022-08-15"),
        ("700010_2022-08-16", "700001_2022-08-16"),
    ],
)
def test_near_ids(page: Page, wanted: str, first: str) -> None:
    assert run(page, "ids", "m.near(a[0], a[1])", [wanted, IDS])[0] == first


@pytest.mark.parametrize(
    ("a", "b", "slips"),
    [
        ("626791", "626791", 0),
        ("626791", "626719", 1),
        ("626791", "62679", 1),
        ("626791", "700001", 3),
        ("1", "12345", 3),
    ],
)
def test_neighbours_that_are_swapped_are_one_slip(page: Page, a: str, b: str, slips: int) -> None:
    assert run(page, "ids", "m.slips(a[0], a[1], 2)", [a, b]) == slips


def test_nothing_is_near_to_nonsense(page: Page) -> None:
    assert run(page, "ids", "m.near('<script>', a)", IDS) == []


# -- figures, times, addresses ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("most", "expected"), [(0, [0, 1]), (1, [0, 1]), (5, [0, 1, 2, 3, 4, 5]), (216, [0, 50, 100, 150, 200, 250])]
)
def test_ticks_are_round(page: Page, most: int, expected: list[int]) -> None:
    assert run(page, "chart", "m.ticks(a)", most) == expected


@pytest.mark.parametrize("most", [7, 23, 99, 100, 101, 4_321, 123_456])
def test_ticks_reach_the_greatest(page: Page, most: int) -> None:
    ticks = run(page, "chart", "m.ticks(a)", most)
    assert ticks[-2] < most <= ticks[-1]
    assert len(ticks) <= 6


def test_a_month_ends_with_its_last_day(page: Page) -> None:
    assert run(page, "chart", "m.monthAddress('2024-02')") == "sessions.html?from=2024-02-01&to=2024-02-29"


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (0.001, "just now"),
        (-5, "just now"),
        (0.5, "30 minutes ago"),
        (23, "23 hours ago"),
        (24, "yesterday"),
        (24 * 400, "last year"),
    ],
)
def test_ages(page: Page, hours: float, expected: str) -> None:
    assert run(page, "time", "m.ago(new Date(a).toISOString(), 0)", -hours * 3_600_000) == expected


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        " javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "data:text/html,x",
        "//a.example",
        "index.html",
        "http://",
        None,
        5,
    ],
)
def test_only_addresses_of_the_web_are_links(page: Page, address: Any) -> None:
    assert run(page, "dom", "m.webAddress(a)", address) is None
    assert run(page, "dom", "m.link(a, 'text').outerHTML", address) == "<span>text</span>"
