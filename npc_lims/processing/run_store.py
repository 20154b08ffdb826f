"""Where runs are recorded: in a state folder on this machine, or on a branch of the remote."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from npc_lims.config.disk_cache import cache_dir
from npc_lims.processing.plan import PlanRequest, RecordedState
from npc_lims.processing.record import Claims, RunsChange, claim, locked, read_recorded, record
from npc_lims.processing.runs import Update, Updates, write_updates

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings
    from npc_lims.processing.publish import Change
    from npc_lims.state.tree import StateFolder

__all__ = ["RecordUpdate", "RunStore"]

RecordUpdate = Callable[[str, Update], None]
"""Records an update of a run of a process."""


@dataclasses.dataclass(frozen=True)
class RunStore:
    """The runs of a state folder.

    Attributes:
        publish: Record on a branch of the remote, not in the folder.
        branch: The branch; the checked-out one if None.
        by: URL of the workflow run, for the record.
        report: Called with notes about what was pushed.
    """

    settings: Settings
    state: Path
    publish: bool
    branch: str | None = None
    by: str = ""
    report: Callable[[str], object] = lambda note: None

    def read(self, processes: Sequence[str]) -> RecordedState:
        """Read what is recorded, from where it is recorded."""
        if not self.publish:
            return read_recorded(self.state, processes)
        from npc_lims.processing.publish import read_newest

        return read_recorded(read_newest(self.state, self.branch), processes)

    def claim(self, request: PlanRequest) -> Claims:
        """Record a claim for each run that is to be started."""
        claims: list[Claims] = []

        def change(state: StateFolder) -> Sequence[RunsChange]:
            now = datetime.datetime.now(datetime.timezone.utc)
            claims.append(claim(state, request, now=now, by=self.by))
            return claims[-1].changes

        self._change(change, "claims")
        return claims[-1]

    def record(self, updates: Updates) -> None:
        """Record updates of runs."""
        if any(updates.values()):
            self._change(lambda state: record(state, updates), "runs")

    @contextlib.contextmanager
    def recording(self, file: Path | None = None) -> Iterator[RecordUpdate]:
        """Yield a function that records updates at once: in the *file*, else in the folder.

        On a branch all of them are one commit at the end, also if the block ends with an error.
        """
        updates: dict[str, list[Update]] = {}

        def add(process: str, update: Update) -> None:
            updates.setdefault(process, []).append(update)
            if file is not None:
                write_updates(file, updates)
            elif not self.publish:
                self.record({process: [update]})

        if file is not None:
            write_updates(file, updates)
        try:
            yield add
        finally:
            if file is None and self.publish:
                self.record(updates)

    def _change(self, change: Change, what: str) -> None:
        if not self.publish:
            with locked(self.state, cache_dir(self.settings) / "locks"):
                change(self.state)
            return
        from npc_lims.processing.publish import publish_runs

        trailers = {"Npc-Lims-Run": self.by} if self.by else {}
        done = publish_runs(self.state, change, self.branch, trailers=trailers, backoff=self.settings.backoff)
        if done.commit is not None:
            attempt = f" at attempt {done.attempts}" if done.attempts > 1 else ""
            self.report(f"pushed {what} to {done.branch}{attempt}: {done.commit[:10]}")
        for note in done.notes:
            self.report(note)
