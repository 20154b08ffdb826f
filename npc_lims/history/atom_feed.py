"""Changes as an Atom feed (RFC 4287): an entry for each commit that changed sessions. Pure."""

from __future__ import annotations

import html
import itertools
import re
import urllib.parse
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from xml.etree import ElementTree

from npc_lims.history.transitions import RECORDED, Transition
from npc_lims.state.diff import SessionChange, by_group, headline
from npc_lims.utils.text import counted

FEED = "feed.atom"
"""Its file name in the site."""
ENTRIES = 100
"""Default number of commits."""

_LISTED = 50
_NEVER = "1970-01-01T00:00:00Z"
# what XML 1.0 cannot hold, not even as a reference
_IMPOSSIBLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_feed(
    transitions: Iterable[Transition],
    repository: str | None,
    *,
    base: str | None = None,
    address_of: Callable[[str], str | None] = lambda sha: None,
    entries: int = ENTRIES,
) -> bytes:
    """Render the feed of *transitions*, which come the oldest first, with the newest commit first.

    *repository* (`OWNER/NAME`) is part of the title and of ids; *base* is the URL of the site, for links.
    """
    site = None if base is None else base.rstrip("/")
    by_commit = itertools.groupby(transitions, key=lambda one: one.commit)
    last = deque(((commit, [one.change for one in members]) for commit, members in by_commit), maxlen=entries)
    feed = ElementTree.Element("feed", xmlns="http://www.w3.org/2005/Atom")
    _add(feed, "id", _id(repository, "feed"))
    _add(feed, "title", f"Sessions of {repository}" if repository else "Sessions")
    # by their dates: readers show the clock of whoever committed
    _add(feed, "updated", max((commit.when for commit, _ in last), default=_NEVER))
    _add(_add(feed, "author"), "name", "npc-lims")
    if site:
        _add(feed, "link", rel="self", href=f"{site}/{FEED}")
        _add(feed, "link", rel="alternate", href=f"{site}/")
    for commit, changes in reversed(last):
        entry = _add(feed, "entry")
        _add(entry, "id", _id(repository, commit.sha))
        _add(entry, "title", headline(changes))
        _add(entry, "updated", commit.when)
        _add(_add(entry, "author"), "name", commit.author or "unknown")
        address = address_of(commit.sha)
        if address:
            _add(entry, "link", rel="alternate", href=address)
        if commit.run:
            _add(entry, "link", rel="related", href=commit.run)
        _add(entry, "content", "".join(_html(changes, site)), type="html")
    ElementTree.indent(feed, "")
    document: bytes = ElementTree.tostring(feed, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _add(parent: ElementTree.Element, tag: str, text: str = "", **attributes: str) -> ElementTree.Element:
    possible = {name: _IMPOSSIBLE.sub("\ufffd", value) for name, value in attributes.items()}
    element = ElementTree.SubElement(parent, tag, possible)
    element.text = _IMPOSSIBLE.sub("\ufffd", text) or None
    return element


def _html(changes: Sequence[SessionChange], site: str | None) -> Iterator[str]:
    if any(RECORDED in change.what for change in changes):
        yield f"<p>{counted(len(changes), 'session')}, which may be older</p>"
        return
    for name, members in by_group(changes).items():
        yield f"<h3>{len(members):,} {html.escape(name)}</h3><ul>"
        for change in members[:_LISTED]:
            words = "; ".join([", ".join(change.what), *change.details])
            yield f"<li>{_session(change.id, site)}: {html.escape(words, quote=False)}</li>"
        if len(members) > _LISTED:
            yield f"<li>and {counted(len(members) - _LISTED, 'more session')}</li>"
        yield "</ul>"


def _session(session: str, site: str | None) -> str:
    name = html.escape(session)
    if site is None:
        return name
    address = html.escape(f"{site}/session.html?id={urllib.parse.quote(session)}")
    return f'<a href="{address}">{name}</a>'


def _id(repository: str | None, name: str) -> str:
    """The same for ever, wherever the site is."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"https://github.com/{repository or ''}/commit/{name}").urn
