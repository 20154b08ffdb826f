"""Syncs that would remove or blank too much at once are refused, and write nothing."""

from __future__ import annotations

import io
from pathlib import Path

import openpyxl
import pytest

from tests.integration.world import WORKBOOKS, Cloud, files_of, run_cli, workbook


def emptied(content: bytes) -> bytes:
    """The same workbook without a row in any sheet of a subject: well-formed, and nothing in it."""
    book = openpyxl.load_workbook(io.BytesIO(content))
    for sheet in book.worksheets:
        sheet.delete_rows(2, sheet.max_row)
    saved = io.BytesIO()
    book.save(saved)
    return saved.getvalue()


def assert_refused(folder: Path) -> str:
    before = files_of(folder)
    done = run_cli("sync", "--state", str(folder / "state"))
    assert done.code == 4, done
    assert files_of(folder) == before
    assert "--allow-removals" in done.err
    assert "Nothing was written" in done.err
    assert "Traceback" not in done.err
    return done.err


def session_count(folder: Path) -> int:
    return len(list((folder / "state" / "sessions").rglob("*.yaml")))


@pytest.mark.slow
def test_an_emptied_world_of_sessions_is_refused(cloud: Cloud, synced: Path) -> None:
    (synced / "tracked_sessions.yaml").write_text("ephys:\nbehavior:\n")
    for name in WORKBOOKS:
        cloud.change_workbook(name, emptied(workbook(2, name)))
    told = assert_refused(synced)
    assert f"remove {session_count(synced)}" in told
    done = run_cli("sync", "--state", str(synced / "state"), "--allow-removals")
    assert done.code == 0, done
    assert session_count(synced) == 0
    assert (synced / "state" / "sessions.jsonl").read_bytes() == b""


def test_an_emptied_tracked_file_is_refused(cloud: Cloud, synced: Path) -> None:
    (synced / "tracked_sessions.yaml").write_text("ephys:\n")
    assert_refused(synced)


def test_a_tracked_file_cut_to_a_few_entries_is_refused(cloud: Cloud, synced: Path) -> None:
    path = synced / "tracked_sessions.yaml"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:6]))
    assert_refused(synced)


@pytest.mark.slow
def test_an_emptied_code_ocean_is_refused(cloud: Cloud, synced: Path) -> None:
    """It answers properly, and has nothing any more, also when asked by id."""
    cloud.codeocean.assets = []
    told = assert_refused(synced)
    assert "blank" in told
    done = run_cli("sync", "--state", str(synced / "state"), "--allow-removals")
    assert done.code == 0, done
    assert "raw: false" in (synced / "state/sessions/901001/901001_2024-03-11.yaml").read_text() or (
        "codeocean: false" in (synced / "state/sessions/901001/901001_2024-03-11.yaml").read_text()
    )


@pytest.mark.slow
def test_emptied_workbooks_are_refused(cloud: Cloud, synced: Path) -> None:
    for name in WORKBOOKS:
        cloud.change_workbook(name, emptied(workbook(2, name)))
    assert_refused(synced)


@pytest.mark.slow
def test_emptied_buckets_are_refused(cloud: Cloud, synced: Path) -> None:
    kept = {f"aind-scratch-data/dynamic-routing/DynamicRoutingTask/{name}": workbook(2, name) for name in WORKBOOKS}
    try:
        cloud.put_objects(kept)
        done = run_cli("sync", "--state", str(synced / "state"), "--full")
    finally:
        cloud.load(2)
    assert done.code == 4, done


@pytest.mark.slow
@pytest.mark.parametrize("more", [["--dry-run"], ["--json"]])
def test_a_refused_sync_prints_no_result(cloud: Cloud, synced: Path, more: list[str]) -> None:
    cloud.codeocean.assets = []
    done = run_cli("sync", "--state", str(synced / "state"), *more)
    assert done.code == 4, done
    assert done.out == ""


def test_ten_lost_sessions_are_let_through(cloud: Cloud, synced: Path) -> None:
    """A morning's clean-up is no accident: ten sessions may lose their sorting."""
    sorted_assets = sorted(a["name"] for a in cloud.codeocean.assets if "_sorted_" in a["name"])
    few = [name for name in sorted_assets if name.startswith("ecephys_901001")]
    cloud.codeocean.assets = [a for a in cloud.codeocean.assets if a["name"] not in few]
    done = run_cli("sync", "--state", str(synced / "state"))
    assert done.code == 0, done
    assert "no longer sorted" in done.out
