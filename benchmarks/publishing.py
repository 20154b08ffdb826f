"""Publishing and comparing, beside what plain git and plain YAML take for the same."""

from __future__ import annotations

import datetime
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import ruamel.yaml

from npc_lims.clients.git import find_repository
from npc_lims.model.record import Observation, Record
from npc_lims.state.compare import compare_states, state_at_commit
from npc_lims.state.diff_format import render_chapters
from npc_lims.state.store import read_state, session_path, write_state
from npc_lims.sync.observation_file import ObservationSet, Scope
from npc_lims.sync.publish import publish
from tests.builders import asset, many_records, no_assets, session_ids
from tests.integration.world import commit_all, run_git

CHANGED = 50
SAMPLE = 100


def timed(action: Callable[[], object], times: int = 3) -> float:
    """Median seconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


class Repositories:
    """A remote with the state of *count* sessions, and two clones of it: one for npc_lims, one for plain git."""

    def __init__(self, folder: Path, count: int) -> None:
        self.records = many_records(count)
        self.ids = session_ids(count)
        self._turn = 0
        seed = folder / "seed"
        seed.mkdir(parents=True)
        write_state(seed / "state", read_state(seed / "state"), self.records)
        commit_all(seed)
        for name in ("ours", "plain"):
            run_git(folder, "clone", "--quiet", "--bare", "seed", f"{name}.git")
            run_git(folder, "clone", "--quiet", f"{name}.git", name)
            run_git(folder / name, "config", "user.name", "benchmark")
            run_git(folder / name, "config", "user.email", "benchmark@example.org")
        self.ours, self.plain = folder / "ours", folder / "plain"

    def publish(self) -> None:
        """Tell of a new asset of the next sessions."""
        self._turn += 1
        ids = self.ids[self._turn * CHANGED :][:CHANGED]
        now = datetime.datetime.now(datetime.timezone.utc)
        facts = {session: no_assets(raw=asset(f"ecephys_{session}_10-00-00")) for session in ids}
        publish(self.ours / "state", [ObservationSet((Observation("codeocean", facts),), Scope(frozenset(ids)), now)])

    def push_plainly(self) -> None:
        """Touch as many files, and commit and push these."""
        self._turn += 1
        for session in self.ids[self._turn * CHANGED :][:CHANGED]:
            path = session_path(self.plain / "state", session)
            path.write_bytes(path.read_bytes() + b"# touched\n")
        commit_all(self.plain)
        run_git(self.plain, "push", "--quiet")

    def change(self, count: int) -> None:
        """Commit another status of the first *count* sessions to our clone."""
        state = self.ours / "state"
        loaded = read_state(state)
        changed: dict[str, Record] = {
            session: loaded.records[session].model_copy(update={"codeocean": no_assets(raw=asset("another"))})
            for session in self.ids[:count]
        }
        write_state(state, loaded, {**loaded.records, **changed})
        commit_all(self.ours)


def diff(folder: Path) -> None:
    """What `npc-lims diff HEAD~1 HEAD --what state` does."""
    repository = find_repository(folder)
    one, other = (state_at_commit(repository, repository.commit_of(ref), "state", ref) for ref in ("HEAD~1", "HEAD"))
    render_chapters([compare_states(one, other).chapter()])


def read_yaml(folder: Path, ids: list[str]) -> None:
    """Parse a few session files: how long all of them take follows from it."""
    yaml = ruamel.yaml.YAML(typ="safe", pure=True)
    for session in ids:
        yaml.load(session_path(folder / "state", session).read_bytes())


def measure(folder: Path, count: int) -> list[tuple[str, str]]:
    """Lines of the table: what, and its result."""
    repositories = Repositories(folder, count)
    ours, plain = timed(repositories.publish), timed(repositories.push_plainly)
    half = count // 2
    repositories.change(half)
    compared = timed(lambda: diff(repositories.ours))
    by_yaml = timed(lambda: read_yaml(repositories.ours, repositories.ids[:SAMPLE]), 1) * 2 * half / SAMPLE
    return [
        (
            f"{count:,} sessions: {CHANGED} published to a local remote",
            f"{ours:.1f} s; git add, commit, push of as many files {plain:.1f} s: {ours / plain:.1f} : 1",
        ),
        (
            f"{count:,} sessions, {half:,} changed: diff of two commits",
            f"{compared:.1f} s; reading these files as YAML {by_yaml:.0f} s: 1 : {by_yaml / compared:.0f}",
        ),
    ]
