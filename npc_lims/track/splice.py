"""A text by its lines, and replacements in it that leave every other character alone."""

from __future__ import annotations

import bisect
import dataclasses
import re
from collections.abc import Iterable

from npc_lims.errors import NpcLimsError

# as YAML 1.2 counts them: a form feed or U+2028 ends no line
_BREAK = re.compile(r"\r\n|\r|\n")


@dataclasses.dataclass(frozen=True)
class Splice:
    """Replace `text[start:end]` by *text*."""

    start: int
    end: int
    text: str = ""


def splice(text: str, splices: Iterable[Splice]) -> str:
    """Return *text* with all replacements made, those at one offset in the order given."""
    pieces, position = [], 0
    for change in sorted(splices, key=lambda change: (change.start, change.end)):
        if change.start < position:
            raise NpcLimsError(
                "nothing is written: two of these changes concern the same characters; make them one by one"
            )
        pieces += [text[position : change.start], change.text]
        position = change.end
    return "".join([*pieces, text[position:]])


class TextLines:
    """Offsets of the lines of a text, and their line breaks."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._breaks = [(match.end(), match.group()) for match in _BREAK.finditer(text)]
        self._starts = [0, *(end for end, _ in self._breaks)]

    def start(self, offset: int) -> int:
        """Start of the line that holds the character at *offset*."""
        return self._starts[self._line(offset)]

    def end(self, offset: int) -> int:
        """Start of the line after it."""
        line = self._line(offset) + 1
        return self._starts[line] if line < len(self._starts) else len(self.text)

    def number(self, offset: int) -> int:
        """Return the 1-based number of the line."""
        return self._line(offset) + 1

    def above(self, start: int) -> int:
        """Start of the line above the one that starts at *start*."""
        return self._starts[self._line(start) - 1]

    def at(self, start: int) -> str:
        """Return the line that starts at *start*, without its line break."""
        return self.text[start : self.end(start)].rstrip("\r\n")

    def break_at(self, offset: int) -> str:
        """Return the line break for a line inserted at *offset*: that of the line above, else of the first line."""
        if not self._breaks:
            return "\n"
        return self._breaks[max(self._line(offset) - 1, 0)][1]

    def join(self, lines: Iterable[str], offset: int) -> str:
        """Return *lines* with line breaks, for insertion at *offset*, the start of a line."""
        ending = self.break_at(offset)
        return "".join(f"{line}{ending}" for line in lines)

    def _line(self, offset: int) -> int:
        return bisect.bisect_right(self._starts, offset) - 1


def indent_of(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def is_comment(line: str) -> bool:
    return line.lstrip(" \t").startswith("#")
