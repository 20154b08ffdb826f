"""Sites, servers for them, and a browser that looks at them.

Whatever test looks at a page, it fails if the page asked another machine for anything, broke its own security policy,
opened a dialog, or said an error in the console that the test did not expect.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from npc_lims.dashboard.site.serve import SiteServer
from tests.browser.chrome import INSTALL, arguments, find_chrome
from tests.dashboard.site.conftest import build
from tests.dashboard.site.lab import NOW, write_lab
from tests.dashboard.site.processed import add_processing

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

LAB = 2_000
"""Sessions of the invented lab: enough for every value of every status."""
PATIENCE = 30.0
"""Seconds after which what did not happen will not."""


@dataclasses.dataclass(frozen=True)
class Site:
    """A site that is served."""

    folder: Path
    address: str

    def data(self, name: str) -> Any:
        return json.loads((self.folder / "data" / name).read_bytes())

    def write(self, name: str, data: Any) -> None:
        (self.folder / "data" / name).write_text(json.dumps(data), encoding="utf-8")


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Site]:
    with SiteServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield Site(folder, server.address)
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def demo(demo_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The demo's site, with two days of history; to be read, never changed."""
    out = tmp_path_factory.mktemp("browser") / "demo"
    build(demo_repository / "state", out, repository="AllenInstitute/npc_lims")
    with served(out) as site:
        yield site


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A lab's site, without history; to be read, never changed."""
    folder = tmp_path_factory.mktemp("browser")
    write_lab(folder / "state", LAB)
    build(folder / "state", folder / "site", repository="AllenInstitute/npc_lims")
    with served(folder / "site") as site:
        yield site


@pytest.fixture(scope="session")
def processed(demo_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The demo's site with processes and runs in every state; to be read, never changed."""
    folder = tmp_path_factory.mktemp("browser")
    shutil.copytree(demo_state, folder / "state")
    add_processing(folder / "state", NOW)
    build(folder / "state", folder / "site", repository="AllenInstitute/npc_lims")
    with served(folder / "site") as site:
        yield site


@pytest.fixture
def own(demo: Site, tmp_path: Path) -> Iterator[Site]:
    """A copy of the demo's site that a test may damage."""
    folder = Path(shutil.copytree(demo.folder, tmp_path / "site"))
    with served(folder) as site:
        yield site


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install playwright)")
    path = find_chrome()
    if path is None:
        pytest.skip(INSTALL)
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=arguments())
        yield started
        started.close()


@dataclasses.dataclass
class Visitor:
    """Somebody with a browser, who notes everything that should not happen."""

    browser: Browser
    expected: list[str] = dataclasses.field(default_factory=list)
    """Patterns of what the console may say."""
    said: list[str] = dataclasses.field(default_factory=list)
    _contexts: list[BrowserContext] = dataclasses.field(default_factory=list)

    def open(self, address: str, **options: Any) -> Page:
        """The page, when it has drawn what it is about."""
        options.setdefault("viewport", {"width": 1280, "height": 800})
        context = self.browser.new_context(**options)
        context.set_default_timeout(PATIENCE * 1000)
        self._contexts.append(context)
        page = context.new_page()
        origin = "/".join(address.split("/")[:3])
        page.on("request", lambda request: self._check(request.url, origin))
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("pageerror", lambda error: self.said.append(f"uncaught: {error}"))
        page.on("dialog", lambda dialog: (self.said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(address)
        drawn(page)
        return page

    def _check(self, url: str, origin: str) -> None:
        if not url.startswith((f"{origin}/", f"blob:{origin}/", "data:")):
            self.said.append(f"asked for {url}")

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(re.search(pattern, text) for pattern in self.expected):
            self.said.append(f"{kind}: {text}")

    def leave(self) -> None:
        for context in self._contexts:
            context.close()


def drawn(page: Page) -> None:
    """Waits until the page shows what it fetched."""
    page.locator(".loading").wait_for(state="detached")


def until(page: Page, expression: str, argument: Any = None) -> None:
    """Waits for an expression to hold. Playwright's own way evaluates text in the page, which its policy forbids."""
    deadline = time.monotonic() + PATIENCE
    while not page.evaluate(expression, argument):
        assert time.monotonic() < deadline, f"{expression} never held"
        page.wait_for_timeout(15)


def addresses(page: Page) -> list[str]:
    """Where the links of a page lead, those of its charts, too."""
    found: list[str] = page.locator("a").evaluate_all(
        "links => links.map(link => new URL(link.getAttribute('href'), location.href).href)"
    )
    return found


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    somebody = Visitor(browser)
    yield somebody
    somebody.leave()
    assert not somebody.said
