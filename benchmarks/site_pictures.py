"""Take the pictures of the site that README and docs show, of invented sessions: docs/images/site-*.png.

Usage: python benchmarks/site_pictures.py [OUT]   (needs git, playwright and a Chromium or Chrome)
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

from playwright.sync_api import Browser, sync_playwright

from npc_lims.config.settings import Settings
from npc_lims.dashboard.site.build import SiteOptions, build_site
from npc_lims.dashboard.site.serve import SiteServer
from tests.browser.chrome import INSTALL, arguments, find_chrome
from tests.dashboard.site.lab import write_lab
from tests.dashboard.site.processed import add_processing

PICTURES_FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images"
REPOSITORY = "AllenInstitute/npc_lims"
SESSIONS = 10_000
MOST_BYTES = 200_000


@dataclasses.dataclass(frozen=True)
class Picture:
    """One view of a site.

    Attributes:
        site: `demo`, with its history, `processed`, with runs, or `lab`, with ten thousand sessions.
        page: Its address in the site.
        size: Width and height of the window, pixels.
        scheme: `light` or `dark`.
    """

    name: str
    site: str
    page: str
    size: tuple[int, int]
    scheme: str = "light"


PICTURES = (
    Picture("site-overview", "demo", "index.html", (1200, 940)),
    Picture("site-overview-dark", "demo", "index.html", (1200, 940), "dark"),
    Picture("site-sessions", "lab", "sessions.html?platform=ephys&is=uploaded:yes", (1280, 720)),
    Picture("site-processing", "processed", "processing.html", (1200, 1130)),
    Picture("site-session", "demo", "session.html?id=901003_2024-10-24", (1160, 800)),
    Picture("site-narrow", "demo", "index.html", (360, 760)),
)


def make_demo(folder: Path) -> Path:
    """The demo's site: two days of syncs, a commit each."""
    subprocess.run([sys.executable, "-m", "npc_lims", "demo", str(folder)], check=True, capture_output=True)
    return make_site(folder, folder / "repository" / "state")


def make_lab(folder: Path) -> Path:
    """The site of an invented lab that has worked for years."""
    write_lab(folder / "state", SESSIONS)
    return make_site(folder, folder / "state")


def make_processed(folder: Path) -> Path:
    """The demo's site with runs of its processes in every state."""
    subprocess.run([sys.executable, "-m", "npc_lims", "demo", str(folder)], check=True, capture_output=True)
    state = folder / "repository" / "state"
    add_processing(state, datetime.datetime.now(datetime.timezone.utc))
    return make_site(folder, state)


def make_site(folder: Path, state: Path) -> Path:
    now = datetime.datetime.now(datetime.timezone.utc)
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
        made = {"demo": make_demo, "processed": make_processed, "lab": make_lab}
        sites = {name: make(Path(scratch) / name) for name, make in made.items()}
        browser = playwright.chromium.launch(executable_path=chrome, args=arguments())
        for picture in PICTURES:
            with served(sites[picture.site]) as address:
                take(browser, picture, address, out)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES_FOLDER)
