"""A session as one flat row."""

from __future__ import annotations

from typing import Any

import pytest

from npc_lims.model.record import Record
from npc_lims.model.rows import COLUMNS, DATA_REPO_ISILON, session_row
from tests.builders import SECOND, asset, no_assets, record, tracked, training

ON_S3 = asset(location="s3://aind-ephys-data/ecephys_626791_2022-08-15_13-07-32")


def row(made: Record) -> dict[str, Any]:
    return session_row(made.as_dict())


def test_columns_are_the_keys_in_their_order() -> None:
    assert tuple(row(record())) == COLUMNS


def test_identity() -> None:
    made = row(record(SECOND))
    assert {name: made[name] for name in ("id", "subject", "date", "idx")} == {
        "id": "626791_2022-08-15_1",
        "subject": 626791,
        "date": "2022-08-15",
        "idx": 1,
    }


@pytest.mark.parametrize(
    ("platform", "is_ephys", "is_sync"),
    [("ephys", True, True), ("behavior_with_sync", False, True), ("behavior", False, False)],
)
def test_platform_as_tracked(platform: str, is_ephys: bool, is_sync: bool) -> None:
    made = row(record(tracked=tracked(platform)))
    assert (made["platform"], made["is_ephys"], made["is_sync"]) == (platform, is_ephys, is_sync)


@pytest.mark.parametrize("name", ["", None])
def test_an_empty_rig_is_unknown(name: str | None) -> None:
    assert row(record(training=training(rig_name=name)))["rig"] == "unknown"


def test_rig_and_task_version_come_from_training() -> None:
    made = row(record(training=training(rig_name="NP2", task_version="stage 5 ori AMN")))
    assert (made["rig"], made["task_version"]) == ("NP2", "stage 5 ori AMN")
    without = row(record(training=False))
    assert (without["rig"], without["task_version"]) == ("unknown", "unknown")


def test_a_session_that_only_training_knows() -> None:
    made = row(record(tracked=False, training=training(), codeocean=no_assets(raw=ON_S3)))
    assert (made["project"], made["platform"], made["experiment_day"]) == ("DynamicRouting", "behavior", None)
    assert made["allen_path"] == f"{DATA_REPO_ISILON}/626791"


@pytest.mark.parametrize(
    ("raw", "platform", "path"),
    [
        (ON_S3, "ephys", ON_S3.location),
        (asset(), "ephys", f"{DATA_REPO_ISILON}/626791"),
        (asset("behavior_626791_2022-08-15_13-07-32"), "behavior", f"{DATA_REPO_ISILON}/626791"),
        (False, "behavior", f"{DATA_REPO_ISILON}/626791"),
    ],
)
def test_a_session_that_only_code_ocean_knows(raw: object, platform: str, path: str) -> None:
    made = row(record(tracked=None, codeocean=no_assets(raw=raw)))
    assert (made["project"], made["platform"], made["allen_path"]) == ("unknown", platform, path)


def test_a_flag_is_true_false_or_null_and_false_where_it_does_not_apply() -> None:
    made = row(record(tracked=tracked("behavior"), codeocean=no_assets(raw=asset()), s3=None))
    assert (made["is_uploaded"], made["is_nwb_cached"], made["is_sorted"]) == (True, None, False)
    assert "is_sorted" in made["not_applicable"]
    assert "is_nwb_cached" not in made["not_applicable"]


def test_an_id_that_does_not_apply_is_null() -> None:
    made = row(record(codeocean=no_assets()))
    assert made["raw_asset_id"] is None
    assert "raw_asset_id" in made["not_applicable"]
    assert row(record(codeocean=no_assets(raw=ON_S3)))["raw_asset_id"] == ON_S3.id
