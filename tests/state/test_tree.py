"""The files of a state: the same of a folder and of a commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from npc_lims.clients.git import find_repository
from npc_lims.clients.git_tree import CommitTree, commit_changes
from npc_lims.errors import StateError
from npc_lims.state.store import FolderTree, Tree, read_state, verify_state, write_state
from tests.builders import asset, many_records, no_assets
from tests.integration.world import commit_all

WHO = {f"GIT_{who}_{what}": "tests" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
FILES = {"sessions.jsonl": b"a\r\n", "runs/dlc_eye.yaml": b"", "sessions/626791/x.yaml": "é".encode()}


@pytest.fixture(params=["folder", "commit"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    """A tree without any file."""
    (tmp_path / "README.md").write_text("beside it\n")
    commit = commit_all(tmp_path)
    return {
        "folder": FolderTree(tmp_path / "state"),
        "commit": CommitTree(find_repository(tmp_path), commit, "state"),
    }[request.param]


def test_files_are_written_listed_read_and_removed(tree: Tree) -> None:
    assert tree.list_files() == []
    tree.write_files(FILES)
    assert tree.list_files() == sorted(FILES)
    assert tree.list_files("runs") == ["runs/dlc_eye.yaml"]
    assert tree.read_files([*FILES, "nowhere", "runs", "runs/dlc_eye.yaml/x"]) == FILES
    tree.write_files({"runs/dlc_eye.yaml": None, "sessions.jsonl": b"b\n"})
    assert tree.list_files() == ["sessions.jsonl", "sessions/626791/x.yaml"]
    assert tree.read_files(FILES)["sessions.jsonl"] == b"b\n"
    assert tree.path("sync.yaml").parts[-2:] == ("state", "sync.yaml")


def test_a_state_is_written_read_and_verified(tree: Tree) -> None:
    records = many_records(5, codeocean=no_assets(raw=asset()))
    written = write_state(tree, read_state(tree), records)
    assert [path.name for path in written] == [*(f"{session}.yaml" for session in records), "sessions.jsonl"]
    loaded = read_state(tree)
    assert loaded.records == records
    assert loaded.is_intact
    assert verify_state(tree) == []
    (first, *_) = records
    assert write_state(tree, loaded, {**loaded.records, first: records[first].model_copy()}) == []
    tree.write_files({"sessions/notes.txt": b""})
    with pytest.raises(StateError, match="only folders named by subject"):
        read_state(tree)


def test_changes_of_a_commit_are_committed(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "old").write_text("old")
    parent = commit_all(tmp_path)
    repository = find_repository(tmp_path)
    tree = CommitTree(repository, parent, "state", "origin/main:")
    tree.write_files({**FILES, "old": None})
    committed = commit_changes(tree, "subject\n", WHO)
    assert committed is not None and committed.is_as_written
    after = CommitTree(repository, committed.id, "state")
    assert after.read_files(after.list_files()) == FILES
    assert str(tree.path("old")) == "origin/main:state/old"
    assert not (tmp_path / "state" / "runs").exists(), "only the repository is written to"
    after.write_files(FILES)
    assert commit_changes(after, "nothing new\n", WHO) is None
