"""Install the package into the running Python, and run the demo: for a fresh clone, in any shell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", str(ROOT)], check=True)
    # not from the clone: what is shown must be what was installed
    arguments = [one if one.startswith("-") else str(Path(one).resolve()) for one in sys.argv[1:]]
    command = [sys.executable, "-m", "npc_lims", "demo", *arguments]
    sys.exit(subprocess.run(command, cwd=ROOT.parent, check=False).returncode)
