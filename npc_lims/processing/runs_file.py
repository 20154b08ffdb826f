"""`state/runs/<process>.yaml`: what was run for which session, one file a process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any, Literal

import pydantic

from npc_lims.errors import StateError, warn_future_timestamp
from npc_lims.model.record import Model
from npc_lims.processing.pipelines_schema import PROCESS_NAME
from npc_lims.processing.runs import Run, in_order
from npc_lims.state.snapshot import with_unix_lines
from npc_lims.state.tree import StateFolder, open_tree
from npc_lims.utils.timestamps import is_future, utc_time
from npc_lims.utils.yaml import load_yaml, render_yaml

RUNS = "runs"
"""The folder of these files, in that of the state."""

SCHEMA = 1
_REMEDY = "restore it (git checkout)"
_LONG_AGO = "2000-01-01T00:00:00Z"


class _RunsFile(Model):
    """`state/runs/<process>.yaml`."""

    schema_: Literal[1] = pydantic.Field(alias="schema")
    process: str = pydantic.Field(pattern=f"^{PROCESS_NAME.pattern}$")
    runs: list[Run]


def runs_path(state: Path, process: str) -> Path:
    """Return the file of a process, whether it exists or not."""
    return state / _file_name(process)


def _file_name(process: str) -> str:
    return f"{RUNS}/{process}.yaml"


def read_runs(state: StateFolder, process: str) -> tuple[Run, ...]:
    """Return what is recorded of a process: nothing if there is no file.

    A claim from the future is warned of and counts as expired: it would block its session until then.

    Raises:
        StateError: The file is damaged, or of another schema.
    """
    tree, name = open_tree(state), _file_name(process)
    content = tree.read_files([name]).get(name)
    path = tree.path(name)
    return () if content is None else tuple(_expired_if_future(run, path) for run in parse_runs(content, path))


def _expired_if_future(run: Run, path: PurePath) -> Run:
    if not (run.is_claim and is_future(utc_time(run.claimed))):
        return run
    warn_future_timestamp(f"{path}: the claim of {run.session}, try {run.attempt}", run.claimed)
    return run.model_copy(update={"claimed": _LONG_AGO})


def parse_runs(content: bytes, path: PurePath) -> tuple[Run, ...]:
    """The runs in the *content* of a file; *path* is for the message, and must fit the process.

    Raises:
        StateError: It is not YAML, of another schema or process, or what it says makes no sense.
    """
    runs = _parse_yaml(content, path)
    twice = next((key for key, count in Counter(run.key for run in runs).items() if count > 1), None)
    if twice is not None:
        raise StateError(f"{path}: try {twice[2]} of {twice[0]} is there twice; {_REMEDY}")
    return runs


def _parse_yaml(content: bytes, path: PurePath) -> tuple[Run, ...]:
    try:
        data = load_yaml(content)
    except ValueError as error:
        raise StateError(f"{path}: not readable as YAML ({error}); {_REMEDY}") from None
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
    data = {"schema": SCHEMA, "process": process, "runs": [run.as_dict() for run in in_order(runs)]}
    return render_yaml(data).encode()


def write_runs(state: StateFolder, process: str, runs: Iterable[Run]) -> bool:
    """Make the file hold *runs*; without any, there is no file. Return True if anything changed."""
    tree, name = open_tree(state), _file_name(process)
    runs = tuple(runs)
    after = render_runs(process, runs) if runs else None
    if tree.read_files([name]).get(name) == after:
        return False
    tree.write_files({name: after})
    return True


def recorded_processes(state: StateFolder) -> list[str]:
    """Return the names of the processes that have a file of runs in *state*."""
    names = (PurePath(name) for name in open_tree(state).list_files(RUNS))
    return [name.stem for name in names if name.suffix == ".yaml" and name.parent == PurePath(RUNS)]


def read_all_runs(state: StateFolder) -> dict[str, tuple[Run, ...]]:
    """Return the runs of each process that has a file in *state*, by its name.

    Raises:
        StateError: A file is damaged, or of another schema.
    """
    return {process: read_runs(state, process) for process in recorded_processes(state)}


def verify_runs(state: StateFolder) -> list[str]:
    """Return what is wrong with the files of runs, in sentences that name the file; empty when all is well.

    Runs of sessions that the state does not have are valid: a session is removed when no source lists it.
    """
    tree = open_tree(state)
    names = tree.list_files(RUNS)
    found: list[str] = []
    for name, content in tree.read_files(names).items():
        path = tree.path(name)
        if name != _file_name(path.stem) or not PROCESS_NAME.fullmatch(path.stem):
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


def runs_schema() -> dict[str, Any]:
    """The JSON Schema of `state/runs/<process>.yaml`."""
    schema = _RunsFile.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "npc_lims runs"
    return schema
