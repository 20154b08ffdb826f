"""The status flags of a session, each declared once in `FLAGS`, and the flat row for tables, `--json` and filters.

A flag is computed from sections of the record alone. It is true, false or null (a fact it needs was never observed).
One that does not apply to a session, such as sorting to a session without ephys, is absent: absent is never "not yet".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from npc_lims.model.session_id import split_session_id

if TYPE_CHECKING:
    from npc_lims.model.record import Record, Status

Value = Union[bool, str, None]


@dataclasses.dataclass(frozen=True)
class StatusFlag:
    """A status flag."""

    name: str
    label: str
    """Its name on pages; empty for the one that is an id."""
    meaning: str
    """A sentence for users: when it is true, and which sessions it applies to."""
    value: Callable[[Record], Value]
    """Computes it, for a session that it applies to."""
    applies: Callable[[Record], Optional[bool]] = lambda record: True
    """Returns whether it applies to a session; None while that is unknown."""
    word: str = ""
    """Describes a session for which it became true; the label if empty."""
    asset: str = ""
    """The asset on Code Ocean that it is about."""


def compute_status(record: Record) -> Status:
    """Return the flags that apply to *record*, in the order of `FLAGS`. The recorded status is not read."""
    status: Status = {}
    for name, flag in FLAGS.items():
        applies = flag.applies(record)
        if applies is not False:
            status[name] = flag.value(record) if applies else None
    return status


# --- facts of a record: None where they were never observed, false where there is nothing


def _fact(section: Any, name: str) -> Any:
    return getattr(section, name) if section else section


def _listing(record: Record) -> Any:
    """Return the listing of the raw folder; that of the asset before, until the folder of a new one was listed."""
    return False if record.asset("raw") is False else _fact(record.s3, "raw")


def _exists(fact: Any) -> Optional[bool]:
    return None if fact is None else bool(fact)


def _any(*facts: Any) -> Optional[bool]:
    return True if any(facts) else None if None in facts else False


def _kwarg(record: Record, name: str) -> object:
    return record.tracked.session_kwargs.get(name) if record.tracked else None


def _platform(record: Record) -> Optional[str]:
    """Return the platform; None while tracked_sessions.yaml was never read, and there is no raw asset."""
    if record.tracked:
        return record.tracked.platform
    raw = record.asset("raw")
    return _untracked_platform(record.tracked, raw.name if raw else "", record.training)


def _untracked_platform(tracked: object, raw_name: str, training: object) -> Optional[str]:
    """Return the platform in the name of the raw asset, else behavior; None while *tracked* is unknown without one."""
    if raw_name and (tracked is None or not training):
        return "ephys" if raw_name.startswith("ecephys") else "behavior"
    return None if tracked is None else "behavior"


def _is_ephys(record: Record) -> Optional[bool]:
    platform = _platform(record)
    return None if platform is None else platform == "ephys"


def _is_sync(record: Record) -> Optional[bool]:
    platform = _platform(record)
    return None if platform is None else platform in ("ephys", "behavior_with_sync")


# --- values and conditions that take more than an expression


def _is_uploaded(record: Record) -> Optional[bool]:
    raw = record.asset("raw")
    is_ephys = _is_ephys(record)
    if raw and is_ephys is not False:
        return None if is_ephys is None else _exists(_fact(_listing(record), "ecephys"))
    return _exists(raw)


def _has_metadata(record: Record, *names: str) -> Optional[bool]:
    found = _fact(_listing(record), "metadata")
    return None if found is None else any(name in names for name in found or ())


def _is_video(record: Record) -> Optional[bool]:
    given = _kwarg(record, "is_video")
    return given if isinstance(given, bool) else _exists(_fact(_listing(record), "videos"))


def _may_have_video_result(record: Record, process: str) -> Optional[bool]:
    if record.asset(process):
        return True
    is_sync = _is_sync(record)
    if not is_sync:
        return is_sync
    # before the upload nobody can know whether there are videos: only then is "no video" not the last word
    is_final = _kwarg(record, "is_video") is False or bool(_listing(record))
    return not (is_final and _is_video(record) is False)


def _is_surface_channels(record: Record) -> Optional[bool]:
    return bool(_kwarg(record, "probe_letters_with_surface_channel_recording")) or _exists(record.asset("surface"))


def _may_have_surface_channels(record: Record) -> Optional[bool]:
    return _is_ephys(record) and split_session_id(record.id)[2] == 0


def _is_surface_channels_sorted(record: Record) -> Optional[bool]:
    # with no recording of their own, the surface channels are in the main one
    in_main = record.asset("surface") is False
    return _exists(record.asset("sorted" if in_main else "surface_sorted"))


def _is_production(record: Record) -> bool:
    given = _kwarg(record, "is_production")
    return given if isinstance(given, bool) else True


def _video_result(name: str, label: str, result: str, process: str, word: str = "") -> StatusFlag:
    return StatusFlag(
        name,
        label,
        f"A {result} exists on Code Ocean. Applies to sessions with video.",
        lambda record: _exists(record.asset(process)),
        lambda record: _may_have_video_result(record, process),
        word=word or f"with {label}",
        asset=process,
    )


_VIDEO_RESULTS = (
    _video_result("is_dlc_eye", "DLC eye", "DeepLabCut result for the eye camera", "dlc_eye"),
    _video_result("is_dlc_side", "DLC side", "DeepLabCut result for the side camera", "dlc_side"),
    _video_result("is_dlc_face", "DLC face", "DeepLabCut result for the face camera", "dlc_face"),
    _video_result("is_facemap", "Facemap", "Facemap result", "facemap"),
    _video_result("is_gamma_encoding", "gamma encoding", "GammaEncoding result", "GammaEncoding", "gamma-encoded"),
    _video_result(
        "is_LPFaceParts", "LP face parts", "Lightning Pose result for face parts", "LPFaceParts", "with LPFaceParts"
    ),
)
_FLAGS = (
    StatusFlag(
        "is_uploaded",
        "uploaded",
        "Code Ocean has a raw asset; for ephys its folder on S3 also has an `ecephys*` entry.",
        _is_uploaded,
        asset="raw",
    ),
    StatusFlag(
        "raw_asset_id",
        "",
        "Id of the raw asset. Does not apply while there is none.",
        lambda record: _fact(record.asset("raw"), "id"),
        lambda record: _exists(record.asset("raw")),
    ),
    StatusFlag(
        "is_session_json",
        "session.json",
        "session.json or acquisition.json is in the raw folder on S3.",
        lambda record: _has_metadata(record, "session.json", "acquisition.json"),
        word="with session metadata",
    ),
    StatusFlag(
        "is_rig_json",
        "rig.json",
        "rig.json or instrument.json is in the raw folder on S3.",
        lambda record: _has_metadata(record, "rig.json", "instrument.json"),
        word="with rig metadata",
    ),
    StatusFlag(
        "is_video",
        "video",
        "`session_kwargs.is_video` where it is given, else whether the raw folder on S3 holds videos. "
        "Does not apply to sessions without sync, which have no cameras.",
        _is_video,
        _is_sync,
        word="with video",
    ),
    StatusFlag(
        "is_sorted",
        "sorted",
        "A spike-sorting result that did not error exists on Code Ocean. Applies to ephys.",
        lambda record: _exists(record.asset("sorted")),
        _is_ephys,
        asset="sorted",
    ),
    StatusFlag(
        "is_annotated",
        "annotated",
        "CCF coordinates exist on S3, from the IBL GUI or from tissuecyte. Applies to ephys.",
        lambda record: _any(_fact(record.s3, "ibl_annotations"), _fact(record.s3, "tissuecyte_annotations")),
        _is_ephys,
    ),
    *_VIDEO_RESULTS,
    StatusFlag(
        "is_surface_channels",
        "surface channels",
        "A separate recording of surface channels exists: a raw asset at index 1 of the day, or of the only one if the "
        "main recording was lost; or `session_kwargs.probe_letters_with_surface_channel_recording`. "
        "Applies to ephys sessions of index 0.",
        _is_surface_channels,
        _may_have_surface_channels,
        word="with surface channels",
    ),
    StatusFlag(
        "is_surface_channels_sorted",
        "surface channels sorted",
        "A good sorting result of the surface-channel recording exists. Applies where there is such a recording.",
        _is_surface_channels_sorted,
        lambda record: _may_have_surface_channels(record) and _is_surface_channels(record),
        word="with surface channels sorted",
    ),
    StatusFlag(
        "is_production",
        "production",
        "`session_kwargs.is_production`; true unless it says otherwise.",
        _is_production,
    ),
    StatusFlag(
        "is_imaged",
        "imaged",
        "The subject's brain was imaged: a SmartSPIM asset on Code Ocean, or tissuecyte-based files on S3.",
        lambda record: _any(record.asset("smartspim"), _fact(record.s3, "tissuecyte_subject")),
    ),
    StatusFlag(
        "is_parquet_cached",
        "parquet cached",
        "Some version of the component cache on S3 has a `session` file for it.",
        lambda record: _exists(_fact(record.s3, "parquet_cache")),
        word="cached (parquet)",
    ),
    StatusFlag(
        "is_nwb_cached",
        "NWB cached",
        "Some version of the NWB cache on S3 has a file for it.",
        lambda record: _exists(_fact(record.s3, "nwb_cache")),
        word="cached (NWB)",
    ),
)

FLAGS = {flag.name: flag for flag in _FLAGS}
"""All flags by name."""
BOOLEAN_FLAGS = tuple(name for name in FLAGS if name != "raw_asset_id")
VIDEO_RESULTS = tuple(flag.name for flag in _VIDEO_RESULTS)


# --- the row of a session

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
    """Return the platform; `behavior` where that is unknown."""
    if record["tracked"]:
        return str(record["tracked"]["platform"])
    raw = (record["codeocean"] or {}).get("raw") or {}
    return _untracked_platform(record["tracked"], raw.get("name", ""), record["training"]) or "behavior"


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
