"""Install what the tests need into the running Python, and run them all: for a fresh clone, in any shell.

Arguments go to pytest. Without any, all tests run on two processes, the slow ones too.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EVERYTHING = ["--slow", "--numprocesses=2"]

if __name__ == "__main__":
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--editable", f"{ROOT}[dev]"], check=True)
    command = [sys.executable, "-m", "pytest", *(sys.argv[1:] or EVERYTHING)]
    sys.exit(subprocess.run(command, cwd=ROOT, check=False).returncode)
