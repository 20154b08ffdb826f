"""`npc-lims` without a command."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import npc_lims
from npc_lims.cli.overview import gather, print_overview
from npc_lims.config.settings import load_settings
from npc_lims.dashboard.attention import Case, Finding
from npc_lims.dashboard.overview import Overview, Suggestion
from npc_lims.dashboard.totals import Totals
from npc_lims.state.reader import Origin, sync_copy
from tests.integration.world import GitHub, down, run_cli, run_git

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)


@pytest.fixture
def facts(demo_state: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("NPC_LIMS_STATE", str(demo_state))
    done = run_cli("--json")
    assert done.code == 0, done
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_the_overview_of_the_demo(demo_state: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_STATE", str(demo_state))
    done = run_cli()
    assert done.code == 0, done
    assert f"State      folder: {demo_state}" in done.out
    assert re.search(r"^Last read  tracked \d+ \w+ ago, training \d+ \w+ ago, codeocean", done.out, re.MULTILINE)
    assert "29 sessions of 6 subjects, 20 tracked: 17 ephys, 10 behavior, 2 behavior with sync" in done.out
    assert "Projects: 25 DynamicRouting, 4 TempletonPilotSession" in done.out
    assert "uploaded 14 of 18, sorted 10 of 16" in done.out
    assert "Needs attention" in done.out
    assert "1 session whose sorting failed" in done.out
    assert "\x1b" not in done.out
    suggested = done.out.partition("\nNext\n")[2].splitlines()
    assert suggested[0].startswith("  npc-lims show 901002_2024-05-14  ")
    assert len(suggested) == 3


def test_json_has_the_same(facts: dict[str, Any], demo_state: Path) -> None:
    assert list(facts) == ["state", "troubles", "sources", "totals", "steps", "attention", "unlisted", "next"]
    assert (facts["state"]["kind"], facts["state"]["place"]) == ("folder", str(demo_state))
    assert [source["name"] for source in facts["sources"]] == ["tracked", "training", "codeocean", "s3"]
    assert facts["totals"]["sessions"] == 29
    assert {finding["kind"] for finding in facts["attention"]} >= {"errored", "stalled"}
    assert len(facts["next"]) == 3


def test_each_command_that_it_names_can_be_given(facts: dict[str, Any]) -> None:
    for suggestion in facts["next"]:
        assert run_cli(*suggestion["command"].split()[1:]).code == 0, suggestion


def test_help_is_as_ever(elsewhere: Path) -> None:
    done = run_cli("--help")
    assert done.code == 0
    assert "sessions" in done.out
    assert "Usage: npc-lims [OPTIONS]" in done.out


def test_json_belongs_behind_a_command(demo_state: Path) -> None:
    done = run_cli("--json", "sessions", "--state", str(demo_state))
    assert done.code == 2
    assert "after the command" in done.err


# --- situations


def home(**variables: str) -> Overview:
    return gather(load_settings({**os.environ, **variables}), NOW)


def commands(found: Overview) -> list[str]:
    return [suggestion.command for suggestion in found.next]


def test_without_state_it_says_how_to_get_one(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_RAW_URL", "http://127.0.0.1:9")
    done = run_cli()
    assert done.code == 0, done
    assert "There is no state to read" in done.out
    assert "could not be reached" in done.out
    assert commands(home()) == ["npc-lims demo", "npc-lims doctor", "npc-lims --help"]
    (elsewhere / "tracked_sessions.yaml").touch()
    assert commands(home())[0] == "npc-lims sync"


def test_a_missing_folder_is_reported(elsewhere: Path) -> None:
    found = home(NPC_LIMS_STATE="nowhere")
    assert found.state is None
    assert "there is no state folder nowhere" in found.troubles[0]


def test_a_folder_of_something_else_is_no_empty_state(tmp_path: Path, elsewhere: Path) -> None:
    (tmp_path / "letters").mkdir()
    found = home(NPC_LIMS_STATE=str(tmp_path))
    assert found.state is None
    assert f"there is no state in {tmp_path}: check" in found.troubles[0]
    assert run_cli("sessions", "--state", "").code == 2, "an empty name is the working directory"


def test_a_source_that_is_late_comes_first(state: Path, elsewhere: Path) -> None:
    sync = state / "sync.yaml"
    sync.write_text(sync.read_text().replace('last_complete: "20', 'last_complete: "19'))
    found = home(NPC_LIMS_STATE=str(state))
    assert all(age.is_late for age in found.sources)
    assert found.attention[0].kind == "late"
    assert commands(found)[0] == "npc-lims doctor"
    assert found.next[0].why == "find out why a source did not answer", "not what else it is good for"
    assert re.search(r"tracked last answered \(19\d\d-\d\d-\d\d\)", shown(found, 200))


def test_a_spoiled_line_is_a_trouble_and_no_traceback(state: Path, elsewhere: Path) -> None:
    snapshot = state / "sessions.jsonl"
    snapshot.write_bytes(snapshot.read_bytes().replace(b'"tracked":', b'"tracked":,', 1))
    found = home(NPC_LIMS_STATE=str(state))
    assert found.state is None
    assert "is damaged" in found.troubles[0]
    done = run_cli("sessions", "--state", str(state))
    assert done.code == 2
    assert done.err.endswith("run npc-lims sync to regenerate it\n")


def test_state_of_a_newer_schema_is_not_what_a_sync_mends(state: Path, elsewhere: Path) -> None:
    (elsewhere / "tracked_sessions.yaml").touch()
    snapshot = state / "sessions.jsonl"
    snapshot.write_bytes(snapshot.read_bytes().replace(b'"schema":1', b'"schema":2', 1))
    found = home(NPC_LIMS_STATE=str(state))
    assert "state of schema 2, this version reads 1; upgrade npc_lims" in found.troubles[0]
    assert commands(found) == ["npc-lims demo", "npc-lims doctor", "npc-lims --help"]


def test_a_damaged_file_of_times_is_a_trouble_and_no_end(state: Path, elsewhere: Path) -> None:
    (state / "sync.yaml").write_text("sources: [")
    found = home(NPC_LIMS_STATE=str(state))
    assert "sync.yaml: damaged" in found.troubles[0]
    assert found.totals is not None
    assert found.totals.sessions == 29


def test_a_state_without_sessions_is_no_reason_to_fail(tmp_path: Path, elsewhere: Path) -> None:
    empty = tmp_path / "state"
    empty.mkdir()
    (empty / "sessions.jsonl").touch()
    found = home(NPC_LIMS_STATE=str(empty))
    assert found.totals is not None
    assert found.totals.sessions == 0
    assert "npc-lims sessions --ephys" in commands(found)


# --- published state


def test_published_state_costs_three_requests_and_then_none(github: GitHub, elsewhere: Path) -> None:
    done = run_cli()
    assert done.code == 0, done
    assert "State      github: " in done.out
    assert "Last read  tracked" in done.out
    asked = [request.path.partition("/main/")[2] for request in github.proxy.requests]
    assert asked == ["state/sessions.jsonl", "state/sync.yaml", "state/unlisted.jsonl"]
    assert run_cli().code == 0
    assert github.proxy.count == 3


def test_a_cached_file_of_the_future_is_not_fresh(github: GitHub, elsewhere: Path) -> None:
    assert run_cli().code == 0
    path = sync_copy(load_settings()).path
    path.write_bytes(re.sub(rb'"stored": [0-9.]+', b'"stored": 4e9', path.read_bytes()))
    assert run_cli().code == 0
    assert [request.path.partition("/main/")[2] for request in github.proxy.requests[3:]] == ["state/sync.yaml"]


@pytest.mark.filterwarnings("always::npc_lims.errors.StaleStateWarning")
def test_offline_the_cached_snapshot_is_used(github: GitHub, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_cli().code == 0
    monkeypatch.setenv("NPC_LIMS_TTL", "0")
    with down(github.proxy):
        done = run_cli()
    assert done.code == 0, done
    assert "stale cache" in done.out
    assert "29 sessions" in done.out
    assert "Last read  tracked" in done.out


def test_without_times_no_ages_are_shown(github: GitHub, elsewhere: Path, tmp_path: Path) -> None:
    repository = github.fork(tmp_path / "fork")
    run_git(repository, "rm", "--quiet", "state/sync.yaml")
    run_git(repository, "commit", "--quiet", "--message=no times")
    done = run_cli()
    assert done.code == 0, done
    assert "Last read" not in done.out
    assert "29 sessions" in done.out


# --- how it looks


def shown(found: Overview, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False)
    print_overview(found, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [40, 80, 300])
def test_it_fits_the_terminal(demo_state: Path, elsewhere: Path, width: int) -> None:
    lines = shown(home(NPC_LIMS_STATE=str(demo_state)), width).splitlines()
    told = [line for line in lines if not line.startswith("State") and "npc-lims" not in line]
    assert max(map(len, told)) <= width, "but for paths and commands, which are copied"


def test_an_empty_list_is_reported() -> None:
    found = Overview(Origin("folder", "state"), (), totals=Totals(1, 1, 1, 0, {"ephys": 1}, {"p\x1b[31m": 1}))
    found = dataclasses.replace(found, next=(Suggestion("npc-lims --help", "see all commands"),))
    text = shown(found)
    assert "Nothing needs attention" in text
    assert "1 session of 1 subject, 1 tracked: 1 ephys" in text
    assert "\x1b" not in text, "what people type moves no cursor"


def test_a_long_list_is_cut(elsewhere: Path) -> None:
    finding = Finding("errored", "9 sessions", "Look.", tuple(Case(f"s{number}", "text") for number in range(9)))
    found = Overview(Origin("folder", "state"), (), totals=Totals(9, 1, 1, 0, {}, {}), attention=(finding,) * 7)
    text = shown(dataclasses.replace(found, next=(Suggestion("npc-lims --help", "see all"),)))
    assert text.count("s0; s1; s2; 6 more") == 5
    assert "and 2 more: npc-lims --json" in text


def test_python_finds_what_the_command_shows(state: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_STATE", str(state))
    found = npc_lims.get_overview()
    shown = json.loads(run_cli("--json").out)
    assert found.attention
    assert [finding.title for finding in found.attention] == [finding["title"] for finding in shown["attention"]]
    assert found.totals is not None
    assert found.totals.sessions == shown["totals"]["sessions"]
