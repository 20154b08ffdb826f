"""Insertion of new entries: their project, and their position among its entries.

- Beside the entries of the same subject, if the project has any: after the last one that is not
  later, or above the first. Where the newest is first, the new one is too.
- Else after the last entry of the project that is not later, and after those that follow it of
  that entry's subject; above the first entry if all are later.

A comment that points up (`# ^ two sessions`) stays with the entry above it; other comments and
empty lines stay with what is below them.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from npc_lims.errors import NpcLimsError
from npc_lims.sources.tracked.entries import ParsedEntry
from npc_lims.sources.yaml_nodes import ListNode, MapNode, Node, ScalarNode
from npc_lims.track.entry_keys import in_order
from npc_lims.track.entry_spans import EntrySpan, Layout, colon_end, dash_column, own_end, pair_end
from npc_lims.track.formatting import Style, inline, neighbours, style_near, written
from npc_lims.track.splice import Splice, indent_of, is_comment

_POINTS_UP = re.compile(r"\s*#[\s!]*\^")
_RULE = re.compile(r"\s*#\W*")


@dataclasses.dataclass(frozen=True)
class NewEntry:
    """An entry to be added, parsed, and its keys."""

    platform: str
    project: str
    entry: ParsedEntry
    keys: Mapping[str, Any]

    @property
    def group(self) -> str:
        return f"{self.platform}/{self.project}"


def default_project(layout: Layout, platform: str, subject: str) -> str:
    """Return the project of a session without one: its subject's, else the platform's most frequent one."""
    found = layout.platform(platform)
    projects = Counter({key.text: 0 for key, _ in found[1].pairs} if found and isinstance(found[1], MapNode) else {})
    own = set()
    for item in layout.items:
        if item.platform == platform:
            projects[item.project] += 1
            if item.entry is not None and item.entry.subject == subject:
                own.add(item.project)
    if len(own) == 1:
        return own.pop()
    usual = projects.most_common(2)
    if not usual:
        raise NpcLimsError(f"{layout.name} has no project under {platform}: name one with --project")
    if len(usual) == 2 and usual[0][1] == usual[1][1]:
        raise NpcLimsError(f"{platform} has the projects {', '.join(projects)}: name one with --project")
    return usual[0][0]


# ----------------------------------------------------------------------- among the entries


@dataclasses.dataclass(frozen=True)
class _Slot:
    """An entry in the order of its project: one that is there, or a new one and where it is put in."""

    subject: str
    when: tuple[str, str]
    before: int
    after: int
    new: NewEntry | None = None


def _insert(slots: list[_Slot], new: NewEntry, empty: int) -> None:
    """Put a new entry into the order of its project; *empty* is where it goes if that has no entry."""
    subject, when = new.entry.subject, _when(new.entry)
    own = [n for n, slot in enumerate(slots) if slot.subject == subject]
    dates = [slots[n].when for n in own]
    if len(own) > 1 and all(later > earlier for later, earlier in zip(dates, dates[1:])):
        above = [n for n in own if slots[n].when > when]
    else:
        above = [n for n in own or range(len(slots)) if slots[n].when <= when]
    if above:
        n = above[-1]
        while not own and n + 1 < len(slots) and slots[n + 1].subject == slots[n].subject:
            n += 1
        at, n = slots[n].after, n + 1
    else:
        n = own[0] if own else 0
        at = slots[n].before if slots else empty
    slots.insert(n, _Slot(subject, when, at, at, new))


def _when(entry: ParsedEntry) -> tuple[str, str]:
    return entry.date, entry.time or ""


def _slots(items: Iterable[EntrySpan], layout: Layout) -> list[_Slot]:
    return [
        _Slot(item.entry.subject, _when(item.entry), item.start, _after(item, layout))
        for item in items
        if item.entry is not None
    ]


def _after(item: EntrySpan, layout: Layout) -> int:
    """Return the insertion point below an entry: after the comments that point up to it."""
    lines, end = layout.lines, item.end
    if item.list.flow or not _POINTS_UP.match(lines.at(end)):
        return end
    indent = indent_of(lines.at(end))
    while is_comment(lines.at(end)) and indent_of(lines.at(end)) == indent and not _RULE.fullmatch(lines.at(end)):
        end = lines.end(end)
    return end


# ----------------------------------------------------------------------------- in the text


def put_entries(layout: Layout, new: Sequence[NewEntry]) -> Iterator[Splice]:
    """Yield the replacements that add entries, with their projects and platforms where these are missing."""
    by_platform: dict[str, dict[str, list[NewEntry]]] = {}
    for entry in new:
        by_platform.setdefault(entry.platform, {}).setdefault(entry.project, []).append(entry)
    for platform, projects in by_platform.items():
        yield from _in_platform(layout, platform, projects)


def _in_platform(layout: Layout, platform: str, projects: Mapping[str, Sequence[NewEntry]]) -> Iterator[Splice]:
    found = layout.platform(platform)
    pairs = found[1].pairs if found and isinstance(found[1], MapNode) else []
    there = {key.text: (key, value) for key, value in pairs}
    lines: list[str] = []
    indent = pairs[0][0].column - 1 if pairs else _project_indent(layout)
    for project, entries in projects.items():
        if project not in there:
            slots: list[_Slot] = []
            for entry in entries:
                _insert(slots, entry, 0)
            near = neighbours(layout, len(layout.text), f"{platform}/{project}")
            style = style_near(near, layout)
            lines.append(f"{' ' * indent}{inline(project)}:")
            for slot in slots:
                if slot.new is not None:
                    lines += _entry_lines(slot.new, style, indent + style.dash, near)
        else:
            yield from _in_project(layout, *there[project], entries)
    if not lines:
        return
    if found is None:
        _refuse_brackets(layout.root, layout.name)
        at = len(layout.text)
        yield Splice(at, at, layout.lines.join([f"{platform}:", *lines], at))
        return
    if pairs:
        _refuse_brackets(found[1], f"{layout.name}: {platform}")
    yield from _open_brackets(*found, layout)
    at = pair_end(*pairs[-1], layout.lines) if pairs else own_end(found[0].end, 0, layout.lines)
    yield Splice(at, at, layout.lines.join(lines, at))


def _refuse_brackets(node: Node | None, name: str) -> None:
    if isinstance(node, MapNode) and node.flow:
        raise NpcLimsError(f"{name} is written in braces, to which no lines can be added: write it on lines of its own")


def _project_indent(layout: Layout) -> int:
    platforms = layout.root.pairs if isinstance(layout.root, MapNode) else []
    columns = [
        projects.pairs[0][0].column for _, projects in platforms if isinstance(projects, MapNode) and projects.pairs
    ]
    return columns[-1] - 1 if columns else 2


def _in_project(layout: Layout, key: ScalarNode, entries: Node, new: Sequence[NewEntry]) -> Iterator[Splice]:
    slots = _slots((item for item in layout.items if item.list is entries), layout)
    is_empty = not isinstance(entries, ListNode) or not entries.items
    end = pair_end(key, entries, layout.lines)
    for entry in new:
        _insert(slots, entry, end)
    if is_empty:
        projects = layout.platform(new[0].platform)
        _refuse_brackets(projects and projects[1], f"{layout.name}: {new[0].platform}")
        yield from _open_brackets(key, entries, layout)
    elif isinstance(entries, ListNode) and entries.flow:
        yield from _in_brackets(slots, layout)
        return
    for slot in slots:
        if slot.new is not None:
            near = neighbours(layout, slot.before, slot.new.group)
            style = style_near(near, layout)
            dash = key.column - 1 + style.dash
            if isinstance(entries, ListNode) and entries.items:
                dash = dash_column(entries, layout.lines)
            lines = _entry_lines(slot.new, style, dash, near)
            yield Splice(slot.before, slot.before, layout.lines.join(lines, slot.before))


def _in_brackets(slots: Sequence[_Slot], layout: Layout) -> Iterator[Splice]:
    at = next(slot.before for slot in slots if slot.new is None)
    is_first = True
    for slot in slots:
        if slot.new is None:
            at, is_first = slot.after, False
            continue
        keys = in_order(slot.new.keys, neighbours(layout, at, slot.new.group))
        entry = inline({slot.new.entry.path: keys} if keys else slot.new.entry.path, in_brackets=True)
        yield Splice(at, at, f"{entry}, " if is_first else f", {entry}")


def _open_brackets(key: ScalarNode, value: Node, layout: Layout) -> Iterator[Splice]:
    """Take away the brackets of an empty list or mapping, so that lines below can be its content."""
    colon = colon_end(key, layout.text)
    if colon is not None and isinstance(value, (ListNode, MapNode)) and value.flow and value.size == 1:
        yield Splice(colon, value.end)


def _entry_lines(new: NewEntry, style: Style, dash: int, near: Sequence[EntrySpan]) -> list[str]:
    head = f"{' ' * dash}-{' ' * (style.path - 1)}{inline(new.entry.path)}"
    if not new.keys:
        return [head]
    indent = " " * (dash + style.path + style.keys)
    keys = in_order(new.keys, near)
    return [f"{head}:", *(f"{indent}{line}" for key in keys for line in written(key, keys[key], style))]
