"""Mappings: one of which each value is made when it is first used, as of ten thousand sessions few are; and groups."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class _Cell(Generic[_V]):
    """A value that is made when it is first used."""

    def __init__(self, make: Callable[[], _V]) -> None:
        self._make = make

    @functools.cached_property
    def value(self) -> _V:
        return self._make()


class LazyMapping(Mapping[_K, _V]):
    """The values of some keys; each is made by a function when it is first used."""

    def __init__(self, keys: Iterable[_K], make: Callable[[_K], _V]) -> None:
        self._cells = {key: _Cell(functools.partial(make, key)) for key in keys}

    def __getitem__(self, key: _K) -> _V:
        return self._cells[key].value

    def __contains__(self, key: object) -> bool:
        return key in self._cells

    def __iter__(self) -> Iterator[_K]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)


def grouped(pairs: Iterable[tuple[_K, _V]]) -> dict[_K, list[_V]]:
    """
    >>> grouped([("a", 1), ("b", 2), ("a", 3)])
    {'a': [1, 3], 'b': [2]}
    """
    groups: dict[_K, list[_V]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


def with_changes(mapping: Mapping[_K, _V], changes: Mapping[_K, _V], removed: Collection[_K]) -> Mapping[_K, _V]:
    """Return a copy in which some values are others, and some keys are gone. A lazy one shares all other values."""
    if not isinstance(mapping, LazyMapping):
        return {key: value for key, value in {**mapping, **changes}.items() if key not in removed}
    copy = LazyMapping[_K, _V]((), mapping.__getitem__)
    cells = {**mapping._cells, **{key: _Cell(functools.partial(changes.__getitem__, key)) for key in changes}}
    copy._cells = {key: cell for key, cell in cells.items() if key not in removed}
    return copy


def differing_keys(before: Mapping[_K, _V], after: Mapping[_K, _V]) -> list[_K]:
    """Return the keys whose values are missing or another object in one mapping; lazy values are not made for it."""
    keys = dict.fromkeys((*before, *after))
    if isinstance(before, LazyMapping) and isinstance(after, LazyMapping):
        keys = {key: None for key in keys if before._cells.get(key) is not after._cells.get(key)}
    return [key for key in keys if key not in before or key not in after or before[key] is not after[key]]
