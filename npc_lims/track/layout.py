"""The entries of tracked_sessions.yaml in its text, and their style: indents, order of keys, rendering of values."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from npc_lims.errors import Problem, TrackedFileError
from npc_lims.sources.tracked.entries import ENTRY_KEYS, KNOWN_KWARGS, ParsedEntry, same_path
from npc_lims.sources.tracked.parser import TrackedFile, parse_tracked
from npc_lims.sources.yaml_nodes import ListNode, MapNode, Node, ScalarNode
from npc_lims.track.yaml_text import YamlText, child, pairs_of, plain_of
from npc_lims.utils.mappings import grouped
from npc_lims.utils.yaml import render_yaml

_BOM = "\ufeff"
KWARGS = "session_kwargs"

_NOT_IN_BRACKETS = frozenset(",[]{}:")
_LAST_KEYS = ("notes", "issues", KWARGS)
_FIRST_KEYS = [key for key in ENTRY_KEYS if key not in (*_LAST_KEYS, *KNOWN_KWARGS)]
_USUAL_ORDER = (*_FIRST_KEYS, *_LAST_KEYS, *KNOWN_KWARGS)


@dataclasses.dataclass(frozen=True)
class EntrySpan:
    platform: str
    project: ScalarNode
    list: ListNode
    """The list of its project, and *index* its index in it."""
    index: int
    path: ScalarNode
    below: Node | None
    """The node below or behind the path, if any."""
    start: int
    """Start of its own lines, and *end* their end; in brackets, of its characters."""
    end: int
    entry: ParsedEntry | None
    """The parsed entry; None if its path names no session."""

    @property
    def group(self) -> str:
        return f"{self.platform}/{self.project.text}"

    @property
    def subject(self) -> str:
        return "" if self.entry is None else self.entry.subject

    @property
    def time(self) -> tuple[str, str]:
        return ("", "") if self.entry is None else (self.entry.date, self.entry.time or "")

    @property
    def keys(self) -> dict[str, Any]:
        """Keys and values as written, wrong and ignored ones included."""
        return plain_of(self.below) if isinstance(self.below, MapNode) else {}


class Layout:
    """A file, read for editing.

    Attributes:
        yaml: The text that offsets count in: without a byte order mark, and with its last line ended.
        items: Its entries in file order, duplicates included.
        file: Sessions and problems as every reader of the file gets them.
        by_path: Indexes of the entries of each path (`same_path`), of which the first takes precedence.
    """

    def __init__(self, source: str, name: str) -> None:
        self.name, self.source = name, source
        self.yaml = YamlText(source.lstrip(_BOM))
        if self.yaml.text and not source.endswith(("\r", "\n")):
            self.yaml = YamlText(self.yaml.text + self.yaml.line_break(len(self.yaml.text)))
        self.file = parse_tracked(self.yaml.text, name)
        self.root = self.file.root
        self.is_empty = is_blank(self.yaml.text)
        self.items = tuple(_items(self.file, self.yaml))
        self.by_path = grouped((same_path(item.path.text), index) for index, item in enumerate(self.items))

    def of_path(self, path: str) -> list[int]:
        return self.by_path.get(same_path(path), [])

    def errors(self) -> list[Problem]:
        return [problem for problem in self.file.problems if problem.is_error]

    def with_text(self, text: str) -> Layout:
        """Return the layout of another text, with the byte order mark and the end of the last line as here."""
        body = self.source.lstrip(_BOM)
        if body != self.yaml.text:
            text = re.sub(r"(\r\n|\r|\n)\Z", "", text)
        return Layout(self.source[: len(self.source) - len(body)] + text, self.name)


def open_layout(source: str, name: str) -> Layout:
    """Read a file to edit; TrackedFileError if it is no YAML."""
    layout = Layout(source, name)
    if layout.root is None and not layout.is_empty:
        raise TrackedFileError(layout.file.problems)
    return layout


def is_blank(text: str) -> bool:
    """Return whether a file has nothing but comments."""
    return not re.sub(r"#[^\r\n]*", "", text).strip()


def _items(file: TrackedFile, yaml: YamlText) -> Iterator[EntrySpan]:
    parsed = {id(entry.node): entry for entry in file.entries}
    for platform, projects in pairs_of(file.root):
        for project, listed in pairs_of(projects):
            if not isinstance(listed, ListNode):
                continue
            for index, (node, span) in enumerate(zip(listed.items, yaml.spans(listed))):
                path, below = next(iter(pairs_of(node)), (node, None))
                if isinstance(path, ScalarNode):
                    entry = parsed.get(id(path))
                    yield EntrySpan(platform.text, project, listed, index, path, below, *span, entry)


# --------------------------------------------------------------------------------- style


def inline(value: Any, *, in_brackets: bool = False) -> str:
    """Return a value on one line, which every YAML reader reads as the same.

    >>> inline("NO"), inline("EF"), inline(["a", {"b": True}])
    ('"NO"', 'EF', '[a, {b: true}]')
    """
    if isinstance(value, Mapping):
        return f"{{{', '.join(inline_pair(key, item) for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(inline(item, in_brackets=True) for item in value)}]"
    text = render_yaml({"v": value})[len("v: ") : -1]
    if in_brackets and text == value and not _NOT_IN_BRACKETS.isdisjoint(text):
        return f'"{text}"'  # what is plain elsewhere needs no escapes
    return text


def inline_pair(key: str, value: Any) -> str:
    return f"{inline(key, in_brackets=True)}: {inline(value, in_brackets=True)}"


@dataclasses.dataclass(frozen=True)
class Style:
    """Indents of dashes from their project, paths from their dash, keys from their path, and of keys and dashes below a
    key from that key."""

    dash: int = 2
    path: int = 2
    keys: int = 2
    nested: int = 4
    items: int = 2

    def entry(self, path: str, keys: Mapping[str, Any]) -> list[str]:
        """Return the lines of an entry, from its dash on."""
        head = f"-{' ' * (self.path - 1)}{inline(path)}"
        return [f"{head}:", *indented(self.path + self.keys, self.mapping(keys))] if keys else [head]

    def mapping(self, value: Mapping[str, Any]) -> list[str]:
        return [line for key, item in value.items() for line in self.pair(key, item)]

    def pair(self, key: str, value: Any) -> list[str]:
        behind, below = self.value(key, value)
        return [f"{inline(key)}: {behind}" if behind else f"{inline(key)}:", *below]

    def value(self, key: str, value: Any) -> tuple[str, list[str]]:
        """Return the text behind the colon of a key, or else the lines below it, from the column of the key on."""
        if isinstance(value, Mapping) and value:
            return "", indented(self.nested, self.mapping(value))
        is_in_lines = key == "issues" or (isinstance(value, list) and any(isinstance(item, Mapping) for item in value))
        if isinstance(value, list) and value and is_in_lines:
            return "", indented(self.items, [line for item in value for line in self.item(item)])
        return inline(value), []

    def item(self, item: Any) -> list[str]:
        """Return the lines of an item of a list, from its dash on."""
        lines = self.mapping(item) if isinstance(item, Mapping) and item else [inline(item)]
        return [f"- {lines[0]}", *indented(2, lines[1:])]


def indented(indent: int, lines: Iterable[str]) -> list[str]:
    return [f"{' ' * indent}{line}" for line in lines]


# ------------------------------------------------------------------------------ neighbours


def neighbours(layout: Layout, position: int, group: str) -> list[EntrySpan]:
    """Return the other entries, the nearest first: of the same project before others, above before below."""
    above = [item for item in reversed(layout.items) if item.start < position]
    below = [item for item in layout.items if item.start > position]
    return sorted(above + below, key=lambda item: item.group != group)


def style_of(items: Iterable[EntrySpan], yaml: YamlText) -> Style:
    """Return the style of the nearest entries, each indent from the first that shows it."""
    found: dict[str, int] = {}
    for item in items:
        if not item.list.flow:
            for name, indent in _indents(item, yaml):
                if indent >= (0 if name in ("dash", "items") else 1):
                    found.setdefault(name, indent)
        if len(found) == len(dataclasses.fields(Style)):
            break
    return Style(**found)


def _indents(item: EntrySpan, yaml: YamlText) -> Iterator[tuple[str, int]]:
    dash = yaml.column(item.list) + 1
    yield "dash", dash - item.project.column
    yield "path", item.path.column - dash
    if isinstance(item.below, MapNode) and item.below.pairs and not item.below.flow:
        yield "keys", item.below.pairs[0][0].column - item.path.column
        yield from _indents_below(item.below, yaml)


def _indents_below(node: MapNode, yaml: YamlText) -> Iterator[tuple[str, int]]:
    for key, value in node.pairs:
        if isinstance(value, MapNode) and value.pairs and not value.flow:
            yield "nested", value.pairs[0][0].column - key.column
            yield from _indents_below(value, yaml)
        elif isinstance(value, ListNode) and value.items and not value.flow:
            yield "items", yaml.column(value) + 1 - key.column


# --------------------------------------------------------------------------- order of keys


def in_order(keys: Mapping[str, Any], examples: Sequence[Node | None]) -> dict[str, Any]:
    """Return the keys of a new entry, and of its session_kwargs, in the order of examples, the nearest first."""
    ordered = {key: keys[key] for key in order_of(keys, (), examples)}
    if isinstance(ordered.get(KWARGS), Mapping):
        ordered[KWARGS] = in_order(ordered[KWARGS], values_of(examples, KWARGS))
    return ordered


def order_of(keys: Iterable[str], present: Sequence[str], examples: Sequence[Node | None]) -> list[str]:
    """Return the keys in *present* with others among them, where the examples or else the usual order have them."""
    names = [[key.text for key, _ in pairs_of(node)] for node in examples]
    order = list(present)
    for key in keys:
        if key not in present:
            order.insert(_position(key, order, names), key)
    return order


def _position(key: str, present: Sequence[str], examples: Iterable[Sequence[str]]) -> int:
    for example in (*examples, _USUAL_ORDER):
        known = [other for other in present if other in example]
        if key in example and known:
            before = [other for other in known if example.index(other) < example.index(key)]
            return present.index(before[-1]) + 1 if before else present.index(known[0])
    return 0 if key in _USUAL_ORDER else len(present)


def values_of(nodes: Iterable[Node | None], key: str) -> list[Node | None]:
    """Return the value of a key in each of some mappings; None where it is missing."""
    return [(child(node, key) or (None, None))[1] for node in nodes]
