"""Files of every layout that people use, of which the tests know what stands where."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from npc_lims.config.settings import TRACKED_FILE
from npc_lims.track.edits import Change, make_changes
from tests.real import REAL_TRACKED

TEXTS = [
    "plain words",
    "a: b",
    "NO",
    "1:30",
    "# x",
    "",
    "it's",
    'say "so"',
    "two\nlines",
    "tab\there",
    "é ☃",
    "- a",
    "12",
]
LETTERS = ["", "A", "DE", "ABCDEF"]
ISSUES = ["https://example.org/1", "https://example.org/2#c", "a, b", "[x]"]

Keys = dict[str, Any]


def apply_changes(text: str, changes: Iterable[Change], file: str = TRACKED_FILE) -> str:
    """The text with these changes made."""
    return make_changes(text, changes, file).text


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Some lines of a file. Of an entry: its path and keys; of anything else None."""

    text: str
    path: str | None = None
    keys: Keys = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class File:
    chunks: tuple[Chunk, ...]

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)

    @property
    def entries(self) -> dict[str, Keys]:
        return {chunk.path: chunk.keys for chunk in self.chunks if chunk.path is not None}

    def around(self, path: str) -> tuple[str, str]:
        """Everything before the entry, and everything after it."""
        (number,) = (n for n, chunk in enumerate(self.chunks) if chunk.path == path)
        before, after = self.chunks[:number], self.chunks[number + 1 :]
        return "".join(chunk.text for chunk in before), "".join(chunk.text for chunk in after)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t") + '"'


@st.composite
def keys(draw: st.DrawFn) -> Keys:
    """Keys that an entry may have."""
    said: Keys = {}
    if draw(st.booleans()):
        said[draw(st.sampled_from(["day", "ephys_day"]))] = draw(st.integers(1, 9))
    if draw(st.booleans()):
        said["notes"] = draw(st.sampled_from(TEXTS))
    if draw(st.booleans()):
        said["issues"] = draw(st.lists(st.sampled_from(ISSUES), min_size=1, max_size=3, unique=True))
    kwargs: Keys = {}
    if draw(st.booleans()):
        kwargs["probe_letters_to_skip"] = draw(st.sampled_from(LETTERS))
    if draw(st.booleans()):
        kwargs["is_production"] = draw(st.booleans())
    if draw(st.booleans()):
        kwargs["concatenate_recordings"] = draw(st.lists(st.sampled_from(["r1", "r 2", "3"]), max_size=2))
    if kwargs:
        said["session_kwargs"] = kwargs
    return dict(draw(st.permutations(list(said.items()))))


def flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, bool):
        return "True" if value else "false"
    return quoted(value) if isinstance(value, str) else str(value)


@st.composite
def block(draw: st.DrawFn, said: Keys, indent: int, steps: tuple[int, int]) -> list[str]:
    """The lines of keys written by indentation, with comments wherever they may be."""
    lines: list[str] = []
    nested, items = steps
    for key, value in said.items():
        pad = " " * indent
        end = draw(st.sampled_from(["", "", "  ", " # why", "   # why: b"]))
        if draw(st.integers(0, 5)) == 0:
            lines.append(f"{pad}# about {key}")
        if isinstance(value, dict) and draw(st.integers(0, 3)):
            lines += [f"{pad}{key}:{end}", *draw(block(value, indent + nested, steps))]
        elif isinstance(value, list) and value and draw(st.booleans()):
            lines += [f"{pad}{key}:{end}", *(f"{pad}{' ' * items}- {flow(item)} # {n}" for n, item in enumerate(value))]
        else:
            lines.append(f"{pad}{key}: {flow(value)}{end}")
    return lines


FILLERS = [
    [],
    [],
    [],
    [""],
    ["    ", "  ", ""],
    ["{dash}# ---- #", "{dash}# 626791"],
    ["# - old: entry"],
    ["", "{dash}# ^ two"],
]


@st.composite
def files(draw: st.DrawFn) -> File:
    """A file of one project with some entries, between other ones."""
    ending = draw(st.sampled_from(["\n", "\r\n"]))
    project, step, nested, items = (draw(st.integers(low, 4)) for low in (1, 0, 1, 0))
    dash = " " * (project + step)
    head = draw(st.sampled_from([[], ["# yaml-language-server: x", ""]]))
    before = [*head, "behavior:", " " * project + "Other:", f"{dash}- //x/700000_20240101: {{day: 1}} # kept"]
    chunks = ["".join(f"{line}{ending}" for line in [*before, "ephys: # all", " " * project + "Main:"])]
    made = [Chunk(draw(st.sampled_from(["", "\ufeff"])) + chunks[0])]
    for subject, day in draw(
        st.lists(st.tuples(st.sampled_from([626791, 668755]), st.integers(10, 28)), min_size=1, max_size=4, unique=True)
    ):
        filler = [line.replace("{dash}", dash) for line in draw(st.sampled_from(FILLERS))]
        made.append(Chunk("".join(f"{line}{ending}" for line in filler)))
        path = f"//x/a b/DRpilot_{subject}_202401{day}"
        said = draw(keys())
        shown = draw(st.sampled_from([path, quoted(path)]))
        if not said:
            lines = [f"{dash}- {shown}"]
        elif draw(st.integers(0, 3)) == 0:
            lines = [f"{dash}- {shown}: {flow(said)} # all"]
        else:
            column = len(dash) + 2 + draw(st.integers(1, 3))
            lines = [f"{dash}- {shown}:", *draw(block(said, column, (nested, items)))]
            if draw(st.integers(0, 4)) == 0:
                lines.append(" " * (column + draw(st.integers(0, 6))) + "# at the end")
        made.append(Chunk("".join(f"{line}{ending}" for line in lines), path, said))
    tail = draw(st.sampled_from([[], [""], ["behavior_with_sync: {}"], [" " * project + "Last: []", "# the end"]]))
    made.append(Chunk("".join(f"{line}{ending}" for line in tail)))
    made = [chunk for chunk in made if chunk.text]
    if draw(st.booleans()):
        made[-1] = dataclasses.replace(made[-1], text=made[-1].text.removesuffix(ending))
    return File(tuple(chunk for chunk in made if chunk.text))


def real_file() -> File:
    """The lab's own file. Its chunks have no keys, only the lines of each entry."""
    with REAL_TRACKED.open(encoding="utf-8", newline="") as file:
        lines = file.read().splitlines(keepends=True)
    chunks: list[Chunk] = []
    start = 0
    while start < len(lines):
        end = start + 1
        path = None
        if lines[start].startswith("    - "):
            path = lines[start].strip()[2:].removesuffix(":").strip('"')
            last = start
            # deeper lines, and the comments at the dash's indent that stand between them
            while end < len(lines) and (lines[end].startswith(("     ", "    #")) and lines[end].strip()):
                last = end if lines[end].startswith("     ") else last
                end += 1
            end = last + 1
        chunks.append(Chunk("".join(lines[start:end]), path))
        start = end
    return File(tuple(chunks))


def excerpt(file: File, number: int, around: int = 2) -> File:
    """A file of the entry of that number, what stands near it, and the head of its project."""
    numbers = [n for n, chunk in enumerate(file.chunks) if chunk.path is not None]
    at = numbers.index(number)
    first, last = numbers[max(at - around, 0)], numbers[min(at + around, len(numbers) - 1)]
    heads = [
        n for n, chunk in enumerate(file.chunks[:first]) if chunk.path is None and not chunk.text.startswith("    ")
    ]
    platform = max((n for n in heads if not file.chunks[n].text.startswith((" ", "#", "\n"))), default=0)
    project = max((n for n in heads if n > platform and file.chunks[n].text[2:3].isalpha()), default=platform)
    head = tuple(file.chunks[n] for n in sorted({platform, project}))
    return File((*head, *file.chunks[first : last + 1]))
