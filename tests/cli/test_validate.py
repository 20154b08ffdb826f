"""`npc-lims validate` and `npc-lims verify`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from npc_lims.demo.files import write_world
from tests.integration.world import commit_all, run_cli, run_git

BROKEN = """\
ephys:
  DynamicRouting:
    - //allen/DRpilot_901001_20240311
    - //allen/DRpilot_901001_20240312:
        days: 2
"""
WARNED = """\
ephys:
  DynamicRouting:
    - //allen/DRpilot_901001_20240311
    - //allen/DRpilot_901001_20240311
"""


# --- validate


def test_a_good_file_is_exit_0(tmp_path: Path) -> None:
    write_world(tmp_path, 2)
    done = run_cli("validate", str(tmp_path / "tracked_sessions.yaml"))
    assert done.code == 0, done
    assert done.out == ""
    assert "20 sessions, 0 errors, 0 warnings" in done.err


def test_errors_are_exit_1_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "tracked.yaml"
    path.write_text(BROKEN)
    done = run_cli("validate", str(path))
    assert done.code == 1, done
    (line,) = done.out.splitlines()
    assert line.startswith(f"{path}:5:9: error: ")
    assert "days" in line
    assert "1 error" in done.err


def test_warnings_alone_are_exit_0(tmp_path: Path) -> None:
    path = tmp_path / "tracked.yaml"
    path.write_text(WARNED)
    done = run_cli("validate", str(path))
    assert done.code == 0, done
    assert f"{path}:4:" in done.out
    assert ": warning: " in done.out
    assert "1 warning" in done.err


def test_github_annotations(tmp_path: Path) -> None:
    path = tmp_path / "tracked.yaml"
    path.write_text(BROKEN)
    done = run_cli("validate", str(path), "--format", "github")
    assert done.code == 1
    (line,) = done.out.splitlines()
    file = str(path).replace(":", "%3A")
    assert line.startswith(f"::error file={file},line=5,col=9::")


def test_the_default_is_the_file_of_this_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_world(tmp_path, 1)
    monkeypatch.chdir(tmp_path / "mirror")
    done = run_cli("validate")
    assert done.code == 0, done
    assert "19 sessions" in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.yaml"], "no such file"),
        (["."], "a folder"),
        (["x.yaml", "--format", "xml"], "xml"),
        (["a", "b"], "unexpected extra argument"),
    ],
)
def test_mistakes_are_one_message(elsewhere: Path, arguments: list[str], words: str) -> None:
    done = run_cli("validate", *arguments)
    assert done.code in (1, 2), done
    assert words in done.out + done.err
    assert "Traceback" not in done.err


def test_a_missing_default_is_one_message(elsewhere: Path) -> None:
    done = run_cli("validate")
    assert done.code == 1
    assert "tracked_sessions.yaml" in done.out


# --- validate --base

ENTRY = "    - //allen/DRpilot_901001_20240312:\n        day: 2\n"


@pytest.fixture
def warned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tracked file with a warning, committed, in the working directory."""
    folder = tmp_path / "repository"
    folder.mkdir()
    path = folder / "tracked_sessions.yaml"
    path.write_text(WARNED)
    commit_all(folder)
    monkeypatch.chdir(folder)
    return path


@pytest.mark.parametrize("base", ["HEAD", "main", "base.yaml"])
def test_warnings_that_the_base_has_do_not_count(warned: Path, base: str) -> None:
    Path("base.yaml").write_text(WARNED)
    warned.write_text(WARNED.replace("ephys:", "# a line more\nephys:") + ENTRY)
    done = run_cli("validate", "--format", "github", "--base", base)
    assert done.code == 0, done
    assert done.out == ""
    assert "0 errors, 0 new warnings, 1 known" in done.err


def test_new_warnings_fail(warned: Path) -> None:
    warned.write_text(WARNED + ENTRY + ENTRY)
    done = run_cli("validate", "--format", "github", "--base", "HEAD")
    assert done.code == 1, done
    (line,) = done.out.splitlines()
    assert line.startswith("::warning file=tracked_sessions.yaml,line=7,")
    assert "901001_2024-03-12 is listed twice" in line
    assert "0 errors, 1 new warning, 1 known" in done.err


def test_one_more_of_the_same_is_new(warned: Path) -> None:
    warned.write_text(WARNED + "    - //allen/DRpilot_901001_20240311\n")
    done = run_cli("validate", "--base", "HEAD")
    assert done.code == 1, done
    assert "1 new warning, 1 known" in done.err


def test_errors_fail_even_if_the_base_has_them(warned: Path) -> None:
    warned.write_text(BROKEN)
    commit_all(warned.parent)
    warned.write_text(f"# a line more\n{BROKEN}")
    done = run_cli("validate", "--base", "HEAD")
    assert done.code == 1, done
    assert ":6:9: error: " in done.out
    assert "(the base has this error too)" in done.out
    warned.write_text(BROKEN.replace("days: 2", "dayz: 2"))
    done = run_cli("validate", "--base", "HEAD")
    assert done.code == 1, done
    assert "the base has" not in done.out


def test_a_base_without_the_file(warned: Path) -> None:
    Path("other.yaml").write_text(WARNED)
    done = run_cli("validate", "other.yaml", "--base", "HEAD")
    assert done.code == 1, done
    assert "HEAD has no other.yaml: all of it counts as new" in done.err


def test_a_base_that_is_not_there(warned: Path) -> None:
    done = run_cli("validate", "--base", "nowhere")
    assert done.code == 2, done
    assert "nowhere: no such commit" in done.err


def test_a_missing_file_with_a_base(warned: Path) -> None:
    warned.unlink()
    done = run_cli("validate", str(warned), "--base", "HEAD")
    assert done.code == 1, done
    assert "no such file" in done.out


# --- verify


def first_file(state: Path) -> Path:
    return state / "sessions" / "901001" / "901001_2024-03-11.yaml"


def edit_a_file(state: Path) -> None:
    path = first_file(state)
    path.write_text(path.read_text().replace("is_sorted: true", "is_sorted: false"))


def break_a_file(state: Path) -> None:
    first_file(state).write_text("schema: 1\nid: [\n")


def remove_a_file(state: Path) -> None:
    first_file(state).unlink()


def add_a_file(state: Path) -> None:
    content = first_file(state).read_text().replace("901001_2024-03-11", "901001_2024-03-15")
    (first_file(state).parent / "901001_2024-03-15.yaml").write_text(content)


def add_a_stray_file(state: Path) -> None:
    (state / "sessions" / "901001" / "notes.txt").write_text("?")


def misplace_a_file(state: Path) -> None:
    (state / "sessions" / "901002" / first_file(state).name).write_bytes(first_file(state).read_bytes())


def remove_the_snapshot(state: Path) -> None:
    (state / "sessions.jsonl").unlink()


def cut_the_snapshot(state: Path) -> None:
    path = state / "sessions.jsonl"
    path.write_bytes(path.read_bytes()[:-10])


def drop_a_line(state: Path) -> None:
    path = state / "sessions.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))


def repeat_a_line(state: Path) -> None:
    path = state / "sessions.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], *lines]))


def swap_lines(state: Path) -> None:
    path = state / "sessions.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[-1], *lines[1:-1], lines[0]]))


def change_a_line(state: Path) -> None:
    path = state / "sessions.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"is_sorted":true', b'"is_sorted":false', 1))


def change_a_status_everywhere(state: Path) -> None:
    """File and line agree, and neither is what the facts say."""
    from npc_lims.state.snapshot import digest_of

    path = first_file(state)
    old = path.read_bytes()
    new = old.replace(b"is_annotated: true", b"is_annotated: false")
    assert new != old
    path.write_bytes(new)
    lines = (state / "sessions.jsonl").read_bytes().splitlines()
    for number, line in enumerate(lines):
        record = json.loads(line)
        if record["id"] == path.stem:
            record["status"]["is_annotated"] = False
            record["digest"] = digest_of(new)
            lines[number] = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
    (state / "sessions.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))


def merge_marks(state: Path) -> None:
    path = state / "sessions.jsonl"
    path.write_bytes(b"<<<<<<< HEAD\n" + path.read_bytes())


def another_schema(state: Path) -> None:
    path = first_file(state)
    path.write_text(path.read_text().replace("schema: 1", "schema: 2"))


def damaged_sync_file(state: Path) -> None:
    (state / "sync.yaml").write_text("schema: 1\nsources: [\n")


def another_encoding(state: Path) -> None:
    first_file(state).write_bytes("id: é".encode("latin-1"))


DAMAGES = {
    edit_a_file: "901001_2024-03-11.yaml",
    break_a_file: "901001_2024-03-11.yaml",
    remove_a_file: "no such file",
    add_a_file: "901001_2024-03-15.yaml: not in the snapshot",
    add_a_stray_file: "notes.txt",
    misplace_a_file: "901002",
    remove_the_snapshot: "missing",
    cut_the_snapshot: "breaks off",
    drop_a_line: "not in the snapshot",
    repeat_a_line: "second time",
    swap_lines: "not in order",
    change_a_line: "sessions.jsonl",
    change_a_status_everywhere: "status of 901001_2024-03-11",
    merge_marks: "sessions.jsonl:1: not a session",
    another_schema: "901001_2024-03-11.yaml",
    damaged_sync_file: "sync.yaml",
    another_encoding: "901001_2024-03-11.yaml",
}


def test_a_clean_state_is_exit_0(state: Path) -> None:
    done = run_cli("verify", "--state", str(state))
    assert done.code == 0, done
    assert "29 sessions" in done.out
    assert "agree" in done.out


def test_an_empty_state_of_nobody_is_exit_1(tmp_path: Path) -> None:
    done = run_cli("verify", "--state", str(tmp_path / "nowhere"))
    assert done.code == 1
    assert "there is no such folder" in done.out


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_every_damage_is_found_and_named(state: Path, damage: Callable[[Path], None]) -> None:
    damage(state)
    done = run_cli("verify", "--state", str(state))
    assert done.code in (1, 2), done
    assert DAMAGES[damage] in done.out + done.err
    assert "Traceback" not in done.err


@pytest.mark.slow
def test_as_a_process(state: Path) -> None:
    command = [sys.executable, "-m", "npc_lims", "verify", "--state", str(state)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    remove_a_file(state)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no such file" in done.stdout


# --- verify --since


@pytest.fixture
def branch(state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state of a branch that left main a commit ago, with the repository as the working directory."""
    commit_all(state.parent)
    run_git(state.parent, "switch", "--quiet", "--create", "mine")
    (state.parent / "README.md").write_text("changed")
    commit_all(state.parent)
    monkeypatch.chdir(state.parent)
    return state


def test_a_branch_that_leaves_state_alone(branch: Path) -> None:
    done = run_cli("verify", "--since", "main")
    assert done.code == 0, done
    assert "agree" in done.out


def test_what_main_gained_since_is_no_edit(branch: Path) -> None:
    run_git(branch.parent, "switch", "--quiet", "main")
    edit_a_file(branch)
    commit_all(branch.parent)
    run_git(branch.parent, "switch", "--quiet", "mine")
    assert run_cli("verify", "--since", "main").code == 0


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize(
    ("edit", "name", "how"),
    [
        (edit_a_file, "sessions/901001/901001_2024-03-11.yaml", "changed"),
        (change_a_status_everywhere, "sessions.jsonl", "changed"),
        (remove_a_file, "sessions/901001/901001_2024-03-11.yaml", "removed"),
        (add_a_stray_file, "sessions/901001/notes.txt", "added"),
        (damaged_sync_file, "sync.yaml", "changed"),
    ],
)
def test_edits_by_hand_are_refused(
    branch: Path, edit: Callable[[Path], None], name: str, how: str, committed: bool
) -> None:
    edit(branch)
    if committed:
        commit_all(branch.parent)
    done = run_cli("verify", "--since", "main")
    assert done.code == 1, done
    (line,) = (line for line in done.out.splitlines() if line.startswith(f"state/{name}:1:1: error: "))
    assert f"{how} by hand: the next sync undoes it" in line
    assert "Report a wrong fact" in line
    annotations = run_cli("verify", "--since", "main", "--format", "github").out.splitlines()
    assert any(line.startswith(f"::error file=state/{name},line=1,col=1::{how} by hand: ") for line in annotations)
    assert all(line.startswith("::error ") for line in annotations)


def test_the_remedy_that_is_named_is_one(branch: Path) -> None:
    for edit in (edit_a_file, add_a_stray_file, cut_the_snapshot):
        edit(branch)
    commit_all(branch.parent)
    run_git(branch.parent, "switch", "--quiet", "main")
    change_a_status_everywhere(branch)
    commit_all(branch.parent)
    run_git(branch.parent, "switch", "--quiet", "mine")
    (branch / "untracked.txt").write_text("?")
    done = run_cli("verify", "--since", "main")
    assert done.code == 1, done
    remedy = done.out.splitlines()[0].partition("To undo: ")[2]
    for command in remedy.split(" && "):
        run_git(branch.parent, *command.split()[1:])
    commit_all(branch.parent)
    done = run_cli("verify", "--since", "main")
    assert done.code == 0, done


def test_an_edit_that_is_only_staged_is_one(branch: Path) -> None:
    edit_a_file(branch)
    run_git(branch.parent, "add", "--all")
    run_git(branch.parent, "restore", "--source=HEAD", "--worktree", "state")
    done = run_cli("verify", "--since", "main")
    assert done.code == 1, done


def test_a_damaged_sync_file_is_a_problem(branch: Path) -> None:
    (branch / "sync.yaml").write_text("sources: [\n")
    done = run_cli("verify")
    assert done.code == 1, done
    assert "sync.yaml: damaged" in done.out


def test_many_edits_are_cut(branch: Path) -> None:
    for number in range(40):
        (branch / f"{number}.txt").write_text("?")
    done = run_cli("verify", "--since", "main")
    assert done.code == 1, done
    assert "... and 10 more files edited by hand" in done.out


def test_another_state_folder(branch: Path, elsewhere: Path) -> None:
    edit_a_file(branch)
    done = run_cli("verify", "--state", str(branch), "--since", "main")
    assert done.code == 1, done
    assert "changed by hand" in done.out


@pytest.mark.parametrize(
    ("since", "words"), [("nowhere", "nowhere: no such commit"), ("--all", "--all: no such commit")]
)
def test_a_ref_that_is_not_there(branch: Path, since: str, words: str) -> None:
    done = run_cli("verify", f"--since={since}")
    assert done.code == 2, done
    assert words in done.err


def test_a_shallow_clone_names_what_to_fetch(branch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_git(branch.parent, "switch", "--quiet", "main")
    edit_a_file(branch)
    commit_all(branch.parent)
    origin = branch.parent.as_uri()
    run_git(tmp_path, "clone", "--quiet", "--depth=1", "--no-single-branch", "--branch=mine", origin, "shallow")
    monkeypatch.chdir(tmp_path / "shallow")
    done = run_cli("verify", "--since", "origin/main")
    assert done.code == 2, done
    assert "fetch-depth: 0" in done.err
