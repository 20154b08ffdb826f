"""The cache in memory: every instance is bounded and has a lifetime, and `clear_caches()` empties them all."""

from __future__ import annotations

import dataclasses
import math
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar, cast

V = TypeVar("V")

_MAX_COOLDOWN = 1800.0
_instances: list[TTLCache] = []  # type: ignore[type-arg]  # a few for each module that caches


@dataclasses.dataclass
class _Entry(Generic[V]):
    """A value or an error, for how many seconds it is valid, and when it was stored (by the monotonic clock)."""

    lifetime: float
    value: V | None = None
    error: Exception | None = None
    stored: float = dataclasses.field(default_factory=time.monotonic)

    def result(self) -> V:
        if self.error is not None:
            raise self.error
        return cast("V", self.value)


class _Load(Generic[V]):
    """A call of a loader: whoever has the lock makes it, and the others wait for its outcome."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.outcome: _Entry[V] | None = None


class TTLCache(Generic[V]):
    """A bounded cache with a lifetime, safe for threads, forks and KeyboardInterrupt.

    Each step that changes it is one operation on a dict, and a load is finished only by its outcome: a thread that is
    interrupted between any two steps leaves nothing behind for which others would wait.

    Args:
        maxsize: Number of entries; the least recently used go first.
        ttl: Lifetime of a value in seconds, or a function of the value; 0 means that it is not cached.
        error_ttl: Seconds for which an error of a loader is raised again without calling it; longer where its
            `retry_after` says so, up to half an hour.
        survives_fork: False for connections, on which a forked process and its parent would read each other's data.
    """

    def __init__(
        self, maxsize: int, ttl: float | Callable[[V], float], *, error_ttl: float = 0.0, survives_fork: bool = True
    ) -> None:
        self._maxsize = maxsize
        self._lifetime: Callable[[V], float] = ttl if callable(ttl) else lambda _: ttl
        self._error_ttl = error_ttl
        self._survives_fork = survives_fork
        self._entries: OrderedDict[Hashable, _Entry[V]] = OrderedDict()
        self._loads: dict[Hashable, _Load[V]] = {}
        self._lock = threading.RLock()
        _instances.append(self)

    def get(self, key: Hashable, max_age: float = math.inf) -> V | None:
        """Return the cached value; None if there is none, or it was put there *max_age* seconds ago."""
        entry = self._find(key, max_age)
        return None if entry is None else entry.value

    def error(self, key: Hashable) -> Exception | None:
        """Return the cached error of a loader, or None."""
        entry = self._find(key)
        return None if entry is None else entry.error

    def put(self, key: Hashable, value: V) -> V:
        """Cache a value, and return it."""
        self._put(key, _Entry(self._lifetime(value), value))
        return value

    def put_error(self, key: Hashable, error: Exception) -> None:
        """Cache an error as if a loader had raised it."""
        self._put(key, _Entry(self._error_lifetime(error), error=error))

    def get_or_load(self, key: Hashable, load: Callable[[], V], max_age: float = math.inf) -> V:
        """Return the cached value or, after *max_age* seconds, the result of *load*, which is cached.

        Threads that want the same key wait for the one that loads, and share its value or its error.
        """
        with self._lock:
            entry = self._find(key, max_age)
            if entry is not None:
                return entry.result()
            loading = self._loads.get(key)
            if loading is None or loading.outcome is not None:
                loading = self._loads[key] = _Load()
        with loading.lock:
            outcome = loading.outcome or self._load(key, loading, load)
        return outcome.result()

    def clear(self) -> None:
        """Forget everything; loads that are running are not cached."""
        with self._lock:
            self._entries.clear()
            self._loads.clear()

    def _load(self, key: Hashable, loading: _Load[V], load: Callable[[], V]) -> _Entry[V]:
        try:
            value = load()
            outcome = _Entry(self._lifetime(value), value)
        except Exception as error:
            outcome = _Entry(self._error_lifetime(error), error=error)
        with self._lock:
            if self._loads.get(key) is loading:
                if outcome.lifetime:
                    self._put(key, outcome)
                del self._loads[key]
            loading.outcome = outcome
        return outcome

    def _error_lifetime(self, error: Exception) -> float:
        retry_after = min(getattr(error, "retry_after", None) or 0.0, _MAX_COOLDOWN)
        return max(self._error_ttl, retry_after) if self._error_ttl else 0.0

    def _find(self, key: Hashable, max_age: float = math.inf) -> _Entry[V] | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            age = time.monotonic() - entry.stored
            if age >= entry.lifetime:
                del self._entries[key]
                return None
            self._entries.move_to_end(key)
            return entry if age < max_age or entry.error is not None else None

    def _put(self, key: Hashable, entry: _Entry[V]) -> None:
        with self._lock:
            self._entries[key] = entry
            self._entries.move_to_end(key)
            while len(self._entries) > self._maxsize:
                self._entries.popitem(last=False)

    def _after_fork(self) -> None:
        """Drop what belongs to threads of the parent: they are not in this process."""
        self._lock = threading.RLock()
        self._loads.clear()
        if not self._survives_fork:
            self._entries.clear()


def _after_fork() -> None:
    for cache in _instances:
        cache._after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork)


def clear_caches() -> None:
    """Empty every cache in memory. The cache on disk stays: delete its folder to empty that."""
    for cache in _instances:
        cache.clear()
