"""`npc-lims export`."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from npc_lims.history.export import TABLES
from tests.history.past import run_git
from tests.integration.world import run_cli

pytestmark = pytest.mark.filterwarnings("default::npc_lims.errors.HistoryWarning")


def test_a_database(lives_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_cli("export", "--state", str(lives_once / "state"))
    assert done.code == 0, done
    assert done.out == ("npc-lims.sqlite: 3 sessions, 9 commits, 9 transitions, 14 fields, 5 assets, 4 edits\n")
    with closing(sqlite3.connect("npc-lims.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM transitions").fetchall() == [(9,)]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_folder(lives_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(lives_once)
    done = run_cli("export", str(tmp_path / "tables"), "--format", kind)
    assert done.code == 0, done
    assert {path.name for path in (tmp_path / "tables").iterdir()} == {f"{name}.{kind}" for name in TABLES}


def test_a_file_of_sessions(lives_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lives_once)
    done = run_cli("export", str(tmp_path / "x.csv"))
    assert done.code == 0, done
    assert done.out == f"{tmp_path / 'x.csv'}: 3 sessions\n"
    assert (tmp_path / "x.csv").read_bytes().startswith(b"id,subject,date,")
    done = run_cli("export", str(tmp_path / "x.csv"), "--format", "sqlite")
    assert done.code == 2, done
    assert ".csv and --format sqlite contradict each other" in done.err


def test_the_demo(published_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(published_once)
    done = run_cli("export", str(tmp_path / "x.sqlite"))
    assert done.code == 0, done
    with closing(sqlite3.connect(tmp_path / "x.sqlite")) as database:
        (count,) = database.execute("SELECT count(*) FROM sessions WHERE is_recorded").fetchone()
        assert count == len(list((published_once / "state" / "sessions").rglob("*.yaml")))
        assert database.execute("SELECT DISTINCT what FROM transitions").fetchall() == [
            ('["already present at first sync"]',)
        ]


def test_a_shallow_clone_is_reported(lives_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_git(tmp_path, "clone", "--quiet", "--depth=2", lives_once.as_uri(), "shallow")
    monkeypatch.chdir(tmp_path / "shallow")
    assert "whose history begins 2024-06-01" in run_cli("export", str(tmp_path / "x.sqlite")).err


def test_parquet_without_pyarrow(lives_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.chdir(lives_once)
    done = run_cli("export", str(tmp_path / "x"), "--format", "parquet")
    assert done.code == 2, done
    assert 'pip install "npc_lims[parquet]"' in done.err
    assert list(tmp_path.iterdir()) == []


def test_mistakes_are_one_message(lives_once: Path, elsewhere: Path) -> None:
    done = run_cli("export")
    assert done.code == 2, done
    assert "git clone https://github.com/AllenInstitute/npc_lims" in done.err
    (elsewhere / "notes.txt").write_text("mine")
    done = run_cli("export", "notes.txt", "--format", "sqlite", "--state", str(lives_once / "state"))
    assert done.code == 2, done
    assert "no export of npc-lims" in done.err
    assert (elsewhere / "notes.txt").read_text() == "mine"


def test_a_folder_that_never_held_state_replaces_no_export(
    lives_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lives_once)
    database = tmp_path / "x.sqlite"
    assert run_cli("export", str(database)).code == 0
    before = database.read_bytes()
    for mistyped in ("stat", "."):
        done = run_cli("export", str(database), "--state", mistyped)
        assert done.code == 2, done
        assert f"there is no state in {mistyped}, nor in any commit: check NPC_LIMS_STATE or --state" in done.err
    assert database.read_bytes() == before
