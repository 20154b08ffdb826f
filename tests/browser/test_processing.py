"""The page of processing: what would run, runs, waits and failed, with durations."""

from __future__ import annotations

import re

from tests.browser.conftest import Site, Visitor
from tests.dashboard.site.processed import FAILED, REASON, RUNNING


def test_each_verdict_and_its_reason(visitor: Visitor, processed: Site) -> None:
    page = visitor.open(f"{processed.address}index.html")
    page.get_by_role("navigation").get_by_role("link", name="Processing").click()
    page.locator(".verdicts").wait_for()
    data = processed.data("processing.json")
    rows = page.locator(".verdicts tbody tr").all_inner_texts()
    assert len(rows) == len(data["processes"]) == 3
    assert rows[1].split("\t") == ["sorting", "1", "1", "1", "1", "0", "10", "15", "20 h 15 min", "20 h 30 min"]
    sorting = page.locator("section", has=page.locator("#process-sorting"))
    assert sorting.locator(".group h3").all_inner_texts() == [
        "Failed (1)",
        "Running (1)",
        "Would run now (1)",
        "Waiting (1)",
    ]
    failed = sorting.locator(".decisions li").first
    assert re.match(rf"{FAILED}\s+try 2: {re.escape(REASON)}", failed.inner_text())
    assert sorting.get_by_role("link", name="pipeline on Code Ocean").get_attribute("href")
    sorting.get_by_text("6 runs: ").click()
    table = sorting.locator("table.runs tbody")
    assert table.locator("tr").count() == 6
    assert table.locator(".state.errored").first.get_attribute("title") == "it failed"
    assert "2 h 20 min" in table.locator("tr").nth(1).inner_text()
    assert table.get_by_role("link", name=re.compile("^sorted_2024")).count() == 3
    page.get_by_role("link", name=RUNNING).first.click()
    page.get_by_role("heading", level=1, name=RUNNING).wait_for()


def test_a_session_shows_its_runs_and_why_it_waits(visitor: Visitor, processed: Site) -> None:
    page = visitor.open(f"{processed.address}session.html?id={FAILED}")
    assert page.locator(".steps .decision").all_inner_texts() == [f"sorting: failed, {REASON}"]
    runs = page.locator("section", has=page.locator("#runs")).locator("tbody tr")
    assert [text.split("\t")[:3] for text in runs.all_inner_texts()] == [
        ["sorting", "2", "errored"],
        ["sorting", "1", "errored"],
    ]
    page.locator(".decision a").click()
    page.locator("#process-sorting").wait_for()
    page = visitor.open(f"{processed.address}session.html?id={RUNNING}")
    assert "sorting: waiting, at most 2 run at once" in page.locator(".steps").inner_text()


def test_nothing_is_configured(visitor: Visitor, demo: Site) -> None:
    page = visitor.open(f"{demo.address}processing.html")
    assert "No processes are configured" in page.locator(".notice").inner_text()
    assert page.locator(".notice code").first.inner_text() == "pipelines.yaml"
    assert page.locator("section").count() == 0


def test_hostile_names_stay_text(visitor: Visitor, own: Site, processed: Site) -> None:
    data = processed.data("processing.json")
    hostile, address = "<img src=x onerror=alert(1)>", "javascript:alert(1)"
    data["problem"] = hostile
    for process in data["processes"]:
        for one in [run for items in process["listed"].values() for run in items] + process["runs"]:
            one["reason"] = hostile
            for asset in (one["input"], one.get("asset")):
                if asset:
                    asset.update(name=hostile, url=address)
    own.write("processing.json", data)
    page = visitor.open(f"{own.address}processing.html")
    assert hostile in page.locator("#content").inner_text()
    assert page.locator("#content img").count() == 0
    assert page.locator("a[href^='javascript']").count() == 0


def test_it_is_printed_whole(visitor: Visitor, processed: Site) -> None:
    page = visitor.open(f"{processed.address}processing.html")
    assert not page.locator("table.runs").first.is_visible()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert all(page.locator("details").evaluate_all("all => all.map((one) => one.open)"))
