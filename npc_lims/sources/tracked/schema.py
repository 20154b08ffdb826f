"""Models of tracked_sessions.yaml, and its JSON Schema for editors (committed by `python scripts/write_schemas.py`)."""

from __future__ import annotations

from typing import Annotated, Any, Union

import pydantic

from npc_lims.sources.yaml_validation import ABSENT, CheckedModel, editor_schema

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
PATTERNS = {_LETTERS: "probe letters A to F such as DE"}
"""Patterns of texts, and what they expect, for error messages."""


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
    """Return the JSON Schema of tracked_sessions.yaml, by which editors complete and check it as typed."""
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
