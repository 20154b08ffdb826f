"""What a command is doing, on a terminal that would else be silent.

A line on standard error appears after a second without output, and goes before the next output. Once anything was
printed on standard output it stays away: that may be a prompt, or a table that grows.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Optional, TextIO

from npc_lims.config.settings import in_github_actions

if TYPE_CHECKING:
    from rich.progress import Progress

_SECONDS_OF_SILENCE = 0.7
_SECONDS_BETWEEN_LINES = 5.0
_POLLED = 0.1


class _Activity:
    """The line of this process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._text = ""
        self._last = time.monotonic()
        self._paused = 0
        self._bar: Optional[Progress] = None

    def run(self) -> None:
        while not self._ended.wait(_POLLED):
            with self._lock:
                is_silent = time.monotonic() - self._last >= _SECONDS_OF_SILENCE
                if self._bar is None and is_silent and not self._paused and not self._ended.is_set():
                    self._bar = self._start_bar()

    def _start_bar(self) -> Progress:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        # past the hooks below, which are for what others write
        stream = os.fdopen(os.dup(sys.__stderr__.fileno()), "w", encoding="utf-8", errors="replace")  # type: ignore[union-attr]
        text = TextColumn("{task.description}", markup=False)
        console = Console(file=stream, force_terminal=True)
        bar = Progress(
            SpinnerColumn(), text, TimeElapsedColumn(), console=console, transient=True, redirect_stdout=False,
            redirect_stderr=False,
        )  # fmt: skip
        bar.add_task(self._text)
        bar.start()
        return bar

    def set_text(self, text: str) -> None:
        with self._lock:
            self._text = text
            if self._bar is not None:
                self._bar.update(self._bar.task_ids[0], description=text)

    def hide(self, pause: int = 0) -> None:
        """Remove the line, for at least a second; with *pause* until it is hidden with -1."""
        with self._lock:
            self._last = time.monotonic()
            self._paused += pause
            bar, self._bar = self._bar, None
            if bar is not None:
                bar.stop()
                bar.console.file.close()

    def end(self) -> None:
        self._ended.set()
        self.hide()


_activity: Optional[_Activity] = None
_last_line = time.monotonic()


def doing(text: str) -> None:
    """Say what is being done from now on: in GitHub Actions by a line now and then, in other pipes not at all."""
    global _last_line
    if _activity is not None:
        _activity.set_text(text)
    elif in_github_actions() and time.monotonic() - _last_line >= _SECONDS_BETWEEN_LINES:
        _last_line = time.monotonic()
        print(text, file=sys.stderr)


@contextlib.contextmanager
def paused_activity() -> Iterator[None]:
    """Show no line meanwhile: something else draws on standard error."""
    activity = _activity
    if activity is None:
        yield
        return
    activity.hide(pause=1)
    try:
        yield
    finally:
        activity.hide(pause=-1)


def end_activity() -> None:
    if _activity is not None:
        _activity.end()


@contextlib.contextmanager
def shown_activity(text: str) -> Iterator[None]:
    """Show on a terminal what is done, at first *text*."""
    global _activity
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield
        return
    _activity = activity = _Activity()
    activity.set_text(text)
    threading.Thread(target=activity.run, name="npc-lims-activity", daemon=True).start()
    try:
        with _before_writes(sys.stderr, activity.hide), _before_writes(sys.stdout, activity.end):
            yield
    finally:
        activity.end()
        _activity = None


@contextlib.contextmanager
def _before_writes(stream: TextIO, act: Any) -> Iterator[None]:
    """Call *act* before each write to a terminal. The stream stays the object that others know."""
    if not stream.isatty():
        yield
        return
    write = stream.write

    def hooked(text: str) -> int:
        act()
        return write(text)

    patched: Any = stream
    patched.write = hooked
    try:
        yield
    finally:
        del patched.write
