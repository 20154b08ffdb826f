"""The overview: today, what needs attention, what changed; throughput, funnel, months, sources."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest

from tests.browser.conftest import Site, Visitor, drawn, until


def shown(text: str) -> int:
    found = re.match(r"[\d,]+", text)
    assert found, text
    return int(found[0].replace(",", ""))


def test_each_step_leads_to_the_sessions_that_lack_it(visitor: Visitor, lab: Site) -> None:
    steps = lab.data("overview.json")["funnel"]
    page = visitor.open(f"{lab.address}index.html")
    assert page.locator(".funnel .name").all_inner_texts() == [step["label"] for step in steps]
    for place in (1, 2):
        page.locator(".funnel a").nth(place).click()
        drawn(page)
        assert shown(page.locator(".count").inner_text()) == steps[place]["no"] + steps[place]["unknown"]
        page.go_back()
        drawn(page)


def test_platforms_and_months_lead_to_their_sessions(visitor: Visitor, lab: Site) -> None:
    data = lab.data("overview.json")
    page = visitor.open(f"{lab.address}index.html")
    page.get_by_role("link", name="ephys", exact=True).click()
    drawn(page)
    assert shown(page.locator(".count").inner_text()) == data["totals"]["by_platform"]["ephys"]
    page.go_back()
    drawn(page)
    page.locator(".months summary").click()
    month = data["months"][-1]
    assert page.locator(".months tbody tr").count() == len(data["months"])
    page.get_by_role("link", name=month["month"], exact=True).click()
    drawn(page)
    assert shown(page.locator(".count").inner_text()) == month["ephys"] + month["training"]


def test_the_charts_stack_parts_in_their_whole(visitor: Visitor, lab: Site) -> None:
    months = lab.data("overview.json")["months"]
    page = visitor.open(f"{lab.address}index.html")

    def heights(chart: str, css: str) -> list[float]:
        found: list[float] = page.locator(f"#chart-{chart} .{css}").evaluate_all(
            "bars => bars.map(bar => Number(bar.getAttribute('height')))"
        )
        return found

    for chart, css, name in (
        ("ephys", "all", "ephys"),
        ("ephys", "uploaded", "uploaded"),
        ("ephys", "sorted", "sorted"),
        ("training", "all", "training"),
    ):
        most = max(month["ephys" if chart == "ephys" else "training"] for month in months)
        tallest = max(heights(chart, "all"))
        assert heights(chart, css) == pytest.approx([tallest * month[name] / most for month in months], abs=0.01)
    address = page.locator("#chart-ephys a").last.get_attribute("href")
    page.goto(f"{lab.address}{address}")
    drawn(page)
    assert shown(page.locator(".count").inner_text()) == months[-1]["ephys"]
    page.goto(f"{lab.address}index.html")
    drawn(page)
    page.set_viewport_size({"width": 400, "height": 800})
    until(page, "document.querySelector('#chart-ephys svg').viewBox.baseVal.width < 400")


def test_throughput_by_project_and_rig(visitor: Visitor, lab: Site) -> None:
    data = lab.data("overview.json")["throughput"]
    page = visitor.open(f"{lab.address}index.html")
    section = page.locator(".throughput")
    assert "Annotations have no date here" in section.inner_text()
    for choice, groups in (("Project", data["by_project"]), ("Rig", data["by_rig"])):
        section.get_by_role("button", name=choice).click()
        assert section.locator("[aria-pressed=true]").all_inner_texts() == [choice]
        names = ["All", *(group["name"] for group in groups)]
        assert section.locator(".charts tbody th").all_inner_texts() == names
        for row, group in zip(section.locator(".charts tbody tr").all(), [data["total"], *groups]):
            assert [shown(text) for text in row.locator(".sum").all_inner_texts()] == [
                sum(group["counts"][milestone["flag"]]) for milestone in data["milestones"]
            ]
        section.locator("summary").click()
        newest = section.locator("details tbody tr").first
        assert newest.locator("th").inner_text() == data["weeks"][-1]
        assert [int(text) for text in newest.locator("td").all_inner_texts()] == [
            group["counts"][milestone["flag"]][-1]
            for group in [data["total"], *groups]
            for milestone in data["milestones"]
        ]


def ago(hours: float) -> str:
    return f"{datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"


def test_what_happened_today_leads_to_its_sessions(visitor: Visitor, own: Site) -> None:
    """Relative to when the page is viewed, however long ago the site was built."""
    overview, sessions = own.data("overview.json"), own.data("sessions.json")
    sessions["events"]["sorted"] = {ago(2): [0, 4], ago(30): [7], ago(24 * 8): [9]}
    overview["events"]["sorted"] = [[when, len(some)] for when, some in sessions["events"]["sorted"].items()]
    overview["events"]["failed"] = []
    own.write("overview.json", overview)
    own.write("sessions.json", sessions)
    page = visitor.open(f"{own.address}index.html")
    assert page.locator(".strip .failed dd").inner_text().split() == ["0", "0", "in", "7", "days"]
    assert page.locator(".strip .failed a").count() == 0
    for place, (days, count) in enumerate([("1 day", 2), ("7 days", 3)]):
        link = page.locator(".strip .sorted a").nth(place)
        assert link.inner_text() == str(count)
        link.click()
        drawn(page)
        assert shown(page.locator(".count").inner_text()) == count
        assert f"sorted in the last {days}" in page.locator(".chips").inner_text()
        page.go_back()
        drawn(page)


def test_without_history_nothing_is_known_of_today(visitor: Visitor, lab: Site) -> None:
    page = visitor.open(f"{lab.address}index.html")
    assert page.locator(".strip .figures").first.locator("dd").all_inner_texts() == ["–"] * 4
    assert "built without history" in page.locator(".strip").inner_text()


def test_stale_sources_are_one_item_when_the_page_is_viewed(visitor: Visitor, own: Site) -> None:
    data = own.data("overview.json")
    for source in data["sources"]:
        source.update(last_complete=ago(47.9), late_after_hours=48, failure=None)
    own.write("overview.json", data)
    page = visitor.open(f"{own.address}index.html")
    item = page.locator(".item[data-kind=sources]")
    assert item.count() == 0
    failure = {"at": ago(3), "reason": "the token is not valid any more"}
    for place in (0, 1, 2):
        data["sources"][place]["last_complete"] = ago(48.1)
    data["sources"][0]["failure"] = data["sources"][2]["failure"] = failure
    data["sources"][3]["last_complete"] = None
    own.write("overview.json", data)
    page.reload()
    drawn(page)
    title = item.locator("h3").inner_text()
    assert title == "2 sources could not be read by the last sync, 1 source never read, 1 source not read for 48 hours"
    failing, stale, never = item.locator("li").all_inner_texts()
    assert failing.startswith("tracked_sessions.yaml, Code Ocean: last read 2 days ago; fails since ")
    assert failing.endswith("the token is not valid any more"), "what is true of several is said once"
    assert stale == "Training workbooks: last read 2 days ago"
    assert never == "S3: facts are unknown, and shown as ?"
    assert page.inner_text("main").count("not valid any more") == 1
    assert page.locator(".sources .when").all_inner_texts() == [*["2 days ago"] * 3, "never"]


def matter(**changed: Any) -> dict[str, Any]:
    items = [
        {"session": f"901001_2024-03-{day:02d}", "text": f"item {day}", "since": "2024-03-20T00:00:00Z", "link": None}
        for day in range(1, 14)
    ]
    return {
        "kind": "stalled",
        "title": "300 stalled",
        "remedy": "Run `npc-lims process plan`.",
        "total": 300,
        "items": items,
        **changed,
    }


def test_what_needs_attention(visitor: Visitor, own: Site) -> None:
    data = own.data("overview.json")
    line = {"session": None, "text": "line 17: mistyped", "since": None, "link": "https://github.com/a/b#L17"}
    loose = [{**line, "command": "npc-lims track edit 1"}]
    warnings = matter(kind="warnings", title="1 warning", total=1, items=loose)
    data["attention"] = [matter(), warnings, *[matter()] * 6]
    own.write("overview.json", data)
    page = visitor.open(f"{own.address}index.html")
    stalled = page.locator(".item").first
    assert stalled.locator("li").count() == 6
    assert stalled.locator("code").inner_text() == "npc-lims process plan"
    assert stalled.locator("a").first.get_attribute("href") == "session.html?id=901001_2024-03-01"
    stalled.get_by_role("button", name="Show 7 more").press("Enter")
    assert stalled.locator("li").count() == 13
    assert page.evaluate("document.activeElement.textContent") == "901001_2024-03-07"
    assert "287 more are not listed" in stalled.inner_text()
    link = page.locator("a", has_text="line 17: mistyped")
    assert link.get_attribute("href") == "https://github.com/a/b#L17"
    assert link.get_attribute("rel") == "noopener"
    assert page.locator(".command code").all_inner_texts() == ["npc-lims track edit 1"]
    assert 0 < page.locator(".item[open]").count() < 8
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0, "also the tables of the charts"


def event(hours: float, session: int, *what: str, details: tuple[str, ...] = ()) -> dict[str, Any]:
    names = {"when": ago(hours), "commit": f"{round(hours):040x}", "commit_url": "https://github.com/a/b/commit/1"}
    shown = {"group": "sorted", "what": what or ("sorted",), "details": details, "editors": []}
    return {"session": f"901001_2024-03-{session:02d}", **names, **shown}


def test_what_changed_since_yesterday(visitor: Visitor, own: Site) -> None:
    data = own.data("overview.json")
    data["recent"] = [event(2, 1), event(2, 2), event(20, 3), *(event(30, day) for day in range(4, 14))]
    data["recent"][0].update(what=["edited"], editors=[{"name": "Ana", "url": None}])
    own.write("overview.json", data)
    page = visitor.open(f"{own.address}index.html")
    changes = page.locator("section", has=page.locator("#recent"))
    assert changes.locator("h3").all_inner_texts() == ["Since yesterday", "Earlier"]
    assert changes.locator(".commit").count() == 3, "of three commits"
    assert changes.locator(".events").first.inner_text().split() == [
        *("901001_2024-03-01", "edited", "by", "Ana"),
        *("901001_2024-03-02", "sorted"),
    ]
    assert changes.locator(".commit a[rel=noopener]").first.get_attribute("href") == "https://github.com/a/b/commit/1"
    assert changes.locator(".events li").count() == 8
    changes.get_by_role("button", name="Show 5 more").press("Enter")
    assert changes.locator(".events li").count() == 13
    assert page.evaluate("document.activeElement.textContent") == "901001_2024-03-09"
    data["recent"] = data["recent"][3:]
    own.write("overview.json", data)
    page.reload()
    drawn(page)
    assert changes.locator("h3 + p").first.inner_text() == "No changes."


def test_attention_and_changes_are_on_the_first_screen(visitor: Visitor, own: Site) -> None:
    """Also on a bad day, with every kind of item, and many changes."""
    data = own.data("overview.json")
    data["sources"][2]["failure"] = {"at": ago(3), "reason": "HTTP 401: the token is not valid; set another one"}
    brief = [{"session": f"901001_2024-03-{day:02d}", "text": "", "since": ago(90), "link": None} for day in range(9)]
    data["attention"] = [matter(items=brief), *[matter(remedy="Look at it. " * 9)] * 7]
    details = ("sorted asset added: ecephys_901002_2024-05-15_12-44-26_sorted_2024-11-05_08-41-13",)
    data["recent"] = [event(2, day, "sorted", details=details) for day in range(1, 30)]
    own.write("overview.json", data)
    page = visitor.open(f"{own.address}index.html", viewport={"width": 1400, "height": 900})
    for name in ("attention", "recent"):
        box = page.locator("section", has=page.locator(f"#{name}")).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 900, name


def test_a_state_without_sessions(visitor: Visitor, own: Site) -> None:
    data = own.data("overview.json")
    data["totals"] = {"sessions": 0, "subjects": 0, "tracked": 0, "untracked": 0, "by_platform": {}, "by_project": {}}
    data.update(
        months=[],
        attention=[],
        recent=[],
        funnel=[dict.fromkeys(step, 0) | {"flag": "is_sorted", "label": "sorted"} for step in data["funnel"][:1]],
    )
    own.write("overview.json", data)
    page = visitor.open(f"{own.address}index.html")
    assert "There are no sessions yet" in page.locator(".notice").first.inner_text()
    assert "Nothing at the moment" in page.inner_text("main")


def test_search_field(visitor: Visitor, demo: Site) -> None:
    page = visitor.open(f"{demo.address}index.html")
    page.get_by_role("searchbox").fill("ecephys_901001_2024-03-11_13-10-05")
    page.keyboard.press("Enter")
    page.wait_for_url("**/session.html?id=901001_2024-03-11")
    drawn(page)
    assert page.locator("h1").inner_text().startswith("Session 901001_2024-03-11")


def test_colours_are_remembered(visitor: Visitor, demo: Site) -> None:
    page = visitor.open(f"{demo.address}index.html", color_scheme="light")
    back = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(back)
    page.get_by_role("button", name="Dark colours").click()
    dark = page.evaluate(back)
    assert dark != light
    page.goto(f"{demo.address}sessions.html")
    drawn(page)
    assert page.evaluate(back) == dark
    page.get_by_role("button", name="Light colours").click()
    assert page.evaluate(back) == light
    # back at the system's colours, they follow the system
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(back) == dark
