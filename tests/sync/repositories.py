"""Repositories and observations to publish: for the tests, and as a publisher in a process of its own.

`python -m tests.sync.repositories CHECKOUT FILE...` publishes the observations in these files, one after the other.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from npc_lims.config.settings import Settings
from npc_lims.model.record import CodeOcean, Observation, Record
from npc_lims.state.store import read_state, verify_state
from npc_lims.sync.observation_file import EVERYTHING, ObservationSet, Scope, read_observations
from npc_lims.sync.publish import Published, publish
from npc_lims.sync.run import SyncOptions, sync
from tests.builders import asset, no_assets, nothing_on_s3, session_ids
from tests.integration.world import commit_all, run_git

SESSIONS = session_ids(60)
NOON = datetime.datetime(2024, 10, 1, 12, tzinfo=datetime.timezone.utc)


def tracked_text(ids: Sequence[str]) -> str:
    entries = (f"    - //allen/{id_.split('_')[0]}/DRpilot_{id_.replace('-', '')}\n" for id_ in ids)
    # not ephys, of which being uploaded would take a query of S3, too
    return "behavior_with_sync:\n  DynamicRouting:\n" + "".join(entries)


def make_remote(folder: Path) -> Path:
    """A bare repository whose main branch holds a tracked file, the state that it gives, and a README."""
    seed = folder / "seed"
    seed.mkdir(parents=True)
    (seed / "tracked_sessions.yaml").write_text(tracked_text(SESSIONS))
    (seed / "README.md").write_text("state of a lab\n")
    (seed / ".gitattributes").write_text("state/** text eol=lf\n")
    sync(Settings(), SyncOptions(seed / "state", seed / "tracked_sessions.yaml", sources=["tracked"]))
    commit_all(seed, "all sessions")
    remote = folder / "remote.git"
    run_git(folder, "clone", "--quiet", "--bare", str(seed), str(remote))
    return remote


def clone(remote: Path, folder: Path, *options: str) -> Path:
    """A checkout of *remote* whose user git knows."""
    settings = ("user.name=tests", "user.email=tests@example.org", "commit.gpgsign=false")
    options = (*(f"--config={setting}" for setting in settings), *options)
    run_git(folder.parent, "clone", "--quiet", *options, remote.as_uri(), str(folder))
    return folder


def observation_set(
    codeocean: dict[str, CodeOcean] | None = None,
    stim: dict[str, list[str]] | None = None,
    *,
    at: datetime.datetime = NOON,
    **more: Any,
) -> ObservationSet:
    """Observations of a few sessions in Code Ocean and S3."""
    observations = [Observation("codeocean", codeocean or {}, **more)]
    if stim is not None:
        observations.append(Observation("s3", {id_: nothing_on_s3(stim=names) for id_, names in stim.items()}))
    ids = frozenset({*(codeocean or {}), *(stim or {})})
    return ObservationSet(tuple(observations), Scope(ids), at)


def uploaded(session_id: str, start: str = "13-07-32") -> CodeOcean:
    """A raw asset, and nothing made from it."""
    return no_assets(raw=asset(f"ecephys_{session_id[:17]}_{start}"))


def tracked_look() -> ObservationSet:
    """An observation of the tracked file, whatever its content."""
    return ObservationSet((Observation("tracked", complete=True),), EVERYTHING, NOON)


def push(checkout: Path, *observed: ObservationSet, **more: Any) -> Published:
    return publish(checkout / "state", observed, **{"backoff": 0.01, **more})


def state_of(remote: Path, folder: Path, branch: str = "main") -> dict[str, Record]:
    """The records on a branch of *remote*, whose state must be sound; it is cloned to *folder*."""
    checkout = clone(remote, folder, f"--branch={branch}")
    assert verify_state(checkout / "state") == []
    assert not any(b"<<<<<<<" in path.read_bytes() for path in (checkout / "state").rglob("*.*"))
    return dict(read_state(checkout / "state").records)


def subjects_of_commits(repository: Path, ref: str = "main") -> list[str]:
    """Subjects of the messages, the newest first."""
    return run_git(repository, "log", "--format=%s", ref).splitlines()


if __name__ == "__main__":
    for file in sys.argv[2:]:
        done = push(Path(sys.argv[1]), read_observations(Path(file)), attempts=40, backoff=0.05)
        sys.stdout.write(f"{done.attempts}\n")
