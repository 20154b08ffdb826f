"""What the pages show, as the files that they fetch. Pure.

Every text is as state has it: the pages show it as text and never as markup. What becomes a link has been through
`npc_lims.utils.urls`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from npc_lims.dashboard.ages import source_ages
from npc_lims.dashboard.attention import Finding
from npc_lims.dashboard.totals import LABELS, STATUS_FLAGS, count_sessions, funnel, months, status_symbol
from npc_lims.model.record import SECTIONS
from npc_lims.model.rows import allen_path_of, platform_of, project_of
from npc_lims.state.sync_times import STALE_AFTER
from npc_lims.utils.urls import Links, web_address

if TYPE_CHECKING:
    import datetime

    from npc_lims.history.transitions import Transition
    from npc_lims.state.sync_file import SyncFile

__all__ = [
    "FORMAT",
    "as_json",
    "attention_part",
    "event",
    "overview_part",
    "recent_event",
    "session_part",
    "sessions_file",
    "sources_part",
]

FORMAT = 1
"""Of the files below `data/`: the pages refuse another one."""
MOST_ITEMS = 200
"""Cases of one finding that are listed; how many there are is told besides."""

Facts = Mapping[str, Any]


def as_json(data: Any) -> bytes:
    """One rendering for one value, in ASCII: nothing in it can end a line, or turn the direction of writing."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode() + b"\n"


def overview_part(records: Sequence[Facts]) -> dict[str, Any]:
    """The counts of the overview."""
    counted = count_sessions(records)
    return {
        "totals": {
            "sessions": counted.sessions,
            "subjects": counted.subjects,
            "tracked": counted.tracked,
            "untracked": counted.untracked,
            "by_platform": dict(counted.by_platform),
            "by_project": dict(counted.by_project),
        },
        "funnel": [
            {
                "flag": step.flag,
                "label": step.label,
                "applies": step.applies,
                "yes": step.yes,
                "no": step.no,
                "unknown": step.unknown,
            }
            for step in funnel(records)
        ],
        "months": [
            {
                "month": one.month,
                "sessions": one.sessions,
                "ephys": one.ephys,
                "uploaded": one.uploaded,
                "sorted": one.sorted,
            }
            for one in months(records)
        ],
    }


def sources_part(sync_file: SyncFile, now: datetime.datetime) -> list[dict[str, Any]]:
    """When each source last answered. Whether that is late is for the page to say: it is looked at later."""
    hours = int(STALE_AFTER.total_seconds() // 3600)
    found = []
    for age in source_ages(sync_file, now):
        source = sync_file.sources.get(age.name)
        found.append(
            {
                "name": age.name,
                "last_complete": age.last_complete,
                "late_after_hours": hours,
                "failure": None if age.failure is None else {"at": age.failing_since, "reason": age.failure},
                "counts": {} if source is None else dict(source.counts),
            }
        )
    return found


def attention_part(found: Iterable[Finding]) -> list[dict[str, Any]]:
    """What needs attention; of each finding the first cases."""
    return [
        {
            "kind": finding.kind,
            "title": finding.title,
            "remedy": finding.remedy,
            "total": len(finding.items),
            "items": [
                {"session": item.session, "text": item.text, "since": item.since, "link": item.link}
                for item in finding.items[:MOST_ITEMS]
            ],
        }
        for finding in found
    ]


def sessions_file(records: Sequence[Facts], made: str) -> dict[str, Any]:
    """All sessions by columns, in the order of *records*: a fifth of the size of rows."""
    tracked = [record["tracked"] or {} for record in records]
    training = [record["training"] or {} for record in records]
    issues = {str(place): _web_addresses(said.get("issues")) for place, said in enumerate(tracked)}
    return {
        "format": FORMAT,
        "made": made,
        "count": len(records),
        "flags": list(STATUS_FLAGS),
        "labels": {flag: LABELS[flag] for flag in STATUS_FLAGS},
        "id": [record["id"] for record in records],
        "project": _dictionary(map(project_of, records)),
        "platform": _dictionary(map(platform_of, records)),
        "rig": _dictionary(_text(row.get("rig_name")) for row in training),
        "task_version": _dictionary(_text(row.get("task_version")) for row in training),
        "experiment_day": [said.get("experiment_day") for said in tracked],
        "status": {flag: "".join(status_symbol(record["status"], flag) for record in records) for flag in STATUS_FLAGS},
        "notes": {str(place): said["notes"] for place, said in enumerate(tracked) if said.get("notes")},
        "issues": {place: addresses for place, addresses in issues.items() if addresses},
    }


def session_part(record: Facts, links: Links, line: int | None, timeline: Sequence[Facts]) -> dict[str, Any]:
    """One session as its subject's file has it.

    Args:
        line: That of its entry in the tracked file; None if it has none.
        timeline: Its events, the newest first.
    """
    tracked, training = record["tracked"] or {}, record["training"] or {}
    return {
        "id": record["id"],
        "project": project_of(record),
        "platform": platform_of(record),
        "experiment_day": tracked.get("experiment_day"),
        "rig": _text(training.get("rig_name")),
        "task_version": _text(training.get("task_version")),
        "allen_path": allen_path_of(record),
        "status": [
            {"flag": flag, "label": LABELS[flag], "value": status_symbol(record["status"], flag)}
            for flag in STATUS_FLAGS
        ],
        "notes": tracked.get("notes", ""),
        "issues": _web_addresses(tracked.get("issues")),
        "facts": {name: record[name] for name in SECTIONS},
        "links": {
            "state_file": links.state_file(record["id"]),
            "state_history": links.state_history(record["id"]),
            "edit": links.edit(line),
            "tracked_line": line,
            "assets": _assets(record, links),
            "new_issue": links.new_issue(record["id"]),
        },
        "timeline": list(timeline),
    }


def event(transition: Transition, links: Links) -> dict[str, Any]:
    """What happened to a session in one commit."""
    commit, change = transition.commit, transition.change
    return {
        "when": commit.when,
        "group": change.group,
        "what": list(change.what),
        "details": list(change.details),
        "commit": commit.sha,
        "commit_url": links.commit(commit.sha),
        "run_url": links.workflow_run(commit.run),
        "editors": [
            {"name": editor.author, "subject": editor.subject, "url": links.commit(editor.sha)}
            for editor in transition.editors
        ],
    }


def recent_event(session: str, told: Facts) -> dict[str, Any]:
    """An event as the overview has it, which says of which session it is."""
    editors = [{"name": editor["name"], "url": editor["url"]} for editor in told["editors"]]
    kept = ("when", "group", "what", "details", "commit", "commit_url")
    return {"session": session, **{name: told[name] for name in kept}, "editors": editors}


def _assets(record: Facts, links: Links) -> dict[str, Any]:
    facts = record["codeocean"] or {}
    return {name: links.asset(fact) for name, fact in facts.items() if isinstance(fact, Mapping) and "id" in fact}


def _dictionary(values: Iterable[str]) -> dict[str, Any]:
    """Each value once, in the order of first use, and for each session which it is."""
    places: dict[str, int] = {}
    index = [places.setdefault(value, len(places)) for value in values]
    return {"values": list(places), "index": index}


def _text(value: object) -> str:
    return "unknown" if value in (None, "") else str(value)


def _web_addresses(values: object) -> list[str]:
    """Those that a browser may follow: an issue is typed by hand."""
    found = (web_address(value) for value in values) if isinstance(values, list) else ()
    return [address for address in found if address is not None]
