"""S3 from a mirror folder: what is found in old and new layouts, what is listed again, what failures cost."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from npc_lims.clients.s3 import Folder, MirrorStore, ObjectInfo, ObjectStore
from npc_lims.errors import SourceError
from npc_lims.model.reconcile import reconcile
from npc_lims.model.record import Observation, RawListing, Record, S3Facts
from npc_lims.sources.s3.query import list_raw_folder, observe
from tests.builders import (
    LATER_NAME,
    RAW_NAME,
    SECOND,
    SESSION,
    asset,
    by_id,
    context,
    listing,
    no_assets,
    nothing_on_s3,
    put,
    record,
    tracked,
)

ROOT = f"s3://aind-ephys-data/{RAW_NAME}"
RAW = asset(location=ROOT)
LATER = asset(LATER_NAME, location=f"s3://aind-ephys-data/{LATER_NAME}")
SCRATCH = "s3://aind-scratch-data"
STIM = f"{SCRATCH}/dynamic-routing/DynamicRoutingTask/Data"
IBL = f"{SCRATCH}/dynamic-routing/ibl-gui-output"
TISSUECYTE = f"{SCRATCH}/arjun.sridhar/tissuecyte_cloud_processed"
CACHE = f"{SCRATCH}/dynamic-routing/cache"
UPLOADED = record(codeocean=no_assets(raw=RAW))


class Watched:
    """A store that notes what is listed, and refuses where the name holds one of `refuses`."""

    def __init__(self, inner: ObjectStore, *refuses: str) -> None:
        self._inner = inner
        self._refuses = refuses
        self._lock = threading.Lock()
        self.listed: list[str] = []

    def _note(self, bucket: str, prefix: str) -> None:
        name = f"s3://{bucket}/{prefix}"
        with self._lock:
            self.listed.append(name)
        if any(part in name for part in self._refuses):
            raise SourceError("s3", f"{name}: access denied")

    def raw_listings(self) -> list[str]:
        return [name for name in self.listed if SCRATCH not in name]

    def list_folder(self, bucket: str, prefix: str) -> Folder:
        self._note(bucket, prefix)
        return self._inner.list_folder(bucket, prefix)

    def list_all(self, bucket: str, prefix: str) -> Iterator[ObjectInfo]:
        self._note(bucket, prefix)
        return self._inner.list_all(bucket, prefix)

    def list_tree(self, bucket: str, prefix: str, closed: str) -> Iterator[str]:
        self._note(bucket, prefix)
        return self._inner.list_tree(bucket, prefix, closed)

    def has_any(self, bucket: str, prefix: str) -> bool:
        return self._inner.has_any(bucket, prefix)

    def head(self, bucket: str, key: str) -> ObjectInfo | None:
        return self._inner.head(bucket, key)

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        return self._inner.read(bucket, key, limit)


class World:
    """A mirror folder and the looks at it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def has(self, *addresses: str, content: bytes = b"x") -> None:
        put(self.root, *addresses, content=content)

    def store(self, *refuses: str) -> Watched:
        return Watched(MirrorStore(self.root), *refuses)

    def look(self, *records: Record, store: Watched | None = None, **more: Any) -> Observation:
        return observe(context(records=by_id(*records), store=lambda: store or self.store(), **more))

    def facts(self, one: Record, **more: Any) -> S3Facts:
        found = self.look(one, **more).facts[one.id]
        assert isinstance(found, S3Facts)
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# --- raw folders ---------------------------------------------------------------------------------


def test_the_old_layout(world: World) -> None:
    world.has(
        f"{ROOT}/session.json",
        f"{ROOT}/rig.json",
        f"{ROOT}/subject.json",
        f"{ROOT}/behavior.json",
        f"{ROOT}/behavior/626791.h5",
        f"{ROOT}/behavior_videos/Eye_1.mp4",
        f"{ROOT}/behavior_videos/Side_1.MP4",
        f"{ROOT}/ecephys_clipped/Record Node 101/settings.xml",
        f"{ROOT}/ecephys_clipped/Record Node 101/experiment1/recording1/a.dat",
        f"{ROOT}/ecephys_compressed/experiment1.zarr/0.0.0",
    )
    assert list_raw_folder(world.store(), RAW, "unused") == RawListing(
        asset=RAW.id,
        ecephys=["ecephys_clipped", "ecephys_compressed"],
        behavior=["behavior", "behavior_videos"],
        metadata=["rig.json", "session.json"],
        sync=["behavior/626791.h5"],
        videos=["behavior_videos/Eye_1.mp4", "behavior_videos/Side_1.MP4"],
        settings_xml=["ecephys_clipped/Record Node 101/settings.xml"],
    )


def test_the_new_layout(world: World) -> None:
    world.has(
        f"{ROOT}/acquisition.json",
        f"{ROOT}/instrument.json",
        f"{ROOT}/behavior-videos/Eye_1.mp4",
        f"{ROOT}/ecephys/ecephys_clipped/Record Node 101/settings.xml",
        f"{ROOT}/ecephys/ecephys_compressed/experiment1.zarr/0.0.0",
        f"{ROOT}/behavior/sync.h5",
    )
    found = list_raw_folder(world.store(), RAW, "unused")
    assert (found.ecephys, found.metadata) == (["ecephys"], ["acquisition.json", "instrument.json"])
    assert (found.sync, found.videos) == (["behavior/sync.h5"], ["behavior-videos/Eye_1.mp4"])
    assert found.settings_xml == ["ecephys/ecephys_clipped/Record Node 101/settings.xml"]


LAYOUTS = {
    "old": (["behavior/1.h5", "behavior_videos/e.mp4"], ["ecephys_clipped", "ecephys_compressed"]),
    "new": (["behavior/1.h5", "behavior-videos/e.mp4"], ["ecephys/ecephys_clipped", "ecephys/ecephys_compressed"]),
}


@pytest.mark.parametrize(("behavior", "ecephys"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_raw_folder_takes_one_listing(world: World, behavior: list[str], ecephys: list[str]) -> None:
    clipped, compressed = ecephys
    found = [f"{clipped}/Record Node {number}/settings.xml" for number in (101, 102)]
    chunks = [f"{compressed}/a.zarr/{number}" for number in range(9)]
    world.has(*(f"{ROOT}/{path}" for path in ("session.json", *behavior, *found, *chunks)))
    store = world.store()
    assert list_raw_folder(store, RAW, "unused").settings_xml == found
    assert store.listed == [f"{ROOT}/"]


def test_a_folder_of_very_many_files_is_listed_by_level(world: World) -> None:
    many = [f"{folder}/frames/{number}.txt" for folder in ("behavior", "ecephys_clipped") for number in range(1500)]
    found = ["behavior/626791.h5", "behavior_videos/Eye.mp4", "ecephys_clipped/Record Node 101/settings.xml"]
    unseen = ["behavior/frames/x.h5", "ecephys_clipped/experiment1/settings.xml"]
    world.has(*(f"{ROOT}/{path}" for path in (*many, *found, *unseen)))
    listed = list_raw_folder(world.store(), RAW, "unused")
    assert [*listed.sync, *listed.videos, *listed.settings_xml] == found


class SlashOnly(MirrorStore):
    """A service that knows no other delimiter."""

    def list_tree(self, bucket: str, prefix: str, closed: str) -> Iterator[str]:
        raise SourceError("s3", "NotImplemented: only the delimiter / is supported")


def test_a_service_that_cannot_leave_out_chunks_is_listed_by_level(world: World) -> None:
    world.has(*(f"{ROOT}/{path}" for path in ("behavior/1.h5", "ecephys/ecephys_clipped/Record Node 1/settings.xml")))
    listed = list_raw_folder(SlashOnly(world.root), RAW, "unused")
    assert listed == list_raw_folder(world.store(), RAW, "unused")
    assert (listed.behavior, len(listed.settings_xml)) == (["behavior"], 1)


def test_metadata_below_the_top_is_not_that_of_the_session(world: World) -> None:
    world.has(f"{ROOT}/behavior/session.json")
    assert list_raw_folder(world.store(), RAW, "unused").metadata == []


def test_chunks_are_never_looked_into(world: World) -> None:
    world.has(
        f"{ROOT}/ecephys_compressed/experiment1.zarr/a/0.0.0",
        f"{ROOT}/ecephys_compressed/ecephys_1.zarr/a/0.0.0",
        f"{ROOT}/derivatives/deep/deeper/a.txt",
    )
    store = world.store()
    list_raw_folder(store, RAW, "unused")
    assert store.listed == [f"{ROOT}/"]


def test_an_asset_without_a_source_bucket_is_in_that_of_code_ocean(world: World) -> None:
    world.has(f"s3://results/{asset().id}/session.json")
    assert list_raw_folder(world.store(), asset(), "results").metadata == ["session.json"]


def test_an_asset_that_is_not_on_s3_is_a_failure(world: World) -> None:
    with pytest.raises(SourceError, match="are not on S3 but at gs://bucket/a"):
        list_raw_folder(world.store(), asset(location="gs://bucket/a"), "results")


def test_raw_data_in_another_cloud_cost_no_other_fact(world: World) -> None:
    world.has(f"{STIM}/626791/DynamicRouting1_626791_20220815_130000.hdf5")
    elsewhere = record(codeocean=no_assets(raw=asset(location="gs://bucket/a")))
    seen = world.look(elsewhere)
    assert seen.failure is None
    [problem] = seen.problems
    assert "are not on S3 but at gs://bucket/a" in str(problem)
    facts = seen.facts[SESSION]
    assert isinstance(facts, S3Facts)
    assert (facts.raw, facts.stim) == (None, ["DynamicRouting1_626791_20220815_130000.hdf5"])


@pytest.mark.parametrize(
    ("codeocean", "raw"), [(None, None), (False, False), (no_assets(), False), (no_assets(raw=None), None)]
)
def test_without_a_raw_asset_there_is_no_folder(world: World, codeocean: object, raw: object) -> None:
    world.has(f"{STIM}/626791/DynamicRouting1_626791_20220815_130000.hdf5")
    store = world.store()
    assert world.facts(record(codeocean=codeocean), store=store).raw is raw
    assert store.raw_listings() == []


# --- listed again or not -------------------------------------------------------------------------


def test_an_unchanged_world_is_not_listed_again(world: World) -> None:
    world.has(f"{ROOT}/session.json", f"{ROOT}/behavior/a", f"{ROOT}/ecephys_compressed/a")
    records = reconcile(by_id(UPLOADED), [world.look(UPLOADED)])
    again = world.store()
    after = reconcile(records, [world.look(*records.values(), store=again)])
    assert after[SESSION] is records[SESSION]
    assert again.raw_listings() == []
    assert len(again.listed) == 5


def test_requests_do_not_grow_with_sessions(world: World) -> None:
    listed = listing(asset=RAW.id, ecephys=["ecephys_compressed"], behavior=["behavior"])
    records = [
        record(f"626791_2022-08-{day:02d}", codeocean=no_assets(raw=RAW), s3=nothing_on_s3(raw=listed))
        for day in range(1, 29)
    ]
    store = world.store()
    world.look(*records, store=store)
    assert len(store.listed) == 5


def test_full_lists_all_again(world: World) -> None:
    world.has(f"{ROOT}/session.json", f"{ROOT}/behavior/a", f"{ROOT}/ecephys_compressed/a")
    records = reconcile(by_id(UPLOADED), [world.look(UPLOADED)])
    world.has(f"{ROOT}/rig.json")
    assert world.facts(records[SESSION]).raw == records[SESSION].s3.raw  # type: ignore[union-attr]
    found = world.facts(records[SESSION], full=True).raw
    assert isinstance(found, RawListing)
    assert found.metadata == ["rig.json", "session.json"]


def test_a_new_raw_asset_is_listed(world: World) -> None:
    world.has(f"{ROOT}/ecephys_compressed/a")
    records = reconcile(by_id(UPLOADED), [world.look(UPLOADED)])
    newer = asset(id="newer", location="s3://aind-ephys-data/newer")
    moved = records[SESSION].model_copy(update={"codeocean": no_assets(raw=newer)})
    found = world.facts(moved).raw
    assert found == RawListing(asset="newer")


def test_an_upload_without_ephys_yet_is_listed_until_it_is_there(world: World) -> None:
    world.has(f"{ROOT}/session.json")
    records = reconcile(by_id(UPLOADED), [world.look(UPLOADED)])
    assert records[SESSION].status["is_uploaded"] is False
    world.has(f"{ROOT}/ecephys_compressed/a")
    records = reconcile(records, [world.look(*records.values())])
    assert records[SESSION].status["is_uploaded"] is True


def test_an_upload_without_behavior_yet_is_listed_until_it_is_there(world: World) -> None:
    """So is what was recorded before it was noted whether there is any."""
    world.has(f"{ROOT}/ecephys_compressed/a")
    records = reconcile(by_id(UPLOADED), [world.look(UPLOADED)])
    assert records[SESSION].status["is_video"] is False
    world.has(f"{ROOT}/behavior/a.h5", f"{ROOT}/behavior-videos/a.mp4")
    records = reconcile(records, [world.look(*records.values())])
    assert records[SESSION].status["is_video"] is True
    store = world.store()
    world.look(*records.values(), store=store)
    assert store.raw_listings() == []


def test_only_an_ephys_session_waits_for_behavior(world: World) -> None:
    world.has(f"{ROOT}/ecephys_compressed/a")
    other = record(tracked=tracked("behavior_with_sync"), codeocean=no_assets(raw=RAW))
    records = reconcile(by_id(other), [world.look(other)])
    store = world.store()
    world.look(*records.values(), store=store)
    assert store.raw_listings() == []


def test_a_behavior_upload_is_listed_once(world: World) -> None:
    name = RAW_NAME.replace("ecephys", "behavior")
    raw = asset(name, location=f"s3://aind-behavior-data/{name}")
    world.has(f"s3://aind-behavior-data/{name}/session.json")
    behavior = record(tracked=tracked("behavior"), codeocean=no_assets(raw=raw))
    records = reconcile(by_id(behavior), [world.look(behavior)])
    store = world.store()
    world.look(*records.values(), store=store)
    assert store.raw_listings() == []


def test_only_the_sessions_and_subjects_asked_for(world: World) -> None:
    other = record("668755_2023-08-31", codeocean=no_assets(raw=LATER))
    store = world.store()
    seen = world.look(UPLOADED, other, store=store, scope=[SESSION])
    assert list(seen.facts) == [SESSION]
    assert not any("668755" in name or LATER_NAME in name for name in store.listed)
    assert f"{STIM}/626791/" in store.listed
    assert f"{STIM}/" not in store.listed


# --- shared repositories -------------------------------------------------------------------------


def test_stimulus_files_of_the_day(world: World) -> None:
    names = ["DynamicRouting1_626791_20220815_130000.hdf5", "RFMapping_626791_20220815_140000.hdf5"]
    world.has(*(f"{STIM}/626791/{name}" for name in names))
    world.has(
        f"{STIM}/626791/DynamicRouting1_626791_20220816_130000.hdf5",
        f"{STIM}/626791/old/DynamicRouting1_626791_20220815_150000.hdf5",
        f"{STIM}/626791/notes_20220815.txt",
        f"{STIM}/626792/DynamicRouting1_626792_20220815_130000.hdf5",
    )
    world.has(f"{STIM}/626791/Spontaneous_626791_20220815_160000.hdf5", content=b"")
    assert world.facts(record()).stim == names
    assert world.facts(record(SECOND)).stim == names
    assert world.look(record()).counts["stimulus_files"] == 2


def test_ibl_annotations_of_the_day(world: World) -> None:
    world.has(
        f"{IBL}/626791/ecephys_626791_2022-08-15_13-07-32/probeB/ccf_channel_results.json",
        f"{IBL}/626791/626791_2022-08-15/probeA/ccf_channel_results.json",
        f"{IBL}/626791/626791_2022-08-15_again/probeA/ccf_channel_results.json",
        f"{IBL}/626791/626791_2022-08-15/probeC/previous_alignments.json",
        f"{IBL}/626791/626791_2022-08-16/probeD/ccf_channel_results.json",
    )
    assert world.facts(record()).ibl_annotations == ["probeA", "probeB"]


def tissuecyte_file(probe_and_day: str, subject: int = 626791) -> str:
    return f"Probe_{probe_and_day}_channels_{subject}_warped_processed_new_sorting.csv"


@pytest.mark.parametrize(("day", "names"), [(1, ["A1"]), (2, ["A2", "B2"]), (3, []), (12, ["A12"])])
def test_tissuecyte_files_of_the_experiment_day(world: World, day: int, names: list[str]) -> None:
    for probe_and_day in ("A1", "A2", "B2", "A12"):
        world.has(f"{TISSUECYTE}/626791/{tissuecyte_file(probe_and_day)}")
    world.has(f"{TISSUECYTE}/626791/Probe_A3_channels_626791_warped.csv")
    facts = world.facts(record(tracked=tracked(experiment_day=day)))
    assert facts.tissuecyte_annotations == list(map(tissuecyte_file, names))
    assert facts.tissuecyte_subject is True


def test_the_experiment_day_of_a_session_that_is_not_tracked(world: World) -> None:
    world.has(f"{TISSUECYTE}/626791/{tissuecyte_file('A1')}")
    assert world.facts(record(tracked=False)).tissuecyte_annotations == []
    assert world.facts(record(tracked=None)).tissuecyte_annotations is None


def test_tissuecyte_files_in_the_folder_of_another_subject_are_not_taken(world: World) -> None:
    world.has(f"{TISSUECYTE}/626791/{tissuecyte_file('A1', 626792)}")
    assert world.look(record()).facts[SESSION] is not None
    assert world.look(record(codeocean=False)).facts[SESSION] is False


@pytest.mark.parametrize(
    ("field", "folder"),
    [("parquet_cache", f"{CACHE}/nwb_components/{{}}/session"), ("nwb_cache", f"{CACHE}/nwb/{{}}")],
)
def test_versions_of_the_caches_that_hold_the_session(world: World, field: str, folder: str) -> None:
    world.has(
        *(f"{folder.format(version)}/{SESSION}.parquet" for version in ("v0.0.1", "v0.0.2")),
        f"{folder.format('v0.0.3')}/{SECOND}.nwb.zarr/0",
        f"{folder.format('v0.0.4')}/{SESSION}_old.parquet",
        f"{folder.format('v0.0.5')}/626791.parquet",
    )
    assert getattr(world.facts(record()), field) == ["v0.0.1", "v0.0.2"]
    assert getattr(world.facts(record(SECOND)), field) == ["v0.0.3"]


def test_other_tables_of_the_component_cache_are_not_sessions(world: World) -> None:
    world.has(f"{CACHE}/nwb_components/v0.0.1/units/{SESSION}.parquet")
    assert world.look(record(codeocean=False)).facts[SESSION] is False


def test_nothing_anywhere_is_a_no(world: World) -> None:
    assert world.look(record(codeocean=False)).facts == {SESSION: False}


def test_counts_are_those_of_the_world(world: World) -> None:
    world.has(f"{ROOT}/ecephys_compressed/a", f"{STIM}/626791/a_626791_20220815_130000.hdf5")
    records = reconcile(by_id(UPLOADED), [world.look(UPLOADED)])
    first = world.look(UPLOADED).counts
    assert first == {"raw_folders": 1, "stimulus_files": 1}
    assert world.look(*records.values()).counts == first


def test_progress_ends_with_all_of_all(world: World) -> None:
    told: list[tuple[int, int]] = []
    world.look(UPLOADED, progress=lambda done, total: told.append((done, total)))
    assert max(told) == (6, 6)


# --- failures ------------------------------------------------------------------------------------

REPOSITORIES = {
    "stim": "DynamicRoutingTask/Data",
    "ibl_annotations": "ibl-gui-output",
    "tissuecyte_annotations": "tissuecyte_cloud_processed",
    "tissuecyte_subject": "tissuecyte_cloud_processed",
    "parquet_cache": "cache/nwb_components",
    "nwb_cache": "cache/nwb/",
}


@pytest.mark.parametrize(("field", "refused"), REPOSITORIES.items())
def test_a_repository_that_fails_is_unknown_there_only(world: World, field: str, refused: str) -> None:
    seen = world.look(record(codeocean=False), store=world.store(refused))
    facts = seen.facts[SESSION]
    assert isinstance(facts, S3Facts)
    unknown = {name for name in S3Facts.model_fields if getattr(facts, name) is None}
    assert unknown == {name for name, part in REPOSITORIES.items() if part == refused}
    assert field in unknown
    assert seen.failure is not None
    assert "access denied" in seen.failure.reason
    assert seen.counts == {}


def test_a_repository_of_far_more_files_than_sessions_is_unknown(world: World) -> None:
    """A listing that never ends is given up by what is recorded, not by what a server sends."""

    class Endless(Watched):
        def list_all(self, bucket: str, prefix: str) -> Iterator[ObjectInfo]:
            if "ibl-gui-output" not in prefix:
                return super().list_all(bucket, prefix)
            return (ObjectInfo(f"{prefix}{number}", 1, "") for number in itertools.count())

    seen = world.look(record(codeocean=False), store=Endless(world.store()))
    facts = seen.facts[SESSION]
    assert isinstance(facts, S3Facts)
    assert (facts.ibl_annotations, facts.stim) == (None, [])
    assert seen.failure is not None
    assert "ibl-gui-output has more than 100,500 objects, more than the known" in seen.failure.reason


def test_a_raw_folder_that_fails_is_unknown_there_only(world: World) -> None:
    world.has(f"{ROOT}/ecephys_compressed/a", f"{LATER.location}/ecephys_compressed/a")
    other = record(SECOND, codeocean=no_assets(raw=LATER))
    seen = world.look(UPLOADED, other, store=world.store(LATER_NAME))
    first, second = seen.facts[SESSION], seen.facts[SECOND]
    assert isinstance(first, S3Facts)
    assert isinstance(second, S3Facts)
    assert isinstance(first.raw, RawListing)
    assert (second.raw, second.stim) == (None, [])


def test_half_a_raw_folder_is_none(world: World) -> None:
    world.has(f"{ROOT}/session.json", f"{ROOT}/behavior/a.h5")
    world.has(*(f"{ROOT}/derivatives/{number}" for number in range(3000)))
    assert world.facts(UPLOADED, store=world.store("/behavior/")).raw is None


def test_half_a_cache_is_none(world: World) -> None:
    world.has(f"{CACHE}/nwb/v1/{SESSION}.nwb", f"{CACHE}/nwb/v2/{SESSION}.nwb")
    assert world.facts(record(), store=world.store("cache/nwb/v2")).nwb_cache is None


def test_the_number_of_failures_is_told(world: World) -> None:
    store = world.store("ibl-gui-output", "tissuecyte", "DynamicRoutingTask")
    failure = world.look(record(), store=store).failure
    assert failure is not None
    assert failure.source == "s3"
    assert failure.reason.endswith("access denied (and 2 more listings failed)")


def test_when_all_fails_the_source_fails(world: World) -> None:
    with pytest.raises(SourceError, match="access denied"):
        world.look(UPLOADED, store=world.store("s3://"))


def test_no_failure_changes_what_is_recorded(world: World) -> None:
    world.has(
        f"{ROOT}/session.json",
        f"{ROOT}/ecephys_compressed/a",
        f"{STIM}/626791/a_626791_20220815_130000.hdf5",
        f"{IBL}/626791/626791_2022-08-15/probeA/ccf_channel_results.json",
        f"{TISSUECYTE}/626791/{tissuecyte_file('A1')}",
        f"{CACHE}/nwb_components/v1/session/{SESSION}.parquet",
        f"{CACHE}/nwb/v1/{SESSION}.nwb",
    )
    records = reconcile(by_id(UPLOADED), [world.look(UPLOADED)])
    for refused in [*REPOSITORIES.values(), RAW_NAME, "s3://aind-scratch-data"]:
        store = world.store(refused)
        seen = world.look(*records.values(), store=store, full=True)
        assert seen.failure is not None
        assert reconcile(records, [seen])[SESSION] is records[SESSION]
