"""`sessions.jsonl`: every session of a state folder, one line each, the newest first.

A line is a session file as JSON, after its `digest`: the SHA-256 of that file. It begins with the
id, so that lines can be distinguished, sorted and looked up without parsing them.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from npc_lims.errors import StateError
from npc_lims.model.sections import SECTIONS
from npc_lims.model.session_id import ID_PATTERN

SCHEMA = 1
"""Version of the layout of a session file and of its line in the snapshot. Readers accept only this one."""
SNAPSHOT = "sessions.jsonl"
_HEAD = b'{"id":"'
_DIGEST = b'","digest":"'
_FIELDS = frozenset(("id", "digest", "schema", "tracked", "training", "codeocean", "s3", "status"))
"""Of every line of this schema."""
_LATER_SECTIONS = {name: None for name in SECTIONS if name not in _FIELDS}
"""Of sources that came later: null, never observed, in lines that are older."""

# types of values, for a quick test of a line
_NONE = type(None)
_TEXT = frozenset({str})
_FLAG = frozenset({bool, _NONE})
_DAY = frozenset({int, _NONE})
_SCALAR = frozenset({str, int, float, bool, _NONE})
_PLATFORMS = ("ephys", "behavior_with_sync", "behavior")
_RAW_LISTS = ("ecephys", "behavior", "metadata", "sync", "videos", "settings_xml")
_S3_LISTS = ("stim", "ibl_annotations", "tissuecyte_annotations", "parquet_cache", "nwb_cache")
_EMPTY: list[str] = []


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


_decode = json.JSONDecoder(parse_constant=_refuse).raw_decode  # a tenth faster than json.loads


def make_line(record: Mapping[str, Any], digest: str) -> bytes:
    """Return the line (without line feed) of the session file with *record* and *digest*."""
    data = {"id": record["id"], "digest": digest, **record}
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()


def parse_line(line: bytes) -> dict[str, Any]:
    """Return the session of a line; StateError if it is damaged, or of another schema."""
    try:
        text = line.decode()
        data, end = _decode(text)
        if end != len(text):
            raise ValueError("more than one value")
    except (ValueError, RecursionError) as error:
        raise _damaged(line, error) from None
    if _LATER_SECTIONS and isinstance(data, dict):
        data = {**_LATER_SECTIONS, **data}
    is_plain = is_plainly_valid(data) and data.keys() >= _FIELDS and data["schema"] == SCHEMA
    if not (is_plain and ID_PATTERN.fullmatch(str(data["id"]))):
        _check(line, data)
    return cast("dict[str, Any]", data)


def _check(line: bytes, data: Any) -> None:
    """Refuse what a line says, unless it is valid though not plainly so."""
    if isinstance(data, dict) and data.get("schema", SCHEMA) != SCHEMA:
        found = data["schema"]
        raise StateError(f"{data.get('id')}: state of schema {found!r}, this version reads {SCHEMA}; upgrade npc_lims")
    if not isinstance(data, dict) or not ID_PATTERN.fullmatch(str(data.get("id"))):
        raise _damaged(line, "its id is not one of a session")
    if not data.keys() >= _FIELDS:
        raise _damaged(line, f"without {', '.join(sorted(_FIELDS - data.keys()))}")
    from npc_lims.model.record import find_invalid_value

    invalid = find_invalid_value({name: value for name, value in data.items() if name != "digest"})
    if invalid is not None:
        raise StateError(
            f"{data['id']}: {invalid}; restore its state (git checkout, or git revert what edited it), or sync again"
        )


def _damaged(line: bytes, reason: object) -> StateError:
    # the beginning says more about an invalid line than its id
    head = ascii(line[:40].decode(errors="replace"))
    return StateError(f"the line {head}... of {SNAPSHOT} is damaged ({reason}); run npc-lims sync to regenerate it")


def line_id(line: bytes) -> str:
    """Return the id of the session of a line, without parsing it.

    >>> line_id(b'{"id":"626791_2022-08-15","digest":"..."}')
    '626791_2022-08-15'
    """
    end = line.find(b'"', len(_HEAD))
    if not line.startswith(_HEAD) or end < 0 or not line.endswith(b"}"):
        raise ValueError("not a line of a session snapshot")
    return line[len(_HEAD) : end].decode()


def line_digest(line: bytes) -> str | None:
    """Return the digest in a line; None if it is not where `make_line` puts it."""
    start = line.find(b'"', len(_HEAD)) + len(_DIGEST)
    digest = line[start : start + 64]
    return digest.decode("ascii", "replace") if line[: start + 66].endswith(b'",') else None


def split_lines(content: bytes) -> list[bytes]:
    """Return the lines of a snapshot; ValueError if it breaks off."""
    content = with_unix_lines(content)
    if content and not content.endswith(b"\n"):
        raise ValueError("the snapshot breaks off in the middle of a line")
    return content.split(b"\n")[:-1]


def lines_by_id(content: bytes) -> dict[str, bytes]:
    """Return the lines of a snapshot by session id. A damaged one has none: the session files are authoritative."""
    try:
        return {line_id(line): line for line in split_lines(content)}
    except ValueError:
        return {}


def checked_lines(content: bytes) -> list[bytes]:
    """Return the lines of a downloaded snapshot; ValueError if it breaks off, or is something else."""
    lines = split_lines(content)
    for line in lines:
        line_id(line)
    return lines


def newest_first(ids: Iterable[str]) -> list[str]:
    """Return ids by date, the newest first; those of one day by subject and index."""

    def within_a_day(session_id: str) -> tuple[str, int]:
        subject, _, *idx = session_id.split("_")
        return subject, int(idx[0]) if idx else 0

    return sorted(sorted(ids, key=within_a_day), key=lambda session_id: session_id.split("_")[1], reverse=True)


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of a file of the state, whichever way its lines end."""
    return hashlib.sha256(with_unix_lines(content)).hexdigest()


def with_unix_lines(content: bytes) -> bytes:
    """Return the content of a state file as a sync writes it: git may check it out with lines ending in CR LF."""
    return content.replace(b"\r\n", b"\n") if b"\r" in content else content


def is_plainly_valid(record: Mapping[str, Any]) -> bool:
    """Return True if all values are plainly of the types that `model.record.Record` has for them.

    That model has the last word on all others, but takes a tenth of a second to import. Keys that this version does
    not know pass: a newer one may write them in the same schema. A line is parsed in eight microseconds: so sets of
    types are compared, and not each value.
    """
    try:
        if not _is_status(record["status"]):
            return False
        for name in SECTIONS:
            section = record[name]
            if not (name in _TESTS and _TESTS[name](section) if section else _is_nothing(section)):
                return False
    except (AttributeError, KeyError, TypeError, ValueError):  # a text or list for a section, a missing key, no time
        return False
    return True


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
        and _are_texts(get("issues", _EMPTY))
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
            is_complete = name == "errored" or ("id" in asset and "name" in asset and "created" in asset)
            if not (is_complete and _TEXT.issuperset(map(type, asset.values()))):
                return False
        elif not (asset == {} if name == "errored" else _is_nothing(asset)):
            return False
    return True


def _is_s3(facts: Mapping[str, Any]) -> bool:
    get, raw = facts.get, facts.get("raw")
    if raw:
        if type(raw["asset"]) is not str or not all(_are_texts(raw.get(name, _EMPTY)) for name in _RAW_LISTS):
            return False
    elif not _is_nothing(raw):
        return False
    for name in _S3_LISTS:
        texts = get(name)
        if texts is not None and not _are_texts(texts):
            return False
    return type(get("tissuecyte_subject")) in _FLAG


def _are_texts(texts: Any) -> bool:
    return type(texts) is list and (not texts or _TEXT.issuperset(map(type, texts)))


_TESTS = {"tracked": _is_tracked, "training": _is_training, "codeocean": _is_codeocean, "s3": _is_s3}
"""Of sections: any other one is left to the model."""
