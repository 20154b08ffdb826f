"""Filters of `get_session_info()`: values that attributes of a session must have.

docs/how-to/python.md has the rule for all attributes. Nothing is looked up to decide: values are those recorded, and
only `raw_data_paths` lists folders on S3, of the sessions that match all other filters.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import functools
import numbers
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Callable

from npc_lims.errors import UnknownStatusWarning, warn
from npc_lims.model.flags import FLAGS
from npc_lims.model.rows import ABSENT_FLAGS, COLUMNS, session_row
from npc_lims.model.session_id import resolve_session_id, split_session_id
from npc_lims.sessions.info import FIELDS, RecordedSessionInfo, SessionInfo
from npc_lims.utils.text import single_line

PUBLIC_ATTRIBUTES = (
    *(field.name for field in dataclasses.fields(SessionInfo)),
    *(name for name, value in vars(SessionInfo).items() if isinstance(value, property) and not name.startswith("_")),
)
"""Names of a session's attributes: its fields and properties."""
_COLUMNS = tuple(name for name in COLUMNS if name != "not_applicable")
# the more a value costs the later it is compared: those of the id need no parsing, raw_data_paths lists a folder
FILTERS = (*_COLUMNS, *sorted(set(PUBLIC_ATTRIBUTES) - set(_COLUMNS) - {"raw_data_paths"}), "raw_data_paths")
"""Names of all filters."""

_PARTS: Mapping[str, Callable[[str], Any]] = {
    "id": str,
    "subject": lambda session_id: session_id.partition("_")[0],
    "date": lambda session_id: session_id.split("_", 2)[1],
    "idx": lambda session_id: split_session_id(session_id)[2],
}
"""Filters on parts of the id."""
_FROM_RECORD = ("project", "is_ephys", "is_sync")  # the most frequent, which need no whole row
_OF_FLAGS = ("cloud_path", "raw_data_paths", "status", "surface_channels_id")
_DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(?:[ T]\d{2}:.*)?")
_NEAREST = 3
_SHOWN = 100


class SessionFilters:
    """Checked filters, by which sessions are selected.

    Args:
        filters: Values by attribute.

    Raises:
        TypeError: There is no such attribute; the message suggests the nearest ones.
        ValueError: No session can have such a value: `date="June"`.
    """

    def __init__(self, filters: Mapping[str, Any]) -> None:
        unknown = [name for name in filters if name not in FILTERS]
        if unknown:
            raise TypeError(_unknown(unknown))
        found = [_Filter.of(name, filters[name]) for name in sorted(filters, key=FILTERS.index)]
        self._of_id = [wanted for wanted in found if wanted.name in _PARTS]
        self._filters = [wanted for wanted in found if wanted.name not in _PARTS]

    @property
    def has_id_filters(self) -> bool:
        return bool(self._of_id)

    @property
    def need_flags(self) -> bool:
        """Return whether any of them depends on a status flag."""
        return any(wanted.name in FLAGS or wanted.name in _OF_FLAGS for wanted in self._filters)

    def select_ids(self, ids: Iterable[str]) -> Iterable[str]:
        """Return the ids that match the filters on parts of it: most sessions need not be looked at for these."""
        for wanted in self._of_id:
            part, accepted = _PARTS[wanted.name], wanted.accepted
            ids = [session_id for session_id in ids if part(session_id) in accepted]
        return ids

    def select(self, sessions: Iterable[SessionInfo]) -> Iterable[SessionInfo]:
        """Return those that match all filters on records; warn of those left out for a status never observed."""
        return self._select(sessions) if self._filters else sessions

    def _select(self, sessions: Iterable[SessionInfo]) -> Iterator[SessionInfo]:
        undecided = 0
        for info in sessions:
            matches = self._matches(_Values(info))
            if matches:
                yield info
            undecided += matches is None
        if undecided:
            flags = ", ".join(wanted.name for wanted in self._filters if wanted.name in FLAGS)
            warn(
                f"{undecided} sessions are left out: {flags} was never observed for them (None as value finds them)",
                UnknownStatusWarning,
            )

    def _matches(self, values: _Values) -> bool | None:
        """Return whether a session matches; None if that depends on a status that was never observed."""
        found: bool | None = True
        for wanted in self._filters:
            value = values[wanted.name]
            if not wanted.matches(value):
                if not (wanted.accepted and values.is_unobserved(wanted.name)):
                    return False
                found = None
        return found


class _Values:
    """Values of a session's attributes, as recorded, but for the parts of its id."""

    def __init__(self, info: SessionInfo) -> None:
        self._info = info
        self._parsed: Mapping[str, Any] | None = None
        self._found: dict[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        if name in ABSENT_FLAGS:
            return self._record["status"].get(name, ABSENT_FLAGS[name])
        if name in _FROM_RECORD:
            return FIELDS[name](self._record)
        if name in COLUMNS:
            return self._row[name]
        try:
            return getattr(self._recorded, name)
        except ValueError:  # the id of surface channels that were not recorded
            return None

    def is_unobserved(self, name: str) -> bool:
        """Return whether it is a status that applies and was never observed."""
        return name in ABSENT_FLAGS and self._record["status"].get(name, False) is None

    # not cached_property, whose lock takes longer than the rest before Python 3.12
    @property
    def _row(self) -> dict[str, Any]:
        if self._found is None:
            self._found = session_row(self._record)
        return self._found

    @property
    def _record(self) -> Mapping[str, Any]:
        if self._parsed is None:
            self._parsed = self._info.parse_without_caching()
        return self._parsed

    @functools.cached_property
    def _recorded(self) -> SessionInfo:
        if isinstance(self._info, RecordedSessionInfo):
            return self._info
        return RecordedSessionInfo.from_record(self._record, self._info._own_settings)


@dataclasses.dataclass(frozen=True)
class _Filter:
    name: str
    accepted: frozenset[Any] | tuple[Any, ...]

    @classmethod
    def of(cls, name: str, value: Any) -> _Filter:
        convert: Callable[[Any], Any] = _CONVERT.get(name, _flag if name.startswith("is_") else _text)
        values = tuple(value) if _is_collection(value) and name not in _LISTS else (value,)
        try:
            accepted = tuple(convert(_known(one)) for one in values)
        except ValueError as error:
            raise ValueError(f"filter {name}: {error}") from None
        # a set, so that thousands of ids cost no more than one
        return cls(name, frozenset(accepted) if name in _PARTS else accepted)

    def matches(self, value: Any) -> bool:
        return (_CONVERT[self.name](value) if self.name in _SPELLED else value) in self.accepted


def _is_collection(value: Any) -> bool:
    try:
        iter(value)
    except TypeError:
        return False
    return not isinstance(value, (str, bytes, Mapping, os.PathLike))


def _known(value: Any) -> Any:
    """None for what stands for a missing value in tables: NaN, NaT, and NA, which no comparison is true of."""
    try:
        return None if value != value else value
    except (TypeError, ValueError):
        return None


def _unknown(names: list[str]) -> str:
    near = dict.fromkeys(close for name in names for close in difflib.get_close_matches(name, FILTERS, _NEAREST))
    suggestion = f" (did you mean {' or '.join(near)}?)" if near else ""
    return f"unknown filter {', '.join(names)}{suggestion}; known are: {', '.join(FILTERS)}"


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, (int, float)):  # a workbook may name a rig by a number
        raise ValueError(f"{_show(value)} is not text")
    return str(value)


def _show(value: Any) -> str:
    return single_line(repr(value), _SHOWN)


def _dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{_show(value)} is not a dict")
    return dict(value)


def _flag(value: Any) -> Any:
    if not (value is None or value in (True, False)):
        raise ValueError(f"{_show(value)} is neither True, False nor None")
    return value


def _number(value: Any) -> Any:
    if not (value is None or isinstance(value, numbers.Real)):
        raise ValueError(f"{_show(value)} is neither a number nor None")
    return value


def _subject(value: Any) -> str:
    # whole numbers in a column with missing values are floats
    text = str(int(value) if isinstance(value, float) and value.is_integer() else value)
    if not re.fullmatch(r"[0-9]+", text):
        raise ValueError(f"{_show(value)} is not a subject such as 626791")
    return text


def _date(value: Any) -> str:
    match = _DATE.fullmatch(str(value))
    try:
        return datetime.date(*map(int, match.groups() if match else ())).isoformat()
    except (TypeError, ValueError):
        raise ValueError(f"{_show(value)} is not a date such as 2024-06-01") from None


def _path(value: Any) -> str | None:
    if value is None:
        return None
    text = str(value).replace("\\", "/").rstrip("/")
    if text.startswith("/"):  # a share of Windows, which Linux mounts with one slash
        return "/" + text.lstrip("/").casefold()
    return re.sub(r"^([a-z][a-z0-9]+):/+", r"\1://", text)  # pathlib makes one slash of the two in s3://


def _paths(value: Any) -> list[str | None] | None:
    return None if value is None else sorted(map(_path, _items(value)), key=str)


def _texts(value: Any) -> list[str]:
    return sorted(map(str, _items(value)))


def _items(value: Any) -> Iterable[Any]:
    if not _is_collection(value):
        raise ValueError(f"{_show(value)} is not a list: it is compared with all that a session has")
    items: Iterable[Any] = value
    return items


_LISTS = ("issues", "raw_data_paths")
_SPELLED = (*_LISTS, "allen_path", "cloud_path")
"""Attributes whose own values are converted, too."""

_CONVERT: dict[str, Callable[[Any], Any]] = {
    "id": resolve_session_id,
    "subject": _subject,
    "date": _date,
    "idx": _number,
    "experiment_day": _number,
    "behavior_day": _number,
    "allen_path": _path,
    "cloud_path": _path,
    "issues": _texts,
    "raw_data_paths": _paths,
    **dict.fromkeys(("record", "session_kwargs", "status", "training_info"), _dict),
}
"""The form in which values of a filter are compared."""
