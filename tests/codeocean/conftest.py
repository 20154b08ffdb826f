"""A Code Ocean server, and the environment pointing at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.codeocean import CodeOceanServer
from tests.servers.faults import FaultyProxy
from tests.servers.fixtures import Serve

TOKEN = "cop_5e0c1a77e5ec2e7"
"""Recognisable: tests look for it where it must never be."""


@pytest.fixture
def codeocean(serve: Serve) -> CodeOceanServer:
    """Code Ocean without any data asset."""
    return serve(CodeOceanServer([], token=TOKEN))


@pytest.fixture
def proxy(codeocean: CodeOceanServer, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FaultyProxy:
    """What stands between Code Ocean and its clients; no state is there to read, and a folder without `.env`."""
    between = serve(FaultyProxy(codeocean.url))
    (tmp_path / "state").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CODE_OCEAN_DOMAIN", between.url)
    monkeypatch.setenv("CODE_OCEAN_API_TOKEN", TOKEN)
    monkeypatch.setenv("NPC_LIMS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("NPC_LIMS_ATTEMPTS", "2")
    monkeypatch.setenv("NPC_LIMS_TIMEOUT", "5")
    return between
