"""`npc-lims` without a command: where one is, and where to go from there."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from npc_lims.cli.console import out
from npc_lims.cli.lists import print_json
from npc_lims.cli.places import reading_settings
from npc_lims.state.diff import one_line
from npc_lims.state.diff_format import counted
from npc_lims.state.sync_times import describe_age

if TYPE_CHECKING:
    from npc_lims.cli.home_facts import Home
    from npc_lims.dashboard.ages import SourceAge
    from npc_lims.dashboard.attention import Matter

__all__ = ["print_home", "show_home"]

_SHOWN_MATTERS = 5
_SHOWN_ITEMS = 3


def show_home(as_json: bool) -> None:
    from npc_lims.cli.home_facts import gather

    home = gather(reading_settings(None), datetime.datetime.now(datetime.timezone.utc))
    if as_json:
        print_json(home.as_dict())
    else:
        print_home(home, out())


def print_home(home: Home, console: Console) -> None:
    if home.origin is None:
        console.print(Text("There is no state to read", "bold"))
    else:
        console.print(Text.assemble(("State  ", "bold"), str(home.origin)), soft_wrap=True)
    for trouble in home.troubles:
        console.print(Text(trouble, "yellow"), soft_wrap=True)
    if home.ages:
        _print_parts(console, Text("Asked  ", "bold"), map(_age, home.ages))
    if home.totals is not None:
        totals = home.totals
        told = f"\n{counted(totals.sessions, 'session')} of {counted(totals.subjects, 'subject')}, "
        _print_parts(console, f"{told}{totals.tracked:,} tracked: ", _counts(totals.by_platform))
        _print_parts(console, "Projects: ", _counts(totals.by_project))
        _print_steps(home, console)
    _print_matters(home, console)
    console.print(Text("\nNext", "bold"))
    width = max(len(suggestion.command) for suggestion in home.suggestions)
    for suggestion in home.suggestions:
        if width > console.width // 2:
            console.print(Text(f"  {suggestion.command}", "cyan"), soft_wrap=True)
            _print_hanging(console, ("      ", ""), suggestion.why)
        else:
            _print_hanging(console, (f"  {suggestion.command.ljust(width)}  ", "cyan"), suggestion.why)


def _print_steps(home: Home, console: Console) -> None:
    """How many got how far; steps that nobody knows anything of are left out."""
    told = [f"{step.label} {step.yes:,} of {step.applies:,}" for step in home.steps if step.yes or step.no]
    if told:
        _print_parts(console, "Recordings for production: ", told)


def _print_matters(home: Home, console: Console) -> None:
    if home.totals is None:
        return
    if not home.matters:
        console.print("\nNothing needs attention")
        return
    console.print(Text("\nNeeds attention", "bold"))
    for matter in home.matters[:_SHOWN_MATTERS]:
        _print_hanging(console, ("  ! ", "yellow"), matter.title)
        _print_hanging(console, ("    ", ""), matter.remedy, "dim")
        _print_hanging(console, ("    ", ""), "; ".join(_named(matter)), "dim")
    if len(home.matters) > _SHOWN_MATTERS:
        console.print(Text(f"  and {len(home.matters) - _SHOWN_MATTERS} more, which npc-lims --json has", "dim"))


def _named(matter: Matter) -> Iterator[str]:
    """The first cases: sessions by their ids, others by what is told of them, and since when."""
    for item in matter.items[:_SHOWN_ITEMS]:
        yield item.session or one_line(item.text) + (f" ({item.since[:10]})" if item.since else "")
    if len(matter.items) > _SHOWN_ITEMS:
        yield f"{len(matter.items) - _SHOWN_ITEMS:,} more"


def _print_parts(console: Console, head: Text | str, parts: Iterable[Text | str]) -> None:
    """A list of phrases, of which none is broken at the end of a line."""
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
    """Text whose further lines stand below its beginning."""
    indent = len(head[0])
    for number, line in enumerate(Text(text).wrap(console, max(console.width - indent, 20))):
        line.rstrip()
        console.print(Text.assemble(head if number == 0 else " " * indent, (line.plain, style)), soft_wrap=True)


def _age(age: SourceAge) -> Text:
    if age.age is None:
        return Text(f"{age.name} never", "yellow")
    told = f"{age.name} {describe_age(age.age.total_seconds())} ago"
    if age.failure is not None:
        return Text(f"{told} (failed since)", "yellow")
    return Text(f"{told} (late)" if age.is_late else told, "yellow" if age.is_late else "")


def _counts(counts: Mapping[str, int]) -> list[str]:
    names = {name: one_line(name).replace("behavior_with_sync", "sync") for name in counts}
    return [f"{count:,} {names[name]}" for name, count in counts.items()]
