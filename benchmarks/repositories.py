"""What git takes for state of one size: to import, commit, pack, clone, check out, and look up one file's history."""

from __future__ import annotations

import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple

from benchmarks.child import Child, run_python
from benchmarks.growing import GrowingLab, Kept, session_file
from benchmarks.shards import Cut
from npc_lims.state.snapshot import SNAPSHOT

__all__ = ["Measured", "import_state", "measure", "packed_growth"]

_NOBODY = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@example.org")
# packing and cleaning up happen where they are measured, and nowhere else
_BY_HAND = ("-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "receive.autogc=false")


class Measured(NamedTuple):
    """A figure: `unit` is B (bytes), s (seconds of CPU, all processes), or what is counted."""

    what: str
    amount: float
    unit: str


def git(folder: Path, *args: str) -> Child:
    return run_python("git", ["-C", str(folder), *_NOBODY, *_BY_HAND, *args])


def import_state(folder: Path, kept: Iterable[Kept], cut_lines: Callable[[Mapping[str, bytes]], Cut]) -> Cut:
    """Make `remote.git` in *folder*, with one commit: the files *kept*, and the snapshot cut by *cut_lines*."""
    remote = folder / "remote.git"
    remote.mkdir(parents=True)
    git(remote, "init", "--quiet", "--bare", "--initial-branch=main")
    lines: dict[str, bytes] = {}
    with subprocess.Popen(["git", "-C", str(remote), "fast-import", "--quiet"], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b"commit refs/heads/main\ncommitter benchmark <benchmark@example.org> 1700000000 +0000\n")
        process.stdin.write(b"data 6\nimport\n")
        for one in kept:
            _stream(process.stdin, session_file(one.id), one.content)
            lines[one.id] = one.line
        cut = cut_lines(lines)
        for path, content in _shard_files(cut, cut.shards).items():
            _stream(process.stdin, path, content)
    if process.returncode:
        raise RuntimeError(f"git fast-import: exit code {process.returncode}")
    return cut


def measure(folder: Path, lab: GrowingLab, cut: Cut, syncs: int) -> Iterator[Measured]:
    """What `import_state` made, checked out, and worked on for so many *syncs*."""
    remote, work = folder / "remote.git", folder / "work"
    yield Measured("git gc after the import", git(remote, "gc", "--quiet").cpu, "s")
    yield Measured(".git after the import", _size(remote), "B")
    git(folder, "clone", "--quiet", "--no-checkout", remote.as_uri(), str(work))
    shutil.rmtree(remote)
    yield Measured("checkout of all files", git(work, "checkout", "--quiet", "main").cpu, "s")
    yield Measured("git status, nothing changed", _median(lambda: git(work, "status", "--porcelain")), "s")
    yield from _after_syncs(work, lab, cut, syncs)
    yield from _clones(work, folder / "clone", lab.subject_in_the_middle())
    changed = list(lab.new_cache_version())
    yield Measured("session files changed by new caches of all", len(changed), "files")
    yield Measured("git add and commit of new caches of all", _commit(work, changed, cut), "s")
    shutil.rmtree(work)


def _after_syncs(work: Path, lab: GrowingLab, cut: Cut, syncs: int) -> Iterator[Measured]:
    before = _size(work / ".git")
    changes = [lab.sync() for _ in range(syncs)]
    yield Measured("session files changed by a sync", statistics.median(map(len, changes)), "files")
    commits = [_commit(work, change, cut) for change in changes]
    yield Measured("git add and commit of a sync", statistics.median(commits), "s")
    loose = _size(work / ".git") - before
    yield Measured(".git grows by 100 syncs, not packed", loose * 100 / syncs, "B")
    path = session_file(changes[0][0].id)
    start = _median(lambda: git(work, "rev-parse", "HEAD"))
    taken = max(0.0, _median(lambda: git(work, "log", "--oneline", "--", path)) - start)
    yield Measured("git log of one file, by 100 commits", taken * 100 / (syncs + 1), "s")
    yield Measured("git gc after the syncs", git(work, "gc", "--quiet", "--prune=now").cpu, "s")
    yield Measured(".git grows by 100 syncs, packed", max(0, _size(work / ".git") - before) * 100 / syncs, "B")


def _clones(source: Path, clone: Path, subject: str) -> Iterator[Measured]:
    git(source, "config", "uploadpack.allowFilter", "true")
    ways = {
        "clone, all history": ("--no-checkout",),
        "clone, depth 1": ("--no-checkout", "--depth=1"),
        "clone, blob:none, sparse, one subject": ("--filter=blob:none", "--sparse"),
    }
    for name, options in ways.items():
        taken = git(source, "clone", "--quiet", *options, (source / ".git").as_uri(), str(clone)).cpu
        if "--sparse" in options:
            taken += git(clone, "sparse-checkout", "set", "--no-cone", f"/state/sessions/{subject}/").cpu
        yield Measured(f"{name}: .git", _size(clone / ".git"), "B")
        yield Measured(name, taken, "s")
        shutil.rmtree(clone)


def packed_growth(folder: Path, cut: Cut, changes: Iterable[Iterable[Kept]], compress: bool) -> tuple[int, int]:
    """Bytes that syncs add to a repository of nothing but the snapshot, before and after packing."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    _write_shards(folder, cut, cut.shards, compress)
    _commit_all(folder)
    git(folder, "gc", "--quiet", "--prune=now")
    before = _size(folder / ".git")
    for change in changes:
        _write_shards(folder, cut, cut.change(change), compress)
        _commit_all(folder)
    loose = _size(folder / ".git") - before
    git(folder, "gc", "--quiet", "--prune=now")
    packed = _size(folder / ".git") - before
    shutil.rmtree(folder)
    return loose, packed


def _commit(work: Path, changes: Iterable[Kept], cut: Cut) -> float:
    """Seconds of CPU that the commit takes as publishing makes it: git finds what is new."""
    listed = list(changes)
    for kept in listed:
        path = work / session_file(kept.id)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(kept.content)
    _write_shards(work, cut, cut.change(listed))
    return _commit_all(work)


def _commit_all(work: Path) -> float:
    return git(work, "add", "--all", "--", "state").cpu + git(work, "commit", "--quiet", "--message=sync").cpu


def _write_shards(root: Path, cut: Cut, keys: Iterable[str], compress: bool = False) -> None:
    for name, content in _shard_files(cut, keys, compress).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _shard_files(cut: Cut, keys: Iterable[str], compress: bool = False) -> Mapping[str, bytes]:
    """Path in the repository to content: the one file that there is today, or shards and their index."""
    shards = {key: cut.shards[key] for key in keys}
    if list(cut.shards) == [""]:
        return {f"state/{SNAPSHOT}": shard.packed if compress else shard.content for shard in shards.values()}
    files = {
        f"state/snapshot/{key}.jsonl": shard.packed if compress else shard.content for key, shard in shards.items()
    }
    return {**files, "state/snapshot/index.json": cut.index}


def _stream(stdin: IO[bytes], path: str, content: bytes) -> None:
    stdin.write(f"M 100644 inline {path}\ndata {len(content)}\n".encode())
    stdin.write(content)
    stdin.write(b"\n")


def _size(folder: Path) -> int:
    """Bytes of all files, as they lie: not the blocks that they take."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _median(run: Callable[[], Child]) -> float:
    return statistics.median(run().cpu for _ in range(3))
