"""Facts of session files, whoever wrote them, and the transition between two versions of one."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.errors import StateError
from npc_lims.history.transitions import compare_versions
from npc_lims.model.record import Record
from npc_lims.state.compare import parse_facts
from npc_lims.state.diff import compare_sessions
from npc_lims.state.revision import Commit
from npc_lims.state.store import parse_record
from npc_lims.utils.yaml import read_rendered, render_yaml
from tests import builders
from tests.strategies import records

ID = builders.SESSION
PATH = PurePosixPath(f"state/sessions/626791/{ID}.yaml")

words = st.text() | st.sampled_from(
    ["a: b", "- a", "-", "a:", "x:y", "# a", "no", "1", "1.0e+20", ID, "'a'", "~", "{}"]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3))


@given(st.dictionaries(words, values, min_size=1, max_size=3))
def test_what_is_rendered_is_read(value: dict[str, Any]) -> None:
    assert repr(read_rendered(render_yaml(value))) == repr(value)


@pytest.mark.parametrize(
    "text",
    ["", "{}\n", "a: 1", "a:  1\n", "a: 'x'\n", "a: 0x10\n", "a: yes\n", "# x\na: 1\n", "a: 1\na: 2\n", "- a\n",
     "a:\n  - 1\n", "a: |\n  x\n", "a: {b: 1}\n", "a: 1\r\n", "a: &x 1\n", "a: 01\n", "a:\n", "<<<<<<< a\n",
     'a: "\\x"\n', "a: [\n"],
)  # fmt: skip
def test_whatever_is_written_otherwise_is_left_to_others(text: str) -> None:
    assert read_rendered(text) is None


@given(records(ID), records(ID))
def test_versions_have_the_facts_of_their_files(before: Record, after: Record) -> None:
    old, new = (parse_facts(render_yaml(record.as_dict()).encode(), PATH) for record in (before, after))
    assert (old, new) == (before.as_dict(), after.as_dict())
    found = compare_versions(ID, Commit("a" * 40, "2024-01-01T00:00:00Z"), old, new, begins=False)
    expected = compare_sessions({ID: before.as_dict()}, {ID: after.as_dict()})
    assert ([] if found is None else [found.change]) == expected


FULL = render_yaml(
    builders.record(
        tracked=builders.tracked(notes="word", session_kwargs={"a b": [1, {"c": None}]}, issues=["x"]),
        training=builders.training(rig_name="NP2", hits=None),
        codeocean=builders.no_assets(raw=builders.asset(location="s3://a/b")),
        s3=builders.nothing_on_s3(raw=builders.listing(videos=["a.mp4"])),
    ).as_dict()
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("schema: 1\n", "# by hand\nschema: 1\n"),
        ("  notes: word\n", "  notes: 'word'\n"),
        ("  notes: word\n", '  notes: ""\n'),  # a default, which files leave out
        ("  surface: false\n", ""),  # a field that older files lack
        ("  errored: {}\n", ""),
        ("tracked:", "tracked:   "),
        ("\n", "\r\n"),
        ("training:", "training: # row\n"),
        (FULL[FULL.index("\nstatus:") + 1 :], "status: {}\n"),
        (FULL[FULL.index("\ns3:") + 1 : FULL.index("\nstatus:") + 1], "s3: false\n"),
        (FULL[FULL.index("\ns3:") + 1 : FULL.index("\nstatus:") + 1], "s3: null\n"),
        (FULL[FULL.index("\ns3:") + 1 : FULL.index("\nstatus:") + 1], ""),
    ],
)
def test_files_that_people_edited_have_the_same_facts_for_all(old: str, new: str) -> None:
    assert old in FULL
    content = FULL.replace(old, new).encode()
    assert parse_facts(content, PATH) == parse_record(content, PATH).as_dict()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (ID, "626791_2022-08-16"),
        ("  platform: ephys\n", "  platform: ephis\n"),
        ("  platform: ephys\n", ""),
        ("  platform: ephys\n", "  platform: ephys\n  platform: ephys\n"),
        ("  notes: word\n", "  note: word\n"),
        ("codeocean:", "code:"),
        ("status:", "status: x"),
        ("s3:\n", "s3: {}\n"),
        ("status:\n", "status: {}\nstatus:\n"),
        ("id: ", "<<<<<<< a\nid: "),
        ("schema: 1", "schema: one"),
        ("schema: 1\n", ""),
        ("tracked:\n", "tracked: true\n"),
        (FULL, ""),
        (FULL, "x"),
        (FULL, "- schema: 2\n"),
        (FULL, "schema: 2\na: .nan\n"),
    ],
)
def test_damaged_files_are_errors(old: str, new: str) -> None:
    assert old in FULL
    with pytest.raises(StateError, match=str(PATH)):
        parse_facts(FULL.replace(old, new).encode(), PATH)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a\0b", FULL.encode().replace(b"notes: word", b"notes: \xff")])
def test_bytes_that_are_no_text_are_errors(content: bytes) -> None:
    with pytest.raises(StateError, match=str(PATH)):
        parse_facts(content, PATH)


def test_another_schema_is_read_as_plain_data() -> None:
    content = FULL.replace("schema: 1", "schema: 2").replace("tracked:", "tracked_by:").encode()
    facts = parse_facts(content, PATH)
    assert (facts["schema"], facts["tracked_by"]["notes"]) == (2, "word")
    by_hand = content.replace(b"notes: word", b"notes: 'word'")
    assert parse_facts(by_hand, PATH) == facts
