"""Calls that block are abandoned at their deadline."""

from __future__ import annotations

import threading

import pytest

from npc_lims.clients.http import DeadlineExceeded, call_within


def test_a_result_and_an_error_come_back() -> None:
    assert call_within(60, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        call_within(60, lambda: 1 / 0)


def test_a_time_out_of_the_call_itself_is_its_own() -> None:
    def fail() -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine") as caught:
        call_within(60, fail)
    assert not isinstance(caught.value, DeadlineExceeded)


@pytest.mark.parametrize("fails", [False, True])
def test_a_call_that_blocks_is_abandoned_and_its_late_result_discarded(fails: bool) -> None:
    go_on, discarded = threading.Event(), threading.Event()
    late: list[int] = []

    def block() -> int:
        go_on.wait(60)
        if fails:
            discarded.set()
            raise ValueError
        return 7

    def discard(result: int) -> None:
        late.append(result)
        discarded.set()

    with pytest.raises(DeadlineExceeded, match=r"not done within 0\.01 s"):
        call_within(0.01, block, discard)
    go_on.set()
    assert discarded.wait(60)
    assert late == ([] if fails else [7])
