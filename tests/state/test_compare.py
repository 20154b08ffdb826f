"""What two versions of state and of the tracked file say, read from real repositories and a raw GitHub server."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.clients.git import Repository
from npc_lims.config.settings import Settings, load_settings
from npc_lims.errors import NoRemoteState, StateError
from npc_lims.model.record import Record
from npc_lims.state.compare import (
    StateDiff,
    StateVersion,
    compare_states,
    state_at_commit,
    state_in_folder,
    state_on_github,
)
from npc_lims.state.snapshot import SNAPSHOT
from npc_lims.state.store import read_state, session_path, write_state
from npc_lims.track.compare import TrackedDiff, compare_tracked, tracked_on_github
from tests.builders import SECOND, SESSION, asset, by_id, no_assets, record, tracked
from tests.integration.world import GitHub, commit_all, run_git

SORTED = {"codeocean": no_assets(raw=asset(), sorted=asset("s"))}
UPLOADED = {"codeocean": no_assets(raw=asset())}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with an empty commit."""
    root = tmp_path / "repository"
    root.mkdir()
    commit_all(root, "nothing")
    return Repository(root)


def write(repository: Repository, *records: Record) -> None:
    folder = repository.root / "state"
    write_state(folder, read_state(folder), by_id(*records))


def commit(repository: Repository, *records: Record) -> str:
    """The commit of a state that holds these."""
    write(repository, *records)
    return commit_all(repository.root)


def at(repository: Repository, ref: str) -> StateVersion:
    return state_at_commit(repository, repository.commit_of(ref), "state", ref)


def on_disk(repository: Repository) -> StateVersion:
    return state_in_folder(repository, repository.root / "state")


def ids(found: StateDiff | TrackedDiff) -> dict[str, tuple[str, ...]]:
    return {change.id: change.what for change in found.changes}


# --- state


def test_two_commits(repository: Repository) -> None:
    commit(repository, record(**UPLOADED))
    commit(repository, record(**SORTED), record(SECOND))
    found = compare_states(at(repository, "HEAD~1"), at(repository, "HEAD"))
    assert ids(found) == {SESSION: ("sorted",), SECOND: ("new",)}
    assert (found.before, found.after) == ("HEAD~1", "HEAD")
    assert found.chapter().summary == "2 sessions changed: 1 new, 1 sorted"


def test_a_commit_without_state_is_empty(repository: Repository) -> None:
    commit(repository, record())
    assert ids(compare_states(at(repository, "HEAD~1"), at(repository, "HEAD"))) == {SESSION: ("new",)}
    assert ids(compare_states(at(repository, "HEAD"), at(repository, "HEAD~1"))) == {SESSION: ("removed",)}


def test_a_commit_and_the_files_on_disk(repository: Repository) -> None:
    assert ids(compare_states(at(repository, "HEAD"), on_disk(repository))) == {}
    commit(repository, record(**UPLOADED), record(SECOND))
    assert ids(compare_states(at(repository, "HEAD"), on_disk(repository))) == {}
    write(repository, record(**SORTED))
    found = compare_states(at(repository, "HEAD"), on_disk(repository))
    assert ids(found) == {SESSION: ("sorted",), SECOND: ("removed",)}
    assert found.after == "working tree"


def test_an_edit_by_hand_that_the_snapshot_does_not_know(repository: Repository) -> None:
    commit(repository, record(tracked=tracked(day=3)))
    path = session_path(repository.root / "state", SESSION)
    path.write_text(path.read_text().replace("day: 3", "day: 4"))
    (change,) = compare_states(at(repository, "HEAD"), on_disk(repository)).changes
    assert change.details == ("day 3 -> 4",)
    commit_all(repository.root)
    (change,) = compare_states(at(repository, "HEAD~1"), at(repository, "HEAD")).changes
    assert change.details == ("day 3 -> 4",)


def test_another_layout_is_no_change_of_facts(repository: Repository) -> None:
    commit(repository, record(), record(SECOND))
    for path in (repository.root / "state").rglob("*.yaml"):
        path.write_text(f"# another layout\n{path.read_text()}")
    write(repository, record(**UPLOADED), record(SECOND))
    path = session_path(repository.root / "state", SECOND)
    path.write_text(f"# another layout\n{path.read_text()}")
    found = compare_states(at(repository, "HEAD"), on_disk(repository))
    assert ids(found) == {SESSION: ("codeocean first seen",)}
    assert found.format_only == [SECOND]
    assert "format only: 1 file, with the same facts" in found.chapter().notes


@pytest.mark.parametrize("keeps_snapshot", [True, False])
def test_another_schema_is_no_change_of_facts(repository: Repository, keeps_snapshot: bool) -> None:
    commit(repository, record(**UPLOADED), record(SECOND))
    for path in (repository.root / "state" / "sessions").rglob("*.yaml"):
        path.write_text(path.read_text().replace("schema: 1", "schema: 2"))
    path = session_path(repository.root / "state", SECOND)
    path.write_text(path.read_text().replace("is_production: true", "is_production: false"))
    if not keeps_snapshot:
        (repository.root / "state" / SNAPSHOT).unlink()
    found = compare_states(at(repository, "HEAD"), on_disk(repository))
    assert found.schema_only == {SESSION: "1 -> 2"}
    assert ids(found) == {SECOND: ("no longer production", "schema 1 -> 2")}
    assert "schema 1 -> 2 only: 1 file, whose facts are the same" in found.chapter().notes


def test_other_files_are_named(repository: Repository) -> None:
    commit(repository, record())
    (repository.root / "state" / "sync.yaml").write_text("schema: 1\n")
    (repository.root / "state" / "sessions" / "notes.txt").write_text("?")
    (repository.root / "state" / ".tmp-1").write_text("half")
    found = compare_states(at(repository, "HEAD"), on_disk(repository))
    assert found.others == ["sessions/notes.txt", "sync.yaml"]
    assert found.changes == []
    assert found.as_dict()["other_files"] == ["sessions/notes.txt", "sync.yaml"]


@pytest.mark.parametrize("damage", ["id: [", "schema: 1\nid: 1\n", "schema: 2\nid: [", "schema: 2\n- a", "", "\xff"])
def test_a_damaged_file_is_named_with_its_commit(repository: Repository, damage: str) -> None:
    commit(repository, record())
    session_path(repository.root / "state", SESSION).write_bytes(damage.encode("latin-1"))
    commit_all(repository.root)
    with pytest.raises(StateError, match=f"^HEAD: .*{SESSION}.yaml: "):
        compare_states(at(repository, "HEAD~1"), at(repository, "HEAD"))


def test_a_damaged_snapshot_is_only_slower(repository: Repository) -> None:
    commit(repository, record(**UPLOADED))
    write(repository, record(**SORTED))
    for content in (b"", b"<<<<<<< HEAD\n", b'{"id":"626791_2022-08-15",}\n'):
        (repository.root / "state" / SNAPSHOT).write_bytes(content)
        assert ids(compare_states(at(repository, "HEAD"), on_disk(repository))) == {SESSION: ("sorted",)}


def test_a_file_that_was_damaged_all_along_is_not_read(repository: Repository) -> None:
    write(repository, record(), record(SECOND))
    session_path(repository.root / "state", SESSION).write_text("id: [")
    commit_all(repository.root)
    session_path(repository.root / "state", SECOND).unlink()
    assert ids(compare_states(at(repository, "HEAD"), on_disk(repository))) == {SECOND: ("removed",)}


# --- on GitHub


def test_two_refs_on_github_cost_a_request_each(github: GitHub, tmp_path: Path, demo_state: Path) -> None:
    root = github.fork(tmp_path / "fork")
    path = next((root / "state" / "sessions").rglob("*.yaml"))
    records = {key: value for key, value in read_state(demo_state).records.items() if key != path.stem}
    run_git(root, "switch", "--quiet", "--create", "other")
    write_state(root / "state", read_state(root / "state"), records)
    commit_all(root)
    settings = load_settings()
    found = compare_states(state_on_github(settings, "main"), state_on_github(settings, "other"))
    assert ids(found) == {path.stem: ("removed",)}
    assert len(github.proxy.requests) == 2
    assert tracked_on_github(settings, "other") == (root / "tracked_sessions.yaml").read_bytes()


def test_a_layout_on_github(github: GitHub, tmp_path: Path) -> None:
    root = github.fork(tmp_path / "fork")
    run_git(root, "switch", "--quiet", "--create", "other")
    snapshot = root / "state" / SNAPSHOT
    first, rest = snapshot.read_bytes().split(b"\n", 1)
    snapshot.write_bytes(first.replace(b'"digest":"', b'"digest":"0') + b"\n" + rest)
    commit_all(root)
    settings = load_settings()
    found = compare_states(state_on_github(settings, "main"), state_on_github(settings, "other"))
    assert (len(found.format_only), found.changes) == (1, [])


def test_a_ref_on_github_without_state_is_empty(github: GitHub, tmp_path: Path) -> None:
    root = github.fork(tmp_path / "fork")
    run_git(root, "switch", "--quiet", "--create", "empty")
    shutil.rmtree(root / "state")
    commit_all(root)
    assert state_on_github(load_settings(), "empty").sessions == {}


@pytest.mark.parametrize("read", [state_on_github, tracked_on_github])
def test_a_ref_that_github_has_not(github: GitHub, read: Callable[[Settings, str], object]) -> None:
    with pytest.raises(NoRemoteState, match=r"neither state nor tracked_sessions\.yaml at nowhere"):
        read(load_settings(), "nowhere")


# --- the tracked file

ENTRIES = """\
ephys:
  DynamicRouting:
    - //allen/DRpilot_714748_20240624:
        day: 3
        session_kwargs:
          probe_letters_to_skip: F
    - //allen/DRpilot_714748_20240625
"""
NAMES = ("main", "HEAD")


def told(before: str | None, after: str | None) -> TrackedDiff:
    old, new = (None if text is None else text.encode() for text in (before, after))
    return compare_tracked(old, new, NAMES)


def test_an_edit_in_one_line() -> None:
    after = ENTRIES.replace("day: 3", "day: 4").replace("skip: F", "skip: EF")
    after += "    - //allen/DRpilot_714749_20240624\n    - //allen/DRpilot_714749_20240625\n"
    found = told(ENTRIES, after)
    assert found.summary == "+2 sessions; 714748_2024-06-24: day 3 -> 4; probe_letters_to_skip F -> EF"
    assert ids(found) == {
        "714748_2024-06-24": ("edited",),
        "714749_2024-06-24": ("new",),
        "714749_2024-06-25": ("new",),
    }
    assert found.changes[1].details == ("ephys, DynamicRouting, day 1",)
    assert found.chapter().title == "tracked_sessions.yaml, main -> HEAD"


@pytest.mark.parametrize(
    ("old", "new", "summary"),
    [
        ("DynamicRouting:", "Templeton:", "2 sessions: project DynamicRouting -> Templeton"),
        ("ephys:", "behavior_with_sync:", "2 sessions: platform ephys -> behavior_with_sync"),
        ("        day: 3\n", "", "714748_2024-06-24: day 3 -> (none)"),
        (
            "        day: 3\n",
            "        day: 3 # sure\n",
            "comments, layout or repeated entries only: no session changes",
        ),
        ("    - //allen/DRpilot_714748_20240625\n", "", "-1 session"),
    ],
)
def test_kinds_of_edits(old: str, new: str, summary: str) -> None:
    assert told(ENTRIES, ENTRIES.replace(old, new)).summary == summary


def test_many_different_edits_are_counted() -> None:
    entry = "    - //allen/DRpilot_71474{0}_20240624:\n        day: {1}\n"
    before, after = (
        "ephys:\n  DynamicRouting:\n" + "".join(entry.format(n, day + n) for n in range(9)) for day in (1, 20)
    )
    summary = told(before, after).summary
    assert summary.startswith("714740_2024-06-24: day 1 -> 20; 714741_2024-06-24: ")
    assert summary.endswith("; 6 more edited")


def test_a_session_that_gets_another_id() -> None:
    renamed = ENTRIES.replace(
        "    - //allen/DRpilot_714748_20240625\n", "    - //allen/DRpilot_714748_20240625:\n        idx: 1\n"
    )
    gone, came = told(ENTRIES, renamed).changes
    assert "now 714748_2024-06-25_1" in gone.details
    assert "was 714748_2024-06-25" in came.details


def test_a_file_with_errors_is_compared_as_far_as_it_can_be() -> None:
    found = told(ENTRIES, ENTRIES.replace("day: 3", "days: 3") + "    - //allen/DRpilot_714749_20240624\n")
    assert found.summary.startswith("+1 session")
    assert found.notes == ["HEAD: 1 error (see npc-lims validate); compared is what can be read"]


@pytest.mark.parametrize(
    ("before", "after", "summary", "note"),
    [
        (ENTRIES, ENTRIES, "nothing changed", ""),
        (None, None, "no such file", ""),
        (None, ENTRIES, "+2 sessions", "main: there is no such file"),
        (ENTRIES, None, "-2 sessions", "HEAD: there is no such file"),
    ],
)
def test_files_that_are_alike_or_missing(before: str | None, after: str | None, summary: str, note: str) -> None:
    found = told(before, after)
    assert (found.summary, "".join(found.notes)) == (summary, note)


def test_another_encoding_is_an_error_of_the_file() -> None:
    found = compare_tracked(ENTRIES.encode(), f"{ENTRIES}# é".encode("latin-1"), NAMES)
    assert found.notes == ["HEAD: 1 error (see npc-lims validate); compared is what can be read"]
    assert found.changes == []


@given(st.text() | st.binary().map(lambda content: content.decode("latin-1")))
def test_no_file_is_too_odd_to_compare(text: str) -> None:
    content = text.encode("utf-8", "replace")
    for found in (
        compare_tracked(ENTRIES.encode(), content, NAMES),
        compare_tracked(content, ENTRIES.encode(), NAMES),
    ):
        assert len(found.summary.splitlines()) == 1


# --- places in a repository
