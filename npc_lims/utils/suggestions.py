"""The known name that an unknown one was most likely meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that is most like *name*, whatever the case, if any is like it."""
    by_lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[near[0]] if near else None


def suggestion(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return the words that suggest the nearest known name; an empty text if there is none.

    >>> suggestion("inputs", ["input", "mount"])
    " (did you mean 'input'?)"
    """
    near = nearest(name, known, cutoff)
    return "" if near is None else f" (did you mean {near!r}?)"
