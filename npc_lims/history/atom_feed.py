"""Changes as an Atom feed (RFC 4287): an entry for each commit that changed sessions. Pure."""

from __future__ import annotations

import itertools
import re
import urllib.parse
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from npc_lims.history.transitions import RECORDED, Transition
from npc_lims.state.diff import SessionChange, grouped, headline
from npc_lims.state.revision import Commit
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
    """Render the feed, the newest commit first.

    Args:
        transitions: The oldest first, as of `read_history`. Only those in the feed are kept in memory.
        repository: `OWNER/NAME`, part of the title and of the ids of entries; None if it has no name.
        base: URL of the site, if there is one, for links to sessions and to the feed.
        address_of: Return the URL of a commit.
        entries: Maximum number of commits, the last ones.
    """
    site = None if base is None else base.rstrip("/")
    rendered: deque[tuple[str, str]] = deque(maxlen=entries)
    for _, members in itertools.groupby(transitions, key=lambda one: one.commit.sha):
        of_commit = list(members)
        commit, changes = of_commit[0].commit, [one.change for one in of_commit]
        rendered.append((commit.when, "".join(_entry(commit, changes, repository, site, address_of(commit.sha)))))
    # by their dates: readers show the clock of whoever committed
    updated = max((when for when, _ in rendered), default=_NEVER)
    parts = [
        '<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">\n',
        f"<id>{_id(repository, 'feed')}</id>\n",
        f"<title>{_text(f'Sessions of {repository}' if repository else 'Sessions')}</title>\n",
        f"<updated>{updated}</updated>\n",
        "<author><name>npc-lims</name></author>\n",
        *([_link("self", f"{site}/{FEED}"), _link("alternate", f"{site}/")] if site else []),
        *(entry for _, entry in reversed(rendered)),
        "</feed>\n",
    ]
    return "".join(parts).encode()


def _entry(
    commit: Commit, changes: Sequence[SessionChange], repository: str | None, site: str | None, address: str | None
) -> Iterator[str]:
    yield "<entry>\n"
    yield f"<id>{_id(repository, commit.sha)}</id>\n"
    yield f"<title>{_text(headline(changes))}</title>\n"
    yield f"<updated>{commit.when}</updated>\n"
    yield f"<author><name>{_text(commit.author or 'unknown')}</name></author>\n"
    if address:
        yield _link("alternate", address)
    if commit.run:
        yield _link("related", commit.run)
    # escaped twice: as HTML, and as the text of an element
    yield f'<content type="html">{_text("".join(_html(changes, site)))}</content>\n'
    yield "</entry>\n"


def _html(changes: Sequence[SessionChange], site: str | None) -> Iterator[str]:
    if any(RECORDED in change.what for change in changes):
        yield f"<p>{counted(len(changes), 'session')}, which may be older</p>"
        return
    for name, members in grouped(changes).items():
        yield f"<h3>{len(members):,} {escape(name)}</h3><ul>"
        for change in members[:_LISTED]:
            words = "; ".join([", ".join(change.what), *change.details])
            yield f"<li>{_session(change.id, site)}: {escape(words)}</li>"
        if len(members) > _LISTED:
            yield f"<li>and {counted(len(members) - _LISTED, 'more session')}</li>"
        yield "</ul>"


def _session(session: str, site: str | None) -> str:
    if site is None:
        return escape(session)
    return f"<a href={quoteattr(f'{site}/session.html?id={urllib.parse.quote(session)}')}>{escape(session)}</a>"


def _link(relation: str, address: str) -> str:
    return f'<link rel="{relation}" href={quoteattr(_possible(address))}/>\n'


def _id(repository: str | None, name: str) -> str:
    """The same for ever, wherever the site is."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"https://github.com/{repository or ''}/commit/{name}").urn


def _text(text: str) -> str:
    return escape(_possible(text))


def _possible(text: str) -> str:
    return _IMPOSSIBLE.sub("\ufffd", text)
