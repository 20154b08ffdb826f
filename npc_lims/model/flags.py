"""The status flags of a session, computed from its sections and from nothing else.

Each flag is true, false or null (a fact it needs was never observed). A flag that does not apply
to a session, such as sorting to a session without ephys, is absent: absent is never "not yet".
"""

from __future__ import annotations

from typing import Callable, Optional, Union

from npc_lims.model.record import PROCESSES, Asset, CodeOcean, RawListing, Record, S3Facts, Status, Tracked
from npc_lims.model.session_id import split_session_id

Value = Union[bool, str, None]
NOT_APPLICABLE = "n/a"
"""Only inside this module: what a rule answers so that its flag is left out."""


def compute_status(record: Record) -> Status:
    """Return the flags that apply to *record*, in the order of `FLAGS`. The recorded status is not read."""
    values = {name: rule(record) for name, rule in FLAGS.items()}
    return {name: value for name, value in values.items() if value != NOT_APPLICABLE}


def is_uploaded(record: Record) -> Value:
    """Code Ocean has a raw asset; for ephys its folder on S3 also has an `ecephys*` entry."""
    raw = _asset(record, "raw")
    if raw and _platform(record) is None:
        return None
    if raw and _is_ephys(record):
        return _found(_listing(record), "ecephys")
    return raw if raw is None else bool(raw)


def raw_asset_id(record: Record) -> Value:
    """Id of the raw asset. Does not apply while there is none."""
    raw = _asset(record, "raw")
    if raw is None:
        return None
    return raw.id if isinstance(raw, Asset) else NOT_APPLICABLE


def is_session_json(record: Record) -> Value:
    """session.json or acquisition.json stands in the raw folder on S3."""
    return _has_metadata(record, "session.json", "acquisition.json")


def is_rig_json(record: Record) -> Value:
    """rig.json or instrument.json stands in the raw folder on S3."""
    return _has_metadata(record, "rig.json", "instrument.json")


def is_video(record: Record) -> Value:
    """`session_kwargs.is_video` where it is given, else whether the raw folder on S3 holds videos.

    Does not apply to sessions without sync, which have no cameras.
    """
    if not _is_sync(record):
        return _does_not_apply(record)
    said = _kwarg(record, "is_video")
    if isinstance(said, bool):
        return said
    return _found(_listing(record), "videos")


def is_sorted(record: Record) -> Value:
    """A spike-sorting result that did not error exists on Code Ocean. Applies to ephys."""
    return _ephys_only(record, lambda: _exists(_asset(record, "sorted")))


def is_annotated(record: Record) -> Value:
    """CCF coordinates exist on S3, from the IBL GUI or from tissuecyte. Applies to ephys."""
    s3 = _s3(record)
    return _ephys_only(record, lambda: _any(_non_empty(s3.ibl_annotations), _non_empty(s3.tissuecyte_annotations)))


def is_dlc_eye(record: Record) -> Value:
    """A DeepLabCut result for the eye camera exists on Code Ocean. Applies to sessions with video."""
    return _video_result(record, "dlc_eye")


def is_dlc_side(record: Record) -> Value:
    """A DeepLabCut result for the side camera exists on Code Ocean. Applies to sessions with video."""
    return _video_result(record, "dlc_side")


def is_dlc_face(record: Record) -> Value:
    """A DeepLabCut result for the face camera exists on Code Ocean. Applies to sessions with video."""
    return _video_result(record, "dlc_face")


def is_facemap(record: Record) -> Value:
    """A Facemap result exists on Code Ocean. Applies to sessions with video."""
    return _video_result(record, "facemap")


def is_gamma_encoding(record: Record) -> Value:
    """A GammaEncoding result exists on Code Ocean. Applies to sessions with video."""
    return _video_result(record, "GammaEncoding")


def is_LPFaceParts(record: Record) -> Value:
    """A Lightning Pose result for face parts exists on Code Ocean. Applies to sessions with video."""
    return _video_result(record, "LPFaceParts")


def is_surface_channels(record: Record) -> Value:
    """A separate recording of surface channels exists: a raw asset at index 1 of the day, or of the only one if the
    main recording was lost; or
    `session_kwargs.probe_letters_with_surface_channel_recording`. Applies to ephys sessions of index 0."""
    if not _is_ephys(record):
        return _does_not_apply(record)
    if _index(record):
        return NOT_APPLICABLE
    if _kwarg(record, "probe_letters_with_surface_channel_recording"):
        return True
    return _exists(_asset(record, "surface"))


def is_surface_channels_sorted(record: Record) -> Value:
    """A good sorting result of the surface-channel recording exists. Applies where there is such a recording."""
    surface = is_surface_channels(record)
    if surface is True:
        # with no recording of their own, the surface channels are in the main one
        apart = _asset(record, "surface")
        return _exists(_asset(record, "sorted" if apart is False else "surface_sorted"))
    return None if surface is None else NOT_APPLICABLE


def is_production(record: Record) -> Value:
    """`session_kwargs.is_production`; true unless it says otherwise."""
    said = _kwarg(record, "is_production")
    return said if isinstance(said, bool) else True


def is_imaged(record: Record) -> Value:
    """The subject's brain was imaged: a SmartSPIM asset on Code Ocean, or tissuecyte-based files on S3."""
    return _any(_exists(_asset(record, "smartspim")), _s3(record).tissuecyte_subject)


def is_parquet_cached(record: Record) -> Value:
    """Some version of the component cache on S3 has a `session` file for it."""
    return _non_empty(_s3(record).parquet_cache)


def is_nwb_cached(record: Record) -> Value:
    """Some version of the NWB cache on S3 has a file for it."""
    return _non_empty(_s3(record).nwb_cache)


FLAGS: dict[str, Callable[[Record], Value]] = {
    rule.__name__: rule
    for rule in (
        is_uploaded,
        raw_asset_id,
        is_session_json,
        is_rig_json,
        is_video,
        is_sorted,
        is_annotated,
        is_dlc_eye,
        is_dlc_side,
        is_dlc_face,
        is_facemap,
        is_gamma_encoding,
        is_LPFaceParts,
        is_surface_channels,
        is_surface_channels_sorted,
        is_production,
        is_imaged,
        is_parquet_cached,
        is_nwb_cached,
    )
}
"""Each flag and the rule that computes it; a rule's docstring says what it is computed from."""


# --- what the rules are made of ------------------------------------------------------------------


def _platform(record: Record) -> Optional[str]:
    """Return the tracked platform; of a session that is not tracked, that in the name of its raw asset; else behavior.

    While tracked_sessions.yaml was never read, that of the raw asset; None when there is none.
    """
    if isinstance(record.tracked, Tracked):
        return record.tracked.platform
    raw = _asset(record, "raw")
    if (record.tracked is None or not record.training) and isinstance(raw, Asset):
        return "ephys" if raw.name.startswith("ecephys") else "behavior"
    return None if record.tracked is None else "behavior"


def _is_ephys(record: Record) -> bool:
    return _platform(record) == "ephys"


def _is_sync(record: Record) -> bool:
    return _platform(record) in ("ephys", "behavior_with_sync")


def _does_not_apply(record: Record) -> Value:
    return None if _platform(record) is None else NOT_APPLICABLE


def _ephys_only(record: Record, rule: Callable[[], Value]) -> Value:
    return rule() if _is_ephys(record) else _does_not_apply(record)


def _kwarg(record: Record, name: str) -> object:
    return record.tracked.session_kwargs.get(name) if isinstance(record.tracked, Tracked) else None


def _index(record: Record) -> int:
    return split_session_id(record.id)[2]


def _asset(record: Record, kind: str) -> Union[Asset, bool, None]:
    if isinstance(record.codeocean, CodeOcean):
        value: Union[Asset, bool, None] = getattr(record.codeocean, kind)
        return value
    return record.codeocean


_NOTHING_FOUND = S3Facts(
    raw=False,
    stim=[],
    ibl_annotations=[],
    tissuecyte_annotations=[],
    tissuecyte_subject=False,
    parquet_cache=[],
    nwb_cache=[],
)
_NOTHING_KNOWN = S3Facts()


def _s3(record: Record) -> S3Facts:
    if isinstance(record.s3, S3Facts):
        return record.s3
    return _NOTHING_KNOWN if record.s3 is None else _NOTHING_FOUND


def _listing(record: Record) -> Union[RawListing, bool, None]:
    """Return the listing of the raw folder; that of the asset before, until the folder of a new one was listed."""
    return False if _asset(record, "raw") is False else _s3(record).raw


def _found(listing: Union[RawListing, bool, None], kind: str) -> Value:
    return bool(getattr(listing, kind)) if isinstance(listing, RawListing) else listing


def _has_metadata(record: Record, *names: str) -> Value:
    listing = _listing(record)
    return any(name in listing.metadata for name in names) if isinstance(listing, RawListing) else listing


def _video_result(record: Record, process: str) -> Value:
    assert process in PROCESSES
    result = _exists(_asset(record, process))
    if result is True:
        return True
    if not _is_sync(record):
        return _does_not_apply(record)
    # before the upload nobody can know whether there are videos: only then is "no video" not the last word
    without_video = is_video(record) is False and (_kwarg(record, "is_video") is False or bool(_listing(record)))
    return NOT_APPLICABLE if without_video else result


def _exists(asset: Union[Asset, bool, None]) -> Optional[bool]:
    return None if asset is None else bool(asset)


def _non_empty(names: Optional[list[str]]) -> Optional[bool]:
    return None if names is None else bool(names)


def _any(*values: Optional[bool]) -> Optional[bool]:
    if True in values:
        return True
    return None if None in values else False
