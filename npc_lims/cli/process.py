"""`npc-lims process`: run capsules and pipelines; `run` and `collect`, and their halves for workflows."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import typer

from npc_lims.cli.options import session_ids_of
from npc_lims.cli.output import one_style, out
from npc_lims.cli.process_options import (
    AS_CSV,
    AS_JSON,
    BRANCH,
    BY,
    LIMIT,
    NAMES,
    PIPELINES,
    PUBLISH,
    SESSIONS,
    STATE,
    SUMMARY,
    chosen_processes,
    open_store,
    state_folder,
)
from npc_lims.cli.process_plan import plan_command, print_dry_run, runs_command
from npc_lims.cli.process_report import print_report
from npc_lims.cli.progress import status_line
from npc_lims.errors import NpcLimsError
from npc_lims.state.diff_format import counted

_NOTHING = "nothing to start (npc-lims process plan shows why)"

process_app = typer.Typer(
    help="Run capsules and pipelines of Code Ocean for sessions.\n\nThey are defined in pipelines.yaml."
    "\n\n\b\nExamples:\n  npc-lims process plan"
    "\n  npc-lims process run --dry-run"
    "\n  npc-lims process collect --wait 600",
    no_args_is_help=True,
    rich_markup_mode=None,
)
process_app.command("plan")(plan_command)
process_app.command("runs")(runs_command)


@process_app.command("run")
def run_command(
    names: Optional[list[str]] = NAMES,
    limit: Optional[int] = LIMIT,
    sessions: Optional[list[str]] = SESSIONS,
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what would be started; start and write nothing."),
    again: bool = typer.Option(
        False,
        "--again",
        help="With a process and --sessions: also what is done, was captured, or has used up its tries.",
    ),
    publish: bool = PUBLISH,
    branch: Optional[str] = BRANCH,
    by: str = BY,
    state: Optional[Path] = STATE,
    pipelines: Optional[Path] = PIPELINES,
    summary: Optional[Path] = SUMMARY,
    as_json: bool = AS_JSON,
    as_csv: bool = AS_CSV,
) -> None:
    """Start what `npc-lims process plan` shows, up to the limits.

    Each run is claimed in state before it is started, and recorded as soon as it is. One whose record was lost is
    found again, by its name or by its inputs, before it would be started a second time. With --dry-run, --json and
    --csv print what `process plan` prints, of what would be started.

    Reads pipelines.yaml and the state folder. Starts computations on Code Ocean, and writes what was started: into the
    state folder, or with --publish to a branch. Needs CODE_OCEAN_API_TOKEN, but not with --dry-run.

    Exits with 0 if all was started that Code Ocean takes (it may be busy, or refuse one: see the table); 2 on bad
    input; 3 if Code Ocean failed for something (the rest was done).

    \b
    Examples:
      npc-lims process run --dry-run
      npc-lims process run dlc_eye --limit 3 --publish
      npc-lims process run dlc_eye --sessions 626791_2022-08-15 --again
    """
    from npc_lims.clients.codeocean_runs import RunsClient
    from npc_lims.config.settings import load_settings
    from npc_lims.processing.plan import PlanRequest
    from npc_lims.processing.workflow import start_runs

    one_style(json=as_json, csv=as_csv)
    if again and not names:
        raise NpcLimsError("--again needs the process to run: npc-lims process run PROCESS --sessions ... --again")
    settings = load_settings()
    folder = state_folder(state)
    processes = chosen_processes(names, pipelines, folder)
    request = PlanRequest(processes, session_ids_of(sessions), limit, again)
    store = open_store(settings, folder, publish, branch, by)
    if dry_run:
        recorded = store.read(processes)
        print_dry_run(request, recorded, _NOTHING, as_json=as_json, as_csv=as_csv)
        return
    service = RunsClient(settings)  # without a token nothing is claimed
    claims = store.claim(request)
    with store.recording() as record, status_line() as progress:
        report = start_runs(service, processes, claims.made, claims.before, record, progress)
    print_report(report, _NOTHING, summary, as_json=as_json, as_csv=as_csv)


@process_app.command("collect")
def collect_command(
    names: Optional[list[str]] = NAMES,
    wait: float = typer.Option(0, min=0, help="Seconds to wait in all for data assets that are being made."),
    into: Optional[Path] = typer.Option(
        None, "--out", help="Write what is to be recorded to this file alone, for `npc-lims process record`."
    ),
    publish: bool = PUBLISH,
    branch: Optional[str] = BRANCH,
    by: str = BY,
    state: Optional[Path] = STATE,
    pipelines: Optional[Path] = PIPELINES,
    summary: Optional[Path] = SUMMARY,
    as_json: bool = AS_JSON,
    as_csv: bool = AS_CSV,
) -> None:
    """Collect outcomes, and make data assets of good results.

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
    from npc_lims.clients.codeocean_runs import RunsClient
    from npc_lims.config.settings import load_settings
    from npc_lims.processing.workflow import collect_runs

    one_style(json=as_json, csv=as_csv)
    if into is not None and publish:
        raise NpcLimsError("--out and --publish: either a file, or the branch; give one of them")
    settings = load_settings()
    folder = state_folder(state)
    processes = chosen_processes(names, pipelines, folder)
    service = RunsClient(settings)
    store = open_store(settings, folder, publish, branch, by)
    with store.recording(into) as record, status_line() as progress:
        recorded = store.read(processes)
        report = collect_runs(service, processes, recorded, record, progress, wait=wait)
    print_report(report, "no run to query", summary, as_json=as_json, as_csv=as_csv)


@process_app.command("claim")
def claim_command(
    names: Optional[list[str]] = NAMES,
    into: Path = typer.Option(..., "--out", help="File for the claims, for `npc-lims process start`."),
    limit: Optional[int] = LIMIT,
    sessions: Optional[list[str]] = SESSIONS,
    none: bool = typer.Option(False, "--none", help="Claim nothing: write an empty file."),
    publish: bool = PUBLISH,
    branch: Optional[str] = BRANCH,
    by: str = BY,
    state: Optional[Path] = STATE,
    pipelines: Optional[Path] = PIPELINES,
) -> None:
    """Record a claim for each run that is to be started.

    Nothing is started: it is the half of `npc-lims process run` that may push.

    Reads pipelines.yaml and the state folder. Writes claims: into the state folder, or with --publish to a branch; and
    the file --out. Needs no credentials, but with --publish the right to push.

    \b
    Examples:
      npc-lims process claim --out claims.json
      npc-lims process claim dlc_eye --limit 3 --publish --out claims.json
    """
    from npc_lims.config.settings import load_settings
    from npc_lims.processing.plan import PlanRequest
    from npc_lims.processing.runs import write_updates

    folder = state_folder(state)
    processes = [] if none else chosen_processes(names or None, pipelines, folder)
    request = PlanRequest(processes, session_ids_of(sessions), limit)
    write_updates(into, {})  # claims that cannot be handed on would stand for an hour
    made = open_store(load_settings(), folder, publish, branch, by).claim(request).made
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
    state: Optional[Path] = STATE,
    pipelines: Optional[Path] = PIPELINES,
    summary: Optional[Path] = SUMMARY,
    as_json: bool = AS_JSON,
    as_csv: bool = AS_CSV,
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
    from npc_lims.clients.codeocean_runs import RunsClient
    from npc_lims.config.settings import load_settings
    from npc_lims.processing.runs import Run, read_updates
    from npc_lims.processing.workflow import start_runs
    from npc_lims.state.freshness import warn_if_folder_stale

    one_style(json=as_json, csv=as_csv)
    updates = read_updates(claims_file)
    folder = state_folder(state)
    # also processes without claims: another job may have lost one
    processes = chosen_processes(None, pipelines, folder)
    if unknown := sorted(set(updates) - {process.name for process in processes}):
        raise NpcLimsError(
            f"{claims_file}: claims of {', '.join(unknown)}, which pipelines.yaml does not have: claim again"
        )
    settings = load_settings()
    service = RunsClient(settings)
    warn_if_folder_stale(folder)
    store = open_store(settings, folder, publish=False, branch=None, by="")
    recorded = store.read(processes)
    claims = {name: [one for one in some if isinstance(one, Run)] for name, some in updates.items()}
    with store.recording(into) as record, status_line() as progress:
        report = start_runs(service, processes, claims, recorded, record, progress)
    print_report(report, _NOTHING, summary, as_json=as_json, as_csv=as_csv)


@process_app.command("record")
def record_command(
    files: list[Path] = typer.Argument(
        ..., metavar="FILE", help="Files of `process start` and `process collect`, or folders of such."
    ),
    publish: bool = PUBLISH,
    branch: Optional[str] = BRANCH,
    by: str = BY,
    state: Optional[Path] = STATE,
) -> None:
    """Record updates of runs from files.

    Files may be given in any order, and repeatedly.

    Reads the files; writes the runs of the state folder, or with --publish those on a branch. Needs no credentials, but
    with --publish the right to push.

    \b
    Examples:
      npc-lims process record started.json
      npc-lims process record started.json collected.json --publish
    """
    from npc_lims.config.settings import load_settings
    from npc_lims.processing.runs import Update, read_updates

    updates: dict[str, list[Update]] = {}
    for file in files:
        for path in sorted(file.glob("*.json")) if file.is_dir() else [file]:
            for process, some in read_updates(path).items():
                updates.setdefault(process, []).extend(some)
    open_store(load_settings(), state_folder(state), publish, branch, by).record(updates)
    count = sum(map(len, updates.values()))
    out().print(f"{counted(count, 'update')} of runs" if count else "nothing happened to any run")
