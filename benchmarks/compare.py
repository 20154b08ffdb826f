"""Run the same parts of run.py in two checkouts in turns, and print what both measured side by side.

    python benchmarks/compare.py BEFORE --python BEFORE/.venv/bin/python --only sync,publishing --turns 3

BEFORE is a checkout of another commit. Each cell has what that checkout's own run.py measured in the turn with the
median time; what the machine does besides falls on both.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def measure(checkout: Path, python: str, options: list[str]) -> tuple[float, list[tuple[str, str]]]:
    """Return the seconds that run.py of *checkout* took, and its rows: what was measured, and the result."""
    start = time.perf_counter()
    command = [python, "-m", "benchmarks.run", *options]
    output = subprocess.run(command, cwd=checkout, check=True, stdout=subprocess.PIPE, text=True).stdout
    rows = [re.split(r"(?<!\\) \| ", line.strip("| "))[:2] for line in output.splitlines() if line.startswith("| ")]
    return time.perf_counter() - start, [(row[0], row[1].strip(" |")) for row in rows[1:] if row[0] != "---"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="checkout of the commit to compare with")
    parser.add_argument("--python", default=sys.executable, help="python of the environment of that checkout")
    parser.add_argument("--only", default="reads,sync,publishing", help="parts of run.py")
    parser.add_argument("--turns", type=int, default=1)
    arguments, others = parser.parse_known_args()
    print("| what | before | after |\n| --- | --- | --- |", flush=True)
    for part in arguments.only.split(","):
        options = ["--only", part, *others]
        before, after = [], []
        for _ in range(arguments.turns):
            before.append(measure(arguments.before, arguments.python, options))
            after.append(measure(ROOT, sys.executable, options))
        old, new = (sorted(turns)[len(turns) // 2][1] for turns in (before, after))
        for (_, was), (what, result) in zip(old, new):
            print(f"| {what} | {was} | {result} |", flush=True)


if __name__ == "__main__":
    main()
