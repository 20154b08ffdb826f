"""What needs attention, the most important first.

A list that is never empty is soon read by nobody. So what is normal is not listed: training in a box that nobody
tracks, a session whose issue is noted, a step that most sessions do without, a wait that is no longer than others'.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from npc_lims.dashboard.ages import source_ages
from npc_lims.dashboard.losses import LOOK_BACK, Past
from npc_lims.dashboard.stalls import Stall, Waiting, find_stalls
from npc_lims.model.session_id import split_session_id
from npc_lims.state.diff_format import counted
from npc_lims.state.snapshot import newest_first
from npc_lims.state.sync_times import STALE_AFTER
from npc_lims.utils.timestamps import utc_text

if TYPE_CHECKING:
    from npc_lims.errors import Problem
    from npc_lims.history.transitions import Transition
    from npc_lims.processing.runs import Run
    from npc_lims.state.sync_file import SyncFile

__all__ = ["Addresses", "Item", "Kind", "Matter", "matters"]

Kind = Literal["late", "lost", "runs", "errored", "stalled", "untracked", "warnings"]

EPHYS_RIG = "NP"
"""What the names of rigs with Neuropixels begin with; all others are boxes for training."""


@dataclasses.dataclass(frozen=True)
class Item:
    """One case of a matter.

    Attributes:
        session: The session that it is about, if it is about one.
        text: What is so, in one line; may hold what people typed.
        since: UTC time (`YYYY-MM-DDTHH:MM:SSZ`) since when.
        link: Where to look, other than at the session.
    """

    session: str | None
    text: str
    since: str | None = None
    link: str | None = None


@dataclasses.dataclass(frozen=True)
class Matter:
    """One kind of thing that needs attention.

    Attributes:
        kind: For programs.
        title: What it is, with figures.
        remedy: What to do, one sentence.
        items: All cases.
    """

    kind: Kind
    title: str
    remedy: str
    items: tuple[Item, ...]


class Addresses(Protocol):
    """Where things are looked at, if they can be."""

    def commit(self, sha: str) -> str | None: ...

    def tracked_line(self, line: int) -> str | None: ...

    def workflow_run(self, address: str) -> str | None: ...


class _Nowhere:
    def commit(self, sha: str) -> None: ...

    def tracked_line(self, line: int) -> None: ...

    def workflow_run(self, address: str) -> None: ...


def matters(
    records: Iterable[Mapping[str, Any]],
    sync_file: SyncFile,
    runs: Mapping[str, Iterable[Run]],
    problems: Sequence[Problem],
    transitions: Iterable[Transition],
    now: datetime.datetime,
    addresses: Addresses | None = None,
) -> list[Matter]:
    """What needs attention, the most important first.

    Args:
        records: All sessions as plain data: lines of the snapshot, or what their files say.
        sync_file: When each source last answered.
        runs: What is recorded of each process.
        problems: Of tracked_sessions.yaml.
        transitions: What happened, the oldest first; read once. Without, nothing is known to have disappeared, and how
            long steps take is known only where both ends are dated by assets.
        now: The present moment.
        addresses: What makes links; without, there are none.
    """
    places = _Nowhere() if addresses is None else addresses
    sessions = list(records)
    past = Past(now)
    for transition in transitions:
        past.add(transition)
    errored = _errored(sessions)
    known = {item.session for matter in errored for item in matter.items}
    found = [
        *_late(sync_file, now),
        *_lost(past, places),
        *_failed_runs(sessions, runs, places),
        *errored,
        *_stalled(find_stalls(sessions, past.first_seen, now), known),
        *_untracked(sessions),
        *_warnings(problems, places),
    ]
    return [matter for matter in found if matter.items]


def _late(sync_file: SyncFile, now: datetime.datetime) -> Iterable[Matter]:
    ages = source_ages(sync_file, now)
    failing = [age for age in ages if age.failure is not None]
    hours = f"{STALE_AFTER.total_seconds() / 3600:.0f} hours"
    yield Matter(
        "late",
        f"{counted(len(failing), 'source')} could not be asked by the last sync",
        "Follow the reason; npc-lims doctor checks each credential and service. What was recorded of them stays.",
        tuple(Item(None, f"{age.name}: {age.failure}", age.failing_since) for age in failing),
    )
    late = [age for age in ages if age.is_late and age.failure is None]
    yield Matter(
        "late",
        f"{counted(len(late), 'source')} without an answer for {hours}, which is two periods",
        "See whether the workflow sync runs: GitHub drops schedules, and stops those of a quiet repository.",
        tuple(
            Item(
                None,
                f"{age.name} last answered" if age.last_complete else f"{age.name} never answered",
                age.last_complete,
            )
            for age in late
        ),
    )


def _lost(past: Past, places: Addresses) -> Iterable[Matter]:
    losses = past.losses()
    yield Matter(
        "lost",
        f"{counted(len(losses), 'session')} lost facts in the last {LOOK_BACK.days} days, and did not get them back",
        "Look at the commit: what disappeared from its source by mistake comes back there, and the next sync sees it.",
        tuple(
            Item(
                loss.session,
                ", ".join(loss.what) + (f"; its entry was edited by {', '.join(loss.editors)}" if loss.editors else ""),
                loss.commit.when,
                places.commit(loss.commit.sha),
            )
            for loss in losses
        ),
    )


def _failed_runs(
    sessions: Sequence[Mapping[str, Any]], runs: Mapping[str, Iterable[Run]], places: Addresses
) -> Iterable[Matter]:
    by_id = {record["id"]: record for record in sessions}
    for process, recorded in sorted(runs.items()):
        last: dict[str, Run] = {}
        for run in recorded:
            if run.session not in last or _order(run) > _order(last[run.session]):
                last[run.session] = run
        failed = {
            session: run
            for session, run in last.items()
            if run.outcome == "errored" and session in by_id and not (by_id[session]["codeocean"] or {}).get(process)
        }
        yield Matter(
            "runs",
            f"{counted(len(failed), 'session')} of which the last run of {process} failed",
            f"Mend what the reason names, then: npc-lims process run {process} --sessions SESSION --again.",
            tuple(
                Item(
                    id_,
                    f"try {failed[id_].attempt}: {failed[id_].reason}",
                    failed[id_].started or failed[id_].claimed,
                    places.workflow_run(failed[id_].by),
                )
                for id_ in newest_first(failed)
            ),
        )


def _order(run: Run) -> tuple[str, int]:
    return run.started or run.claimed, run.attempt


def _errored(sessions: Sequence[Mapping[str, Any]]) -> list[Matter]:
    """Sorting results that errored, of sessions that have no good one."""
    items = []
    for record in sessions:
        errored = (record["codeocean"] or {}).get("errored")
        if (
            errored
            and record["status"].get("is_sorted") is not True
            and record["status"].get("is_production") is not False
        ):
            reasons = ", ".join(dict.fromkeys(errored.values()))
            items.append(Item(record["id"], f"{counted(len(errored), 'result')}: {reasons}"))
    title = f"{counted(len(items), 'session')} with errored sorting results, and no good one"
    return [Matter("errored", title, "Look at the output of the run on Code Ocean, and sort again.", tuple(items))]


def _stalled(stalls: Iterable[Stall], known: Collection[str | None]) -> Iterable[Matter]:
    """One matter for each step, and one for the video results together: who lacks one of these often lacks more.

    Args:
        known: Sessions whose sorting errored, which are not told a second time as waiting for it.
    """
    together: list[Stall] = []
    for stall in stalls:
        if stall.step.family:
            together.append(stall)
            continue
        told = [wait for wait in stall.waiting if stall.step.flag != "is_sorted" or wait.session not in known]
        figures = f"usual is {_days(stall.usual)}, 90 % within {_days(stall.most)}"
        title = f"{counted(len(told), 'session')} {stall.step.before}, for longer than usual ({figures})"
        yield Matter("stalled", title, stall.step.remedy, tuple(_waiting(wait, stall.step.before) for wait in told))
    if together:
        yield _stalled_together(together)


def _stalled_together(stalls: Sequence[Stall]) -> Matter:
    lacks: dict[str, list[str]] = {}
    since: dict[str, Waiting] = {}
    for stall in stalls:
        for wait in stall.waiting:
            lacks.setdefault(wait.session, []).append(stall.step.before)
            since[wait.session] = wait
    ordered = sorted(since.values(), key=lambda wait: (-wait.since.timestamp(), wait.session))
    slowest = max(stalls, key=lambda stall: stall.most)
    figures = f"usual is {_days(max(stall.usual for stall in stalls))} at most, 90 % within {_days(slowest.most)}"
    count = counted(len(ordered), "session")
    title = f"{count} uploaded, without {slowest.step.family} for longer than usual ({figures})"
    items = tuple(_waiting(wait, f"without {', '.join(lacks[wait.session])}") for wait in ordered)
    return Matter("stalled", title, slowest.step.remedy, items)


def _waiting(wait: Waiting, text: str) -> Item:
    return Item(wait.session, text, utc_text(wait.since))


def _untracked(sessions: Sequence[Mapping[str, Any]]) -> Iterable[Matter]:
    """Sessions that only a workbook has, and that look like recordings.

    Training in a box is not tracked, and need not be. What should be: whatever was uploaded, and what was done on
    an ephys rig once the subject's recordings had begun (before, it is habituation).
    """
    first_recording: dict[str, str] = {}
    for record in sessions:
        if record["tracked"] and record["tracked"]["platform"] == "ephys":
            subject, date, _ = split_session_id(record["id"])
            first_recording[subject] = min(date, first_recording.get(subject, date))
    uploaded, on_rig = [], []
    for record in sessions:
        training = record["training"]
        if record["tracked"] is not False or not training or training.get("ignore") in (1, "1"):
            continue
        subject, date, _ = split_session_id(record["id"])
        raw = (record["codeocean"] or {}).get("raw")
        rig = str(training.get("rig_name") or "")
        if raw:
            uploaded.append(Item(record["id"], f"uploaded as {raw['name']}", raw["created"]))
        elif rig.startswith(EPHYS_RIG) and date >= first_recording.get(subject, "9999"):
            text = f"on {rig}, the subject's first recording was on {first_recording[subject]}"
            on_rig.append(Item(record["id"], text, f"{date}T00:00:00Z"))
    uploaded.sort(key=lambda item: "ecephys" not in item.text)
    items = (*uploaded, *on_rig)
    yield Matter(
        "untracked",
        f"{counted(len(items), 'session')} in a training workbook and not tracked, that look like recordings: "
        f"{len(uploaded):,} uploaded, {len(on_rig):,} on an ephys rig since the subject's recordings began",
        "Add them to tracked_sessions.yaml (npc-lims track add PATH --pr), or set the column ignore of their rows.",
        items,
    )


def _warnings(problems: Sequence[Problem], places: Addresses) -> Iterable[Matter]:
    errors = sum(problem.is_error for problem in problems)
    counts = [(errors, "error"), (len(problems) - errors, "warning")]
    told = " and ".join(counted(count, name) for count, name in counts if count)
    ordered = sorted(problems, key=lambda problem: (not problem.is_error, problem.line, problem.column))
    yield Matter(
        "warnings",
        f"{told} in tracked_sessions.yaml",
        "Correct the lines by a pull request; npc-lims validate tells whether they are right."
        + (" With an error in it no sync reads the file." if errors else ""),
        tuple(
            Item(None, f"line {one.line}: {one.severity}: {one.message}", link=places.tracked_line(one.line))
            for one in ordered
        ),
    )


def _days(time: datetime.timedelta) -> str:
    """
    >>> _days(datetime.timedelta(hours=5)), _days(datetime.timedelta(days=1.2)), _days(datetime.timedelta(days=9))
    ('5 hours', '1 day', '9 days')
    """
    hours = max(1, round(time.total_seconds() / 3600))
    return counted(hours, "hour") if hours < 24 else counted(round(hours / 24), "day")
