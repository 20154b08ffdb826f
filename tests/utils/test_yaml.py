"""One YAML rendering for one value, which readers of YAML 1.1 and 1.2 read alike; damaged YAML is a ValueError."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from npc_lims.state.store import parse_record, session_path
from npc_lims.utils.yaml import load_yaml, render_yaml
from tests.builders import SESSION, asset, listing, no_assets, nothing_on_s3, record, tracked, training

# what readers of YAML 1.1 or 1.2 take for something else than the string that it is
TRAPS = (
    "",
    " ",
    "~",
    "null",
    "Null",
    "NULL",
    "y",
    "N",
    "yes",
    "NO",
    "on",
    "Off",
    "TRUE",
    "false",
    "668759_20230711",
    "1_000",
    "0x1F",
    "0o17",
    "017",
    "0b1",
    "1e3",
    "1.5",
    ".5",
    ".inf",
    "-.INF",
    ".nan",
    "NaN",
    "12:30:45",
    "2022-08-15",
    "2022-08-15 13:07:32",
    "=",
    "<<",
    "-",
    "- a",
    "a: b",
    "a:",
    ":a",
    "a #b",
    "#a",
    "!tag",
    "&a",
    "*a",
    "%a",
    "@a",
    "`a",
    "|",
    ">",
    "{a",
    "[a",
    "a]",
    "'a",
    '"a',
    "a'b",
    "?",
    "? a",
    "---",
    "...",
    " a",
    "a ",
    "a\nb",
    "a\\nb",
    "a\tb",
    "\r",
    "\x00",
    "\x85",
    "\u2028",
    "\ufeff",
    "\u202egnp.exe",
    "\u2066a\u2069 \u200f\u061c",
    "é",
    "😀",
    "http://a.b/c?d=e#f",
    "//allen/programs/Task 2 pilot/DRpilot_626791_20220815",
    "C:\\a",
    "stage 5 ori AMN",
    SESSION,
    "83636983-f80d-42d6-a075-09b60c6abd5e",
    "x" * 300,
)

strings = st.sampled_from(TRAPS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | strings
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(strings, inner, max_size=4), max_leaves=15
)
documents = st.dictionaries(strings, values, max_size=5)

_PATH = session_path(Path("state"), SESSION)


def same(left: Any, right: Any) -> bool:
    """Equal in value, type and order."""
    return json.dumps(left) == json.dumps(right)


def read_both(text: str) -> tuple[Any, Any]:
    """As YAML 1.2 and as YAML 1.1."""
    return YAML(typ="safe", pure=True).load(text), yaml.safe_load(text)


@given(documents)
@example({"a": 1e20, "b": 1e-7, "c": -0.0, "d": 1e16, "e": 5e-324})
@example({"a": [[], {}, [[]], [{}], [[1], 2], {"b": []}]})
def test_readers_of_both_versions_read_the_value(document: dict[str, Any]) -> None:
    newer, older = read_both(render_yaml(document))
    assert same(newer, document)
    assert same(older, document)


@pytest.mark.parametrize("text", TRAPS)
def test_a_string_stays_a_string_wherever_it_stands(text: str) -> None:
    document = {"value": text, "list": [text], text: "key", "nested": {text: [text]}}
    for read in read_both(render_yaml(document)):
        assert same(read, document)


@given(documents)
def test_one_rendering_for_one_value(document: dict[str, Any]) -> None:
    text = render_yaml(document)
    assert render_yaml(YAML(typ="safe", pure=True).load(text)) == text


def test_people_can_read_it() -> None:
    made = {
        "id": SESSION,
        "path": "//allen/Task 2 pilot/DRpilot_626791_20220815",
        "asset": "83636983-f80d-42d6-a075-09b60c6abd5e",
        "task": "stage 5 ori AMN",
        "time": "2022-08-15 13:07:32",
        "none": None,
        "yes": [True, 1.5, {"a": 1, "b": [2]}, []],
    }
    assert render_yaml(made) == (
        "id: 626791_2022-08-15\n"
        "path: //allen/Task 2 pilot/DRpilot_626791_20220815\n"
        "asset: 83636983-f80d-42d6-a075-09b60c6abd5e\n"
        "task: stage 5 ori AMN\n"
        'time: "2022-08-15 13:07:32"\n'
        "none: null\n"
        '"yes":\n'
        "- true\n"
        "- 1.5\n"
        "- a: 1\n"
        "  b:\n"
        "  - 2\n"
        "- []\n"
    )


@pytest.mark.parametrize("turning", "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
def test_no_line_turns_the_direction_of_writing(turning: str) -> None:
    assert render_yaml({"notes": f"a{turning}b"}) == f'notes: "a\\u{ord(turning):04x}b"\n'


def test_a_long_note_may_end_in_any_character() -> None:
    """Where each character was tried in two ways, this would not end."""
    note = "word " * 200_000 + "#"
    assert render_yaml({"notes": note}) == f'notes: "{note}"\n'


def test_long_strings_are_not_folded() -> None:
    assert render_yaml({"notes": "word " * 100 + "end"}).count("\n") == 1


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_no_number_that_json_lacks(number: float) -> None:
    with pytest.raises(ValueError, match="no infinite or undefined numbers"):
        render_yaml({"a": number})


@pytest.mark.parametrize("value", [{1, 2}, object()])
def test_no_value_that_json_lacks(value: object) -> None:
    with pytest.raises(TypeError, match="state holds no"):
        render_yaml({"a": value})


@given(st.lists(strings, min_size=1, max_size=3), values)
def test_a_record_survives_its_file(names: list[str], value: Any) -> None:
    made = record(
        tracked=tracked(notes=names[0], issues=names, session_kwargs={"a": value}),
        training=training(task_version=names[0]),
        codeocean=no_assets(raw=asset(names[0])),
        s3=nothing_on_s3(raw=listing(videos=names)),
    )
    content = render_yaml(made.as_dict()).encode()
    read = parse_record(content, _PATH)
    assert read == made
    assert render_yaml(read.as_dict()).encode() == content


@pytest.mark.parametrize(
    "content",
    [
        b'a: "\\Uffffffff"',
        b'a: "\\U00110000"',
        b"[" * 100_000,
        b"a: \xff",
        b"a: \0",
        b"%YAML a.b\n---\n",
        b"*a",
    ],
    ids=lambda content: repr(content[:20]),
)
def test_what_is_no_yaml(content: bytes) -> None:
    with pytest.raises(ValueError) as caught:
        load_yaml(content)
    assert type(caught.value) is ValueError
    assert str(caught.value).isprintable()
    assert 0 < len(str(caught.value)) <= 200


def test_what_is_yaml() -> None:
    assert load_yaml(b"a: [1, null]\n") == {"a": [1, None]}


def test_times_stay_text_and_only_here() -> None:
    content = b"at:   2024-06-01T12:00:00Z\n"
    assert load_yaml(content) == {"at": "2024-06-01T12:00:00Z"}
    assert isinstance(YAML(typ="safe", pure=True).load(content)["at"], datetime.datetime)
