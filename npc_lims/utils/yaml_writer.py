"""One YAML rendering for one value.

Block style, keys in the order given, no line folding, and quotes around every string that any
YAML reader (1.1 or 1.2) could take for something else. ruamel.yaml reads what this writes; it is
not used to write because it takes some 5 ms for a file, 50 s for ten thousand of them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Plain only when it begins with a letter or a slash and holds nothing that YAML could give a meaning.
_PLAIN = re.compile(r"[A-Za-z/](?:[A-Za-z0-9_./,'()+*@ -]|:(?=[^ ]))*")
# Words that some reader takes for a boolean, null or number.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})
# JSON escapes what is below a space; YAML also wants these escaped inside double quotes.
_NOT_PRINTABLE = "\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff"
# What turns the direction of writing: with it a line of a diff says to who reviews it what no program reads there.
_TURNING = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_ESCAPED = re.compile(f"[{_NOT_PRINTABLE}{_TURNING}]")
# Safe though they begin with a digit, and better to read and grep without quotes. The hyphens make them so:
# 668759_20230711 is an integer to YAML 1.1.
_SESSION_ID = re.compile(r"[0-9]{6,7}_[0-9]{4}-[0-9]{2}-[0-9]{2}(?:_[0-9]+)?")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def render_yaml(value: Mapping[str, Any]) -> str:
    """*value* (mappings with string keys, sequences and JSON scalars) as a YAML document.

    >>> print(render_yaml({"id": "626791_2022-08-15", "days": [1], "notes": "no"}), end="")
    id: 626791_2022-08-15
    days:
    - 1
    notes: "no"
    """
    return "".join(f"{line}\n" for line in _mapping(value, "")) if value else "{}\n"


def _mapping(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, item in value.items():
        yield from _entry(f"{indent}{_scalar(key)}:", item, indent)


def _entry(head: str, item: Any, indent: str) -> Iterator[str]:
    """`head` followed by the item, on its line if it fits there."""
    if isinstance(item, Mapping) and item:
        yield head
        yield from _mapping(item, indent + "  ")
    elif isinstance(item, Sequence) and not isinstance(item, str) and item:
        yield head
        for element in item:
            yield from _element(element, indent)
    else:
        yield f"{head} {_scalar(item)}"


def _element(element: Any, indent: str) -> Iterator[str]:
    if isinstance(element, Mapping) and element:
        lines = list(_mapping(element, indent + "  "))
        yield f"{indent}- {lines[0].lstrip(' ')}"
        yield from lines[1:]
    elif isinstance(element, Sequence) and not isinstance(element, str) and element:
        yield from _entry(f"{indent}-", element, indent + "  ")
    else:
        yield f"{indent}- {_scalar(element)}"


def _scalar(value: Any) -> str:
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
