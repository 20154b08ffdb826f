"""Collect the outcomes of runs, and make and share data assets of the good results.

It may be killed anywhere, and repeated: a run that has a data asset gets no second one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Optional

from npc_lims.clients.codeocean import OutcomeUnknown, RateLimited, Rejected, Unauthorized
from npc_lims.clients.codeocean_runs import (
    Computation,
    MadeAsset,
    RunsClient,
    is_finished,
    parse_asset,
    parse_run,
    why_errored,
)
from npc_lims.errors import ComputationError, SourceError
from npc_lims.model.record import Asset
from npc_lims.model.session_id import subject_of
from npc_lims.processing.plan import RecordedState
from npc_lims.processing.process import AssetRecipe, Process
from npc_lims.processing.runs import Run, RunAsset, RunEvent
from npc_lims.processing.start import SAME_SECOND, ComputationMatcher, query_again
from npc_lims.utils.timestamps import utc_time

_GIVE_UP_AFTER = 3
"""After so many failures in a row another request is sent: if that fails too, Code Ocean is down."""

Steps = Generator[RunEvent, None, Optional[Run]]
"""Events of a run, and then the run itself if its data asset is still being made."""


def is_settled(run: Run, process: Process) -> bool:
    """Return True if nothing is left to do: it errored, or its result is captured and shared as *process* wants."""
    if run.outcome != "succeeded":
        return run.outcome == "errored"
    if process.recipe is None:
        return True
    return run.asset is not None and (run.shared or process.recipe.share == "none")


def collect(
    service: RunsClient,
    process: Process,
    recorded: RecordedState,
    *,
    wait: float = 0,
    poll: float = 10,
    same_second: float = SAME_SECOND,
) -> Iterator[RunEvent]:
    """Check each recorded run that is not settled, and do what is left to do. Starts nothing.

    Record each event before requesting the next one. Where something fails, the event has the failure, and the others
    continue. Data assets that are not ready after *wait* seconds are shared the next time. ComputationError, or for a
    refused token SourceError, if Code Ocean is unavailable.
    """
    deadline = time.monotonic() + wait
    collector = _Collector(service, process, recorded, same_second)
    left = [run for run in recorded.runs[process.name] if not is_settled(run, process) or collector.may_still_fail(run)]
    making = yield from collector.for_each(left, collector.check_outcome)
    making = yield from collector.for_each(making, collector.share)
    while making and (seconds := deadline - time.monotonic()) > 0:
        time.sleep(min(poll, seconds))
        making = yield from collector.for_each(making, collector.share)
    for run in making:
        yield RunEvent(run, "not ready", "its data asset is still being made")


class _Collector:
    def __init__(self, service: RunsClient, process: Process, recorded: RecordedState, same_second: float) -> None:
        self._service = service
        self._process = process
        self._records = recorded.records
        self._same_second = same_second
        self._failed_in_a_row = 0
        self._match = ComputationMatcher(service, process, recorded)

    def may_still_fail(self, run: Run) -> bool:
        """Return True if its data asset, which is not shared, was not yet seen by a sync."""
        record = self._records.get(run.session)
        is_made = run.outcome == "succeeded" and run.asset is not None and not run.shared
        return is_made and record is not None and record.status.get(self._process.done) is not True

    def for_each(self, runs: Iterable[Run], steps: Callable[[Run], Steps]) -> Generator[RunEvent, None, list[Run]]:
        """Take steps for each run, and isolate failures. Return the runs whose data assets are still being made."""
        making = []
        for run in runs:
            try:
                after = yield from steps(run)
                self._failed_in_a_row = 0
            except Unauthorized:
                raise
            except (ComputationError, SourceError) as error:
                self._failed_in_a_row += 1
                yield RunEvent(run, "not known", failure=str(error))
                if self._failed_in_a_row >= _GIVE_UP_AFTER:
                    self._check_available(error)
                continue
            if after is not None:
                making.append(after)
        return making

    def _check_available(self, failed: Exception) -> None:
        """Continue if only these runs fail, which they may do forever: they must not block the others."""
        try:
            self._match.list_again()
        except Unauthorized:
            raise
        except SourceError:
            raise ComputationError(
                f"Code Ocean failed for {_GIVE_UP_AFTER} runs in a row, the others were not queried: {failed}"
            ) from None
        self._failed_in_a_row = 0

    # -- outcome

    def check_outcome(self, run: Run) -> Steps:
        if run.computation is None:
            found = self._match.find(run)
            if found is None:
                yield RunEvent(run, "claimed", "not known to be started")
                return None
            run = self._match.attach(run, found)
            yield RunEvent(run, "found", "it had been started, and that was not recorded", run)
        if run.outcome is None:
            computation = self._service.get_run(str(run.computation), parse_run)
            if computation is None:
                yield _errored(run, "Code Ocean has no such computation any more")
                return None
            if not is_finished(computation):
                yield RunEvent(run, "running", f"{computation.state} since {run.started or 'a while'}")
                return None
            reason = self._why_bad(computation)
            seconds = {"seconds": computation.seconds}
            if reason:
                yield _errored(run.model_copy(update=seconds), reason)
                return None
            run = self._match.attach(run, computation).model_copy(update={"outcome": "succeeded", **seconds})
        if self._process.recipe is None:
            yield RunEvent(run, "succeeded", "", run)
            return None
        return run if run.asset is not None else (yield from self._capture(run, self._process.recipe))

    def _why_bad(self, computation: Computation) -> str:
        # a capsule that makes its data assets itself need not leave anything else
        makes_assets = self._process.recipe is None

        def names() -> list[str]:
            found = self._service.list_results(computation.id) or []
            return [*found, "its data assets"] if makes_assets else found

        leaves_nothing = makes_assets and computation.has_results is False
        seen = computation.model_copy(update={"has_results": None}) if leaves_nothing else computation
        return why_errored(seen, names, lambda: self._service.read_output(computation.id))

    # -- data asset

    def _capture(self, run: Run, recipe: AssetRecipe) -> Steps:
        computation_id, subject = str(run.computation), subject_of(run.session)
        name = self._asset_name(run, recipe)

        def find() -> MadeAsset | None:
            return self._service.find_asset_of(computation_id, name, subject)

        made, what, failure = find(), "found", ""
        if made is None:
            what = "captured"
            tags = list(dict.fromkeys([*recipe.tags, subject]))
            metadata = {**recipe.metadata, "subject id": subject}
            try:
                made = self._service.make_asset(computation_id, name, tags, metadata, parse_asset)
            except OutcomeUnknown as error:
                failure = f"making its data asset was requested, and {error.detail}; the next run looks for it"
                made = query_again(self._service, find)
            except (RateLimited, Rejected) as error:
                failure = f"Code Ocean refused to make its data asset {name}: {error.detail}"
        if made is None:
            yield RunEvent(run, "not captured", "it ran well", run, failure)
            return None
        asset = made if what == "found" else self._first_of(made, find)
        failure = ""
        if asset.id != made.id:
            failure = f"another job made one of this run at the same time, which is used; delete data asset {made.id}"
        run = run.model_copy(update={"asset": RunAsset(id=asset.id, name=asset.name)})
        yield RunEvent(run, what, f"data asset {asset.name}", run, failure)
        return run

    def _first_of(self, made: MadeAsset, find: Callable[[], MadeAsset | None]) -> MadeAsset:
        """Return the oldest of the data assets that several made of one run at once: all of them use that one."""
        # of two made in one second, the ids decide: each side must see both
        time.sleep(self._same_second)
        try:
            return find() or made
        except (ComputationError, SourceError):
            return made  # it exists, and has to be recorded

    def _asset_name(self, run: Run, recipe: AssetRecipe) -> str:
        record = self._records.get(run.session)
        asset = None if record is None else record.asset(self._process.input)
        if isinstance(asset, Asset) and asset.id == run.input:
            name = asset.name
        else:
            # the session has another input by now; that of the run is known to Code Ocean
            found = self._service.get_made_asset(run.input)
            if found is None:
                raise ComputationError(f"its input {run.input} is gone from Code Ocean: there is nothing to name it by")
            name = found.name
        try:
            return recipe.asset_name(run.session, name, utc_time(str(run.started)))
        except ValueError as error:
            raise ComputationError(str(error)) from None

    def share(self, run: Run) -> Steps:
        assert run.asset is not None
        made = self._service.get_made_asset(run.asset.id)
        if made is None:
            yield _errored(run, "Code Ocean has no such data asset any more")
        elif made.state == "failed":
            yield _errored(run, f"its data asset failed: {made.failure_reason or 'Code Ocean gives no reason'}")
        elif made.state != "ready":
            return run
        elif self._process.recipe is not None and self._process.recipe.share == "none":
            yield RunEvent(run, "ready", f"data asset {made.name}")
        else:
            self._service.share(made.id)
            shared = run.model_copy(update={"shared": True})
            yield RunEvent(shared, "shared", f"data asset {made.name}", shared)
        return None


def _errored(run: Run, reason: str) -> RunEvent:
    errored = run.model_copy(update={"outcome": "errored", "reason": " ".join(reason.split())})
    return RunEvent(errored, "errored", errored.reason, errored)
