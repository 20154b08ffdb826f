"""Start what was claimed: each claim once, whatever is lost, and whoever does the same at the same time."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from npc_lims.clients.codeocean_models import Computation, RunRequest
from npc_lims.clients.codeocean_runs import Busy, Refused, RunService, Unconfirmed
from npc_lims.errors import ComputationError
from npc_lims.model.record import Record
from npc_lims.processing.match import elder_first, find_started, place_of, recorded_elsewhere, request_of
from npc_lims.processing.pipelines import Process
from npc_lims.processing.runs import Run, Update, Withdrawn
from npc_lims.sources.codeocean.outcomes import is_finished
from npc_lims.utils.timestamps import utc_text, utc_time

__all__ = ["Step", "adopted", "start"]

SAME_SECOND = 1.5
"""Seconds after which nothing can begin any more in the second in which a run of ours began: Code Ocean tells no
fractions, and of two that began in one second each side must see both."""
NAMED_BY_NOBODY = "Run "
"""How the names begin that Code Ocean gives to runs."""
LOOKS = 3
"""How often Code Ocean is asked whether a run began whose answer was lost."""


@dataclasses.dataclass(frozen=True)
class Step:
    """What came of one run.

    Attributes:
        run: Which.
        what: In a word or two: what to count.
        detail: More of it, for people.
        update: What is to be recorded of it at once, if anything.
        failure: Why it could not be done now, if it could not.
        is_last: Nothing more is done about the run this time.
    """

    run: Run
    what: str
    detail: str = ""
    update: Update | None = None
    failure: str = ""
    is_last: bool = False


@dataclasses.dataclass(frozen=True)
class _Started:
    """A claim whose run is going, and since when we know that we began it."""

    run: Run
    asked: RunRequest
    computation: Computation
    at: float
    before: frozenset[str] | None = None
    """If the answer was lost: ids of the computations that were there before we asked."""


def adopted(run: Run, computation: Computation) -> Run:
    """*run*, which *computation* is."""
    return run.model_copy(update={"computation": computation.id, "started": utc_text(computation.began)})


def start(
    service: RunService,
    process: Process,
    claims: Sequence[Run],
    recorded: Iterable[Run],
    records: Mapping[str, Record],
    *,
    same_second: float = SAME_SECOND,
) -> Iterator[Step]:
    """Start each of *claims*, unless it is found to be started already; and find claims that others have lost.

    A step is to be recorded before the next one is asked for: whatever kills this in between is made good by the next.

    Args:
        service: Code Ocean.
        process: Whose claims these are.
        claims: Those to start; all of one process, and recorded.
        recorded: What was recorded before these were claimed.
        records: All sessions.
        same_second: Seconds to wait after the last start before looking whether others began the same.

    Raises:
        ComputationError: Code Ocean cannot be asked, or does not let this token start anything there. What it did not
            come to is given back before.
    """
    yield from _Starter(service, process, tuple(recorded), records).steps(claims, same_second)


class _Starter:
    def __init__(
        self, service: RunService, process: Process, recorded: Sequence[Run], records: Mapping[str, Record]
    ) -> None:
        self._service = service
        self._process = process
        self._recorded = recorded
        self._records = records
        self._place = place_of(process)
        self._computations: list[Computation] = []
        self._found: set[str] = set()
        """Those that stand for a claim by now."""
        self._started: list[_Started] = []
        self._going = {run.key for run in self._recorded if run.is_open and run.computation is not None}

    def steps(self, claims: Sequence[Run], same_second: float) -> Iterator[Step]:
        ours = {run.key for run in claims}
        lost = [run for run in self._recorded if run.is_claim and run.key not in ours]
        if not (claims or lost):
            return
        left = list(claims)
        failure: Exception | None = None
        try:
            self._computations = self._service.list_runs(self._place)
            for run in lost:
                yield from self._look(run)
            while left:
                yield from self._start(left.pop(0))
        except Busy as error:
            yield from _given_back(left, f"Code Ocean takes no more runs now: {error}")
        except (ComputationError, _Doubtful) as error:
            yield from _given_back(left, "Code Ocean could not be asked")
            failure = error
        try:
            yield from self._agree_with_others(same_second)
        except ComputationError as error:
            failure = failure or error
        if failure is not None:
            raise ComputationError(str(failure)) from None

    def _look(self, run: Run) -> Iterator[Step]:
        found = self._find(run, self._request(run))
        if found is not None:
            yield self._adopt(run, found)

    def _start(self, run: Run) -> Iterator[Step]:
        asked = self._request(run)
        found = self._find(run, asked)
        if found is not None:
            yield self._adopt(run, found)
            return
        if asked is None:
            gone = f"the {self._process.input} asset is another one by now"
            yield Step(run, "not started", gone, Withdrawn(run.key, run.claim))
            return
        if len(self._going) >= self._process.limits.running:
            # when it was claimed, nobody knew that what others had lost is going
            full = f"at most {self._process.limits.running} run at once"
            yield Step(run, "not started", full, Withdrawn(run.key, run.claim))
            return
        try:
            computation = self._service.start(asked)
        except Unconfirmed as error:
            yield from self._look_again(run, asked, str(error))
            return
        except Refused as error:
            reason = f"Code Ocean refused to start it: {error}"
            yield Step(run, "refused", str(error), run.model_copy(update={"outcome": "errored", "reason": reason}))
            return
        except (Busy, ComputationError) as error:
            # it was not started for sure
            yield Step(run, "not started", str(error), Withdrawn(run.key, run.claim))
            raise
        begun = time.monotonic()
        told = self._name(run, computation)
        self._found.add(computation.id)
        self._going.add(run.key)
        self._started.append(_Started(run, asked, computation, begun))
        yield Step(run, "started", told, adopted(run, computation))

    def _look_again(self, run: Run, asked: RunRequest, why: str) -> Iterator[Step]:
        """Whether it began although no answer said so."""
        policy = self._service.policy
        before = frozenset(one.id for one in self._computations)
        for look in range(LOOKS):
            time.sleep(policy.delay(look + 2))
            try:
                self._computations = self._service.list_runs(self._place)
            except ComputationError as error:
                why = f"{why}; {error}"
                break
            found = self._find(run, asked)
            if found is not None:
                begun = time.monotonic()
                yield self._adopt(run, found)
                self._started.append(_Started(run, asked, found, begun, before))
                return
        failure = f"Code Ocean was asked to start it, and {why}"
        yield Step(run, "not confirmed", "it is looked for again before it is started again", failure=failure)
        raise _Doubtful(failure)

    def _agree_with_others(self, same_second: float) -> Iterator[Step]:
        """Of two that began the same at once, the elder goes on: each side stops its own if that is the younger."""
        if not self._started:
            return
        time.sleep(max(0.0, same_second - (time.monotonic() - max(one.at for one in self._started))))
        self._computations = self._service.list_runs(self._place)
        for one in self._started:
            others = recorded_elsewhere(self._recorded, one.run) | (self._found - {one.computation.id})
            same = [it for it in self._computations if it.id not in others and it.answers(one.asked)]
            going = [it for it in elder_first(same) if not is_finished(it)]
            if not going:
                continue
            elder, *younger = going
            for it in younger:
                if _is_ours(it, one):
                    self._service.stop(it.id)
            if elder.id != one.computation.id and self._is_over(one, younger):
                self._found.add(elder.id)
                detail = f"another had been started as well ({one.computation.id}): that one was stopped"
                yield Step(one.run, "found", detail, adopted(one.run, elder))

    def _is_over(self, one: _Started, stopped: Sequence[Computation]) -> bool:
        """Whether what we began was stopped: by us just now, or by the other side. Not if it came to an end."""
        if any(it.id == one.computation.id for it in stopped):
            return True
        listed = any(it.id == one.computation.id for it in self._computations)
        return not listed and self._service.get(one.computation.id) is None

    def _request(self, run: Run) -> RunRequest | None:
        return request_of(self._process, run, self._records.get(run.session))

    def _find(self, run: Run, asked: RunRequest | None) -> Computation | None:
        taken = recorded_elsewhere(self._recorded, run) | self._found
        # the claim that this one took over was older
        same = (utc_time(one.claimed) for one in self._recorded if one.key == run.key)
        return find_started(self._process, run, asked, self._computations, taken=taken, since=min(same, default=None))

    def _adopt(self, run: Run, computation: Computation) -> Step:
        self._found.add(computation.id)
        if not is_finished(computation):
            self._going.add(run.key)
        told = "" if is_finished(computation) else self._name(run, computation)
        return Step(run, "found", told or "it had been started before", adopted(run, computation))

    def _name(self, run: Run, computation: Computation) -> str:
        """Give the run a name that tells what it is, by which it is found again. What there is to say of it."""
        if not computation.name.startswith(NAMED_BY_NOBODY):
            return ""
        try:
            self._service.rename(computation.id, run.name(self._process.name))
        except ComputationError as error:
            # it is recorded next, and then needs none
            return f"it could not be named: {error}"
        return ""


def _is_ours(computation: Computation, started: _Started) -> bool:
    """Whether we began it. Where the answer was lost, that is what came since we asked and nobody has named."""
    if computation.id == started.computation.id:
        return True
    is_new = started.before is not None and computation.id not in started.before
    return is_new and computation.name.startswith(NAMED_BY_NOBODY)


class _Doubtful(Exception):
    """A run may have been started: nothing else is, until that is known."""


def _given_back(claims: Iterable[Run], why: str) -> Iterator[Step]:
    return (Step(run, "not started", why, Withdrawn(run.key, run.claim)) for run in claims)
