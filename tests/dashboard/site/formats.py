"""What the files below `data/` look like, as JSON Schemas: the pages are written against these."""

from __future__ import annotations

from typing import Any, get_args

from npc_lims.dashboard.past import EVENTS
from npc_lims.dashboard.throughput import MILESTONES
from npc_lims.model.flags import BOOLEAN_FLAGS, STAGES
from npc_lims.model.session_id import ID_PATTERN
from npc_lims.processing.plan import VERDICTS
from npc_lims.processing.runs import RunState
from npc_lims.state.diff import GROUPS

Schema = dict[str, Any]

TIME: Schema = {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"}
URL: Schema = {"type": "string", "pattern": "^https?://[^/]"}
TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SHA: Schema = {"type": "string", "pattern": "^[0-9a-f]{40}$"}
SESSION: Schema = {
    "type": "string",
    "pattern": f"^{ID_PATTERN.pattern.replace('?P<subject>', '').replace('?P<date>', '').replace('?P<idx>', '')}$",
}
FLAG: Schema = {"enum": list(BOOLEAN_FLAGS)}


def maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def listed(schema: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": schema, **more}


def counts_by(names: Schema) -> Schema:
    return {"type": "object", "propertyNames": names, "additionalProperties": COUNT}


def exactly(**fields: Schema) -> Schema:
    """An object with these fields, all of them and no others."""
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


EVENT: dict[str, Schema] = {
    "when": TIME,
    "group": {"enum": list(GROUPS)},
    "what": listed(TEXT),
    "details": listed(TEXT),
    "commit": SHA,
    "commit_url": maybe(URL),
}
HEAD: dict[str, Schema] = {"format": {"const": 1}, "made": TIME}

DAY: Schema = {"type": "string", "pattern": "^20[0-9]{2}-[01][0-9]-[0-3][0-9]$"}
MILESTONE: Schema = {"enum": [flag.name for flag in MILESTONES]}
GROUP = exactly(
    name=TEXT,
    counts={
        "type": "object",
        "propertyNames": MILESTONE,
        "additionalProperties": listed(COUNT, minItems=26, maxItems=26),
        "minProperties": len(MILESTONES),
    },
    medians={"type": "object", "propertyNames": MILESTONE, "additionalProperties": maybe(TEXT)},
)

CASE = exactly(session=maybe(SESSION), text=TEXT, since=maybe(TIME), link=maybe(URL), command=TEXT)
OVERVIEW = exactly(
    **HEAD,
    version=TEXT,
    repository=maybe(TEXT),
    branch=TEXT,
    commit=maybe(SHA),
    commit_url=maybe(URL),
    history_begins=maybe(TIME),
    shallow={"type": "boolean"},
    totals=exactly(
        sessions=COUNT,
        subjects=COUNT,
        tracked=COUNT,
        untracked=COUNT,
        by_platform=counts_by({"enum": ["ephys", "behavior_with_sync", "behavior"]}),
        by_project=counts_by(TEXT),
    ),
    sources=listed(
        exactly(
            name=TEXT,
            label=TEXT,
            last_complete=maybe(TIME),
            late_after_hours=COUNT,
            failure=maybe(exactly(at=TIME, reason=TEXT)),
            counts=counts_by(TEXT),
        )
    ),
    events=exactly(**dict.fromkeys(EVENTS, listed({"type": "array", "prefixItems": [TIME, COUNT]}))),
    unlisted=maybe(exactly(known_subjects=COUNT, others=COUNT)),
    throughput=exactly(
        weeks=listed(DAY, minItems=26, maxItems=26),
        milestones=listed(exactly(flag=MILESTONE, label=TEXT)),
        total=GROUP,
        by_project=listed(GROUP),
        by_rig=listed(GROUP),
    ),
    funnel=listed(
        exactly(
            flag={"enum": [stage.name for stage in STAGES]},
            label=TEXT,
            applies=COUNT,
            yes=COUNT,
            no=COUNT,
            unknown=COUNT,
        )
    ),
    months=listed(
        exactly(
            month={"type": "string", "pattern": "^20[0-9]{2}-[01][0-9]$"},
            ephys=COUNT,
            uploaded=COUNT,
            sorted=COUNT,
            training=COUNT,
        )
    ),
    attention=listed(
        exactly(
            kind={"enum": ["lost", "runs", "errored", "stalled", "untracked", "unlisted", "warnings"]},
            title=TEXT,
            remedy=TEXT,
            total={"type": "integer", "minimum": 1},
            items=listed(
                exactly(session=maybe(SESSION), text=TEXT, since=maybe(TIME), link=maybe(URL), command=TEXT),
                maxItems=200,
            ),
        )
    ),
    recent=listed(exactly(session=SESSION, **EVENT, editors=listed(exactly(name=TEXT, url=maybe(URL)))), maxItems=100),
)

COLUMN = exactly(values=listed(TEXT, uniqueItems=True), index=listed(COUNT))
BY_TIME = {"type": "object", "propertyNames": TIME, "additionalProperties": listed(COUNT, uniqueItems=True)}
BY_PLACE = {"type": "string", "pattern": "^(0|[1-9][0-9]*)$"}

FEED = {"type": "string", "pattern": r"^feeds/(project|subject)-[a-z0-9-]+\.atom$"}
SESSIONS = exactly(
    **HEAD,
    count=COUNT,
    flags=listed(FLAG, uniqueItems=True),
    labels={"type": "object", "propertyNames": FLAG, "additionalProperties": TEXT},
    groups={"type": "object", "propertyNames": FLAG, "additionalProperties": TEXT},
    headings={"type": "object", "propertyNames": FLAG, "additionalProperties": {"type": "string", "maxLength": 6}},
    next=COLUMN,
    words={"type": "object", "propertyNames": BY_PLACE, "additionalProperties": {"type": "string", "minLength": 1}},
    id=listed(SESSION, uniqueItems=True),
    project=COLUMN,
    platform=COLUMN,
    rig=COLUMN,
    task_version=COLUMN,
    allen_path=COLUMN,
    experiment_day=listed(maybe({"type": "integer"})),
    status={
        "type": "object",
        "propertyNames": FLAG,
        "additionalProperties": {"type": "string", "pattern": r"^[yn?-]*$"},
    },
    events=exactly(**dict.fromkeys(EVENTS, BY_TIME)),
    notes={"type": "object", "propertyNames": BY_PLACE, "additionalProperties": {"type": "string", "minLength": 1}},
    issues={"type": "object", "propertyNames": BY_PLACE, "additionalProperties": listed(URL, minItems=1)},
    feeds={"type": "object", "additionalProperties": FEED},
)

SECTION: Schema = {"anyOf": [{"type": "object"}, {"const": False}, {"type": "null"}]}

STATUS = {
    "flag": FLAG,
    "label": TEXT,
    "heading": TEXT,
    "group": TEXT,
    "value": {"enum": ["y", "n", "?", "-"]},
    "sentence": TEXT,
}

ASSET = exactly(id=TEXT, name=maybe(TEXT), url=maybe(URL))
RUN: dict[str, Schema] = {
    "session": SESSION,
    "try": {"type": "integer", "minimum": 1},
    "state": {"enum": list(get_args(RunState))},
    "since": TIME,
    "seconds": maybe(COUNT),
    "reason": TEXT,
    "computation": maybe(TEXT),
    "input": ASSET,
    "asset": maybe(ASSET),
    "by": maybe(URL),
}
DECISION = exactly(
    **{"session": SESSION, "reason": TEXT, "try": RUN["try"], "input": maybe(ASSET), "run": maybe(exactly(**RUN))}
)
VERDICT: Schema = {"enum": list(VERDICTS)}
NAMED_FLAG = exactly(flag=FLAG, label=TEXT)

PROCESSING = exactly(
    **HEAD,
    problem=TEXT,
    verdicts=listed(VERDICT),
    processes=listed(
        exactly(
            name=TEXT,
            settings=maybe(
                exactly(
                    target=exactly(kind={"enum": ["capsule", "pipeline"]}, id=TEXT, url=URL),
                    input=TEXT,
                    done=NAMED_FLAG,
                    needs=listed(NAMED_FLAG),
                    running=COUNT,
                    tries=COUNT,
                )
            ),
            counts=counts_by(VERDICT),
            listed={"type": "object", "propertyNames": VERDICT, "additionalProperties": listed(DECISION, maxItems=200)},
            others=listed(exactly(verdict=VERDICT, reason=TEXT, total=COUNT, sessions=listed(SESSION, maxItems=12))),
            seconds=exactly(known=COUNT, median=maybe({"type": "number"}), longest=maybe(COUNT)),
            states=counts_by(RUN["state"]),
            runs=listed(exactly(**RUN), maxItems=200),
        )
    ),
)

SUBJECT = exactly(
    **HEAD,
    subject={"type": "string", "pattern": "^[0-9]{6,7}$"},
    feed=maybe(FEED),
    sources={"type": "object", "additionalProperties": TEXT},
    sessions=listed(
        exactly(
            id=SESSION,
            project=TEXT,
            platform=TEXT,
            experiment_day=maybe({"type": "integer"}),
            rig=TEXT,
            task_version=TEXT,
            allen_path=TEXT,
            status=listed(exactly(**STATUS)),
            next=listed(exactly(**STATUS, process=TEXT)),
            no_next=TEXT,
            runs=listed(exactly(process=TEXT, **RUN)),
            plan=listed(
                exactly(**{"process": TEXT, "flag": FLAG, "verdict": VERDICT, "reason": TEXT, "try": RUN["try"]})
            ),
            notes=TEXT,
            issues=listed(URL),
            files=listed(
                exactly(
                    what=TEXT,
                    location=TEXT,
                    name=maybe(TEXT),
                    id=maybe(TEXT),
                    created=maybe(TEXT),
                    codeocean=maybe(URL),
                    s3=maybe(URL),
                )
            ),
            missing=listed(exactly(what=TEXT, status={"enum": ["none", "unknown"]}, reason=TEXT)),
            facts=exactly(tracked=SECTION, training=SECTION, codeocean=SECTION, s3=SECTION),
            links=exactly(
                state_file=maybe(URL),
                state_history=maybe(URL),
                edit=maybe(URL),
                tracked_line=maybe({"type": "integer", "minimum": 1}),
                new_issue=maybe(URL),
            ),
            timeline=listed(
                exactly(
                    **EVENT,
                    run_url=maybe(URL),
                    editors=listed(exactly(name=TEXT, subject=TEXT, url=maybe(URL))),
                )
            ),
        ),
        minItems=1,
    ),
)
