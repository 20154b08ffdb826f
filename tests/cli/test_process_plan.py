"""`npc-lims process plan` and `runs`, and runs beside everything else that reads state."""

from __future__ import annotations

import datetime
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from npc_lims.config.settings import Settings
from npc_lims.demo.files import write_world
from npc_lims.processing.runs import Run, RunAsset, read_runs, write_runs
from npc_lims.state.store import read_record
from npc_lims.sync.run import SyncOptions, sync
from npc_lims.utils.timestamps import utc_text
from tests.integration.world import Done, commit_all, run_cli, run_git

ROOT = Path(__file__).resolve().parent.parent.parent
NEWEST = "901003_2024-10-24"
TODAY = "2024-11-22T10:00:00Z"


@pytest.fixture
def folder(state: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the demo's state and the processes that are shipped: the working directory."""
    shutil.copy(ROOT / "pipelines.yaml", state.parent)
    monkeypatch.chdir(state.parent)
    return state.parent


def plan(*arguments: str) -> Done:
    done = run_cli("process", "plan", *arguments)
    assert done.code == 0, done
    return done


def decisions(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(plan("--json", *arguments).out)
    return found


def would_run(*arguments: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in decisions(*arguments):
        if one["verdict"] == "would run":
            found.setdefault(one["process"], []).append(one["session"])
    return found


def run_for(folder: Path, session: str = NEWEST, **more: Any) -> Run:
    """A run of a session of the demo with its raw asset."""
    one = read_record(folder / "state", session)
    assert one is not None
    assert one.codeocean
    assert one.codeocean.raw
    fields = {"session": session, "input": one.codeocean.raw.id, "attempt": 1, "claim": "5f1c", "claimed": TODAY}
    return Run.model_validate({**fields, **more})


# --- plan

EXPECTED = {
    "dlc_eye": ["901003_2024-10-24", "901002_2024-05-16"],
    "dlc_side": ["901005_2024-10-28", "901003_2024-10-24", "901003_2024-10-23", "901002_2024-05-16"],
    "dlc_face": ["901005_2024-10-28", "901003_2024-10-24", "901003_2024-10-23", "901002_2024-05-16"],
    "facemap": [
        "901005_2024-10-28",
        "901003_2024-10-24",
        "901003_2024-10-23",
        "901002_2024-05-16",
        "901002_2024-05-15",
    ],
    "GammaEncoding": ["901005_2024-10-28", "901003_2024-10-24", "901003_2024-10-23"],
    "sorting": ["901003_2024-10-24", "901004_2024-06-06", "901002_2024-05-16"],
}


def test_the_demo_would_run_what_it_lacks(folder: Path) -> None:
    assert would_run() == EXPECTED
    every = decisions()
    assert len(every) == 7 * 29
    assert list(dict.fromkeys(one["process"] for one in every)) == [*list(EXPECTED)[:5], "LPFaceParts", "sorting"]


def test_a_decision_has_everything_for_a_machine(folder: Path) -> None:
    (one,) = decisions("dlc_eye", "--sessions", "DRpilot_901003_20241024")
    raw = run_for(folder).input
    assert one == {
        "process": "dlc_eye",
        "session": NEWEST,
        "verdict": "would run",
        "reason": "ready",
        "input": {"id": raw, "name": "ecephys_901003_2024-10-24_11-15-36"},
        "try": 1,
        "run": None,
    }


def test_the_text_begins_with_counts_then_sessions_then_reasons(folder: Path) -> None:
    lines = plan("dlc_eye", "sorting").out.splitlines()
    assert lines == [
        "process  would run  running  waiting  captured  done  not ready  failed",
        "dlc_eye          2        0        0         0    12         15       0",
        "sorting          3        0        1         0    10         15       0",
        "",
        "would run  for                try  input                               why",
        "dlc_eye    901003_2024-10-24  1    ecephys_901003_2024-10-24_11-15-36  ready",
        "dlc_eye    901002_2024-05-16  1    ecephys_901002_2024-05-16_13-12-58  ready",
        "sorting    901003_2024-10-24  1    ecephys_901003_2024-10-24_11-15-36  ready",
        "sorting    901004_2024-06-06  1    ecephys_901004_2024-06-06_10-25-25  ready",
        "sorting    901002_2024-05-16  1    ecephys_901002_2024-05-16_13-12-58  ready",
        "",
        "would not  sessions             why",
        "dlc_eye          12  done       is_dlc_eye is true",
        "dlc_eye          11  not ready  is_dlc_eye does not apply",
        "dlc_eye           4  not ready  there is no raw asset",
        "sorting           1  waiting    at most 3 run at once",
        "sorting          10  done       is_sorted is true",
        "sorting          12  not ready  is_sorted does not apply",
        "sorting           3  not ready  there is no raw asset",
    ]


def test_each_session_has_its_line_on_request(folder: Path) -> None:
    lines = plan("sorting", "--all").out.splitlines()
    assert lines[3].split() == ["session", "process", "verdict", "why"]
    assert len(lines) == 4 + 29
    chosen = plan("sorting", "facemap", "--sessions", f"{NEWEST},901005_2024-11-04").out.splitlines()
    assert chosen[4:] == [
        "session            process  verdict    why",
        "901005_2024-11-04  sorting  not ready  there is no raw asset",
        "901003_2024-10-24  sorting  would run  ready",
        "901005_2024-11-04  facemap  not ready  there is no raw asset",
        "901003_2024-10-24  facemap  would run  ready",
    ]


def test_what_is_recorded_counts(folder: Path) -> None:
    state = folder / "state"
    write_runs(state, "dlc_eye", [run_for(folder, computation="c", started=TODAY)])
    again = run_for(folder, computation="c", started=TODAY, outcome="errored", reason="Out of memory.")
    write_runs(state, "dlc_side", [again])
    lines = plan("dlc_eye", "dlc_side").out.splitlines()
    assert "dlc_eye           1        1        0         0    12         15       0" in lines
    assert any(line.startswith("dlc_side   901003_2024-10-24  2    ecephys") for line in lines)
    assert any(line.endswith("try 2, after: Out of memory.") for line in lines)
    assert "dlc_eye           1  running    running" in lines
    (one,) = decisions("dlc_eye", "--sessions", NEWEST)
    assert one["run"]["computation"] == "c"


def test_nothing_is_written_by_a_plan(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    plan()
    run_cli("process", "runs")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_nothing_to_run_is_said(folder: Path) -> None:
    assert "nothing would run" in plan("LPFaceParts").out


# --- mistakes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plan", "dlc_eey"], "no such process: dlc_eey (did you mean 'dlc_eye'?); there are dlc_eye, dlc_side"),
        (["plan", "--sessions", "901003_2030-01-01"], "the state has no session 901003_2030-01-01"),
        (["plan", "--sessions", "somewhere"], "'somewhere' is not a session"),
        (["plan", "--state", "nowhere"], "there is no state folder nowhere"),
        (["plan", "--pipelines", "nowhere.yaml"], "nowhere.yaml:0:0: error: there is no such file"),
        (["runs", "dlc_eye"], "no runs of dlc_eye are recorded; no runs are recorded at all"),
    ],
)
def test_mistakes_are_one_message(folder: Path, arguments: list[str], words: str) -> None:
    done = run_cli("process", *arguments)
    assert done.code == 2, done
    assert words in done.err
    assert "Traceback" not in done.err


def test_without_a_checkout_the_remedy_is_reported(elsewhere: Path) -> None:
    done = run_cli("process", "plan")
    assert done.code == 2
    assert "there is no state folder here: run this in a checkout of the repository, check --state" in done.err


def test_without_pipelines_the_remedy_is_reported(folder: Path) -> None:
    (folder / "pipelines.yaml").unlink()
    done = run_cli("process", "plan")
    assert done.code == 2
    assert "pipelines.yaml, which defines what is run: give its path with --pipelines" in done.err


def test_every_mistake_of_the_file_is_reported_with_its_line(folder: Path) -> None:
    path = folder / "pipelines.yaml"
    path.write_text(path.read_text().replace("input: raw", "inputs: raw", 2))
    done = run_cli("process", "plan")
    assert done.code == 2
    *lines, last = done.err.splitlines()
    assert len(lines) == 4
    assert all(line.startswith(f"{path}:") for line in lines)
    assert last == f"npc-lims: error: {path}: 4 errors, listed above; correct them and give the command again"
    assert "error: unknown key 'inputs' (did you mean 'input'?)" in done.err


# --- runs


def test_runs_are_listed_with_what_came_of_them(folder: Path) -> None:
    state = folder / "state"
    assert run_cli("process", "runs").out == "no runs are recorded\n"
    made = RunAsset(id="a", name="ecephys_901003_2024-10-24_11-15-36_dlc_eye_2024-11-22_10-00-00")
    started = {"computation": "1c90", "started": TODAY}
    write_runs(
        state,
        "dlc_eye",
        [
            run_for(folder, outcome="errored", reason="Out of memory.", **started),
            run_for(folder, attempt=2, outcome="succeeded", asset=made, shared=True, **started),
            run_for(folder, "901002_2024-05-16"),
        ],
    )
    write_runs(state, "sorting", [run_for(folder, **started)])
    done = run_cli("process", "runs")
    assert done.code == 0, done
    assert done.out.splitlines() == [
        "process  session            try  since                 state    about",
        "dlc_eye  901002_2024-05-16  1    2024-11-22T10:00:00Z  claimed  not known to be started",
        "dlc_eye  901003_2024-10-24  1    2024-11-22T10:00:00Z  errored  Out of memory.",
        f"dlc_eye  901003_2024-10-24  2    2024-11-22T10:00:00Z  shared   {made.name}",
        "sorting  901003_2024-10-24  1    2024-11-22T10:00:00Z  running  1c90",
        "4 runs: 1 claimed, 1 errored, 1 running, 1 shared",
    ]
    data = json.loads(run_cli("process", "runs", "dlc_eye", "--json", "--sessions", NEWEST).out)
    assert [(one["process"], one["session"], one["try"]) for one in data] == [
        ("dlc_eye", NEWEST, 1),
        ("dlc_eye", NEWEST, 2),
    ]
    mistaken = run_cli("process", "runs", "sortng")
    assert mistaken.code == 2
    assert (
        "no runs of sortng are recorded (did you mean 'sorting'?); there are runs of dlc_eye, sorting" in mistaken.err
    )


# --- runs beside everything else


@pytest.fixture
def repository(folder: Path) -> Path:
    """The same as a repository, with one run recorded and all committed."""
    write_runs(folder / "state", "dlc_eye", [run_for(folder)])
    commit_all(folder)
    return folder


def test_a_state_with_runs_is_verified(folder: Path) -> None:
    state = folder / "state"
    write_runs(state, "dlc_eye", [run_for(folder)])
    done = run_cli("verify")
    assert done.code == 0, done
    assert "29 sessions" in done.out


def test_damaged_runs_are_found_by_verify(folder: Path) -> None:
    state = folder / "state"
    write_runs(state, "dlc_eye", [run_for(folder)])
    (state / "runs" / "dlc-eye.yaml").write_text("")
    (state / "runs" / "sorting.yaml").write_text("schema: 1\n")
    done = run_cli("verify", "--format", "github")
    assert done.code == 1
    assert "dlc-eye.yaml: not the runs of a process; its name is <process>.yaml" in done.out
    assert "sorting.yaml: top level: process is missing; restore it (git checkout)" in done.out
    assert done.out.count("::error") == 2


def test_runs_edited_by_hand_are_refused(repository: Path) -> None:
    path = repository / "state" / "runs" / "dlc_eye.yaml"
    assert run_cli("verify", "--since", "HEAD").code == 0
    path.write_text(path.read_text().replace("5f1c", "6f1c"))
    done = run_cli("verify", "--since", "HEAD")
    assert done.code == 1
    (line,) = done.out.splitlines()
    assert line.startswith("state/runs/dlc_eye.yaml:1:1: error: changed by hand: ")
    assert "npc-lims process run PROCESS --sessions SESSION --again" in line
    assert "git restore --source=" in line


def test_a_file_of_runs_added_by_hand_is_refused(repository: Path) -> None:
    write_runs(repository / "state", "sorting", [run_for(repository)])
    done = run_cli("verify", "--since", "HEAD")
    assert done.code == 1
    assert "state/runs/sorting.yaml:1:1: error: added by hand: " in done.out
    assert "git clean -f -d -- state" in done.out


def test_a_diff_names_the_files_of_runs_and_no_session(repository: Path) -> None:
    write_runs(repository / "state", "dlc_eye", [run_for(repository, computation="c", started=TODAY)])
    commit_all(repository)
    done = run_cli("diff", "HEAD~1", "HEAD", "--what", "state")
    assert done.code == 0, done
    assert "no facts changed" in done.out
    assert "runs/dlc_eye.yaml" in done.out
    uncommitted = write_runs(repository / "state", "dlc_eye", [])
    assert uncommitted
    assert "runs/dlc_eye.yaml" in run_cli("diff", "HEAD", "--what", "state").out
    assert run_git(repository, "status", "--short").strip() == "D state/runs/dlc_eye.yaml"


# --- validate


def test_pipelines_are_validated_beside_the_tracked_file(folder: Path) -> None:
    (folder / "tracked_sessions.yaml").write_text("ephys:\n  P:\n    - //allen/DRpilot_901003_20241024\n")
    done = run_cli("validate")
    assert done.code == 0, done
    assert "tracked_sessions.yaml: 1 session, 0 errors" in done.err
    assert "pipelines.yaml: 7 processes, 0 errors" in done.err
    path = folder / "pipelines.yaml"
    path.write_text(path.read_text().replace("running: 3", "running: 0", 1))
    done = run_cli("validate", "--format", "github")
    assert done.code == 1
    assert done.out.startswith("::error file=pipelines.yaml,line=")
    assert "limits.running must be 1 or more, not the integer 0" in done.out
    assert "pipelines.yaml: 1 error" in done.err


def test_a_recent_claim_stays_with_its_owner(folder: Path) -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    fresh = run_for(folder, claimed=utc_text(now))
    write_runs(folder / "state", "dlc_eye", [fresh])
    (one,) = decisions("dlc_eye", "--sessions", NEWEST)
    assert (one["verdict"], one["reason"]) == ("running", "claimed, not known to be started yet")
    stale = run_for(folder, claimed=utc_text(now - datetime.timedelta(hours=2)))
    write_runs(folder / "state", "dlc_eye", [stale])
    (one,) = decisions("dlc_eye", "--sessions", NEWEST)
    assert (one["verdict"], one["try"], one["run"]["claim"]) == ("would run", 1, "5f1c")
    assert read_runs(folder / "state", "dlc_eye") == (stale,)


def test_a_sync_leaves_runs_alone(tmp_path: Path, elsewhere: Path) -> None:
    write_world(tmp_path, 1)
    settings = Settings(mirror=tmp_path / "mirror", cache_dir=tmp_path / "cache")
    options = SyncOptions(state=tmp_path / "state", tracked=tmp_path / "tracked_sessions.yaml")
    sync(settings, options)
    run = run_for(tmp_path, "901001_2024-03-11")
    write_runs(tmp_path / "state", "dlc_eye", [run])
    write_world(tmp_path, 2)
    assert sync(settings, options).changes
    assert read_runs(tmp_path / "state", "dlc_eye") == (run,)
    assert run_cli("verify", "--state", str(tmp_path / "state")).code == 0
