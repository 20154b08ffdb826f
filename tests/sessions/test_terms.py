"""`count_sessions()` and `search_terms()`, and the same on the command line."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import npc_lims
from npc_lims.sessions.filter_values import TERMS, YES_OR_NO
from npc_lims.sessions.info import SessionInfo
from npc_lims.sessions.queries import Sessions
from tests.integration.world import run_cli


@pytest.fixture
def sessions(demo_state: Path, monkeypatch: pytest.MonkeyPatch) -> Sessions[SessionInfo]:
    monkeypatch.setenv("NPC_LIMS_STATE", str(demo_state))
    return npc_lims.get_session_info()


def output(*arguments: str) -> str:
    done = run_cli("sessions", *arguments)
    assert (done.code, done.err) == (0, ""), done
    return done.out


def test_counts_of_a_selection(sessions: Sessions[SessionInfo]) -> None:
    expected = Counter((info.project, info.rig) for info in sessions if info.is_ephys)
    found = npc_lims.count_sessions("project", "rig", is_ephys=True)
    assert {(one["project"], one["rig"]): one["sessions"] for one in found} == expected
    assert json.loads(output("--ephys", "--count-by", "project,rig", "--json")) == found
    table = list(csv.DictReader(io.StringIO(output("--ephys", "--count-by", "Project, rig", "--csv"))))
    assert [{**line, "sessions": int(line["sessions"])} for line in table] == found
    assert npc_lims.count_sessions() == [{"sessions": 29}]
    assert npc_lims.count_sessions("project", subject=999999) == []


def test_the_largest_group_comes_first(sessions: Sessions[SessionInfo]) -> None:
    found = npc_lims.count_sessions("project", "rig")
    totals = Counter({info.project: 0 for info in sessions})
    totals.update(info.project for info in sessions)
    assert list(dict.fromkeys(one["project"] for one in found)) == [name for name, _ in totals.most_common()]
    of_first = [one["sessions"] for one in found if one["project"] == found[0]["project"]]
    assert of_first == sorted(of_first, reverse=True)


def test_dates_are_counted_in_their_order(sessions: Sessions[SessionInfo]) -> None:
    months = Counter(f"{info.date}"[:7] for info in sessions)
    assert {one["month"]: one["sessions"] for one in npc_lims.count_sessions("month")} == months
    assert [one["month"] for one in npc_lims.count_sessions("month")] == sorted(months)
    assert npc_lims.count_sessions("year") == [{"year": "2024", "sessions": 29}]
    assert output("--count-by", "platform,month").splitlines()[0].split() == ["platform", *sorted(months), "total"]


def test_a_table_has_totals(sessions: Sessions[SessionInfo]) -> None:
    head, *lines, total = [line.split() for line in output("--count-by", "project,sorted").splitlines()]
    assert head == ["project", "n.a.", "yes", "no", "total"]
    assert [sum(map(int, line[1:-1])) for line in [*lines, total]] == [int(line[-1]) for line in [*lines, total]]
    assert total == ["total", "12", "10", "7", "29"]
    # values that do not fit beside each other are below each other
    head, *_, total = [line.split() for line in output("--count-by", "project,date").splitlines()]
    assert (head, total) == (["project", "date", "sessions"], ["total", "29"])
    assert output("--count-by", "rig", "--subject", "999999").split() == ["rig", "sessions", "total", "0"]


def test_each_term_selects_the_sessions_that_have_it(sessions: Sessions[SessionInfo]) -> None:
    found = npc_lims.search_terms()
    assert tuple(found) == TERMS
    for column, values in found.items():
        assert sum(values.values()) == len(sessions)
        for value, count in values.items():
            assert len(npc_lims.get_session_info(where=f"{column}={value}")) == count, (column, value)
    assert all(set(found[flag]) <= {"yes", "no", "unknown", "n.a."} for flag in YES_OR_NO)
    assert npc_lims.search_terms("rig", project="TempletonPilotSession") == {"NP3": 4}


def test_terms_on_the_command_line(sessions: Sessions[SessionInfo]) -> None:
    told: dict[str, Any] = json.loads(output("--json", "--terms"))
    assert {name: {one["value"]: one["sessions"] for one in values} for name, values in told.items()} == (
        npc_lims.search_terms()
    )
    assert list(json.loads(output("--terms", "sorted", "--json"))) == ["is_sorted"]
    table = {line.split()[0]: line for line in output("--terms").splitlines()}
    assert "yes (10)" in table["is_sorted"]
    assert "29 values, such as 901001_" in table["id"]
    assert output("--terms", "platform").split() == [
        *("platform", "sessions", "ephys", "17", "behavior", "10", "behavior_with_sync", "2", "total", "29")
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--count-by", "rigg"], "--count-by: 'rigg' is no column (did you mean 'rig'?)"),
        (["--count-by", ","], "--count-by names no column"),
        (["--terms", "rigg"], "--terms: 'rigg' is no column (did you mean 'rig'?)"),
        (["--terms", "--columns", "id"], "--terms prints counts: leave out --columns"),
        (["--count-by", "rig", "--terms"], "--count-by prints counts: leave out --terms"),
        (["--watch", "--terms"], "leave out --terms"),
    ],
)
def test_mistakes(sessions: Sessions[SessionInfo], arguments: list[str], words: str) -> None:
    done = run_cli("sessions", *arguments)
    assert done.code == 2, done
    assert words in done.err
    with pytest.raises(npc_lims.SelectionError, match="is no column"):
        npc_lims.count_sessions("not_applicable")
    with pytest.raises(npc_lims.SelectionError, match="did you mean 'rig'"):
        npc_lims.search_terms("rigg")
