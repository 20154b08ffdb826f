"""Changes as text, Markdown and JSON: escaped, listed, and cut to what fits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from npc_lims.state.diff import SessionChange, headline
from npc_lims.state.diff_format import SUMMARY_BYTES, Chapter, Format, cut, groups_of, render_chapters
from npc_lims.utils.text import visible
from tests.builders import session_ids

SORTED = SessionChange("726088_2024-06-24", ("sorted",), ("sorted asset added: a",))
EDITED = SessionChange("728916_2024-06-25", ("edited",), ("day 3 -> 4", "notes (none) -> a | b"))

texts = st.text(st.sampled_from("ab1 <>&|`*_[]()\\~$@#!:-\n\r\t\"'/.é\u2028")) | st.text()


class Page(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.cells: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "td":
            self.cells.append("")
        elif tag == "br":
            self.handle_data("\n")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


def render_changes(
    changes: Sequence[SessionChange], style: Format = Format.text, *, title: str = "state", **more: Any
) -> str:
    return render_chapters([Chapter(title, headline(changes), groups=groups_of(changes))], style, **more)


def page(markdown: str) -> Page:
    return Page(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown))


def test_text() -> None:
    assert render_changes([SORTED, EDITED]) == (
        "state: 1 sorted, 1 edited\n"
        "\n"
        "  1 sorted\n"
        "    726088_2024-06-24  sorted; sorted asset added: a\n"
        "\n"
        "  1 edited\n"
        "    728916_2024-06-25  edited; day 3 -> 4; notes (none) -> a | b\n"
        "\n"
    )


def test_markdown() -> None:
    markdown = render_changes([EDITED], Format.markdown)
    assert markdown == (
        "### state\n"
        "\n"
        "<code>1 edited</code>\n"
        "\n"
        "#### 1 edited\n"
        "\n"
        "| session | what |\n"
        "| --- | --- |\n"
        "| `728916_2024-06-25` | edited<br><code>day 3 -> 4</code><br><code>notes (none) -> a &#124; b</code> |\n"
        "\n"
    )
    cells = [cell.strip() for cell in page(markdown).cells]
    assert cells == ["728916_2024-06-25", "edited\nday 3 -> 4\nnotes (none) -> a | b"]


def test_nothing_changed() -> None:
    assert render_changes([]) == "state: nothing changed\n\n"
    assert "nothing changed" in render_changes([], Format.markdown)


@pytest.mark.parametrize("style", [Format.text, Format.markdown])
def test_long_lists_are_cut_and_say_how_to_see_the_rest(style: Format) -> None:
    many = [SessionChange(session_id, ("sorted",)) for session_id in session_ids(5000)]
    text = render_changes(many, style, see_all="npc-lims diff --limit 0")
    assert "... and 4,970 more (npc-lims diff --limit 0)" in text
    assert len(re.findall("70[0-9]{4}_", text)) == 30
    assert len(re.findall("70[0-9]{4}_", render_changes(many, style, listed=None))) == 5000


@pytest.mark.parametrize("style", [Format.text, Format.markdown])
def test_many_fields_of_one_session_are_cut(style: Format) -> None:
    change = SessionChange("726088_2024-06-24", ("edited",), tuple(f"field{n} a" for n in range(100)))
    text = render_changes([change], style)
    assert "field7 a" in text
    assert "field8 a" not in text
    assert "and 92 more fields" in text


def test_a_summary_of_everything_is_below_what_github_takes() -> None:
    many = [SessionChange(session_id, ("edited",), ("é" * 80,) * 8) for session_id in session_ids(5000)]
    text = render_changes(many, Format.markdown, listed=None)
    assert len(text.encode()) <= SUMMARY_BYTES < 1024 * 1024
    assert "... cut here: " in text.splitlines()[-1]
    assert text.splitlines()[-3].endswith(" |"), "at the end of a line"


@pytest.mark.parametrize(
    "nasty",
    [
        "<script>alert(1)</script>",
        "a | b",
        "@somebody and #12",
        "`code` *bold* _soft_ ~~gone~~ __0__ a__b__ c",
        "[link](https://example.org)",
        "![image](https://example.org/a.png)",
        "https://example.org",
        "&lt;b&gt; &amp;",
        "\\| \\",
        "$x$ :smile:",
        "</code><h1>x</h1>",
    ],
)
def test_what_people_type_is_shown_as_they_typed_it(nasty: str) -> None:
    change = SessionChange("726088_2024-06-24", ("edited",), (nasty,))
    found = page(render_changes([change], Format.markdown))
    assert found.cells[1].startswith(f"edited\n{nasty}")
    assert found.tags == {"h3", "h4", "p", "code", "table", "thead", "tr", "th", "tbody", "td", "br"}


@given(texts, texts)
def test_no_text_breaks_the_table(one: str, other: str) -> None:
    changes = [SessionChange("726088_2024-06-24", ("edited",), (one,)), SessionChange(other, ("edited",))]
    chapter = Chapter(one, other, [one], {other: changes})
    found = page(render_chapters([chapter], Format.markdown))
    assert found.tags <= {"h3", "h4", "p", "code", "table", "thead", "tr", "th", "tbody", "td", "br", "ul", "li"}
    told = found.cells[1].partition("\n")[2].strip()
    # a bracket is escaped for Markdown already, so that ##[ is no command
    shown = visible(f"x{' '.join(one.split())}")[1:].replace("##\\[", "##[")
    assert " ".join(told.split()) == shown


def test_a_title_that_is_no_utf_8() -> None:
    assert "state at \\udcff" in render_changes([SORTED], title="state at \udcff", max_bytes=10_000)


@given(st.lists(texts), st.integers(0, 400), st.sampled_from([Format.text, Format.markdown]))
def test_never_above_the_limit(details: list[str], max_bytes: int, style: Format) -> None:
    changes = [SessionChange(session_id, ("edited",), tuple(details)) for session_id in session_ids(3)]
    assert len(render_changes(changes, style, max_bytes=max_bytes).encode(errors="replace")) <= max_bytes


@given(st.lists(st.text("aé", max_size=30), max_size=30), st.integers(0, 600))
def test_cut_returns_complete_lines_and_the_number_of_others(lines: list[str], max_bytes: int) -> None:
    text = cut(lines, max_bytes)
    assert len(text.encode()) <= max_bytes
    if "... cut here" in text:
        kept, _, ending = text.rpartition("\n... cut here: ")
        kept_lines = kept.split("\n")[:-1]
        assert kept_lines == lines[: len(kept_lines)]
        assert int(ending.split()[0]) == len(lines) - len(kept_lines)
    elif text:
        assert text.split("\n")[:-1] == lines
