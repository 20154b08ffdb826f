"""What changed, in words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.model.flags import FLAGS
from npc_lims.model.record import CodeOcean, Record
from npc_lims.state.diff import (
    ABSENT,
    GROUPS,
    FieldChange,
    SessionChange,
    by_group,
    changes_between,
    compare_sessions,
    headline,
    one_line,
    show_field,
)
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
        ({"s3": nothing_on_s3()}, {"s3": None}, ("s3 facts gone",)),
        ({"codeocean": no_assets()}, {"codeocean": False}, ("codeocean facts gone",)),
    ],
)
def test_kinds_of_change(before: dict[str, Any], after: dict[str, Any], what: tuple[str, ...]) -> None:
    assert change(record(**before), record(**after)).what == what


@pytest.mark.parametrize("section", [{"training": False}, {"codeocean": no_assets()}, {"s3": nothing_on_s3()}])
def test_a_section_that_is_new_needs_no_details(section: dict[str, Any]) -> None:
    assert change(record(), record(**section)).details == ()


def test_every_flag_has_its_words() -> None:
    for name in set(FLAGS) - {"raw_asset_id"}:
        before = record(codeocean=no_assets()).model_copy(update={"status": {name: False}})
        gained = change(before, before.model_copy(update={"status": {name: True}})).what
        assert len(gained) == 1
        assert gained != ("status recomputed",)
        lost = change(before.model_copy(update={"status": {name: True}}), before).what
        assert lost == (f"no longer {gained[0]}",)


def test_a_flag_that_is_newer_than_the_file_is_news_only_with_its_facts() -> None:
    after = record(codeocean=no_assets(raw=asset(), sorted=asset("s")))
    status = {name: value for name, value in after.status.items() if name != "is_sorted"}
    assert change(after.model_copy(update={"status": status}), after).what == ("status recomputed",)
    unsorted = record(codeocean=no_assets(raw=asset()))
    assert change(unsorted.model_copy(update={"status": status}), after).what == ("sorted",)


def test_what_does_not_apply_to_an_untracked_session_is_not_lost() -> None:
    before = record(codeocean=no_assets(raw=asset(), sorted=asset("s")), training=training())
    assert before.status["is_sorted"] is True
    after = record(tracked=False, codeocean=before.codeocean, training=training())
    assert "is_sorted" not in after.status
    assert not [word for word in change(before, after).what if word.startswith("no longer")]
    assert change(before, after).details == ("no longer in tracked_sessions.yaml",)


def test_a_flag_that_becomes_known_as_false_is_no_news() -> None:
    before = record(codeocean=CodeOcean())
    assert change(before, record(codeocean=no_assets())).what == ("codeocean facts changed",)


def test_an_asset_that_is_replaced_is_named() -> None:
    newer = no_assets(raw=asset(LATER_NAME))
    found = change(record(**UPLOADED), record(**{**UPLOADED, "codeocean": newer}))
    assert found.what == ("asset replaced",)
    assert found.details == (f"raw {RAW_NAME} -> {LATER_NAME}",)


def test_a_newer_result_is_a_session_that_was_processed_again() -> None:
    old, new = (no_assets(raw=asset(), sorted=asset(name)) for name in ("first", "second"))
    found = change(record(**{**UPLOADED, "codeocean": old}), record(**{**UPLOADED, "codeocean": new}))
    assert (found.what, found.details, found.group) == (("re-processed",), ("sorted first -> second",), "re-processed")


def test_two_assets_of_one_name_are_distinguished_by_their_ids() -> None:
    old, new = (no_assets(raw=asset(), sorted=asset("same", id=name)) for name in ("1a", "2b"))
    found = change(record(**{**UPLOADED, "codeocean": old}), record(**{**UPLOADED, "codeocean": new}))
    assert found.details == ("sorted 1a -> 2b",)


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
        ({"session_kwargs": {"a": 1}}, {"session_kwargs": {"a": True}}, ("a 1 -> true",)),
        ({"session_kwargs": {"a": [1]}}, {"session_kwargs": {"a": [1.0]}}, ("a [1] -> [1.0]",)),
        ({"session_kwargs": {"a": None}}, {"session_kwargs": {"a": False}}, ("a (none) -> false",)),
        ({"session_kwargs": {"a": "1"}}, {"session_kwargs": {"a": 1}}, ('a "1" -> 1',)),
        ({"project": "A"}, {"project": "B"}, ("project A -> B",)),
        # the day is the experiment's too: said once
        ({"day": 3, "experiment_day": 3}, {"day": 4, "experiment_day": 4}, ("day 3 -> 4",)),
        ({"experiment_day": 3}, {"experiment_day": 4}, ("experiment_day 3 -> 4",)),
        ({"issues": []}, {"issues": ["x" * 100]}, ("issues (none) -> " + "x" * 77 + "...",)),
    ],
)
def test_edits_are_described(before: dict[str, Any], after: dict[str, Any], details: tuple[str, ...]) -> None:
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


def test_every_field_that_differs_is_there_for_programs() -> None:
    sections = {**UPLOADED, "codeocean": no_assets(raw=asset(), sorted=asset(SORTED_NAME))}
    found = change(record(**UPLOADED), record(**sections))
    assert [field.field for field in found.fields] == ["codeocean.sorted", "status.is_sorted"]
    assert found.as_dict()["fields"][1] == {"field": "status.is_sorted", "before": False, "after": True}


def test_a_field_that_is_absent_is_not_null() -> None:
    found = change(record(), record(tracked=tracked(day=4)))
    assert found.fields == (FieldChange("tracked.day", ABSENT, 4),)
    assert found.fields[0].as_dict() == {"field": "tracked.day", "after": 4}


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (FieldChange("status.is_sorted", None, False), "is_sorted ? -> no"),
        (FieldChange("status.is_sorted", False, True), "is_sorted no -> yes"),
        (FieldChange("s3.nwb_cache", [], ["v1", "v2"]), "s3.nwb_cache nothing -> v1, v2"),
        (FieldChange("s3.raw", None, {"asset": "1"}), "s3.raw ? -> found"),
        (FieldChange("s3.raw", False, {"asset": "1"}), "s3.raw added"),
        (FieldChange("s3.raw", {"asset": "1"}, False), "s3.raw removed"),
        (FieldChange("training.hits", 3, None), "training.hits 3 -> (none)"),
        (FieldChange("tracked.issues", ["a", "b"], []), "issues a, b -> (none)"),
        (FieldChange("tracked.day", ABSENT, 4), "day (none) -> 4"),
        (FieldChange("tracked.notes", "", "a\n- b | c"), 'notes "" -> a - b | c'),
    ],
)
def test_values_in_words(field: FieldChange, text: str) -> None:
    assert show_field(field) == text


def test_a_change_is_listed_by_its_most_important_kind() -> None:
    changes = [
        SessionChange("a", ("sorted", "uploaded", "with video")),
        SessionChange("b", ("no longer sorted", "edited")),
        SessionChange("c", ("training row changed",)),
        SessionChange("d", ("schema 1 -> 2",)),
        SessionChange("e", ("with video",)),
        SessionChange("f", ("training row gone",)),
    ]
    assert {name: [change.id for change in members] for name, members in by_group(changes).items()} == {
        "lost": ["b", "f"],
        "uploaded": ["a"],
        "other progress": ["e"],
        "other facts": ["c"],
        "other schema": ["d"],
    }


def test_sessions_of_another_schema_are_compared_by_their_fields() -> None:
    old = {"a": {"schema": 1, "id": "a", "status": {}}}
    (found,) = compare_sessions(old, {"a": {"schema": 2, "id": "a", "status": {}}})
    assert (found.what, found.details) == (("schema 1 -> 2",), ())
    (found,) = compare_sessions(old, {"a": {"schema": 2, "id": "a", "status": {"is_sorted": True}}})
    assert found.what == ("sorted", "schema 1 -> 2")


values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-2, 2) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abid"), inner, max_size=3),
    max_leaves=6,
)


@given(values, values)
def test_sessions_differ_where_json_differs(a: Any, b: Any) -> None:
    def canonical(value: Any) -> Any:
        """As JSON; that of a mapping does not depend on the order of its keys."""
        return json.dumps(value, sort_keys=True)

    changes = compare_sessions({"x": {"tracked": {"v": a}}}, {"x": {"tracked": {"v": b}}})
    assert bool(changes) == (canonical(a) != canonical(b))
    for found in changes:
        assert found.group in GROUPS
        assert all("\n" not in detail and len(detail) < 250 for detail in found.details)


@given(st.text())
def test_text_of_people_stays_in_its_line(text: str) -> None:
    shown = one_line(text)
    assert shown.isprintable()
    assert len(shown) <= 80
