"""What the first view of 10,000 sessions costs a browser: main-thread work and bytes. Prints a table.

Usage: python benchmarks/site_budget.py [--site DIR] [--sessions 10000] [--runs 5]

Without --site the site of an invented lab is built first. It is served by `npc-lims site serve` and opened in a
Chromium of this machine with an empty cache, in a new profile for each run; the figures are medians. Exit code 1 means
that an aim is missed.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.sync_api import Browser, CDPSession, sync_playwright

from npc_lims.config.settings import Settings
from npc_lims.dashboard.site.build import SiteOptions, build_site
from tests.browser.chrome import INSTALL, arguments, find_chrome
from tests.dashboard.site.lab import NOW, write_lab

WORK = 1_000.0
"""Milliseconds of main-thread work that a first view may take."""
BYTES = 1_500_000
"""Bytes over the network that it may take."""
KEY = 50.0
"""Milliseconds from a key to the filtered rows, laid out."""

TYPE = """() => {
  const input = document.querySelector("#filter-search");
  return [..."stage 5 ori AMN", ..."601743_2026"].map((_, n, all) => {
    input.value = all.slice(0, n + 1).join("");
    const start = performance.now();
    input.dispatchEvent(new Event("input"));
    document.querySelector("table").getBoundingClientRect();
    return performance.now() - start;
  });
}"""


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The address at which `npc-lims site serve` shows a site."""
    command = [sys.executable, "-m", "npc_lims", "site", "serve", str(site), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        told = ""
        for line in process.stdout:
            told += line
            address = next((word for word in line.split() if word.startswith("http://")), None)
            if address:
                yield address.rstrip("/.,") + "/"
                return
        raise SystemExit(f"npc-lims site serve did not say its address: {told}")
    finally:
        process.terminate()
        process.wait()


def measure(browser: Browser, address: str) -> dict[str, float]:
    """One first view, in a profile that has seen nothing."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    received: dict[str, float] = {"bytes": 0, "requests": 0}

    def finished(event: dict[str, Any]) -> None:
        received["bytes"] += event["encodedDataLength"]
        received["requests"] += 1

    session.on("Network.loadingFinished", finished)
    session.send("Performance.enable")
    page.goto(address)
    page.locator("h1").wait_for()
    page.locator(".loading").wait_for(state="detached")
    page.wait_for_load_state("networkidle")
    figures = {name: value * 1_000 for name, value in metrics(session).items()}
    if address.endswith("sessions.html"):
        figures["key"] = statistics.median(page.evaluate(TYPE))
    context.close()
    return {**figures, **received}


def metrics(session: CDPSession) -> dict[str, float]:
    told = session.send("Performance.getMetrics")["metrics"]
    wanted = ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
    return {one["name"]: one["value"] for one in told if one["name"] in wanted}


def report(name: str, runs: list[dict[str, float]]) -> bool:
    """Prints a line; whether all aims are met."""
    median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    key = f"{median['key']:.0f} ms" if "key" in median else ""
    is_met = median["TaskDuration"] < WORK and median["bytes"] < BYTES and median.get("key", 0) < KEY
    print(
        f"| {name} | {median['TaskDuration']:.0f} ms | {median['ScriptDuration']:.0f} ms "
        f"| {median['LayoutDuration'] + median['RecalcStyleDuration']:.0f} ms | {median['bytes'] / 1_000:.0f} kB "
        f"| {median['requests']:.0f} | {key} | {'OK' if is_met else '**MISSED**'} |"
    )
    return is_met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", type=Path, help="a site that is built already")
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    chrome = find_chrome()
    if chrome is None:
        raise SystemExit(INSTALL)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        site = asked.site or built(Path(folder), asked.sessions)
        browser = playwright.chromium.launch(executable_path=chrome, args=arguments())
        print(f"Chromium {browser.version}, {datetime.date.today()}, medians of {asked.runs} first views")
        print(f"aims: {WORK:.0f} ms of work, {BYTES / 1_000:.0f} kB, {KEY:.0f} ms a key (of 26)\n")
        print("| page | main thread | of it script | layout and style | over the network | requests | a key | |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
        with served(site) as address:
            verdicts = [
                report(name, [measure(browser, f"{address}{name}.html") for _ in range(asked.runs)])
                for name in ("index", "sessions")
            ]
        browser.close()
    return 0 if all(verdicts) else 1


def built(folder: Path, sessions: int) -> Path:
    write_lab(folder / "state", sessions)
    build_site(Settings(), SiteOptions(folder / "site", folder / "state", repository=None), NOW)
    return folder / "site"


if __name__ == "__main__":
    sys.exit(main())
