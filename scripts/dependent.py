"""Make an environment with npc_sessions, which builds on npc_lims, and this checkout's npc_lims in it.

    python scripts/dependent.py FOLDER

prints the Python of that environment: DEPENDENT_PYTHON names it to the test that tries npc_sessions. It needs
Python 3.10 to 3.12. Where one of its requirements, wavpack-numcodecs, has no library that fits the system's, it is
built, which on Debian needs the packages wavpack and libwavpack-dev.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEPENDENT = "npc_sessions"


def make_environment(folder: Path) -> Path:
    """The Python of an environment in *folder*, made anew, with both packages installed."""
    if not (3, 10) <= sys.version_info < (3, 13):
        raise SystemExit(f"{DEPENDENT} runs on Python 3.10 to 3.12, and this is {sys.version.split()[0]}")
    venv.create(folder, clear=True, with_pip=True)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    # in one go: pip then finds versions of all that they share
    subprocess.run([python, "-m", "pip", "install", "--quiet", f"{ROOT}[s3]", DEPENDENT], check=True)
    return python


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    print(make_environment(Path(sys.argv[1])))
