"""`npc-lims` without a command: the state that is read, its age, what needs attention, and what to do next."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Optional

from rich.console import Console
from rich.text import Text

from npc_lims.cli.options import checkout, reading_settings
from npc_lims.cli.output import out, print_json
from npc_lims.config.settings import TRACKED_FILE, Settings
from npc_lims.dashboard.attention import Finding
from npc_lims.dashboard.overview import Overview, Suggestion, summarize
from npc_lims.dashboard.totals import SourceAge
from npc_lims.errors import RemoteStateError, StateError
from npc_lims.state.freshness import describe_age
from npc_lims.state.reader import origin_of_state, read_snapshot
from npc_lims.state.snapshot import parse_line
from npc_lims.utils.text import counted, one_line

_TIMEOUT = 3.0
_SUGGESTIONS = 3
_SHOWN_FINDINGS = 5
_SHOWN_CASES = 3


_HELP = Suggestion("npc-lims --help", "see all commands")
_FIRST_STEPS = (
    Suggestion("npc-lims demo", "see how it works, on sample data: no credentials, no network"),
    Suggestion("npc-lims doctor", "check each service, and what to set for those that fail"),
    _HELP,
)


def gather(settings: Settings, now: datetime.datetime) -> Overview:
    """Read the overview of the state that *settings* name: GitHub is queried once at most, for a few seconds."""
    hurried = settings.replace(timeout=min(settings.timeout, _TIMEOUT), attempts=1)
    try:
        snapshot = read_snapshot(hurried, warn_stale=False)
        # a folder also has a commit; for published state that would be a second request
        origin = snapshot.origin if settings.state is None else origin_of_state(hurried)
    except (RemoteStateError, StateError) as error:
        return Overview(None, (str(error),), next=_without_state())
    try:
        records = [parse_line(line) for line in snapshot.lines.all]
    except StateError as error:
        # the error has its own remedy: a newer version of state needs a newer npc_lims, not a sync
        return Overview(None, (str(error),), next=_FIRST_STEPS)
    overview = summarize(hurried, records, origin, now)
    newest = records[0]["id"] if records else None
    suggestions: dict[str, Suggestion] = {}
    for one in _suggest(settings, overview, newest):
        suggestions.setdefault(one.command, one)  # the more important reason
    return dataclasses.replace(overview, next=tuple(suggestions.values())[:_SUGGESTIONS])


def _without_state() -> tuple[Suggestion, ...]:
    if not (checkout() / TRACKED_FILE).is_file():
        return _FIRST_STEPS
    sync = Suggestion("npc-lims sync", f"make a state from {TRACKED_FILE} of this checkout")
    return (sync, *_FIRST_STEPS)[:_SUGGESTIONS]


def _suggest(settings: Settings, overview: Overview, newest: Optional[str]) -> Iterator[Suggestion]:
    is_folder = settings.state is not None
    for finding in overview.attention:
        yield from _about(finding, is_folder)
    if is_folder and settings.codeocean_token is None and settings.mirror is None:
        yield Suggestion("npc-lims doctor", "find out what a sync would need: no Code Ocean token is set")
    if any(step.flag == "is_sorted" and step.no for step in overview.steps):
        yield Suggestion("npc-lims sessions --is uploaded --missing sorted", "list what waits for sorting")
    yield Suggestion("npc-lims sessions --ephys", "list sessions, the newest first")
    if overview.state is not None and overview.state.commit:
        yield Suggestion("npc-lims history --since 7d", "see recent changes")
    if newest is not None:
        yield Suggestion(f"npc-lims show {newest}", "see everything about a session")
    yield _HELP


def _about(finding: Finding, is_folder: bool) -> Iterator[Suggestion]:
    """Yield the command that shows more of something that needs attention; runs are known for a folder only."""
    if finding.kind == "late":
        yield Suggestion("npc-lims doctor", "find out why a source did not answer")
    elif finding.kind == "errored":
        yield Suggestion(f"npc-lims show {finding.items[0].session}", "see what went wrong with its sorting")
    elif finding.kind == "unlisted":
        yield Suggestion("npc-lims sessions --unlisted", "see the command that adds each recording without a session")
    elif finding.kind == "runs":
        yield Suggestion("npc-lims process runs", "see what was run on Code Ocean, and how it ended")
    elif finding.kind == "stalled":
        stage = finding.stage
        if stage is not None:
            options = (f"--is {stage.after} " if stage.after else "") + f"--missing {stage.name}"
            command = f"npc-lims sessions {options.replace('is_', '')}"
            yield Suggestion(command, f"list sessions that are {stage.waiting}")
        elif is_folder:  # of a family of stages
            yield Suggestion("npc-lims process plan", "see what could be run for sessions that wait, and why not")


# --- printing --------------------------------------------------------------------------------------


def show_overview(as_json: bool) -> None:
    overview = gather(reading_settings(None), datetime.datetime.now(datetime.timezone.utc))
    if as_json:
        print_json(overview.as_dict())
    else:
        print_overview(overview, out())


def print_overview(overview: Overview, console: Console) -> None:
    if overview.state is None:
        console.print(Text("There is no state to read", "bold"))
    else:
        console.print(Text.assemble(("State      ", "bold"), str(overview.state)), soft_wrap=True)
    for trouble in overview.troubles:
        console.print(Text(trouble, "yellow"), soft_wrap=True)
    if overview.sources:
        _print_parts(console, Text("Last read  ", "bold"), map(_age, overview.sources))
    if overview.totals is not None:
        totals = overview.totals
        counts = f"\n{counted(totals.sessions, 'session')} of {counted(totals.subjects, 'subject')}, "
        _print_parts(console, f"{counts}{totals.tracked:,} tracked: ", _counts(totals.by_platform))
        _print_parts(console, "Projects: ", _counts(totals.by_project))
        # without stages that are unknown for all sessions
        steps = [f"{step.label} {step.yes:,} of {step.applies:,}" for step in overview.steps if step.yes or step.no]
        if steps:
            _print_parts(console, "Pipeline progress: ", steps)
        if overview.unlisted and any(overview.unlisted.values()):
            known, others = overview.unlisted["known_subjects"], overview.unlisted["others"]
            parts = [f"{known:,} of known subjects", f"{others:,} of others"]
            _print_parts(console, "Unlisted recordings: ", parts)
        _print_findings(overview.attention, console)
    console.print(Text("\nNext", "bold"))
    width = max(len(suggestion.command) for suggestion in overview.next)
    for suggestion in overview.next:
        if width > console.width // 2:
            console.print(Text(f"  {suggestion.command}", "cyan"), soft_wrap=True)
            _print_hanging(console, ("      ", ""), suggestion.why)
        else:
            _print_hanging(console, (f"  {suggestion.command.ljust(width)}  ", "cyan"), suggestion.why)


def _print_findings(findings: Sequence[Finding], console: Console) -> None:
    if not findings:
        console.print("\nNothing needs attention")
        return
    console.print(Text("\nNeeds attention", "bold"))
    for finding in findings[:_SHOWN_FINDINGS]:
        _print_hanging(console, ("  ! ", "yellow"), finding.title)
        _print_hanging(console, ("    ", ""), finding.remedy, "dim")
        _print_hanging(console, ("    ", ""), "; ".join(_named(finding)), "dim")
    if len(findings) > _SHOWN_FINDINGS:
        console.print(Text(f"  and {len(findings) - _SHOWN_FINDINGS} more: npc-lims --json", "dim"))


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
    return [f"{count:,} {one_line(name).replace('_', ' ')}" for name, count in counts.items()]
