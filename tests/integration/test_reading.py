"""Reading published state from a raw GitHub server: how many requests it takes, and what happens when they fail."""

from __future__ import annotations

import copy
import gzip
import inspect
import json
import os
import pickle
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import npc_session
import pytest

import npc_lims
from tests.integration.world import ADDED, GITHUB_TOKEN, TOKEN, UPLOADED, Cloud, GitHub, cached_files, commit_all, down
from tests.servers.faults import Delay, Drip, Fault, MalformedJson, Refuse, Reset, Status, Truncate

ONE = "901001_2024-03-13"
OTHER = "901001_2024-03-12"
SNAPSHOT = "state/sessions.jsonl"


def own_file(session_id: str) -> str:
    return f"state/sessions/{session_id[:6]}/{session_id}.yaml"


def let_it_age(seconds: float = 3600) -> None:
    """Make the kept snapshot older than its lifetime, and forget what this process remembers."""
    (path,) = cached_files()
    then = time.time() - seconds
    os.utime(path, (then, then))
    npc_lims.clear_caches()


def ids(sessions: tuple[npc_lims.SessionInfo, ...]) -> list[str]:
    return [str(info.id) for info in sessions]


# --- how many requests


def test_one_session_costs_one_request_for_its_own_file(github: GitHub) -> None:
    info = npc_lims.get_session_info(ONE)
    assert info.id == ONE
    assert github.paths == [own_file(ONE)]
    assert cached_files() == []


def test_the_same_session_again_costs_nothing(github: GitHub) -> None:
    npc_lims.get_session_info(ONE)
    npc_lims.get_session_info(f"DRpilot_{ONE.replace('-', '')}")
    assert github.paths == [own_file(ONE)]


def test_a_loop_over_ids_costs_two_requests(github: GitHub, demo_state: Path) -> None:
    everything = sorted(path.stem for path in demo_state.rglob("9*.yaml"))
    assert len(everything) >= 25
    for session_id in everything:
        assert npc_lims.get_session_info(session_id).id == session_id
    assert github.paths == [own_file(everything[0]), SNAPSHOT]


def test_all_sessions_cost_one_request(github: GitHub, demo_state: Path) -> None:
    sessions = npc_lims.get_session_info()
    assert sorted(ids(sessions)) == sorted(path.stem for path in demo_state.rglob("9*.yaml"))
    assert npc_lims.get_session_info(is_ephys=True, is_sorted=True)
    assert npc_lims.get_session_info(ONE) in sessions
    assert github.paths == [SNAPSHOT]


def test_within_its_lifetime_the_cached_snapshot_is_read_without_a_request(github: GitHub) -> None:
    before = ids(npc_lims.get_session_info())
    npc_lims.clear_caches()
    github.proxy.reset()
    assert ids(npc_lims.get_session_info()) == before
    assert npc_lims.get_session_info(ONE).is_sorted
    assert github.paths == []


def test_the_file_of_one_session_and_its_line_say_the_same(github: GitHub) -> None:
    alone = npc_lims.get_session_info(ONE)
    npc_lims.clear_caches()
    npc_lims.get_session_info()
    of_all = npc_lims.get_session_info(ONE)
    assert len(github.paths) == 2
    assert {**of_all.record, "digest": None} == {**alone.record, "digest": None}
    assert repr(alone) == repr(of_all)


# --- revalidation


def test_after_its_lifetime_the_etag_goes_back_as_it_came_and_the_age_is_renewed(github: GitHub) -> None:
    before = ids(npc_lims.get_session_info())
    let_it_age()
    (path,) = cached_files()
    aged = path.stat().st_mtime
    etag = json.loads(path.read_bytes().partition(b"\n")[0])["etag"]
    assert ids(npc_lims.get_session_info()) == before
    assert github.requests[-1].headers["if-none-match"] == etag
    assert path.stat().st_mtime > aged + 60
    npc_lims.clear_caches()
    npc_lims.get_session_info()
    assert github.paths == [SNAPSHOT] * 2


def test_a_weak_etag_of_a_compressed_answer_is_good_as_well(github: GitHub) -> None:
    github.raw.weak_when_gzip = True
    before = ids(npc_lims.get_session_info())
    let_it_age()
    assert ids(npc_lims.get_session_info()) == before
    assert github.requests[-1].headers["if-none-match"].startswith('W/"')
    assert "gzip" in github.requests[-1].headers["accept-encoding"]
    assert npc_lims.state_origin().kind == "cache"


def test_a_changed_snapshot_is_fetched(github: GitHub, tmp_path: Path) -> None:
    repository = github.fork(tmp_path / "fork")
    npc_lims.get_session_info()
    flip_sorted(repository, UPLOADED)
    let_it_age()
    assert npc_lims.get_session_info(UPLOADED).is_sorted is True
    assert github.paths == [SNAPSHOT] * 2


def flip_sorted(repository: Path, session_id: str) -> None:
    """Commit a state in which a session that was not sorted is. Both files: a reader may take either."""
    path = repository / "state" / "sessions.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for record in lines:
        if record["id"] == session_id:
            assert record["status"]["is_sorted"] is False
            record["status"]["is_sorted"] = True
    path.write_text("".join(json.dumps(record, separators=(",", ":")) + "\n" for record in lines))
    own = repository / own_file(session_id)
    own.write_text(own.read_text().replace("  is_sorted: false", "  is_sorted: true"))
    commit_all(repository)


def test_ttl_seconds_limits_the_age_of_the_cached_snapshot(github: GitHub) -> None:
    npc_lims.get_session_info()
    npc_lims.get_session_info(ttl_seconds=3600)
    assert len(github.paths) == 1
    npc_lims.get_session_info(ttl_seconds=0)
    assert len(github.paths) == 2
    let_it_age(1000)
    npc_lims.get_session_info(ttl_seconds=2000)
    assert len(github.paths) == 2


def test_ttl_seconds_counts_for_one_session_too(github: GitHub, tmp_path: Path) -> None:
    repository = github.fork(tmp_path / "fork")
    assert npc_lims.get_session_info(UPLOADED).is_sorted is False
    flip_sorted(repository, UPLOADED)
    assert npc_lims.get_session_info(UPLOADED).is_sorted is False, "kept for ten minutes"
    assert npc_lims.get_session_info(UPLOADED, ttl_seconds=0).is_sorted is True


def test_a_lifetime_of_nothing_revalidates_each_time(github: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_TTL", "0")
    npc_lims.get_session_info()
    npc_lims.get_session_info()
    assert github.paths == [SNAPSHOT] * 2
    assert "if-none-match" in github.requests[1].headers


def test_each_repository_and_ref_has_a_copy_of_its_own(github: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    npc_lims.get_session_info()
    monkeypatch.setenv("NPC_LIMS_REF", "refs/heads/main")
    npc_lims.get_session_info()
    assert len(cached_files()) == 2
    assert len(github.requests) == 2


# --- GitHub fails


FAULTS: dict[str, Fault] = {
    "429": Status(429, {"Retry-After": "3000"}),
    "429 without a time": Status(429),
    "500": Status(500),
    "503": Status(503, {"Retry-After": "0"}),
    "403": Status(403),
    "reset": Refuse(),
    "broken off": Reset(after=50),
    "cut short": Truncate(missing=1),
    "another page": Status(200, {"content-type": "text/html"}, b"<html>\nsign in\n</html>\n"),
    "cut in the middle, honestly": MalformedJson(),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_failing_github_means_an_old_copy_and_one_warning(github: GitHub, fault: Fault, tmp_path: Path) -> None:
    """There is something new to fetch, and it cannot be had."""
    repository = github.fork(tmp_path / "fork")
    before = ids(npc_lims.get_session_info())
    flip_sorted(repository, UPLOADED)
    let_it_age(3 * 3600)
    github.proxy.reset()
    github.proxy.rule = lambda request: fault
    with pytest.warns(npc_lims.StaleStateWarning, match="3 h old") as caught:
        assert ids(npc_lims.get_session_info()) == before
    assert len(caught) == 1
    assert caught[0].filename == __file__, "the warning points at who asked"
    asked = len(github.requests)
    assert asked <= 2
    for session_id in before:
        assert npc_lims.get_session_info(session_id).id == session_id
    assert len(github.requests) == asked, "GitHub is left alone"
    assert npc_lims.get_session_info(UPLOADED).is_sorted is False
    origin = npc_lims.state_origin()
    assert origin.kind == "stale cache"
    assert origin.age is not None
    assert origin.age > 10_000


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Drip(), r"gave no complete answer within 0\.4 s"),
        (Delay(60), r"gave no (complete )?answer within 0\.[24] s"),
    ],
    ids=["endless", "silent"],
)
def test_a_read_that_does_not_end_means_an_old_copy(
    github: GitHub, monkeypatch: pytest.MonkeyPatch, fault: Fault, why: str
) -> None:
    before = ids(npc_lims.get_session_info())
    let_it_age(3 * 3600)
    monkeypatch.setenv("NPC_LIMS_TIMEOUT", "0.2")
    github.proxy.rule = lambda request: fault
    begun = time.monotonic()
    with pytest.warns(npc_lims.StaleStateWarning, match=f"{why}.*3 h old"):
        assert ids(npc_lims.get_session_info()) == before
    assert time.monotonic() - begun < 30
    npc_lims.clear_caches()
    with pytest.warns(npc_lims.StaleStateWarning, match="3 h old"):
        assert npc_lims.get_session_info(ONE).id == ONE


def test_a_snapshot_that_is_too_large_means_an_old_copy(github: GitHub) -> None:
    before = ids(npc_lims.get_session_info())
    let_it_age(3 * 3600)
    too_large = Status(200, {"content-encoding": "gzip"}, gzip.compress(bytes(129 * 2**20), 1))
    github.proxy.rule = lambda request: too_large
    with pytest.warns(npc_lims.StaleStateWarning, match="sent more than 128 MiB.*3 h old"):
        assert ids(npc_lims.get_session_info()) == before


def test_an_unreachable_github_means_an_old_copy(github: GitHub) -> None:
    before = ids(npc_lims.get_session_info())
    let_it_age(100_000)
    with down(github.proxy), pytest.warns(npc_lims.StaleStateWarning, match="28 h old"):
        assert ids(npc_lims.get_session_info()) == before


def test_a_failing_github_without_a_cached_snapshot_is_an_error_with_a_cooldown(github: GitHub) -> None:
    github.proxy.rule = lambda request: Status(503)
    for _ in range(3):
        with pytest.raises(npc_lims.RemoteStateError, match="503"):
            npc_lims.get_session_info()
    assert github.requests[0].path.endswith(SNAPSHOT)
    asked = len([path for path in github.paths if path == SNAPSHOT])
    assert asked <= 2


def test_a_failing_github_is_queried_again_later(github: GitHub) -> None:
    github.proxy.rule = lambda request: Status(503)
    with pytest.raises(npc_lims.RemoteStateError):
        npc_lims.get_session_info()
    github.proxy.rule = None
    npc_lims.clear_caches()
    assert npc_lims.get_session_info()


def test_one_bad_response_is_retried(github: GitHub) -> None:
    github.proxy.plan(Status(500))
    assert npc_lims.get_session_info()
    assert github.paths == [SNAPSHOT] * 2


# --- no state there


def test_no_state_at_that_address_means_the_sources(
    github: GitHub, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPC_LIMS_REPO", "lab/nothing")
    monkeypatch.setattr(github.raw, "repo_name", None)
    github.proxy.rule = lambda request: Status(404) if "/state/" in request.path else None
    with pytest.warns(npc_lims.LiveStateWarning, match="there is nothing at") as caught:
        sessions = npc_lims.get_session_info()
    assert len(caught) == 1
    assert caught[0].filename == __file__, "the warning points at who asked"
    assert ONE in ids(sessions)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(npc_lims.get_session_info()) == len(sessions)
    info = npc_lims.get_session_info(ONE)
    assert info.is_sorted is True
    assert info.is_annotated is True
    assert npc_lims.state_origin().kind == "live"
    assert "there is nothing at" in str(npc_lims.state_origin())


def test_no_state_and_no_credentials_are_both_named(github: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    github.proxy.rule = lambda request: Status(404)
    with pytest.raises(npc_lims.RemoteStateError) as raised:
        npc_lims.get_session_info()
    assert "there is nothing at" in str(raised.value)
    assert "AWS_ACCESS_KEY_ID" in str(raised.value)


UNKNOWN = "999999_2020-01-01"
OTHERS: dict[str, Any] = {
    "camera": "side",
    "nwb_component": "units",
    "process_name": "dlc_eye",
    "row": {"start_time": ""},
    "subject": 999999,
    "version": "v0.0.0",
}
RAISED_BY_0_1 = (ValueError, FileNotFoundError, npc_lims.MissingCredentials, ImportError)
OTHER_FUNCTIONS = {"create_session_data_asset", "get_cache_path", "get_nwb_path", "get_session_history"}
"""The first sends something, the next two name a path whether it is there or not, the last is new."""


def functions_of_sessions() -> list[str]:
    named = [name for name in npc_lims.__all__ if inspect.isfunction(getattr(npc_lims, name))]
    parameters = {name: set(inspect.signature(getattr(npc_lims, name)).parameters) for name in named}
    return [name for name in named if parameters[name] & {"session", "session_id"} and name not in OTHER_FUNCTIONS]


@pytest.mark.parametrize("status", [404, 503])
@pytest.mark.parametrize("name", functions_of_sessions())
def test_an_unknown_session_without_state_or_credentials_raises_what_0_1_did(
    name: str, status: int, github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPC_LIMS_ATTEMPTS", "1")
    github.proxy.rule = lambda request: Status(status)
    function = getattr(npc_lims, name)
    arguments = {
        parameter: UNKNOWN if parameter in ("session", "session_id") else OTHERS[parameter]
        for parameter in inspect.signature(function).parameters
        if parameter in ("session", "session_id") or parameter in OTHERS
    }
    with pytest.raises(RAISED_BY_0_1) as raised:
        function(**arguments)
    if name in ("get_session_info", "get_session_issues", "get_session_kwargs", "asset_exists"):
        assert raised.type is npc_lims.SessionUnavailable, "and no NoSessionInfo: it may exist"
        assert "CODE_OCEAN_API_TOKEN" in str(raised.value)
        assert {404: "there is nothing at", 503: "503"}[status] in str(raised.value)
        assert len(str(raised.value).split()) <= 40


# --- the kept copy is damaged


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def _garble(path: Path) -> None:
    path.write_bytes(os.urandom(5000))


def _flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-200] ^= 1
    path.write_bytes(bytes(content))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _other_header(path: Path) -> None:
    path.write_bytes(b'["not", "a", "header"]\n' + path.read_bytes().partition(b"\n")[2])


def _no_header(path: Path) -> None:
    path.write_bytes(path.read_bytes().partition(b"\n")[2])


def _header_alone(path: Path) -> None:
    path.write_bytes(path.read_bytes().partition(b"\n")[0] + b"\n")


def _null_header(path: Path) -> None:
    path.write_bytes(b"null\n" + path.read_bytes().partition(b"\n")[2])


def _folder(path: Path) -> None:
    path.unlink()
    (path / "inside").mkdir(parents=True)


DAMAGES = [_truncate, _garble, _flip_a_byte, _empty, _other_header, _no_header, _header_alone, _null_header, _folder]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("old", [False, True], ids=["young", "old"])
def test_a_damaged_copy_is_fetched_again(github: GitHub, damage: Any, old: bool) -> None:
    before = ids(npc_lims.get_session_info())
    npc_lims.clear_caches()
    damage(cached_files()[0])
    if old:
        os.utime(cached_files()[0], (0, 0))
    assert ids(npc_lims.get_session_info()) == before
    assert npc_lims.get_session_info(ONE).id == ONE
    assert "if-none-match" not in github.requests[-1].headers, "there is nothing to compare with"
    if damage is not _folder:
        npc_lims.clear_caches()
        npc_lims.get_session_info()
        assert github.paths == [SNAPSHOT] * 2, "the new copy is good"


def test_one_session_is_read_past_a_damaged_copy(github: GitHub) -> None:
    npc_lims.get_session_info()
    npc_lims.clear_caches()
    _garble(cached_files()[0])
    assert npc_lims.get_session_info(ONE).id == ONE


def test_a_damaged_copy_and_a_failing_github_is_an_error_of_github(github: GitHub) -> None:
    npc_lims.get_session_info()
    npc_lims.clear_caches()
    _truncate(cached_files()[0])
    github.proxy.rule = lambda request: Status(503)
    with pytest.raises(npc_lims.RemoteStateError, match="503"):
        npc_lims.get_session_info()


def test_a_cache_that_cannot_be_written_costs_requests_and_nothing_else(
    github: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NPC_LIMS_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert npc_lims.get_session_info()
    assert npc_lims.get_session_info(ONE).id == ONE


READER = """\
import sys, npc_lims
for n in range(15):
    sessions = npc_lims.get_session_info(ttl_seconds=0 if n % 3 else 600)
    assert len(sessions) == int(sys.argv[1]), len(sessions)
    assert npc_lims.get_session_info("901001_2024-03-13").is_sorted
    npc_lims.clear_caches()
"""


@pytest.mark.slow
def test_many_processes_share_one_cache(github: GitHub) -> None:
    """Eight at once fetch, revalidate, write and read the same file; the copy is thrown away under them."""
    count = len(npc_lims.get_session_info())
    command = [sys.executable, "-W", "error", "-c", READER, str(count)]
    readers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(8)]
    while any(reader.poll() is None for reader in readers):
        for path in cached_files():
            path.unlink(missing_ok=True)
        time.sleep(0.05)
    for reader in readers:
        _, err = reader.communicate()
        assert reader.returncode == 0, err
    folder = Path(os.environ["NPC_LIMS_CACHE_DIR"])
    assert [path for path in folder.rglob("*") if ".tmp" in path.name] == []


# --- tokens


def test_the_token_goes_to_the_raw_host_and_nowhere_else(
    github: GitHub, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", GITHUB_TOKEN)
    github.raw.token = GITHUB_TOKEN
    assert npc_lims.get_session_info()
    with pytest.raises(npc_lims.NoSessionInfo):
        npc_lims.get_session_info("901006_2001-01-01".replace("2001", "2019"))
    assert all(r.headers["authorization"] == f"Bearer {GITHUB_TOKEN}" for r in github.proxy.requests)
    others = [*cloud.codeocean_proxy.requests, *cloud.s3_proxy.requests]
    assert others
    assert all(GITHUB_TOKEN not in str((r.path, r.headers, r.body)) for r in others)
    assert all(TOKEN not in str((r.path, r.headers, r.body)) for r in github.proxy.requests)
    assert not [p for p in Path(os.environ["NPC_LIMS_CACHE_DIR"]).rglob("*.jsonl") if GITHUB_TOKEN in p.read_text()]


def test_the_token_does_not_follow_a_redirect(github: GitHub, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", GITHUB_TOKEN)
    github.proxy.rule = lambda request: Status(302, {"Location": cloud.codeocean_proxy.url + "/elsewhere"})
    with pytest.warns(npc_lims.LiveStateWarning, match="302"):
        npc_lims.get_session_info(is_ephys=True)
    assert cloud.requests > 0
    assert not [request for request in cloud.codeocean_proxy.requests if "elsewhere" in request.path]


def test_without_a_token_none_is_sent(github: GitHub) -> None:
    npc_lims.get_session_info()
    assert "authorization" not in github.requests[0].headers


@pytest.mark.slow
def test_a_failure_does_not_reveal_the_token(github: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", GITHUB_TOKEN)
    github.proxy.rule = lambda request: Status(401)
    with pytest.raises(npc_lims.RemoteStateError) as raised:
        npc_lims.get_session_info()
    assert GITHUB_TOKEN not in str(raised.value)


# --- a folder


def test_a_named_folder_means_no_request(github: GitHub, demo_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_STATE", str(demo_state))
    assert ONE in ids(npc_lims.get_session_info())
    assert npc_lims.get_session_info(ONE).is_sorted is True
    with pytest.raises(npc_lims.NoSessionInfo, match="no session 901001_2024-03-15"):
        npc_lims.get_session_info("901001_2024-03-15")
    assert github.paths == []
    origin = npc_lims.state_origin()
    assert (origin.kind, origin.place, origin.age) == ("folder", str(demo_state), None)


def test_the_origin_of_a_checkout_is_its_commit(published_once: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_STATE", str(published_once / "state"))
    commit = npc_lims.state_origin().commit
    assert commit is not None
    assert len(commit) == 40
    assert commit[:10] in str(npc_lims.state_origin())


def test_a_folder_that_is_not_there_is_an_error_that_names_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPC_LIMS_STATE", str(tmp_path / "nowhere"))
    for ask in (npc_lims.get_session_info, lambda: npc_lims.get_session_info(ONE), npc_lims.state_origin):
        with pytest.raises(npc_lims.StateError, match="NPC_LIMS_STATE"):
            ask()


def test_the_library_never_looks_at_the_working_directory(
    github: GitHub, published_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(published_once)
    npc_lims.get_session_info()
    assert github.paths == [SNAPSHOT]


def test_origins_of_published_state(github: GitHub) -> None:
    assert npc_lims.state_origin().kind == "github"
    origin = npc_lims.state_origin()
    assert origin.kind == "cache"
    assert origin.age is not None
    assert origin.age < 600, "its lifetime"
    assert origin.place.endswith("/lab/state/main")
    let_it_age()
    assert npc_lims.state_origin().kind == "github"


# --- what a session is


@pytest.fixture
def folder(demo_state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NPC_LIMS_STATE", str(demo_state))
    return demo_state


@pytest.mark.parametrize(
    "asked",
    [
        ONE,
        "DRpilot_901001_20240313",
        "//allen/programs/mindscope/workgroups/dynamicrouting/PilotEphys/Task 2 pilot/DRpilot_901001_20240313",
        "ecephys_901001_2024-03-13_13-22-17_sorted_2024-03-15_10-00-00",
        npc_session.SessionRecord(ONE),
    ],
)
def test_any_form_of_an_id_finds_the_session(folder: Path, asked: Any) -> None:
    info = npc_lims.get_session_info(asked)
    assert info.id == ONE
    assert npc_lims.get_session_info(info) == info


def test_an_invalid_session_is_an_error(folder: Path) -> None:
    with pytest.raises(npc_lims.NoSessionInfo, match="'rubbish' is not a session"):
        npc_lims.get_session_info("rubbish")
    with pytest.raises(ValueError, match="is not a session"):
        npc_lims.get_session_info("")


def test_near_matches_are_offered(folder: Path) -> None:
    with pytest.raises(npc_lims.NoSessionInfo) as raised:
        npc_lims.get_session_info("901001_2024-03-31")
    assert "near to it: 901001_" in str(raised.value)
    with pytest.raises(npc_lims.NoSessionInfo, match=ONE):
        npc_lims.get_session_info("901011_2024-03-13")


def test_an_unknown_filter_names_the_nearest(folder: Path) -> None:
    with pytest.raises(TypeError, match=r"is_emphys \(did you mean 'is_ephys'\?\)"):
        npc_lims.get_session_info(is_emphys=True)


def test_filters_say_nothing_beside_a_session(folder: Path) -> None:
    # callers pass what they know of sessions along, for one as for all
    assert npc_lims.get_session_info(ONE, is_ephys=False, is_opto=True) == npc_lims.get_session_info(ONE)


def test_filters_choose(folder: Path) -> None:
    everything = npc_lims.get_session_info()
    of_subject = npc_lims.get_session_info(subject=901004)
    assert {info.subject for info in of_subject} == {901004}
    assert of_subject == npc_lims.get_session_info(subject="901004")
    of_day = npc_lims.get_session_info(date="2024-06-05", is_ephys=True)
    assert ids(of_day) == ["901004_2024-06-05", "901004_2024-06-05_1"]
    assert {i.project for i in npc_lims.get_session_info(project="TempletonPilotSession")} == {"TempletonPilotSession"}
    sorted_, unsorted = (npc_lims.get_session_info(is_ephys=True, is_sorted=value) for value in (True, False))
    assert len(sorted_) + len(unsorted) == len(npc_lims.get_session_info(is_ephys=True))
    assert ADDED in ids(unsorted)
    assert ids(npc_lims.get_session_info(is_templeton=True)) == [str(i.id) for i in everything if i.is_templeton]
    assert ids(npc_lims.get_session_info(idx=1)) == ["901004_2024-06-05_1"]
    assert npc_lims.get_session_info(subject=999999) == ()


def test_sessions_come_newest_first(folder: Path) -> None:
    dates = [str(info.date) for info in npc_lims.get_session_info()]
    assert dates == sorted(dates, reverse=True)


def test_equality_hash_and_repr(folder: Path) -> None:
    one, again = npc_lims.get_session_info(ONE), npc_lims.get_session_info(ONE)
    (of_all,) = [info for info in npc_lims.get_session_info() if info.id == ONE]
    assert one == again == of_all
    assert one is not of_all
    assert len({one, again, of_all, npc_lims.get_session_info(OTHER)}) == 2
    assert hash(one) == hash(of_all)
    assert one != npc_lims.get_session_info(OTHER)
    assert one != ONE
    assert repr(one) == (
        "SessionInfo(id='901001_2024-03-13', subject=901001, date='2024-03-13', idx=0, "
        "project='DynamicRouting', is_ephys=True, is_sync=True, "
        f"allen_path={one.allen_path!r}, progress='uploaded, sorted, annotated, DLC eye, "
        "DLC side, DLC face, Facemap, gamma encoding, LP face parts, parquet cached; next: NWB cached')"
    )


def test_a_session_cannot_be_changed(folder: Path) -> None:
    info = npc_lims.get_session_info(ONE)
    for name in ("id", "project", "is_sorted"):
        with pytest.raises(AttributeError):
            setattr(info, name, "other")


@pytest.mark.parametrize("touched", [False, True])
@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda info: pickle.loads(pickle.dumps(info))])
def test_copies_are_equal_and_whole(folder: Path, how: Any, touched: bool) -> None:
    (info,) = (
        [info for info in npc_lims.get_session_info() if str(info.id) == ONE]
        if touched
        else [npc_lims.get_session_info(ONE)]
    )
    twin = how(info)
    assert twin == info
    assert twin.issues == info.issues
    assert twin.session_kwargs == {"surface_recording_probe_letters_to_skip": "BCDE"}
    assert twin.is_sorted is True
    assert twin.training_info == info.training_info


def test_a_pickle_holds_no_token(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODE_OCEAN_API_TOKEN", TOKEN)
    monkeypatch.setenv("GITHUB_TOKEN", GITHUB_TOKEN)
    npc_lims.clear_caches()
    for info in (npc_lims.get_session_info(ONE), npc_lims.get_session_info()[0]):
        content = pickle.dumps(info)
        assert TOKEN.encode() not in content
        assert GITHUB_TOKEN.encode() not in content


def test_issues_and_kwargs(folder: Path) -> None:
    issues = npc_lims.get_session_issues()
    assert issues[npc_session.SessionRecord("901002_2024-05-14")] == [
        "https://github.com/AllenInstitute/npc_sessions/issues/148"
    ]
    assert npc_lims.get_session_issues("901001_2024-03-14") == [
        "https://github.com/AllenInstitute/npc_sessions/issues/28",
        "https://github.com/AllenInstitute/npc_sessions/issues/117",
    ]
    assert npc_lims.get_session_issues("366122_2023-12-31") == []
    assert npc_lims.get_session_kwargs("901001_2024-03-12") == {"probe_letters_to_skip": "DE"}
    assert npc_lims.get_session_kwargs("366122_2023-12-31") == {}
    assert len(npc_lims.get_session_kwargs()) == len(npc_lims.get_session_info())


def test_unknown_statuses_without_credentials_name_the_variable(
    tmp_path: Path, demo_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state" / "sessions.jsonl"
    path.parent.mkdir()
    lines = (demo_state / path.name).read_text(encoding="utf-8").splitlines()
    record = json.loads(next(line for line in lines if ONE in line))
    record.update(codeocean=None, s3=None)
    record["status"] = dict.fromkeys(record["status"])
    path.write_text(json.dumps(record, separators=(",", ":")) + "\n")
    monkeypatch.setenv("NPC_LIMS_STATE", str(path.parent))
    (info,) = npc_lims.get_session_info()
    with pytest.raises(npc_lims.MissingCredentials, match="CODE_OCEAN_API_TOKEN") as raised:
        _ = info.is_sorted
    assert isinstance(raised.value, KeyError)
    assert not str(raised.value).startswith("'")
    with pytest.raises(npc_lims.MissingCredentials, match="AWS_ACCESS_KEY_ID"):
        _ = info.is_nwb_cached


def test_a_home_that_cannot_be_written_costs_no_more_requests(
    github: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way of a folder", encoding="utf-8")
    monkeypatch.setenv("NPC_LIMS_CACHE_DIR", str(tmp_path / "file" / "cache"))
    for info in npc_lims.get_session_info():
        assert npc_lims.get_session_info(info.id) == info
    assert github.paths == ["state/sessions.jsonl"]


def test_an_empty_answer_replaces_nothing(github: GitHub) -> None:
    ids = [str(info.id) for info in npc_lims.get_session_info()]
    github.proxy.rule = lambda request: Status(200, {}, b"")
    npc_lims.clear_caches()
    with pytest.warns(npc_lims.StaleStateWarning):
        assert [str(info.id) for info in npc_lims.get_session_info(ttl_seconds=0)] == ids


def test_filters_take_what_sessions_give(github: GitHub) -> None:
    info = npc_lims.get_session_info()[0]
    for name in ("id", "subject", "date", "idx", "project", "allen_path", "experiment_day", "is_ephys"):
        assert info in npc_lims.get_session_info(**{name: getattr(info, name)}), name
    assert npc_lims.get_session_info(date=str(info.date).replace("-", "")) == npc_lims.get_session_info(date=info.date)
