"""A process of pipelines.yaml: its keys, their JSON Schema for editors, and what its templates are filled with."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, Union

import pydantic

from npc_lims.clients.codeocean_runs import RunTarget
from npc_lims.errors import NoSessionData
from npc_lims.model.data_asset import SEARCHED_NAMES
from npc_lims.model.flags import BOOLEAN_FLAGS
from npc_lims.model.record import PROCESSES, Asset, Record
from npc_lims.model.session_id import subject_of
from npc_lims.sources.yaml_validation import ABSENT, CheckedModel, editor_schema
from npc_lims.utils.text import suggestion

PROCESS_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
"""Names of processes: they become names of files, of runs and of assets."""

FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Names of the folders in which a run finds its assets."""

FACTS = ("sorted", *PROCESSES)
"""Results of which the newest is recorded in the codeocean section of a session."""

_ASSET_NAMES = ("recording", "session", "subject", "created")
_PARAMETER_NAMES = ("input.id", "input.name", "raw.id", "raw.name", "session", "subject", "recording")

# --- templates, such as {recording}_sorted_{created}: two braces stand for one --------------------

_PARTS = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}]*)\}|[{}]")


def names_in(template: str) -> list[str]:
    """Return the names in braces, in order. ValueError if a brace is opened and not closed, or the other way round.

    >>> names_in("{recording}_sorted_{created}")
    ['recording', 'created']
    """
    names = []
    for part in _PARTS.finditer(template):
        if part["name"] is not None:
            names.append(part["name"])
        elif len(part[0]) == 1:
            raise ValueError(f"a single {part[0]!r}: close the braces, or double it if it is meant as such")
    return names


def fill(template: str, values: Mapping[str, str]) -> str:
    """Replace each name in braces by its value.

    >>> fill("{{{session}}}", {"session": "626791_2022-08-15"})
    '{626791_2022-08-15}'
    """
    return _PARTS.sub(lambda part: part[0][0] if part["name"] is None else values[part["name"]], template)


def _recording_of(asset_name: str) -> str:
    """Return the recording that an asset belongs to, which is the name of its raw asset.

    >>> _recording_of("ecephys_626791_2022-08-15_13-07-32_GammaEncoding_2024-01-02_03-04-05")
    'ecephys_626791_2022-08-15_13-07-32'
    """
    match = SEARCHED_NAMES.match(asset_name)
    if match is None:
        raise ValueError(f"the name of the asset {asset_name!r} does not begin with a recording")
    return f"{match['platform']}_{match['subject']}_{match['date']}_{match['time']}"


# --- values of keys -------------------------------------------------------------------------------

_ID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_FOLDER = f"^{FOLDER_NAME.pattern}$"
PATTERNS = {
    _ID: "an id such as 4cf0be83-2245-4bb1-a55c-a78201b14bfe",
    _FOLDER: "a name of letters, digits, '.', '_' and '-'",
}
"""Patterns of texts, and what they expect, for error messages."""


def _one_of(names: Collection[str], kind: str) -> pydantic.AfterValidator:
    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"unknown {kind} {name!r}{suggestion(name, names)}: there are {', '.join(names)}")
        return name

    return pydantic.AfterValidator(check)


def _template_of(known: Collection[str]) -> pydantic.AfterValidator:
    def check(template: str) -> str:
        try:
            unknown = next((name for name in names_in(template) if name not in known), None)
        except ValueError as error:
            raise ValueError(f"{error}, in {template!r}") from None
        if unknown is not None:
            listed = ", ".join(f"{{{name}}}" for name in known)
            raise ValueError(f"nothing to fill in for {{{unknown}}}{suggestion(unknown, known)}: there are {listed}")
        return template

    return pydantic.AfterValidator(check)


Id = Annotated[str, pydantic.Field(pattern=_ID)]
Mount = Annotated[str, pydantic.Field(pattern=_FOLDER)]
Count = Annotated[int, pydantic.Field(ge=1)]
Text = Annotated[str, pydantic.Field(min_length=1)]
Flag = Annotated[
    str, _one_of(BOOLEAN_FLAGS, "status flag"), pydantic.Field(json_schema_extra={"enum": list(BOOLEAN_FLAGS)})
]
Result = Annotated[str, _one_of(FACTS, "result"), pydantic.Field(json_schema_extra={"enum": list(FACTS)})]

# --- models ---------------------------------------------------------------------------------------


class Attachment(CheckedModel):
    asset: Id
    """Id of the data asset."""
    mount: Mount
    """Name of the folder in which the run finds it."""


class Limits(CheckedModel):
    running: Count = 6
    """Runs of this process that may be going at once."""
    tries: Count = 2
    """How often it is tried with one input asset."""


class AssetRecipe(CheckedModel):
    name: Annotated[Text, _template_of(_ASSET_NAMES)]
    """Name of the asset: {recording}, {session}, {subject} and {created} (start of the run, UTC) are filled in."""
    tags: list[Text] = []  # noqa: RUF012 (a model copies its defaults)
    """Its tags; the subject is always added."""
    metadata: dict[Text, Text] = {}  # noqa: RUF012
    """Its custom metadata; the subject id is always added."""
    share: Literal["everyone", "none"] = "everyone"
    """Who may see it, besides its owner."""

    @pydantic.model_validator(mode="after")
    def _is_not_raw(self) -> AssetRecipe:
        if "raw" in self.tags or self.metadata.get("data level") == "raw data":
            raise ValueError("an asset with the tag raw, or the data level raw data, is taken for raw data: remove it")
        return self

    def asset_name(self, session: str, input_name: str, started: datetime.datetime) -> str:
        """Return the name of the asset made of a run on the asset *input_name*; ValueError if that has no recording."""
        values = {
            "recording": _recording_of(input_name),
            "session": session,
            "subject": subject_of(session),
            "created": f"{started.astimezone(datetime.timezone.utc):%Y-%m-%d_%H-%M-%S}",
        }
        return fill(self.name, values)


class ProcessEntry(CheckedModel):
    """One process: what is run, for which sessions, and what its result becomes."""

    capsule: Id = ABSENT
    """Id of the capsule to run. Either this or pipeline."""
    pipeline: Id = ABSENT
    """Id of the pipeline to run. Either this or capsule."""
    input: Text
    """Asset that a session's run is about: raw, a result that is recorded (such as sorted), or another process."""
    mount: Mount = ABSENT
    """Name of the folder in which the run finds its input. Default: the asset's own."""
    attach: list[Attachment] = []  # noqa: RUF012
    """More data assets, the same for every run."""
    parameters: dict[Text, Annotated[str, _template_of(_PARAMETER_NAMES)]] = {}  # noqa: RUF012
    """Named parameters of the run: {input.id}, {input.name}, {raw.id}, {raw.name}, {session}, {subject} and
    {recording} are filled in."""
    done: Flag
    """Status flag that is true where nothing is left to do."""
    needs: list[Flag] = []  # noqa: RUF012
    """Status flags that must be true before it can run."""
    limits: Limits = pydantic.Field(default_factory=Limits)
    """How much may be started."""
    asset: Union[AssetRecipe, Literal["none"]]
    """The data asset that a good result is made into; none where the run makes its assets itself."""
    result: Result = ABSENT
    """The fact of the codeocean section that its result becomes, if it is not named as the process is."""

    @pydantic.field_validator("pipeline")
    @classmethod
    def _is_alone(cls, pipeline: str, info: pydantic.ValidationInfo) -> str:
        if info.data.get("capsule") is not None:
            raise ValueError("this process names a capsule and a pipeline: keep one")
        return pipeline

    @pydantic.model_validator(mode="after")
    def _has_target(self) -> ProcessEntry:
        if self.capsule is None and self.pipeline is None:
            raise ValueError("this process lacks 'capsule' or 'pipeline', the id of what is run: add one")
        return self


class Process(ProcessEntry):
    """A process with its name. Its `input` and, if there is one, `result` are facts of the codeocean section."""

    name: str

    @property
    def target(self) -> RunTarget:
        return RunTarget("pipeline", self.pipeline) if self.capsule is None else RunTarget("capsule", self.capsule)

    @property
    def recipe(self) -> AssetRecipe | None:
        """The asset to make of a result; None where the run makes its assets itself."""
        return self.asset if isinstance(self.asset, AssetRecipe) else None

    @property
    def names_raw(self) -> bool:
        """Its parameters name the raw asset, whatever its input is."""
        return any(name.startswith("raw.") for template in self.parameters.values() for name in names_in(template))

    def parameters_for(self, record: Record, asset: Asset) -> dict[str, str]:
        """Return the parameters of a run on *asset*; NoSessionData if one names the raw asset, and there is none."""
        values = {
            "input.id": asset.id,
            "input.name": asset.name,
            "session": record.id,
            "subject": subject_of(record.id),
            "recording": _recording_of(asset.name),
        }
        raw = record.asset("raw")
        if isinstance(raw, Asset):
            values.update({"raw.id": raw.id, "raw.name": raw.name})
        elif self.names_raw:
            raise NoSessionData(f"{record.id} has no raw asset, which the parameters of {self.name} name")
        return {name: fill(template, values) for name, template in self.parameters.items()}


def pipelines_schema() -> dict[str, Any]:
    """Return the JSON Schema of pipelines.yaml, by which editors complete and check it as typed."""
    entry = editor_schema(ProcessEntry)
    entry["oneOf"] = [{"required": ["capsule"]}, {"required": ["pipeline"]}]
    defs = {**entry.pop("$defs"), "Process": entry}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pipelines.yaml",
        "description": "What is run on Code Ocean, for which sessions, and what its result becomes.",
        "type": "object",
        "additionalProperties": False,
        "required": ["processes"],
        "properties": {
            "processes": {
                "description": "Each process by its name.",
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": f"^{PROCESS_NAME.pattern}$"},
                "additionalProperties": {"$ref": "#/$defs/Process"},
            }
        },
        "$defs": dict(sorted(defs.items())),
    }
