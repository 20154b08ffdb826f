"""Readers notice that syncs have stopped, by one small request a day."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import npc_lims
from npc_lims.config.disk_cache import CacheEntry, store_entry
from npc_lims.model.sections import SECTIONS
from npc_lims.state.freshness import SourceTimes, parse_sync_times
from npc_lims.state.sync_file import SourceSync, SyncFailure, SyncFile, write_sync_file
from npc_lims.utils.timestamps import utc_text
from tests.integration.world import GitHub, commit_all, run_cli
from tests.servers.faults import FaultyProxy, Status
from tests.servers.fixtures import Serve
from tests.servers.pages import PagesServer

ONE = "901001_2024-03-13"
SNAPSHOT, SYNC = "state/sessions.jsonl", "state/sync.yaml"
DAY = 24 * 3600.0


def ago(**length: float) -> str:
    return utc_text(datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(**length))


def answered(folder: Path, **sources: str | SourceSync | None) -> None:
    """Let *folder* say when each source was last complete: an hour ago, for those that are not given."""
    times = {name: ago(hours=1) for name in SECTIONS}
    made = {
        name: given if isinstance(given, SourceSync) else SourceSync(last_complete=given)
        for name, given in {**times, **sources}.items()
    }
    write_sync_file(folder, SyncFile(sources=made))


def publish(github: GitHub, folder: Path, **sources: str | SourceSync | None) -> Path:
    """Serve a repository whose sources were complete at those times."""
    repository = github.fork(folder)
    answered(repository / "state", **sources)
    commit_all(repository)
    return repository


def all_paths(github: GitHub) -> list[str]:
    return [request.path.partition("/main/")[2] for request in github.proxy.requests]


def let_age(seconds: float) -> None:
    """Let everything on disk be that old, and forget what this process remembers."""
    then = time.time() - seconds
    for path in Path(os.environ["NPC_LIMS_CACHE_DIR"]).rglob("*"):
        os.utime(path, (then, then))
    npc_lims.clear_caches()


def warned() -> str:
    """What a read of all sessions warns of: one thing."""
    with pytest.warns(npc_lims.StaleStateWarning) as caught:
        assert npc_lims.get_session_info()
    assert len(caught) == 1
    assert caught[0].filename == __file__, "the warning points at who asked"
    return str(caught[0].message)


# --- published state


def test_a_source_that_was_not_read_for_two_periods_is_named(github: GitHub, tmp_path: Path) -> None:
    publish(github, tmp_path / "fork", training=ago(days=9), codeocean=ago(hours=49), s3=ago(hours=47))
    message = warned()
    assert "training (last read completely 9 days ago, " in message
    assert "codeocean (last read completely 2 days ago, " in message
    assert "tracked" not in message
    assert "s3" not in message
    assert "lab/state" in message
    assert all_paths(github) == [SNAPSHOT, SYNC]
    assert npc_lims.get_session_info()
    assert npc_lims.get_session_info(ONE).id == ONE
    assert all_paths(github) == [SNAPSHOT, SYNC], "and warned of once"


def test_a_fresh_state_is_no_warning_and_one_request_a_day(github: GitHub, tmp_path: Path) -> None:
    publish(github, tmp_path / "fork")
    assert npc_lims.get_session_info()
    for _ in range(3):
        assert npc_lims.get_session_info(ttl_seconds=0)
    assert all_paths(github) == [SNAPSHOT, SYNC, SNAPSHOT, SNAPSHOT, SNAPSHOT]
    let_age(DAY - 60)
    assert npc_lims.get_session_info()
    assert all_paths(github)[5:] == [SNAPSHOT], "revalidated, a day is not over"
    let_age(DAY + 60)
    assert npc_lims.get_session_info()
    assert all_paths(github)[6:] == [SNAPSHOT, SYNC]


def test_whoever_reads_one_session_at_a_time_is_warned_too(github: GitHub, tmp_path: Path) -> None:
    publish(github, tmp_path / "fork", s3=ago(days=9))
    with pytest.warns(npc_lims.StaleStateWarning, match="s3 .last read completely 9 days ago, ") as caught:
        assert npc_lims.get_session_info(ONE).id == ONE
    assert len(caught) == 1
    before = all_paths(github)
    assert before[1:] == [SYNC]
    let_age(3600)
    with pytest.warns(npc_lims.StaleStateWarning):
        assert npc_lims.get_session_info(ONE).id == ONE
    assert all_paths(github) == [*before, before[0]], "asked for once a day"


def test_what_the_cache_answers_needs_no_check(github: GitHub, tmp_path: Path) -> None:
    publish(github, tmp_path / "fork")
    assert npc_lims.get_session_info()
    let_age(DAY + 60)
    assert npc_lims.get_session_info(ttl_seconds=10 * DAY)
    assert npc_lims.get_session_info(ONE, ttl_seconds=10 * DAY).id == ONE
    assert all_paths(github) == [SNAPSHOT, SYNC]


READ = """\
import sys, npc_lims
assert npc_lims.get_session_info(ttl_seconds=0)
print({name: age and round(age / 3600) for name, age in npc_lims.state_origin().source_ages.items()})
"""


def read_in_a_process() -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, check=True)


def test_processes_that_share_a_cache_share_the_check(github: GitHub, tmp_path: Path) -> None:
    publish(github, tmp_path / "fork", training=ago(days=9))
    for _ in range(2):
        done = read_in_a_process()
        assert len(re.findall("StaleStateWarning: ", done.stderr)) == 1, "each process says so, once"
        assert done.stdout == "{'tracked': 1, 'training': 216, 'codeocean': 1, 's3': 1}\n"
    assert all_paths(github).count(SYNC) == 1


@pytest.mark.parametrize("fault", [Status(503), Status(429), Status(404), Status(200, {}, b"")])
def test_a_check_that_fails_is_silent_and_not_repeated(github: GitHub, tmp_path: Path, fault: Status) -> None:
    publish(github, tmp_path / "fork", training=ago(days=9))
    github.proxy.rule = lambda request: fault if request.path.endswith(SYNC) else None
    assert npc_lims.get_session_info()
    assert npc_lims.state_origin().source_ages == {}
    let_age(DAY - 60)
    github.proxy.rule = None
    assert npc_lims.get_session_info(ttl_seconds=0)
    assert all_paths(github) == [SNAPSHOT, SYNC, SNAPSHOT], "one attempt, also for the next process"
    let_age(DAY + 60)
    assert "training" in warned()


def test_where_github_fails_freshness_is_not_checked_either(github: GitHub) -> None:
    assert npc_lims.get_session_info()
    let_age(DAY + 60)
    github.proxy.reset()
    github.proxy.rule = lambda request: Status(429)
    assert "using the copy" in warned()
    assert SYNC not in all_paths(github)
    assert set(npc_lims.state_origin().source_ages) == set(SECTIONS)


def test_a_cache_that_cannot_be_written_is_checked_once_a_process(
    github: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(github, tmp_path / "fork", training=ago(days=9))
    (tmp_path / "file").write_text("in the way of a folder", encoding="utf-8")
    monkeypatch.setenv("NPC_LIMS_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert "training" in warned()
    assert npc_lims.get_session_info(ttl_seconds=0)
    assert npc_lims.state_origin().source_ages["training"] == pytest.approx(9 * DAY, abs=60)
    assert all_paths(github).count(SYNC) == 1


def test_a_new_check_after_recovery_does_not_warn(github: GitHub, tmp_path: Path) -> None:
    repository = publish(github, tmp_path / "fork", training=ago(days=9))
    warned()
    answered(repository / "state")
    commit_all(repository)
    let_age(DAY + 60)
    assert npc_lims.get_session_info()


def test_a_fresh_state_that_was_checked_long_ago_is_not_called_stale(github: GitHub, tmp_path: Path) -> None:
    """In an unchanged world a time is up to a day old, and the check of it another: both together say nothing."""
    publish(github, tmp_path / "fork")
    assert npc_lims.get_session_info()
    (cached,) = Path(os.environ["NPC_LIMS_CACHE_DIR"]).rglob("*.sync.yaml")
    answered(tmp_path, **{name: ago(hours=67) for name in SECTIONS})
    content = (tmp_path / "sync.yaml").read_bytes()
    store_entry(cached, CacheEntry(content, stored=time.time() - 20 * 3600))
    npc_lims.clear_caches()
    assert npc_lims.get_session_info()
    assert npc_lims.state_origin().source_ages["s3"] == pytest.approx(67 * 3600, abs=60), "told as it is known"


# --- what counts as stale


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (SourceSync(last_complete=None), None),
        (
            SourceSync(failure=SyncFailure(at=ago(days=5), reason="HTTP 401")),
            r"s3 \(never read completely, failing for 5 days",
        ),
        (SourceSync(failure=SyncFailure(at=ago(hours=5), reason="HTTP 401")), None),
        (
            SourceSync(
                last_complete=ago(days=6), failure=SyncFailure(at=ago(days=5), reason='at: "1999-01-01T00:00:00Z"')
            ),
            r"s3 \(last read completely 6 days ago",
        ),
        (SourceSync(last_complete=ago(hours=5), failure=SyncFailure(at=ago(days=5), reason="partial")), None),
    ],
)
def test_never_complete_failed_and_unused(
    demo_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: SourceSync, told: str | None
) -> None:
    state = copied(demo_state, tmp_path, monkeypatch)
    answered(state, s3=source)
    if told is None:
        assert npc_lims.get_session_info()
    else:
        assert re.search(told, warned())


def test_a_source_that_the_lab_does_not_use_is_not_late(
    demo_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = copied(demo_state, tmp_path, monkeypatch)
    write_sync_file(state, SyncFile(sources={"tracked": SourceSync(last_complete=ago(hours=1))}))
    assert npc_lims.get_session_info()
    assert list(npc_lims.state_origin().source_ages) == ["tracked"]


def test_a_time_in_the_future_is_ignored_and_named(
    demo_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = copied(demo_state, tmp_path, monkeypatch)
    answered(state, training="2099-01-01T00:00:00Z", s3=ago(minutes=-9))
    with pytest.warns(npc_lims.FutureTimestampWarning, match="training 2099-01-01T00:00:00Z") as caught:
        assert npc_lims.get_session_info()
    assert len(caught) == 1
    ages = npc_lims.state_origin().source_ages
    assert (ages["training"], ages["s3"]) == (None, 0)


def copied(demo_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    state = tmp_path / "checkout" / "state"
    shutil.copytree(demo_state, state)
    monkeypatch.setenv("NPC_LIMS_STATE", str(state))
    return state


# --- a local folder


def test_a_folder_that_nobody_pulls_is_reported(
    github: GitHub, demo_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = copied(demo_state, tmp_path, monkeypatch)
    assert npc_lims.get_session_info()
    answered(state, tracked=ago(days=9))
    npc_lims.clear_caches()
    with pytest.warns(npc_lims.StaleStateWarning, match="tracked .*9 days ago.*pull") as caught:
        assert npc_lims.get_session_info(ONE).id == ONE
    assert len(caught) == 1
    assert npc_lims.get_session_info()
    assert npc_lims.state_origin().source_ages["tracked"] == pytest.approx(9 * DAY, abs=60)
    assert all_paths(github) == []


@pytest.mark.parametrize(
    "content",
    [
        b"<<<<<<< HEAD\nschema: 1\nsources: {}\n",
        b"schema: 1\n",
        b'schema: 1\nsources:\n  s3:\n    last_complete: "yesterday"\n',
        b'schema: 1\nsources:\n  s3:\n    last_complete: "2026-13-01T00:00:00Z"\n',
        b'schema: 1\nsources:\n    last_complete: "2026-12-01T00:00:00Z"\n',
        b"schema: 1\n\xff\n",
    ],
)
def test_a_damaged_file_of_times_is_reported(
    demo_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (copied(demo_state, tmp_path, monkeypatch) / "sync.yaml").write_bytes(content)
    assert "sync.yaml is damaged" in warned()
    assert npc_lims.state_origin().source_ages == {}


def test_a_folder_without_the_file_is_read(demo_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copied(demo_state, tmp_path, monkeypatch) / "sync.yaml").unlink()
    assert npc_lims.get_session_info()
    assert npc_lims.state_origin().source_ages == {}


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_times_are_found_as_syncs_write_them(tmp_path: Path, ending: str) -> None:
    failing = SourceSync(
        counts={"at": 5, "last_complete": 3},
        failure=SyncFailure(at=ago(days=5), reason="at: last_complete: 'x'\nat: 3"),
    )
    answered(tmp_path, s3=failing, training=None)
    content = (tmp_path / "sync.yaml").read_bytes().replace(b"\n", ending.encode())
    found = parse_sync_times(content)
    assert found["s3"] == SourceTimes(None, failing.failure.at if failing.failure else "")
    assert found["training"] == SourceTimes()
    assert list(found) == list(SECTIONS)
    assert found["tracked"].last_complete is not None


# --- the mirror


def test_a_mirror_of_a_state_that_stopped_is_reported(
    github: GitHub, demo_state: Path, tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site that is deployed every day looks new, whatever it shows."""
    answered(tmp_path, s3=ago(days=9))
    files = {"sessions.jsonl": (demo_state / "sessions.jsonl").read_bytes()}
    pages = serve(PagesServer({**files, "sync.yaml": (tmp_path / "sync.yaml").read_bytes()}, time.time() - 60))
    proxy = serve(FaultyProxy(pages.url))
    monkeypatch.setenv("NPC_LIMS_PAGES_URL", proxy.url)
    github.proxy.rule = lambda request: Status(429)
    with pytest.warns(npc_lims.StaleStateWarning) as caught:
        assert npc_lims.get_session_info()
    assert [re.search("using mirror|s3 .*9 days ago", str(one.message)) is not None for one in caught] == [True, True]
    assert npc_lims.state_origin().source_ages["s3"] == pytest.approx(9 * DAY, abs=60)
    assert [request.path for request in proxy.requests] == ["/sessions.jsonl", "/sync.yaml"]
    assert "authorization" not in proxy.requests[1].headers


# --- the command line


@pytest.mark.filterwarnings("always::npc_lims.errors.StaleStateWarning")
def test_commands_warn_beside_their_output(demo_state: Path, tmp_path: Path) -> None:
    shutil.copytree(demo_state, tmp_path / "state")
    answered(tmp_path / "state", s3=ago(days=9))
    plain = run_cli("sessions", "--json", "--state", str(demo_state))
    done = run_cli("sessions", "--json", "--state", str(tmp_path / "state"))
    assert (done.code, done.out) == (0, plain.out)
    assert len(re.findall("npc-lims: warning: .*s3 .*9 days ago", done.err)) == 1
    assert "out of date" not in plain.err


@pytest.mark.filterwarnings("always::npc_lims.errors.StaleStateWarning")
def test_what_is_planned_by_an_old_folder_is_reported(demo_state: Path, tmp_path: Path) -> None:
    shutil.copytree(demo_state, tmp_path / "state")
    shutil.copy(Path(npc_lims.__file__).parent / "demo" / "pipelines.yaml", tmp_path)
    answered(tmp_path / "state", codeocean=ago(days=9))
    arguments = ("--state", str(tmp_path / "state"), "--pipelines", str(tmp_path / "pipelines.yaml"))
    done = run_cli("process", "plan", *arguments)
    assert done.code == 0, done
    assert "codeocean (last read completely 9 days ago" in done.err


def test_doctor_reports_it(demo_state: Path, tmp_path: Path) -> None:
    shutil.copytree(demo_state, tmp_path / "state")
    mirror = str(demo_state.parent / "mirror")
    (state, *_) = json.loads(run_cli("doctor", "--json", "--state", str(tmp_path / "state"), "--mirror", mirror).out)
    assert state["ok"]
    answered(tmp_path / "state", s3=ago(days=9))
    done = run_cli("doctor", "--json", "--state", str(tmp_path / "state"), "--mirror", mirror)
    (state, *_) = json.loads(done.out)
    assert (done.code, state["ok"]) == (1, False)
    assert "s3 (last read completely 9 days ago" in state["detail"]
    assert "warning" not in done.err


def test_reading_times_imports_no_parser(demo_state: Path) -> None:
    code = (
        "import os, sys\n"
        f"os.environ['NPC_LIMS_STATE'] = {str(demo_state)!r}\n"
        "import npc_lims\n"
        "assert len(npc_lims.get_session_info()) > 20\n"
        "print([name for name in ('pydantic', 'ruamel', 'yaml', 'requests') if name in sys.modules])\n"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
