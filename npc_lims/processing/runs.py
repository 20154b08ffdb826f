"""What a run is, and what can happen to it.

A run is first claimed, then started, then ends; what it made is captured as a data asset, and that is shared.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Optional, Union

import pydantic

from npc_lims.model.record import Model
from npc_lims.model.session_id import split_session_id
from npc_lims.processing.pipelines import Process
from npc_lims.utils.timestamps import utc_text, utc_time

__all__ = [
    "Key",
    "Run",
    "RunAsset",
    "Update",
    "Updates",
    "Withdrawn",
    "advance",
    "in_order",
    "settled",
]

Key = tuple[str, str, int]
"""What a run is for: the session, the id of its input, and which try it is."""

Id = Annotated[str, pydantic.Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z-]*$")]
Time = Annotated[str, pydantic.Field(pattern=r"^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")]


class RunAsset(Model):
    """The data asset that was made from the result of a run."""

    id: Id
    name: str


class Run(Model):
    """One try to run a process on one input of a session."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    session: str
    input: Id
    """Id of the data asset that it is about."""
    attempt: int = pydantic.Field(alias="try", ge=1)
    """1 for the first try with this input."""
    claim: Id
    """A random word: who made the claim may start the run."""
    claimed: Time
    by: str = ""
    """Address of the workflow run that claimed it."""
    computation: Optional[Id] = None
    """Its id on Code Ocean: null until it is known to be started."""
    started: Optional[Time] = None
    """When Code Ocean created the computation."""
    outcome: Optional[Literal["succeeded", "errored"]] = None
    reason: str = ""
    """Why it errored, in one line."""
    asset: Optional[RunAsset] = None
    shared: bool = False
    """Everyone may see the asset."""

    @pydantic.field_validator("session")
    @classmethod
    def _is_session_id(cls, value: str) -> str:
        split_session_id(value)
        return value

    @pydantic.field_validator("claimed", "started")
    @classmethod
    def _is_a_time(cls, value: Optional[str]) -> Optional[str]:
        if value is not None and utc_text(utc_time(value)) != value:
            raise ValueError(f"{value!r} is not written as YYYY-MM-DDTHH:MM:SSZ")
        return value

    @pydantic.model_validator(mode="after")
    def _is_in_order(self) -> Run:
        """Nothing without what has to come before it."""
        if self.started is not None and self.computation is None:
            raise ValueError("it has started, and names no computation")
        if self.outcome == "succeeded" and self.computation is None:
            raise ValueError("it succeeded, and names no computation")
        if self.outcome == "errored" and not self.reason:
            raise ValueError("it errored, and there is no reason")
        if self.outcome != "errored" and self.reason:
            raise ValueError("it has a reason, and did not error")
        if self.asset is not None and self.outcome is None:
            raise ValueError("it has an asset, and no outcome")
        if self.shared and (self.asset is None or self.outcome != "succeeded"):
            raise ValueError("it is shared, and there is no good asset")
        return self

    @property
    def key(self) -> Key:
        return self.session, self.input, self.attempt

    @property
    def is_open(self) -> bool:
        """Not known to have ended."""
        return self.outcome is None

    @property
    def is_claim(self) -> bool:
        """Not known to be started."""
        return self.computation is None and self.outcome is None

    def name(self, process: str) -> str:
        """The name of its computation, by which it is found again.

        >>> run = Run(session="626791_2022-08-15", input="83636983-f80d", attempt=1, claim="5f1c", claimed=_EXAMPLE)
        >>> run.name("dlc_eye")
        'npc_lims dlc_eye 626791_2022-08-15 83636983 try 1 5f1c'
        """
        return f"npc_lims {process} {self.session} {self.input[:8]} try {self.attempt} {self.claim}"

    def as_dict(self) -> dict[str, Any]:
        """As its file has it. `by` and `reason` are left out where there is none: no more is to be said of them."""
        data = self.model_dump(by_alias=True)
        return {key: value for key, value in data.items() if value != "" or key not in ("by", "reason")}


_EXAMPLE = "2026-11-22T10:00:00Z"


@dataclasses.dataclass(frozen=True)
class Withdrawn:
    """A claim that was given back: nothing was started by it."""

    key: Key
    claim: str


Update = Union[Run, Withdrawn]
Updates = Mapping[str, Sequence[Update]]
"""Process to what happened to its runs."""


def advance(run: Run, **facts: Any) -> Run:
    """The same run with more known of it; *facts* are fields of `Run`.

    Raises:
        ValueError: They do not go together.
    """
    return Run.model_validate({**run.model_dump(), **facts})


def settled(run: Run, process: Process) -> bool:
    """There is nothing left to do about it: it errored, or its result is captured and shared as *process* wants."""
    if run.outcome != "succeeded":
        return run.outcome == "errored"
    if process.asset is None:
        return True
    return run.asset is not None and (run.shared or process.asset.share == "none")


def in_order(runs: Iterable[Run]) -> list[Run]:
    """As a file has them: by session, then by try."""
    return sorted(runs, key=lambda run: (run.session, run.attempt, run.input))
