"""Entries that repeat a path."""

from __future__ import annotations

import pytest

from npc_lims.errors import TrackedFileError
from npc_lims.track.edits import dedupe

A, B = "//allen/DRpilot_626791_20220815", "//allen/DRpilot_626791_20220816"

HEAD = f"ephys:\n  P:\n    - {A}:\n        day: 1 # one\n    # next\n"
SAME = f"    - {A.upper()}: {{day: 1}} # two\n"
DIFFERENT = f"    - {A}/:\n        day: 2\n        # inside\n"
TAIL = f"    # last\n    - {B}\n"


def test_an_equal_duplicate_is_removed() -> None:
    done = dedupe(HEAD + SAME + TAIL)
    assert done.text == HEAD + TAIL
    (repeat,) = done.removed
    assert (repeat.line, repeat.id, repeat.differs) == (6, "626791_2022-08-15", False)
    assert "this one is equal" in repeat.problem
    assert done.left == ()


def test_one_that_differs_stays_and_is_reported() -> None:
    done = dedupe(HEAD + SAME + DIFFERENT + TAIL)
    assert done.text == HEAD + DIFFERENT + TAIL
    assert [repeat.line for repeat in done.removed] == [6]
    (left,) = done.left
    assert (left.line, left.differs) == (7, True)
    assert "this one differs: day 1 (used) vs 2" in left.problem


def test_the_first_or_the_last_can_stay() -> None:
    first = dedupe(HEAD + DIFFERENT + TAIL, keep="first")
    assert (first.text, [repeat.line for repeat in first.removed], first.left) == (HEAD + TAIL, [6], ())
    last = dedupe(HEAD + DIFFERENT + TAIL, keep="last")
    assert last.text == "ephys:\n  P:\n    # next\n" + DIFFERENT + TAIL
    assert [repeat.line for repeat in last.removed] == [3]


def test_of_equal_ones_the_first_stays_whatever_keep_is() -> None:
    for keep in ("first", "last"):
        assert dedupe(HEAD + SAME + TAIL, keep=keep).text == HEAD + TAIL  # type: ignore[arg-type]


def test_a_duplicate_in_another_project_differs() -> None:
    text = f"ephys:\n  P:\n  - {A}\n  Q:\n  - {A}\n"
    with pytest.raises(TrackedFileError, match="under ephys/P: keep one"):
        dedupe(text)
    assert dedupe(text, keep="first").text == f"ephys:\n  P:\n  - {A}\n  Q:\n"
    assert dedupe(text, keep="last").text == f"ephys:\n  P:\n  Q:\n  - {A}\n"


def test_nothing_to_do() -> None:
    done = dedupe("\ufeff" + HEAD + TAIL.rstrip())
    assert (done.text, done.removed, done.left) == ("\ufeff" + HEAD + TAIL.rstrip(), (), ())


def test_errors_elsewhere_are_refused() -> None:
    with pytest.raises(TrackedFileError, match="days"):
        dedupe(HEAD.replace("day:", "days:") + TAIL)
