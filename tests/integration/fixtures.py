"""Servers that hold the demo's world: started once for each worker, and put in order for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from npc_lims.config.settings import Settings, load_settings
from npc_lims.demo.files import write_world
from npc_lims.sync.run import SyncOptions, sync
from tests.history.lives import write_lives
from tests.integration.world import Cloud, GitHub, commit_all, write_tracked
from tests.servers.faults import FaultyProxy
from tests.servers.fixtures import Serve
from tests.servers.raw_github import RawGitHubServer
from tests.servers.s3 import SeaweedS3


@pytest.fixture(scope="session")
def running_cloud(s3_server: SeaweedS3) -> Iterator[Cloud]:
    """Both services; the one of S3 is that of the fixture `s3`, so each test loads what it needs."""
    with Cloud(s3_server).running() as cloud:
        yield cloud


@pytest.fixture
def cloud(running_cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """Both services with the second day of the world, and the environment pointing at them, with little patience."""
    running_cloud.load(2)
    for name, value in running_cloud.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NPC_LIMS_TIMEOUT", "10")
    monkeypatch.setenv("NPC_LIMS_ATTEMPTS", "2")
    return running_cloud


@pytest.fixture(scope="session")
def synced_once(running_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tracked file and a state that was synced from the servers; to be copied, never changed."""
    folder = tmp_path_factory.mktemp("synced")
    running_cloud.load(2)
    tracked = write_tracked(folder, 2)
    environment = {**running_cloud.env(), "NPC_LIMS_CACHE_DIR": str(folder / "cache"), "NPC_LIMS_BACKOFF": "0.01"}
    result = sync(load_settings(environment, folder), SyncOptions(state=folder / "state", tracked=tracked))
    assert result.failures == ()
    shutil.rmtree(folder / "cache")
    return folder


@pytest.fixture
def synced(cloud: Cloud, synced_once: Path, tmp_path: Path) -> Path:
    """A copy of `synced_once` for one test."""
    return Path(shutil.copytree(synced_once, tmp_path / "synced"))


@pytest.fixture(scope="session")
def demo_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the demo's two days, a commit each; to be copied, never changed."""
    folder = tmp_path_factory.mktemp("two-days")
    repository = folder / "repository"
    for stage, message in ((1, "state: first sync"), (2, "state: 1 uploaded, 1 sorted, 1 new")):
        write_world(folder / "world", stage)
        settings = Settings(mirror=folder / "world" / "mirror", cache_dir=folder / "cache")
        sync(settings, SyncOptions(state=repository / "state", tracked=write_tracked(repository, stage)))
        commit_all(repository, message)
    return repository


@pytest.fixture(scope="session")
def lives_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository of `lives.py`; to be read or cloned, never changed."""
    folder = tmp_path_factory.mktemp("lives") / "checkout"
    write_lives(folder)
    return folder


@pytest.fixture(scope="session")
def published_once(demo_state: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose main branch holds the demo's state; to be copied, never changed."""
    folder = tmp_path_factory.mktemp("published") / "repository"
    shutil.copytree(demo_state, folder / "state")
    shutil.copy(demo_state.parent / "tracked_sessions.yaml", folder)
    commit_all(folder)
    return folder


@pytest.fixture
def github(published_once: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> GitHub:
    """Raw GitHub, behind a proxy that can break, and the environment pointing at it; nothing is cached."""
    raw = serve(RawGitHubServer(published_once, repo_name="lab/state"))
    proxy = serve(FaultyProxy(raw.url))
    monkeypatch.setenv("NPC_LIMS_RAW_URL", proxy.url)
    monkeypatch.setenv("NPC_LIMS_REPO", "lab/state")
    monkeypatch.setenv("NPC_LIMS_TIMEOUT", "5")
    return GitHub(raw, proxy)
