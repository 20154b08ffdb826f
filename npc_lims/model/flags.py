"""The status flags of a session, each declared once in `FLAGS`.

A flag is computed from sections of the record alone. It is true, false or null (a fact it needs was never observed).
One that does not apply to a session, such as sorting to a session without ephys, is absent: absent is never "not yet".
Everything else that concerns a flag is derived from its declaration: columns, filters, attributes of `SessionInfo`,
words of changes, stages of the pipeline, schemas, docs and the site. docs/how-to/add-a-flag.md shows how to add one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from npc_lims.model.session_id import split_session_id

if TYPE_CHECKING:
    from npc_lims.model.record import Status

Value = Union[bool, str, None]
Facts = Mapping[str, Any]
"""A record as plain data: the content of its file, or of its line of the snapshot."""
NOT_APPLICABLE = "n/a"


@dataclasses.dataclass(frozen=True)
class StatusFlag:
    """A status flag. It is declared at its place in the pipeline, beside those of its group."""

    name: str
    label: str
    """Its name on pages; empty for the one that is an id."""
    group: str
    """Heading under which flags are listed together."""
    yes: str
    """Sentence for users: what it says of a session when it is true."""
    no: str
    value: Callable[[Facts], Value]
    """Computes it, for a session that it applies to."""
    unknown: str
    """Sentence for users: which fact was never observed."""
    not_applicable: str = ""
    """Sentence for users: which sessions it applies to; empty if all."""
    detail: str = ""
    """Sentence for the reference: how exactly it is determined."""
    applies: Callable[[Facts], Optional[bool]] = lambda record: True
    """Returns whether it applies to a session; None while that is unknown."""
    process: str = ""
    """What makes it true."""
    heading: str = ""
    """Short label: its column in the table of `npc-lims sessions`; empty if it is no default column."""
    word: str = ""
    """Describes a session for which it became true; the label if empty."""
    is_milestone: bool = False
    """Becoming true is news of its own kind."""
    asset: str = ""
    """The asset on Code Ocean that it is about."""
    errored: str = ""
    """The fact on Code Ocean that has the reasons of failures by asset."""
    after: Optional[str] = None
    """Of a stage of the pipeline: the flag that must be true before; empty if being recorded is enough."""
    waiting: str = ""
    """Of a stage: describes a session that waits for it; of one of a family, what the session lacks."""
    remedy: str = ""
    family: str = ""
    """Name of stages that are reported together."""

    @property
    def meaning(self) -> str:
        """When it is true, how that is determined, and which sessions it applies to."""
        return " ".join(filter(None, (self.yes, self.detail, self.not_applicable)))

    def sentence(self, value: object) -> str:
        """Return what a value of it says of a session."""
        if value == NOT_APPLICABLE:
            return self.not_applicable
        return self.unknown if value is None else self.yes if value else self.no


def compute_status(record: Facts, names: Optional[Iterable[str]] = None) -> Status:
    """Return the flags that apply to *record*, in the order of `FLAGS`. The recorded status is not read."""
    status: Status = {}
    for name in FLAGS if names is None else names:
        flag = FLAGS[name]
        applies = flag.applies(record)
        if applies is not False:
            status[name] = flag.value(record) if applies else None
    return status


# --- facts of a record: None where they were never observed, false where there is nothing


def fact_of(section: Any, name: str) -> Any:
    return section.get(name) if section else section


def recorded_asset(record: Facts, kind: str) -> Any:
    """Return an asset by its name in the codeocean section; False if there is none, None if never observed."""
    return fact_of(record.get("codeocean"), kind)


def _listing(record: Facts) -> Any:
    """Return the listing of the raw folder; that of the asset before, until the folder of a new one was listed."""
    return False if recorded_asset(record, "raw") is False else fact_of(record.get("s3"), "raw")


def _exists(fact: Any) -> Optional[bool]:
    return None if fact is None else bool(fact)


def _any(*facts: Any) -> Optional[bool]:
    return True if any(facts) else None if None in facts else False


def _kwarg(record: Facts, name: str) -> object:
    tracked = record.get("tracked") or {}
    return tracked.get("session_kwargs", {}).get(name)


def known_platform(record: Facts) -> Optional[str]:
    """Return the platform; None while tracked_sessions.yaml was never read, and there is no raw asset."""
    tracked = record.get("tracked")
    if tracked:
        return str(tracked["platform"])
    raw = recorded_asset(record, "raw")
    if raw and (tracked is None or not record.get("training")):
        return "ephys" if raw["name"].startswith("ecephys") else "behavior"
    return None if tracked is None else "behavior"


def _is_ephys(record: Facts) -> Optional[bool]:
    platform = known_platform(record)
    return None if platform is None else platform == "ephys"


def _is_sync(record: Facts) -> Optional[bool]:
    platform = known_platform(record)
    return None if platform is None else platform in ("ephys", "behavior_with_sync")


# --- values and conditions that take more than an expression


def _is_uploaded(record: Facts) -> Optional[bool]:
    raw = recorded_asset(record, "raw")
    is_ephys = _is_ephys(record)
    if raw and is_ephys is not False:
        return None if is_ephys is None else _exists(fact_of(_listing(record), "ecephys"))
    return _exists(raw)


def _has_metadata(record: Facts, *names: str) -> Optional[bool]:
    found = fact_of(_listing(record), "metadata")
    return None if found is None else any(name in names for name in found or ())


def _is_video(record: Facts) -> Optional[bool]:
    given = _kwarg(record, "is_video")
    return given if isinstance(given, bool) else _exists(fact_of(_listing(record), "videos"))


def _may_have_video_result(record: Facts, process: str) -> Optional[bool]:
    if recorded_asset(record, process):
        return True
    is_sync = _is_sync(record)
    if not is_sync:
        return is_sync
    # before the upload nobody can know whether there are videos: only then is "no video" not the last word
    is_final = _kwarg(record, "is_video") is False or bool(_listing(record))
    return not (is_final and _is_video(record) is False)


def _is_surface_channels(record: Facts) -> Optional[bool]:
    kwarg = _kwarg(record, "probe_letters_with_surface_channel_recording")
    return bool(kwarg) or _exists(recorded_asset(record, "surface"))


def _may_have_surface_channels(record: Facts) -> Optional[bool]:
    return _is_ephys(record) and split_session_id(record["id"])[2] == 0


def _is_surface_channels_sorted(record: Facts) -> Optional[bool]:
    # with no recording of their own, the surface channels are in the main one
    in_main = recorded_asset(record, "surface") is False
    return _exists(recorded_asset(record, "sorted" if in_main else "surface_sorted"))


def _is_production(record: Facts) -> bool:
    given = _kwarg(record, "is_production")
    return given if isinstance(given, bool) else True


# --- the declarations

_CODE_OCEAN = "Code Ocean was never searched for it."
_RAW_FOLDER = "The raw folder on S3 was never listed."
_S3 = "Its folder on S3 was never listed."


def _video_result(name: str, label: str, heading: str, result: str, process: str, word: str = "") -> StatusFlag:
    return StatusFlag(
        name,
        label,
        "Video results",
        yes=f"Code Ocean has a {result}.",
        no=f"No {result} yet.",
        value=lambda record: _exists(recorded_asset(record, process)),
        unknown=_CODE_OCEAN,
        not_applicable="Applies to sessions with video.",
        applies=lambda record: _may_have_video_result(record, process),
        process=f"{process} on Code Ocean",
        heading=heading,
        word=word or f"with {label}",
        asset=process,
        after="is_uploaded",
        waiting=label,
        remedy="npc-lims process plan shows whether they would run now, and why not.",
        family="video results",
    )


_FLAGS = (
    StatusFlag(
        "is_uploaded",
        "uploaded",
        "Raw data",
        yes="Raw data are on Code Ocean; for ephys the recording is on S3, too.",
        no="No raw data on Code Ocean yet, or for ephys no recording on S3.",
        detail="Code Ocean has a raw asset; for ephys its folder on S3 also has an `ecephys*` entry.",
        value=_is_uploaded,
        unknown="Code Ocean was never searched for the raw asset, or its folder on S3 was never listed.",
        process="upload",
        heading="up",
        is_milestone=True,
        asset="raw",
        after="",
        waiting="tracked but not uploaded",
        remedy="Upload them or correct their paths; if that will never be: "
        "npc-lims track edit ID --set is_production=false.",
    ),
    StatusFlag(
        "raw_asset_id",
        "",
        "Raw data",
        yes="Id of the raw asset on Code Ocean.",
        no="Code Ocean has no raw asset.",
        value=lambda record: fact_of(recorded_asset(record, "raw"), "id"),
        unknown=_CODE_OCEAN,
        not_applicable="Applies to sessions that have one.",
        applies=lambda record: _exists(recorded_asset(record, "raw")),
        asset="raw",
    ),
    StatusFlag(
        "is_session_json",
        "session.json",
        "Raw data",
        yes="The raw folder on S3 has session.json or acquisition.json.",
        no="The raw folder on S3 has neither session.json nor acquisition.json.",
        value=lambda record: _has_metadata(record, "session.json", "acquisition.json"),
        unknown=_RAW_FOLDER,
        process="upload",
        word="with session metadata",
    ),
    StatusFlag(
        "is_rig_json",
        "rig.json",
        "Raw data",
        yes="The raw folder on S3 has rig.json or instrument.json.",
        no="The raw folder on S3 has neither rig.json nor instrument.json.",
        value=lambda record: _has_metadata(record, "rig.json", "instrument.json"),
        unknown=_RAW_FOLDER,
        process="upload",
        word="with rig metadata",
    ),
    StatusFlag(
        "is_video",
        "video",
        "Raw data",
        yes="Videos were recorded.",
        no="No videos, by the raw folder on S3 or by the tracked entry.",
        detail="By `session_kwargs.is_video` where it is given, else by the files in the raw folder on S3.",
        value=_is_video,
        unknown=_RAW_FOLDER,
        not_applicable="Applies to sessions with sync: others have no cameras.",
        applies=_is_sync,
        process="upload",
        heading="video",
        word="with video",
    ),
    StatusFlag(
        "is_sorted",
        "sorted",
        "Ephys",
        yes="Code Ocean has a spike-sorting result without errors.",
        no="No spike-sorting result without errors yet.",
        value=lambda record: _exists(recorded_asset(record, "sorted")),
        unknown=_CODE_OCEAN,
        not_applicable="Applies to ephys sessions.",
        applies=_is_ephys,
        process="spike sorting on Code Ocean",
        heading="sort",
        is_milestone=True,
        asset="sorted",
        errored="errored",
        after="is_uploaded",
        waiting="uploaded but not sorted",
        remedy="Start the sorting; where it cannot succeed, note an issue in tracked_sessions.yaml.",
    ),
    StatusFlag(
        "is_annotated",
        "annotated",
        "Ephys",
        yes="S3 has CCF coordinates of the probes, from the IBL GUI or from tissuecyte.",
        no="No CCF coordinates of the probes yet, neither from the IBL GUI nor from tissuecyte.",
        value=lambda record: _any(
            fact_of(record.get("s3"), "ibl_annotations"), fact_of(record.get("s3"), "tissuecyte_annotations")
        ),
        unknown="The folders of annotations on S3 were never listed.",
        not_applicable="Applies to ephys sessions.",
        applies=_is_ephys,
        process="annotation in the IBL GUI, or with tissuecyte",
        heading="annot",
        is_milestone=True,
        after="is_sorted",
        waiting="sorted but not annotated",
        remedy="Annotate them in the IBL GUI; where that cannot be done, note an issue in tracked_sessions.yaml.",
    ),
    _video_result("is_dlc_eye", "DLC eye", "eye", "DeepLabCut result for the eye camera", "dlc_eye"),
    _video_result("is_dlc_side", "DLC side", "side", "DeepLabCut result for the side camera", "dlc_side"),
    _video_result("is_dlc_face", "DLC face", "face", "DeepLabCut result for the face camera", "dlc_face"),
    _video_result("is_facemap", "Facemap", "fmap", "Facemap result", "facemap"),
    _video_result(
        "is_gamma_encoding", "gamma encoding", "gamma", "GammaEncoding result", "GammaEncoding", "gamma-encoded"
    ),
    _video_result(
        "is_LPFaceParts",
        "LP face parts",
        "lp",
        "Lightning Pose result for face parts",
        "LPFaceParts",
        "with LPFaceParts",
    ),
    StatusFlag(
        "is_surface_channels",
        "surface channels",
        "Surface channels",
        yes="Surface channels were recorded separately.",
        no="Surface channels were not recorded separately.",
        detail="There is a raw asset at index 1 of the day, or the only one if the main recording was lost; or "
        "`session_kwargs.probe_letters_with_surface_channel_recording` is given.",
        value=_is_surface_channels,
        unknown=_CODE_OCEAN,
        not_applicable="Applies to ephys sessions of index 0.",
        applies=_may_have_surface_channels,
        heading="surf",
        word="with surface channels",
        asset="surface",
    ),
    StatusFlag(
        "is_surface_channels_sorted",
        "surface channels sorted",
        "Surface channels",
        yes="Code Ocean has a sorting result of the surface channels without errors.",
        no="The surface channels are not sorted yet.",
        value=_is_surface_channels_sorted,
        unknown=_CODE_OCEAN,
        not_applicable="Applies to sessions with a separate recording of surface channels.",
        applies=lambda record: _may_have_surface_channels(record) and _is_surface_channels(record),
        process="spike sorting on Code Ocean",
        word="with surface channels sorted",
        asset="surface_sorted",
    ),
    StatusFlag(
        "is_production",
        "production",
        "Session",
        yes="A production session.",
        no="Not a production session, by its tracked entry.",
        detail="Unless `session_kwargs.is_production` is false.",
        value=_is_production,
        unknown="tracked_sessions.yaml was never read.",
    ),
    StatusFlag(
        "is_imaged",
        "imaged",
        "Session",
        yes="The brain of the subject was imaged.",
        no="The brain of the subject was not imaged yet.",
        detail="Code Ocean has a SmartSPIM asset of the subject, or S3 has tissuecyte-based files.",
        value=lambda record: _any(recorded_asset(record, "smartspim"), fact_of(record.get("s3"), "tissuecyte_subject")),
        unknown="Code Ocean was never searched for SmartSPIM assets, or the tissuecyte folder was never listed.",
        process="SmartSPIM or tissuecyte imaging",
        asset="smartspim",
    ),
    StatusFlag(
        "is_parquet_cached",
        "parquet cached",
        "Caches",
        yes="Some version of the component cache on S3 has a `session` file for it.",
        no="No version of the component cache on S3 has a `session` file for it yet.",
        value=lambda record: _exists(fact_of(record.get("s3"), "parquet_cache")),
        unknown="The component cache on S3 was never listed.",
        process="npc_sessions",
        word="cached (parquet)",
        after="is_uploaded",
    ),
    StatusFlag(
        "is_nwb_cached",
        "NWB cached",
        "Caches",
        yes="Some version of the NWB cache on S3 has a file for it.",
        no="No version of the NWB cache on S3 has a file for it yet.",
        value=lambda record: _exists(fact_of(record.get("s3"), "nwb_cache")),
        unknown="The NWB cache on S3 was never listed.",
        process="npc_sessions",
        heading="nwb",
        word="cached (NWB)",
        after="is_sorted",
        waiting="sorted but not in the NWB cache",
        remedy="Write the cache again with npc_sessions.",
    ),
)

FLAGS = {flag.name: flag for flag in _FLAGS}
"""All flags by name."""
BOOLEAN_FLAGS = tuple(name for name in FLAGS if name != "raw_asset_id")
STAGES = tuple(flag for flag in _FLAGS if flag.after is not None)
"""The stages of the pipeline in their order. Optional steps (surface channels, imaging) are none."""
