"""Answers kept in memory: each memo has a bound, most a lifetime, and `clear_caches()` empties them all."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

import cachetools

__all__ = ["Memo", "clear_caches"]

V = TypeVar("V")

_all: list[Memo] = []  # type: ignore[type-arg]  # one for each module that keeps answers


class Memo(Generic[V]):
    """A bounded mapping from question to answer, for many threads.

    Args:
        size: Answers kept at most; the least used go first.
        seconds: How long an answer holds.
        forks: Whether a forked process may go on with the answers; not if they hold connections, on which parent and
            child would read each other's.
    """

    def __init__(self, size: int, seconds: float, *, forks: bool = True) -> None:
        self._answers: cachetools.TTLCache[Hashable, V] = cachetools.TTLCache(size, seconds)
        self._asking: dict[Hashable, Future[V]] = {}
        self._lock = threading.RLock()
        self._forks = forks
        _all.append(self)

    def get(self, question: Hashable) -> V | None:
        with self._lock:
            return self._answers.get(question)

    def put(self, question: Hashable, answer: V) -> V:
        with self._lock:
            self._answers[question] = answer
        return answer

    def get_or(self, question: Hashable, ask: Callable[[], V]) -> V:
        """The kept answer, else what *ask* gives. Two threads may ask at once; an error is not kept."""
        answer = self.get(question)
        return self.put(question, ask()) if answer is None else answer

    def get_once(self, question: Hashable, ask: Callable[[], V], keep: Callable[[V], bool] = lambda _: True) -> V:
        """As `get_or`, but threads that want the same wait for the one that asks, and share its answer or its error.

        Args:
            keep: Whether an answer holds; if not, the next who wants it asks again.
        """
        with self._lock:
            answer = self._answers.get(question)
            if answer is not None:
                return answer
            asking = self._asking.get(question)
            if asking is None:
                mine = self._asking[question] = Future()
        if asking is not None:
            return asking.result()
        try:
            answer = ask()
        except BaseException as error:
            self._arrived(question, mine)
            mine.set_exception(error)
            raise
        if self._arrived(question, mine) and keep(answer):
            self.put(question, answer)
        mine.set_result(answer)
        return answer

    def _arrived(self, question: Hashable, mine: Future[V]) -> bool:
        """Whether what was asked is still to be kept: not if everything was forgotten meanwhile."""
        with self._lock:
            if self._asking.get(question) is not mine:
                return False
            del self._asking[question]
            return True

    def clear(self) -> None:
        with self._lock:
            self._answers.clear()
            self._asking.clear()

    def after_fork(self) -> None:
        """In the new process nobody asks, and nobody holds the lock: the threads that did are not in it."""
        self._lock = threading.RLock()
        self._asking.clear()
        if not self._forks:
            self._answers.clear()


def _after_fork() -> None:
    for memo in _all:
        memo.after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)


def clear_caches() -> None:
    """Forget every answer kept in memory. The snapshot on disk stays: delete its folder to forget that."""
    for memo in _all:
        memo.clear()
