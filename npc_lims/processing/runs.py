"""Runs and their updates, in memory and as a file.

A run is claimed, started, and ends; its result is captured as a data asset, and that is shared. Each update adds to
what is recorded and takes nothing back, so updates may be applied late, twice or in any order.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union

import pydantic

from npc_lims.errors import NpcLimsError
from npc_lims.model.record import Model
from npc_lims.model.session_id import split_session_id
from npc_lims.processing.pipelines import Process
from npc_lims.processing.pipelines_schema import PROCESS_NAME
from npc_lims.state.tree import StateFolder
from npc_lims.utils.atomic_write import write_atomically
from npc_lims.utils.timestamps import utc_text, utc_time

FORMAT = 1

RunKey = tuple[str, str, int]
"""Session, id of the input, and number of the attempt."""

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
    def key(self) -> RunKey:
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
class ClaimReleased:
    """A claim that was released: nothing was started by it."""

    key: RunKey
    claim: str


Update = Union[Run, ClaimReleased]
Updates = Mapping[str, Sequence[Update]]
"""Updates by process."""


@dataclasses.dataclass(frozen=True)
class RunsChange:
    """The runs of a process before and after something was recorded."""

    process: str
    before: tuple[Run, ...]
    after: tuple[Run, ...]


Change = Callable[[StateFolder], Sequence[RunsChange]]
"""Records something in a state, and returns it. It may be called several times, each time with the newest state."""


@dataclasses.dataclass(frozen=True)
class RunEvent:
    """What happened to one run.

    Attributes:
        run: The run.
        what: A word or two, for counting.
        detail: Details for people.
        update: What to record at once, if anything.
        failure: Why it could not be done now, if it could not.
        is_last: Nothing more is done about the run this time.
    """

    run: Run
    what: str
    detail: str = ""
    update: Update | None = None
    failure: str = ""
    is_last: bool = False


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


def apply_updates(runs: Iterable[Run], updates: Iterable[Update]) -> tuple[Run, ...]:
    """Return the recorded runs with *updates* applied, which may come in any order.

    - A run only advances: claimed, started, ended, captured, shared. Of two outcomes errored wins, unless the other
      is shared.
    - A recorded computation stays, whatever another claim says. An older one replaces it only if it has the same
      claim: its owner found that two had started at once, and stopped the newer.
    - While nothing is known to be started, the later claim takes precedence.
    - A claim is released if its token is the one recorded, and nothing is known to be started.
    """
    updates = tuple(updates)
    released = {(update.key, update.claim) for update in updates if isinstance(update, ClaimReleased)}
    versions: dict[RunKey, tuple[list[Run], list[Run]]] = {}
    for position, some in ((0, runs), (1, updates)):
        for run in some:
            if isinstance(run, Run) and not (run.is_claim and (run.key, run.claim) in released):
                versions.setdefault(run.key, ([], []))[position].append(run)
    return tuple(in_order(_merge(recorded, news) for recorded, news in versions.values()))


def _merge(recorded: Sequence[Run], news: Sequence[Run]) -> Run:
    """Merge the versions of one run."""
    every = [*recorded, *news]
    started = [run for run in every if run.computation is not None]
    if not started:
        # an outcome takes precedence over a claim; of two claims, the later one replaced the other
        return max(every, key=lambda run: (run.outcome is not None, run.claimed, run.claim, _text(run)))
    known = [run for run in recorded if run.computation is not None]
    claims, ids = {run.claim for run in known}, {run.computation for run in known}
    eligible = [run for run in started if not known or run.claim in claims or run.computation in ids]
    oldest = min(eligible, key=lambda run: (run.started is None, run.started or "", run.computation or ""))
    same = [run for run in started if run.computation == oldest.computation]
    return _furthest(same)


def _furthest(runs: Sequence[Run]) -> Run:
    """Merge versions of one computation."""
    first = min(runs, key=lambda run: (run.claimed, run.claim, run.by))
    last = min(runs, key=lambda run: (-_progress(run), run.asset.id if run.asset else "", _text(run)))
    started = min((run.started for run in runs if run.started is not None), default=None)
    return last.model_copy(update={"claim": first.claim, "claimed": first.claimed, "by": first.by, "started": started})


def _progress(run: Run) -> int:
    if run.shared:
        return 4
    if run.outcome == "errored":
        return 3
    return (run.outcome is not None) + (run.asset is not None)


def _text(run: Run) -> str:
    return json.dumps(run.as_dict(), sort_keys=True)


def write_updates(path: Path, updates: Updates) -> None:
    """Write updates to a file, for the job that may record them."""
    data = {
        "format": FORMAT,
        "updates": {process: [_update_as_json(update) for update in some] for process, some in updates.items()},
    }
    write_atomically(path, json.dumps(data, ensure_ascii=False, indent=1).encode())


def read_updates(path: Path) -> dict[str, tuple[Update, ...]]:
    """Read a file of `write_updates`.

    Raises:
        NpcLimsError: The file is missing, damaged, or of another version.
    """
    try:
        data = json.loads(path.read_bytes())
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise NpcLimsError(f"{path}: not a file of runs that this version reads; make it with this version")
        return {_process_name(process): tuple(map(_update, some)) for process, some in data["updates"].items()}
    except OSError as error:
        raise NpcLimsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise NpcLimsError(f"{path}: damaged ({' '.join(str(error).split())[:200]})") from None


def _update_as_json(update: Update) -> dict[str, Any]:
    if isinstance(update, ClaimReleased):
        return {"withdrawn": list(update.key), "claim": update.claim}
    return update.as_dict()


def _update(data: Mapping[str, Any]) -> Update:
    if "withdrawn" not in data:
        return Run.model_validate(data)
    session, input_, attempt = data["withdrawn"]
    split_session_id(session)
    if not (isinstance(input_, str) and isinstance(attempt, int)):
        raise ValueError("a released claim names a session, an input and a try")
    return ClaimReleased((session, input_, attempt), str(data["claim"]))


def _process_name(name: str) -> str:
    # it becomes the name of a file
    if not PROCESS_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a process")
    return name
