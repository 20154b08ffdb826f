"""The HTML pages of the site: one frame, `static/frame.html`, filled in for each. They are the same for every state."""

from __future__ import annotations

import dataclasses
import posixpath
import re
import string
from collections.abc import Iterator, Mapping

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
_NAVIGATION = {"index.html": "Overview", "sessions.html": "Sessions"}
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
    "subject.html": Page("Subject", "subject", ("session",)),
    "session.html": Page("Session", "session", ("session",)),
    "404.html": Page("No such page", "missing", heading="There is no such page", text=_MISSING),
}


def render_page(name: str, static: Mapping[str, bytes]) -> bytes:
    """Return the page of that file name, given the files of `static/` by their paths in it."""
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


def _imports(module: str, static: Mapping[str, bytes]) -> Iterator[str]:
    """Return all modules that *module* imports: each one that a page does not preload costs a round trip."""
    for relative in _IMPORT.findall(static[module]):
        name = posixpath.normpath(posixpath.join(posixpath.dirname(module), relative.decode()))
        yield name
        yield from _imports(name, static)
