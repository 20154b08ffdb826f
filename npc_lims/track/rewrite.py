"""Write changed entries into a text, and check the result: it is parsed again and compared with the plan."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from npc_lims.errors import NpcLimsError, TrackedFileError
from npc_lims.sources.tracked.entries import same_path
from npc_lims.track.entry_keys import drop_in_brackets, put_keys
from npc_lims.track.entry_spans import EntrySpan, Layout, canonical, layout_of
from npc_lims.track.insertion import NewEntry, put_entries
from npc_lims.track.splice import Splice, TextLines, splice

_BOM = "\ufeff"
_Entry = tuple[str, str, str]
"""Group, path and keys of an entry, to compare."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """New keys of entries by their number in the layout (None: remove the entry), and entries to add."""

    keys: Mapping[int, Mapping[str, Any] | None]
    new: Sequence[NewEntry] = ()


@dataclasses.dataclass(frozen=True)
class Rewritten:
    text: str
    before: Layout
    after: Layout


def rewrite(text: str, plan: Callable[[Layout], Plan], name: str) -> Rewritten:
    """Return *text* changed as *plan* decides.

    Raises:
        TrackedFileError: The file holds errors in entries that the plan does not touch.
        NpcLimsError: The outcome is not what was planned.
    """
    body = text.lstrip(_BOM)
    mark = text[: len(text) - len(body)]
    # a last line that is not ended is ended meanwhile, so that lines can come after it and go
    is_ended = not body or body[-1] in "\r\n"
    before = layout_of(body if is_ended else body + TextLines(body).break_at(len(body)), name)
    if before.root is None and not before.is_empty:
        raise TrackedFileError(before.file.problems)
    todo = plan(before)
    _refuse_errors_elsewhere(before, todo)
    new = splice(before.text, _splices(before, todo))
    after = layout_of(new, name)
    _check(before, todo, after)
    if not is_ended:
        new = re.sub(r"(\r\n|\r|\n)\Z", "", new)
    return Rewritten(mark + new, before, after)


def _splices(layout: Layout, plan: Plan) -> Iterator[Splice]:
    dropped: dict[int, set[int]] = {}
    for number, keys in plan.keys.items():
        item = layout.items[number]
        if keys is not None:
            yield from put_keys(item, keys, layout)
        elif item.list.flow:
            dropped.setdefault(id(item.list), set()).add(number)
        else:
            yield Splice(item.start, item.end)
    for numbers in dropped.values():
        entries = layout.items[min(numbers)].list
        spans = [(node.start, node.end) for node in entries.items]
        nodes = {id(layout.items[number].node) for number in numbers}
        gone = {n for n, node in enumerate(entries.items) if id(node) in nodes}
        yield from drop_in_brackets(spans, gone, layout.text)
    yield from put_entries(layout, plan.new)


def _refuse_errors_elsewhere(layout: Layout, plan: Plan) -> None:
    """Refuse errors in entries that the plan does not change: the result could not be checked."""
    if layout.is_empty:
        return
    lines = layout.lines
    paths = {same_path(layout.items[number].path.text) for number in plan.keys}
    spans = [
        range(lines.number(item.start), lines.number(max(item.end - 1, item.start)) + 1)
        for item in layout.items
        if same_path(item.path.text) in paths
    ]
    elsewhere = [error for error in layout.errors() if not any(error.line in span for span in spans)]
    if elsewhere:
        raise TrackedFileError(elsewhere)


def _check(before: Layout, plan: Plan, after: Layout) -> None:
    if after.errors():
        errors = "; ".join(map(str, after.errors()))
        raise NpcLimsError(f"nothing is written, since {before.name} would then hold errors: {errors}")
    expected = [_comparable(item, plan.keys.get(n, item.keys)) for n, item in enumerate(before.items)]
    found = [_comparable(item, item.keys) for item in after.items]
    for new in plan.new:
        entry = new.group, new.entry.path, canonical(new.keys)
        if entry in found:
            found.remove(entry)
        else:
            expected.append(entry)
    if found != [entry for entry in expected if entry is not None]:
        raise NpcLimsError(
            f"nothing is written: {before.name} is laid out in a way in which this change cannot be made without "
            "changing other entries (an anchor, or an unusual indentation): edit it by hand"
        )


def _comparable(item: EntrySpan, keys: Mapping[str, Any] | None) -> _Entry | None:
    return None if keys is None else (item.group, item.path.text, canonical(keys))
