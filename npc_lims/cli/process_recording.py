"""Where `npc-lims process` records: the state folder here, or a branch of the remote."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from npc_lims.cli.console import err

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from npc_lims.config.settings import Settings
    from npc_lims.model.record import Record
    from npc_lims.processing.pipelines import Process
    from npc_lims.processing.publish import Change
    from npc_lims.processing.record import Claims, Recorded
    from npc_lims.processing.runs import Run, Update, Updates

__all__ = ["BRANCH", "BY", "LIMIT", "PUBLISH", "SUMMARY", "Claimed", "Recorder", "Wanted", "by_process"]

PUBLISH = typer.Option(False, "--publish", help="Record on the remote's branch, not in the state folder here.")
BRANCH = typer.Option(None, help="With --publish: where to push. Default: the branch that is checked out.")
BY = typer.Option("", help="Address of the workflow run that does this, for the record.")
LIMIT = typer.Option(None, min=1, help="At most so many of each process, if pipelines.yaml allows as many.")
SUMMARY = typer.Option(None, help="Append what was done to this file, as Markdown.")


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a user wants to have run."""

    processes: Sequence[Process]
    sessions: Optional[Collection[str]]
    limit: Optional[int]
    again: bool = False


@dataclasses.dataclass(frozen=True)
class Claimed:
    """What was claimed, by process, and the sessions as they were then."""

    claims: Mapping[str, Claims]
    records: Mapping[str, Record]


@dataclasses.dataclass(frozen=True)
class Read:
    """What is recorded: the runs of each process, and all sessions."""

    runs: Mapping[str, Sequence[Run]]
    records: Mapping[str, Record]


@dataclasses.dataclass(frozen=True)
class Recorder:
    """Records in *state*, or on a branch if *publish*; there it is one commit for all of a list of updates."""

    settings: Settings
    state: Path
    publish: bool
    branch: Optional[str] = None
    by: str = ""

    def read(self, processes: Sequence[Process]) -> Read:
        """What is recorded there, where it records."""

        def look(folder: Path) -> Read:
            from npc_lims.processing.runs_file import read_runs
            from npc_lims.state.store import read_state

            runs = {process.name: read_runs(folder, process.name) for process in processes}
            return Read(runs, read_state(folder).records)

        if not self.publish:
            return look(self.state)
        from npc_lims.processing.publish import look_at_newest

        return look_at_newest(self.state, look, self.branch)

    def claim(self, wanted: Wanted) -> Claimed:
        """Record a claim for each run that is to be started, before anything is."""
        made: list[Claimed] = []

        def change(folder: Path) -> list[Recorded]:
            from npc_lims.processing.record import claim
            from npc_lims.state.store import read_state

            records = read_state(folder).records
            now = datetime.datetime.now(datetime.timezone.utc)
            claims = claim(
                folder,
                wanted.processes,
                records,
                now=now,
                limit=wanted.limit,
                sessions=wanted.sessions,
                again=wanted.again,
                by=self.by,
            )
            made.append(Claimed(claims, records))
            return list(claims.values())

        self._change(change, "claims")
        return made[-1]

    def record(self, updates: Updates) -> None:
        """Record what happened to runs."""

        def change(folder: Path) -> list[Recorded]:
            from npc_lims.processing.record import record

            return record(folder, updates)

        if any(updates.values()):
            self._change(change, "runs")

    def keep(self, process: str, update: Update) -> None:
        """Record one thing at once, in the state folder here."""
        from npc_lims.processing.record import locked, record

        with locked(self.state, self._locks):
            record(self.state, {process: [update]})

    def _change(self, change: Change, what: str) -> None:
        if not self.publish:
            from npc_lims.processing.record import locked

            with locked(self.state, self._locks):
                change(self.state)
            return
        from npc_lims.processing.publish import publish_runs

        trailers = {"Npc-Lims-Run": self.by} if self.by else {}
        done = publish_runs(self.state, change, self.branch, trailers=trailers, backoff=self.settings.backoff)
        if done.commit is not None:
            tries = f" at the {done.attempts}. attempt" if done.attempts > 1 else ""
            err().print(f"pushed {what} to {done.branch}{tries}: {done.commit[:10]}")
        for note in done.notes:
            err().print(note)

    @property
    def _locks(self) -> Path:
        from npc_lims.config.disk_cache import cache_dir

        return cache_dir(self.settings) / "locks"


def by_process(updates: Sequence[tuple[str, Update]]) -> dict[str, list[Update]]:
    """Updates of each process, in their order."""
    found: dict[str, list[Update]] = {}
    for process, update in updates:
        found.setdefault(process, []).append(update)
    return found
