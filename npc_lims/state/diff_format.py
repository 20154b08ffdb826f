"""Changes as people read them: text for a terminal, Markdown for GitHub; and JSON for programs. Pure."""

from __future__ import annotations

import bisect
import dataclasses
import enum
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from npc_lims.model.session_id import ID_PATTERN
from npc_lims.state.diff import SessionChange, by_group
from npc_lims.utils.text import visible

LISTED = 30
"""Sessions of each group that are listed by default."""
SUMMARY_BYTES = 500_000
"""GitHub drops the summary of a step above 1 MiB without a word; other commands write to the same one."""
_DETAILS = 8

# Whatever Markdown or GitHub could take for more than text. An underscore between letters or digits is text.
_SPECIAL = re.compile(r"[&<|`*\[\]\\~$@#!]|(?<![^\W_])_|_(?![^\W_])|:(?=\S)")
# What makes a line a list or a quotation where it begins one.
_LEADING = re.compile(r"^([0-9]*)([-+=>.)])")


class Format(str, enum.Enum):
    text = "text"
    markdown = "markdown"
    json = "json"


@dataclasses.dataclass(frozen=True)
class Chapter:
    """The result of one comparison; the summary may quote what people typed. Groups have titles."""

    title: str
    summary: str
    notes: Sequence[str] = ()
    groups: Mapping[str, Sequence[SessionChange]] = dataclasses.field(default_factory=dict)


def groups_of(changes: Iterable[SessionChange]) -> dict[str, list[SessionChange]]:
    """Return changes by kind, with titles such as `2 sorted`."""
    return {f"{len(members):,} {name}": members for name, members in by_group(changes).items()}


def render_chapters(
    chapters: Iterable[Chapter],
    style: Format = Format.text,
    *,
    listed: int | None = LISTED,
    max_bytes: int = SUMMARY_BYTES,
    see_all: str = "",
) -> str:
    """Return chapters as text or Markdown.

    Args:
        listed: Most sessions to list in each group; None for all.
        max_bytes: Most bytes of the result as UTF-8, which is cut at the end of a line.
        see_all: How to see what is not listed, such as a command.
    """
    render = _text if style is Format.text else _markdown
    hint = f" ({see_all})" if see_all else ""
    lines = [visible(line).replace("\n", " ") for chapter in chapters for line in render(chapter, listed, hint)]
    return cut(lines, max_bytes)


def cut(lines: Sequence[str], max_bytes: int) -> str:
    """Return the lines that fit, and the number of those that do not.

    >>> print(cut(["one", "two", "three"], 40), end="")
    one
    two
    three
    >>> print(cut(["one", "two " * 20, "three"], 70), end="")
    one
    <BLANKLINE>
    ... cut here: 2 more lines would not fit into 70 bytes
    """
    sizes = list(itertools.accumulate(_size(line) + 1 for line in lines))
    if not lines or sizes[-1] <= max_bytes:
        return "".join(f"{line}\n" for line in lines)
    shown = bisect.bisect_right(sizes, max_bytes - len(_ending(len(lines), max_bytes)))
    text = "".join(f"{line}\n" for line in lines[:shown]) + _ending(len(lines) - shown, max_bytes)
    return text if _size(text) <= max_bytes else ""


def _size(text: str) -> int:
    # a name given on the command line may hold what is no UTF-8
    return len(text.encode("utf-8", "surrogatepass"))


def _ending(more: int, max_bytes: int) -> str:
    # after an empty line: one that follows a table would be taken for a row of it
    return f"\n... cut here: {more:,} more lines would not fit into {max_bytes:,} bytes\n"


def _text(chapter: Chapter, listed: int | None, hint: str) -> Iterator[str]:
    yield f"{chapter.title}: {chapter.summary}"
    yield from (f"  {note}" for note in chapter.notes)
    for title, changes in chapter.groups.items():
        yield from ("", f"  {title}")
        width = max((len(change.id) for change in changes[:listed]), default=0)
        for change in changes[:listed]:
            yield f"    {change.id.ljust(width)}  {'; '.join([', '.join(change.what), *_details(change)])}"
        if listed is not None and listed < len(changes):
            yield f"    ... and {len(changes) - listed:,} more{hint}"
    yield ""


def _markdown(chapter: Chapter, listed: int | None, hint: str) -> Iterator[str]:
    yield from (f"### {escape(chapter.title)}", "", _code(chapter.summary), "")
    if chapter.notes:
        yield from (f"- {escape(note)}" for note in chapter.notes)
        yield ""
    for title, changes in chapter.groups.items():
        yield from (f"#### {escape(title)}", "", "| session | what |", "| --- | --- |")
        for change in changes[:listed]:
            cell = "<br>".join([escape(", ".join(change.what)), *map(_code, _details(change))])
            yield f"| {_id(change.id)} | {cell} |"
        if listed is not None and listed < len(changes):
            yield from ("", f"... and {len(changes) - listed:,} more{hint}")
        yield ""


def _details(change: SessionChange) -> list[str]:
    details = list(change.details[:_DETAILS])
    if len(change.details) > _DETAILS:
        details.append(f"and {len(change.details) - _DETAILS:,} more fields")
    return details


def _id(session_id: str) -> str:
    return f"`{session_id}`" if ID_PATTERN.fullmatch(session_id) else _code(session_id)


def _code(text: str) -> str:
    """Return *text* as code, in which GitHub finds no @mentions, issue numbers and emoji."""
    return f"<code>{_escape_within(text)}</code>" if text else ""


def escape(text: str) -> str:
    """Return *text* as Markdown that shows it as it is, in one line."""
    return _LEADING.sub(lambda match: f"{match[1]}&#{ord(match[2])};", _escape_within(text))


def _escape_within(text: str) -> str:
    """Do the same for text that does not begin a line."""
    return _SPECIAL.sub(lambda match: f"&#{ord(match.group())};", " ".join(text.split()))
