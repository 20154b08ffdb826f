"""Databases in memory that many threads read at once, and that nobody can change."""

from __future__ import annotations

import gc
import random
import sqlite3
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.utils.sqlite import SharedConnection, load_image, make_image, quoted

ROWS = 500


@pytest.fixture
def database() -> SharedConnection:
    made = SharedConnection()
    made.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY, text TEXT)")
    made.executemany("INSERT INTO numbers VALUES (?, ?)", ((n, f"number {n}") for n in range(ROWS)))
    made.seal()
    return made


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads are switched as often as can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_rows_are_dicts(database: SharedConnection) -> None:
    assert database.execute("SELECT * FROM numbers WHERE n = ?", (3,)).fetchall() == [{"n": 3, "text": "number 3"}]
    assert database.execute("SELECT n FROM numbers WHERE n > 900").fetchone() is None
    assert [row["n"] for row in database.execute("SELECT n FROM numbers WHERE n < 3")] == [0, 1, 2]
    assert database.cursor().execute("SELECT n FROM numbers").fetchmany(2) == [{"n": 0}, {"n": 1}]
    assert isinstance(database, sqlite3.Connection)


def test_sixteen_threads_get_what_they_ask_for(database: SharedConnection, hasty: None) -> None:
    def ask(seed: int) -> int:
        chance = random.Random(seed)
        for _ in range(60):
            n = chance.randrange(ROWS)
            expected = {"n": n, "text": f"number {n}"}
            # the same text in every thread: that is what a kept statement is found by
            assert database.execute("SELECT * FROM numbers WHERE n = ?", (n,)).fetchall() == [expected]
            assert database.execute("SELECT * FROM numbers WHERE n >= ?", (n,)).fetchone() == expected
            assert next(database.cursor().execute("SELECT * FROM numbers WHERE n = ?", (n,))) == expected
        return seed

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(ask, range(16))) == sum(range(16))


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO numbers VALUES (1000, '')",
        "UPDATE numbers SET text = ''",
        "DELETE FROM numbers",
        "DROP TABLE numbers",
        "CREATE TABLE more (n)",
        "CREATE TEMP TABLE more (n)",
    ],
)
def test_writing_fails(database: SharedConnection, statement: str) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.execute(statement)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.executescript(statement)
    assert database.execute("SELECT count(text) AS n FROM numbers WHERE text != ''").fetchall() == [{"n": ROWS}]


def test_an_image_and_back(database: SharedConnection, tmp_path: Path) -> None:
    image = make_image(database)
    (tmp_path / "file.sqlite").write_bytes(image)
    with closing(sqlite3.connect(tmp_path / "file.sqlite")) as opened:
        assert opened.execute("SELECT count(*) FROM numbers").fetchall() == [(ROWS,)]
    again = load_image(image)
    assert again.execute("SELECT * FROM numbers").fetchall() == database.execute("SELECT * FROM numbers").fetchall()
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        again.execute("DELETE FROM numbers")


def test_a_database_in_wal_mode_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "wal.sqlite"
    with closing(sqlite3.connect(path)) as made:
        made.execute("PRAGMA journal_mode = WAL")
        made.execute("CREATE TABLE numbers AS SELECT 7 AS n")
        made.commit()
    assert path.read_bytes()[18:20] == b"\x02\x02"  # says that there may be a log beside it
    assert load_image(path.read_bytes()).execute("SELECT * FROM numbers").fetchall() == [{"n": 7}]


@pytest.mark.parametrize("content", [b"<html>login</html>" * 100, b"SQLite format 3\0" + b"x" * 1000])
def test_what_is_no_database_is_refused(content: bytes) -> None:
    with pytest.raises(sqlite3.DatabaseError):
        load_image(content)


def test_it_is_closed_with_the_last_reference_without_a_warning(database: SharedConnection) -> None:
    cursor = SharedConnection().execute("SELECT 1 AS n")
    gc.collect()
    assert cursor.fetchall() == [{"n": 1}]  # a cursor holds its database
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del cursor
        gc.collect()
    database.close()  # by one of several users
    assert database.execute("SELECT 1 AS n").fetchall() == [{"n": 1}]


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_any_name_can_be_quoted(name: str) -> None:
    database = SharedConnection()
    database.execute(f"CREATE TABLE {quoted(name)} (n)")
    if not name.lower().startswith("sqlite_"):
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [{"name": name}]
