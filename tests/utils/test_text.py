"""External text on one line, without control characters and workflow commands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.utils.text import single_line, visible

_CONTROL = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, 0x2028, 0x2029, 0xFEFF)]
_BIDI = [chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))]


def _is_command(line: str) -> bool:
    """Whether the runner of GitHub Actions takes the line for a command of either syntax."""
    return line.lstrip().startswith("::") or "##[" in line


@pytest.mark.parametrize("char", [*_CONTROL, *_BIDI, chr(0xD800), chr(0xDFFF), chr(0xFFFE)], ids=ascii)
def test_no_control_character_is_left(char: str) -> None:
    line = single_line(f"a{char}::error::b")

    assert line.isprintable()
    line.encode()
    assert not _is_command(line)


@given(st.text() | st.lists(st.sampled_from(["::error::", "##", "[error]", "\n", "\r", " ", "\x85", "a"])).map("".join))
def test_any_text_is_one_printable_line(text: str) -> None:
    line = single_line(text)

    assert line.isprintable()
    assert not _is_command(line)
    assert single_line(line) == line
    assert not any(_is_command(one) for one in visible(text).split("\n"))
    assert visible(text).replace("\n", "").isprintable()


@given(st.text(), st.integers(0, 20))
def test_length_is_bounded(text: str, limit: int) -> None:
    assert len(single_line(text, limit)) <= limit


def test_what_needs_no_change_has_none() -> None:
    assert single_line("sub::module 日本語 é \\path #12 [a]") == "sub::module 日本語 é \\path #12 [a]"
    assert visible("a\n  b") == "a\n  b"
    assert single_line(ValueError("no\nway")) == "no way"
