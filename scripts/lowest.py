"""Try the lowest versions of dependencies that pyproject.toml allows: install them, run the demo and read its state.

    python scripts/lowest.py FOLDER [PYTHON...]

Each PYTHON (default: this one) gets an environment of its own in FOLDER. It is installed by uv, which pip installs, as
pip cannot choose the lowest versions.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Each imports other dependencies.
COMMANDS = (
    ("sessions",),
    ("sessions", "--csv"),
    ("show", "901001_2024-03-13"),
    ("history", "--since", "7d"),
    ("process", "plan"),
    ("export", "sessions.csv"),
    ("site", "build", "site"),
    ("validate",),
    ("verify",),
)
INSTALLED = """\
import importlib.metadata as metadata
print(*sorted(f"{one.metadata['Name']} {one.version}" for one in metadata.distributions()), sep=", ")
"""
IMPORTS = """\
import importlib, pkgutil, npc_lims
for module in pkgutil.walk_packages(npc_lims.__path__, "npc_lims."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for name in npc_lims.__all__:
    getattr(npc_lims, name)
"""


def main(folder: Path, interpreters: list[str]) -> None:
    run(sys.executable, "-m", "venv", str(folder / "uv"))
    run(str(scripts_of(folder / "uv") / "python"), "-m", "pip", "install", "--quiet", "uv")
    uv = str(scripts_of(folder / "uv") / "uv")
    for number, interpreter in enumerate(interpreters):
        environment = folder / f"lowest-{number}"
        python = str(scripts_of(environment) / "python")
        run(uv, "venv", "--quiet", "--python", interpreter, str(environment))
        run(uv, "pip", "install", "--quiet", "--python", python, "--resolution", "lowest-direct", str(ROOT))
        print(run(python, "--version").strip(), "with", run(python, "-c", INSTALLED).strip())
        try_out(python, folder / f"demo-{number}")


def try_out(python: str, demo: Path) -> None:
    """Run the demo, commands on what it made, and import everything; from outside the clone, so that what is installed
    is tried."""
    run(python, "-m", "npc_lims", "demo", str(demo), folder=demo.parent)
    repository = demo / "repository"
    # with click 8.2, typer 0.12 runs nothing and exits with 0
    if not (repository / "state").is_dir():
        sys.exit("npc-lims demo did nothing, and exited with 0")
    for command in COMMANDS:
        run(python, "-m", "npc_lims", *command, folder=repository)
    listed = json.loads(run(python, "-m", "npc_lims", "sessions", "--json", folder=repository))
    recorded = (repository / "state" / "sessions.jsonl").read_bytes().count(b"\n")
    if len(listed) != recorded:
        sys.exit(f"npc-lims sessions lists {len(listed)} sessions, and {recorded} are recorded")
    run(python, "-W", "error::ImportWarning", "-c", IMPORTS, folder=repository)


def scripts_of(environment: Path) -> Path:
    return environment / ("Scripts" if os.name == "nt" else "bin")


def run(*command: str, folder: Path = ROOT) -> str:
    """What a command prints; it ends this script if it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\n{' '.join(command)} failed with exit code {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:] or [sys.executable])
