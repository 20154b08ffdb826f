"""Answers kept in memory: bounded, for a time, and emptied together."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from npc_lims.utils import memory_cache as memo
from npc_lims.utils.memory_cache import Memo, clear_caches


@pytest.fixture
def make() -> Iterator[Callable[..., Memo[int]]]:
    """Makes memos that are forgotten after the test."""
    made: list[Memo[int]] = []

    def one(size: int = 10, seconds: float = 60) -> Memo[int]:
        made.append(Memo(size, seconds))
        return made[-1]

    yield one
    for kept in made:
        memo._all.remove(kept)


def test_a_question_is_asked_once(make: Callable[..., Memo[int]]) -> None:
    kept, asked = make(), []
    assert [kept.get_or("a", lambda: asked.append(1) or 7) for _ in range(3)] == [7, 7, 7]  # type: ignore[func-returns-value]
    assert len(asked) == 1


def test_put_gives_the_answer_back(make: Callable[..., Memo[int]]) -> None:
    kept = make()
    assert kept.put("a", 3) == 3
    assert kept.get("a") == 3
    assert kept.get("b") is None


def test_an_answer_of_zero_is_an_answer(make: Callable[..., Memo[int]]) -> None:
    kept = make()
    kept.put("a", 0)
    assert kept.get_or("a", lambda: 1) == 0


def test_an_error_is_not_kept(make: Callable[..., Memo[int]]) -> None:
    kept = make()
    with pytest.raises(ZeroDivisionError):
        kept.get_or("a", lambda: 1 // 0)
    assert kept.get_or("a", lambda: 5) == 5


def test_no_more_answers_than_the_size(make: Callable[..., Memo[int]]) -> None:
    kept = make(size=3)
    for n in range(10):
        kept.put(n, n)
    assert sum(kept.get(n) is not None for n in range(10)) == 3
    assert kept.get(9) == 9


def test_an_answer_holds_for_its_time(make: Callable[..., Memo[int]]) -> None:
    kept = make(seconds=0.02)
    kept.put("a", 1)
    time.sleep(0.05)
    assert kept.get("a") is None


def test_clear_caches_empties_them_all(make: Callable[..., Memo[int]]) -> None:
    first, second = make(), make()
    first.put("a", 1)
    second.put("a", 2)
    clear_caches()
    assert (first.get("a"), second.get("a")) == (None, None)


def test_many_threads(make: Callable[..., Memo[int]]) -> None:
    kept = make(size=5)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: kept.get_or(n % 20, lambda: n % 20), range(2000)))
    assert answers == [n % 20 for n in range(2000)]


class Question:
    """One that knows which threads have asked it: a memo hashes it to look it up, and holds its lock meanwhile."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def __hash__(self) -> int:
        self.threads.add(threading.get_ident())
        return 0

    def wait_for(self, threads: int) -> None:
        while len(self.threads) < threads:
            time.sleep(0.001)


def test_threads_that_want_the_same_ask_once(make: Callable[..., Memo[int]]) -> None:
    kept = make()
    asked: list[int] = []
    question = Question()

    def ask() -> int:
        asked.append(1)
        question.wait_for(8)
        return 7

    def want(_: int) -> int:
        return kept.get_once(question, ask)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(want, range(8))) == [7] * 8
    assert len(asked) == 1
    assert kept.get(question) == 7


def test_threads_that_wait_share_the_error_and_the_next_asks_again(make: Callable[..., Memo[int]]) -> None:
    kept = make()
    asked: list[int] = []
    question = Question()

    def fail() -> int:
        asked.append(1)
        question.wait_for(4)
        raise ValueError("no")

    def want(_: int) -> str:
        with pytest.raises(ValueError, match="no"):
            kept.get_once(question, fail)
        return "raised"

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(want, range(4))) == ["raised"] * 4
    assert len(asked) == 1
    assert kept.get_once(question, lambda: 5) == 5


def test_what_was_forgotten_while_it_was_asked_for_is_not_kept(make: Callable[..., Memo[int]]) -> None:
    kept = make()

    def ask() -> int:
        clear_caches()
        return 1

    assert kept.get_once("a", ask) == 1
    assert kept.get("a") is None


FORKED = """
import os, threading
from npc_lims.utils.memory_cache import Memo
kept, connections = Memo(9, 60), Memo(9, 60, forks=False)
kept.put("known", 1), connections.put("known", 1)
asked, answer = threading.Event(), threading.Event()
def ask():
    asked.set()
    answer.wait()
    return 2
threading.Thread(target=kept.get_once, args=("unknown", ask)).start()
asked.wait()
child = os.fork()
if child == 0:
    found = kept.get_once("known", int), connections.get_once("known", int), kept.get_once("unknown", lambda: 3)
    os._exit(0 if found == (1, 0, 3) else 1)
answer.set()
assert os.waitpid(child, 0)[1] == 0
assert connections.get("known") == 1 and kept.get_once("unknown", int) == 2
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")
def test_a_forked_process_waits_for_no_thread_of_its_parent() -> None:
    # without warnings: since 3.12 Python warns of every fork beside a thread
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORKED], check=True, timeout=60)
