"""Start claimed runs, each once, although responses may be lost and others may start the same at the same time.

A start is requested once, and its response may be lost, or the job killed before it is recorded. The computation is
then found among those of the capsule: by the name that it was given, or, if it has none, by its inputs.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from npc_lims.clients.codeocean import CodeOceanError, OutcomeUnknown, RateLimited, Rejected
from npc_lims.clients.codeocean_runs import Computation, RunRequest, RunsClient, is_finished, parse_run
from npc_lims.errors import ComputationError, NoSessionData, SourceError
from npc_lims.model.record import Asset, Record
from npc_lims.processing.plan import RecordedState
from npc_lims.processing.process import Process
from npc_lims.processing.runs import ClaimReleased, Run, RunEvent
from npc_lims.utils.timestamps import utc_text, utc_time

SAME_SECOND = 1.5
"""Seconds to wait until no other run can begin in the same second as ours: Code Ocean gives whole seconds, and of two
runs that began in one second each side must see both."""
_CLOCKS_DIFFER = datetime.timedelta(minutes=10)
_OUR_PREFIX = "npc_lims "
"""Of the names of our runs (`Run.name`)."""
_QUERIES = 3
"""Queries for something whose response was lost."""
_DEFAULT_NAME = "Run "
"""Prefix of the names that Code Ocean gives to runs."""

_T = TypeVar("_T")

# --- computations of claims ------------------------------------------------------------------------


def query_again(service: RunsClient, find: Callable[[], _T | None]) -> _T | None:
    """Query some times, at growing intervals, for something that was requested and whose response was lost."""
    for number in range(_QUERIES):
        time.sleep(service.policy.delay(number + 2))
        found = find()
        if found is not None:
            return found
    return None


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
    """Matches the computations of a process to its claims."""

    def __init__(self, service: RunsClient, process: Process, recorded: RecordedState) -> None:
        self._service = service
        self._process = process
        self._recorded = recorded.runs[process.name]
        self._records = recorded.records
        self._attached: set[str] = set()

    @functools.cached_property
    def computations(self) -> Sequence[Computation]:
        """All computations of the capsule or pipeline, as last listed."""
        return self._service.list_runs(self._process.target)

    def list_again(self) -> None:
        self.computations = self._service.list_runs(self._process.target)

    def attach(self, run: Run, computation: Computation) -> Run:
        """Return the run with its computation, which belongs to no other claim from now on."""
        self._attached.add(computation.id)
        return run.model_copy(update={"computation": computation.id, "started": utc_text(computation.began)})

    def request(self, run: Run) -> RunRequest | None:
        return request_of(self._process, run, self._records.get(run.session))

    def free_for(self, run: Run, own: str = "") -> list[Computation]:
        """Return the computations that belong to no other claim; *own* is one that belongs to *run*."""
        elsewhere = {one.computation for one in self._recorded if one.key != run.key} | (self._attached - {own})
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


# --- starting -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Started:
    """A claim whose run was started, and when we learned that."""

    run: Run
    request: RunRequest
    computation: Computation
    before: frozenset[str] | None = None
    """If the response was lost: ids of the computations that existed before the request."""
    at: float = dataclasses.field(default_factory=time.monotonic)

    def is_ours(self, computation: Computation) -> bool:
        """Return True if we started it. If the response was lost, that is any run that is new and unnamed."""
        if computation.id == self.computation.id:
            return True
        is_new = self.before is not None and computation.id not in self.before
        return is_new and computation.name.startswith(_DEFAULT_NAME)


def start(
    service: RunsClient,
    process: Process,
    claims: Sequence[Run],
    recorded: RecordedState,
    *,
    same_second: float = SAME_SECOND,
) -> Iterator[RunEvent]:
    """Start each of *claims* that is not found started already, and find the runs of claims that others lost.

    Record each event before requesting the next one: then a job may be killed anywhere, and the next one continues.
    What is *recorded* is from before these claims. ComputationError if Code Ocean is unavailable, or refuses the token:
    claims that are left are released before.
    """
    ours = {run.key for run in claims}
    lost = [run for run in recorded.runs[process.name] if run.is_claim and run.key not in ours]
    if not (claims or lost):
        return
    starter = _Starter(service, process, recorded)
    left = list(claims)
    failure: Exception | None = None
    try:
        yield from starter.find_lost(lost)
        while left:
            yield from starter.start(left.pop(0))
    except RateLimited as error:
        yield from (_not_started(run, f"Code Ocean takes no more runs now: {error.detail}") for run in left)
    except (ComputationError, SourceError) as error:
        yield from (_not_started(run, "Code Ocean could not be queried") for run in left)
        failure = error
    try:
        yield from starter.resolve_duplicates(same_second)
    except SourceError as error:
        failure = failure or error
    if failure is not None:
        raise ComputationError(str(failure)) from None


class _Starter:
    def __init__(self, service: RunsClient, process: Process, recorded: RecordedState) -> None:
        self._service = service
        self._process = process
        self._match = ComputationMatcher(service, process, recorded)
        self._started: list[_Started] = []
        self._going = {run.key for run in recorded.runs[process.name] if run.is_open and run.computation is not None}

    def find_lost(self, claims: Iterable[Run]) -> Iterator[RunEvent]:
        """List the computations, and find those of claims that others lost."""
        self._match.list_again()
        for run in claims:
            if (found := self._match.find(run)) is not None:
                yield self._attach(run, found)

    def start(self, run: Run) -> Iterator[RunEvent]:
        request = self._match.request(run)
        found = self._match.find(run)
        if found is not None:
            yield self._attach(run, found)
            return
        if request is None:
            yield _not_started(run, f"the {self._process.input} asset is another one by now")
            return
        if len(self._going) >= self._process.limits.running:
            # when it was claimed, the lost runs of others were not known to be going
            yield _not_started(run, f"at most {self._process.limits.running} run at once")
            return
        try:
            computation = self._service.start(request, parse_run)
        except OutcomeUnknown as error:
            yield from self._find_unconfirmed(run, request, error.detail)
            return
        except Rejected as error:
            errored = {"outcome": "errored", "reason": f"Code Ocean refused to start it: {error.detail}"}
            yield RunEvent(run, "refused", error.detail, run.model_copy(update=errored))
            return
        except CodeOceanError as error:
            # it was not started for sure
            yield _not_started(run, str(error))
            raise
        started = _Started(run, request, computation)
        note = self._rename(run, computation)
        self._going.add(run.key)
        self._started.append(started)
        yield RunEvent(run, "started", note, self._match.attach(run, computation))

    def _find_unconfirmed(self, run: Run, request: RunRequest, why: str) -> Iterator[RunEvent]:
        """Look for a run whose response was lost."""
        before = frozenset(one.id for one in self._match.computations)

        def find() -> Computation | None:
            self._match.list_again()
            return self._match.find(run)

        try:
            found = query_again(self._service, find)
        except CodeOceanError as error:
            found, why = None, f"{why}; {error}"
        if found is None:
            failure = f"its start was requested, and {why}"
            yield RunEvent(run, "not confirmed", "it is looked for again before it is started again", failure=failure)
            raise ComputationError(failure)
        started = _Started(run, request, found, before)
        yield self._attach(run, found)
        self._started.append(started)

    def resolve_duplicates(self, same_second: float) -> Iterator[RunEvent]:
        """Of runs started twice at once, the oldest continues: each side stops its own newer ones."""
        if not self._started:
            return
        time.sleep(max(0.0, same_second - (time.monotonic() - max(one.at for one in self._started))))
        self._match.list_again()
        for one in self._started:
            same = [it for it in self._match.free_for(one.run, one.computation.id) if it.matches(one.request)]
            going = [it for it in oldest_first(same) if not is_finished(it)]
            if not going:
                continue
            oldest, *newer = going
            for it in newer:
                if one.is_ours(it):
                    self._service.stop_run(it.id)
            if oldest.id != one.computation.id and self._is_over(one, newer):
                detail = f"another had been started as well ({one.computation.id}): that one was stopped"
                yield RunEvent(one.run, "found", detail, self._match.attach(one.run, oldest))

    def _is_over(self, one: _Started, stopped: Sequence[Computation]) -> bool:
        """Return True if our run was stopped, by us just now or by the other side; False if it ended by itself."""
        if any(it.id == one.computation.id for it in stopped):
            return True
        listed = any(it.id == one.computation.id for it in self._match.computations)
        return not listed and self._service.get_run(one.computation.id, parse_run) is None

    def _attach(self, run: Run, computation: Computation) -> RunEvent:
        note = ""
        if not is_finished(computation):
            self._going.add(run.key)
            note = self._rename(run, computation)
        return RunEvent(run, "found", note or "it had been started before", self._match.attach(run, computation))

    def _rename(self, run: Run, computation: Computation) -> str:
        """Give the computation the name by which it is found again; return why that failed, or nothing."""
        if not computation.name.startswith(_DEFAULT_NAME):
            return ""
        try:
            self._service.rename_run(computation.id, run.name(self._process.name))
        except CodeOceanError as error:
            # it is recorded next, and then needs no name
            return f"it could not be named: {error}"
        return ""


def _not_started(run: Run, why: str) -> RunEvent:
    return RunEvent(run, "not started", why, ClaimReleased(key=run.key, claim=run.claim))
