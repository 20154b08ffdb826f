"""`npc-lims sync`: what it prints, and how it ends."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from npc_lims.config.settings import Settings
from npc_lims.demo.files import write_world
from npc_lims.errors import SessionIndexError
from npc_lims.sessions.find_asset import find_asset
from npc_lims.state.store import read_record
from npc_lims.state.sync_file import read_sync_file
from npc_lims.sync.observation_file import read_observation_folder
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


def test_a_first_sync_lists_what_is_new(world: Path) -> None:
    done = sync()
    assert done.code == 0, done
    assert (world / "state" / "sessions.jsonl").is_file()
    assert " new" in done.out
    assert "901001_2024-03-11" in done.out
    assert "tracked: 19 sessions" in done.err
    assert "codeocean:" in done.err


def test_a_day_is_described_in_words(world: Path) -> None:
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


def test_nothing_changed_is_reported(world: Path) -> None:
    sync()
    done = sync()
    assert done.code == 0
    assert "nothing changed" in done.out


def test_edits_are_listed_by_field(world: Path) -> None:
    sync()
    tracked = world / "tracked_sessions.yaml"
    tracked.write_text(tracked.read_text().replace("day: 3\n", "day: 7\n", 1))
    done = sync()
    assert "1 edited" in done.out
    assert "day 3 -> 7" in done.out


def test_json_has_everything(world: Path) -> None:
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
    "no source": (["--only", ","], "--only names no source"),
    "no session": (["--sessions", ","], "--sessions names no session"),
    "an id that is none": (["--sessions", "rubbish"], "is not a session"),
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


def test_errors_in_the_tracked_file_fail_that_source_alone(world: Path) -> None:
    sync()
    before = read_record(world / "state", UPLOADED)
    write_world(world, 2)
    path = world / "tracked_sessions.yaml"
    path.write_text(path.read_text() + "    - //allen/DRpilot_909909_20240311:\n        days: 1\n    - rubbish\n")
    end = len(path.read_text().splitlines())
    done = sync()
    assert done.code == 3, done
    # each error with its position, and the first one as the reason
    assert f"tracked_sessions.yaml:{end - 1}:9: error: unknown key 'days'" in done.err
    assert f"tracked_sessions.yaml:{end}:7: error: " in done.err
    assert f"npc-lims: error: tracked failed; its recorded values are unchanged: line {end - 1}: unknown" in done.err
    assert "; and 1 more error (npc-lims validate)" in done.err
    # what the other sources have is written; what the last valid file said stays
    after = read_record(world / "state", UPLOADED)
    assert before is not None
    assert after is not None
    assert (after.tracked, after.codeocean != before.codeocean) == (before.tracked, True)
    failure = read_sync_file(world / "state").sources["tracked"].failure
    assert failure is not None
    assert failure.reason.startswith(f"line {end - 1}: unknown key")


def test_a_broken_file_does_not_show_what_changed_so_all_sessions_are_queried(
    world: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As at a push of one."""
    sync()
    (world / "tracked_sessions.yaml").write_text("ephys: [")
    monkeypatch.setenv("NPC_LIMS_MIRROR", "mirror")
    done = run_cli("observe", "--changed", "--out", str(tmp_path / "seen"))
    assert done.code == 3, done
    (observed,) = read_observation_folder(tmp_path / "seen")
    assert [one.source for one in observed.observations] == ["tracked", "training", "codeocean", "s3"]
    assert observed.scope.is_full
    assert [failure.source for failure in observed.failures] == ["tracked"]


def test_an_unknown_session_names_what_could_not_be_read(world: Path) -> None:
    (world / "tracked_sessions.yaml").write_text("ephys: [")
    done = sync("--sessions", "123456_2020-01-01")
    assert done.code == 2, done
    assert "no such session: 123456_2020-01-01; " in done.err
    assert "not all of these could be read: tracked: line 1: " in done.err


@pytest.mark.parametrize("shard", ["1/2", "2/2"])
def test_a_new_session_of_another_shard_is_no_mistake(
    world: Path, shard: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NPC_LIMS_MIRROR", "mirror")
    done = run_cli("observe", "--sessions", UPLOADED, "--shard", shard, "--out", str(tmp_path / "seen"))
    assert done.code == 0, done


def test_where_there_is_neither_file_nor_state_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_cli("sync")
    assert done.code == 2, done
    assert "there is no such file, and no state folder" in done.err
    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.slow
def test_as_a_process(world: Path) -> None:
    run = [sys.executable, "-m", "npc_lims", "sync", "--mirror", "mirror"]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert " new" in done.stdout
    broken = subprocess.run([*run, "--tracked", "nowhere.yaml"], capture_output=True, text=True, check=False)
    assert broken.returncode == 2
    assert "Traceback" not in broken.stderr


def test_a_deleted_session_file_comes_back(world: Path) -> None:
    sync()
    before = files_of(world / "state", "sync.yaml")
    (world / "state" / "sessions" / "901002" / "901002_2024-05-13.yaml").unlink()
    shutil.rmtree(world / "state" / "sessions" / "901001")
    assert sync("--dry-run").code == 0
    assert sync().code == 0
    assert files_of(world / "state", "sync.yaml") == before


def test_a_hand_edit_is_undone(world: Path) -> None:
    sync()
    path = world / "state" / "sessions" / "901002" / "901002_2024-05-13.yaml"
    before = path.read_bytes()
    path.write_bytes(before.replace(b"project: DynamicRouting", b"project: Elsewhere"))
    assert sync().code == 0
    assert path.read_bytes() == before
    assert run_cli("verify").code == 0


def test_state_does_not_depend_on_which_source_was_queried_first(world: Path) -> None:
    sync("--state", "at-once")
    for source in ("tracked", "training", "codeocean", "s3"):
        sync("--state", "one-by-one", "--only", source)
    sync("--state", "one-by-one")
    assert facts_of(world / "one-by-one") == facts_of(world / "at-once")


def test_text_in_brackets_is_text(world: Path) -> None:
    sync()
    tracked = world / "tracked_sessions.yaml"
    text = tracked.read_text(encoding="utf-8")
    noted = text.replace("        day: 1\n", '        day: 1\n        notes: "a [/red] b"\n', 1)
    tracked.write_text(noted, encoding="utf-8")
    done = sync()
    assert done.code == 0, done
    assert "[/red]" in done.out


def test_half_an_answer_saved_as_a_mirror_is_refused(world: Path) -> None:
    sync()
    before = facts_of(world / "state")
    path = world / "mirror" / "codeocean" / "data_assets.json"
    assets = json.loads(path.read_bytes())
    path.write_text(json.dumps({"results": assets[:3], "has_more": True}), encoding="utf-8")
    assert sync().code == 3
    assert facts_of(world / "state") == before
    path.write_text(json.dumps({"results": assets, "has_more": False}), encoding="utf-8")
    assert sync().code == 0
    assert facts_of(world / "state") == before


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("AWS_PROFILE", "nobody", 3),
        ("AWS_ENDPOINT_URL", "nowhere", 2),
        ("AWS_ENDPOINT_URL", "http://user:cop_secret@127.0.0.1:9", 2),
        ("CODE_OCEAN_DOMAIN", "https://user:cop_secret@127.0.0.1:9", 2),
        ("CODE_OCEAN_API_TOKEN", "cop_secret\u65e5", 2),
        ("NPC_LIMS_STIM_ROOT", "s3://", 2),
        ("NPC_LIMS_STIM_ROOT", "s3:///x", 2),
    ],
)
def test_an_unusable_setting_is_one_message_that_names_it(
    world: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, code: int
) -> None:
    monkeypatch.setenv(variable, value)
    done = run_cli("sync")
    assert done.code == code, done
    assert variable in done.err
    assert "Traceback" not in done.err
    assert "secret" not in done.out + done.err
    assert not any(b"secret" in content for content in files_of(world).values())


def test_a_dotenv_that_is_not_text_is_one_message(world: Path) -> None:
    (world / ".env").write_bytes(b"NPC_LIMS_TTL=\xff\xfe")
    done = sync()
    assert (done.code, "Traceback" in done.err) == (2, False)
    assert ".env" in done.err


@pytest.mark.parametrize("command", [("sync", "--mirror", "mirror"), ("sessions",), ("verify",)])
def test_a_state_that_is_a_file_is_one_message(world: Path, command: tuple[str, ...]) -> None:
    done = run_cli(*command, "--state", "tracked_sessions.yaml")
    assert done.code in (1, 2)
    assert "tracked_sessions.yaml" in done.out + done.err
    assert "Traceback" not in done.err


def test_naming_no_session_is_bad_input(world: Path) -> None:
    done = sync("--sessions", "")
    assert done.code == 2
    assert "--sessions" in done.err


def test_a_log_line_is_never_broken(world: Path) -> None:
    done = run_cli("sync")
    assert any("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in line for line in done.err.splitlines())


@pytest.mark.parametrize("healing", [("--only", "training"), ("--only", "s3"), ("--sessions", "901001_2024-03-11")])
def test_a_deleted_session_comes_back_whatever_sync_came_between(world: Path, healing: tuple[str, str]) -> None:
    sync()
    before = facts_of(world / "state")
    (world / "state" / "sessions" / "901002" / "901002_2024-05-13.yaml").unlink()
    assert sync(*healing).code == 0
    assert sync().code == 0
    assert facts_of(world / "state") == before


def test_session_files_of_another_commit_are_brought_up_to_date(world: Path) -> None:
    sync()
    shutil.copytree(world / "state", world / "old")
    write_world(world, 2)
    sync()
    after = facts_of(world / "state")
    shutil.rmtree(world / "state" / "sessions")
    shutil.copytree(world / "old" / "sessions", world / "state" / "sessions")
    shutil.copy(world / "old" / "sessions.jsonl", world / "state" / "sessions.jsonl")
    assert sync().code == 0
    assert facts_of(world / "state") == after


def test_a_session_that_moves_to_a_workbook_that_is_missing_stays(world: Path) -> None:
    sync()
    tracked = world / "tracked_sessions.yaml"
    text = tracked.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    start = next(n for n, line in enumerate(lines) if "901005_20241030" in line)
    end = next(n for n in range(start + 1, len(lines)) if lines[n].lstrip().startswith("- ") or lines[n][0] != " ")
    tracked.write_text("".join(lines[:start] + lines[end:]), encoding="utf-8")
    (world / "mirror/s3/aind-scratch-data/dynamic-routing/DynamicRoutingTask/DynamicRoutingTrainingNSB.xlsx").unlink()
    assert sync().code == 3
    assert (world / "state" / "sessions" / "901005" / "901005_2024-10-30.yaml").is_file()


def test_full_queries_the_main_recording_again(world: Path) -> None:
    """Its files were deleted since: nothing is left for the sync after that to find."""
    sync()
    for behavior in next((world / "mirror" / "s3").glob("*/ecephys_901001_2024-03-11_*")).glob("behavior*"):
        shutil.rmtree(behavior)
    assert " sessions; nothing changed" in sync().out
    assert " sessions; nothing changed" not in sync("--full").out
    record = read_record(world / "state", "901001_2024-03-11")
    assert record is not None
    assert record.status["is_uploaded"] is False
    assert " sessions; nothing changed" in sync().out


def test_a_recording_of_surface_channels_alone_is_no_upload(world: Path) -> None:
    """The main recording of the session was lost: what is there has no behavior beside it."""
    folder = next((world / "mirror" / "s3").glob("*/ecephys_901001_2024-03-11_*"))
    for behavior in folder.glob("behavior*"):
        shutil.rmtree(behavior)
    for words in (" sessions; ", " sessions; nothing changed"):
        done = sync()
        assert done.code == 0, done
        assert words in done.out
        assert f"901001_2024-03-11:0:0: warning: {folder.name} (" in " ".join(done.out.split())
        assert "holds no folder 'behavior' or 'behavior-videos'" in " ".join(done.out.split())
        record = read_record(world / "state", "901001_2024-03-11")
        assert record is not None
        assert record.status["is_uploaded"] is False
        assert "raw_asset_id" not in record.status
        assert record.status["is_surface_channels"] is True
    settings = Settings(state=world / "state", mirror=world / "mirror")
    assert find_asset(settings, "901001_2024-03-11", "surface").name == folder.name
    with pytest.raises(SessionIndexError):
        find_asset(settings, "901001_2024-03-11_1", "raw")
