"""Recordings in Code Ocean whose session is neither tracked nor in a training workbook. Pure, and without pydantic."""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
from collections.abc import Container, Iterable, Mapping
from typing import Any

from npc_lims.model.session_id import ID_PATTERN, day_of, make_session_id

_PLATFORMS = {"ecephys": "ephys", "behavior": "behavior"}
_CREATED = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_HEAD = b'{"schema":1}\n'


@dataclasses.dataclass(frozen=True)
class UnlistedAsset:
    """A raw data asset in Code Ocean of a day for which no session is known."""

    id: str
    """Of the data asset."""
    name: str
    created: str
    """When the asset was created: UTC, `YYYY-MM-DDTHH:MM:SSZ`."""
    location: str | None = None
    """`s3://bucket/prefix` of its files."""

    def __post_init__(self) -> None:
        if not is_recording_name(self.name) or not (self.id and _CREATED.fullmatch(self.created)):
            raise ValueError(f"{self.name[:100]!r} is not a raw data asset of a recording with id and time of creation")

    @property
    def session(self) -> str:
        """The id of its session, if that is the first of its day."""
        _, subject, date, _ = self.name.split("_")
        return make_session_id(subject, date)

    @property
    def start(self) -> datetime.datetime:
        """Start of the recording, as its name has it: local time of the rig."""
        return _start_of(self.name)

    @property
    def platform(self) -> str:
        """The platform that its name suggests: ephys, or behavior, which may be behavior_with_sync."""
        return _PLATFORMS[self.name.partition("_")[0]]


Unlisted = tuple[UnlistedAsset, ...]


def is_recording_name(name: str) -> bool:
    """Return whether a name is that of the raw data asset of a recording.

    >>> is_recording_name("ecephys_626791_2022-08-15_13-07-32"), is_recording_name("ecephys_626791_2022-08-32_13-07-32")
    (True, False)
    """
    try:
        modality, subject, date, _ = name.split("_")
        _start_of(name)
        return modality in _PLATFORMS and ID_PATTERN.fullmatch(f"{subject}_{date}") is not None
    except ValueError:
        return False


def _start_of(name: str) -> datetime.datetime:
    _, _, date, time = name.split("_")
    return datetime.datetime.fromisoformat(f"{date}T{time.replace('-', ':')}")


def next_unlisted(
    recorded: Unlisted | None, observed: Unlisted | None, scope: Container[str], is_full: bool, sessions: Iterable[str]
) -> Unlisted | None:
    """Return the unlisted recordings after a sync, the newest first; None while they were never observed.

    Args:
        observed: Those of *scope* that a complete search found; None without one: then recorded ones stay.
        sessions: Ids of all sessions: recordings of their days are listed.
    """
    known = recorded
    if observed is not None and (recorded is not None or is_full):
        others = (one for one in recorded or () if one.session not in scope)
        known = (*others, *(one for one in observed if one.session in scope))
    if known is None:
        return None
    days = set(map(day_of, sessions))
    return in_order(one for one in known if one.session not in days)


def in_order(recordings: Iterable[UnlistedAsset]) -> Unlisted:
    """Return recordings, the newest first; of several assets of one name only the newest."""
    newest: dict[str, UnlistedAsset] = {}
    for one in sorted(recordings, key=lambda one: (one.created, one.id)):
        newest[one.name] = one
    return tuple(sorted(newest.values(), key=lambda one: (one.start, one.name), reverse=True))


def render_unlisted(recordings: Unlisted) -> bytes:
    """Return the file of recordings: a line with the version of its layout, and a line of JSON for each."""
    lines = (json.dumps(dataclasses.asdict(one), separators=(",", ":"), ensure_ascii=False) for one in recordings)
    return _HEAD + "".join(f"{line}\n" for line in lines).encode()


def parse_unlisted(content: bytes) -> Unlisted:
    """Return the recordings in a file; ValueError if it is damaged, or of another schema."""
    head, *lines = content.replace(b"\r\n", b"\n").split(b"\n")
    if head + b"\n" != _HEAD or lines[-1:] != [b""]:
        raise ValueError("not a list of unlisted recordings of schema 1, or it breaks off")
    return tuple(_recording(json.loads(line)) for line in lines[:-1])


def _recording(data: Mapping[str, Any]) -> UnlistedAsset:
    try:
        values = {field.name: data[field.name] for field in dataclasses.fields(UnlistedAsset)}
        for name, value in values.items():
            if not (isinstance(value, str) and value.isprintable()) and (name, value) != ("location", None):
                raise TypeError
        return UnlistedAsset(**values)
    except (KeyError, TypeError):
        raise ValueError(f"{str(data)[:100]} is not a data asset with id, name, created and location") from None
