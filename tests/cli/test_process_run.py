"""`npc-lims process run`, `collect` and their halves for workflows, as users call them."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import typer

from npc_lims.cli.output import OutputStyle
from npc_lims.cli.process_report import print_report
from npc_lims.config.settings import load_settings
from npc_lims.errors import NpcLimsError
from npc_lims.processing.plan import PlanRequest
from npc_lims.processing.runs import Run, read_runs
from npc_lims.processing.workflow import BranchRunStore, RunResults, RunStore
from npc_lims.state.diff_format import SUMMARY_BYTES
from tests.integration.world import Done, commit_all, run_cli, run_git
from tests.processing.rig import SESSIONS, TOKEN, Rig, make_rig, posts, write_sessions, writes
from tests.servers.faults import Status
from tests.servers.fixtures import Serve
from tests.sync.repositories import clone

PIPELINES = """\
processes:
  dlc_eye:
    capsule: 4cf0be83-2245-4bb1-a55c-a78201b14bfe
    input: raw
    done: is_dlc_eye
    needs: [is_uploaded, is_video]
    asset:
      name: "{recording}_dlc_eye_{created}"
      tags: [derived]
"""
GOOD = {"nwb": {"a.nwb": b"x"}, "output": b"All is well."}


@pytest.fixture
def rig_env(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Rig:
    rig = make_rig(serve)
    monkeypatch.setenv("CODE_OCEAN_DOMAIN", rig.proxy.url)
    monkeypatch.setenv("CODE_OCEAN_API_TOKEN", TOKEN)
    monkeypatch.setenv("NPC_LIMS_ATTEMPTS", "2")
    return rig


@pytest.fixture
def folder(rig_env: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with state and pipelines, outside of git, in which the user stands."""
    folder = tmp_path / "lab"
    write_sessions(folder)
    (folder / "pipelines.yaml").write_text(PIPELINES)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def remote(folder: Path, tmp_path: Path) -> Path:
    """The same, on the main branch of a bare repository."""
    commit_all(folder)
    run_git(tmp_path, "clone", "--quiet", "--bare", "lab", "remote.git")
    return tmp_path / "remote.git"


@pytest.fixture(autouse=True)
def token_is_never_shown(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    shown = capfd.readouterr()
    assert TOKEN not in shown.out + shown.err


def runs_of(folder: Path) -> tuple[Run, ...]:
    return read_runs(folder / "state", "dlc_eye")


def runs_on(remote: Path, folder: Path) -> tuple[Run, ...]:
    """What the main branch records; it is cloned to *folder* for that."""
    shutil.rmtree(folder, ignore_errors=True)
    return runs_of(clone(remote, folder))


def subjects(remote: Path) -> list[str]:
    return run_git(remote, "log", "--format=%s", "main").splitlines()


def expect(done: Done, code: int, *texts: str) -> None:
    assert done.code == code, done
    for text in texts:
        assert text in done.out + done.err, done
    assert TOKEN not in done.out + done.err
    assert "Traceback" not in done.err


def finish(rig: Rig, **ending: object) -> None:
    for one in rig.going():
        rig.server.finish(one["id"], files=GOOD, **ending)  # type: ignore[arg-type]


# --- in a folder ----------------------------------------------------------------------------------


def test_run_and_collect_in_a_folder(rig_env: Rig, folder: Path) -> None:
    expect(run_cli("process", "run", "dlc_eye", "--limit", "2"), 0, "2 started", SESSIONS[2], "computation ")
    assert [run.session for run in runs_of(folder)] == [SESSIONS[1], SESSIONS[2]]
    expect(run_cli("process", "collect"), 0, "2 running", "initializing since")
    finish(rig_env)
    expect(run_cli("process", "collect", "--wait", "1"), 0, "2 shared", "data asset ecephys_")
    assert all(run.shared for run in runs_of(folder))
    expect(run_cli("process", "collect"), 0, "no run to query")
    expect(run_cli("process", "run"), 0, "1 started")
    expect(run_cli("process", "run"), 0, "nothing to start (npc-lims process plan shows why)")
    assert len(posts(rig_env.proxy.requests)) == 3


@pytest.mark.slow
def test_all_processes_together_wait_no_longer_than_is_said(rig_env: Rig, folder: Path) -> None:
    second = PIPELINES.removeprefix("processes:\n").replace("dlc_eye", "dlc_side").replace("4cf0", "4cf1")
    (folder / "pipelines.yaml").write_text(PIPELINES + second)
    run_cli("process", "run", "--limit", "1")
    finish(rig_env)
    rig_env.server.draft_reads = None
    rig_env.proxy.reset()
    expect(run_cli("process", "collect", "--wait", "3"), 0, "2 not ready")
    # the first has used up all of it: the second looks once
    asked = [request.path for request in rig_env.proxy.requests if request.method == "GET"]
    assert asked.count(f"/api/v1/data_assets/{rig_env.server.assets[-1]['id']}") == 1


def test_nothing_is_queried_or_written_by_commands_that_only_read(rig_env: Rig, folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    expect(run_cli("process", "run", "--dry-run"), 0, "3 would be started (dry run)", SESSIONS[0])
    expect(run_cli("process", "plan"), 0)
    expect(run_cli("process", "runs"), 0)
    expect(run_cli("sessions"), 0)
    assert rig_env.proxy.requests == []
    expect(run_cli("process", "run", "--dry-run", "--limit", "1"), 0, "1 would be started")
    assert sorted(folder.rglob("*")) == before
    # a sync asks, and starts nothing
    (folder / "tracked_sessions.yaml").write_text("ephys:\n")
    run_cli("sync", "--only", "codeocean")
    assert rig_env.proxy.requests
    assert writes(rig_env.proxy.requests) == []


def test_without_a_token_nothing_is_claimed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODE_OCEAN_API_TOKEN")
    expect(run_cli("process", "run"), 2, "CODE_OCEAN_API_TOKEN")
    expect(run_cli("process", "collect"), 2, "CODE_OCEAN_API_TOKEN")
    assert runs_of(folder) == ()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "dlc_ey"], "dlc_ey"),
        (["run", "--sessions", "900000_2024-01-01"], "900000_2024-01-01"),
        (["run", "--again"], "needs the process to run"),
        (["run", "dlc_eye", "--again"], "sessions"),
        (["run", "--limit", "0"], "--limit"),
        (["collect", "--out", "x.json", "--publish"], "either a file, or the branch"),
        (["claim", "--out", "pipelines.yaml/claims.json"], "pipelines.yaml"),
        (["start", "--claims", "none.json", "--out", "x.json"], "none.json"),
        (["record", "none.json"], "none.json"),
        (["run", "--publish"], "not in a git checkout"),
    ],
)
def test_after_a_mistake_nothing_is_started(arguments: list[str], says: str, rig_env: Rig, folder: Path) -> None:
    expect(run_cli("process", *arguments), 2, says)
    assert writes(rig_env.proxy.requests) == []
    assert runs_of(folder) == ()


@pytest.mark.slow
def test_code_ocean_failing_is_exit_3_and_what_was_done_is_recorded(rig_env: Rig, folder: Path, tmp_path: Path) -> None:
    answers = iter([None, Status(401)])
    rig_env.proxy.rule = lambda request: next(answers, None) if request.method == "POST" else None
    summary = tmp_path / "summary.md"
    done = run_cli("process", "run", "--summary", str(summary))
    expect(done, 3, "the token was refused (401: Unauthorized): it has expired", "1 started")
    assert [run.session for run in runs_of(folder)] == [SESSIONS[2]]
    text = summary.read_text()
    assert f"| dlc_eye | `{SESSIONS[2]}` | 1 | started |" in text
    assert "the token was refused (401" in text
    finish(rig_env)
    rig_env.server.token = "cop_another"
    done = run_cli("process", "collect", "--summary", str(summary))
    expect(done, 3, "expired")
    assert "no run to query" not in done.out + summary.read_text()
    assert runs_of(folder)[0].outcome is None


def test_two_at_once_in_one_folder_start_each_session_once(rig_env: Rig, folder: Path) -> None:
    barrier = threading.Barrier(4)

    def claim(_: int) -> int:
        barrier.wait(10)
        store = RunStore(load_settings(), folder / "state")
        _, claims = store.claim(PlanRequest([rig_env.process]))
        return len(claims["dlc_eye"])

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(claim, range(4))) == [0, 0, 0, 3]
    assert len(runs_of(folder)) == 3


# --- on a branch ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_run_and_collect_on_a_branch(
    rig_env: Rig, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clone(remote, tmp_path / "checkout"))
    done = run_cli("process", "run", "--publish", "--limit", "1", "--by", "https://example.org/runs/7")
    expect(done, 0, "pushed claims to main", "pushed runs to main", "1 started")
    assert subjects(remote)[:2] == ["runs: dlc_eye 1 started (700000)", "runs: dlc_eye 1 claimed (700000)"]
    (run,) = runs_on(remote, tmp_path / "look")
    assert run.by == "https://example.org/runs/7" and run.computation is not None
    assert "Npc-Lims-Run: https://example.org/runs/7" in run_git(remote, "log", "-1", "--format=%B", "main")
    assert run_git(Path.cwd(), "status", "--porcelain") == ""
    finish(rig_env)
    # from a checkout that has seen nothing of it
    monkeypatch.chdir(clone(remote, tmp_path / "other"))
    run_git(Path.cwd(), "reset", "--quiet", "--hard", "HEAD~2")
    expect(run_cli("process", "collect", "--publish"), 0, "1 shared")
    assert runs_on(remote, tmp_path / "look")[0].shared
    assert subjects(remote)[0] == "runs: dlc_eye 1 shared (700000)"
    assert run_git(Path.cwd(), "status", "--porcelain") == ""


@pytest.mark.slow
def test_a_dry_run_shows_what_the_branch_leaves_to_start_and_changes_nothing(
    rig_env: Rig, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = clone(remote, tmp_path / "first"), clone(remote, tmp_path / "second")
    monkeypatch.chdir(first)
    expect(run_cli("process", "run", "--publish", "--limit", "2"), 0, "2 started")
    monkeypatch.chdir(second)
    before = run_git(second, "rev-parse", "HEAD")
    expect(run_cli("process", "run", "--publish", "--dry-run"), 0, "1 would be started", SESSIONS[0])
    assert run_git(second, "rev-parse", "HEAD") == before
    assert runs_of(second) == ()


@pytest.mark.slow
def test_what_a_user_has_changed_in_the_state_is_not_staged(
    rig_env: Rig, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = clone(remote, tmp_path / "checkout")
    monkeypatch.chdir(checkout)
    changed = next((checkout / "state" / "sessions").rglob("*.yaml"))
    changed.write_bytes(changed.read_bytes() + b"# mine\n")
    expect(run_cli("process", "run", "--publish"), 0, "3 started")
    assert len(runs_of(checkout)) == 3
    assert run_git(checkout, "diff", "--cached", "--name-only") == ""
    assert run_git(checkout, "diff", "--name-only").strip() == changed.relative_to(checkout).as_posix()


@pytest.mark.slow
def test_two_checkouts_that_publish_at_once_claim_each_session_once(rig_env: Rig, remote: Path, tmp_path: Path) -> None:
    checkouts = [clone(remote, tmp_path / f"checkout-{n}") for n in range(3)]
    barrier = threading.Barrier(3)

    def claim(checkout: Path) -> list[str]:
        barrier.wait(10)
        store = BranchRunStore(load_settings(), checkout / "state")
        _, claims = store.claim(PlanRequest([rig_env.process], limit=2))
        return [run.session for run in claims["dlc_eye"]]

    with ThreadPoolExecutor(3) as pool:
        claimed = list(pool.map(claim, checkouts))
    together = sorted(session for some in claimed for session in some)
    assert together == sorted(SESSIONS)
    assert [run.session for run in runs_on(remote, tmp_path / "look")] == sorted(SESSIONS)


@pytest.mark.slow
def test_what_was_started_is_found_again_if_it_could_not_be_pushed(
    rig_env: Rig, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clone(remote, tmp_path / "checkout"))
    hook = remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    # claims get through, what comes after does not
    hook.write_bytes(b'#!/bin/sh\nread old new ref\ngit log -1 --format=%s "$new" | grep -q claimed\n')
    hook.chmod(0o755)
    expect(run_cli("process", "run", "--publish"), 2, "hook")
    assert len(rig_env.going()) == 3
    assert all(run.is_claim for run in runs_on(remote, tmp_path / "look"))
    hook.unlink()
    expect(run_cli("process", "run", "--publish"), 0, "3 found")
    assert all(run.computation is not None for run in runs_on(remote, tmp_path / "look"))
    assert len(posts(rig_env.proxy.requests)) == 3


def test_a_branch_that_cannot_be_pushed_to_starts_nothing(
    rig_env: Rig, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clone(remote, tmp_path / "checkout"))
    shutil.rmtree(remote)
    expect(run_cli("process", "run", "--publish"), 2, "origin/main")
    assert rig_env.proxy.requests == []


# --- the halves -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_claim_start_collect_and_record(
    rig_env: Rig, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clone(remote, tmp_path / "one"))
    claims, started, collected = (str(tmp_path / "files" / name) for name in ("c.json", "s.json", "d.json"))
    expect(run_cli("process", "claim", "--publish", "--limit", "2", "--out", claims), 0, "2 claims")
    assert rig_env.proxy.requests == []
    monkeypatch.chdir(clone(remote, tmp_path / "two"))
    expect(run_cli("process", "start", "--claims", claims, "--out", started), 0, "2 started")
    assert run_git(Path.cwd(), "status", "--porcelain") == ""
    finish(rig_env)
    # done once more, it starts nothing once more
    expect(run_cli("process", "start", "--claims", claims, "--out", started), 0, "2 found")
    assert len(posts(rig_env.proxy.requests)) == 2
    expect(run_cli("process", "record", started, "--publish"), 0, "pushed runs to main", "2 updates")
    monkeypatch.chdir(clone(remote, tmp_path / "three"))
    expect(run_cli("process", "collect", "--out", collected), 0, "2 shared")
    assert run_git(Path.cwd(), "status", "--porcelain") == ""
    # in whatever order, and twice
    expect(run_cli("process", "record", collected, started, "--publish"), 0)
    expect(run_cli("process", "record", str(tmp_path / "files"), "--publish"), 0)
    assert [run.shared for run in runs_on(remote, tmp_path / "look")] == [True, True]


def test_claims_of_a_process_that_is_gone_are_reported(rig_env: Rig, folder: Path) -> None:
    expect(run_cli("process", "claim", "--out", "claims.json"), 0, "3 claims")
    (folder / "pipelines.yaml").write_text(PIPELINES.replace("dlc_eye", "dlc_side"))
    expect(run_cli("process", "start", "--claims", "claims.json", "--out", "s.json"), 2, "claims of dlc_eye")
    assert rig_env.proxy.requests == []


def test_claiming_nothing_makes_a_file_that_starts_nothing(rig_env: Rig, folder: Path) -> None:
    expect(run_cli("process", "claim", "--none", "--out", "claims.json"), 0, "nothing to start")
    expect(run_cli("process", "start", "--claims", "claims.json", "--out", "s.json"), 0, "nothing to start")
    assert writes(rig_env.proxy.requests) == []
    expect(run_cli("process", "record", "s.json"), 0, "nothing happened")


def test_a_change_that_fails_leaves_the_branch_alone(remote: Path, tmp_path: Path) -> None:
    checkout = clone(remote, tmp_path / "checkout")

    def change(state: Path) -> list[object]:
        raise NpcLimsError("no")

    with pytest.raises(NpcLimsError, match="no"):
        BranchRunStore(load_settings(), checkout / "state").push(change)  # type: ignore[arg-type]
    assert subjects(remote) == ["state"]


def test_a_summary_stays_below_the_size_that_github_takes(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    failures = [f"{number}: {'x' * 3900}" for number in range(400)]
    with pytest.raises(typer.Exit), summary.open("w", encoding="utf-8") as file:
        print_report(RunResults([], failures), "nothing", file, OutputStyle())
    assert summary.stat().st_size <= SUMMARY_BYTES
    assert "would not fit" in summary.read_text().splitlines()[-1]
