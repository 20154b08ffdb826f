"""Typed models of a state file, and observations of its sections.

**null** means never observed; **false** (or an empty list) means queried, and there is nothing; anything else was
found. So a source that was unavailable is never mistaken for one that has nothing.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Optional, TypeVar, Union, get_args

import pydantic
from pydantic_core import ErrorDetails

from npc_lims.errors import Problem, SourceError
from npc_lims.model.flags import BOOLEAN_FLAGS, FLAGS
from npc_lims.model.unlisted import Unlisted
from npc_lims.utils.text import single_line
from npc_lims.utils.timestamps import utc_text, utc_time

Platform = Literal["ephys", "behavior_with_sync", "behavior"]
Scalar = Union[bool, int, float, str, None]


def _only_false(value: Any) -> Any:
    if value is not False:  # 0 equals it
        raise ValueError(f"is {single_line(repr(value), 60)}, expected false")
    return value


Nothing = Annotated[Literal[False], pydantic.BeforeValidator(_only_false)]
"""Queried, and there is nothing."""


ModelT = TypeVar("ModelT", bound=pydantic.BaseModel)


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Lean(Model):
    """A model whose optional fields are left out of the file where they are not given.

    Only for fields where "not given" is the whole truth, never where null would mean unknown.
    """

    @pydantic.model_serializer(mode="wrap")
    def _without_defaults(self, handler: pydantic.SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = handler(self)
        fields = type(self).model_fields
        return {k: v for k, v in data.items() if k not in fields or fields[k].is_required() or v != fields[k].default}


class Tracked(Lean):
    """Entry of a session in tracked_sessions.yaml."""

    platform: Platform
    project: str
    allen_path: str
    experiment_day: int
    """`ephys_day` if given, else `day`, else the session's place among its subject's dates in
    its platform and project, from 1."""
    day: Optional[int] = None
    ephys_day: Optional[int] = None
    perturbation_day: Optional[int] = None
    insertion_day: Optional[int] = None
    session_kwargs: dict[str, Any] = {}
    notes: str = ""
    issues: list[str] = []


def check_time(text: str) -> str:
    """Return a time in UTC that is written as all others are; ValueError for any other text."""
    if utc_text(utc_time(text)) != text:
        raise ValueError(f"{text!r} is not written as YYYY-MM-DDTHH:MM:SSZ")
    return text


def _check_start(text: str) -> str:
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"start_time is {single_line(repr(text), 60)}, which no calendar has") from None
    return text


StartTime = Annotated[
    str,
    pydantic.Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$"),
    pydantic.AfterValidator(_check_start),
]


class Training(Lean):
    """A session's row in a training workbook: three fixed facts, then the allowed columns by slugged name."""

    model_config = pydantic.ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, Scalar]

    nsb: bool
    """The row is in the workbook of the NSB team."""
    row: int
    """1 for the first row below the header: the `behavior_day` of the session."""
    start_time: StartTime
    """`YYYY-MM-DD HH:MM:SS`, local time of the rig."""
    other_rows: list[Training] = []
    """Further rows of the day that are no sessions, since an ephys session of that day is tracked; in order of their
    start times. Left out where there are none."""


class Asset(Lean):
    """A Code Ocean data asset, as far as sessions need it."""

    id: str
    name: str
    created: str
    """UTC, `YYYY-MM-DDTHH:MM:SSZ`."""
    location: Optional[str] = None
    """`s3://bucket/prefix` of its files where Code Ocean names a source bucket."""


AssetFact = Union[Asset, Nothing, None]

PROCESSES = ("dlc_eye", "dlc_side", "dlc_face", "facemap", "GammaEncoding", "LPFaceParts", "LFP_Subsampled")
"""Processes whose newest result is recorded, by the name they have in the names of their assets."""


class CodeOcean(Model):
    """The data assets of a session that matter, the newest usable one of each kind."""

    raw: AssetFact = None
    """Raw data. Of an ephys session, those of the main recording: behavior stands beside their `ecephys*`."""
    sorted: AssetFact = None
    dlc_eye: AssetFact = None
    dlc_side: AssetFact = None
    dlc_face: AssetFact = None
    facemap: AssetFact = None
    GammaEncoding: AssetFact = None
    LPFaceParts: AssetFact = None
    LFP_Subsampled: AssetFact = None
    surface: AssetFact = None
    """Raw asset of the surface-channel recording: index 1 of the day of an ephys session of index 0, or the only one
    if that has no behavior beside it: then the main recording was lost."""
    surface_sorted: AssetFact = None
    smartspim: AssetFact = None
    """Newest SmartSPIM asset of the subject."""
    errored: dict[str, str] = {}
    """Sorting results that are errored: asset id to reason."""


class RawListing(Model):
    """Contents of the raw data folder of a session, as paths below it."""

    asset: str
    """Id of the raw asset whose folder was listed: the listing holds until the asset changes."""
    ecephys: list[str] = []
    """Top-level entries whose names begin with `ecephys`."""
    behavior: list[str] = []
    """Top-level folders whose names begin with `behavior`: the main recording of a session has some."""
    metadata: list[str] = []
    """session.json, acquisition.json, rig.json, instrument.json: those that exist."""
    sync: list[str] = []
    """Sync files (.h5)."""
    videos: list[str] = []
    settings_xml: list[str] = []


class S3Facts(Model):
    """Files of a session on S3."""

    raw: Union[RawListing, Nothing, None] = None
    stim: Optional[list[str]] = None
    """File names of the stimulus files (.hdf5) of the session's day; where that has several sessions, of its own."""
    ibl_annotations: Optional[list[str]] = None
    """Probes with CCF coordinates made in the IBL alignment GUI, in folders named after the session's recording."""
    tissuecyte_annotations: Optional[list[str]] = None
    """File names of the tissuecyte-based CCF coordinates for the session's experiment day."""
    tissuecyte_subject: Optional[bool] = None
    """The subject has tissuecyte-based files, of whatever day."""
    parquet_cache: Optional[list[str]] = None
    """Versions of the component cache that hold the session."""
    nwb_cache: Optional[list[str]] = None
    """Versions of the NWB cache that hold the session."""


def _check_status(status: dict[str, Union[bool, str, None]]) -> dict[str, Union[bool, str, None]]:
    for name, value in status.items():
        if name == "raw_asset_id":
            if isinstance(value, bool):
                raise ValueError(f"{name} is {value}, expected a text or null")
        elif isinstance(value, str):
            raise ValueError(f"{name} is {single_line(repr(value), 60)}, expected true, false or null")
    return status


Status = dict[str, Union[bool, str, None]]
"""Flag to true, false or null (unknown). A flag that does not apply to the session is absent."""

_STATUS_SCHEMA = {
    "type": "object",
    "properties": {
        name: {
            "type": ["boolean" if name in BOOLEAN_FLAGS else "string", "null"],
            "title": flag.label or name,
            "description": flag.meaning,
        }
        for name, flag in FLAGS.items()
    },
    "additionalProperties": {"type": ["boolean", "null"]},
    "default": {},
    "title": "Status",
}


Facts = Union[Tracked, Training, CodeOcean, S3Facts]
SECTION_MODELS: Mapping[str, type[Facts]] = {
    "tracked": Tracked,
    "training": Training,
    "codeocean": CodeOcean,
    "s3": S3Facts,
}
"""The model of each section of a state file, which the source of that name alone writes."""


class Record(Model):
    """One session: its state file."""

    schema_: Literal[1] = pydantic.Field(default=1, alias="schema")
    id: str
    tracked: Union[Tracked, Nothing, None] = None
    training: Union[Training, Nothing, None] = None
    codeocean: Union[CodeOcean, Nothing, None] = None
    s3: Union[S3Facts, Nothing, None] = None
    status: Annotated[Status, pydantic.AfterValidator(_check_status), pydantic.WithJsonSchema(_STATUS_SCHEMA)] = {}

    @property
    def is_tracked_ephys(self) -> bool:
        return bool(self.tracked and self.tracked.platform == "ephys")

    def asset(self, fact: str) -> AssetFact:
        """Return an asset by its name in the codeocean section; False if there is none, None if never observed."""
        found: AssetFact = getattr(self.codeocean, fact) if isinstance(self.codeocean, CodeOcean) else self.codeocean
        return found

    def as_dict(self) -> dict[str, Any]:
        """The record as plain data in the order of its file: what the YAML and the snapshot both render."""
        return self.model_dump(by_alias=True)


# --- observations

Found = Union[Facts, Literal[False]]
"""Facts of a source on a session; false when it was queried and has none."""


@dataclasses.dataclass(frozen=True)
class Observation:
    """Facts of one source, the section of the state file that it writes."""

    source: str
    facts: Mapping[str, Found] = dataclasses.field(default_factory=dict)
    """Session id to what was found. Inside a section null means not observed."""
    complete: bool = False
    """All sessions were queried: one that `facts` lacks has nothing there. When false, a session that `facts` lacks
    keeps what is recorded."""
    unchanged: bool = False
    """The source is as it was when all of it was last recorded: there are no new facts, and a session of which nothing
    is recorded has nothing there."""
    problems: tuple[Problem, ...] = ()
    """Mistakes in the input that were stepped over."""
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Markers (ETags) of what was read, so that the next sync can skip what is unchanged."""
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Numbers to record with the sync, such as rows or assets seen."""
    lines: Mapping[str, int] = dataclasses.field(default_factory=dict, repr=False, compare=False)
    """Session id to the line, or the row of a sheet, that the fact was read from. Not written to files of observations:
    only for the messages of whoever reads the source."""
    unlisted: Unlisted | None = None
    """Of Code Ocean: recordings of days without a session, by a complete search; None without one."""
    failure: SourceError | None = None
    """Why the source could not be queried, in part or at all. The facts hold nevertheless."""

    def is_about(self, session_id: str) -> bool:
        """Return whether the source was queried for a session, whatever it has of it."""
        return self.complete or self.unchanged or session_id in self.facts


def failed(error: SourceError) -> Observation:
    """Return the observation of a source that could not be queried."""
    return Observation(source=error.source, failure=error)


# --- validation


def find_invalid_value(data: Mapping[str, Any]) -> Optional[str]:
    """Return key, value and expectation of a record's first invalid value; keys of newer versions are valid."""
    try:
        validate_model(Record, _known(Record, data), strict=True)
    except ValueError as error:
        return str(error)
    return None


def _known(model: Any, value: Any) -> Any:
    """Return *value* without the keys that *model* (or one of its alternatives) refuses."""
    if isinstance(value, Mapping) and isinstance(model, type) and issubclass(model, Model):
        fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
        is_open = model.model_config.get("extra") == "allow"
        return {name: _known(fields.get(name), inside) for name, inside in value.items() if name in fields or is_open}
    models = [one for one in get_args(model) if isinstance(one, type) and issubclass(one, Model)]
    return _known(models[0], value) if models else value


def validate_model(model: type[ModelT], data: Any, *, strict: bool = False) -> ModelT:
    """Validate plain data; a ValueError names the first invalid value and what was expected, in one line."""
    try:
        return model.model_validate(data, strict=strict or None)
    except pydantic.ValidationError as error:
        raise ValueError(_describe(error.errors(include_url=False)[0], data)) from None


def _describe(error: ErrorDetails, data: Any) -> str:
    path: list[str] = []
    for key in error["loc"]:  # names of models stand between the keys
        is_key = key in data if isinstance(data, Mapping) else isinstance(data, list) and isinstance(key, int)
        if is_key:
            path.append(str(key))
            data = data[key]
    where = ".".join(path) or "top level"
    if error["type"] == "missing":
        return f"{where}: {error['loc'][-1]} is missing"
    if error["type"] == "value_error":
        return f"{where}: {single_line(error['ctx']['error'])}"
    start = "Input should be "
    if not error["msg"].startswith(start):
        return f"{where}: {single_line(error['msg'])}"
    return f"{where} is {single_line(repr(data), 60)}, expected {single_line(error['msg'][len(start) :])}"


def session_schema() -> dict[str, Any]:
    """Return the JSON Schema of `state/sessions/<subject>/<id>.yaml`."""
    return file_schema(Record, "npc_lims session state")


def file_schema(model: type[Model], title: str) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True)
    return {**schema, "$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
