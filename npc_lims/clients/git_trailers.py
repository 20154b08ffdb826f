"""Trailers of commit messages, and text that is safe in one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from npc_lims.utils.text import single_line

__all__ = ["TOKEN_PATTERN", "escape_mentions", "trailer_lines"]

# Notes that people typed must not notify anyone, nor close an issue when the commit reaches the default branch.
_MENTION = re.compile(r"(?<!\w)@(?=\w)")


_CLOSING = re.compile(r"\b(close[sd]?|fix(?:e[sd])?|resolve[sd]?)(?=:?\s)", re.IGNORECASE)


TOKEN_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")


def escape_mentions(text: str) -> str:
    """*text* without what would notify people or close issues."""
    return _CLOSING.sub(r"'\1'", _MENTION.sub("@ ", text))


def trailer_lines(trailers: Mapping[str, str | Sequence[str]]) -> Iterable[str]:
    """The trailers, a line each.

    Raises:
        ValueError: A token is none that git reads as one.
    """
    for token, value in trailers.items():
        if not TOKEN_PATTERN.fullmatch(token):
            raise ValueError(f"{token!r} is no trailer token: it may have letters, digits and hyphens")
        for one in [value] if isinstance(value, str) else value:
            # a line feed would end the trailer, and begin another one
            yield f"{token}: {single_line(one)}".rstrip()
