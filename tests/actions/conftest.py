"""A repository with this code and no sessions yet, on a GitHub with settings and secrets, and the cloud of the demo."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.actions.events import Event, push, schedule
from tests.actions.remote import Remote
from tests.actions.runner import run_workflow
from tests.actions.workflow import parse
from tests.actions.world import Environment, Role, Run, World
from tests.git_environment import plain_environment
from tests.integration.world import TOKEN, Cloud, files_of_world
from tests.servers.fixtures import Serve
from tests.servers.github_api import GitHubApiServer

ROOT = Path(__file__).resolve().parents[2]
NAME = "AllenInstitute/npc_lims"
ROLE = "arn:aws:iam::123456789012:role/npc-lims-sync"
BOT = "github-actions[bot]"
TRACKED = "tracked_sessions.yaml"
NO_SESSIONS = b"# Nothing is tracked yet.\nephys:\nbehavior_with_sync:\nbehavior:\n"


@pytest.fixture(scope="session")
def code() -> Mapping[str, bytes]:
    """The files of this repository as they are now, committed or not, as far as jobs use them: no tests, no state, and
    no sessions in the tracked file."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        env=plain_environment(),
        capture_output=True,
        check=True,
    )
    paths = [path for path in listed.stdout.decode().split("\0") if path and not path.startswith(("state/", "tests/"))]
    files = {path: (ROOT / path).read_bytes() for path in paths if (ROOT / path).is_file()}
    return {**files, TRACKED: NO_SESSIONS}


@dataclass
class Lab:
    """The repository, what GitHub knows besides, and the cloud."""

    remote: Remote
    api: GitHubApiServer
    cloud: Cloud
    world: World
    runs: list[Run] = field(default_factory=list)

    def run(self, workflow: str, event: Event) -> Run:
        """Run one of the repository's own workflows; no secret may show in its log."""
        run = run_workflow(self.remote, f".github/workflows/{workflow}.yml", event, self.world)
        self.runs.append(run)
        secrets = {TOKEN, self.cloud.s3.secret_key}
        assert not [secret for secret in secrets if secret in run.raw_log], f"a secret is in the log:\n{run.log}"
        return run

    def set_vars(self, **variables: str) -> None:
        """Set variables of the repository."""
        self.world = replace(self.world, vars={**self.world.vars, **variables})

    def push_tracked(self, content: bytes) -> Event:
        """Somebody merges a new tracked file."""
        before = self.remote.head()
        self.remote.commit({TRACKED: content}, "Sessions")
        return push(self.remote, before)


def tokens_of(api: GitHubApiServer, remote: Remote) -> Callable[[str, Mapping[str, str]], None]:
    """Puts the repository on GitHub, and makes the token of each job known there."""
    api.add_repo(NAME, remote.folder, permissions={BOT: "push"})

    def add_token(token: str, permissions: Mapping[str, str]) -> None:
        areas = {scope.replace("-", "_") for scope, access in permissions.items() if access == "write"}
        api.add_token(token, BOT, may_write=areas)

    return add_token


def alerts(api: GitHubApiServer, state: str, workflow: str = "sync") -> list[str]:
    """Titles of the issues that tell of failures of a workflow."""
    issues = api.records.repos[NAME].issues.values()
    return [issue.title for issue in issues if issue.state == state and f"{workflow}-failure" in issue.labels]


def start_lab(folder: Path, remote: Remote, cloud: Cloud, api: GitHubApiServer) -> Lab:
    """A lab of these servers, at the first stage of the cloud."""
    if sys.platform != "linux":
        pytest.skip("the rehearsed jobs run on Linux")
    cloud.load(1)
    keys = cloud.s3.env()
    world = World(
        folder,
        vars={"AWS_ROLE": ROLE, "CODE_OCEAN_DOMAIN": cloud.codeocean_proxy.url},
        environments={"sync": Environment(secrets={"CODE_OCEAN_API_TOKEN": TOKEN})},
        roles={ROLE: Role(f"repo:{NAME}:environment:sync", {name: keys[name] for name in keys if "_KEY" in name})},
        env={
            "AWS_ENDPOINT_URL": cloud.s3_proxy.url,
            "NPC_LIMS_ATTEMPTS": "2",
            "NPC_LIMS_BACKOFF": "0.01",
            "NPC_LIMS_TIMEOUT": "10",
        },
        api_url=api.url,
        on_token=tokens_of(api, remote),
    )
    return Lab(remote, api, cloud, world)


@pytest.fixture
def lab(code: Mapping[str, bytes], running_cloud: Cloud, serve: Serve, tmp_path: Path) -> Lab:
    """Before any sync."""
    remote = serve(Remote(tmp_path / "remote", NAME, code))
    return start_lab(tmp_path / "world", remote, running_cloud, serve(GitHubApiServer()))


@dataclass(frozen=True)
class FirstSync:
    """What the first sync of the first stage made, for tests that begin there; never to be changed."""

    folder: Path
    """The bare repository."""
    run: Run


@pytest.fixture(scope="session")
def first_sync(code: Mapping[str, bytes], running_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> FirstSync:
    folder = tmp_path_factory.mktemp("first")
    with ExitStack() as servers:
        remote = servers.enter_context(Remote(folder / "remote", NAME, {**code, TRACKED: tracked(1)}))
        lab = start_lab(folder / "world", remote, running_cloud, servers.enter_context(GitHubApiServer()))
        cron = parse(code[".github/workflows/sync.yml"])["on"]["schedule"][0]["cron"]
        return FirstSync(remote.folder, lab.run("sync", schedule(remote, cron)).expect())


@pytest.fixture
def synced_lab(first_sync: FirstSync, running_cloud: Cloud, serve: Serve, tmp_path: Path) -> Lab:
    """After a sync of everything there is at the first stage."""
    remote = serve(Remote(Path(shutil.copytree(first_sync.folder, tmp_path / "remote")), NAME))
    return start_lab(tmp_path / "world", remote, running_cloud, serve(GitHubApiServer()))


def tracked(stage: int) -> bytes:
    """The tracked file of a stage of the world."""
    return files_of_world(stage)[TRACKED]
