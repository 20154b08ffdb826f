"""Print what was done to runs: a table, or JSON or CSV, and a summary in Markdown."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from npc_lims.cli import ExitCode
from npc_lims.cli.output import out, print_columns, print_csv, print_error, print_json
from npc_lims.cli.process_options import EVENT_COLUMNS
from npc_lims.utils.redaction import safe_text

if TYPE_CHECKING:
    from npc_lims.processing.runs import RunEvent
    from npc_lims.processing.workflow import RunResults

_STYLES = {
    "started": "green",
    "shared": "green",
    "captured": "green",
    "found": "yellow",
    "running": "cyan",
    "errored": "red",
    "refused": "red",
}


def print_report(
    report: RunResults,
    nothing: str,
    summary: Optional[Path] = None,
    *,
    as_json: bool = False,
    as_csv: bool = False,
) -> None:
    """Print what was done, or *nothing*; append it to *summary* as Markdown.

    Raises:
        typer.Exit: Something could not be done.
    """
    if as_json:
        print_json([_as_row(process, event) for process, event in report.events])
    elif as_csv:
        print_csv(EVENT_COLUMNS, (_as_row(process, event) for process, event in report.events))
    else:
        if report.events:
            print_columns(EVENT_COLUMNS[:-1], (_as_cells(process, event) for process, event in report.events))
        if counts := _counts(report, nothing):
            out().print(counts, soft_wrap=True)
    failures = dict.fromkeys(report.failures)
    for failure in failures:
        print_error(failure)
    if summary is not None:
        with summary.open("a", encoding="utf-8") as file:
            file.write(_as_markdown(report, nothing))
    if failures:
        raise typer.Exit(ExitCode.INCOMPLETE)


def _as_row(process: str, event: RunEvent) -> dict[str, object]:
    computation = event.run.computation or getattr(event.update, "computation", None)
    return {
        "process": process,
        "session": event.run.session,
        "try": event.run.attempt,
        "what": event.what,
        "about": event.detail or (f"computation {computation}" if computation else ""),
        "failure": event.failure or None,
    }


def _as_cells(process: str, event: RunEvent) -> list[tuple[str, str]]:
    style = "red" if event.failure else _STYLES.get(event.what, "")
    return [(str(value), style) for value in list(_as_row(process, event).values())[:-1]]


def _counts(report: RunResults, nothing: str) -> str:
    """Return counts such as "2 started, 1 found"; *nothing* if there are no events and no failure."""
    counts = Counter(event.what for _, event in report.events)
    counted = ", ".join(f"{count:,} {what}" for what, count in counts.most_common())
    return counted or ("" if report.failures else nothing)


def _as_markdown(report: RunResults, nothing: str) -> str:
    from npc_lims.state.diff_format import SUMMARY_BYTES, cut

    counts = _counts(report, nothing)
    lines = [f"**{counts}**", ""] if counts else []
    if report.events:
        lines += ["| process | session | try | what | about |", "| --- | --- | --- | --- | --- |"]
        for process, event in report.events:
            about = _cell(str(_as_row(process, event)["about"]))
            lines.append(f"| {process} | `{event.run.session}` | {event.run.attempt} | {event.what} | {about} |")
        lines.append("")
    lines += [f"- {_cell(failure)}" for failure in dict.fromkeys(report.failures)]
    return cut(lines, SUMMARY_BYTES)


def _cell(text: str) -> str:
    """Return text on one line without markup of Markdown or HTML: it may be a server's."""
    return "".join(f"&#{ord(char)};" if char in "|<>&`*_[]\\@#" else char for char in safe_text(text))
