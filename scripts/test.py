"""Install what the tests need into the running Python, and run them all: for a fresh clone, in any shell.

Arguments go to pytest. Without any, all tests run on some processes, the slow ones too. Where there is npm, what a few
tests need of it is installed into tests/node.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NODE = ROOT / "tests" / "node"
# twice as many as small runners have processors: tests wait for servers, git and browsers as much as they compute
EVERYTHING = ["--slow", f"--numprocesses={max(4, os.cpu_count() or 1)}"]


def node_is_ready() -> bool:
    """Whether what the lock file names was installed after its last change."""
    installed = NODE / "node_modules" / ".package-lock.json"
    return installed.exists() and installed.stat().st_mtime >= (NODE / "package-lock.json").stat().st_mtime


if __name__ == "__main__":
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--editable", f"{ROOT}[dev]"], check=True)
    npm = shutil.which("npm")
    if npm and not node_is_ready():
        subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=NODE, check=True)
    command = [sys.executable, "-m", "pytest", *(sys.argv[1:] or EVERYTHING)]
    sys.exit(subprocess.run(command, cwd=ROOT, check=False).returncode)
