"""Write the JSON Schemas that are committed under docs/schemas from the models they are generated from."""

from __future__ import annotations

import json
from pathlib import Path

from npc_lims.model.record import session_schema
from npc_lims.processing.process import pipelines_schema
from npc_lims.processing.runs import runs_schema
from npc_lims.sources.tracked.entries import tracked_schema

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "schemas"
SCHEMAS = {
    "pipelines.schema.json": pipelines_schema,
    "runs.schema.json": runs_schema,
    "session.schema.json": session_schema,
    "tracked_sessions.schema.json": tracked_schema,
}


def render(name: str) -> str:
    return json.dumps(SCHEMAS[name](), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name in SCHEMAS:
        (FOLDER / name).write_text(render(name), encoding="utf-8")
