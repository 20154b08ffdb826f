"""The flat row of a session: its columns for tables, `--json`, filters and exports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from npc_lims.model.flags import FLAGS, NOT_APPLICABLE, Facts, known_platform
from npc_lims.model.session_id import split_session_id

ABSENT_FLAGS = {name: None if name == "raw_asset_id" else False for name in FLAGS}
"""Values in a row of flags that do not apply."""
TRAINING_PROJECT = "DynamicRouting"
"""Project of the sessions that only a training workbook knows: the workbooks are that project's."""
DATA_REPO_ISILON = "//allen/programs/mindscope/workgroups/dynamicrouting/DynamicRoutingTask/Data"


def session_row(record: Facts) -> dict[str, Any]:
    """Return the row of a session, from its record as plain data.

    A flag is true, false or null (unknown); one that does not apply is false, and is named in the
    list `not_applicable`, so that a truth test can never mistake it for a yes.
    """
    session_id = record["id"]
    subject, date, idx = split_session_id(session_id)
    tracked = record["tracked"] or {}
    platform = platform_of(record)
    status = record["status"]
    absent = [name for name, flag in FLAGS.items() if name not in status and flag.applies(record) is False]
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
        "rig": rig_of(record),
        "task_version": task_version_of(record),
        **dict.fromkeys(FLAGS),
        **{name: value for name, value in status.items() if name in FLAGS},
        **{name: ABSENT_FLAGS[name] for name in absent},
        "not_applicable": absent,
    }


def flag_value(row: Mapping[str, Any], name: str) -> Any:
    """Return a value of a row; `NOT_APPLICABLE` for a flag that does not apply."""
    return NOT_APPLICABLE if name in row["not_applicable"] else row[name]


def platform_of(record: Facts) -> str:
    """Return the platform; `behavior` where that is unknown."""
    return known_platform(record) or "behavior"


def project_of(record: Facts) -> str:
    if record["tracked"]:
        return str(record["tracked"]["project"])
    return TRAINING_PROJECT if record["training"] else "unknown"


def rig_of(record: Facts) -> str:
    # a cell of a workbook may hold a number
    return str((record["training"] or {}).get("rig_name") or "unknown")


def task_version_of(record: Facts) -> str:
    return str((record["training"] or {}).get("task_version") or "unknown")


def allen_path_of(record: Facts) -> str:
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
