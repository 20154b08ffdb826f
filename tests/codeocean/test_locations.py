"""Where the files of data assets are."""

from __future__ import annotations

import types
import uuid
from typing import Any

import pytest
from codeocean.data_asset import DataAsset

import npc_lims
from npc_lims.codeocean.data_assets import get_data_asset_s3_path, get_path_from_data_asset
from npc_lims.model.record import Asset
from tests.servers.codeocean import CodeOceanServer, asset_id, make_asset
from tests.servers.faults import FaultyProxy

RAW = "ecephys_654321_2024-01-02_10-00-00"
OWN = f"s3://codeocean-s3datasetsbucket-1u41qdg42ur9/{asset_id(RAW)}"


def asset(origin: str, bucket: str | None = "some-bucket", prefix: str | None = "folder/a") -> DataAsset:
    source = {"origin": origin, "bucket": bucket, "prefix": prefix, "external": True}
    return DataAsset.from_dict(make_asset(RAW, source_bucket=source))


def path_of(found: Any) -> str:
    return str(found).rstrip("/")


def test_raw_data_is_in_its_bucket(codeocean: CodeOceanServer, proxy: FaultyProxy) -> None:
    assert path_of(get_path_from_data_asset(asset("aws"))) == "s3://some-bucket/folder/a"
    assert path_of(get_path_from_data_asset(asset("aws", prefix=None))) == "s3://some-bucket"
    assert proxy.count == 0
    codeocean.assets = [make_asset(RAW)]
    assert path_of(get_path_from_data_asset(asset_id(RAW))) == f"s3://aind-ephys-data/{RAW}"


@pytest.mark.parametrize(
    "without", [asset("local", ""), asset("aws", ""), DataAsset.from_dict(make_asset(RAW, source_bucket=None))]
)
def test_an_asset_without_a_bucket(without: DataAsset) -> None:
    with pytest.raises(npc_lims.NoAssetLocation) as raised:
        get_path_from_data_asset(without)
    assert str(raised.value) == (
        f"{RAW} ({asset_id(RAW)}) was made from no bucket: its files are in Code Ocean's own, where "
        "get_data_asset_s3_path() finds them"
    )
    assert isinstance(raised.value, ValueError)
    assert path_of(get_data_asset_s3_path(without)) == OWN


@pytest.mark.parametrize("get", [get_path_from_data_asset, get_data_asset_s3_path])
def test_an_asset_in_another_cloud(get: Any) -> None:
    with pytest.raises(npc_lims.NoAssetLocation) as raised:
        get(asset("gcp"))
    assert str(raised.value) == (
        f"the files of {RAW} ({asset_id(RAW)}) are at gs://some-bucket/folder/a: npc_lims reads S3 only"
    )
    assert isinstance(raised.value, RuntimeError)


def test_an_origin_of_the_future() -> None:
    odd = types.SimpleNamespace(origin="azure", bucket="b", prefix="p")
    with pytest.raises(npc_lims.NoAssetLocation, match="at azure://b/p: npc_lims reads S3 only"):
        get_data_asset_s3_path(types.SimpleNamespace(id="1", name="x", source_bucket=odd))  # type: ignore[arg-type]


def test_by_id_alone_nothing_is_queried(proxy: FaultyProxy) -> None:
    assert path_of(get_data_asset_s3_path(asset_id(RAW))) == OWN
    assert path_of(get_data_asset_s3_path(uuid.UUID(asset_id(RAW)))) == OWN
    assert proxy.count == 0


@pytest.mark.parametrize("bad", ["", None, "..", RAW, 1])
def test_what_is_no_id_names_no_folder(bad: Any) -> None:
    with pytest.raises(npc_lims.NoSessionData, match="is not the id of a data asset: one looks like"):
        get_data_asset_s3_path(bad)


def test_files_of_raw_data_are_where_it_was_uploaded() -> None:
    assert path_of(get_data_asset_s3_path(asset("aws"))) == "s3://some-bucket/folder/a"


def test_assets_as_state_has_them() -> None:
    fact = Asset(id=asset_id(RAW), name=RAW, created="2024-01-02T10:00:00Z", location="s3://some-bucket/folder")
    assert path_of(get_data_asset_s3_path(fact)) == "s3://some-bucket/folder"  # type: ignore[arg-type]
    assert path_of(get_data_asset_s3_path(fact.model_copy(update={"location": None}))) == OWN  # type: ignore[arg-type]
    with pytest.raises(npc_lims.NoAssetLocation, match="are at gs://b/p: npc_lims reads S3 only"):
        get_data_asset_s3_path(fact.model_copy(update={"location": "gs://b/p"}))  # type: ignore[arg-type]


def test_another_bucket_of_code_ocean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_CODEOCEAN_BUCKET", "elsewhere")
    assert path_of(get_data_asset_s3_path(asset_id(RAW))) == f"s3://elsewhere/{asset_id(RAW)}"
