"""Hostile values, damaged and missing data, dead links, and that nothing leaves the site."""

from __future__ import annotations

import json
import re
import urllib.parse
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Site, Visitor, addresses, drawn, served, until
from tests.dashboard.site.conftest import build

HOSTILE = '</script><script>alert(1)</script><img src="https://evil.example/x" onerror=alert(2)>{{7*7}}\u2028\u202e'
BAD_ADDRESS = "javascript:alert(3)"
PAGES = ("index.html", "sessions.html", "session.html?id=901001_2024-03-11", "subject.html?id=901001", "404.html")


def poisoned(value: Any, keep: tuple[str, ...] = ()) -> Any:
    """Every text made hostile, every address one that must not be followed."""
    if isinstance(value, dict):
        return {key: told if key in keep else poisoned(told, keep) for key, told in value.items()}
    if isinstance(value, list):
        return [poisoned(one, keep) for one in value]
    if isinstance(value, str):
        return BAD_ADDRESS if value.startswith("http") else HOSTILE
    return value


def poison(site: Site) -> None:
    kept = (
        "id",
        "when",
        "since",
        "made",
        "month",
        "last_complete",
        "at",
        "value",
        "flag",
        "subject",
        "name",
        "flags",
        "status",
    )
    overview = site.data("overview.json")
    totals = {key: {HOSTILE: 3} if key.startswith("by_") else told for key, told in overview["totals"].items()}
    item = {"session": HOSTILE, "text": HOSTILE, "since": HOSTILE, "link": BAD_ADDRESS}
    matter = {"kind": HOSTILE, "title": HOSTILE, "remedy": f"`{HOSTILE}`", "total": 1, "items": [item]}
    site.write("overview.json", {**poisoned(overview, kept), "totals": totals, "attention": [matter]})
    sessions = site.data("sessions.json")
    count = sessions["count"]
    everywhere = {str(place): HOSTILE for place in range(count)}
    changed = poisoned(sessions, (*kept, "index"))
    # one id that is none: what it is shown in, and linked by, must hold it
    changed["id"][0] = f"901001_2024-03-11{HOSTILE}"
    changed.update(notes=everywhere, issues={place: [BAD_ADDRESS, HOSTILE] for place in everywhere})
    site.write("sessions.json", changed)
    subject = poisoned(site.data("subjects/901001.json"), kept)
    for session in subject["sessions"]:
        session["status"] = [{"flag": HOSTILE, "label": HOSTILE, "value": "y", "sentence": HOSTILE}]
        session["notes"] = HOSTILE
        session["issues"] = [BAD_ADDRESS, HOSTILE]
    site.write("subjects/901001.json", subject)


@pytest.mark.parametrize("path", PAGES[:4])
def test_hostile_values_are_text(visitor: Visitor, own: Site, path: str) -> None:
    poison(own)
    page = visitor.open(own.address + path)
    until(page, "text => document.body.innerText.includes(text)", "<script>alert(1)</script>")
    assert page.locator("body script, body img:not([src='static/icon.svg']), [onerror], iframe").count() == 0
    for address in map(urllib.parse.urlsplit, addresses(page)):
        assert address.scheme in ("http", "https")
        assert address.hostname != "evil.example"


def test_markup_could_not_be_made_even_by_mistake(visitor: Visitor, demo: Site) -> None:
    visitor.expected = ["Trusted", "Content Security Policy", "Security Policy"]
    page = visitor.open(f"{demo.address}index.html")
    for attempt in (
        """document.body.innerHTML = "<b>x</b>" """,
        """document.createElement("img").setAttribute("onerror", "alert(1)")""",
        """document.createElement("script").src = "https://evil.example/x.js" """,
    ):
        outcome = page.evaluate(
            f'() => {{ try {{ {attempt}; return "done"; }} catch (error) {{ return error.name; }} }}'
        )
        assert outcome == "TypeError", attempt
    # and what ran all the same could send nothing away
    refused = page.evaluate(
        """() => new Promise((resolve) => {
          document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
          fetch("https://evil.example/").catch(() => {});
        })"""
    )
    assert refused == "connect-src"


class Page(HTMLParser):
    """What a page loads and says, as its file has it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self.policy = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.addresses += [value for name, value in attrs if name in ("href", "src") and value]
        self.inline += [name for name, _ in attrs if name == "style" or name.startswith("on")]
        if told.get("http-equiv") == "Content-Security-Policy":
            self.policy = told["content"] or ""
        self._inside = tag if tag in ("script", "style") else ""

    def handle_data(self, data: str) -> None:
        if self._inside and data.strip():
            self.inline.append(self._inside)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""


def test_pages_hold_no_script_no_style_and_one_strict_policy(demo: Site) -> None:
    policies = set()
    for path in sorted(demo.folder.glob("*.html")):
        page = Page(path.read_text(encoding="utf-8"))
        assert page.inline == [], path.name
        for address in page.addresses:
            assert not re.match(r"[a-z]+:|//|/", address), f"{path.name}: {address} leaves the folder"
        policies.add(page.policy)
    [policy] = policies
    directives = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert {directives[name] for name in ("script-src", "style-src", "connect-src", "font-src")} == {"'self'"}
    assert {directives[name] for name in ("base-uri", "form-action", "trusted-types")} == {"'none'"}
    assert "unsafe" not in policy


def static_files(site: Site) -> set[str]:
    return {path.relative_to(site.folder).as_posix() for path in site.folder.rglob("*") if path.is_file()}


def test_every_link_leads_somewhere(visitor: Visitor, demo: Site) -> None:
    """From the overview on: each page that is linked to is there, and shows what it is asked for."""
    files = static_files(demo)
    waiting, seen, outside = ["index.html"], set(), set()
    page = visitor.open(f"{demo.address}index.html")
    while waiting:
        path = waiting.pop()
        name = path.partition("?")[0]
        if path in seen:
            continue
        seen.add(path)
        assert name in files, f"{path} is linked to, and is not there"
        # of sessions, subjects and views of the list one or two tell for all
        if not name.endswith(".html") or sum(one.startswith(name) for one in seen) > 3:
            continue
        page.goto(demo.address + path)
        drawn(page)
        assert not page.locator("h1").inner_text().startswith("No "), path
        for address in addresses(page):
            if address.startswith(demo.address):
                waiting.append(address[len(demo.address) :].partition("#")[0])
            else:
                outside.add(urllib.parse.urlsplit(address).hostname)
    assert {"sessions.html", "feed.atom", "sessions.jsonl"} <= seen
    assert outside <= {
        "github.com",
        "codeocean.allenneuraldynamics.org",
        "console.aws.amazonaws.com",
        "console.aws.amazon.com",
    }


def test_modules_and_styles_that_files_name_are_there(demo: Site) -> None:
    files = static_files(demo)
    named = set()
    for path in demo.folder.rglob("*.js"):
        folder = path.relative_to(demo.folder).parent
        for found in re.findall(r'from "(\.{1,2}/[^"]+)"', path.read_text(encoding="utf-8")):
            named.add(_joined(folder, found))
    for path in demo.folder.glob("*.html"):
        named |= {
            address for address in Page(path.read_text(encoding="utf-8")).addresses if address.startswith("static/")
        }
    assert named <= files
    unused = {name for name in files if name.startswith("static/") and name.endswith((".js", ".css"))} - named
    assert not unused


def test_pages_name_all_their_modules_at_once(demo: Site) -> None:
    """What a module imports is found only when the module has come: each further step is a round trip."""
    for path in demo.folder.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        [page] = re.findall(r'<script type="module" src="([^"]+)">', text)
        waiting, needed = [page], set()
        while waiting:
            module = Path(waiting.pop())
            for found in re.findall(r'from "(\.{1,2}/[^"]+)"', (demo.folder / module).read_text(encoding="utf-8")):
                name = _joined(module.parent, found)
                if name not in needed:
                    needed.add(name)
                    waiting.append(name)
        assert set(re.findall(r'<link rel="modulepreload" href="([^"]+)">', text)) == needed, path.name


def _joined(folder: Path, relative: str) -> str:
    return urllib.parse.urlsplit(urllib.parse.urljoin(f"http://a/{folder.as_posix()}/", relative)).path[1:]


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("index.html", "overview.json"),
        ("processing.html", "processing.json"),
        ("sessions.html", "sessions.json"),
        ("subject.html?id=901001", "subjects/901001.json"),
    ],
)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "404|State has no"),
        ("{", "no whole JSON"),
        ('{"format": 2}', "format 2"),
    ],
    ids=["missing", "damaged", "newer"],
)
def test_data_that_cannot_be_read(
    visitor: Visitor, own: Site, path: str, data: str, content: str | None, said: str
) -> None:
    visitor.expected = ["status of 404"]
    file = own.folder / "data" / data
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    page = visitor.open(own.address + path)
    notice = page.locator(".notice").inner_text()
    assert re.search(said, notice)


def test_without_network(visitor: Visitor, own: Site) -> None:
    visitor.expected = ["ERR_FAILED", "preload"]
    page = visitor.open(f"{own.address}404.html")
    page.route("**/data/*", lambda route: route.abort())
    page.goto(f"{own.address}sessions.html")
    notice = page.get_by_role("alert")
    notice.wait_for()
    assert "could not be fetched" in notice.inner_text()
    assert "npc-lims site serve" in notice.inner_text()


def test_without_modules_the_page_says_why(visitor: Visitor, demo: Site, browser: Any) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{demo.address}index.html")
    page.get_by_text("it needs JavaScript").wait_for()
    context.close()


def test_a_lost_address(visitor: Visitor, demo: Site) -> None:
    visitor.expected = ["status of 404"]
    page = visitor.open(f"{demo.address}nothing-here")
    assert page.locator("h1").inner_text() == "There is no such page"
    page.get_by_role("link", name="list of sessions").click()
    page.wait_for_url("**/sessions.html")


def test_a_lost_address_below_folders(visitor: Visitor, demo_repository: Path, tmp_path: Path) -> None:
    """GitHub Pages shows 404.html for an address of any depth: all that it loads and leads to is at the top."""
    visitor.expected = ["status of 404"]
    build(demo_repository / "state", tmp_path / "site", base_url="https://example.org/")
    with served(tmp_path / "site") as site:
        page = visitor.open(f"{site.address}sessions/626791/nothing")
        assert page.locator(".top").evaluate("top => getComputedStyle(top).display") == "flex"
        page.locator("#find").fill("probe")
        page.locator("#find").press("Enter")
        page.wait_for_url(f"{site.address}sessions.html?q=probe")


def test_what_is_vendored_is_named_with_its_digest(demo: Site) -> None:
    """Nothing stands in vendor/ that VENDORED.json does not name: version, source, licence and SHA-256."""
    import hashlib

    folder = demo.folder / "static" / "vendor"
    named = json.loads((folder / "VENDORED.json").read_text(encoding="utf-8"))["files"]
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert present - {"VENDORED.json"} == set(named)
    for name, about in named.items():
        assert set(about) == {"version", "source", "licence", "sha256"}, name
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == about["sha256"], name
