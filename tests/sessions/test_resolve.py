"""A data asset's id or name is accepted wherever a session is."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest

import npc_lims
from npc_lims.model.record import CodeOcean
from tests.integration.world import Cloud, commit_all, run_cli, run_git

ROOT = Path(__file__).parents[2]
MAIN = "901001_2024-03-13"
"""It has a separate recording of surface channels."""
SURFACE = "ecephys_901001_2024-03-13_15-41-09"
SECOND = "901004_2024-06-05_1"


@pytest.fixture(autouse=True)
def from_state(demo_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NPC_LIMS_STATE", str(demo_state))
    return demo_state


def asset(session: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = npc_lims.get_session_info(session).record["codeocean"][kind]
    return found


@pytest.mark.parametrize("kind", ["raw", "sorted", "dlc_eye", "surface", "surface_sorted"])
def test_each_recorded_asset_names_its_session(kind: str) -> None:
    one = asset(MAIN, kind)
    page = f"https://codeocean.allenneuraldynamics.org/data-assets/{one['id']}/{one['name']}"
    for form in (one["id"], one["id"].upper(), uuid.UUID(one["id"]), one["name"], f"s3://bucket/{one['name']}", page):
        assert npc_lims.get_session_info(form).id == MAIN, form  # type: ignore[call-overload]


def test_an_errored_sorting_result_does_too(from_state: Path) -> None:
    records = map(json.loads, (from_state / "sessions.jsonl").read_text().splitlines())
    errored = {id_: one["id"] for one in records for id_ in (one["codeocean"] or {}).get("errored", ())}
    assert errored
    assert {id_: npc_lims.get_session_info(id_).id for id_ in errored} == errored


def test_a_name_is_of_the_session_that_holds_the_asset(tmp_path: Path, state_of_two: Path) -> None:
    """By its name alone, the second recording of a day would be the first session."""
    assert npc_lims.get_session_info(SECOND_RAW).id == SECOND
    assert npc_lims.get_session_info(f"{SECOND_RAW}_sorted_2024-06-09_00-00-00").id == SECOND, "newer than state"
    assert [info.id for info in npc_lims.get_session_info(id=SECOND_RAW)] == [SECOND]


SECOND_RAW = "ecephys_901004_2024-06-05_14-00-00"


@pytest.fixture
def state_of_two(from_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state in which the second session of a day has a raw asset."""
    folder = tmp_path / "state"
    records = [json.loads(line) for line in (from_state / "sessions.jsonl").read_text().splitlines()]
    [raw] = [one["codeocean"]["raw"] for one in records if one["id"] == MAIN]
    [second] = [one for one in records if one["id"] == SECOND]
    second["codeocean"] = {**dict.fromkeys(CodeOcean.model_fields, False), "errored": {}}
    second["codeocean"]["raw"] = {**raw, "id": str(uuid.uuid4()), "name": SECOND_RAW}
    folder.mkdir()
    lines = [json.dumps(one, separators=(",", ":")) for one in records]
    (folder / "sessions.jsonl").write_text("\n".join([*lines, ""]))
    path = folder / "sessions" / "901004" / f"{SECOND}.yaml"
    path.parent.mkdir(parents=True)
    path.write_bytes((from_state / path.relative_to(folder)).read_bytes())
    monkeypatch.setenv("NPC_LIMS_STATE", str(folder))
    return folder


def test_imaging_is_of_no_single_session() -> None:
    imaging = asset("901003_2024-10-22", "smartspim")
    with pytest.raises(npc_lims.NoSessionInfo, match=r"is a data asset of [0-9]+ sessions \(.*\): name one of them"):
        npc_lims.get_session_info(imaging["id"])


def test_an_unknown_id_says_what_could_not_be_queried() -> None:
    with pytest.raises(npc_lims.NoSessionInfo, match=r"state records no data asset .* no Code Ocean token"):
        npc_lims.get_session_info(str(uuid.UUID(int=0)))


def test_code_ocean_names_an_asset_that_state_lacks(cloud: Cloud, synced_once: Path, tmp_path: Path) -> None:
    known = {one["name"]: one["id"] for one in cloud.codeocean.assets}
    other = next(name for name in known if name.startswith("ecephys_901001_2024-03-13_13-22-17_"))
    older = {**next(one for one in cloud.codeocean.assets if one["name"] == other), "id": str(uuid.uuid4())}
    cloud.codeocean.assets = (*cloud.codeocean.assets, older)
    assert npc_lims.get_session_info(older["id"]).id == MAIN


@pytest.mark.parametrize("kind", ["id", "name"])
def test_every_command_that_takes_a_session_takes_an_asset(
    from_state: Path, state_with_history: Path, kind: str
) -> None:
    given, state = asset(MAIN, "sorted")[kind], str(state_with_history)
    assert MAIN in run_cli("show", given).out
    assert run_cli("paths", given, "--kind", "raw").out == run_cli("paths", MAIN, "--kind", "raw").out
    done = run_cli("history", given, "--state", state)
    assert (done.code, done.out) == (0, run_cli("history", MAIN, "--state", state).out), done
    edited = run_cli("track", "edit", given, "--note", "by an asset", "--dry-run")
    assert "+" in edited.out and "by an asset" in edited.out, edited
    plan = run_cli("process", "plan", "--sessions", given, "--state", state)
    assert (plan.code, plan.out) == (0, run_cli("process", "plan", "--sessions", MAIN, "--state", state).out), plan


@pytest.fixture
def state_with_history(from_state: Path, tmp_path: Path) -> Path:
    run_git(tmp_path, "init", "-q", "-b", "main")
    shutil.copytree(from_state, tmp_path / "state")
    shutil.copy(from_state.parent / "tracked_sessions.yaml", tmp_path)
    shutil.copy(ROOT / "pipelines.yaml", tmp_path)
    commit_all(tmp_path, "recorded")
    return tmp_path / "state"


def test_python_functions_take_an_asset() -> None:
    sorted_ = asset(MAIN, "sorted")
    assert npc_lims.get_raw_data_root(sorted_["id"]) == npc_lims.get_raw_data_root(MAIN)
    assert npc_lims.get_session_locations(sorted_["name"], "raw") == npc_lims.get_session_locations(MAIN, "raw")
    assert npc_lims.get_codeocean_session_id(sorted_["id"]) == "ecephys_901001_2024-03-13_13-22-17"
    assert npc_lims.get_session_kwargs(sorted_["id"]) == npc_lims.get_session_kwargs(MAIN)
