"""One session's life: from a checkout, and from GitHub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from npc_lims.clients.git import Repository
from npc_lims.config.settings import Settings, load_settings
from npc_lims.errors import GitHubError, HistoryError, HistoryWarning, NoSessionInfo, RemoteStateError
from npc_lims.history.session_history import SessionHistory, get_session_history, read_session_history, shallow_since
from npc_lims.history.transitions import RECORDED
from tests.history.lives import ONE, RUN, THREE, TWO
from tests.history.past import Step, run_git, write_history
from tests.servers.faults import FaultyProxy, Status
from tests.servers.fixtures import Serve
from tests.servers.github_api import GitHubApiServer
from tests.servers.github_schema import DESCRIPTION, assert_published_schema
from tests.servers.raw_github import RawGitHubServer

pytestmark = pytest.mark.filterwarnings("ignore::npc_lims.errors.HistoryWarning")
TOKEN = "ghp_5e0c1a77e5ec2e7"


def life(repository: Repository, session: str) -> SessionHistory:
    return read_session_history(Settings(state=repository.root / "state"), session)


def steps(found: SessionHistory) -> list[tuple[str, str | None, str | None]]:
    return [(step.name, step.when and step.when[:10], step.created and step.created[:10]) for step in found.events]


def test_the_steps_of_a_life(lives: Repository) -> None:
    assert steps(life(lives, ONE)) == [
        ("tracked", None, None),
        ("sorted", "2024-02-02", "2024-02-01"),
        ("sorted again", "2024-05-02", "2024-05-01"),
    ]
    assert steps(life(lives, THREE)) == [
        ("in a training workbook", "2024-02-02", None),
        ("tracked", "2024-05-02", None),
    ]
    assert steps(life(lives, TWO)) == [
        ("tracked", None, None),
        ("removed", "2024-06-01", None),
        ("tracked", "2024-06-02", None),
    ]


def test_as_json_with_addresses(lives: Repository) -> None:
    told = life(lives, ONE).as_dict(lambda sha: f"https://example.org/{sha}")
    edited = told["transitions"][1]
    assert (edited["what"], edited["commit"]["run"]) == (["edited"], RUN)
    assert edited["commit"]["address"] == f"https://example.org/{edited['commit']['sha']}"
    assert [editor["author"] for editor in edited["editors"]] == ["Bob Jones"]
    assert "@" not in str(told), "nobody's address is told"


def test_the_public_function(lives: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_STATE", str(lives.root / "state"))
    assert get_session_history("DRpilot_626791_20220815") == life(lives, ONE).transitions


def test_no_such_session(lives: Repository) -> None:
    with pytest.raises(NoSessionInfo, match=f"has a session 626791_2022-08-20; near to it: {ONE}, {TWO}"):
        life(lives, "626791_2022-08-20")
    with pytest.raises(NoSessionInfo, match=f"near to it: {THREE}"):
        life(lives, THREE.replace("668755", "668756"))
    with pytest.raises(NoSessionInfo, match="'Bob' is not a session"):
        life(lives, "Bob")


def test_a_folder_in_no_checkout_has_no_past(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="only what is committed has a past"):
        read_session_history(Settings(state=tmp_path), ONE)


def test_a_shallow_clone_begins_on_a_day_of_utc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_history(tmp_path / "r", [Step("a", "2024-01-01T00:00:00", {"x": b"x"})])
    monkeypatch.setenv("GIT_AUTHOR_DATE", "2024-06-01T00:00:00+14:00")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2024-06-01T00:00:00+14:00")
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    Repository(tmp_path / "r").run(*who, "commit", "--quiet", "--allow-empty", "--no-verify", "--message=b")
    run_git(tmp_path, "clone", "--quiet", "--depth=1", (tmp_path / "r").as_uri(), "shallow")
    assert shallow_since(Repository(tmp_path / "shallow")) == "2024-05-31"


def test_a_shallow_clone_is_reported(lives: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_git(tmp_path, "clone", "--quiet", "--depth=2", lives.root.as_uri(), "shallow")
    monkeypatch.setenv("NPC_LIMS_STATE", str(tmp_path / "shallow" / "state"))
    with pytest.warns(HistoryWarning, match=r"begins 2024-06-01: git fetch --unshallow"):
        (first,) = get_session_history(ONE)
    assert first.is_first
    with pytest.raises(NoSessionInfo, match="this is a shallow clone"):
        read_session_history(load_settings(), "700000_2024-01-01")


# --- from GitHub


@pytest.fixture(scope="module")
def bare(lives: Repository, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bare")
    run_git(folder, "clone", "--quiet", "--bare", str(lives.root), "state.git")
    return folder / "state.git"


@pytest.fixture
def github(serve: Serve, bare: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FaultyProxy, FaultyProxy]]:
    """The API and raw reads, behind proxies that count and can break."""
    server = serve(GitHubApiServer())
    server.add_repo("lab/state", bare)
    server.add_token(TOKEN, "alice")
    api = serve(FaultyProxy(server.url))
    raw = serve(FaultyProxy(serve(RawGitHubServer(bare, repo_name="lab/state")).url))
    for name, value in {"GITHUB_API_URL": api.url, "NPC_LIMS_RAW_URL": raw.url, "NPC_LIMS_REPO": "lab/state"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NPC_LIMS_TIMEOUT", "10")
    yield api, raw
    if DESCRIPTION.is_file():  # tests/servers/test_github_server.py says that it is not installed
        assert_published_schema(server.exchanges)


@pytest.mark.parametrize("session", [ONE, TWO, THREE])
def test_github_has_the_same_changes_without_editors(
    lives: Repository, github: tuple[FaultyProxy, FaultyProxy], session: str
) -> None:
    here, there = life(lives, session).transitions, get_session_history(session)
    assert [(one.change, one.created, one.commit) for one in there] == [
        (one.change, one.created, one.commit) for one in here
    ]
    assert not any(one.editors for one in there)


def test_requests_grow_with_changes(github: tuple[FaultyProxy, FaultyProxy]) -> None:
    api, raw = github
    assert len(get_session_history(TWO)) == 3
    assert (api.count, raw.count) == (3, 3)


def test_github_knows_no_such_session(github: tuple[FaultyProxy, FaultyProxy]) -> None:
    with pytest.raises(NoSessionInfo, match=rf"no commit of lab/state@main has a session .*near to it: {ONE}"):
        get_session_history("626791_2022-08-14")


def test_github_refuses(github: tuple[FaultyProxy, FaultyProxy], monkeypatch: pytest.MonkeyPatch) -> None:
    api, raw = github
    raw.rule = lambda request: Status(429)
    with pytest.raises(RemoteStateError, match="GITHUB_TOKEN"):
        get_session_history(ONE)
    api.rule = lambda request: Status(403, {"x-ratelimit-remaining": "0"}, b'{"message": "limit"}')
    with pytest.raises(GitHubError, match="set GITHUB_TOKEN"):
        get_session_history(ONE)
    api.rule = lambda request: Status(200, {}, b'[{"sha": "x"}]')
    with pytest.raises(GitHubError, match=r"cannot be read .*; check GITHUB_API_URL"):
        get_session_history(ONE)


def test_a_commit_before_which_there_was_no_state(lives: Repository) -> None:
    assert life(lives, ONE).transitions[0].change.what == (RECORDED,)
