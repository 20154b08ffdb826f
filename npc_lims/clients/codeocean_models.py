"""What Code Ocean is asked to run, and what it answers."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any, Optional, TypeVar

import pydantic

from npc_lims.model.data_asset import LATEST_SECOND, Line

__all__ = [
    "Computation",
    "MadeAsset",
    "Place",
    "RunRequest",
    "as_computation",
    "as_computations",
    "as_download_url",
    "as_made_asset",
    "as_names",
    "parsed",
]


@dataclasses.dataclass(frozen=True)
class Place:
    """Whose run it is: `kind` is `capsule` or `pipeline`."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


@dataclasses.dataclass(frozen=True)
class RunRequest:
    """What is to run, and on what.

    Attributes:
        place: The capsule or pipeline.
        assets: Id of each data asset to attach, and where it is mounted; None for where it usually is.
        parameters: By name.
    """

    place: Place
    assets: tuple[tuple[str, Optional[str]], ...]
    parameters: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The body of `POST computations`."""
        assets = [{"id": id_} if mount is None else {"id": id_, "mount": mount} for id_, mount in self.assets]
        named = [{"param_name": name, "value": value} for name, value in self.parameters.items()]
        body: dict[str, Any] = {f"{self.place.kind}_id": self.place.id, "data_assets": assets}
        return {**body, "named_parameters": named} if named else body


class _Read(pydantic.BaseModel):
    """Something that the API sends: of its fields those that matter here."""

    model_config = pydantic.ConfigDict(frozen=True, extra="ignore", strict=True)


class _Attached(_Read):
    id: str


class _Parameter(_Read):
    value: Optional[str] = None


class Computation(_Read):
    """A run, as Code Ocean tells of it."""

    id: str = pydantic.Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z-]*$")
    name: str
    created: int = pydantic.Field(ge=0, le=LATEST_SECOND)
    """Seconds since 1970."""
    state: str
    end_status: Optional[str] = None
    has_results: Optional[bool] = None
    cloud_workstation: Optional[bool] = None
    data_assets: Optional[tuple[_Attached, ...]] = pydantic.Field(None, strict=False)
    parameters: Optional[tuple[_Parameter, ...]] = pydantic.Field(None, strict=False)

    @property
    def began(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self.created, datetime.timezone.utc)

    def answers(self, asked: RunRequest) -> bool:
        """Whether it is a run of just what *asked* is for, whoever started it. Only of runs of the same place."""
        attached = {asset.id for asset in self.data_assets or ()}
        values = {parameter.value for parameter in self.parameters or ()}
        return (
            not self.cloud_workstation
            and attached.issuperset(id_ for id_, _ in asked.assets)
            and values.issuperset(asked.parameters.values())
        )


class MadeAsset(_Read):
    """A data asset that was made from the result of a run."""

    id: str = pydantic.Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z-]*$")
    name: Line
    state: str
    created: Optional[int] = pydantic.Field(None, ge=0, le=LATEST_SECOND)
    """Seconds since 1970."""
    failure_reason: Optional[str] = None


_Made = TypeVar("_Made", Computation, MadeAsset)


def parsed(made: type[_Made], content: Any) -> _Made:
    """
    Raises:
        ValueError: It is not as the API describes it; the message is one line.
    """
    try:
        return made.model_validate(content)
    except pydantic.ValidationError as error:
        details = error.errors(include_input=False, include_url=False)
        raise ValueError("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in details)) from None


def as_computation(content: Any) -> Computation:
    return parsed(Computation, content)


def as_made_asset(content: Any) -> MadeAsset:
    return parsed(MadeAsset, content)


def as_computations(content: Any) -> list[Computation]:
    if not isinstance(content, list):
        raise ValueError("not a list of runs")
    runs = [as_computation(item) for item in content]
    if len({run.id for run in runs}) != len(runs):
        raise ValueError("a list of runs with one of them twice")
    return runs


def as_names(content: Any) -> list[str]:
    try:
        names = [item["name"] for item in content["items"]]
    except (KeyError, TypeError):
        raise ValueError("not a list of files") from None
    if not all(isinstance(name, str) for name in names):
        raise ValueError("a list of files without a name")
    return names


def as_download_url(content: Any) -> str:
    try:
        url = content["download_url"]
    except (KeyError, TypeError):
        url = None
    if not isinstance(url, str):
        raise ValueError("no address of the file")
    return url
