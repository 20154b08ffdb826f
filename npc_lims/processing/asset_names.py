"""What is filled into parameters and into the names of assets."""

from __future__ import annotations

import datetime

from npc_lims.errors import NoSessionData
from npc_lims.model.data_asset import SEARCHED_NAMES
from npc_lims.model.record import Asset, CodeOcean, Record
from npc_lims.model.session_id import subject_of
from npc_lims.processing.pipelines import Process
from npc_lims.processing.pipelines_schema import AssetRecipe
from npc_lims.processing.templates import fill, names_in


def input_of(process: Process, record: Record) -> Asset | bool | None:
    """The asset that a run of *process* is about; False if there is none, None if it was never observed."""
    facts = record.codeocean
    if not isinstance(facts, CodeOcean):
        return facts
    asset: Asset | bool | None = getattr(facts, process.input)
    return asset


def names_raw(process: Process) -> bool:
    """Its parameters name the raw asset, whatever its input is."""
    return any(name.startswith("raw.") for template in process.parameters.values() for name in names_in(template))


def recording_of(name: str) -> str:
    """The recording that an asset belongs to, which is the name of its raw asset.

    >>> recording_of("ecephys_626791_2022-08-15_13-07-32_GammaEncoding_2024-01-02_03-04-05")
    'ecephys_626791_2022-08-15_13-07-32'
    """
    match = SEARCHED_NAMES.match(name)
    if match is None:
        raise ValueError(f"the name of the asset {name!r} does not begin with a recording")
    return f"{match['platform']}_{match['subject']}_{match['date']}_{match['time']}"


def parameters_of(process: Process, record: Record, asset: Asset) -> dict[str, str]:
    """The named parameters of a run for the session of *record*, with *asset* as its input.

    Raises:
        NoSessionData: A parameter names the raw asset, and the session has none.
    """
    values = {
        "input.id": asset.id,
        "input.name": asset.name,
        "session": record.id,
        "subject": subject_of(record.id),
        "recording": recording_of(asset.name),
    }
    raw = record.codeocean.raw if isinstance(record.codeocean, CodeOcean) else None
    if isinstance(raw, Asset):
        values.update({"raw.id": raw.id, "raw.name": raw.name})
    elif names_raw(process):
        raise NoSessionData(f"{record.id} has no raw asset, which the parameters of {process.name} name")
    return {name: fill(template, values) for name, template in process.parameters.items()}


def asset_name(recipe: AssetRecipe, session: str, input_name: str, started: datetime.datetime) -> str:
    """The name of the asset that a good result becomes.

    Args:
        recipe: Of the process.
        session: Id of the session.
        input_name: Name of the asset that the run was about.
        started: When the run was started.
    """
    values = {
        "recording": recording_of(input_name),
        "session": session,
        "subject": subject_of(session),
        "created": f"{started.astimezone(datetime.timezone.utc):%Y-%m-%d_%H-%M-%S}",
    }
    return fill(recipe.name, values)


def asset_tags(recipe: AssetRecipe, session: str) -> list[str]:
    """Its tags, the subject among them."""
    return list(dict.fromkeys([*recipe.tags, subject_of(session)]))


def asset_metadata(recipe: AssetRecipe, session: str) -> dict[str, str]:
    """Its custom metadata, the subject id among them."""
    return {**recipe.metadata, "subject id": subject_of(session)}
