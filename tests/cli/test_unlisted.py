"""Recordings without a session: from the sync to `npc-lims sessions --unlisted`, in the demo's lab."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

import npc_lims
from npc_lims.demo.files import write_world
from npc_lims.model.unlisted import UnlistedAsset
from npc_lims.sessions.unlisted import describe_unlisted
from npc_lims.state.store import verify_state
from npc_lims.state.unlisted import verify_unlisted
from tests.integration.world import GitHub, commit_all, run_cli, run_git, write_tracked
from tests.sync.repositories import clone

KNOWN, OTHER = "901005_2024-11-01", "901007_2024-10-29"
NAMES = ["ecephys_901005_2024-11-01_11-48-32", "behavior_901007_2024-10-29_09-41-22"]


def listed(*options: str) -> list[dict[str, Any]]:
    done = run_cli("sessions", "--unlisted", "--json", *options)
    assert done.code == 0, done
    found: list[dict[str, Any]] = json.loads(done.out)
    return found


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the demo's tracked file, and the demo's mirror in the environment."""
    write_world(tmp_path / "world", 2)
    monkeypatch.setenv("NPC_LIMS_MIRROR", str(tmp_path / "world" / "mirror"))
    write_tracked(tmp_path / "seed", 2)
    commit_all(tmp_path / "seed", "tracked sessions")
    run_git(tmp_path, "clone", "--quiet", "--bare", "seed", "remote.git")
    folder = clone(tmp_path / "remote.git", tmp_path / "checkout")
    monkeypatch.chdir(folder)
    return folder


def test_from_the_search_to_the_tracked_file(lab: Path) -> None:
    assert run_cli("sync", "--only", "tracked,training").code == 0
    done = run_cli("sessions", "--unlisted")
    assert (done.code, "no sync has recorded recordings without a session" in done.err) == (2, True)
    done = run_cli("sync")
    assert f"2 recordings without a session (npc-lims sessions --unlisted)\n  {NAMES[1]}: found" in done.out
    assert [(one["session"], one["platform"], one["is_known_subject"]) for one in listed()] == [
        (KNOWN, "ephys", True),
        (OTHER, "behavior", False),
    ]
    assert run_cli("sync").out.endswith("nothing changed\n")
    # each line works as it is
    for one in listed():
        assert run_cli(*shlex.split(one["track_command"])[1:]).code == 0
    assert run_cli("sync", "--only", "s3").code == 0
    assert len(listed()) == 2
    assert f"  {NAMES[0]}: listed now" in run_cli("sync", "--only", "tracked", "--sessions", KNOWN).out
    assert [one["session"] for one in listed()] == [OTHER]
    assert run_cli("sync").code == 0
    assert listed() == []
    text = run_cli("sessions", "--unlisted").out
    assert text == "every recording has a session\n"
    facts = json.loads(run_cli("show", KNOWN, "--json").out)
    assert (facts["is_uploaded"], facts["codeocean"]["raw"]["name"]) == (True, NAMES[0])


def test_observe_and_publish_as_separate_jobs(lab: Path, tmp_path: Path) -> None:
    observed = tmp_path / "observed"
    for shard in ("1/2", "2/2"):
        assert run_cli("observe", "--out", str(observed), "--shard", shard).code == 0
    done = run_cli("publish", "--observed", str(observed))
    assert done.code == 0, done
    assert f"Unlisted recordings:\n- {NAMES[1]}: found" in done.out
    assert len(listed()) == 2
    assert [*verify_state(lab / "state"), *verify_unlisted(lab / "state")] == []
    commit = run_git(lab, "rev-parse", "HEAD").strip()
    # an outage takes nothing away; a session that is listed goes at once
    assert run_cli(*shlex.split(listed()[0]["track_command"])[1:]).code == 0
    commit_all(lab, "track it")
    run_git(lab, "push", "--quiet", "origin", "HEAD:main")
    (tmp_path / "world" / "mirror" / "codeocean" / "data_assets.json").unlink()
    assert run_cli("sync").code == 3
    assert run_cli("publish").code == 0
    assert [one["session"] for one in listed()] == [OTHER]
    assert [one["session"] for one in listed("--at", commit)] == [KNOWN, OTHER]


def test_a_commit_without_other_changes_says_so(lab: Path, tmp_path: Path) -> None:
    assert run_cli("sync").code == 0
    assert run_cli("publish").code == 0
    path = tmp_path / "world" / "mirror" / "codeocean" / "data_assets.json"
    assets = [one for one in json.loads(path.read_text()) if one["name"] != NAMES[1]]
    path.write_text(json.dumps(assets))
    assert run_cli("sync").code == 0
    done = run_cli("publish")
    assert "state: no session changed; 1 unlisted recording found or gone\n" in done.out
    assert f"- {NAMES[1]}: no longer in Code Ocean" in done.out


def test_filters(demo_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_STATE", str(demo_state))
    assert [one["session"] for one in listed("--ephys")] == [KNOWN]
    assert [one["session"] for one in listed("--platform", "behavior")] == [OTHER]
    assert [one["session"] for one in listed("--subject", "901007", "--until", "2024-12-31")] == [OTHER]
    assert listed("--since", "2024-11-02") == []
    assert len(listed("--limit", "1")) == 1
    assert run_cli("sessions", "--unlisted", "--csv").out.startswith("session,platform,created,asset_id,asset_name,")
    for options, message in (
        (["--is", "sorted"], "--is: not known of a recording without a session"),
        (["--columns", "id"], "--unlisted lists recordings without a session: leave out --columns"),
        (["--watch"], "leave out --unlisted"),
    ):
        done = run_cli("sessions", "--unlisted", *options)
        assert (done.code, message in done.err) == (2, True), done
    (found,) = npc_lims.get_unlisted_recordings(platform="ephys", since="2024-01-01")
    assert (found.session, found.asset_name) == (KNOWN, NAMES[0])
    with pytest.raises(TypeError, match="unknown filter rig"):
        npc_lims.get_unlisted_recordings(rig="NP2")


def test_of_published_state_it_is_one_request(github: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    npc_lims.get_session_info()
    before = github.proxy.count
    assert [one.session for one in npc_lims.get_unlisted_recordings()] == [KNOWN, OTHER]
    assert github.proxy.count == before + 1
    npc_lims.get_unlisted_recordings()
    assert github.proxy.count == before + 1


def test_without_a_session_like_it_nothing_is_guessed() -> None:
    main, surface = (
        UnlistedAsset(time, f"ecephys_700003_2024-06-03_{time}", "2024-06-04T08:00:00Z")
        for time in ("10-00-00", "11-00-00")
    )
    first, other = reversed(describe_unlisted((surface, main), []))
    assert (first.asset_name, first.is_known_subject) == (main.name, False)
    assert first.track_command == f"npc-lims track add /FOLDER/{main.name} --project PROJECT"
    assert other.track_command == "", "a further recording of the day is no session of its own"


def test_a_damaged_file_is_reported(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_STATE", str(state))
    path = state / "unlisted.jsonl"
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    for command in (["sessions", "--unlisted"], ["verify", "--state", str(state)]):
        done = run_cli(*command)
        assert "unlisted.jsonl: damaged (" in done.out + done.err, done
        assert done.code in (1, 2)
    path.write_bytes(content.replace(b'{"id"', b'{ "id"'))
    (problem,) = verify_unlisted(state)
    assert problem == f"{path}: not written as npc-lims writes it; restore it (git checkout), or delete it and sync"
    path.write_bytes(content.replace(b"901005_2024-11-01", b"901005_2024-11-04"))
    assert "belongs to the day of a session" in run_cli("verify", "--state", str(state)).out
