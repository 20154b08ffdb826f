"""`npc-lims process plan` and `runs`, which only read; and the plan of a dry run."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import typer

from npc_lims.cli.options import session_ids_of
from npc_lims.cli.output import Cell, csv_option, json_option, one_style, out, print_columns, print_csv, print_json
from npc_lims.cli.process_options import NAMES, PIPELINES, SESSIONS, STATE, chosen_processes, state_folder
from npc_lims.errors import NpcLimsError
from npc_lims.state.diff_format import counted

if TYPE_CHECKING:
    from npc_lims.processing.plan import Decision, PlanRequest, RecordedState, Verdict
    from npc_lims.processing.runs import Run

_PLAN_COLUMNS = ("process", "session", "verdict", "reason", "input.id", "input.name", "try", "run.computation")
_RUN_COLUMNS = (
    *("process", "session", "input", "try", "claim", "claimed", "by", "computation", "started", "outcome", "reason"),
    *("asset.id", "asset.name", "shared"),
)
_STYLES = {"would run": "green", "running": "cyan", "failed": "red", "waiting": "yellow"}

Plans = Mapping[str, Sequence["Decision"]]


def plan_command(
    names: Optional[list[str]] = NAMES,
    state: Optional[Path] = STATE,
    pipelines: Optional[Path] = PIPELINES,
    sessions: Optional[list[str]] = SESSIONS,
    all_: bool = typer.Option(False, "--all", help="A line for every session, not only for those that would run."),
    as_json: bool = json_option("an array of all decisions"),
    as_csv: bool = csv_option(_PLAN_COLUMNS),
) -> None:
    """Show which sessions would run, and why others would not.

    Reads pipelines.yaml and the state folder; writes nothing, queries nothing and starts nothing. Needs no credentials.

    \b
    Examples:
      npc-lims process plan
      npc-lims process plan dlc_eye --sessions 626791_2022-08-15
      npc-lims process plan --csv
    """
    from npc_lims.processing.plan import PlanRequest
    from npc_lims.processing.workflow import read_recorded
    from npc_lims.state.freshness import warn_if_folder_stale

    one_style(json=as_json, csv=as_csv)
    folder = state_folder(state)
    request = PlanRequest(chosen_processes(names, pipelines, folder), session_ids_of(sessions))
    warn_if_folder_stale(folder)
    plans = _plan(request, read_recorded(folder, request.processes))
    if as_json or as_csv:
        _print_rows(plans, as_json)
        return
    _print_summary(plans)
    out().print()
    if all_ or request.sessions is not None:
        _print_each(plans)
    else:
        _print_would_run(plans)
        _print_reasons(plans)


def print_dry_run(request: PlanRequest, recorded: RecordedState, nothing: str, *, as_json: bool, as_csv: bool) -> None:
    """Print what would be started; *nothing* if that is nothing."""
    from npc_lims.processing.plan import RUN

    plans = {
        name: [one for one in decisions if one.verdict == RUN] for name, decisions in _plan(request, recorded).items()
    }
    if as_json or as_csv:
        _print_rows(plans, as_json)
        return
    rows = [
        [name, one.session, str(one.attempt), one.input.name if one.input else "", one.reason]
        for name, one in _each(plans)
    ]
    if rows:
        print_columns(["process", "session", "try", "input", "why"], rows)
    out().print(f"{len(rows):,} would be started (dry run)" if rows else nothing)


def _plan(request: PlanRequest, recorded: RecordedState) -> Plans:
    from npc_lims.processing.plan import plan

    return plan(request, recorded, datetime.datetime.now(datetime.timezone.utc))


def runs_command(
    name: Optional[str] = typer.Argument(None, metavar="PROCESS", help="Name of a process. Default: all with runs."),
    state: Optional[Path] = STATE,
    sessions: Optional[list[str]] = SESSIONS,
    as_json: bool = json_option("an array of runs"),
    as_csv: bool = csv_option(_RUN_COLUMNS),
) -> None:
    """List recorded runs and their outcomes.

    Reads the state folder; writes and queries nothing. Needs no credentials.

    \b
    Examples:
      npc-lims process runs
      npc-lims process runs dlc_eye --sessions 626791_2022-08-15
      npc-lims process runs --csv
    """
    from npc_lims.processing.runs import read_runs, recorded_processes

    one_style(json=as_json, csv=as_csv)
    folder = state_folder(state)
    recorded = recorded_processes(folder)
    if name is not None and name not in recorded:
        from npc_lims.utils.suggestions import suggestion

        others = f"there are runs of {', '.join(recorded)}" if recorded else "no runs are recorded at all"
        raise NpcLimsError(f"{folder}: no runs of {name} are recorded{suggestion(name, recorded)}; {others}")
    only = session_ids_of(sessions)
    runs = [
        (process, run)
        for process in recorded
        if name in (None, process)
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


def _each(plans: Plans) -> Iterator[tuple[str, Decision]]:
    return ((name, decision) for name, decisions in plans.items() for decision in decisions)


def _print_rows(plans: Plans, as_json: bool) -> None:
    rows = (_as_row(process, decision) for process, decision in _each(plans))
    print_json(list(rows)) if as_json else print_csv(_PLAN_COLUMNS, rows)


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


def _styled(verdict: Verdict, text: str = "") -> tuple[str, str]:
    return text or verdict, _STYLES.get(verdict, "")


def _print_summary(plans: Plans) -> None:
    from npc_lims.processing.plan import VERDICTS

    rows: list[list[Cell]] = []
    for name, decisions in plans.items():
        counts = Counter(decision.verdict for decision in decisions)
        texts = {verdict: f"{counts[verdict]:,}".rjust(len(verdict)) for verdict in VERDICTS}
        rows.append([name, *(_styled(one, text) if counts[one] else (text, "dim") for one, text in texts.items())])
    print_columns(["process", *VERDICTS], rows)


def _print_would_run(plans: Plans) -> None:
    from npc_lims.processing.plan import RUN

    rows = [
        [name, one.session, "" if one.input is None else one.input.name, one.reason]
        for name, one in _each(plans)
        if one.verdict == RUN
    ]
    if rows:
        print_columns(["would run", "for", "input", "why"], rows)
    else:
        out().print("nothing would run")


def _print_reasons(plans: Plans) -> None:
    from npc_lims.processing.plan import RUN, VERDICTS

    order = list(plans)
    counts = Counter(
        (order.index(name), VERDICTS.index(one.verdict), one.reason) for name, one in _each(plans) if one.verdict != RUN
    )
    if not counts:
        return
    out().print()
    rows: list[list[Cell]] = [
        [order[number], f"{count:,}".rjust(8), _styled(VERDICTS[verdict]), reason]
        for (number, verdict, reason), count in sorted(
            counts.items(), key=lambda item: (*item[0][:2], -item[1], item[0][2])
        )
    ]
    print_columns(["would not", "sessions", "", "why"], rows)


def _print_each(plans: Plans) -> None:
    rows: list[list[Cell]] = [[one.session, name, _styled(one.verdict), one.reason] for name, one in _each(plans)]
    print_columns(["session", "process", "verdict", "why"], rows)


def _print_runs(runs: Sequence[tuple[str, Run]]) -> None:
    console = out()
    if not runs:
        console.print("no runs are recorded")
        return
    states = [_state_of(run) for _, run in runs]
    rows: list[list[Cell]] = [
        [process, run.session, str(run.attempt), run.started or run.claimed, (state, style), about]
        for (process, run), (state, style, about) in zip(runs, states)
    ]
    print_columns(["process", "session", "try", "since", "state", "about"], rows)
    counts = ", ".join(f"{count:,} {state}" for state, count in sorted(Counter(one for one, _, _ in states).items()))
    console.print(f"{counted(len(runs), 'run')}: {counts}", style="dim")


def _state_of(run: Run) -> tuple[str, str, str]:
    """Return the state of a run, its style, and a detail."""
    if run.outcome == "errored":
        return "errored", "red", run.reason
    if run.asset is not None:
        return ("shared" if run.shared else "captured"), "green", run.asset.name
    if run.outcome == "succeeded":
        return "succeeded", "green", run.computation or ""
    if run.is_claim:
        return "claimed", "yellow", "not known to be started"
    return "running", "cyan", run.computation or ""
