"""Progress on standard error: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Callable, Optional

from rich.console import Console

from npc_lims.cli.output import err

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from npc_lims.model.observation import Observation
    from npc_lims.sync.run import Reporter

_SECONDS_BETWEEN_LINES = 5.0
_WHAT = {"codeocean": "assets", "s3": "listings"}


@contextlib.contextmanager
def status_line() -> Iterator[Callable[[str], object]]:
    """Yield a function that shows what is being done: one changing line on a terminal, lines elsewhere."""
    console = err()
    if not console.is_terminal:
        yield console.print
        return
    with console.status("") as status:
        yield status.update


@contextlib.contextmanager
def progress_bar() -> Iterator[Callable[[str, int, Optional[int]], None]]:
    """Yield a function of what is being done, how much of it is done, and of how much."""
    console = err()
    if not console.is_terminal:
        yield _lines_now_and_then(console)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


def _lines_now_and_then(console: Console) -> Callable[[str, int, Optional[int]], None]:
    last = time.monotonic()

    def show(what: str, done: int, total: Optional[int]) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            console.print(f"{what}: {done:,} of {total:,}" if total else what)

    return show


@contextlib.contextmanager
def reporter(console: Console) -> Iterator[Reporter]:
    if not console.is_terminal:
        yield _LineReporter(console)
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        yield _BarReporter(progress)


class _BarReporter:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def started(self, source: str) -> None:
        self._tasks[source] = self._progress.add_task(f"{source:<10}", total=None, note="")

    def progress(self, source: str, done: int, total: Optional[int]) -> None:
        note = f"{done} {_WHAT.get(source, '')}"
        self._progress.update(self._tasks[source], completed=done, total=total, note=note)

    def finished(self, source: str, observation: Observation) -> None:
        self._progress.update(self._tasks[source], completed=1, total=1, note=_summary(observation))


class _LineReporter:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = 0.0

    def started(self, source: str) -> None:
        self._console.print(f"{source}: querying")
        self._last = time.monotonic()

    def progress(self, source: str, done: int, total: Optional[int]) -> None:
        if time.monotonic() - self._last < _SECONDS_BETWEEN_LINES:
            return
        self._last = time.monotonic()
        of = f" of {total}" if total else ""
        self._console.print(f"{source}: {done}{of} {_WHAT.get(source, '')}")

    def finished(self, source: str, observation: Observation) -> None:
        self._console.print(f"{source}: {_summary(observation)}")


def _summary(observation: Observation) -> str:
    if observation.failure is not None:
        return f"failed: {observation.failure.reason}"
    if observation.unchanged:
        return "unchanged"
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in observation.counts.items()) or "done"
