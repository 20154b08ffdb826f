"""Code Ocean from a mirror folder: fetching, checks of vanished assets, validation of results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from npc_lims.clients.codeocean import CodeOceanClient, MirrorClient, open_client
from npc_lims.clients.s3 import MirrorStore
from npc_lims.config.settings import Settings
from npc_lims.errors import MissingCredentials, SourceError
from npc_lims.model.reconcile import reconcile
from npc_lims.model.record import Asset, CodeOcean, Observation, Record
from npc_lims.model.unlisted import UnlistedAsset
from npc_lims.sources.codeocean.query import AssetValidator, fetch_assets, observe
from tests.builders import (
    LATER_NAME,
    RAW_NAME,
    SECOND,
    SESSION,
    SORTED_NAME,
    asset,
    by_id,
    context,
    data_asset,
    no_assets,
    put,
    record,
)
from tests.servers.codeocean import asset_id, make_asset

OTHER = "668755_2023-08-31"
OTHER_NAME = "ecephys_668755_2023-08-31_12-33-31"
OUTPUT = f"s3://codeocean-s3datasetsbucket-1u41qdg42ur9/{asset_id(SORTED_NAME)}/output"


class Lab:
    """A mirror folder, what is recorded of it, and a count of the files that are read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "s3").mkdir()
        self.settings = Settings(mirror=root)
        self.reads: list[str] = []

    def holds(self, *assets: dict[str, Any]) -> None:
        put(self.root, "codeocean/data_assets.json", content=json.dumps(assets).encode())

    def store(self) -> MirrorStore:
        return _CountingStore(self.root / "s3", self.reads)

    def look(self, records: dict[str, Record], **more: Any) -> Observation:
        assets = lambda: open_client(self.settings)  # noqa: E731
        return observe(context(self.settings, records, assets=assets, store=self.store, **more))

    def facts(self, records: dict[str, Record], **more: Any) -> CodeOcean:
        found = self.look(records, **more).facts[SESSION]
        assert isinstance(found, CodeOcean)
        return found


class _CountingStore(MirrorStore):
    def __init__(self, root: Path, reads: list[str]) -> None:
        super().__init__(root)
        self._reads = reads

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        self._reads.append(key)
        return super().read(bucket, key, limit)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_a_mirror_needs_no_token_and_the_api_does(lab: Lab) -> None:
    lab.holds()
    assert isinstance(open_client(lab.settings), MirrorClient)
    with pytest.raises(MissingCredentials, match="set CODE_OCEAN_API_TOKEN"):
        CodeOceanClient(Settings())


@pytest.mark.parametrize("content", [None, b"", b"{}", b"1", b"[", b"\xff"])
def test_a_file_that_is_no_list_of_assets_is_a_failure(lab: Lab, content: bytes | None) -> None:
    if content is not None:
        put(lab.root, "codeocean/data_assets.json", content=content)
    with pytest.raises(SourceError, match=r"data_assets\.json"):
        open_client(lab.settings)


def test_facts_for_every_session_that_is_known(lab: Lab) -> None:
    lab.holds(make_asset(RAW_NAME), make_asset(OTHER_NAME), make_asset("ecephys_111111_2022-08-15_13-07-32"))
    seen = lab.look(by_id(record(), record(OTHER), record("668755_2023-09-01")))
    assert set(seen.facts) == {SESSION, OTHER, "668755_2023-09-01"}
    assert seen.facts["668755_2023-09-01"] is False
    assert (seen.counts, seen.complete, seen.failure) == ({"assets": 2}, False, None)


NEW_SUBJECT = "ecephys_700000_2024-06-01_10-00-00"
NEW_DAY = "behavior_626791_2022-08-20_09-00-00"


def names_of(seen: Observation) -> list[str] | None:
    return None if seen.unlisted is None else [one.name for one in seen.unlisted]


def test_recordings_of_days_without_a_session(lab: Lab) -> None:
    lab.holds(
        make_asset(RAW_NAME),
        make_asset(NEW_DAY),
        make_asset(NEW_SUBJECT),
        make_asset(f"{NEW_SUBJECT}_sorted_2024-06-02_10-00-00"),
        make_asset("SmartSPIM_700000_2024-06-01_10-00-00"),
        make_asset("ecephys_700000_2024-06-02_10-00-00", state="failed"),
        make_asset("ecephys_700000_2024-06-03_10-00-00", archived=True),
        make_asset("ecephys_700000_2024-06-04_10-00-00", tags=[], custom_metadata={"data level": "derived data"}),
        make_asset("ecephys_700000_2024-06-05_10-00-00", created=0),
    )
    seen = lab.look(by_id(record()))
    assert names_of(seen) == [NEW_SUBJECT, NEW_DAY]
    assert (seen.failure, list(seen.facts)) == (None, [SESSION]), "that of another subject is no failure, nor a session"
    assert names_of(lab.look(by_id(record()), scope=["700000_2024-06-01"])) == [NEW_SUBJECT]
    assert names_of(lab.look(by_id(record()), by_subject=True)) is None, "such a search is not of all assets"
    lab.holds(make_asset(NEW_DAY), make_asset(NEW_SUBJECT))
    assert names_of(lab.look(by_id(record(), record("700000_2024-06-01")))) == [NEW_DAY]


def test_a_search_that_leaves_one_out_is_incomplete(lab: Lab) -> None:
    unlisted = (UnlistedAsset(asset_id(NEW_SUBJECT), NEW_SUBJECT, "2024-06-01T10:00:00Z"),)

    class Short(MirrorClient):
        def search(self, **params: Any) -> Iterator[list[dict[str, Any]]]:
            for page in super().search(**params):
                yield [one for one in page if params or one["name"] != NEW_SUBJECT]

    lab.holds(make_asset(RAW_NAME), make_asset(NEW_SUBJECT))
    short = Short(lab.root / "codeocean" / "data_assets.json")
    with pytest.raises(SourceError, match=f"left out {NEW_SUBJECT}"):
        observe(context(lab.settings, by_id(record()), assets=lambda: short, store=lab.store, unlisted=unlisted))
    lab.holds(make_asset(RAW_NAME))
    assert names_of(lab.look(by_id(record()), unlisted=unlisted)) == [], "it is gone"


def test_what_cannot_be_read_of_unlisted_recordings_stays(lab: Lab) -> None:
    unlisted = (UnlistedAsset(asset_id(NEW_SUBJECT), NEW_SUBJECT, "2024-06-01T10:00:00Z"),)
    lab.holds(make_asset(RAW_NAME), make_asset(NEW_SUBJECT, created=0))
    assert lab.look(by_id(record()), unlisted=unlisted).unlisted == unlisted
    # of a subject with sessions the whole observation is incomplete, and says nothing about them
    lab.holds(make_asset(RAW_NAME), make_asset(NEW_DAY, created=0))
    assert lab.look(by_id(record())).unlisted is None


def test_facts_for_only_those_asked_for(lab: Lab) -> None:
    lab.holds(make_asset(RAW_NAME), make_asset(OTHER_NAME))
    seen = lab.look(by_id(record(), record(OTHER)), scope=[SESSION, "700000_2024-01-01"])
    assert list(seen.facts) == [SESSION]
    assert seen.counts == {"assets": 1}


def test_progress_tells_how_many_were_seen(lab: Lab) -> None:
    lab.holds(make_asset(RAW_NAME), make_asset("something else"))
    told: list[int] = []
    lab.look(by_id(record()), progress=lambda done, total: told.append(done))
    assert told == [2]


def test_an_asset_on_two_pages_counts_once() -> None:
    class Overlapping:
        def search(self, **params: Any) -> Iterator[list[dict[str, Any]]]:
            yield [make_asset(RAW_NAME), make_asset(LATER_NAME)]
            yield [make_asset(LATER_NAME)]

        def get(self, asset_id: str) -> dict[str, Any] | None:
            return None

    found = fetch_assets(Overlapping(), ["626791"])
    assert [one.name for one in found.assets["626791"]] == [RAW_NAME, LATER_NAME]


def test_subjects_are_asked_for_one_by_one_only_on_request() -> None:
    asked: list[dict[str, Any]] = []

    class Asked:
        def search(self, **params: Any) -> Iterator[list[dict[str, Any]]]:
            asked.append(params)
            yield []

        def get(self, asset_id: str) -> dict[str, Any] | None:
            return None

    records = {f"{700000 + n}_2024-01-01": record(f"{700000 + n}_2024-01-01") for n in range(6)}
    ids = list(records)

    def look(only: list[str] | None, by_subject: bool) -> list[dict[str, Any]]:
        asked.clear()
        observe(context(records=records, assets=Asked, scope=only, by_subject=by_subject))
        return list(asked)

    assert {params["query"].split()[-1] for params in look(ids[:2], by_subject=True)} == {"700000", "700001"}
    assert look(ids[:2], by_subject=False) == [{}]
    assert look(None, by_subject=False) == [{}]


def test_an_asset_of_no_session_may_be_anything(lab: Lab) -> None:
    lab.holds(
        make_asset(RAW_NAME), {"id": "x", "name": "x"}, make_asset("ecephys_111111_2022-08-15_13-07-32", files="many")
    )
    assert isinstance(lab.facts(by_id(record())).raw, Asset)


# --- judging sorting results ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (b"done", None),
        (b"", None),
        (b"Out of memory.", "Out of memory."),
        (b"... Command error: ...", "Command error:"),
        (b"Traceback (most recent call last):\n", "Traceback (most recent call last)"),
    ],
)
def test_the_output_of_a_result_tells_whether_it_errored(lab: Lab, output: bytes, reason: str | None) -> None:
    lab.holds(make_asset(RAW_NAME), make_asset(SORTED_NAME))
    put(lab.root / "s3", OUTPUT, content=output)
    facts = lab.facts(by_id(record()))
    assert bool(facts.sorted) is (reason is None)
    assert facts.errored == ({} if reason is None else {asset_id(SORTED_NAME): reason})


def test_a_result_without_an_output_is_good(lab: Lab) -> None:
    lab.holds(make_asset(SORTED_NAME))
    assert isinstance(lab.facts(by_id(record())).sorted, Asset)


def test_the_output_is_read_where_the_result_is(lab: Lab) -> None:
    place = {"origin": "aws", "bucket": "results", "prefix": "626791/a"}
    lab.holds(make_asset(SORTED_NAME, source_bucket=place))
    put(lab.root / "s3", "s3://results/626791/a/output", content=b"Out of memory.")
    assert lab.facts(by_id(record())).sorted is False


@pytest.mark.parametrize("output", [b"done", b"Out of memory."])
def test_the_output_is_read_once(lab: Lab, output: bytes) -> None:
    lab.holds(make_asset(RAW_NAME), make_asset(SORTED_NAME))
    put(lab.root / "s3", OUTPUT, content=output)
    records = by_id(record())
    for _ in range(3):
        records = reconcile(records, [lab.look(records)])
    assert lab.reads == [f"{asset_id(SORTED_NAME)}/output"]


def test_without_a_new_result_no_bucket_is_opened(lab: Lab) -> None:
    lab.holds(make_asset(RAW_NAME))
    known = record(s3={"raw": {"asset": asset_id(RAW_NAME), "behavior": ["behavior"]}})
    seen = observe(context(lab.settings, by_id(known), assets=lambda: open_client(lab.settings)))
    assert isinstance(seen.facts[SESSION], CodeOcean)


@pytest.mark.parametrize("error", [SourceError("s3", "timed out"), MissingCredentials("no AWS credentials")])
def test_a_bucket_that_cannot_be_read_leaves_the_result_unknown(lab: Lab, error: Exception) -> None:
    def closed() -> MirrorStore:
        raise error

    for name, what in ((SORTED_NAME, "validate the sorting result"), (RAW_NAME, "look into the raw data")):
        lab.holds(make_asset(name))
        assets = lambda: open_client(lab.settings)  # noqa: E731
        seen = observe(context(lab.settings, by_id(record()), assets=assets, store=closed))
        facts = seen.facts[SESSION]
        assert isinstance(facts, CodeOcean)
        assert (facts.raw, facts.sorted) == ((False, None) if name == SORTED_NAME else (None, False))
        assert seen.failure is not None
        assert (seen.failure.source, f"cannot {what} {name}: " in seen.failure.reason) == ("codeocean", True)


def test_of_several_failures_the_same_one_is_told_whatever_the_order(lab: Lab) -> None:
    """Else each sync of a broken night would record another one."""

    def closed() -> MirrorStore:
        raise SourceError("s3", "closed")

    for names in ((RAW_NAME, LATER_NAME), (LATER_NAME, RAW_NAME)):
        validator = AssetValidator(lab.settings, closed)
        assert [validator(data_asset(name)) for name in names] == [None, None]
        assert str(validator.failure) == f"codeocean: cannot look into the raw data {RAW_NAME}: closed"


@pytest.mark.parametrize("place", ["", "aind-ephys-data"])
def test_raw_data_without_behavior_are_not_the_sessions_own(lab: Lab, place: str) -> None:
    source = {"source_bucket": {"origin": "aws", "bucket": place, "prefix": RAW_NAME}} if place else {}
    root = f"s3/{place}/{RAW_NAME}" if place else f"s3/codeocean-s3datasetsbucket-1u41qdg42ur9/{asset_id(RAW_NAME)}"
    lab.holds({**make_asset(RAW_NAME), "source_bucket": None, **source}, make_asset(SORTED_NAME))
    for folder, counts in ({"": True, "ecephys_compressed": False, "behavior": True}).items():
        if folder:
            put(lab.root, f"{root}/{folder}/x.json")
        seen = lab.look(by_id(record()))
        facts = seen.facts[SESSION]
        assert isinstance(facts, CodeOcean)
        assert (bool(facts.raw), len(seen.problems)) == (counts, 0 if counts else 1)
        for problem in seen.problems:
            assert str(problem) == (
                f"{SESSION}:0:0: warning: {RAW_NAME} ({asset_id(RAW_NAME)}) holds no folder 'behavior' or "
                "'behavior-videos', as the main recording of a session has: "
                "it is not used as the session's own raw data"
            )


def test_raw_data_elsewhere_cannot_be_looked_into(lab: Lab) -> None:
    elsewhere = {"origin": "gcp", "bucket": "lab", "prefix": RAW_NAME}
    lab.holds({**make_asset(RAW_NAME), "source_bucket": elsewhere})
    assert isinstance(lab.facts(by_id(record())).raw, Asset)


def test_two_uploads_of_one_second_are_a_problem(lab: Lab) -> None:
    twin = {**make_asset(RAW_NAME), "id": "0"}
    lab.holds(twin, make_asset(RAW_NAME))
    seen = lab.look(by_id(record()))
    (problem,) = seen.problems
    assert (problem.file, problem.severity) == (SESSION, "warning")
    assert problem.message == (
        f"raw data assets made in the same second: {RAW_NAME} ({asset_id(RAW_NAME)}), {RAW_NAME} (0); "
        "the first is used; archive those that are not meant"
    )
    facts = seen.facts[SESSION]
    assert isinstance(facts, CodeOcean)
    assert isinstance(facts.raw, Asset)
    assert facts.raw.id == asset_id(RAW_NAME)


# --- assets that are gone ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "left",
    [
        [],
        [make_asset(RAW_NAME, archived=True)],
        [make_asset(RAW_NAME, state="failed")],
        [{**make_asset(RAW_NAME), "name": "renamed"}],
    ],
    ids=["deleted", "archived", "failed", "renamed"],
)
def test_an_asset_that_is_gone_is_gone(lab: Lab, left: list[dict[str, Any]]) -> None:
    lab.holds(*left)
    assert lab.look(by_id(record(codeocean=no_assets(raw=asset())))).facts[SESSION] is False


class Forgetful:
    """A client whose search leaves assets out that are there when asked for by id."""

    def __init__(self, *assets: dict[str, Any], archived: tuple[dict[str, Any], ...] = ()) -> None:
        self._assets = {one["id"]: one for one in (*assets, *archived)}
        self._archived = list(archived)

    def search(self, **params: Any) -> Iterator[list[dict[str, Any]]]:
        yield self._archived if params.get("archived") else []

    def get(self, asset_id: str) -> dict[str, Any] | None:
        return self._assets.get(asset_id)


def test_a_search_that_leaves_out_what_is_there_is_not_believed() -> None:
    client = Forgetful(make_asset(RAW_NAME))
    with pytest.raises(SourceError, match=f"the search left out {RAW_NAME} .* not used"):
        observe(context(records=by_id(record(codeocean=no_assets(raw=asset()))), assets=lambda: client))


def test_an_archived_asset_may_be_left_out_though_it_does_not_say_so_itself() -> None:
    client = Forgetful(archived=(make_asset(RAW_NAME),))
    records = by_id(record(codeocean=no_assets(raw=asset())))
    assert observe(context(records=records, assets=lambda: client)).facts[SESSION] is False


def test_a_session_that_is_not_asked_about_is_not_missed(lab: Lab) -> None:
    lab.holds(make_asset(OTHER_NAME))
    records = by_id(record(codeocean=no_assets(raw=asset())), record(OTHER), record(SECOND))
    assert list(lab.look(records, scope=[OTHER]).facts) == [OTHER]
