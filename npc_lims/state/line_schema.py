"""A quick test of whether a session's plain data keep to the schema, without pydantic.

It accepts only what is plainly valid: everything else is left to `npc_lims.model.record.Record`, which has the last
word, and takes a tenth of a second to import. Keys that this version does not know pass: a newer one may write them in
the same schema.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

_NONE = type(None)
_EMPTY: list[str] = []
_TEXT = frozenset({str})
_FLAG = frozenset({bool, _NONE})
_DAY = frozenset({int, _NONE})
_SCALAR = frozenset({str, int, float, bool, _NONE})
# Lists of texts.
_OF_TRACKED = ("issues",)
_OF_LISTING = ("ecephys", "behavior", "metadata", "sync", "videos", "settings_xml")
_OF_S3 = ("stim", "ibl_annotations", "tissuecyte_annotations", "parquet_cache", "nwb_cache")
_PLATFORMS = ("ephys", "behavior_with_sync", "behavior")


def is_plainly_valid(record: Mapping[str, Any]) -> bool:
    """Return True if all values are of the types that `Record` has for them.

    A line is parsed in eight microseconds: so sets of types are compared, and not each value.
    """
    try:
        return (
            _is_status(record["status"])
            and ((record["tracked"] and _is_tracked(record["tracked"])) or _is_nothing(record["tracked"]))
            and ((record["training"] and _is_training(record["training"])) or _is_nothing(record["training"]))
            and ((record["codeocean"] and _is_codeocean(record["codeocean"])) or _is_nothing(record["codeocean"]))
            and ((record["s3"] and _is_s3(record["s3"])) or _is_nothing(record["s3"]))
        )
    except (AttributeError, KeyError, TypeError, ValueError):  # a text or list for a section, a missing key, no time
        return False


def _is_nothing(value: Any) -> bool:
    return value is None or value is False


def _is_status(status: Mapping[str, Any]) -> bool:
    if _FLAG.issuperset(map(type, status.values())):
        return status.get("raw_asset_id") is None
    return all(
        type(value) in _FLAG if name != "raw_asset_id" else value is None or type(value) is str
        for name, value in status.items()
    )


def _is_tracked(tracked: Mapping[str, Any]) -> bool:
    get = tracked.get
    return (
        tracked["platform"] in _PLATFORMS
        and type(tracked["project"]) is str
        and type(tracked["allen_path"]) is str
        and type(tracked["experiment_day"]) is int
        and type(get("day")) in _DAY
        and type(get("ephys_day")) in _DAY
        and type(get("perturbation_day")) in _DAY
        and type(get("insertion_day")) in _DAY
        and type(get("session_kwargs", tracked)) is dict
        and type(get("notes", "")) is str
        and _are_texts(tracked, _OF_TRACKED)
    )


def _is_training(row: Mapping[str, Any]) -> bool:
    if "other_rows" in row:
        if not (type(row["other_rows"]) is list and all(map(_is_training, row["other_rows"]))):
            return False
        row = {name: value for name, value in row.items() if name != "other_rows"}
    return (
        type(row["nsb"]) is bool
        and type(row["row"]) is int
        and _is_time(row["start_time"])
        and _SCALAR.issuperset(map(type, row.values()))
    )


def _is_time(text: str) -> bool:
    has_format = len(text) == 19 and text[4] == text[7] == "-" and text[10] == " " and text[13] == text[16] == ":"
    return has_format and datetime.datetime.fromisoformat(text) is not None


def _is_codeocean(assets: Mapping[str, Any]) -> bool:
    for name, asset in assets.items():
        if asset:
            if not (_TEXT.issuperset(map(type, asset.values())) and (name == "errored" or _is_asset(asset))):
                return False
        elif not (asset == {} if name == "errored" else _is_nothing(asset)):
            return False
    return True


def _is_asset(asset: Mapping[str, Any]) -> bool:
    return "id" in asset and "name" in asset and "created" in asset


def _is_s3(facts: Mapping[str, Any]) -> bool:
    raw = facts.get("raw")
    return (
        (type(raw["asset"]) is str and _are_texts(raw, _OF_LISTING) if raw else _is_nothing(raw))
        and type(facts.get("tissuecyte_subject")) in _FLAG
        and _are_texts(facts, _OF_S3, None)
    )


def _are_texts(facts: Mapping[str, Any], names: Iterable[str], unknown: object = _EMPTY) -> bool:
    """Return True if each of these facts is missing, a list of texts, or *unknown*."""
    for name in names:
        texts = facts.get(name, unknown)
        if texts is not unknown and (type(texts) is not list or (texts and not _TEXT.issuperset(map(type, texts)))):
            return False
    return True
