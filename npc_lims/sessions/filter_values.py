"""Columns and attributes that sessions are selected by: names, and the form in which values are compared."""

from __future__ import annotations

import dataclasses
import functools
import numbers
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, Callable, Optional

from npc_lims.config.settings import settings_for_reading
from npc_lims.errors import SelectionError
from npc_lims.model.flags import BOOLEAN_FLAGS, FLAGS, NOT_APPLICABLE, Facts
from npc_lims.model.rows import COLUMNS, allen_path_of, platform_of, project_of, rig_of, task_version_of
from npc_lims.model.session_id import split_session_id
from npc_lims.model.status import recorded_flag
from npc_lims.sessions.info import FIELDS, RecordedSessionInfo, SessionInfo
from npc_lims.sessions.resolve import resolve_session
from npc_lims.utils.text import single_line, suggestion
from npc_lims.utils.timestamps import parse_day

PUBLIC_ATTRIBUTES = (
    *(field.name for field in dataclasses.fields(SessionInfo)),
    *(name for name in dir(SessionInfo) if isinstance(getattr(SessionInfo, name, None), property) and name[0] != "_"),
)
"""Names of a session's attributes: its fields and properties."""
TERMS = tuple(name for name in COLUMNS if name != "not_applicable")
"""Names of the columns that have values of their own."""
# those whose values are few come first: which of them occur is checked; raw_data_paths, which lists a folder, is last
FEW_VALUES: Mapping[str, Callable[[Facts], str]] = {
    "project": project_of,
    "platform": platform_of,
    "rig": rig_of,
    "task_version": task_version_of,
}
_ATTRIBUTES = sorted(set(PUBLIC_ATTRIBUTES) - set(TERMS) - {"raw_data_paths"})
FILTERS = (*FEW_VALUES, *(name for name in TERMS if name not in FEW_VALUES), *_ATTRIBUTES, "raw_data_paths")
"""Names of the columns and attributes that sessions are selected by, in the order in which they are compared."""
YES_OR_NO = ("is_ephys", "is_sync", *BOOLEAN_FLAGS)
"""Columns whose values are yes or no; those of flags also unknown and n.a."""
ANSWERS: Mapping[Any, str] = {True: "yes", False: "no", None: "unknown", NOT_APPLICABLE: "n.a."}

FROM_ID: Mapping[str, Callable[[str], Any]] = {
    "id": str,
    "subject": lambda session_id: session_id.partition("_")[0],
    "date": lambda session_id: session_id.split("_", 2)[1],
    "idx": lambda session_id: split_session_id(session_id)[2],
}
_FROM_RECORD: Mapping[str, Callable[[Facts], Any]] = {
    **FEW_VALUES,
    **{name: FIELDS[name] for name in ("is_ephys", "is_sync", "experiment_day")},
    "allen_path": allen_path_of,
}
OF_FLAGS = (*FLAGS, "cloud_path", "raw_data_paths", "status", "surface_channels_id")
_WORDS = {
    **{word: value for value, word in ANSWERS.items()},
    "true": True,
    "false": False,
    "na": NOT_APPLICABLE,
    "n/a": NOT_APPLICABLE,
}
_SHOWN = 100

Get = Callable[[Facts, Optional[SessionInfo]], Any]


def find_name(name: Any, names: Iterable[str], kind: str) -> str:
    """Return the one of *names* that a user means: in any spelling, or by its heading in tables.

    Raises:
        SelectionError: There is none; the message suggests the nearest one.
    """
    if not isinstance(name, str):
        raise SelectionError(f"{show(name)} is no name of a {kind}")
    known = {heading: one for heading, one in _HEADINGS.items() if one in set(names)}
    known.update((_plain(one), one) for one in names)
    found = known.get(_plain(name))
    if found is None:
        names = [*(one.replace("is_", "", 1) for one in names), *names, *known]
        near = suggestion(name, names) or "; npc-lims sessions --terms lists all"
        raise SelectionError(f"{show(name)} is no {kind}{near}")
    return found


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace("is_", "", 1).replace("_", "")


# --- values as recorded


def getter(name: str) -> Get:
    """Return the function that gives a value of a record, in the form in which it is compared."""
    if name in BOOLEAN_FLAGS:
        return lambda record, info: recorded_flag(record, name)
    convert = converter(name)
    if name in FLAGS:
        return lambda record, info: convert(recorded_flag(record, name))
    if name in FROM_ID:
        part = FROM_ID[name]
        return lambda record, info: part(record["id"])
    if name in _FROM_RECORD:
        get = _FROM_RECORD[name]
        if name in YES_OR_NO or convert is _number:
            return lambda record, info: get(record)
        return lambda record, info: convert(get(record))
    return functools.partial(_attribute, name, convert if name in _SPELLED or convert is _text else lambda value: value)


def answer_getter(flag: str) -> Get:
    """Return the function that gives a flag as true, false, unknown or not applicable."""
    get = _FROM_RECORD.get(flag) or functools.partial(recorded_flag, name=flag)

    def answer(record: Facts, info: SessionInfo | None) -> Any:
        value = get(record)
        return value if value is None or value == NOT_APPLICABLE else bool(value)

    return answer


def _attribute(name: str, convert: Callable[[Any], Any], record: Facts, info: SessionInfo | None) -> Any:
    if not isinstance(info, RecordedSessionInfo):
        settings = settings_for_reading() if info is None else info._own_settings
        info = RecordedSessionInfo.from_record(record, settings)
    try:
        return convert(getattr(info, name))
    except ValueError:  # the id of surface channels that were not recorded
        return None


def words(value: Any) -> str:
    return "" if value is None or value == NOT_APPLICABLE else str(value).casefold()


# --- values as given


def values_of(name: str, text: str) -> list[Any]:
    """Return the values that a text of the filter `where` stands for."""
    if converter(name) is _flag:
        if text.lower() not in _WORDS:
            raise ValueError(f"{name}: {show(text)} is neither {', '.join(ANSWERS.values())}, true nor false")
        return [_WORDS[text.lower()]]
    if text.lower() in ("", "none") and name not in FROM_ID and name not in FEW_VALUES:
        return [None, "", NOT_APPLICABLE]
    if name in COMPOUND:
        raise ValueError(f"{name} has several values: look for a part of them, as {name}~{text}")
    if converter(name) is _number:
        if not re.fullmatch(r"[0-9]{1,6}", text):
            raise ValueError(f"{name}: {show(text)} is no number")
        return [int(text)]
    return [converter(name)(text)]


def converter(name: str) -> Callable[[Any], Any]:
    return _CONVERT.get(name, _flag if name.startswith("is_") else _text)


def is_collection(value: Any) -> bool:
    try:
        iter(value)
    except TypeError:
        return False
    return not isinstance(value, (str, bytes, Mapping, os.PathLike))


def without_nan(value: Any) -> Any:
    """None for what stands for a missing value in tables: NaN, NaT, and NA, which no comparison is true of."""
    try:
        return None if value != value else value
    except (TypeError, ValueError):
        return None


# --- the form in which values are compared


def show(value: Any) -> str:
    return single_line(repr(value), _SHOWN)


def _checked(is_valid: Callable[[Any], bool], problem: str) -> Callable[[Any], Any]:
    """Return a conversion that changes nothing, and refuses a value that no session can have."""

    def check(value: Any) -> Any:
        if not is_valid(value):
            raise ValueError(f"{show(value)} is {problem}")
        return value

    return check


_flag = _checked(lambda value: value is None or value in (True, False), "neither True, False nor None")
_number = _checked(lambda value: value is None or isinstance(value, numbers.Real), "neither a number nor None")
_dict = _checked(lambda value: isinstance(value, Mapping), "not a dict")
_list = _checked(is_collection, "not a list: it is compared with all that a session has")


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value and value.casefold()
    if not isinstance(value, (int, float)):  # a workbook may name a rig by a number
        raise ValueError(f"{show(value)} is not text")
    return str(value)


def _platform(value: Any) -> str | None:
    text = _text(value)
    return "behavior_with_sync" if text == "sync" else text  # as tables have it


def _subject(value: Any) -> str:
    # whole numbers in a column with missing values are floats
    text = str(int(value) if isinstance(value, float) and value.is_integer() else value)
    if not re.fullmatch(r"[0-9]+", text):
        raise ValueError(f"{show(value)} is not a subject such as 626791")
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


LISTS = ("issues", "raw_data_paths")
_DICTS = ("record", "session_kwargs", "status", "training_info")
COMPOUND = (*LISTS, *_DICTS)
_SPELLED = (*LISTS, "allen_path", "cloud_path")
"""Attributes whose recorded values are converted, too."""

_CONVERT: dict[str, Callable[[Any], Any]] = {
    "id": lambda value: resolve_session(settings_for_reading(), value),
    "subject": _subject,
    "date": _date,
    "idx": _number,
    "platform": _platform,
    "experiment_day": _number,
    "behavior_day": _number,
    "allen_path": _path,
    "cloud_path": _path,
    "issues": _texts,
    "raw_data_paths": _paths,
    **dict.fromkeys(_DICTS, _dict),
}

PLATFORMS = ("ephys", "behavior_with_sync", "behavior")
QUERIED = tuple(name for name in FILTERS if name not in ("raw_data_paths", "record", "status"))
_HEADINGS = {
    "session": "id",
    "day": "experiment_day",
    **{flag.heading: flag.name for flag in FLAGS.values() if flag.heading},
}
