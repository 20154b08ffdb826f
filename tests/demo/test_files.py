"""The invented world of the demo: the same every time, and changed in three ways on its second day."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import npc_session
import openpyxl
import pytest
from ruamel.yaml import YAML

from npc_lims.demo import dataset as lab
from npc_lims.demo import files as world

TASK_FOLDER = "mirror/s3/aind-scratch-data/dynamic-routing/DynamicRoutingTask"
WORKBOOK = f"{TASK_FOLDER}/DynamicRoutingTraining.xlsx"
NSB_WORKBOOK = f"{TASK_FOLDER}/DynamicRoutingTrainingNSB.xlsx"
ASSETS = "mirror/codeocean/data_assets.json"
TRACKED = "tracked_sessions.yaml"

UPLOADED = "901003_2024-10-24"
SORTED = "901002_2024-05-15"
ADDED = "901005_2024-11-04"


def read_folder(folder: Path) -> dict[str, bytes]:
    """Every file below *folder* with its content."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assets(stage: int) -> list[dict[str, Any]]:
    """The data assets of a stage."""
    found: list[dict[str, Any]] = json.loads(world.world_files(stage)[ASSETS])
    return found


def sheets(files: dict[str, bytes], name: str) -> dict[str, list[tuple[Any, ...]]]:
    """Cells of a workbook, by sheet."""
    book = openpyxl.load_workbook(io.BytesIO(files[name]), read_only=True)
    return {sheet.title: list(sheet.iter_rows(values_only=True)) for sheet in book.worksheets}


def entries(stage: int) -> list[tuple[str, str]]:
    """Platform, and subject and date of each path in the tracked file."""
    found = []
    platforms = YAML(typ="safe").load(world.world_files(stage)[TRACKED])
    for platform, projects in platforms.items():
        for entry in (entry for project in projects.values() for entry in project):
            record = npc_session.SessionRecord(entry if isinstance(entry, str) else next(iter(entry)))
            found.append((platform, f"{record.subject}_{record.date}"))
    return found


def entry_of(session_id: str) -> tuple[str, str]:
    (session,) = (session for session in lab.SESSIONS if session.id == session_id)
    return session.platform, f"{session.subject}_{session.date}"


@pytest.mark.parametrize("stage", world.STAGES)
def test_writing_twice_gives_the_same_bytes(tmp_path: Path, stage: int) -> None:
    """Two folders of one stage are equal, workbooks included, and hold just what is announced."""
    for name in ("a", "b"):
        world.write_world(tmp_path / name, stage)
    assert read_folder(tmp_path / "a") == read_folder(tmp_path / "b") == world.world_files(stage)


def test_the_second_day_touches_only_what_changed(tmp_path: Path) -> None:
    """Written over the first day, the second leaves every unchanged file untouched."""
    world.write_world(tmp_path, 1)
    marks = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    world.write_world(tmp_path, 2)
    assert read_folder(tmp_path) == world.world_files(2)
    rewritten = {p.relative_to(tmp_path).as_posix() for p in marks if p.stat().st_mtime_ns != marks[p]}
    assert rewritten <= {TRACKED, ASSETS, WORKBOOK}


def test_there_are_two_days() -> None:
    """Another stage is an error."""
    with pytest.raises(ValueError, match="stage must be one of"):
        world.world_files(3)


def test_exactly_three_things_happen() -> None:
    """A session is uploaded, one sorted, one added: nothing else differs between the days."""
    first, second = world.world_files(1), world.world_files(2)
    assert {name for name in first if second.get(name) != first[name]} == {TRACKED, ASSETS, WORKBOOK}

    assert [line for line in first[TRACKED].splitlines() if line not in second[TRACKED].splitlines()] == []
    assert [entry for entry in entries(2) if entry not in entries(1)] == [entry_of(ADDED)]

    old, now = assets(1), assets(2)
    new = [asset for asset in now if asset not in old]
    assert [asset for asset in old if asset not in now] == []
    stems = [re.sub(r"_\d\d-\d\d-\d\d", "", str(asset["name"])) for asset in new]
    assert sorted(stems) == sorted([f"ecephys_{UPLOADED}", f"ecephys_{SORTED}_sorted_2024-11-05"])

    before, after = sheets(first, WORKBOOK), sheets(second, WORKBOOK)
    assert {name for name in before if after[name] != before[name]} == {"901005"}
    assert after["901005"][:-1] == before["901005"]
    assert after["901005"][-1][0].date().isoformat() == "2024-11-04"

    result = next(asset["id"] for asset in new if asset["type"] == "result")
    raw = next(asset["name"] for asset in new if asset["type"] == "dataset")
    places = (f"/{result}/", f"/{raw}/", f"{TASK_FOLDER}/Data/901005/")
    added = [name for name in second if name not in first]
    assert all(any(place in f"/{name}" for place in places) for name in added), added
    assert all(any(place in f"/{name}" for name in added) for place in places)


def test_the_tracked_file_lists_the_sessions_of_the_table() -> None:
    """In the same order; and no two sessions have one id."""
    assert entries(2) == [entry_of(session.id) for session in lab.SESSIONS]
    ids = {session.id for session in lab.SESSIONS}
    assert len(ids) == len(lab.SESSIONS) == 20
    assert {mouse.subject for mouse in lab.MICE} == {session.subject for session in lab.SESSIONS}
    assert not re.search(r"[ \t]+$", world.world_files(2)[TRACKED].decode(), re.MULTILINE)


@pytest.mark.parametrize(("name", "subjects"), [(WORKBOOK, (1, 2, 3, 4, 5)), (NSB_WORKBOOK, (3, 6))])
def test_workbooks_open_and_hold_a_sheet_a_mouse(name: str, subjects: tuple[int, ...]) -> None:
    """Each workbook has `all_mice` and the sheets of its mice, with times in the first column."""
    found = sheets(world.world_files(1), name)
    assert list(found) == ["all_mice", *(str(901000 + number) for number in subjects)]
    assert found["all_mice"][0][:3] == ("mouse id", "alive", "genotype")
    assert [row[0] for row in found["all_mice"][1:]] == [901000 + number for number in subjects]
    for subject in list(found)[1:]:
        assert found[subject][0][: len(world.ROW_COLUMNS)] == world.ROW_COLUMNS
        assert len(found[subject]) > 1


def test_workbooks_have_some_dirt() -> None:
    """An empty row, a blank last heading, dates as strings, an ignored row."""
    found = sheets(world.world_files(1), WORKBOOK)
    assert found["901001"][0][-1] == " "
    assert not any(found["901001"][2])
    assert [row[0] for row in found["901001"] if isinstance(row[0], str)][1:] == ["3/7/2024 12:56"]
    assert [row[7] for row in found["901002"][1:]].count(1) == 1


def test_assets_are_complete_and_coherent() -> None:
    """Ids are unique, results come from assets that exist, and raw data has files in its bucket."""
    files, found = world.world_files(2), assets(2)
    ids = [asset["id"] for asset in found]
    assert len(set(ids)) == len(ids)
    required = {
        "id",
        "created",
        "name",
        "mount",
        "last_used",
        "owner",
        "state",
        "type",
        "files",
        "size",
        "tags",
    }
    for asset in found:
        assert required <= set(asset)
        if asset["type"] == "result":
            assert set(asset["provenance"]["data_assets"]) <= set(ids)
            assert (f"mirror/s3/{world.RESULT_BUCKET}/{asset['id']}/output" in files) is (asset["state"] == "ready")
        elif asset["name"].startswith("ecephys"):
            root = "mirror/s3/{bucket}/{prefix}/".format(**asset["source_bucket"])
            assert any(name.startswith(root) for name in files)


def test_paths_suit_windows() -> None:
    """No character that Windows refuses, and no long path."""
    for name in world.world_files(2):
        assert not re.search(r'[<>:"|?*\\]|[ .](/|$)', name), name
        assert len(name) <= 150, name
