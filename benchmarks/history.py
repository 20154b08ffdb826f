"""Reading a long history, beside what a reader without any of it in mind takes for the same.

The snapshot is left out of the commits: nothing here reads it, and writing it two thousand times takes an hour.
"""

from __future__ import annotations

import datetime
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import ruamel.yaml

from benchmarks.child import run_code
from benchmarks.world import World
from npc_lims.clients.git import Repository
from npc_lims.model.flags import compute_status
from npc_lims.model.record import Asset, Record, Training
from npc_lims.state.store import session_path
from npc_lims.utils.yaml import render_yaml

__all__ = ["SYNCS", "measure"]

SYNCS = 2_000
CHANGED = 50
"""Sessions that a sync changes."""
EDITS_EVERY = 10
"""Syncs from one edit of tracked_sessions.yaml to the next."""
SAMPLE = 100
CHECKOUTS = 3
BEGIN = 1_700_000_000
SECONDS_BETWEEN_SYNCS = 6 * 3600

CODE = """
from pathlib import Path
from npc_lims.clients.git import Repository
repository = Repository(Path({folder!r}))
"""
EXPORT = """
from npc_lims.history.export import export_history
result["rows"] = dict(export_history(repository, Path({folder!r}) / "out.sqlite").counts)
import os
result["cpu"] = sum(os.times()[:4])
"""
ONE = """
from npc_lims.history.walk import read_history
result["found"] = len(list(read_history(repository, session={session!r})))
"""
WEEK = """
from npc_lims.history.transitions import Digest
from npc_lims.history.walk import read_history
from npc_lims.state.diff_format import render_chapters
render_chapters([Digest("a week", tuple(read_history(repository, since={since!r}))).chapter()])
"""


class Generated:
    """A bare repository with the history of the lab of *size* sessions, always the same for the same sizes."""

    def __init__(self, folder: Path, size: int, syncs: int) -> None:
        self.folder = folder
        self.world = World(size)
        self.records = self.world.records()
        self._random = random.Random(1)
        self.versions = 0
        folder.mkdir(parents=True)
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main"], cwd=folder, check=True)
        with subprocess.Popen(["git", "fast-import", "--quiet"], cwd=folder, stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            for number in range(syncs):
                self._sync(process.stdin, number)
        assert process.returncode == 0, "git fast-import failed"

    def _sync(self, out: IO[bytes], number: int) -> None:
        if number % EDITS_EVERY == 0:
            self._commit(out, number, "an edit")
            text = self.world.tracked_text().replace("day: 1\n", f"day: 1\n        notes: {number}\n", 1)
            _write(out, "tracked_sessions.yaml", text)
        self._commit(out, number, "state: a sync")
        changed = list(self.records) if number == 0 else self._random.sample(list(self.records), CHANGED)
        for session in changed:
            if number:
                self.records[session] = self._changed(self.records[session])
            path = session_path(Path("state"), session).as_posix()
            _write(out, path, render_yaml(self.records[session].as_dict()))
        self.versions += len(changed)

    def _commit(self, out: IO[bytes], number: int, message: str) -> None:
        when = BEGIN + number * SECONDS_BETWEEN_SYNCS
        out.write(f"commit refs/heads/main\ncommitter bench <bench@example.org> {when} +0000\n".encode())
        out.write(f"data {len(message)}\n{message}\n".encode())

    def _changed(self, record: Record) -> Record:
        """Another row, and of a session with assets another sorting, or none."""
        update: dict[str, object] = {}
        if isinstance(record.training, Training):
            hits = str([self._random.randrange(10) for _ in range(6)])
            update["training"] = record.training.model_copy(update={"hits": hits})
        if record.codeocean:
            name = f"{record.id}_sorted_{self._random.random()}"
            asset = Asset(id=name, name=name, created="2024-06-01T12:00:00Z")
            sorted_ = asset if self._random.random() < 0.8 else False
            update["codeocean"] = record.codeocean.model_copy(update={"sorted": sorted_})
        made = record.model_copy(update=update)
        return made.model_copy(update={"status": compute_status(made.as_dict())})


def _write(out: IO[bytes], path: str, text: str) -> None:
    content = text.encode()
    out.write(f"M 100644 inline {path}\ndata {len(content)}\n".encode() + content + b"\n")


def measure(folder: Path, size: int, syncs: int = SYNCS) -> Iterator[tuple[str, str, str, bool | None]]:
    """Lines of the table: what, its result, an aim, and whether that was met."""
    made = Generated(folder / "state.git", size, syncs)
    repository = Repository(made.folder)
    begin = CODE.format(folder=str(made.folder))
    path = {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    whole = run_code(begin + EXPORT.format(folder=str(folder)), path)
    by_yaml, by_checkout = _seconds_of_yaml(repository, made), _seconds_of_checkouts(repository, folder, syncs)
    seconds = whole["wall"] / 1000
    of = f"history of {syncs:,} syncs of {size:,} sessions"
    told = [
        f"{seconds:.0f} s, {whole['cpu']:.0f} s of CPU (git's included), {whole['peak_mb']:.0f} MB",
        f"{whole['rows']['transitions']:,} transitions, {whole['rows']['fields']:,} values",
        f"reading each version with ruamel.yaml {by_yaml:,.0f} s: 1 : {by_yaml / seconds:.0f}",
        f"only checking out each commit {by_checkout:,.0f} s: 1 : {by_checkout / seconds:.1f}",
    ]
    yield f"{of}: exported to SQLite", "; ".join(told), "< 60 s", seconds < 60
    one = [run_code(begin + ONE.format(session=session), path) for session in list(made.records)[:3]]
    yield f"{of}: one session", f"{statistics.median(run['wall'] for run in one):.0f} ms", "", None
    last = datetime.datetime.fromtimestamp(BEGIN + syncs * SECONDS_BETWEEN_SYNCS, datetime.timezone.utc)
    since = f"{last - datetime.timedelta(days=7):%Y-%m-%d}"
    week = run_code(begin + WEEK.format(since=since), path)
    yield f"{of}: digest of the last week", f"{week['wall']:.0f} ms", "", None


def _seconds_of_yaml(repository: Repository, made: Generated) -> float:
    """Reading all versions with the reader of YAML that the library has, from a sample of files."""
    yaml = ruamel.yaml.YAML(typ="safe", pure=True)
    some = random.Random(2).sample(sorted(repository.list_files("HEAD", "state").values()), SAMPLE)
    contents = repository.read_blobs(some).values()
    began = time.perf_counter()
    for content in contents:
        yaml.load(content)
    return (time.perf_counter() - began) / len(contents) * made.versions


def _seconds_of_checkouts(repository: Repository, folder: Path, syncs: int) -> float:
    """Checking out all commits, one after the other, from a few of them."""
    tree = folder / "tree"
    repository.run("worktree", "add", "--quiet", "--detach", str(tree), "HEAD")
    began = time.perf_counter()
    for number in range(1, CHECKOUTS + 1):
        Repository(tree).run("checkout", "--quiet", "--detach", f"HEAD~{number}")
    return (time.perf_counter() - began) / CHECKOUTS * syncs


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as temporary:
        for line in measure(Path(temporary), *map(int, sys.argv[1:])):
            print(line, flush=True)
