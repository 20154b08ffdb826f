"""A run of a workflow as it goes: a live table on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Callable, Optional

from rich.console import Console

from npc_lims.clients.github_actions import JobStep, WorkflowJob, WorkflowRun

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["watching"]

_STYLES = {"success": "green", "failure": "bold red", "timed_out": "bold red", "in_progress": "cyan"}


@contextlib.contextmanager
def watching(console: Console, *, by_line: bool = False) -> Iterator[Callable[[WorkflowRun], None]]:
    """What is to be told of each look at the run; by line also on a terminal where other things are printed."""
    if by_line or not console.is_terminal:
        yield _Lines(console)
        return
    from rich.live import Live

    table = _LiveTable()
    with Live(get_renderable=table.render, console=console, refresh_per_second=2):
        yield table


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: set[str] = set()

    def __call__(self, run: WorkflowRun) -> None:
        for job in run.jobs:
            self._tell(f"{job.name}: {_state(job)}", job)
            for step in job.steps:
                # steps of seconds are told when they are over
                if step.status == "completed":
                    self._tell(f"{job.name} / {step.name}: {_state(step)}", step)
        if run.is_over:
            self._tell(f"run {run.id}: {run.conclusion}")

    def _tell(self, line: str, step: Optional[JobStep] = None) -> None:
        if line not in self._told:
            self._told.add(line)
            self._console.print(line + (f" ({_took(step)})" if step and step.ended and _took(step) else ""))


class _LiveTable:
    """Times go on between two looks, so it is drawn anew several times a second."""

    def __init__(self) -> None:
        self._run: Optional[WorkflowRun] = None

    def __call__(self, run: WorkflowRun) -> None:
        self._run = run

    def render(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right")
        if self._run is None or not self._run.jobs:
            table.add_row("waiting for a runner", "", "")
            return table
        for job in self._run.jobs:
            table.add_row(Text(job.name, "bold"), Text(_state(job), _STYLES.get(_state(job), "")), _took(job))
            for step in _steps_to_show(job):
                table.add_row(Text(f"  {step.name}"), Text(_state(step), _STYLES.get(_state(step), "")), _took(step))
        return table


def _steps_to_show(job: WorkflowJob) -> tuple[JobStep, ...]:
    """Those of a job that is under way or went wrong: of the others the one line says enough."""
    return () if job.conclusion in ("success", "skipped") else job.steps


def _state(step: JobStep) -> str:
    return step.conclusion or step.status


def _took(step: JobStep) -> str:
    """How long it took, or has taken so far; empty if it never began."""
    if step.started is None or step.conclusion == "skipped" or step.status == "queued":
        return ""
    seconds = max(0, round(((step.ended or datetime.now(timezone.utc)) - step.started).total_seconds()))
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"
