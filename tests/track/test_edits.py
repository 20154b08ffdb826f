"""Each rule of editing tracked_sessions.yaml once."""

from __future__ import annotations

import difflib
import subprocess
import sys
from typing import Any

import pytest
import yaml

from npc_lims.errors import NpcLimsError, TrackedFileError
from npc_lims.track.edits import Add, Change, Edit, Remove, make_changes
from tests.track.files import apply_changes

A, B, C, D = (f"//allen/DRpilot_626791_202208{day}" for day in (15, 16, 17, 18))
OTHER = "//allen/DRpilot_668755_20220816"

FILE = f"""\
# the list
ephys: # recordings
  Main:
    - {A}:
        day: 1 # first
        session_kwargs:
            probe_letters_to_skip: DE # not recorded
            # F is fine
            is_video: True
        issues:
          - https://example.org/1 # short
          - https://example.org/2

    # ---- #
    # the second one
    - {B}
    - "{C}": {{day: 3, session_kwargs: {{rig: NP3}}}} # all in one

  Empty:
behavior: {{}}
"""


def diff(old: str, new: str) -> list[str]:
    """The lines that went, with -, and those that came, with +."""
    lines = difflib.ndiff(old.splitlines(), new.splitlines())
    return [line[0] + line[2:] for line in lines if line[0] in "+-"]


def changed(*changes: Change, text: str = FILE) -> list[str]:
    return diff(text, apply_changes(text, changes))


def refused(*changes: Change, text: str = FILE) -> str:
    with pytest.raises(NpcLimsError) as caught:
        apply_changes(text, changes, "f.yaml")
    return str(caught.value)


# --------------------------------------------------------------------------------- editing


def test_a_value_is_replaced_and_the_comment_behind_it_stays() -> None:
    assert changed(Edit("626791_2022-08-15", {"day": 2, "probe_letters_to_skip": "EF"})) == [
        "-        day: 1 # first",
        "+        day: 2 # first",
        "-            probe_letters_to_skip: DE # not recorded",
        "+            probe_letters_to_skip: EF # not recorded",
    ]


@pytest.mark.parametrize(
    "session", ["626791_20220815", "DRpilot_626791_20220815", A, A.upper() + "/", "626791_2022-08-15"]
)
def test_a_session_is_named_in_any_form(session: str) -> None:
    assert len(changed(Edit(session, {"day": 2}))) == 2


def test_values_that_are_there_already_change_nothing() -> None:
    assert changed(Edit(A, {"day": 1, "is_video": True, "session_kwargs.is_video": True}, ("notes", "rig"))) == []


def test_new_keys_go_where_the_usual_order_has_them() -> None:
    assert changed(Edit(A, {"notes": "a: b", "is_production": False})) == [
        '+        notes: "a: b"',
        "+            is_production: false",
    ]


def test_new_keys_go_where_neighbours_have_them() -> None:
    text = f"ephys:\n  P:\n  - {A}:\n      issues: x\n      notes: u\n  - {B}:\n      day: 2\n      issues: w\n"
    assert apply_changes(text, [Edit(B, {"notes": "v"})]) == f"{text}      notes: v\n"


def test_an_entry_without_keys_grows_and_shrinks_again() -> None:
    grown = apply_changes(FILE, [Edit(B, {"rig": "NP3", "day": 2})])
    assert diff(FILE, grown) == [
        f"-    - {B}",
        f"+    - {B}:",
        "+        day: 2",
        "+        session_kwargs:",
        "+            rig: NP3",
    ]
    assert apply_changes(grown, [Edit(B, unset=("day", "rig"))]) == FILE


def test_a_key_goes_with_the_comments_inside_it() -> None:
    assert changed(Edit(A, unset=("session_kwargs",)))[0] == "-        session_kwargs:"
    assert len(changed(Edit(A, unset=("session_kwargs",)))) == 4
    assert changed(Edit(A, unset=("is_video", "probe_letters_to_skip"))) == changed(Edit(A, unset=("session_kwargs",)))
    assert changed(Edit(A, unset=("is_video",))) == ["-            is_video: True"]


def test_a_list_keeps_the_lines_of_items_that_stay() -> None:
    assert changed(Edit(A, append={"issues": ["https://example.org/2", "https://example.org/3"]})) == [
        "+          - https://example.org/3"
    ]
    assert changed(Edit(A, {"issues": ["https://example.org/2"]})) == ["-          - https://example.org/1 # short"]
    assert changed(Edit(A, {"issues": ["https://example.org/1", "x"]})) == [
        "-          - https://example.org/2",
        "+          - x",
    ]


@pytest.mark.parametrize(
    ("put", "drop", "outcome"),
    [
        ({"day": 4}, (), "{day: 4, session_kwargs: {rig: NP3}}"),
        ({"rig": "1, 2"}, (), '{day: 3, session_kwargs: {rig: "1, 2"}}'),
        ({"is_sync": True}, (), "{day: 3, session_kwargs: {is_sync: true, rig: NP3}}"),
        ({"notes": "v"}, ("rig",), "{day: 3, notes: v}"),
        ({}, ("day",), "{session_kwargs: {rig: NP3}}"),
        ({"ephys_day": 1}, ("day", "rig"), "{ephys_day: 1}"),
    ],
)
def test_keys_in_braces(put: dict[str, Any], drop: tuple[str, ...], outcome: str) -> None:
    assert changed(Edit(C, put, drop))[1] == f'+    - "{C}": {outcome} # all in one'


def test_the_last_key_in_braces_takes_them_along() -> None:
    assert changed(Edit(C, unset=("day", "rig")))[1] == f'+    - "{C}" # all in one'


@pytest.mark.parametrize(
    ("old", "put", "new"),
    [
        ("notes: |\n          two\n          lines\n", {"notes": "one"}, "notes: one\n"),
        ("notes: 'it''s'   # c\n", {"notes": "it's"}, "notes: 'it''s'   # c\n"),
        ("notes: long\n          text # c\n", {"notes": "short"}, "notes: short # c\n"),
        ("issues: x # c\n", {"issues": ["x", "z"]}, "issues: # c\n          - x\n          - z\n"),
        ("issues: # c\n        - x\n", {"issues": "z"}, "issues: z # c\n"),
        ("session_kwargs: {rig: a} # c\n", {"rig": "b"}, "session_kwargs: {rig: b} # c\n"),
        ("session_kwargs: {a: [1, 2], b: 2}\n", {"session_kwargs.a": [2]}, "session_kwargs: {a: [2], b: 2}\n"),
        (
            "session_kwargs: {a: 1,\n          # c\n          b: 2}\n",
            {"session_kwargs": {"a": 1}},
            "session_kwargs: {a: 1,\n          # c\n          }\n",
        ),
        ("session_kwargs:\n", {"rig": "b"}, "session_kwargs:\n            rig: b\n"),
        ("rig: old\n", {"rig": "new"}, "session_kwargs:\n            rig: new\n"),
        (
            "session_kwargs:\n          perturbation_day: 1\n",
            {"perturbation_day": 2},
            "session_kwargs:\n          perturbation_day: 2\n",
        ),
        (
            "session_kwargs:\n          notes: x\n          rig: y\n",
            {"notes": "z"},
            "notes: z\n        session_kwargs:\n          rig: y\n",
        ),
        (
            "session_kwargs:\n          a: {b: 1}\n",
            {"session_kwargs.a": {"b": 1, "c": [{"d": 2}]}},
            "session_kwargs:\n          a: {b: 1, c: [{d: 2}]}\n",
        ),
    ],
)
def test_values_of_every_kind(old: str, put: dict[str, Any], new: str) -> None:
    head, tail = f"ephys:\n  P:\n    - {A}:\n        ", f"    # after\n    - {B}\n"
    assert apply_changes(head + old + tail, [Edit(A, put)]) == head + new + tail


def test_an_error_in_the_entry_can_be_corrected_and_removed() -> None:
    text = FILE.replace("day: 1 #", "days: 1 #")
    assert changed(Edit(A, {"day": 1}, ("days",)), text=text) == ["-        days: 1 # first", "+        day: 1"]
    assert changed(Remove(A), text=text)
    assert "unknown key 'days'" in refused(Edit(A, {"notes": "x"}), text=text)
    assert "f.yaml:5:9: error: unknown key 'days'" in refused(Edit(B, {"day": 1}), text=text)
    with pytest.raises(TrackedFileError):
        apply_changes(text, [Remove(B)])


def test_what_stands_at_the_wrong_level_is_found() -> None:
    text = f"ephys:\n  P:\n    - {A}:\n        rig: x\n        session_kwargs:\n            rig: y\n"
    assert changed(Edit(A, unset=("session_kwargs.rig",)), text=text) == [
        "-        session_kwargs:",
        "-            rig: y",
    ]
    assert changed(Edit(A, unset=("rig",)), text=text)[-3:] == [
        "-        rig: x",
        "-        session_kwargs:",
        "-            rig: y",
    ]


@pytest.mark.parametrize(
    ("put", "words"),
    [
        ({"probe_leters": "A"}, "did you mean 'probe_letters"),
        ({"day": "1"}, "day must be a whole number, not the text '1'"),
        ({"day": 0}, "must be 1 or more"),
        ({"notes": None}, "notes has no value"),
        ({"session_kwargs": 1}, "session_kwargs must be a mapping"),
        ({"session_kwargs.mine": float("nan")}, "cannot be written"),
        ({"notes": "half \ud800"}, "half a character"),
    ],
)
def test_values_that_no_key_may_have(put: dict[str, Any], words: str) -> None:
    assert words in refused(Edit(A, put))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            Edit("626791_2022-08-14", {"day": 1}),
            "626791_2022-08-14 is not listed in f.yaml; near it are 626791_2022-08-15",
        ),
        (Edit("nothing", {"day": 1}), "'nothing' names no session"),
        (
            Remove("//elsewhere/DRpilot_626791_20220815"),
            f"is the path of no entry in f.yaml; 626791_2022-08-15 is listed there in line 4 as {A}: give that path",
        ),
        (Edit("\\\\elsewhere\\626791_20220816", {"day": 2}), f"as {B}: give that path, or the id"),
        (Remove("//elsewhere/626791_20220801"), "626791_2022-08-01 is not listed in f.yaml"),
        (Edit(A, unset=("dya",)), "did you mean 'day'"),
        (Edit(A, {"day": 1}, ("day",)), "day is both to be set and to be removed"),
        (Remove("700000_2022-08-14"), "700000_2022-08-14 is not listed"),
    ],
)
def test_changes_that_are_refused(change: Change, words: str) -> None:
    assert words in refused(change)


def test_two_changes_of_one_session_are_refused() -> None:
    assert "two changes of 626791_2022-08-15" in refused(Edit(A, {"day": 2}), Remove("626791_2022-08-15"))


def test_an_anchor_that_others_use_is_not_lost() -> None:
    text = f"ephys:\n  P:\n    - {A}:\n        session_kwargs: &k\n            rig: x\n"
    text += f"    - {B}:\n        session_kwargs: *k\n"
    assert "edit it by hand" in refused(Edit(A, {"rig": "y"}), text=text)
    assert "f.yaml would then hold errors" in refused(Remove(A), text=text)
    assert changed(Edit(B, {"day": 2}), text=text) == ["+        day: 2"]


def test_an_anchor_that_nothing_uses_is_in_nobodys_way() -> None:
    text = f"ephys:\n  P: &p\n    - {A}:\n        issues: &i\n          - x\n"
    text += "        session_kwargs: &k\n            rig: x\n"
    assert changed(Edit(A, {"is_sync": True}, append={"issues": ["z"]}), Add(B), text=text) == [
        "+          - z",
        "+            is_sync: true",
        f"+    - {B}",
    ]


def test_a_file_that_cannot_be_read_is_refused() -> None:
    assert "f.yaml:4:1: error: YAML syntax" in refused(Edit(A, {"day": 1}), text="ephys:\n  P:\n  - [\n")


@pytest.mark.parametrize(
    "text",
    [
        "NO",
        "yes",
        "~",
        "null",
        "1:30",
        "626791_20220815",
        "0x1F",
        "1e3",
        "2022-08-15",
        "# x",
        "a #b",
        "a: b",
        "- x",
        "",
        " x",
        "x ",
        "{a}",
        "[a",
        "a, b",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a`",
        "'a",
        '"a',
        "a\nb",
        "a\\b",
        "\x85\u2028",
        "é",
        "?",
        "=",
        "<<",
    ],
)
def test_a_text_is_read_back_as_itself_by_yaml_1_1_and_1_2(text: str) -> None:
    for session in (A, C):
        new = apply_changes(FILE, [Edit(session, {"notes": text})])
        entries = yaml.safe_load(new)["ephys"]["Main"]
        (keys,) = (entry[session] for entry in entries if isinstance(entry, dict) and session in entry)
        assert keys["notes"] == text


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_breaks_a_mark_and_a_missing_end_stay(ending: str) -> None:
    text = "\ufeff" + f"ephys:\n  P:\n    - {A}".replace("\n", ending)
    new = apply_changes(text, [Edit(A, {"day": 1}), Add(B, values={"day": 2})])
    assert new == "\ufeff" + f"ephys:\n  P:\n    - {A}:\n        day: 1\n    - {B}:\n        day: 2".replace(
        "\n", ending
    )
    assert apply_changes(new, [Remove(B), Edit(A, unset=("day",))]) == text


# --------------------------------------------------------------------------------- removing


def test_comments_and_empty_lines_around_an_entry_stay() -> None:
    assert changed(Remove(B)) == [f"-    - {B}"]
    assert len(changed(Remove(A))) == 9


def test_a_project_without_entries_stays() -> None:
    new = apply_changes(FILE, [Remove(A), Remove(B), Remove(C)])
    assert "  Main:\n\n    # ---- #\n    # the second one\n\n  Empty:\n" in new
    assert apply_changes(new, [Add(D, project="Main")])


def test_all_duplicates_of_a_path_are_removed_and_reported() -> None:
    text = f"ephys:\n  P:\n    - {A}\n    - {B}\n    - {A.upper()}: {{day: 1}}\n"
    done = make_changes(text, [Remove("626791_2022-08-15")])
    assert done.text == f"ephys:\n  P:\n    - {B}\n"
    assert done.notes[0] == "626791_2022-08-15 is listed 2 times, in lines 3, 5: all are removed"


def test_of_duplicates_the_first_is_edited_with_a_note() -> None:
    text = f"ephys:\n  P:\n    - {A}\n    - {A}\n"
    done = make_changes(text, [Edit(A, {"day": 1})])
    assert done.text == f"ephys:\n  P:\n    - {A}:\n        day: 1\n    - {A}\n"
    assert "the entry in line 3, which counts, is changed" in done.notes[0]


def test_ids_that_shift_are_reported() -> None:
    first, second = "//x/2022-09-20_13-21-35_628801", "//x/2022-09-20_14-10-18_628801"
    done = make_changes(f"ephys:\n  P:\n  - {first}\n  - {second}\n", [Remove(first)])
    assert done.notes == (
        "628801_2022-09-20_1 becomes 628801_2022-09-20, as the sessions of its day are numbered again",
    )


def test_days_of_other_sessions_that_shift_are_reported() -> None:
    text = f"ephys:\n  P:\n    - {A}\n    - {C}\n    - {D}: {{day: 9}}\n    - {OTHER}\n"
    told = (
        "experiment_day changes of 626791_2022-08-17 (2 -> {0}): with no day of their own, the sessions of "
        "subject 626791 are numbered by their dates"
    )
    added = make_changes(text, [Add(B)])
    assert added.notes == (told.format(3),)
    assert make_changes(text, [Remove(A)]).notes == (told.format(1),)
    assert make_changes(added.text, [Remove(B), Edit(D, unset=("day",))]).notes == (
        told.format(2).replace("(2 ->", "(3 ->"),
    )
    assert make_changes(text, [Remove(D), Edit(A, {"day": 4})]).notes == ()


def test_entries_in_brackets() -> None:
    text = f"ephys: {{P: [{A}, {{{B}: {{day: 1}}}}, {C}]}}\n"
    assert apply_changes(text, [Remove(B)]) == f"ephys: {{P: [{A}, {C}]}}\n"
    assert apply_changes(text, [Remove(B), Remove(C)]) == f"ephys: {{P: [{A}]}}\n"
    assert apply_changes(text, [Remove(A), Remove(B), Remove(C)]) == "ephys: {P: []}\n"
    assert apply_changes(text, [Edit(A, {"day": 2}), Edit(B, unset=("day",))]) == (
        f"ephys: {{P: [{{{A}: {{day: 2}}}}, {B}, {C}]}}\n"
    )
    assert apply_changes(text, [Add(D, values={"rig": "x"})]) == text.replace(
        f"{C}]", f"{C}, {{{D}: {{session_kwargs: {{rig: x}}}}}}]"
    )


# ----------------------------------------------------------------------------------- adding


def test_a_new_entry_is_written_like_its_neighbours() -> None:
    text = f"ephys:\n    P:\n    -   {A}:\n            session_kwargs:\n              rig: x\n"
    text += "            issues:\n            - y\n"
    keys = {"issues": ["z"], "rig": "w", "day": 2}
    assert changed(Add(B, values=keys), text=text) == [
        f"+    -   {B}:",
        "+            day: 2",
        "+            session_kwargs:",
        "+              rig: w",
        "+            issues:",
        "+            - z",
    ]


def listing(*days: str, subject: int = 626791) -> str:
    return "ephys:\n  P:\n" + "".join(f"    - DRpilot_{subject}_202208{day}\n" for day in days)


def days(text: str) -> list[str]:
    return [line[-2:] for line in text.splitlines() if "DRpilot" in line]


@pytest.mark.parametrize(
    ("there", "new", "outcome"),
    [
        (["10", "12"], "11", ["10", "11", "12"]),
        (["10", "12"], "13", ["10", "12", "13"]),
        (["10", "12"], "09", ["09", "10", "12"]),
        (["12", "10"], "11", ["12", "11", "10"]),
        (["12", "10"], "13", ["13", "12", "10"]),
        (["12", "10"], "09", ["12", "10", "09"]),
    ],
)
def test_beside_the_sessions_of_the_subject(there: list[str], new: str, outcome: list[str]) -> None:
    text = apply_changes(listing(*there), [Add(f"DRpilot_626791_202208{new}")])
    assert days(text) == outcome


def test_else_by_date_and_never_between_the_sessions_of_another_subject() -> None:
    text = listing("10", "12") + listing("20", subject=668755).partition("P:\n")[2]
    for day, outcome in {
        "01": ["01", "10", "12", "20"],
        "11": ["10", "12", "11", "20"],
        "31": ["10", "12", "20", "31"],
    }.items():
        new = apply_changes(text, [Add(f"DRpilot_700000_202208{day}")])
        assert days(new) == outcome


def test_comments_stay_with_what_they_are_about() -> None:
    text = f"ephys:\n  P:\n    - {A}\n    #! ^ two folders\n    # in fact three\n"
    text += f"    # ---- #\n    # 668755\n    - {OTHER}\n"
    assert apply_changes(text, [Add(B)]) == text.replace("three\n", f"three\n    - {B}\n")
    earlier = OTHER.replace("0816", "0815")
    assert apply_changes(text, [Add(earlier)]) == text.replace("# 668755\n", f"# 668755\n    - {earlier}\n")


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("", "ephys:\n  P:\n    - {0}\n"),
        ("# nothing yet\n", "# nothing yet\nephys:\n  P:\n    - {0}\n"),
        ("ephys:", "ephys:\n  P:\n    - {0}"),
        ("ephys: {} # c\n", "ephys: # c\n  P:\n    - {0}\n"),
        ("ephys:\n  P:\n", "ephys:\n  P:\n    - {0}\n"),
        ("ephys:\n  P: [] # c\nbehavior:\n", "ephys:\n  P: # c\n    - {0}\nbehavior:\n"),
        ("ephys:\n  P: # c\n    # d\n  Q:\n", "ephys:\n  P: # c\n    # d\n    - {0}\n  Q:\n"),
        ("ephys:\n   Q:\n   - x_700000_20220101\n", "ephys:\n   Q:\n   - x_700000_20220101\n   P:\n   - {0}\n"),
        ("behavior:\n Q:\n", "behavior:\n Q:\nephys:\n P:\n   - {0}\n"),
    ],
)
def test_platforms_and_projects_are_made(text: str, outcome: str) -> None:
    assert apply_changes(text, [Add(A, project="P")]) == outcome.format(A)


@pytest.mark.parametrize(
    "text", ["{ephys: {Q: [x_700000_20220101]}}\n", "ephys: {Q: [x_700000_20220101]}\n", "ephys: {P: []}\n"]
)
def test_braces_to_which_no_line_can_be_added(text: str) -> None:
    assert "is written in braces" in refused(Add(A, project="P"), text=text)


def test_the_default_project() -> None:
    text = f"ephys:\n  P:\n  - {A}\n  Q:\n  - x_700000_20220101\n  - x_700000_20220102\n"
    assert apply_changes(text, [Add(B)]) == text.replace("  Q:\n", f"  - {B}\n  Q:\n")
    assert apply_changes(text, [Add(OTHER)]).endswith(f"  - {OTHER}\n")
    even = f"ephys:\n  P:\n  - {A}\n  Q:\n  - x_700000_20220101\n"
    assert "ephys has the projects P, Q: name one with --project" in refused(Add(OTHER), text=even)
    assert "no project under behavior" in refused(Add(B, platform="behavior"), text=even)
    assert "there is no platform 'ephis'" in refused(Add(B, platform="ephis", project="P"), text=even)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (A, "listed already, in line 4 of f.yaml: change that entry with npc-lims track edit 626791_2022-08-15"),
        (A.upper(), "is listed already, in line 4"),
        ("//elsewhere/626791_20220815", "if this is another session of that day, add it with idx=1"),
        ("//allen/foo", "no subject and no date"),
        ("//allen/626791_20220231", "no date in the calendar"),
    ],
)
def test_paths_that_cannot_be_added(path: str, words: str) -> None:
    assert words in refused(Add(path))


def test_a_second_session_of_a_day() -> None:
    new = apply_changes(FILE, [Add("//elsewhere/626791_20220815", values={"idx": 1})])
    assert make_changes(new, [Edit("626791_2022-08-15_1", {"day": 1})]).sessions[0].id == "626791_2022-08-15_1"
    timed = "ephys:\n  P:\n  - //x/2022-09-20_13-21-35_628801\n"
    assert apply_changes(timed, [Add("//x/2022-09-20_14-10-18_628801")])
    assert "add it with idx=1" in refused(Add("//x/2022-09-20_12-00-00_628801"), text=timed)


def test_changed_sessions_are_reported() -> None:
    done = make_changes(FILE, [Add(D, values={"day": 3}), Edit(A, {"day": 2, "rig": "x"}), Remove(C)])
    assert [(one.id, *one.what, *one.details) for one in done.sessions] == [
        ("626791_2022-08-18", "added", "day 3"),
        ("626791_2022-08-15", "edited", "day 1 -> 2", "rig nothing -> x"),
        ("626791_2022-08-17", "removed", "day 3", "rig NP3"),
    ]
    done = make_changes(FILE, [Add(D, values={"day": 1})])
    assert "day 1 of subject 626791 is given to 2022-08-18 here" in done.notes[0]


def test_a_change_imports_no_network_client() -> None:
    code = "import npc_lims.track.edits, sys; print(*[m for m in ('boto3', 'requests', 'github') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
