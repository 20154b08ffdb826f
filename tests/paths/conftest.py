"""The servers with the demo's world, and state that knows all of it, or only which sessions there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from npc_lims.config.settings import load_settings
from npc_lims.sync.run import SyncOptions, sync
from tests.integration.world import Cloud, write_tracked


@pytest.fixture
def recorded(cloud: Cloud, synced_once: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """State was synced from the servers."""
    monkeypatch.setenv("NPC_LIMS_STATE", str(synced_once / "state"))
    cloud.forget_requests()  # the first test of all makes that state
    return cloud


@pytest.fixture(scope="session")
def tracked_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state that knows nothing but the tracked file."""
    folder = tmp_path_factory.mktemp("tracked")
    options = SyncOptions(state=folder / "state", tracked=write_tracked(folder, 2), sources=("tracked",))
    sync(load_settings({"NPC_LIMS_CACHE_DIR": str(folder / "cache")}, folder), options)
    return folder / "state"


@pytest.fixture
def live(cloud: Cloud, tracked_once: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """State has no facts from the servers: all of these are asked for."""
    monkeypatch.setenv("NPC_LIMS_STATE", str(tracked_once))
    return cloud


@pytest.fixture(params=["recorded", "live"])
def either(request: pytest.FixtureRequest) -> Cloud:
    """State has the facts, or the servers are asked: it makes no difference to the answers."""
    found: Cloud = request.getfixturevalue(request.param)
    return found
