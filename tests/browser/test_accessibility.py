"""Keyboard, screen readers, contrast, narrow windows: checked by axe-core on each page, and by walking."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import Site, Visitor

if TYPE_CHECKING:
    from playwright.sync_api import Page


NODE = Path(__file__).resolve().parent.parent / "node"
AXE = NODE / "node_modules" / "axe-core" / "axe.min.js"

needs_axe = pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed (npm ci in tests/node)")
NARROW: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True}
PAGES = {
    "overview": "index.html",
    "list": "sessions.html",
    "filtered": "sessions.html?is=uploaded:yes,sorted:no&platform=ephys",
    "empty": "sessions.html?q=nosuchword",
    "session": "session.html?id=901001_2024-03-11",
    "trained": "session.html?id=901001_2024-03-06",
    "subject": "subject.html?id=901001",
    "processing": "processing.html",
    "unknown": "session.html?id=901001_2024-03-31",
    "lost": "404.html",
}


def violations(page: Page, *rules: str) -> list[str]:
    """What axe finds, with the places; only by these rules, if any are named."""
    page.evaluate("() => document.getAnimations().forEach((one) => one.finish())")
    options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    found = page.evaluate("(options) => axe.run(document, options)", options)
    return [
        f"{one['id']}: {one['help']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for one in found["violations"]
        for node in one["nodes"][:3]
    ]


def inspected(visitor: Visitor, address: str) -> Page:
    """A page with axe in it: the page's own policy would not let it in."""
    visitor.expected = ["status of 404"]
    page = visitor.open(address, bypass_csp=True, color_scheme="light")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    return page


@needs_axe
@pytest.mark.parametrize("name", ["overview"])
def test_axe_finds_nothing(visitor: Visitor, demo: Site, name: str) -> None:
    assert violations(inspected(visitor, demo.address + PAGES[name])) == []


@needs_axe
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_in_any_colours_and_width(visitor: Visitor, demo: Site, processed: Site, name: str) -> None:
    page = inspected(visitor, (processed if name in ("processing", "session") else demo).address + PAGES[name])
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme="light")
        assert violations(page) == []
        page.emulate_media(color_scheme="dark")
        assert violations(page, "color-contrast", "link-in-text-block") == []


@needs_axe
@pytest.mark.parametrize("choice", ["Status", "Platform", "Columns"])
def test_axe_finds_nothing_in_an_open_sheet(visitor: Visitor, lab: Site, choice: str) -> None:
    page = inspected(visitor, f"{lab.address}sessions.html")
    page.locator("summary", has_text=choice).click()
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert violations(page, "color-contrast") == []


FOCUSED = "const at = document.activeElement; return at.getAttribute('aria-label') || at.textContent || at.id;"
SEEN = """() => {
  const style = getComputedStyle(document.activeElement);
  return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
}"""


def focused(page: Page) -> str:
    return str(page.evaluate(f"() => {{ {FOCUSED} }}"))


def test_a_walk_with_the_keyboard(visitor: Visitor, lab: Site) -> None:
    page = visitor.open(f"{lab.address}sessions.html")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to content"
    assert page.locator(".skip").bounding_box()["y"] >= 0  # type: ignore[index]
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "filter-search"
    stops = []
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('tbody') !== null"):
            break
        stops.append(focused(page))
        assert page.evaluate(SEEN), f"focus on {stops[-1]} is not seen"
    else:
        pytest.fail(f"the table was not reached: {stops}")
    filters = ["Project", "Platform", "Rig", "Status", "Columns", "CSV"]
    assert [stop for stop in stops if stop in filters][: len(filters)] == filters
    assert stops.index("Table of sessions") < stops.index("Session")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('tbody') === null"), "the table is one stop"


def test_a_sheet_by_keyboard(visitor: Visitor, lab: Site) -> None:
    page = visitor.open(f"{lab.address}sessions.html")
    page.locator("summary", has_text="Platform").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.evaluate("document.activeElement.type") == "checkbox", "the keyboard stays on the box"
    assert page.evaluate("document.activeElement.checked")
    page.keyboard.press("Escape")
    assert focused(page) == "Platform (1)"
    assert page.locator("details[open]").count() == 0


def test_a_chip_taken_away_leaves_the_keyboard_somewhere(visitor: Visitor, lab: Site) -> None:
    page = visitor.open(f"{lab.address}sessions.html?is=uploaded:yes,sorted:no")
    page.get_by_role("button", name="uploaded: yes").press("Enter")
    assert "sorted: no" in focused(page)
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "filter-search"


@pytest.mark.parametrize(
    "path", [PAGES["overview"], PAGES["list"], PAGES["session"], PAGES["subject"], PAGES["processing"]]
)
def test_headings_are_in_order_and_landmarks_are_there(visitor: Visitor, processed: Site, path: str) -> None:
    page = visitor.open(processed.address + path)
    levels = [
        int(name[1]) for name in page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(one => one.localName)")
    ]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:]))
    assert page.locator("html").get_attribute("lang") == "en"
    for landmark in ("banner", "navigation", "main", "contentinfo"):
        assert page.get_by_role(landmark).first.is_visible()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "path", [PAGES["overview"], PAGES["list"], PAGES["session"], PAGES["subject"], PAGES["processing"]]
)
def test_a_phone_scrolls_one_way(visitor: Visitor, processed: Site, path: str) -> None:
    page = visitor.open(processed.address + path, **NARROW)
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize("width", [320, 360, 480, 640, 800, 1280])
def test_filters_do_not_lie_on_one_another(visitor: Visitor, lab: Site, width: int) -> None:
    """Also where half the window is seen twice as large."""
    page = visitor.open(f"{lab.address}sessions.html", viewport={"width": width, "height": 740})
    page.locator(".filters input").first.wait_for()
    boxes = page.locator(".filters input, .filters summary, .filters button").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect()).map(({left, right, top}) => [top, left, right])"
    )
    assert all(right <= width for _, _, right in boxes)
    for (top, _, right), (next_top, left, _) in zip(sorted(boxes), sorted(boxes)[1:]):
        assert top != next_top or right <= left


def test_a_word_without_end_scrolls_no_page(visitor: Visitor, own: Site) -> None:
    word = "x" * 2_000
    overview, subject = own.data("overview.json"), own.data("subjects/901001.json")
    overview["totals"]["by_project"][word] = 1
    for session in subject["sessions"]:
        session.update(project=word, notes=word, issues=[f"https://github.com/{word}"], rig=word)
    own.write("overview.json", overview)
    own.write("subjects/901001.json", subject)
    visitor.expected = ["status of 404"]
    for path in (
        PAGES["overview"],
        PAGES["session"],
        PAGES["subject"],
        *(f"{page}={word}" for page in ("sessions.html?project", "session.html?id", "subject.html?id")),
    ):
        for width in (360, 1280):
            page = visitor.open(own.address + path, viewport={"width": width, "height": 740})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_who_wants_less_motion_gets_none(visitor: Visitor, demo: Site) -> None:
    page = visitor.open(f"{demo.address}index.html", reduced_motion="reduce")
    assert page.locator(".top a").first.evaluate("link => getComputedStyle(link).transitionDuration") == "0s"
