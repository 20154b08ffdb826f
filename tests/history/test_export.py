"""Exports: each format is read back with what reads it elsewhere, and all say the same."""

from __future__ import annotations

import csv
import json
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from npc_lims.clients.git import Repository
from npc_lims.errors import GitError, NpcLimsError, StateError
from npc_lims.history.export import TABLES, ExportFormat, choose_target, export_history
from npc_lims.utils.yaml import render_yaml
from tests import builders
from tests.history.lives import NOTE, ONE, THREE, TWO, one
from tests.history.past import Step, run_git, state_files, write_history

pytestmark = pytest.mark.filterwarnings("ignore::npc_lims.errors.HistoryWarning")
Tables = dict[str, list[dict[str, Any]]]
PARQUET = pytest.param(ExportFormat.parquet, marks=pytest.mark.slow)
"""It takes pyarrow, which the quick set does without."""


@pytest.fixture(scope="module")
def exported(lives: Repository, tmp_path_factory: pytest.TempPathFactory) -> dict[ExportFormat, Path]:
    """An export in each format but Parquet."""
    folder = tmp_path_factory.mktemp("exports")
    places = {}
    for kind in (ExportFormat.sqlite, ExportFormat.jsonl, ExportFormat.csv):
        place = folder / choose_target(kind=kind)[0]
        done = export_history(lives, place, kind)
        assert done.path == place
        places[kind] = done.path
    return places


def from_sqlite(path: Path) -> Tables:
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        return {
            name: [plain(name, dict(row)) for row in database.execute(f'SELECT * FROM "{name}"')] for name in TABLES
        }


def from_csv(folder: Path) -> Tables:
    tables = {}
    for name in TABLES:
        with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            tables[name] = [plain(name, row) for row in csv.DictReader(file)]
    return tables


def from_jsonl(folder: Path) -> Tables:
    tables = {}
    for name, table in TABLES.items():
        rows = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text("utf-8").splitlines()]
        tables[name] = [
            {column.name: row.get(column.name, "absent" if column.kind == "json" else None) for column in table.columns}
            for row in rows
        ]
    return tables


def plain(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row with the values that its texts and numbers mean."""
    return {column.name: value(row[column.name], column.kind) for column in TABLES[name].columns}


def value(cell: Any, kind: str) -> Any:
    if kind == "json":
        return json.loads(cell) if cell else "absent"
    if cell in (None, ""):
        return None
    return {"text": str, "integer": int, "boolean": lambda cell: {"true": True, "false": False}.get(cell, bool(cell))}[
        kind
    ](cell)


def by_key(tables: Tables) -> Tables:
    """With empty texts as null, which CSV cannot tell apart, and rows in an order of their own."""
    return {
        name: sorted(({key: None if cell == "" else cell for key, cell in row.items()} for row in rows), key=repr)
        for name, rows in tables.items()
    }


def test_all_formats_have_the_same_rows(exported: dict[ExportFormat, Path]) -> None:
    tables = from_sqlite(exported[ExportFormat.sqlite])
    assert (
        by_key(from_jsonl(exported[ExportFormat.jsonl]))
        == by_key(tables)
        == by_key(from_csv(exported[ExportFormat.csv]))
    )
    assert {name: len(rows) for name, rows in tables.items()} == {
        "sessions": 3, "commits": 9, "transitions": 9, "fields": 14, "assets": 5, "edits": 4, "about": 4,
    }  # fmt: skip


def test_contents_of_the_tables(exported: dict[ExportFormat, Path]) -> None:
    with closing(sqlite3.connect(exported[ExportFormat.sqlite])) as database:

        def ask(sql: str) -> list[tuple[Any, ...]]:
            return database.execute(sql).fetchall()

        assert ask("SELECT id, date, is_ephys, is_sorted, notes FROM sessions WHERE is_sorted") == [
            (ONE, "2022-08-15", 1, 1, NOTE)
        ]
        assert ask(f"SELECT is_video, json_extract(codeocean, '$.raw.name') FROM sessions WHERE id = '{TWO}'")[0][1]
        again = """SELECT t.committed_at, a.created_at FROM transitions t JOIN assets a ON a.transition = t.id
            WHERE t.kind = 're-processed' AND a.kind = 'sorted'"""
        assert ask(again) == [("2024-05-02T09:00:00Z", "2024-05-01T10:00:00Z")]
        editors = "SELECT c.author FROM edits e JOIN commits c ON c.sha = e.commit_sha WHERE e.session = ?"
        assert database.execute(editors, [THREE]).fetchall() == [("Cleo",)]
        assert ask("SELECT value FROM about WHERE name = 'folder'") == [("state",)]
        assert ask("SELECT place, subject FROM commits WHERE place ORDER BY place")[0] == (1, "state: begin")
        assert ask("""SELECT "before", "after" FROM fields WHERE field = 'tracked.notes'""") == [
            (None, json.dumps(NOTE))
        ]


def test_the_database_is_sound(exported: dict[ExportFormat, Path]) -> None:
    with closing(sqlite3.connect(exported[ExportFormat.sqlite])) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        for name, table in TABLES.items():
            types = {row[1]: row[2] for row in database.execute(f'PRAGMA table_info("{name}")')}
            assert set(types.values()) <= {"TEXT", "INTEGER"}
            indexed = {
                row[2]
                for index in database.execute(f'PRAGMA index_list("{name}")').fetchall()
                for row in database.execute(f'PRAGMA index_info("{index[1]}")')
            }
            assert {column.name for column in table.columns if column.is_indexed} <= indexed | set(table.key)
            assert len(database.execute(f'PRAGMA foreign_key_list("{name}")').fetchall()) == sum(
                column.refers is not None for column in table.columns
            )


def test_sessions_that_went_are_still_named(tmp_path: Path) -> None:
    steps = [Step("a", "2024-01-01T00:00:00", state_files(one)), Step("b", "2024-01-02T00:00:00", {"x": b"x"}, ["a"])]
    write_history(tmp_path / "r", steps)
    export_history(Repository(tmp_path / "r"), tmp_path / "x.sqlite")
    (row,) = from_sqlite(tmp_path / "x.sqlite")["sessions"]
    assert (row["id"], row["subject"], row["is_recorded"], row["is_sorted"]) == (ONE, 626791, False, None)


def test_what_does_not_apply_is_null_and_named(tmp_path: Path) -> None:
    record = builders.record(tracked=builders.tracked("behavior"))
    write_history(tmp_path / "r", [Step("a", "2024-01-01T00:00:00", state_files(record))])
    export_history(Repository(tmp_path / "r"), tmp_path / "x.sqlite")
    (row,) = from_sqlite(tmp_path / "x.sqlite")["sessions"]
    assert row["is_sorted"] is None
    assert "is_sorted" in row["not_applicable"]
    assert row["codeocean"] == "absent", "never observed"


@pytest.mark.slow
def test_parquet(lives: Repository, exported: dict[ExportFormat, Path], tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    export_history(lives, tmp_path / "tables", ExportFormat.parquet)
    tables = {name: parquet.read_table(tmp_path / "tables" / f"{name}.parquet").to_pylist() for name in TABLES}
    assert by_key({name: [plain(name, row) for row in rows] for name, rows in tables.items()}) == by_key(
        from_sqlite(exported[ExportFormat.sqlite])
    )


@pytest.mark.parametrize("kind", [ExportFormat.sqlite, ExportFormat.csv])
def test_a_second_export_replaces_the_first(lives: Repository, tmp_path: Path, kind: ExportFormat) -> None:
    out = tmp_path / "new" / "out"
    first = export_history(Repository(make(tmp_path / "r")), out, kind)
    second = export_history(lives, out, kind)
    assert first.counts["sessions"] == 1
    read = from_sqlite if kind is ExportFormat.sqlite else from_csv
    assert {name: len(rows) for name, rows in read(out).items()} == second.counts
    assert [path.name for path in out.parent.iterdir()] == ["out"], "nothing is left beside it"


@pytest.mark.parametrize("kind", [ExportFormat.sqlite, ExportFormat.csv])
def test_a_link_stays_one(lives: Repository, tmp_path: Path, kind: ExportFormat) -> None:
    (tmp_path / "kept").mkdir()
    place = tmp_path / "kept" / "out"
    export_history(Repository(make(tmp_path / "r")), place, kind)
    try:
        (tmp_path / "link").symlink_to(place)
    except OSError:
        pytest.skip("no links here")
    done = export_history(lives, tmp_path / "link", kind)
    assert (done.path, (tmp_path / "link").is_symlink()) == (tmp_path / "link", True)
    read = from_sqlite if kind is ExportFormat.sqlite else from_csv
    assert {name: len(rows) for name, rows in read(place).items()} == done.counts
    assert sorted(path.name for path in tmp_path.rglob(".*")) == [".git"], "nothing is left beside it"


@pytest.mark.skipif(os.name == "nt", reason="Windows renames no working directory")
def test_the_working_directory_may_be_the_place(
    lives: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    export_history(lives, Path(), ExportFormat.csv)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{name}.csv" for name in TABLES}


def make(path: Path) -> Path:
    write_history(path, [Step("a", "2024-01-01T00:00:00", state_files(one))])
    return path


@pytest.mark.parametrize("kind", [ExportFormat.sqlite, ExportFormat.jsonl])
def test_nothing_else_is_replaced(lives: Repository, tmp_path: Path, kind: ExportFormat) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine")
    with closing(sqlite3.connect(tmp_path / "mine.sqlite")) as database:
        database.execute("CREATE TABLE mine (x)")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for name in ("folder", "notes.txt", "mine.sqlite"):
        with pytest.raises(NpcLimsError, match=re.escape(str(tmp_path / name))):
            export_history(lives, tmp_path / name, kind)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("names", [["sessions.csv"], ["about.jsonl", "commits.jsonl", "sessions.jsonl"]])
def test_a_folder_that_holds_less_than_an_export_is_none(lives: Repository, tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("mine")
    with pytest.raises(NpcLimsError, match=rf"holds {names[0]}, and is no export"):
        export_history(lives, tmp_path, ExportFormat.csv)
    assert sorted(path.name for path in tmp_path.iterdir()) == names


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_what_is_no_file_is_not_replaced(lives: Repository, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to(os.devnull)
    for name in ("pipe", "null"):
        with pytest.raises(NpcLimsError, match=f"{name}: a device or a pipe"):
            export_history(lives, tmp_path / name)


@pytest.mark.parametrize("kind", [ExportFormat.csv, ExportFormat.jsonl, PARQUET])
def test_a_file_of_a_table_replaces_only_an_earlier_one(
    lives: Repository, exported: dict[ExportFormat, Path], tmp_path: Path, kind: ExportFormat
) -> None:
    if kind is ExportFormat.parquet:
        pytest.importorskip("pyarrow")
    out = tmp_path / f"x.{kind.value}"
    assert dict(export_history(Repository(make(tmp_path / "r")), out, kind).counts) == {"sessions": 1}
    assert dict(export_history(lives, out, kind).counts) == {"sessions": 3}
    if kind is not ExportFormat.parquet:
        assert out.read_bytes() == (exported[kind] / f"sessions.{kind.value}").read_bytes()
    out.write_bytes(b"id,name\n1,mine\n")
    with pytest.raises(NpcLimsError, match="is there already, and no export of npc-lims"):
        export_history(lives, out, kind)
    assert out.read_bytes() == b"id,name\n1,mine\n"


@pytest.mark.parametrize(
    ("out", "kind", "expected"),
    [
        ("x.sqlite", None, ExportFormat.sqlite),
        ("x.DB", None, ExportFormat.sqlite),
        ("x.csv", None, ExportFormat.csv),
        ("a.b/x.jsonl", ExportFormat.jsonl, ExportFormat.jsonl),
        ("x.parquet", None, ExportFormat.parquet),
        ("tables", ExportFormat.csv, ExportFormat.csv),
        ("v1.2", ExportFormat.sqlite, ExportFormat.sqlite),
        (
            "tables",
            None,
            r"tables: expected a file name that ends in \.sqlite, .*\.csv, \.parquet, or a folder and --fo",
        ),
        ("x.json", None, r"x\.json: expected a file name that ends in"),
        ("x.csv", ExportFormat.sqlite, r"x\.csv: \.csv and --format sqlite contradict each other; give one of them"),
    ],
)
def test_the_extension_decides_the_format(out: str, kind: ExportFormat | None, expected: ExportFormat | str) -> None:
    if isinstance(expected, ExportFormat):
        assert choose_target(Path(out), kind) == (Path(out), expected)
    else:
        with pytest.raises(NpcLimsError, match=expected):
            choose_target(Path(out), kind)


@pytest.mark.parametrize("kind", [*(kind for kind in ExportFormat if kind is not ExportFormat.parquet), PARQUET])
def test_what_fails_leaves_what_was_there(tmp_path: Path, kind: ExportFormat) -> None:
    if kind is ExportFormat.parquet:
        pytest.importorskip("pyarrow")
    out = tmp_path / "out"
    export_history(Repository(make(tmp_path / "r")), out, kind)
    before = {path: path.read_bytes() for path in (out.rglob("*") if out.is_dir() else [out])}
    path = f"state/sessions/626791/{ONE}.yaml"
    write_history(tmp_path / "s", [Step("a", "2024-01-01T00:00:00", {**state_files(one), path: b"id: ["})])
    with pytest.raises(StateError, match=ONE):
        export_history(Repository(tmp_path / "s"), out, kind)
    assert {path: path.read_bytes() for path in (out.rglob("*") if out.is_dir() else [out])} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "r", "s"]


@pytest.mark.parametrize("kind", [ExportFormat.sqlite, PARQUET])
def test_a_number_that_no_table_takes_is_reported(tmp_path: Path, kind: ExportFormat) -> None:
    if kind is ExportFormat.parquet:
        pytest.importorskip("pyarrow")
    [(path, content), snapshot] = state_files(one).items()
    slip = content.replace(b"experiment_day: 1", b"experiment_day: 99999999999999999999")
    assert slip != content
    write_history(tmp_path / "r", [Step("a", "2024-01-01T00:00:00", {path: slip, **dict([snapshot])})])
    with pytest.raises(StateError, match=r"a number that no table takes .*--format jsonl takes any"):
        export_history(Repository(tmp_path / "r"), tmp_path / "out", kind)
    assert not (tmp_path / "out").exists()
    export_history(Repository(tmp_path / "r"), tmp_path / "lines", ExportFormat.jsonl)
    assert "99999999999999999999" in (tmp_path / "lines" / "sessions.jsonl").read_text("utf-8")


@pytest.mark.skipif(os.name == "nt", reason="there no folder can be that deep")
def test_what_sqlite_cannot_write_is_reported(lives: Repository, tmp_path: Path) -> None:
    place = tmp_path.joinpath(*["x" * 200] * 3, "out")  # it takes 512 bytes
    with pytest.raises(NpcLimsError, match=r"out: unable to open database file; check who may write there"):
        export_history(lives, place)
    assert list(place.parent.iterdir()) == []


def test_state_of_another_schema_is_refused(tmp_path: Path) -> None:
    newer = {path: content.replace(b"schema: 1", b"schema: 2") for path, content in state_files(one).items()}
    write_history(tmp_path / "r", [Step("a", "2024-01-01T00:00:00", newer)])
    with pytest.raises(StateError, match="schema 2, this version reads 1; upgrade npc_lims"):
        export_history(Repository(tmp_path / "r"), tmp_path / "out")


def test_a_repository_without_a_commit(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "--quiet", "r")
    with pytest.raises(GitError, match=r"HEAD: no such commit.*; nothing is committed here yet: git add"):
        export_history(Repository(tmp_path / "r"), tmp_path / "out")


@pytest.mark.parametrize("notes", ["a\rb", "a\nb\r\n", 'a,"b"', "=1+1", "a\x85b\u2028c", "\ufeffa"])
def test_a_cell_may_hold_what_ends_lines(tmp_path: Path, notes: str) -> None:
    record = builders.record(tracked=builders.tracked(notes=notes))
    write_history(tmp_path / "r", [Step("a", "2024-01-01T00:00:00", state_files(record))])
    export_history(Repository(tmp_path / "r"), tmp_path / "csv", ExportFormat.csv)
    assert [row["notes"] for row in from_csv(tmp_path / "csv")["sessions"]] == [notes]


def test_halves_of_characters_do_no_harm(tmp_path: Path) -> None:
    record = builders.record(tracked=builders.tracked(notes="a\ud800b \0 ü"))
    path = f"state/sessions/626791/{record.id}.yaml"
    content = render_yaml(record.as_dict()).encode()
    assert b"\\ud800" in content
    write_history(tmp_path / "r", [Step("a", "2024-01-01T00:00:00", {path: content})])
    for kind in (ExportFormat.sqlite, ExportFormat.csv, ExportFormat.jsonl):
        export_history(Repository(tmp_path / "r"), tmp_path / kind.value, kind)
    (row,) = from_sqlite(tmp_path / "sqlite")["sessions"]
    assert row["notes"] == "a?b \0 ü"
