"""Validity of a finished run, and the requests that it takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
from codeocean.computation import Computation
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.clients.codeocean_runs import is_finished, why_errored


@dataclasses.dataclass(frozen=True)
class Run:
    state: str = "completed"
    end_status: str | None = "succeeded"
    has_results: bool | None = True


def judge(run: Run, names: Sequence[str] = ("nwb", "output"), output: bytes | None = b"fine") -> str:
    return why_errored(run, lambda: names, lambda: output)


def never() -> Sequence[str]:
    raise AssertionError("looked at in vain")


def never_read() -> bytes:
    raise AssertionError("read in vain")


@pytest.mark.parametrize("state", ["initializing", "running", "finalizing"])
def test_a_run_that_goes_on_has_no_verdict(state: str) -> None:
    run = Run(state=state, end_status=None, has_results=False)
    assert not is_finished(run)
    assert why_errored(run, never, never_read) == ""


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (Run(state="failed"), "the run failed"),
        (Run(state="failed", end_status=None, has_results=None), "the run failed"),
        (Run(end_status="failed"), "the run ended as failed"),
        (Run(end_status="stopped"), "the run was stopped"),
        (Run(has_results=False), "it has no results"),
    ],
)
def test_what_a_run_says_of_itself_is_believed(run: Run, reason: str) -> None:
    assert is_finished(run)
    assert why_errored(run, never, never_read) == reason


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([], "it has no results"),
        (["output"], "its results hold nothing but output"),
        (["nextflow", "output"], "its results hold nothing but nextflow and output"),
        (["output", "nextflow"], "its results hold nothing but nextflow and output"),
        (["eye.h5"], ""),
    ],
)
def test_names_of_results_can_be_enough(names: list[str], reason: str) -> None:
    assert why_errored(Run(), lambda: names, never_read) == reason
    assert why_errored(Run(has_results=None), lambda: names, never_read) == reason


@pytest.mark.parametrize("mark", ["Out of memory.", "Command error:", "Traceback (most recent call last)"])
def test_marks_in_the_output(mark: str) -> None:
    assert judge(Run(), output=f"start\n{mark} x\nend".encode()) == f"its output says {mark!r}"


def test_a_cuda_error_of_one_probe_is_no_failure() -> None:
    assert judge(Run(), output=b"The CUDA error was: too bad") == ""


@pytest.mark.parametrize("output", [None, b"", b"\xff\xfe", b"Sorting with Kilosort, without the framework"])
def test_outputs_that_say_nothing_bad(output: bytes | None) -> None:
    assert judge(Run(), names=["output", "sorted"], output=output) == ""


def test_sorting_without_nwb() -> None:
    output = b"N E X T F L O W  ~  version 22.10\nspike sorting with KILOSORT"
    assert judge(Run(), ["output", "sorted"], output) == "it sorted spikes, and its results hold no nwb folder"
    assert judge(Run(), ["nwb", "output", "sorted"], output) == ""


def test_the_computation_of_the_sdk_is_a_run() -> None:
    record = {"id": "1", "created": 1, "name": "Run 1", "owner": "", "run_time": 1, "has_results": True}
    good = Computation.from_dict({**record, "state": "completed", "end_status": "succeeded"})
    bad = Computation.from_dict({**record, "state": "completed", "end_status": "stopped"})
    assert is_finished(good)
    assert why_errored(good, lambda: ["nwb"], never_read) == ""
    assert why_errored(bad, never, never_read) == "the run was stopped"


@given(
    st.sampled_from(["initializing", "running", "finalizing", "completed", "failed"]),
    st.sampled_from(["succeeded", "failed", "stopped", None]),
    st.sampled_from([True, False, None]),
    st.lists(st.sampled_from(["output", "nextflow", "nwb", "x"]), unique=True),
    st.binary() | st.none(),
)
def test_only_a_finished_run_is_errored_and_the_reason_is_one_line(
    state: str, end: str | None, results: bool | None, names: list[str], output: bytes | None
) -> None:
    reason = judge(Run(state, end, results), names, output)
    assert "\n" not in reason
    if reason:
        assert is_finished(Run(state, end, results))
    elif state == "completed":
        assert end not in ("failed", "stopped")
        assert set(names) - {"output", "nextflow"}
