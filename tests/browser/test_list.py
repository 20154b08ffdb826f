"""The list of sessions: filters, order, columns, its address, keyboard, paper, CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import LAB, Site, Visitor, drawn, until

if TYPE_CHECKING:
    from playwright.sync_api import Page


MANY = 10_000


@pytest.fixture(scope="module")
def facts(lab: Site) -> dict[str, Any]:
    data: dict[str, Any] = lab.data("sessions.json")
    assert data["count"] == LAB
    return data


def where(facts: dict[str, Any], **statuses: str) -> list[str]:
    """Ids of the sessions whose flags have one of these values, as the file says."""
    return [
        id_
        for place, id_ in enumerate(facts["id"])
        if all(facts["status"][flag][place] in values for flag, values in statuses.items())
    ]


def count(page: Page) -> int:
    found = re.match(r"[\d,]+", page.locator(".count").inner_text())
    assert found
    return int(found[0].replace(",", ""))


def ids(page: Page) -> list[str]:
    """Of the rows that are in the table."""
    return page.locator("tbody.rows th a").all_inner_texts()


def query(page: Page) -> str:
    return page.url.partition("?")[2]


def tick(page: Page, choice: str, key: str) -> None:
    """A box of a sheet: a value, a column, or a flag and its value."""
    summary = page.locator("summary", has_text=choice)
    if summary.locator("..").get_attribute("open") is None:
        summary.click()
    page.locator(f'.choice[open] [data-key="{key}"]').click()


def test_all_sessions_are_told_and_few_are_drawn(visitor: Visitor, lab: Site, facts: dict[str, Any]) -> None:
    page = visitor.open(f"{lab.address}sessions.html")
    assert count(page) == LAB
    assert page.locator("table.list").get_attribute("aria-rowcount") == str(LAB + 1)
    assert ids(page) == facts["id"][: len(ids(page))]
    assert 20 < len(ids(page)) < 80
    page.locator(".region").evaluate("region => region.scrollTop = region.scrollHeight")
    until(page, "(id) => document.querySelector('tbody.rows tr:last-child a').textContent === id", facts["id"][-1])
    assert page.locator("tbody.rows tr").last.get_attribute("aria-rowindex") == str(LAB + 1)
    assert len(ids(page)) < 80


def test_filters_add_up_and_stand_in_the_address(visitor: Visitor, lab: Site, facts: dict[str, Any]) -> None:
    page = visitor.open(f"{lab.address}sessions.html")
    tick(page, "Platform", "ephys")
    tick(page, "Status", "is_annotated:n")
    expected = where(facts, is_annotated="n")
    assert count(page) == len(expected) > 0
    assert ids(page) == expected[: len(ids(page))]
    assert query(page) == "platform=ephys&is=annotated:no"
    tick(page, "Status", "is_annotated:?")
    assert count(page) == len(where(facts, is_annotated="n?")) > len(expected)
    assert query(page) == "platform=ephys&is=annotated:no,annotated:unknown"
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Clear all").click()
    assert count(page) == LAB
    assert query(page) == ""


@pytest.mark.parametrize(("value", "name"), [("y", "yes"), ("n", "no"), ("?", "unknown"), ("-", "na")])
def test_each_value_of_a_status(visitor: Visitor, lab: Site, facts: dict[str, Any], value: str, name: str) -> None:
    page = visitor.open(f"{lab.address}sessions.html?is=annotated:{name}")
    assert count(page) == len(where(facts, is_annotated=value)) > 0
    shown = page.locator("tbody.rows tr").first.locator("td.flag").nth(3).locator(".mark")
    assert shown.get_attribute("aria-label") == {"y": "yes", "n": "no", "?": "unknown", "-": "does not apply"}[value]


def test_typing_filters_and_leaves_one_entry_in_the_history(visitor: Visitor, lab: Site, facts: dict[str, Any]) -> None:
    page = visitor.open(f"{lab.address}sessions.html")
    before = page.evaluate("history.length")
    wanted = facts["id"][100]
    page.get_by_label("Search").press_sequentially(wanted)
    assert ids(page)[0] == wanted
    page.wait_for_url(f"**/sessions.html?q={wanted}")
    assert page.evaluate("history.length") == before
    subject, date = wanted.split("_")[:2]
    page.get_by_label("Search").fill("")
    page.get_by_label("Subject").fill(subject)
    page.get_by_label("From").fill(date)
    page.get_by_label("To").fill(date)
    assert wanted in ids(page)
    page.wait_for_url(f"**/sessions.html?subject={subject}&from={date}&to={date}")


def test_a_shared_address_shows_the_same(visitor: Visitor, lab: Site) -> None:
    page = visitor.open(f"{lab.address}sessions.html")
    tick(page, "Status", "is_uploaded:y")
    tick(page, "Columns", "subject")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Rig", exact=True).click()
    page.get_by_role("button", name="Rig", exact=True).click()
    shared = page.url
    other = visitor.open(shared)
    assert other.locator("table.list").inner_text() == page.locator("table.list").inner_text()
    assert other.locator("[aria-sort]").get_attribute("aria-sort") == "descending"
    assert other.locator("[aria-sort]").inner_text().startswith("Rig")
    assert count(other) == count(page)


@pytest.mark.parametrize(
    ("words", "is_there"),
    [
        (lambda one: one["project"], True),
        (lambda one: f"{one['rig']} {one['platform']}", True),
        (lambda one: one["facts"]["tracked"]["allen_path"].replace("/", "\\"), True),
        (lambda one: one["facts"]["s3"]["stim"][0], True),
        (lambda one: "DRpilot_901001_20240312", False),
        (lambda one: one["facts"]["codeocean"]["sorted"]["name"].upper(), True),
        (lambda one: one["facts"]["codeocean"]["sorted"]["id"], True),
        (lambda one: one["facts"]["codeocean"]["raw"]["location"], True),
        (lambda one: f"{one['id']} no-such-word", False),
    ],
)
def test_search_finds_whatever_names_a_session(
    visitor: Visitor, demo: Site, words: Callable[[dict[str, Any]], str], is_there: bool
) -> None:
    wanted = "901001_2024-03-11"
    (session,) = (one for one in demo.data("subjects/901001.json")["sessions"] if one["id"] == wanted)
    page = visitor.open(f"{demo.address}sessions.html")
    page.get_by_label("Search").fill(words(session))
    assert (wanted in ids(page)) == is_there


def test_names_of_steps_are_short_and_whole(visitor: Visitor, lab: Site, facts: dict[str, Any]) -> None:
    page = visitor.open(f"{lab.address}sessions.html", viewport={"width": 1400, "height": 900})
    assert page.locator("thead .flag .name").all_inner_texts() == list(facts["headings"].values())
    assert page.locator("table.list thead").bounding_box()["height"] < 56  # type: ignore[index]
    assert page.locator("table.list").bounding_box()["y"] < 160  # type: ignore[index]
    assert page.locator(".groups .group").all_inner_texts()[:3] == ["Raw data", "Ephys", "Video results"]
    assert page.locator("thead .flag").evaluate_all("all => all.every(one => one.scrollWidth <= one.clientWidth)")
    assert page.get_by_role("button", name="fmap").get_attribute("title") == "Sort by Facemap (Video results)"
    dates = [id_.split("_")[1] for id_ in ids(page)]
    assert dates == sorted(dates, reverse=True)
    assert page.locator("tbody.rows tr").first.inner_text().count(dates[0]) == 1, "a date is there once"


def test_a_phone_shows_the_next_steps(visitor: Visitor, demo: Site) -> None:
    page = visitor.open(f"{demo.address}sessions.html", viewport={"width": 390, "height": 844})
    assert page.locator("table.list thead .name").all_inner_texts() == ["Session", "by date", "Next steps"]
    row = page.locator("tbody.rows tr", has_text="901003_2024-10-24")
    assert row.locator("td").all_inner_texts() == ["sort, eye, side"]
    assert row.locator("th").inner_text().splitlines() == ["901003_2024-10-24", "ephys, NP3, DynamicRouting"]
    assert page.locator(".region").evaluate("one => one.scrollWidth <= one.clientWidth")
    assert page.locator(".region").bounding_box()["y"] < 844 / 4, "the rows begin high"  # type: ignore[index]
    assert not page.get_by_label("Subject").is_visible()
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Subject").fill("901003")
    assert page.get_by_role("button", name="Filters (1)").get_attribute("aria-expanded") == "true"
    page.get_by_role("button", name="Next steps").click()
    assert query(page).endswith("subject=901003&sort=next")
    page.set_viewport_size({"width": 1280, "height": 844})
    until(page, "document.querySelectorAll('table.list thead th').length > 10")


def test_without_colour_no_differs_from_does_not_apply(visitor: Visitor, lab: Site) -> None:
    """In shape, and what does not apply lies lower; the legend has the same signs."""
    page = visitor.open(f"{lab.address}sessions.html?columns=is_annotated&sort=is_annotated")
    legend = dict(line.split(" ", 1)[::-1] for line in page.locator(".legend li").all_inner_texts())
    assert legend == {"yes": "✓", "no": "○", "unknown": "?", "does not apply": "–"}
    for name in ("no", "na"):
        other = visitor.open(f"{lab.address}sessions.html?columns=is_annotated&is=annotated:{name}")
        cell = other.locator("tbody.rows td.flag").first
        assert cell.inner_text() == legend[cell.locator(".mark").get_attribute("aria-label") or ""]
        assert ("a-back" in (cell.get_attribute("class") or "")) == (name == "na")


def test_j_and_k_go_through_the_rows_from_wherever_nobody_types(visitor: Visitor, demo: Site) -> None:
    page = visitor.open(f"{demo.address}sessions.html")

    def at() -> str:
        return str(page.evaluate("document.activeElement.textContent"))

    rows = ids(page)
    for key, expected in (("j", 0), ("j", 1), ("ArrowDown", 2), ("k", 1)):
        page.keyboard.press(key)
        assert at() == rows[expected]
    page.get_by_role("button", name="CSV").focus()
    page.keyboard.press("ArrowDown")
    assert at() == rows[0]
    page.keyboard.press("/")
    page.keyboard.type("jk")
    assert page.get_by_label("Search").input_value() == "jk"
    page.get_by_label("Search").fill("")
    page.locator("summary", has_text="Platform").click()
    page.keyboard.press("j")
    assert at() == "Platform", "an open sheet keeps the keyboard"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.get_by_role("dialog").get_by_role("checkbox").uncheck()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="CSV").focus()
    page.keyboard.press("j")
    assert at() == "CSV", "letters are switched off"
    page.keyboard.press("ArrowDown")
    assert at() == rows[0]


def test_shortcuts(visitor: Visitor, demo: Site) -> None:
    page = visitor.open(f"{demo.address}sessions.html")
    page.keyboard.press("/")
    page.keyboard.type("901003_2024-10?")
    assert page.get_by_label("Search").input_value() == "901003_2024-10?", "who types gets no window"
    page.get_by_label("Search").fill("901003_2024-10")
    page.keyboard.press("ArrowDown")
    first = page.evaluate("document.activeElement.textContent")
    assert first == ids(page)[0]
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    assert dialog.is_visible()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0
    assert page.evaluate("document.activeElement.textContent") == first
    page.get_by_role("button", name="keyboard shortcuts").click()
    dialog.get_by_role("checkbox").uncheck()
    dialog.get_by_role("button", name="Close").click()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") != "filter-search", "they were switched off"
    page.locator("tbody.rows th a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/session.html?id={first}")


def test_back_and_forward(visitor: Visitor, lab: Site) -> None:
    page = visitor.open(f"{lab.address}sessions.html")
    page.get_by_role("link", name="Uploaded, not sorted").click()
    chosen = count(page)
    page.get_by_label("Search").fill("stage")
    page.get_by_role("button", name="uploaded: yes").click()
    assert count(page) != chosen
    page.go_back()
    assert page.get_by_label("Search").input_value() == "stage"
    assert "is=uploaded:yes,sorted:no" in page.url
    page.go_back()
    assert count(page) == LAB
    page.go_forward()
    assert "is=uploaded:yes" in page.url
    page.locator("tbody.rows th a").first.click()
    page.wait_for_url("**/session.html?id=*")
    page.go_back()
    drawn(page)
    assert page.get_by_label("Search").input_value() == "stage"


def test_order_is_told_and_turned(visitor: Visitor, lab: Site, facts: dict[str, Any]) -> None:
    page = visitor.open(f"{lab.address}sessions.html")
    heading = page.locator("table.list thead th").first
    assert heading.get_attribute("aria-sort") == "descending", "by date"
    heading.get_by_role("button", name="Session").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    by_subject = sorted(facts["id"], key=lambda id_: (int(id_.split("_")[0]), id_))
    assert ids(page)[:10] == by_subject[:10]
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert ids(page)[0] == by_subject[-1]
    assert query(page) == "sort=-id"


def test_keyboard_in_the_table(visitor: Visitor, lab: Site, facts: dict[str, Any]) -> None:
    page = visitor.open(f"{lab.address}sessions.html")
    page.keyboard.press("ArrowDown")  # from nowhere: the first row
    assert page.evaluate("document.activeElement.textContent") == facts["id"][0]
    page.locator(".region").focus()

    def at() -> str:
        return str(page.evaluate("document.activeElement.textContent"))

    for key, expected in (("ArrowDown", 0), ("ArrowDown", 1), ("End", LAB - 1), ("ArrowUp", LAB - 2), ("Home", 0)):
        page.keyboard.press(key)
        assert at() == facts["id"][expected]
    page.keyboard.press("PageDown")
    one_page = facts["id"].index(at())
    assert 5 < one_page < 60
    page.keyboard.press("PageUp")
    assert at() == facts["id"][0]
    for _ in range(40):
        page.keyboard.press("ArrowDown")
    assert at() == facts["id"][40]
    assert page.locator('tbody.rows a[tabindex="0"]').count() == 1
    # scrolled away by the wheel, the keyboard stays in the table
    page.locator(".region").evaluate("region => region.scrollTop = 0")
    until(page, "document.activeElement.className === 'region'")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/session.html?id={facts['id'][0]}")


def test_csv_is_what_is_shown(visitor: Visitor, lab: Site, facts: dict[str, Any]) -> None:
    page = visitor.open(
        f"{lab.address}sessions.html?is=annotated:unknown&columns=id,subject,date,is_annotated,notes&sort=id"
    )
    with page.expect_download() as started:
        page.get_by_role("button", name="CSV").click()
    assert started.value.suggested_filename == "sessions.csv"
    text = started.value.path().read_bytes().decode("utf-8-sig")
    assert text.count("\r\n") == text.count("\n")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    expected = where(facts, is_annotated="?")
    assert [row["id"] for row in rows] == sorted(expected)
    assert {row["is_annotated"] for row in rows} == {"unknown"}
    assert rows[0] == {
        "id": rows[0]["id"],
        "subject": rows[0]["id"].split("_")[0],
        "date": rows[0]["id"].split("_")[1],
        "is_annotated": "unknown",
        "notes": rows[0]["notes"],
    }


def test_columns_are_chosen(visitor: Visitor, lab: Site) -> None:
    page = visitor.open(f"{lab.address}sessions.html?columns=rig,is_sorted")
    names = ["Session", "by date", "Rig", "sort"]
    assert page.locator("table.list thead .name").all_inner_texts() == names
    page.locator("summary", has_text="Columns").click()
    page.locator('[data-key="rig"]').uncheck()
    assert page.locator("table.list thead .name").all_inner_texts() == ["Session", "by date", "sort"]
    page.get_by_role("button", name="The usual columns").click()
    assert "columns" not in query(page)


def test_an_address_may_name_several_subjects_and_any_case(visitor: Visitor, demo: Site) -> None:
    page = visitor.open(f"{demo.address}sessions.html?subject=901001&subject=901003&project=dynamicrouting")
    assert {id_.split("_")[0] for id_ in ids(page)} == {"901001", "901003"}
    assert page.get_by_role("button", name="Project: DynamicRouting").is_visible()
    assert not page.get_by_role("alert").inner_text()


def test_an_address_that_is_not_understood_says_so(visitor: Visitor, lab: Site) -> None:
    page = visitor.open(f"{lab.address}sessions.html?is=sored:no,uploaded:yes")
    assert "is=sored:no" in page.get_by_role("alert").inner_text()
    assert page.locator(".chips").inner_text().startswith("uploaded: yes")


def test_no_session_matches(visitor: Visitor, lab: Site) -> None:
    page = visitor.open(f"{lab.address}sessions.html?q=nosuchword")
    assert "No session matches" in page.locator(".empty").inner_text()
    assert not page.locator(".region").is_visible()
    assert page.get_by_role("button", name="CSV").is_disabled()


def test_the_count_is_said_when_typing_pauses(visitor: Visitor, lab: Site) -> None:
    page = visitor.open(f"{lab.address}sessions.html")
    page.get_by_label("Search").fill("nosuchword")
    until(page, "document.querySelector('[role=status]').textContent === '0 sessions shown'")


def test_all_rows_are_printed(visitor: Visitor, lab: Site) -> None:
    page = visitor.open(f"{lab.address}sessions.html?platform=ephys")
    assert len(ids(page)) < count(page)
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert len(ids(page)) == count(page)
    assert page.locator(".top").is_hidden()
    assert page.locator("table.list").bounding_box()["width"] < 1280  # type: ignore[index]
    page.emulate_media(media="screen")
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert len(ids(page)) < count(page)


def test_paper(visitor: Visitor, lab: Site) -> None:
    page = visitor.open(f"{lab.address}sessions.html?platform=behavior&q=2026-0")
    found = count(page)
    pages = page.pdf(format="A4", landscape=True).count(b"/Type /Page\n")
    assert pages >= found // 60 >= 3
    assert len(ids(page)) < 80


def many(site: Site) -> None:
    """Ten thousand sessions: those of the site over and over, each of another subject."""
    data = site.data("sessions.json")
    once = data["count"]
    times = -(-MANY // once)

    def repeated(values: Any) -> Any:
        return (values * times)[:MANY]

    data["id"] = [f"{600000 + place // once}{id_[6:]}" for place, id_ in enumerate(repeated(data["id"]))]
    data["experiment_day"] = repeated(data["experiment_day"])
    data["status"] = {flag: repeated(values) for flag, values in data["status"].items()}
    for name in ("project", "platform", "rig", "task_version", "allen_path", "next"):
        data[name]["index"] = repeated(data[name]["index"])
    data["count"] = MANY
    site.write("sessions.json", data)


def test_of_ten_thousand_sessions_those_in_sight_are_drawn(visitor: Visitor, own: Site) -> None:
    many(own)
    page = visitor.open(f"{own.address}sessions.html")
    assert count(page) == MANY
    assert 10 < len(ids(page)) < 100
    page.get_by_label("Search").fill("stage 5 ori")
    until(page, "!document.querySelector('.count').textContent.startsWith('10,000')")
    assert 100 < count(page) < MANY
    assert 10 < len(ids(page)) < 100
