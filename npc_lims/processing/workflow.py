"""Start and collect runs of several processes. Each event of a run is recorded before the next one is requested."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from npc_lims.clients.codeocean_runs import RunsClient
from npc_lims.errors import ComputationError, SourceError
from npc_lims.processing.collect import collect
from npc_lims.processing.pipelines import Process
from npc_lims.processing.plan import RecordedState
from npc_lims.processing.record import RecordUpdate
from npc_lims.processing.runs import Run, RunEvent
from npc_lims.processing.start import start


@dataclasses.dataclass
class RunResults:
    """The outcome of starting or collecting.

    Attributes:
        events: The last event of each run, with its process.
        failures: Sentences about what could not be done.
    """

    events: list[tuple[str, RunEvent]]
    failures: list[str]


def start_runs(
    service: RunsClient,
    processes: Sequence[Process],
    claims: Mapping[str, Sequence[Run]],
    recorded: RecordedState,
    record: RecordUpdate,
    progress: Callable[[str], object],
) -> RunResults:
    """Start *claims*, which were made on top of what is *recorded*."""

    def events(process: Process) -> Iterator[RunEvent]:
        made = claims.get(process.name, ())
        return start(service, process, made, recorded.runs[process.name], recorded.records)

    return _run_all(((one.name, events(one)) for one in processes), record, progress)


def collect_runs(
    service: RunsClient,
    processes: Sequence[Process],
    recorded: RecordedState,
    record: RecordUpdate,
    progress: Callable[[str], object],
    *,
    wait: float,
) -> RunResults:
    """Collect the results of what is *recorded*, within *wait* seconds for all processes."""
    deadline = time.monotonic() + wait

    def events(process: Process) -> Iterator[RunEvent]:
        left = max(0.0, deadline - time.monotonic())
        return collect(service, process, recorded.runs[process.name], recorded.records, wait=left)

    return _run_all(((one.name, events(one)) for one in processes), record, progress)


def _run_all(
    jobs: Iterable[tuple[str, Iterator[RunEvent]]], record: RecordUpdate, progress: Callable[[str], object]
) -> RunResults:
    last: dict[tuple[str, object], RunEvent] = {}
    failures = []
    for process, events in jobs:
        progress(f"{process}: querying Code Ocean")
        try:
            for event in events:
                if event.update is not None:
                    record(process, event.update)
                last[process, event.run.key] = event
                if event.failure:
                    failures.append(f"{process}, {event.run.session}: {event.failure}")
                progress(f"{process}: {event.run.session} {event.what}")
        except (ComputationError, SourceError) as error:
            # the other processes may be all right
            failures.append(f"{process}: {error}")
    return RunResults([(process, event) for (process, _), event in last.items()], failures)
