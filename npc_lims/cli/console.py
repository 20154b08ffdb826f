"""Where commands print, and how a value looks in a table."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console

__all__ = ["err", "out", "symbol"]

_PIPE_WIDTH = 200
_SYMBOLS = {True: ("✓", "y", "green"), False: ("·", "n", "dim"), None: ("?", "?", "yellow"), "n/a": ("–", "-", "dim")}


def out() -> Console:
    """Standard output. In a pipe lines are not cut to some terminal's width."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False, markup=False, emoji=False)


def err() -> Console:
    """Standard error. Lines are never broken by us: a log is searched by line, a terminal breaks its own."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


def symbol(value: Any) -> tuple[str, str]:
    """Yes, no, unknown or does not apply, as one character that the terminal's encoding has, and its style."""
    fancy, plain, style = _SYMBOLS[value if value in (True, False, None) or value == "n/a" else True]
    try:
        fancy.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return plain, style
    return fancy, style
