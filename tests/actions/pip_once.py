"""Stands in front of pip in jobs: installing what an earlier job installed links what pip made of it then.

That is two seconds of each job, and there are a hundred of them. Anything else is left to pip.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

PACKAGES = Path(sysconfig.get_path("purelib"))
PROGRAMS = Path(sysconfig.get_path("scripts"))


def digest() -> str:
    """Return a digest of all files that are part of the package or say how it is built, and of pip's settings."""
    command = ["git", "ls-tree", "HEAD", "npc_lims", "pyproject.toml", "README.md", "LICENSE"]
    files = subprocess.run(command, capture_output=True, check=True).stdout
    settings = sorted(item for item in os.environ.items() if item[0].startswith("PIP_"))
    return hashlib.sha256(files + repr(settings).encode()).hexdigest()


def run_pip() -> int:
    """Run the pip that this file hides; from then on it is found."""
    shutil.rmtree(Path(__file__).parent)
    return subprocess.run([sys.executable, "-m", "pip", *sys.argv[1:]], check=False).returncode


def install_once(kept: Path) -> int:
    """Install from what is kept of an earlier installation; if there is none, let pip install, and keep it."""
    if kept.is_dir():
        shutil.copytree(kept / "packages", PACKAGES, copy_function=os.link, dirs_exist_ok=True)
        for program in (kept / "programs").iterdir():
            # its first line names the Python of the environment that pip installed into
            rest = program.read_text(encoding="utf-8").partition("\n")[2]
            (PROGRAMS / program.name).write_text(f"#!{sys.executable}\n{rest}", encoding="utf-8")
            (PROGRAMS / program.name).chmod(0o755)
        return 0
    before = {*PACKAGES.iterdir(), *PROGRAMS.iterdir()}
    code = run_pip()
    if code == 0:
        for name, folder in (("packages", PACKAGES), ("programs", PROGRAMS)):
            (kept / name).mkdir(parents=True)
            for path in {*folder.iterdir()} - before:
                if path.is_dir():
                    shutil.copytree(path, kept / name / path.name)
                else:
                    shutil.copy2(path, kept / name)
    return code


if __name__ == "__main__":
    repeatable = sys.argv[1:] == ["install", "--quiet", "."]
    sys.exit(install_once(Path(os.environ["INSTALLED"]) / digest()) if repeatable else run_pip())
