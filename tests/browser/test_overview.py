"""The overview: totals, ages of the sources, funnel, months, what needs attention, what happened."""

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
    page.get_by_text("As a table").click()
    month = data["months"][-1]
    assert page.locator("#figures tbody tr").count() == len(data["months"])
    page.get_by_role("link", name=month["month"], exact=True).click()
    drawn(page)
    assert shown(page.locator(".count").inner_text()) == month["sessions"]


def test_the_chart_stacks_parts_in_their_whole(visitor: Visitor, lab: Site) -> None:
    months = lab.data("overview.json")["months"]
    page = visitor.open(f"{lab.address}index.html")
    for css, name in (("all", "sessions"), ("uploaded", "uploaded"), ("sorted", "sorted")):
        heights = page.locator(f"#chart .{css}").evaluate_all(
            "bars => bars.map(bar => Number(bar.getAttribute('height')))"
        )
        most = max(month["sessions"] for month in months)
        tallest = max(
            page.locator("#chart .all").evaluate_all("bars => bars.map(bar => Number(bar.getAttribute('height')))")
        )
        assert heights == pytest.approx([tallest * month[name] / most for month in months], abs=0.01)
    page.set_viewport_size({"width": 400, "height": 800})
    until(page, "document.querySelector('#chart svg').viewBox.baseVal.width < 400")


def ago(hours: float) -> str:
    return f"{datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"


def test_a_late_source_is_told_when_it_is_looked_at(visitor: Visitor, own: Site) -> None:
    data = own.data("overview.json")
    for source in data["sources"]:
        source.update(last_complete=ago(47.9), late_after_hours=48, failure=None)
    own.write("overview.json", data)
    page = visitor.open(f"{own.address}index.html")
    assert page.locator(".notice").count() == 0
    data["sources"][2]["last_complete"] = ago(48.1)
    data["sources"][2]["failure"] = {"at": ago(3), "reason": "the token is not valid any more"}
    data["sources"][3]["last_complete"] = None
    own.write("overview.json", data)
    page.reload()
    drawn(page)
    notice = page.locator(".notice").inner_text()
    assert "Code Ocean was last read completely 2 days ago" in notice
    assert "Never read completely: S3" in notice
    marks = page.locator(".sources .mark").evaluate_all("marks => marks.map(mark => mark.getAttribute('aria-label'))")
    assert marks == ["in time", "in time", "late", "never read"]
    assert "the token is not valid any more" in page.locator(".sources .reason").inner_text()


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
    loose = [{"session": None, "text": "line 17: mistyped", "since": None, "link": "https://github.com/a/b#L17"}]
    data["attention"] = [matter(), matter(kind="warnings", title="1 warning", total=1, items=loose), *[matter()] * 3]
    own.write("overview.json", data)
    page = visitor.open(f"{own.address}index.html")
    assert page.get_by_role("link", name="5 items need attention").get_attribute("href") == "#attention"
    stalled = page.locator(".item").first
    assert stalled.locator("li").count() == 10
    assert stalled.locator("code").inner_text() == "npc-lims process plan"
    assert stalled.locator("a").first.get_attribute("href") == "session.html?id=901001_2024-03-01"
    stalled.get_by_role("button", name="Show 3 more").press("Enter")
    assert stalled.locator("li").count() == 13
    assert page.evaluate("document.activeElement.textContent") == "901001_2024-03-11"
    assert "287 more are not listed" in stalled.inner_text()
    link = page.get_by_role("link", name="line 17: mistyped")
    assert link.get_attribute("href") == "https://github.com/a/b#L17"
    assert link.get_attribute("rel") == "noopener"
    assert page.locator(".item[open]").count() == 3
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".item[open]").count() == 5


def test_what_happened(visitor: Visitor, demo: Site) -> None:
    events = demo.data("overview.json")["recent"]
    page = visitor.open(f"{demo.address}index.html")
    assert page.locator(".events li").count() == min(len(events), 10) > 0
    assert events[0]["session"] in page.locator(".events li").first.inner_text()
    assert page.locator(".events a[rel=noopener]").first.get_attribute("href") == events[0]["commit_url"]


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
