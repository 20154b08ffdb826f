"""What changed, in words."""

from __future__ import annotations

from typing import Any

import pytest

from npc_lims.model import CodeOcean, Record
from npc_lims.state.diff import SessionChange, changes_between, headline
from npc_lims.status import FLAGS
from tests.builders import (
    LATER_NAME,
    RAW_NAME,
    SECOND,
    SESSION,
    SORTED_NAME,
    asset,
    by_id,
    listing,
    no_assets,
    nothing_on_s3,
    record,
    tracked,
    training,
)

UPLOADED: dict[str, Any] = {
    "codeocean": no_assets(raw=asset()),
    "s3": nothing_on_s3(raw=listing(ecephys=["ecephys_compressed"])),
}


def change(before: Record, after: Record) -> SessionChange:
    (found,) = changes_between(by_id(before), by_id(after))
    assert found.id == SESSION
    return found


def test_nothing_changed() -> None:
    records = by_id(record(), record(SECOND))
    assert changes_between(records, dict(records)) == []
    assert changes_between(by_id(record()), by_id(record())) == []
    assert headline([]) == "nothing changed"


def test_new_and_removed_sessions_in_id_order() -> None:
    changes = changes_between(by_id(record(SECOND)), by_id(record(SESSION)))
    assert changes == [SessionChange(SESSION, ("new",)), SessionChange(SECOND, ("removed",))]


def test_of_a_new_session_only_milestones_are_news() -> None:
    sections = {**UPLOADED, "codeocean": no_assets(raw=asset(), sorted=asset(SORTED_NAME), dlc_eye=asset("a"))}
    assert changes_between({}, by_id(record(**sections))) == [SessionChange(SESSION, ("new", "uploaded", "sorted"))]


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        (UPLOADED, {**UPLOADED, "codeocean": no_assets(raw=asset(), sorted=asset("s"))}, ("sorted",)),
        ({**UPLOADED, "codeocean": no_assets(raw=asset(), sorted=asset("s"))}, UPLOADED, ("no longer sorted",)),
        ({"s3": nothing_on_s3()}, {"s3": nothing_on_s3(ibl_annotations=["probeA"])}, ("annotated",)),
        ({"s3": nothing_on_s3()}, {"s3": nothing_on_s3(nwb_cache=["v1"])}, ("cached (NWB)",)),
        ({}, {"training": training()}, ("training row added",)),
        ({"training": training()}, {"training": training(row=2)}, ("training row changed",)),
        ({"training": training()}, {"training": False}, ("training row gone",)),
        ({}, {"training": False}, ("training first seen",)),
        ({}, {"codeocean": no_assets()}, ("codeocean first seen",)),
        ({"s3": nothing_on_s3()}, {"s3": nothing_on_s3(stim=["a.hdf5"])}, ("s3 facts changed",)),
    ],
)
def test_kinds_of_change(before: dict[str, Any], after: dict[str, Any], what: tuple[str, ...]) -> None:
    assert change(record(**before), record(**after)).what == what


def test_every_flag_has_its_words() -> None:
    before = record(codeocean=no_assets()).model_copy(update={"status": {}})
    for name in set(FLAGS) - {"raw_asset_id"}:
        gained = change(before, before.model_copy(update={"status": {name: True}})).what
        assert len(gained) == 1
        assert gained != ("status recomputed",)
        lost = change(before.model_copy(update={"status": {name: True}}), before).what
        assert lost == (f"no longer {gained[0]}",)


def test_a_flag_that_becomes_known_as_false_is_no_news() -> None:
    before = record(codeocean=CodeOcean())
    assert change(before, record(codeocean=no_assets())).what == ("codeocean facts changed",)


def test_an_asset_that_is_replaced_is_named() -> None:
    newer = no_assets(raw=asset(LATER_NAME))
    found = change(record(**UPLOADED), record(**{**UPLOADED, "codeocean": newer}))
    assert found.what == ("asset replaced",)
    assert found.details == (f"raw {RAW_NAME} -> {LATER_NAME}",)


@pytest.mark.parametrize(
    ("before", "after", "details"),
    [
        ({"day": 3}, {"day": 4}, ("day 3 -> 4",)),
        ({}, {"day": 4}, ("day (none) -> 4",)),
        ({"notes": "a"}, {}, ("notes a -> (none)",)),
        (
            {"session_kwargs": {"probe_letters_to_skip": "D"}},
            {"session_kwargs": {"probe_letters_to_skip": "DE"}},
            ("probe_letters_to_skip D -> DE",),
        ),
        ({}, {"session_kwargs": {"a": 1}}, ("a (none) -> 1",)),
        ({"issues": []}, {"issues": ["x" * 100]}, ("issues (none) -> ['" + "x" * 55 + "...",)),
    ],
)
def test_edits_are_told(before: dict[str, Any], after: dict[str, Any], details: tuple[str, ...]) -> None:
    found = change(record(tracked=tracked(**before)), record(tracked=tracked(**after)))
    assert (found.what, found.details) == (("edited",), details)


@pytest.mark.parametrize(
    ("before", "after", "detail"),
    [
        (tracked("behavior"), False, "no longer in tracked_sessions.yaml"),
        (False, tracked("behavior"), "now in tracked_sessions.yaml"),
    ],
)
def test_sessions_that_come_to_be_tracked_or_cease_to(before: object, after: object, detail: str) -> None:
    found = change(record(tracked=before, training=training()), record(tracked=after, training=training()))
    assert detail in found.details
    assert "edited" in found.what


def test_a_status_that_newer_rules_give() -> None:
    before = record(**UPLOADED).model_copy(update={"status": {"is_sorted": None}})
    after = before.model_copy(update={"status": {"is_sorted": False}})
    assert change(before, after).what == ("status recomputed",)


def test_headline_counts_the_commonest_first() -> None:
    changes = [
        SessionChange("a", ("new", "sorted")),
        SessionChange("b", ("sorted",)),
        SessionChange("c", ("sorted", "asset replaced")),
        SessionChange("d", ("new",)),
    ]
    assert headline(changes) == "3 sorted, 2 new, 1 asset replaced"
