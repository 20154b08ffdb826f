"""The entries of tracked_sessions.yaml in its text."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import re
from collections.abc import Iterator
from typing import Any

from npc_lims.errors import Problem, TrackedFileError
from npc_lims.sources.tracked.entries import ParsedEntry, read_entries, same_path
from npc_lims.sources.tracked.parser import TrackedFile, parse_tracked
from npc_lims.sources.yaml_nodes import ListNode, MapNode, Node, Report, ScalarNode, compose
from npc_lims.track.yaml_text import YamlText, pairs_of, plain_of

_BOM = "\ufeff"


@dataclasses.dataclass(frozen=True)
class EntrySpan:
    """One entry in the text.

    Attributes:
        list: The list of its project, and *index* its index in it.
        below: The node below or behind the path, if any.
        start: Start of its own lines; in brackets, of its characters.
        end: End of them.
        entry: The parsed entry; None if its path names no session.
    """

    platform: str
    project: ScalarNode
    list: ListNode
    index: int
    path: ScalarNode
    below: Node | None
    start: int
    end: int
    entry: ParsedEntry | None

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


@dataclasses.dataclass(frozen=True)
class Layout:
    """A file, read for editing.

    Attributes:
        source: The file itself.
        yaml: The text that offsets count in: without a byte order mark, and with its last line ended.
        items: Its entries in file order, duplicates included.
        file: Sessions and problems as every reader of the file gets them.
        is_empty: It has nothing but comments.
    """

    name: str
    source: str
    yaml: YamlText
    root: Node | None
    items: tuple[EntrySpan, ...]
    file: TrackedFile
    is_empty: bool

    def of_path(self, path: str) -> list[int]:
        """Return the indexes of the entries of a path, of which the first takes precedence."""
        return self._by_path.get(same_path(path), [])

    @functools.cached_property
    def _by_path(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for index, item in enumerate(self.items):
            found.setdefault(same_path(item.path.text), []).append(index)
        return found

    def errors(self) -> list[Problem]:
        return [problem for problem in self.file.problems if problem.is_error]

    def with_text(self, text: str) -> Layout:
        """Return the layout of another text, with the byte order mark and the end of the last line as here."""
        body = self.source.lstrip(_BOM)
        if body != self.yaml.text:
            text = re.sub(r"(\r\n|\r|\n)\Z", "", text)
        return read_layout(self.source[: len(self.source) - len(body)] + text, self.name)


def open_layout(source: str, name: str) -> Layout:
    """Read a file to edit.

    Raises:
        TrackedFileError: It is no YAML.
    """
    layout = read_layout(source, name)
    if layout.root is None and not layout.is_empty:
        raise TrackedFileError(layout.file.problems)
    return layout


def read_layout(source: str, name: str) -> Layout:
    yaml = YamlText(source.lstrip(_BOM))
    if yaml.text and not source.endswith(("\r", "\n")):
        yaml = YamlText(yaml.text + yaml.line_break(len(yaml.text)))
    report = Report(name)
    root = compose(yaml.text, report)
    is_empty = root is None and not report.problems
    entries = () if root is None else read_entries(root, report, datetime.date.today())
    parsed = {id(entry.node): entry for entry in entries}
    return Layout(name, source, yaml, root, tuple(_items(root, yaml, parsed)), parse_tracked(yaml.text, name), is_empty)


def _items(root: Node | None, yaml: YamlText, parsed: dict[int, ParsedEntry]) -> Iterator[EntrySpan]:
    for platform, projects in pairs_of(root):
        for project, entries in pairs_of(projects):
            if not isinstance(entries, ListNode):
                continue
            for index, (node, span) in enumerate(zip(entries.items, yaml.spans(entries))):
                path, below = next(iter(pairs_of(node)), (node, None))
                if isinstance(path, ScalarNode):
                    entry = parsed.get(id(path))
                    yield EntrySpan(platform.text, project, entries, index, path, below, *span, entry)
