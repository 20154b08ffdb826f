"""A session as one flat row, for tables, `--json` and filters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from npc_lims.model.flags import FLAGS
from npc_lims.model.session_id import split_session_id

SCHEMA = 1
"""Version of the layout of a session file and of its line in the snapshot. Readers accept only this one."""

NOT_APPLICABLE = "n/a"
ABSENT_FLAGS = {name: None if name == "raw_asset_id" else False for name in FLAGS}
"""Values in a row of flags that do not apply."""
TRAINING_PROJECT = "DynamicRouting"
"""Project of the sessions that only a training workbook knows: the workbooks are that project's."""
DATA_REPO_ISILON = "//allen/programs/mindscope/workgroups/dynamicrouting/DynamicRoutingTask/Data"


def session_row(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a session, from its record as plain data.

    A flag is true, false or null (unknown); one that does not apply is false, and is named in the
    list `not_applicable`, so that a truth test can never mistake it for a yes.
    """
    session_id = record["id"]
    subject, date, idx = split_session_id(session_id)
    tracked, training = record["tracked"] or {}, record["training"] or {}
    status = record["status"]
    platform = platform_of(record)
    return {
        "id": session_id,
        "subject": int(subject),
        "date": date,
        "idx": idx,
        "project": project_of(record),
        "platform": platform,
        "is_ephys": platform == "ephys",
        "is_sync": platform in ("ephys", "behavior_with_sync"),
        "allen_path": allen_path_of(record),
        "experiment_day": tracked.get("experiment_day"),
        # a cell of a workbook may hold a number
        "rig": str(training.get("rig_name") or "unknown"),
        "task_version": str(training.get("task_version") or "unknown"),
        **ABSENT_FLAGS,
        **{name: value for name, value in status.items() if name in ABSENT_FLAGS},
        "not_applicable": [name for name in FLAGS if name not in status],
    }


def flag_value(row: Mapping[str, Any], name: str) -> Any:
    """Return a value of a row; `NOT_APPLICABLE` for a flag that does not apply."""
    return NOT_APPLICABLE if name in row["not_applicable"] else row[name]


def platform_of(record: Mapping[str, Any]) -> str:
    """Return the tracked platform; if there is none, `behavior`, unless the raw asset is one of ephys."""
    if record["tracked"]:
        return str(record["tracked"]["platform"])
    raw = (record["codeocean"] or {}).get("raw") or {}
    # a row of a workbook says that it is a training session only where it is known that it is not tracked
    is_open = record["tracked"] is None or not record["training"]
    return "ephys" if is_open and raw.get("name", "").startswith("ecephys") else "behavior"


def project_of(record: Mapping[str, Any]) -> str:
    if record["tracked"]:
        return str(record["tracked"]["project"])
    return TRAINING_PROJECT if record["training"] else "unknown"


def allen_path_of(record: Mapping[str, Any]) -> str:
    """Return the tracked path; else the folder of the subject's behavior files, or the location of the raw asset."""
    if record["tracked"]:
        return str(record["tracked"]["allen_path"])
    raw = (record["codeocean"] or {}).get("raw") or {}
    if not record["training"] and raw.get("location"):
        return str(raw["location"])
    return f"{DATA_REPO_ISILON}/{split_session_id(record['id'])[0]}"


COLUMNS = tuple(
    session_row({"id": "626791_2022-08-15", "tracked": None, "training": None, "codeocean": None, "status": {}})
)
"""Names of the columns: those of any row."""
