"""`npc-lims sessions` and `npc-lims show`."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies
from rich.cells import cell_len
from rich.console import Console

from npc_lims.cli.sessions import render_table
from npc_lims.model.flags import FLAGS
from npc_lims.model.rows import COLUMNS
from tests.integration.world import ADDED, Done, GitHub, commit_all, run_cli, run_git

# Named by the people who use the JSON: none of these may go.
PROMISED = ("id", "subject", "date", "idx", "project", "platform", "is_ephys", "is_sync", "allen_path")
PROMISED += ("experiment_day", "rig", "task_version")


@pytest.fixture
def from_state(demo_state: Path, elsewhere: Path) -> Path:
    return demo_state


def sessions(state: Path, *arguments: str) -> Done:
    return run_cli("sessions", "--state", str(state), *arguments)


def rows(state: Path, *arguments: str) -> list[dict[str, Any]]:
    done = sessions(state, *arguments, "--json")
    assert done.code == 0, done
    found: list[dict[str, Any]] = json.loads(done.out)
    return found


def ids(state: Path, *arguments: str) -> list[str]:
    return [row["id"] for row in rows(state, *arguments)]


def test_json_has_every_column(from_state: Path) -> None:
    found = rows(from_state)
    assert len(found) == 29
    for row in found:
        assert list(row) == list(COLUMNS)
        assert set(PROMISED) | set(FLAGS) <= set(row)
    assert [row["date"] for row in found] == sorted((row["date"] for row in found), reverse=True)


def test_json_of_one_session(from_state: Path) -> None:
    (row,) = [row for row in rows(from_state) if row["id"] == "901001_2024-03-11"]
    assert (row["subject"], row["date"], row["idx"]) == (901001, "2024-03-11", 0)
    assert (row["project"], row["platform"], row["is_ephys"]) == ("DynamicRouting", "ephys", True)
    assert (row["rig"], row["experiment_day"]) == ("NP2", 1)
    assert row["is_sorted"] is True
    assert row["not_applicable"] == ["is_surface_channels_sorted"]


def test_csv_has_the_same(from_state: Path) -> None:
    done = sessions(from_state, "--csv")
    assert done.code == 0
    table = list(csv.DictReader(io.StringIO(done.out)))
    as_json = rows(from_state)
    assert list(table[0]) == list(COLUMNS)
    assert [line["id"] for line in table] == [row["id"] for row in as_json]
    for line, row in zip(table, as_json):
        for flag in FLAGS:
            if flag in row["not_applicable"]:
                assert line[flag] == ""
            elif isinstance(row[flag], bool):
                assert line[flag] == str(row[flag]).lower()
        assert line["not_applicable"].split() == row["not_applicable"]


def test_filters(from_state: Path) -> None:
    everything = rows(from_state)
    assert len(ids(from_state, "--ephys")) == 17 == sum(row["is_ephys"] for row in everything)
    assert set(ids(from_state, "--project", "TempletonPilotSession")) == {
        row["id"] for row in everything if row["project"] == "TempletonPilotSession"
    }
    assert ids(from_state, "--subject", "901006") == ["901006_2024-09-10", "901006_2024-09-09"]
    assert ids(from_state, "--since", "2024-10-30") == [ADDED, "901005_2024-10-30"]
    assert ids(from_state, "--since", "2024-03-12", "--until", "2024-03-13") == [
        "901001_2024-03-13",
        "901001_2024-03-12",
    ]
    assert ids(from_state, "--subject", "999999") == []


def test_flags(from_state: Path) -> None:
    waiting = ids(from_state, "--ephys", "--is", "uploaded", "--missing", "sorted")
    assert waiting == ["901003_2024-10-24", "901004_2024-06-06", "901002_2024-05-16", "901002_2024-05-14"]
    for spelling in ("is_LPFaceParts", "lpfaceparts", "LPFaceParts"):
        assert ids(from_state, "--is", spelling) == ids(from_state, "--is", "is_LPFaceParts") != []
    unsorted = ids(from_state, "--missing", "sorted")
    assert all(row["is_ephys"] for row in rows(from_state) if row["id"] in unsorted), "sorting applies to ephys"


def test_the_table(from_state: Path) -> None:
    done = sessions(from_state, "--ephys")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].split()[:3] == ["session", "project", "platform"]
    assert len([line for line in lines if line.startswith("901")]) == 17
    assert "never observed" in lines[-2]
    assert lines[-1] == "17 sessions"
    assert "no session matches" in sessions(from_state, "--subject", "1").out


def table(rows: list[dict[str, Any]], width: int, *columns: str, colours: Any = None) -> list[str]:
    """On a terminal of that width."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=colours)
    return render_table(rows, console, columns).splitlines()


@pytest.mark.parametrize("width", [40, 41, 50, 64, 80, 100, 120, 150, 300])
def test_the_table_fits_the_terminal(from_state: Path, width: int) -> None:
    lines = table(rows(from_state), width)
    assert max(map(cell_len, lines)) <= width
    head = lines[0].split()
    assert {"session", "up", "sort", "annot"} <= set(head), "what people ask for most is there in any case"
    assert (len(head) == 17) == (width >= 150), "all that there is room for"
    assert all(line.startswith("901") for line in lines[1:30])
    assert ("wider terminal" in " ".join(lines[30:])) == (len(head) < 17)


@hypothesis.given(text=strategies.text(max_size=60), width=strategies.integers(40, 300), chosen=strategies.booleans())
def test_whatever_stands_in_a_cell_the_table_fits(text: str, width: int, chosen: bool) -> None:
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row.update(id="626791_2022-08-15_1", project=text, platform="ephys", rig=text, not_applicable=[])
    lines = table([row], width, *(("project", "id", "rig") if chosen else ()))
    assert lines[2].startswith(("✓ yes", "y yes", "1 session")), "one line for each session, whatever it holds"
    assert max(map(cell_len, lines)) <= width
    assert all(line.isprintable() for line in lines)


def test_a_terminal_gets_colours_unless_it_wants_none(from_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    row = [next(row for row in rows(from_state) if row["is_sorted"])]
    assert "\x1b[32m" in "".join(table(row, 120, colours="standard"))
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in "".join(table(row, 120, colours="standard"))
    assert "\x1b" not in render_table(row, Console(file=io.StringIO()))


# --- choosing


@pytest.mark.filterwarnings("default::npc_lims.UnknownStatusWarning")
def test_a_flag_has_three_answers(tmp_path: Path, demo_state: Path, elsewhere: Path) -> None:
    """Of those that it applies to, each session is in exactly one of the three lists."""
    lines = [json.loads(line) for line in (demo_state / "sessions.jsonl").read_text().splitlines()]
    for line in lines[::3]:
        line["status"].update({"is_sorted": None} if "is_sorted" in line["status"] else {})
    (tmp_path / "state").mkdir()
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    (tmp_path / "state" / "sessions.jsonl").write_text(text)
    state = tmp_path / "state"
    parts = [set(ids(state, option, "sorted")) for option in ("--is", "--missing", "--unknown")]
    assert all(parts)
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert set.union(*parts) == {row["id"] for row in rows(state) if "is_sorted" not in row["not_applicable"]}
    done = sessions(state, "--is", "sorted")
    assert f"{len(parts[2])} sessions left out: is_sorted was never observed" in done.err
    done = sessions(state, "--is", "sorted", "--subject", "901006")
    assert done.err == "", "those that are not meant for other reasons are no loss"


def test_columns_order_and_number_can_be_chosen(from_state: Path) -> None:
    found = rows(from_state, "--columns", "session,rig,SORTED", "--sort", "-day", "--limit", "3")
    assert [list(row) for row in found] == [["id", "rig", "is_sorted"]] * 3
    assert rows(from_state, "--sort", "-nwb", "--limit", "1")[0]["is_nwb_cached"] is True, "a heading of the table"
    days = [row["experiment_day"] for row in rows(from_state, "--sort", "-day")]
    known = [day for day in days if day is not None]
    assert days == sorted(known, reverse=True) + [None] * (len(days) - len(known))
    assert [row["experiment_day"] for row in rows(from_state, "--sort", "experiment_day")][: len(known)] == known[::-1]
    done = sessions(from_state, "--columns", "id,raw_asset_id", "--csv", "--limit", "1")
    assert done.out.splitlines()[0] == "id,raw_asset_id"
    lines = sessions(from_state, "--columns", "rig,id,is_surface_channels_sorted,not_applicable").out.splitlines()
    assert lines[0].split() == ["rig", "session", "surface_channels_sorted", "not_applicable"]


@pytest.mark.filterwarnings("default::npc_lims.UnknownStatusWarning")
def test_never_observed_is_not_no(tmp_path: Path, elsewhere: Path) -> None:
    """A state of the tracked file alone: nothing is listed as unsorted, and the reason is told."""
    from npc_lims.demo.files import write_world

    write_world(tmp_path / "world", 1)
    tracked = str(tmp_path / "world" / "tracked_sessions.yaml")
    state = tmp_path / "state"
    run_cli("sync", "--tracked", tracked, "--state", str(state), "--only", "tracked")
    done = sessions(state, "--missing", "sorted", "--json")
    assert json.loads(done.out) == []
    assert "never observed" in done.err
    assert {row["is_sorted"] for row in rows(state, "--ephys")} == {None}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--since", "June"], "--since: 'June' is not a date such as 2024-06-01, or an age such as"),
        (["--until", "2024-13-01"], "--until: 2024-13-01 is no day of the calendar"),
        (["--since", "2024-06-02", "--until", "20240601"], "--since 2024-06-02 is after --until 20240601"),
        (["--is", "uploded"], "--is: 'uploded' is no flag (did you mean 'uploaded'?)"),
        (["--missing", "everything"], "--missing: 'everything' is no flag; npc-lims sessions --terms lists all"),
        (["--subject", "abc"], "--subject: 'abc' is not a subject such as 626791"),
        (["--project", "DynamicRoutng"], "no session has this project (did you mean 'DynamicRouting'?)"),
        (["--platform", "Behaviour"], "no session has this platform (did you mean 'behavior'?)"),
        (["--where", "rig!=NP9"], "--where rig!=NP9: no session has this rig (did you mean 'NP3' or 'NP2'?)"),
        (["--where", "task_version~AMX"], "no session has this text in its task version; there are"),
        (["--where", "rigg=NP2"], "--where: 'rigg' is no column (did you mean 'rig'?)"),
        (["--where", "rig NP2"], "is no condition such as rig=NP2"),
        (["--where", "sorted=maybe"], "is neither yes, no, unknown, n.a., true nor false"),
        (["--where", "sorted~yes"], "flags are written sorted=yes"),
        (["--where", "day=two"], "experiment_day: 'two' is no number"),
        (["--where", "issues=26"], "look for a part of them, as issues~26"),
        (["--where", ""], "--where is empty"),
        (["--colour"], "No such option"),
        (["--columns", "id,rigg"], "--columns: 'rigg' is no column (did you mean 'rig'?)"),
        (["--columns", ","], "names no column"),
        (["--sort", "-colour"], "--sort: 'colour' is no column; npc-lims sessions --terms lists all"),
        (["--sort", ""], "'' is no column"),
        (["--columns", ""], "names no column"),
        (["--project", ""], "--project is empty"),
        (["--subject", ""], "--subject is empty"),
        (["--limit", "0"], "--limit"),
        (["--json", "--csv"], "exclude each other"),
        (["--interval", "9"], "--watch"),
        *(
            (["--watch", "--interval", value], "seconds from 0.05 to 86400")
            for value in ("0", "-1", "inf", "nan", "1e9")
        ),
        (["--watch", "--csv"], "leave out --csv"),
        (["--watch", "--columns", ""], "leave out --columns"),
        (["--at", "2024-06-31"], "no day of the calendar"),
    ],
)
def test_mistakes_are_exit_2_and_one_message(from_state: Path, arguments: list[str], words: str) -> None:
    done = sessions(from_state, *arguments)
    assert done.code == 2, done
    assert words in done.err
    assert "Traceback" not in done.err


def test_a_missing_state_folder_is_one_message(elsewhere: Path) -> None:
    for command in (["sessions"], ["show", "901001_2024-03-11"]):
        done = run_cli(*command, "--state", "nowhere")
        assert done.code == 2, done
        assert "there is no state folder nowhere" in done.err


# --- show


def test_show_prints_every_section(from_state: Path) -> None:
    done = run_cli("show", "DRpilot_901001_20240313", "--state", str(from_state))
    assert done.code == 0, done
    for words in ("901001_2024-03-13", "DynamicRouting", "tracked", "training", "codeocean", "s3", "is_sorted"):
        assert words in done.out
    assert "ecephys_901001_2024-03-13_15-41-09" in done.out, "the surface recording"


def test_a_rig_that_is_a_number_is_text_as_others(state: Path, elsewhere: Path) -> None:
    """A cell of a workbook may hold one; sessions are sorted all the same."""
    path = state / "sessions.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"rig_name":"NP2"', b'"rig_name":2', 1))
    assert {row["rig"] for row in rows(state, "--sort", "rig")} >= {"2", "NP2"}


def test_show_breaks_no_line_that_is_copied(state: Path, elsewhere: Path) -> None:
    notes = "a word " * 60 + "and the end"
    path = state / "sessions" / "901001" / "901001_2024-03-13.yaml"
    path.write_text(re.sub("notes: .*", f"notes: {notes}", path.read_text()))
    lines = run_cli("show", "901001_2024-03-13", "--state", str(state)).out.splitlines()
    assert f"  notes: {notes}" in lines
    assert all(line == line.rstrip() for line in lines)


def test_show_json_is_the_row_the_locations_and_the_sections(from_state: Path) -> None:
    done = run_cli("show", "901001_2024-03-13", "--state", str(from_state), "--json")
    told = json.loads(done.out)
    assert set(told) == {*COLUMNS, "locations", "tracked", "training", "codeocean", "s3"}
    assert told["tracked"]["session_kwargs"] == {"surface_recording_probe_letters_to_skip": "BCDE"}


def test_show_of_a_training_session_names_what_is_absent(from_state: Path) -> None:
    done = run_cli("show", "901001_2024-03-07", "--state", str(from_state))
    assert done.code == 0
    assert "tracked: nothing there" in done.out
    assert "does not apply" in done.out


@pytest.mark.parametrize(("asked", "words"), [("901001_2024-03-31", "near to it: 901001"), ("x", "is not a session")])
def test_show_of_no_session_is_one_message(from_state: Path, asked: str, words: str) -> None:
    done = run_cli("show", asked, "--state", str(from_state))
    assert done.code == 2, done
    assert words in done.err
    assert "Traceback" not in done.err


# --- the past


@pytest.fixture
def two_days(demo_state: Path, tmp_path: Path) -> Path:
    """A checkout in which the newest session was added by the second commit."""
    repository = tmp_path / "repository"
    shutil.copytree(demo_state, repository / "state")
    snapshot = repository / "state" / "sessions.jsonl"
    whole = snapshot.read_bytes()
    snapshot.write_bytes(whole.partition(b"\n")[2])
    commit_all(repository)
    run_git(repository, "tag", "before")
    snapshot.write_bytes(whole)
    commit_all(repository)
    return repository


def test_state_as_it_was(two_days: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(two_days)
    commit = run_git(two_days, "rev-parse", "before").strip()
    for at in ("before", commit, commit[:9]):
        done = run_cli("sessions", "--at", at)
        assert done.code == 0, done
        assert ADDED not in done.out
        assert done.out.splitlines()[-1] == "28 sessions"
        assert f"as of commit {commit[:10]} of 20" in done.out.splitlines()[-2]
    assert ADDED in run_cli("sessions").out
    assert len(json.loads(run_cli("sessions", "--at", "before", "--ephys", "--json").out)) == 16


def test_a_session_as_it_was(two_days: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(two_days)
    done = run_cli("show", "901001_2024-03-13", "--at", "before")
    assert done.code == 0, done
    assert "as of commit" in done.out
    assert run_cli("show", ADDED).code == 0
    done = run_cli("show", ADDED, "--at", "before")
    assert done.code == 2, done
    assert f"no session {ADDED}" in done.err


# --- where state comes from


def test_inside_a_checkout_its_state_is_read(published_once: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(published_once / "state")
    done = run_cli("sessions", "--json")
    assert done.code == 0, done
    assert len(json.loads(done.out)) == 29


def test_elsewhere_github_is_read(github: GitHub, elsewhere: Path) -> None:
    done = run_cli("sessions", "--json")
    assert done.code == 0, done
    assert len(json.loads(done.out)) == 29
    assert github.paths == ["state/sessions.jsonl"]


def test_an_unusable_dotenv_is_one_message(elsewhere: Path) -> None:
    (elsewhere / ".env").write_text("NPC_LIMS_TTL=soon\nCODE_OCEAN_API_TOKEN=cop_5e0c1a77e5ec2e7\n")
    done = run_cli("sessions")
    assert done.code == 2, done
    assert "NPC_LIMS_TTL" in done.err
    assert ".env" in done.err
    assert "cop_5e0c1a77e5ec2e7" not in done.err + done.out
    assert "Traceback" not in done.err


def test_a_dotenv_is_read_and_the_environment_wins(
    elsewhere: Path, demo_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / ".env").write_text(f"NPC_LIMS_STATE={demo_state}\n")
    assert run_cli("sessions", "--json").code == 0
    monkeypatch.setenv("NPC_LIMS_STATE", str(elsewhere / "nowhere"))
    assert "nowhere" in run_cli("sessions").err


def test_a_reader_that_goes_away_is_no_reason_to_complain(from_state: Path) -> None:
    command = [sys.executable, "-m", "npc_lims", "sessions", "--state", str(from_state), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    told = process.stderr.read().decode()
    process.stderr.close()
    process.wait()
    assert told == ""


@pytest.mark.parametrize("encoding", ["ascii", "cp437", "cp1252", "utf-8"])
def test_the_table_in_any_encoding(from_state: Path, encoding: str) -> None:
    import os

    command = [sys.executable, "-m", "npc_lims", "sessions", "--state", str(from_state)]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert b"901001_2024-03-11" in done.stdout
    legend = done.stdout.decode(encoding).splitlines()[-2]
    expected = "✓ yes  ○ no  ? never observed  – does not apply"
    assert legend == (expected if encoding == "utf-8" else "y yes  n no  ? never observed  - does not apply")
    assert b"\x1b" not in done.stdout
