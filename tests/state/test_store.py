"""A state folder: written, read, verified, and damaged in every way."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.errors import StateError
from npc_lims.model.record import Record
from npc_lims.state.snapshot import SNAPSHOT, digest_of, split_lines
from npc_lims.state.store import (
    Loaded,
    parse_record,
    read_record,
    read_state,
    session_path,
    verify_state,
    write_state,
)
from npc_lims.utils.atomic_write import TEMPORARY, write_atomically
from tests.builders import SECOND, SESSION, asset, by_id, many_records, no_assets, record, tracked, training

EMPTY = Loaded({}, {})


def write(folder: Path, records: dict[str, Record]) -> list[str]:
    """Make the folder hold these; the names of the files that changed, below it."""
    paths = write_state(folder, read_state(folder), records)
    return [path.relative_to(folder).as_posix() for path in paths]


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state folder of five sessions."""
    write(tmp_path / "state", many_records(5, training=training(), codeocean=no_assets(raw=asset())))
    return tmp_path / "state"


# --- written and read ----------------------------------------------------------------------------


def test_a_session_has_one_file_and_one_line(tmp_path: Path) -> None:
    made = record(training=training(hits=5))
    assert write(tmp_path, by_id(made)) == [f"sessions/626791/{SESSION}.yaml", SNAPSHOT]
    assert session_path(tmp_path, SESSION) == tmp_path / "sessions" / "626791" / f"{SESSION}.yaml"
    (line,) = split_lines((tmp_path / SNAPSHOT).read_bytes())
    digest = digest_of(session_path(tmp_path, SESSION).read_bytes())
    assert json.loads(line) == {**made.as_dict(), "digest": digest}


def test_what_is_written_is_read(folder: Path) -> None:
    records = many_records(5, training=training(), codeocean=no_assets(raw=asset()))
    loaded = read_state(folder)
    assert loaded.records == records
    assert set(loaded.lines) == set(records)
    assert verify_state(folder) == []


def test_the_files_alone_have_the_facts_of_the_snapshot(folder: Path) -> None:
    with_snapshot = read_state(folder).records
    (folder / SNAPSHOT).unlink()
    loaded = read_state(folder)
    assert (loaded.records, loaded.lines) == (with_snapshot, {})


def test_no_folder_holds_nothing(tmp_path: Path) -> None:
    assert read_state(tmp_path / "none") == EMPTY
    assert read_record(tmp_path / "none", SESSION) is None


def test_an_empty_state_has_a_snapshot(tmp_path: Path) -> None:
    assert write(tmp_path, {}) == [SNAPSHOT]
    assert (tmp_path / SNAPSHOT).read_bytes() == b""
    assert verify_state(tmp_path) == []


def test_one_session_from_its_own_file(folder: Path) -> None:
    records = read_state(folder).records
    (folder / SNAPSHOT).unlink()
    assert read_record(folder, "700000_2024-03-02") == records["700000_2024-03-02"]
    assert read_record(folder, "700000_2024-03-09") is None


def test_the_same_again_writes_nothing(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    loaded = read_state(folder)
    assert write_state(folder, loaded, loaded.records) == []
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_equal_records_write_nothing(folder: Path) -> None:
    copies = {i: Record.model_validate(one.as_dict()) for i, one in read_state(folder).records.items()}
    assert write(folder, copies) == []


def test_only_what_changed_is_written(folder: Path) -> None:
    records = dict(read_state(folder).records)
    changed = "700000_2024-03-03"
    records[changed] = records[changed].model_copy(update={"tracked": tracked(notes="new")})
    before = contents(folder)
    assert write(folder, records) == [f"sessions/700000/{changed}.yaml", SNAPSHOT]
    after = contents(folder)
    assert {name for name in after if after[name] != before[name]} == {f"sessions/700000/{changed}.yaml", SNAPSHOT}
    assert verify_state(folder) == []


def test_a_session_that_went_has_no_file(folder: Path) -> None:
    records = dict(read_state(folder).records)
    del records["700000_2024-03-03"]
    assert write(folder, records) == ["sessions/700000/700000_2024-03-03.yaml", SNAPSHOT]
    assert not session_path(folder, "700000_2024-03-03").exists()
    assert read_state(folder).records == records
    assert verify_state(folder) == []


def test_lines_are_the_newest_first(tmp_path: Path) -> None:
    ids = ["626791_2022-08-15", "700001_2024-01-02", "700000_2024-01-02", "700002_2023-05-05"]
    write(tmp_path, by_id(*map(record, ids)))
    lines = split_lines((tmp_path / SNAPSHOT).read_bytes())
    assert [json.loads(line)["id"] for line in lines] == [ids[2], ids[1], ids[3], ids[0]]


@pytest.mark.parametrize(("was", "now"), [(0, False), (1, 1.0)])
def test_values_of_another_type_are_written(tmp_path: Path, was: object, now: object) -> None:
    write(tmp_path, by_id(record(tracked=tracked(session_kwargs={"a": was}))))
    made = record(tracked=tracked(session_kwargs={"a": now}))
    assert len(write(tmp_path, by_id(made))) == 2
    assert repr(read_state(tmp_path).records[SESSION].tracked) == repr(made.tracked)


@given(st.dictionaries(st.sampled_from([SESSION, SECOND, "668755_2023-08-31"]), st.text("ab\n:#'", max_size=4)))
def test_any_state_to_any_state(tmp_path_factory: pytest.TempPathFactory, notes: dict[str, str]) -> None:
    folder = tmp_path_factory.getbasetemp() / "any_state"
    records = {session_id: record(session_id, tracked=tracked(notes=note)) for session_id, note in notes.items()}
    write(folder, records)
    assert read_state(folder).records == records
    assert verify_state(folder) == []
    assert write(folder, records) == []


# --- a snapshot that is behind, missing or damaged ------------------------------------------------


def _drop(folder: Path) -> None:
    (folder / SNAPSHOT).unlink()


def _break_off(folder: Path) -> None:
    content = (folder / SNAPSHOT).read_bytes()
    (folder / SNAPSHOT).write_bytes(content[: len(content) // 2])


def _garble(folder: Path) -> None:
    (folder / SNAPSHOT).write_bytes(b"\xff\xfe not json\n" * 3)


def _conflict(folder: Path) -> None:
    content = (folder / SNAPSHOT).read_bytes()
    (folder / SNAPSHOT).write_bytes(b"<<<<<<< HEAD\n" + content)


def _lose_a_line(folder: Path) -> None:
    lines = split_lines((folder / SNAPSHOT).read_bytes())
    (folder / SNAPSHOT).write_bytes(b"".join(line + b"\n" for line in lines[1:]))


def _other_schema(folder: Path) -> None:
    content = (folder / SNAPSHOT).read_bytes()
    (folder / SNAPSHOT).write_bytes(content.replace(b'"schema":1', b'"schema":2'))


def _repeat_a_line(folder: Path) -> None:
    lines = split_lines((folder / SNAPSHOT).read_bytes())
    (folder / SNAPSHOT).write_bytes(b"".join(line + b"\n" for line in [lines[0], *lines]))


def _shuffle(folder: Path) -> None:
    lines = split_lines((folder / SNAPSHOT).read_bytes())
    (folder / SNAPSHOT).write_bytes(b"".join(line + b"\n" for line in reversed(lines)))


def _delete_a_file(folder: Path) -> None:
    session_path(folder, "700000_2024-03-02").unlink()


def _edit_a_file(folder: Path) -> None:
    path = session_path(folder, "700000_2024-03-02")
    path.write_bytes(path.read_bytes().replace(b"row: 1", b"row: 2"))


DAMAGE = [_drop, _break_off, _garble, _conflict, _lose_a_line, _other_schema, _repeat_a_line, _shuffle]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_snapshot_is_reported_ignored_and_regenerated(folder: Path, damage: Callable[[Path], None]) -> None:
    whole, records = contents(folder), read_state(folder).records
    damage(folder)
    assert any(SNAPSHOT in problem or "snapshot" in problem for problem in verify_state(folder))
    assert read_state(folder).records == records
    write(folder, dict(records))
    assert contents(folder) == whole


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (_drop, "missing; run npc-lims sync"),
        (_break_off, "breaks off in the middle of a line"),
        (_garble, "sessions.jsonl:1: not a session"),
        (_conflict, "sessions.jsonl:1: not a session"),
        (_lose_a_line, "700000_2024-03-05.yaml: not in the snapshot"),
        (_other_schema, "sessions.jsonl:1: not a session"),
        (_repeat_a_line, "700000_2024-03-05 is here for the second time"),
        (_shuffle, "the lines are not in order"),
        (_delete_a_file, "700000_2024-03-02.yaml: in the snapshot, but there is no such file"),
        (_edit_a_file, "700000_2024-03-02.yaml: does not say what the snapshot says"),
    ],
)
def test_verify_names_what_is_wrong(folder: Path, damage: Callable[[Path], None], problem: str) -> None:
    damage(folder)
    assert any(problem in found for found in verify_state(folder)), verify_state(folder)


def test_verify_sees_a_line_that_was_edited_beside_its_digest(folder: Path) -> None:
    content = (folder / SNAPSHOT).read_bytes()
    (folder / SNAPSHOT).write_bytes(content.replace(b'"row":1', b'"row":7', 1))
    assert any("700000_2024-03-05" in problem for problem in verify_state(folder))


def test_verify_sees_a_status_that_does_not_follow(tmp_path: Path) -> None:
    made = record(codeocean=no_assets())
    write(tmp_path, by_id(made.model_copy(update={"status": {**made.status, "is_sorted": True}})))
    assert any("status of 626791_2022-08-15" in problem for problem in verify_state(tmp_path))


def test_verify_accepts_flags_that_are_newer_than_the_files_or_than_the_package(tmp_path: Path) -> None:
    made = record(codeocean=no_assets())
    status = {name: value for name, value in made.status.items() if name != "is_sorted"} | {"is_of_next_year": True}
    write(tmp_path, by_id(made.model_copy(update={"status": status})))
    assert verify_state(tmp_path) == []


def test_verify_of_no_folder(tmp_path: Path) -> None:
    assert verify_state(tmp_path / "none") == [f"{tmp_path / 'none'}: there is no such folder"]


def test_a_file_that_people_edited_is_the_truth(folder: Path) -> None:
    _edit_a_file(folder)
    loaded = read_state(folder)
    edited = loaded.records["700000_2024-03-02"]
    assert edited.training == training(row=2)
    assert "700000_2024-03-02" not in loaded.lines
    assert write(folder, dict(loaded.records)) == [SNAPSHOT]
    assert verify_state(folder) == []


def test_a_file_that_only_looks_different_is_rendered_again(folder: Path) -> None:
    path = session_path(folder, "700000_2024-03-02")
    whole = contents(folder)
    path.write_bytes(b"# a remark\n" + path.read_bytes())
    write(folder, dict(read_state(folder).records))
    assert contents(folder) == whole


# --- damaged files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "top level"),
        (b"[]", "top level"),
        (b"a: b: c", "not readable as YAML"),
        (b"\xff\xfe\x00", "not readable as YAML"),
        (b"<<<<<<< HEAD\nid: a\n", "."),
        (b"schema: 2\nid: 626791_2022-08-15\n", "schema 2, this version reads 1"),
        (b"id: 626791_2022-08-15\n", "schema None, this version reads 1"),
        (b"schema: 1\nid: 626791_2022-08-16\n", "holds the session 626791_2022-08-16"),
        (b"schema: 1\nid: 626791_2022-08-15\nsorted: true\n", "sorted: Extra inputs"),
        (b"schema: 1\nid: 626791_2022-08-15\ntracked: true\n", "tracked"),
        (b"schema: 1\nid: 626791_2022-08-15\nid: 626791_2022-08-15\n", "not readable as YAML"),
        (b"schema: 1\nid: !!python/object/apply:os.getcwd []\n", "not readable as YAML"),
    ],
)
def test_a_damaged_file_is_named_with_a_remedy(tmp_path: Path, content: bytes, problem: str) -> None:
    path = session_path(tmp_path, SESSION)
    write_atomically(path, content)
    with pytest.raises(StateError, match=problem) as caught:
        read_state(tmp_path)
    assert str(path) in str(caught.value)
    assert "git checkout" in str(caught.value)
    with pytest.raises(StateError):
        read_record(tmp_path, SESSION)
    write_atomically(tmp_path / SNAPSHOT, b"")
    assert str(caught.value) in verify_state(tmp_path)


@given(st.binary(max_size=60) | st.text("schema: 1\nid[]{}-?!&*<>'\"|%@`", max_size=60).map(str.encode))
def test_any_other_content_is_a_state_error(content: bytes) -> None:
    with pytest.raises(StateError):  # no such content is a whole session
        parse_record(content, Path(f"{SESSION}.yaml"))


@pytest.mark.parametrize(
    "name",
    [
        "sessions/626791/notes.yaml",
        "sessions/626791/626791_2022-08-15.yml",
        "sessions/626791/626791_2022-08-15",
        "sessions/626791/README.md",
        "sessions/626792/626791_2022-08-15.yaml",
        "sessions/626791_2022-08-15.yaml",
    ],
)
def test_a_file_that_does_not_belong_there_is_named(tmp_path: Path, name: str) -> None:
    write_atomically(tmp_path / name, b"schema: 1\nid: 626791_2022-08-15\n")
    with pytest.raises(StateError, match=Path(name).name):
        read_state(tmp_path)
    write_atomically(tmp_path / SNAPSHOT, b"")
    assert any(Path(name).name in problem for problem in verify_state(tmp_path))


# --- files that are being written ----------------------------------------------------------------


def test_what_a_killed_process_left_means_nothing_and_goes(folder: Path) -> None:
    whole, records = contents(folder), read_state(folder).records
    left = [folder / f"{TEMPORARY}1", folder / "sessions" / "700000" / f"{TEMPORARY}2"]
    for path in left:
        path.write_bytes(b"half")
        os.utime(path, (0, 0))
    young = folder / f"{TEMPORARY}3"
    young.write_bytes(b"of another writer, who is at it now")
    assert verify_state(folder) == []
    assert read_state(folder).records == records
    write(folder, dict(records))
    young.unlink()
    assert contents(folder) == whole


def test_a_file_is_replaced_whole_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    for content in (b"one", b"two"):
        write_atomically(path, content)
        assert contents(tmp_path) == {"a/b.txt": content}


def test_a_file_that_cannot_be_put_in_place_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken" / "by a folder").mkdir(parents=True)
    with pytest.raises(OSError, match=r"."):
        write_atomically(tmp_path / "taken", b"x")
    assert contents(tmp_path) == {}


def test_a_value_that_no_file_can_hold_leaves_the_folder_as_it_was(folder: Path) -> None:
    before, records = contents(folder), dict(read_state(folder).records)
    bad: dict[str, Any] = {"session_kwargs": {"a": {1, 2}}}
    records["700000_2024-03-02"] = records["700000_2024-03-02"].model_copy(update={"tracked": tracked(**bad)})
    with pytest.raises(TypeError, match="state holds no set"):
        write(folder, records)
    assert contents(folder) == before
