"""Queue files and sessions of the package aind_session, which callers of older versions use."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from codeocean.computation import ComputationEndStatus, ComputationState

import npc_lims
from npc_lims.codeocean.computations import read_computation_queue, serialize_computation
from npc_lims.codeocean.data_assets import get_aind_session
from tests.real import REAL, needs_real

RECORD = {"id": "1", "created": 5, "name": "Run 5", "run_time": 7, "state": "completed", "end_status": "succeeded"}


def write(folder: Path, content: object) -> Path:
    path = folder / "dlc_eye.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_runs_and_sessions_that_wait(tmp_path: Path) -> None:
    queue = read_computation_queue(write(tmp_path, {"a": RECORD, "b": None}))
    assert list(queue) == ["a", "b"]
    assert queue["b"] is None
    run = queue["a"]
    assert run is not None
    assert (run.state, run.end_status) == (ComputationState.Completed, ComputationEndStatus.Succeeded)
    assert run.owner == "", "older records lack it"


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    queue = read_computation_queue(
        write(tmp_path, {"a": {**RECORD, "data_assets": [{"id": "2", "mount": "m"}]}, "b": None})
    )
    again = write(tmp_path, {session: serialize_computation(run) for session, run in queue.items()})
    assert read_computation_queue(again) == queue


def test_only_computations_are_written() -> None:
    assert serialize_computation(None) is None
    with pytest.raises(TypeError, match="expected a Computation of the Code Ocean SDK or None, not dict"):
        serialize_computation(RECORD)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{\n  oops", r"dlc_eye\.json:2:0: error: is not JSON: "),
        ([RECORD], "is not a queue: an object with a computation, or null, for each session is"),
        ({"a": 5}, "a: expected a computation or null, found 5"),
        ({"a": {"id": "1"}}, "a: computation 1 is not as the API describes one: it has no created"),
        ({"a": {**RECORD, "state": "odd"}}, "a: computation 1 is not .*'odd' is not a valid ComputationState"),
    ],
)
def test_files_that_are_no_queues(tmp_path: Path, content: object, problem: str) -> None:
    with pytest.raises(npc_lims.InputFileError, match=problem):
        read_computation_queue(write(tmp_path, content))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(npc_lims.InputFileError, match="cannot be read: No such file"):
        read_computation_queue(tmp_path / "none.json")


@needs_real
@pytest.mark.parametrize("path", sorted(REAL.glob("computations*.json")), ids=lambda path: path.stem)
def test_queue_files_of_the_lab(path: Path) -> None:
    queue = read_computation_queue(path)
    records = json.loads(path.read_text())
    assert list(queue) == list(records)
    for session, record in records.items():
        written = serialize_computation(queue[session])
        assert written is not None
        assert {name: written[name] for name in record} == record


def test_a_bad_id_is_reported_first() -> None:
    with pytest.raises(npc_lims.NoSessionInfo, match="'nonsense' is not a session"):
        get_aind_session("nonsense")


@pytest.mark.skipif(importlib.util.find_spec("aind_session") is not None, reason="aind_session is installed")
def test_without_the_package() -> None:
    with pytest.raises(npc_lims.MissingDependency, match="pip install aind-session") as raised:
        get_aind_session("626791_2022-08-15")
    assert isinstance(raised.value, ImportError)
