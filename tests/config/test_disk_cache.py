"""The cache on disk is the user's alone, and what somebody else put there is ignored."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pytest

import npc_lims
from npc_lims.config.disk_cache import CacheEntry, load_entry, prepare_folder, prune_folder, store_entry
from npc_lims.config.settings import Settings
from npc_lims.processing.workflow import locked
from npc_lims.state.as_of import load_cached, store_cached
from tests.integration.world import GitHub, cached_files

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has other owners and modes")
as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")

OTHER = 65534
"""A user other than the one who runs the tests."""


@pytest.fixture(autouse=True)
def open_umask() -> object:
    """What a careless login leaves to everybody."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    """Mode by path below *folder*, itself included."""
    return {
        path.relative_to(folder).as_posix(): oct(stat.S_IMODE(path.stat().st_mode))
        for path in [folder, *folder.rglob("*")]
    }


def is_private(folder: Path) -> bool:
    return all(mode == ("0o700" if (folder / name).is_dir() else "0o600") for name, mode in modes(folder).items())


# --- modes


def test_everything_that_is_cached_is_for_the_user_alone(github: GitHub, tmp_path: Path) -> None:
    settings = Settings(cache_dir=tmp_path / "new" / "cache")
    store_cached(settings, "snapshots", "state", "a" * 40, b"{}\n")
    store_entry(
        tmp_path / "new" / "cache" / "training" / "book.xlsx", CacheEntry(b"content", "1", "s3://bucket/book.xlsx")
    )
    with locked(tmp_path, tmp_path / "new" / "cache" / "locks"):
        pass
    assert len(modes(tmp_path / "new" / "cache")) == 8
    assert is_private(tmp_path / "new" / "cache")
    assert npc_lims.get_session_info()
    cache = Path(os.environ["NPC_LIMS_CACHE_DIR"])
    assert len(modes(cache)) >= 3
    assert is_private(cache)


def test_a_cache_of_before_is_made_private(github: GitHub) -> None:
    npc_lims.get_session_info()
    cache = Path(os.environ["NPC_LIMS_CACHE_DIR"])
    for path in [cache, *cache.rglob("*")]:
        path.chmod(0o777)
    npc_lims.clear_caches()
    assert npc_lims.get_session_info()
    assert oct(stat.S_IMODE(cached_files()[0].stat().st_mode)) == "0o600", "what is read"
    npc_lims.get_session_info(ttl_seconds=0)
    prepare_folder(cache / "snapshots")
    assert {oct(stat.S_IMODE(path.stat().st_mode)) for path in (cache, cache / "snapshots")} == {"0o700"}


def test_a_folder_with_other_things_keeps_its_mode(tmp_path: Path) -> None:
    """NPC_LIMS_CACHE_DIR may name a folder that others use as well, such as that for temporary files."""
    tmp_path.chmod(0o777)
    (tmp_path / "of somebody").mkdir()
    store_entry(tmp_path / "training" / "book", CacheEntry(b"content", "1", "address"))
    entry = load_entry(tmp_path / "training" / "book", "address", "1")
    assert entry is not None
    assert entry.content == b"content"
    assert oct(stat.S_IMODE(tmp_path.stat().st_mode)) == "0o777"
    assert is_private(tmp_path / "training")


# --- what somebody else put there


@as_root
@pytest.mark.parametrize("what", ["snapshots", "entry"])
def test_a_snapshot_of_another_user_is_ignored(github: GitHub, what: str) -> None:
    """As root, who may read and write everything, the tests are the user; the file is a stranger's."""
    before = [str(info.id) for info in npc_lims.get_session_info()]
    (path,) = cached_files()
    forged = path.read_bytes()
    path.write_bytes(forged)
    os.chown(path.parent if what == "snapshots" else path, OTHER, OTHER)
    npc_lims.clear_caches()
    github.proxy.reset()
    with pytest.warns(npc_lims.CacheWarning, match="belongs to another user") as caught:
        assert [str(info.id) for info in npc_lims.get_session_info()] == before
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert "state/sessions.jsonl" in github.paths, "fetched, not read from what a stranger can write"
    asked = len(github.paths)
    assert [str(info.id) for info in npc_lims.get_session_info()] == before
    assert len(github.paths) == asked, "memory stands in"
    if what == "entry":
        assert path.stat().st_uid == os.geteuid(), "replaced"


READ = """\
import os, sys, warnings
from pathlib import Path
from npc_lims.config.disk_cache import load_entry  # all of it, as the other user may not be allowed to read the package
os.setgroups([]); os.setgid(65534); os.setuid(65534)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    entry = load_entry(Path(sys.argv[1]), "address", "1")
    print(entry and entry.content, [str(one.category.__name__) for one in caught])
"""


def read_as_other(path: Path) -> str:
    command = [sys.executable, "-c", READ, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@as_root
@pytest.mark.parametrize(
    ("owner", "answer"), [(0, "b'content' []"), (OTHER, "b'content' []"), (1234, "None ['CacheWarning']")]
)
def test_another_user_reads_what_is_its_own_or_roots(owner: int, answer: str) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to others
        path = Path(folder) / "cache" / "training" / "book"
        store_entry(path, CacheEntry(b"content", "1", "address"))
        for each in (path, path.parent, path.parent.parent, Path(folder)):
            each.chmod(0o755)
            os.chown(each, owner, owner)
        assert read_as_other(path) == answer


@pytest.mark.parametrize("what", ["snapshots", "entry"])
def test_a_symbolic_link_is_ignored(github: GitHub, tmp_path: Path, what: str) -> None:
    before = [str(info.id) for info in npc_lims.get_session_info()]
    (path,) = cached_files()
    moved, target = (path.parent, tmp_path / "elsewhere") if what == "snapshots" else (path, tmp_path / "file")
    moved.rename(target)
    moved.symlink_to(target)
    held = {each.name: each.read_bytes() for each in [target, *target.rglob("*")] if each.is_file()}
    npc_lims.clear_caches()
    github.proxy.reset()
    with pytest.warns(npc_lims.CacheWarning, match="is a symbolic link") as caught:
        assert [str(info.id) for info in npc_lims.get_session_info()] == before
    assert len(caught) == 1
    assert [str(info.id) for info in npc_lims.get_session_info()] == before
    assert github.paths[0] == "state/sessions.jsonl"
    assert {each.name: each.read_bytes() for each in [target, *target.rglob("*")] if each.is_file()} == held
    if what == "entry":
        assert not path.is_symlink()


@pytest.mark.parametrize("linked", ["history", "history/snapshots"])
def test_the_past_is_not_read_or_deleted_through_a_link(tmp_path: Path, linked: str) -> None:
    settings = Settings(cache_dir=tmp_path / "cache")
    store_cached(settings, "snapshots", "state", "a" * 40, b"{}\n")
    folder = tmp_path / "cache" / linked
    (cached,) = (path.name for path in folder.rglob("*") if path.is_file())
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.warns(npc_lims.CacheWarning, match="is a symbolic link"):
        assert load_cached(settings, "snapshots", "state", "a" * 40) is None
    store_cached(settings, "snapshots", "state", "b" * 40, b"{}\n")
    prune_folder(tmp_path / "cache" / "history" / "snapshots", 0, 0)
    assert [path.name for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()] == [cached]


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    locks = tmp_path / "cache" / "locks"
    with locked(tmp_path, locks):
        (lock,) = locks.glob("*.lock")
    lock.rename(tmp_path / "elsewhere")
    lock.symlink_to(tmp_path / "elsewhere")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", npc_lims.CacheWarning)
        with pytest.raises(npc_lims.StateError, match="cannot be used as a lock"), locked(tmp_path, locks):
            pass
