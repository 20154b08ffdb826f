"""Entries of tracked_sessions.yaml that repeat a path."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal, Optional

from npc_lims.track.edits import FILE
from npc_lims.track.entry_spans import Item, Layout, canonical, same_path
from npc_lims.track.rewrite import Plan, rewrite

__all__ = ["Deduped", "Keep", "Repeat", "dedupe"]

Keep = Literal["first", "last"]


@dataclasses.dataclass(frozen=True)
class Repeat:
    """One of several entries of a session.

    Attributes:
        line: Its line in the text as it was.
        session: Subject and date; its path where it names none.
        differs: It says something else than the first.
        problem: What the reader of the file says of it.
    """

    line: int
    session: str
    differs: bool
    problem: str


@dataclasses.dataclass(frozen=True)
class Deduped:
    """A text without repeats.

    Attributes:
        removed: Entries that are gone.
        left: Repeats that differ from the first, between which somebody must choose.
    """

    text: str
    removed: tuple[Repeat, ...]
    left: tuple[Repeat, ...]


def dedupe(text: str, file: str = FILE, keep: Optional[Keep] = None) -> Deduped:
    """Remove entries that say the same as the first of their path.

    Args:
        keep: Which entry stays of those that differ. The first is the one that counts as long as all are there.

    Raises:
        TrackedFileError: The file holds errors elsewhere than in entries that are removed.
    """
    removed: list[Repeat] = []
    left: list[Repeat] = []

    def plan(layout: Layout) -> Plan:
        gone: list[int] = []
        for numbers in _repeats(layout):
            first, *others = (layout.items[number] for number in numbers)
            same = [n for n, item in zip(numbers[1:], others) if _says(item) == _says(first)]
            if keep == "last" and len(same) < len(others):
                gone += numbers[:-1]
            else:
                gone += numbers[1:] if keep else same
        removed.extend(_repeat(layout, number) for number in sorted(gone))
        kept = {number for numbers in _repeats(layout) for number in numbers[1:]} - set(gone) if keep is None else ()
        left.extend(_repeat(layout, number) for number in sorted(kept))
        return Plan(dict.fromkeys(gone))

    done = rewrite(text, plan, file)
    return Deduped(done.text, tuple(removed), tuple(left))


def _repeats(layout: Layout) -> Iterator[list[int]]:
    """Numbers of the entries of each path that has several."""
    by_path: dict[str, list[int]] = {}
    for number, item in enumerate(layout.items):
        by_path.setdefault(same_path(item.path.text), []).append(number)
    return (numbers for numbers in by_path.values() if len(numbers) > 1)


def _says(item: Item) -> tuple[str, str]:
    said = {} if item.listed is None else item.listed.values
    return item.place, canonical(said)


def _repeat(layout: Layout, number: int) -> Repeat:
    item = layout.items[number]
    (first, *_) = layout.of_path(item.path.text)
    problem = next(
        (p.message for p in layout.file.problems if (p.line, p.column) == (item.path.line, item.path.column)), ""
    )
    session = item.path.text if item.listed is None else item.listed.session
    return Repeat(item.path.line, session, _says(item) != _says(first), problem)
