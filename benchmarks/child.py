"""Python in a fresh process, measured."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Child", "Runs", "alternate", "median", "run_code", "run_python"]

Runs = list[dict[str, Any]]

# Peak memory as the kernel counts it for this program. The maxrss of getrusage also counts the parent's
# memory at the moment of the fork.
_PEAK = """
def _peak():
    try:
        for line in open("/proc/self/status"):
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        import resource, sys
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** (20 if sys.platform == "darwin" else 10)
"""


@dataclass(frozen=True)
class Child:
    """A process that has ended.

    Attributes:
        wall: Seconds from its start to its end, starting Python included.
        cpu: Seconds of CPU, user and system.
        output: What it wrote to stdout.
    """

    wall: float
    cpu: float
    output: str


def run_python(python: str, arguments: Sequence[str], env: Mapping[str, str] | None = None) -> Child:
    """Run *python* away from this checkout, with next to nothing of this environment.

    Raises:
        RuntimeError: It did not exit with 0; the message is what it wrote.
    """
    clean = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    with (
        tempfile.TemporaryDirectory() as home,
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
    ):
        start = time.perf_counter()
        process = subprocess.Popen(
            [python, *arguments], env={**clean, "HOME": home, **(env or {})}, cwd=home, stdout=out, stderr=err
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        for file in (out, err):
            file.seek(0)
        if process.returncode:
            text = f"{python} {' '.join(arguments)[:200]}: exit code {process.returncode}"
            raise RuntimeError(f"{text}\n{err.read()[-2000:]}")
        return Child(wall, usage.ru_utime + usage.ru_stime, out.read())


def run_code(code: str, env: Mapping[str, str] | None = None, python: str = sys.executable) -> dict[str, Any]:
    """Run statements that put what they find into the dict `result`; that, with `wall`, `ms` and `peak_mb` added.

    `ms` is the time that the statements took, imports included, without starting Python.
    """
    timed = "\n".join(
        (
            "import time; result = {}; _start = time.perf_counter()",
            code,
            "result.setdefault('ms', (time.perf_counter() - _start) * 1000)",
            _PEAK,
            "result['peak_mb'] = _peak()",
            "import json; print(json.dumps(result))",
        )
    )
    child = run_python(python, ["-c", timed], env)
    result: dict[str, Any] = json.loads(child.output.splitlines()[-1])
    return {**result, "wall": child.wall * 1000}


def median(runs: Runs, name: str) -> float:
    return statistics.median(float(run[name]) for run in runs)


def alternate(count: int, *ways: Callable[[], dict[str, Any]]) -> list[Runs]:
    """Each way *count* times, in turns, so that whatever else the machine does falls on all of them."""
    runs: list[Runs] = [[] for _ in ways]
    for _ in range(count):
        for way, results in zip(ways, runs):
            results.append(way())
    return runs
