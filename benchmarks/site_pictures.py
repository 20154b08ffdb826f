"""Take the pictures of the site that README and docs show, of the demo with some runs: docs/images/site-*.png.

Usage: python benchmarks/site_pictures.py [OUT]   (needs git, Pillow, playwright and a Chromium or Chrome)
"""

from __future__ import annotations

import dataclasses
import datetime
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import PIL.Image
from playwright.sync_api import Browser, sync_playwright

from npc_lims.config.settings import Settings
from npc_lims.dashboard.site.build import SiteOptions, build_site
from npc_lims.dashboard.site.serve import SiteServer
from tests.browser.chrome import INSTALL, arguments, find_chrome
from tests.dashboard.site.processed import add_processing

PICTURES_FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images"
REPOSITORY = "AllenInstitute/npc_lims"
MOST_BYTES = 120_000
COLOURS = 256
"""More than a page has, but for blends at the edges of letters."""


@dataclasses.dataclass(frozen=True)
class Picture:
    """One view of a site.

    Attributes:
        page: Its address in the site.
        size: Width and height of the window, pixels.
        scheme: `light` or `dark`.
    """

    name: str
    page: str
    size: tuple[int, int]
    scheme: str = "light"


PICTURES = (
    Picture("site-overview", "index.html", (1400, 900)),
    Picture("site-overview-dark", "index.html", (1400, 900), "dark"),
    Picture("site-narrow", "index.html", (390, 844)),
    Picture("site-sessions", "sessions.html", (1400, 900)),
    Picture("site-session", "session.html?id=901003_2024-10-24", (1400, 900)),
    Picture("site-processing", "processing.html", (1400, 900)),
)


def make_site(folder: Path) -> Path:
    """The demo's site: two days of syncs, a commit each."""
    subprocess.run([sys.executable, "-m", "npc_lims", "demo", str(folder)], check=True, capture_output=True)
    now = datetime.datetime.now(datetime.timezone.utc)
    state = folder / "repository" / "state"
    add_processing(state, now)
    build_site(Settings(), SiteOptions(folder / "site", state, repository=REPOSITORY), now)
    return folder / "site"


@contextmanager
def served(site: Path) -> Iterator[str]:
    with SiteServer(site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.address
        server.shutdown()


def take(browser: Browser, picture: Picture, address: str, out: Path) -> None:
    width, height = picture.size
    dark = picture.scheme == "dark"
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light")
    page.goto(address + picture.page)
    page.locator(".loading").wait_for(state="detached")
    path = out / f"{picture.name}.png"
    page.screenshot(path=path, animations="disabled")
    page.close()
    with PIL.Image.open(path) as taken:
        taken.convert("RGB").quantize(COLOURS, PIL.Image.Quantize.MAXCOVERAGE).save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path}: {size / 1_000:.0f} kB")
    if size > MOST_BYTES:
        raise SystemExit(f"{path} has {size} bytes, more than {MOST_BYTES}: make its window smaller")


def main(out: Path) -> None:
    chrome = find_chrome()
    if chrome is None:
        raise SystemExit(INSTALL)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chrome, args=arguments())
        with served(make_site(Path(scratch) / "demo")) as address:
            for picture in PICTURES:
                take(browser, picture, address, out)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES_FOLDER)
