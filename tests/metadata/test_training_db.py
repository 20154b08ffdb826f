"""The databases of the workbooks: fetched when they changed, built once, shared by threads, written where asked."""

from __future__ import annotations

import os
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from npc_lims.errors import MissingCredentials, SourceError
from npc_lims.metadata.training_db import (
    download_training_dbs,
    excel_to_sqlite,
    get_training_db,
    get_training_spreadsheet_paths,
    get_training_sqlite_paths,
    update_training_dbs,
)
from npc_lims.utils.memory_cache import clear_caches
from tests.metadata.conftest import BUCKET, FOLDER, HEADER, NSB, OTHER, Folder, Lab, kept_files, row
from tests.servers.faults import Status
from tests.sources.training.test_parser import make_book, save

URI = f"s3://{BUCKET}/{FOLDER}"
FIRST = {"ID": 1, "start_time": "2023-03-07 12:56:27", "rig_name": "B2", "ignore": "0"}


def rows_in_file(path: Any, table: str) -> list[Any]:
    with closing(sqlite3.connect(str(path))) as database:
        return database.execute(f'SELECT * FROM "{table}"').fetchall()


def rows(nsb: bool, table: str) -> list[Any]:
    return get_training_db(nsb).execute(f'SELECT * FROM "{table}"').fetchall()


# --- where they are


def test_paths_on_s3(lab: Lab) -> None:
    pytest.importorskip("s3fs")
    paths = get_training_spreadsheet_paths()
    assert [str(path) for path in paths] == [URI + OTHER, URI + NSB]
    assert paths[1].read_bytes() == lab.get(NSB)
    assert [path.name for path in get_training_sqlite_paths()] == [
        name.replace("xlsx", "sqlite") for name in (OTHER, NSB)
    ]


def test_paths_in_a_folder(folder: Folder) -> None:
    assert [str(path) for path in get_training_spreadsheet_paths()] == [
        str(folder.path / OTHER),
        str(folder.path / NSB),
    ]
    assert str(get_training_sqlite_paths()[0]) == str(folder.path / "DynamicRoutingTraining.sqlite")


def test_a_folder_without_workbooks(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (f"s3://{BUCKET}/elsewhere/", str(tmp_path)):
        monkeypatch.setenv("NPC_LIMS_TRAINING", place)
        with pytest.raises(SourceError, match=r"there is no DynamicRoutingTraining\*.xlsx in .*NPC_LIMS_TRAINING"):
            get_training_spreadsheet_paths()
    monkeypatch.setenv("NPC_LIMS_TRAINING", str(tmp_path / "gone"))
    with pytest.raises(SourceError, match="there is no folder"):
        get_training_spreadsheet_paths()


# --- in memory


def test_rows_of_both_workbooks(lab: Lab) -> None:
    assert rows(False, "626791")[0] == FIRST
    assert [row["rig_name"] for row in rows(True, "659250")] == ["NSB1", "NSB1"]


def test_a_workbook_is_fetched_and_built_once(lab: Lab) -> None:
    first = get_training_db()
    assert lab.asked() == [f"HEAD {OTHER}", f"GET {OTHER}", f"HEAD {OTHER}"]
    assert get_training_db() is first
    assert lab.asked() == []


def test_another_process_asks_only_whether_it_changed(lab: Lab) -> None:
    get_training_db()
    assert kept_files() == ["DynamicRoutingTraining.sqlite", OTHER]
    lab.new_process()
    assert rows(False, "626791")[0] == FIRST
    assert lab.asked() == [f"HEAD {OTHER}"]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        get_training_db().execute("DELETE FROM all_mice")


def test_a_workbook_that_changed_is_built_anew(lab: Lab) -> None:
    before = get_training_db()
    lab.upload(OTHER, {"700000": [HEADER, row(1)]})
    lab.new_process()
    assert len(rows(False, "700000")) == 1
    # who holds the one of before can still read it
    assert before.execute('SELECT * FROM "626791"').fetchone() == FIRST


def test_a_kept_database_that_is_damaged_is_built_anew(lab: Lab) -> None:
    get_training_db()
    kept = Path(os.environ["NPC_LIMS_CACHE_DIR"], "training", "DynamicRoutingTraining.sqlite")
    kept.write_bytes(kept.read_bytes()[:-10])
    lab.new_process()
    assert rows(False, "626791")[0] == FIRST


def test_a_cache_that_cannot_be_written_costs_nothing(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NPC_LIMS_CACHE_DIR", str(tmp_path / "file"))
    assert rows(False, "626791")[0] == FIRST


def test_closing_it_has_no_effect(lab: Lab) -> None:
    get_training_db().close()
    assert rows(False, "626791")[0] == FIRST
    database = get_training_db()
    clear_caches()
    assert database.execute('SELECT * FROM "626791"').fetchone() == FIRST


@pytest.mark.slow
def test_sixteen_threads_that_ask_first_get_one_database(lab: Lab) -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(16) as pool:
            databases = list(pool.map(lambda _: get_training_db(), range(16)))
            found = list(pool.map(lambda _: rows(False, "626791")[0], range(200)))
    finally:
        sys.setswitchinterval(before)
    assert all(database is databases[0] for database in databases)
    assert all(one == FIRST for one in found)
    assert len(lab.asked()) == 3


def test_nobody_can_write(lab: Lab) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        get_training_db().execute('DELETE FROM "626791"')
    assert rows(False, "626791")[0] == FIRST


def test_a_folder_of_this_machine(folder: Folder) -> None:
    assert rows(False, "626791")[0] == FIRST
    folder.upload(OTHER, {"700000": [HEADER, row(1), row(2)]})
    assert len(rows(False, "700000")) == 2


def test_a_mirror_stands_for_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "s3" / BUCKET / FOLDER
    folder.mkdir(parents=True)
    (folder / OTHER).write_bytes(save(make_book({"626791": [HEADER, row(7)]})))
    monkeypatch.setenv("NPC_LIMS_MIRROR", str(tmp_path))
    assert rows(False, "626791") == [FIRST]
    update_training_dbs()
    assert rows_in_file(folder / "DynamicRoutingTraining.sqlite", "626791") == [tuple(FIRST.values())]


# --- what goes wrong


def test_a_missing_workbook_is_named(lab: Lab) -> None:
    lab.s3.client().delete_object(Bucket=BUCKET, Key=FOLDER + NSB)
    with pytest.raises(SourceError, match=f"there is no {NSB} in {URI}"):
        get_training_db(nsb=True)
    get_training_db()


def test_a_workbook_that_cannot_be_read_is_named_and_not_remembered(lab: Lab) -> None:
    whole = lab.get(OTHER)
    lab.put(OTHER, whole[:-200])
    with pytest.raises(SourceError, match=f"training: {OTHER} is truncated, damaged or no .xlsx file"):
        get_training_db()
    lab.put(OTHER, whole)
    assert rows(False, "626791")[0] == FIRST


def test_no_credentials(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for ask in (get_training_db, get_training_spreadsheet_paths, download_training_dbs, update_training_dbs):
        with pytest.raises(MissingCredentials, match="AWS_ACCESS_KEY_ID"):
            ask()


def test_a_server_that_fails(lab: Lab) -> None:
    lab.proxy.rule = lambda request: Status(500)
    with pytest.raises(SourceError, match="training: s3://"):
        get_training_db()


# --- written


def test_download_both(lab: Lab, tmp_path: Path) -> None:
    paths = download_training_dbs(tmp_path / "new" / "folder")
    assert [Path(str(path)) for path in paths] == [
        tmp_path / "new" / "folder" / "DynamicRoutingTraining.sqlite",
        tmp_path / "new" / "folder" / "DynamicRoutingTrainingNSB.sqlite",
    ]
    assert rows_in_file(paths[0], "626791")[0] == tuple(FIRST.values())
    assert paths[0].read_bytes()[:15] == b"SQLite format 3"
    # nothing that was half written is left beside them
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 2


@pytest.mark.parametrize(("nsb", "name"), [(False, "DynamicRoutingTraining"), (True, "DynamicRoutingTrainingNSB")])
def test_download_one_into_a_folder_of_its_own(lab: Lab, nsb: bool, name: str) -> None:
    (path,) = download_training_dbs(nsb=nsb)
    try:
        assert path.name == f"{name}.sqlite"
        assert rows_in_file(path, "659250")
    finally:
        path.unlink()
        path.parent.rmdir()


def test_download_to_where_nothing_can_be_written(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match="cannot write"):
        download_training_dbs(tmp_path / "file")


def test_update_writes_beside_the_workbooks(lab: Lab, tmp_path: Path) -> None:
    update_training_dbs()
    for name in ("DynamicRoutingTraining.sqlite", "DynamicRoutingTrainingNSB.sqlite"):
        (tmp_path / name).write_bytes(lab.get(name))
        assert rows_in_file(tmp_path / name, "659250")


def test_update_that_is_refused(lab: Lab) -> None:
    lab.proxy.rule = lambda request: Status(403) if request.method == "PUT" else None
    with pytest.raises(SourceError, match=r"DynamicRoutingTraining\.sqlite: access denied: .* may not write it"):
        update_training_dbs()


def test_update_of_a_folder(folder: Folder) -> None:
    update_training_dbs()
    assert rows_in_file(folder.path / "DynamicRoutingTrainingNSB.sqlite", "659250")


@pytest.mark.slow
def test_any_workbook_to_any_place(lab: Lab, folder: Folder, tmp_path: Path) -> None:
    made = excel_to_sqlite(str(folder.path / OTHER), str(tmp_path / "one.sqlite"))
    assert made.name == "one.sqlite"
    assert rows_in_file(made, "626791")[0] == tuple(FIRST.values())
    made = excel_to_sqlite(URI + NSB, f"{URI}copy.sqlite")
    assert str(made) == f"{URI}copy.sqlite"
    (tmp_path / "two.sqlite").write_bytes(lab.get("copy.sqlite"))
    assert rows_in_file(tmp_path / "two.sqlite", "659250")
    for missing in (str(tmp_path / "gone.xlsx"), f"{URI}gone.xlsx"):
        with pytest.raises(SourceError, match=r"gone\.xlsx"):
            excel_to_sqlite(missing, tmp_path / "three.sqlite")
