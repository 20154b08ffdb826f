"""Problems that were there before an edit, and new ones."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.errors import Problem, Severity
from npc_lims.track.compare import split_known

TEXT = """\
ephys:
  DynamicRouting:
    - //allen/DRpilot_901001_20240311:
        day: 1
    - //allen/DRpilot_901001_20240312:
        day: 1
"""
MORE = "# one\n# two\n" + TEXT


def problem(line: int, message: str = "day 1 of line 4", severity: Severity = "warning") -> Problem:
    return Problem("tracked.yaml", line, 9, severity, message)


def split(new: Sequence[Problem], text: str, old: Sequence[Problem]) -> tuple[list[int], list[int]]:
    """Lines of the new problems and of the known ones."""
    found, known = split_known(new, text, old, TEXT)
    return [one.line for one in found], [one.line for one in known]


def test_a_problem_that_moved_is_known() -> None:
    assert split([problem(8, "day 1 of line 6")], MORE, [problem(6)]) == ([], [8])
    assert split([problem(8, "day 1 of line 6")], MORE.replace("\n", "\r\n"), [problem(6)]) == ([], [8])


@pytest.mark.parametrize(
    "new",
    [
        problem(4),  # of another session
        problem(6, "day 2 of line 4"),
        problem(6, severity="error"),
    ],
)
def test_what_differs_in_more_than_its_place_is_new(new: Problem) -> None:
    assert split([new], TEXT, [problem(6)]) == ([new.line], [])


def test_as_many_are_known_as_there_were() -> None:
    assert split([problem(5), problem(6)], TEXT, [problem(6)]) == ([6], [5])


def test_problems_before_any_session() -> None:
    assert split([problem(0), problem(1)], TEXT, [problem(2)]) == ([1], [0])


lines = st.integers(0, 9)
some = st.lists(st.builds(problem, lines, st.sampled_from(["a", "b line 3", "b line 4"])))


@given(some, some)
def test_every_problem_is_new_or_known(new: list[Problem], old: list[Problem]) -> None:
    found, known = split_known(new, TEXT, old, TEXT)
    assert sorted([*found, *known]) == sorted(new)
    assert len(known) <= len(old)
    assert split_known(new, TEXT, new, TEXT) == ([], new)
