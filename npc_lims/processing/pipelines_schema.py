"""Models of pipelines.yaml, and its JSON Schema for editors (committed by `python scripts/write_schemas.py`)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Union

import pydantic

from npc_lims.model.flags import BOOLEAN_FLAGS
from npc_lims.model.record import PROCESSES
from npc_lims.sources.yaml_validation import ABSENT, CheckedModel, editor_schema

PROCESS_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
"""Names of processes: they become names of files, of runs and of assets."""

FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Names of the folders in which a run finds its assets."""

FACTS = ("sorted", *PROCESSES)
"""Results of which the newest is recorded in the codeocean section of a session."""

_ID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
_FOLDER = f"^{FOLDER_NAME.pattern}$"
PATTERNS = {
    _ID: "an id such as 4cf0be83-2245-4bb1-a55c-a78201b14bfe",
    _FOLDER: "a name of letters, digits, '.', '_' and '-'",
}
"""Patterns of texts, and what they expect, for error messages."""

Id = Annotated[str, pydantic.Field(pattern=_ID)]
Mount = Annotated[str, pydantic.Field(pattern=_FOLDER)]
Count = Annotated[int, pydantic.Field(ge=1)]
Text = Annotated[str, pydantic.Field(min_length=1)]
Flag = Annotated[str, pydantic.Field(json_schema_extra={"enum": list(BOOLEAN_FLAGS)})]


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
    name: Text
    """Name of the asset: {recording}, {session}, {subject} and {created} (start of the run, UTC) are filled in."""
    tags: list[Text] = []  # noqa: RUF012 (a model copies its defaults)
    """Its tags; the subject is always added."""
    metadata: dict[Text, Text] = {}  # noqa: RUF012
    """Its custom metadata; the subject id is always added."""
    share: Literal["everyone", "none"] = "everyone"
    """Who may see it, besides its owner."""


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
    parameters: dict[Text, str] = {}  # noqa: RUF012
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
    result: Annotated[str, pydantic.Field(json_schema_extra={"enum": list(FACTS)})] = ABSENT
    """The fact of the codeocean section that its result becomes, if it is not named as the process is."""


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
