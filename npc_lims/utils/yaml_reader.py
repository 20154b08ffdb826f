"""YAML that a program wrote, read back. That of people is read with positions: `npc_lims.sources.yaml_nodes`."""

from __future__ import annotations

import json
import re
from typing import Any

from npc_lims.utils.text import single_line
from npc_lims.utils.yaml_writer import render_yaml

_KEY = re.compile(r'("(?:[^"\\]|\\.)*"|[^" \-](?:[^:]|:(?=[^ ]))*):(?: (.*))?')
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {"null": None, "true": True, "false": False}


def load_yaml(content: bytes) -> Any:
    """Return the value of the one document in *content*.

    Raises:
        ValueError: It is none; the message has the reason in one line of at most 200 characters.
    """
    rendered = read_rendered(content.decode("utf-8", "replace"))
    if rendered:
        return rendered
    from ruamel.yaml import YAML

    try:
        return YAML(typ="safe", pure=True).load(content)
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
    """Return the value in the lines below a key, or below the dash of a list in a list."""
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
