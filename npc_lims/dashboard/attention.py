"""Find what needs attention, the most important first.

Normal states are not listed, so that the list can become empty: training in a box that is not tracked, a session with a
noted issue, a stage that most sessions skip, a wait no longer than usual.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from npc_lims.dashboard.stalls import Stall, WaitingSession, find_stalls
from npc_lims.dashboard.totals import source_ages
from npc_lims.model.session_id import split_session_id
from npc_lims.state.snapshot import newest_first
from npc_lims.state.sync_times import STALE_AFTER
from npc_lims.utils.text import counted
from npc_lims.utils.timestamps import is_future, utc_text, utc_time
from npc_lims.utils.urls import Links

if TYPE_CHECKING:
    from npc_lims.errors import Problem
    from npc_lims.history.transitions import Transition
    from npc_lims.processing.runs import Run
    from npc_lims.state.revision import Commit
    from npc_lims.state.sync_file import SyncFile

Kind = Literal["late", "lost", "runs", "errored", "stalled", "untracked", "warnings"]

_NO_LINKS = Links(None)

EPHYS_RIG = "NP"
"""Prefix of the names of rigs with Neuropixels; all others are boxes for training."""
LOOK_BACK = datetime.timedelta(days=30)
"""Losses before that are not reported."""
_RETURNED = re.compile(" (first seen|facts changed|added)$")


@dataclasses.dataclass(frozen=True)
class Case:
    """One case of a finding: the session, if it is about one, a line that may contain user input, a UTC time, a URL."""

    session: str | None
    text: str
    since: str | None = None
    link: str | None = None


@dataclasses.dataclass(frozen=True)
class Finding:
    """Cases of one kind that need attention. The title has figures, the remedy is one sentence."""

    kind: Kind
    title: str
    remedy: str
    items: tuple[Case, ...]


@dataclasses.dataclass(frozen=True)
class Loss:
    """Facts that one session has lost.

    Attributes:
        what: Words of `SessionChange.what`.
        commit: The last commit that removed something.
        editors: Names of the last editors of the session's entry before that.
    """

    session: str
    what: tuple[str, ...]
    commit: Commit
    editors: tuple[str, ...]


class Past:
    """Losses, and dates of flags, from transitions that are added from the oldest to the newest.

    Attributes:
        first_seen: Session id to flag to when its change from no to yes was first observed. A flag that was yes at the
            first observation has no date, and neither has a commit of the future.
    """

    def __init__(self, now: datetime.datetime) -> None:
        self._now = now
        self._lost: dict[str, dict[str, Transition]] = {}
        self.first_seen: dict[str, dict[str, datetime.datetime]] = {}

    def add(self, transition: Transition) -> None:
        when = utc_time(transition.commit.when)
        for field in transition.change.fields:
            is_first = field.field.startswith("status.") and field.before is False and field.after is True
            if is_first and not is_future(when, self._now):
                flag = field.field[len("status.") :]
                self.first_seen.setdefault(transition.session, {}).setdefault(flag, when)
        lost = self._lost.setdefault(transition.session, {})
        for word in transition.change.what:
            if word == "new":
                lost.clear()
            elif word == "removed" or word.startswith("no longer ") or word.endswith(" gone"):
                lost[word] = transition
            else:  # it returned
                name = _RETURNED.sub("", word)
                for gone in (f"no longer {word}", f"{name} gone", f"{name} facts gone"):
                    lost.pop(gone, None)

    def losses(self) -> list[Loss]:
        """Return the losses within `LOOK_BACK` that did not return, the latest first."""
        since = utc_text(self._now - LOOK_BACK)
        found = []
        for session, words in sorted(self._lost.items()):
            recent = {word: one for word, one in words.items() if one.commit.when >= since}
            if recent:
                last = max(recent.values(), key=lambda one: one.commit.when)
                editors = dict.fromkeys(commit.author for one in recent.values() for commit in one.editors)
                found.append(Loss(session, tuple(recent), last.commit, tuple(editors)))
        return sorted(found, key=lambda loss: loss.commit.when, reverse=True)


def find_issues(
    records: Iterable[Mapping[str, Any]],
    sync_file: SyncFile,
    runs: Mapping[str, Iterable[Run]],
    problems: Sequence[Problem],
    transitions: Iterable[Transition],
    now: datetime.datetime,
    links: Links = _NO_LINKS,
) -> list[Finding]:
    """Return what needs attention, the most important first.

    Args:
        records: All sessions as plain data: lines of the snapshot, or session files.
        sync_file: When each source last answered.
        runs: The runs of each process.
        problems: Problems of tracked_sessions.yaml.
        transitions: Transitions of sessions, the oldest first. Without them no losses are found, and durations of
            stages are known only from the dates of assets.
        now: The present time.
        links: Makes URLs; without, there are none on GitHub.
    """
    sessions = list(records)
    past = Past(now)
    for transition in transitions:
        past.add(transition)
    errored = _errored(sessions)
    failed_sorting = {case.session for case in errored.items}
    found = [
        *_late(sync_file, now),
        *_lost(past, links),
        *_failed_runs(sessions, runs, links),
        errored,
        *_stalled(find_stalls(sessions, past.first_seen, now), failed_sorting),
        *_untracked(sessions),
        *_warnings(problems, links),
    ]
    return [finding for finding in found if finding.items]


def _late(sync_file: SyncFile, now: datetime.datetime) -> Iterable[Finding]:
    ages = source_ages(sync_file, now)
    failing = [age for age in ages if age.failure is not None]
    hours = f"{STALE_AFTER.total_seconds() / 3600:.0f} hours"
    yield Finding(
        "late",
        f"{counted(len(failing), 'source')} could not be queried by the last sync",
        "See the reason; npc-lims doctor checks each credential and service. Their last recorded values are kept.",
        tuple(Case(None, f"{age.name}: {age.failure}", age.failing_since) for age in failing),
    )
    late = [age for age in ages if age.is_late and age.failure is None]
    yield Finding(
        "late",
        f"{counted(len(late), 'source')} not read for {hours}",
        "Check that the workflow sync runs: GitHub drops schedules, and stops those of inactive repositories.",
        tuple(
            Case(
                None,
                f"{age.name} last answered" if age.last_complete else f"{age.name} never answered",
                age.last_complete,
            )
            for age in late
        ),
    )


def _lost(past: Past, links: Links) -> Iterable[Finding]:
    losses = past.losses()
    yield Finding(
        "lost",
        f"{counted(len(losses), 'session')} lost facts in the last {LOOK_BACK.days} days and did not regain them",
        "See the commit; restore in the source what was removed by mistake, and the next sync finds it.",
        tuple(
            Case(
                loss.session,
                ", ".join(loss.what) + (f"; its entry was edited by {', '.join(loss.editors)}" if loss.editors else ""),
                loss.commit.when,
                links.commit(loss.commit.sha),
            )
            for loss in losses
        ),
    )


def _failed_runs(
    sessions: Sequence[Mapping[str, Any]], runs: Mapping[str, Iterable[Run]], links: Links
) -> Iterable[Finding]:
    by_id = {record["id"]: record for record in sessions}
    for process, recorded in sorted(runs.items()):
        in_order = sorted(recorded, key=lambda run: (run.started or run.claimed, run.attempt))
        last = {run.session: run for run in in_order}
        failed = {
            session: run
            for session, run in last.items()
            if run.outcome == "errored" and session in by_id and not (by_id[session]["codeocean"] or {}).get(process)
        }
        yield Finding(
            "runs",
            f"{counted(len(failed), 'session')} whose last run of {process} failed",
            f"Fix the reason, then: npc-lims process run {process} --sessions SESSION --again.",
            tuple(
                Case(
                    id_,
                    f"try {failed[id_].attempt}: {failed[id_].reason}",
                    failed[id_].started or failed[id_].claimed,
                    links.workflow_run(failed[id_].by),
                )
                for id_ in newest_first(failed)
            ),
        )


def _errored(sessions: Sequence[Mapping[str, Any]]) -> Finding:
    """Find sessions with errored sorting results only."""
    items = []
    for record in sessions:
        errored = (record["codeocean"] or {}).get("errored")
        status = record["status"]
        if errored and status.get("is_sorted") is not True and status.get("is_production") is not False:
            reasons = ", ".join(dict.fromkeys(errored.values()))
            items.append(Case(record["id"], f"{counted(len(errored), 'result')}: {reasons}"))
    title = f"{counted(len(items), 'session')} whose sorting failed"
    return Finding("errored", title, "See the output of the run on Code Ocean, and sort again.", tuple(items))


def _stalled(stalls: Iterable[Stall], failed_sorting: Collection[str | None]) -> Iterable[Finding]:
    """Return a finding for each stage, and one for all video results: a session without one often lacks several.

    Args:
        failed_sorting: Sessions whose sorting errored, which are not listed again as waiting for it.
    """
    together: list[Stall] = []
    for stall in stalls:
        if stall.stage.family:
            together.append(stall)
            continue
        waiting = [
            wait for wait in stall.waiting if stall.stage.flag != "is_sorted" or wait.session not in failed_sorting
        ]
        figures = f"median {_days(stall.median)}, 90 % within {_days(stall.ninth_decile)}"
        title = f"{counted(len(waiting), 'session')} {stall.stage.before} for longer than usual ({figures})"
        yield Finding(
            "stalled", title, stall.stage.remedy, tuple(_waiting(wait, stall.stage.before) for wait in waiting)
        )
    if together:
        yield _stalled_together(together)


def _stalled_together(stalls: Sequence[Stall]) -> Finding:
    lacks: dict[str, list[str]] = {}
    since: dict[str, WaitingSession] = {}
    for stall in stalls:
        for wait in stall.waiting:
            lacks.setdefault(wait.session, []).append(stall.stage.before)
            since[wait.session] = wait
    ordered = sorted(since.values(), key=lambda wait: (-wait.since.timestamp(), wait.session))
    slowest = max(stalls, key=lambda stall: stall.ninth_decile)
    median = max(stall.median for stall in stalls)
    figures = f"median {_days(median)}, 90 % within {_days(slowest.ninth_decile)}"
    count = counted(len(ordered), "session")
    title = f"{count} uploaded without {slowest.stage.family} for longer than usual ({figures})"
    items = tuple(_waiting(wait, f"without {', '.join(lacks[wait.session])}") for wait in ordered)
    return Finding("stalled", title, slowest.stage.remedy, items)


def _waiting(wait: WaitingSession, text: str) -> Case:
    return Case(wait.session, text, utc_text(wait.since))


def _untracked(sessions: Sequence[Mapping[str, Any]]) -> Iterable[Finding]:
    """Find sessions of workbooks alone that look like recordings.

    Those are uploaded sessions, and sessions on an ephys rig after the first recording of the subject (before it is
    habituation). Training in a box need not be tracked.
    """
    first_recording: dict[str, str] = {}
    for record in sessions:
        if record["tracked"] and record["tracked"]["platform"] == "ephys":
            subject, date, _ = split_session_id(record["id"])
            first_recording[subject] = min(date, first_recording.get(subject, date))
    uploaded, on_rig = [], []
    for record in sessions:
        training = record["training"]
        if record["tracked"] is not False or not training:
            continue
        subject, date, _ = split_session_id(record["id"])
        raw = (record["codeocean"] or {}).get("raw")
        rig = str(training.get("rig_name") or "")
        if raw:
            uploaded.append(Case(record["id"], f"uploaded as {raw['name']}", raw["created"]))
        elif rig.startswith(EPHYS_RIG) and date >= first_recording.get(subject, "9999"):
            text = f"on {rig}, first recording of the subject {first_recording[subject]}"
            on_rig.append(Case(record["id"], text, f"{date}T00:00:00Z"))
    uploaded.sort(key=lambda item: "ecephys" not in item.text)
    items = (*uploaded, *on_rig)
    yield Finding(
        "untracked",
        f"{counted(len(items), 'session')} in a training workbook and not tracked, that look like recordings: "
        f"{len(uploaded):,} uploaded, {len(on_rig):,} on an ephys rig after the first recording of the subject",
        "Add them to tracked_sessions.yaml (npc-lims track add PATH --pr), or set the column ignore of their rows.",
        items,
    )


def _warnings(problems: Sequence[Problem], links: Links) -> Iterable[Finding]:
    errors = sum(problem.is_error for problem in problems)
    counts = [(errors, "error"), (len(problems) - errors, "warning")]
    counts_text = " and ".join(counted(count, name) for count, name in counts if count)
    ordered = sorted(problems, key=lambda problem: (not problem.is_error, problem.line, problem.column))
    yield Finding(
        "warnings",
        f"{counts_text} in tracked_sessions.yaml",
        "Correct the lines in a pull request; npc-lims validate checks them."
        + (" No sync reads a file with errors." if errors else ""),
        tuple(
            Case(None, f"line {one.line}: {one.severity}: {one.message}", link=links.tracked_line(one.line))
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
