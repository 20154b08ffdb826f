"""Entries of tracked_sessions.yaml: models of their keys, JSON Schema for editors, and how nodes become entries."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterator
from typing import Annotated, Any, Union, cast

import npc_session
import npc_session.parsing
import pydantic

from npc_lims.model.record import Platform
from npc_lims.sources.yaml_nodes import ListNode, MapNode, Node, Report, ScalarNode, is_null, kind, shorten, to_plain
from npc_lims.sources.yaml_validation import ABSENT, CheckedModel, editor_schema, validate
from npc_lims.utils.text import nearest, suggestion

FIRST_YEAR = 2016
"""Sessions of earlier years are refused by npc_session too."""

_DATE_LIKE = re.compile(r"(?<![0-9])(20[0-9]{2})[-/]?([0-9]{2})[-/]?([0-9]{2})(?![0-9])")

PLATFORMS = {
    "ephys": "Neuropixels recordings, with sync.",
    "behavior_with_sync": "Sessions on an ephys rig without recording: with sync, video or opto.",
    "behavior": "Sessions in a behavior box. Only those that need configuration or have issues.",
}

# no subject lives for so many days, and tables that take state have no number for a slip of twenty digits
Day = Annotated[int, pydantic.Field(ge=1, le=9_999)]
Index = Annotated[int, pydantic.Field(ge=0, le=9_999)]
_LETTERS = "^[A-F]*$"
Letters = Annotated[str, pydantic.Field(pattern=_LETTERS)]
Probes = Union[list[Letters], Letters]
_PATTERNS = {_LETTERS: "probe letters A to F such as DE"}


class InvalidTime(CheckedModel):
    start_time: float
    """Seconds from the start of the recording."""
    stop_time: float
    """Seconds from the start of the recording; -1 for its end."""
    reason: str = ABSENT
    """Why the data of this interval cannot be used."""


class SessionKwargs(CheckedModel):
    """Arguments that analysis code is given with the session. Other names than these are allowed."""

    model_config = pydantic.ConfigDict(extra="allow")

    probe_letters_to_skip: Probes = ABSENT
    """Probes to leave out of all processing, such as DE: not inserted, not recorded or unusable."""
    surface_recording_probe_letters_to_skip: Probes = ABSENT
    """Probes to leave out of the processing of surface channels."""
    probe_letters_with_surface_channel_recording: Probes = ABSENT
    """Probes whose surface channels were recorded."""
    is_production: bool = ABSENT
    """False for tests and one-off experiments. Default: true."""
    is_ephys: bool = ABSENT
    """Use the ephys data of the session."""
    is_sync: bool = ABSENT
    """Use the sync data of the session."""
    is_video: bool = ABSENT
    """The session has video."""
    is_task: bool = ABSENT
    """The session has behavior-task data."""
    is_context_naive: bool = ABSENT
    """The subject was not trained on the switching of contexts."""
    is_deep_insertion: bool = ABSENT
    """At least one probe was inserted so deep that its surface channels were recorded separately."""
    is_split_recording: bool = ABSENT
    """The recording was stopped and started again."""
    is_injection_perturbation: bool = ABSENT
    """Brain areas were perturbed by injection."""
    is_injection_control: bool = ABSENT
    """Control session of an injection perturbation."""
    is_opto_perturbation: bool = ABSENT
    """Brain areas were perturbed by light."""
    perturbation_day: Day = ABSENT
    """Day of the subject's perturbation experiments, from 1."""
    concatenate_recordings: list[str] = ABSENT
    """Recordings to join, such as [recording1, recording2]."""
    excluded_stim_file_names: list[str] = ABSENT
    """Stimulus files, or parts of their names, that are never used."""
    invalid_times: list[InvalidTime] = ABSENT
    """Intervals whose data cannot be used."""
    ignore_stim_errors: bool = ABSENT
    """Make as much as possible of the stimulus files, errors in some of them notwithstanding."""
    suppress_errors: bool = ABSENT
    """Older name of ignore_stim_errors."""
    rig: str = ABSENT
    """Rig of the session where it cannot be read from the data, such as NP3."""


class TrackedEntry(CheckedModel):
    """The keys of a session, below its path."""

    day: Day = ABSENT
    """Day of the subject's experiments in this project, from 1."""
    ephys_day: Day = ABSENT
    """Day of the subject's ephys recordings, from 1. Wins over `day`."""
    perturbation_day: Day = ABSENT
    """Day of the subject's perturbation experiments, from 1."""
    insertion_day: Day = ABSENT
    """Day of the probes' insertion, from 1."""
    idx: Index = ABSENT
    """Index among the subject's sessions of that day, from 0. Default: by start time."""
    session_kwargs: SessionKwargs = ABSENT
    notes: str = ABSENT
    """Anything a reader should know."""
    issues: Union[list[str], str] = ABSENT
    """Address of an issue, or a list of them. Sessions with issues are skipped by some analyses."""


ENTRY_KEYS = tuple(TrackedEntry.model_fields)
KNOWN_KWARGS = tuple(SessionKwargs.model_fields)

# looser than the reader, which also looks for the subject and at the calendar
_PATH = r"20[12][0-9][-/]?(0[1-9]|1[0-2])[-/]?(0[1-9]|[12][0-9]|3[01])"


def tracked_schema() -> dict[str, Any]:
    """Return the JSON Schema of tracked_sessions.yaml (committed by `python scripts/generate.py`)."""
    entry = editor_schema(TrackedEntry)
    defs = {**entry.pop("$defs"), "Entry": entry}
    for name, known in defs["SessionKwargs"]["properties"].items():
        # readable there, so that a file with this mistake loads; editors strike it through
        misplaced = {"deprecated": True, "description": "Ignored here: move it under session_kwargs."}
        entry["properties"].setdefault(name, {**{k: v for k, v in known.items() if k == "title"}, **misplaced})
    path = {"type": "string", "pattern": _PATH}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tracked_sessions.yaml",
        "description": "Sessions that are tracked: platform, then project, then a list of entries.",
        "type": "object",
        "additionalProperties": False,
        "properties": {name: {"description": about, "$ref": "#/$defs/Projects"} for name, about in PLATFORMS.items()},
        "$defs": {
            "Projects": {"type": ["object", "null"], "additionalProperties": {"$ref": "#/$defs/Entries"}},
            "Entries": {"type": ["array", "null"], "items": {"$ref": "#/$defs/Session"}},
            "Session": {
                "description": "Path of a session's data, alone or with a colon and keys below it.",
                "anyOf": [
                    path,
                    {
                        "type": "object",
                        "minProperties": 1,
                        "maxProperties": 1,
                        "propertyNames": {"pattern": _PATH},
                        "additionalProperties": {"$ref": "#/$defs/Entry"},
                    },
                ],
            },
            **dict(sorted(defs.items())),
        },
    }


@dataclasses.dataclass(frozen=True)
class ParsedEntry:
    """An entry that names a session, with its valid keys as *values*."""

    node: ScalarNode
    """Its path."""
    platform: Platform
    project: str
    subject: str
    date: str
    idx: int | None
    """Index among the sessions of the day, if the entry or its path has one."""
    time: str | None
    """`YYYY-MM-DD HH:MM:SS`, if the path has one."""
    values: dict[str, Any]

    @property
    def path(self) -> str:
        return self.node.text

    @property
    def session(self) -> str:
        return f"{self.subject}_{self.date}"

    @property
    def group(self) -> str:
        return f"{self.platform}/{self.project}"

    @property
    def day(self) -> int | None:
        day: int | None = self.values.get("ephys_day", self.values.get("day"))
        return day


def same_path(path: str) -> str:
    """Return a text that is equal for all ways to write a path: it is a folder of a Windows share."""
    return path.replace("\\", "/").rstrip("/").casefold()


def read_entries(root: Node, report: Report, today: datetime.date) -> Iterator[ParsedEntry]:
    """Yield every entry that has a subject, a date and a known platform, in file order."""
    if not isinstance(root, MapNode):
        report.error(root, f"the file must be a mapping of platforms ({', '.join(PLATFORMS)}), not {kind(root)}")
        return
    for platform, projects in root.pairs:
        name = platform.text
        if name not in PLATFORMS:
            hint, known = suggestion(name, PLATFORMS), ", ".join(PLATFORMS)
            report.error(platform, f"unknown platform {_quote(platform)}{hint}: the platforms are {known}")
            name = nearest(name, PLATFORMS) or ""
        if not name:
            continue
        if isinstance(projects, MapNode):
            for project, entries in projects.pairs:
                _warn_of_ambiguous_scalar(project, report)
                for path, below in _paths(project, entries, report):
                    entry = _entry(path, below, cast(Platform, name), project.text, report, today)
                    if entry is not None:
                        yield entry
        elif not is_null(projects):
            report.error(projects, f"{name} must be a mapping of projects, each with a list, not {kind(projects)}")


def _paths(project: ScalarNode, entries: Node, report: Report) -> Iterator[tuple[ScalarNode, Node | None]]:
    """Yield the path of each entry of a project, and the node below it, if any."""
    if is_null(entries):
        return
    if not isinstance(entries, ListNode):
        message = f"project {_quote(project)} must be a list, not {kind(entries)}: begin each entry with '- '"
        report.error(entries, message)
        return
    for item in entries.items:
        if is_null(item):
            report.error(item, "an entry with nothing in it: write a path, or remove the dash")
        elif isinstance(item, ScalarNode):
            yield item, None
        elif isinstance(item, ListNode):
            report.error(item, "an entry must be a path, not a list: one dash is enough")
        elif len(item.pairs) == 1:
            yield item.pairs[0]
        elif item.pairs:
            (first, _), (second, _), *_ = item.pairs
            message = f"an entry of several keys, {_quote(first)} and {_quote(second)}: "
            message += "one path each; begin the next with '- '"
            if second.text in (*ENTRY_KEYS, *KNOWN_KWARGS):
                message = f"'{second.text}' is beside the path, not below it: indent it further"
            report.error(second, message)
        else:
            report.error(item, "an entry with nothing in it: write a path, or remove it")


def _entry(
    path: ScalarNode,
    below: Node | None,
    platform: Platform,
    project: str,
    report: Report,
    today: datetime.date,
) -> ParsedEntry | None:
    values: dict[str, Any] = {}
    if isinstance(below, MapNode):
        values = _values(below, report)
    elif below is not None and is_null(below):
        report.error(path, f"nothing after the colon of {_quote(path)}: remove the colon, or write keys below it")
    elif below is not None:
        report.error(below, f"keys such as day or session_kwargs must follow the path, not {kind(below)}")
    try:
        subject, date, path_idx = _session_of(path, today)
    except ValueError as error:
        report.error(path, str(error))
        return None
    time = npc_session.parsing.extract_isoformat_datetime(path.text)
    idx = values.get("idx", path_idx or None)
    return ParsedEntry(path, platform, project, subject, date, idx, time, values)


def _session_of(path: ScalarNode, today: datetime.date) -> tuple[str, str, int]:
    """Return the subject, date and index that a path names; ValueError, with the reason and the remedy, if none."""
    quoted = _quote(path)
    if path.plain and (not isinstance(path.value, str) or path.ambiguous_as):
        digits = re.fullmatch(r"([0-9]{6,7})(20[0-9]{6})", path.text.replace("_", ""))
        meant = f"{digits[1]}_{digits[2]}" if digits else shorten(path.text)
        read_as = path.ambiguous_as or kind(path)
        raise ValueError(f'{quoted} without quotes is read as {read_as}: write "{meant}", or the full path')
    try:
        subject, date, idx = npc_session.SessionRecord(path.text).id.split("_")
    except ValueError:
        raise ValueError(_missing_message(path.text, quoted)) from None
    day = _parse_date(date)
    if day is None:
        raise ValueError(f"{date} is no date in the calendar, in {quoted}: correct the date")
    if day.year < FIRST_YEAR:
        raise ValueError(f"{date} is before {FIRST_YEAR}, in {quoted}: correct the date")
    # a day of grace, since it is tomorrow already in other time zones
    if day > today + datetime.timedelta(days=1):
        raise ValueError(f"{date} is in the future, in {quoted}: correct the date, or wait for the session")
    return subject, date, int(idx)


def _missing_message(path: str, quoted: str) -> str:
    """Return the reason why npc_session finds no session in a path."""
    like = _DATE_LIKE.search(path)
    if npc_session.parsing.extract_isoformat_date(path):
        missing = "no subject (6 or 7 digits)"
    elif not like:
        missing = "no date" if npc_session.parsing.extract_subject(path) else "no subject and no date"
    else:
        date = "-".join(like.groups())
        wrong = "is no date that a session can have" if _parse_date(date) else "is no date in the calendar"
        return f"{date} {wrong}, in {quoted}: correct the date"
    return f"{missing} in {quoted}: write <subject>_<YYYYMMDD> in the path"


def _parse_date(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        return None


def _values(node: MapNode, report: Report) -> dict[str, Any]:
    """Return the values of the valid keys; the others are reported."""
    pairs = {key.text: (key, value) for key, value in node.pairs}
    for name in [name for name in pairs if name in KNOWN_KWARGS and name not in ENTRY_KEYS]:
        key, _ = pairs.pop(name)
        report.warning(key, f"'{name}' is ignored here, beside session_kwargs: move it under session_kwargs")
    _, kwargs = pairs.get("session_kwargs", (None, None))
    if isinstance(kwargs, MapNode):
        _check_names(kwargs, report)
    values = {name: to_plain(value, report) for name, (_, value) in pairs.items()}
    _, wrong = validate(
        values, node, TrackedEntry, report, owner="this entry", patterns=_PATTERNS, also_suggest=KNOWN_KWARGS
    )
    for name, (_, value) in pairs.items():
        if name in ENTRY_KEYS:
            _warn_of_ambiguous(value, (name,), wrong, report)
    for path in wrong:
        values.pop(str(path[0]), None)
    if isinstance(values.get("issues"), str):
        values["issues"] = [values["issues"]]
    return values


def _check_names(kwargs: MapNode, report: Report) -> None:
    for key, _ in kwargs.pairs:
        if key.text in KNOWN_KWARGS:
            continue
        if key.text in ENTRY_KEYS:
            report.warning(key, f"'{key.text}' has no effect under session_kwargs: move it up, beside session_kwargs")
            continue
        # names of one's own are welcome: only what is surely a slip of the pen is worth a word
        hint = suggestion(key.text, KNOWN_KWARGS, cutoff=0.85)
        if hint:
            report.warning(key, f"unknown key {_quote(key)} of session_kwargs{hint}: passed on as it is")
        _warn_of_ambiguous_scalar(key, report)


def _warn_of_ambiguous(node: Node, path: tuple[str | int, ...], wrong: set[Any], report: Report) -> None:
    """Warn of scalars that readers of YAML 1.1 take for something else, except in values that are wrong anyway."""
    if path in wrong:
        return
    if isinstance(node, ScalarNode):
        _warn_of_ambiguous_scalar(node, report)
    elif isinstance(node, ListNode):
        for n, item in enumerate(node.items):
            _warn_of_ambiguous(item, (*path, n), wrong, report)
    else:
        for key, value in node.pairs:
            _warn_of_ambiguous(value, (*path, key.text), wrong, report)


def _warn_of_ambiguous_scalar(node: ScalarNode, report: Report) -> None:
    if node.ambiguous_as:
        is_text = isinstance(node.value, str)
        here = "text" if is_text else kind(node)
        remedy = "quote it" if is_text else "quote it if it is text, else write it plainly"
        report.warning(node, f"{_quote(node)} is {here} here but {node.ambiguous_as} to other YAML readers: {remedy}")


def _quote(node: ScalarNode) -> str:
    return repr(shorten(node.text))
