"""The JSON Schemas in docs/schemas: render each from its model."""

from __future__ import annotations

import json

from npc_lims.model.record import session_schema
from npc_lims.processing.process import pipelines_schema
from npc_lims.processing.runs import runs_schema
from npc_lims.sources.tracked.entries import tracked_schema

SCHEMAS = {
    "pipelines.schema.json": pipelines_schema,
    "runs.schema.json": runs_schema,
    "session.schema.json": session_schema,
    "tracked_sessions.schema.json": tracked_schema,
}


def render(name: str) -> str:
    return json.dumps(SCHEMAS[name](), indent=2, ensure_ascii=False) + "\n"
