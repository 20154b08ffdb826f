"""Build the site: its pages, and the data files that they fetch."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
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
from npc_lims.dashboard.site.gather import Checkout, SiteInputs, gather
from npc_lims.dashboard.site.pages import FRAME, PAGES, render_page
from npc_lims.errors import NpcLimsError
from npc_lims.history.atom_feed import ENTRIES, FEED, render_feed
from npc_lims.history.walk import read_history
from npc_lims.model.session_id import subject_of
from npc_lims.state.freshness import SYNC_FILE
from npc_lims.state.snapshot import SNAPSHOT
from npc_lims.utils.atomic_write import replacing
from npc_lims.utils.timestamps import utc_text
from npc_lims.utils.urls import Links

if TYPE_CHECKING:
    from importlib.abc import Traversable

    from npc_lims.config.settings import Settings
    from npc_lims.history.transitions import Transition

Progress = Callable[[str, int, Optional[int]], None]
"""Called with what is being done, how much of it is done, and of how much."""

RECENT = 100
"""Number of events in the overview."""


MARKS = ("sessions.jsonl", "data/overview.json")
"""Files of every site, which hardly any other folder has."""


@dataclasses.dataclass(frozen=True)
class SiteOptions:
    """Options of a build.

    Attributes:
        out: The folder that becomes the site: new, empty, or a site.
        state: The state folder.
        repository: `OWNER/NAME` on GitHub for links; None for that of the settings, or for no links if the checkout was
            never pushed.
        with_history: Read the commits of the checkout that holds the state folder, if there is one.
        base_url: URL of the site; None if unknown.
    """

    out: Path
    state: Path
    repository: str | None = None
    with_history: bool = True
    base_url: str | None = None


@dataclasses.dataclass(frozen=True)
class BuiltSite:
    """A site that was built.

    Attributes:
        sessions: Number of sessions.
        events: Number of events; None without history.
        files: Number of files.
        size: Bytes of all files.
        is_shallow: The checkout lacks commits, so the history begins late.
        no_checkout: Message of git if history could not be read.
    """

    folder: Path
    sessions: int
    events: int | None
    files: int
    size: int
    is_shallow: bool = False
    no_checkout: str | None = None


@dataclasses.dataclass
class _SiteHistory:
    """The history for the pages, collected while the transitions are read, of which there may be many.

    Attributes:
        timelines: Session id to its events, the oldest first.
        recent: The last events; the first state of a session is none.
        feed: Transitions of the last commits.
    """

    links: Links
    timelines: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)
    recent: deque[dict[str, Any]] = dataclasses.field(default_factory=lambda: deque(maxlen=RECENT))
    feed: deque[list[Transition]] = dataclasses.field(default_factory=lambda: deque(maxlen=ENTRIES))

    def collect(self, transitions: Iterable[Transition]) -> Iterator[Transition]:
        """Collect *transitions*, and return them."""
        for transition in transitions:
            if not self.feed or self.feed[-1][0].commit.sha != transition.commit.sha:
                self.feed.append([])
            self.feed[-1].append(transition)
            event = data.event(transition, self.links)
            self.timelines.setdefault(transition.session, []).append(event)
            if not transition.is_first:
                self.recent.append(data.recent_event(transition.session, event))
            yield transition


def is_site(folder: Path) -> bool:
    """Return True for the folder of a site."""
    return all((folder / mark).is_file() for mark in MARKS)


def _check_replaceable(folder: Path) -> None:
    """
    Raises:
        NpcLimsError: The folder has other files than a site, or is the working directory.
    """
    here = Path.cwd().resolve()
    if folder.resolve() in (here, *here.parents):
        raise NpcLimsError(f"{folder} is the working directory, or above it: name another folder")
    if not folder.exists() or (folder.is_dir() and (is_site(folder) or not any(folder.iterdir()))):
        return
    what = "a folder with other things than a site" if folder.is_dir() else "a file"
    raise NpcLimsError(
        f"{folder} is {what}, and would be replaced: name a new folder, an empty one, or a site made before"
    )


@contextlib.contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Yield a new folder, which then replaces *folder*. If anything fails, *folder* is unchanged.

    Raises:
        NpcLimsError: The folder has other files than a site, or is the working directory.
    """
    folder = folder.resolve()
    with replacing(folder, lambda: _check_replaceable(folder)) as new:
        new.mkdir()
        yield new


def build_site(
    settings: Settings, options: SiteOptions, now: datetime.datetime, progress: Progress = lambda *_: None
) -> BuiltSite:
    """Build the site. If anything fails, the folder is unchanged.

    Raises:
        NpcLimsError: The folder has other files than a site.
        StateError: A file of the state folder is missing or damaged.
        GitError: The history could not be read.
    """
    out, state = options.out.resolve(), options.state.resolve()
    if state in out.parents or out in state.parents:
        raise NpcLimsError(f"{options.out} is in the state folder {options.state}, or holds it: name another folder")
    with replaced(options.out) as folder:
        progress("reading state", 0, None)
        inputs = gather(options.state)
        events = _write(folder, inputs, settings, options, now, progress)
        written = [path for path in folder.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in written)
    is_shallow = events is not None and inputs.checkout is not None and inputs.checkout.is_shallow
    no_checkout = inputs.no_checkout if options.with_history else None
    return BuiltSite(options.out, len(inputs.records), events, len(written), size, is_shallow, no_checkout)


def _write(
    folder: Path,
    inputs: SiteInputs,
    settings: Settings,
    options: SiteOptions,
    now: datetime.datetime,
    progress: Progress,
) -> int | None:
    """Write all files, and return the number of events, if the history was read."""
    made = utc_text(now)
    checkout = inputs.checkout if options.with_history else None
    commit = None if checkout is None else checkout.commit
    history = _SiteHistory(_links(inputs, settings, options))
    problems = () if inputs.tracked is None else inputs.tracked.problems
    transitions = history.collect(_transitions(checkout, progress))
    found = find_issues(inputs.records, inputs.sync_file, inputs.runs, problems, transitions, now, history.links)
    progress("writing", 0, None)
    _copy_static(folder, options.base_url)
    (folder / ".nojekyll").write_bytes(b"")
    (folder / SNAPSHOT).write_bytes(inputs.snapshot)
    if inputs.sync_content:
        (folder / SYNC_FILE).write_bytes(inputs.sync_content)
    (folder / FEED).write_bytes(_feed(history, options.base_url))
    overview = {
        "format": data.FORMAT,
        "made": made,
        "version": npc_lims.__version__,
        "repository": history.links.repository,
        "branch": history.links.branch,
        "commit": commit,
        "commit_url": history.links.commit(commit),
        "history_begins": min((timeline[0]["when"] for timeline in history.timelines.values()), default=None),
        "shallow": checkout is not None and checkout.is_shallow,
        "sources": data.sources_part(inputs.sync_file, now),
        **data.overview_part(inputs.records),
        "attention": data.attention_part(found),
        "recent": list(history.recent)[::-1],
    }
    _write_json(folder / "data" / "overview.json", overview)
    _write_json(folder / "data" / "sessions.json", data.sessions_file(inputs.records, made))
    _write_subjects(folder / "data" / "subjects", inputs, history, made, progress)
    return None if commit is None else sum(map(len, history.timelines.values()))


def _links(inputs: SiteInputs, settings: Settings, options: SiteOptions) -> Links:
    checkout = inputs.checkout
    is_published = checkout is None or checkout.is_published
    tracked = TRACKED_FILE if checkout is None else checkout.tracked
    return Links(
        repository=options.repository or (settings.repo if is_published else None),
        branch=settings.ref,
        tracked=None if inputs.tracked is None else tracked,
        state="state" if checkout is None else checkout.state,
        codeocean=settings.codeocean_domain,
        codeocean_bucket=settings.codeocean_bucket,
    )


def _transitions(checkout: Checkout | None, progress: Progress) -> Iterator[Transition]:
    if checkout is None or checkout.commit is None:
        return
    report = functools.partial(progress, "reading history")
    yield from read_history(checkout.repository, ref=checkout.commit, folder=checkout.state, progress=report)


def _feed(history: _SiteHistory, base_url: str | None) -> bytes:
    links = history.links
    transitions = itertools.chain.from_iterable(history.feed)
    return render_feed(transitions, links.repository, base=base_url, address_of=links.commit)


def _write_subjects(folder: Path, inputs: SiteInputs, history: _SiteHistory, made: str, progress: Progress) -> None:
    lines = {} if inputs.tracked is None else inputs.tracked.lines
    subjects: dict[str, list[Mapping[str, Any]]] = {}
    for record in inputs.records:
        subjects.setdefault(subject_of(record["id"]), []).append(record)
    for done, (subject, records) in enumerate(subjects.items()):
        progress("writing subjects", done, len(subjects))
        sessions = [
            data.session_part(
                record, history.links, lines.get(record["id"]), history.timelines.get(record["id"], [])[::-1]
            )
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
    """Return the page with URLs from the root of the host: it is shown for missing pages at any depth."""
    root = html.escape(urllib.parse.urlsplit(base_url).path.rstrip("/")).encode() + b"/"
    return re.sub(rb'(?:href|src)="(?=\w)', lambda found: found.group() + root, page)


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Return all files in a folder of the package, which may be in a zip."""
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}/")
        else:
            yield f"{prefix}{entry.name}", entry.read_bytes()
