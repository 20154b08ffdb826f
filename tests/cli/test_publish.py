"""`npc-lims observe` and `npc-lims publish`, as users and workflows run them."""

from __future__ import annotations

import datetime
import json
import shutil
import tempfile
from pathlib import Path

import pytest

from npc_lims.demo.files import write_world
from npc_lims.errors import SourceError
from npc_lims.model.record import Observation
from npc_lims.state.store import read_state, verify_state
from npc_lims.state.sync_file import read_sync_file
from npc_lims.sync.observation_file import (
    EVERYTHING,
    ObservationSet,
    load_pending,
    read_observations,
    save_pending,
    write_observations,
)
from tests.builders import no_assets, training
from tests.integration.world import TOKEN, UPLOADED, Cloud, commit_all, run_cli, run_git, write_tracked
from tests.sync.repositories import NOON, SESSIONS, clone, observation_set, push, subjects_of_commits, uploaded

FIRST, SECOND = SESSIONS[:2]
HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A bare repository whose main branch holds the tracked file of the demo's lab, and no state."""
    write_tracked(tmp_path / "seed", 2)
    commit_all(tmp_path / "seed", "tracked sessions")
    run_git(tmp_path, "clone", "--quiet", "--bare", "seed", "remote.git")
    return tmp_path / "remote.git"


@pytest.fixture
def checkout(remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = clone(remote, tmp_path / "checkout")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.slow
def test_sync_and_publish(cloud: Cloud, checkout: Path, remote: Path) -> None:
    assert run_cli("sync").code == 0
    done = run_cli("publish")
    assert done.code == 0
    assert done.out.startswith("pushed ")
    assert "to main" in done.out
    assert len(subjects_of_commits(remote)) == 2
    assert verify_state(checkout / "state") == []
    assert run_git(checkout, "status", "--porcelain") == ""
    # it has been published: nothing waits any more
    again = run_cli("publish")
    assert (again.code, "nothing to publish" in again.out) == (0, True)


@pytest.mark.slow
def test_two_syncs_are_two_commits_of_one_push(cloud: Cloud, checkout: Path, remote: Path) -> None:
    assert run_cli("sync", "--only", "tracked").code == 0
    assert run_cli("sync", "--only", "codeocean").code == 0
    assert run_cli("publish").code == 0
    sources = run_git(remote, "log", "--format=%(trailers:key=Npc-Lims-Sources,valueonly)", "main").split()
    assert sources == ["codeocean", "tracked"]
    assert run_git(checkout, "status", "--porcelain") == ""


def test_a_sync_that_was_killed_after_writing_can_be_published(cloud: Cloud, checkout: Path, remote: Path) -> None:
    run_cli("sync", "--only", "tracked")
    (waiting,) = load_pending(checkout / "state")
    assert waiting.observed.observations[0].source == "tracked"
    # as if it had been killed before it wrote all
    for path in list((checkout / "state" / "sessions").rglob("*.yaml"))[::2]:
        path.unlink()
    assert run_cli("publish").out.startswith("pushed ")
    assert len(subjects_of_commits(remote)) == 2


def test_before_the_first_commit_there_is_nothing_to_take_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "sessions.jsonl").touch()
    run_git(tmp_path, "init", "--quiet")
    monkeypatch.chdir(tmp_path)
    done = run_cli("publish")
    assert done.code == 2
    assert done.err.endswith("git add and git commit make the first one, git push publishes it\n")
    assert "restore" not in done.err


@pytest.mark.slow
def test_state_that_no_sync_accounts_for_is_reported(cloud: Cloud, checkout: Path) -> None:
    run_cli("sync")
    for waiting in load_pending(checkout / "state"):
        waiting.path.unlink()
    done = run_cli("publish")
    assert done.code == 2
    assert "git restore" in done.err and "npc-lims sync" in done.err


@pytest.mark.slow
def test_a_refused_sync_leaves_nothing_to_publish(cloud: Cloud, checkout: Path) -> None:
    run_cli("sync")
    run_cli("publish")
    (checkout / "tracked_sessions.yaml").write_text("ephys:\n")
    refused = run_cli("sync")
    assert refused.code == 4
    assert load_pending(checkout / "state") == []


@pytest.mark.slow
def test_a_summary_that_cannot_be_written_stops_before_the_push(cloud: Cloud, checkout: Path, remote: Path) -> None:
    run_cli("sync")
    done = run_cli("publish", "--summary", "nowhere/summary.md")
    assert done.code == 2
    assert "summary.md" in done.err and "Traceback" not in done.err
    assert len(subjects_of_commits(remote)) == 1


@pytest.mark.slow
def test_a_dry_run_leaves_pending_observations(cloud: Cloud, checkout: Path, remote: Path) -> None:
    run_cli("sync")
    shown = run_cli("publish", "--dry-run")
    assert shown.out.startswith("would push to main:")
    assert len(subjects_of_commits(remote)) == 1
    assert run_cli("publish").out.startswith("pushed ")


@pytest.mark.slow
def test_shards_are_observed_apart_and_published_together(
    cloud: Cloud, checkout: Path, remote: Path, tmp_path: Path
) -> None:
    for shard in ("1/2", "2/2"):
        assert run_cli("observe", "--out", str(tmp_path / "seen" / shard[0]), "--shard", shard).code == 0
    # observing writes no state
    assert not (checkout / "state").exists()
    summary, outcome = tmp_path / "summary.md", tmp_path / "outcome.json"
    done = run_cli(
        "publish",
        f"--observed={tmp_path / 'seen'}",
        f"--summary={summary}",
        f"--outcome={outcome}",
        "--trailer=Npc-Lims-Run=https://example.org/1",
    )
    assert done.code == 0, done
    everything = ["tracked", "training", "codeocean", "s3"]
    assert json.loads(outcome.read_text()) == {"answered": everything, "failed": [], "complete": True}
    assert "state on main" in summary.read_text()
    assert "Npc-Lims-Run: https://example.org/1" in run_git(remote, "log", "-1", "--format=%B", "main")
    # as one sync would have it
    published = read_state(checkout / "state").records
    assert run_cli("sync", f"--state={tmp_path / 'alone' / 'state'}", "--tracked=tracked_sessions.yaml").code == 0
    assert read_state(tmp_path / "alone" / "state").records == published
    assert run_cli("sync", "--dry-run").out.splitlines()[-1].endswith("nothing changed (dry run)")


@pytest.mark.slow
def test_a_source_that_fails_is_in_the_summary_and_the_rest_is_published(
    cloud: Cloud, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODE_OCEAN_API_TOKEN", "cop_expired")
    seen = run_cli("observe", "--out", str(tmp_path / "seen"))
    assert seen.code == 3
    assert "codeocean failed" in seen.err
    summary, outcome = tmp_path / "summary.md", tmp_path / "outcome.json"
    done = run_cli("publish", f"--observed={tmp_path / 'seen'}", f"--summary={summary}", f"--outcome={outcome}")
    assert done.code == 0
    told = json.loads(outcome.read_text())
    assert [failure["source"] for failure in told["failed"]] == ["codeocean"]
    assert told["answered"] == ["tracked", "training", "s3"]
    assert "codeocean failed" in summary.read_text()
    assert "cop_expired" not in summary.read_text() + outcome.read_text() + seen.err
    assert all(record.codeocean is None for record in read_state(checkout / "state").records.values())


@pytest.mark.slow
def test_only_what_was_edited(cloud: Cloud, checkout: Path, tmp_path: Path) -> None:
    run_cli("sync")
    run_cli("publish")
    tracked = checkout / "tracked_sessions.yaml"
    text = tracked.read_text()
    edited = next(id_ for id_ in read_state(checkout / "state").records if f"DRpilot_{id_.replace('-', '')}" in text)
    path = next(line for line in text.splitlines() if f"DRpilot_{edited.replace('-', '')}" in line)
    has_keys = path.rstrip().endswith(":")
    new = f"{path.rstrip() if has_keys else path.rstrip() + ':'}\n        notes: looked at again"
    tracked.write_text(text.replace(path, new, 1))
    assert run_cli("observe", "--out", str(tmp_path / "seen"), "--changed").code == 0
    observed = read_observations(tmp_path / "seen" / "all.observed.json")
    assert observed.scope.sessions == {edited}
    # nothing else was even asked for
    assert all(set(one.facts) <= {edited} for one in observed.observations if one.source in ("codeocean", "s3"))


@pytest.mark.slow
def test_nothing_edited_asks_nobody(cloud: Cloud, checkout: Path, tmp_path: Path) -> None:
    run_cli("sync")
    cloud.forget_requests()
    assert run_cli("observe", "--out", str(tmp_path / "seen"), "--changed").code == 0
    assert cloud.requests == 0
    assert read_observations(tmp_path / "seen" / "all.observed.json").scope.sessions == frozenset()


@pytest.mark.slow
def test_a_session_that_nobody_knows_yet_can_be_left_out(cloud: Cloud, checkout: Path, tmp_path: Path) -> None:
    run_cli("sync")
    options = ("observe", "--out", str(tmp_path / "seen"), "--sessions", f"123456_2020-01-01,{UPLOADED}")
    assert run_cli(*options).code == 2
    assert run_cli(*options, "--skip-unknown").code == 0
    observed = read_observations(tmp_path / "seen" / "all.observed.json")
    assert {id_ for one in observed.observations if one.source == "s3" for id_ in one.facts} == {UPLOADED}


def test_no_token_is_in_observations(cloud: Cloud, checkout: Path, tmp_path: Path) -> None:
    run_cli("observe", "--out", str(tmp_path / "seen"))
    content = (tmp_path / "seen" / "all.observed.json").read_text()
    assert UPLOADED in content
    assert TOKEN not in content


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["observe"], "--out"),
        (["observe", "--out", "seen", "--shard", "3/2"], "NUMBER/COUNT"),
        (["observe", "--out", "seen", "--sessions", "123456_2020-01-01", "--only", "tracked"], "no such session"),
        (["observe", "--out", "seen", "--only", "fax"], "no such source"),
        (["publish", "--observed", "nowhere"], "holds no observations"),
        (["publish", "--trailer", "run"], "KEY=VALUE"),
        *((["publish", "--trailer", f"{key}=1"], "hyphens") for key in ("bad key", "", "a:b", "-a", "a\nb", "é")),
        (["publish", "--trailer", "npc-lims-observed=2099-01-01T00:00:00Z"], "written by npc-lims itself"),
        (["observe", "--out", "tracked_sessions.yaml", "--only", "tracked"], "tracked_sessions.yaml"),
        (["observe", "--out", "seen", "--changed", "--only", "s3"], "--changed selects sessions by the tracked file"),
        (["publish", "--state", "/"], "not in a git checkout"),
    ],
)
def test_bad_input_is_reported(checkout: Path, arguments: list[str], says: str) -> None:
    (checkout / "seen").mkdir()
    run_cli("sync", "--only", "tracked")
    done = run_cli(*arguments)
    assert done.code == 2
    assert says in done.err
    assert "Traceback" not in done.err


# --- observations that are not applied ------------------------------------------------------------


@pytest.fixture
def sessions(remote_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of a repository with state, and no sources to query."""
    folder = clone(Path(shutil.copytree(remote_once, tmp_path / "published.git")), tmp_path / "sessions")
    monkeypatch.chdir(folder)
    return folder


def others_publish(checkout: Path, *observed: ObservationSet) -> None:
    remote = run_git(checkout, "remote", "get-url", "origin").strip()
    with tempfile.TemporaryDirectory() as folder:
        push(clone(Path(remote.removeprefix("file://")), Path(folder, "other")), *observed)


def pending(checkout: Path) -> list[Path]:
    return [one.path for one in load_pending(checkout / "state")]


def test_observations_from_the_future_are_refused_and_stay_pending(sessions: Path) -> None:
    save_pending(sessions / "state", observation_set({FIRST: uploaded(FIRST)}))
    ahead = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    path = save_pending(sessions / "state", observation_set({SECOND: uploaded(SECOND)}, at=ahead)).path
    for options in ([], ["--dry-run"]):
        done = run_cli("publish", *options)
        assert done.code == 2
        assert str(path) in done.err and "Correct the clock" in done.err and "delete the file" in done.err
    assert len(list(path.parent.iterdir())) == 2
    assert run_git(sessions, "rev-list", "--count", "origin/main").strip() == "1"
    # as the message says
    path.unlink()
    assert run_cli("publish").out.startswith("pushed ")
    assert pending(sessions) == []


def test_observations_that_newer_ones_replace_are_counted_and_removed(sessions: Path) -> None:
    others_publish(sessions, observation_set({FIRST: uploaded(FIRST), SECOND: uploaded(SECOND)}, at=NOON + HOUR))
    save_pending(sessions / "state", observation_set({FIRST: no_assets(), SECOND: no_assets()}))
    shown = run_cli("publish", "--dry-run")
    assert len(pending(sessions)) == 1
    done = run_cli("publish")
    assert done.code == shown.code == 0
    for out in (done.out, shown.out):
        assert "codeocean: 2 observations dropped, since main already has newer ones" in out
        assert "already has these facts" not in out
    assert pending(sessions) == []


def test_a_complete_source_that_a_newer_one_replaces_is_counted(sessions: Path, tmp_path: Path) -> None:
    def rows(at: datetime.datetime, hits: int) -> ObservationSet:
        seen = Observation("training", {FIRST: training(hits=hits)}, complete=True, versions={"book": str(hits)})
        return ObservationSet((seen,), EVERYTHING, at)

    others_publish(sessions, rows(NOON + HOUR, 2))
    save_pending(sessions / "state", rows(NOON, 1))
    summary = tmp_path / "summary.md"
    done = run_cli("publish", f"--summary={summary}")
    assert (done.code, pending(sessions)) == (0, [])
    assert "training: 1 observation dropped" in done.out and "already has these facts" not in done.out
    assert "training: 1 observation dropped" in summary.read_text()


def test_observations_that_are_published_already_change_nothing(sessions: Path) -> None:
    seen = observation_set({FIRST: uploaded(FIRST)}, at=NOON + HOUR)
    others_publish(sessions, seen)
    save_pending(sessions / "state", seen)
    done = run_cli("publish")
    assert (done.code, done.out) == (0, "nothing to publish: main already has these facts\n")
    assert pending(sessions) == []


def test_what_could_not_be_applied_is_a_failure_and_stays_pending(sessions: Path, tmp_path: Path) -> None:
    """A workbook that was changed and changed back: unchanged here, and not what others published meanwhile."""
    version_one = Observation("training", {FIRST: training(hits=1)}, complete=True, versions={"book": "one"})
    version_two = Observation("training", {FIRST: training(hits=2)}, complete=True, versions={"book": "two"})
    others_publish(sessions, ObservationSet((version_two,), EVERYTHING, NOON))
    unchanged = Observation("training", unchanged=True, versions={"book": "one"})
    codeocean = Observation("codeocean", {FIRST: uploaded(FIRST)})
    (path,) = (save_pending(sessions / "state", ObservationSet((unchanged, codeocean), EVERYTHING, NOON + HOUR)).path,)

    outcome = tmp_path / "outcome.json"
    done = run_cli("publish", f"--outcome={outcome}")
    assert done.code == 3
    assert done.out.startswith("pushed ")
    assert "training could not be applied" in done.err and "observe again" in done.err
    assert str(path) in done.err and "delete the file" in done.err
    assert [failure["source"] for failure in json.loads(outcome.read_text())["failed"]] == ["training"]
    assert pending(sessions) == [path]
    assert read_sync_file(sessions / "state").sources["training"].failure is not None

    again = run_cli("publish")
    assert (again.code, "already has these facts" in again.out, pending(sessions)) == (3, False, [path])

    save_pending(sessions / "state", ObservationSet((version_one,), EVERYTHING, NOON + 2 * HOUR))
    assert run_cli("publish").code == 0
    assert pending(sessions) == []
    assert read_state(sessions / "state").records[FIRST].training == training(hits=1)


def test_a_commit_that_does_not_verify_keeps_the_observations(sessions: Path) -> None:
    save_pending(sessions / "state", observation_set({FIRST: uploaded(FIRST)}))
    hook = sessions / ".git" / "hooks" / "pre-commit"
    hook.write_bytes(b"#!/bin/sh\nfor f in state/sessions/*/*.yaml; do echo '# mine' >> $f; done; git add state\n")
    hook.chmod(0o755)
    done = run_cli("publish")
    assert done.code == 2
    assert "would not verify: state/sessions/" in done.err and "Nothing was pushed" in done.err
    assert len(done.err.splitlines()) == 1
    assert len(pending(sessions)) == 1
    hook.unlink()
    assert run_cli("publish").out.startswith("pushed ")


def test_an_observation_file_cannot_write_a_line_of_a_log(sessions: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen" / "all.observed.json"
    failure = SourceError("codeocean", "down\n::error::owned\x1b[2J")
    write_observations(seen, ObservationSet((Observation("codeocean", failure=failure),), EVERYTHING, NOON))
    summary = tmp_path / "summary.md"
    done = run_cli("publish", f"--observed={seen.parent}", f"--summary={summary}")
    seen.write_text(seen.read_text().replace('"source":"codeocean"', r'"source":"\n::error::owned\u001b[2J"'))
    refused = run_cli("publish", f"--observed={seen.parent}")
    assert (done.code, refused.code) == (0, 2)
    text = done.out + done.err + refused.err + summary.read_text() + (sessions / "state" / "sync.yaml").read_text()
    assert not [line for line in text.splitlines() if line.lstrip().startswith("::")]
    assert "\x1b" not in text


def test_observations_of_some_shards_are_published_and_are_no_success(
    checkout: Path, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where NPC_LIMS_SHARDS names one runner of two: all jobs succeed."""
    write_world(tmp_path / "world", 2)
    monkeypatch.setenv("NPC_LIMS_MIRROR", str(tmp_path / "world" / "mirror"))
    seen, outcome = tmp_path / "seen", tmp_path / "outcome.json"
    assert run_cli("observe", "--out", str(seen), "--shard", "1/2", f"--outcome={outcome}").code == 0
    alone = json.loads(outcome.read_text())
    assert (alone["failed"], alone["complete"]) == ([], False)
    done = run_cli("publish", f"--observed={seen}", f"--outcome={outcome}")
    assert done.code == 3, done
    assert "pushed " in done.out
    assert "shards could not be applied; its recorded values are unchanged: no observations of 2/2" in done.err
    assert len(subjects_of_commits(remote)) == 2
    published = json.loads(outcome.read_text())
    assert [failure["source"] for failure in published["failed"]] == ["shards"]
    assert published["complete"] is False


def test_observations_of_nothing_are_no_success(checkout: Path, tmp_path: Path) -> None:
    write_observations(
        tmp_path / "all.observed.json", ObservationSet((), EVERYTHING, datetime.datetime.now(datetime.timezone.utc))
    )
    outcome = tmp_path / "outcome.json"
    done = run_cli("publish", f"--observed={tmp_path}", f"--outcome={outcome}")
    assert done.code == 3, done
    assert "sources could not be applied; its recorded values are unchanged: no source was queried" in done.err
    assert json.loads(outcome.read_text()) == {
        "answered": [],
        "failed": [
            {"source": "sources", "reason": "no source was queried: see the log of npc-lims observe"},
        ],
        "complete": False,
    }


def test_without_any_credentials_each_source_is_a_failure_of_the_outcome(checkout: Path, tmp_path: Path) -> None:
    outcome = tmp_path / "outcome.json"
    done = run_cli("observe", "--out", str(tmp_path / "seen"), f"--outcome={outcome}")
    assert done.code == 3, done
    told = json.loads(outcome.read_text())
    assert (told["answered"], told["complete"]) == (["tracked"], True)
    assert [failure["source"] for failure in told["failed"]] == ["training", "codeocean", "s3"]
    assert "\n" not in outcome.read_text(), "it becomes the output of a job"
