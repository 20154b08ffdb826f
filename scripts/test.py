"""Run the tests: the quick set, or every test with --all.

    python scripts/test.py                 the quick set; it ends by stating what it left out
    python scripts/test.py --all           every test; with --coverage, what they reach is measured
    python scripts/test.py tests/cli -x    other arguments go to pytest

What the set needs is installed into the running Python first, unless it is there: the extra `test`, and for every test
the extra `dev` and, where there is npm, the packages of tests/node.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NODE = ROOT / "tests" / "node"
COVERAGE = ("--cov", "--cov-report=term:skip-covered", "--cov-report=xml")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--all", action="store_true", help="every test")
    parser.add_argument("--coverage", action="store_true", help="measure coverage; fail below what pyproject.toml says")
    chosen, others = parser.parse_known_args()
    if shutil.which("git") is None:
        sys.exit("git is not installed; the tests publish to real repositories, so install it (https://git-scm.com)")
    install("dev" if chosen.all or chosen.coverage else "test")
    if chosen.all:
        install_node()
    # servers, git and browsers do much of the work of the complete set: twice as many processes as small machines have
    processes = max(4 if chosen.all else 2, os.cpu_count() or 1)
    command = [sys.executable, "-m", "pytest", f"--numprocesses={processes}", "--dist=worksteal", *others]
    command += ["--all"] * chosen.all + [*COVERAGE] * chosen.coverage
    return subprocess.run(command, cwd=ROOT, env=environment(), check=False).returncode


def environment() -> dict[str, str]:
    """Return the variables of this process, but with a place for bytecode where none may lie beside the modules.

    The tests start hundreds of processes; without bytecode each of them compiles the package again.
    """
    variables = dict(os.environ)
    if variables.pop("PYTHONDONTWRITEBYTECODE", ""):
        variables.setdefault("PYTHONPYCACHEPREFIX", str(ROOT / ".pytest_cache" / "bytecode"))
    return variables


def install(extra: str) -> None:
    """Install the package of this checkout, editable, with what *extra* names; nothing if all is there."""
    if not is_installed(extra):
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--editable", f"{ROOT}[{extra}]"]
        subprocess.run(command, check=True)


def is_installed(extra: str) -> bool:
    """Return True if this checkout is installed as its pyproject.toml says now, and all that *extra* names."""
    try:
        package = importlib.metadata.distribution("npc_lims")
        origin = json.loads(package.read_text("direct_url.json") or "{}")
        metadata = next(Path(str(file.locate())) for file in package.files or () if file.name == "METADATA")
        return (
            origin.get("url") == ROOT.as_uri()
            and origin.get("dir_info", {}).get("editable") is True
            and metadata.stat().st_mtime >= (ROOT / "pyproject.toml").stat().st_mtime
            and has_all("npc_lims", extra)
        )
    except (ImportError, OSError, StopIteration):  # PackageNotFoundError is an ImportError
        return False


def has_all(name: str, extra: str) -> bool:
    """Return True if each requirement of a package is met, those of *extra* included; look into its own extras only."""
    from packaging.requirements import Requirement

    for line in importlib.metadata.requires(name) or []:
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        if requirement.name == name:
            if not all(has_all(name, other) for other in requirement.extras):
                return False
        elif not requirement.specifier.contains(importlib.metadata.version(requirement.name), prereleases=True):
            return False
    return True


def install_node() -> None:
    """Install what the lock file of tests/node names, where there is npm and the file has changed since."""
    npm = shutil.which("npm")
    installed = NODE / "node_modules" / ".package-lock.json"
    is_ready = installed.exists() and installed.stat().st_mtime >= (NODE / "package-lock.json").stat().st_mtime
    if npm and not is_ready:
        subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=NODE, check=True)


if __name__ == "__main__":
    sys.exit(main())
