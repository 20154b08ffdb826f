"""Answers kept in memory: each memo has a bound, most a lifetime, and `clear_caches()` empties them all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
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
    """

    def __init__(self, size: int, seconds: float) -> None:
        self._answers: cachetools.TTLCache[Hashable, V] = cachetools.TTLCache(size, seconds)
        self._lock = threading.RLock()
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

    def clear(self) -> None:
        with self._lock:
            self._answers.clear()


def clear_caches() -> None:
    """Forget every answer kept in memory. The snapshot on disk stays: delete its folder to forget that."""
    for memo in _all:
        memo.clear()
