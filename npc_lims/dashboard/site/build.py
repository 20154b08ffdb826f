"""Makes the site: the pages as they are, and the files that they fetch."""

from __future__ import annotations

import dataclasses
import datetime
import html
import importlib.resources
import itertools
import re
import urllib.parse
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional

import npc_lims
from npc_lims.config.environment import TRACKED_FILE
from npc_lims.dashboard.attention import find_issues
from npc_lims.dashboard.site import data
from npc_lims.dashboard.site.folder import replaced
from npc_lims.dashboard.site.gather import Checkout, Known, gather
from npc_lims.dashboard.site.pages import FRAME, PAGES, render_page
from npc_lims.errors import NpcLimsError
from npc_lims.history.atom_feed import ENTRIES, FEED, render_feed
from npc_lims.history.walk import read_history
from npc_lims.model.session_id import subject_of
from npc_lims.state.snapshot import SNAPSHOT
from npc_lims.state.sync_file import SYNC_FILE
from npc_lims.utils.timestamps import utc_text
from npc_lims.utils.urls import Links

if TYPE_CHECKING:
    from importlib.abc import Traversable

    from npc_lims.config.settings import Settings
    from npc_lims.history.transitions import Transition

__all__ = ["Built", "Progress", "SiteOptions", "build_site"]

Progress = Callable[[str, int, Optional[int]], None]
"""What is being done, how much of it is done, and of how much."""

RECENT = 100
"""Events that the overview lists."""


@dataclasses.dataclass(frozen=True)
class SiteOptions:
    """What is to be built.

    Attributes:
        out: The folder that becomes the site. It must be new, empty, or a site.
        state: The state folder.
        repository: `OWNER/NAME` on GitHub that links go to; None for that of the settings, unless the state is in a
            checkout that was never pushed anywhere: then there are no such links.
        with_history: Read the commits of the checkout that the state folder is in, if it is in one.
        base_url: Address that the site will have; None if it is not known.
    """

    out: Path
    state: Path
    repository: str | None = None
    with_history: bool = True
    base_url: str | None = None


@dataclasses.dataclass(frozen=True)
class Built:
    """What was made.

    Attributes:
        sessions: How many it shows.
        events: How many events of its history, None if it was built without.
        files: How many files it has.
        size: Their bytes together.
        is_shallow: The checkout does not have all commits, so the history begins late.
        no_checkout: Why no history could be read, in git's words; None if it was read, or not wanted.
    """

    folder: Path
    sessions: int
    events: int | None
    files: int
    size: int
    is_shallow: bool = False
    no_checkout: str | None = None


@dataclasses.dataclass
class _Story:
    """The history as the pages have it, taken down as it is read: there may be many transitions.

    Attributes:
        timelines: Session id to its events, the oldest first.
        recent: The last events of all. That a session was there when the history begins is none.
        feed: What the last commits did, for the feed.
    """

    links: Links
    timelines: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)
    recent: deque[dict[str, Any]] = dataclasses.field(default_factory=lambda: deque(maxlen=RECENT))
    feed: deque[list[Transition]] = dataclasses.field(default_factory=lambda: deque(maxlen=ENTRIES))

    def taken_down(self, transitions: Iterable[Transition]) -> Iterator[Transition]:
        """The same transitions."""
        for transition in transitions:
            if not self.feed or self.feed[-1][0].commit.sha != transition.commit.sha:
                self.feed.append([])
            self.feed[-1].append(transition)
            told = data.event(transition, self.links)
            self.timelines.setdefault(transition.session, []).append(told)
            if not transition.is_first:
                self.recent.append(data.recent_event(transition.session, told))
            yield transition


def build_site(
    settings: Settings, options: SiteOptions, now: datetime.datetime, progress: Progress | None = None
) -> Built:
    """Write the site. Whatever fails, the folder holds the site of before, or none.

    Raises:
        NpcLimsError: The place is taken by something else than a site.
        StateError: A file of the state folder is missing or damaged.
        GitError: The history could not be read.
    """
    tell = progress or _tell_nobody
    out, state = options.out.resolve(), options.state.resolve()
    if state in out.parents or out in state.parents:
        raise NpcLimsError(f"{options.out} is in the state folder {options.state}, or holds it: name another folder")
    with replaced(options.out) as folder:
        tell("reading state", 0, None)
        known = gather(options.state)
        events = _write(folder, known, settings, options, now, tell)
        written = [path for path in folder.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in written)
    is_shallow = events is not None and known.checkout is not None and known.checkout.is_shallow
    no_checkout = known.no_checkout if options.with_history else None
    return Built(options.out, len(known.records), events, len(written), size, is_shallow, no_checkout)


def _tell_nobody(what: str, done: int, total: int | None) -> None: ...


def _write(
    folder: Path, known: Known, settings: Settings, options: SiteOptions, now: datetime.datetime, tell: Progress
) -> int | None:
    """Everything; how many events there are, if the history was read."""
    made = utc_text(now)
    checkout = known.checkout if options.with_history else None
    commit = None if checkout is None else checkout.commit
    story = _Story(_links(known, settings, options))
    problems = () if known.tracked is None else known.tracked.problems
    transitions = story.taken_down(_transitions(checkout, tell))
    found = find_issues(known.records, known.sync_file, known.runs, problems, transitions, now, story.links)
    tell("writing", 0, None)
    _copy_static(folder, options.base_url)
    (folder / ".nojekyll").write_bytes(b"")
    (folder / SNAPSHOT).write_bytes(known.snapshot)
    if known.sync_content:
        (folder / SYNC_FILE).write_bytes(known.sync_content)
    (folder / FEED).write_bytes(_feed(story, options.base_url))  # always: every page links to it
    overview = {
        "format": data.FORMAT,
        "made": made,
        "version": npc_lims.__version__,
        "repository": story.links.repository,
        "branch": story.links.branch,
        "commit": commit,
        "commit_url": story.links.commit(commit),
        "history_begins": min((timeline[0]["when"] for timeline in story.timelines.values()), default=None),
        "shallow": checkout is not None and checkout.is_shallow,
        "sources": data.sources_part(known.sync_file, now),
        **data.overview_part(known.records),
        "attention": data.attention_part(found),
        "recent": list(story.recent)[::-1],
    }
    _write_json(folder / "data" / "overview.json", overview)
    _write_json(folder / "data" / "sessions.json", data.sessions_file(known.records, made))
    _write_subjects(folder / "data" / "subjects", known, story, made, tell)
    return None if commit is None else sum(map(len, story.timelines.values()))


def _links(known: Known, settings: Settings, options: SiteOptions) -> Links:
    checkout = known.checkout
    is_published = checkout is None or checkout.is_published
    tracked = TRACKED_FILE if checkout is None else checkout.tracked
    return Links(
        repository=options.repository or (settings.repo if is_published else None),
        branch=settings.ref,
        tracked=None if known.tracked is None else tracked,
        state="state" if checkout is None else checkout.state,
        codeocean=settings.codeocean_domain,
        codeocean_bucket=settings.codeocean_bucket,
    )


def _transitions(checkout: Checkout | None, tell: Progress) -> Iterator[Transition]:
    if checkout is None or checkout.commit is None:
        return

    def progress(done: int, total: int) -> None:
        tell("reading history", done, total)

    yield from read_history(checkout.repository, ref=checkout.commit, folder=checkout.state, progress=progress)


def _feed(story: _Story, base_url: str | None) -> bytes:
    links = story.links
    transitions = itertools.chain.from_iterable(story.feed)
    return render_feed(transitions, links.repository, base=base_url, address_of=links.commit)


def _write_subjects(folder: Path, known: Known, story: _Story, made: str, tell: Progress) -> None:
    lines = {} if known.tracked is None else known.tracked.lines
    subjects: dict[str, list[Mapping[str, Any]]] = {}
    for record in known.records:
        subjects.setdefault(subject_of(record["id"]), []).append(record)
    for done, (subject, records) in enumerate(subjects.items()):
        tell("writing subjects", done, len(subjects))
        sessions = [
            data.session_part(record, story.links, lines.get(record["id"]), story.timelines.get(record["id"], [])[::-1])
            for record in records
        ]
        content = {"format": data.FORMAT, "made": made, "subject": subject, "sessions": sessions}
        _write_json(folder / f"{subject}.json", content)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.as_json(content))


def _copy_static(folder: Path, base_url: str | None) -> None:
    """Write the pages to the top, where their addresses are short, and what they load below `static/`."""
    static = dict(_files(importlib.resources.files("npc_lims.dashboard.site").joinpath("static"), ""))
    for name in PAGES:
        page = render_page(name, static)
        (folder / name).write_bytes(_rooted(page, base_url) if name == "404.html" and base_url else page)
    for name, content in static.items():
        if name != FRAME:
            path = folder / "static" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _rooted(page: bytes, base_url: str) -> bytes:
    """The page with addresses from the root of the host: for a deep one that leads nowhere it is shown as it is."""
    root = html.escape(urllib.parse.urlsplit(base_url).path.rstrip("/")).encode() + b"/"
    return re.sub(rb'(?:href|src)="(?=\w)', lambda found: found.group() + root, page)


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Everything in a folder of the package, which may be in a zip."""
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry.read_bytes()
