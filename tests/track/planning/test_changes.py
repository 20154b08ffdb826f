"""What an import makes of the tracked file: which source wins, what is listed, what stays as it is."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npc_lims.errors import Problem, TrackedFileError
from npc_lims.sources.tracked.entries import KNOWN_KWARGS
from npc_lims.sources.tracked.parser import parse_tracked
from npc_lims.state.diff_format import Format, render_chapters
from npc_lims.track.edits import Add, Edit, make_changes
from npc_lims.track.planning.batch_files import read_batches
from npc_lims.track.planning.changes import (
    ImportPlan,
    PlannedSession,
    import_chapter,
    import_report,
    join_plans,
    plan_import,
)
from npc_lims.track.planning.workbook import read_planning_workbooks
from tests.real import REAL_TRACKED, needs_real
from tests.track.files import apply_changes
from tests.track.planning.books import (
    BY_MOUSE,
    BY_SESSION,
    MOUSE,
    ROOT,
    TODAY,
    plan_book,
    session_row,
    uploaded,
    write_batch,
    write_book,
)

DAY = datetime.datetime(2024, 6, 24)
SESSION = "714748_2024-06-24"
PATH = f"{ROOT}/DRpilot_714748_20240624"
TRACKED = f"""\
ephys:
  DynamicRouting:
    - {ROOT}/DRpilot_700000_20230101:
        ephys_day: 1 # before
    - {PATH}:
        ephys_day: 1
        session_kwargs:
            probe_letters_to_skip: DE # not inserted
    - {ROOT}/DRpilot_714748_20240625: # next
        ephys_day: 2
  TempletonPilotSession:
    - //allen/templeton/pilot recordings/2024-01-09_10-00-00_700001
"""
NOTHING = "ephys:\n  DynamicRouting:\n"


def planned(session: str = SESSION, *paths: str, workbook: Any = (), config: Any = (), **more: Any) -> PlannedSession:
    fields = {"platform": "ephys", "surface_at_least": "", "where": "here", **more}
    return PlannedSession(session, tuple(paths), workbook=dict(workbook), config=dict(config), **fields)


def plan(text: str, *sessions: PlannedSession, **more: Any) -> ImportPlan:
    return plan_import(sessions, text, today=TODAY, **more)


def joined(book: Path, *batches: Path) -> tuple[tuple[PlannedSession, ...], list[Problem]]:
    return join_plans(read_planning_workbooks([book], TODAY), read_batches(batches))


def kwargs_of(text: str, session: str = SESSION) -> dict[str, Any]:
    return dict(parse_tracked(text).sessions[session].session_kwargs)


def conflicts(plan: ImportPlan) -> list[str]:
    return [f"{one.id}: {message}" for one in plan.conflicts for message in one.what]


def skipped(plan: ImportPlan) -> dict[str, str]:
    return {skip.id: skip.what[0].removesuffix(" (here)") for skip in plan.skipped}


def unchanged(plan: ImportPlan) -> list[str]:
    return [one.id for one in plan.unchanged]


# ------------------------------------------------------------------- who says what, and wins


def test_the_workbook_wins_over_the_config_which_wins_over_the_file() -> None:
    found = plan(
        TRACKED,
        planned(
            workbook={"probe_letters_to_skip": "EF"},
            config={"probe_letters_to_skip": "F", "ephys_day": 3, "is_video": False},
        ),
    )
    assert found.changes == [Edit(SESSION, set={"probe_letters_to_skip": "EF", "ephys_day": 3, "is_video": False})]
    assert conflicts(found) == [
        f"{SESSION}: probe_letters_to_skip: workbook EF, session_config.json F, tracked DE: EF is taken",
        f"{SESSION}: ephys_day: session_config.json 3, tracked 1: 3 is taken",
    ]


def test_fields_that_nobody_names_stay() -> None:
    found = plan(TRACKED, planned())
    assert (found.changes, found.conflicts, unchanged(found)) == ([], [], [SESSION])


def test_all_probes_recorded_unsets_what_was_skipped() -> None:
    found = plan(TRACKED, planned(workbook={"probe_letters_to_skip": ""}))
    assert found.changes == [Edit(SESSION, unset=("probe_letters_to_skip",))]
    assert conflicts(found) == [f"{SESSION}: probe_letters_to_skip: workbook none, tracked DE: none is taken"]
    assert kwargs_of(apply_changes(TRACKED, found.changes)) == {}


@pytest.mark.parametrize("written", ["DE", "ED", "[D, E]"])
def test_the_same_letters_written_another_way_are_no_change(written: str) -> None:
    text = TRACKED.replace("skip: DE", f"skip: {written}")
    found = plan(text, planned(workbook={"probe_letters_to_skip": "DE"}))
    assert (found.changes, found.conflicts) == ([], [])


@pytest.mark.parametrize(
    "name", ["is_context_naive", "is_deep_insertion", "is_injection_perturbation", "is_opto_perturbation"]
)
def test_false_adds_nothing_but_takes_a_present_true_away(name: str) -> None:
    assert plan(TRACKED, planned(workbook={name: False})).changes == []
    text = TRACKED.replace("probe_letters_to_skip: DE", f"{name}: true")
    found = plan(text, planned(workbook={name: False}))
    assert found.changes == [Edit(SESSION, unset=(name,))]
    assert conflicts(found) == [f"{SESSION}: {name}: workbook false, tracked true: false is taken"]
    assert plan(text.replace("true", "false"), planned(workbook={name: False})).changes == []


def test_production_is_written_only_where_it_is_not() -> None:
    assert plan(TRACKED, planned(workbook={"is_production": True})).changes == []
    assert plan(TRACKED, planned(workbook={"is_production": False})).changes == [
        Edit(SESSION, set={"is_production": False}),
    ]
    text = TRACKED.replace("probe_letters_to_skip: DE", "is_production: false")
    assert plan(text, planned(workbook={"is_production": True})).changes == [Edit(SESSION, unset=("is_production",))]


def test_the_older_name_of_the_day_counts() -> None:
    text = TRACKED.replace("ephys_day: 1\n        session", "day: 1\n        session")
    assert plan(text, planned(workbook={"ephys_day": 1})).changes == []
    found = plan(text, planned(workbook={"ephys_day": 2}))
    assert found.changes == [Edit(SESSION, set={"ephys_day": 2})]
    assert parse_tracked(apply_changes(text, found.changes)).sessions[SESSION].experiment_day == 2


def test_perturbation_day_is_compared_where_it_stands() -> None:
    text = TRACKED.replace("probe_letters_to_skip: DE", "perturbation_day: 2")
    assert plan(text, planned(config={"perturbation_day": 2})).changes == []
    new = apply_changes(text, plan(text, planned(config={"perturbation_day": 3})).changes)
    assert plan(new, planned(config={"perturbation_day": 3})).changes == []


def test_a_surface_recording_of_unnamed_probes_adds_those_not_recorded() -> None:
    known = planned(workbook={"probe_letters_to_skip": "DE"}, surface_at_least="DE")
    assert plan(TRACKED, known).changes == [Edit(SESSION, set={"surface_recording_probe_letters_to_skip": "DE"})]
    finer = TRACKED.replace("skip: DE", "skip: DE\n            surface_recording_probe_letters_to_skip: BDE")
    assert plan(finer, known).changes == []
    from_config = planned(config={"surface_recording_probe_letters_to_skip": "A"}, surface_at_least="DE")
    (change,) = plan(TRACKED, from_config).changes
    assert isinstance(change, Edit)
    assert change.set == {"surface_recording_probe_letters_to_skip": "ADE"}


# ------------------------------------------------------------------------ adding and skipping


def test_a_session_that_is_new_needs_a_path() -> None:
    new = planned(
        "714748_2024-06-26",
        f"{ROOT}/DRpilot_714748_20240626",
        workbook={"ephys_day": 3, "is_deep_insertion": True, "is_context_naive": False, "probe_letters_to_skip": ""},
    )
    found = plan(TRACKED, new, planned("714748_2024-06-27"))
    values = {"ephys_day": 3, "is_deep_insertion": True}
    assert found.changes == [Add(new.paths[0], platform="ephys", project="DynamicRouting", values=values)]
    assert skipped(found) == {"714748_2024-06-27": "not uploaded: no path"}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"workbook": {"project": "dynamic routing"}}, "DynamicRouting"),
        ({"workbook": {"project": "DR"}}, "DynamicRouting"),
        ({"workbook": {"project": "Templeton"}}, "TempletonPilotSession"),
        ({"config": {"project": "TempletonPilotSession"}}, "TempletonPilotSession"),
        ({"workbook": {"project": "DR"}, "config": {"project": "Templeton"}}, "DynamicRouting"),
        ({}, None),
    ],
)
def test_the_project_is_that_of_workbook_or_config(said: Any, expected: str | None) -> None:
    found = plan(NOTHING, planned(SESSION, PATH, **said))
    assert [change.project for change in found.changes if isinstance(change, Add)] == ([expected] if expected else [])
    assert skipped(found) == ({} if expected else {SESSION: "its project is unknown: give --project"})
    assert len(found.conflicts) == (len(said) == 2)


def test_the_project_is_else_that_of_the_other_sessions_in_the_folder() -> None:
    found = plan(TRACKED, planned("714748_2024-06-26", f"{ROOT}/DRpilot_714748_20240626"))
    assert [change.project for change in found.changes if isinstance(change, Add)] == ["DynamicRouting"]


def test_an_unknown_project_is_skipped_unless_one_is_given() -> None:
    new = planned(SESSION, PATH, workbook={"project": "Mars"})
    assert "'Mars', which is none of DynamicRouting, TempletonPilotSession" in skipped(plan(NOTHING, new))[SESSION]
    (change,) = plan(NOTHING, new, project="Mars").changes
    assert isinstance(change, Add)
    assert change.project == "Mars"


def test_several_paths_for_a_new_session_are_left_to_a_person() -> None:
    found = plan(NOTHING, planned(SESSION, PATH, f"{PATH}_b", workbook={"project": "DR"}))
    assert "uploaded from several paths" in skipped(found)[SESSION]
    assert found.conflicts == []


def test_a_session_ahead_is_not_added() -> None:
    found = plan(NOTHING, planned("714748_2026-12-24", f"{ROOT}/DRpilot_714748_20261224"))
    assert skipped(found) == {"714748_2026-12-24": "its date lies ahead"}


def test_another_path_or_project_than_the_entrys_is_listed_and_the_entry_stays() -> None:
    found = plan(TRACKED, planned(SESSION, "/data/DRpilot_714748_20240624", workbook={"project": "Templeton"}))
    assert found.changes == []
    path, project = conflicts(found)
    assert path.startswith(f"{SESSION}: path: upload /data/DRpilot_714748_20240624, tracked //allen/")
    assert project.startswith(
        f"{SESSION}: project: workbook Templeton, tracked DynamicRouting: DynamicRouting is taken"
    )
    assert all("an import moves no entry" in text for text in (path, project))


def test_a_path_written_with_backslashes_is_the_same_path() -> None:
    assert plan(TRACKED, planned(SESSION, PATH.replace("/", "\\").upper())).conflicts == []


def test_a_session_tracked_below_another_platform_is_left_alone() -> None:
    text = NOTHING + f"behavior_with_sync:\n  DynamicRouting:\n    - {PATH}\n"
    assert "tracked below behavior_with_sync" in skipped(plan(text, planned(workbook={"ephys_day": 3})))[SESSION]
    assert plan(text, planned(workbook={"ephys_day": 3}, platform="behavior_with_sync")).skipped == []


def test_of_two_sessions_of_a_day_the_path_identifies_one() -> None:
    text = TRACKED.replace(f"{PATH}:\n", f"{PATH}_b:\n        idx: 1\n    - {PATH}:\n        idx: 0\n")
    said = {"workbook": {"is_deep_insertion": True}}
    assert plan(text, planned(SESSION, f"{PATH}_b", **said)).changes == [
        Edit(f"{SESSION}_1", set={"is_deep_insertion": True}),
    ]
    assert "several sessions of that day" in skipped(plan(text, planned(**said)))[SESSION]


def test_a_byte_order_mark_and_windows_line_ends_stay() -> None:
    text = "\ufeff" + TRACKED.replace("\n", "\r\n")
    found = plan(text, planned(workbook={"probe_letters_to_skip": "F"}))
    assert apply_changes(text, found.changes) == text.replace("skip: DE", "skip: F")


def test_a_tracked_file_with_errors_is_refused() -> None:
    with pytest.raises(TrackedFileError):
        plan("ephys: 3\n", planned())


# ------------------------------------------------------------------------- from real files


def test_workbook_and_batch_meet_by_subject_and_date(tmp_path: Path) -> None:
    book = plan_book(
        tmp_path,
        session_row(714748, DAY, probes_in_brain="ABCD", a_depth=3900, injection_substance="muscimol"),
        session_row(714748, DAY + datetime.timedelta(2), surface_channel_recording="AF"),
        mice=[[714748, "DR", "naive opto pilot", DAY, "6/24, 6/25, 6/26"]],
    )
    path = uploaded(tmp_path, "714748_2024-06-26", {"is_split_recording": True, "ephys_day": 9})
    other = uploaded(tmp_path, "714748_2024-06-25")
    sessions, problems = joined(book, write_batch(tmp_path, f"upload_dr_ecephys {path}", f"upload_dr_ecephys {other}"))
    of_mouse = {"project": "DR", "is_production": False, "is_context_naive": True, "is_opto_perturbation": True}
    first = {"probe_letters_to_skip": "EF", "is_deep_insertion": True, "is_injection_perturbation": True}
    assert sessions == (
        planned(workbook={**of_mouse, "ephys_day": 1, **first}, where="tracking.xlsx[by_session_prod] row 2"),
        planned("714748_2024-06-25", other, workbook={**of_mouse, "ephys_day": 2}, where="upload.bat line 2"),
        planned(
            "714748_2024-06-26",
            path,
            workbook={**of_mouse, "ephys_day": 3, "surface_recording_probe_letters_to_skip": "BCDE"},
            config={"is_split_recording": True, "ephys_day": 9},
            where="tracking.xlsx[by_session_prod] row 3",
        ),
    )
    assert [(problem.line, problem.message) for problem in problems] == [
        (2, "714748_2024-06-25 has no row in a sheet by_session_*")
    ]


def test_surface_recordings_as_yes_no_and_letters(tmp_path: Path) -> None:
    book = plan_book(
        tmp_path,
        session_row(714748, DAY, probes_in_brain="ABCD", surface_channel_recording="yes"),
        session_row(714748, DAY + datetime.timedelta(1), probes_in_brain="ABCD", surface_channel_recording=False),
        session_row(714748, DAY + datetime.timedelta(2), probes_in_brain="ABCD", surface_channel_recording="A"),
    )
    sessions, _ = joined(book)
    name = "surface_recording_probe_letters_to_skip"
    assert [(session.workbook.get(name), session.surface_at_least) for session in sessions] == [
        (None, "EF"),
        ("", ""),
        ("BCDEF", ""),
    ]


def test_days_of_several_rows_of_a_mouse_are_one_row_of_days(tmp_path: Path) -> None:
    new_year = [714748, "Templeton", "prod", datetime.datetime(2024, 12, 30), "12/31, 1/2"]
    book = plan_book(tmp_path, session_row(714748, "2025-01-02"), mice=[MOUSE, new_year])
    ((session,), problems) = joined(book)
    assert (session.workbook["ephys_day"], session.workbook["project"]) == (5, "Templeton")
    assert problems == []


def test_days_that_cannot_be_read_leave_the_day_of_every_session_open(tmp_path: Path) -> None:
    mice = [MOUSE, [714748, "DR", "prod", DAY, "6/27?"]]
    ((session,), problems) = joined(plan_book(tmp_path, session_row(714748, DAY), mice=mice))
    assert "ephys_day" not in session.workbook
    (problem,) = problems
    assert "list them as" in problem.message


def test_a_session_on_another_day_than_those_recorded_is_reported(tmp_path: Path) -> None:
    (_, problems) = joined(plan_book(tmp_path, session_row(714748, "2024-06-28"), session_row(700000, DAY)))
    assert [(problem.line, problem.severity) for problem in problems] == [(3, "warning"), (2, "warning")]
    assert all("none of the days recorded in by_mouse" in problem.message for problem in problems)


def test_cells_that_are_not_settled_change_nothing_that_is_tracked(tmp_path: Path) -> None:
    flags = ("is_deep_insertion", "is_injection_perturbation", "is_opto_perturbation", "is_context_naive")
    said = "\n            ".join(f"{name}: true" for name in flags)
    text = TRACKED.replace("probe_letters_to_skip: DE # not inserted", said)
    row = session_row(714748, DAY, a_depth=3.9, injection_substance="aCSF + muscimol")
    sessions, problems = joined(plan_book(tmp_path, row, mice=[[714748, "DR", "TBD", DAY, "6/24"]]))
    assert plan(text, *sessions).changes == []
    assert [problem.is_error for problem in problems] == [True] * 3


def test_rows_of_one_session_are_merged_and_differences_reported(tmp_path: Path) -> None:
    book = write_book(
        tmp_path / "tracking.xlsx",
        {
            "by_mouse": [BY_MOUSE, MOUSE],
            "by_session_prod": [BY_SESSION, session_row(714748, DAY, probes_in_brain="ABC")],
            "by_session_muscimol": [
                BY_SESSION,
                session_row(714748, DAY, probes_in_brain="AB", injection_substance="aCSF"),
            ],
        },
    )
    ((session,), problems) = joined(book)
    assert session.workbook["probe_letters_to_skip"] == "DEF"
    assert session.workbook["is_injection_perturbation"] is False
    (problem,) = problems
    assert (problem.file, problem.line) == ("tracking.xlsx[by_session_muscimol]", 2)
    assert "another probes in tracking.xlsx[by_session_prod] row 2" in problem.message


def test_an_import_changes_its_own_lines_and_a_second_one_nothing(tmp_path: Path) -> None:
    book = plan_book(
        tmp_path,
        session_row(714748, DAY, probes_in_brain="ABCD", a_depth=3900, surface_channel_recording=True),
        session_row(714748, "6/25/2024", probes_in_brain="all"),
        session_row(714748, DAY + datetime.timedelta(2), probes_in_brain="A, B"),
    )
    sessions, _ = joined(book, write_batch(tmp_path, f"upload_dr_ecephys {PATH[:-1]}6"))
    found = plan(TRACKED, *sessions)
    new = apply_changes(TRACKED, found.changes)
    assert [line for line in TRACKED.splitlines() if line not in new.splitlines()] == [
        "            probe_letters_to_skip: DE # not inserted"
    ]
    assert kwargs_of(new) == {
        "probe_letters_to_skip": "EF",
        "is_deep_insertion": True,
        "surface_recording_probe_letters_to_skip": "EF",
    }
    assert kwargs_of(new, "714748_2024-06-26") == {"probe_letters_to_skip": "CDEF"}
    again = plan(new, *sessions)
    assert again.changes == []
    assert unchanged(again) == [session.id for session in sessions]


def test_the_report_lists_each_session() -> None:
    new = planned("714748_2024-06-26", f"{ROOT}/DRpilot_714748_20240626", workbook={"ephys_day": 3})
    found = plan(TRACKED, planned(workbook={"probe_letters_to_skip": "F"}), new, planned("714748_2024-06-27"))
    changed = make_changes(TRACKED, found.changes)
    chapter = import_chapter(import_report(found, changed), changed.notes, "tracking.xlsx")
    assert render_chapters([chapter]).splitlines() == [
        "tracking.xlsx: 1 added, 1 edited, 1 conflict, 1 skipped",
        "",
        "  1 added",
        "    714748_2024-06-26  ephys_day 3",
        "",
        "  1 edited",
        "    714748_2024-06-24  probe_letters_to_skip DE -> F",
        "",
        "  1 conflict",
        "    714748_2024-06-24  probe_letters_to_skip: workbook F, tracked DE: F is taken",
        "",
        "  1 skipped",
        "    714748_2024-06-27  not uploaded: no path (here)",
        "",
    ]
    assert "| `714748_2024-06-27` | not uploaded" in render_chapters([chapter], Format.markdown)


# -------------------------------------------------------------------------- whatever is said

letters = st.sets(st.sampled_from("ABCDEF")).map(lambda found: "".join(sorted(found)))
flags = [name for name in KNOWN_KWARGS if name.startswith("is_")]
values = st.fixed_dictionaries(
    {},
    optional={
        "ephys_day": st.integers(1, 9),
        "probe_letters_to_skip": letters,
        "surface_recording_probe_letters_to_skip": letters,
        **{name: st.booleans() for name in flags},
    },
)


@pytest.mark.slow
@settings(max_examples=40)
@given(workbook=values, config=values, at_least=letters, days=st.lists(st.integers(24, 26), unique=True))
def test_a_second_import_changes_nothing(
    workbook: dict[str, Any], config: dict[str, Any], at_least: str, days: Sequence[int]
) -> None:
    sessions = [
        planned(
            f"714748_2024-06-{day}", f"{PATH[:-2]}{day}", workbook=workbook, config=config, surface_at_least=at_least
        )
        for day in days
    ]
    new = apply_changes(TRACKED, plan(TRACKED, *sessions).changes)
    assert plan(new, *sessions).changes == []
    for session in sessions:
        entry = parse_tracked(new).sessions[session.id]
        for name, value in {**config, **workbook}.items():
            if name != "surface_recording_probe_letters_to_skip":
                default: Any = "" if "letters" in name else name == "is_production"
                found = entry.ephys_day if name == "ephys_day" else entry.session_kwargs.get(name, default)
                assert found == value


# ------------------------------------------------------------------------- the lab's own file

MEANT = {
    *("session_kwargs", "ephys_day", "probe_letters_to_skip", "is_deep_insertion", "is_context_naive"),
    *("is_injection_perturbation", "is_opto_perturbation", "is_production"),
}


@pytest.mark.slow
@needs_real
def test_an_import_leaves_every_other_line_of_a_real_file_as_it_was(tmp_path: Path) -> None:
    text = REAL_TRACKED.read_bytes().decode()
    tracked = parse_tracked(text, today=TODAY).sessions
    chosen = [session for session in tracked if session.split("_")[0] in ("726088", "840160", "812113")]
    book = plan_book(
        tmp_path,
        *(session_row(int(session[:6]), session[7:], probes_in_brain="ABC", a_depth=3000) for session in chosen),
        mice=[[int(session[:6]), "DR", "prod", None, session[7:]] for session in chosen],
    )
    new_session = "840160_2026-05-06"
    sessions, _ = joined(book, write_batch(tmp_path, f"upload_dr_ecephys {ROOT}/DRpilot_840160_20260506"))
    found = plan(text, *sessions)
    new = apply_changes(text, found.changes)
    after = parse_tracked(new, today=TODAY).sessions

    assert len(chosen) > 10
    assert {session for session in after if after[session] != tracked.get(session)} <= {*chosen, new_session}
    assert all(after[session].session_kwargs["probe_letters_to_skip"] == "DEF" for session in chosen)
    assert plan(new, *sessions).changes == []
    # all lines that are gone or other than they were say what was imported
    lines, new_lines = text.split("\n"), new.split("\n")
    matcher = difflib.SequenceMatcher(None, lines, new_lines, autojunk=False)
    gone = [line for tag, a, b, _, _ in matcher.get_opcodes() if tag != "equal" for line in lines[a:b]]
    assert gone
    assert {line.strip().partition(":")[0] for line in gone} <= MEANT
