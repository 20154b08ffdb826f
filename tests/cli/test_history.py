"""`npc-lims history`, in real repositories."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import npc_lims
from tests import builders
from tests.history.lives import ONE, THREE, TWO
from tests.history.past import Step, run_git, state_files, write_history
from tests.integration.world import run_cli

pytestmark = pytest.mark.filterwarnings("default::npc_lims.errors.HistoryWarning")


@pytest.fixture
def here(lives_once: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository as the working directory; nothing here writes to it."""
    monkeypatch.chdir(lives_once)
    return lives_once


def test_one_life(here: Path) -> None:
    done = run_cli("history", "DRpilot_626791_20220815")
    assert done.code == 0, done
    lines = done.out.splitlines()
    assert lines[0] == f"{ONE}: 4 entries, the oldest first (from {here / 'state'})"
    assert lines[1:4] == [
        "  tracked                 before 2024-01-02",
        "  sorted                  2024-02-02, created 2024-02-01",
        "  sorted again            2024-05-02, created 2024-05-01",
    ]
    assert "2024-01-05 09:00 UTC edited" in lines
    assert any(line.startswith("  edited by Bob Jones, 2024-01-04: a note (commit ") for line in lines)
    assert "is skipped: state/sessions/626791/" in done.err


def test_addresses_where_the_commits_are_published(
    lives_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPC_LIMS_REPO", "lab/state")
    run_git(tmp_path, "clone", "--quiet", str(lives_once), "clone")
    monkeypatch.chdir(tmp_path / "clone")
    commit = run_git(lives_once, "rev-parse", "HEAD")
    assert f"  https://github.com/lab/state/commit/{commit}" in run_cli("history", TWO).out.splitlines()


def test_a_date_from_elsewhere_moves_no_cursor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = builders.asset(created="2024\x1b[2J\n::error::x")
    record = builders.record(ONE, codeocean=builders.no_assets(raw=raw))
    uploaded = record.model_copy(update={"status": {"is_uploaded": True}})
    write_history(tmp_path / "r", [Step("a", "2024-01-01T00:00:00", state_files(uploaded))])
    run_git(tmp_path / "r", "reset", "--quiet", "--hard")
    monkeypatch.chdir(tmp_path / "r")
    lines = run_cli("history", ONE).out.splitlines()
    assert "  raw asset created 2024\\x1b[2J ::error::x" in lines
    assert "  uploaded                before 2024-01-01, created 2024\\x1b[2J :" in lines


def test_one_life_as_json_and_csv(here: Path) -> None:
    told = json.loads(run_cli("history", ONE, "--json").out)
    assert [step["name"] for step in told["steps"]] == ["tracked", "sorted", "sorted again"]
    rows = list(csv.DictReader(io.StringIO(run_cli("history", ONE, "--csv").out)))
    assert [row["what"] for row in rows] == [", ".join(one["what"]) for one in told["transitions"]]
    assert rows[1]["editors"] == "Bob Jones"


def test_a_week(here: Path) -> None:
    done = run_cli("history", "--since", "2024-05-01")
    assert done.code == 0, done
    assert done.out.startswith("state since 2024-05-01: 3 sessions changed: ")
    assert "  3 commits, 2024-05-02 to 2024-06-02\n" in done.out
    assert "no session changed" in run_cli("history", "--since", "7d").out


def test_the_changes_of_selected_sessions(here: Path) -> None:
    done = run_cli("history", "--subject", "626791")
    assert done.code == 0, done
    assert done.out.splitlines() == [
        "all of the history: 2 sessions changed: 1 removed, 1 new, 1 sorted, 1 re-processed, 1 edited",
        "  6 commits, 2024-01-02 to 2024-06-02",
        "  2 sessions recorded on 2024-01-02, when history begins",
        "  tracked_sessions.yaml edited by Bob Jones",
        f"2024-06-02 09:00  {TWO}  new: in tracked_sessions.yaml",
        f"2024-06-01 09:00  {TWO}  removed",
        f"2024-05-02 09:00  {ONE}  re-processed: sorted x_sorted -> x_sorted_again",
        f"2024-02-02 09:00  {ONE}  sorted",
        f"2024-01-05 09:00  {ONE}  edited: notes (none) -> <script>alert('x')</script> & more; edited by Bob Jones",
    ]
    limited = run_cli("history", "--since", "2024-05-01", "--subject", "626791", "--limit", "1", "--csv").out
    assert [row["session"] for row in csv.DictReader(io.StringIO(limited))] == [TWO]
    told = json.loads(run_cli("history", "--project", "DynamicRouting", "--until", "2024-05-02", "--json").out)
    assert [one["when"][:7] for one in told["transitions"]][:3] == ["2024-05", "2024-05", "2024-02"]


def test_a_removed_session_is_selected_as_it_was_last(
    lives_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_git(tmp_path, "clone", "--quiet", lives_once.as_uri(), "clone")
    run_git(tmp_path / "clone", "checkout", "--quiet", "v1")
    monkeypatch.chdir(tmp_path / "clone")
    where = ("history", "--since", "2024-05-01", "--subject", "626791", "--where")
    assert f"{TWO}  removed\n" in run_cli(*where, "project=DynamicRouting").out
    assert TWO not in run_cli(*where, "project!=DynamicRouting").out
    monkeypatch.setenv("NPC_LIMS_STATE", str(tmp_path / "clone" / "state"))
    found = npc_lims.get_session_history(since="2024-05-01", project="DynamicRouting", subject=626791)
    assert [(one.session, one.change.what) for one in found] == [(ONE, ("re-processed",)), (TWO, ("removed",))]
    with pytest.raises(TypeError, match="give either them or a session"):
        npc_lims.get_session_history(ONE, since="7d")


def test_formats(here: Path) -> None:
    asked = ("history", "--since", "2024-01-01")
    assert run_cli(*asked, "--format", "markdown").out.startswith("### state since 2024")
    told = run_cli(*asked, "--format", "json").out
    assert told == run_cli(*asked, "--json").out
    assert len(json.loads(told)["transitions"]) == 9
    assert len(run_cli(*asked, "--csv").out.splitlines()) == 10
    feed = ET.fromstring(run_cli(*asked, "--format", "atom", "--base-url", "https://example.org/").out)
    assert len(feed.findall("{http://www.w3.org/2005/Atom}entry")) == 6


def test_lists_are_cut_and_limit_0_lists_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, many = (list(builders.many_records(count).values()) for count in (1, 40))
    steps = [
        Step("a", "2024-01-01T00:00:00", state_files(*first)),
        Step("b", "2024-01-02T00:00:00", state_files(*many), ["a"]),
    ]
    write_history(tmp_path / "r", steps)
    (tmp_path / "r" / "state").mkdir()
    monkeypatch.chdir(tmp_path / "r")
    assert "... and 9 more (--limit 0 lists all)" in run_cli("history", "--since", "2024-01-01").out
    assert "... and" not in run_cli("history", "--since", "2024-01-01", "--limit", "0").out


def test_a_shallow_clone(lives_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_git(tmp_path, "clone", "--quiet", "--depth=2", lives_once.as_uri(), "shallow")
    monkeypatch.chdir(tmp_path / "shallow")
    done = run_cli("history", ONE)
    assert done.code == 0, done
    assert "note: this is a shallow clone, whose history begins 2024-06-01: git fetch --unshallow" in done.err
    assert "whose history begins 2024-06-01" in run_cli("history", "--since", "2024-01-01").out
    assert json.loads(run_cli("history", "--since", "7d", "--json").out)["shallow_since"] == "2024-06-01"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a session, or select some by --since, --project"),
        ([ONE, "--since", "7d"], "name a session, or select some by --since, --project"),
        (["--project", "DynamicRoutng"], "no session has this project (did you mean 'DynamicRouting'?)"),
        (["--since", "7d", "--until", "main"], "--until main: expected a date such as 2024-06-01"),
        (["626791_2022-08-20"], f"near to it: {ONE}, {TWO}"),
        (["Bob"], "'Bob' is not a session"),
        ([ONE, "--format", "atom"], "--format atom is of many sessions"),
        ([ONE, "--json", "--csv"], "--json and --csv exclude each other"),
        (["--since", "yesterday"], "--since yesterday: expected a date such as 2024-06-01, or an age such as"),
        (["--since", "2024-02-30"], "2024-02-30 is no day of the calendar"),
        (["--since", "7d", "--format", "atom", "--base-url", "javascript:x"], "javascript:x: not an address"),
        (["--since", "7d", "--state", "/nowhere/state"], "not in a git checkout"),
        (["--since", "7d", "--state", "stat"], "there is no state in stat, nor in any commit"),
        ([ONE, "--state", "stat"], "there is no state in stat, nor in any commit"),
    ],
)  # fmt: skip
def test_mistakes_are_one_message(here: Path, arguments: list[str], words: str) -> None:
    done = run_cli("history", *arguments)
    assert done.code == 2, done
    assert words in done.err
    assert "Traceback" not in done.err


def test_without_a_checkout(elsewhere: Path) -> None:
    done = run_cli("history", "--since", "7d")
    assert done.code == 2, done
    assert "git clone https://github.com/AllenInstitute/npc_lims" in done.err
    (elsewhere / "state").mkdir()
    done = run_cli("history", THREE)
    assert done.code == 2, done
    assert "only what is committed has a past" in done.err
