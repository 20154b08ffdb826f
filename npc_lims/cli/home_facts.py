"""What `npc-lims` alone tells: which state is read, how old it is, what is in it, and what to do next.

Whoever gives no command waits for nothing: a state folder or a kept copy that is young enough answers at once, and
GitHub is asked once, for a few seconds.
"""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from npc_lims.cli.places import checkout
from npc_lims.config.environment import TRACKED_FILE
from npc_lims.dashboard.ages import SourceAge, source_ages
from npc_lims.dashboard.attention import Matter, matters
from npc_lims.dashboard.stalls import STEPS
from npc_lims.dashboard.totals import LABELS, Step, Totals, count_sessions, funnel
from npc_lims.errors import NpcLimsError, RemoteStateError, StateError
from npc_lims.state.reader import Origin, origin_of_state, read_snapshot, sync_entry
from npc_lims.state.snapshot import parse_line
from npc_lims.state.sync_file import SyncFile, parse_sync_file, read_sync_file

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings
    from npc_lims.processing.runs import Run

__all__ = ["Home", "Suggestion", "gather", "recorded_sync"]

# Seconds. Offline, whoever only wants to know where they are should not wait longer.
_TIMEOUT = 3.0
_SUGGESTIONS = 3


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """A command, and what it is good for."""

    command: str
    why: str


_HELP = Suggestion("npc-lims --help", "see all commands")
_FIRST_STEPS = (
    Suggestion("npc-lims demo", "see how all of it works, on sample data: no credentials, no network"),
    Suggestion("npc-lims doctor", "find out which services can be reached, and what to set for the others"),
    _HELP,
)


@dataclasses.dataclass(frozen=True)
class Home:
    """What there is to tell.

    Attributes:
        origin: Where state was read from; None if there is none to read.
        troubles: Why something of it could not be read.
        ages: When each source was last asked; empty if nobody knows.
        totals: Counts of sessions; None without state.
        steps: How far those that are to go all the way got.
        matters: What needs attention, the most important first.
        suggestions: Commands that help from here.
    """

    origin: Optional[Origin]
    troubles: tuple[str, ...]
    ages: tuple[SourceAge, ...] = ()
    totals: Optional[Totals] = None
    steps: tuple[Step, ...] = ()
    matters: tuple[Matter, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        ages = [
            {**dataclasses.asdict(age), "age": None if age.age is None else round(age.age.total_seconds())}
            for age in self.ages
        ]
        origin = None if self.origin is None else dataclasses.asdict(self.origin)
        if origin is not None:
            del origin["source_ages"]  # which are those below
        return {
            "state": origin,
            "troubles": list(self.troubles),
            "sources": ages,
            "totals": None if self.totals is None else dataclasses.asdict(self.totals),
            "steps": [{**dataclasses.asdict(step), "label": step.label} for step in self.steps],
            "attention": [dataclasses.asdict(matter) for matter in self.matters],
            "next": [dataclasses.asdict(suggestion) for suggestion in self.suggestions],
        }


def gather(settings: Settings, now: datetime.datetime) -> Home:
    """Everything, of the state that *settings* name. What cannot be read is among its troubles."""
    hurried = settings.model_copy(update={"timeout": min(settings.timeout, _TIMEOUT), "attempts": 1})
    try:
        snapshot = read_snapshot(hurried, warn_stale=False)
        # of a folder, with its commit; what is published would be asked for a second time
        origin = snapshot.origin if settings.state is None else origin_of_state(hurried)
    except (RemoteStateError, StateError) as error:
        return Home(None, (str(error),), suggestions=_without_state())
    try:
        records = [parse_line(line) for line in snapshot.lines.all]
    except StateError as error:
        # it tells its own remedy: a newer version of state is read by a newer npc_lims, and not made by a sync
        return Home(None, (str(error),), suggestions=_FIRST_STEPS)
    troubles: list[str] = []
    sync_file, runs = SyncFile(), {}
    try:
        sync_file = recorded_sync(hurried, origin)
        runs = {} if settings.state is None else _runs(settings.state)
    except NpcLimsError as error:
        troubles.append(str(error))
    # without the history, which takes longer to read, and the tracked file, which npc-lims validate reads
    told = matters(records, sync_file, runs, (), (), now)
    # of sources of which nobody knows when they were asked, nobody knows that they are late either
    found = tuple(matter for matter in told if matter.kind != "late" or sync_file.sources)
    ages = tuple(source_ages(sync_file, now)) if sync_file.sources else ()
    steps = tuple(funnel(records))
    suggestions = _with_state(settings, origin, records, found, steps)
    return Home(origin, tuple(troubles), ages, count_sessions(records), steps, found, suggestions)


def recorded_sync(settings: Settings, origin: Origin) -> SyncFile:
    """When sources were queried: of the folder, else as published, cached as long as the snapshot is."""
    if settings.state is not None:
        return read_sync_file(settings.state)
    entry = sync_entry(settings, origin, settings.ttl)
    return SyncFile() if entry is None or not entry.content else parse_sync_file(entry.content, origin.place)


def _runs(state: Path) -> dict[str, tuple[Run, ...]]:
    from npc_lims.processing.runs_file import read_runs, recorded_processes

    return {process: read_runs(state, process) for process in recorded_processes(state)}


def _without_state() -> tuple[Suggestion, ...]:
    if not (checkout() / TRACKED_FILE).is_file():
        return _FIRST_STEPS
    sync = Suggestion("npc-lims sync", f"make a state from {TRACKED_FILE} of this checkout")
    return (sync, *_FIRST_STEPS)[:_SUGGESTIONS]


def _with_state(
    settings: Settings,
    origin: Origin,
    records: list[dict[str, Any]],
    found: tuple[Matter, ...],
    steps: tuple[Step, ...],
) -> tuple[Suggestion, ...]:
    is_folder = settings.state is not None
    wanted = [suggestion for matter in found if (suggestion := _about(matter, is_folder)) is not None]
    if is_folder and settings.codeocean_token is None and settings.mirror is None:
        wanted.append(Suggestion("npc-lims doctor", "find out what a sync would need: no Code Ocean token is set"))
    sorting = next(step for step in steps if step.flag == "is_sorted")
    if sorting.no:
        wanted.append(Suggestion("npc-lims sessions --is uploaded --missing sorted", "list what waits for sorting"))
    wanted.append(Suggestion("npc-lims sessions --ephys", "list sessions, the newest first"))
    if origin.commit:
        wanted.append(Suggestion("npc-lims history --since 7d", "see what happened in the last days"))
    if records:
        wanted.append(Suggestion(f"npc-lims show {records[0]['id']}", "see everything that is known of a session"))
    wanted.append(_HELP)
    first: dict[str, Suggestion] = {}
    for suggestion in wanted:
        first.setdefault(suggestion.command, suggestion)  # the more important reason
    return tuple(first.values())[:_SUGGESTIONS]


def _about(matter: Matter, is_folder: bool) -> Optional[Suggestion]:
    """The command that shows more of something that needs attention; runs are told by those of a folder alone."""
    if matter.kind == "late":
        return Suggestion("npc-lims doctor", "find out why a source did not answer")
    if matter.kind == "errored" and matter.items[0].session:
        return Suggestion(f"npc-lims show {matter.items[0].session}", "see what went wrong with its sorting")
    if matter.kind == "stalled":
        step = next((step for step in STEPS if step.before == matter.items[0].text), None)
        if step is None:  # of a family of steps
            plan = Suggestion("npc-lims process plan", "see what could be run for sessions that wait, and why not")
            return plan if is_folder else None
        flags = " ".join(filter(None, (_option("--is", step.after), _option("--missing", step.flag))))
        return Suggestion(f"npc-lims sessions {flags}", f"list sessions that are {step.before}")
    if matter.kind == "runs":
        return Suggestion("npc-lims process runs", "see what was run on Code Ocean, and how it ended")
    return None


def _option(name: str, flag: str) -> str:
    return f"{name} {flag.replace('is_', '', 1)}" if flag in LABELS else ""
