"""Runs on a branch: what is pushed, what the commit says, and who is quicker."""

from __future__ import annotations

import datetime
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from npc_lims.clients.git_push import Pushed
from npc_lims.config.settings import load_settings
from npc_lims.errors import GitError, StateError
from npc_lims.processing.runs import ClaimReleased, Run, RunAsset, RunsChange, read_runs
from npc_lims.processing.workflow import BranchRunStore, record, runs_message
from npc_lims.state.store import StateFolder
from npc_lims.utils.timestamps import utc_text
from tests.integration.world import run_git
from tests.sync.repositories import SESSIONS, clone, subjects_of_commits

NOW = utc_text(datetime.datetime(2024, 11, 22, 10, tzinfo=datetime.timezone.utc))


def run(session: str = SESSIONS[0], **more: Any) -> Run:
    return Run.model_validate({"session": session, "input": "a-1", "try": 1, "claim": "c1", "claimed": NOW, **more})


def push(checkout: Path, *updates: Run | ClaimReleased, **more: Any) -> Pushed[None]:
    def change(state: StateFolder) -> list[RunsChange]:
        return record(state, {"dlc_eye": updates})

    settings = load_settings().replace(backoff=0.01)
    return BranchRunStore(settings, checkout / "state", **more).push(change)


def test_a_run_is_one_commit_of_its_file_alone(checkout: Path, remote: Path) -> None:
    (checkout / "README.md").write_text("being edited\n")
    done = push(checkout, run(), by="https://example.org/1")
    assert run_git(remote, "diff", "--name-only", "main^", "main").split() == ["state/runs/dlc_eye.yaml"]
    assert run_git(remote, "rev-parse", "main").strip() == done.commit
    assert (done.branch, done.attempts, done.notes) == ("main", 1, ())
    # the checkout has moved on, and what was being edited in it stays
    assert read_runs(checkout / "state", "dlc_eye") == (run(),)
    assert run_git(checkout, "status", "--porcelain").splitlines() == [" M README.md"]
    message = run_git(remote, "log", "-1", "--format=%B", "main")
    assert message.startswith(f"runs: dlc_eye 1 claimed ({SESSIONS[0][:6]})\n\ndlc_eye:\n- {SESSIONS[0]}: claimed\n")
    assert "Npc-Lims-Run: https://example.org/1" in message


def test_what_is_recorded_already_is_no_commit(checkout: Path, remote: Path) -> None:
    push(checkout, run())
    before = subjects_of_commits(remote)
    assert push(checkout, run()).commit is None
    assert push(checkout, ClaimReleased(key=("626791_2022-08-15", "a-1", 1), claim="c9")).commit is None
    assert subjects_of_commits(remote) == before


@pytest.mark.slow
def test_what_others_push_meanwhile_stays(checkout: Path, remote: Path, tmp_path: Path) -> None:
    ids = SESSIONS[:4]
    checkouts = [clone(remote, tmp_path / f"other-{n}", "--depth=1") for n in range(len(ids))]
    with ThreadPoolExecutor(len(ids)) as pool:
        list(pool.map(lambda pair: push(pair[0], run(pair[1])), zip(checkouts, ids)))
    push(checkout, run(SESSIONS[5]))
    assert [one.session for one in read_runs(checkout / "state", "dlc_eye")] == sorted([*ids, SESSIONS[5]])
    assert len(subjects_of_commits(remote)) == 6


def test_another_branch_is_made(checkout: Path, remote: Path) -> None:
    push(checkout, run(), branch="runs")
    assert subjects_of_commits(remote, "runs")[0].startswith("runs: dlc_eye 1 claimed")
    assert len(subjects_of_commits(remote)) == 1


def test_pipelines_that_are_being_edited_are_committed_first(checkout: Path, remote: Path) -> None:
    (checkout / "pipelines.yaml").write_text("processes:\n")
    run_git(checkout, "add", "pipelines.yaml")
    with pytest.raises(GitError, match=r"pipelines\.yaml has changes that are not committed"):
        push(checkout, run())
    assert len(subjects_of_commits(remote)) == 1


def test_damaged_runs_are_reported_and_left(checkout: Path, remote: Path) -> None:
    folder = checkout / "state" / "runs"
    folder.mkdir()
    (folder / "dlc_eye.yaml").write_text("schema: 1\n")
    run_git(checkout, "add", "state")
    run_git(checkout, "commit", "--quiet", "--message=damage")
    run_git(checkout, "push", "--quiet")
    with pytest.raises(StateError, match=r"dlc_eye\.yaml"):
        push(checkout, run())
    assert subjects_of_commits(remote)[0] == "damage"


def test_a_commit_that_would_not_verify_is_not_pushed(checkout: Path, remote: Path) -> None:
    hook = checkout / ".git" / "hooks" / "pre-commit"
    hook.write_bytes(b"#!/bin/sh\necho nonsense >> state/runs/dlc_eye.yaml && git add state\n")
    hook.chmod(0o755)
    with pytest.raises(StateError, match=r"would not verify: state/runs/dlc_eye\.yaml.*Nothing was pushed"):
        push(checkout, run())
    assert len(subjects_of_commits(remote)) == 1


def test_rules_of_what_git_ignores_keep_no_claim_back(checkout: Path, remote: Path) -> None:
    """A run would be started by a claim that nobody else sees."""
    (checkout / ".git" / "info" / "exclude").write_text("runs/\n")
    assert push(checkout, run()).commit is not None
    assert run_git(remote, "diff", "--name-only", "main^", "main").split() == ["state/runs/dlc_eye.yaml"]


# --- the message ----------------------------------------------------------------------------------

GOING = run(computation="b-1", started=NOW)
GOOD = GOING.model_copy(update={"outcome": "succeeded"})
MADE = GOOD.model_copy(update={"asset": RunAsset(id="d-1", name="a result")})


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ((), (run(),), "claimed"),
        ((run(),), (GOING,), "started: b-1"),
        ((GOING,), (GOOD,), "succeeded"),
        ((GOING,), (MADE,), "captured: a result"),
        ((MADE,), (MADE.model_copy(update={"shared": True}),), "shared: a result"),
        ((run(),), (), "released"),
        (
            (GOING,),
            (run(computation="b-1", outcome="errored", reason="fixes #1, @someone"),),
            "errored: 'fixes' #1, @ someone",
        ),
        (
            (GOING,),
            (run(computation="b-1", outcome="errored", reason="no\n\n::error::file\x1b[2J"),),
            r"errored: no ::error::file\x1b[2J",
        ),
        ((MADE,), (MADE.model_copy(update={"outcome": "errored", "reason": "gone"}),), "errored: gone"),
    ],
)
def test_the_message_has_the_last_change(before: tuple[Run, ...], after: tuple[Run, ...], says: str) -> None:
    message = runs_message([RunsChange("dlc_eye", before, after)])
    assert f"- {SESSIONS[0]}: {says}\n" in message
    assert message.partition("\n")[0].startswith("runs: dlc_eye 1 ")


def test_the_subject_stays_short_and_the_list_too() -> None:
    processes = ["dlc_eye", "dlc_side", "dlc_face", "GammaEncoding", "LPFaceParts"]
    recorded = [RunsChange(name, (), tuple(run(session) for session in SESSIONS)) for name in processes]
    lines = runs_message(recorded).splitlines()
    assert lines[0] == f"runs: {5 * len(SESSIONS)} runs of 5 processes (6 subjects)"
    assert lines.count(f"- ... and {len(SESSIONS) - 20} more") == 5
    assert max(map(len, lines)) <= 72
