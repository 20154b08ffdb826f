"""`npc-lims demo`: the whole workflow on sample data, without credentials and network."""

from __future__ import annotations

import importlib.resources
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Optional

import typer

from npc_lims.cli.output import out
from npc_lims.config.settings import DOTENV
from npc_lims.errors import NpcLimsError

_IDENTITY = ("-c", "user.name=npc-lims demo", "-c", "user.email=demo@example.org", "-c", "commit.gpgsign=false")
_DOTENV = """\
# written by npc-lims demo: commands in this folder read the sample data, without a network
NPC_LIMS_STATE=state
NPC_LIMS_MIRROR=../world/mirror
"""
_ATTRIBUTES = """\
# The session files and the snapshot are compared byte by byte.
state/** text eol=lf
# Generated from the session files: reviewers never need to see it.
state/sessions.jsonl linguist-generated=true -diff
"""
"""As in the repository of the package: otherwise git changes line ends on Windows."""
_QUERY = """\
import npc_lims

sessions = npc_lims.get_session_info(is_ephys=True, is_uploaded=True)
print(len(sessions), "uploaded ephys sessions; waiting for sorting:",
      ", ".join(str(s.id) for s in sessions if not s.is_sorted))
print(npc_lims.get_session_info("DRpilot_901002_20240515"))
print(npc_lims.state_origin())
"""


def demo_command(
    folder: Optional[Path] = typer.Argument(None, help="An empty or new folder. Default: a temporary one."),
) -> None:
    """Run the whole workflow on sample data, without a network.

    That is: sync, commit, sync again a day later, show the diff, plan, query. All data are synthetic.

    Reads nothing; writes a folder with a repository and a mirror of all sources, and a .env that makes commands and
    Python there use both. Needs git, and no credentials.

    \b
    Examples:
      npc-lims demo
      npc-lims demo my-demo
    """
    from npc_lims.demo.files import write_world  # with openpyxl, which takes too long for the help of all commands

    folder = _prepare(folder)
    repository, world = folder / "repository", folder / "world"
    repository.mkdir()
    _say(f"Synthetic lab in {folder}")
    write_world(world, 1)
    pipelines = importlib.resources.files("npc_lims.demo") / "pipelines.yaml"
    (repository / "pipelines.yaml").write_bytes(pipelines.read_bytes())
    (repository / DOTENV).write_text(_DOTENV, encoding="utf-8")
    (repository / ".gitattributes").write_bytes(_ATTRIBUTES.encode())
    (repository / ".gitignore").write_text(f"{DOTENV}\n", encoding="utf-8")
    _git(repository, "init", "--quiet", "--initial-branch=main")

    _say("Day 1: npc-lims sync --mirror ../world/mirror")
    _sync(repository, world)
    _commit(repository, "state: first sync")

    _say("Day 2: a session was uploaded, one sorted, one added to tracked_sessions.yaml. The same sync again")
    write_world(world, 2)
    _sync(repository, world)

    _say("The diff for a reviewer: git diff state/sessions")
    _git(repository, "add", "--all")
    _git(repository, "--no-pager", "diff", "--cached", "--stat", "--", "state/sessions")
    _git(repository, "--no-pager", "diff", "--cached", "--unified=1", "--", "state/sessions/901002")
    _commit(repository, "state: 1 uploaded, 1 sorted, 1 new")

    _say("What would run on Code Ocean: npc-lims process plan")
    _run([sys.executable, "-m", "npc_lims", "process", "plan"], repository)

    _say(f"A query through the library; {DOTENV} names the state and the sources")
    out().print(f"{_DOTENV}\n{_QUERY}", style="dim")
    _run([sys.executable, "-c", _QUERY], repository)

    # every shell takes the quotes, and a folder may contain a space
    _say(f'Try it: cd "{repository}"')
    out().print("  npc-lims\n  npc-lims site serve --open\n  npc-lims sync")


def _prepare(folder: Optional[Path]) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="npc-lims-demo-"))
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NpcLimsError(f"{folder} is not empty: name a new folder, or none for a temporary one")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _sync(repository: Path, world: Path) -> None:
    tracked = repository / "tracked_sessions.yaml"
    tracked.write_bytes((world / "tracked_sessions.yaml").read_bytes())
    command = [sys.executable, "-m", "npc_lims", "sync", "--mirror", str(world / "mirror"), "--state", "state"]
    _run(command, repository)


def _commit(repository: Path, message: str) -> None:
    _git(repository, "add", "--all")
    _git(repository, "commit", "--quiet", f"--message={message}")


def _git(repository: Path, *arguments: str) -> None:
    _run(["git", *_IDENTITY, *arguments], repository)


def _run(command: list[str], folder: Path) -> None:
    sys.stdout.flush()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NPC_LIMS_", "GIT_"))}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, check=False)
    except FileNotFoundError:
        raise NpcLimsError(f"{command[0]} is not installed: the demo needs it") from None
    if done.returncode:
        raise NpcLimsError(f"{' '.join(command[:4])} ... failed with exit code {done.returncode}")


def _say(text: str) -> None:
    out().print(f"\n== {text}", style="bold", soft_wrap=True)  # a folder is copied in one piece
