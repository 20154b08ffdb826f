"""A total deadline for a call that may block: connecting, headers, a body that drips, a program that hangs."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Callable, TypeVar

T = TypeVar("T")


class DeadlineExceeded(TimeoutError):
    """A call was abandoned at its deadline."""


def call_within(seconds: float, function: Callable[[], T], discard: Callable[[T], object] | None = None) -> T:
    """Return the result of *function*, which runs in a thread of its own. DeadlineExceeded after *seconds*.

    Time-outs of sockets bound only the wait for the next bytes, and subprocesses of libraries have none. An abandoned
    thread ends when its call does, and keeps no process alive; *discard* gets its result, to close it.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            result = function()
        except BaseException as error:  # raised below, in the thread of the caller
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
            return
        if future.set_running_or_notify_cancel():
            future.set_result(result)
        elif discard is not None:
            discard(result)

    threading.Thread(target=run, name="npc-lims-deadline", daemon=True).start()
    try:
        return future.result(seconds)
    except FutureTimeout:
        if future.cancel():
            raise DeadlineExceeded(f"not done within {seconds:g} s") from None
        return future.result()  # it ended at the last moment, or raised a time-out of its own
