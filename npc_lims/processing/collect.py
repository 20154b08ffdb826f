"""Collect the outcomes of runs, and make and share data assets of the good results.

It may be killed anywhere, and repeated: a run that has a data asset gets no second one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from npc_lims.clients.codeocean import OutcomeUnknown, RateLimited, Rejected, Unauthorized
from npc_lims.clients.codeocean_runs import Computation, MadeAsset, RunsClient, parse_asset, parse_run
from npc_lims.errors import ComputationError, SourceError
from npc_lims.model.record import Asset, Record
from npc_lims.model.session_id import subject_of
from npc_lims.processing.asset_names import asset_metadata, asset_name, asset_tags, input_of
from npc_lims.processing.match import ComputationMatcher, target_of
from npc_lims.processing.pipelines import Process
from npc_lims.processing.pipelines_schema import AssetRecipe
from npc_lims.processing.runs import Run, RunAsset, RunEvent, settled
from npc_lims.processing.start import LOOKS, SAME_SECOND, attach
from npc_lims.sources.codeocean.validity import is_finished, why_errored
from npc_lims.utils.timestamps import utc_time

GIVE_UP_AFTER = 3
"""After so many failures in a row another request is sent: if that fails too, Code Ocean is down."""
POLL = 10.0
"""Seconds between two queries for data assets that are being made."""
READY, FAILED = "ready", "failed"


def collect(
    service: RunsClient,
    process: Process,
    runs: Sequence[Run],
    records: Mapping[str, Record],
    *,
    wait: float = 0,
    poll: float = POLL,
    same_second: float = SAME_SECOND,
) -> Iterator[RunEvent]:
    """Check each recorded run that is not settled, and do what is left to do. Starts nothing.

    Record each event before requesting the next one. A run for which something fails stays as it is: its event has the
    failure, and the others continue.

    Args:
        service: Code Ocean.
        process: The process.
        runs: Its recorded runs.
        records: All sessions.
        wait: Seconds to wait for data assets that are being made. Those that are not ready are shared the next time.
        poll: Seconds between two queries for them.
        same_second: Seconds to wait after one was made before looking for duplicates of others.

    Raises:
        SourceError: Code Ocean refuses the token.
        ComputationError: Code Ocean is unavailable.
    """
    yield from _Collector(service, process, runs, records, same_second).steps(wait, poll)


class _Collector:
    def __init__(
        self,
        service: RunsClient,
        process: Process,
        runs: Sequence[Run],
        records: Mapping[str, Record],
        same_second: float,
    ) -> None:
        self._service = service
        self._process = process
        self._runs = runs
        self._records = records
        self._same_second = same_second
        self._now = {run.key: run for run in runs if not settled(run, process) or self._is_unseen(run)}
        """Runs that are not settled, as they are now."""
        self._failed_in_a_row = 0
        self._is_listed = False
        self._match = ComputationMatcher(process, runs, records)

    def _is_unseen(self, run: Run) -> bool:
        """Return True if its data asset, which is not shared, was not yet seen by a sync: it may still fail."""
        record = self._records.get(run.session)
        is_made = run.outcome == "succeeded" and run.asset is not None and not run.shared
        return is_made and record is not None and record.status.get(self._process.done) is not True

    def steps(self, wait: float, poll: float) -> Iterator[RunEvent]:
        deadline = time.monotonic() + wait
        for run in list(self._now.values()):
            yield from self._guarded(run, self._look_at)
        while True:
            making = [run for run in self._now.values() if run.outcome == "succeeded" and run.asset is not None]
            for run in making:
                yield from self._guarded(run, self._finish)
            making = [run for run in making if run.key in self._now]
            left = deadline - time.monotonic()
            if not making or left <= 0:
                break
            time.sleep(min(poll, left))
        for run in making:
            yield RunEvent(run, "not ready", "its data asset is still being made")

    def _guarded(self, run: Run, look: Callable[[Run], Iterator[RunEvent]]) -> Iterator[RunEvent]:
        """Return the events of one run, whose failures do not affect the others."""
        try:
            for event in look(run):
                if isinstance(event.update, Run):
                    self._now[run.key] = event.update
                if event.is_last:
                    del self._now[run.key]
                yield event
            self._failed_in_a_row = 0
        except Unauthorized:
            raise
        except (ComputationError, SourceError) as error:
            self._failed_in_a_row += 1
            self._now.pop(run.key, None)
            yield RunEvent(run, "not known", failure=str(error))
            if self._failed_in_a_row >= GIVE_UP_AFTER:
                self._check_available(error)

    def _check_available(self, failed: Exception) -> None:
        """Continue if only these runs fail, which they may do forever: they must not block the others."""
        try:
            self._service.list_runs(target_of(self._process))
        except Unauthorized:
            raise
        except SourceError:
            raise ComputationError(
                f"Code Ocean failed for {GIVE_UP_AFTER} runs in a row, the others were left alone: {failed}"
            ) from None
        self._failed_in_a_row = 0

    # -- outcome

    def _look_at(self, run: Run) -> Iterator[RunEvent]:
        if run.computation is None:
            found = self._find(run)
            if found is None:
                yield RunEvent(run, "claimed", "not known to be started", is_last=True)
                return
            run = attach(run, found)
            yield RunEvent(run, "found", "it had been started, and that was not recorded", run)
        if run.outcome is None:
            computation = self._service.get_run(str(run.computation), parse_run)
            if computation is None:
                yield _errored(run, "Code Ocean has no such computation any more")
                return
            if not is_finished(computation):
                yield RunEvent(run, "running", f"{computation.state} since {run.started or 'a while'}", is_last=True)
                return
            reason = self._why_bad(computation)
            if reason:
                yield _errored(run, reason)
                return
            run = attach(run, computation).model_copy(update={"outcome": "succeeded"})
        if self._process.asset is None:
            yield RunEvent(run, "succeeded", "", run, is_last=True)
        elif run.asset is None:
            yield from self._capture(run, self._process.asset)

    def _find(self, run: Run) -> Computation | None:
        if not self._is_listed:
            self._match.computations = self._service.list_runs(target_of(self._process))
            self._is_listed = True
        found = self._match.find(run)
        if found is not None:
            self._match.found.add(found.id)
        return found

    def _why_bad(self, computation: Computation) -> str:
        """Return why the result is bad; empty if it is good."""

        def names() -> list[str]:
            found = self._service.list_results(computation.id) or []
            # a capsule that makes its data assets itself need not leave anything else
            return found if self._process.asset is not None else [*found, "its data assets"]

        leaves_nothing = self._process.asset is None and computation.has_results is False
        seen = computation.model_copy(update={"has_results": None}) if leaves_nothing else computation
        return why_errored(seen, names, lambda: self._service.read_output(computation.id))

    # -- data asset

    def _capture(self, run: Run, recipe: AssetRecipe) -> Iterator[RunEvent]:
        """Find the data asset of a good run, or make one."""
        computation_id, subject = str(run.computation), subject_of(run.session)
        name = self._asset_name(run, recipe)
        made, failure = self._service.find_asset_of(computation_id, name, subject), ""
        what = "captured" if made is None else "found"
        if made is None:
            tags, metadata = asset_tags(recipe, run.session), asset_metadata(recipe, run.session)
            try:
                made = self._service.make_asset(computation_id, name, tags, metadata, parse_asset)
            except OutcomeUnknown as error:
                made = self._look_again(computation_id, name, subject)
                if made is None:
                    failure = f"making its data asset was requested, and {error.detail}; the next run looks for it"
            except (RateLimited, Rejected) as error:
                failure = f"Code Ocean refused to make its data asset {name}: {error.detail}"
        if made is None:
            yield RunEvent(run, "not captured", "it ran well", run, failure, is_last=True)
            return
        first = made if what == "found" else self._first_of(computation_id, made, subject)
        if first.id != made.id:
            failure = f"another job made one of this run at the same time, which is used; delete data asset {made.id}"
        run = run.model_copy(update={"asset": RunAsset(id=first.id, name=first.name)})
        yield RunEvent(run, what, f"data asset {first.name}", run, failure)

    def _first_of(self, computation_id: str, made: MadeAsset, subject: str) -> MadeAsset:
        """Return the oldest of the data assets that several made of one run at once: all of them use that one."""
        # of two made in one second, the ids decide: each side must see both
        time.sleep(self._same_second)
        try:
            return self._service.find_asset_of(computation_id, made.name, subject) or made
        except (ComputationError, SourceError):
            return made  # it exists, and has to be recorded

    def _look_again(self, computation_id: str, name: str, subject: str) -> MadeAsset | None:
        for look in range(LOOKS):
            time.sleep(self._service.policy.delay(look + 2))
            made = self._service.find_asset_of(computation_id, name, subject)
            if made is not None:
                return made
        return None

    def _asset_name(self, run: Run, recipe: AssetRecipe) -> str:
        record = self._records.get(run.session)
        asset = None if record is None else input_of(self._process, record)
        name = asset.name if isinstance(asset, Asset) and asset.id == run.input else None
        if name is None:
            # the session has another input by now; that of the run is known to Code Ocean
            found = self._service.get_made_asset(run.input)
            if found is None:
                raise ComputationError(f"its input {run.input} is gone from Code Ocean: there is nothing to name it by")
            name = found.name
        try:
            return asset_name(recipe, run.session, name, utc_time(str(run.started)))
        except ValueError as error:
            raise ComputationError(str(error)) from None

    def _finish(self, run: Run) -> Iterator[RunEvent]:
        """Share a data asset that is ready."""
        assert run.asset is not None
        made = self._service.get_made_asset(run.asset.id)
        if made is None:
            yield _errored(run, "Code Ocean has no such data asset any more")
        elif made.state == FAILED:
            yield _errored(run, f"its data asset failed: {made.failure_reason or 'Code Ocean gives no reason'}")
        elif made.state == READY:
            if self._process.asset is not None and self._process.asset.share == "none":
                yield RunEvent(run, "ready", f"data asset {made.name}", is_last=True)
                return
            self._service.share(made.id)
            shared = run.model_copy(update={"shared": True})
            yield RunEvent(shared, "shared", f"data asset {made.name}", shared, is_last=True)


def _errored(run: Run, reason: str) -> RunEvent:
    errored = run.model_copy(update={"outcome": "errored", "reason": " ".join(reason.split())})
    return RunEvent(errored, "errored", errored.reason, errored, is_last=True)
