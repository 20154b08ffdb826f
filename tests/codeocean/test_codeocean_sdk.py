"""The official SDK's client, as npc_lims makes it."""

from __future__ import annotations

from pathlib import Path

import pytest

import npc_lims
from npc_lims.clients.codeocean import get_codeocean_client
from tests.codeocean.conftest import TOKEN
from tests.servers.codeocean import CodeOceanServer, asset_id, make_asset
from tests.servers.faults import FaultyProxy, Status

RAW = "ecephys_654321_2024-01-02_10-00-00"


def test_it_asks_the_domain_that_is_set(codeocean: CodeOceanServer, proxy: FaultyProxy) -> None:
    codeocean.assets = [make_asset(RAW)]
    assert get_codeocean_client().data_assets.get_data_asset(asset_id(RAW)).name == RAW
    assert proxy.count == 1


def test_it_is_made_once_for_each_domain_and_token(proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    first = get_codeocean_client()
    assert get_codeocean_client() is first
    monkeypatch.setenv("CODE_OCEAN_API_TOKEN", "cop_other")
    other = get_codeocean_client()
    assert other is not first
    assert other.token == "cop_other"
    monkeypatch.setenv("CODE_OCEAN_API_TOKEN", TOKEN)
    assert get_codeocean_client() is first
    npc_lims.clear_caches()
    assert get_codeocean_client() is not first


def test_the_token_may_stand_in_a_dotenv_or_in_any_variable(
    proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CODE_OCEAN_API_TOKEN")
    with pytest.raises(npc_lims.MissingCredentials, match=r"set CODE_OCEAN_API_TOKEN \(in the environment or \.env; "):
        get_codeocean_client()
    monkeypatch.setenv("LAB_TOKEN", "cop_lab")
    assert get_codeocean_client().token == "cop_lab"
    (tmp_path / ".env").write_text("CODE_OCEAN_API_TOKEN=cop_file\n")
    assert get_codeocean_client().token == "cop_file"


def test_reads_are_tried_again_and_writes_are_not(codeocean: CodeOceanServer, proxy: FaultyProxy) -> None:
    from codeocean.computation import RunParams
    from codeocean.error import Error

    codeocean.assets = [make_asset(RAW)]
    client = get_codeocean_client()
    proxy.plan(Status(503))
    assert client.data_assets.get_data_asset(asset_id(RAW)).name == RAW
    proxy.reset()
    proxy.plan(Status(503))
    with pytest.raises(Error):
        client.computations.run_capsule(RunParams(capsule_id=asset_id("capsule")))
    assert proxy.count == 1
