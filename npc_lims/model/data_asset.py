"""Data assets of Code Ocean, validated, and the sessions that an invalid one may belong to. Pure.

An invalid asset is skipped and reported. The sessions that it may belong to follow from its name (subject and day; only
the subject where there is no such day, or for imaging), else from its id if it is recorded, else from a subject in its
other texts. If nothing of that is there, it may belong to any session.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import re
from collections.abc import Collection, Container, Iterator, Mapping
from typing import Annotated, Any, Literal, Optional

import pydantic

from npc_lims.errors import SourceError
from npc_lims.model.record import Asset, validate_model
from npc_lims.model.session_id import day_of, subject_of
from npc_lims.model.unlisted import is_recording_name
from npc_lims.utils.text import single_line
from npc_lims.utils.timestamps import is_future, utc_text

SEARCHED_NAMES = re.compile(
    r"(?P<platform>ecephys|behavior|SmartSPIM)_(?P<subject>[0-9]{6,7})"
    r"_(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})_(?P<time>[0-9]{2}-[0-9]{2}-[0-9]{2})(?P<rest>_.*)?\Z"
)
"""Names of the assets that sessions are made of: `<platform>_<subject>_<date>_<time>[_<process>_<date>_<time>]`."""

LATEST_SECOND = 253_402_300_799
"""The last second of the year 9999, since 1970."""

# 2010: an older creation time was not recorded (0), or is not in seconds.
_EARLIEST = 1_262_304_000
_MOMENT = re.compile(r"_([0-9]{4}-[0-9]{2}-[0-9]{2})_([0-9]{2}-[0-9]{2}-[0-9]{2})(?![^_])")
_SUBJECT = re.compile(r"(?<![0-9])[0-9]{6,7}(?![0-9])")
_SUBJECT_KEY = "subject id"
_LEVEL_KEY = "data level"


def _check_line(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("a text on one line, without control characters and space around it, is expected")
    return text


_Text = Annotated[str, pydantic.Field(max_length=1024), pydantic.AfterValidator(_check_line)]
Line = Annotated[_Text, pydantic.Field(min_length=1)]
"""A text on one line, not empty: no control characters, lone surrogates or space around it."""
AssetId = Annotated[str, pydantic.Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z_.-]{0,199}$")]


class ApiModel(pydantic.BaseModel):
    """An object that Code Ocean sends: those of its fields that are used here."""

    model_config = pydantic.ConfigDict(strict=True)


class SourceBucket(ApiModel):
    origin: str = "aws"
    bucket: Optional[Annotated[str, pydantic.Field(pattern=r"^([0-9A-Za-z][0-9A-Za-z._-]{0,254})?$")]] = None
    prefix: Optional[_Text] = None


class DataAsset(ApiModel):
    id: AssetId
    name: Line
    created: int = pydantic.Field(ge=0, le=LATEST_SECOND)
    """Seconds since 1970."""
    state: Literal["draft", "ready", "failed"]
    type: str
    files: Optional[int] = pydantic.Field(None, ge=0)
    tags: Optional[list[str]] = None
    custom_metadata: Optional[dict[str, Any]] = None
    source_bucket: Optional[SourceBucket] = None
    archived: bool = False

    @pydantic.field_validator("custom_metadata")
    @classmethod
    def _check_level(cls, metadata: Optional[dict[str, Any]]) -> Optional[dict[str, Any]]:
        """Reject a data level that is no text: it may be that of raw data."""
        if not isinstance((metadata or {}).get(_LEVEL_KEY, ""), str):
            raise ValueError(f"{_LEVEL_KEY}: a text is expected")
        return metadata

    @property
    def is_usable(self) -> bool:
        return self.state == "ready" and not self.archived

    @property
    def location(self) -> str | None:
        source = self.source_bucket
        if source is None or not source.bucket:
            return None
        scheme = "gs" if source.origin == "gcp" else "s3"
        return f"{scheme}://{source.bucket}/{source.prefix or ''}".rstrip("/")

    @functools.cached_property
    def match(self) -> re.Match[str]:
        match = SEARCHED_NAMES.match(self.name)
        assert match is not None, f"{self.name} was let through by the search"
        return match

    @property
    def platform(self) -> str:
        return self.match["platform"]

    @property
    def start(self) -> tuple[str, str]:
        """Date and time of the recording that it belongs to."""
        match = self.match
        return match["date"], match["time"]

    @property
    def day(self) -> str:
        """Subject and date, as in the id of a session."""
        return f"{self.match['subject']}_{self.match['date']}"

    @property
    def process(self) -> str:
        """Part of the name after the session: empty for raw data."""
        return self.match["rest"] or ""

    @property
    def is_sorted(self) -> bool:
        return self.platform == "ecephys" and "_sorted" in self.process

    @property
    def is_raw(self) -> bool:
        return not self.is_sorted and is_declared_raw(self.tags, self.custom_metadata)

    @property
    def is_recording(self) -> bool:
        """It has the raw data of a recording, whatever its session is."""
        return self.is_raw and is_recording_name(self.name)

    def as_fact(self) -> Asset:
        return Asset(id=self.id, name=self.name, created=utc_text(self.created), location=self.location)


def is_declared_raw(tags: Collection[str] | None, metadata: Mapping[str, Any] | None) -> bool:
    """Return whether tags or metadata of an asset declare it to be raw data, which those of some sorting results do."""
    return (metadata or {}).get(_LEVEL_KEY) == "raw data" or "raw" in (tags or ())


@dataclasses.dataclass(frozen=True)
class InvalidAsset:
    """A data asset that is not as the API describes it, with its name and id, as far as it has them, as *label*."""

    label: str
    reason: str
    id: str
    """Empty if it is no text."""
    days: frozenset[str] = frozenset()
    """Sessions that it may belong to, by subject and date (`626791_2022-08-15`)."""
    subjects: frozenset[str] = frozenset()
    """Subjects to any of whose sessions it may belong."""

    def may_belong_to(self, session_id: str) -> bool:
        """Return whether it may be that session's, as far as that follows from it alone."""
        is_unknown = not (self.days or self.subjects)
        return is_unknown or day_of(session_id) in self.days or subject_of(session_id) in self.subjects

    def __str__(self) -> str:
        return f"data asset {self.label} is not as the API describes it: {self.reason}"


def read_asset(raw: Mapping[str, Any]) -> DataAsset:
    """Return a data asset, of whatever name; SourceError if it is not as the API describes it."""
    try:
        return _validate(raw)
    except ValueError as error:
        raise SourceError("codeocean", str(InvalidAsset(_label(raw), str(error), ""))) from None


def read_session_asset(
    raw: Mapping[str, Any], subjects: Container[str], recorded: Container[str] = ()
) -> DataAsset | InvalidAsset | None:
    """Return an asset of one of *subjects*, in any state; None for another thing, which a *recorded* one never is."""
    name = raw.get("name")
    match = SEARCHED_NAMES.match(_cleaned(name))
    if match is None:
        return _read_other(raw, subjects, recorded)
    if match["subject"] not in subjects:
        return None
    try:
        asset = _validate(raw)
        for date, time in _MOMENT.findall(asset.name):
            if not _is_moment(date, time):
                raise ValueError(f"name: there is no time {date}_{time}")
        return asset
    except ValueError as error:
        return None if _is_unusable(raw) else invalid_asset(raw, match, str(error))


def read_recording(raw: Mapping[str, Any]) -> DataAsset | InvalidAsset | None:
    """Return the usable raw data asset of a recording, of whatever subject; None for another thing."""
    name = raw.get("name")
    match = SEARCHED_NAMES.match(name) if isinstance(name, str) and is_recording_name(name) else None
    if match is None or _is_unusable(raw):
        return None
    try:
        asset = _validate(raw)
    except ValueError as error:
        return invalid_asset(raw, match, str(error))
    return asset if asset.is_usable and asset.is_recording else None


def invalid_asset(raw: Mapping[str, Any], name: re.Match[str], reason: str) -> InvalidAsset:
    """Return an invalid asset that belongs, by its *name*, to a day of a subject or (imaging) to the subject."""
    invalid = InvalidAsset(_label(raw), reason, _id_of(raw))
    subject, date = name["subject"], name["date"]
    if name["platform"] == "SmartSPIM" or not _is_moment(date, "00-00-00"):
        return dataclasses.replace(invalid, subjects=frozenset([subject]))
    return dataclasses.replace(invalid, days=frozenset([f"{subject}_{date}"]))


def _read_other(raw: Mapping[str, Any], subjects: Container[str], recorded: Container[str]) -> InvalidAsset | None:
    """Return an asset whose name is not that of a session's asset as invalid, if it is no name at all."""
    name = raw.get("name")
    if (isinstance(name, str) and name.strip() and name.isprintable()) or _is_unusable(raw):
        return None
    has_name = bool(_cleaned(name))
    invalid = InvalidAsset(_label(raw), "name: a text on one line is expected", _id_of(raw))
    named = {text for one in asset_texts(raw) for text in _SUBJECT.findall(one)}
    of_subjects = frozenset(subject for subject in named if subject in subjects)
    if of_subjects or invalid.id in recorded:
        return dataclasses.replace(invalid, subjects=of_subjects)
    metadata = raw.get("custom_metadata")
    subject = metadata.get(_SUBJECT_KEY) if isinstance(metadata, dict) else None
    is_of_another = isinstance(subject, (str, int)) and _SUBJECT.fullmatch(str(subject)) is not None
    return None if has_name or is_of_another else invalid


def asset_texts(raw: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts of an asset that may name a subject, also of invalid fields."""
    for field in ("name", "description", "mount", "tags", "custom_metadata", "source_bucket"):
        value = raw.get(field)
        values = value if isinstance(value, list) else value.values() if isinstance(value, dict) else (value,)
        yield from (str(one) for one in values if isinstance(one, (str, int)))


def _validate(raw: Mapping[str, Any]) -> DataAsset:
    asset = validate_model(DataAsset, raw)
    if asset.created < _EARLIEST:
        raise ValueError(f"created: {utc_text(asset.created)} is before there was Code Ocean")
    if is_future(asset.created):
        raise ValueError(f"created: {utc_text(asset.created)} is in the future")
    return asset


def _is_moment(date: str, time: str) -> bool:
    try:
        datetime.datetime(*map(int, f"{date}-{time}".split("-")))  # type: ignore[arg-type]
    except ValueError:
        return False
    return True


def _is_unusable(raw: Mapping[str, Any]) -> bool:
    """Return whether an asset is not ready, or archived: then it does not matter what else is wrong with it."""
    return raw.get("state") in ("draft", "failed") or raw.get("archived") is True


def _cleaned(name: object) -> str:
    """Return a name without invisible characters; an empty text if it is no text."""
    if not isinstance(name, str):
        return ""
    return (name if name.isprintable() else "".join(char for char in name if char.isprintable())).strip()


def _id_of(raw: Mapping[str, Any]) -> str:
    found = raw.get("id")
    return found if isinstance(found, str) else ""


def _label(raw: Mapping[str, Any]) -> str:
    name, asset_id = raw.get("name"), raw.get("id")
    shown = single_line(name, 200) if isinstance(name, str) and name.strip() else "without a name"
    return f"{shown} ({single_line(asset_id, 100) if isinstance(asset_id, (str, int)) else 'without an id'})"
