"""`npc-lims track add`, `edit`, `remove` and `dedupe`."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.world import run_cli
from tests.servers.github_hub import TRACKED, Hub

A, B = "//allen/DRpilot_626791_20220815", "//allen/DRpilot_626791_20220816"
FILE = f"ephys:\n  P:\n    - {A}:\n        day: 1 # one\n    - {B}\n"


@pytest.fixture
def file(elsewhere: Path) -> Path:
    path = elsewhere / "tracked_sessions.yaml"
    path.write_bytes(FILE.encode())
    return path


def test_add(file: Path) -> None:
    done = run_cli(
        "track", "add", "//allen/DRpilot_626791_20220817", "--day", "3", "--set", "probe_letters_to_skip=DE",
        "--set", "session_kwargs.mine=[1, a]", "--note", "a: b", "--issue", "https://e.org/1", "--issue", "https://e.org/2",
    )  # fmt: skip
    assert done.code == 0, done
    assert file.read_bytes().decode() == FILE + (
        "    - //allen/DRpilot_626791_20220817:\n"
        "        ephys_day: 3\n"
        '        notes: "a: b"\n'
        "        issues:\n"
        "          - https://e.org/1\n"
        "          - https://e.org/2\n"
        "        session_kwargs:\n"
        "            probe_letters_to_skip: DE\n"
        "            mine: [1, a]\n"
    )
    assert "+        ephys_day: 3" in done.out
    assert "git switch -c track/add-626791_2022-08-17\n" in done.out
    assert "git commit -m 'track: add 626791_2022-08-17'\n" in done.out


def test_add_to_another_platform(file: Path) -> None:
    done = run_cli("track", "add", "//x/626791_20220817", "--platform", "behavior", "--project", "Q", "--day", "2")
    assert done.code == 0, done
    assert file.read_text() == FILE + "behavior:\n  Q:\n    - //x/626791_20220817:\n        day: 2\n"


def test_edit(file: Path) -> None:
    done = run_cli(
        "track",
        "edit",
        "626791_20220815",
        "--set",
        "is_video=false",
        "--unset",
        "day",
        "--note",
        "#5: see",
        "--issue",
        "http://u",
    )
    assert done.code == 0, done
    assert "track/edit-626791_2022-08-15-day-is_video-issues-notes\n" in done.out
    assert file.read_text() == FILE.replace(
        "        day: 1 # one\n",
        '        notes: "#5: see"\n        issues:\n          - http://u\n'
        "        session_kwargs:\n            is_video: false\n",
    )
    again = run_cli("track", "edit", "626791_20220815", "--issue", "http://u")
    assert again.code == 0
    assert "nothing to change" in again.out
    assert run_cli("track", "edit", "626791_20220815", "--issue", "https://w").code == 0
    assert "          - http://u\n          - https://w\n" in file.read_text()


def test_remove(file: Path) -> None:
    done = run_cli("track", "remove", A)
    assert done.code == 0, done
    assert file.read_text() == f"ephys:\n  P:\n    - {B}\n"


@pytest.mark.parametrize(
    "command",
    [("add", "/x_700000_20220101"), ("edit", B, "--set", "day=2"), ("remove", B), ("dedupe", "--keep", "first")],
)
def test_a_dry_run_writes_nothing(file: Path, command: tuple[str, ...]) -> None:
    file.write_text(FILE + f"    - {A}\n")
    before = file.read_bytes(), file.stat().st_mtime_ns
    done = run_cli("track", *command, "--dry-run")
    assert done.code == 0, done
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before
    assert done.out.startswith("--- a/tracked_sessions.yaml\n+++ b/tracked_sessions.yaml\n@@")
    assert "git" not in done.out


def test_without_a_token_the_file_is_changed_instead_of_proposed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_REPO", "lab/state")
    done = run_cli("track", "edit", B, "--set", "day=2", "--pr")
    assert done.code == 0, done
    assert file.read_text() == FILE.replace(f"{B}\n", f"{B}:\n        day: 2\n")
    assert "GITHUB_TOKEN is not set" in done.out
    assert "compare/track/edit-626791_2022-08-16-day?expand=1" in done.out
    monkeypatch.delenv("NPC_LIMS_REPO")
    done = run_cli("track", "edit", B, "--set", "day=3")
    assert done.out.endswith("\nand open a pull request\n"), "the checkout has no remote on GitHub"


def test_a_pull_request_is_made_on_the_newest_file_there(hub: Hub, file: Path) -> None:
    """The local copy is older: it lacks the session. It stays as it is."""
    command = ("track", "edit", "626791_2022-08-15", "--set", "probe_letters_to_skip=DE", "--unset", "day", "--pr")
    file.write_text(FILE.replace(A, "x_700000_20220101"))
    before = file.read_bytes()
    done = run_cli(*command)
    assert done.code == 0, done
    assert done.out == "pull request opened: https://github.com/lab/state/pull/1\n"
    assert file.read_bytes() == before
    branch = "track/edit-626791_2022-08-15-day-probe_letters_to_skip"
    kwargs = "        session_kwargs:\n            probe_letters_to_skip: DE\n"
    assert hub.text("tracked_sessions.yaml", branch) == TRACKED + kwargs
    (pull,) = hub.pulls
    assert pull.title == "track: edit 626791_2022-08-15 (day, probe_letters_to_skip)"
    assert pull.body == (
        "What changes in `tracked_sessions.yaml`:\n\n"
        "- `626791_2022-08-15` edited\n"
        "  - `probe_letters_to_skip nothing -> DE`\n\n"
        "Made by\n\n    npc-lims track edit 626791_2022-08-15 --set probe_letters_to_skip=DE --unset day\n"
    )
    assert "pull request is up to date" in run_cli(*command).out
    done = run_cli("track", "edit", "626791_2022-08-15", "--set", "probe_letters_to_skip=F", "--unset", "day", "--pr")
    assert "pull request updated: https://github.com/lab/state/pull/1\n" in done.out
    assert len(hub.pulls) == 1


def test_the_pull_request_lists_changes_there_field_by_field(hub: Hub, file: Path) -> None:
    """Not those of the copy here, which differs."""
    file.write_text(TRACKED.replace("ephys_day: 1", "ephys_day: 7"))
    done = run_cli("track", "edit", "626791_2022-08-15", "--set", "ephys_day=2", "--note", "a `b`", "--pr")
    assert done.code == 0, done
    (pull,) = hub.pulls
    assert pull.body == (
        "What changes in `tracked_sessions.yaml`:\n\n"
        "- `626791_2022-08-15` edited\n"
        "  - `ephys_day 1 -> 2`\n"
        "  - `notes nothing -> \"a 'b'\"`\n\n"
        "Made by\n\n    npc-lims track edit 626791_2022-08-15 --set ephys_day=2 --note 'a `b`'\n"
    )
    assert "ephys_day: 7" in file.read_text()


def test_a_pull_request_needs_no_file_here(hub: Hub, elsewhere: Path) -> None:
    assert not list(elsewhere.iterdir())
    done = run_cli("track", "add", "//x/700000_20220101", "--pr", "--branch", "mine/one.two")
    assert (done.code, done.out) == (0, "pull request opened: https://github.com/lab/state/pull/1\n")
    assert hub.text("tracked_sessions.yaml", "mine/one.two").count("    - //x/700000_20220101\n") == 1
    assert not list(elsewhere.iterdir())


def test_a_pull_request_for_another_base(hub: Hub, file: Path) -> None:
    hub.git.move_ref("refs/heads/other", hub.git.branch("main") or "", "0" * 40)
    hub.commit({"tracked_sessions.yaml": TRACKED.replace("ephys_day: 1", "ephys_day: 5")}, "other")
    done = run_cli("track", "edit", "626791_2022-08-15", "--set", "ephys_day=2", "--pr", "--base", "other")
    assert done.code == 0, done
    assert "`ephys_day 5 -> 2`" in (hub.pulls[0].body or "")
    done = run_cli("track", "edit", "626791_2022-08-15", "--set", "ephys_day=2", "--pr", "--base", "none")
    assert done.code == 2
    assert "there is no branch none; name another with --base" in done.err


def test_a_value_set_back_names_the_pull_request_that_is_open(hub: Hub, file: Path) -> None:
    assert run_cli("track", "edit", "626791_2022-08-15", "--set", "ephys_day=3", "--pr").code == 0
    done = run_cli("track", "edit", "626791_2022-08-15", "--set", "ephys_day=1", "--pr")
    assert done.code == 2
    assert "pull request #1 still proposes what was asked for before: close it: https://github.com/" in done.err


def test_a_note_of_several_lines_stays_code_in_the_pull_request(hub: Hub, file: Path) -> None:
    done = run_cli(
        "track", "edit", "626791_2022-08-15", "--note", "one\n\n@everyone ![x](http://e.org)\r# `two`", "--pr"
    )
    assert done.code == 0, done
    body = hub.pulls[0].body or ""
    told, _, made_by = body.partition("Made by\n\n")
    assert made_by and all(line.startswith("    ") for line in made_by.splitlines())
    assert [line for line in told.splitlines() if "everyone" in line] == [
        "  - `notes nothing -> \"one\\n\\n@everyone ![x](http://e.org)\\r# 'two'\"`"
    ]


def test_the_pull_request_lists_side_effects(hub: Hub, file: Path) -> None:
    hub.commit({"tracked_sessions.yaml": TRACKED.replace(":\n        ephys_day: 1", "")})
    done = run_cli("track", "add", "//x/626791_20220801", "--pr")
    assert done.code == 0, done
    assert "npc-lims: note: experiment_day changes of 626791_2022-08-15 (1 -> 2)" in done.err
    assert "\n- `experiment_day changes of 626791_2022-08-15 (1 -> 2)" in (hub.pulls[0].body or "")


def test_a_path_is_written_with_slashes(file: Path) -> None:
    done = run_cli("track", "add", r"\\allen\DRpilot_626791_20220817" + "\\")
    assert done.code == 0, done
    assert file.read_text() == FILE + "    - //allen/DRpilot_626791_20220817\n"


def test_the_next_steps_are_for_the_branches_that_are_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_REPO", "lab/state")
    done = run_cli("track", "remove", A, "--branch", "fix#1", "--base", "dev")
    assert done.code == 0, done
    assert "git switch -c 'fix#1'\n" in done.out
    assert "/compare/dev...fix%231?expand=1" in done.out


def test_a_read_only_file_is_left_alone(file: Path) -> None:
    file.chmod(0o444)
    try:
        assert run_cli("track", "remove", A, "--dry-run").code == 0
        done = run_cli("track", "remove", A)
    finally:
        file.chmod(0o644)
    assert done.code == 2
    assert "is read-only, so nothing is written" in done.err
    assert file.read_bytes() == FILE.encode()


def test_a_proposal_of_what_the_base_has_already(hub: Hub, file: Path) -> None:
    done = run_cli("track", "edit", "626791_2022-08-15", "--set", "ephys_day=1", "--pr")
    assert done.code == 0, done
    assert "nothing to change" in done.out
    assert hub.pulls == []


def test_a_dry_run_asks_nothing_of_github(hub: Hub, file: Path) -> None:
    done = run_cli("track", "remove", A, "--pr", "--dry-run")
    assert done.code == 0, done
    assert hub.pulls == []
    assert done.out.startswith("--- a/tracked_sessions.yaml")


def test_a_proposal_that_cannot_be_made_is_one_message(hub: Hub, file: Path) -> None:
    done = run_cli("track", "remove", B, "--pr")
    assert done.code == 2
    assert "626791_2022-08-16 is not listed in tracked_sessions.yaml" in done.err
    assert hub.pulls == []


def test_the_diff_of_a_file_without_a_last_line_break(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + FILE.rstrip().replace("\n", "\r\n").encode())
    done = run_cli("track", "edit", B, "--set", "day=2")
    assert done.code == 0, done
    assert "\\ No newline at end of file" in done.out
    assert file.read_bytes() == b"\xef\xbb\xbf" + f"{FILE.rstrip()}:\n        day: 2".replace("\n", "\r\n").encode()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes, and links need rights")
def test_the_mode_of_the_file_and_a_link_to_it_stay(file: Path) -> None:
    real = file.parent / "real.yaml"
    file.rename(real)
    file.symlink_to(real)
    real.chmod(0o640)
    assert run_cli("track", "remove", A).code == 0
    assert file.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert A not in real.read_text()
    assert sorted(path.name for path in file.parent.iterdir()) == ["real.yaml", "tracked_sessions.yaml"]


def test_dedupe(file: Path) -> None:
    text = FILE + f"    - {A}:\n        day: 1\n    - {B}:\n        day: 9\n"
    file.write_text(text)
    done = run_cli("track", "dedupe")
    assert done.code == 0, done
    assert file.read_text() == FILE + f"    - {B}:\n        day: 9\n"
    assert "1 repeat removed" in done.out
    assert "1 repeat left, since they differ; choose with --keep first or --keep last:\n  line 8: " in done.out
    assert "day nothing (used) vs 9" in done.out
    assert "git switch -c track/dedupe\n" in done.out
    done = run_cli("track", "dedupe", "--keep", "last")
    assert file.read_text() == FILE.replace(f"    - {B}\n", f"    - {B}:\n        day: 9\n")
    assert "git switch -c track/dedupe-last\n" in done.out


def test_side_effects_are_notes(file: Path) -> None:
    done = run_cli("track", "edit", B, "--set", "day=1")
    assert done.code == 0, done
    assert "day 1 of subject 626791 is given to 2022-08-16 here and to 2022-08-15 in line 3" in done.err


def test_another_file(file: Path) -> None:
    other = file.with_name("other.yaml")
    other.write_text(FILE)
    assert run_cli("track", "remove", A, "--tracked", str(other)).code == 0
    assert file.read_text() == FILE
    assert A not in other.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", A], "is listed already, in line 3 of"),
        (["add", "//allen/foo"], "is not a session"),
        (["add", "//x/626791_20220817", "--platform", "ephyss"], "there is no platform 'ephyss'"),
        (["add", "//x/626791_20220817", "--platform", "behavior"], "name one with --project"),
        (["add", "//x/626791_20220817", "--day", "0"], "ephys_day must be 1 or more"),
        (["add", "//x/626791_20220817", "--day", "x"], "--day"),
        (["add", "//x/626791_20220817", "--day", "1", "--set", "ephys_day=2"], "ephys_day is given twice"),
        (["edit", A], "nothing to change in"),
        (["edit", A, "--set", "day"], "write KEY=VALUE"),
        (["edit", A, "--set", "day="], "--unset day to remove the key"),
        (["edit", A, "--set", "session_kwargs.k=[a,b"], """write --set 'session_kwargs.k="[a,b"'"""),
        (["edit", A, "--set", "day=# 1"], """reads '# 1' as a comment; quote the value: --set 'day="# 1"'"""),
        (["edit", A, "--note", " "], "--unset notes"),
        (["edit", A, "--issue", "not a url"], "--issue not a url: no address"),
        (["add", "//x/626791_20220817", "--note", ""], "--note is empty"),
        (["add", "//x/626791_20220817", "--issue", "#5"], "--issue #5: no address"),
        (
            ["add", "DRpilot_626791_20220817"],
            "'DRpilot_626791_20220817' is not a path: give the full path of the session folder",
        ),
        (["add", "//x/626791_20301231"], "a date that a session can have"),
        (["remove", A.replace("allen", "elsewhere")], f"626791_2022-08-15 is listed there in line 3 as {A}"),
        (["edit", A, "--set", "day=one"], "day must be a whole number, not the text 'one'"),
        (["edit", A, "--set", "probe_letters=A"], "did you mean 'probe_letters_to_skip'"),
        (["edit", A, "--unset", "probe_letters"], "did you mean 'probe_letters_to_skip'"),
        (["edit", "700000_2022-01-01", "--unset", "day"], "700000_2022-01-01 is not listed in"),
        (["remove", "foo"], "is not a session"),
        (["remove", A, "--tracked", "nowhere.yaml"], "nowhere.yaml: there is no such file"),
        (["remove", A, "--tracked", "."], ".: Is a directory; check that path"),
        (["dedupe", "--keep", "both"], "both"),
    ],
)
def test_mistakes_are_one_message_and_change_nothing(file: Path, arguments: list[str], words: str) -> None:
    done = run_cli("track", *arguments)
    assert done.code == 2, done
    assert words in done.err
    assert "Traceback" not in done.err
    assert file.read_bytes() == FILE.encode()


def test_errors_in_the_file_are_listed_with_their_lines(file: Path) -> None:
    file.write_text(FILE.replace("day:", "days:"))
    done = run_cli("track", "edit", B, "--set", "day=2")
    assert done.code == 2
    assert f"{file}:4:9: error: unknown key 'days'" in done.err


def test_a_file_of_another_encoding(file: Path) -> None:
    file.write_bytes(b"ephys:\n  P: # \xe9\n")
    done = run_cli("track", "remove", A)
    assert done.code == 2
    assert f"{file}:2: not UTF-8" in done.err


@pytest.mark.skipif(sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_folder_that_may_not_be_written(file: Path) -> None:
    file.parent.chmod(0o500)
    try:
        done = run_cli("track", "remove", A)
    finally:
        file.parent.chmod(0o700)
    assert done.code == 2
    assert "cannot be written" in done.err
    assert file.read_text() == FILE


def test_as_a_process(file: Path) -> None:
    command = [sys.executable, "-m", "npc_lims", "track", "remove", A]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("--- a/tracked_sessions.yaml")
    assert A not in file.read_text()
