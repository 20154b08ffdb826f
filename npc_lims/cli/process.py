"""`npc-lims process`: run capsules and pipelines; `run` and `collect`, and their halves for workflows."""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import typer

from npc_lims.cli.options import STATE_HERE, SUMMARY, checkout, reading_settings, refuse_offline, session_ids_of
from npc_lims.cli.output import OutputStyle, err, out, status_line, style_options
from npc_lims.cli.process_report import (
    EVENT_COLUMNS,
    PLAN_COLUMNS,
    RUN_COLUMNS,
    print_dry_run,
    print_plans,
    print_report,
    print_runs,
)
from npc_lims.clients.codeocean_runs import RunsClient
from npc_lims.config.settings import load_settings
from npc_lims.errors import NpcLimsError
from npc_lims.processing.collect import collect
from npc_lims.processing.pipelines import PIPELINES_FILE, choose_processes, read_pipelines
from npc_lims.processing.plan import PlanRequest, plan
from npc_lims.processing.process import Process
from npc_lims.processing.runs import Run, RunEvent, Update, read_runs, read_updates, recorded_processes, write_updates
from npc_lims.processing.start import start
from npc_lims.processing.workflow import BranchRunStore, RunStore, read_recorded
from npc_lims.state.freshness import SyncCopy
from npc_lims.utils.text import counted, suggestion

process_app = typer.Typer(
    help="Run capsules and pipelines of Code Ocean for sessions.\n\nThey are defined in pipelines.yaml."
    "\n\n\b\nExamples:\n  npc-lims process plan"
    "\n  npc-lims process run --dry-run"
    "\n  npc-lims process collect --wait 600",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_NAMES = typer.Argument(None, metavar="PROCESS", help="Names of processes. Default: all in pipelines.yaml.")
_PIPELINES = typer.Option(None, "--pipelines", help="Path of pipelines.yaml. Default: beside the state folder.")
_SESSIONS = typer.Option(None, help="Only these sessions, by any form of their ids; repeat or separate by commas.")
_LIMIT = typer.Option(None, min=1, help="Maximum number for each process, within the limits of pipelines.yaml.")
_STYLE = style_options("an array of what was done", EVENT_COLUMNS)

_NOTHING = "nothing to start (npc-lims process plan shows why)"


@dataclasses.dataclass(frozen=True)
class RecordOptions:
    publish: bool = typer.Option(
        False, "--publish", help="Record on the remote's branch, not in the state folder here."
    )
    branch: Optional[str] = typer.Option(
        None, help="With --publish: branch to push to. Default: the branch that is checked out."
    )
    by: str = typer.Option("", help="URL of the workflow run that does this, for the record.")
    state: Optional[Path] = STATE_HERE


# --- commands that only read ----------------------------------------------------------------------


@process_app.command("plan")
def plan_command(
    names: Optional[list[str]] = _NAMES,
    state: Optional[Path] = STATE_HERE,
    pipelines: Optional[Path] = _PIPELINES,
    sessions: Optional[list[str]] = _SESSIONS,
    all_: bool = typer.Option(False, "--all", help="A line for every session, not only for those that would run."),
    style: OutputStyle = style_options("an array of all decisions", PLAN_COLUMNS),
) -> None:
    """Show which sessions would run, and why others would not.

    Reads pipelines.yaml and the state folder; writes nothing, queries nothing and starts nothing. Needs no credentials.

    \b
    Examples:
      npc-lims process plan
      npc-lims process plan dlc_eye --sessions 626791_2022-08-15
      npc-lims process plan --csv
    """
    folder = _state_folder(state)
    request = PlanRequest(_chosen_processes(names, pipelines, folder), session_ids_of(sessions, folder))
    SyncCopy.of_folder(folder).warn_if_stale()
    plans = plan(request, read_recorded(folder, request.processes), _now())
    print_plans(plans, each=all_ or request.sessions is not None, style=style)


@process_app.command("runs")
def runs_command(
    name: Optional[str] = typer.Argument(None, metavar="PROCESS", help="Name of a process. Default: all with runs."),
    state: Optional[Path] = STATE_HERE,
    sessions: Optional[list[str]] = _SESSIONS,
    style: OutputStyle = style_options("an array of runs", RUN_COLUMNS),
) -> None:
    """List recorded runs and their outcomes.

    Reads the state folder; writes and queries nothing. Needs no credentials.

    \b
    Examples:
      npc-lims process runs
      npc-lims process runs dlc_eye --sessions 626791_2022-08-15
      npc-lims process runs --csv
    """
    folder = _state_folder(state)
    recorded = recorded_processes(folder)
    if name is not None and name not in recorded:
        others = f"there are runs of {', '.join(recorded)}" if recorded else "no runs are recorded at all"
        raise NpcLimsError(f"{folder}: no runs of {name} are recorded{suggestion(name, recorded)}; {others}")
    only = session_ids_of(sessions, folder)
    runs = [(process, run) for process in ([name] if name else recorded) for run in read_runs(folder, process)]
    if only is not None:
        runs = [(process, run) for process, run in runs if run.session in only]
    print_runs(runs, style=style)


# --- run and collect ------------------------------------------------------------------------------


@process_app.command("run")
def run_command(
    names: Optional[list[str]] = _NAMES,
    limit: Optional[int] = _LIMIT,
    sessions: Optional[list[str]] = _SESSIONS,
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what would be started; start and write nothing."),
    again: bool = typer.Option(
        False,
        "--again",
        help="With a process and --sessions: also what is done, captured, or out of attempts.",
    ),
    recording: RecordOptions = RecordOptions(),
    pipelines: Optional[Path] = _PIPELINES,
    summary: Optional[typer.FileTextWrite] = SUMMARY,
    style: OutputStyle = _STYLE,
) -> None:
    """Start what `npc-lims process plan` shows, up to the limits.

    Each run is claimed in state before it is started, and recorded as soon as it is. A run whose record was lost is
    found by its name or its input before it is started again. With --dry-run, --json and --csv have the format of
    `process plan`.

    Reads pipelines.yaml and the state folder. Starts computations on Code Ocean, and writes what was started: into the
    state folder, or with --publish to a branch. Needs CODE_OCEAN_API_TOKEN, but not with --dry-run.

    Exits with 0 if everything that Code Ocean accepts was started (the table shows what it refused); 2 on bad input; 3
    if Code Ocean failed for something (the rest was done).

    \b
    Examples:
      npc-lims process run --dry-run
      npc-lims process run dlc_eye --limit 3 --publish
      npc-lims process run dlc_eye --sessions 626791_2022-08-15 --again
    """
    if again and not names:
        raise NpcLimsError("--again needs the process to run: npc-lims process run PROCESS --sessions ... --again")
    if not dry_run:
        refuse_offline("npc-lims process run")
    store = _open_store(**vars(recording))
    processes = _chosen_processes(names, pipelines, store.state)
    request = PlanRequest(processes, session_ids_of(sessions, store.state), limit, again)
    if dry_run:
        plans = plan(request, store.read(processes), _now())
        print_dry_run(plans, _NOTHING, style=style)
        return
    service = RunsClient(store.settings)  # without a token nothing is claimed
    before, claims = store.claim(request)
    with status_line() as progress:
        report = store.follow(processes, lambda one: start(service, one, claims[one.name], before), progress)
    print_report(report, _NOTHING, summary, style)


@process_app.command("collect")
def collect_command(
    names: Optional[list[str]] = _NAMES,
    wait: float = typer.Option(0, min=0, help="Maximum seconds to wait until data assets are ready."),
    into: Optional[Path] = typer.Option(
        None, "--out", help="Write what is to be recorded to this file alone, for `npc-lims process record`."
    ),
    recording: RecordOptions = RecordOptions(),
    pipelines: Optional[Path] = _PIPELINES,
    summary: Optional[typer.FileTextWrite] = SUMMARY,
    style: OutputStyle = _STYLE,
) -> None:
    """Collect outcomes, and create data assets from good results.

    They are shared as pipelines.yaml says; errors are recorded. Nothing is started. It is safe to repeat.

    Reads pipelines.yaml, the state folder and Code Ocean. Writes data assets, and the outcome of each run: into the
    state folder, to the file --out, or with --publish to a branch. Needs CODE_OCEAN_API_TOKEN.

    Exits with 0 if all could be queried; 2 on bad input; 3 if Code Ocean failed for something (the rest was done).

    \b
    Examples:
      npc-lims process collect
      npc-lims process collect dlc_eye --json
      npc-lims process collect --wait 600 --publish
    """
    if into is not None and recording.publish:
        raise NpcLimsError("--out and --publish: either a file, or the branch; give one of them")
    refuse_offline("npc-lims process collect")
    store = _open_store(**vars(recording))
    processes = _chosen_processes(names, pipelines, store.state)
    service = RunsClient(store.settings)
    recorded, deadline = store.read(processes), time.monotonic() + wait

    def events(process: Process) -> Iterator[RunEvent]:
        return collect(service, process, recorded, wait=max(0.0, deadline - time.monotonic()))

    with status_line() as progress:
        report = store.follow(processes, events, progress, into)
    print_report(report, "no run to query", summary, style)


# --- the halves of run and collect, for workflows -------------------------------------------------


@process_app.command("claim")
def claim_command(
    names: Optional[list[str]] = _NAMES,
    into: Path = typer.Option(..., "--out", help="File for the claims, for `npc-lims process start`."),
    limit: Optional[int] = _LIMIT,
    sessions: Optional[list[str]] = _SESSIONS,
    none: bool = typer.Option(False, "--none", help="Claim nothing: write an empty file."),
    recording: RecordOptions = RecordOptions(),
    pipelines: Optional[Path] = _PIPELINES,
) -> None:
    """Record a claim for each run that is to be started.

    Nothing is started: it is the half of `npc-lims process run` that may push.

    Reads pipelines.yaml and the state folder. Writes claims: into the state folder, or with --publish to a branch; and
    the file --out. Needs no credentials; with --publish, permission to push.

    \b
    Examples:
      npc-lims process claim --out claims.json
      npc-lims process claim dlc_eye --limit 3 --publish --out claims.json
    """
    store = _open_store(**vars(recording))
    processes = [] if none else _chosen_processes(names, pipelines, store.state)
    request = PlanRequest(processes, session_ids_of(sessions, store.state), limit)
    write_updates(into, {})  # claims that cannot be handed on would stand for an hour
    _, made = store.claim(request)
    write_updates(into, {name: claims for name, claims in made.items() if claims})
    for name, claims in made.items():
        for run in claims:
            out().print(f"{name}: {run.session} claimed, try {run.attempt}")
    count = sum(map(len, made.values()))
    out().print(f"{into}: {counted(count, 'claim')}" if count else f"{into}: nothing to start")


@process_app.command("start")
def start_command(
    claims_file: Path = typer.Option(..., "--claims", help="File of `npc-lims process claim`."),
    into: Path = typer.Option(..., "--out", help="File for their outcomes, for `npc-lims process record`."),
    state: Optional[Path] = STATE_HERE,
    pipelines: Optional[Path] = _PIPELINES,
    summary: Optional[typer.FileTextWrite] = SUMMARY,
    style: OutputStyle = _STYLE,
) -> None:
    """Start what was claimed.

    It is the half of `npc-lims process run` that has Code Ocean's token.

    Reads the file --claims, pipelines.yaml and the state folder. Starts computations on Code Ocean, and writes nothing
    but the file --out. Needs CODE_OCEAN_API_TOKEN.

    Exit codes are those of `npc-lims process run`.

    \b
    Examples:
      npc-lims process start --claims claims.json --out started.json
    """
    refuse_offline("npc-lims process start")
    updates = read_updates(claims_file)
    store = _open_store(state)
    # also processes without claims: another job may have lost one
    processes = _chosen_processes(None, pipelines, store.state)
    if unknown := sorted(set(updates) - {process.name for process in processes}):
        raise NpcLimsError(
            f"{claims_file}: claims of {', '.join(unknown)}, which pipelines.yaml does not have: claim again"
        )
    service = RunsClient(store.settings)
    SyncCopy.of_folder(store.state).warn_if_stale()
    recorded = store.read(processes)
    claims = {name: [one for one in some if isinstance(one, Run)] for name, some in updates.items()}
    with status_line() as progress:
        report = store.follow(
            processes, lambda one: start(service, one, claims.get(one.name, []), recorded), progress, into
        )
    print_report(report, _NOTHING, summary, style)


@process_app.command("record")
def record_command(
    files: list[Path] = typer.Argument(
        ..., metavar="FILE", help="Files of `process start` and `process collect`, or folders of such."
    ),
    recording: RecordOptions = RecordOptions(),
) -> None:
    """Record updates of runs from files.

    Files may be given in any order, and repeatedly.

    Reads the files; writes the runs of the state folder, or with --publish those on a branch. Needs no credentials;
    with --publish, permission to push.

    \b
    Examples:
      npc-lims process record started.json
      npc-lims process record started.json collected.json --publish
    """
    updates: dict[str, list[Update]] = {}
    for file in files:
        for path in sorted(file.glob("*.json")) if file.is_dir() else [file]:
            for process, some in read_updates(path).items():
                updates.setdefault(process, []).extend(some)
    _open_store(**vars(recording)).record(updates)
    count = sum(map(len, updates.values()))
    out().print(f"{counted(count, 'update')} of runs" if count else "nothing happened to any run")


# --- options --------------------------------------------------------------------------------------


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def _state_folder(state: Optional[Path]) -> Path:
    """Return the state folder to use; runs are recorded in a folder, not in published state."""
    folder = reading_settings(state).state
    if folder is None or not folder.is_dir():
        raise NpcLimsError(
            f"there is no state folder {folder or 'here'}: run this in a checkout of the repository, check --state and "
            "NPC_LIMS_STATE, or run npc-lims sync"
        )
    return folder


def _open_store(state: Optional[Path], publish: bool = False, branch: Optional[str] = None, by: str = "") -> RunStore:
    """Return the store of runs that the options name; it reports on standard error."""
    if publish:
        refuse_offline("--publish")
    settings, folder = load_settings(), _state_folder(state)
    return BranchRunStore(settings, folder, by, branch, err().print) if publish else RunStore(settings, folder, by)


def _chosen_processes(names: Optional[list[str]], pipelines: Optional[Path], state: Path) -> list[Process]:
    """Return the named processes, from the file that belongs to the *state* folder."""
    if pipelines is None:
        beside = state.resolve().parent / PIPELINES_FILE
        pipelines = beside if beside.is_file() else checkout() / PIPELINES_FILE
        if not pipelines.is_file():
            raise NpcLimsError(
                f"there is no {beside}, which defines what is run: "
                "give its path with --pipelines, or write one (docs/processing.md)"
            )
    return choose_processes(read_pipelines(pipelines), names)
