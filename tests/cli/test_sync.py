"""`npc-lims sync`: what it prints, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from npc_lims.demo.world import write_world
from tests.integration.world import ADDED, SORTED, UPLOADED, Done, facts_of, files_of, run_cli

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the first day's tracked file and mirror, which is the working directory."""
    folder = tmp_path / "world"
    write_world(folder, 1)
    monkeypatch.chdir(folder)
    return folder


def sync(*more: str) -> Done:
    return run_cli("sync", "--mirror", "mirror", *more)


def test_a_first_sync_tells_what_is_new(world: Path) -> None:
    done = sync()
    assert done.code == 0, done
    assert (world / "state" / "sessions.jsonl").is_file()
    assert " new" in done.out
    assert "901001_2024-03-11" in done.out
    assert "tracked: 19 sessions" in done.err
    assert "codeocean:" in done.err


def test_a_day_is_told_in_words(world: Path) -> None:
    sync()
    write_world(world, 2)
    done = sync()
    assert done.code == 0, done
    lines = {line.split()[0]: line for line in done.out.splitlines() if line[:1] == "9"}
    assert set(lines) == {UPLOADED, SORTED, ADDED}
    assert "uploaded" in lines[UPLOADED]
    assert "sorted" in lines[SORTED]
    assert "new" in lines[ADDED]
    headline = done.out.splitlines()[0]
    for words in ("1 uploaded", "1 sorted", "1 new"):
        assert words in headline


def test_nothing_changed_is_said(world: Path) -> None:
    sync()
    done = sync()
    assert done.code == 0
    assert "nothing changed" in done.out


def test_edits_are_told_by_field(world: Path) -> None:
    sync()
    tracked = world / "tracked_sessions.yaml"
    tracked.write_text(tracked.read_text().replace("day: 3\n", "day: 7\n", 1))
    done = sync()
    assert "1 edited" in done.out
    assert "day 3 -> 7" in done.out


def test_json_holds_everything(world: Path) -> None:
    sync()
    write_world(world, 2)
    told = json.loads(sync("--json").out)
    assert set(told) >= {"headline", "dry_run", "sessions", "changes", "failures", "written"}
    assert {change["id"] for change in told["changes"]} == {UPLOADED, SORTED, ADDED}
    assert told["failures"] == {}
    assert any(path.endswith("sessions.jsonl") for path in told["written"])


def test_dry_run_writes_nothing(world: Path) -> None:
    before = files_of(world)
    done = sync("--dry-run")
    assert done.code == 0
    assert "dry run" in done.out
    assert files_of(world) == before


def test_warnings_in_files_are_counted(world: Path) -> None:
    tracked = world / "tracked_sessions.yaml"
    text = tracked.read_text()
    entry = next(line for line in text.splitlines() if "DRpilot_901001_20240311" in line)
    tracked.write_text(text.replace(entry, f"{entry.rstrip(':')}\n{entry}", 1))
    done = sync()
    assert done.code == 0, done
    assert "tracked: 1 warning in its files; see npc-lims validate" in done.out


def test_a_failed_source_is_exit_3(world: Path) -> None:
    (world / "mirror" / "codeocean" / "data_assets.json").write_text("[{")
    done = sync("--json")
    assert done.code == 3, done
    assert set(json.loads(done.out)["failures"]) == {"codeocean"}
    assert (world / "state" / "sessions.jsonl").is_file(), "the rest is written"


def test_a_refused_sync_is_exit_4(world: Path) -> None:
    sync()
    before = facts_of(world / "state")
    (world / "mirror" / "codeocean" / "data_assets.json").write_text("[]")
    done = sync()
    assert done.code == 4, done
    assert "npc-lims: error: refused" in done.err
    assert facts_of(world / "state") == before
    assert sync("--allow-removals").code == 0


MISTAKES = {
    "a missing tracked file": (["--tracked", "nowhere.yaml"], "nowhere.yaml"),
    "an unknown source": (["--only", "tracked,github"], "no such source"),
    "an id that is none": (["--sessions", "rubbish"], "no subject and date"),
    "a session that nobody knows": (["--sessions", "123456_2020-01-01"], "no such session"),
    "an unknown flag": (["--everything"], "No such option"),
    "a missing mirror": (["--mirror", "nowhere", "--only", "tracked", "--tracked", "nowhere"], "nowhere"),
}


@pytest.mark.parametrize(("arguments", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_exit_2_and_one_message(world: Path, arguments: list[str], words: str) -> None:
    before = files_of(world)
    done = sync(*arguments)
    assert done.code == 2, done
    assert words in done.err
    assert "Traceback" not in done.err
    assert files_of(world) == before


def test_errors_in_the_tracked_file_are_exit_2_with_their_lines(world: Path) -> None:
    path = world / "tracked_sessions.yaml"
    path.write_text("ephys:\n  P:\n    - //allen/DRpilot_901001_20240311:\n        days: 1\n")
    done = sync()
    assert done.code == 2, done
    assert "tracked_sessions.yaml:4:9: error:" in done.err
    assert not (world / "state").exists()


def test_a_damaged_state_is_exit_2_and_names_the_file(world: Path) -> None:
    sync()
    damaged = next((world / "state" / "sessions").rglob("*.yaml"))
    damaged.write_text("id: [")
    before = files_of(world)
    done = sync()
    assert done.code == 2, done
    assert damaged.name in done.err
    assert "git checkout" in done.err
    assert files_of(world) == before


def test_some_sessions_by_any_form_of_their_ids(world: Path) -> None:
    sync()
    write_world(world, 2)
    done = sync("--json", "--sessions", f"DRpilot_{SORTED.replace('-', '')},{UPLOADED}")
    assert done.code == 0, done
    assert [change["id"] for change in json.loads(done.out)["changes"]] == [SORTED, UPLOADED]


@pytest.mark.parametrize("command", [["-m", "npc_lims", "sync"], [str(ROOT / "scripts" / "sync.py")]])
def test_as_a_process(world: Path, command: list[str]) -> None:
    """The command, and the script that workflows run, are the same."""
    run = [sys.executable, *command, "--mirror", "mirror"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert " new" in done.stdout
    broken = subprocess.run([*run, "--tracked", "nowhere.yaml"], capture_output=True, text=True, check=False)
    assert broken.returncode == 2
    assert "Traceback" not in broken.stderr
