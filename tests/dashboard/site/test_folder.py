"""A folder is a whole site, or what it was before."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from npc_lims.dashboard.site.build import MARKS, is_site, replaced
from npc_lims.errors import NpcLimsError


def write_site(folder: Path, text: str = "old") -> Path:
    for mark in MARKS:
        path = folder / mark
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_a_new_an_empty_and_a_site_are_written_to(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    before = write_site(tmp_path / "site")
    (before / "data" / "gone.json").write_text("{}", encoding="utf-8")
    for name in ("deep/new", "empty", "site"):
        with replaced(tmp_path / name) as folder:
            write_site(folder, "new")
            assert not (tmp_path / name / MARKS[0]).exists() or (tmp_path / name / MARKS[0]).read_text() == "old"
        assert is_site(tmp_path / name)
        assert (tmp_path / name / MARKS[0]).read_text(encoding="utf-8") == "new"
    assert not (before / "data" / "gone.json").exists(), "nothing of the old one stays"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "empty", "site"]


@pytest.mark.parametrize("name", ["sessions.jsonl", "notes.txt", ".git/config"])
def test_nothing_else_is_ever_replaced(name: str, tmp_path: Path) -> None:
    """A state folder has a sessions.jsonl, too."""
    mine = tmp_path / "mine" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine", encoding="utf-8")
    with pytest.raises(NpcLimsError, match="name a new folder"), replaced(tmp_path / "mine"):
        pytest.fail("it was let in")
    assert mine.read_text(encoding="utf-8") == "mine"
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(NpcLimsError, match="is a file, and would be replaced"), replaced(tmp_path / "file"):
        pytest.fail("it was let in")


@pytest.mark.parametrize("name", [".", "..", "here"])
def test_the_working_directory_is_not_replaced(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    place = tmp_path / "here" if name == "here" else Path(name)
    with pytest.raises(NpcLimsError, match="name another folder"), replaced(place):
        pytest.fail("it was let in")
    assert Path.cwd() == tmp_path / "here"


def test_what_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(NpcLimsError), replaced(tmp_path / "site") as folder:
        write_site(folder)
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "mine").write_text("mine", encoding="utf-8")
    assert (tmp_path / "site" / "mine").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_site(failure: type[BaseException], tmp_path: Path) -> None:
    site = write_site(tmp_path / "site")
    with pytest.raises(failure), replaced(site) as folder:
        write_site(folder, "half")
        raise failure
    assert (site / MARKS[0]).read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="nothing is forbidden to this user")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError), replaced(tmp_path / "site"):
            pytest.fail("it was let in")
    finally:
        tmp_path.chmod(0o700)
