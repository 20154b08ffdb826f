"""Lists as programs read them."""

from __future__ import annotations

import csv
import io

import pytest

from npc_lims.cli.output import print_csv

HARD = ["a,b", 'say "no"', "two\nlines", "a line\rover it", "Ω", " ", "=1+1"]


def test_whatever_people_type_is_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    print_csv(["id", "notes"], [{"id": str(n), "notes": text} for n, text in enumerate(HARD)])
    printed = capsys.readouterr().out
    assert [row["notes"] for row in csv.DictReader(io.StringIO(printed, newline=""))] == HARD
    assert printed.startswith("id,notes\n0,")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    print_csv(["notes"], [{"notes": "\x1b[2J\u202ea"}])
    assert terminal.getvalue() == "notes\n\\x1b[2J\\u202ea\n"
