"""Which problems of a file were there before it was edited. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from npc_lims.errors import Problem

__all__ = ["split_known"]

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_LINE_NUMBER = re.compile(r"\bline [0-9]+\b")
# Subject and date, as they stand in every path of a session.
_SESSION = re.compile(r"[0-9]{6,7}_(?:[0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2})")


def split_known(
    problems: Iterable[Problem], text: str, base_problems: Iterable[Problem], base_text: str
) -> tuple[list[Problem], list[Problem]]:
    """New problems, and known ones: those that the base has too, of the same session and in the same words.

    Where they stand does not count, since a line more at the top moves all of them; how many alike there
    are does.
    """
    lines, base_lines = _LINE_BREAK.split(text), _LINE_BREAK.split(base_text)
    left = Counter(_key(problem, base_lines) for problem in base_problems)
    new: list[Problem] = []
    known: list[Problem] = []
    for problem in problems:
        key = _key(problem, lines)
        (known if left[key] > 0 else new).append(problem)
        left[key] -= 1
    return new, known


def _key(problem: Problem, lines: Sequence[str]) -> tuple[str, str, str]:
    return problem.severity, _session_at(lines, problem.line), _LINE_NUMBER.sub("line N", problem.message)


def _session_at(lines: Sequence[str], number: int) -> str:
    """The session named in a line, or in the nearest one above it: the entry that the line belongs to."""
    for line in reversed(lines[:number]):
        match = _SESSION.search(line)
        if match:
            return match.group()
    return ""
