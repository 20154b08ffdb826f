"""Which entries of tracked_sessions.yaml an edit says differently."""

from __future__ import annotations

import pytest

from npc_lims.history.walk import days_edited
from npc_lims.model.session_id import day_of
from npc_lims.sources.tracked.parser import parse_tracked
from tests.real import REAL_TRACKED, needs_real

A, B, C = "626791_2022-08-15", "626791_2022-08-16", "668755_2023-08-31"
LAST = "    - //allen/Task 2 pilot/DRpilot_626791_20220816"
TEXT = """\
# yaml-language-server: $schema=docs/schemas/tracked_sessions.schema.json
ephys:
  DynamicRouting: # the first project
    - //allen/Task 2 pilot/DRpilot_626791_20220815:
        day: 1
        issues:
          - https://github.com/lab/state/issues/28 # a word
          - https://github.com/lab/state/issues/117
        session_kwargs:
            probe_letters_to_skip: DE
            # more of it
    - //allen/Task 2 pilot/DRpilot_626791_20220816

  TempletonPilotSession:
  - '//allen/Templeton/2023-08-31_14-00-00_668755':
      notes: "a # b"
behavior:
  DynamicRouting: []
"""


def edited(old: str, new: str, text: str = TEXT) -> set[str]:
    assert old in text
    return set(days_edited(text.encode(), text.replace(old, new, 1).encode()))


@pytest.mark.parametrize(
    ("old", "new", "days"),
    [
        ("day: 1", "day: 2", {A}),
        ("issues/28", "issues/29", {A}),
        ("          - https://github.com/lab/state/issues/117\n", "", {A}),
        ("probe_letters_to_skip: DE\n", "probe_letters_to_skip: DE\n            is_production: false\n", {A}),
        ("DRpilot_626791_20220816", "DRpilot_626791_20220816:\n        day: 2", {B}),
        ("DRpilot_626791_20220816", "DRpilot_626791_20220817", {B, "626791_2022-08-17"}),
        ('notes: "a', 'notes: "b', {C}),
        (f"{LAST}\n", "", {B}),
        ("\n  Templeton", "    - DRpilot_626791_20220901\n\n  Templeton", {"626791_2022-09-01"}),
        ("TempletonPilotSession", "Templeton", {C}),
        ("ephys:", "behavior_with_sync:", {A, B, C}),
        (LAST, f"  Other:\n{LAST}", {B}),
        # nothing that is said
        ("# a word", "# another", set()),
        ("            # more of it\n", "", set()),
        ("day: 1", "day:   1   # or so", set()),
        ("\n\n", "\n", set()),
        ("# the first project", "", set()),
        ("behavior:", "# new\nbehavior:", set()),
        ("behavior:\n  DynamicRouting: []\n", "", set()),
    ],
)  # fmt: skip
def test_days_that_an_edit_changes(old: str, new: str, days: set[str]) -> None:
    assert edited(old, new) == days
    assert set(days_edited(TEXT.replace(old, new, 1).encode(), TEXT.encode())) == days, "and the other way round"


def test_a_file_that_comes_or_goes_changes_all_days() -> None:
    assert days_edited(b"", TEXT.encode()) == {A, B, C} == days_edited(TEXT.encode(), b"")


def test_line_ends_and_indents_change_nothing() -> None:
    assert days_edited(TEXT.encode(), TEXT.replace("\n", "\r\n").encode()) == set()
    lines = TEXT.splitlines(keepends=True)
    deeper = "".join(line if line[0] in "#be" else f" {line}" for line in lines)
    assert days_edited(TEXT.encode(), deeper.encode()) == set()


def test_an_entry_that_moves_among_others_of_its_project_is_unchanged() -> None:
    first = "    - a_626791_20220815\n"
    second = "    - a_626791_20220816:\n        day: 2\n"
    head = "ephys:\n  A:\n"
    assert days_edited(f"{head}{first}{second}".encode(), f"{head}{second}{first}".encode()) == set()


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"- \n-\n--\n", b"<<<<<<< a\n", b"a: [b, {c", b"- 626791_20220815", b"\t- x\n"]
)
def test_whatever_is_in_the_file(content: bytes) -> None:
    assert days_edited(content, content) == set()
    days_edited(TEXT.encode(), content)
    days_edited(content, TEXT.encode() + content)


@needs_real
def test_the_file_of_the_lab() -> None:
    content = REAL_TRACKED.read_bytes()
    known = parse_tracked(content.decode()).sessions
    assert days_edited(b"", content) == {day_of(session) for session in known}
    for edit in (b"day: 1", b"probe_letters_to_skip: "):
        assert len(days_edited(content, content.replace(edit, edit + b"1", 1))) == 1
