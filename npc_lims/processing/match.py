"""Make the requests that start runs, and match computations to claims.

A start is requested once, and its response may be lost, or the job killed before it is recorded. The computation is
then found among those of the capsule: by the name that it was given, or, if it has none, by its inputs.
"""

from __future__ import annotations

import datetime
import functools
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from npc_lims.clients.codeocean_runs import Computation, RunRequest, RunsClient, is_finished
from npc_lims.errors import NoSessionData
from npc_lims.model.record import Asset, Record
from npc_lims.processing.plan import RecordedState
from npc_lims.processing.process import Process
from npc_lims.processing.runs import Run
from npc_lims.utils.timestamps import utc_text, utc_time

SAME_SECOND = 1.5
"""Seconds to wait until no other run can begin in the same second as ours: Code Ocean gives whole seconds, and of two
runs that began in one second each side must see both."""
_CLOCKS_DIFFER = datetime.timedelta(minutes=10)
_OUR_PREFIX = "npc_lims "
"""Of the names of our runs (`Run.name`)."""
_QUERIES = 3
"""Queries for something whose response was lost."""

_T = TypeVar("_T")


def query_again(service: RunsClient, find: Callable[[], _T | None]) -> _T | None:
    """Query some times, at growing intervals, for something that was requested and whose response was lost."""
    for number in range(_QUERIES):
        time.sleep(service.policy.delay(number + 2))
        found = find()
        if found is not None:
            return found
    return None


def attach(run: Run, computation: Computation) -> Run:
    return run.model_copy(update={"computation": computation.id, "started": utc_text(computation.began)})


def request_of(process: Process, run: Run, record: Record | None) -> RunRequest | None:
    """Return the request to start *run*; None if the input of the session is another one by now."""
    asset = None if record is None else record.asset(process.input)
    if record is None or not isinstance(asset, Asset) or asset.id != run.input:
        return None
    try:
        parameters = process.parameters_for(record, asset)
    except NoSessionData:
        return None  # the raw asset that a parameter names is gone
    # a capsule that gets the id of its input as a parameter, and makes assets itself, fetches what it needs
    has_id = any("{input.id}" in value or "{raw.id}" in value for value in process.parameters.values())
    is_dispatcher = has_id and process.recipe is None and process.mount is None
    inputs = [] if is_dispatcher else [(asset.id, process.mount)]
    attached = [(one.asset, one.mount) for one in process.attach]
    return RunRequest(process.target, (*inputs, *attached), parameters)


class ComputationMatcher:
    """Matches the computations of a process to its claims.

    Attributes:
        found: Ids of computations that belong to a claim.
    """

    def __init__(self, service: RunsClient, process: Process, recorded: RecordedState) -> None:
        self._service = service
        self._process = process
        self._recorded = recorded.runs[process.name]
        self._records = recorded.records
        self.found: set[str] = set()

    @functools.cached_property
    def computations(self) -> Sequence[Computation]:
        """All computations of the capsule or pipeline, as last listed."""
        return self._service.list_runs(self._process.target)

    def list_again(self) -> None:
        self.computations = self._service.list_runs(self._process.target)

    def request(self, run: Run) -> RunRequest | None:
        return request_of(self._process, run, self._records.get(run.session))

    def free_for(self, run: Run, own: str = "") -> list[Computation]:
        """Return the computations that belong to no other claim; *own* is one that belongs to *run*."""
        elsewhere = {one.computation for one in self._recorded if one.key != run.key} | (self.found - {own})
        return [one for one in self.computations if one.id not in elsewhere]

    def find(self, run: Run) -> Computation | None:
        """Return the computation of a claim, if it was started, by whomever."""
        free = self.free_for(run)
        # by the name of any claim for the run: a released one may have been started nevertheless
        any_claim = run.name(self._process.name)[: -len(run.claim)]
        named = [one for one in free if one.name.startswith(any_claim)]
        if named:
            return _best(named)
        request = self.request(run)
        if request is None:
            return None
        # the expired claim that this one replaced was older
        claimed = [utc_time(one.claimed) for one in (run, *self._recorded) if one.key == run.key]
        earliest = min(claimed) - _CLOCKS_DIFFER
        same = [one for one in free if one.matches(request)]
        going = [one for one in same if not is_finished(one)]
        unnamed = [one for one in same if one.began >= earliest and not one.name.startswith(_OUR_PREFIX)]
        return _best([*going, *unnamed])


def oldest_first(computations: Iterable[Computation]) -> list[Computation]:
    """Return computations in an order that is the same for every process."""
    return sorted(computations, key=lambda one: (one.created, one.id))


def _best(computations: Sequence[Computation]) -> Computation | None:
    """Return the oldest that is going, else the newest."""
    ordered = oldest_first(computations)
    going = [one for one in ordered if not is_finished(one)]
    return going[0] if going else ordered[-1] if ordered else None
