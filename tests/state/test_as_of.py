"""State as it was at a date, a tag, a branch or a commit: of a checkout, and of GitHub with how many requests."""

from __future__ import annotations

import datetime
import json
import os
import pickle
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest

import npc_lims
from npc_lims.config.disk_cache import prune_folder
from npc_lims.config.settings import load_settings
from npc_lims.errors import StateError
from npc_lims.model.unlisted import UnlistedAsset, render_unlisted
from npc_lims.state.as_of import snapshot_at
from npc_lims.state.revision import AsOf, parse_at
from tests import builders
from tests.history.past import Step, run_git, seconds, state_files, write_history
from tests.servers.codeocean import CodeOceanServer
from tests.servers.faults import Drip, FaultyProxy, Status
from tests.servers.fixtures import Serve
from tests.servers.github_api import GitHubApiServer
from tests.servers.github_schema import DESCRIPTION, assert_published_schema
from tests.servers.raw_github import RawGitHubServer

NAME = "lab/state"
TOKEN = "ghp_5e0c1a77e5ec2e7"
ONE, TWO = "626791_2022-08-15", "626791_2022-08-16"
PLAIN, ELSEWHERE = "700000_2024-03-01", "700000_2024-03-02"
README = {"README.md": b"state of sessions\n"}

known = builders.no_assets(raw=builders.asset())
first = builders.record(ONE)
uploaded = builders.record(ONE, codeocean=known)
sorted_ = builders.record(ONE, codeocean=builders.no_assets(raw=builders.asset(), sorted=builders.asset("x_sorted")))
second = builders.record(TWO)
behavior = builders.tracked("behavior", project="OtherProject")
plain = builders.record(PLAIN, tracked=behavior)
trained = builders.record(ELSEWHERE, tracked=behavior, training=builders.training())


def of_schema(number: int, files: dict[str, bytes]) -> dict[str, bytes]:
    return {
        path: content.replace(b"schema: 1", b"schema: %d" % number).replace(b'"schema":1', b'"schema":%d' % number)
        for path, content in files.items()
    }


def without(name: str, files: dict[str, bytes], instead: bytes | None = None) -> dict[str, bytes]:
    kept = {path: content for path, content in files.items() if path != name}
    return kept if instead is None else {**kept, name: instead}


FULL = state_files(uploaded, second)
RECORDING = UnlistedAsset("id", "ecephys_700003_2024-05-20_10-00-00", "2024-05-21T08:00:00Z")
UNLISTED = {"state/unlisted.jsonl": render_unlisted((RECORDING,))}
STEPS = (
    Step("before", "2024-01-10T09:00:00", README, tag="v0.1"),
    Step("begin", "2024-03-01T10:00:00", {**README, **state_files(first)}, ["before"]),
    Step("late", "2024-05-31T23:59:59", {**README, **state_files(uploaded)}, ["begin"], tag="2024-05-31"),
    Step("noon", "2024-06-01T12:00:00", {**README, **FULL, **UNLISTED}, ["late"], tag="v1.2"),
    # nothing of state is in it, and it was merged after the date that it bears
    Step("side", "2024-06-10T08:00:00", {"other.md": b"x\n", **state_files(first)}, ["begin"], branch="side"),
    Step("merge", "2024-06-20T08:00:00", {**README, **FULL, **UNLISTED, "other.md": b"x\n"}, ["noon", "side"]),
    Step("files", "2024-07-01T08:00:00", without("state/sessions.jsonl", FULL), ["merge"]),
    Step("broken", "2024-07-02T08:00:00", without("state/sessions.jsonl", FULL, b"<html>\n"), ["files"]),
    Step("garbled", "2024-07-03T08:00:00", without("state/sessions.jsonl", FULL, b'{"id":"x","dig}\n'), ["broken"]),
    Step("newer", "2024-08-01T08:00:00", of_schema(2, FULL), ["garbled"]),
    Step("older", "2024-08-02T08:00:00", of_schema(0, FULL), ["newer"]),
    Step("now", "2024-09-01T08:00:00", {**state_files(sorted_, second, plain, trained)}, ["older"]),
    Step("branch", "2024-09-02T08:00:00", state_files(sorted_), ["now"], branch="feature/one"),
)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A checkout, never to be changed, and its commits by name."""
    path = tmp_path_factory.mktemp("history") / "checkout"
    return path, write_history(path, STEPS)


@pytest.fixture
def commits(history: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The commits of the checkout that is read."""
    monkeypatch.setenv("NPC_LIMS_STATE", str(history[0] / "state"))
    return history[1]


class Hub:
    """GitHub's API and raw reads of one bare repository, each behind a proxy that counts and can break."""

    def __init__(self, serve: Serve, path: Path, commits: dict[str, str]) -> None:
        self.path, self.commits = path, commits
        self.api_server = serve(GitHubApiServer())
        self.repo = self.api_server.add_repo(NAME, path)
        self.api_server.add_token(TOKEN, "alice")
        self.api = serve(FaultyProxy(self.api_server.url))
        self.raw = serve(FaultyProxy(serve(RawGitHubServer(path, repo_name=NAME)).url))

    @property
    def asked(self) -> tuple[int, int]:
        """Requests to the API and to raw GitHub since this was last asked for."""
        count = self.api.count, self.raw.count
        for proxy in (self.api, self.raw):
            rule = proxy.rule
            proxy.reset()
            proxy.rule = rule
        return count


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    path = tmp_path_factory.mktemp("bare") / "state.git"
    return path, write_history(path, STEPS, bare=True)


@pytest.fixture
def github(serve: Serve, bare: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub(serve, *bare)
    environment = {"GITHUB_API_URL": hub.api.url, "NPC_LIMS_RAW_URL": hub.raw.url, "NPC_LIMS_REPO": NAME}
    for name, value in {**environment, "NPC_LIMS_TIMEOUT": "10"}.items():
        monkeypatch.setenv(name, value)
    yield hub
    if DESCRIPTION.is_file():  # tests/servers/test_github_server.py says that it is not installed
        assert_published_schema(hub.api_server.exchanges)


def commit_at(at: Any) -> str | None:
    return snapshot_at(load_settings(), at).origin.commit


def ids(at: Any) -> list[str]:
    return [str(info.id) for info in npc_lims.get_session_info(at=at)]


def check_unlisted() -> None:
    """The recordings without a session of one commit, and of one that no sync recorded them before."""
    (found,) = npc_lims.get_unlisted_recordings(at="v1.2")
    assert found.asset_name == RECORDING.name
    with pytest.raises(StateError, match="no sync has recorded recordings without a session"):
        npc_lims.get_unlisted_recordings(at="2024-03-01")


def test_unlisted_recordings_of_a_checkout(commits: dict[str, str]) -> None:
    check_unlisted()


def test_unlisted_recordings_of_github(github: Hub) -> None:
    check_unlisted()


# --- what is meant

ASKED: list[tuple[Any, str]] = [
    ("2024-03-01", "begin"),
    (datetime.date(2024, 3, 1), "begin"),
    ("20240301", "begin"),
    (20240301, "begin"),
    ("2024-05-31", "late"),
    ("2024-05-31T23:59:58", "begin"),
    ("2024-05-31T23:59:59Z", "late"),
    ("2024-06-01 11:59", "late"),
    ("2024-06-01T12:00", "noon"),
    ("2024-06-01T12:00:00.999999999", "noon"),
    ("2024-06-01T05:00-07:00", "noon"),
    ("2024-06-01T13:59:59+02:00", "late"),
    (datetime.datetime(2024, 6, 1, 12), "noon"),
    (datetime.datetime(2024, 6, 1, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=2))), "late"),
    ("2024-06-01", "noon"),
    ("2024-06-15", "noon"),
    ("2024-07-01", "files"),
    ("v1.2", "noon"),
    ("tags/v1.2", "noon"),
    ("tags/2024-05-31", "late"),
    ("heads/side", "side"),
    ("feature/one", "branch"),
    ("main", "now"),
    (datetime.date(2024, 10, 1), "now"),
    (" 2024-10-01 ", "now"),
]


@pytest.mark.parametrize(("at", "name"), ASKED, ids=lambda value: str(value))
def test_a_checkout_gives_the_commit_that_is_meant(commits: dict[str, str], at: Any, name: str) -> None:
    if name != "files":
        assert commit_at(at) == commits[name]
    assert commit_at(commits[name]) == commit_at(commits[name][:9]) == commits[name]


def test_github_gives_the_same_commits(github: Hub) -> None:
    for at, name in ASKED:
        if name != "files":
            assert commit_at(at) == github.commits[name], at


@hypothesis.given(moment=st.integers(seconds("2024-01-01T00:00:00"), seconds("2024-07-01T00:00:00")))
@hypothesis.example(seconds("2024-03-01T10:00:00"))
@hypothesis.example(seconds("2024-03-01T09:59:59"))
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture], deadline=None)
def test_at_any_moment_it_is_the_last_commit_of_the_branch_that_changed_state(
    commits: dict[str, str], moment: int
) -> None:
    changed = [(seconds(step.when), step.name) for step in STEPS if step.name in ("begin", "late", "noon")]
    expected = [commits[name] for when, name in changed if when <= moment]
    at = datetime.datetime.fromtimestamp(moment, datetime.timezone.utc)
    if expected:
        assert commit_at(at) == expected[-1]
    else:
        with pytest.raises(npc_lims.HistoryError, match=f"begins with commit {commits['begin'][:10]}"):
            commit_at(at)


@hypothesis.given(st.datetimes(datetime.datetime(1990, 1, 1), datetime.datetime(2026, 1, 1)), st.integers(-840, 840))
def test_all_notations_of_a_moment_mean_the_same(moment: datetime.datetime, minutes: int) -> None:
    now = seconds("2026-06-01T00:00:00")
    zone = datetime.timezone(datetime.timedelta(minutes=minutes))
    there = moment.replace(tzinfo=datetime.timezone.utc).astimezone(zone)
    texts = [moment, there, moment.isoformat(), moment.isoformat(" ") + "Z", there.isoformat()]
    assert len({parse_at(text, now).last for text in texts}) == 1  # type: ignore[union-attr]
    day = moment.date()
    days = {parse_at(text, now).last for text in (day, day.isoformat(), f"{day:%Y%m%d}")}  # type: ignore[union-attr]
    assert days == {seconds(f"{day}T23:59:59")}


@pytest.mark.parametrize("text", ["20241399", "20240230", "deadbeef", "2024", "v2024-01-01", "2024-06-01T12", "main"])
def test_what_is_no_date_is_a_name(text: str) -> None:
    assert parse_at(text, time.time()) == text


@pytest.mark.parametrize("text", ["2024-02-30", "2024-13-01", "2024-06-01T25:00", "", " ", "2024-06-01T12:00+25:00"])
def test_what_looks_like_a_date_and_is_none_is_an_error(text: str) -> None:
    with pytest.raises(npc_lims.HistoryError, match=r"calendar|without a name"):
        parse_at(text, time.time())


def test_the_future_is_not_known() -> None:
    now = seconds("2024-06-01T12:00:00") + 0.5
    assert parse_at("2024-06-01", now) == AsOf("2024-06-01", seconds("2024-06-01T23:59:59"))
    assert parse_at("2024-06-01T12:00", now) == AsOf("2024-06-01T12:00", seconds("2024-06-01T12:00:00"))
    assert parse_at("36h", now) == AsOf("2024-05-31T00:00:00Z", seconds("2024-05-31T00:00:00"))
    with pytest.raises(npc_lims.HistoryError, match=r"2024-06-02 has not begun: it is 2024-06-01 12:00 \(UTC\)"):
        parse_at(datetime.date(2024, 6, 2), now)
    with pytest.raises(npc_lims.HistoryError, match=r"still to come.*names no zone is UTC"):
        parse_at("2024-06-01T12:01", now)
    with pytest.raises(npc_lims.HistoryError, match=r"still to come: it is 2024-06-01 12:00 \(UTC\)$"):
        parse_at("2024-06-01T14:01+02:00", now)


# --- sessions of the past


def test_sessions_are_as_they_were(commits: dict[str, str]) -> None:
    assert ids("2024-04-01") == ids(commits["late"]) == [ONE]
    assert ids("v1.2") == [TWO, ONE]
    info = npc_lims.get_session_info(ONE, at="2024-04-01")
    assert (info.commit, info.project) == (commits["begin"], "DynamicRouting")
    assert npc_lims.get_session_info("DRpilot_626791_20220815", at="v1.2").raw_asset_id == builders.asset().id
    assert [str(info.id) for info in npc_lims.get_session_info(at="v1.2", subject=626791, is_uploaded=None)] == [
        TWO,
        ONE,
    ]
    assert [str(info.id) for info in npc_lims.get_session_info(at="main", date="20220815", is_sorted=True)] == [ONE]


def test_a_session_that_was_not_there_yet(commits: dict[str, str]) -> None:
    begin = commits["begin"][:10]
    with pytest.raises(npc_lims.NoSessionInfo, match=f"(?s)commit {begin}.*no session {TWO}; near.*{ONE}"):
        npc_lims.get_session_info(TWO, at="2024-04-01")
    with pytest.raises(npc_lims.NoSessionInfo, match="is not a session"):
        npc_lims.get_session_info("nothing", at="2024-04-01")


def test_filters_know_what_was_unknown(commits: dict[str, str]) -> None:
    with pytest.warns(npc_lims.UnknownStatusWarning, match="1 session left out: "):
        assert npc_lims.get_session_info(at="2024-04-01", is_sorted=True) == ()
    assert len(npc_lims.get_session_info(at="2024-04-01", is_sorted=None)) == 1
    with pytest.raises(TypeError, match="unknown filter"):
        npc_lims.get_session_info(at="2024-04-01", nonsense=1)


FLAGS = [
    "is_uploaded", "is_session_json", "is_rig_json", "is_video", "is_sorted", "is_annotated", "is_dlc_eye",
    "is_dlc_side", "is_dlc_face", "is_facemap", "is_gamma_encoding", "is_LPFaceParts", "is_surface_channels",
    "is_surface_channels_sorted", "is_imaged", "is_parquet_cached", "is_nwb_cached",
]  # fmt: skip


def test_what_was_unknown_stays_unknown_without_a_query(
    commits: dict[str, str], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    codeocean = serve(CodeOceanServer([], token="cop_x"))
    for name, value in {"CODE_OCEAN_DOMAIN": codeocean.url, "CODE_OCEAN_API_TOKEN": "cop_x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", codeocean.url)
    info = npc_lims.get_session_info(ONE, at=commits["begin"])
    assert {name: getattr(info, name) for name in FLAGS} == dict.fromkeys(FLAGS)
    assert (info.is_dlc("eye"), info.is_production) == (None, True)
    assert (info.raw_asset_id, info.cloud_path, info.raw_data_paths) == (None, None, None)
    with pytest.raises(ValueError, match=f"commit {commits['begin'][:10]} does not know of surface channels"):
        _ = info.surface_channels_id
    with pytest.raises(ValueError, match="camera must be"):
        info.is_dlc("tail")  # type: ignore[arg-type]
    later = npc_lims.get_session_info(ONE, at=commits["now"])
    assert (later.is_sorted, later.is_facemap, later.is_annotated) == (True, False, None)
    assert codeocean.requests == []


def test_a_location_that_was_recorded_is_returned(commits: dict[str, str]) -> None:
    pytest.importorskip("s3fs")
    info = npc_lims.get_session_info(ONE, at=commits["now"])
    assert builders.asset().id in str(info.cloud_path)


def test_what_reads_other_sessions_reads_those_of_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [
        Step("alone", "2024-01-01T00:00:00", state_files(plain)),
        Step("both", "2024-02-01T00:00:00", state_files(plain, trained), ["alone"]),
    ]
    commits = write_history(tmp_path / "checkout", steps)
    monkeypatch.setenv("NPC_LIMS_STATE", str(tmp_path / "checkout" / "state"))
    run_git(tmp_path / "checkout", "reset", "--quiet", "--hard")
    assert npc_lims.get_session_info(PLAIN).is_templeton is False
    old = npc_lims.get_session_info(PLAIN, at="2024-01-15")
    assert old.is_templeton is True
    copied = pickle.loads(pickle.dumps(old))
    npc_lims.clear_caches()
    assert (copied.is_templeton, copied.commit, copied.behavior_day) == (True, commits["alone"], None)
    assert [str(info.id) for info in npc_lims.get_session_info(at="2024-01-15", is_templeton=True)] == [PLAIN]


def test_it_equals_the_same_session_of_any_time(commits: dict[str, str]) -> None:
    old, new = (npc_lims.get_session_info(ONE, at=commits[name]) for name in ("begin", "now"))
    assert old == new and hash(old) == hash(new) and len({old, new}) == 1
    assert old != npc_lims.get_session_info(TWO, at="v1.2")
    assert isinstance(old, npc_lims.SessionInfo)
    assert repr(old).partition(", progress=")[0] == repr(new).partition(", progress=")[0]


def test_the_origin_names_the_commit(commits: dict[str, str], history: tuple[Path, Any]) -> None:
    origin = snapshot_at(load_settings(), "v1.2").origin
    assert (origin.kind, origin.when, origin.age) == ("past", "2024-06-01T12:00:00Z", None)
    assert str(origin) == f"past: {history[0] / 'state'} at commit {commits['noon'][:10]} of 2024-06-01T12:00:00Z"


# --- commits without a usable snapshot


@pytest.mark.parametrize("name", ["files", "broken", "garbled"])
def test_session_files_stand_in_for_the_snapshot(commits: dict[str, str], name: str) -> None:
    assert ids(commits[name]) == [TWO, ONE]
    lines = snapshot_at(load_settings(), commits[name]).lines.all
    assert lines == snapshot_at(load_settings(), commits["noon"]).lines.all


def test_a_damaged_session_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"state/sessions/626791/{ONE}.yaml"
    files = without("state/sessions.jsonl", without(path, FULL, b"id: [\n"))
    commits = write_history(tmp_path / "checkout", [Step("one", "2024-01-01T00:00:00", files)])
    monkeypatch.setenv("NPC_LIMS_STATE", str(tmp_path / "checkout" / "state"))
    with pytest.raises(npc_lims.StateError, match=f"(?s)commit {commits['one'][:10]}.*{ONE}.yaml"):
        npc_lims.get_session_info(at="main")


def test_a_state_of_no_sessions_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_history(tmp_path / "checkout", [Step("one", "2024-01-01T00:00:00", {"state/sessions.jsonl": b""})])
    monkeypatch.setenv("NPC_LIMS_STATE", str(tmp_path / "checkout" / "state"))
    assert npc_lims.get_session_info(at="main") == ()


@pytest.mark.parametrize(("name", "remedy"), [("newer", "upgrade npc_lims"), ("older", r"pip install git\+https")])
@pytest.mark.parametrize("whole", [True, False])
def test_another_schema_has_a_remedy(
    commits: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, remedy: str, whole: bool
) -> None:
    if not whole:
        files = without("state/sessions.jsonl", of_schema({"newer": 2, "older": 0}[name], FULL))
        commits = write_history(tmp_path / "checkout", [Step(name, "2024-01-01T00:00:00", files)])
        monkeypatch.setenv("NPC_LIMS_STATE", str(tmp_path / "checkout" / "state"))
    with pytest.raises(npc_lims.StateError, match=f"{commits[name][:10]}.*schema {2 * (name == 'newer')}.*{remedy}"):
        npc_lims.get_session_info(at=commits[name])


# --- what a checkout knows better than GitHub


def test_what_was_proposed_on_another_branch_was_not_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [
        Step("main", "2024-01-01T00:00:00", state_files(first)),
        Step("proposed", "2024-02-01T00:00:00", state_files(second), ["main"], branch="proposal"),
        Step("merged", "2024-03-01T00:00:00", state_files(first, second), ["main", "proposed"]),
    ]
    commits = write_history(tmp_path / "checkout", steps)
    monkeypatch.setenv("NPC_LIMS_STATE", str(tmp_path / "checkout" / "state"))
    assert commit_at("2024-02-15") == commits["main"]
    assert commit_at("2024-03-01") == commits["merged"]


def test_a_branch_that_moves_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [
        Step("one", "2024-01-01T00:00:00", state_files(first)),
        Step("two", "2024-02-01T00:00:00", state_files(second), ["one"]),
    ]
    commits = write_history(tmp_path / "checkout", steps)
    monkeypatch.setenv("NPC_LIMS_STATE", str(tmp_path / "checkout" / "state"))
    run_git(tmp_path / "checkout", "update-ref", "refs/heads/main", commits["one"])
    assert commit_at("main") == commit_at("HEAD") == commits["one"]
    run_git(tmp_path / "checkout", "update-ref", "refs/heads/main", commits["two"])
    npc_lims.clear_caches()
    assert commit_at("main") == commits["two"]
    assert commit_at("main~1") == commits["one"]


def test_a_date_is_of_the_head_of_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [
        Step("one", "2024-01-01T00:00:00", state_files(first)),
        Step("two", "2024-02-01T00:00:00", state_files(second), ["one"]),
    ]
    commits = write_history(tmp_path / "checkout", steps)
    monkeypatch.setenv("NPC_LIMS_STATE", str(tmp_path / "checkout" / "state"))
    for name in ("one", "two", "one"):
        run_git(tmp_path / "checkout", "update-ref", "refs/heads/main", commits[name])
        npc_lims.clear_caches()  # as a few seconds do
        assert commit_at("2024-03-01") == commits[name], "a pull brings what was committed before"


def test_a_moment_is_settled_an_hour_after_it() -> None:
    assert not AsOf("2024-06-01", 1000).is_settled(1000 + 3600)
    assert AsOf("2024-06-01", 1000).is_settled(1000 + 3601)


def test_the_state_folder_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = "data [1]/st*te"
    steps = [
        Step("other", "2024-01-01T00:00:00", {"data 1/state": b"x"}),
        Step("begin", "2024-02-01T00:00:00", state_files(first, folder=folder), ["other"]),
        Step("later", "2024-03-01T00:00:00", {**state_files(first, folder=folder), "data 1/state": b"y"}, ["begin"]),
    ]
    commits = write_history(tmp_path / "checkout", steps)
    monkeypatch.setenv("NPC_LIMS_STATE", str(tmp_path / "checkout" / folder))
    assert commit_at("2024-04-01") == commits["begin"]
    assert ids("2024-04-01") == [ONE]


def test_the_state_folder_may_be_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = {path.partition("/")[2]: content for path, content in state_files(first, second).items()}
    steps = [
        Step("begin", "2024-02-01T00:00:00", inside),
        Step("files", "2024-03-01T00:00:00", without("sessions.jsonl", inside), ["begin"]),
    ]
    commits = write_history(tmp_path / "checkout", steps)
    monkeypatch.setenv("NPC_LIMS_STATE", str(tmp_path / "checkout"))
    for day, name in (("2024-02-01", "begin"), ("2024-03-01", "files")):
        assert commit_at(day) == commits[name]
        assert {str(info.id) for info in npc_lims.get_session_info(at=day)} == {ONE, TWO}


# --- what a checkout cannot tell


def test_before_state_began_the_error_says_when_it_did(commits: dict[str, str]) -> None:
    begin = f"begins with commit {commits['begin'][:10]} of 2024-03-01T10:00:00Z"
    for at in ("2024-02-29", "1969-07-21", datetime.datetime(1, 1, 1)):
        with pytest.raises(npc_lims.HistoryError, match=f"there is no state at .*{begin}"):
            commit_at(at)
    with pytest.raises(npc_lims.HistoryError, match=f"commit {commits['before'][:10]} .* has no state.*{begin}"):
        commit_at("v0.1")


@pytest.mark.parametrize("name", ["no-such", "-n", "--all", "^HEAD", "1.6.2024", "yesterday"])
def test_no_such_name_in_a_checkout(commits: dict[str, str], name: str) -> None:
    with pytest.raises(npc_lims.GitError, match=r"no such commit, branch or tag.*a date is written 2024-06-01"):
        commit_at(name)


def test_a_shallow_clone_says_how_to_get_the_rest(
    history: tuple[Path, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{history[0]}", "shallow")
    monkeypatch.setenv("NPC_LIMS_STATE", str(tmp_path / "shallow" / "state"))
    assert commit_at("2024-10-01") == history[1]["now"]
    for at in ("2024-06-01", history[1]["noon"]):
        with pytest.raises(npc_lims.NpcLimsError, match=r"shallow clone.*git fetch --unshallow"):
            commit_at(at)


def test_a_folder_that_is_in_no_checkout_has_no_past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("NPC_LIMS_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(
        npc_lims.HistoryError, match=r"not in a git checkout.*NPC_LIMS_STATE or --state GitHub is queried"
    ):
        commit_at("2024-06-01")


def test_a_repository_without_commits_or_without_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_history(tmp_path / "empty", [])
    monkeypatch.setenv("NPC_LIMS_STATE", str(tmp_path / "empty" / "state"))
    with pytest.raises(npc_lims.GitError, match="HEAD: no such commit"):
        commit_at("2024-06-01")
    write_history(tmp_path / "other", [Step("one", "2024-01-01T00:00:00", README)])
    monkeypatch.setenv("NPC_LIMS_STATE", str(tmp_path / "other" / "state"))
    with pytest.raises(npc_lims.HistoryError, match="no commit of HEAD has state/"):
        commit_at("2024-06-01")


# --- GitHub: how many requests


def test_a_commit_costs_two_requests_once_and_then_none(github: Hub) -> None:
    sha = github.commits["noon"]
    assert ids(sha) == [TWO, ONE]
    assert github.asked == (1, 1)
    for at in (sha, sha[:8], sha):
        npc_lims.clear_caches()
        assert ids(at) == [TWO, ONE]
        assert npc_lims.get_session_info(ONE, at=at).is_uploaded is None
    assert github.asked == (1, 0), "the abbreviation, once"


def test_a_date_that_is_over_costs_nothing_the_second_time(github: Hub) -> None:
    assert ids("2024-06-15") == [TWO, ONE]
    assert github.asked == (2, 1)
    npc_lims.clear_caches()
    for at in ("2024-06-15", "20240615", datetime.date(2024, 6, 15)):
        assert ids(at) == [TWO, ONE]
    assert github.asked == (0, 0)
    assert ids("2024-06-16") == [TWO, ONE]
    assert github.asked == (2, 0), "which commit it was; that is here"


@pytest.mark.parametrize("name", ["v1.2", "feature/one", "main"])
def test_a_tag_or_branch_is_queried_again_when_it_is_stale(
    github: Hub, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ids(name)
    assert github.asked == (1, 1)
    for session_id in before:
        npc_lims.get_session_info(session_id, at=name)
    assert github.asked == (0, 0)
    npc_lims.clear_caches()
    assert ids(name) == before
    assert github.asked == (1, 0)
    monkeypatch.setenv("NPC_LIMS_TTL", "0")
    assert ids(name) == before
    assert github.asked == (1, 0)


def test_a_day_that_is_not_over_is_queried_again(github: Hub, tmp_path: Path) -> None:
    today = f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}"
    assert commit_at(today) == github.commits["now"]
    assert github.asked == (2, 1)
    assert commit_at(today) == github.commits["now"]
    assert github.asked == (0, 0)
    npc_lims.clear_caches()
    assert commit_at(today) == github.commits["now"]
    assert github.asked == (2, 0)


def test_the_answer_to_a_name_is_small(github: Hub) -> None:
    """A commit of ten thousand sessions tells of three hundred files, unless it is asked for fewer."""
    commit_at("v1.2")
    (exchange,) = github.api_server.exchanges
    assert len(json.loads(exchange.response.body)["files"]) == 1


def test_threads_that_want_the_same_cost_one_reading(github: Hub) -> None:
    github.raw.latency = 0.1
    commit = github.commits["noon"]
    found: list[list[str]] = []
    threads = [threading.Thread(target=lambda: found.append(ids(commit))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[TWO, ONE]] * 8
    assert github.asked == (1, 1)


def test_a_damaged_cache_entry_is_ignored(github: Hub) -> None:
    assert ids("2024-06-15") == [TWO, ONE]
    for path in (Path(os.environ["NPC_LIMS_CACHE_DIR"]) / "history").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-9] + b"tampered\n")
    npc_lims.clear_caches()
    _ = github.asked
    assert ids("2024-06-15") == [TWO, ONE]
    assert github.asked == (2, 1)


def test_another_repository_has_commits_of_its_own(github: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert commit_at("2024-06-15")
    monkeypatch.setenv("NPC_LIMS_REPO", "lab/other")
    with pytest.raises(npc_lims.HistoryError, match=r"check NPC_LIMS_REPO .lab/other."):
        commit_at("2024-06-15")


def test_a_date_is_of_the_branch_that_is_read(github: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert commit_at("2024-09-15") == github.commits["now"]
    monkeypatch.setenv("NPC_LIMS_REF", "feature/one")
    assert commit_at("2024-09-15") == github.commits["branch"]
    monkeypatch.setenv("NPC_LIMS_REF", "no-such")
    with pytest.raises(npc_lims.HistoryError, match=r"branch no-such .NPC_LIMS_REF."):
        commit_at("2024-09-15")


def test_a_pickle_reads_its_commit_where_it_arrives(github: Hub) -> None:
    info = npc_lims.get_session_info(PLAIN, at="main")
    data = pickle.dumps(info)
    npc_lims.clear_caches()
    _ = github.asked
    assert pickle.loads(data).is_templeton is False
    assert github.asked == (0, 0)


# --- GitHub: what it cannot tell


def test_before_state_began_github_says_when_it_did(github: Hub) -> None:
    begin = f"lab/state begins with commit {github.commits['begin'][:10]} of 2024-03-01T10:00:00Z"
    with pytest.raises(npc_lims.HistoryError, match=f"there is no state at 2024-02-29: that of {begin}"):
        commit_at("2024-02-29")
    assert github.asked == (4, 0)
    with pytest.raises(npc_lims.HistoryError, match="there is no state at 2024-02-29"):
        npc_lims.get_session_info(ONE, at="2024-02-29")
    assert github.asked == (0, 0), "a loop over ids asks once"
    with pytest.raises(npc_lims.HistoryError, match=f"there is no state at 1969-07-21: that of {begin}"):
        commit_at("1969-07-21")
    assert "until=1970-01-01T00%3A00%3A00Z" in github.api.requests[1].path
    with pytest.raises(npc_lims.HistoryError, match=f"(?s)commit {github.commits['before'][:10]}.*no state.*{begin}"):
        commit_at("v0.1")


@pytest.mark.parametrize("name", ["no-such", "deadbeef", "1.6.2024", "yesterday"])
def test_no_such_name_on_github(github: Hub, name: str) -> None:
    for _ in range(3):
        with pytest.raises(npc_lims.HistoryError, match=f"lab/state has no branch, tag or commit {name}; a date"):
            commit_at(name)
    assert github.asked == (1, 0)


@pytest.mark.parametrize(
    "name", ["main~1", "HEAD^", "../../user", "a b", "main@{1}", "/etc", "-x", "a?b", "a:b", "caf\udce9"]
)
def test_what_no_name_can_be_is_not_queried(github: Hub, name: str) -> None:
    with pytest.raises(npc_lims.HistoryError, match=r"no branch, tag or commit.*need a clone"):
        commit_at(name)
    assert github.asked == (0, 0)


@pytest.mark.parametrize("name", ["files", "broken", "garbled"])
def test_a_commit_whose_session_files_only_a_clone_can_read(github: Hub, name: str) -> None:
    with pytest.raises(npc_lims.NpcLimsError, match=r"(?s)sessions.jsonl.*clone"):
        commit_at(github.commits[name])


def test_another_schema_on_github(github: Hub) -> None:
    with pytest.raises(npc_lims.StateError, match="schema 2, this version reads 1; upgrade"):
        commit_at("2024-08-01")


@pytest.mark.parametrize("token", [None, TOKEN])
def test_an_exhausted_rate_limit_has_its_end(github: Hub, monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    if token is not None:
        monkeypatch.setenv("GITHUB_TOKEN", token)
    github.api_server.limit("alice" if token else None, remaining=0, reset_in=1800)
    with pytest.raises(npc_lims.GitHubError, match=r"(?s)v1.2.*limit of requests is used up.* UTC") as caught:
        commit_at("v1.2")
    assert ("GITHUB_TOKEN" in str(caught.value)) == (token is None)
    assert TOKEN not in str(caught.value)
    assert github.asked == (1, 0)
    with pytest.raises(npc_lims.GitHubError):
        npc_lims.get_session_info(ONE, at="v1.2")
    assert github.asked == (0, 0)


FAULTS = {
    "429": (Status(429, {"Retry-After": "60"}), "429.*limit of requests is used up.*60 s from now.*set GITHUB_TOKEN"),
    "reset": (
        Status(403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9" * 400}),
        "cannot be read .OverflowError",  # by PyGithub
    ),
    "503": (Status(503), "answered 503"),
    "500": (Status(500), "answered 500"),
    "page": (Status(200, {"content-type": "text/html"}, b"<html>"), "cannot be read"),
    "json": (
        Status(200, {"content-type": "application/json"}, b'{"sha": "x"}'),
        "cannot be read.*GITHUB_API_URL",
    ),
    "list": (Status(200, {"content-type": "application/json"}, b"[]"), "cannot be read.*GITHUB_API_URL"),
    "moved": (Status(301, {"location": "https://example.org"}), "has moved to another host: set NPC_LIMS_REPO"),
    "401": (Status(401, {}, b'{"message": "Bad credentials"}'), "Bad credentials.*expired or is wrong"),
    "404": (Status(404, {}, b'{"message": "Not Found"}'), "NPC_LIMS_REPO .lab/state.*private: set GITHUB_TOKEN"),
    "403": (
        Status(403, {}, b'{"message": "You have exceeded a secondary rate limit"}'),
        "try again after.*GITHUB_TOKEN",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_refusal_of_the_api_has_a_remedy(github: Hub, fault: str) -> None:
    github.api.rule = lambda request: FAULTS[fault][0]
    with pytest.raises(npc_lims.GitHubError, match=f"(?s){FAULTS[fault][1]}"):
        commit_at("v1.2")
    assert github.api.count <= 2


def test_a_refusal_of_raw_github_is_reported_and_not_cached(github: Hub) -> None:
    github.raw.rule = lambda request: Status(429, {"Retry-After": "60"})
    with pytest.raises(npc_lims.RemoteStateError, match="429"):
        commit_at("v1.2")
    github.raw.rule = None
    npc_lims.clear_caches()
    assert commit_at("v1.2") == github.commits["noon"]


def test_the_token_goes_to_github_alone_and_without_one_none_is_sent(
    github: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(os.environ["HOME"], ".netrc").write_text("machine 127.0.0.1 login somebody password secret\n")
    commit_at("2024-06-15")
    assert all("authorization" not in request.headers for request in github.api.requests + github.raw.requests)
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    commit_at("feature/one")
    assert github.api.requests[-1].headers["authorization"] == f"token {TOKEN}"


def test_an_answer_of_the_api_that_does_not_end_is_given_up(github: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_TIMEOUT", "0.2")
    github.api.rule = lambda request: Drip()
    begun = time.monotonic()
    for _ in range(2):
        with pytest.raises(npc_lims.GitHubError, match=r"gave no complete answer within 0\.4 s"):
            commit_at("v1.2")
    assert time.monotonic() - begun < 30
    assert github.api.count == 1, "nor is it requested again at once"


def test_a_snapshot_that_does_not_end_is_given_up(github: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_TIMEOUT", "1")  # enough for the name, which GitHub answers
    github.raw.rule = lambda request: Drip()
    begun = time.monotonic()
    for _ in range(2):
        with pytest.raises(npc_lims.RemoteStateError, match=r"gave no complete answer within 2 s"):
            commit_at("v1.2")
    assert time.monotonic() - begun < 30
    assert github.raw.count == 1, "nor is it requested again at once"


# --- what is kept


def test_the_least_used_files_go_first(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / str(number)).write_bytes(b"x" * 10)
        os.utime(tmp_path / str(number), (number, number))
    prune_folder(tmp_path, 4, 1000)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "3", "4", "5"]
    prune_folder(tmp_path, 4, 25)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["4", "5"]
    prune_folder(tmp_path, 4, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["5"]
    prune_folder(tmp_path / "none", 4, 5)


def test_cache_entries_that_are_used_are_touched(github: Hub) -> None:
    commit_at("2024-06-15")
    kept = [path for path in (Path(os.environ["NPC_LIMS_CACHE_DIR"]) / "history").rglob("*") if path.is_file()]
    assert len(kept) == 3, "the snapshot, and its commit by date and by id"
    for path in kept:
        os.utime(path, (1, 1))
    npc_lims.clear_caches()
    commit_at("2024-06-15")
    assert sorted(path.stat().st_mtime > 1 for path in kept) == [False, True, True]


def test_a_cache_that_cannot_be_written_costs_requests_and_nothing_else(
    github: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("NPC_LIMS_CACHE_DIR", str(tmp_path / "file"))
    assert ids("2024-06-15") == ids("2024-06-15") == [TWO, ONE]
    assert github.asked == (2, 1)
