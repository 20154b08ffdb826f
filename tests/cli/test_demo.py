"""`npc-lims demo`, and what all commands share."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import npc_lims
from tests.integration.world import run_cli, run_git

ROOT = Path(npc_lims.__file__).parent.parent


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


def test_the_demo_has_the_attributes_of_this_repository(
    demo: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    repository = demo[0] / "repository"
    assert (repository / ".gitattributes").read_bytes() == (ROOT / ".gitattributes").read_bytes()
    run_git(tmp_path, "clone", "--quiet", "--config=core.autocrlf=true", str(repository), "clone")
    done = run_cli("verify", "--state", str(tmp_path / "clone" / "state"))
    assert done.code == 0, done


def test_the_demo_runs_the_complete_workflow(demo: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
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


def in_the_demo(repository: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python there as a user would who has set nothing."""
    mine = ("AWS_", "CODE_OCEAN", "GITHUB", "NPC_LIMS_")
    home = str(repository.parent.parent / "home")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
    environment.update({"HOME": home, "USERPROFILE": home, "AWS_EC2_METADATA_DISABLED": "true"})
    return subprocess.run(
        [sys.executable, *command], cwd=repository, env=environment, capture_output=True, text=True, check=False
    )


def test_the_python_examples_of_the_readme_work_in_the_demo(
    demo: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) >= 2
    page = tmp_path / "readme.txt"
    page.write_text("".join(blocks), encoding="utf-8")
    done = in_the_demo(demo[0] / "repository", "-m", "doctest", str(page))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_demo_is_found_from_below_and_when_it_was_moved(
    demo: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(demo[0], tmp_path / "moved" / "demo"))
    done = in_the_demo(moved / "repository" / "state", "-c", "import npc_lims; print(npc_lims.state_origin())")
    assert done.stdout.startswith(f"folder: {moved / 'repository' / 'state'}")


def test_git_ignores_the_demos_dotenv(demo: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    repository = demo[0] / "repository"
    assert run_git(repository, "check-ignore", ".env").strip() == ".env"
    assert ".env" not in run_git(repository, "ls-files").splitlines()
    assert ".env names the state" in demo[1].stdout
    assert "NPC_LIMS_STATE=state" in demo[1].stdout


def test_the_demos_dotenv_leaves_commands_as_they_are(
    demo: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Sync without options, publish to a remote, build the site: all of them in the checkout."""
    folder = Path(shutil.copytree(demo[0], tmp_path / "demo"))
    repository = folder / "repository"
    run_git(folder, "init", "--quiet", "--bare", "--initial-branch=main", "remote.git")
    run_git(repository, "remote", "add", "origin", "../remote.git")
    run_git(repository, "push", "--quiet", "--set-upstream", "origin", "main")
    run_git(repository, "config", "user.name", "reader")
    run_git(repository, "config", "user.email", "reader@example.org")
    done = in_the_demo(repository, "-m", "npc_lims", "sync")
    assert (done.returncode, "96 assets" in done.stderr) == (0, True), done
    assert run_git(repository, "status", "--porcelain", "state/sessions") == ""
    done = in_the_demo(repository, "-m", "npc_lims", "publish")
    assert done.returncode == 0, done
    done = in_the_demo(repository, "-m", "npc_lims", "site", "build", "../site")
    assert (done.returncode, (folder / "site" / "index.html").is_file()) == (0, True), done


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
