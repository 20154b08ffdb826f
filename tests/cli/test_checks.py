"""`npc-lims validate` and `npc-lims verify`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from npc_lims.demo.world import write_world
from tests.integration.world import run_cli

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


def test_as_a_process(state: Path) -> None:
    command = [sys.executable, "-m", "npc_lims", "verify", "--state", str(state)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    remove_a_file(state)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no such file" in done.stdout
