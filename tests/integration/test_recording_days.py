"""Days with several rows or recordings, and lost ones, in a whole world: state, live look-ups and both say the same."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import io
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

import npc_lims
from npc_lims.config.settings import Settings, settings_for_reading
from npc_lims.demo.files import write_world
from npc_lims.model.flags import BOOLEAN_FLAGS
from npc_lims.state.reader import read_one
from npc_lims.sync.run import SyncOptions, SyncResult, sync
from tests.integration.world import TASK_BUCKET, TASK_FOLDER, WORKBOOKS, commit_all
from tests.servers.codeocean import make_asset
from tests.servers.fixtures import Serve
from tests.servers.raw_github import RawGitHubServer

SURFACE = "901001_2024-03-13"
"""Has a recording of surface channels at 15:41, and three training rows."""
LOST = "901002_2024-05-13"
"""Only its surface channels are left, and they were sorted."""
TWICE = "901002_2024-05-10"
"""Trained in the morning and in the evening, and not recorded."""
SPLIT = ("901004_2024-06-05", "901004_2024-06-05_1")
"""Two tracked recordings, and three training rows."""
TRAINED = "901006_2024-09-09"
"""In a workbook alone, and uploaded."""
ADDED_ASSETS = (
    "behavior_901006_2024-09-09_15-49-02",
    "ecephys_901004_2024-06-05_09-39-59",
    "ecephys_901004_2024-06-05_11-02-41",
    "ecephys_901004_2024-06-05_09-39-59_sorted_2024-06-07_10-00-00",
    "ecephys_901003_2024-10-16_09-00-00",
)
"""Of a training session; of two recordings of a day, one sorted; of a training session that looks like ephys."""
_TRAINING = f"mirror/s3/{TASK_BUCKET}/{TASK_FOLDER}"
ADDED_ROWS = {
    "901001": ("2024-03-13 09:12:00", "2024-03-13 18:30:00"),
    "901002": ("2024-05-10 17:05:44", "2024-05-13 08:30:00"),
    "901004": ("2024-06-05 07:00:00",),
}


def add_rows(path: Path) -> None:
    book = openpyxl.load_workbook(io.BytesIO(path.read_bytes()))
    for subject, starts in ADDED_ROWS.items():
        header = [cell.value for cell in book[subject][1]]
        for start in starts:
            row = dict.fromkeys(header)
            row.update({header[0]: datetime.datetime.fromisoformat(start), header[1]: "B7", header[2]: "stage 1 AMN"})
            book[subject].append(list(row.values()))
    book.save(path)


def write_rich_world(folder: Path) -> None:
    write_world(folder, 2)
    tracked = folder / "tracked_sessions.yaml"
    text = tracked.read_text()
    for name, without_time in (
        ("2024-06-05_09-39-59_901004", "DR_901004_20240605"),
        ("2024-06-05_11-02-41_901004", "DR_901004_20240605_1"),
    ):
        assert name in text
        text = text.replace(name, without_time)
    tracked.write_text(text)
    add_rows(folder / _TRAINING / WORKBOOKS[0])
    data = folder / _TRAINING / "Data" / "901002"
    for name in ("DynamicRouting1_901002_20240510_170544.hdf5", "RFMapping_901002_20240510_181000.hdf5"):
        (data / name).write_bytes(b"x")
    raw = folder / "mirror/s3/aind-ephys-data/ecephys_901002_2024-05-13_13-30-12"
    for name in ("behavior", "behavior_videos"):
        shutil.rmtree(raw / name)
    assets = folder / "mirror/codeocean/data_assets.json"
    added = [make_asset(name) for name in ADDED_ASSETS]
    assets.write_text(json.dumps([*json.loads(assets.read_bytes()), *added]))
    for name in ADDED_ASSETS:
        bucket = "aind-behavior-data" if name.startswith("behavior") else "aind-ephys-data"
        for file in ("behavior/sync.h5", "ecephys_compressed/x.dat"):
            path = folder / "mirror/s3" / bucket / name / file
            path.parent.mkdir(parents=True)
            path.write_bytes(b"x")
    annotated = (
        folder / "mirror/s3/aind-scratch-data/dynamic-routing/ibl-gui-output/901004" / ADDED_ASSETS[2] / "probeA"
    )
    annotated.mkdir(parents=True)
    (annotated / "ccf_channel_results.json").write_text("{}")


def run(folder: Path, **options: Any) -> SyncResult:
    settings = Settings(mirror=folder / "mirror", cache_dir=folder / "cache")
    return sync(settings, SyncOptions(folder / "state", folder / "tracked_sessions.yaml", **options))


@pytest.fixture(scope="session")
def world_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rich")
    write_rich_world(folder)
    assert run(folder).failures == ()
    return folder


@pytest.fixture
def world(world_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(world_once, tmp_path / "world"))


@pytest.fixture(params=["state", "live", "old state", "state without the day"])
def anywhere(
    request: pytest.FixtureRequest, world: Path, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Answers come from state, from the sources, or from both."""
    look_at(request.param, world, serve, tmp_path, monkeypatch)
    return str(request.param)


def look_at(kind: str, world: Path, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_MIRROR", str(world / "mirror"))
    monkeypatch.setenv("NPC_LIMS_STATE", str(world / "state"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none-needed")
    if kind == "live":
        monkeypatch.delenv("NPC_LIMS_STATE")
        repository = tmp_path / "repository"
        repository.mkdir()
        shutil.copy(world / "tracked_sessions.yaml", repository)
        commit_all(repository)
        monkeypatch.setenv("NPC_LIMS_RAW_URL", serve(RawGitHubServer(repository, repo_name="lab/state")).url)
        monkeypatch.setenv("NPC_LIMS_REPO", "lab/state")
    elif kind == "old state":
        # as an earlier version left it: the second row is a session
        files = sorted((world / "state/sessions").rglob(f"{SURFACE}.yaml"))
        text = files[0].read_text()
        section = text[text.index("training:\n") : text.index("codeocean:")]
        rows = 'training:\n  nsb: false\n  row: 9\n  start_time: "2024-03-13 18:30:00"\n'
        old = text.replace(section, rows).replace(f"id: {SURFACE}", f"id: {SURFACE}_1")
        tracked = old[old.index("tracked:") : old.index("training:")]
        assets = old[old.index("codeocean:") :]
        files[0].with_name(f"{SURFACE}_1.yaml").write_text(
            old.replace(tracked, "tracked: false\n").replace(assets, "codeocean: false\ns3: null\nstatus: {}\n")
        )
    elif kind == "state without the day":
        for session in (SURFACE, *SPLIT):
            (world / "state/sessions" / session[:6] / f"{session}.yaml").unlink()
        (world / "state/sessions.jsonl").unlink()


NAME = f"ecephys_{SURFACE}_15-41-09"


def test_the_surface_recording_is_the_second_of_its_day(anywhere: str) -> None:
    """As npc_sessions asks for it."""
    surface = f"{SURFACE}_1"
    assert all(NAME in str(path) for path in npc_lims.get_raw_data_paths_from_s3(surface))
    assert str(npc_lims.get_raw_data_root(surface)).endswith(NAME)
    sorting = npc_lims.get_session_sorted_data_asset(surface)
    assert sorting.name.startswith(f"{NAME}_sorted")
    assert all(sorting.id in str(path) for path in npc_lims.get_sorted_data_paths_from_s3(surface))
    assert npc_lims.get_session_raw_data_asset(surface).name == NAME
    assert npc_lims.get_codeocean_session_id(surface) == NAME
    assert {one.name for one in npc_lims.get_session_data_assets(surface)} == {NAME, sorting.name}
    assert [one.name for one in npc_lims.get_session_result_data_assets(surface)] == [sorting.name]
    assert npc_lims.get_session_capsule_pipeline_data_asset(surface, "sorted").name == sorting.name
    assert NAME in str(npc_lims.get_settings_xml_path_from_s3(surface))
    with pytest.raises(npc_lims.NoSessionData):
        npc_lims.get_dlc_eye_s3_paths(surface)


@pytest.mark.filterwarnings("ignore::npc_lims.LiveStateWarning")
def test_the_main_recording_of_that_day_is_the_first(anywhere: str) -> None:
    assert npc_lims.get_session_raw_data_asset(SURFACE).name == f"ecephys_{SURFACE}_13-22-17"
    info = npc_lims.get_session_info(SURFACE)
    assert info.is_surface_channels
    assert info.surface_channels_id == NAME
    assert (info.rig, info.training_info["start_time"]) == ("NP2", "2024-03-13 13:39:17")


@pytest.mark.filterwarnings("ignore::npc_lims.LiveStateWarning")
def test_a_sorting_of_the_surface_channels_is_none_of_a_lost_main_recording(anywhere: str) -> None:
    info = npc_lims.get_session_info(LOST)
    assert (info.is_uploaded, info.is_sorted, info.is_dlc_eye, info.is_facemap) == (False, False, False, False)
    assert (info.is_surface_channels, info.is_surface_channels_sorted) == (True, True)
    for get in (
        npc_lims.get_sorted_data_paths_from_s3,
        npc_lims.get_session_sorted_data_asset,
        npc_lims.get_dlc_eye_s3_paths,
        npc_lims.get_raw_data_paths_from_s3,
    ):
        with pytest.raises(npc_lims.NoSessionData, match="holds no folder 'behavior' or 'behavior-videos'"):
            get(LOST)
    assert "ecephys_901002_2024-05-13_13-30-12" in str(npc_lims.get_surface_channel_root(LOST))


def test_two_training_sessions_of_a_day_have_their_own_stimulus_files(anywhere: str, world: Path) -> None:
    def names(session: str) -> list[str]:
        return [file.path.name for file in npc_lims.get_hdf5_stim_files_from_s3(session)]

    expected = {
        TWICE: ["DynamicRouting1_901002_20240510_103304.hdf5"],
        f"{TWICE}_1": ["DynamicRouting1_901002_20240510_170544.hdf5", "RFMapping_901002_20240510_181000.hdf5"],
    }
    assert {session: names(session) for session in expected} == expected
    if anywhere == "state":
        for session, files in expected.items():
            facts = read_one(settings_for_reading(), session)
            assert facts is not None
            assert facts["s3"]["stim"] == files
        for path in (world / "state/sessions/901002").glob(f"{TWICE}*"):
            path.unlink()
        (world / "state/sessions.jsonl").unlink()
        npc_lims.clear_caches()
        assert {session: names(session) for session in expected} == expected, "not recorded yet"


def test_rows_that_are_no_sessions_are_warnings(tmp_path: Path) -> None:
    write_rich_world(tmp_path)
    result = run(tmp_path)
    assert f"{SURFACE}_1" not in result.after
    training = next(one for one in result.observations if one.source == "training")
    found = {(one.file, one.line): one.message for one in training.problems if "is no session" in one.message}
    rows = openpyxl.load_workbook(tmp_path / _TRAINING / WORKBOOKS[0])
    for subject, starts in {**ADDED_ROWS, "901002": ADDED_ROWS["901002"][1:]}.items():
        for start in starts:
            time = datetime.datetime.fromisoformat(start)
            line = next(cell.row for cell in rows[subject]["A"] if cell.value == time)
            assert start in found.pop((f"{WORKBOOKS[0]}[{subject}]", line))
    assert found == {}
    assert run(tmp_path).written == (), "nothing changes the second time"


def test_a_day_that_becomes_a_recording_day_without_the_workbook_being_read(tmp_path: Path) -> None:
    write_rich_world(tmp_path)
    tracked = tmp_path / "tracked_sessions.yaml"
    text = tracked.read_text()
    path = f"DRpilot_{SURFACE.replace('-', '')}"
    lines = text.splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if path in line)
    last = next(number for number in range(first + 1, len(lines)) if lines[number].lstrip().startswith("- "))
    tracked.write_text("".join(lines[:first] + lines[last:]))
    assert {f"{SURFACE}_1", f"{SURFACE}_2"} <= run(tmp_path).after.keys()
    tracked.write_text(text)
    for options in ({"changed": True}, {}):
        folder = Path(shutil.copytree(tmp_path, tmp_path.with_name(f"copy{len(options)}")))
        result = run(folder, **options)
        training = next(one for one in result.observations if one.source == "training")
        assert training.unchanged
        assert not {f"{SURFACE}_1", f"{SURFACE}_2"} & result.after.keys()
        assert len([one for one in training.problems if "is no session" in one.message]) == 2
        assert run(folder, full=True).after == run(tmp_path, dry_run=True).after


def public_attributes(info: npc_lims.SessionInfo) -> Iterable[str]:
    fields = [field.name for field in dataclasses.fields(info)]
    properties = [
        name for name, value in vars(npc_lims.SessionInfo).items() if isinstance(value, property) and name[0] != "_"
    ]
    # what is recorded differs: nothing is, without state
    return [name for name in (*fields, *properties) if name not in ("record", "status")]


def outcome(get: Callable[[], Any]) -> Any:
    try:
        return get()
    except Exception as error:
        return type(error).__name__


def everything(infos: Iterable[npc_lims.SessionInfo]) -> dict[str, dict[str, Any]]:
    return {
        str(info.id): {name: outcome(functools.partial(getattr, info, name)) for name in public_attributes(info)}
        for info in infos
    }


@pytest.mark.filterwarnings("ignore::npc_lims.LiveStateWarning")
def test_two_tracked_recordings_of_a_day_have_their_own_assets(anywhere: str) -> None:
    first, second = SPLIT
    assert not npc_lims.get_session_info(first).is_surface_channels
    with pytest.raises(npc_lims.NoSessionData):
        npc_lims.get_surface_channel_root(first)
    for session, name in ((first, ADDED_ASSETS[1]), (second, ADDED_ASSETS[2])):
        assert npc_lims.get_session_raw_data_asset(session).name == name
    assert npc_lims.get_session_sorted_data_asset(first).name == ADDED_ASSETS[3]
    with pytest.raises(npc_lims.NoSessionData):
        npc_lims.get_session_sorted_data_asset(second)
    assert npc_lims.get_ibl_annotation_files_from_s3(first) == ()
    assert len(npc_lims.get_ibl_annotation_files_from_s3(second)) == 1
    for session, hour in ((first, "09"), (second, "11")):
        assert npc_lims.get_session_info(session).training_info["start_time"][11:13] == hour
        assert {one.time[:2] for one in npc_lims.get_hdf5_stim_files_from_s3(session) if one.time} <= {hour, "10"}


def test_state_and_live_lookups_agree_on_every_attribute(
    world: Path, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_at("state", world, serve, tmp_path, monkeypatch)
    recorded = everything(npc_lims.get_session_info())
    assert {SURFACE, LOST, TWICE, f"{TWICE}_1", TRAINED} <= recorded.keys()
    look_at("live", world, serve, tmp_path, monkeypatch)
    npc_lims.clear_caches()
    with pytest.warns(npc_lims.LiveStateWarning):
        assert everything(map(npc_lims.get_session_info, recorded)) == recorded
    npc_lims.clear_caches()
    with pytest.warns(npc_lims.LiveStateWarning):
        assert everything(npc_lims.get_session_info()) == recorded


GETTERS = (
    npc_lims.get_raw_data_root,
    npc_lims.get_raw_data_paths_from_s3,
    npc_lims.get_h5_sync_from_s3,
    npc_lims.get_settings_xml_path_from_s3,
    npc_lims.get_eye_video_path_from_s3,
    npc_lims.get_recording_dirs_experiment_path_from_s3,
    npc_lims.get_surface_channel_root,
    npc_lims.get_sorted_data_paths_from_s3,
    npc_lims.get_dlc_eye_s3_paths,
    npc_lims.get_facemap_s3_paths,
    npc_lims.get_LFP_subsampling_paths_from_s3,
    npc_lims.get_hdf5_stim_files_from_s3,
    npc_lims.get_ibl_annotation_files_from_s3,
    npc_lims.get_tissuecyte_annotation_files_from_s3,
    npc_lims.get_session_raw_data_asset,
    npc_lims.get_session_sorted_data_asset,
    npc_lims.get_session_data_assets,
    npc_lims.get_session_result_data_assets,
    npc_lims.get_codeocean_session_id,
    npc_lims.get_session_issues,
    npc_lims.get_session_kwargs,
)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::npc_lims.NpcLimsWarning")
def test_state_and_live_lookups_agree_on_every_path(
    world: Path, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(sessions: Iterable[str]) -> dict[tuple[str, str], Any]:
        pairs = ((session, get) for session in sessions for get in GETTERS)
        return {(session, get.__name__): outcome(functools.partial(get, session)) for session, get in pairs}

    look_at("state", world, serve, tmp_path, monkeypatch)
    known = [str(info.id) for info in npc_lims.get_session_info()]
    sessions = [*known, *(f"{session}_1" for session in known if f"{session}_1" not in known and session[-2] != "_")]
    recorded = found(sessions)
    look_at("live", world, serve, tmp_path, monkeypatch)
    npc_lims.clear_caches()
    assert found(sessions) == recorded


@pytest.mark.filterwarnings("ignore::npc_lims.LiveStateWarning")
def test_filters_find_the_same_sessions_without_state(
    world: Path, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> dict[str, list[str]]:
        wanted: list[dict[str, Any]] = [{name: True} for name in BOOLEAN_FLAGS]
        wanted += [{"rig": "NP2"}, {"project": "DynamicRouting"}, {"is_templeton": True}, {"behavior_day": 9}]
        return {str(filters): [str(info.id) for info in npc_lims.get_session_info(**filters)] for filters in wanted}

    look_at("state", world, serve, tmp_path, monkeypatch)
    recorded = found()
    look_at("live", world, serve, tmp_path, monkeypatch)
    npc_lims.clear_caches()
    assert found() == recorded
