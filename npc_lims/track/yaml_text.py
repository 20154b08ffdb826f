"""YAML text changed by replacements that leave every other character alone.

A child is an item of a list, or a key with its value. Its own lines take along the comments right below that are
indented deeper. Other comments, and empty lines, belong to no child.
"""

from __future__ import annotations

import bisect
import dataclasses
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Union

from npc_lims.errors import NpcLimsError
from npc_lims.sources.yaml_nodes import ListNode, MapNode, Node, Report, ScalarNode, to_plain

# as YAML 1.2 counts lines: a form feed or U+2028 ends none
_BREAK = re.compile(r"\r\n|\r|\n")
_POINTS_UP = re.compile(r"\s*#[\s!]*\^")
_RULE = re.compile(r"\s*#\W*")


@dataclasses.dataclass(frozen=True)
class Splice:
    """Replace `text[start:end]` by *text*."""

    start: int
    end: int
    text: str = ""


@dataclasses.dataclass(frozen=True)
class NewChild:
    """A child to insert above or below the one with index *near*: its lines, or in brackets its one line."""

    near: int
    is_below: bool
    lines: Sequence[str]


class YamlText:
    """A text with the positions of its lines and of the children of its nodes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0, *(match.end() for match in _BREAK.finditer(text))]

    # -------------------------------------------------------------------------------- lines

    def line_number(self, offset: int) -> int:
        """Return the 1-based number of the line of a character."""
        return bisect.bisect_right(self._starts, offset)

    def line_start(self, offset: int) -> int:
        return self._starts[self.line_number(offset) - 1]

    def line_end(self, offset: int) -> int:
        """Return the start of the next line."""
        number = self.line_number(offset)
        return self._starts[number] if number < len(self._starts) else len(self.text)

    def line_break(self, offset: int) -> str:
        """Return the line break for a line at *offset*: that of the line above, else of the first line."""
        above = max(self.line_start(offset) - 1, 0)
        line = self.text[self.line_start(above) : self.line_end(above)]
        return line[len(line.rstrip("\r\n")) :] or "\n"

    def _line(self, start: int) -> str:
        return self.text[start : self.line_end(start)].rstrip("\r\n")

    def _join(self, lines: Iterable[str], offset: int) -> str:
        ending = self.line_break(offset)
        return "".join(f"{line}{ending}" for line in lines)

    # ----------------------------------------------------------------------------- children

    def column(self, node: Union[ListNode, MapNode]) -> int:
        """Return the indent of the children of a block collection."""
        if isinstance(node, MapNode):
            return node.pairs[0][0].column - 1
        # not where the node begins, which may be an anchor behind its key
        line = self._line(self.line_start(node.items[0].start))
        return _indent(line) if line.lstrip(" ").startswith("-") else node.column - 1

    def spans(self, node: Union[ListNode, MapNode]) -> list[tuple[int, int]]:
        """Return the offsets of each child: of its own lines, or in brackets of its characters."""
        if isinstance(node, MapNode):
            spans = [(key.start, max(key.end, value.end)) for key, value in node.pairs]
        else:
            spans = [(item.start, item.end) for item in node.items]
        if node.flow or not spans:
            return spans
        column = self.column(node)
        starts = [self.line_start(start) for start, _ in spans]
        if isinstance(node, ListNode):
            starts = [self._dash_line(start, column) for start in starts]
        return [(start, self.own_end(end, column)) for start, (_, end) in zip(starts, spans)]

    def _dash_line(self, start: int, column: int) -> int:
        """Return the start of the line with the dash of an item, at or above its first line."""
        while start and self._line(start)[: column + 1].lstrip() != "-":
            start = self.line_start(start - 1)
        return start

    def own_end(self, end: int, column: int) -> int:
        """Return the end of the own lines of a child at *column* whose last character is before *end*."""
        end = self.line_end(max(end - 1, 0))
        while _is_comment(self._line(end)) and _indent(self._line(end)) > column:
            end = self.line_end(end)
        return end

    def _below(self, end: int) -> int:
        """Return the offset below own lines that end at *end*: below the comments that point up to them."""
        if _POINTS_UP.match(self._line(end)):
            indent = _indent(self._line(end))
            while _is_comment(self._line(end)) and _indent(self._line(end)) == indent:
                if _RULE.fullmatch(self._line(end)):
                    break
                end = self.line_end(end)
        return end

    def change(
        self, node: Union[ListNode, MapNode], dropped: Collection[int], added: Sequence[NewChild] = ()
    ) -> Iterator[Splice]:
        """Remove children of a collection that has some, and add others; those at one position in the order given."""
        spans = self.spans(node)
        if node.flow:
            yield from self._change_in_brackets(spans, dropped, added)
            return
        for index in dropped:
            yield Splice(*spans[index])
        indent = " " * self.column(node)
        for child in added:
            start, end = spans[child.near]
            yield self.insert(
                [f"{indent}{line}" for line in child.lines], self._below(end) if child.is_below else start
            )

    def insert(self, lines: Iterable[str], at: int) -> Splice:
        return Splice(at, at, self._join(lines, at))

    def _change_in_brackets(
        self, spans: Sequence[tuple[int, int]], dropped: Collection[int], added: Sequence[NewChild]
    ) -> Iterator[Splice]:
        """Do the same in brackets: each child with its comma."""
        left = [index for index in range(len(spans)) if index not in dropped]
        if not left:
            yield Splice(spans[0][0], spans[-1][1], ", ".join(child.lines[0] for child in added))
            return
        for index in dropped:
            if index < left[-1]:
                yield Splice(spans[index][0], spans[index + 1][0])
        if left[-1] + 1 < len(spans):
            start, after = spans[left[-1]][1], spans[left[-1] + 1][0]
            # the comma before them goes too, unless a comment is behind it
            yield Splice(after if "#" in self.text[start:after] else start, spans[-1][1])
        for child in added:
            above = [index for index in left if index < child.near + child.is_below]
            at = spans[above[-1]][1] if above else spans[left[0]][0]
            yield Splice(at, at, f", {child.lines[0]}" if above else f"{child.lines[0]}, ")

    # ------------------------------------------------------------------------------- values

    def replace(self, key: ScalarNode, old: Node, value: str, lines: Sequence[str] = ()) -> Iterator[Splice]:
        """Replace the value of a key by one on its line or, without *value*, by *lines* below it."""
        colon, end = self.colon(key), self.own_end(max(key.end, old.end), key.column - 1)
        is_below = isinstance(old, (ListNode, MapNode)) and not old.flow
        is_missing = old.start == old.end
        if is_below:
            yield Splice(self.line_end(colon), end)
        if value and (is_below or is_missing):
            yield Splice(colon, colon, f" {value}")
        elif value:
            yield Splice(old.start, old.end, value)
        elif not is_below and not is_missing:
            yield Splice(colon, old.end)
        yield self.insert([f"{' ' * (key.column - 1)}{line}" for line in lines], end)

    def colon(self, key: ScalarNode) -> int:
        match = re.compile(r"[ \t]*:").match(self.text, key.end)
        if match is None:
            raise NpcLimsError(
                f"line {self.line_number(key.start)}: '{key.text}' is written in a form that is not edited here "
                "(a '?' before the key, or no colon right behind it): edit the entry by hand"
            )
        return match.end()

    def spliced(self, splices: Iterable[Splice]) -> str:
        """Return the text with all replacements made, those at one offset in the order given."""
        pieces, position = [], 0
        for change in sorted(splices, key=lambda change: (change.start, change.end)):
            if change.start < position:
                raise NpcLimsError(
                    "nothing is written: two of these changes concern the same characters; make them one by one"
                )
            pieces += [self.text[position : change.start], change.text]
            position = change.end
        return "".join([*pieces, self.text[position:]])


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _is_comment(line: str) -> bool:
    return line.lstrip(" \t").startswith("#")


# -------------------------------------------------------------------------------------- nodes


def child(node: Node | None, name: str) -> tuple[ScalarNode, Node] | None:
    """Return a key of a mapping, and its value."""
    return next(((key, value) for key, value in pairs_of(node) if key.text == name), None)


def pairs_of(node: Node | None) -> Sequence[tuple[ScalarNode, Node]]:
    return node.pairs if isinstance(node, MapNode) else ()


def plain_of(node: Node) -> Any:
    return to_plain(node, Report(""))


def canonical(value: Any) -> str:
    """Return a text that is equal for equal values. Unlike `==`, it distinguishes 1 from true."""
    return json.dumps(value, sort_keys=True)
