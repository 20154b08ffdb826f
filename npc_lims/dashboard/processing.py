"""What the processes of pipelines.yaml would do, and their recorded runs."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from npc_lims.errors import PipelinesError
from npc_lims.model.record import Record
from npc_lims.processing.pipelines import PIPELINES_FILE, read_pipelines
from npc_lims.processing.plan import Decision, PlanRequest, RecordedState, plan
from npc_lims.processing.process import Process
from npc_lims.processing.runs import Run, read_all_runs
from npc_lims.utils.mappings import grouped


@dataclasses.dataclass(frozen=True)
class Processing:
    """Processes, the decisions about all sessions, and runs: by the name of the process."""

    processes: Mapping[str, Process]
    plans: Mapping[str, Mapping[str, Decision]]
    """Of each process the decision about each session, the newest session first."""
    runs: Mapping[str, Sequence[Run]]
    """The newest run first; also of processes that pipelines.yaml does not have any more."""
    problem: str = ""
    """Why pipelines.yaml could not be read; empty if it could, or if there is none."""

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys((*self.processes, *self.runs)))

    @functools.cached_property
    def runs_by_session(self) -> Mapping[str, Sequence[tuple[str, Run]]]:
        """Runs with the names of their processes, the newest first."""
        every = ((name, run) for name, runs in self.runs.items() for run in runs)
        in_order = sorted(every, key=lambda pair: _when(pair[1]), reverse=True)
        return grouped((run.session, (name, run)) for name, run in in_order)


def read_processing(state: Path, sessions: Iterable[Mapping[str, Any]], now: datetime.datetime) -> Processing:
    """Read pipelines.yaml beside a state folder and the runs in it, and plan for all *sessions*, without a query.

    Args:
        sessions: Lines of the snapshot, as plain data.
    """
    runs = read_all_runs(state)
    processes, problem = read_processes(state)
    plans: Mapping[str, Sequence[Decision]] = {}
    if processes:
        records = {one["id"]: Record(**{key: one[key] for key in one if key != "digest"}) for one in sessions}
        recorded = RecordedState(records, {name: runs.get(name, ()) for name in processes})
        plans = plan(PlanRequest(list(processes.values())), recorded, now)
    return Processing(
        processes,
        {name: {one.session: one for one in decisions} for name, decisions in plans.items()},
        {name: sorted(some, key=_when, reverse=True) for name, some in runs.items()},
        problem,
    )


def read_processes(state: Path) -> tuple[Mapping[str, Process], str]:
    """Return the processes in pipelines.yaml beside a state folder, and why it could not be read, if so."""
    path = state.absolute().parent / PIPELINES_FILE
    try:
        return (read_pipelines(path) if path.is_file() else {}), ""
    except PipelinesError as error:
        return {}, f"{PIPELINES_FILE}: {error.summary}"


def results_of(processes: Mapping[str, Process]) -> dict[str, str]:
    """Return the kinds of assets that processes make, where they are not named alike."""
    return {name: process.result for name, process in processes.items() if process.result}


def _when(run: Run) -> tuple[str, str, int]:
    return run.started or run.claimed, run.session, run.attempt


def median_seconds(runs: Sequence[Run]) -> float | None:
    """Return the median duration of the runs that ended well; None if none is known."""
    seconds = [run.seconds for run in runs if run.seconds is not None and run.outcome == "succeeded"]
    return statistics.median(seconds) if seconds else None
