"""External text made safe to print: on one line, without control characters and workflow commands. Pure.

Text of servers, files and people reaches terminals, logs, summaries and commit messages. A line feed in it would begin
a line of its own, an escape sequence would move the cursor, a bidirectional control would reorder what a reviewer
sees, and a line that begins with `::` (or has `##[` anywhere) is a command to the runner of GitHub Actions.
"""

from __future__ import annotations

import re

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
