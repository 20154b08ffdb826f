"""Decide which sessions a process would run for, and why not for the others. Pure: from what is recorded alone."""

from __future__ import annotations

import dataclasses
import datetime
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

from npc_lims.errors import NoSessionInfo, NpcLimsError
from npc_lims.model.flags import NOT_APPLICABLE
from npc_lims.model.record import Asset, CodeOcean, Record
from npc_lims.model.status import recorded_flag
from npc_lims.processing.process import Process
from npc_lims.processing.runs import Run
from npc_lims.state.snapshot import newest_first
from npc_lims.utils.mappings import grouped
from npc_lims.utils.timestamps import utc_text, utc_time

CLAIM_LIFETIME = datetime.timedelta(hours=1)
"""A claim with no started computation expires after this time."""

Verdict = Literal["would run", "running", "waiting", "captured", "done", "not ready", "failed"]
"""The decision about a session, for example:

- waiting: It is ready, but for the limits.
- captured: It ran well, and the state has not seen the result yet.
- failed: All tries with this input errored.
"""
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclasses.dataclass(frozen=True)
class RecordedState:
    """Sessions by id, and the runs of each process, as recorded."""

    records: Mapping[str, Record]
    runs: Mapping[str, Sequence[Run]]


@dataclasses.dataclass(frozen=True)
class PlanRequest:
    processes: Sequence[Process]
    sessions: Collection[str] | None = None
    limit: int | None = None
    """At most so many that would run, whatever the process allows."""
    again: bool = False
    """Also run what is done, captured, or out of attempts."""


@dataclasses.dataclass(frozen=True)
class Decision:
    """The decision about one session, for a *reason* in words that many sessions share."""

    session: str
    verdict: Verdict
    reason: str
    input: Asset | None = None
    attempt: int = 1
    run: Run | None = None
    """The recorded run that decided, such as an expired claim."""


def plan(request: PlanRequest, recorded: RecordedState, now: datetime.datetime) -> dict[str, tuple[Decision, ...]]:
    """Return, by process, one decision for each session, the newest session first."""
    if request.again and request.sessions is None:
        raise NpcLimsError("running again needs the sessions that are meant: a process is never run again for all")
    unknown = sorted(set(request.sessions or ()) - recorded.records.keys())
    if unknown:
        raise NoSessionInfo(f"the state has no session {', '.join(unknown)}: check the id, or sync first")
    sessions = newest_first(recorded.records if request.sessions is None else frozenset(request.sessions))
    plans = {}
    for process in request.processes:
        by_session = grouped((run.session, run) for run in recorded.runs[process.name])
        decisions = [
            _decide(process, recorded.records[session], by_session.get(session, ()), now, request.again)
            for session in sessions
        ]
        room = max(0, process.limits.running - count_running(recorded.runs[process.name], now))
        plans[process.name] = tuple(_within_limits(process, decisions, room, request.limit))
    return plans


def count_running(runs: Iterable[Run], now: datetime.datetime) -> int:
    """Count the runs that are going, or may be; expired claims are not counted."""
    return sum(run.is_open and not _is_expired(run, now) for run in runs)


def make_claims(decisions: Iterable[Decision], now: datetime.datetime, by: str = "") -> tuple[Run, ...]:
    return tuple(
        Run(
            session=decision.session,
            input=decision.input.id,
            attempt=decision.attempt,
            claim=secrets.token_hex(6),
            claimed=utc_text(now),
            by=by,
        )
        for decision in decisions
        if decision.verdict == "would run" and decision.input is not None
    )


def _within_limits(process: Process, decisions: Iterable[Decision], room: int, limit: int | None) -> Iterator[Decision]:
    left = room if limit is None else min(room, limit)
    is_asked = limit is not None and limit < room
    why = f"{limit} were requested" if is_asked else f"at most {process.limits.running} run at once"
    for decision in decisions:
        if decision.verdict == "would run" and left <= 0:
            yield dataclasses.replace(decision, verdict="waiting", reason=why)
            continue
        left -= decision.verdict == "would run"
        yield decision


def _is_expired(run: Run, now: datetime.datetime) -> bool:
    return run.is_claim and now - utc_time(run.claimed) >= CLAIM_LIFETIME


def _decide(process: Process, record: Record, runs: Sequence[Run], now: datetime.datetime, again: bool) -> Decision:
    """Decide without limits."""
    going = next((run for run in runs if run.is_open and not _is_expired(run, now)), None)
    if going is not None:
        reason = "claimed, not known to be started yet" if going.is_claim else "running"
        return Decision(record.id, "running", reason, attempt=going.attempt, run=going)
    done = _flag(record, process.done)
    if done is True and not again:
        return Decision(record.id, "done", f"{process.done} is true")
    if done == NOT_APPLICABLE:
        return Decision(record.id, "not ready", f"{process.done} does not apply")
    asset = record.asset(process.input)
    if not isinstance(asset, Asset):
        return Decision(record.id, "not ready", _no_asset(process.input, asset))
    missing = _missing_need(process, record)
    if done is None and not again:
        missing = f"{process.done} is not known"
    if missing:
        return Decision(record.id, "not ready", missing, asset)
    return _by_tries(process, record, asset, [run for run in runs if run.input == asset.id], again)


def _flag(record: Record, name: str) -> Any:
    return record.status[name] if name in record.status else recorded_flag(record.as_dict(), name)


def _no_asset(kind: str, fact: bool | None) -> str:
    return f"the {kind} asset is not known" if fact is None else f"there is no {kind} asset"


def _missing_need(process: Process, record: Record) -> str:
    """Return the first thing that a run lacks besides its input; empty if nothing is missing."""
    for flag in process.needs:
        value = _flag(record, flag)
        if value is not True:
            words: dict[object, str] = {None: "is not known", False: "is false"}
            return f"{flag} {words.get(value, 'does not apply')}"
    if process.names_raw:
        raw = record.asset("raw")
        if not isinstance(raw, Asset):
            return _no_asset("raw", raw)
    return ""


def _by_tries(process: Process, record: Record, asset: Asset, tries: Sequence[Run], again: bool) -> Decision:
    """Decide by the outcomes of the runs with this input."""
    if not tries:
        return Decision(record.id, "would run", "ready", asset)
    tries = sorted(tries, key=lambda run: run.attempt)
    last = tries[-1]
    if last.is_open:
        return Decision(record.id, "would run", "the claim expired", asset, last.attempt, last)
    attempt = last.attempt + 1
    if again:
        return Decision(record.id, "would run", "again, as requested", asset, attempt, last)
    if not _why_failed(last, record):
        if last.asset is None and process.recipe is not None:
            reason = "it ran well; its result is to be captured"
        else:
            reason = "its result is not in the state yet"
        return Decision(record.id, "captured", reason, asset, last.attempt, last)
    failures = [why for why in (_why_failed(run, record) for run in tries) if why]
    if len(failures) >= process.limits.tries:
        return Decision(record.id, "failed", failures[-1], asset, last.attempt, last)
    return Decision(record.id, "would run", f"try {attempt}, after: {failures[-1]}", asset, attempt, last)


def _why_failed(run: Run, record: Record) -> str:
    """Return why a run that ended failed; empty if it did not."""
    if run.outcome == "errored":
        return run.reason
    errored = record.codeocean.errored if isinstance(record.codeocean, CodeOcean) else {}
    return errored.get(run.asset.id, "") if run.asset is not None else ""
