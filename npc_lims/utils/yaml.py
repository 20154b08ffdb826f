"""YAML that programs write: one rendering for one value, and read back.

Block style, keys in the order given, no line folding, and quotes around every string that any YAML reader (1.1 or 1.2)
could take for something else. ruamel.yaml reads what this writes; it is not used to write because it takes some 5 ms
for a file, 50 s for ten thousand of them. What people write is read with positions: `npc_lims.sources.yaml_nodes`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union

from npc_lims.utils.text import single_line

# Plain only when it begins with a letter or a slash and holds nothing that YAML could give a meaning.
_PLAIN = re.compile(r"[A-Za-z/](?:[A-Za-z0-9_./,'()+*@ -]|:(?=[^ ]))*")
# Words that some reader takes for a boolean, null or number.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})
# JSON escapes what is below a space; YAML also wants these escaped inside double quotes.
_NOT_PRINTABLE = "\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff"
# Bidirectional controls: with them a reviewer of a diff sees another order than programs read.
_BIDIRECTIONAL = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_ESCAPED = re.compile(f"[{_NOT_PRINTABLE}{_BIDIRECTIONAL}]")
# Safe though they begin with a digit, and better to read and grep without quotes. The hyphens make them so:
# 668759_20230711 is an integer to YAML 1.1.
_SESSION_ID = re.compile(r"[0-9]{6,7}_[0-9]{4}-[0-9]{2}-[0-9]{2}(?:_[0-9]+)?")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_KEY = re.compile(r'("(?:[^"\\]|\\.)*"|[^" \-](?:[^:]|:(?=[^ ]))*):(?: (.*))?')
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?")
_CONSTANTS: dict[str, Any] = {"null": None, "true": True, "false": False}

_Block = Union[Mapping[str, Any], Sequence[Any]]


def render_yaml(value: Mapping[str, Any]) -> str:
    """Return *value* (mappings with string keys, sequences and JSON scalars) as a YAML document.

    >>> print(render_yaml({"id": "626791_2022-08-15", "days": [1], "notes": "no"}), end="")
    id: 626791_2022-08-15
    days:
    - 1
    notes: "no"
    """
    return "".join(f"{line}\n" for line in _lines(value)) if value else "{}\n"


def load_yaml(content: bytes) -> Any:
    """Return the value of the one document in *content*; a time that somebody typed without quotes is text, too.

    ValueError, with the reason in one line of at most 200 characters, if it is none.
    """
    rendered = read_rendered(content.decode("utf-8", "replace").replace("\r\n", "\n"))
    if rendered:
        return rendered
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import SafeConstructor

    class Constructor(SafeConstructor):
        """Has constructors of its own: those of `SafeConstructor` are everybody's."""

    Constructor.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = Constructor
    try:
        return yaml.load(content)
    except Exception as error:  # a damaged file leaves the scanner as whatever broke there
        raise ValueError(single_line(error, 200) or type(error).__name__) from None


def read_rendered(text: str) -> dict[str, Any] | None:
    """Return the mapping that `render_yaml` renders as *text*, 100 times faster than YAML is read; None if none.

    >>> read_rendered('a: 1\\nb:\\n- x\\n'), read_rendered('a:   1\\n')
    ({'a': 1, 'b': ['x']}, None)
    """
    lines = text.split("\n")
    if lines.pop():
        return None
    try:
        value, end = _read_mapping(lines, 0, "")
        # one value has one rendering: what gives this text is what this text means
        return value if end == len(lines) and render_yaml(value) == text else None
    except (ValueError, IndexError, RecursionError):
        return None


def _lines(block: _Block) -> Iterator[str]:
    if isinstance(block, Mapping):
        for key, item in block.items():
            if not _is_block(item):
                yield f"{_render(key)}: {_render(item)}"
                continue
            yield f"{_render(key)}:"
            indent = "  " if isinstance(item, Mapping) else ""
            for line in _lines(item):
                yield indent + line
    else:
        for item in block:
            if not _is_block(item):
                yield f"- {_render(item)}"
                continue
            lines = _lines(item)
            yield f"- {next(lines)}" if isinstance(item, Mapping) else "-"
            for line in lines:
                yield f"  {line}"


def _is_block(value: Any) -> bool:
    return isinstance(value, (Mapping, Sequence)) and not isinstance(value, str) and bool(value)


def _render(value: Any) -> str:
    if isinstance(value, str):
        return value if _is_plain(value) else _quoted(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("state holds no infinite or undefined numbers")
    if value is None or isinstance(value, (bool, int, float)):
        text = json.dumps(value)
        # 1e+20 is a string to YAML 1.1, which wants a point in a float
        return text.replace("e", ".0e", 1) if isinstance(value, float) and "." not in text else text
    if isinstance(value, (Mapping, Sequence)):
        return "{}" if isinstance(value, Mapping) else "[]"
    raise TypeError(f"state holds no {type(value).__name__}: {value!r}")


def _quoted(text: str) -> str:
    return _ESCAPED.sub(lambda match: f"\\u{ord(match.group()):04x}", json.dumps(text, ensure_ascii=False))


def _is_plain(text: str) -> bool:
    if _SESSION_ID.fullmatch(text) or _UUID.fullmatch(text):
        return True
    return bool(_PLAIN.fullmatch(text)) and not text.endswith(" ") and text.lower() not in _WORDS


def _read_mapping(lines: list[str], at: int, indent: str) -> tuple[dict[str, Any], int]:
    value: dict[str, Any] = {}
    while at < len(lines) and lines[at].startswith(indent):
        match = _KEY.fullmatch(lines[at], len(indent))
        if match is None:
            break
        key, rest = match.groups()
        key = json.loads(key) if key.startswith('"') else key
        at += 1
        if rest is not None:
            value[key] = _read_scalar(rest)
        elif lines[at].startswith(f"{indent}-"):
            value[key], at = _read_list(lines, at, indent)
        else:
            value[key], at = _read_mapping(lines, at, f"{indent}  ")
    return value, at


def _read_list(lines: list[str], at: int, indent: str) -> tuple[list[Any], int]:
    value: list[Any] = []
    inner = f"{indent}  "
    while at < len(lines) and lines[at].startswith(f"{indent}-"):
        rest = lines[at][len(inner) :]
        element: Any
        if not rest:
            element, at = _read_list(lines, at + 1, inner)
        elif _KEY.fullmatch(rest):
            lines[at] = inner + rest
            element, at = _read_mapping(lines, at, inner)
        else:
            element, at = _read_scalar(rest), at + 1
        value.append(element)
    return value, at


def _read_scalar(text: str) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[:1] in '"[{' or _NUMBER.fullmatch(text):
        return json.loads(text)
    return text
