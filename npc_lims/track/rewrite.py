"""Entries changed in the text: of each only the characters of its values, or its own lines.

A new entry goes beside those of its subject, if its project has any: after the last one that is not later, or above
the first; where the newest is first, the new one is too. Else it goes after the last entry that is not later, and
after those that follow it of that entry's subject; above the first entry if all are later.

The result is parsed again and compared with the plan.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

from npc_lims.errors import NpcLimsError, TrackedFileError
from npc_lims.sources.tracked.entries import same_path
from npc_lims.sources.yaml_nodes import ListNode, MapNode, Node, ScalarNode
from npc_lims.track.layout import (
    EntrySpan,
    Layout,
    in_order,
    indented,
    inline,
    inline_pair,
    neighbours,
    order_of,
    style_of,
    values_of,
)
from npc_lims.track.yaml_text import NewChild, Splice, canonical, child, pairs_of, plain_of

NewKeys = Mapping[int, Optional[Mapping[str, Any]]]
"""Keys of entries by their index in the layout; None: remove the entry."""


def rewrite(layout: Layout, keys: NewKeys, new: Sequence[EntrySpan] = ()) -> Layout:
    """Return the layout of the text with other keys and new entries."""
    _refuse_errors_elsewhere(layout, keys)
    after = layout.with_text(layout.yaml.spliced(_splices(layout, keys, new)))
    if after.errors():
        errors = "; ".join(map(str, after.errors()))
        raise NpcLimsError(f"nothing is written, since {layout.name} would then hold errors: {errors}")
    expected = [_comparable(item, keys.get(n, item.keys)) for n, item in enumerate(layout.items)]
    found = [_comparable(item, item.keys) for item in after.items]
    for item in new:
        entry = _comparable(item, item.keys)
        if entry in found:
            found.remove(entry)
        else:
            expected.append(entry)
    if found != [entry for entry in expected if entry is not None]:
        raise NpcLimsError(
            f"nothing is written: {layout.name} is laid out in a way in which this change cannot be made without "
            "changing other entries (an anchor, or an unusual indentation): edit it by hand"
        )
    return after


def _comparable(item: EntrySpan, keys: Mapping[str, Any] | None) -> tuple[str, str, str] | None:
    return None if keys is None else (item.group, item.path.text, canonical(keys))


def _refuse_errors_elsewhere(layout: Layout, keys: NewKeys) -> None:
    """Refuse errors in entries that are not changed: the result could not be checked."""
    number = layout.yaml.line_number
    paths = {same_path(layout.items[index].path.text) for index in keys}
    spans = [
        range(number(item.start), number(max(item.end - 1, item.start)) + 1)
        for item in layout.items
        if same_path(item.path.text) in paths
    ]
    elsewhere = [error for error in layout.errors() if not any(error.line in span for span in spans)]
    if elsewhere and not layout.is_empty:
        raise TrackedFileError(elsewhere)


def _splices(layout: Layout, keys: NewKeys, new: Sequence[EntrySpan]) -> Iterator[Splice]:
    grouped: dict[str, dict[str, list[EntrySpan]]] = {}
    for entry in new:
        grouped.setdefault(entry.platform, {}).setdefault(entry.project.text, []).append(entry)
    for index, values in keys.items():
        if values is not None:
            yield from _EntryWriter(layout.items[index], layout).put(values)
    removed = [layout.items[index] for index, values in keys.items() if values is None]
    for one in {item.group: item for item in layout.items}.values():
        items = [item for item in layout.items if item.list is one.list]
        dropped = {item.index for item in removed if item.list is one.list}
        added = list(_among(items, grouped.get(one.platform, {}).pop(one.project.text, ()), layout))
        if dropped or added:
            yield from layout.yaml.change(one.list, dropped, added)
    for platform, projects in grouped.items():
        if projects:
            yield from _put_projects(layout, platform, projects)


# ------------------------------------------------------------------------------ new entries


def _insert(order: list[EntrySpan], new: EntrySpan) -> None:
    """Put a new entry into the order of its project."""
    own = [n for n, other in enumerate(order) if other.subject == new.subject]
    times = [order[n].time for n in own]
    if len(own) > 1 and all(later > earlier for later, earlier in zip(times, times[1:])):
        above = [n for n in own if order[n].time > new.time]
    else:
        above = [n for n in own or range(len(order)) if order[n].time <= new.time]
    at = above[-1] + 1 if above else own[0] if own else 0
    while above and not own and at < len(order) and order[at].subject == order[at - 1].subject:
        at += 1
    order.insert(at, new)


def _among(items: Sequence[EntrySpan], new: Sequence[EntrySpan], layout: Layout) -> Iterator[NewChild]:
    order = list(items)
    for entry in new:
        _insert(order, entry)
    added = set(map(id, new))
    for n, entry in enumerate(order):
        if id(entry) not in added:
            continue
        above = [other for other in order[:n] if id(other) not in added]
        below = [other for other in order[n:] if id(other) not in added]
        # the first of its subject goes below the comments that head the subject
        is_first = bool(below) and (not above or above[-1].subject != entry.subject == below[0].subject)
        beside = below[0] if is_first else above[-1]
        position = beside.start if is_first else beside.end
        yield NewChild(beside.index, not is_first, _entry_lines(entry, position, layout, beside.list.flow))


def _entry_lines(new: EntrySpan, position: int, layout: Layout, in_brackets: bool = False) -> list[str]:
    near = neighbours(layout, position, new.group)
    keys = in_order(new.keys, [item.below for item in near])
    if in_brackets:
        return [inline({new.path.text: keys} if keys else new.path.text, in_brackets=True)]
    return style_of(near, layout.yaml).entry(new.path.text, keys)


def _put_projects(layout: Layout, platform: str, projects: Mapping[str, Sequence[EntrySpan]]) -> Iterator[Splice]:
    """Add entries of projects that have none, with the projects and the platform where they are missing."""
    yaml, end = layout.yaml, len(layout.yaml.text)
    found = child(layout.root, platform)
    there = pairs_of(found and found[1])
    node, name = (layout.root, layout.name) if found is None else (found[1], f"{layout.name}: {platform}")
    if isinstance(node, MapNode) and node.flow and node.pairs:
        raise NpcLimsError(f"{name} is written in braces, to which no lines can be added: write it on lines of its own")
    lines: list[str] = []
    for project, entries in projects.items():
        order: list[EntrySpan] = []
        for entry in entries:
            _insert(order, entry)
        dash = style_of(neighbours(layout, end, entries[0].group), yaml).dash
        listed = [line for entry in order for line in _entry_lines(entry, end, layout)]
        listed = indented(dash, listed)
        known = child(found and found[1], project)
        if known is None:
            lines += [f"{inline(project)}:", *listed]
        else:
            yield from yaml.replace(*known, "", listed)
    if not lines:
        return
    if found is not None and isinstance(node, MapNode) and there:
        yield from yaml.change(node, (), [NewChild(len(there) - 1, True, lines)])
        return
    columns = [pairs_of(value)[0][0].column for _, value in pairs_of(layout.root) if pairs_of(value)]
    lines = indented(columns[-1] - 1 if columns else 2, lines)
    if found is None:
        yield yaml.insert([f"{platform}:", *lines], end)
    else:
        yield from yaml.replace(*found, "", lines)


# ------------------------------------------------------------------------------------- keys


class _EntryWriter:
    """Gives an entry other keys."""

    def __init__(self, item: EntrySpan, layout: Layout) -> None:
        self._item, self._yaml = item, layout.yaml
        near = neighbours(layout, item.start, item.group)
        self._style = style_of([item, *near], layout.yaml)
        self._examples = [other.below for other in near]

    def put(self, new: Mapping[str, Any]) -> Iterator[Splice]:
        item, path, below = self._item, self._item.path, self._item.below
        if canonical(new) == canonical(item.keys):
            return
        if new and isinstance(below, MapNode) and below.pairs:
            yield from self._mapping(below, new, self._examples)
            return
        keys = in_order(new, self._examples)
        lines = indented(self._style.keys, self._style.mapping(keys))
        if item.list.flow:
            text = self._yaml.text[path.start : path.end]
            yield Splice(item.start, item.end, f"{{{text}: {inline(keys)}}}" if keys else text)
        elif keys and below is not None:  # nothing, or something that is no mapping, after the colon
            yield from self._yaml.replace(path, below, "", lines)
        elif keys:
            yield Splice(path.end, path.end, ":")
            yield self._yaml.insert(indented(path.column - 1, lines), item.end)
        elif isinstance(below, MapNode) and not below.flow:
            yield Splice(path.end, self._yaml.colon(path))
            yield from self._yaml.change(below, range(len(below.pairs)))
        elif below is not None:
            yield Splice(path.end, below.end)

    def _mapping(self, node: MapNode, new: Mapping[str, Any], examples: Sequence[Node | None]) -> Iterator[Splice]:
        """Give a mapping the keys of *new*; neither is empty."""
        for key, value in node.pairs:
            if key.text in new:
                yield from self._value(key, value, new[key.text], node.flow, examples)
        old = [key.text for key, _ in node.pairs]
        added: list[NewChild] = []
        near, is_below = 0, False
        for name in order_of(new, old, examples):
            if name in old:
                near, is_below = old.index(name), True
            else:
                lines = [inline_pair(name, new[name])] if node.flow else self._style.pair(name, new[name])
                added.append(NewChild(near, is_below, lines))
        yield from self._yaml.change(node, {n for n, name in enumerate(old) if name not in new}, added)

    def _value(
        self, key: ScalarNode, old: Node, new: Any, in_brackets: bool, examples: Sequence[Node | None]
    ) -> Iterator[Splice]:
        if canonical(new) == canonical(plain_of(old)):
            return
        if isinstance(old, MapNode) and old.pairs and isinstance(new, Mapping) and new:
            yield from self._mapping(old, new, values_of(examples, key.text))
        elif isinstance(old, ListNode) and not old.flow and isinstance(new, list) and new:
            yield from self._list(old, new)
        elif in_brackets:
            yield from self._yaml.replace(key, old, inline(new, in_brackets=True))
        else:
            yield from self._yaml.replace(key, old, *self._style.value(key.text, new))

    def _list(self, node: ListNode, new: list[Any]) -> Iterator[Splice]:
        """Give a list of one item a line the items of *new*; those that stay keep their lines."""
        dropped: set[int] = set()
        added: list[NewChild] = []
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
            dropped.update(range(i, j))
            lines = [line for item in new[m:n] for line in self._style.item(item)]
            added.append(NewChild(max(j - 1, 0), j > 0, lines))
        yield from self._yaml.change(node, dropped, added)
