"""A checkout whose lines end with CR LF, as git makes it with core.autocrlf and without .gitattributes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import npc_lims
from npc_lims.state.store import read_state, verify_state
from tests.integration.world import commit_all, run_cli, run_git

ONE = "901001_2024-03-13"


@pytest.fixture
def clone(demo_state: Path, tmp_path: Path) -> Path:
    """A clone with core.autocrlf of a repository without attributes."""
    repository = tmp_path / "repository"
    shutil.copytree(demo_state, repository / "state")
    shutil.copy(demo_state.parent / "tracked_sessions.yaml", repository)
    commit_all(repository)
    run_git(tmp_path, "clone", "--quiet", "--config=core.autocrlf=true", str(repository), "clone")
    content = (tmp_path / "clone" / "state" / "sessions.jsonl").read_bytes()
    assert content.count(b"\r\n") == content.count(b"\n") > 20
    return tmp_path / "clone"


def test_verify_says_that_it_is_the_line_endings(clone: Path) -> None:
    done = run_cli("verify", "--state", str(clone / "state"))
    assert done.code == 1
    assert re.search(r"sessions\.jsonl and 29 more files: lines end with CR LF, .*core\.autocrlf", done.out), done
    assert "'state/** text eol=lf'" in done.out
    assert done.err.endswith("1 problem\n")


def test_one_file_is_named(demo_state: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    shutil.copytree(demo_state, state)
    path = state / "sessions" / ONE[:6] / f"{ONE}.yaml"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    (problem,) = verify_state(state)
    assert problem.startswith(f"{path}: lines end with CR LF")
    path.write_bytes(path.read_bytes().replace(b"is_sorted: true", b"is_sorted: false"))
    (problem,) = verify_state(state)
    assert problem == f"{path}: does not say what the snapshot says", "that is worse"


def test_it_is_read_all_the_same(clone: Path, demo_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_STATE", str(demo_state))
    expected = npc_lims.to_records()
    monkeypatch.setenv("NPC_LIMS_STATE", str(clone / "state"))
    assert npc_lims.to_records() == expected
    assert npc_lims.get_session_info(ONE).is_sorted
    assert npc_lims.state_origin().source_ages.keys() == {"tracked", "training", "codeocean", "s3"}
    loaded = read_state(clone / "state")
    assert loaded.is_intact
    assert loaded.records == read_state(demo_state).records
    assert npc_lims.get_session_info(at="HEAD") == npc_lims.get_session_info()


def test_other_commands_see_no_difference(clone: Path, demo_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone)
    for command in (["validate"], ["diff"], ["process", "plan"]):
        done = run_cli(*command)
        assert done.code == 0 or "pipelines" in done.err, (command, done)
    done = run_cli("diff", "HEAD")
    assert "differ" not in done.out, done
    done = run_cli("sync", "--mirror", str(demo_state.parent / "mirror"))
    assert done.code == 0, done
    changed = run_git(clone, "status", "--porcelain").splitlines()
    assert [line for line in changed if "sync.yaml" not in line] == []
