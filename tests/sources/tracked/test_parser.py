"""tracked_sessions.yaml: every rule once, then any text, then the real file."""

from __future__ import annotations

import collections
import datetime
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from npc_lims.errors import TrackedFileError
from npc_lims.processing.pipelines import parse_pipelines
from npc_lims.sources.tracked.entries import tracked_schema
from npc_lims.sources.tracked.parser import (
    TrackedFile,
    observe_text,
    parse_tracked,
    read_tracked,
    tracked_text,
)
from tests.real import REAL_TRACKED, needs_real

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = ROOT / "docs" / "schemas" / "tracked_sessions.schema.json"
TODAY = datetime.date(2026, 6, 1)


PATH = "//allen/DRpilot_626791_20220815"

GOOD = """\
ephys:
  DynamicRouting:
    - //allen/DRpilot_626791_20220815:
        day: 1
        session_kwargs:
          probe_letters_to_skip: DE # not recorded
          invalid_times:
            - {start_time: 4996, stop_time: -1, reason: no sound}
    - //allen/DRpilot_626791_20220816:
        notes: "a: b"
        issues: https://github.com/AllenInstitute/npc_sessions/issues/28
    - //allen/DRpilot_626791_20220817
  Empty:
behavior:
"""


def parse(text: str) -> TrackedFile:
    return parse_tracked(text, "f", today=TODAY)


def problems(text: str) -> list[str]:
    return [str(problem) for problem in parse(text).problems]


def listing(*entries: str) -> str:
    """A file of these entries, the first of which begins in line 3, column 7."""
    return "ephys:\n  P:\n" + "".join(f"    - {entry}\n" for entry in entries)


def saying(*lines: str) -> str:
    """A file of one entry that says these lines, the first of which begins in line 4, column 9."""
    return listing(f"{PATH}:\n" + "\n".join(f"        {line}" for line in lines))


def only(text: str) -> Any:
    """What a file without problems says of its one session."""
    file = parse(text)
    assert file.problems == ()
    (tracked,) = file.sessions.values()
    return tracked


# --------------------------------------------------------------------------------- good files


def test_reads_entries_in_file_order() -> None:
    file = parse(GOOD)
    assert file.problems == ()
    assert dict(file.lines) == {"626791_2022-08-15": 3, "626791_2022-08-16": 9, "626791_2022-08-17": 12}
    assert list(file.sessions) == list(file.lines)
    first, second, third = file.sessions.values()
    assert first.model_dump() == {
        "platform": "ephys",
        "project": "DynamicRouting",
        "allen_path": PATH,
        "experiment_day": 1,
        "day": 1,
        "session_kwargs": {
            "probe_letters_to_skip": "DE",
            "invalid_times": [{"start_time": 4996, "stop_time": -1, "reason": "no sound"}],
        },
    }
    assert second.issues == ["https://github.com/AllenInstitute/npc_sessions/issues/28"]
    assert (second.notes, second.experiment_day, second.day) == ("a: b", 2, None)
    assert third.experiment_day == 3


@pytest.mark.parametrize(
    ("said", "day"),
    [("{day: 3, ephys_day: 2}", 2), ("{day: 3}", 3), ("{ephys_day: 2}", 2), ("{insertion_day: 5}", 1)],
)
def test_experiment_day_is_ephys_day_then_day_then_place(said: str, day: int) -> None:
    assert only(listing(f"{PATH}: {said}")).experiment_day == day


def test_place_counts_distinct_dates_of_a_subject_in_its_platform_and_project() -> None:
    file = parse(
        listing("//a/626791_20220817", "//a/2022-08-15_10-00-00_626791", "//a/2022-08-15_12-00-00_626791")
        + "  Q:\n    - //a/626791_20220816\n    - //a/626792_20220101\n"
    )
    assert {session: tracked.experiment_day for session, tracked in file.sessions.items()} == {
        "626791_2022-08-17": 2,
        "626791_2022-08-15": 1,
        "626791_2022-08-15_1": 1,
        "626791_2022-08-16": 1,
        "626792_2022-01-01": 1,
    }


@pytest.mark.parametrize(
    "path",
    [
        "//allen/Task 2 pilot/DRpilot_626791_20220815",
        r"\\allen\programs\DRpilot_626791_20220815",
        "//allen/2022-08-15_13-07-32_626791/",
        "s3://bucket/ecephys_626791_2022-08-15_13-07-32",
    ],
)
def test_path_is_kept_as_written(path: str) -> None:
    assert only(listing(f"'{path}'")).allen_path == path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("12", 12),
        ("-1", -1),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("~", None),
        ("null", None),
        ("'true'", "true"),
        ('"12"', "12"),
        ("2022-08-15T", "2022-08-15T"),
        ("probe A", "probe A"),
        ("[1, {a: b}]", [1, {"a": "b"}]),
        ("9" * 101, "9" * 101),
    ],
)
def test_values_follow_the_core_rules_of_yaml_1_2(text: str, value: object) -> None:
    found = only(saying(f"session_kwargs: {{x: {text}}}")).session_kwargs["x"]
    assert (found, type(found)) == (value, type(value))


def test_aliases_repeat_a_value() -> None:
    file = parse(listing(f"{PATH}: &said {{day: 1}}", "//allen/626792_20220815: *said"))
    assert file.problems == ()
    assert [tracked.day for tracked in file.sessions.values()] == [1, 1]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_and_byte_order_mark_make_no_difference(end: str) -> None:
    assert parse("\ufeff" + GOOD.replace("\n", end)) == parse(GOOD)


# ------------------------------------------------------------------------- sessions of one day


def test_start_times_give_the_index() -> None:
    file = parse(listing("//a/2022-09-20_14-10-18_628801", "//a/2022-09-20_13-21-35_628801"))
    assert file.problems == ()
    assert dict(file.lines) == {"628801_2022-09-20_1": 3, "628801_2022-09-20": 4}


def test_explicit_index_wins_and_the_others_take_what_is_free() -> None:
    file = parse(
        listing(
            "//a/2022-09-20_13-00-00_628801: {idx: 1}",
            "//a/628801_20220920_3",
            "//a/2022-09-20_14-00-00_628801",
        )
    )
    assert file.problems == ()
    assert dict(file.lines) == {"628801_2022-09-20_1": 3, "628801_2022-09-20_3": 4, "628801_2022-09-20": 5}


@pytest.mark.parametrize("second", ["//b/626791_20220815", "//b/2022-08-15_10-00-00_626791"])
def test_paths_of_one_day_that_cannot_be_told_apart(second: str) -> None:
    assert problems(listing(PATH, second)) == [
        (
            "f:4:7: error: 626791_2022-08-15 is listed twice, first in line 3 by another path: "
            "keep one or, if they are two sessions, give them 'idx: 0' and 'idx: 1'"
        )
    ]


def test_two_entries_with_one_index() -> None:
    assert problems(listing("//a/626791_20220815: {idx: 1}", "//b/626791_20220815: {idx: 1}")) == [
        "f:4:7: error: 626791_2022-08-15 has the idx 1 in line 3 too: change one"
    ]


@pytest.mark.parametrize(("elsewhere", "how"), [(PATH, ""), ("//b/2022-08-15_10-00-00_626791", " by another path")])
@pytest.mark.parametrize("place", ["  Q:\n", "behavior:\n  P:\n"])
def test_a_session_in_two_places(place: str, elsewhere: str, how: str) -> None:
    (problem,) = problems(listing(PATH) + f"{place}    - {elsewhere}\n")
    line = 4 + place.count("\n")
    start = f"f:{line}:7: error: 626791_2022-08-15 is listed twice, first in line 3 under ephys/P{how}: keep one"
    assert problem.startswith(start)


def test_the_same_path_again_is_passed_over() -> None:
    file = parse(listing(f"{PATH}: {{day: 1}}", f"{PATH.upper()}/: {{day: 1}}"))
    assert list(map(str, file.problems)) == [
        (
            "f:4:7: warning: 626791_2022-08-15 is listed twice, first in line 3, which takes precedence; "
            "this one is equal: remove it"
        )
    ]
    assert dict(file.lines) == {"626791_2022-08-15": 3}


def test_what_differs_in_the_second_of_two_entries_is_named() -> None:
    file = parse(
        listing(
            f"{PATH}: {{day: 1, session_kwargs: {{probe_letters_to_skip: C, is_task: true}}}}",
            f"{PATH}: {{day: 1, session_kwargs: {{probe_letters_to_skip: D}}, issues: a}}",
        )
    )
    assert list(map(str, file.problems)) == [
        (
            "f:4:7: warning: 626791_2022-08-15 is listed twice, first in line 3, which takes precedence; "
            "this one differs: "
            "session_kwargs.probe_letters_to_skip 'C' (used) vs 'D'; session_kwargs.is_task true "
            "(used) vs nothing; "
            "issues nothing (used) vs ['a']; keep one"
        )
    ]
    assert file.sessions["626791_2022-08-15"].session_kwargs["probe_letters_to_skip"] == "C"


def test_one_day_number_for_two_dates() -> None:
    assert problems(listing(f"{PATH}: {{day: 2}}", "//a/626791_20220816: {ephys_day: 2}")) == [
        ("f:4:7: warning: day 2 of subject 626791 is given to 2022-08-16 here and to 2022-08-15 in line 3: check both")
    ]


# --------------------------------------------------------------------------- structure, errors

PLATFORMS = "ephys, behavior_with_sync, behavior"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1:1: error: the file is empty: it must begin with a platform such as 'ephys:'"),
        ("# nothing\n", "1:1: error: the file is empty: it must begin with a platform such as 'ephys:'"),
        ("- a\n", f"1:1: error: the file must be a mapping of platforms ({PLATFORMS}), not a list"),
        ("a", f"1:1: error: the file must be a mapping of platforms ({PLATFORMS}), not the text 'a'"),
        (
            "ephs:\n",
            f"1:1: error: unknown platform 'ephs' (did you mean 'ephys'?): the platforms are {PLATFORMS}",
        ),
        ("DR:\n", f"1:1: error: unknown platform 'DR': the platforms are {PLATFORMS}"),
        ("ephys: 3", "1:8: error: ephys must be a mapping of projects, each with a list, not the integer 3"),
        (
            "ephys:\n  P: a",
            "2:6: error: project 'P' must be a list, not the text 'a': begin each entry with '- '",
        ),
        (
            f"ephys:\n  P:\n    {PATH}:\n      day: 1",
            "3:5: error: project 'P' must be a list, not a mapping: begin each entry with '- '",
        ),
        (listing(""), "3:6: error: an entry with nothing in it: write a path, or remove the dash"),
        (listing("{}"), "3:7: error: an entry with nothing in it: write a path, or remove it"),
        (listing(f"- {PATH}"), "3:7: error: an entry must be a path, not a list: one dash is enough"),
        (
            listing(f"{PATH}:"),
            f"3:7: error: nothing after the colon of '{PATH}': remove the colon, or write keys below it",
        ),
        (
            listing(f"{PATH}:\n      day: 1"),
            "4:7: error: 'day' is beside the path, not below it: indent it further",
        ),
        (
            listing("//a/626791_20220815: {}\n      //a/626791_20220816: {}"),
            (
                "4:7: error: an entry of several keys, '//a/626791_20220815' and '//a/626791_20220816': "
                "one path each; begin the next with '- '"
            ),
        ),
        (
            listing(f"{PATH}: 3"),
            "3:40: error: keys such as day or session_kwargs must follow the path, not the integer 3",
        ),
    ],
)
def test_structure(text: str, problem: str) -> None:
    assert problems(text) == [f"f:{problem}"]


def test_what_stands_under_a_misspelled_platform_is_checked_too() -> None:
    assert len(problems("ephs:\n  P:\n    - //a/nothing\n")) == 2


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (
            "66875920230711",
            (
                "'66875920230711' without quotes is read as the integer 66875920230711: "
                'write "668759_20230711", or the full path'
            ),
        ),
        (
            "668759_20230711",
            (
                "'668759_20230711' without quotes is read as the integer 66875920230711: "
                'write "668759_20230711", or the full path'
            ),
        ),
        (
            "2023-07-11",
            "'2023-07-11' without quotes is read as a date: write \"2023-07-11\", or the full path",
        ),
        ("true", "'true' without quotes is read as true: write \"true\", or the full path"),
        ("//a/DRpilot_626791", "no date in '//a/DRpilot_626791': write <subject>_<YYYYMMDD> in the path"),
        (
            "//a/20220815",
            "no subject (6 or 7 digits) in '//a/20220815': write <subject>_<YYYYMMDD> in the path",
        ),
        ("//a/b", "no subject and no date in '//a/b': write <subject>_<YYYYMMDD> in the path"),
        (
            "//a/626791_20230231",
            "2023-02-31 is no date in the calendar, in '//a/626791_20230231': correct the date",
        ),
        (
            "//a/626791_20231301",
            "2023-13-01 is no date in the calendar, in '//a/626791_20231301': correct the date",
        ),
        ("//a/626791_20150101", "2015-01-01 is before 2016, in '//a/626791_20150101': correct the date"),
        (
            "//a/626791_20260603",
            ("2026-06-03 is in the future, in '//a/626791_20260603': correct the date, or wait for the session"),
        ),
        (
            "//a/626791_20350101",
            "2035-01-01 is no date that a session can have, in '//a/626791_20350101': correct the date",
        ),
    ],
)
@pytest.mark.parametrize("said", ["", ": {day: 1}"])
def test_path_without_a_session(entry: str, said: str, problem: str) -> None:
    assert problems(listing(entry + said)) == [f"f:3:7: error: {problem}"]


def test_tomorrow_is_allowed_since_it_is_tomorrow_elsewhere() -> None:
    assert only(listing("//a/626791_20260602")).experiment_day == 1


# ----------------------------------------------------------------------------- keys and values


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("day: one", "14: error: day must be a whole number, not the text 'one'"),
        ("day: '1'", "14: error: day must be a whole number, not the text '1': remove the quotes"),
        ("day: 1.5", "14: error: day must be a whole number, not the number 1.5"),
        ("day: true", "14: error: day must be a whole number, not true"),
        ("day: 0", "14: error: day must be 1 or more, not the integer 0"),
        ("day: 99999999999999999999", "14: error: day must be 9999 or less, not the integer 99999999999999999999"),
        ("ephys_day: -1", "20: error: ephys_day must be 1 or more, not the integer -1"),
        ("idx: -1", "14: error: idx must be 0 or more, not the integer -1"),
        ("day:", "9: error: day has no value: write it, or remove the key"),
        ("issues: 3", "17: error: issues must be a list or text, not the integer 3: quote it"),
        ("issues: [a, 3]", "21: error: issues[1] must be text, not the integer 3: quote it"),
        ("notes: {a: 1}", "16: error: notes must be text, not a mapping"),
        ("notes: 5", "16: error: notes must be text, not the integer 5: quote it"),
        ("session_kwargs: [1]", "25: error: session_kwargs must be a mapping, not a list"),
        ("session_kwargs:", "9: error: session_kwargs has no value: write it, or remove the key"),
        (
            "dya: 1",
            (
                "9: error: unknown key 'dya' (did you mean 'day'?): the keys are day, ephys_day, "
                "perturbation_day, "
                "insertion_day, idx, session_kwargs, notes, issues"
            ),
        ),
        (
            "zork: 1",
            (
                "9: error: unknown key 'zork': the keys are day, ephys_day, perturbation_day, "
                "insertion_day, idx, session_kwargs, notes, issues"
            ),
        ),
        (
            "probe_letters_to_skip: A",
            (
                "9: warning: 'probe_letters_to_skip' is ignored here, beside session_kwargs: "
                "move it under session_kwargs"
            ),
        ),
        ("notes: NO", "16: warning: 'NO' is text here but false to other YAML readers: quote it"),
        (
            "notes: 2023-07-11",
            "16: warning: '2023-07-11' is text here but a date to other YAML readers: quote it",
        ),
        ("issues: [on]", "18: warning: 'on' is text here but true to other YAML readers: quote it"),
        (
            "notes: !!str a",
            "16: error: an explicit YAML tag (a word after '!'): remove it, and quote what is text",
        ),
    ],
)
def test_keys_of_an_entry(line: str, problem: str) -> None:
    assert problems(saying(line)) == [f"f:4:{problem}"]


@pytest.mark.parametrize(
    ("kwargs", "problem"),
    [
        (
            "is_production: 'false'",
            ("41: error: session_kwargs.is_production must be true or false, not the text 'false': remove the quotes"),
        ),
        (
            "is_production: NO",
            "41: error: session_kwargs.is_production must be true or false, not the text 'NO': write false",
        ),
        (
            "probe_letters_to_skip: G",
            (
                "49: error: session_kwargs.probe_letters_to_skip must be a list or probe letters A "
                "to F such as DE, not the text 'G'"
            ),
        ),
        (
            "concatenate_recordings: r1",
            "50: error: session_kwargs.concatenate_recordings must be a list, not the text 'r1': write [r1]",
        ),
        (
            "invalid_times: [{start_time: 1}]",
            "42: error: session_kwargs.invalid_times[0] lacks 'stop_time': add it",
        ),
        (
            "invalid_times: [{start_time: 1, stop_time: 2, why: 3}]",
            "72: error: unknown key 'why': the keys are start_time, stop_time, reason",
        ),
        (
            "perturbation_day: 0",
            "44: error: session_kwargs.perturbation_day must be 1 or more, not the integer 0",
        ),
        (
            "probe_leters_to_skip: A",
            (
                "26: warning: unknown key 'probe_leters_to_skip' of session_kwargs (did you mean "
                "'probe_letters_to_skip'?): passed on as it is"
            ),
        ),
        (
            "day: 1",
            "26: warning: 'day' has no effect under session_kwargs: move it up, beside session_kwargs",
        ),
        ("x: .inf", "29: error: .inf is no number that JSON can hold: quote it, or write a finite one"),
        (
            "x: [12:30:45]",
            "30: warning: '12:30:45' is text here but a number in base 60 to other YAML readers: quote it",
        ),
        (
            "x: 1_000",
            "29: warning: '1_000' is text here but the integer 1000 to other YAML readers: quote it",
        ),
        (
            "x: 010",
            (
                "29: warning: '010' is the integer 10 here but the integer 8 to other YAML readers: "
                "quote it if it is text, else write it plainly"
            ),
        ),
        ("NO: 1", "26: warning: 'NO' is text here but false to other YAML readers: quote it"),
        ("<<: {a: 1}", "26: error: a merge key (<<): readers disagree about it; write the keys out"),
        ("[1]: 2", "26: error: a key must be plain text, not a list: check brackets and braces"),
        ("x: 1, x: 2", "32: error: 'x' is given twice, first in line 4: keep one"),
        (
            'x: "\\ud800"',
            "29: error: half a character (an escape \\ud800 to \\udfff): write both halves",
        ),
    ],
)
def test_session_kwargs(kwargs: str, problem: str) -> None:
    assert problems(saying(f"session_kwargs: {{{kwargs}}}")) == [f"f:4:{problem}"]


def test_other_names_and_perturbation_day_are_welcome_in_session_kwargs() -> None:
    kwargs = only(saying("session_kwargs: {perturbation_day: 2, anything: 3}")).session_kwargs
    assert kwargs == {"perturbation_day": 2, "anything": 3}


def test_text_keeps_the_letters_that_other_readers_change() -> None:
    file = parse(saying("notes: NO", "session_kwargs: {x: 2023-07-11, y: 12:30:45, z: 1_000}"))
    (tracked,) = file.sessions.values()
    assert tracked.notes == "NO"
    assert tracked.session_kwargs == {"x": "2023-07-11", "y": "12:30:45", "z": "1_000"}


def test_a_key_beside_session_kwargs_is_ignored() -> None:
    (tracked,) = parse(saying("is_task: false", "session_kwargs: {is_video: true}")).sessions.values()
    assert tracked.session_kwargs == {"is_video": True}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ephys:\n  P:\n\t- a", r"3:1: .*'\\t' that cannot start any token; indent with spaces, not tabs"),
        (
            listing("a: b: c"),
            "3:11: mapping values are not allowed here; check the indentation, and quote .*",
        ),
        (listing("'a"), "4:1: found unexpected end of stream; a quote is opened and never closed"),
        (listing("@a"), "3:7: .*; quote a text that begins with such a character"),
        ("ephys:\n  P: []\n Q: []\n", "3:2: .*; check that this line is indented like its neighbours"),
        ("ephys: \x07", "1:8: a control character that YAML does not allow"),
        ('a: "\\U00110000"', r"1:5: \\U00110000 is no character: Unicode ends at 10ffff"),
    ],
)
def test_syntax_errors(text: str, problem: str) -> None:
    (found,) = problems(text)
    position, _, message = problem.partition(": ")
    assert re.fullmatch(f"f:{position}: error: YAML syntax: {message}", found)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "ephys: {}\n---\nephys: {}\n",
            "2:1: error: a second document begins here: keep everything in one, without a line of ---",
        ),
        ("[" * 100_000, "1:21: error: nested deeper than 20 levels: check the brackets and the indentation"),
        ("a: &x [*x]", "1:8: error: the alias *x is inside what it repeats: write the value out"),
        ("a: *x", "1:4: error: the alias *x has no anchor &x before it"),
    ],
)
def test_what_cannot_be_read_on(text: str, problem: str) -> None:
    assert problems(text) == [f"f:{problem}"]


def test_aliases_cannot_blow_up() -> None:
    bomb = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefghij", "bcdefghijk")
    )
    (problem,) = problems(bomb)
    assert problem.endswith("the aliases up to here repeat more than 10000 values: write the values out")


def test_all_problems_are_found_in_one_pass_and_sorted() -> None:
    found = parse(saying("zork: 1", "day: x", "day: 2") + "    - //a/nothing\n    - 5\nephs:\n").problems
    assert [(p.line, p.column, p.severity) for p in found] == [
        (4, 9, "error"),
        (5, 14, "error"),
        (6, 9, "error"),
        (7, 7, "error"),
        (8, 7, "error"),
        (9, 1, "error"),
    ]


@pytest.mark.parametrize(
    ("text", "column", "name"),
    [
        ("//x/626791_20220815\u200b", 26, "U+200B (zero width space), which nobody sees:"),
        ("//x/a\u00a0b/626791_20220815", 12, "U+00A0 (no-break space), which nobody sees as what it is:"),
        ("//x/\u202e/626791_20220815 # \u202e", 11, "U+202E (right-to-left override), which nobody sees:"),
    ],
)
def test_what_nobody_sees_is_told(text: str, column: int, name: str) -> None:
    assert problems(listing("//x/626792_20220815", text)) == [
        f"f:4:{column}: warning: found {name} replace it by a space, or delete it"
    ]


def test_a_byte_order_mark_and_joined_emoji_are_no_slip() -> None:
    assert problems("\ufeff" + listing("//x/626792_20220815:\n        notes: \U0001f469\u200d\U0001f52c")) == []


# ------------------------------------------------------------------------------------- any text


@settings(deadline=None, max_examples=300)
@given(st.text() | st.text(alphabet="ab1:-[]{}&*!|>'\"%@#,? \n\t\\_<~."))
def test_any_text_gives_a_result(text: str) -> None:
    file = parse(text)
    assert all(problem.line >= 1 and problem.column >= 1 for problem in file.problems)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    lines = GOOD.splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 4))):
        n = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.sampled_from(["drop", "double", "swap", "cut", "put"]))
        if kind == "drop" and len(lines) > 1:
            del lines[n]
        elif kind == "double":
            lines.insert(draw(st.integers(0, len(lines))), lines[n])
        elif kind == "swap":
            lines[0], lines[n] = lines[n], lines[0]
        else:
            at = draw(st.integers(0, len(lines[n])))
            new = draw(st.sampled_from(list(" :-[]{}&*!'\"#\t\n0_x"))) if kind == "put" else ""
            lines[n] = lines[n][:at] + new + lines[n][at + (kind == "cut") :]
    return "".join(lines)


# What YAML gives a meaning, and what leaves its scanner as an exception of some kind.
HOSTILE = (
    *(
        '"\\Uffffffff"',
        '"\\U00110000"',
        '"\\Uffff',
        '"\\ud800"',
        '"\\x"',
        "\0",
        "\t",
        "\x85",
        "\u2028",
        "\ud800",
        "\ufffe",
    ),
    *("%YAML 1.1\n---\n", "%YAML 9.9\n", "%YAML a.b\n", "%TAG ! x\n", "%TAG\n", "---\n", "...\n"),
    *("!!int ", "!!python/object:os.system ", "!<x> ", "!", '!!binary "="', "&a ", "*a", "&a *a", "<<: ", "<<: *a\n"),
    *("? ", "- - - ", "{", "}", "[", "]", "[" * 1000, "{a: " * 1000, "- " * 1000, "|9\n", "|-0\n", ">+\n"),
    *("9" * 100_000, "0x" + "f" * 5000, "1e999", ".nan", "-.inf", "1:" * 5000, "a" * 10_000, "idx: 1" + "0" * 250),
)


@st.composite
def harmed(draw: st.DrawFn) -> str:
    text = draw(mutated())
    for hostile in draw(st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=3)):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + hostile + text[at + draw(st.integers(0, 20)) :]
    return text


@settings(deadline=None, max_examples=300)
@given(harmed())
def test_hostile_text_gives_problems_with_positions(text: str) -> None:
    for found in (parse(text).problems, parse_pipelines(text)[1]):
        assert all(problem.line >= 1 and problem.column >= 1 for problem in found)
        assert all(str(problem).isprintable() for problem in found)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('ephys:\n  a:\n    - //x/DRpilot_626792_20220815:\n        notes: "\\Uffffffff"\n', 4, 17),
        ('ephys:\n  a:\n    - b: "é \\U00110000 and more"\n', 3, 13),
        ("ephys:\n  a:\n  - b\n  - [[" + "[" * 10_000, 4, 22),
        ("ephys:\n  a: &a [*a]\n", 2, 10),
        ("%YAML a.b\n---\nephys:\n", 1, 7),
        ("ephys:\n  a:\n    - x\0y\n", 3, 8),
        ("ephys:\n\ta:\n", 2, 1),
    ],
)
def test_what_breaks_a_parser_has_its_position(text: str, line: int, column: int) -> None:
    for found in (parse(text).problems, parse_pipelines(text)[1]):
        assert (found[0].line, found[0].column, found[0].severity) == (line, column, "error")


@settings(deadline=None, max_examples=500)
@given(mutated())
def test_any_slip_gives_a_result(text: str) -> None:
    file = parse(text)
    count = text.count("\n") + 2
    assert all(1 <= problem.line <= count and problem.column >= 1 for problem in file.problems)
    assert all("\n" not in problem.message for problem in file.problems)
    assert set(file.lines) == set(file.sessions)
    json.dumps([tracked.model_dump() for tracked in file.sessions.values()], allow_nan=False)


# ---------------------------------------------------------------------------------------- files


def test_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "tracked_sessions.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert read_tracked(path) == parse(GOOD) == read_tracked(str(path))


def test_errors_of_a_file_are_raised_with_its_warnings(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(saying("notes: NO", "day: x"))
    with pytest.raises(TrackedFileError, match=r"t\.yaml:5:14: error: day must be") as caught:
        read_tracked(path)
    assert [problem.severity for problem in caught.value.problems] == ["warning", "error"]


@pytest.mark.parametrize(
    ("content", "position", "byte"),
    [
        (b"ephys:\n  \xc3\xa9 \xff", (2, 5), "ff"),
        (b"\xff\xfee\x00", (1, 1), "ff"),
        (b"\xef\xbb\xbfa\xe9", (1, 2), "e9"),
    ],
)
def test_a_file_that_is_not_utf_8(tmp_path: Path, content: bytes, position: tuple[int, int], byte: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_bytes(content)
    with pytest.raises(TrackedFileError) as caught:
        read_tracked(path)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == position
    assert problem.message == f"the byte 0x{byte} is not UTF-8: save the file as UTF-8"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    with large.open("wb") as file:
        file.truncate(20_000_001)
    unreadable: list[tuple[Path | str, str]] = [
        (tmp_path / "none.yaml", "there is no such file: give the path of tracked_sessions.yaml"),
        (tmp_path, "a folder: give the path of the file in it"),
        (large, "larger than 20 MB: this cannot be a list of sessions"),
        ("a\0b", "cannot be read: embedded null byte"),
    ]
    for path, message in unreadable:
        with pytest.raises(TrackedFileError) as caught:
            read_tracked(path)
        assert [problem.message for problem in caught.value.problems] == [message]


def test_observation(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(saying("notes: NO"))
    observation = observe_text(*tracked_text(path), {})
    assert (observation.source, observation.complete, observation.failure) == ("tracked", True, None)
    assert list(observation.facts) == ["626791_2022-08-15"]
    assert dict(observation.counts) == {"sessions": 1, "warnings": 1}
    assert [problem.severity for problem in observation.problems] == ["warning"]


# --------------------------------------------------------------------------------------- schema


def is_valid(data: object) -> bool:
    schema = tracked_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return bool(jsonschema.Draft202012Validator(schema).is_valid(data))


def test_committed_schema_is_the_generated_one() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == tracked_schema(), (
        "regenerate it: python scripts/generate.py"
    )


def test_schema_describes_every_key() -> None:
    defs = tracked_schema()["$defs"]
    for model in ("Entry", "SessionKwargs", "InvalidTime"):
        for name, described in defs[model]["properties"].items():
            assert described.get("description") or "$ref" in described, f"{model}.{name} has no description"


def test_schema_accepts_a_good_file() -> None:
    assert is_valid(YAML(typ="safe").load(GOOD))


@pytest.mark.parametrize(
    "text",
    [
        "ephs: {}",
        "ephys: {P: a}",
        listing("//a/b"),
        listing("//a/626791_20231301"),
        listing(f"{PATH}:"),
        listing(f"{PATH}:\n      day: 1"),
        saying("day: 0"),
        saying("day: '1'"),
        saying("issues: 3"),
        saying("notes: {a: 1}"),
        saying("zork: 1"),
        saying("session_kwargs: [1]"),
        saying("session_kwargs: {is_production: 'false'}"),
        saying("session_kwargs: {invalid_times: [{start_time: 1}]}"),
    ],
)
def test_schema_and_reader_refuse(text: str) -> None:
    assert not is_valid(YAML(typ="safe").load(text))
    assert any("error" in problem for problem in problems(text))


# ---------------------------------------------------------------------------------- the real file


@needs_real
def test_real_file_loads_with_its_mistakes_listed() -> None:
    file = read_tracked(REAL_TRACKED)
    assert len(file.sessions) == 398
    kinds = collections.Counter(
        next(
            kind
            for kind in ("listed twice", "is ignored here", "check both")
            if problem.severity == "warning" and kind in problem.message
        )
        for problem in file.problems
    )
    assert kinds == {"listed twice": 42, "is ignored here": 3, "check both": 2}
    assert sum("differs" in problem.message for problem in file.problems) == 7
    assert [p.line for p in file.problems if "is ignored here" in p.message] == [1168, 1192, 1198]


@needs_real
def test_real_file_has_two_sessions_of_one_day() -> None:
    file = read_tracked(REAL_TRACKED)
    first, second = file.sessions["628801_2022-09-20"], file.sessions["628801_2022-09-20_1"]
    assert "13-21-35" in first.allen_path
    assert "14-10-18" in second.allen_path
    assert first.experiment_day == second.experiment_day == 2


@needs_real
def test_schema_accepts_the_real_file() -> None:
    assert is_valid(YAML(typ="safe").load(REAL_TRACKED.read_text(encoding="utf-8")))
