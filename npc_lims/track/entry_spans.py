"""Positions of the entries of tracked_sessions.yaml in the text, and the lines that belong to each.

An entry's own lines go from its dash to the last line of its values, and take along the comments
right below that are indented deeper than the dash. A comment at the indentation of the dash, or
an empty line, belongs to no entry.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Iterator
from typing import Any

from npc_lims.errors import Problem
from npc_lims.sources.tracked.entries import ParsedEntry, read_entries, same_path
from npc_lims.sources.tracked.parser import TrackedFile, parse_tracked
from npc_lims.sources.yaml_nodes import ListNode, MapNode, Node, Report, ScalarNode, compose, to_plain
from npc_lims.track.splice import TextLines, indent_of, is_comment


@dataclasses.dataclass(frozen=True)
class EntrySpan:
    """One entry in the text.

    Attributes:
        list: The list of its project.
        node: The entry without its dash.
        below: The node below or behind the path, if any.
        start: Start of the first of its own lines; in a list in brackets, of its first character.
        end: Start of the line after its own lines; in a list in brackets, the end of its last character.
        entry: The parsed entry; None if its path names no session.
    """

    platform: str
    project: str
    list: ListNode
    node: ScalarNode | MapNode
    path: ScalarNode
    below: Node | None
    start: int
    end: int
    entry: ParsedEntry | None

    @property
    def group(self) -> str:
        return f"{self.platform}/{self.project}"

    @property
    def keys(self) -> dict[str, Any]:
        """Keys and values as written, wrong and ignored ones included."""
        return plain_of(self.below) if isinstance(self.below, MapNode) else {}


@dataclasses.dataclass(frozen=True)
class Layout:
    """A file, read for editing.

    Attributes:
        text: The text that offsets count in: without its byte order mark, its last line ended.
        items: Its entries in file order, duplicates included.
        file: Sessions and problems as every reader of the file gets them.
        is_empty: It has nothing but comments.
    """

    name: str
    text: str
    lines: TextLines
    root: Node | None
    items: tuple[EntrySpan, ...]
    file: TrackedFile
    is_empty: bool

    def platform(self, name: str) -> tuple[ScalarNode, Node] | None:
        return child(self.root, name)

    def of_path(self, path: str) -> tuple[EntrySpan, ...]:
        """Return the entries of a path, of which the first takes precedence."""
        return tuple(item for item in self.items if same_path(item.path.text) == same_path(path))

    def errors(self) -> list[Problem]:
        return [problem for problem in self.file.problems if problem.is_error]


def layout_of(text: str, name: str) -> Layout:
    """Parse *text*, which must end with a line break and begin with no byte order mark."""
    report = Report(name)
    root = compose(text, report)
    is_empty = root is None and not report.problems
    entries = () if root is None else read_entries(root, report, datetime.date.today())
    parsed = {id(entry.node): entry for entry in entries}
    lines = TextLines(text)
    items = tuple(_items(root, lines, parsed))
    return Layout(name, text, lines, root, items, parse_tracked(text, name), is_empty)


def is_blank(text: str) -> bool:
    """Return whether a file has nothing but comments."""
    report = Report("")
    return compose(text, report) is None and not report.problems


def _items(root: Node | None, lines: TextLines, parsed: dict[int, ParsedEntry]) -> Iterator[EntrySpan]:
    for platform, projects in root.pairs if isinstance(root, MapNode) else ():
        for project, entries in projects.pairs if isinstance(projects, MapNode) else ():
            for node in entries.items if isinstance(entries, ListNode) else ():
                assert isinstance(entries, ListNode)
                path: Node = node
                below = None
                if isinstance(node, MapNode) and node.pairs:
                    path, below = node.pairs[0]
                if isinstance(path, ScalarNode) and not isinstance(node, ListNode):
                    start, end = _own_lines(node, entries, lines)
                    entry = parsed.get(id(path))
                    yield EntrySpan(platform.text, project.text, entries, node, path, below, start, end, entry)


def _own_lines(node: ScalarNode | MapNode, entries: ListNode, lines: TextLines) -> tuple[int, int]:
    if entries.flow:
        return node.start, node.end
    dash = dash_column(entries, lines)
    start = lines.start(node.start)
    while start and not (lines.at(start)[:dash].strip() == "" and lines.at(start)[dash : dash + 1] == "-"):
        start = lines.above(start)
    return start, own_end(node.end, dash, lines)


def dash_column(node: ListNode, lines: TextLines) -> int:
    """Return the indent of the dashes of a list that is written one item a line."""
    # not where the node begins, which may be an anchor behind its key
    line = lines.at(lines.start(node.items[0].start)) if node.items else ""
    return indent_of(line) if line.lstrip(" ").startswith("-") else node.column - 1


def own_end(offset: int, column: int, lines: TextLines) -> int:
    """Return the end of a node's lines, with the comments right below that are indented deeper than *column*."""
    end = lines.end(max(offset - 1, 0))
    while end < len(lines.text) and is_comment(lines.at(end)) and indent_of(lines.at(end)) > column:
        end = lines.end(end)
    return end


def pair_end(key: ScalarNode, value: Node, lines: TextLines) -> int:
    """Return the end of the lines of a key and its value, written by indentation."""
    return own_end(max(key.end, value.end), key.column - 1, lines)


def colon_end(key: ScalarNode, text: str) -> int | None:
    """Return the offset after the colon of a key; None if it is written in a form that has none there."""
    position = key.end
    while text[position : position + 1] in (" ", "\t"):
        position += 1
    return position + 1 if text[position : position + 1] == ":" else None


def child(node: Node | None, name: str) -> tuple[ScalarNode, Node] | None:
    """Return a key of a mapping, and its value."""
    pairs = node.pairs if isinstance(node, MapNode) else []
    return next(((key, value) for key, value in pairs if key.text == name), None)


def plain_of(node: Node) -> Any:
    return to_plain(node, Report(""))


def canonical(value: Any) -> str:
    """Return a text that is equal for equal values. Unlike `==`, it tells 1 from true."""
    return json.dumps(value, sort_keys=True)
