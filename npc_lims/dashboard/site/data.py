"""The data files of the site. Texts are unchanged: the pages show them as text, never as markup. Pure."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from npc_lims.dashboard.attention import Finding
from npc_lims.dashboard.throughput import MILESTONES, Throughput, WeeklyThroughput, weekly_throughput
from npc_lims.dashboard.totals import count_sessions, funnel, months, source_ages, status_symbol
from npc_lims.model.flags import BOOLEAN_FLAGS, FLAGS, Facts, StatusFlag, recorded_asset
from npc_lims.model.locations import SessionLocation, locations_of
from npc_lims.model.rows import session_row
from npc_lims.model.sections import SECTIONS, SOURCES
from npc_lims.model.status import explain, next_steps, why_no_step
from npc_lims.state.freshness import STALE_AFTER
from npc_lims.utils.mappings import grouped
from npc_lims.utils.urls import Links, web_address

if TYPE_CHECKING:
    import datetime

    from npc_lims.config.settings import Settings
    from npc_lims.dashboard.past import Past
    from npc_lims.history.transitions import Transition
    from npc_lims.state.sync_file import SyncFile

FORMAT = 1
"""Version of the files below `data/`: the pages refuse another one."""
MAX_CASES = 200
"""Number of listed cases of a finding; the total is given separately."""

_SHOWN = ("project", "platform", "rig", "task_version")


def as_json(data: Any) -> bytes:
    """Render a value in ASCII: no character can end a line or change the direction of writing."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode() + b"\n"


def overview_part(records: Sequence[Facts], past: Past, now: datetime.datetime) -> dict[str, Any]:
    """Return what is counted of all sessions. Of recent events: how many sessions each last happened to, by time."""
    known = {record["id"] for record in records}
    return {
        "events": {
            event: sorted(Counter(when for session, when in times.items() if session in known).items())
            for event, times in past.events.items()
        },
        "throughput": _throughput_part(weekly_throughput(records, past.first_seen, now)),
        "totals": dataclasses.asdict(count_sessions(records)),
        "funnel": [dataclasses.asdict(stage) for stage in funnel(records)],
        "months": [dataclasses.asdict(month) for month in months(records)],
    }


def _throughput_part(found: WeeklyThroughput) -> dict[str, Any]:
    return {
        "weeks": [week.isoformat() for week in found.weeks],
        "milestones": [{"flag": flag.name, "label": flag.label} for flag in MILESTONES],
        "total": _group_part(found.total),
        "by_project": list(map(_group_part, found.by_project)),
        "by_rig": list(map(_group_part, found.by_rig)),
    }


def _group_part(group: Throughput) -> dict[str, Any]:
    medians = {name: None if took is None else _duration(took) for name, took in group.medians.items()}
    return {"name": group.name, "counts": group.counts, "medians": medians}


def _duration(seconds: float) -> str:
    """
    >>> _duration(0), _duration(86_000), _duration(90_000)
    ('0 h', '24 h', '1.0 days')
    """
    days = seconds / 86_400
    return f"{24 * days:.0f} h" if days < 1 else f"{days:.1f} days"


def sources_part(sync_file: SyncFile, now: datetime.datetime) -> list[dict[str, Any]]:
    """Return when each source was last read. The page decides whether that is late, by the time it is viewed."""
    hours = int(STALE_AFTER.total_seconds() // 3600)
    return [
        {
            "name": age.name,
            "label": SOURCES[age.name].label,
            "last_complete": age.last_complete,
            "late_after_hours": hours,
            "failure": None if age.failure is None else {"at": age.failing_since, "reason": age.failure},
            "counts": dict(source.counts) if (source := sync_file.sources.get(age.name)) else {},
        }
        for age in source_ages(sync_file, now)
    ]


def attention_part(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return what needs attention, with the first cases of each finding; sources are in `sources_part`."""
    return [
        {
            "kind": finding.kind,
            "title": finding.title,
            "remedy": finding.remedy,
            "total": len(finding.items),
            "items": [dataclasses.asdict(case) for case in finding.items[:MAX_CASES]],
        }
        for finding in findings
        if finding.kind != "late"
    ]


def sessions_file(records: Sequence[Facts], past: Past, made: str) -> dict[str, Any]:
    """Return all sessions as columns, in the order of *records*: a fifth of the size of rows."""
    tracked = [record["tracked"] or {} for record in records]
    rows = [session_row(record) for record in records]
    issues = {str(number): _web_addresses(entry.get("issues")) for number, entry in enumerate(tracked)}
    return {
        "format": FORMAT,
        "made": made,
        "count": len(records),
        "flags": list(BOOLEAN_FLAGS),
        "labels": {flag: FLAGS[flag].label for flag in BOOLEAN_FLAGS},
        "headings": {flag: FLAGS[flag].heading for flag in BOOLEAN_FLAGS if FLAGS[flag].heading},
        "groups": {flag: FLAGS[flag].group for flag in BOOLEAN_FLAGS},
        "id": [record["id"] for record in records],
        **{name: _dictionary(row[name] for row in rows) for name in (*_SHOWN, "allen_path")},
        "experiment_day": [entry.get("experiment_day") for entry in tracked],
        "status": {flag: "".join(status_symbol(record, flag) for record in records) for flag in BOOLEAN_FLAGS},
        "next": _dictionary(_next_part(record) for record in records),
        "events": {event: _by_time(times, records) for event, times in past.events.items()},
        "notes": {str(number): entry["notes"] for number, entry in enumerate(tracked) if entry.get("notes")},
        "issues": {number: urls for number, urls in issues.items() if urls},
        "words": {str(number): text for number, record in enumerate(records) if (text := _words(record))},
    }


def _next_part(record: Facts) -> str:
    """Return the next three steps of a session in as few letters as columns have."""
    flags = (FLAGS[name] for name in next_steps(record)[:3])
    return ", ".join(flag.heading or flag.label for flag in flags)


def _words(record: Facts) -> str:
    """Return what else a session is searched by: the names, ids and locations of its data assets."""
    words = []
    for asset in (record["codeocean"] or {}).values():
        if isinstance(asset, Mapping) and "id" in asset:
            name, location = asset["name"], asset.get("location") or ""
            words += [asset["id"], location if name in location else f"{name} {location}".strip()]
    return " ".join(words)


def _by_time(times: Mapping[str, str], records: Sequence[Facts]) -> dict[str, list[int]]:
    """Return the numbers of the sessions by when the event last happened to them."""
    return grouped((times[record["id"]], number) for number, record in enumerate(records) if record["id"] in times)


def session_part(
    record: Facts, settings: Settings, links: Links, line: int | None, timeline: Sequence[Facts]
) -> dict[str, Any]:
    """Return one session for the file of its subject: its facts, the line of its entry, and its events in order."""
    locations, steps = locations_of(record, settings), next_steps(record)
    row, tracked = session_row(record), record["tracked"] or {}
    return {
        **{name: row[name] for name in ("id", *_SHOWN, "experiment_day", "allen_path")},
        "status": [_flag_part(record, FLAGS[name]) for name in BOOLEAN_FLAGS],
        "next": [{**_flag_part(record, FLAGS[name]), "process": FLAGS[name].process} for name in steps],
        "no_next": "" if steps else why_no_step(record),
        "notes": tracked.get("notes", ""),
        "issues": _web_addresses(tracked.get("issues")),
        "files": [_file_part(record, one, links) for one in locations if one.location],
        "missing": [
            {"what": one.what, "status": one.status, "reason": one.reason}
            for one in locations
            if one.status in ("none", "unknown")
        ],
        "facts": {name: record[name] for name in SECTIONS},
        "links": {
            "state_file": links.state_file(record["id"]),
            "state_history": links.state_history(record["id"]),
            "edit": links.edit(line),
            "tracked_line": line,
            "new_issue": links.new_issue(record["id"]),
        },
        "timeline": list(reversed(timeline)),
    }


def _flag_part(record: Facts, flag: StatusFlag) -> dict[str, Any]:
    value, sentence = status_symbol(record, flag.name), explain(record, flag.name)
    names = {"flag": flag.name, "label": flag.label, "heading": flag.heading, "group": flag.group}
    return {**names, "value": value, "sentence": sentence}


def _file_part(record: Facts, one: SessionLocation, links: Links) -> dict[str, Any]:
    """Return a location; of a data asset with its creation and pages."""
    asset = recorded_asset(record, one.kind) if one.id else None
    pages = links.asset(asset) if asset else {"codeocean": None, "s3": None}
    created = asset["created"] if asset else None
    return {"what": one.what, "location": one.location, "name": one.name, "id": one.id, "created": created, **pages}


def event(transition: Transition, links: Links) -> dict[str, Any]:
    commit, change = transition.commit, transition.change
    return {
        "when": commit.when,
        "group": change.group,
        "what": list(change.what),
        "details": list(change.details),
        "commit": commit.sha,
        "commit_url": links.commit(commit.sha),
        "run_url": web_address(commit.run),
        "editors": [
            {"name": editor.author, "subject": editor.subject, "url": links.commit(editor.sha)}
            for editor in transition.editors
        ],
    }


def recent_event(session: str, event: Facts) -> dict[str, Any]:
    """Return an event for the overview, with the id of its session."""
    names = ("when", "group", "what", "details", "commit", "commit_url")
    editors = [{"name": editor["name"], "url": editor["url"]} for editor in event["editors"]]
    return {"session": session, **{name: event[name] for name in names}, "editors": editors}


def badge(sessions: int, findings: Sequence[Finding], made: str) -> dict[str, Any]:
    """Return the badge of shields.io: red if a source is late, yellow if something else needs attention."""
    need = "item needs" if len(findings) == 1 else "items need"
    items = f", {len(findings)} {need} attention" if findings else ""
    is_late = any(finding.kind == "late" for finding in findings)
    return {
        "schemaVersion": 1,
        "label": "sessions",
        "message": f"{sessions:,} on {made[:10]}{items}",
        "color": "red" if is_late else "yellow" if findings else "brightgreen",
    }


def _dictionary(values: Iterable[str]) -> dict[str, Any]:
    """Return the distinct values, in the order of first use, and the index of each session's value."""
    numbers: dict[str, int] = {}
    index = [numbers.setdefault(value, len(numbers)) for value in values]
    return {"values": list(numbers), "index": index}


def _web_addresses(values: object) -> list[str]:
    """Return those that a browser may follow: an issue is typed by hand."""
    urls = map(web_address, values) if isinstance(values, list) else ()
    return [url for url in urls if url is not None]
