"""Lists as programs read them."""

from __future__ import annotations

import csv
import io

import pytest

from npc_lims.cli.lists import print_csv

HARD = ["a,b", 'say "no"', "two\nlines", "a line\rover it", "Ω", " ", "=1+1"]


def test_whatever_people_type_is_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    print_csv(["id", "notes"], [{"id": str(n), "notes": text} for n, text in enumerate(HARD)])
    printed = capsys.readouterr().out
    assert [row["notes"] for row in csv.DictReader(io.StringIO(printed, newline=""))] == HARD
    assert printed.startswith("id,notes\n0,")
