"""Syncs against SeaweedFS and a Code Ocean server: what they write, and how many requests they need."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import openpyxl
import pytest
import ruamel.yaml

from npc_lims.clients.codeocean import CodeOceanClient
from npc_lims.config.settings import load_settings
from npc_lims.demo.dataset import SESSIONS
from npc_lims.demo.files import write_world
from npc_lims.state.unlisted import UNLISTED
from npc_lims.sync.observation_file import Scope
from tests.integration.world import (
    ADDED,
    SORTED,
    TOKEN,
    UPLOADED,
    WORKBOOKS,
    Cloud,
    commit_all,
    facts_of,
    files_of,
    run_cli,
    run_git,
    run_sync,
    workbook,
    write_tracked,
)
from tests.servers.codeocean import make_asset

A_SESSION = "901003_2024-10-23"


def read_sync_yaml(state: Path) -> dict:
    return ruamel.yaml.YAML(typ="safe", pure=True).load((state / "sync.yaml").read_bytes())


def downloads(cloud: Cloud) -> list[str]:
    """Names of the workbooks that were downloaded."""
    return sorted(
        request.path.rpartition("/")[2]
        for request in cloud.s3_proxy.requests
        if request.method == "GET" and request.path.endswith(".xlsx")
    )


# --- the same as from a mirror


@pytest.mark.slow
@pytest.mark.parametrize("stage", [1, 2])
def test_servers_and_mirror_give_the_same_bytes(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: int
) -> None:
    cloud.load(stage)
    write_tracked(tmp_path, stage)
    assert run_sync(tmp_path).failures == ()

    for name in cloud.env():
        monkeypatch.delenv(name)
    mirrored = tmp_path / "mirrored"
    write_world(mirrored, stage)
    monkeypatch.setenv("NPC_LIMS_MIRROR", str(mirrored / "mirror"))
    run_sync(mirrored)

    assert facts_of(tmp_path / "state") == facts_of(mirrored / "state")
    ours, theirs = read_sync_yaml(tmp_path / "state"), read_sync_yaml(mirrored / "state")
    assert set(ours["sources"]) == {"tracked", "training", "codeocean", "s3"}
    for name, source in ours["sources"].items():
        assert source["counts"] == theirs["sources"][name]["counts"]
        assert source["failure"] is None


def test_every_tracked_session_and_every_training_day_has_a_file(synced: Path) -> None:
    ids = {path.stem for path in (synced / "state" / "sessions").rglob("*.yaml")}
    assert {session.id for session in SESSIONS} <= ids
    assert "901001_2024-03-07" in ids, "a training day of which only a workbook knows"
    assert "901002_2024-05-09" not in ids, "a row with ignore = 1"


# --- nothing changes unless a fact changed


def test_second_sync_leaves_git_status_clean(cloud: Cloud, synced: Path) -> None:
    commit_all(synced)
    result = run_sync(synced)
    assert result.changes == []
    assert result.written == ()
    assert run_git(synced, "status", "--porcelain") == ""


def test_full_sync_of_an_unchanged_world_leaves_git_status_clean(cloud: Cloud, synced: Path) -> None:
    commit_all(synced)
    run_sync(synced, full=True)
    assert run_git(synced, "status", "--porcelain") == ""


@pytest.mark.slow
def test_requests_of_an_unchanged_world_do_not_grow_with_sessions(cloud: Cloud, synced: Path) -> None:
    """Two hundred more sessions, tracked, with assets and files, cost no request more once they are recorded."""
    run_sync(synced)
    cloud.forget_requests()
    run_sync(synced)
    few = cloud.requests
    assert few < 20

    tracked = synced / "tracked_sessions.yaml"
    dates = [f"2023-{month:02}-{day:02}" for month in range(1, 11) for day in range(1, 21)]
    paths = [f"    - //allen/somewhere/DRpilot_902001_{date.replace('-', '')}\n" for date in dates]
    tracked.write_text(tracked.read_text().replace("  DynamicRouting:\n", "  DynamicRouting:\n" + "".join(paths), 1))
    new = [make_asset(f"ecephys_902001_{date}_10-00-00") for date in dates]
    cloud.codeocean.assets = [*cloud.codeocean.assets, *new]
    keys = [f"{asset['name']}/{folder}/a" for asset in new for folder in ("behavior", "ecephys_compressed")]
    cloud.s3.put_many("aind-ephys-data", keys)
    try:
        cloud.forget_requests()
        assert len(run_sync(synced).changes) == 200
        assert 200 < cloud.requests <= 400 + few, "each new raw folder is looked into and listed, by a request each"
        cloud.forget_requests()
        assert run_sync(synced).changes == []
        assert cloud.requests == few
    finally:
        client = cloud.s3.client()
        client.delete_objects(Bucket="aind-ephys-data", Delete={"Objects": [{"Key": key} for key in keys]})


# --- workbooks


def test_unchanged_workbooks_are_not_downloaded(cloud: Cloud, synced: Path) -> None:
    run_sync(synced)
    assert downloads(cloud) == []


@pytest.mark.slow
def test_a_changed_workbook_alone_is_downloaded_again(cloud: Cloud, synced: Path) -> None:
    run_sync(synced, full=True)  # fills this machine's cache of workbooks
    assert downloads(cloud) == sorted(WORKBOOKS)
    cloud.forget_requests()
    cloud.change_workbook(WORKBOOKS[0], with_another_task(workbook(2), synced))
    result = run_sync(synced)
    assert downloads(cloud) == [WORKBOOKS[0]]
    assert [change.id for change in result.changes] == ["901001_2024-03-06"]


def with_another_task(content: bytes, folder: Path) -> bytes:
    """A workbook whose first row of 901001 tells of another task."""
    path = folder / "edited.xlsx"
    path.write_bytes(content)
    book = openpyxl.load_workbook(path)
    book["901001"]["C2"] = "stage 3 ori"
    book.save(path)
    return path.read_bytes()


# --- what changes when the world does


def test_a_day_changes_exactly_three_sessions(cloud: Cloud, tmp_path: Path) -> None:
    cloud.load(1)
    write_tracked(tmp_path, 1)
    run_sync(tmp_path)
    before = facts_of(tmp_path / "state")
    cloud.load(2)
    write_tracked(tmp_path, 2)
    changes = {change.id: change.what for change in run_sync(tmp_path).changes}
    assert set(changes) == {UPLOADED, SORTED, ADDED}
    assert "uploaded" in changes[UPLOADED]
    assert "sorted" in changes[SORTED]
    assert "new" in changes[ADDED]
    after = facts_of(tmp_path / "state")
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {
        "sessions.jsonl",
        *(f"sessions/{session_id[:6]}/{session_id}.yaml" for session_id in changes),
    }


@pytest.mark.slow
def test_only_the_folder_of_a_new_upload_is_listed(cloud: Cloud, tmp_path: Path) -> None:
    cloud.load(1)
    write_tracked(tmp_path, 1)
    run_sync(tmp_path)
    cloud.load(2)
    run_sync(tmp_path, sources=["codeocean", "s3"])
    listed = {
        request.path.partition("prefix=")[2].partition("%2F")[0]
        for request in cloud.s3_proxy.requests
        if request.path.startswith(("/aind-ephys-data", "/aind-behavior-data"))
    }
    assert listed == {"ecephys_901003_2024-10-24_11-15-36"}


@pytest.mark.slow
def test_full_lists_every_raw_folder_again(cloud: Cloud, synced: Path) -> None:
    """Files that arrive late in a folder that is recorded as complete are seen by a full sync alone."""
    late = "aind-ephys-data/ecephys_901003_2024-10-24_11-15-36/behavior-videos/Nose_20241024T111536.mp4"
    cloud.change(**{late: b"late"})
    assert run_sync(synced).changes == []
    assert [change.id for change in run_sync(synced, full=True).changes] == [UPLOADED]
    record = (synced / "state" / "sessions" / "901003" / f"{UPLOADED}.yaml").read_text()
    assert "behavior-videos/Nose_20241024T111536.mp4" in record


@pytest.mark.slow
def test_sessions_limits_what_may_change(cloud: Cloud, tmp_path: Path) -> None:
    cloud.load(1)
    write_tracked(tmp_path, 1)
    run_sync(tmp_path)
    cloud.load(2)
    write_tracked(tmp_path, 2)
    result = run_sync(tmp_path, scope=Scope(frozenset({SORTED})))
    assert result.failures == ()
    assert [change.id for change in result.changes] == [SORTED]
    run_sync(tmp_path)
    complete = tmp_path / "complete"
    write_tracked(complete, 2)
    run_sync(complete)
    assert facts_of(tmp_path / "state") == facts_of(complete / "state")


@pytest.mark.slow
@pytest.mark.parametrize("session_id", ["901001_2024-03-13", "901004_2024-06-04", A_SESSION, "901005_2024-10-28"])
def test_one_session_asked_for_alone_is_seen_as_in_a_sync_of_all(
    cloud: Cloud, tmp_path: Path, synced: Path, session_id: str
) -> None:
    """Asking for one subject finds all of its assets, also old ones that only tags describe."""
    write_tracked(tmp_path, 2)
    result = run_sync(tmp_path, scope=Scope(frozenset({session_id})))
    assert result.failures == ()
    path = Path("state", "sessions", session_id[:6], f"{session_id}.yaml")
    assert (tmp_path / path).read_bytes() == (synced / path).read_bytes()


@pytest.mark.slow
def test_a_sync_of_some_sessions_says_nothing_of_when_all_were_last_seen(cloud: Cloud, synced: Path) -> None:
    before = (synced / "state" / "sync.yaml").read_bytes()
    run_sync(synced, scope=Scope(frozenset({SORTED})), full=True)
    assert (synced / "state" / "sync.yaml").read_bytes() == before


def test_only_asks_the_sources_named(cloud: Cloud, tmp_path: Path) -> None:
    write_tracked(tmp_path, 2)
    done = run_cli("sync", "--state", str(tmp_path / "state"), "--only", "tracked,codeocean")
    assert done.code == 0, done
    assert set(read_sync_yaml(tmp_path / "state")["sources"]) == {"tracked", "codeocean"}
    lines = (tmp_path / "state" / "sessions.jsonl").read_text().splitlines()
    records = {record["id"]: record for record in map(json.loads, lines)}
    assert set(records) == {session.id for session in SESSIONS}
    assert records[A_SESSION]["codeocean"]["raw"]["name"].startswith("ecephys_901003_2024-10-23")
    assert records[A_SESSION]["training"] is None
    assert records[A_SESSION]["s3"] is None
    assert records[A_SESSION]["status"]["is_annotated"] is None
    read = {request.path for request in cloud.s3_proxy.requests}
    assert read
    looked = [request for request in cloud.s3_proxy.requests if not request.path.endswith("/output")]
    assert all("prefix=ecephys_" in request.path for request in looked), "S3 is asked only to judge assets"


@pytest.mark.slow
def test_dry_run_shows_everything_and_writes_nothing(cloud: Cloud, tmp_path: Path) -> None:
    cloud.load(1)
    write_tracked(tmp_path, 1)
    run_sync(tmp_path)
    before = files_of(tmp_path)
    cloud.load(2)
    write_tracked(tmp_path, 2)
    before = {**before, "tracked_sessions.yaml": (tmp_path / "tracked_sessions.yaml").read_bytes()}
    done = run_cli("sync", "--state", str(tmp_path / "state"), "--dry-run", "--json")
    assert done.code == 0, done
    told = json.loads(done.out)
    assert {change["id"] for change in told["changes"]} == {UPLOADED, SORTED, ADDED}
    assert told["dry_run"] is True
    assert told["written"] == []
    assert files_of(tmp_path) == before


@pytest.mark.slow
def test_dry_run_makes_no_state_folder(cloud: Cloud, tmp_path: Path) -> None:
    write_tracked(tmp_path, 2)
    result = run_sync(tmp_path, dry_run=True)
    assert len(result.changes) >= len(SESSIONS)
    assert not (tmp_path / "state").exists()


def test_a_removed_entry_removes_a_session_that_no_workbook_has(cloud: Cloud, synced: Path) -> None:
    """Habituation without a task is in no workbook: with its entry the session goes."""
    tracked = synced / "tracked_sessions.yaml"
    text = tracked.read_text()
    start = text.index("    - //allen", text.index("behavior_with_sync:"))
    end = text.index("    - //allen", start + 10)
    tracked.write_text(text[:start].rstrip(" ") + text[end:])
    changes = run_sync(synced).changes
    assert [(change.id, change.what) for change in changes if "removed" in change.what] == [
        ("901005_2024-10-28", ("removed",))
    ]
    assert not (synced / "state/sessions/901005/901005_2024-10-28.yaml").exists()


# --- the official SDK


def test_the_official_sdk_reads_the_same_assets(cloud: Cloud) -> None:
    from codeocean import CodeOcean
    from codeocean.data_asset import DataAssetSearchParams

    sdk = CodeOcean(domain=cloud.codeocean.url, token=TOKEN)
    params = DataAssetSearchParams(limit=7, archived=False, favorite=False)
    theirs = {asset.id: asset for asset in sdk.data_assets.search_data_assets_iterator(params)}
    ours = {asset["id"]: asset for page in CodeOceanClient(load_settings()).search() for asset in page}
    assert ours.keys() == theirs.keys()
    assert len(ours) > 90
    for asset_id, asset in ours.items():
        assert (asset["name"], asset["created"]) == (theirs[asset_id].name, theirs[asset_id].created)
    one = next(iter(ours))
    assert CodeOceanClient(load_settings()).get(one)["name"] == sdk.data_assets.get_data_asset(one).name
    sdk.session.close()


def test_pages_are_followed_to_the_end(cloud: Cloud, synced: Path) -> None:
    """With more assets than a page holds the same is found, in two requests."""
    more = [make_asset(f"ecephys_{800000 + n}_2024-01-01_10-00-00") for n in range(1100)]
    before = facts_of(synced / "state")
    cloud.codeocean.assets = [*more, *cloud.codeocean.assets]
    cloud.forget_requests()
    assert run_sync(synced).changes == []
    after = facts_of(synced / "state")
    added = after.pop(UNLISTED).count(b"\n") - before.pop(UNLISTED).count(b"\n")
    assert (after, added) == (before, len(more))
    assert cloud.codeocean_proxy.count == 2


def test_state_copied_to_another_machine_needs_no_download(cloud: Cloud, synced: Path, tmp_path: Path) -> None:
    """Versions are in git: a fresh checkout knows that nothing changed."""
    other = Path(shutil.copytree(synced, tmp_path / "other"))
    cloud.forget_requests()
    assert run_sync(other).changes == []
    assert downloads(cloud) == []
