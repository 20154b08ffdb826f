"""Rendering of values, and the style of neighbouring entries: indents and the order of keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from npc_lims.sources.tracked.schema import ENTRY_KEYS, KNOWN_KWARGS
from npc_lims.sources.yaml_nodes import ListNode, MapNode, Node
from npc_lims.track.entry_spans import EntrySpan, Layout, child, dash_column
from npc_lims.utils.yaml import render_yaml

_IN_LINES = ("issues",)
"""Lists that are written one item a line; others are in brackets if they hold no mapping."""

_NOT_IN_BRACKETS = frozenset(",[]{}:")

_ORDER = (*(key for key in ENTRY_KEYS if key not in ("notes", "issues", "session_kwargs")), "notes", "issues")
_DEFAULT_ORDER = {key: rank for rank, key in enumerate((*_ORDER, "session_kwargs", *KNOWN_KWARGS))}


@dataclasses.dataclass(frozen=True)
class Style:
    """Indents, each from the column of what it belongs to.

    Attributes:
        dash: Of a dash, from its project.
        path: Of a path, from its dash.
        keys: Of keys, from their path.
        nested: Of keys in session_kwargs, from session_kwargs.
        items: Of the dash of list items, from their key.
    """

    dash: int = 2
    path: int = 2
    keys: int = 2
    nested: int = 4
    items: int = 2


# ------------------------------------------------------------------------------- rendering


def inline(value: Any, *, in_brackets: bool = False) -> str:
    """Return a value on one line, which every YAML reader reads as the same.

    >>> inline("NO"), inline("EF"), inline(["a", {"b": True}])
    ('"NO"', 'EF', '[a, {b: true}]')
    """
    if isinstance(value, Mapping):
        pairs = (f"{inline(k, in_brackets=True)}: {inline(v, in_brackets=True)}" for k, v in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(inline(item, in_brackets=True) for item in value)}]"
    text = render_yaml({"v": value})[len("v: ") : -1]
    if in_brackets and text == value and not _NOT_IN_BRACKETS.isdisjoint(text):
        return f'"{text}"'  # what is plain elsewhere needs no escapes
    return text


def written(key: str, value: Any, style: Style) -> list[str]:
    """Return the lines of a key and its value, from the key's own column on."""
    behind, below = value_lines(key, value, style)
    return [f"{inline(key)}: {behind}" if behind else f"{inline(key)}:", *below]


def value_lines(key: str, value: Any, style: Style) -> tuple[str, list[str]]:
    """Return the text behind the colon of a key, or else the lines below it, from the key's own column on."""
    if isinstance(value, Mapping) and value:
        return "", _indented(style.nested, _mapping(value, style))
    if isinstance(value, Sequence) and not isinstance(value, str) and _takes_lines(key, value):
        return "", _indented(style.items, [line for item in value for line in list_item(item, style)])
    return inline(value), []


def list_item(item: Any, style: Style) -> list[str]:
    """Return the lines of an item of a list that is written one item a line, its dash first."""
    lines = _mapping(item, style) if isinstance(item, Mapping) and item else [inline(item)]
    return [f"- {lines[0]}", *_indented(2, lines[1:])]


def _takes_lines(key: str, value: Sequence[Any]) -> bool:
    return bool(value) and (key in _IN_LINES or any(isinstance(item, Mapping) for item in value))


def _mapping(value: Mapping[str, Any], style: Style) -> list[str]:
    return [line for key, item in value.items() for line in written(key, item, style)]


def _indented(indent: int, lines: Iterable[str]) -> list[str]:
    return [f"{' ' * indent}{line}" for line in lines]


# ------------------------------------------------------------------------------ neighbours


def neighbours(layout: Layout, position: int, group: str) -> list[EntrySpan]:
    """Return the other entries, the nearest first: of the same project before others, above before below."""
    above = [item for item in reversed(layout.items) if item.start < position]
    below = [item for item in layout.items if item.start > position]
    near = above + below
    return [item for item in near if item.group == group] + [item for item in near if item.group != group]


def style_near(items: Sequence[EntrySpan], layout: Layout) -> Style:
    """Return the style of the nearest entries, each trait from the nearest that shows it."""
    found: dict[str, int] = {}
    for item in items:
        if not item.list.flow:
            for trait, indent in _traits(item, layout):
                if indent >= (0 if trait in ("dash", "items") else 1):
                    found.setdefault(trait, indent)
        if len(found) == len(dataclasses.fields(Style)):
            break
    return Style(**found)


def _traits(item: EntrySpan, layout: Layout) -> Iterator[tuple[str, int]]:
    platform = layout.platform(item.platform)
    project = child(platform and platform[1], item.project)
    assert project is not None
    dash = dash_column(item.list, layout.lines) + 1
    yield "dash", dash - project[0].column
    yield "path", item.path.column - dash
    if isinstance(item.below, MapNode) and item.below.pairs and not item.below.flow:
        yield "keys", item.below.pairs[0][0].column - item.path.column
        yield from _traits_below(item.below, layout)


def _traits_below(node: MapNode, layout: Layout) -> Iterator[tuple[str, int]]:
    for key, value in node.pairs:
        if isinstance(value, MapNode) and value.pairs and not value.flow:
            yield "nested", value.pairs[0][0].column - key.column
            yield from _traits_below(value, layout)
        elif isinstance(value, ListNode) and value.items and not value.flow:
            yield "items", dash_column(value, layout.lines) + 1 - key.column


# --------------------------------------------------------------------------- order of keys


def key_position(key: str, present: Sequence[str], examples: Iterable[Sequence[str]]) -> int:
    """Return the position of *key* among *present*: by the first example that shows it, else by the usual order."""
    for example in examples:
        if key not in example or not any(other in present for other in example if other != key):
            continue
        rank = example.index(key)
        before = [n for n, other in enumerate(present) if other in example and example.index(other) < rank]
        after = [n for n, other in enumerate(present) if other in example and example.index(other) > rank]
        return before[-1] + 1 if before else after[0]
    last = len(_DEFAULT_ORDER)
    rank = _DEFAULT_ORDER.get(key, last)
    before = [n for n, other in enumerate(present) if _DEFAULT_ORDER.get(other, last) <= rank]
    return before[-1] + 1 if before else 0


def key_names(node: Node | None) -> list[str]:
    """Return the names of the keys of a mapping, in order."""
    return [key.text for key, _ in node.pairs] if isinstance(node, MapNode) else []
