"""`npc-lims` without a command: the state that is read, its age, what needs attention, and what to do next."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Optional

from rich.console import Console
from rich.text import Text

from npc_lims.cli.options import checkout, reading_settings
from npc_lims.cli.output import out, print_json
from npc_lims.config.environment import TRACKED_FILE
from npc_lims.dashboard.attention import Finding, find_issues
from npc_lims.dashboard.stalls import STAGES
from npc_lims.dashboard.totals import SourceAge, StageCount, Totals, count_sessions, funnel, source_ages
from npc_lims.errors import NpcLimsError, RemoteStateError, StateError
from npc_lims.model.flags import BOOLEAN_FLAGS
from npc_lims.processing.runs import read_all_runs
from npc_lims.state.diff import one_line
from npc_lims.state.diff_format import counted
from npc_lims.state.reader import Origin, origin_of_state, read_snapshot, sync_entry
from npc_lims.state.snapshot import parse_line
from npc_lims.state.sync_file import SyncFile, parse_sync_file, read_sync_file
from npc_lims.state.sync_times import describe_age

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

_TIMEOUT = 3.0
_SUGGESTIONS = 3


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """A command, and its purpose."""

    command: str
    why: str


_HELP = Suggestion("npc-lims --help", "see all commands")
_FIRST_STAGES = (
    Suggestion("npc-lims demo", "see how it works, on sample data: no credentials, no network"),
    Suggestion("npc-lims doctor", "check each service, and what to set for those that fail"),
    _HELP,
)


@dataclasses.dataclass(frozen=True)
class Overview:
    """The state that is read, its age, and what needs attention.

    Attributes:
        origin: Where state was read from; None if there is none.
        troubles: Reasons why parts of it could not be read.
        ages: Ages of the sources; empty if unknown.
        totals: Counts of sessions; None without state.
        steps: Pipeline progress.
        findings: What needs attention, the most important first.
        suggestions: Commands that help next.
    """

    origin: Optional[Origin]
    troubles: tuple[str, ...]
    ages: tuple[SourceAge, ...] = ()
    totals: Optional[Totals] = None
    steps: tuple[StageCount, ...] = ()
    findings: tuple[Finding, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
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
            "attention": [dataclasses.asdict(finding) for finding in self.findings],
            "next": [dataclasses.asdict(suggestion) for suggestion in self.suggestions],
        }


def gather(settings: Settings, now: datetime.datetime) -> Overview:
    """Read the overview of the state that *settings* name: GitHub is queried once at most, for a few seconds."""
    hurried = settings.model_copy(update={"timeout": min(settings.timeout, _TIMEOUT), "attempts": 1})
    try:
        snapshot = read_snapshot(hurried, warn_stale=False)
        # a folder also has a commit; for published state that would be a second request
        origin = snapshot.origin if settings.state is None else origin_of_state(hurried)
    except (RemoteStateError, StateError) as error:
        return Overview(None, (str(error),), suggestions=_without_state())
    try:
        records = [parse_line(line) for line in snapshot.lines.all]
    except StateError as error:
        # the error has its own remedy: a newer version of state needs a newer npc_lims, not a sync
        return Overview(None, (str(error),), suggestions=_FIRST_STAGES)
    troubles: list[str] = []
    sync_file, runs = SyncFile(), {}
    try:
        sync_file = recorded_sync(hurried, origin)
        runs = {} if settings.state is None else read_all_runs(settings.state)
    except NpcLimsError as error:
        troubles.append(str(error))
    # without the history, which takes longer to read, and the tracked file, which npc-lims validate reads
    findings = find_issues(records, sync_file, runs, (), (), now)
    # if it is unknown when sources were queried, they are not late
    found = tuple(finding for finding in findings if finding.kind != "late" or sync_file.sources)
    ages = tuple(source_ages(sync_file, now)) if sync_file.sources else ()
    steps = tuple(funnel(records))
    suggestions = _with_state(settings, origin, records, found, steps)
    return Overview(origin, tuple(troubles), ages, count_sessions(records), steps, found, suggestions)


def recorded_sync(settings: Settings, origin: Origin) -> SyncFile:
    """Read when sources were queried, from the folder or as published, cached as long as the snapshot is."""
    if settings.state is not None:
        return read_sync_file(settings.state)
    entry = sync_entry(settings, origin, settings.ttl)
    return SyncFile() if entry is None or not entry.content else parse_sync_file(entry.content, origin.place)


def _without_state() -> tuple[Suggestion, ...]:
    if not (checkout() / TRACKED_FILE).is_file():
        return _FIRST_STAGES
    sync = Suggestion("npc-lims sync", f"make a state from {TRACKED_FILE} of this checkout")
    return (sync, *_FIRST_STAGES)[:_SUGGESTIONS]


def _with_state(
    settings: Settings,
    origin: Origin,
    records: list[dict[str, Any]],
    found: tuple[Finding, ...],
    steps: tuple[StageCount, ...],
) -> tuple[Suggestion, ...]:
    is_folder = settings.state is not None
    wanted = [suggestion for finding in found if (suggestion := _about(finding, is_folder)) is not None]
    if is_folder and settings.codeocean_token is None and settings.mirror is None:
        wanted.append(Suggestion("npc-lims doctor", "find out what a sync would need: no Code Ocean token is set"))
    sorting = next(step for step in steps if step.flag == "is_sorted")
    if sorting.no:
        wanted.append(Suggestion("npc-lims sessions --is uploaded --missing sorted", "list what waits for sorting"))
    wanted.append(Suggestion("npc-lims sessions --ephys", "list sessions, the newest first"))
    if origin.commit:
        wanted.append(Suggestion("npc-lims history --since 7d", "see recent changes"))
    if records:
        wanted.append(Suggestion(f"npc-lims show {records[0]['id']}", "see everything about a session"))
    wanted.append(_HELP)
    first: dict[str, Suggestion] = {}
    for suggestion in wanted:
        first.setdefault(suggestion.command, suggestion)  # the more important reason
    return tuple(first.values())[:_SUGGESTIONS]


def _about(finding: Finding, is_folder: bool) -> Optional[Suggestion]:
    """Return the command that shows more of something that needs attention; runs are known for a folder only."""
    if finding.kind == "late":
        return Suggestion("npc-lims doctor", "find out why a source did not answer")
    if finding.kind == "errored" and finding.items[0].session:
        return Suggestion(f"npc-lims show {finding.items[0].session}", "see what went wrong with its sorting")
    if finding.kind == "stalled":
        step = next((step for step in STAGES if step.before == finding.items[0].text), None)
        if step is None:  # of a family of steps
            plan = Suggestion("npc-lims process plan", "see what could be run for sessions that wait, and why not")
            return plan if is_folder else None
        flags = " ".join(filter(None, (_option("--is", step.after), _option("--missing", step.flag))))
        return Suggestion(f"npc-lims sessions {flags}", f"list sessions that are {step.before}")
    if finding.kind == "runs":
        return Suggestion("npc-lims process runs", "see what was run on Code Ocean, and how it ended")
    return None


def _option(name: str, flag: str) -> str:
    return f"{name} {flag.replace('is_', '', 1)}" if flag in BOOLEAN_FLAGS else ""


# --- printing --------------------------------------------------------------------------------------

_SHOWN_FINDINGS = 5
_SHOWN_CASES = 3


def show_overview(as_json: bool) -> None:
    """Print what `npc-lims` shows without a command."""
    overview = gather(reading_settings(None), datetime.datetime.now(datetime.timezone.utc))
    if as_json:
        print_json(overview.as_dict())
    else:
        print_overview(overview, out())


def print_overview(overview: Overview, console: Console) -> None:
    if overview.origin is None:
        console.print(Text("There is no state to read", "bold"))
    else:
        console.print(Text.assemble(("State  ", "bold"), str(overview.origin)), soft_wrap=True)
    for trouble in overview.troubles:
        console.print(Text(trouble, "yellow"), soft_wrap=True)
    if overview.ages:
        _print_parts(console, Text("Read   ", "bold"), map(_age, overview.ages))
    if overview.totals is not None:
        totals = overview.totals
        counts = f"\n{counted(totals.sessions, 'session')} of {counted(totals.subjects, 'subject')}, "
        _print_parts(console, f"{counts}{totals.tracked:,} tracked: ", _counts(totals.by_platform))
        _print_parts(console, "Projects: ", _counts(totals.by_project))
        _print_steps(overview, console)
    _print_findings(overview, console)
    console.print(Text("\nNext", "bold"))
    width = max(len(suggestion.command) for suggestion in overview.suggestions)
    for suggestion in overview.suggestions:
        if width > console.width // 2:
            console.print(Text(f"  {suggestion.command}", "cyan"), soft_wrap=True)
            _print_hanging(console, ("      ", ""), suggestion.why)
        else:
            _print_hanging(console, (f"  {suggestion.command.ljust(width)}  ", "cyan"), suggestion.why)


def _print_steps(overview: Overview, console: Console) -> None:
    """Print pipeline progress, without steps that are unknown for all sessions."""
    stages = [f"{step.label} {step.yes:,} of {step.applies:,}" for step in overview.steps if step.yes or step.no]
    if stages:
        _print_parts(console, "Pipeline progress: ", stages)


def _print_findings(overview: Overview, console: Console) -> None:
    if overview.totals is None:
        return
    if not overview.findings:
        console.print("\nNothing needs attention")
        return
    console.print(Text("\nNeeds attention", "bold"))
    for finding in overview.findings[:_SHOWN_FINDINGS]:
        _print_hanging(console, ("  ! ", "yellow"), finding.title)
        _print_hanging(console, ("    ", ""), finding.remedy, "dim")
        _print_hanging(console, ("    ", ""), "; ".join(_named(finding)), "dim")
    if len(overview.findings) > _SHOWN_FINDINGS:
        console.print(Text(f"  and {len(overview.findings) - _SHOWN_FINDINGS} more: npc-lims --json", "dim"))


def _named(finding: Finding) -> Iterator[str]:
    """Return the first cases: the ids of sessions, or a text and its date."""
    for case in finding.items[:_SHOWN_CASES]:
        yield case.session or one_line(case.text) + (f" ({case.since[:10]})" if case.since else "")
    if len(finding.items) > _SHOWN_CASES:
        yield f"{len(finding.items) - _SHOWN_CASES:,} more"


def _print_parts(console: Console, head: Text | str, parts: Iterable[Text | str]) -> None:
    """Print a list of phrases; lines break only between them."""
    lines = [Text.assemble(head)]
    left = list(parts)
    while left:
        phrase = Text.assemble(left.pop(0), "," if left else "")
        if lines[-1].cell_len + phrase.cell_len > console.width and len(lines[-1]) > len("  "):
            lines.append(Text("  "))
        lines[-1].append_text(phrase).append(" ")
    for line in lines:
        line.rstrip()
        console.print(line, soft_wrap=True)


def _print_hanging(console: Console, head: tuple[str, str], text: str, style: str = "") -> None:
    """Print text with a hanging indent."""
    indent = len(head[0])
    for number, line in enumerate(Text(text).wrap(console, max(console.width - indent, 20))):
        line.rstrip()
        console.print(Text.assemble(head if number == 0 else " " * indent, (line.plain, style)), soft_wrap=True)


def _age(age: SourceAge) -> Text:
    if age.age is None:
        return Text(f"{age.name} never", "yellow")
    text = f"{age.name} {describe_age(age.age.total_seconds())} ago"
    if age.failure is not None:
        return Text(f"{text} (failed since)", "yellow")
    return Text(f"{text} (late)" if age.is_late else text, "yellow" if age.is_late else "")


def _counts(counts: Mapping[str, int]) -> list[str]:
    names = {name: one_line(name).replace("_", " ") for name in counts}
    return [f"{count:,} {names[name]}" for name, count in counts.items()]
