"""Mappings whose values are made when they are first used."""

from __future__ import annotations

from npc_lims.utils.mappings import LazyMapping, differing_keys, with_changes


def test_values_are_made_once_and_only_if_they_are_used() -> None:
    made: list[str] = []

    def make(key: str) -> list[str]:
        made.append(key)
        return [key]

    before = LazyMapping("abc", make)
    assert (list(before), len(before), "a" in before, "x" in before, made) == (["a", "b", "c"], 3, True, False, [])
    assert before["a"] is before["a"]
    after = with_changes(before, {"b": ["other"], "d": ["new"]}, {"c"})
    assert differing_keys(before, after) == ["b", "c", "d"]
    assert made == ["a", "b"], "of values that both share nothing is made"
    assert after == {"a": ["a"], "b": ["other"], "d": ["new"]}
    assert after["a"] is before["a"]


def test_mappings_of_other_kinds_are_compared_too() -> None:
    one, other = [1], [1]
    lazy = LazyMapping("a", lambda key: one)
    assert differing_keys(lazy, {"a": one}) == []
    assert differing_keys({"a": other, "b": one}, lazy) == ["a", "b"]
    assert with_changes({"a": 1, "b": 2}, {"c": 3}, {"a"}) == {"b": 2, "c": 3}
