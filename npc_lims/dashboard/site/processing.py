"""`data/processing.json` of the site, and the runs and next steps of each session in the file of its subject. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from npc_lims.dashboard.processing import Processing, median_seconds
from npc_lims.model.flags import FLAGS
from npc_lims.processing.plan import VERDICTS, Decision, Verdict
from npc_lims.processing.runs import Run
from npc_lims.utils.mappings import grouped
from npc_lims.utils.urls import Links, web_address

MAX_ITEMS = 200
"""Number of listed sessions of a verdict, and of listed runs; totals are given separately."""
_LISTED: tuple[Verdict, ...] = ("running", "would run", "waiting", "failed", "captured")
"""Verdicts whose sessions are listed; of the others there are too many, and few reasons."""
_EXAMPLES = 12


def processing_part(processing: Processing, links: Links) -> dict[str, Any]:
    """Return all processes: what would run, is running, waits or failed, and why; and the recorded runs."""
    return {
        "problem": processing.problem,
        "verdicts": list(VERDICTS),
        "processes": [_process_part(processing, name, links) for name in processing.names],
    }


def session_processing(processing: Processing, session: str, links: Links) -> dict[str, Any]:
    """Return the runs of a session, the newest first, and what each process would do now, and why."""
    runs = processing.runs_by_session.get(session, ())
    decisions = ((name, plan[session]) for name, plan in processing.plans.items() if session in plan)
    return {
        "runs": [{"process": name, **run_part(run, links)} for name, run in runs],
        "plan": [
            {
                "process": name,
                "flag": processing.processes[name].done,
                "verdict": one.verdict,
                "reason": one.reason,
                "try": one.attempt,
            }
            for name, one in decisions
        ],
    }


def run_part(run: Run, links: Links) -> dict[str, Any]:
    """Return one run; `seconds` is null unless it has ended and Code Ocean said how long it took."""
    return {
        "session": run.session,
        "try": run.attempt,
        "state": run.state,
        "since": run.started or run.claimed,
        "seconds": run.seconds,
        "reason": run.reason,
        "computation": run.computation,
        "input": _asset(run.input, None, links),
        "asset": None if run.asset is None else _asset(run.asset.id, run.asset.name, links),
        "by": web_address(run.by),
    }


def _asset(id_: str, name: str | None, links: Links) -> dict[str, str | None]:
    return {"id": id_, "name": name, "url": links.asset({"id": id_})["codeocean"]}


def _process_part(processing: Processing, name: str, links: Links) -> dict[str, Any]:
    process, decisions = processing.processes.get(name), list(processing.plans.get(name, {}).values())
    runs = processing.runs.get(name, ())
    settings = None
    if process is not None:
        target = process.target
        settings = {
            "target": {"kind": target.kind, "id": target.id, "url": links.capsule(target.id)},
            "input": process.input,
            "done": _flag(process.done),
            "needs": [_flag(flag) for flag in process.needs],
            "running": process.limits.running,
            "tries": process.limits.tries,
        }
    counts = Counter(decision.verdict for decision in decisions)
    ended = [run.seconds for run in runs if run.seconds is not None]
    return {
        "name": name,
        "settings": settings,
        "counts": {verdict: counts[verdict] for verdict in VERDICTS},
        "listed": {
            verdict: [_decision_part(one, links) for one in decisions if one.verdict == verdict][:MAX_ITEMS]
            for verdict in _LISTED
            if counts[verdict]
        },
        "others": list(_reasons(decisions)),
        "seconds": {"known": len(ended), "median": median_seconds(runs), "longest": max(ended, default=None)},
        "states": dict(Counter(run.state for run in runs)),
        "runs": [run_part(run, links) for run in runs[:MAX_ITEMS]],
    }


def _flag(name: str) -> dict[str, str]:
    return {"flag": name, "label": FLAGS[name].label}


def _decision_part(decision: Decision, links: Links) -> dict[str, Any]:
    asset, run = decision.input, decision.run
    return {
        "session": decision.session,
        "reason": decision.reason,
        "try": decision.attempt,
        "input": None if asset is None else _asset(asset.id, asset.name, links),
        "run": None if run is None else run_part(run, links),
    }


def _reasons(decisions: Sequence[Decision]) -> Iterator[dict[str, Any]]:
    """Yield the reasons why sessions are not listed, the most frequent first, with the first sessions of each."""
    unlisted = (one for one in decisions if one.verdict not in _LISTED)
    groups = grouped(((one.verdict, one.reason), one.session) for one in unlisted)
    for (verdict, reason), sessions in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        yield {"verdict": verdict, "reason": reason, "total": len(sessions), "sessions": sessions[:_EXAMPLES]}
