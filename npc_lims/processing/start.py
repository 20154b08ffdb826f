"""Start claimed runs, each once, although responses may be lost and others may start the same at the same time."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence

from npc_lims.clients.codeocean import CodeOceanError, OutcomeUnknown, RateLimited, Rejected
from npc_lims.clients.codeocean_runs import Computation, RunRequest, RunsClient, is_finished, parse_run
from npc_lims.errors import ComputationError, SourceError
from npc_lims.processing.match import SAME_SECOND, ComputationMatcher, attach, oldest_first, query_again
from npc_lims.processing.plan import RecordedState
from npc_lims.processing.process import Process
from npc_lims.processing.runs import ClaimReleased, Run, RunEvent

_DEFAULT_NAME = "Run "
"""Prefix of the names that Code Ocean gives to runs."""


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

    Args:
        recorded: What was recorded before these claims.
        same_second: Seconds to wait after the last start before looking for duplicates.

    Raises:
        ComputationError: Code Ocean is unavailable, or refuses this token. Claims that are left are released before.
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
        self._match.found.add(computation.id)
        self._going.add(run.key)
        self._started.append(started)
        yield RunEvent(run, "started", note, attach(run, computation))

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
                self._match.found.add(oldest.id)
                detail = f"another had been started as well ({one.computation.id}): that one was stopped"
                yield RunEvent(one.run, "found", detail, attach(one.run, oldest))

    def _is_over(self, one: _Started, stopped: Sequence[Computation]) -> bool:
        """Return True if our run was stopped, by us just now or by the other side; False if it ended by itself."""
        if any(it.id == one.computation.id for it in stopped):
            return True
        listed = any(it.id == one.computation.id for it in self._match.computations)
        return not listed and self._service.get_run(one.computation.id, parse_run) is None

    def _attach(self, run: Run, computation: Computation) -> RunEvent:
        self._match.found.add(computation.id)
        note = ""
        if not is_finished(computation):
            self._going.add(run.key)
            note = self._rename(run, computation)
        return RunEvent(run, "found", note or "it had been started before", attach(run, computation))

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
