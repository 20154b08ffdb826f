"""A laboratory's repository on GitHub, as tests of what talks to GitHub need it: a real bare one, with people."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from npc_lims.config.settings import Settings, load_settings
from tests.servers.github_api import GitHubApiServer
from tests.servers.github_git import NO_OBJECT, GitRepo, Signature, init_bare
from tests.servers.github_records import Issue, Repo, Run

NAME = "lab/state"
MEMBER, STRANGER, ROBOT = "alice", "bob", "github-actions[bot]"
TOKENS = {login: f"ghp_5ec2e7{number}5e0c1a77" for number, login in enumerate((MEMBER, STRANGER, ROBOT))}
"""Recognisable: tests look for them where they must never be."""
SOMEBODY = Signature("Somebody", "somebody@example.org", "2026-11-20T12:00:00Z")

TRACKED = """\
ephys:
  DynamicRouting:
    # a comment
    - //allen/programs/mindscope/workgroups/dynamicrouting/PilotEphys/DRpilot_626791_20220815:
        ephys_day: 1
"""
WORKFLOW = """\
name: sync
run-name: sync ${{ inputs.request || github.event_name }}
on:
  workflow_dispatch:
    inputs:
      sources: {type: string}
      sessions: {type: string}
      full: {type: boolean, default: false}
      request: {type: string}
  repository_dispatch: {types: [session-changed]}
"""
FILES = {"tracked_sessions.yaml": TRACKED, ".github/workflows/sync.yml": WORKFLOW}


@dataclass(frozen=True)
class Hub:
    """`MEMBER` may push to the repository, `STRANGER` may read it, and `ROBOT` has the token of a workflow."""

    api: GitHubApiServer
    repo: Repo

    @property
    def git(self) -> GitRepo:
        return self.repo.git

    def env(self, login: str = MEMBER) -> dict[str, str]:
        """What a user sets, with little patience."""
        return {
            "GITHUB_API_URL": self.api.url,
            "GITHUB_TOKEN": TOKENS[login],
            "NPC_LIMS_REPO": NAME,
            "NPC_LIMS_TIMEOUT": "10",
            "NPC_LIMS_ATTEMPTS": "3",
            "NPC_LIMS_BACKOFF": "0.01",
        }

    def settings(self, login: str = MEMBER, **more: Any) -> Settings:
        return load_settings(self.env(login), Path(self.git.path)).replace(**more)

    def commit(
        self, files: Mapping[str, str | None], branch: str = "main", *, git: GitRepo | None = None, message: str = "x"
    ) -> str:
        """Push a commit with these files (None: removed) as somebody would. The commit."""
        git = git or self.git
        head = git.branch(branch)
        changes = [
            ("100644", git.write_blob(text.encode()) if text is not None else None, path)
            for path, text in files.items()
        ]
        commit = git.write_commit(git.write_tree(head, changes), [head] if head else [], message, SOMEBODY, SOMEBODY)
        git.move_ref(f"refs/heads/{branch}", commit, head or NO_OBJECT)
        return commit

    def text(self, path: str, ref: str = "main", *, git: GitRepo | None = None) -> str:
        """A file as it is on a branch, with its line endings."""
        return (git or self.git).git("cat-file", "blob", f"{ref}:{path}").decode()

    def fork(self, login: str = STRANGER) -> Repo:
        return next(repo for repo in self.api.records.forks(self.repo) if repo.owner == login)

    @property
    def pulls(self) -> list[Issue]:
        return [issue for issue in self.repo.issues.values() if issue.pull]

    @property
    def issues(self) -> list[Issue]:
        return [issue for issue in self.repo.issues.values() if not issue.pull]

    @property
    def runs(self) -> list[Run]:
        return self.api.runs(NAME)

    @property
    def writes(self) -> list[str]:
        """What was changed through the API since it was last reset: method and path below the repositories."""
        sent = (request for request in self.api.requests if request.method != "GET")
        return [f"{request.method} {request.path.removeprefix('/repos/')}" for request in sent]


def make_repository(folder: Path) -> Path:
    """A bare repository with `FILES` on its main branch: to be copied for each hub."""
    git = init_bare(folder / "state.git")
    changes: list[tuple[str, str | None, str]] = [
        ("100644", git.write_blob(text.encode()), path) for path, text in FILES.items()
    ]
    commit = git.write_commit(git.write_tree(None, changes), [], "x", SOMEBODY, SOMEBODY)
    git.move_ref("refs/heads/main", commit, NO_OBJECT)
    return git.path


def make_hub(api: GitHubApiServer, repository: Path, folder: Path) -> Hub:
    """A copy of `repository` in `folder`, served by `api` as `NAME`."""
    path = Path(shutil.copytree(repository, folder / repository.name))
    repo = api.add_repo(NAME, path, permissions={MEMBER: "push", ROBOT: "push"})
    for login, token in TOKENS.items():
        api.add_token(token, login)
    return Hub(api, repo)
