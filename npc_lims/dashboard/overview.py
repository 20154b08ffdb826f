"""The state that is read, its age, its totals, and what needs attention: what `npc-lims` alone shows."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from npc_lims.config.settings import Settings, settings_for_reading
from npc_lims.dashboard.attention import Finding, find_issues
from npc_lims.dashboard.past import Past
from npc_lims.dashboard.processing import read_processes, results_of
from npc_lims.dashboard.totals import SourceAge, StageCount, Totals, count_sessions, funnel, source_ages
from npc_lims.errors import NpcLimsError, RemoteStateError
from npc_lims.processing.runs import read_all_runs
from npc_lims.sessions.unlisted import count_unlisted, describe_unlisted
from npc_lims.state.reader import Origin, origin_of_state, read_snapshot, recorded_sync
from npc_lims.state.snapshot import parse_line
from npc_lims.state.sync_file import SyncFile
from npc_lims.state.unlisted import read_unlisted


@dataclasses.dataclass(frozen=True)
class Suggestion:
    command: str
    why: str


@dataclasses.dataclass(frozen=True)
class Overview:
    """The state that is read, and what needs attention. Without state there are only troubles and suggestions."""

    state: Origin | None
    troubles: tuple[str, ...]
    sources: tuple[SourceAge, ...] = ()
    totals: Totals | None = None
    steps: tuple[StageCount, ...] = ()
    attention: tuple[Finding, ...] = ()
    unlisted: Mapping[str, int] | None = None
    """Numbers of recordings in Code Ocean without a session; None if they were never observed."""
    next: tuple[Suggestion, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        found = dataclasses.asdict(self)
        if self.state is not None:
            del found["state"]["source_ages"]  # which are those below
        for finding in found["attention"]:
            del finding["stage"]
        for source in found["sources"]:
            source["age"] = None if source["age"] is None else round(source["age"].total_seconds())
        return found


def get_overview() -> Overview:
    """Return totals of all sessions, the age of each source, and what needs attention.

    Its `attention` lists findings, each with a title, a remedy and its cases.

    Raises:
        RemoteStateError: There is no state to read. Errors of reading state: as `get_session_info`.
    """
    settings = settings_for_reading()
    records = [parse_line(line) for line in read_snapshot(settings).lines.all]
    return summarize(settings, records, origin_of_state(settings), datetime.datetime.now(datetime.timezone.utc))


def summarize(
    settings: Settings, records: Sequence[Mapping[str, Any]], origin: Origin, now: datetime.datetime
) -> Overview:
    """Return the overview of sessions that were read."""
    troubles: list[str] = []
    sync_file, runs, unlisted = SyncFile(), {}, None
    try:
        sync_file = recorded_sync(settings, origin)
        runs = {} if settings.state is None else read_all_runs(settings.state)
        # what just failed is not queried again; where nothing answers, they are unknown
        with contextlib.suppress(RemoteStateError):
            assets = None if origin.kind in ("stale cache", "mirror") else read_unlisted(settings)
            unlisted = None if assets is None else describe_unlisted(assets, records)
    except NpcLimsError as error:
        troubles.append(str(error))
    # without the history, which takes longer to read, and the tracked file, which npc-lims validate reads
    results = results_of(read_processes(settings.state)[0]) if runs and settings.state else {}
    findings = find_issues(records, sync_file, runs, (), Past(now), now, unlisted=unlisted or (), results=results)
    # if it is unknown when sources were queried, they are not late
    found = tuple(finding for finding in findings if finding.kind != "late" or sync_file.sources)
    ages = tuple(source_ages(sync_file, now)) if sync_file.sources else ()
    counts = None if unlisted is None else count_unlisted(unlisted)
    return Overview(origin, tuple(troubles), ages, count_sessions(records), tuple(funnel(records)), found, counts)
