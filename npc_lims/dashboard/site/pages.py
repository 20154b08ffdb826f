"""Pages of the site, and what they load: the same for every state. A page is `static/frame.html`, filled in.

Its module in `static/pages/` builds its content in the browser.
"""

from __future__ import annotations

import dataclasses
import html
import importlib.resources
import posixpath
import re
import string
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from npc_lims.dashboard.site.image import IMAGE, SIZE

if TYPE_CHECKING:
    from importlib.abc import Traversable

FRAME = "frame.html"

_LOADING = (
    "Loading. If this stays, the page could not run: it needs JavaScript, and to come from a web server "
    "(<code>npc-lims site serve</code>), not from a file."
)
_MISSING = (
    'The address may be mistyped, or the page may have gone. Everything is reached from the <a href="index.html">'
    'overview</a> and the <a href="sessions.html">list of sessions</a>.'
)
_SEARCH = """\
<form class="find" id="find-form" role="search">
        <label class="hidden" for="find">Find a session or a subject</label>
        <input id="find" type="search" placeholder="Session, subject or words" autocomplete="off" spellcheck="false">
      </form>"""
_NAVIGATION = {"index.html": "Overview", "sessions.html": "Sessions", "processing.html": "Processing"}
_IMPORT = re.compile(rb'from "(\.{1,2}/[^"]+)"')


@dataclasses.dataclass(frozen=True)
class Page:
    """One page: its title, module in `static/pages`, extra style sheets, and the file in `data/` that it fetches."""

    title: str
    script: str
    styles: tuple[str, ...] = ()
    data: str = ""
    heading: str = ""
    text: str = _LOADING


PAGES = {
    "index.html": Page("Overview", "overview", ("overview",), "overview.json", "Neuropixels sessions"),
    "sessions.html": Page("Sessions", "sessions", ("sessions",), "sessions.json"),
    "processing.html": Page("Processing", "processing", ("runs", "processing"), "processing.json"),
    "subject.html": Page("Subject", "subject", ("session",)),
    "session.html": Page("Session", "session", ("runs", "session")),
    "404.html": Page("No such page", "missing", heading="There is no such page", text=_MISSING),
}


def static_files(base_url: str | None, *, has_image: bool) -> Iterator[tuple[str, bytes]]:
    """Yield the pages, at the top, where their URLs are short; and what they load, in `static/`.

    They name the picture of the site if there is one, and an absolute URL for it: previews take no other.
    """
    static = dict(_files(importlib.resources.files("npc_lims.dashboard.site").joinpath("static"), ""))
    yield ".nojekyll", b""
    for name in PAGES:
        page = render_page(name, static, base_url if has_image else None)
        yield name, _rooted(page, base_url) if name == "404.html" and base_url else page
    for name, content in static.items():
        if name != FRAME:
            yield f"static/{name}", content


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Yield all files in a folder of the package, which may be in a zip."""
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry.read_bytes()


def _rooted(page: bytes, base_url: str) -> bytes:
    """Return the page with URLs from the root of the host: it is shown for missing pages at any depth."""
    root = html.escape(urllib.parse.urlsplit(base_url).path.rstrip("/")).encode() + b"/"
    return re.sub(rb'(?:href|src)="(?=\w)', lambda found: found.group() + root, page)


def render_page(name: str, static: Mapping[str, bytes], image_base: str | None = None) -> bytes:
    """Return the page of that file name, given the files of `static/` by their paths in it.

    *image_base* is the URL of the site whose picture previews show.
    """
    page = PAGES[name]
    styles = [f'<link rel="stylesheet" href="static/{style}.css">' for style in ("theme", "site", *page.styles)]
    modules = sorted(set(_imports(f"pages/{page.script}.js", static)))
    preloads = [f'<link rel="modulepreload" href="static/{module}">' for module in modules]
    if page.data:
        preloads.append(f'<link rel="preload" href="data/{page.data}" as="fetch" crossorigin="anonymous">')
    current = {name: ' aria-current="page"'}
    links = [f'<li><a href="{target}"{current.get(target, "")}>{text}</a></li>' for target, text in _NAVIGATION.items()]
    is_list = page.script == "sessions"  # which has a search field of its own
    frame = string.Template(static[FRAME].decode())
    filled = frame.substitute(
        title=page.title,
        image="\n    ".join(_image_tags(image_base)),
        styles="\n    ".join(styles),
        preloads="\n    ".join(preloads),
        script=page.script,
        navigation="\n          ".join(links),
        search="" if is_list else _SEARCH,
        heading=page.heading or page.title,
        content_class=' class="listing"' if is_list else "",
        text_class=' class="loading"' if page.text == _LOADING else "",
        text=page.text,
    )
    return filled.encode()


def _image_tags(base_url: str | None) -> Iterator[str]:
    if base_url is not None:
        width, height = SIZE
        yield f'<meta property="og:image" content="{html.escape(base_url.rstrip("/"))}/{IMAGE}">'
        yield f'<meta property="og:image:width" content="{width}">'
        yield f'<meta property="og:image:height" content="{height}">'
        yield '<meta property="og:image:alt" content="Totals, and progress in the pipeline">'
        yield '<meta name="twitter:card" content="summary_large_image">'


def _imports(module: str, static: Mapping[str, bytes]) -> Iterator[str]:
    """Return all modules that *module* imports: each one that a page does not preload costs a round trip."""
    for relative in _IMPORT.findall(static[module]):
        name = posixpath.normpath(posixpath.join(posixpath.dirname(module), relative.decode()))
        yield name
        yield from _imports(name, static)
