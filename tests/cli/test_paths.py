"""`npc-lims paths`, and the page that `npc-lims show --web` opens."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import npc_lims
from npc_lims.model.locations import LOCATION_KINDS
from tests.integration.world import Done, commit_all, run_cli, run_git

ALL = "901003_2024-10-22"
TRAINING = "901003_2024-10-16"
RAW = "s3://aind-ephys-data/ecephys_901003_2024-10-22_11-02-49"


@pytest.fixture
def from_state(demo_state: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NPC_LIMS_STATE", str(demo_state))
    return demo_state


def paths(*arguments: str) -> Done:
    return run_cli("paths", *arguments)


def test_one_location_per_line_is_all_of_the_output(from_state: Path) -> None:
    done = paths(ALL)
    assert done.code == 0, done
    found = [one.location for one in npc_lims.get_session_locations(ALL) if one.location]
    assert done.out.splitlines() == found
    assert {RAW, f"{RAW}/behavior/20241022T110249.h5"} <= set(found)
    assert "parquet_cache: No version of the component cache" in done.err


@pytest.mark.parametrize(
    ("kinds", "code", "lines", "words"),
    [
        (["raw"], 0, 1, ""),
        (["RAW", "videos"], 0, 4, ""),
        (["annotations"], 0, 1, "tissuecyte_annotations: There is none."),
        (["raw", "parquet-cache"], 1, 1, "parquet_cache: No version"),
    ],
)
def test_chosen_kinds_decide_the_exit_code(
    from_state: Path, kinds: list[str], code: int, lines: int, words: str
) -> None:
    done = paths(ALL, *(word for kind in kinds for word in ("--kind", kind)))
    assert (done.code, len(done.out.splitlines())) == (code, lines), done
    assert words in done.err if words else done.err == ""


def test_no_location_says_why(from_state: Path, state: Path) -> None:
    assert "sorted: does not apply: Applies to ephys sessions." in paths(TRAINING, "--kind", "sorted").err
    assert "does not apply: sync, videos, " in paths(TRAINING).err
    path = state / "sessions" / "901001" / "901001_2024-03-07.yaml"
    path.write_text(path.read_text().replace("codeocean: false", "codeocean: null"))
    unknown = paths("901001_2024-03-07", "--kind", "raw", "--kind", "metadata", "--state", str(state)).err
    assert unknown.startswith("raw: unknown: Code Ocean was never searched for"), unknown


def test_json_has_kinds_without_a_location_too(from_state: Path) -> None:
    found = json.loads(paths(ALL, "--json").out)
    assert list(dict.fromkeys(one["kind"] for one in found)) == list(LOCATION_KINDS)
    [raw] = [one for one in found if one["kind"] == "raw"]
    assert (raw["session"], raw["location"], raw["name"]) == (ALL, RAW, RAW.rpartition("/")[2])
    assert {one["status"] for one in found} == {"recorded", "none"}
    assert len(paths(ALL, "--csv").out.splitlines()) == len(found) + 1


def test_several_sessions_are_selected_by_the_options_of_sessions(from_state: Path) -> None:
    done = paths("--ephys", "--subject", "901003", "--kind", "sorted")
    assert (done.code, len(done.out.splitlines())) == (1, 3)
    assert done.err.splitlines() == ["901003_2024-10-24: sorted: No spike-sorting result without errors yet."]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([ALL, "--kind", "sortd"], "'sortd' is no kind of location (did you mean 'sorted'?)"),
        ([ALL, "--ephys"], "not both"),
        ([], "name a session, or select some"),
        (["--subject", "901003", "--since", "2030-01-01"], "no session matches"),
    ],
)
def test_mistakes_are_exit_2_and_one_message(from_state: Path, arguments: list[str], words: str) -> None:
    done = paths(*arguments)
    assert (done.code, done.out) == (2, ""), done
    assert words in done.err


def test_a_past_session_has_the_locations_of_then(from_state: Path, state: Path) -> None:
    run_git(state.parent, "init", "-q", "-b", "main")
    commit_all(state.parent, "recorded")
    path = state / "sessions" / "901003" / f"{ALL}.yaml"
    path.write_text(path.read_text().replace(RAW, "s3://aind-ephys-data/moved"))
    assert paths(ALL, "--kind", "raw", "--state", str(state)).out == "s3://aind-ephys-data/moved\n"
    assert paths(ALL, "--kind", "raw", "--state", str(state), "--at", "HEAD").out == f"{RAW}\n"


@pytest.fixture
def browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which a browser notes what it opened."""
    program, opened = tmp_path / "browser.py", tmp_path / "opened"
    program.write_text(f"import sys\nopen({str(opened)!r}, 'w').write(sys.argv[1])\n")
    monkeypatch.setenv("BROWSER", f"{sys.executable} {program} %s")
    return opened


def test_show_opens_the_page_of_a_session(
    from_state: Path, state: Path, browser: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = run_cli("show", ALL, "--web", "--state", str(state))
    assert without.code == 2
    assert "no repository with a remote on GitHub; npc-lims site serve" in without.err
    run_git(state.parent, "init", "-q", "-b", "main")
    run_git(state.parent, "remote", "add", "origin", "https://github.com/lab/state.git")
    done = run_cli("show", ALL, "--web", "--state", str(state))
    assert done.out == f"https://lab.github.io/state/session.html?id={ALL}\n"
    assert browser.read_text() == done.out.strip()
    monkeypatch.setenv("NPC_LIMS_PAGES_URL", "off")
    of_file = run_cli("show", ALL, "--web", "--state", str(state)).out
    assert of_file == f"https://github.com/lab/state/blob/main/state/sessions/901003/{ALL}.yaml\n"
