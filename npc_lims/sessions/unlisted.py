"""Recordings in Code Ocean that belong to no session, with the command that would add each."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from npc_lims.config.settings import Settings, settings_for_reading
from npc_lims.errors import StateError
from npc_lims.model.sections import SECTIONS
from npc_lims.model.session_id import parse_session_id, split_session_id, subject_of
from npc_lims.model.types import At
from npc_lims.model.unlisted import Unlisted, UnlistedAsset
from npc_lims.sessions.filters import SessionFilters
from npc_lims.state.snapshot import parse_line

_UNKNOWN_FOLDER = "/FOLDER"
_PLAIN = re.compile(r"[A-Za-z0-9_ ./:-]+")


@dataclasses.dataclass(frozen=True)
class UnlistedRecording:
    """A raw data asset in Code Ocean whose session is neither tracked nor in a training workbook."""

    session: str
    """The id that its session would have."""
    platform: str
    """As the name suggests: ephys, or behavior, which may be behavior_with_sync."""
    created: str
    """When the asset was created: UTC, `YYYY-MM-DDTHH:MM:SSZ`."""
    asset_id: str
    asset_name: str
    location: str | None
    """`s3://bucket/prefix` of its files."""
    is_known_subject: bool
    """There are sessions of its subject. Others may be of another project, as Code Ocean has those of all."""
    track_command: str
    """The command that adds its session. The path is a guess; empty for a further recording of the day."""


COLUMNS = tuple(field.name for field in dataclasses.fields(UnlistedRecording))


FILTERS = ("id", "subject", "date", "platform", "is_ephys", "since", "until")
"""Filters of sessions that the name of an asset decides."""


def get_unlisted_recordings(at: At | None = None, **filters: Any) -> tuple[UnlistedRecording, ...]:
    """Return recordings in Code Ocean whose session is not listed: of known subjects first, then the newest first.

    Args:
        at: State as it was then, as in `get_session_info`.
        **filters: Those of `get_session_info` that the name of an asset decides: `subject`, `platform`, `since` ...

    Raises:
        StateError: No sync has recorded them yet, or state is damaged.
        RemoteStateError: State could not be read.
        HistoryError: There is no state at *at*.
        TypeError: Another filter.
    """
    for name in filters.keys() - set(FILTERS):
        raise TypeError(f"unknown filter {name}: those of recordings without a session are {', '.join(FILTERS)}")
    return unlisted_recordings(settings_for_reading(), SessionFilters(filters), at)


def unlisted_recordings(
    settings: Settings, filters: SessionFilters | None = None, at: At | None = None
) -> tuple[UnlistedRecording, ...]:
    """Do as `get_unlisted_recordings`, under the given settings."""
    from npc_lims.state.as_of import snapshot_at
    from npc_lims.state.reader import read_snapshot
    from npc_lims.state.unlisted import read_unlisted

    snapshot = read_snapshot(settings) if at is None else snapshot_at(settings, at)
    assets = read_unlisted(settings, at)
    if assets is None:
        raise StateError(
            f"{snapshot.origin}: no sync has recorded recordings without a session; "
            "the next complete one does (npc-lims sync)"
        )
    found = describe_unlisted(assets, map(parse_line, snapshot.lines.all))
    return tuple(one for one in found if filters is None or filters.matches(_as_record(one)))


def _as_record(one: UnlistedRecording) -> dict[str, Any]:
    """Return a session as plain data, as far as the name of an asset has facts about it."""
    record: dict[str, Any] = {section: {} for section in (*SECTIONS, "status")}
    return {**record, "id": one.session, "tracked": {"platform": one.platform, "project": ""}}


def describe_unlisted(assets: Unlisted, records: Iterable[Mapping[str, Any]]) -> tuple[UnlistedRecording, ...]:
    """Return the recordings of *assets*, given all sessions as plain data, the newest first."""
    subjects: set[str] = set()
    examples: dict[tuple[str, str], _Example] = {}  # the newest of a platform and subject, and of all subjects ("")
    for record in records:
        subjects.add(subject := subject_of(record["id"]))
        if record["tracked"]:
            for key in ((record["tracked"]["platform"], one) for one in (subject, "")):
                if key not in examples:
                    examples[key] = _Example(record)
    # of several recordings of a day the first is the session's own
    first = {asset.session: asset for asset in assets}

    def example_for(asset: UnlistedAsset) -> _Example | None:
        return examples.get((asset.platform, subject_of(asset.session))) or examples.get((asset.platform, ""))

    described = [
        UnlistedRecording(
            session=asset.session,
            platform=asset.platform,
            created=asset.created,
            asset_id=asset.id,
            asset_name=asset.name,
            location=asset.location,
            is_known_subject=subject_of(asset.session) in subjects,
            track_command=_track_command(asset, example_for(asset)) if first[asset.session] is asset else "",
        )
        for asset in assets
    ]
    return tuple(sorted(described, key=lambda one: not one.is_known_subject))


def count_unlisted(recordings: Iterable[UnlistedRecording]) -> dict[str, int]:
    """Return the numbers of recordings of subjects that have sessions (`known_subjects`), and of all `others`."""
    counts = Counter(one.is_known_subject for one in recordings)
    return {"known_subjects": counts[True], "others": counts[False]}


def _track_command(asset: UnlistedAsset, example: _Example | None) -> str:
    """Return the command, with project and path like those of an *example*."""
    path = None if example is None else example.path_for(asset)
    path, project = path or f"{_UNKNOWN_FOLDER}/{asset.name}", "PROJECT" if example is None else example.project
    platform = [] if asset.platform == "ephys" else ["--platform", asset.platform]
    words = ["npc-lims", "track", "add", path, *platform, "--project", project]
    return " ".join(_quoted(word) for word in words)


class _Example:
    """A tracked session, in whose path subject, date and time can be replaced by those of another one."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._subject, self._date, _ = split_session_id(record["id"])
        self._path = str(record["tracked"]["allen_path"])
        self._names_session: bool | None = None
        self.project = str(record["tracked"]["project"])

    def path_for(self, asset: UnlistedAsset) -> str | None:
        """Return the path for the session of *asset*; None if no session is read from such a path."""
        if self._names_session is False:
            return None
        path = self._path.replace(self._subject, subject_of(asset.session))
        for dash in ("-", ""):  # as in 2024-06-04_09-50-06 and in 20240910_155330
            old = self._date.replace("-", dash)
            new = f"{asset.start:%Y-%m-%d_%H-%M-%S}".replace("-", dash)
            path = re.sub(f"{old}_[0-9]{{2}}{dash}[0-9]{{2}}{dash}[0-9]{{2}}(?![0-9])", new, path)
            path = path.replace(old, new.partition("_")[0])
        if self._names_session is None:  # true of one, true of all: reading an id from a path takes long
            self._names_session = _names_session(path, asset.session)
        return path if self._names_session else None


def _names_session(path: str, session_id: str) -> bool:
    try:
        return parse_session_id(path) == session_id
    except ValueError:
        return False


def _quoted(word: str) -> str:
    """Return a word as every shell takes it, as far as possible."""
    if not _PLAIN.fullmatch(word):
        return shlex.quote(word)
    return f'"{word}"' if " " in word else word
