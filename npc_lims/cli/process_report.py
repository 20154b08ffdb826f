"""Print plans, runs and what was done to runs: as a table, JSON, CSV, or a summary in Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Optional, TextIO

import typer

from npc_lims.cli import ExitCode
from npc_lims.cli.output import Cell, OutputStyle, out, print_columns, print_error
from npc_lims.processing.plan import VERDICTS, Decision, Verdict
from npc_lims.processing.runs import Run, RunEvent
from npc_lims.processing.workflow import RunResults
from npc_lims.state.diff_format import SUMMARY_BYTES, cut, escape
from npc_lims.utils.text import counted, safe_text

PLAN_COLUMNS = ("process", "session", "verdict", "reason", "input.id", "input.name", "try", "run.computation")
RUN_COLUMNS = (
    *("process", "session", "input", "try", "claim", "claimed", "by", "computation", "started", "outcome", "reason"),
    *("seconds", "asset.id", "asset.name", "shared"),
)
EVENT_COLUMNS = ("process", "session", "try", "what", "about", "failure")

Plans = Mapping[str, Sequence["Decision"]]

_WORDS_BY_STYLE = {
    "green": ("would run", "started", "succeeded", "captured", "shared"),
    "yellow": ("waiting", "claimed", "found"),
    "cyan": ("running",),
    "red": ("failed", "errored", "refused"),
}
_STYLES = {word: style for style, words in _WORDS_BY_STYLE.items() for word in words}

# --- plans ----------------------------------------------------------------------------------------


def print_plans(plans: Plans, *, each: bool, style: OutputStyle) -> None:
    """Print decisions: with *each* a line for every session, else those that would run, and counts of the others."""
    if style.print_rows(PLAN_COLUMNS, _plan_rows(plans)):
        return
    _print_summary(plans)
    out().print()
    if each:
        rows: list[list[Cell]] = [[one.session, name, _styled(one.verdict), one.reason] for name, one in _each(plans)]
        print_columns(["session", "process", "verdict", "why"], rows)
    else:
        _print_would_run(plans, "nothing would run")
        _print_reasons(plans)


def print_dry_run(plans: Plans, nothing: str, *, style: OutputStyle) -> None:
    """Print what would be started; *nothing* if that is nothing."""
    plans = {name: [one for one in decisions if one.verdict == "would run"] for name, decisions in plans.items()}
    if style.print_rows(PLAN_COLUMNS, _plan_rows(plans)):
        return
    _print_would_run(plans, nothing)
    if count := sum(map(len, plans.values())):
        out().print(f"{count:,} would be started (dry run)")


def _each(plans: Plans) -> Iterator[tuple[str, Decision]]:
    return ((name, decision) for name, decisions in plans.items() for decision in decisions)


def _plan_rows(plans: Plans) -> Iterator[dict[str, Any]]:
    return (
        {
            "process": process,
            "session": one.session,
            "verdict": one.verdict,
            "reason": one.reason,
            "input": None if one.input is None else {"id": one.input.id, "name": one.input.name},
            "try": one.attempt,
            "run": None if one.run is None else one.run.as_dict(),
        }
        for process, one in _each(plans)
    )


def _styled(verdict: Verdict, text: str = "") -> tuple[str, str]:
    return text or verdict, _STYLES.get(verdict, "")


def _print_summary(plans: Plans) -> None:
    rows: list[list[Cell]] = []
    for name, decisions in plans.items():
        counts = Counter(decision.verdict for decision in decisions)
        texts = {verdict: f"{counts[verdict]:,}".rjust(len(verdict)) for verdict in VERDICTS}
        rows.append([name, *(_styled(one, text) if counts[one] else (text, "dim") for one, text in texts.items())])
    print_columns(["process", *VERDICTS], rows)


def _print_would_run(plans: Plans, nothing: str) -> None:
    rows = [
        [name, one.session, str(one.attempt), "" if one.input is None else one.input.name, one.reason]
        for name, one in _each(plans)
        if one.verdict == "would run"
    ]
    if rows:
        print_columns(["would run", "for", "try", "input", "why"], rows)
    else:
        out().print(nothing)


def _print_reasons(plans: Plans) -> None:
    rows: list[list[Cell]] = []
    for name, decisions in plans.items():
        counts = Counter((one.verdict, one.reason) for one in decisions if one.verdict != "would run")
        order = sorted(counts, key=lambda pair: (VERDICTS.index(pair[0]), -counts[pair], pair[1]))
        rows += [[name, f"{counts[one]:,}".rjust(8), _styled(one[0]), one[1]] for one in order]
    if rows:
        out().print()
        print_columns(["would not", "sessions", "", "why"], rows)


# --- recorded runs --------------------------------------------------------------------------------


def print_runs(runs: Sequence[tuple[str, Run]], *, style: OutputStyle) -> None:
    # the file of runs leaves out what is empty; programs find every name
    rows = ({"process": process, "by": None, "reason": None, "seconds": None, **run.as_dict()} for process, run in runs)
    if style.print_rows(RUN_COLUMNS, rows):
        return
    if not runs:
        out().print("no runs are recorded")
        return
    cells: list[list[Cell]] = [
        [
            process,
            run.session,
            str(run.attempt),
            run.started or run.claimed,
            (run.state, _STYLES[run.state]),
            _about(run),
        ]
        for process, run in runs
    ]
    print_columns(["process", "session", "try", "since", "state", "about"], cells)
    counts = ", ".join(f"{count:,} {state}" for state, count in sorted(Counter(run.state for _, run in runs).items()))
    out().print(f"{counted(len(runs), 'run')}: {counts}", style="dim")


def _about(run: Run) -> str:
    if run.state == "errored":
        return run.reason
    if run.asset is not None:
        return run.asset.name
    return "not known to be started" if run.state == "claimed" else run.computation or ""


# --- what was done --------------------------------------------------------------------------------


def print_report(report: RunResults, nothing: str, summary: Optional[TextIO], style: OutputStyle) -> None:
    """Print what was done, or *nothing*; append it to *summary* as Markdown. typer.Exit if anything failed."""
    rows = [_event_row(process, event) for process, event in report.events]
    counts = Counter(event.what for _, event in report.events)
    counts_text = ", ".join(f"{count:,} {what}" for what, count in counts.most_common())
    if not (counts_text or report.failures):
        counts_text = nothing
    if not style.print_rows(EVENT_COLUMNS, rows):
        if rows:
            print_columns(EVENT_COLUMNS[:-1], map(_event_cells, rows))
        if counts_text:
            out().print(counts_text, soft_wrap=True)
    failures = dict.fromkeys(report.failures)
    for failure in failures:
        print_error(failure)
    if summary is not None:
        summary.write(_as_markdown(counts_text, rows, failures))
    if failures:
        raise typer.Exit(ExitCode.INCOMPLETE)


def _event_row(process: str, event: RunEvent) -> dict[str, Any]:
    computation = event.run.computation or getattr(event.update, "computation", None)
    return {
        "process": process,
        "session": event.run.session,
        "try": event.run.attempt,
        "what": event.what,
        "about": event.detail or (f"computation {computation}" if computation else ""),
        "failure": event.failure or None,
    }


def _event_cells(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    style = "red" if row["failure"] else _STYLES.get(row["what"], "")
    return [(str(row[column]), style) for column in EVENT_COLUMNS[:-1]]


def _as_markdown(counts: str, rows: Sequence[Mapping[str, Any]], failures: Iterable[str]) -> str:
    lines = [f"**{counts}**", ""] if counts else []
    if rows:
        lines += ["| process | session | try | what | about |", "| --- | --- | --- | --- | --- |"]
        for row in rows:
            about = escape(safe_text(row["about"]))
            lines.append(f"| {row['process']} | `{row['session']}` | {row['try']} | {row['what']} | {about} |")
        lines.append("")
    lines += [f"- {escape(safe_text(failure))}" for failure in failures]
    return cut(lines, SUMMARY_BYTES)
