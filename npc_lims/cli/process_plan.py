"""`npc-lims process plan` and `runs`: what would be run, and what was. They only read."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import typer

from npc_lims.cli.console import out
from npc_lims.cli.lists import csv_option, json_option, one_style, print_csv, print_json
from npc_lims.cli.options import session_ids_of
from npc_lims.cli.process_places import NAMES, PIPELINES, SESSIONS, STATE, chosen_processes, state_folder
from npc_lims.errors import NpcLimsError

if TYPE_CHECKING:
    from npc_lims.processing.plan import Decision, Verdict
    from npc_lims.processing.runs import Run

__all__ = ["PLAN_COLUMNS", "plan_command", "plan_rows", "runs_command"]

PLAN_COLUMNS = ("process", "session", "verdict", "reason", "input.id", "input.name", "try", "run.computation")
_RUN_COLUMNS = (
    *("process", "session", "input", "try", "claim", "claimed", "by", "computation", "started", "outcome", "reason"),
    *("asset.id", "asset.name", "shared"),
)

_GAP = "  "
_STYLES = {"would run": "green", "running": "cyan", "failed": "red", "waiting": "yellow"}

Plans = Mapping[str, Sequence["Decision"]]


def plan_command(
    names: Optional[list[str]] = NAMES,
    state: Optional[Path] = STATE,
    pipelines: Optional[Path] = PIPELINES,
    sessions: Optional[list[str]] = SESSIONS,
    all_: bool = typer.Option(False, "--all", help="A line for every session, not only for those that would run."),
    as_json: bool = json_option("an array of all decisions"),
    as_csv: bool = csv_option(PLAN_COLUMNS),
) -> None:
    """Show which sessions would run, and why others would not.

    Reads pipelines.yaml and the state folder; writes nothing, asks nobody and starts nothing. Needs no credentials.

    \b
    Examples:
      npc-lims process plan
      npc-lims process plan dlc_eye --sessions 626791_2022-08-15
      npc-lims process plan --csv
    """
    from npc_lims.processing.plan import plan
    from npc_lims.processing.runs_file import read_runs
    from npc_lims.state.freshness import warn_if_folder_stale
    from npc_lims.state.store import read_state

    one_style(json=as_json, csv=as_csv)
    folder = state_folder(state)
    processes = chosen_processes(names, pipelines, folder)
    only = session_ids_of(sessions)
    warn_if_folder_stale(folder)
    records = read_state(folder).records
    now = datetime.datetime.now(datetime.timezone.utc)
    plans = {
        process.name: plan(process, records, read_runs(folder, process.name), now=now, sessions=only)
        for process in processes
    }
    if as_json or as_csv:
        rows = plan_rows((name, decision) for name, some in plans.items() for decision in some)
        print_json(list(rows)) if as_json else print_csv(PLAN_COLUMNS, rows)
        return
    _print_summary(plans)
    if all_ or only is not None:
        _print_each(plans)
    else:
        _print_would_run(plans)
        _print_reasons(plans)


def runs_command(
    name: Optional[str] = typer.Argument(None, metavar="PROCESS", help="Name of a process. Default: all with runs."),
    state: Optional[Path] = STATE,
    sessions: Optional[list[str]] = SESSIONS,
    as_json: bool = json_option("an array of runs"),
    as_csv: bool = csv_option(_RUN_COLUMNS),
) -> None:
    """List the runs that are recorded, and what came of them.

    Reads the state folder; writes nothing and asks nobody. Needs no credentials.

    \b
    Examples:
      npc-lims process runs
      npc-lims process runs dlc_eye --sessions 626791_2022-08-15
      npc-lims process runs --csv
    """
    from npc_lims.processing.runs_file import read_runs, recorded_processes

    one_style(json=as_json, csv=as_csv)
    folder = state_folder(state)
    recorded = recorded_processes(folder)
    if name is not None and name not in recorded:
        there = f"there are runs of {', '.join(recorded)}" if recorded else "no runs are recorded at all"
        raise NpcLimsError(f"{folder}: no runs of {name} are recorded{_offer(name, recorded)}; {there}")
    only = session_ids_of(sessions)
    runs = [
        (process, run)
        for process in ([name] if name is not None else recorded)
        for run in read_runs(folder, process)
        if only is None or run.session in only
    ]
    # the file of runs leaves out what is empty; programs find every name
    rows = ({"process": process, "by": None, "reason": None, **run.as_dict()} for process, run in runs)
    if as_json:
        print_json(list(rows))
    elif as_csv:
        print_csv(_RUN_COLUMNS, rows)
    else:
        _print_runs(runs)


def _offer(name: str, known: Iterable[str]) -> str:
    from npc_lims.utils.suggestions import suggestion

    return suggestion(name, known)


# --- as JSON and CSV ------------------------------------------------------------------------------


def plan_rows(decisions: Iterable[tuple[str, Decision]]) -> Iterator[dict[str, Any]]:
    """Decisions about a process as `--json` and `--csv` give them."""
    return (_as_row(process, decision) for process, decision in decisions)


def _as_row(process: str, decision: Decision) -> dict[str, Any]:
    return {
        "process": process,
        "session": decision.session,
        "verdict": decision.verdict,
        "reason": decision.reason,
        "input": None if decision.input is None else {"id": decision.input.id, "name": decision.input.name},
        "try": decision.attempt,
        "run": None if decision.run is None else decision.run.as_dict(),
    }


# --- as text --------------------------------------------------------------------------------------


def _print_lines(head: Sequence[str], rows: Iterable[Sequence[tuple[str, str]]]) -> None:
    """Columns of texts with their styles. Laid out here: rich's Table takes 1.7 ms a row, 17 s for ten thousand."""
    from rich.text import Text

    rows = list(rows)
    columns = list(zip(head, *([text for text, _ in row] for row in rows)))
    widths = [max(map(len, column)) for column in columns]
    console = out()
    line = _GAP.join(title.ljust(width) for title, width in zip(head, widths))
    console.print(Text(line.rstrip(), "bold"), no_wrap=True, crop=False, overflow="ignore")
    for row in rows:
        texts = [text.ljust(width) for (text, _), width in zip(row, widths)]
        told = Text(_GAP.join(texts).rstrip())
        place = 0
        for text, (_, style) in zip(texts, row):
            if style:
                told.stylize(style, place, place + len(text))
            place += len(text) + len(_GAP)
        console.print(told, no_wrap=True, crop=False, overflow="ignore")


def _print_summary(plans: Plans) -> None:
    from npc_lims.processing.plan import VERDICTS

    rows = []
    for name, decisions in plans.items():
        counts = Counter(decision.verdict for decision in decisions)
        cells = [(f"{counts[verdict]:,}", _style(verdict, counts[verdict])) for verdict in VERDICTS]
        rows.append(
            [(name, ""), *((text.rjust(len(verdict)), style) for (text, style), verdict in zip(cells, VERDICTS))]
        )
    _print_lines(["process", *VERDICTS], rows)


def _style(verdict: Verdict, count: int = 1) -> str:
    return _STYLES.get(verdict, "") if count else "dim"


def _print_would_run(plans: Plans) -> None:
    from npc_lims.processing.plan import RUN

    console = out()
    ready = [(name, one) for name, decisions in plans.items() for one in decisions if one.verdict == RUN]
    console.print()
    if not ready:
        console.print("nothing would run")
        return
    _print_lines(
        ["would run", "for", "input", "why"],
        (
            [(name, ""), (one.session, ""), ("" if one.input is None else one.input.name, ""), (one.reason, "")]
            for name, one in ready
        ),
    )


def _print_reasons(plans: Plans) -> None:
    from npc_lims.processing.plan import RUN, VERDICTS

    counts = Counter(
        (name, VERDICTS.index(one.verdict), one.reason)
        for name, decisions in plans.items()
        for one in decisions
        if one.verdict != RUN
    )
    if not counts:
        return
    order = list(plans)
    grouped = sorted(counts.items(), key=lambda item: (order.index(item[0][0]), item[0][1], -item[1], item[0][2]))
    out().print()
    _print_lines(
        ["would not", "sessions", "", "why"],
        (
            [(name, ""), (f"{count:,}".rjust(8), ""), (VERDICTS[place], _style(VERDICTS[place])), (reason, "")]
            for (name, place, reason), count in grouped
        ),
    )


def _print_each(plans: Plans) -> None:
    out().print()
    _print_lines(
        ["session", "process", "verdict", "why"],
        (
            [(one.session, ""), (name, ""), (one.verdict, _style(one.verdict)), (one.reason, "")]
            for name, decisions in plans.items()
            for one in decisions
        ),
    )


def _print_runs(runs: Sequence[tuple[str, Run]]) -> None:
    console = out()
    if not runs:
        console.print("no runs are recorded")
        return
    rows = []
    for process, run in runs:
        state, style, about = _state_of(run)
        when = run.started or run.claimed
        rows.append([(process, ""), (run.session, ""), (str(run.attempt), ""), (when, ""), (state, style), (about, "")])
    _print_lines(["process", "session", "try", "since", "state", "about"], rows)
    counts = Counter(_state_of(run)[0] for _, run in runs)
    told = ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items()))
    console.print(f"{len(runs):,} run{'s' if len(runs) > 1 else ''}: {told}", style="dim")


def _state_of(run: Run) -> tuple[str, str, str]:
    """How far a run is, the style of that, and what is to be known about it."""
    if run.outcome == "errored":
        return "errored", "red", run.reason
    if run.asset is not None:
        return ("shared" if run.shared else "captured"), "green", run.asset.name
    if run.outcome == "succeeded":
        return "succeeded", "green", run.computation or ""
    if run.is_claim:
        return "claimed", "yellow", "not known to be started"
    return "running", "cyan", run.computation or ""
