"""Listings that are kept: one for each folder and place, shared by threads, and no error among them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest

import npc_lims
from npc_lims import errors
from npc_lims.clients.s3_cached import S3Folder
from npc_lims.config.settings import Settings, load_settings
from tests.integration.world import Cloud
from tests.paths.asked import NEW, OLD, OLD_ROOT, listings
from tests.servers.faults import Delay, Status

BUCKET, PREFIX = "aind-ephys-data", f"{OLD_ROOT.rpartition('/')[2]}/"


@pytest.fixture
def settings(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.setenv("NPC_LIMS_ATTEMPTS", "1")
    return load_settings(folder=tmp_path)


def test_folders_side_by_side_in_the_order_of_the_request(cloud: Cloud, settings: Settings) -> None:
    names = ["behavior_videos", "behavior", "nothing"]
    found = S3Folder(settings, BUCKET, PREFIX).list_each(names)
    assert [len(folder.files) for folder in found] == [3, 1, 0]
    assert S3Folder(settings, BUCKET, PREFIX).list_each([]) == []
    assert cloud.s3_proxy.count == 3


def test_names_are_in_order(settings: Settings) -> None:
    assert list(S3Folder(settings, BUCKET, PREFIX).listing().folders) == [
        "behavior",
        "behavior_videos",
        "ecephys_clipped",
        "ecephys_compressed",
    ]


def test_who_waits_for_a_listing_that_fails_gets_the_error_and_the_next_one_queries_again(
    cloud: Cloud, settings: Settings
) -> None:
    cloud.s3_proxy.plan(Delay(0.2, Status(503)))
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(S3Folder(settings, BUCKET, PREFIX).listing) for _ in range(4)]
        failures = [future.exception() for future in asked]
    assert {type(failure) for failure in failures} == {errors.SourceError}
    assert len(listings(cloud)) == 1
    assert S3Folder(settings, BUCKET, PREFIX).listing().files
    assert len(listings(cloud)) == 2


def test_another_place_is_another_answer(
    cloud: Cloud, settings: Settings, demo_state: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cloud.change(**{f"{BUCKET}/{PREFIX}more.json": b"{}"})
    monkeypatch.setenv("NPC_LIMS_MIRROR", str(demo_state.parent / "mirror"))
    mirror = load_settings(folder=tmp_path)
    assert "more.json" in S3Folder(settings, BUCKET, PREFIX).listing().files
    assert "more.json" not in S3Folder(mirror, BUCKET, PREFIX).listing().files
    assert len(S3Folder(settings, BUCKET, PREFIX).files()) == len(S3Folder(mirror, BUCKET, PREFIX).files()) + 1
    assert len(listings(cloud)) == 2


def test_s3_is_opened_once_whatever_is_queried(live: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    client = boto3.Session.client

    def counted(*args: Any, **kwargs: Any) -> Any:
        opened.append(args[1])
        return client(*args, **kwargs)

    monkeypatch.setattr(boto3.Session, "client", counted)
    for session in (OLD, NEW):
        assert npc_lims.get_sorted_data_paths_from_s3(session)
        assert npc_lims.get_skipped_probes(session) == ""
        assert npc_lims.get_session_info(session).is_sorted
    assert npc_lims.get_subjects_from_training_db()
    assert opened == ["s3"], "each takes a fifth of a second"
