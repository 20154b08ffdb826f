"""Find what needs attention, the most important first.

Normal states are not listed, so that the list can become empty: training in a box that is not tracked, a session with a
noted issue, a stage that most sessions skip, a wait no longer than usual.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

from npc_lims.dashboard.past import Past
from npc_lims.dashboard.totals import Stall, find_stalls, source_ages
from npc_lims.errors import Problem
from npc_lims.model.flags import StatusFlag
from npc_lims.model.session_id import split_session_id
from npc_lims.processing.runs import Run
from npc_lims.sessions.unlisted import UnlistedRecording
from npc_lims.state.freshness import STALE_AFTER, describe_age
from npc_lims.state.snapshot import newest_first
from npc_lims.state.sync_file import SyncFile
from npc_lims.utils.text import counted
from npc_lims.utils.timestamps import utc_text
from npc_lims.utils.urls import Links, web_address

Kind = Literal["late", "lost", "runs", "errored", "stalled", "untracked", "unlisted", "warnings"]

_NO_LINKS = Links(None)
_NO_RESULTS: Mapping[str, str] = {}
EPHYS_RIG = "NP"
"""Prefix of the names of rigs with Neuropixels; all others are boxes for training."""
LOOK_BACK = datetime.timedelta(days=30)
"""Losses before that are not reported."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One case of a finding: the session, if it is about one, a line that may contain user input, a UTC time, a URL.

    The line is empty if the title of the finding says it all. The command, if there is one, corrects this case.
    """

    session: str | None
    text: str
    since: str | None = None
    link: str | None = None
    command: str = ""


@dataclasses.dataclass(frozen=True)
class Finding:
    """Cases of one kind that need attention, of one stage if they wait for one. The title has figures."""

    kind: Kind
    title: str
    remedy: str
    items: tuple[Case, ...]
    stage: StatusFlag | None = None


def find_issues(
    records: Iterable[Mapping[str, Any]],
    sync_file: SyncFile,
    runs: Mapping[str, Iterable[Run]],
    problems: Sequence[Problem],
    past: Past,
    now: datetime.datetime,
    links: Links = _NO_LINKS,
    unlisted: Iterable[UnlistedRecording] = (),
    results: Mapping[str, str] = _NO_RESULTS,
) -> list[Finding]:
    """Return what needs attention, the most important first; losses only of the *past*.

    *results* are the kinds of assets that processes make, where they are not named alike.
    """
    sessions = list(records)
    failed = [_failed_runs(sessions, name, runs[name], results.get(name, name)) for name in sorted(runs)]
    sortings = (one for name, one in zip(sorted(runs), failed) if results.get(name, name) == "sorted")
    errored = _errored(sessions, {case.session for one in sortings for case in one.items})
    failed_sorting = {case.session for case in _errored(sessions).items}
    found = [
        *_late(sync_file, now),
        _lost(past, now, links),
        *failed,
        errored,
        *_stalled(find_stalls(sessions, past.first_seen, now), failed_sorting),
        _untracked(sessions),
        _unlisted(unlisted, links),
        _warnings(problems, links),
    ]
    return [finding for finding in found if finding.items]


def _late(sync_file: SyncFile, now: datetime.datetime) -> Iterable[Finding]:
    ages = source_ages(sync_file, now)
    failing = [age for age in ages if age.failure is not None]
    yield Finding(
        "late",
        f"{counted(len(failing), 'source')} could not be queried by the last sync",
        "See the reason; npc-lims doctor checks each credential and service. Their last recorded values are kept.",
        tuple(Case(None, f"{age.name}: {age.failure}", age.failing_since) for age in failing),
    )
    late = [age for age in ages if age.is_late and age.failure is None]
    yield Finding(
        "late",
        f"{counted(len(late), 'source')} not read for {STALE_AFTER.total_seconds() / 3600:.0f} hours",
        "Check that the workflow sync runs: GitHub drops schedules, and stops those of inactive repositories.",
        tuple(
            Case(None, f"{age.name} {'last' if age.last_complete else 'never'} answered", age.last_complete)
            for age in late
        ),
    )


def _lost(past: Past, now: datetime.datetime, links: Links) -> Finding:
    since = utc_text(now - LOOK_BACK)
    cases = []
    for session, words in sorted(past.lost.items()):
        recent = {word: one for word, one in words.items() if one.commit.when >= since}
        if recent:
            commit = max((one.commit for one in recent.values()), key=lambda commit: commit.when)
            editors = dict.fromkeys(editor.author for one in recent.values() for editor in one.editors)
            edited = f"; its entry was edited by {', '.join(editors)}" if editors else ""
            cases.append(Case(session, ", ".join(recent) + edited, commit.when, links.commit(commit.sha)))
    cases.sort(key=lambda case: str(case.since), reverse=True)
    return Finding(
        "lost",
        f"{counted(len(cases), 'session')} lost facts in the last {LOOK_BACK.days} days and did not regain them",
        "See the commit; restore in the source what was removed by mistake, and the next sync finds it.",
        tuple(cases),
    )


def _failed_runs(sessions: Iterable[Mapping[str, Any]], process: str, runs: Iterable[Run], result: str) -> Finding:
    by_id = {record["id"]: record for record in sessions}
    in_order = sorted(runs, key=lambda run: (run.started or run.claimed, run.attempt))
    failed = {
        session: run
        for session, run in {run.session: run for run in in_order}.items()
        if run.outcome == "errored" and session in by_id and not (by_id[session]["codeocean"] or {}).get(result)
    }
    cases = []
    for session in newest_first(failed):
        run = failed[session]
        text = f"try {run.attempt}: {run.reason}"
        cases.append(Case(session, text, run.started or run.claimed, web_address(run.by)))
    return Finding(
        "runs",
        f"{counted(len(cases), 'session')} whose last run of {process} failed",
        f"Fix the reason, then: npc-lims process run {process} --sessions SESSION --again.",
        tuple(cases),
    )


def _errored(sessions: Sequence[Mapping[str, Any]], reported: Collection[str | None] = ()) -> Finding:
    """Return sessions with errored sorting results and no good one, without those that are *reported* already."""
    items = []
    for record in sessions:
        errored = (record["codeocean"] or {}).get("errored")
        status = record["status"]
        is_open = status.get("is_sorted") is not True and status.get("is_production") is not False
        if errored and is_open and record["id"] not in reported:
            reasons = ", ".join(dict.fromkeys(errored.values()))
            items.append(Case(record["id"], f"{counted(len(errored), 'result')}: {reasons}"))
    title = f"{counted(len(items), 'session')} whose sorting failed"
    return Finding("errored", title, "See the output of the run on Code Ocean, and sort again.", tuple(items))


def _stalled(stalls: Iterable[Stall], failed_sorting: Collection[str | None]) -> Iterable[Finding]:
    """Return a finding for each stage, and one for all video results; errored sortings are not listed as waiting."""
    of_family: list[Stall] = []
    for stall in stalls:
        stage = stall.stage
        if stage.family:
            of_family.append(stall)
            continue
        waiting = [wait for wait in stall.waiting if stage.name != "is_sorted" or wait.session not in failed_sorting]
        cases = tuple(Case(wait.session, "", utc_text(wait.since)) for wait in waiting)
        yield _longer_than_usual(cases, stage.waiting, [stall])
    if of_family:
        lacks: dict[str, list[str]] = {}
        since: dict[str, datetime.datetime] = {}
        for stall in of_family:
            for wait in stall.waiting:
                lacks.setdefault(wait.session, []).append(stall.stage.waiting)
                since[wait.session] = wait.since
        ordered = sorted(since, key=lambda session: (-since[session].timestamp(), session))
        cases = tuple(Case(one, f"without {', '.join(lacks[one])}", utc_text(since[one])) for one in ordered)
        yield _longer_than_usual(cases, f"uploaded without {of_family[0].stage.family}", of_family)


def _longer_than_usual(cases: tuple[Case, ...], what: str, stalls: Sequence[Stall]) -> Finding:
    median = describe_age(max(stall.median for stall in stalls).total_seconds())
    ninth_decile = describe_age(max(stall.ninth_decile for stall in stalls).total_seconds())
    title = f"{counted(len(cases), 'session')} {what} for longer than usual"
    title = f"{title} (median {median}, 90 % within {ninth_decile})"
    stage = stalls[0].stage
    return Finding("stalled", title, stage.remedy, cases, None if stage.family else stage)


def _untracked(sessions: Sequence[Mapping[str, Any]]) -> Finding:
    """Find untracked sessions that are uploaded, or on an ephys rig after the subject's first recording."""
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
    reasons = [
        (uploaded, f"{len(uploaded):,} uploaded"),
        (on_rig, f"{len(on_rig):,} on an ephys rig after the subject's first recording"),
    ]
    return Finding(
        "untracked",
        f"{counted(len(items), 'untracked session')} that look like recordings: "
        + ", ".join(words for some, words in reasons if some),
        "Add them to tracked_sessions.yaml (npc-lims track add PATH --pr), or set the column ignore of their rows.",
        items,
    )


def _unlisted(recordings: Iterable[UnlistedRecording], links: Links) -> Finding:
    cases = tuple(
        Case(
            None,
            f"{one.platform} {one.asset_name}",
            one.created,
            links.asset({"id": one.asset_id})["codeocean"],
            one.track_command,
        )
        for one in recordings
        if one.is_known_subject
    )
    return Finding(
        "unlisted",
        f"{counted(len(cases), 'recording')} in Code Ocean without a session",
        "npc-lims sessions --unlisted has the command that adds each; archive the asset of one that is no session.",
        cases,
    )


def _warnings(problems: Sequence[Problem], links: Links) -> Finding:
    errors = sum(problem.is_error for problem in problems)
    counts = [(errors, "error"), (len(problems) - errors, "warning")]
    remedy = "Correct the lines in a pull request; npc-lims validate checks them."
    ordered = sorted(problems, key=lambda problem: (not problem.is_error, problem.line, problem.column))
    return Finding(
        "warnings",
        f"{' and '.join(counted(count, name) for count, name in counts if count)} in tracked_sessions.yaml",
        f"{remedy} No sync reads a file with errors." if errors else remedy,
        tuple(
            Case(None, f"line {one.line}: {one.severity}: {one.message}", link=links.tracked_line(one.line))
            for one in ordered
        ),
    )
