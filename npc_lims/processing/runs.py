"""What was run for which session: `state/runs/<process>.yaml`, one file a process.

A run is first claimed, then started, then ends; what it made is captured as a data asset, and that is shared. Each
step is an update that adds to what is recorded and takes nothing back, so updates may come late, twice or in any order.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union

import pydantic

from npc_lims.errors import NpcLimsError, StateError
from npc_lims.model import Model
from npc_lims.processing.pipelines import Process
from npc_lims.processing.pipelines_schema import PROCESS_NAME
from npc_lims.session_id import split_session_id
from npc_lims.state.files import TEMPORARY, write_atomically
from npc_lims.state.render import render_yaml

__all__ = [
    "RUNS",
    "Key",
    "Run",
    "RunAsset",
    "Update",
    "Updates",
    "Withdrawn",
    "advance",
    "apply_updates",
    "instant",
    "parse_runs",
    "read_runs",
    "read_updates",
    "recorded_processes",
    "render_runs",
    "runs_path",
    "runs_schema",
    "settled",
    "stamp",
    "verify_runs",
    "write_runs",
    "write_updates",
]

RUNS = "runs"
"""The folder of these files, in that of the state."""

Key = tuple[str, str, int]
"""What a run is for: the session, the id of its input, and which try it is."""

SCHEMA = 1
UPDATES_FORMAT = 1
_REMEDY = "restore it (git checkout)"

Id = Annotated[str, pydantic.Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z-]*$")]
Time = Annotated[str, pydantic.Field(pattern=r"^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")]


def stamp(moment: datetime.datetime) -> str:
    """A moment as runs hold it.

    >>> stamp(datetime.datetime(2026, 11, 22, 10, tzinfo=datetime.timezone.utc))
    '2026-11-22T10:00:00Z'
    """
    return f"{moment.astimezone(datetime.timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def instant(text: str) -> datetime.datetime:
    """The moment that `stamp` wrote."""
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)


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
        if value is not None:
            instant(value)
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


# --- the file -------------------------------------------------------------------------------------


class _RunsFile(Model):
    """`state/runs/<process>.yaml`."""

    schema_: Literal[1] = pydantic.Field(alias="schema")
    process: str = pydantic.Field(pattern=f"^{PROCESS_NAME.pattern}$")
    runs: list[Run]


def runs_path(state: Path, process: str) -> Path:
    """The file of a process, whether it exists or not."""
    return state / RUNS / f"{process}.yaml"


def read_runs(state: Path, process: str) -> tuple[Run, ...]:
    """What is recorded of a process: nothing if there is no file.

    Raises:
        StateError: The file is damaged, or of another schema.
    """
    path = runs_path(state, process)
    try:
        return parse_runs(path.read_bytes(), path)
    except FileNotFoundError:
        return ()


def parse_runs(content: bytes, path: Path) -> tuple[Run, ...]:
    """The runs in the *content* of a file; *path* is for the message, and must fit the process.

    Raises:
        StateError: It is not YAML, of another schema or process, or what it says makes no sense.
    """
    runs = _as_rendered(content, path.stem)
    if runs is None:
        runs = _parse_yaml(content, path)
    twice = next((key for key, count in Counter(run.key for run in runs).items() if count > 1), None)
    if twice is not None:
        raise StateError(f"{path}: try {twice[2]} of {twice[0]} is there twice; {_REMEDY}")
    return runs


def _as_rendered(content: bytes, process: str) -> tuple[Run, ...] | None:
    """The runs of a file that `render_runs` made, read 14 times faster than YAML is; None for any other."""
    entries: list[dict[str, Any]] = []
    try:
        for line in content.decode().split("\n")[3:-1]:
            if line.startswith("- "):
                entries.append({})
            key, _, value = line[2:].partition(":")
            if key.startswith("  "):
                entries[-1]["asset"][key.strip()] = _scalar(value[1:])
            else:
                entries[-1][key] = _scalar(value[1:]) if value else {}
        runs = tuple(map(Run.model_validate, entries))
    except (IndexError, KeyError, TypeError, ValueError):
        return None
    # whatever was misread above is not written back as it stood
    return runs if render_runs(process, runs) == content else None


def _scalar(text: str) -> Any:
    if text.isdigit():
        return int(text)
    return json.loads(text) if text.startswith('"') or text in ("null", "true", "false") else text


def _parse_yaml(content: bytes, path: Path) -> tuple[Run, ...]:
    import ruamel.yaml

    try:
        data = ruamel.yaml.YAML(typ="safe", pure=True).load(content)
    except (ruamel.yaml.error.YAMLError, RecursionError, ValueError) as error:
        raise StateError(f"{path}: not readable as YAML ({' '.join(str(error).split())[:200]}); {_REMEDY}") from None
    if isinstance(data, dict) and data.get("schema") != SCHEMA:
        found = data.get("schema")
        raise StateError(f"{path}: schema {found!r}, this version reads {SCHEMA}; upgrade npc_lims, or {_REMEDY}")
    try:
        file = _RunsFile.model_validate(data)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "top level"
        raise StateError(f"{path}: {where}: {first['msg']}; {_REMEDY}") from None
    if file.process != path.stem:
        raise StateError(f"{path}: holds the runs of {file.process}; {_REMEDY}")
    return tuple(file.runs)


def render_runs(process: str, runs: Iterable[Run]) -> bytes:
    """The file of these runs: the same for the same runs, in whatever order they are given."""
    ordered = sorted(runs, key=_place)
    data = {"schema": SCHEMA, "process": process, "runs": [run.as_dict() for run in ordered]}
    return render_yaml(data).encode()


def _place(run: Run) -> tuple[str, int, str]:
    return run.session, run.attempt, run.input


def write_runs(state: Path, process: str, runs: Iterable[Run]) -> bool:
    """Make the file hold *runs*; without any, there is no file. Whether anything changed."""
    path = runs_path(state, process)
    runs = tuple(runs)
    before = path.read_bytes() if path.is_file() else None
    after = render_runs(process, runs) if runs else None
    if before == after:
        return False
    if after is None:
        path.unlink()
    else:
        write_atomically(path, after)
    return True


def recorded_processes(state: Path) -> list[str]:
    """The processes that have a file in *state*, by name."""
    return sorted(path.stem for path in (state / RUNS).glob("*.yaml") if not path.name.startswith(TEMPORARY))


# --- updates --------------------------------------------------------------------------------------


def apply_updates(runs: Iterable[Run], updates: Iterable[Update]) -> tuple[Run, ...]:
    """What is to be recorded after *updates*, in whatever order they came.

    - A run only moves on: claimed, started, ended, captured, shared. Of two that ended otherwise, errored wins,
      unless the other is shared.
    - A recorded computation stays, whatever somebody else's claim says. It gives way to an elder one only where that
      has the same claim: its owner found that two had started at once, and stopped the younger.
    - While nothing is known to be started, the later claim counts.
    - A claim is withdrawn if its token is the one recorded, and nothing is known to be started.
    """
    updates = tuple(updates)
    withdrawn = {(update.key, update.claim) for update in updates if isinstance(update, Withdrawn)}
    versions: dict[Key, tuple[list[Run], list[Run]]] = {}
    for place, some in ((0, runs), (1, updates)):
        for run in some:
            if isinstance(run, Run) and not (run.is_claim and (run.key, run.claim) in withdrawn):
                versions.setdefault(run.key, ([], []))[place].append(run)
    return tuple(sorted((_merge(recorded, news) for recorded, news in versions.values()), key=_place))


def _merge(recorded: Sequence[Run], news: Sequence[Run]) -> Run:
    """One run of all that is said of it."""
    every = [*recorded, *news]
    started = [run for run in every if run.computation is not None]
    if not started:
        # a verdict counts more than a claim; of two claims, the later one took over
        return max(every, key=lambda run: (run.outcome is not None, run.claimed, run.claim, _text(run)))
    known = [run for run in recorded if run.computation is not None]
    claims, ids = {run.claim for run in known}, {run.computation for run in known}
    eligible = [run for run in started if not known or run.claim in claims or run.computation in ids]
    elder = min(eligible, key=lambda run: (run.started is None, run.started or "", run.computation or ""))
    same = [run for run in started if run.computation == elder.computation]
    return _furthest(same)


def _furthest(runs: Sequence[Run]) -> Run:
    """The same computation, seen several times: all that is known of it."""
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
    """Updates as a file, for the job that may record them."""
    data = {
        "format": UPDATES_FORMAT,
        "updates": {process: [_update_as_json(update) for update in some] for process, some in updates.items()},
    }
    write_atomically(path, json.dumps(data, ensure_ascii=False, indent=1).encode())


def read_updates(path: Path) -> dict[str, tuple[Update, ...]]:
    """
    Raises:
        NpcLimsError: The file is missing, damaged, or of another version.
    """
    try:
        data = json.loads(path.read_bytes())
        if not isinstance(data, dict) or data.get("format") != UPDATES_FORMAT:
            raise NpcLimsError(f"{path}: not a file of runs that this version reads; make it with this version")
        return {_process_name(process): tuple(map(_update, some)) for process, some in data["updates"].items()}
    except OSError as error:
        raise NpcLimsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise NpcLimsError(f"{path}: damaged ({' '.join(str(error).split())[:200]})") from None


def _update_as_json(update: Update) -> dict[str, Any]:
    if isinstance(update, Withdrawn):
        return {"withdrawn": list(update.key), "claim": update.claim}
    return update.as_dict()


def _update(data: Mapping[str, Any]) -> Update:
    if "withdrawn" not in data:
        return Run.model_validate(data)
    session, input_, attempt = data["withdrawn"]
    split_session_id(session)
    if not (isinstance(input_, str) and isinstance(attempt, int)):
        raise ValueError("a claim that is withdrawn names a session, an input and a try")
    return Withdrawn((session, input_, attempt), str(data["claim"]))


def _process_name(name: str) -> str:
    # it becomes the name of a file
    if not PROCESS_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a process")
    return name


# --- checks ---------------------------------------------------------------------------------------


def verify_runs(state: Path) -> list[str]:
    """What is wrong with the files of runs, in sentences that name the file; empty when all is well.

    Runs of sessions that the state does not have are welcome: sessions go when nobody lists them any more.
    """
    folder = state / RUNS
    found: list[str] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith(TEMPORARY):
            continue
        if not (path.is_file() and path.suffix == ".yaml" and PROCESS_NAME.fullmatch(path.stem)):
            found.append(f"{path}: not the runs of a process; its name is <process>.yaml")
            continue
        try:
            found += _verify_file(path)
        except StateError as error:
            found.append(str(error))
    return found


def _verify_file(path: Path) -> list[str]:
    content = path.read_bytes()
    runs = parse_runs(content, path)
    found = []
    if content != render_runs(path.stem, runs):
        found.append(f"{path}: not written as npc-lims writes it; {_REMEDY}")
    owners: dict[str, Run] = {}
    for run in runs:
        if run.computation is not None and owners.setdefault(run.computation, run) is not run:
            other = owners[run.computation]
            found.append(f"{path}: the computation {run.computation} is recorded for {other.session} and {run.session}")
    return found


def runs_schema() -> dict[str, Any]:
    """The JSON Schema of `state/runs/<process>.yaml`."""
    schema = _RunsFile.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "npc_lims runs"
    return schema
