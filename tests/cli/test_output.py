"""What is printed holds no control characters and no workflow commands, wherever it comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from npc_lims.cli.output import OutputStyle, err, out, print_error, print_json, print_note, print_warning
from npc_lims.cli.process_report import print_report
from npc_lims.processing.workflow import RunResults

_HOSTILE = "::error file=a::b\n##[error]c\r::warning::d\x1b[2J\x9b\u202e\u2028::e\ud800\x07"


def _check(text: str) -> None:
    lines = text.split("\n")
    assert all(line.isprintable() for line in lines)
    assert not any(line.lstrip().startswith("::") or "##[" in line for line in lines)


def test_whatever_a_console_prints(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column()
    table.add_row(_HOSTILE, Text(_HOSTILE, "bold"))
    for console in (out(), err()):
        console.print(_HOSTILE)
        console.print(Text(f"  {_HOSTILE}", "red"), soft_wrap=True)
        console.print(Text.assemble(("\n ", "bold"), "::error::x"), end="")
        console.print(table)
    shown = capsys.readouterr()
    _check(shown.out)
    _check(shown.err)
    assert "error" in shown.out


def test_errors_warnings_and_notes_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for tell in (print_error, print_warning, print_note):
        tell(_HOSTILE)
        shown = capsys.readouterr()
        _check(shown.err)
        assert shown.err.count("\n") == 1
        assert shown.out == ""


def test_what_needs_no_change_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    out().print(Text.assemble(("key", "bold"), "::value"), "a  é 日本 \\x [b]")
    assert capsys.readouterr().out == "key::value a  é 日本 \\x [b]\n"


@given(st.text())
def test_json_says_the_same_without_commands(text: str) -> None:
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()) as stream:
        print_json({text: [text, "##[error]x"]})
    _check(stream.getvalue())
    assert json.loads(stream.getvalue()) == {text: [text, "##[error]x"]}


def test_a_summary_of_processing_is_one_line_for_each_failure(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    with pytest.raises(typer.Exit), summary.open("w", encoding="utf-8") as file:
        print_report(RunResults([], [_HOSTILE, "another"]), "nothing", file, OutputStyle())
    lines = summary.read_text(encoding="utf-8").rstrip("\n").split("\n")
    assert len(lines) == 2
    assert all(line.isprintable() and line.startswith("- ") for line in lines)
