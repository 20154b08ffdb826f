"""Build the site: read a state folder and what lies beside it; write the pages, and the data files that they fetch."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Callable, Optional

import npc_lims
from npc_lims.clients.git import Repository, find_repository, repository_on_github
from npc_lims.config.settings import TRACKED_FILE, Settings
from npc_lims.dashboard.attention import Finding, find_issues
from npc_lims.dashboard.past import Past
from npc_lims.dashboard.processing import read_processing, results_of
from npc_lims.dashboard.site import data
from npc_lims.dashboard.site.image import IMAGE, can_draw, draw_overview
from npc_lims.dashboard.site.pages import static_files
from npc_lims.dashboard.site.processing import processing_part, session_processing
from npc_lims.errors import GitError, NpcLimsError, StateError
from npc_lims.history.atom_feed import RecentCommits, project_feed, render_feed, subject_feed
from npc_lims.history.transitions import Transition
from npc_lims.history.walk import read_history
from npc_lims.model.sections import SOURCES
from npc_lims.model.session_id import subject_of
from npc_lims.sessions.unlisted import count_unlisted, describe_unlisted
from npc_lims.state.freshness import SYNC_FILE, SyncCopy
from npc_lims.state.snapshot import SNAPSHOT, checked_lines, parse_line
from npc_lims.state.sync_file import read_sync_file
from npc_lims.state.unlisted import load_unlisted
from npc_lims.track.compare import decode_tracked
from npc_lims.utils.atomic_write import replacing
from npc_lims.utils.mappings import grouped
from npc_lims.utils.timestamps import utc_text
from npc_lims.utils.urls import Links

Progress = Callable[[str, int, Optional[int]], None]
"""Called with what is being done, how much of it is done, and of how much."""

RECENT = 100
"""Number of events in the overview."""
MARKS = ("sessions.jsonl", "data/overview.json")
"""Files of every site, which hardly any other folder has."""


@dataclasses.dataclass(frozen=True)
class SiteOptions:
    out: Path
    """The folder that becomes the site: new, empty, or a site."""
    state: Path
    repository: str | None = None
    """`OWNER/NAME` on GitHub for links; None for NPC_LIMS_REPO if it is set, else for that of a remote."""
    with_history: bool = True
    """Read the commits of the checkout that holds the state folder, if there is one."""
    base_url: str | None = None


@dataclasses.dataclass(frozen=True)
class BuiltSite:
    """A site that was built, and counts."""

    folder: Path
    sessions: int
    events: int | None
    """None without history."""
    files: int
    size: int
    """Bytes of all files."""
    is_shallow: bool = False
    no_checkout: str | None = None
    """Message of git if history could not be read."""
    has_image: bool = True
    """False if Pillow is not installed, which draws the preview of links to the site."""


class _Inputs:
    """The inputs of a site, apart from the history; records are plain data, the newest first."""

    def __init__(self, options: SiteOptions, now: datetime.datetime) -> None:
        state = options.state
        if not state.is_dir():
            raise StateError(f"there is no state folder {state}: check --state, or run npc-lims sync")
        path, tracked = state / SNAPSHOT, state.absolute().parent / TRACKED_FILE
        try:
            self.snapshot = path.read_bytes()
            self.records = [parse_line(line) for line in checked_lines(self.snapshot)]
        except FileNotFoundError:
            raise StateError(f"{path}: missing; run npc-lims sync to make it") from None
        except ValueError as error:
            raise StateError(f"{path}: {error}; run npc-lims sync to regenerate it") from None
        self.sync_copy = SyncCopy.of_folder(state).load()
        self.sync_file = read_sync_file(state)
        self.processing = read_processing(state, self.records, now)
        assets = load_unlisted(state)
        self.unlisted = None if assets is None else describe_unlisted(assets, self.records)
        self.tracked = decode_tracked(tracked.read_bytes(), TRACKED_FILE) if tracked.is_file() else None
        self.repository: Repository | None = None
        self.no_checkout: str | None = None
        try:
            self.repository = find_repository(state)
        except GitError as error:
            self.no_checkout = str(error)
        self.commit = self.repository.find_commit("HEAD") if self.repository and options.with_history else None
        self.is_shallow = self.repository is not None and self.commit is not None and self.repository.is_shallow()


@dataclasses.dataclass
class _SiteHistory:
    """The history for the pages, collected while the transitions are read, of which there may be many."""

    links: Links
    past: Past
    timelines: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)
    """Session id to its events, the oldest first."""
    recent: deque[dict[str, Any]] = dataclasses.field(default_factory=lambda: deque(maxlen=RECENT))
    feeds: RecentCommits = dataclasses.field(default_factory=RecentCommits)

    def collect(self, transitions: Iterable[Transition]) -> None:
        for transition in transitions:
            self.past.add(transition)
            self.feeds.add(transition)
            event = data.event(transition, self.links)
            self.timelines.setdefault(transition.session, []).append(event)
            if not transition.is_first:
                self.recent.append(data.recent_event(transition.session, event))


def is_site(folder: Path) -> bool:
    return all((folder / mark).is_file() for mark in MARKS)


@contextlib.contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Yield a new folder, which then replaces *folder*, if that is a site. If anything fails, *folder* is unchanged."""
    folder = folder.resolve()
    with replacing(folder, lambda: _check_replaceable(folder)) as new:
        new.mkdir()
        yield new


def _check_replaceable(folder: Path) -> None:
    here = Path.cwd().resolve()
    if folder in (here, *here.parents):
        raise NpcLimsError(f"{folder} is the working directory, or above it: name another folder")
    if not folder.exists() or (folder.is_dir() and (is_site(folder) or not any(folder.iterdir()))):
        return
    what = "a folder with other things than a site" if folder.is_dir() else "a file"
    raise NpcLimsError(
        f"{folder} is {what}, and would be replaced: name a new folder, an empty one, or a site made before"
    )


def build_site(
    settings: Settings, options: SiteOptions, now: datetime.datetime, progress: Progress = lambda *_: None
) -> BuiltSite:
    """Build the site. If anything fails, the folder is unchanged."""
    out, state = options.out.resolve(), options.state.resolve()
    if state in out.parents or out in state.parents:
        raise NpcLimsError(f"{options.out} is in the state folder {options.state}, or holds it: name another folder")
    with replaced(options.out) as folder:
        progress("reading state", 0, None)
        inputs = _Inputs(options, now)
        history = _SiteHistory(_links(inputs, settings, options), Past(now))
        history.collect(_read_transitions(inputs, history.links.state, progress))
        history.past.add_runs(itertools.chain.from_iterable(inputs.processing.runs.values()))
        problems = () if inputs.tracked is None else inputs.tracked.problems
        found = find_issues(
            inputs.records,
            inputs.sync_file,
            inputs.processing.runs,
            problems,
            history.past,
            now,
            history.links,
            inputs.unlisted or (),
            results_of(inputs.processing.processes),
        )
        progress("writing", 0, None)
        sizes = []
        files = _data_files(settings, inputs, history, found, options.base_url, now, progress)
        for name, content in itertools.chain(static_files(options.base_url, has_image=can_draw()), files):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            sizes.append(path.write_bytes(content))
    events = None if inputs.commit is None else sum(map(len, history.timelines.values()))
    no_checkout = inputs.no_checkout if options.with_history else None
    counts = (len(inputs.records), events, len(sizes), sum(sizes))
    return BuiltSite(options.out, *counts, inputs.is_shallow, no_checkout, can_draw())


def _links(inputs: _Inputs, settings: Settings, options: SiteOptions) -> Links:
    repository = inputs.repository
    state = "state" if repository is None else repository.path_of(options.state)
    tracked = (PurePosixPath(state).parent / TRACKED_FILE).as_posix()
    return Links(
        repository=options.repository or repository_on_github(settings, options.state),
        branch=settings.ref,
        tracked=None if inputs.tracked is None else tracked,
        state=state,
        codeocean=settings.codeocean_domain,
        codeocean_bucket=settings.codeocean_bucket,
    )


def _read_transitions(inputs: _Inputs, folder: str, progress: Progress) -> Iterable[Transition]:
    if inputs.repository is None or inputs.commit is None:
        return ()
    report = functools.partial(progress, "reading history")
    return read_history(inputs.repository, ref=inputs.commit, folder=folder, progress=report)


def _data_files(
    settings: Settings,
    inputs: _Inputs,
    history: _SiteHistory,
    found: Sequence[Finding],
    base_url: str | None,
    now: datetime.datetime,
    progress: Progress,
) -> Iterator[tuple[str, bytes]]:
    yield SNAPSHOT, inputs.snapshot
    if inputs.sync_copy and inputs.sync_copy.content:
        yield SYNC_FILE, inputs.sync_copy.content
    links, made = history.links, utc_text(now)
    for feed, transitions in history.feeds.items():
        content = render_feed(transitions, links.repository, feed=feed, base=base_url, address_of=links.commit)
        yield feed.path, content
    overview = {
        "format": data.FORMAT,
        "made": made,
        "version": npc_lims.__version__,
        "repository": links.repository,
        "branch": links.branch,
        "commit": inputs.commit,
        "commit_url": links.commit(inputs.commit),
        "history_begins": min((timeline[0]["when"] for timeline in history.timelines.values()), default=None),
        "shallow": inputs.is_shallow,
        "sources": data.sources_part(inputs.sync_file, now),
        **data.overview_part(inputs.records, history.past, now),
        "attention": data.attention_part(found),
        "unlisted": None if inputs.unlisted is None else count_unlisted(inputs.unlisted),
        "recent": list(history.recent)[::-1],
    }
    yield "data/overview.json", data.as_json(overview)
    yield "badge.json", data.as_json(data.badge(overview["totals"]["sessions"], found, made))
    if can_draw():
        yield IMAGE, draw_overview(overview, len(found))
    processing = {"format": data.FORMAT, "made": made, **processing_part(inputs.processing, links)}
    yield "data/processing.json", data.as_json(processing)
    listed = data.sessions_file(inputs.records, history.past, made)
    feeds = {project: project_feed(project) for project in listed["project"]["values"]}
    listed["feeds"] = {project: feed.path for project, feed in feeds.items() if feed in history.feeds}
    yield "data/sessions.json", data.as_json(listed)
    lines = {} if inputs.tracked is None else inputs.tracked.lines
    subjects = grouped((subject_of(record["id"]), record) for record in inputs.records)
    for done, (subject, records) in enumerate(subjects.items()):
        progress("writing subjects", done, len(subjects))
        sessions = [
            {
                **data.session_part(record, settings, links, lines.get(id_), history.timelines.get(id_, [])),
                **session_processing(inputs.processing, id_, links),
            }
            for record in records
            for id_ in [record["id"]]
        ]
        path = feed.path if (feed := subject_feed(subject)) in history.feeds else None
        part = {"format": data.FORMAT, "made": made, "subject": subject, "feed": path, "sessions": sessions}
        part["sources"] = {name: source.label for name, source in SOURCES.items()}
        yield f"data/subjects/{subject}.json", data.as_json(part)
