"""The pages of one session and of one subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import Site, Visitor, drawn, until

if TYPE_CHECKING:
    from playwright.sync_api import Page

UPLOADED = "901001_2024-03-11"
TRAINED = "901001_2024-03-06"
NOT_FOUND = "status of 404"


def test_facts_by_source_and_where_to_look(visitor: Visitor, demo: Site) -> None:
    [told] = [one for one in demo.data("subjects/901001.json")["sessions"] if one["id"] == UPLOADED]
    page = visitor.open(f"{demo.address}session.html?id={UPLOADED}")
    assert page.title() == f"{UPLOADED} · npc_lims"
    links = {link.inner_text(): link.get_attribute("href") for link in page.locator("main a").all()}
    assert links["Suggest an edit"] == told["links"]["edit"] is not None
    assert links["State file"] == told["links"]["state_file"]
    assert links["Its history on GitHub"] == told["links"]["state_history"]
    assert links["Report a wrong fact"] == told["links"]["new_issue"]
    [file] = [one for one in told["files"] if one["what"] == "raw data"]
    raw = page.locator(".assets tbody tr", has_text="raw data").first
    assert raw.get_by_role("link", name="Code Ocean").get_attribute("href") == file["codeocean"]
    assert raw.get_by_role("link", name="S3").get_attribute("href") == file["s3"]
    assert file["location"] in raw.inner_text()
    assert told["facts"]["codeocean"]["raw"]["name"] in raw.inner_text()
    assert page.locator(".assets tbody tr").count() == len(told["files"])
    assert page.locator("section[aria-labelledby=files] details dt").count() == len(told["missing"])
    assert page.locator(".status tbody td.why").all_inner_texts() == [
        one["sentence"].replace("`", "") for one in told["status"]
    ]
    assert page.locator(".steps dt").all_inner_texts() == [one["label"] for one in told["next"]]
    for link in page.locator("main a[href^=http]").all():
        assert link.get_attribute("rel") == "noopener"


def test_nothing_there_and_never_observed_are_two_things(visitor: Visitor, own: Site) -> None:
    data = own.data("subjects/901001.json")
    [told] = [one for one in data["sessions"] if one["id"] == TRAINED]
    told["facts"] = {
        "tracked": False,
        "training": None,
        "codeocean": {"raw": False, "sorted": None},
        "s3": {"raw": None, "stim": []},
    }
    own.write("subjects/901001.json", data)
    page = visitor.open(f"{own.address}session.html?id={TRAINED}")
    assert "nothing there" in page.locator("section[aria-labelledby=tracked]").inner_text()
    assert "never observed" in page.locator("section[aria-labelledby=training]").inner_text()
    facts = page.locator("section[aria-labelledby=codeocean] dd").all_inner_texts()
    assert [text.strip() for text in facts] == ["○ no", "? never observed"]
    facts = page.locator("section[aria-labelledby=s3] dd").all_inner_texts()
    assert [text.strip() for text in facts] == ["? never observed", "○ nothing there"]


def test_timeline_from_history(visitor: Visitor, demo: Site) -> None:
    session = demo.data("overview.json")["recent"][0]["session"]
    data = demo.data(f"subjects/{session.split('_')[0]}.json")
    [told] = [one for one in data["sessions"] if one["id"] == session]
    page = visitor.open(f"{demo.address}session.html?id={session}")
    events = page.locator(".timeline > li")
    assert events.count() == len(told["timeline"]) > 0
    first, text = told["timeline"][0], events.first.inner_text()
    assert ", ".join(first["what"]) in text
    assert all(detail in text for detail in first["details"])
    assert all(editor["subject"] in text for editor in first["editors"])
    assert events.first.get_by_role("link", name=first["commit"][:10]).get_attribute("href") == first["commit_url"]


def test_neighbours_and_subject(visitor: Visitor, demo: Site) -> None:
    page = visitor.open(f"{demo.address}session.html?id=901001_2024-03-07")
    page.get_by_role("link", name="2024-03-08 →").click()
    page.wait_for_url("**/session.html?id=901001_2024-03-08")
    drawn(page)
    page.get_by_role("link", name="All of subject 901001").click()
    page.wait_for_url("**/subject.html?id=901001")
    drawn(page)
    rows = page.locator(".matrix tbody th").all_inner_texts()
    assert rows == sorted(one["id"] for one in demo.data("subjects/901001.json")["sessions"])
    page.get_by_role("link", name=f"{len(rows)} sessions").click()
    drawn(page)
    assert page.locator(".count").inner_text().startswith(f"{len(rows)} of ")


def test_the_feed_of_a_subject_and_of_a_project(visitor: Visitor, demo: Site) -> None:
    def offered(page: Page) -> list[str | None]:
        """The feed that is linked, and the one that feed readers find."""
        places = ("main a:text-is('Atom feed')", "link[data-feed]")
        return [page.locator(one).get_attribute("href") if page.locator(one).count() else None for one in places]

    page = visitor.open(f"{demo.address}subject.html?id=901002")
    assert offered(page) == ["feeds/subject-901002.atom"] * 2
    assert "901002_2024-05-15" in page.evaluate("async (path) => (await fetch(path)).text()", offered(page)[0])
    page = visitor.open(f"{demo.address}sessions.html?project=DynamicRouting")
    path = demo.data("sessions.json")["feeds"]["DynamicRouting"]
    assert offered(page) == [path, path]
    page.get_by_role("button", name="Clear all").click()
    assert offered(page) == [None, None], "everything has its own, at the foot"
    for query in ("project=DynamicRouting&project=TempletonPilotSession", "project=constructor", "subject=901002"):
        assert offered(visitor.open(f"{demo.address}sessions.html?{query}")) == [None, None]


def test_other_ways_to_write_an_id(visitor: Visitor, demo: Site) -> None:
    page = visitor.open(f"{demo.address}session.html?id=DRpilot_901001_20240311")
    assert page.locator("h1").inner_text().startswith(f"Session {UPLOADED}")


@pytest.mark.parametrize("asked", ["901001_2024-03-31", "901010_2024-03-11"])
def test_an_unknown_session_offers_near_ones(visitor: Visitor, demo: Site, asked: str) -> None:
    visitor.expected = [NOT_FOUND]
    page = visitor.open(f"{demo.address}session.html?id={asked}")
    page.wait_for_selector(".near")
    assert page.locator("h1").inner_text() == f"No session {asked}"
    assert page.locator(".near a").first.inner_text().startswith("90100")
    assert page.get_by_role("link", name="Search for").get_attribute("href") == f"sessions.html?q={asked}"


@pytest.mark.parametrize("page_name", ["session", "subject"])
@pytest.mark.parametrize("asked", ["", "../overview", "%3Cscript%3Ealert(1)%3C/script%3E", "999999"])
def test_what_names_nothing(visitor: Visitor, demo: Site, page_name: str, asked: str) -> None:
    visitor.expected = [NOT_FOUND]
    page = visitor.open(f"{demo.address}{page_name}.html?id={asked}")
    until(page, "/^(No|Which) /.test(document.querySelector('h1').textContent)")
    assert page.locator(".notice").is_visible()


def test_an_unknown_subject_offers_near_ones(visitor: Visitor, demo: Site) -> None:
    visitor.expected = [NOT_FOUND]
    page = visitor.open(f"{demo.address}subject.html?id=90101")
    page.wait_for_selector(".near")
    assert "901001" in page.locator(".near a").all_inner_texts()


def test_nested_facts_have_room_on_a_phone(visitor: Visitor, demo: Site) -> None:
    """Side by side, each file name had a column a few letters wide."""
    page = visitor.open(f"{demo.address}session.html?id={UPLOADED}", viewport={"width": 360, "height": 740})
    widths = page.locator(".facts .facts dd").evaluate_all("all => all.map(one => one.clientWidth)")
    assert min(widths) >= 150


def test_a_subject_fits_on_paper(visitor: Visitor, demo: Site) -> None:
    """Upright paper of A4 is 794 wide, and margins take 76: from DLC eye on, statuses and notes were cut off."""
    page = visitor.open(f"{demo.address}subject.html?id=901002", viewport={"width": 718, "height": 1000})
    page.emulate_media(media="print")
    assert page.locator(".scroll").evaluate("scroll => scroll.scrollWidth <= scroll.clientWidth")
    assert page.locator("table.matrix td.note").last.inner_text().startswith("recording")
