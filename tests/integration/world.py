"""The demo's invented lab, served by real servers, and what tests need to look at it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from npc_lims.config.settings import load_settings
from npc_lims.demo.files import world_files
from npc_lims.sync.run import SyncOptions, SyncResult, sync
from tests.git_environment import plain_environment
from tests.servers.codeocean import CodeOceanServer
from tests.servers.faults import FaultyProxy
from tests.servers.raw_github import RawGitHubServer
from tests.servers.s3 import SeaweedS3
from tests.servers.web import Request, Server

TOKEN = "cop_5e0c1a77e5ec2e7"
"""Recognisable: tests look for it where it must never be."""
GITHUB_TOKEN = "ghp_5e0c1a77e5ec2e7"
TASK_BUCKET = "aind-scratch-data"
TASK_FOLDER = "dynamic-routing/DynamicRoutingTask/"
WORKBOOKS = ("DynamicRoutingTraining.xlsx", "DynamicRoutingTrainingNSB.xlsx")

UPLOADED = "901003_2024-10-24"
SORTED = "901002_2024-05-15"
ADDED = "901005_2024-11-04"

_S3 = "mirror/s3/"


class Cloud:
    """SeaweedFS and a Code Ocean server, each behind a proxy that can break, holding a stage of the world."""

    def __init__(self, s3: SeaweedS3) -> None:
        self.s3 = s3
        self.s3_proxy = FaultyProxy(s3.endpoint)
        self.codeocean = CodeOceanServer([], token=TOKEN)
        self.codeocean_proxy = FaultyProxy("")
        self._objects: dict[str, bytes] = {}
        self._clearings = -1
        self._client = s3.client()

    @contextlib.contextmanager
    def running(self) -> Iterator[Cloud]:
        with self.codeocean, self.s3_proxy:
            self.codeocean_proxy = FaultyProxy(self.codeocean.url)
            with self.codeocean_proxy:
                yield self

    def load(self, stage: int) -> None:
        """Hold exactly the world of *stage*, and forget requests and faults."""
        files = files_of_world(stage)
        self.put_objects({name[len(_S3) :]: content for name, content in files.items() if name.startswith(_S3)})
        self.codeocean.assets = assets(stage)
        self.forget_requests()

    def put_objects(self, wanted: Mapping[str, bytes]) -> None:
        """Hold these objects (`<bucket>/<key>`) and no others, whoever has used the S3 service in between."""
        if self._clearings != self.s3.clearings:
            self.s3.clear()
            self._clearings, self._objects = self.s3.clearings, {}
        new = {name: content for name, content in wanted.items() if self._objects.get(name) != content}
        empty: dict[str, list[str]] = {}
        for name, content in new.items():
            bucket, _, key = name.partition("/")
            if content:
                self.s3.put(bucket, key, content)
            else:
                empty.setdefault(bucket, []).append(key)
        for bucket, keys in empty.items():
            self.s3.put_many(bucket, keys)
        gone: dict[str, list[dict[str, str]]] = {}
        for name in set(self._objects) - set(wanted):
            bucket, _, key = name.partition("/")
            gone.setdefault(bucket, []).append({"Key": key})
        for bucket, keys_gone in gone.items():
            self._client.delete_objects(Bucket=bucket, Delete={"Objects": keys_gone})
        self._objects = dict(wanted)

    def change(self, **objects: bytes | None) -> None:
        """Replace objects by `<bucket>/<key>`, or delete those given as None."""
        wanted = {**self._objects, **objects}
        self.put_objects({name: content for name, content in wanted.items() if content is not None})

    def change_workbook(self, name: str, content: bytes | None) -> None:
        self.change(**{f"{TASK_BUCKET}/{TASK_FOLDER}{name}": content})

    def forget_requests(self) -> None:
        for server in (self.codeocean, self.codeocean_proxy, self.s3_proxy):
            server.reset()

    @property
    def requests(self) -> int:
        """Requests received, of both services, since they were last forgotten."""
        return self.s3_proxy.count + self.codeocean_proxy.count

    def env(self) -> dict[str, str]:
        """What a user sets to reach both services."""
        return {
            **self.s3.env(),
            "AWS_ENDPOINT_URL": self.s3_proxy.url,
            "CODE_OCEAN_DOMAIN": self.codeocean_proxy.url,
            "CODE_OCEAN_API_TOKEN": TOKEN,
        }


@dataclasses.dataclass(frozen=True)
class GitHub:
    """A raw GitHub server and the proxy that clients see."""

    raw: RawGitHubServer
    proxy: FaultyProxy

    @property
    def requests(self) -> list[Request]:
        """What was asked for, in order, but for the daily check of freshness."""
        return without_checks(self.proxy)

    @property
    def paths(self) -> list[str]:
        """What was asked for, in order, below the repository and ref, but for the daily check of freshness."""
        return [request.path.partition("/main/")[2] for request in self.requests]

    def fork(self, folder: Path) -> Path:
        """Serve a copy of the repository, which a test may change."""
        self.raw.repo_dir = Path(shutil.copytree(self.raw.repo_dir, folder))
        return self.raw.repo_dir


def without_checks(server: Server) -> list[Request]:
    """What a server was asked for, in order, but for the daily check of freshness."""
    return [request for request in server.requests if not request.path.endswith("/sync.yaml")]


def cached_files(cache: Path | None = None) -> list[Path]:
    """Kept snapshots on this machine."""
    return sorted((cache or Path(os.environ["NPC_LIMS_CACHE_DIR"])).rglob("*.jsonl"))


@contextlib.contextmanager
def down(*servers: Server) -> Iterator[None]:
    """Nobody listens where these servers were."""
    for server in servers:
        server.stop()
    try:
        yield
    finally:
        for server in servers:
            server.start()


@functools.lru_cache(maxsize=2)
def files_of_world(stage: int) -> dict[str, bytes]:
    """`world_files`, made once: writing workbooks takes a while."""
    return world_files(stage)


def assets(stage: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(files_of_world(stage)["mirror/codeocean/data_assets.json"])
    return found


def workbook(stage: int, name: str = WORKBOOKS[0]) -> bytes:
    return files_of_world(stage)[f"{_S3}{TASK_BUCKET}/{TASK_FOLDER}{name}"]


def write_tracked(folder: Path, stage: int) -> Path:
    """The tracked file of *stage*, in *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tracked_sessions.yaml"
    path.write_bytes(files_of_world(stage)[path.name])
    return path


def run_sync(folder: Path, **options: Any) -> SyncResult:
    """A sync of `folder/tracked_sessions.yaml` into `folder/state`, as the environment says."""
    return sync(
        load_settings(folder=folder),
        SyncOptions(state=folder / "state", tracked=folder / "tracked_sessions.yaml", **options),
    )


def files_of(folder: Path, *left_out: str) -> dict[str, bytes]:
    """Every file below *folder* with its content, but those of some names."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in left_out
    }


def facts_of(state: Path) -> dict[str, bytes]:
    """What a state folder says of sessions: all but when it was made."""
    return files_of(state, "sync.yaml")


class Done:
    """What a command gave."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    def __repr__(self) -> str:
        return f"exit {self.code}\n{self.out}\n{self.err}"


def run_cli(*arguments: str) -> Done:
    """`npc-lims` with *arguments*, in this process."""
    from npc_lims.cli import main

    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    argv = mock.patch.object(sys, "argv", ["npc-lims", *arguments])
    # the command shows warnings in its own way from then on
    with warnings.catch_warnings(), argv, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as exit_:
            code = exit_.code or 0
    return Done(int(code), out.getvalue(), err.getvalue())


def run_git(folder: Path, *arguments: str) -> str:
    """What git prints, in *folder*, whatever the developer's own settings and hooks are."""
    # git tidies up in the background after a large commit: files vanish below whoever copies the repository
    settings = ("user.name=tests", "user.email=tests@example.org", "commit.gpgsign=false", "gc.auto=0")
    done = subprocess.run(
        ["git", *(word for setting in settings for word in ("-c", setting)), *arguments],
        cwd=folder,
        env=plain_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def commit_all(folder: Path, message: str = "state") -> str:
    """Commit everything in *folder*, a new repository if need be. The commit."""
    if not (folder / ".git").exists():
        run_git(folder, "init", "--quiet", "--initial-branch=main")
    run_git(folder, "add", "--all")
    run_git(folder, "commit", "--quiet", "--allow-empty", f"--message={message}")
    return run_git(folder, "rev-parse", "HEAD").strip()
