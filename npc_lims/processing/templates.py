"""Templates with names in braces, such as `{recording}_sorted_{created}`. Two braces stand for one."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PARTS = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}]*)\}|[{}]")


def names_in(template: str) -> list[str]:
    """Return the names in braces, in order.

    >>> names_in("{recording}_sorted_{created}")
    ['recording', 'created']

    Raises:
        ValueError: A brace is opened and not closed, or closed and not opened.
    """
    names = []
    for part in _PARTS.finditer(template):
        if part["name"] is not None:
            names.append(part["name"])
        elif len(part[0]) == 1:
            raise ValueError(f"a single {part[0]!r}: close the braces, or double it if it is meant as such")
    return names


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return the text with each name replaced by its value.

    >>> fill("{{{session}}}", {"session": "626791_2022-08-15"})
    '{626791_2022-08-15}'

    Raises:
        KeyError: A name has no value.
    """
    return _PARTS.sub(lambda part: part[0][0] if part["name"] is None else values[part["name"]], template)
