"""External text made safe to print (on one line, without control characters and workflow commands); near names. Pure.

Text of servers, files and people reaches terminals, logs, summaries and commit messages. A line feed in it would begin
a line of its own, an escape sequence would move the cursor, a bidirectional control would reorder what a reviewer
sees, and a line that begins with `::` (or has `##[` anywhere) is a command to the runner of GitHub Actions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# The runner removes white space at the beginning of a line before it looks for `::`; it finds `##[` anywhere.
_WORKFLOW_COMMAND = re.compile(r"^(\s*)(?=::)|(?<=##)(?=\[)", re.MULTILINE)
_ELLIPSIS = "..."


def single_line(text: object, max_length: int | None = None) -> str:
    """Return *text* on one line of printable characters, of at most *max_length* of them.

    White space is collapsed; other control characters, bidirectional controls and lone surrogates are shown as
    escapes.

    >>> single_line("a\\n::error::b\\x1b[2J")
    'a ::error::b\\\\x1b[2J'
    >>> single_line("::error::a"), single_line("\\ud800"), single_line("abcdefgh", 6)
    ('\\\\::error::a', '\\\\ud800', 'abc...')
    """
    line = visible(" ".join(str(text).split()))
    if max_length is None or len(line) <= max_length:
        return line
    return line[: max(0, max_length - len(_ELLIPSIS))] + _ELLIPSIS[:max_length]


def visible(text: str) -> str:
    """Return *text* with its line feeds, and every other character that is not printable as an escape.

    >>> visible("a\\n::error::b\\x1b[2J")
    'a\\n\\\\::error::b\\\\x1b[2J'
    """
    if not text.isprintable():
        text = "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)
    return _WORKFLOW_COMMAND.sub(r"\1\\", text) if "::" in text or "##[" in text else text


def counted(number: int, noun: str) -> str:
    """
    >>> counted(1, "session"), counted(2500, "session")
    ('1 session', '2,500 sessions')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that is most like *name*, whatever the case, if any is like it."""
    import difflib  # for mistakes alone

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
