"""What people type into the cells of the planning workbook."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.track.planning.cells import (
    is_filled,
    is_naive,
    is_opto,
    is_production,
    parse_day,
    parse_days,
    parse_depth,
    parse_experiment,
    parse_injection,
    parse_probes,
    parse_subject,
    parse_surface,
    parse_text,
)
from tests.track.planning.books import TODAY

EPOCH = datetime.datetime(1899, 12, 30)
WEEK = datetime.date(2024, 6, 24)


def days(value: object, week_of: datetime.date | None = WEEK) -> list[str]:
    return [str(day) for day in parse_days(value, week_of, TODAY, EPOCH) or ()]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("6/24, 6/25, 6/26", ["2024-06-24", "2024-06-25", "2024-06-26"]),
        ("6/26,6/24 ; 6/25", ["2024-06-24", "2024-06-25", "2024-06-26"]),
        ("6/24 6/25\n6/26", ["2024-06-24", "2024-06-25", "2024-06-26"]),
        ("6/24 & 6/25 and 6/26,", ["2024-06-24", "2024-06-25", "2024-06-26"]),
        ("6/24-6/26", ["2024-06-24", "2024-06-25", "2024-06-26"]),
        ("6/24 – 26", ["2024-06-24", "2024-06-25", "2024-06-26"]),
        ("6/24 to 6/25, 6/28", ["2024-06-24", "2024-06-25", "2024-06-28"]),
        ("6/24/24, 6/25/2024, 2024-06-26", ["2024-06-24", "2024-06-25", "2024-06-26"]),
        ("2024-06-24 - 2024-06-25", ["2024-06-24", "2024-06-25"]),
        ("6/24, 6/24", ["2024-06-24"]),
        ("2024-06-24 00:00:00", ["2024-06-24"]),
        (datetime.datetime(2024, 6, 24), ["2024-06-24"]),
        (45467.0, ["2024-06-24"]),
        ("", []),
        ("none", []),
        (None, []),
    ],
)
def test_days_recorded_are_read_in_many_forms(cell: object, expected: list[str]) -> None:
    assert days(cell) == expected


@pytest.mark.parametrize(
    ("cell", "week_of", "expected"),
    [
        ("12/30, 12/31, 1/2", datetime.date(2024, 12, 30), ["2024-12-30", "2024-12-31", "2025-01-02"]),
        ("12/31-1/3", datetime.date(2024, 12, 30), ["2024-12-31", "2025-01-01", "2025-01-02", "2025-01-03"]),
        ("12/31, 1/2", datetime.date(2025, 1, 1), ["2024-12-31", "2025-01-02"]),
        ("2/29", datetime.date(2025, 1, 6), ["2024-02-29"]),
    ],
)
def test_the_year_is_that_of_the_nearest_day_at_new_year(
    cell: str, week_of: datetime.date, expected: list[str]
) -> None:
    assert days(cell, week_of) == expected


@given(st.dates(datetime.date(2018, 1, 1), datetime.date(2025, 12, 31)), st.integers(-150, 150))
def test_a_day_without_year_within_months_of_its_week_is_itself(day: datetime.date, offset: int) -> None:
    week_of = day + datetime.timedelta(days=offset)
    assert days(f"{day.month}/{day.day}", week_of) == [str(day)]


@pytest.mark.parametrize(
    ("cell", "week_of", "words"),
    [
        ("6/24, maybe 6/25", WEEK, "list them as '6/24, 6/25, 6/26'"),
        ("mon, tue", WEEK, "list them as"),
        ("6/31", WEEK, "'6/31' is no day in the calendar"),
        ("24/6", WEEK, "the month comes first"),
        ("6/24", None, "'week of' is empty"),
        ("6/26-6/24", WEEK, "is no range of days"),
        ("6/24-9/24", WEEK, "is no range of days"),
        ("6/27-7/1", WEEK, "spans a weekend"),
        ("#REF!", WEEK, "Excel error"),
        (12, WEEK, "is no date of a session"),
    ],
)
def test_invalid_days_have_a_reason(cell: object, week_of: datetime.date | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        days(cell, week_of)


def test_dates_may_lie_ahead_and_be_of_any_kind_of_cell() -> None:
    for cell in (datetime.datetime(2024, 6, 24), datetime.date(2024, 6, 24), "6/24/2024", "20240624", 45467, 20240624):
        assert parse_day(cell, TODAY, EPOCH) == WEEK
    assert parse_day("2026-12-24", TODAY, EPOCH) == datetime.date(2026, 12, 24)
    with pytest.raises(ValueError, match="'6/24' is no date of a session: write it as 2024-06-24"):
        parse_day("6/24", TODAY, EPOCH)
    with pytest.raises(ValueError, match="no date"):
        parse_day("  ", TODAY, EPOCH)


@pytest.mark.parametrize("cell", [714748, 714748.0, " 714748 ", "714748", "714748.0"])
def test_a_mouse_is_its_number(cell: object) -> None:
    assert parse_subject(cell) == "714748"


@pytest.mark.parametrize("cell", [None, "", "mouse 1", 12345, 714748.5, "#N/A"])
def test_a_mouse_that_is_no_number_is_refused(cell: object) -> None:
    with pytest.raises(ValueError):
        parse_subject(cell)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("ABCDEF", "ABCDEF"),
        ("abc", "ABC"),
        ("A, B,C", "ABC"),
        ("A/B & F", "ABF"),
        ("all", "ABCDEF"),
        ("A-F", "ABCDEF"),
        ("none", ""),
        ("x", ""),
        (None, None),
        (" ", None),
    ],
)
def test_probes(cell: object, expected: str | None) -> None:
    found = parse_probes(cell)
    assert (found is None and expected is None) or (expected is not None and found == frozenset(expected))


@pytest.mark.parametrize("cell", ["ABG", 6, "A and B", "A?", "#REF!"])
def test_what_are_no_probes_is_refused(cell: object) -> None:
    with pytest.raises(ValueError):
        parse_probes(cell)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (True, True),
        ("Yes", True),
        ("x", False),
        ("no", False),
        (False, False),
        ("none", False),
        ("all", frozenset("ABCDEF")),
        ("f", frozenset("F")),
        ("B, C", frozenset("BC")),
        (None, None),
    ],
)
def test_surface_recordings(cell: object, expected: object) -> None:
    assert parse_surface(cell) == expected


def test_an_invalid_surface_recording_has_a_remedy() -> None:
    with pytest.raises(ValueError, match="letters such as ABF, yes or no"):
        parse_surface("later")


@pytest.mark.parametrize(
    ("cell", "scale", "expected"),
    [
        (3200, 1, 3200),
        ("3,850 µm", 1, 3850),
        ("3200um", 1, 3200),
        (3.9, 1000, 3900),
        ("3.9mm", 1, 3900),
        ("x", 1, None),
    ],
)
def test_depths_are_micrometres(cell: object, scale: float, expected: float | None) -> None:
    assert parse_depth(cell, scale) == expected


@pytest.mark.parametrize("cell", ["deep", -3900, True, 39000, "3,85", "TBD", "?"])
def test_what_is_no_depth_is_refused(cell: object) -> None:
    with pytest.raises(ValueError):
        parse_depth(cell)


@pytest.mark.parametrize("cell", [3.9, "3.9", "99", 0.5])
def test_a_small_depth_without_unit_may_be_millimetres(cell: object) -> None:
    with pytest.raises(ValueError, match="millimetres or micrometres: write its unit"):
        parse_depth(cell)
    assert parse_depth(f"{cell} um") == float(str(cell))
    assert parse_depth(0) == 0


@pytest.mark.parametrize(
    "cell",
    [
        *("Muscimol", "muscimol in aCSF", "Muscimol (1 ug/ul, dissolved in sterile aCSF)", "saline"),
        *("uncontrolled release", "muscimol + TTX", "muscimol injection"),
    ],
)
def test_a_substance_perturbs(cell: str) -> None:
    assert parse_injection(cell) is True


@pytest.mark.parametrize(
    "cell",
    [
        *("aCSF", "ACSF only", "aCSF injection, 500 nl", "Control", "saline control", "control + aCSF"),
        *("none", "None.", "n/a", "-", "N", "0", 0, False, "not injected", "No injection", "no  injections"),
    ],
)
def test_a_control_perturbs_nothing(cell: object) -> None:
    assert parse_injection(cell) is False


@pytest.mark.parametrize(
    "cell",
    [
        *("TBD", "tba", "?", "??", "unknown", "muscimol?", "to be decided", "maybe muscimol", "see notes"),
        *("yes", True, "y", 1, 3.5, "injected", "in aCSF", "muscimol not injected", "no aCSF", "cancelled"),
    ],
)
def test_an_injection_that_is_not_settled_is_refused(cell: object) -> None:
    with pytest.raises(ValueError, match="leaves open what was injected: write a substance, aCSF, control or none"):
        parse_injection(cell)


@pytest.mark.parametrize("control", ["aCSF", "control"])
@pytest.mark.parametrize("joint", [" + ", "+", " and ", ", ", "/", " & ", " or ", " then "])
def test_a_control_beside_another_substance_is_refused(control: str, joint: str) -> None:
    for cell in (f"Muscimol{joint}{control}", f"{control}{joint}Muscimol"):
        with pytest.raises(ValueError, match="names a control beside something else: write one"):
            parse_injection(cell)


def test_acsf_beside_another_substance_is_refused_however_it_is_written() -> None:
    for cell in ("muscimol aCSF", "muscimol (aCSF)", "aCSF -> muscimol"):
        with pytest.raises(ValueError, match="names a control beside something else"):
            parse_injection(cell)


def test_an_injection_without_substance_is_unknown() -> None:
    assert parse_injection(None) is None
    assert parse_injection("  ") is None


def test_experiment_types() -> None:
    assert is_naive("context-Naïve") and not is_naive("prod")
    assert is_opto("prod (opto)") and not is_opto("opto-tagging")
    for text in ("pilot", "test rig", "not production", "DEV", "prod_test", "non-standard"):
        assert is_production(text) is False, text
    for text in (
        "Production",
        "standard",
        "templeton pilot prod",
        "prod, not naive",
        "prod, non-opto",
        "prod, no pilot",
    ):
        assert is_production(text) is True, text
    for text in ("muscimol", "naive", "templeton pilot", "latest", "no opto", "not a test"):
        assert is_production(text) is None, text


@pytest.mark.parametrize(
    "negated", ["no {}", "not {}", "non-{}", "non{}", "without {}", "no_{}", "prod (not {})", "{}: no"]
)
def test_negated_words_are_not_found(negated: str) -> None:
    assert not is_opto(negated.format("opto"))
    assert not is_naive(negated.format("Naïve"))
    assert is_opto(f"{negated.format('naive')}, opto")
    assert is_naive(f"{negated.format('opto')}, context naive")


def test_the_context_may_stand_between() -> None:
    assert not is_naive("not context-naive")
    assert is_opto("opto, no optotagging")


def test_an_experiment_that_is_not_settled_is_refused() -> None:
    assert (parse_experiment(" prod, no opto "), parse_experiment(None)) == ("prod, no opto", None)
    for cell in ("TBD", "?", "naive?", "opto, maybe"):
        with pytest.raises(ValueError, match="leaves the experiment open"):
            parse_experiment(cell)


def test_cells_with_nothing_written() -> None:
    nothing = (None, " ", "X", "n/a", 0, "not inserted", "No probe")
    assert not any(is_filled(cell) for cell in nothing)
    assert all(is_filled(cell) for cell in ("VISp", 3, "VISp?"))
    for cell in ("?", "TBD", "unknown", "VISp, not inserted"):
        with pytest.raises(ValueError, match="leaves open whether anything was there"):
            is_filled(cell)
    assert parse_text(3.0) == "3"
