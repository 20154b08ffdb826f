"""Runs, their updates, and the files of both: `state/runs/<process>.yaml`, and updates for another job to record.

A run is claimed, started, and ends; its result is captured as a data asset, and that is shared. Each update adds to
what is recorded and takes nothing back, so updates may be applied late, twice or in any order.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, Optional, Union

import pydantic

from npc_lims.errors import NpcLimsError, StateError, warn_future_timestamp
from npc_lims.model.record import Model, check_time, file_schema
from npc_lims.model.session_id import split_session_id
from npc_lims.processing.process import PROCESS_NAME
from npc_lims.state.snapshot import SCHEMA, with_unix_lines
from npc_lims.state.store import StateFolder, open_tree, parse_yaml_model
from npc_lims.utils.atomic_write import write_atomically
from npc_lims.utils.timestamps import is_future, utc_time
from npc_lims.utils.yaml import render_yaml

RUNS = "runs"
"""The folder of these files, in that of the state."""

_UPDATES_FORMAT = 1
_REMEDY = "restore it (git checkout)"
_LONG_AGO = "2000-01-01T00:00:00Z"

RunState = Literal["claimed", "running", "succeeded", "captured", "shared", "errored"]
"""How far a run is: claimed if it is not known to be started, captured if a data asset was made of its result."""

RunKey = tuple[str, str, int]
"""Session, id of the input, and number of the attempt."""


def _check_session(text: str) -> str:
    split_session_id(text)
    return text


SessionText = Annotated[str, pydantic.AfterValidator(_check_session)]
Id = Annotated[str, pydantic.Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z-]*$")]
Time = Annotated[
    str,
    pydantic.Field(pattern=r"^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"),
    pydantic.AfterValidator(check_time),
]


class RunAsset(Model):
    """The data asset that was made from the result of a run."""

    id: Id
    name: str


class Run(Model):
    """One try to run a process on one input of a session."""

    session: SessionText
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
    seconds: Optional[int] = pydantic.Field(None, ge=0)
    """How long it ran, once it has ended; left out where that is not known."""
    asset: Optional[RunAsset] = None
    shared: bool = False
    """Everyone may see the asset."""

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

    @property
    def state(self) -> RunState:
        if self.outcome == "errored":
            return "errored"
        if self.asset is not None:
            return "shared" if self.shared else "captured"
        return "claimed" if self.is_claim else self.outcome or "running"

    def name(self, process: str) -> str:
        """Return the name of its computation, by which it is found again.

        >>> run = Run(session="626791_2022-08-15", input="83636983-f80d", attempt=1, claim="5f1c", claimed=_LONG_AGO)
        >>> run.name("dlc_eye")
        'npc_lims dlc_eye 626791_2022-08-15 83636983 try 1 5f1c'
        """
        return f"npc_lims {process} {self.session} {self.input[:8]} try {self.attempt} {self.claim}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as in its file: an empty `by` or `reason`, and unknown `seconds`, are left out."""
        empty = {name for name in ("by", "reason", "seconds") if getattr(self, name) in ("", None)}
        return self.model_dump(by_alias=True, exclude=empty)


class ClaimReleased(Model):
    """A claim that was released: nothing was started by it."""

    key: tuple[SessionText, str, int] = pydantic.Field(alias="withdrawn")
    claim: str

    def as_dict(self) -> dict[str, Any]:
        return self.model_dump(by_alias=True)


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
    run: Run
    what: str
    """A word or two, for counting."""
    detail: str = ""
    update: Update | None = None
    """What to record at once, if anything."""
    failure: str = ""
    """Why it could not be done now, if it could not."""


# --- updates --------------------------------------------------------------------------------------


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
    return tuple(_in_order(_merge(recorded, news) for recorded, news in versions.values()))


def _in_order(runs: Iterable[Run]) -> list[Run]:
    return sorted(runs, key=lambda run: (run.session, run.attempt, run.input))


def _merge(recorded: Sequence[Run], news: Sequence[Run]) -> Run:
    every = [*recorded, *news]
    started = [run for run in every if run.computation is not None]
    if not started:
        # an outcome takes precedence over a claim; of two claims, the later one replaced the other
        return max(every, key=lambda run: (run.outcome is not None, run.claimed, run.claim, _text(run)))
    known = [run for run in recorded if run.computation is not None]
    claims, ids = {run.claim for run in known}, {run.computation for run in known}
    eligible = [run for run in started if not known or run.claim in claims or run.computation in ids]
    oldest = min(eligible, key=lambda run: (run.started is None, run.started or "", run.computation or ""))
    return _furthest([run for run in started if run.computation == oldest.computation])


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
    by_process = {process: [update.as_dict() for update in some] for process, some in updates.items()}
    data = {"format": _UPDATES_FORMAT, "updates": by_process}
    write_atomically(path, json.dumps(data, ensure_ascii=False, indent=1).encode())


def read_updates(path: Path) -> dict[str, tuple[Update, ...]]:
    """Read a file of `write_updates`; NpcLimsError if it is missing, damaged, or of another version."""
    try:
        data = json.loads(path.read_bytes())
        if not isinstance(data, dict) or data.get("format") != _UPDATES_FORMAT:
            raise NpcLimsError(f"{path}: not a file of runs that this version reads; make it with this version")
        for process in data["updates"]:
            # it becomes the name of a file
            if not PROCESS_NAME.fullmatch(process):
                raise ValueError(f"{process!r} is no name of a process")
        return {
            process: tuple((ClaimReleased if "withdrawn" in one else Run).model_validate(one) for one in some)
            for process, some in data["updates"].items()
        }
    except OSError as error:
        raise NpcLimsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise NpcLimsError(f"{path}: damaged ({' '.join(str(error).split())[:200]})") from None


# --- files of runs --------------------------------------------------------------------------------


class _RunsFile(Model):
    """`state/runs/<process>.yaml`."""

    schema_: Literal[1] = pydantic.Field(alias="schema")
    process: str = pydantic.Field(pattern=f"^{PROCESS_NAME.pattern}$")
    runs: list[Run]


def runs_schema() -> dict[str, Any]:
    """Return the JSON Schema of `state/runs/<process>.yaml`."""
    return file_schema(_RunsFile, "npc_lims runs")


def runs_name(process: str) -> str:
    return f"{RUNS}/{process}.yaml"


def read_runs(state: StateFolder, process: str) -> tuple[Run, ...]:
    """Return the recorded runs of a process. A claim from the future counts as expired: it would block its session."""
    tree, name = open_tree(state), runs_name(process)
    content = tree.read_files([name]).get(name)
    path = tree.path(name)
    return () if content is None else tuple(_expired_if_future(run, path) for run in parse_runs(content, path))


def _expired_if_future(run: Run, path: PurePath) -> Run:
    if not (run.is_claim and is_future(utc_time(run.claimed))):
        return run
    warn_future_timestamp(f"{path}: the claim of {run.session}, try {run.attempt}", run.claimed)
    return run.model_copy(update={"claimed": _LONG_AGO})


def parse_runs(content: bytes, path: PurePath) -> tuple[Run, ...]:
    """Return the runs in the *content* of a file; StateError if it is damaged, or *path* is of another process."""
    file = parse_yaml_model(_RunsFile, content, path, _REMEDY)
    if file.process != path.stem:
        raise StateError(f"{path}: holds the runs of {file.process}; {_REMEDY}")
    twice = next((key for key, count in Counter(run.key for run in file.runs).items() if count > 1), None)
    if twice is not None:
        raise StateError(f"{path}: try {twice[2]} of {twice[0]} is there twice; {_REMEDY}")
    return tuple(file.runs)


def render_runs(process: str, runs: Iterable[Run]) -> bytes:
    """Return the file of these runs, the same for any order of them."""
    data = {"schema": SCHEMA, "process": process, "runs": [run.as_dict() for run in _in_order(runs)]}
    return render_yaml(data).encode()


def write_runs(state: StateFolder, process: str, runs: Sequence[Run]) -> bool:
    """Make the file hold *runs*; without any, there is no file. Return True if anything changed."""
    tree, name = open_tree(state), runs_name(process)
    after = render_runs(process, runs) if runs else None
    if tree.read_files([name]).get(name) == after:
        return False
    tree.write_files({name: after})
    return True


def recorded_processes(state: StateFolder) -> list[str]:
    """Return the names of the processes that have a file of runs in *state*."""
    names = (PurePath(name) for name in open_tree(state).list_files(RUNS))
    return [name.stem for name in names if name == PurePath(runs_name(name.stem))]


def read_all_runs(state: StateFolder) -> dict[str, tuple[Run, ...]]:
    return {process: read_runs(state, process) for process in recorded_processes(state)}


def verify_runs(state: StateFolder) -> list[str]:
    """Return the problems of the files of runs, in sentences. That the state lacks a session of a run is none."""
    tree = open_tree(state)
    found: list[str] = []
    for name, content in tree.read_files(tree.list_files(RUNS)).items():
        path = tree.path(name)
        if name != runs_name(path.stem) or not PROCESS_NAME.fullmatch(path.stem):
            found.append(f"{path}: not the runs of a process; its name is <process>.yaml")
            continue
        try:
            found += _verify_file(path, content)
        except StateError as error:
            found.append(str(error))
    return found


def _verify_file(path: PurePath, content: bytes) -> list[str]:
    runs = parse_runs(content, path)
    found = []
    if with_unix_lines(content) != render_runs(path.stem, runs):
        found.append(f"{path}: not written as npc-lims writes it; {_REMEDY}")
    owners: dict[str, Run] = {}
    for run in runs:
        if run.computation is not None and owners.setdefault(run.computation, run) is not run:
            other = owners[run.computation]
            found.append(f"{path}: the computation {run.computation} is recorded for {other.session} and {run.session}")
    return found
