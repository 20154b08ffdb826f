"""The recorded locations of a session's files, by kind: a pure function of its record."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal, Optional, Protocol

from npc_lims.model.flags import FLAGS, NOT_APPLICABLE, Facts, fact_of, recorded_asset
from npc_lims.model.rows import allen_path_of
from npc_lims.model.session_id import subject_of
from npc_lims.model.status import explain, recorded_flag

RECORDED: Literal["recorded"] = "recorded"
LocationStatus = Literal["recorded", "none", "unknown", "does not apply"]

_ASSETS = {
    "raw": "raw data",
    "surface": "separate recording of surface channels",
    "sorted": "sorting result",
    "surface_sorted": "sorting result of surface channels",
    "LFP_Subsampled": "subsampled LFP",
    "dlc_eye": "DeepLabCut result, eye",
    "dlc_side": "DeepLabCut result, side",
    "dlc_face": "DeepLabCut result, face",
    "facemap": "Facemap result",
    "GammaEncoding": "gamma-encoded videos",
    "LPFaceParts": "Lightning Pose result, face parts",
    "smartspim": "SmartSPIM imaging of the subject",
}
_RAW_FILES = {
    "sync": "sync data",
    "videos": "video",
    "settings_xml": "settings of Open Ephys",
    "metadata": "metadata",
}
_S3_FILES = {
    "stim": "stimulus file",
    "ibl_annotations": "folder of the subject in which the IBL GUI annotated",
    "tissuecyte_annotations": "annotations from tissuecyte",
    "parquet_cache": "session table of the component cache",
    "nwb_cache": "NWB file",
}
LOCATION_KINDS = ("allen_path", "raw", *_RAW_FILES, *list(_ASSETS)[1:], *_S3_FILES)
"""Kinds of locations, as state names them."""
LOCATION_GROUPS = {
    "annotations": ("ibl_annotations", "tissuecyte_annotations"),
    "dlc": ("dlc_eye", "dlc_side", "dlc_face"),
    "caches": ("parquet_cache", "nwb_cache"),
}
"""Names for several kinds at once."""

# The flags whose sentences say why there is no location. Of a raw asset there are two: the first one says more.
_REASONS = {
    **{flag.asset: flag.name for flag in reversed([*FLAGS.values()]) if flag.asset},
    **dict.fromkeys(LOCATION_GROUPS["annotations"], "is_annotated"),
    "videos": "is_video",
    "parquet_cache": "is_parquet_cached",
    "nwb_cache": "is_nwb_cached",
}
# The flags that apply to the same sessions as kinds of files of which no flag says whether they are there.
_APPLIES_AS = {"sync": "is_video", "settings_xml": "is_sorted", "LFP_Subsampled": "is_sorted"}
_NUMBER = re.compile(r"([0-9]+)")


class Roots(Protocol):
    """The buckets and folders that all sessions share: `Settings` has them."""

    @property
    def codeocean_bucket(self) -> str: ...

    @property
    def stim_root(self) -> str: ...

    @property
    def ibl_root(self) -> str: ...

    @property
    def tissuecyte_root(self) -> str: ...

    @property
    def parquet_root(self) -> str: ...

    @property
    def nwb_root(self) -> str: ...


@dataclasses.dataclass(frozen=True)
class SessionLocation:
    """A recorded location of a session's files, or why there is none of that kind."""

    kind: str
    """A name of `LOCATION_KINDS`."""
    what: str
    """In words."""
    location: Optional[str] = None
    """URI, or path of a folder on the Allen network; None if there is none."""
    id: Optional[str] = None
    """Of the data asset that it is, or in which it is."""
    name: Optional[str] = None
    """Of the data asset, or of the file."""
    status: LocationStatus = RECORDED
    """`none` (queried, and there is nothing) and `unknown` (never observed) are different."""
    reason: Optional[str] = None
    """Why there is none; of a location, why its files may not be there yet."""


def locations_of(record: Facts, settings: Roots, kinds: Iterable[str] = LOCATION_KINDS) -> tuple[SessionLocation, ...]:
    """Return every recorded location of a session, in the order of *kinds*; one without for each other kind.

    *settings* name the folders that all sessions share. Nothing is queried, and no location is tested.
    """
    found: list[SessionLocation] = []
    for kind in kinds:
        found += _of_kind(record, settings, kind)
    return tuple(found)


def _of_kind(record: Facts, settings: Roots, kind: str) -> list[SessionLocation]:
    if kind == "allen_path":
        return [SessionLocation(kind, "folder on the Allen network", allen_path_of(record))]
    if kind in _ASSETS:
        fact = recorded_asset(record, kind)
        if fact:
            uri, id_, name = _asset_uri(fact, settings), str(fact["id"]), str(fact["name"])
            is_late = kind == "raw" and recorded_flag(record, "is_uploaded") is False
            reason = explain(record, "is_uploaded") if is_late else None
            return [SessionLocation(kind, _ASSETS[kind], uri, id_, name, reason=reason)]
    elif kind in _RAW_FILES:
        raw = recorded_asset(record, "raw")
        fact = _raw_files(record, raw, kind)
        if fact:
            root = _asset_uri(raw, settings)
            return [
                SessionLocation(kind, _RAW_FILES[kind], f"{root}/{path}", str(raw["id"]), path.rpartition("/")[2])
                for path in fact
            ]
    else:
        fact = fact_of(record.get("s3"), kind)
        if fact:
            return [*_s3_files(record, settings, kind, fact)]
    status, reason = _reason(record, kind, fact)
    what = {**_ASSETS, **_RAW_FILES, **_S3_FILES}[kind]
    return [SessionLocation(kind, what, status=status, reason=reason)]


def _asset_uri(asset: Any, settings: Roots) -> str:
    return str(asset.get("location") or f"s3://{settings.codeocean_bucket}/{asset['id']}").rstrip("/")


def _raw_files(record: Facts, raw: Any, kind: str) -> Any:
    """Return files of the raw folder as paths below it; None unless the folder of this asset was listed."""
    if not raw:
        return raw
    listing = fact_of(record.get("s3"), "raw")
    return listing.get(kind, ()) if listing and listing["asset"] == raw["id"] else None


def _s3_files(record: Facts, settings: Roots, kind: str, names: Iterable[str]) -> Iterator[SessionLocation]:
    session, what = str(record["id"]), _S3_FILES[kind]
    subject = subject_of(session)
    if kind == "ibl_annotations":  # of these the probes are recorded, and not the folder of the recording
        probes = ", ".join(names)
        yield SessionLocation(kind, f"{what} {probes}", f"{settings.ibl_root}/{subject}", name=subject)
    elif kind in ("parquet_cache", "nwb_cache"):
        for version in sorted(names, key=_by_number, reverse=True):
            name = f"{session}.parquet" if kind == "parquet_cache" else f"{session}.nwb.zarr"
            root = settings.nwb_root if kind == "nwb_cache" else settings.parquet_root
            folder = f"{root}/{version}" + ("" if kind == "nwb_cache" else "/session")
            yield SessionLocation(kind, f"{what}, {version}", f"{folder}/{name}", name=name)
    else:
        root = settings.stim_root if kind == "stim" else settings.tissuecyte_root
        for name in names:
            yield SessionLocation(kind, what, f"{root}/{subject}/{name}", name=name)


def _by_number(version: str) -> list[Any]:
    """Return a sort key by which v0.0.10 is newer than v0.0.9."""
    return [(part.isdecimal(), int(part) if part.isdecimal() else part) for part in _NUMBER.split(version) if part]


def _reason(record: Facts, kind: str, fact: Any) -> tuple[LocationStatus, str]:
    """Return why a kind has no location, where *fact* is recorded."""
    flag = _REASONS.get(kind)
    applies = _APPLIES_AS.get(kind, flag)
    if applies is not None and recorded_flag(record, applies) == NOT_APPLICABLE:
        return "does not apply", FLAGS[applies].not_applicable
    status: LocationStatus = "unknown" if fact is None else "none"
    if kind in ("raw", *_RAW_FILES) and recorded_asset(record, "raw") is False:
        return status, "Not uploaded: Code Ocean has no raw asset yet."
    value = None if flag is None else recorded_flag(record, flag)
    if flag is not None and value is not True and (value is None) == (fact is None):
        return status, explain(record, flag)
    if fact is not None:
        return status, "There is none."
    source = "Code Ocean was never searched for it" if kind in _ASSETS else "Its folder on S3 was never listed"
    return status, f"{source}."
