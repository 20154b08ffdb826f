"""Data assets that are not as the API describes them: skipped and reported, at the cost of no recorded fact."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from npc_lims.clients.codeocean import AssetClient, open_client
from npc_lims.clients.s3 import MirrorStore
from npc_lims.config.settings import Settings
from npc_lims.errors import SourceError
from npc_lims.model.data_asset import SEARCHED_NAMES, read_asset
from npc_lims.model.reconcile import reconcile
from npc_lims.model.record import Asset, CodeOcean, Observation, Record
from npc_lims.sessions.find_asset import query_session_assets
from npc_lims.sessions.live import live_context
from npc_lims.sources.codeocean.query import observe
from tests.builders import LATER_NAME, RAW_NAME, SESSION, SORTED_NAME, asset, by_id, context, no_assets, put, record
from tests.servers.codeocean import asset_id, make_asset

NEXT_DAY = "626791_2022-08-16"
OTHER = "668755_2023-08-31"
OTHER_NAME = "ecephys_668755_2023-08-31_12-33-31"
NEW_SORTED = f"{RAW_NAME}_sorted_2024-07-11_09-00-00"
NEW_ID = asset_id(NEW_SORTED)


def recorded(session_id: str = SESSION) -> Record:
    """A session with raw data and a sorting result."""
    return record(session_id, codeocean=no_assets(raw=asset(), sorted=asset(SORTED_NAME)))


def look(root: Path, records: dict[str, Record], *assets: Any) -> Observation:
    """What a sync sees of these assets, as the file of a mirror holds them."""
    put(root, "codeocean/data_assets.json", content=json.dumps(assets).encode())
    put(root, f"s3/codeocean-s3datasetsbucket-1u41qdg42ur9/{asset_id(RAW_NAME)}/behavior/x.json")
    settings = Settings(mirror=root)
    return observe(
        context(settings, records, assets=lambda: open_client(settings), store=lambda: MirrorStore(root / "s3"))
    )


INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "created null": ({"created": None}, "created"),
    "created as text": ({"created": "1689066452"}, "created"),
    "created negative": ({"created": -1}, "created"),
    "created zero": ({"created": 0}, "created: 1970-01-01T00:00:00Z is before"),
    "created in days": ({"created": 19_554}, "created: .* is before"),
    "created a fraction": ({"created": 1689066452.5}, "created"),
    "created true": ({"created": True}, "created"),
    "created in milliseconds": ({"created": 1_689_066_452_000}, "created"),
    "created 10^18": ({"created": 10**18}, "created"),
    "created of 400 digits": ({"created": 10**400}, "created"),
    "created infinite": ({"created": float("inf")}, "created"),
    "created not a number": ({"created": float("nan")}, "created"),
    "created in an hour": ({"created": int(time.time()) + 3600}, "created: .* is in the future"),
    "tag null": ({"tags": [None]}, "tags.0"),
    "tags a text": ({"tags": "raw"}, "tags"),
    "archived null": ({"archived": None}, "archived"),
    "archived a text": ({"archived": "false"}, "archived"),
    "archived a number": ({"archived": 0}, "archived"),
    "metadata a list": ({"custom_metadata": []}, "custom_metadata"),
    "level null": ({"custom_metadata": {"data level": None}}, "custom_metadata: .*data level: a text is expected"),
    "level a list": ({"custom_metadata": {"data level": ["raw data"]}}, "custom_metadata: .*data level"),
    "files a text": ({"files": "9"}, "files"),
    "files negative": ({"files": -9}, "files"),
    "files true": ({"files": True}, "files"),
    "state null": ({"state": None}, "state"),
    "state with a line feed": ({"state": "ready\n"}, "state"),
    "type a number": ({"type": 1}, "type"),
    "bucket a text": ({"source_bucket": "s3://bucket"}, "source_bucket"),
    "bucket a list": ({"source_bucket": []}, "source_bucket"),
    "bucket a path": ({"source_bucket": {"bucket": "../x", "prefix": "a"}}, "source_bucket.bucket"),
    "bucket a number": ({"source_bucket": {"bucket": 1}}, "source_bucket.bucket"),
    "prefix with a line feed": ({"source_bucket": {"bucket": "b", "prefix": "a\n::error::b"}}, "source_bucket.prefix"),
    "id null": ({"id": None}, "id"),
    "id a number": ({"id": 7}, "id"),
    "id a list": ({"id": []}, "id"),
    "id a path": ({"id": "../../x"}, "id"),
    "id with a line feed": ({"id": f"{NEW_ID}\n::error::x"}, "id"),
    "id empty": ({"id": ""}, "id"),
    "name with a line feed": ({"name": f"{NEW_SORTED}\n"}, "name"),
    "name with a tab": ({"name": f"{NEW_SORTED}\t"}, "name"),
    "name with an escape": ({"name": f"{NEW_SORTED}\x1b[2J"}, "name"),
    "name with space": ({"name": f" {NEW_SORTED}"}, "name"),
    "name with a lone surrogate": ({"name": f"{NEW_SORTED}\ud800"}, "name"),
    "name that begins with one": ({"name": f"\udfff{NEW_SORTED}"}, "name"),
    "name with a separator": ({"name": f"{NEW_SORTED}\u2028"}, "name"),
    "time of no clock": ({"name": "ecephys_626791_2022-08-15_99-99-99"}, "name: there is no time 2022-08-15_99-99-99"),
    "hour 24": ({"name": "ecephys_626791_2022-08-15_24-00-00"}, "name: there is no time"),
    "time of no clock in a result": ({"name": f"{RAW_NAME}_sorted_2024-07-11_99-99-99"}, "name: there is no time"),
    "name too long": ({"name": f"{NEW_SORTED}_{'x' * 2000}"}, "name"),
}


@pytest.mark.parametrize(("fields", "reason"), INVALID.values(), ids=INVALID.keys())
def test_an_invalid_asset_costs_its_session_no_fact_and_the_others_nothing(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    before = by_id(recorded(), record(NEXT_DAY), record(OTHER))
    broken = {**make_asset(NEW_SORTED), **fields}
    found = look(tmp_path, before, make_asset(RAW_NAME), make_asset(SORTED_NAME), broken, make_asset(OTHER_NAME))
    assert found.failure is not None
    assert isinstance(found.facts[OTHER], CodeOcean), "another subject is read as ever"
    assert found.facts[NEXT_DAY] is False, "so is another day of the subject"
    assert SESSION not in found.facts
    assert reconcile(before, [found])[SESSION].codeocean == before[SESSION].codeocean
    (problem,) = found.problems
    assert (problem.file, problem.severity) == (SESSION, "warning")
    for text in (problem.message, str(found.failure)):
        assert "is not as the API describes it: " in text
        assert text.isprintable()
    assert re.search(reason, problem.message)


def test_an_invalid_asset_leaves_a_new_session_unknown(tmp_path: Path) -> None:
    found = look(tmp_path, by_id(record()), {**make_asset(RAW_NAME), "created": None})
    assert reconcile(by_id(record()), [found])[SESSION].codeocean is None


@pytest.mark.parametrize("fields", [{"state": "draft"}, {"state": "failed"}, {"archived": True}])
def test_an_asset_that_is_of_no_use_may_be_invalid(tmp_path: Path, fields: dict[str, Any]) -> None:
    broken = {**make_asset(NEW_SORTED), "created": None, "tags": [None], **fields}
    found = look(tmp_path, by_id(record()), make_asset(RAW_NAME), broken)
    assert (found.failure, found.problems) == (None, ())
    assert isinstance(found.facts[SESSION], CodeOcean)


def test_an_invalid_asset_of_imaging_may_be_of_any_day_of_its_subject(tmp_path: Path) -> None:
    broken = {**make_asset("SmartSPIM_626791_2022-10-11_10-20-30"), "created": None}
    found = look(tmp_path, by_id(recorded(), record(NEXT_DAY), record(OTHER)), broken, make_asset(OTHER_NAME))
    assert list(found.facts) == [OTHER]


def test_an_invalid_asset_of_a_day_of_no_calendar_may_be_of_any_day_of_its_subject(tmp_path: Path) -> None:
    broken = {**make_asset(RAW_NAME), "name": "ecephys_626791_2022-02-30_10-20-30"}
    found = look(tmp_path, by_id(recorded(), record(NEXT_DAY), record(OTHER)), broken, make_asset(OTHER_NAME))
    assert list(found.facts) == [OTHER]
    assert "there is no time 2022-02-30_10-20-30" in str(found.failure)


NO_NAME = [None, "", " ", "\n", "\ud800", 7, ["a"], {"a": 1}, True]


@pytest.mark.parametrize("name", NO_NAME, ids=map(repr, NO_NAME))
@pytest.mark.parametrize(
    "told",
    [
        {"tags": ["626791", "raw"]},
        {"tags": ["of 626791."], "custom_metadata": []},
        {"custom_metadata": {"subject id": "626791"}},
        {"custom_metadata": {"subject id": 626791}},
        {"source_bucket": {"bucket": "b", "prefix": f"{RAW_NAME}"}},
        {"mount": RAW_NAME},
        {"description": "raw data of subject 626791"},
    ],
    ids=["tag", "words", "metadata", "number", "bucket", "mount", "description"],
)
def test_an_asset_without_a_name_belongs_to_the_subject_that_it_names(
    tmp_path: Path, name: object, told: dict[str, Any]
) -> None:
    before = by_id(recorded(), record(OTHER))
    found = look(tmp_path, before, {"id": "x", "name": name, "state": "ready", **told}, make_asset(OTHER_NAME))
    assert list(found.facts) == [OTHER]
    assert "data asset without a name (x)" in str(found.failure) or "name: a text on one line" in str(found.failure)
    assert reconcile(before, [found])[SESSION].codeocean == before[SESSION].codeocean


@pytest.mark.parametrize("name", NO_NAME, ids=map(repr, NO_NAME))
def test_while_an_asset_tells_nothing_no_fact_is_turned_off(tmp_path: Path, name: object) -> None:
    before = by_id(recorded(), record(NEXT_DAY), record(OTHER))
    raw = make_asset(RAW_NAME)
    found = look(tmp_path, before, raw, {"id": None, "name": name, "state": "ready"}, make_asset(OTHER_NAME))
    assert found.failure is not None
    after = reconcile(before, [found])
    kept = after[SESSION].codeocean
    assert isinstance(kept, CodeOcean)
    assert kept.sorted == asset(SORTED_NAME)
    assert after[NEXT_DAY].codeocean is None
    other = after[OTHER].codeocean
    assert isinstance(other, CodeOcean)
    assert (isinstance(other.raw, Asset), other.sorted) == (True, None), "what was found is recorded"


@pytest.mark.parametrize(
    "fields",
    [
        {"name": None, "custom_metadata": {"subject id": "700001"}},
        {"name": "an\tanalysis"},
        {"name": "ecephys_700001_2022-08-15_99-99-99"},
        {"name": "an analysis of 626791", "created": None},
    ],
)
def test_an_invalid_asset_of_something_else_does_not_matter(tmp_path: Path, fields: dict[str, Any]) -> None:
    other = {"id": "x", "state": "ready", "tags": ["raw"], **fields}
    found = look(tmp_path, by_id(record()), make_asset(RAW_NAME), other)
    assert (found.failure, found.problems) == (None, ())


@pytest.mark.parametrize("broken", [None, "x", 7, [], [{}], {}])
def test_an_item_that_is_no_asset_costs_no_other(tmp_path: Path, broken: object) -> None:
    before = by_id(recorded(), record(OTHER))
    found = look(tmp_path, before, make_asset(RAW_NAME), broken, make_asset(SORTED_NAME), make_asset(OTHER_NAME))
    assert "data asset without a name (without an id)" in str(found.failure)
    after = reconcile(before, [found])
    kept, other = after[SESSION].codeocean, after[OTHER].codeocean
    assert isinstance(kept, CodeOcean) and isinstance(other, CodeOcean)
    assert isinstance(kept.sorted, Asset)
    assert isinstance(other.raw, Asset), "what was found is recorded"


def test_an_errored_result_whose_name_was_damaged_stays_errored(tmp_path: Path) -> None:
    before = by_id(record(SESSION, codeocean=no_assets(raw=asset(), errored={NEW_ID: "only 6 files"})), record(OTHER))
    moved = {**make_asset(NEW_SORTED), "name": f"{OTHER_NAME}_sorted_2024-07-11_99-99-99"}
    found = look(tmp_path, before, make_asset(RAW_NAME), moved, make_asset(OTHER_NAME))
    assert found.failure is not None
    assert reconcile(before, [found])[SESSION].codeocean == before[SESSION].codeocean


def test_a_recorded_asset_whose_name_was_damaged_is_not_gone(tmp_path: Path) -> None:
    before = by_id(recorded(), record(OTHER))
    for name in (None, "\x00\x01damaged", "\ud800"):
        broken = {**make_asset(SORTED_NAME), "name": name, "tags": None, "custom_metadata": None, "mount": None}
        found = look(tmp_path, before, make_asset(RAW_NAME), broken)
        assert found.failure is not None
        assert reconcile(before, [found])[SESSION].codeocean == before[SESSION].codeocean
        assert found.facts[OTHER] is False, "its id tells whose it is"


class _Forgetful:
    """A client whose search leaves out an asset that is invalid when it is asked for by id."""

    def search(self, **params: Any) -> Iterator[list[dict[str, Any]]]:
        yield [make_asset(OTHER_NAME)]

    def get(self, asset_id: str) -> dict[str, Any] | None:
        return {**make_asset(RAW_NAME), "created": None} if asset_id == make_asset(RAW_NAME)["id"] else None


def test_an_asset_that_is_left_out_and_invalid_is_not_gone(tmp_path: Path) -> None:
    before = by_id(recorded(), record(OTHER))
    client: AssetClient = _Forgetful()
    found = observe(context(records=before, assets=lambda: client, store=lambda: MirrorStore(tmp_path)))
    assert list(found.facts) == [OTHER]
    assert "created" in str(found.failure)


@pytest.mark.parametrize(
    "fields",
    [
        {"files": 1},
        {"name": LATER_NAME},
        {"created": 1_700_000_000},
        {"state": "failed"},
        {"created": None},
        {"tags": ["derived"]},
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_two_assets_of_one_id_are_both_doubtful(tmp_path: Path, fields: dict[str, Any], swapped: bool) -> None:
    before = by_id(recorded(), record(OTHER))
    pair = [make_asset(RAW_NAME), {**make_asset(RAW_NAME), **fields}]
    found = look(tmp_path, before, *(pair[::-1] if swapped else pair), make_asset(OTHER_NAME))
    assert list(found.facts) == [OTHER]
    assert reconcile(before, [found])[SESSION].codeocean == before[SESSION].codeocean
    assert "the search gives different assets of this id" in " ".join(one.message for one in found.problems)


def test_many_invalid_assets_are_reported_in_part(tmp_path: Path) -> None:
    broken = [{**make_asset(NEW_SORTED), "id": f"x{number}", "created": None} for number in range(200)]
    found = look(tmp_path, by_id(record()), *broken)
    assert len(found.problems) == 50
    assert "and 199 more are invalid" in str(found.failure)


def test_a_time_of_no_clock_is_no_name_of_a_session() -> None:
    for name in (f"{RAW_NAME}\n", f"{RAW_NAME}_x\n"):
        assert SEARCHED_NAMES.match(name) is None


def test_a_live_look_up_names_the_invalid_asset_of_its_session(tmp_path: Path) -> None:
    settings = Settings(mirror=tmp_path)
    broken = {**make_asset(NEW_SORTED), "created": "\n::error::x"}
    put(tmp_path, "codeocean/data_assets.json", content=json.dumps([make_asset(RAW_NAME), broken]).encode())
    with pytest.raises(SourceError, match=f"data asset {NEW_SORTED} .*: created .*correct it in Code Ocean"):
        query_session_assets(live_context(settings, by_id(record()), [SESSION]), SESSION)
    later = live_context(settings, by_id(record(NEXT_DAY)), [NEXT_DAY])
    assert query_session_assets(later, NEXT_DAY).facts is None


@pytest.mark.parametrize(("fields", "reason"), INVALID.values(), ids=INVALID.keys())
def test_one_asset_is_validated_like_many(fields: dict[str, Any], reason: str) -> None:
    if "there is no time" in reason:
        assert read_asset({**make_asset(NEW_SORTED), **fields}).name, "an asset of an id may have any name"
        return
    with pytest.raises(SourceError, match=reason) as raised:
        read_asset({**make_asset(NEW_SORTED), **fields})
    assert str(raised.value).isprintable()
