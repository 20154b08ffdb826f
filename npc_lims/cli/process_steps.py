"""Runs as they are started and collected: a line for each step as it comes, a table when all is done."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

import typer

from npc_lims.cli.console import complain, err, out
from npc_lims.cli.exit_codes import ExitCode
from npc_lims.cli.lists import csv_option, json_option, print_csv, print_json
from npc_lims.errors import ComputationError, SourceError
from npc_lims.utils.redaction import safe_text

if TYPE_CHECKING:
    from npc_lims.processing.runs import Update
    from npc_lims.processing.start import Step

__all__ = ["STEPS_CSV", "STEPS_JSON", "Outcome", "follow", "report"]

Keep = Callable[[str, "Update"], None]
"""Records what happened to a run of a process."""

_COLUMNS = ("process", "session", "try", "what", "about", "failure")
STEPS_JSON = json_option("an array of what was done")
STEPS_CSV = csv_option(_COLUMNS)

_STYLES = {
    "started": "green",
    "shared": "green",
    "captured": "green",
    "found": "yellow",
    "running": "cyan",
    "errored": "red",
    "refused": "red",
}


@dataclasses.dataclass
class Outcome:
    """What came of everything.

    Attributes:
        steps: The last step of each run, with its process.
        failures: Why something could not be done, in sentences.
    """

    steps: list[tuple[str, Step]]
    failures: list[str]


def follow(jobs: Iterable[tuple[str, Iterator[Step]]], keep: Keep) -> Outcome:
    """Do it all, process by process: each step is recorded before the next one is done."""
    last: dict[tuple[str, object], Step] = {}
    failures = []
    with _told() as tell:
        for process, steps in jobs:
            tell(f"{process}: asking Code Ocean")
            try:
                for step in steps:
                    if step.update is not None:
                        keep(process, step.update)
                    last[process, step.run.key] = step
                    if step.failure:
                        failures.append(f"{process}, {step.run.session}: {step.failure}")
                    tell(f"{process}: {step.run.session} {step.what}")
            except (ComputationError, SourceError) as error:
                # the other processes may well be all right
                failures.append(f"{process}: {error}")
    return Outcome([(process, step) for (process, _), step in last.items()], failures)


@contextlib.contextmanager
def _told() -> Iterator[Callable[[str], None]]:
    """What is going on: one changing line on a terminal, plain lines elsewhere."""
    console = err()
    if not console.is_terminal:
        yield console.print
        return
    with console.status("") as status:
        yield status.update


def report(
    outcome: Outcome, nothing: str, summary: Optional[Path] = None, *, as_json: bool = False, as_csv: bool = False
) -> None:
    """Print what was done, *nothing* if that is nothing; append it to *summary* as Markdown.

    Raises:
        typer.Exit: Something could not be done.
    """
    if as_json:
        print_json([_as_row(process, step) for process, step in outcome.steps])
    elif as_csv:
        print_csv(_COLUMNS, (_as_row(process, step) for process, step in outcome.steps))
    else:
        _print(outcome, nothing)
    for failure in dict.fromkeys(outcome.failures):
        complain(failure)
    if summary is not None:
        with summary.open("a", encoding="utf-8") as file:
            file.write(_as_markdown(outcome, nothing))
    if outcome.failures:
        raise typer.Exit(ExitCode.INCOMPLETE)


def _print(outcome: Outcome, nothing: str) -> None:
    from rich.table import Table

    console = out()
    if outcome.steps:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in ("process", "session", "try", "what"):
            table.add_column(title, no_wrap=True)
        table.add_column("about", overflow="fold")
        for process, step in outcome.steps:
            about = _about(step)
            table.add_row(process, step.run.session, str(step.run.attempt), step.what, about, style=_style(step))
        console.print(table)
    if told := _told_in_all(outcome, nothing):
        console.print(told, soft_wrap=True)


def _as_row(process: str, step: Step) -> dict[str, object]:
    return {
        "process": process,
        "session": step.run.session,
        "try": step.run.attempt,
        "what": step.what,
        "about": _about(step),
        "failure": step.failure or None,
    }


def _style(step: Step) -> str:
    return "red" if step.failure else _STYLES.get(step.what, "")


def _about(step: Step) -> str:
    computation = step.run.computation or getattr(step.update, "computation", None)
    return step.detail or (f"computation {computation}" if computation else "")


def _told_in_all(outcome: Outcome, nothing: str) -> str:
    """How often what happened: "2 started, 1 found". Of what failed at once, that there is *nothing* is not known."""
    counts = Counter(step.what for _, step in outcome.steps)
    counted = ", ".join(f"{count:,} {what}" for what, count in counts.most_common())
    return counted or ("" if outcome.failures else nothing)


def _as_markdown(outcome: Outcome, nothing: str) -> str:
    from npc_lims.state.diff_format import SUMMARY_BYTES, cut

    told = _told_in_all(outcome, nothing)
    lines = [f"**{told}**", ""] if told else []
    if outcome.steps:
        lines += ["| process | session | try | what | about |", "| --- | --- | --- | --- | --- |"]
        lines += [
            f"| {process} | `{step.run.session}` | {step.run.attempt} | {step.what} | {_cell(_about(step))} |"
            for process, step in outcome.steps
        ]
        lines.append("")
    lines += [f"- {_cell(failure)}" for failure in dict.fromkeys(outcome.failures)]
    return cut(lines, SUMMARY_BYTES)


def _cell(text: str) -> str:
    """Text that Markdown and HTML have nothing to do with, on one line: it may be a server's."""
    return "".join(f"&#{ord(char)};" if char in "|<>&`*_[]\\@#" else char for char in safe_text(text))
