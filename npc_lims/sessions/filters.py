"""Filters of `get_session_info()`: values that attributes of a session must have.

docs/how-to/python.md has the rule for all attributes. Nothing is looked up to decide: values are those recorded, and
only `raw_data_paths` lists folders on S3, of the sessions that match all other filters.
"""

from __future__ import annotations

import dataclasses
import numbers
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Callable

from npc_lims.errors import UnknownStatusWarning, warn
from npc_lims.model.flags import FLAGS, NOT_APPLICABLE
from npc_lims.model.rows import ABSENT_FLAGS, COLUMNS, allen_path_of, flag_value, platform_of
from npc_lims.model.session_id import resolve_session_id, split_session_id
from npc_lims.model.status import recorded_flag
from npc_lims.sessions.info import FIELDS, RecordedSessionInfo, SessionInfo
from npc_lims.utils.text import single_line, suggestion
from npc_lims.utils.timestamps import parse_day

PUBLIC_ATTRIBUTES = (
    *(field.name for field in dataclasses.fields(SessionInfo)),
    *(name for name in dir(SessionInfo) if isinstance(getattr(SessionInfo, name, None), property) and name[0] != "_"),
)
"""Names of a session's attributes: its fields and properties."""
_COLUMNS = tuple(name for name in COLUMNS if name != "not_applicable")
# the more a value costs the later it is compared: those of the id need no parsing, raw_data_paths lists a folder
FILTERS = (*_COLUMNS, *sorted(set(PUBLIC_ATTRIBUTES) - set(_COLUMNS) - {"raw_data_paths"}), "raw_data_paths")
"""Names of all filters."""

_FROM_ID: Mapping[str, Callable[[str], Any]] = {
    "id": str,
    "subject": lambda session_id: session_id.partition("_")[0],
    "date": lambda session_id: session_id.split("_", 2)[1],
    "idx": lambda session_id: split_session_id(session_id)[2],
}
_FROM_RECORD: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    **{name: FIELDS[name] for name in ("project", "is_ephys", "is_sync")},
    "platform": platform_of,
    "allen_path": allen_path_of,
}
_OF_FLAGS = (*FLAGS, "cloud_path", "raw_data_paths", "status", "surface_channels_id")
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
        accepted = {name: _accepted_values(name, filters[name]) for name in sorted(filters, key=FILTERS.index)}
        # sets, so that thousands of ids cost no more than one
        self._of_id = {name: frozenset(values) for name, values in accepted.items() if name in _FROM_ID}
        self._filters = {name: values for name, values in accepted.items() if name not in _FROM_ID}

    @property
    def has_id_filters(self) -> bool:
        return bool(self._of_id)

    @property
    def need_flags(self) -> bool:
        """Return whether any of them depends on a status flag."""
        return any(name in _OF_FLAGS for name in self._filters)

    def select_ids(self, ids: Iterable[str]) -> Iterable[str]:
        """Return the ids that match the filters on parts of it: most sessions need not be looked at for these."""
        for name, accepted in self._of_id.items():
            part = _FROM_ID[name]
            ids = [session_id for session_id in ids if part(session_id) in accepted]
        return ids

    def select(self, sessions: Iterable[SessionInfo]) -> Iterable[SessionInfo]:
        """Return those that match all filters on records; warn of those left out for a status never observed."""
        return self._select(sessions) if self._filters else sessions

    def _select(self, sessions: Iterable[SessionInfo]) -> Iterator[SessionInfo]:
        undecided = 0
        for info in sessions:
            matches = self._matches(info)
            if matches:
                yield info
            undecided += matches is None
        if undecided:
            flags = ", ".join(name for name in self._filters if name in FLAGS)
            warn(
                f"{undecided} sessions are left out: {flags} was never observed for them (None as value finds them)",
                UnknownStatusWarning,
            )

    def _matches(self, info: SessionInfo) -> bool | None:
        """Return whether a session matches; None if that depends on a status that was never observed."""
        record = info.parse_without_caching()
        found: bool | None = True
        for name, accepted in self._filters.items():
            if _recorded_value(name, record, info) not in accepted:
                is_unobserved = name in FLAGS and recorded_flag(record, name) is None
                if not (is_unobserved and accepted):
                    return False
                found = None
        return found


def _recorded_value(name: str, record: Mapping[str, Any], info: SessionInfo) -> Any:
    """Return the value of an attribute as recorded, in the form in which it is compared."""
    if name in FLAGS:
        value = recorded_flag(record, name)
        return ABSENT_FLAGS[name] if value == NOT_APPLICABLE else value
    if name in _FROM_RECORD:
        value = _FROM_RECORD[name](record)
    else:
        recorded = (
            info
            if isinstance(info, RecordedSessionInfo)
            else RecordedSessionInfo.from_record(record, info._own_settings)
        )
        try:
            value = getattr(recorded, name)
        except ValueError:  # the id of surface channels that were not recorded
            value = None
    return _CONVERT[name](value) if name in _SPELLED else value


def _accepted_values(name: str, value: Any) -> tuple[Any, ...]:
    convert: Callable[[Any], Any] = _CONVERT.get(name, _flag if name.startswith("is_") else _text)
    values = tuple(value) if _is_collection(value) and name not in _LISTS else (value,)
    try:
        return tuple(convert(_known(one)) for one in values)
    except ValueError as error:
        raise ValueError(f"filter {name}: {error}") from None


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
    unknown = ", ".join(f"{name}{suggestion(name, FILTERS)}" for name in names)
    return f"unknown filter {unknown}; known are: {', '.join(FILTERS)}"


# --- the form in which values are compared


def _show(value: Any) -> str:
    return single_line(repr(value), _SHOWN)


def _checked(is_valid: Callable[[Any], bool], problem: str) -> Callable[[Any], Any]:
    """Return a conversion that changes nothing, and refuses a value that no session can have."""

    def check(value: Any) -> Any:
        if not is_valid(value):
            raise ValueError(f"{_show(value)} is {problem}")
        return value

    return check


_flag = _checked(lambda value: value is None or value in (True, False), "neither True, False nor None")
_number = _checked(lambda value: value is None or isinstance(value, numbers.Real), "neither a number nor None")
_dict = _checked(lambda value: isinstance(value, Mapping), "not a dict")
_list = _checked(_is_collection, "not a list: it is compared with all that a session has")


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, (int, float)):  # a workbook may name a rig by a number
        raise ValueError(f"{_show(value)} is not text")
    return str(value)


def _subject(value: Any) -> str:
    # whole numbers in a column with missing values are floats
    text = str(int(value) if isinstance(value, float) and value.is_integer() else value)
    if not re.fullmatch(r"[0-9]+", text):
        raise ValueError(f"{_show(value)} is not a subject such as 626791")
    return text


def _date(value: Any) -> str:
    return parse_day(str(value))


def _path(value: Any) -> str | None:
    if value is None:
        return None
    text = str(value).replace("\\", "/").rstrip("/")
    if text.startswith("/"):  # a share of Windows, which Linux mounts with one slash
        return "/" + text.lstrip("/").casefold()
    return re.sub(r"^([a-z][a-z0-9]+):/+", r"\1://", text)  # pathlib makes one slash of the two in s3://


def _paths(value: Any) -> list[str | None] | None:
    return None if value is None else sorted(map(_path, _list(value)), key=str)


def _texts(value: Any) -> list[str]:
    return sorted(map(str, _list(value)))


_LISTS = ("issues", "raw_data_paths")
_SPELLED = (*_LISTS, "allen_path", "cloud_path")
"""Attributes whose recorded values are converted, too."""

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


# --- of the command line


@dataclasses.dataclass(frozen=True)
class Selection:
    """Conditions of a listed session: columns, dates and flags. A flag that must not be true must still apply."""

    filters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    since: str | None = None
    until: str | None = None
    true: tuple[str, ...] = ()
    false: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def matches(self, row: dict[str, Any]) -> bool | None:
        """Return whether a session matches; None where that depends on a flag that was never observed."""
        if any(str(row[name]) != str(value) for name, value in self.filters.items()):
            return False
        if not (self.since or row["date"]) <= row["date"] <= (self.until or row["date"]):
            return False
        if any(flag_value(row, flag) is not None for flag in self.unknown):
            return False
        wanted = [*((flag, True) for flag in self.true), *((flag, False) for flag in self.false)]
        found = [_matches_flag(flag_value(row, flag), is_true) for flag, is_true in wanted]
        return False if False in found else None if None in found else True


def _matches_flag(value: Any, wanted: bool) -> bool | None:
    return None if value is None else value != NOT_APPLICABLE and bool(value) is wanted
