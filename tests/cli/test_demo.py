"""`npc-lims demo`, and what all commands share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import npc_lims
from tests.integration.world import run_cli, run_git


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The demo, run once as a user would: its folder, and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "new"
    home = tmp_path_factory.mktemp("demo-home")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "NPC_LIMS_", "GIT"))}
    command = [sys.executable, "-m", "npc_lims", "demo", str(folder)]
    environment = {**kept, "HOME": str(home), "USERPROFILE": str(home), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", check=False)
    return folder, done


def test_the_demo_runs_the_whole_loop(demo: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    _, done = demo
    assert done.returncode == 0, done.stderr
    for words in (
        "1 uploaded",
        "1 sorted",
        "1 new",
        "waiting for sorting",
        "+  is_sorted: true",
        "would run",
        "SessionInfo(id=",
    ):
        assert words in done.stdout
    assert "Traceback" not in done.stderr


def test_the_demo_leaves_a_clean_repository_of_two_commits(
    demo: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = demo
    repository = folder / "repository"
    assert run_git(repository, "status", "--porcelain") == ""
    assert len(run_git(repository, "log", "--oneline").splitlines()) == 2
    changed = run_git(repository, "diff", "--name-only", "HEAD~1", "--", "state/sessions").split()
    assert len(changed) == 3


def test_the_demo_ends_with_what_to_do_next(
    demo: tuple[Path, subprocess.CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, done = demo
    *_, place, home, site, sync = done.stdout.splitlines()
    repository = folder / "repository"
    assert place.endswith(f'cd "{repository}"')  # a shell takes it, whatever the folder is called
    assert (home, site) == ("  npc-lims", "  npc-lims site serve --open")
    monkeypatch.chdir(repository)
    assert run_cli(*sync.split()[1:], "--dry-run").code == 0


def test_the_demos_state_verifies(demo: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = demo
    assert run_cli("verify", "--state", str(folder / "repository" / "state")).code == 0


def test_the_demos_pipelines_are_valid(
    demo: tuple[Path, subprocess.CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = demo
    monkeypatch.chdir(folder / "repository")
    done = run_cli("validate")
    assert (done.code, "pipelines.yaml: 2 processes, 0 errors" in done.err) == (0, True), done


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    done = run_cli("demo", str(tmp_path))
    assert done.code == 2, done
    assert "is not empty" in done.err
    assert "Traceback" not in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    assert run_cli("demo", str(tmp_path / "file")).code == 2
    assert (tmp_path / "file").read_text() == "precious"


# --- all commands


def test_the_version() -> None:
    done = run_cli("--version")
    assert done.code == 0
    assert done.out == f"npc-lims {npc_lims.__version__}\n"


def test_an_unknown_command_is_exit_2() -> None:
    done = run_cli("synch")
    assert done.code == 2
    assert "synch" in done.err
    assert "Traceback" not in done.err
