"""A training workbook with a sheet that cannot be read: facts stay, other sheets are applied, everything reports it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from npc_lims.demo.files import write_world
from npc_lims.state.store import read_state
from npc_lims.state.sync_file import SourceSync, read_sync_file
from tests.integration.world import TASK_BUCKET, TASK_FOLDER, WORKBOOKS, Done, run_cli
from tests.sources.training.test_parser import rewrite

BROKEN, COMPLETE = "901001", "901002"
"""Subjects: the first sheets after `all_mice`."""
BROKEN_SHEET, COMPLETE_SHEET = "xl/worksheets/sheet2.xml", "xl/worksheets/sheet3.xml"
NEW_ROW = (
    '<row r="99"><c r="A99" t="inlineStr"><is><t>2024-10-01 10:00:00</t></is></c>'
    '<c r="B99" t="inlineStr"><is><t>B9</t></is></c></row></sheetData>'
)
REASON = f"{WORKBOOKS[0]}[{BROKEN}]: malformed XML: "


class World:
    """The demo's world, synced once."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.workbook = folder / "mirror" / "s3" / TASK_BUCKET / TASK_FOLDER / WORKBOOKS[0]
        write_world(folder, 1)
        assert run_cli("sync", "--mirror", "mirror").code == 0
        self.content = self.workbook.read_bytes()

    def sync(self) -> Done:
        return run_cli("sync", "--mirror", "mirror", "--only", "tracked,training")

    @property
    def recorded(self) -> SourceSync:
        return read_sync_file(self.state).sources["training"]

    def rows(self, subject: str) -> dict[str, object]:
        records = read_state(self.state).records
        return {id_: record.training for id_, record in records.items() if id_.startswith(subject) and record.training}

    def break_sheet(self) -> None:
        """Cut one sheet off in its middle, and add a row to another."""

        def change(name: str, data: bytes) -> bytes:
            if name == BROKEN_SHEET:
                return data[: len(data) // 2]
            return data.replace(b"</sheetData>", NEW_ROW.encode()) if name == COMPLETE_SHEET else data

        self.workbook.write_bytes(rewrite(self.content, change))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    return World(tmp_path)


def test_facts_of_its_subject_stay_and_other_sheets_are_applied(world: World) -> None:
    before, subject, other = world.recorded, world.rows(BROKEN), world.rows(COMPLETE)
    assert len(subject) > 5
    world.break_sheet()
    done = world.sync()
    assert done.code == 3, done
    assert f"training failed; its recorded values are unchanged: a sheet cannot be read: {REASON}" in done.err
    assert world.rows(BROKEN) == subject
    assert set(world.rows(COMPLETE)) == {*other, f"{COMPLETE}_2024-10-01"}
    assert world.recorded.last_complete == before.last_complete
    assert world.recorded.failure is not None
    assert REASON in world.recorded.failure.reason


def test_rows_that_other_sheets_lost_are_gone(world: World) -> None:
    """A row that has moved up to the index of a deleted one would otherwise be recorded twice."""
    subject, other = world.rows(BROKEN), world.rows(COMPLETE)

    def change(name: str, data: bytes) -> bytes:
        if name == BROKEN_SHEET:
            return data[: len(data) // 2]
        return re.sub(rb'<row r="2".*?</row>', b"", data, count=1) if name == COMPLETE_SHEET else data

    world.workbook.write_bytes(rewrite(world.content, change))
    assert world.sync().code == 3
    assert world.rows(BROKEN) == subject
    assert len(world.rows(COMPLETE)) == len(other) - 1
    assert world.sync().code == 3, "until it is repaired"


def test_it_fails_until_the_sheet_is_repaired(world: World) -> None:
    """Also where the repaired workbook is the very file that was read before."""
    rows = world.rows(COMPLETE)
    world.break_sheet()
    assert [world.sync().code for _ in range(2)] == [3, 3]
    world.workbook.write_bytes(world.content)
    assert world.sync().code == 0
    assert world.recorded.failure is None
    assert world.rows(COMPLETE) == rows, "a row that is gone again is no session any more"


def test_everything_reports_it(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world.break_sheet()
    world.sync()
    monkeypatch.setenv("NPC_LIMS_STATE", str(world.state))
    (late,) = [matter for matter in json.loads(run_cli("--json").out)["attention"] if matter["kind"] == "late"]
    assert REASON in late["items"][0]["text"]
    assert re.search(r"training \d+ \w+ ago \(failed since\)", run_cli().out)
    doctor = run_cli("doctor", "--mirror", "mirror", "--json")
    assert doctor.code == 1
    (last_sync,) = [finding for finding in json.loads(doctor.out) if finding["name"] == "last sync"]
    assert (last_sync["ok"], REASON in last_sync["detail"]) == (False, True)
    assert run_cli("site", "build", "public", "--state", str(world.state), "--no-history").code == 0
    assert any(REASON in path.read_text() for path in (tmp_path / "public").rglob("*.json"))


def test_doctor_is_content_after_a_complete_sync(world: World) -> None:
    doctor = run_cli("doctor", "--state", "state", "--mirror", "mirror")
    assert "every source was read completely" in doctor.out


def test_new_rows_of_the_other_workbook_are_recorded(world: World) -> None:
    other = world.workbook.with_name(WORKBOOKS[1])
    # in the first sheet is a subject that has rows in both workbooks, in the second one that has not
    other.write_bytes(rewrite(other.read_bytes(), _with_new_rows))
    world.workbook.write_bytes(world.content[:-100])
    before = world.rows("")
    done = world.sync()
    assert done.code == 3, done
    assert f"training failed; its recorded values are unchanged: {WORKBOOKS[0]} is truncated" in done.err
    in_both, in_one = "901003_2024-10-01", "901006_2024-10-01"
    assert set(world.rows("")) == {*before, in_one}
    assert {id_: row for id_, row in world.rows("").items() if id_ != in_one} == before
    world.workbook.write_bytes(world.content)
    assert world.sync().code == 0
    assert set(world.rows("")) == {*before, in_one, in_both}


def _with_new_rows(name: str, data: bytes) -> bytes:
    return data.replace(b"</sheetData>", NEW_ROW.encode()) if name in (BROKEN_SHEET, COMPLETE_SHEET) else data
