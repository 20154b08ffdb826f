"""`npc-lims process collect`: what became of runs; and `record`, its half for a workflow that may push."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from npc_lims.cli.console import out
from npc_lims.cli.lists import one_style
from npc_lims.cli.process_places import NAMES, PIPELINES, STATE, chosen_processes, state_folder
from npc_lims.cli.process_recording import BRANCH, BY, PUBLISH, SUMMARY, Recorder, by_process
from npc_lims.cli.process_steps import STEPS_CSV, STEPS_JSON, follow, report

if TYPE_CHECKING:
    from npc_lims.processing.pipelines import Process
    from npc_lims.processing.runs import Update
    from npc_lims.processing.start import Step

__all__ = ["collect_command", "record_command"]


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
    as_json: bool = STEPS_JSON,
    as_csv: bool = STEPS_CSV,
) -> None:
    """Ask what became of runs, and make data assets of good results.

    They are shared as pipelines.yaml says; errors are recorded. Nothing is started. What is done already is found, and
    not done again.

    Reads pipelines.yaml, the state folder and Code Ocean. Writes data assets, and what became of each run: into the
    state folder, to the file --out, or with --publish to a branch. Needs CODE_OCEAN_API_TOKEN.

    Exits with 0 if all could be asked; 2 on bad input; 3 if Code Ocean failed for something (the rest was done).

    \b
    Examples:
      npc-lims process collect
      npc-lims process collect dlc_eye --json
      npc-lims process collect --wait 600 --publish
    """
    from npc_lims.clients.codeocean_runs import RunService
    from npc_lims.config.settings import load_settings
    from npc_lims.errors import NpcLimsError
    from npc_lims.processing.collect import collect
    from npc_lims.processing.updates import write_updates

    one_style(json=as_json, csv=as_csv)
    if into is not None and publish:
        raise NpcLimsError("--out and --publish: either a file, or the branch; give one of them")
    settings = load_settings()
    folder = state_folder(state)
    processes = chosen_processes(names, pipelines, folder)
    service = RunService(settings)
    recorder = Recorder(settings, folder, publish, branch, by)
    happened: list[tuple[str, Update]] = []

    def keep(process: str, update: Update) -> None:
        happened.append((process, update))
        if into is not None:
            # at once: what is in the file counts, however this ends
            write_updates(into, by_process(happened))
        elif not publish:
            recorder.keep(process, update)

    if into is not None:
        write_updates(into, {})
    recorded = recorder.read(processes)
    deadline = time.monotonic() + wait

    def look(process: Process) -> Iterator[Step]:
        left = max(0.0, deadline - time.monotonic())
        return collect(service, process, recorded.runs[process.name], recorded.records, wait=left)

    jobs = ((one.name, look(one)) for one in processes)
    try:
        outcome = follow(jobs, keep)
    finally:
        if publish:
            recorder.record(by_process(happened))
    report(outcome, "no run to ask about", summary, as_json=as_json, as_csv=as_csv)


def record_command(
    files: list[Path] = typer.Argument(
        ..., metavar="FILE", help="Files of `process start` and `process collect`, or folders of such."
    ),
    publish: bool = PUBLISH,
    branch: Optional[str] = BRANCH,
    by: str = BY,
    state: Optional[Path] = STATE,
) -> None:
    """Record what happened to runs, as files tell it.

    In any order, and more than once, if need be.

    Reads the files; writes the runs of the state folder, or with --publish those on a branch. Needs no credentials, but
    with --publish the right to push.

    \b
    Examples:
      npc-lims process record started.json
      npc-lims process record started.json collected.json --publish
    """
    from npc_lims.config.settings import load_settings
    from npc_lims.processing.updates import read_updates

    paths = [path for file in files for path in (sorted(file.glob("*.json")) if file.is_dir() else [file])]
    happened = [(process, update) for path in paths for process, some in read_updates(path).items() for update in some]
    Recorder(load_settings(), state_folder(state), publish, branch, by).record(by_process(happened))
    count = f"{len(happened):,} update{'s' if len(happened) > 1 else ''} of runs"
    out().print(count if happened else "nothing happened to any run")
