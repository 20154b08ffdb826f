"""Changes as Atom feeds (RFC 4287): an entry for each commit that changed sessions. Pure.

The site has a feed of everything, and one for each project and each subject.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import html
import itertools
import re
import urllib.parse
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from xml.etree import ElementTree

from npc_lims.history.transitions import RECORDED, Transition
from npc_lims.model.session_id import subject_of
from npc_lims.state.diff import SessionChange, by_group, headline
from npc_lims.utils.text import counted

_LISTED = 50
_HASHED = re.compile(r"-[0-9a-f]{8}\Z")
_NEVER = "1970-01-01T00:00:00Z"
# what XML 1.0 cannot hold, not even as a reference
_IMPOSSIBLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclasses.dataclass(frozen=True)
class Feed:
    """A feed of the site, which is about some of the sessions."""

    path: str
    """Of its file in the site."""
    name: str = ""
    """What it is about; empty for everything."""
    page: str = ""
    """URL of the page that it belongs to, in the site."""
    entries: int = 100
    """Maximum number of commits."""


ALL_SESSIONS = Feed("feed.atom")


@functools.lru_cache(None)
def project_feed(project: str) -> Feed:
    """Return the feed of a project, whose path is unique whatever the name.

    >>> project_feed("openscope").path, project_feed("Open/Scope").path
    ('feeds/project-openscope.atom', 'feeds/project-open-scope-293d2467.atom')
    """
    slug = re.sub(r"[^a-z0-9]+", "-", project.lower()).strip("-")[:50]
    if slug != project or not slug or _HASHED.search(slug):
        digest = hashlib.sha256(project.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        slug = f"{slug or 'x'}-{digest}"
    query = urllib.parse.quote(project.encode("utf-8", "replace"), "")
    return Feed(f"feeds/project-{slug}.atom", f"Project {project}", f"sessions.html?project={query}", 50)


@functools.lru_cache(None)
def subject_feed(subject: str) -> Feed:
    """Return the feed of a subject."""
    return Feed(f"feeds/subject-{subject}.atom", f"Subject {subject}", f"subject.html?id={subject}", 25)


class RecentCommits:
    """The transitions of the last commits of each feed."""

    def __init__(self) -> None:
        self._commits: dict[Feed, deque[list[Transition]]] = {ALL_SESSIONS: deque(maxlen=ALL_SESSIONS.entries)}

    def add(self, transition: Transition) -> None:
        """Add a transition that is not older than those before."""
        project = () if transition.project is None else (project_feed(transition.project),)
        for feed in (ALL_SESSIONS, *project, subject_feed(subject_of(transition.session))):
            commits = self._commits.setdefault(feed, deque(maxlen=feed.entries))
            if not commits or commits[-1][0].commit.sha != transition.commit.sha:
                commits.append([])
            commits[-1].append(transition)

    def __contains__(self, feed: Feed) -> bool:
        return feed in self._commits

    def items(self) -> Iterator[tuple[Feed, Iterator[Transition]]]:
        """Yield each feed, and its transitions, the oldest first."""
        for feed, commits in self._commits.items():
            yield feed, itertools.chain.from_iterable(commits)


def render_feed(
    transitions: Iterable[Transition],
    repository: str | None,
    *,
    feed: Feed = ALL_SESSIONS,
    base: str | None = None,
    address_of: Callable[[str], str | None] = lambda sha: None,
) -> bytes:
    """Render a feed of *transitions*, which come the oldest first, with the newest commit first.

    *repository* (`OWNER/NAME`) is part of the title and of ids; *base* is the URL of the site, for links.
    """
    site = None if base is None else base.rstrip("/")
    by_commit = itertools.groupby(transitions, key=lambda one: one.commit)
    last = deque(((commit, [one.change for one in members]) for commit, members in by_commit), maxlen=feed.entries)
    title = f"Sessions of {repository}" if repository else "Sessions"
    # entries of two feeds differ, so their ids do
    prefix = "" if feed == ALL_SESSIONS else f"{feed.path}/"
    root = ElementTree.Element("feed", xmlns="http://www.w3.org/2005/Atom")
    _add(root, "id", _id(repository, f"{prefix}feed"))
    _add(root, "title", f"{feed.name}: {title}" if feed.name else title)
    # by their dates: readers show the clock of whoever committed
    _add(root, "updated", max((commit.when for commit, _ in last), default=_NEVER))
    _add(_add(root, "author"), "name", "npc-lims")
    if site:
        _add(root, "link", rel="self", href=f"{site}/{feed.path}")
        _add(root, "link", rel="alternate", href=f"{site}/{feed.page}")
    for commit, changes in reversed(last):
        entry = _add(root, "entry")
        _add(entry, "id", _id(repository, f"{prefix}{commit.sha}"))
        _add(entry, "title", headline(changes))
        _add(entry, "updated", commit.when)
        _add(_add(entry, "author"), "name", commit.author or "unknown")
        address = address_of(commit.sha)
        if address:
            _add(entry, "link", rel="alternate", href=address)
        if commit.run:
            _add(entry, "link", rel="related", href=commit.run)
        _add(entry, "content", "".join(_html(changes, site)), type="html")
    ElementTree.indent(root, "")
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
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
