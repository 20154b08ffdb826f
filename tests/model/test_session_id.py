"""Session ids in their one written form."""

from __future__ import annotations

import datetime

import npc_session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.model.session_id import (
    ID_PATTERN,
    day_of,
    make_session_id,
    parse_session_id,
    split_session_id,
    subject_of,
)

subjects = st.integers(100_000, 9_999_999).map(str)
# the years that npc_session knows
dates = st.dates(datetime.date(2010, 1, 1), datetime.date(2029, 12, 31)).map(datetime.date.isoformat)


@given(subjects, dates, st.integers(0, 30))
def test_split_takes_apart_what_make_puts_together(subject: str, date: str, idx: int) -> None:
    made = make_session_id(subject, date, idx)
    assert split_session_id(made) == (subject, date, idx)
    assert parse_session_id(made) == made
    assert (subject_of(made), day_of(made)) == (subject, f"{subject}_{date}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "626791",
        "626791_2022-08-15_0",
        "626791_2022-08-15_01",
        "626791_20220815",
        "626791_2022-08-15 ",
        "626791_2022-08-15\n",
        "26791_2022-08-15",
        "../626791_2022-08-15",
        "٦٢٦٧٩١_2022-08-15",
    ],
)
def test_split_takes_the_written_form_only(text: str) -> None:
    with pytest.raises(ValueError, match="is not a session id such as 626791_2022-08-15"):
        split_session_id(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("DRpilot_626791_20220815", "626791_2022-08-15"),
        ("//allen/programs/PilotEphys/Task 2 pilot/DRpilot_626791_20220815_surface_channels", "626791_2022-08-15"),
        ("ecephys_626791_2022-08-15_13-07-32", "626791_2022-08-15"),
        ("ecephys_626791_2022-08-15_13-07-32_sorted_2023-07-11_09-00-00", "626791_2022-08-15"),
        ("626791_2022-08-15_0", "626791_2022-08-15"),
        ("626791_20220815_1", "626791_2022-08-15_1"),
        ("1234567_2022-08-15", "1234567_2022-08-15"),
        (npc_session.SessionRecord("626791_2022-08-15"), "626791_2022-08-15"),
        (npc_session.SessionRecord("626791_2022-08-15_2"), "626791_2022-08-15_2"),
    ],
)
def test_parse_gives_the_written_form(value: object, expected: str) -> None:
    assert parse_session_id(value) == expected


def test_parse_takes_anything_with_an_id() -> None:
    class Info:
        id = "DRpilot_626791_20220815"

    assert parse_session_id(Info()) == "626791_2022-08-15"


@pytest.mark.parametrize(
    "value", ["", "hello", 626791, None, "626791", "626791_2022-13-45", "626791_2022-02-30", "2022-08-15"]
)
def test_parse_refuses_what_is_no_session(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_session_id(value)


@given(subjects, dates, st.sampled_from(["", "_13-07-32", "_1", "_surface_channels"]))
def test_what_parse_gives_is_in_the_written_form(subject: str, date: str, rest: str) -> None:
    assert ID_PATTERN.fullmatch(parse_session_id(f"ecephys_{subject}_{date}{rest}"))


@pytest.mark.parametrize("digits", [3, 250, 5000])
@pytest.mark.parametrize("before", ["626791_2022-08-15", "ecephys_626791_2022-08-15_13-07-32"])
def test_an_index_of_many_digits_is_no_session(before: str, digits: int) -> None:
    with pytest.raises(ValueError, match=r"(an index above 99|Exceeds the limit)"):
        parse_session_id(f"{before}_{'1' * digits}")
