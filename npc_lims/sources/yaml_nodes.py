"""YAML text as nodes with their position and their original text.

A YAML loader decides what `NO`, `2023-07-11` or `668759_20230711` are and forgets the text.
Here nothing is decided early: a scalar keeps its text, its value follows YAML 1.2's core rules, and
`ambiguous_as` is what readers of the older YAML 1.1 make of it.
"""

from __future__ import annotations

import dataclasses
import math
import re
import sys
from collections.abc import Iterator
from typing import Any, NoReturn, Union

from ruamel.yaml import YAML
from ruamel.yaml import events as yaml_events
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError

from npc_lims.errors import Problem, Severity

MAX_DEPTH = 20
MAX_ALIASED = 10_000
"""Most values that the aliases of a file may repeat: a few lines of nested ones can stand for billions."""
MAX_DIGITS = 100
"""More digits are text."""


class Report:
    """The problems of one file, collected as they are met."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._found: set[Problem] = set()

    def error(self, at: Node, message: str) -> None:
        self.add(at.line, at.column, "error", message)

    def warning(self, at: Node, message: str) -> None:
        self.add(at.line, at.column, "warning", message)

    def add(self, line: int, column: int, severity: Severity, message: str) -> None:
        # a set, since a value used through several aliases is met several times
        self._found.add(Problem(self.file, line, column, severity, message))

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(sorted(self._found))


@dataclasses.dataclass
class _NodePosition:
    """A node in the text, after its byte order mark: line and column from 1, and the offsets of its first character (or
    of its anchor) and after its last, a closing quote or bracket included. An empty node is at the end of its key."""

    line: int
    column: int
    start: int = 0
    end: int = 0


@dataclasses.dataclass
class ScalarNode(_NodePosition):
    """One value or key: its text, and whether it is written without quotes."""

    text: str = ""
    plain: bool = True
    size = 1

    @property
    def value(self) -> Any:
        """Value by YAML 1.2's core rules: None, a bool, int, float or str."""
        return _core(self.text)[1] if self.plain else self.text

    @property
    def unquoted(self) -> ScalarNode:
        return dataclasses.replace(self, plain=True)

    @property
    def ambiguous_as(self) -> str | None:
        """Value that readers of YAML 1.1 take the unquoted text for, in words; None if it is the same."""
        if not self.plain:
            return None
        name = _yaml11(self.text)
        return name if name != _core(self.text)[0] else None


@dataclasses.dataclass
class _CollectionNode(_NodePosition):
    """A collection; *size* counts all values in it, and *flow* is one written in brackets."""

    size: int = 1
    flow: bool = False


@dataclasses.dataclass
class ListNode(_CollectionNode):
    items: list[Node] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class MapNode(_CollectionNode):
    pairs: list[tuple[ScalarNode, Node]] = dataclasses.field(default_factory=list)


Node = Union[ScalarNode, ListNode, MapNode]


_LONG_ESCAPE = re.compile(r"\\U([0-9a-fA-F]{8})")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_NULL = re.compile(r"|~|null|Null|NULL")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

# what YAML 1.1 reads differently, after the resolver of PyYAML
_BOOL_11 = re.compile(r"yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF")
_INTEGERS_11 = (
    (re.compile(r"[-+]?0b[01_]+"), 2),
    (re.compile(r"[-+]?0[0-7_]+"), 8),
    (re.compile(r"[-+]?0x[0-9a-fA-F_]+"), 16),
    (re.compile(r"[-+]?(0|[1-9][0-9_]*)"), 10),
)
_BASE_60_11 = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_FLOAT_11 = re.compile(r"[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)([eE][-+][0-9]+)?")
_DATE_11 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(\.[0-9]*)?"
    r"([ \t]*(Z|[-+][0-9]{1,2}(:?[0-9]{2})?))?"
)


def _core(text: str) -> tuple[str, Any]:
    """Name and value of a plain scalar, by YAML 1.2's core rules."""
    if text[:1] not in "-+.0123456789~nNtTfF":  # nearly every text ends here; "" goes on to null
        return "text", text
    if _NULL.fullmatch(text):
        return "nothing", None
    if _BOOL.fullmatch(text):
        return text.lower(), text[0] in "tT"
    if len(text) <= MAX_DIGITS:
        if _INT.fullmatch(text):
            base = {"0o": 8, "0x": 16}.get(text[:2], 10)
            return f"the integer {int(text, base)}", int(text, base)
        if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
            number = float(text.replace(".", "", 1) if _NOT_FINITE.fullmatch(text) else text)
            return f"the number {number}", number
    return "text", text


def _yaml11(text: str) -> str:
    """Name of a plain scalar to a reader of YAML 1.1: that of `_core` where both agree."""
    if _NULL.fullmatch(text) or _BOOL.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        return _core(text)[0]
    if _BOOL_11.fullmatch(text):
        return "true" if text.lower() in ("yes", "on") else "false"
    digits = text.replace("_", "")
    if len(text) <= MAX_DIGITS and digits.strip("+-") not in ("0b", "0x"):
        for pattern, base in _INTEGERS_11:
            if pattern.fullmatch(text):
                return f"the integer {int(digits, base)}"
        if _DATE_11.fullmatch(text):
            return "a date"
        if _BASE_60_11.fullmatch(text):
            return "a number in base 60"
        if _FLOAT_11.fullmatch(text):
            return f"the number {float(digits)}"
    return "text"


class _UnreadableError(Exception):
    """The rest of the text cannot be read; the reason is already reported."""


def compose(text: str, report: Report) -> Node | None:
    """Return the one document of *text*; None if there is none or it cannot be read to its end.

    Reported, with the position: syntax errors, explicit tags, merge keys, keys given twice, keys
    that are no plain value, a second document, nesting too deep, aliases that expand too far.
    """
    try:
        return _Composer(report).run(text.lstrip("\ufeff"))
    except _UnreadableError:
        return None


@dataclasses.dataclass
class _Open:
    """A collection before its end, and the key without a value yet and the lines of the keys of a mapping."""

    node: ListNode | MapNode
    key: Node | None = None
    keys: dict[str, int] = dataclasses.field(default_factory=dict)


class _Composer:
    def __init__(self, report: Report) -> None:
        self._report = report
        self._open: list[_Open] = []
        self._text = ""
        self._anchors: dict[str, Node] = {}
        self._aliased = 0
        self._root: Node | None = None
        self._documents = 0

    def run(self, text: str) -> Node | None:
        self._text = text
        for event in self._events(text):
            if isinstance(event, yaml_events.CollectionEndEvent):
                node = self._open.pop().node
                if node.flow:  # one of indentation ends with its last child: the scanner ends it where the next begins
                    node.end = event.end_mark.index
                self._add(node)
            elif isinstance(event, yaml_events.NodeEvent):
                self._node(event)
            elif isinstance(event, yaml_events.DocumentStartEvent):
                self._documents += 1
                if self._documents > 1:
                    self._stop(event, "a second document begins here: keep everything in one, without a line of ---")
        return self._root

    def _events(self, text: str) -> Iterator[Any]:
        read = 0  # characters, those of the last event included
        try:
            for event in YAML(typ="safe", pure=True).parse(text):
                read = event.end_mark.index
                yield event
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = _position(text, read) if mark is None else (mark.line + 1, mark.column + 1)
            self._syntax(line, column, str(error.problem or error.context))
        except ReaderError as error:
            self._syntax(*_position(text, error.position), "a control character that YAML does not allow")
        except Exception as error:
            # some malformed escapes and directives leave the scanner as whatever broke there
            escape = next((one for one in _LONG_ESCAPE.finditer(text, read) if int(one[1], 16) > sys.maxunicode), None)
            if escape is not None:
                self._syntax(*_position(text, escape.start()), f"{escape[0]} is no character: Unicode ends at 10ffff")
            what = f"something malformed here or soon after ({error or type(error).__name__})"
            self._syntax(*_position(text, read), what)

    def _syntax(self, line: int, column: int, what: str) -> NoReturn:
        hint = next((hint for sign, hint in _SYNTAX_HINTS.items() if sign in what), "")
        what = re.sub(r"\('(<[^>]*>)',\)", r"'\1'", what)
        self._report.add(line, column, "error", f"YAML syntax: {' '.join(what.split())}{hint}")
        raise _UnreadableError

    def _stop(self, event: Any, message: str) -> NoReturn:
        self._error(event, message)
        raise _UnreadableError

    def _error(self, event: Any, message: str) -> None:
        self._report.add(event.start_mark.line + 1, event.start_mark.column + 1, "error", message)

    def _node(self, event: Any) -> None:
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        if isinstance(event, yaml_events.AliasEvent):
            self._add(self._alias(event, line, column))
            return
        if event.ctag is not None:
            self._error(event, "an explicit YAML tag (a word after '!'): remove it, and quote what is text")
        node: Node
        start, end = event.start_mark.index, event.end_mark.index
        if isinstance(event, yaml_events.ScalarEvent):
            end = start + len(self._text[start:end].rstrip())  # a block of text takes the empty lines after it along
            node = ScalarNode(line, column, start, end, event.value, event.style in (None, ""))
            if _SURROGATE.search(event.value):
                self._error(event, "half a character (an escape \\ud800 to \\udfff): write both halves")
        else:
            collection = ListNode if isinstance(event, yaml_events.SequenceStartEvent) else MapNode
            node = collection(line, column, start, end, flow=bool(event.flow_style))
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        if isinstance(node, ScalarNode):
            self._add(node)
        elif len(self._open) >= MAX_DEPTH:
            self._stop(event, f"nested deeper than {MAX_DEPTH} levels: check the brackets and the indentation")
        else:
            self._open.append(_Open(node))

    def _alias(self, event: Any, line: int, column: int) -> Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            self._stop(event, f"the alias *{event.anchor} has no anchor &{event.anchor} before it")
        elif any(node is opened.node for opened in self._open):
            self._stop(event, f"the alias *{event.anchor} is inside what it repeats: write the value out")
        self._aliased += node.size
        if self._aliased > MAX_ALIASED:
            self._stop(event, f"the aliases up to here repeat more than {MAX_ALIASED} values: write the values out")
        start, end = event.start_mark.index, event.end_mark.index
        return dataclasses.replace(node, line=line, column=column, start=start, end=end)

    def _add(self, node: Node) -> None:
        """Put a complete node where it belongs: below the innermost open collection."""
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        if not (isinstance(node, ScalarNode) and node.start == node.end):  # where nothing is, nothing ends
            parent.node.end = node.end
        if isinstance(parent.node, ListNode):
            parent.node.items.append(node)
            parent.node.size += node.size
        elif parent.key is None:
            parent.key = node
        else:
            key, parent.key = parent.key, None
            self._pair(parent.node, parent.keys, key, node)

    def _pair(self, mapping: MapNode, keys: dict[str, int], key: Node, value: Node) -> None:
        mapping.size += 1 + value.size
        if not isinstance(key, ScalarNode):
            self._report.error(key, f"a key must be plain text, not {kind(key)}: check brackets and braces")
        elif key.plain and key.text == "<<":
            self._report.error(key, "a merge key (<<): readers disagree about it; write the keys out")
        elif key.plain and key.text == "":
            self._report.error(key, "nothing before the colon: write a key")
        elif key.text in keys:
            line = keys[key.text]
            self._report.error(key, f"'{shorten(key.text)}' is given twice, first in line {line}: keep one")
        else:
            if isinstance(value, ScalarNode) and value.plain and not value.text:
                # the scanner puts a missing value anywhere up to the next key
                value = dataclasses.replace(value, line=key.line, column=key.column, start=key.end, end=key.end)
            keys[key.text] = key.line
            mapping.pairs.append((key, value))


_SYNTAX_HINTS = {
    "'\\t'": "; indent with spaces, not tabs",
    "mapping values are not allowed": "; check the indentation, and quote a text that holds ': '",
    "could not find expected ':'": "; check the indentation, and that a colon and a space follow the key",
    "<document start>": "; check that this line is indented like its neighbours",
    "<block end>": "; check that this line is indented like its neighbours",
    "found unexpected end of stream": "; a quote is opened and never closed",
    "cannot start any token": "; quote a text that begins with such a character",
}


def _position(text: str, index: int) -> tuple[int, int]:
    """Line and column, both from 1, of a character."""
    line_start = text.rfind("\n", 0, index) + 1
    return text.count("\n", 0, index) + 1, index - line_start + 1


def to_plain(node: Node, report: Report) -> Any:
    """Return the node as dicts, lists and scalars, with texts as keys. Infinity and NaN are reported."""
    if isinstance(node, ListNode):
        return [to_plain(item, report) for item in node.items]
    if isinstance(node, MapNode):
        return {key.text: to_plain(value, report) for key, value in node.pairs}
    value = node.value
    if isinstance(value, float) and not math.isfinite(value):
        report.error(node, f"{shorten(node.text)} is no number that JSON can hold: quote it, or write a finite one")
        return 0.0  # the file is refused; any finite number will do
    return value


def is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.value is None


def kind(node: Node) -> str:
    """Describe the type and value of a node."""
    if isinstance(node, (ListNode, MapNode)):
        return "a list" if isinstance(node, ListNode) else "a mapping"
    name = _core(node.text)[0] if node.plain else "text"
    return f"the text {show(node.text)}" if name == "text" else name


def show(value: Any) -> str:
    """Return a value on one short line, as in the file."""
    if isinstance(value, list):
        return shorten(f"[{', '.join(map(show, value[:20]))}]")
    if isinstance(value, dict):
        return shorten(f"{{{', '.join(f'{k}: {show(v)}' for k, v in list(value.items())[:20])}}}")
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else shorten(repr(value))


def shorten(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:70]}...{text[-7:]}"
