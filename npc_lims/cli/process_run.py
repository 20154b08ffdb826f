"""`npc-lims process run`, and its two halves for a workflow: `claim`, which may push, and `start`, which may start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from npc_lims.cli.console import out
from npc_lims.cli.lists import one_style, print_csv, print_json
from npc_lims.cli.options import session_ids_of
from npc_lims.cli.process_places import NAMES, PIPELINES, SESSIONS, STATE, chosen_processes, state_folder
from npc_lims.cli.process_plan import PLAN_COLUMNS, plan_rows
from npc_lims.cli.process_recording import BRANCH, BY, LIMIT, PUBLISH, SUMMARY, Read, Recorder, Wanted, by_process
from npc_lims.cli.process_steps import STEPS_CSV, STEPS_JSON, follow, report
from npc_lims.errors import NpcLimsError

if TYPE_CHECKING:
    from npc_lims.processing.pipelines import Process
    from npc_lims.processing.plan import Decision
    from npc_lims.processing.runs import Update

__all__ = ["claim_command", "run_command", "start_command"]

_NOTHING = "nothing to start (npc-lims process plan tells why)"


def run_command(
    names: Optional[list[str]] = NAMES,
    limit: Optional[int] = LIMIT,
    sessions: Optional[list[str]] = SESSIONS,
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what would be started; ask, start and write nothing."),
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
    as_json: bool = STEPS_JSON,
    as_csv: bool = STEPS_CSV,
) -> None:
    """Start what `npc-lims process plan` shows, up to the limits.

    Each run is claimed in state before it is started, and recorded as soon as it is. One whose record was lost is
    found again, by its name or by what it runs on, before it would be started a second time. With --dry-run, --json
    and --csv print what `process plan` prints, of what would be started.

    Reads pipelines.yaml and the state folder. Starts computations on Code Ocean, and writes what was started: into the
    state folder, or with --publish to a branch. Needs CODE_OCEAN_API_TOKEN, but not with --dry-run.

    Exits with 0 if all was started that Code Ocean takes (it may be busy, or refuse one: the table tells); 2 on bad
    input; 3 if Code Ocean failed for something (the rest was done).

    \b
    Examples:
      npc-lims process run --dry-run
      npc-lims process run dlc_eye --limit 3 --publish
      npc-lims process run dlc_eye --sessions 626791_2022-08-15 --again
    """
    from npc_lims.clients.codeocean_runs import RunService
    from npc_lims.config.settings import load_settings
    from npc_lims.processing.start import start

    one_style(json=as_json, csv=as_csv)
    if again and not names:
        raise NpcLimsError(
            "--again needs the process that is meant: npc-lims process run PROCESS --sessions ... --again"
        )
    settings = load_settings()
    folder = state_folder(state)
    processes = chosen_processes(names, pipelines, folder)
    wanted = Wanted(processes, session_ids_of(sessions), limit, again)
    recorder = Recorder(settings, folder, publish, branch, by)
    if dry_run:
        _tell_plan(_plan(recorder.read(processes), wanted), as_json, as_csv)
        return
    service = RunService(settings)  # without a token nothing is claimed
    claimed = recorder.claim(wanted)
    happened: list[tuple[str, Update]] = []
    jobs = (
        (name, start(service, process, claims.made, claims.before, claimed.records))
        for name, process, claims in ((one.name, one, claimed.claims[one.name]) for one in processes)
    )
    try:
        outcome = follow(jobs, (lambda *what: happened.append(what)) if publish else recorder.keep)
    finally:
        # also what was done before it was stopped
        recorder.record(by_process(happened))
    report(outcome, _NOTHING, summary, as_json=as_json, as_csv=as_csv)


def claim_command(
    names: Optional[list[str]] = NAMES,
    into: Path = typer.Option(..., "--out", help="File for the claims, for `npc-lims process start`."),
    limit: Optional[int] = LIMIT,
    sessions: Optional[list[str]] = SESSIONS,
    none: bool = typer.Option(False, "--none", help="Claim nothing: only make the file."),
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
    from npc_lims.processing.updates import write_updates

    folder = state_folder(state)
    processes = [] if none else chosen_processes(names or None, pipelines, folder)
    recorder = Recorder(load_settings(), folder, publish, branch, by)
    wanted = Wanted(processes, session_ids_of(sessions), limit)
    write_updates(into, {})  # claims that cannot be handed on would stand for an hour
    claimed = recorder.claim(wanted)
    write_updates(into, {name: claims.made for name, claims in claimed.claims.items() if claims.made})
    for name, claims in claimed.claims.items():
        for run in claims.made:
            out().print(f"{name}: {run.session} claimed, try {run.attempt}")
    count = sum(len(claims.made) for claims in claimed.claims.values())
    out().print(f"{into}: {count:,} claim{'s' if count > 1 else ''}" if count else f"{into}: nothing to start")


def start_command(
    claims_file: Path = typer.Option(..., "--claims", help="File of `npc-lims process claim`."),
    into: Path = typer.Option(..., "--out", help="File for what came of them, for `npc-lims process record`."),
    state: Optional[Path] = STATE,
    pipelines: Optional[Path] = PIPELINES,
    summary: Optional[Path] = SUMMARY,
    as_json: bool = STEPS_JSON,
    as_csv: bool = STEPS_CSV,
) -> None:
    """Start what was claimed.

    It is the half of `npc-lims process run` that has Code Ocean's token.

    Reads the file --claims, pipelines.yaml and the state folder. Starts computations on Code Ocean, and writes nothing
    but the file --out. Needs CODE_OCEAN_API_TOKEN.

    Exits as `npc-lims process run`.

    \b
    Examples:
      npc-lims process start --claims claims.json --out started.json
    """
    from npc_lims.clients.codeocean_runs import RunService
    from npc_lims.config.settings import load_settings
    from npc_lims.processing.runs import Run
    from npc_lims.processing.runs_file import read_runs
    from npc_lims.processing.start import start
    from npc_lims.processing.updates import read_updates, write_updates
    from npc_lims.state.freshness import warn_if_folder_stale
    from npc_lims.state.store import read_state

    one_style(json=as_json, csv=as_csv)
    claims = read_updates(claims_file)
    folder = state_folder(state)
    # also of those that nothing is claimed for: somebody may have lost a claim
    processes = chosen_processes(None, pipelines, folder)
    _check_known(claims, processes, claims_file)
    service = RunService(load_settings())
    warn_if_folder_stale(folder)
    records = read_state(folder).records
    happened: list[tuple[str, Update]] = []

    def keep(process: str, update: Update) -> None:
        # at once: what is in the file counts, however this ends
        happened.append((process, update))
        write_updates(into, by_process(happened))

    def claimed(process: Process) -> list[Run]:
        return [one for one in claims.get(process.name, ()) if isinstance(one, Run)]

    write_updates(into, {})
    jobs = ((one.name, start(service, one, claimed(one), read_runs(folder, one.name), records)) for one in processes)
    report(follow(jobs, keep), _NOTHING, summary, as_json=as_json, as_csv=as_csv)


def _check_known(claimed: Iterable[str], processes: Sequence[Process], file: Path) -> None:

    unknown = sorted(set(claimed) - {process.name for process in processes})
    if unknown:
        raise NpcLimsError(f"{file}: claims of {', '.join(unknown)}, which pipelines.yaml does not have: claim again")


def _plan(recorded: Read, wanted: Wanted) -> list[tuple[str, Decision]]:
    """What would be started, by process."""
    import datetime

    from npc_lims.processing.plan import RUN, plan

    now = datetime.datetime.now(datetime.timezone.utc)
    chosen: list[tuple[str, Decision]] = []
    for process in wanted.processes:
        decisions = plan(
            process,
            recorded.records,
            recorded.runs[process.name],
            now=now,
            limit=wanted.limit,
            sessions=wanted.sessions,
            again=wanted.again,
        )
        chosen += [(process.name, one) for one in decisions if one.verdict == RUN]
    return chosen


def _tell_plan(chosen: Sequence[tuple[str, Decision]], as_json: bool, as_csv: bool) -> None:
    if as_json:
        print_json(list(plan_rows(chosen)))
        return
    if as_csv:
        print_csv(PLAN_COLUMNS, plan_rows(chosen))
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("process", "session", "try", "input", "why"):
        table.add_column(title, no_wrap=title != "why")
    for name, one in chosen:
        table.add_row(name, one.session, str(one.attempt), one.input.name if one.input else "", one.reason)
    if chosen:
        out().print(table)
    out().print(f"{len(chosen):,} would be started (dry run)" if chosen else _NOTHING)
