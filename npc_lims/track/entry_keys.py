"""Changes of the keys of an entry: of each only the characters of its value, or its own lines."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from npc_lims.errors import NpcLimsError
from npc_lims.sources.yaml_nodes import ListNode, MapNode, Node, ScalarNode
from npc_lims.track.entry_spans import (
    EntrySpan,
    Layout,
    canonical,
    child,
    colon_end,
    dash_column,
    own_end,
    pair_end,
    plain_of,
)
from npc_lims.track.formatting import (
    Style,
    inline,
    key_names,
    key_position,
    list_item,
    neighbours,
    style_near,
    value_lines,
    written,
)
from npc_lims.track.splice import Splice


def put_keys(item: EntrySpan, new: Mapping[str, Any], layout: Layout) -> list[Splice]:
    """Return the replacements that give an entry the keys and values of *new*, and no others."""
    return _KeyWriter(item, layout).put(new)


def in_order(keys: Mapping[str, Any], near: Sequence[EntrySpan]) -> dict[str, Any]:
    """Return the keys of a new entry, and of its session_kwargs, in the order of its neighbours."""
    ordered = {key: keys[key] for key in _ordered(keys, [key_names(item.below) for item in near])}
    kwargs = ordered.get("session_kwargs")
    if isinstance(kwargs, Mapping):
        examples = [key_names(_at(item, ("session_kwargs",))) for item in near]
        ordered["session_kwargs"] = {key: kwargs[key] for key in _ordered(kwargs, examples)}
    return ordered


def _ordered(keys: Mapping[str, Any], examples: Sequence[Sequence[str]]) -> list[str]:
    order: list[str] = []
    for key in keys:
        order.insert(key_position(key, order, examples), key)
    return order


def _at(item: EntrySpan, path: tuple[str, ...]) -> Node | None:
    node = item.below
    for name in path:
        pair = child(node, name)
        node = pair and pair[1]
    return node


class _KeyWriter:
    """The replacements of one entry, as they are found."""

    def __init__(self, item: EntrySpan, layout: Layout) -> None:
        self._item = item
        self._text, self._lines = layout.text, layout.lines
        self._near = neighbours(layout, item.start, item.group)
        self._style: Style = style_near([item, *self._near], layout)

    def put(self, new: Mapping[str, Any]) -> list[Splice]:
        below = self._item.below
        if canonical(new) == canonical(self._item.keys):
            return []
        if not new:
            return list(self._shrink())
        if isinstance(below, MapNode) and below.pairs:
            return list(self._mapping(below, new, ()))
        return list(self._grow(new))

    # ------------------------------------------------------------------- the entry itself

    def _shrink(self) -> Iterator[Splice]:
        item, below = self._item, self._item.below
        if item.list.flow:
            yield Splice(item.start, item.end, self._text[item.path.start : item.path.end])
            return
        colon = self._colon(item.path)
        if isinstance(below, MapNode) and not below.flow:
            yield Splice(item.path.end, colon)
            for key, value in below.pairs:
                yield Splice(self._lines.start(key.start), pair_end(key, value, self._lines))
        else:
            yield Splice(item.path.end, max(colon, item.path.end if below is None else below.end))

    def _grow(self, new: Mapping[str, Any]) -> Iterator[Splice]:
        item, below = self._item, self._item.below
        new = in_order(new, self._near)
        if item.list.flow:
            path = self._text[item.path.start : item.path.end]
            yield Splice(item.start, item.end, f"{{{path}: {inline(new)}}}")
            return
        if below is None:
            yield Splice(item.path.end, item.path.end, ":")
        else:  # nothing, or something that is no mapping, after the colon
            yield Splice(self._colon(item.path), max(self._colon(item.path), below.end))
        indent = " " * (item.path.column - 1 + self._style.keys)
        keys = [f"{indent}{line}" for key, value in new.items() for line in written(key, value, self._style)]
        yield Splice(item.end, item.end, self._lines.join(keys, item.end))

    # --------------------------------------------------------------------------- mappings

    def _mapping(self, node: MapNode, new: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[Splice]:
        """Give a mapping the keys of *new*; neither is empty."""
        for key, value in node.pairs:
            if key.text in new and canonical(new[key.text]) != canonical(plain_of(value)):
                yield from self._value(key, value, new[key.text], node.flow, (*above, key.text))
        old = key_names(node)
        if node.flow and not any(key in new for key in old):
            yield Splice(node.start, node.end, inline(new))
            return
        yield from self._drop_pairs(node, {n for n, key in enumerate(old) if key not in new})
        yield from self._add_pairs(node, new, above)

    def _drop_pairs(self, node: MapNode, dropped: set[int]) -> Iterator[Splice]:
        if node.flow:
            spans = [(key.start, max(key.end, value.end)) for key, value in node.pairs]
            yield from drop_in_brackets(spans, dropped, self._text)
            return
        for n in sorted(dropped):
            key, value = node.pairs[n]
            yield Splice(self._lines.start(key.start), pair_end(key, value, self._lines))

    def _add_pairs(self, node: MapNode, new: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[Splice]:
        """Put new keys where they go by order; between two keys, above the comments that head the second."""
        old = key_names(node)
        added = {key: value for key, value in new.items() if key not in old}
        order = list(old)
        examples = [key_names(_at(item, above)) for item in self._near]
        for key in in_order(added, self._near):
            order.insert(key_position(key, order, examples), key)
        last: int | None = None
        for key in order:
            if key not in added:
                last = 0 if last is None else last + 1
                continue
            if node.flow:
                kept = [n for n, name in enumerate(old) if name in new]
                yield self._pair_in_brackets(node, last, kept, f"{inline(key, in_brackets=True)}: ", added[key])
                continue
            at = self._lines.start(node.pairs[0][0].start)
            if last is not None:
                at = pair_end(*node.pairs[last], self._lines)
            lines = [f"{' ' * (node.pairs[0][0].column - 1)}{line}" for line in written(key, added[key], self._style)]
            yield Splice(at, at, self._lines.join(lines, at))

    def _pair_in_brackets(self, node: MapNode, after: int | None, kept: list[int], head: str, value: Any) -> Splice:
        text = f"{head}{inline(value, in_brackets=True)}"
        before = [n for n in kept if after is not None and n <= after]
        if not before:
            at = node.pairs[kept[0]][0].start
            return Splice(at, at, f"{text}, ")
        key, old = node.pairs[before[-1]]
        at = max(key.end, old.end)
        return Splice(at, at, f", {text}")

    # ----------------------------------------------------------------------------- values

    def _value(
        self, key: ScalarNode, old: Node, new: Any, in_brackets: bool, above: tuple[str, ...]
    ) -> Iterator[Splice]:
        in_lines = isinstance(old, (ListNode, MapNode)) and not old.flow
        if isinstance(old, MapNode) and old.pairs and isinstance(new, Mapping) and new:
            yield from self._mapping(old, new, above)
        elif isinstance(old, ListNode) and in_lines and isinstance(new, list) and new:
            yield from self._list(old, new)
        else:
            plain: tuple[str, list[str]] = inline(new, in_brackets=True), []
            value, lines = plain if in_brackets else value_lines(key.text, new, self._style)
            yield from self._replace(key, old, value, lines, in_lines)

    def _replace(self, key: ScalarNode, old: Node, value: str, lines: list[str], was_below: bool) -> Iterator[Splice]:
        """Replace a value on the line of its key or in lines below it by one of either kind."""
        colon = self._colon(key)
        nothing = old.start == old.end
        if was_below:
            yield Splice(self._lines.end(colon), pair_end(key, old, self._lines))
        if value and (was_below or nothing):
            yield Splice(colon, colon, f" {value}")
        elif value:
            yield Splice(old.start, old.end, value)
        else:
            if not was_below and not nothing:
                yield Splice(colon, old.end)
            at = self._lines.end(colon if was_below else max(colon, old.end) - 1)
            indent = " " * (key.column - 1)
            yield Splice(at, at, self._lines.join([f"{indent}{line}" for line in lines], at))

    def _list(self, node: ListNode, new: list[Any]) -> Iterator[Splice]:
        """Give a list of one item a line the items of *new*; those that stay keep their lines."""
        column = dash_column(node, self._lines)
        starts = [self._lines.start(item.start) for item in node.items]
        ends = [own_end(item.end, column, self._lines) for item in node.items]
        old = [canonical(plain_of(item)) for item in node.items]
        matcher = difflib.SequenceMatcher(None, old, [canonical(item) for item in new], autojunk=False)
        for what, i, j, m, n in matcher.get_opcodes():
            scalars = [item for item in node.items[i:j] if isinstance(item, ScalarNode)]
            if what == "equal":
                continue
            if len(scalars) == j - i == n - m and not any(isinstance(item, (list, Mapping)) for item in new[m:n]):
                for item, value in zip(scalars, new[m:n]):
                    yield Splice(item.start, item.end, inline(value))
                continue
            for k in range(i, j):
                yield Splice(starts[k], ends[k])
            lines = [f"{' ' * column}{line}" for item in new[m:n] for line in list_item(item, self._style)]
            at = ends[j - 1] if j else starts[0]
            yield Splice(at, at, self._lines.join(lines, at))

    def _colon(self, key: ScalarNode) -> int:
        colon = colon_end(key, self._text)
        if colon is None:
            raise NpcLimsError(
                f"line {self._lines.number(key.start)}: '{key.text}' is written in a form that is not edited here "
                "(a '?' before the key, or no colon right behind it): edit the entry by hand"
            )
        return colon


def drop_in_brackets(spans: Sequence[tuple[int, int]], dropped: set[int], text: str) -> Iterator[Splice]:
    """Remove some of the items of a list or mapping in brackets, each with its comma."""
    kept_after = -1
    for n in range(len(spans)):
        if n not in dropped:
            kept_after = n
    for n in sorted(dropped):
        if n < kept_after:
            yield Splice(spans[n][0], spans[n + 1][0])
    if kept_after + 1 < len(spans):
        start = spans[kept_after + 1][0]
        # the comma before goes too, unless a comment is behind it
        if kept_after >= 0 and "#" not in text[spans[kept_after][1] : start]:
            start = spans[kept_after][1]
        yield Splice(start, spans[-1][1])
