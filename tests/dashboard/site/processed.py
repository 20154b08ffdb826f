"""The demo's pipelines.yaml, and runs of its processes in every state."""

from __future__ import annotations

import datetime
import importlib.resources
import uuid
from pathlib import Path
from typing import Any

from npc_lims.model.record import Asset
from npc_lims.processing.runs import Run, RunAsset, write_runs
from npc_lims.state.store import read_state
from npc_lims.utils.timestamps import utc_text

RUNNING, FAILED, LATER = "901002_2024-05-16", "901002_2024-05-14", "901003_2024-10-24"
REASON = "its output says 'Out of memory.'"


def add_processing(state: Path, now: datetime.datetime) -> None:
    """Write pipelines.yaml beside the demo's *state*, and runs into it, of the hours before *now*."""
    pipelines = importlib.resources.files("npc_lims.demo") / "pipelines.yaml"
    (state.parent / "pipelines.yaml").write_bytes(pipelines.read_bytes())
    records = read_state(state).records

    def run(session: str, hours: int, attempt: int = 1, **more: Any) -> Run:
        raw, when = records[session].asset("raw"), utc_text(now - datetime.timedelta(hours=hours))
        assert isinstance(raw, Asset)
        made: dict[str, Any] = {
            "computation": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{session} {hours}")),
            "started": when,
        }
        return Run(session=session, input=raw.id, attempt=attempt, claim=f"c{hours}", claimed=when, **{**made, **more})

    def done(session: str, fact: str, hours: int, seconds: int) -> Run:
        asset = records[session].asset(fact)
        assert isinstance(asset, Asset)
        made = RunAsset(id=asset.id, name=asset.name)
        return run(session, hours, outcome="succeeded", asset=made, shared=True, seconds=seconds)

    days = [f"901001_2024-03-{day}" for day in (11, 12, 13)]
    by = "https://github.com/lab/state/actions/runs/7"
    videos = [done(day, "dlc_eye", 100 + number, 1_800 + 600 * number) for number, day in enumerate(days)]
    write_runs(state, "dlc_eye", [*videos, run(RUNNING, 0, by=by)])
    sortings = [done(day, "sorted", 200 + number, 72_000 + 900 * number) for number, day in enumerate(days)]
    failed = [run(FAILED, 90 - 20 * n, n, outcome="errored", reason=REASON, seconds=4_210 * n) for n in (1, 2)]
    write_runs(state, "sorting", [*sortings, *failed, run(LATER, 3)])
    write_runs(state, "retired", [run(days[0], 900, outcome="succeeded")])
