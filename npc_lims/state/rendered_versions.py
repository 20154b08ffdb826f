"""Reading what `state/render.py` wrote, by lines: a hundred times faster than a reader of YAML."""

from __future__ import annotations

import json
import re
from typing import Any

from npc_lims.utils.yaml_writer import render_yaml

__all__ = ["read_rendered"]

_KEY = re.compile(r'("(?:[^"\\]|\\.)*"|[^" \-](?:[^:]|:(?=[^ ]))*):(?: (.*))?')
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {"null": None, "true": True, "false": False}


def read_rendered(text: str) -> dict[str, Any] | None:
    """The mapping that *text* is the rendering of; None if it is no rendering of ours, whatever else it may be.

    >>> read_rendered('a: 1\\nb:\\n- x\\n'), read_rendered('a:   1\\n')
    ({'a': 1, 'b': ['x']}, None)
    """
    lines = text.split("\n")
    if lines.pop():
        return None
    try:
        value, end = _mapping(lines, 0, "")
        # one value has one rendering: what gives this text is what this text means
        return value if end == len(lines) and render_yaml(value) == text else None
    except (ValueError, IndexError, RecursionError):
        return None


def _mapping(lines: list[str], at: int, indent: str) -> tuple[dict[str, Any], int]:
    value: dict[str, Any] = {}
    depth = len(indent)
    while at < len(lines) and lines[at].startswith(indent):
        match = _KEY.fullmatch(lines[at], depth)
        if match is None:
            break
        key, rest = match.groups()
        key = json.loads(key) if key.startswith('"') else key
        if rest is None:
            value[key], at = _below(lines, at + 1, indent)
        else:
            value[key], at = _scalar(rest), at + 1
    return value, at


def _below(lines: list[str], at: int, indent: str) -> tuple[Any, int]:
    """What stands in the lines below a key, or below the dash of a list in a list."""
    if lines[at].startswith(f"{indent}-"):
        return _list(lines, at, indent)
    return _mapping(lines, at, f"{indent}  ")


def _list(lines: list[str], at: int, indent: str) -> tuple[list[Any], int]:
    value: list[Any] = []
    inner = f"{indent}  "
    dash = f"{indent}-"
    while at < len(lines) and lines[at].startswith(dash):
        rest = lines[at][len(inner) :]
        element: Any
        if not rest:
            element, at = _list(lines, at + 1, inner)
        elif _KEY.fullmatch(rest):
            lines[at] = inner + rest
            element, at = _mapping(lines, at, inner)
        else:
            element, at = _scalar(rest), at + 1
        value.append(element)
    return value, at


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if text[:1] in '"[{' or _NUMBER.fullmatch(text):
        return json.loads(text)
    return text
