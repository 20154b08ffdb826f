"""The cache in memory: bounded, with lifetimes, single-flight, and emptied as a whole."""

from __future__ import annotations

import linecache
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import pytest

from npc_lims.utils import memory_cache
from npc_lims.utils.memory_cache import TTLCache, clear_caches


@pytest.fixture
def make() -> Iterator[Callable[..., TTLCache[int]]]:
    """Make caches that are forgotten after the test."""
    made: list[TTLCache[int]] = []

    def one(maxsize: int = 10, ttl: float | Callable[[int], float] = 60, **more: float) -> TTLCache[int]:
        made.append(TTLCache(maxsize, ttl, **more))  # type: ignore[arg-type]
        return made[-1]

    yield one
    for cache in made:
        memory_cache._instances.remove(cache)


def test_a_value_is_loaded_once(make: Callable[..., TTLCache[int]]) -> None:
    cache, loads = make(), []
    assert [cache.get_or_load("a", lambda: loads.append(1) or 7) for _ in range(3)] == [7, 7, 7]  # type: ignore[func-returns-value]
    assert len(loads) == 1


def test_put_gives_the_value_back(make: Callable[..., TTLCache[int]]) -> None:
    cache = make()
    assert cache.put("a", 3) == 3
    assert cache.get("a") == 3
    assert cache.get("b") is None


def test_zero_is_a_value(make: Callable[..., TTLCache[int]]) -> None:
    cache = make()
    cache.put("a", 0)
    assert cache.get_or_load("a", lambda: 1) == 0


def test_a_value_that_is_too_old_for_the_caller_is_loaded_again(make: Callable[..., TTLCache[int]]) -> None:
    cache = make()
    cache.put("a", 1)
    assert cache.get("a", max_age=0) is None
    assert cache.get("a", max_age=60) == 1
    assert cache.get_or_load("a", lambda: 2, max_age=0) == 2
    assert cache.get("a") == 2


def test_an_error_is_not_cached(make: Callable[..., TTLCache[int]]) -> None:
    cache = make()
    with pytest.raises(ZeroDivisionError):
        cache.get_or_load("a", lambda: 1 // 0)
    assert cache.get_or_load("a", lambda: 5) == 5


def test_an_error_is_cached_where_its_loader_must_not_be_called_in_a_loop(make: Callable[..., TTLCache[int]]) -> None:
    cache = make(error_ttl=60)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            cache.get_or_load("a", lambda: 1 // 0, max_age=0)
    with pytest.raises(ZeroDivisionError):
        cache.get_or_load("a", lambda: 5)
    assert isinstance(cache.error("a"), ZeroDivisionError)
    cache.put("a", 5)
    assert cache.error("a") is None
    assert cache.get("a") == 5


def test_an_error_is_cached_for_as_long_as_a_server_asks(make: Callable[..., TTLCache[int]]) -> None:
    class BusyError(Exception):
        retry_after = 60

    def fail() -> int:
        raise BusyError

    cache = make(error_ttl=1e-9)
    with pytest.raises(BusyError):
        cache.get_or_load("a", fail)
    with pytest.raises(ZeroDivisionError):
        cache.get_or_load("b", lambda: 1 // 0)
    assert isinstance(cache.error("a"), BusyError)
    assert cache.error("b") is None


def test_no_more_entries_than_maxsize(make: Callable[..., TTLCache[int]]) -> None:
    cache = make(maxsize=3)
    for n in range(10):
        cache.put(n, n)
    assert sum(cache.get(n) is not None for n in range(10)) == 3
    assert cache.get(9) == 9


def test_a_value_expires(make: Callable[..., TTLCache[int]]) -> None:
    cache = make(ttl=0.02)
    cache.put("a", 1)
    time.sleep(0.05)
    assert cache.get("a") is None


def test_clear_caches_empties_them_all(make: Callable[..., TTLCache[int]]) -> None:
    first, second = make(), make()
    first.put("a", 1)
    second.put("a", 2)
    clear_caches()
    assert (first.get("a"), second.get("a")) == (None, None)


def test_many_threads(make: Callable[..., TTLCache[int]]) -> None:
    cache = make(maxsize=5)
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda n: cache.get_or_load(n % 20, lambda: n % 20), range(2000)))
    assert values == [n % 20 for n in range(2000)]


class Key:
    """A key that knows which threads looked it up: a cache hashes it while it holds its lock."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def __hash__(self) -> int:
        self.threads.add(threading.get_ident())
        return 0

    def wait_for(self, threads: int) -> None:
        while len(self.threads) < threads:
            time.sleep(0.001)


def test_threads_that_want_the_same_load_once(make: Callable[..., TTLCache[int]]) -> None:
    cache = make()
    loads: list[int] = []
    key = Key()

    def load() -> int:
        loads.append(1)
        key.wait_for(8)
        return 7

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: cache.get_or_load(key, load), range(8))) == [7] * 8
    assert len(loads) == 1
    assert cache.get(key) == 7


def test_threads_that_wait_share_the_error_and_the_next_loads_again(make: Callable[..., TTLCache[int]]) -> None:
    cache = make()
    loads: list[int] = []
    key = Key()

    def fail() -> int:
        loads.append(1)
        key.wait_for(4)
        raise ValueError("no")

    def want(_: int) -> str:
        with pytest.raises(ValueError, match="no"):
            cache.get_or_load(key, fail)
        return "raised"

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(want, range(4))) == ["raised"] * 4
    assert len(loads) == 1
    assert cache.get_or_load(key, lambda: 5) == 5


def test_a_value_that_must_not_be_cached_is_loaded_again(make: Callable[..., TTLCache[int]]) -> None:
    cache = make(ttl=lambda value: 60 if value > 1 else 0)
    assert cache.get_or_load("a", lambda: 1) == 1
    assert cache.get_or_load("a", lambda: 2) == 2
    assert cache.get_or_load("a", lambda: 3) == 2


def test_a_value_that_was_loading_while_the_caches_were_cleared_is_not_cached(
    make: Callable[..., TTLCache[int]],
) -> None:
    cache = make()

    def load() -> int:
        clear_caches()
        return 1

    assert cache.get_or_load("a", load) == 1
    assert cache.get("a") is None


def test_a_waiting_thread_loads_in_place_of_one_that_was_interrupted(make: Callable[..., TTLCache[int]]) -> None:
    cache = make()
    key = Key()
    interrupted: list[bool] = []

    def interrupt() -> int:
        key.wait_for(2)
        raise KeyboardInterrupt

    def main() -> None:
        try:
            cache.get_or_load(key, interrupt)
        except KeyboardInterrupt:
            interrupted.append(True)

    thread = threading.Thread(target=main)
    thread.start()
    key.wait_for(1)
    assert cache.get_or_load(key, lambda: 5) == 5
    thread.join()
    assert interrupted == [True]


def run_interrupted(count: int, cache: TTLCache[int]) -> bool:
    """Load a value, with a KeyboardInterrupt before a line of the cache's code; False if it ends before that.

    Lines of `with` do not count: they are traced at the end of their block as well, where Python handles no signal
    until the lock is released.

    Args:
        count: The number of the line, counted from 1 as they are run.
    """
    left = count

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename != memory_cache.__file__:
            return None
        text = linecache.getline(memory_cache.__file__, frame.f_lineno).strip()
        if event == "line" and not text.startswith("with "):
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        cache.get_or_load("a", lambda: 1)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_an_interrupt_on_any_line_lets_no_other_thread_wait(make: Callable[..., TTLCache[int]]) -> None:
    caches: list[TTLCache[int]] = []
    while True:
        cache = make()
        if not run_interrupted(len(caches) + 1, cache):
            break
        caches.append(cache)
    assert len(caches) > 20
    found: list[int] = []
    others = threading.Thread(
        target=lambda: found.extend(cache.get_or_load("a", lambda: 1) for cache in caches), daemon=True
    )
    others.start()
    others.join(60)
    assert found == [1] * len(caches)


FORKED = """
import os, threading
from npc_lims.utils.memory_cache import TTLCache
values, connections = TTLCache(9, 60), TTLCache(9, 60, survives_fork=False)
values.put("known", 1), connections.put("known", 1)
is_loading, go_on = threading.Event(), threading.Event()
def load():
    is_loading.set()
    go_on.wait()
    return 2
threading.Thread(target=values.get_or_load, args=("unknown", load)).start()
is_loading.wait()
child = os.fork()
if child == 0:
    found = [values.get_or_load("known", int), connections.get_or_load("known", int)]
    found.append(values.get_or_load("unknown", lambda: 3))
    os._exit(0 if found == [1, 0, 3] else 1)
go_on.set()
assert os.waitpid(child, 0)[1] == 0
assert connections.get("known") == 1 and values.get_or_load("unknown", int) == 2
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")
def test_a_forked_process_waits_for_no_thread_of_its_parent() -> None:
    # without warnings: since 3.12 Python warns of every fork beside a thread
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORKED], check=True, timeout=60)
