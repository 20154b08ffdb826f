"""Data assets by id and by subject."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from codeocean.data_asset import DataAsset

import npc_lims
from npc_lims.codeocean.data_assets import (
    get_data_asset,
    get_latest_data_asset,
    get_sessions_with_data_assets,
    get_subject_data_assets,
    is_raw_data_asset,
    is_sorted_data_asset,
)
from tests.servers.codeocean import CodeOceanServer, asset_id, make_asset
from tests.servers.faults import FaultyProxy, Status

MOUSE = 654321
RAW = f"ecephys_{MOUSE}_2024-01-02_10-00-00"
SORTED = f"{RAW}_sorted_2024-01-05_12-00-00"
NAMES = (RAW, f"{RAW}_dlc_eye_2024-01-03_12-00-00", SORTED, f"behavior_{MOUSE}_2024-01-08_09-00-00")


@pytest.fixture(autouse=True)
def assets(codeocean: CodeOceanServer, proxy: FaultyProxy) -> None:
    """Four of the subject, in no order; one of another, one archived."""
    codeocean.assets = [
        *(make_asset(name) for name in sorted(NAMES, reverse=True)),
        make_asset("ecephys_765432_2024-01-02_10-00-00"),
        make_asset(f"ecephys_{MOUSE}_2023-01-02_10-00-00", archived=True),
    ]


def test_assets_of_a_subject_the_oldest_first(proxy: FaultyProxy) -> None:
    found = get_subject_data_assets(MOUSE)
    assert all(isinstance(asset, DataAsset) for asset in found)
    assert tuple(asset.name for asset in found) == NAMES
    assert proxy.count == 2, "by metadata, and by any word"
    assert get_subject_data_assets(str(MOUSE)) == found
    assert proxy.count == 2


def test_another_hash_asks_again(codeocean: CodeOceanServer, proxy: FaultyProxy) -> None:
    get_subject_data_assets(MOUSE)
    codeocean.assets = codeocean.assets[1:]
    assert len(get_subject_data_assets(MOUSE)) == 4
    assert len(get_subject_data_assets(MOUSE, ttl_hash=1)) == 3
    assert len(get_subject_data_assets(MOUSE, 1)) == 3
    assert proxy.count == 4
    npc_lims.clear_caches()
    assert len(get_subject_data_assets(MOUSE)) == 3


def test_a_subject_without_assets() -> None:
    assert get_subject_data_assets(999999) == ()
    assert get_sessions_with_data_assets(999999) == ()


@pytest.mark.parametrize("subject", ["mouse", "", "65 43", "-1", "６５４３２１"])
def test_what_is_no_subject(proxy: FaultyProxy, subject: str) -> None:
    with pytest.raises(npc_lims.NoSessionData, match="is not a subject: a Labtracks number such as 668759 is"):
        get_subject_data_assets(subject)
    assert proxy.count == 0


def test_a_mirror_holds_those_of_all_subjects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = tmp_path / "mirror" / "codeocean"
    mirror.mkdir(parents=True)
    longer = make_asset(f"ecephys_{MOUSE}0_2024-01-02_10-00-00")
    (mirror / "data_assets.json").write_text(json.dumps([*map(make_asset, NAMES), longer, make_asset("other")]))
    monkeypatch.setenv("NPC_LIMS_MIRROR", str(mirror.parent))
    assert tuple(asset.name for asset in get_subject_data_assets(MOUSE)) == NAMES
    assert get_data_asset(longer["id"]).name == longer["name"]


def test_sessions_with_assets(codeocean: CodeOceanServer) -> None:
    codeocean.assets = [*codeocean.assets, make_asset("notes", tags=[str(MOUSE)])]
    found = get_sessions_with_data_assets(MOUSE)
    assert [str(session) for session in found] == [f"{MOUSE}_2024-01-02", f"{MOUSE}_2024-01-08"]
    assert found[0].subject == MOUSE


def test_an_asset_by_id(proxy: FaultyProxy) -> None:
    found = get_data_asset(asset_id(RAW))
    assert (found.name, found.source_bucket is not None) == (RAW, True)
    assert get_data_asset(uuid.UUID(asset_id(RAW))) == found
    assert get_data_asset(found) is found
    assert proxy.count == 1


def test_what_a_search_has_brought_is_not_queried(proxy: FaultyProxy) -> None:
    get_subject_data_assets(MOUSE)
    assert get_data_asset(asset_id(SORTED)).name == SORTED
    assert proxy.count == 2


def test_an_asset_that_is_being_made_is_queried_again(codeocean: CodeOceanServer, proxy: FaultyProxy) -> None:
    codeocean.assets = [make_asset(SORTED, state="draft")]
    assert get_data_asset(asset_id(SORTED)).state == "draft"
    codeocean.assets = [make_asset(SORTED)]
    assert get_data_asset(asset_id(SORTED)).state == "ready"
    assert proxy.count == 2


def test_threads_that_ask_together_send_one_request(proxy: FaultyProxy) -> None:
    proxy.latency = 0.1
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: get_data_asset(asset_id(RAW)).name, range(8)))
    assert found == [RAW] * 8
    assert proxy.count == 1


def test_no_such_asset(proxy: FaultyProxy) -> None:
    unknown = "00000000-0000-4000-8000-000000000000"
    with pytest.raises(npc_lims.NoSessionData, match=f"there is no data asset {unknown} in {proxy.url}"):
        get_data_asset(unknown)


@pytest.mark.parametrize("bad", ["", "nonsense", "../computations", RAW])
def test_ids_that_are_none(proxy: FaultyProxy, bad: str) -> None:
    with pytest.raises(npc_lims.NoSessionData, match="is not the id of a data asset: one looks like 83636983"):
        get_data_asset(bad)
    assert proxy.count == 0


def test_an_asset_without_fields_that_the_sdk_wants(codeocean: CodeOceanServer) -> None:
    old = make_asset(RAW)
    for name in ("owner", "last_used", "description"):
        del old[name]
    codeocean.assets = [{**old, "custom_metadata": None}]
    found = get_data_asset(asset_id(RAW))
    assert (found.owner, found.last_used, found.description, found.custom_metadata) == ("", 0, None, None)


def test_an_asset_that_makes_no_sense(codeocean: CodeOceanServer) -> None:
    codeocean.assets = [{name: value for name, value in make_asset(RAW).items() if name != "created"}]
    with pytest.raises(npc_lims.SourceError, match="is not as the API describes it: top level: created is missing"):
        get_data_asset(asset_id(RAW))


def test_failures_name_the_service_and_not_the_token(proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy.rule = lambda request: Status(503)
    with pytest.raises(npc_lims.SourceError, match="503") as raised:
        get_data_asset(asset_id(RAW))
    assert "cop_" not in str(raised.value)
    monkeypatch.delenv("CODE_OCEAN_API_TOKEN")
    with pytest.raises(npc_lims.MissingCredentials, match="CODE_OCEAN_API_TOKEN"):
        get_subject_data_assets(MOUSE)


def test_the_latest() -> None:
    assets = get_subject_data_assets(MOUSE)
    assert get_latest_data_asset(assets[::-1]).name == NAMES[-1]
    with pytest.raises(npc_lims.NoSessionData, match="no data assets to choose the latest of"):
        get_latest_data_asset([])


def test_raw_or_sorted(codeocean: CodeOceanServer) -> None:
    def kinds(name: str) -> tuple[bool, bool]:
        return is_raw_data_asset(asset_id(name)), is_sorted_data_asset(asset_id(name))

    assert kinds(RAW) == (True, False)
    assert kinds(SORTED) == (False, True)
    assert kinds(NAMES[1]) == (False, False)
    tagged = make_asset("behavior_654321_2024-01-09_09-00-00", tags=["raw"], custom_metadata=None)
    mistagged = make_asset(f"{RAW}_sorted_2024-01-06_12-00-00", tags=["raw"])
    neither = make_asset("x", tags=None, custom_metadata=None)
    codeocean.assets = [tagged, mistagged, neither]
    assert is_raw_data_asset(get_data_asset(tagged["id"])) is True
    assert is_raw_data_asset(mistagged["id"]) is False
    assert is_raw_data_asset(neither["id"]) is False
