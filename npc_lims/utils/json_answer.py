"""JSON that a server sent."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["parse_json"]


def parse_json(content: bytes) -> Any:
    """Return the value of JSON in UTF-8, with or without a byte order mark.

    `requests` decodes what is not UTF-8 with replacement characters, in which a damaged name looks like another one.

    Raises:
        ValueError: It is something else.
        RecursionError: It nests too deep.

    >>> parse_json(b'{"a": 1}')
    {'a': 1}
    """
    return json.loads(content.decode("utf-8-sig"))
