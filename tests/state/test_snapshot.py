"""sessions.jsonl: lines that can be told apart, sorted and looked up without parsing them."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.errors import StateError
from npc_lims.state.snapshot import digest_of, line_id, make_line, newest_first, parse_line, split_lines
from tests.builders import SESSION, record, session_ids, tracked


def test_a_line_is_the_record_after_its_digest() -> None:
    made = record(tracked=tracked(notes='été "a"')).as_dict()
    line = make_line(made, "abc")
    assert line.startswith(b'{"id":"626791_2022-08-15","digest":"abc","schema":1,"tracked":{')
    assert b"\n" not in line
    assert "été" in line.decode()
    assert parse_line(line) == {**made, "digest": "abc"}
    assert line_id(line) == SESSION


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_no_text_breaks_a_line(notes: str) -> None:
    lines = [make_line(record(tracked=tracked(notes=notes)).as_dict(), "a") for _ in range(2)]
    read = split_lines(b"".join(line + b"\n" for line in lines))
    assert read == lines
    assert parse_line(read[0])["tracked"].get("notes", "") == notes


@pytest.mark.parametrize("content", [b"", b"\n", b"a\n", b"a\nb\n"])
def test_whole_lines(content: bytes) -> None:
    assert b"".join(line + b"\n" for line in split_lines(content)) == content


@pytest.mark.parametrize("content", [b"a", b"a\nb"])
def test_a_snapshot_that_breaks_off_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="breaks off in the middle of a line"):
        split_lines(content)


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b'{"digest":"a"}', b'{"id":"626791_2022-08-15"', b'{"id":"a'])
def test_what_is_no_line_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a line of a session snapshot"):
        line_id(line)
    with pytest.raises(StateError, match=r"is damaged .*; run npc-lims sync"):
        parse_line(line)


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ('"schema"', ',"schema"'),
        ('"tracked":', '"taken":'),
        ("626791_", "x_"),
        ('"schema":1', '"schema":' + "[" * 99999),
    ],
)
def test_a_line_that_somebody_spoiled_is_named_by_its_beginning(written: str, instead: str) -> None:
    line = make_line(record().as_dict(), "abc").decode()
    assert written in line
    with pytest.raises(StateError, match=r"the line '\{\"id\":.* is damaged .*; run npc-lims sync"):
        parse_line(line.replace(written, instead).encode())


def test_newest_first_then_by_subject_and_index() -> None:
    ids = ["626791_2022-08-15", "626791_2022-08-15_1", "626790_2022-08-15", "700000_2021-01-01", "600000_2023-01-01"]
    assert newest_first(ids) == [
        "600000_2023-01-01",
        "626790_2022-08-15",
        "626791_2022-08-15",
        "626791_2022-08-15_1",
        "700000_2021-01-01",
    ]


@given(st.permutations(session_ids(12)))
def test_one_order_for_the_same_sessions(ids: list[str]) -> None:
    assert newest_first(ids) == newest_first(sorted(ids))


def test_digest_is_sha256() -> None:
    assert digest_of(b"id: a\n") == hashlib.sha256(b"id: a\n").hexdigest()
    assert json.loads(make_line({"id": "a"}, digest_of(b"")))["digest"] == hashlib.sha256().hexdigest()
