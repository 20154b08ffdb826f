"""Make the requests that start runs, and match computations to claims. Pure.

A start is requested once, and its response may be lost, or the job killed before it is recorded. The computation is
then found among those of the capsule: by the name that it was given, or, if it has none, by its inputs.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence

from npc_lims.clients.codeocean_runs import Computation, RunRequest, RunTarget
from npc_lims.errors import NoSessionData
from npc_lims.model.record import Asset, Record
from npc_lims.processing.asset_names import input_of, parameters_of
from npc_lims.processing.pipelines import Process
from npc_lims.processing.runs import Run
from npc_lims.sources.codeocean.validity import is_finished
from npc_lims.utils.timestamps import utc_time

CLOCKS_DIFFER = datetime.timedelta(minutes=10)
"""Allowed difference between our clock and Code Ocean's."""

OURS = "npc_lims "
"""Prefix of the names of our runs (`Run.name`)."""


def target_of(process: Process) -> RunTarget:
    """Return the capsule or pipeline of a process."""
    if process.capsule is not None:
        return RunTarget("capsule", process.capsule)
    return RunTarget("pipeline", process.pipeline or "")


def request_of(process: Process, run: Run, record: Record | None) -> RunRequest | None:
    """Return the request to start *run*; None if the input of the session is another one by now."""
    asset = None if record is None else input_of(process, record)
    if record is None or not isinstance(asset, Asset) or asset.id != run.input:
        return None
    try:
        parameters = parameters_of(process, record, asset)
    except NoSessionData:
        return None  # the raw asset that a parameter names is gone
    inputs = [] if _is_dispatcher(process) else [(asset.id, process.mount)]
    attached = [(one.asset, one.mount) for one in process.attach]
    return RunRequest(target_of(process), (*inputs, *attached), parameters)


def _is_dispatcher(process: Process) -> bool:
    """Return True for a capsule that gets the id of its input as a parameter, and fetches what it needs itself."""
    has_id = any("{input.id}" in value or "{raw.id}" in value for value in process.parameters.values())
    return has_id and process.asset is None and process.mount is None


class ComputationMatcher:
    """Matches the computations of a process to its claims.

    Attributes:
        computations: All computations of the capsule or pipeline, as last listed.
        found: Ids of computations that belong to a claim.
    """

    def __init__(self, process: Process, recorded: Sequence[Run], records: Mapping[str, Record]) -> None:
        self._process = process
        self._recorded = recorded
        self._records = records
        self.computations: Sequence[Computation] = ()
        self.found: set[str] = set()

    def request(self, run: Run) -> RunRequest | None:
        """Return the request that starts *run*, as `request_of`."""
        return request_of(self._process, run, self._records.get(run.session))

    def free_for(self, run: Run, own: str = "") -> list[Computation]:
        """Return the computations that belong to no other claim; *own* is one that belongs to *run*."""
        elsewhere = {one.computation for one in self._recorded if one.key != run.key} | (self.found - {own})
        return [one for one in self.computations if one.id not in elsewhere]

    def find(self, run: Run) -> Computation | None:
        """Return the computation of a claim, if it was started, by whomever."""
        free = self.free_for(run)
        named = [one for one in free if _is_named_for(one, self._process, run)]
        if named:
            return _best(named)
        request = self.request(run)
        if request is None:
            return None
        # the expired claim that this one replaced was older
        claimed = [utc_time(one.claimed) for one in (run, *self._recorded) if one.key == run.key]
        earliest = min(claimed) - CLOCKS_DIFFER
        return _best([one for one in free if one.matches(request) and _may_be_it(one, earliest)])


def oldest_first(computations: Iterable[Computation]) -> list[Computation]:
    """Return computations in an order that is the same for every process."""
    return sorted(computations, key=lambda one: (one.created, one.id))


def _is_named_for(computation: Computation, process: Process, run: Run) -> bool:
    """Return True if it has the name of any claim for the run: a released one may have been started nevertheless."""
    any_claim = run.name(process.name)[: -len(run.claim)]
    return computation.name.startswith(any_claim)


def _may_be_it(computation: Computation, earliest: datetime.datetime) -> bool:
    """Return True for any computation that is going, and for a finished one without a name of ours."""
    if not is_finished(computation):
        return True
    return computation.began >= earliest and not computation.name.startswith(OURS)


def _best(computations: Sequence[Computation]) -> Computation | None:
    """Return the oldest that is going, else the newest."""
    ordered = oldest_first(computations)
    going = [one for one in ordered if not is_finished(one)]
    return going[0] if going else ordered[-1] if ordered else None
