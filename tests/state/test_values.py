"""A value outside the schema is reported wherever state is read from, and never passed on."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

import npc_lims
from npc_lims.model.record import Record, Training, find_invalid_value
from npc_lims.state.snapshot import digest_of, is_plainly_valid, make_line, parse_line
from npc_lims.utils.yaml import render_yaml
from tests.integration.world import GitHub, commit_all, run_cli
from tests.strategies import records

ONE, OTHER = "901001_2024-03-13", "901001_2024-03-12"

Path_ = tuple[str, ...]

CASES: dict[str, tuple[Path_, object, str]] = {
    "flag as text": (("status", "is_sorted"), "maybe", r"status: is_sorted is 'maybe', expected true, false or null"),
    "flag as quoted text": (("status", "is_annotated"), "true", r"status: is_annotated is 'true', expected true"),
    "flag as number": (("status", "is_sorted"), 1, r"status\.is_sorted is 1, expected"),
    "flag as list": (("status", "is_sorted"), [True], r"status\.is_sorted is \[True\], expected"),
    "id as flag": (("status", "raw_asset_id"), True, r"status: raw_asset_id is True, expected a text or null"),
    "list for a text": (("tracked", "project"), ["a"], r"tracked\.project is \['a'\], expected a valid string"),
    "unknown platform": (("tracked", "platform"), "opto", r"tracked\.platform is 'opto', expected 'ephys', 'beh"),
    "text for a number": (("tracked", "experiment_day"), "3", r"tracked\.experiment_day is '3', expected a valid int"),
    "text for issues": (("tracked", "issues"), "a", r"tracked\.issues is 'a', expected a valid list"),
    "list for kwargs": (("tracked", "session_kwargs"), [], r"tracked\.session_kwargs is \[\], expected"),
    "text for a section": (("training",), "yes", r"training is 'yes', expected"),
    "zero for a section": (("codeocean",), 0, r"codeocean is 0, expected"),
    "flag for a section": (("s3",), True, r"s3 is True, expected"),
    "mapping for a cell": (("training", "rig_name"), {"a": 1}, r"training\.rig_name is \{'a': 1\}, expected"),
    "text for an asset": (("codeocean", "sorted"), "yes", r"codeocean\.sorted is 'yes', expected"),
    "number for a name": (("codeocean", "raw", "name"), 5, r"codeocean\.raw\.name is 5, expected a valid string"),
    "text for files": (("s3", "stim"), "a.hdf5", r"s3\.stim is 'a\.hdf5', expected a valid list"),
    "number among files": (("s3", "raw", "videos"), ["a", 1], r"s3\.raw\.videos\.1 is 1, expected a valid string"),
    "line feed": (("status", "is_sorted"), "a\n::error::b", r"status: is_sorted is 'a\\n::error::b', expected"),
}


def changed(record: dict[str, Any], path: Path_, value: object) -> dict[str, Any]:
    """The record with another value at *path*."""
    made = copy.deepcopy(record)
    inside = made
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    return made


def damaged(demo_state: Path, folder: Path, path: Path_, value: object) -> Path:
    """A state folder in which ONE has that value, in its file and in its line."""
    shutil.copytree(demo_state, folder)
    snapshot = folder / "sessions.jsonl"
    lines = []
    for line in snapshot.read_bytes().splitlines():
        record = json.loads(line)
        del record["digest"]
        if record["id"] == ONE:
            content = render_yaml(changed(record, path, value)).encode()
            (folder / "sessions" / ONE[:6] / f"{ONE}.yaml").write_bytes(content)
            line = make_line(changed(record, path, value), digest_of(content))
        lines.append(line + b"\n")
    snapshot.write_bytes(b"".join(lines))
    return folder


def reads(message: str, *ways: Callable[[], object]) -> None:
    """Each of these ways to read reports it, with the session, on one line."""
    for way in ways:
        with pytest.raises(npc_lims.StateError, match=message) as caught:
            way()
        assert ONE in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("path", "value", "message"), CASES.values(), ids=CASES)
def test_of_a_folder(
    demo_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Path_, value: object, message: str
) -> None:
    monkeypatch.setenv("NPC_LIMS_STATE", str(damaged(demo_state, tmp_path / "state", path, value)))
    (info,) = [info for info in npc_lims.get_session_info() if info._session_id == ONE]
    reads(
        message,
        lambda: npc_lims.get_session_info(ONE),
        lambda: npc_lims.get_session_info(is_sorted=True),
        npc_lims.to_records,
        npc_lims.get_session_issues,
        lambda: info.record,
        lambda: info.is_sorted,
        lambda: info.status,
        lambda: info.project,
        info._repr_html_,
    )
    assert npc_lims.get_session_info(OTHER).is_sorted, "others can be read"


@pytest.mark.parametrize("name", ["flag as text", "list for a text", "number among files"])
def test_of_github_of_the_cache_and_of_the_past(
    github: GitHub, demo_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path, value, message = CASES[name]
    repository = tmp_path / "repository"
    damaged(demo_state, repository / "state", path, value)
    github.raw.repo_dir = repository
    commit = commit_all(repository)
    reads(message, lambda: npc_lims.get_session_info(ONE))
    assert github.paths == [f"state/sessions/901001/{ONE}.yaml", "state/sessions.jsonl"]
    reads(message, lambda: npc_lims.get_session_info(is_sorted=True))
    npc_lims.clear_caches()
    reads(message, lambda: npc_lims.get_session_info(is_sorted=True), lambda: npc_lims.get_session_info(ONE))
    assert len(github.paths) == 2, "of the cache"
    monkeypatch.setenv("NPC_LIMS_STATE", str(repository / "state"))
    (repository / "state" / "sessions.jsonl").unlink()
    past = npc_lims.get_session_info(at=commit)
    (info,) = [info for info in past if info._session_id == ONE]
    reads(
        message,
        lambda: npc_lims.get_session_info(at=commit, is_sorted=True),
        lambda: info.is_sorted,
        lambda: npc_lims.get_session_info(),
    )


def test_commands_name_it_and_fail(demo_state: Path, tmp_path: Path) -> None:
    path, value, message = CASES["line feed"]
    state = str(damaged(demo_state, tmp_path / "state", path, value))
    for command in (["sessions"], ["show", ONE], ["verify"], ["process", "plan"]):
        done = run_cli(*command, "--state", state)
        assert done.code in (1, 2), (command, done)
        assert re.search(message, done.out + done.err), (command, done)
        assert not re.search("^::", done.out + done.err, re.MULTILINE)
    assert run_cli("sync", "--mirror", str(demo_state.parent / "mirror"), "--state", state).code == 2


def test_a_newer_version_with_more_keys_is_read(demo_state: Path, tmp_path: Path) -> None:
    line = next(line for line in (demo_state / "sessions.jsonl").read_bytes().splitlines() if ONE.encode() in line)
    record = json.loads(line)
    for path in (("status", "is_new"), ("s3", "new"), ("codeocean", "new"), ("tracked", "new"), ("new",)):
        more = changed(record, path, True)
        assert parse_line(json.dumps(more, separators=(",", ":")).encode()) == more
    more = changed(changed(record, ("codeocean", "new"), True), ("status", "is_sorted"), "maybe")
    with pytest.raises(npc_lims.StateError, match="is_sorted is 'maybe'"):
        parse_line(json.dumps(more, separators=(",", ":")).encode())


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_what_is_no_number_is_refused(demo_state: Path, number: bytes) -> None:
    line = next(line for line in (demo_state / "sessions.jsonl").read_bytes().splitlines() if b'"row":' in line)
    with pytest.raises(npc_lims.StateError, match="is no number"):
        parse_line(re.sub(rb'"row":\d+', b'"row":' + number, line))


@given(records(ONE))
def test_the_quick_test_accepts_what_syncs_record(record: Record) -> None:
    """Else each reader would wait for pydantic."""
    assert is_plainly_valid(record.as_dict())
    if isinstance(record.training, Training):
        more = record.training.model_copy(update={"other_rows": [record.training]})
        assert is_plainly_valid(record.model_copy(update={"training": more}).as_dict())


VALUES = (None, True, False, 0, 1, 1.5, "maybe", "2024-02-30 10:00:00", "", [], ["a"], [1], {}, {"a": 1}, {"a": "b"})


def variants(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The record with any of its values replaced or missing."""

    def places(value: Any, path: Path_) -> Iterator[Path_]:
        if isinstance(value, dict):
            for key, inside in value.items():
                yield (*path, key)
                yield from places(inside, (*path, key))

    for path in places(record, ()):
        for value in VALUES:
            yield changed(record, path, value)
        without = copy.deepcopy(record)
        inside = without
        for key in path[:-1]:
            inside = inside[key]
        del inside[path[-1]]
        yield without


def test_the_quick_test_accepts_nothing_that_the_schema_refuses(demo_state: Path) -> None:
    records = [json.loads(line) for line in (demo_state / "sessions.jsonl").read_bytes().splitlines()]
    fullest = sorted(records, key=lambda record: -len(json.dumps(record)))[:3]
    fullest[0]["codeocean"]["errored"] = {"a": "b"}
    fullest[0]["training"]["other_rows"] = [copy.deepcopy(fullest[0]["training"])]
    fullest[0]["tracked"].update(issues=["a"], notes="a", day=1, ephys_day=1, perturbation_day=1, insertion_day=1)
    assert all(is_plainly_valid(record) for record in records)
    refused = accepted = 0
    for record in fullest:
        del record["digest"]
        for variant in variants(record):
            if "id" not in variant or not isinstance(variant["id"], str) or variant.get("schema") != 1:
                continue  # looked at for themselves
            if is_plainly_valid(variant):
                assert find_invalid_value(variant) is None, variant
                accepted += 1
            else:
                refused += find_invalid_value(variant) is not None
    assert accepted > 300
    assert refused > 1000
