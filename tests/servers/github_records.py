"""What GitHub knows besides git: users, repositories, issues and pull requests, workflow runs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from tests.servers.github_git import GitRepo

Json = dict[str, Any]
Permission = Literal["none", "pull", "push", "admin"]
LEVELS: tuple[Permission, ...] = ("none", "pull", "push", "admin")
AREAS = frozenset({"contents", "pull_requests", "issues", "actions", "administration"})
"""What the rights of a fine-grained or workflow token are counted by."""


@dataclass(frozen=True)
class Token:
    """Whose it is, and what it may write. `login` ends with `[bot]` for the token of a workflow or an app."""

    login: str
    may_write: frozenset[str] = AREAS

    @property
    def is_app(self) -> bool:
        return self.login.endswith("[bot]")


@dataclass
class Budget:
    """The primary rate limit of one token, or of those without any."""

    limit: int
    reset: datetime
    used: int = 0

    def spend(self, now: datetime) -> bool:
        """Whether one more request is within the limit."""
        if now >= self.reset:
            self.used, self.reset = 0, now + timedelta(hours=1)
        self.used = min(self.used + 1, self.limit + 1)
        return self.used <= self.limit

    def told(self) -> dict[str, int]:
        """What clients are told of it."""
        used = min(self.used, self.limit)
        reset = int(self.reset.timestamp())
        return {"limit": self.limit, "remaining": self.limit - used, "used": used, "reset": reset}


@dataclass
class Label:
    id: int
    name: str
    color: str
    description: str | None


@dataclass
class Comment:
    id: int
    user: str
    body: str
    created: datetime


@dataclass
class Pull:
    """What a pull request has beyond an issue. `head_sha` is as of the last look at the branch."""

    head_repo: str
    head_ref: str
    base_ref: str
    head_sha: str
    base_sha: str
    draft: bool = False
    maintainer_can_modify: bool = True


@dataclass
class Issue:
    """An issue, or a pull request: they share numbers, titles, labels and comments."""

    id: int
    number: int
    title: str
    body: str | None
    user: str
    created: datetime
    updated: datetime
    labels: list[str] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    state: str = "open"
    state_reason: str | None = None
    closed: datetime | None = None
    closed_by: str | None = None
    pull: Pull | None = None


@dataclass
class Run:
    """One run of a workflow. `inputs` are those of a dispatch, `payload` that of a repository dispatch."""

    id: int
    number: int
    path: str
    name: str
    title: str
    event: str
    branch: str | None
    sha: str
    actor: str
    created: datetime
    updated: datetime
    inputs: Mapping[str, str] = field(default_factory=dict)
    payload: Mapping[str, Any] = field(default_factory=dict)
    status: str = "queued"
    conclusion: str | None = None
    jobs: list[Json] = field(default_factory=list)


@dataclass
class Repo:
    """`protected` branches take changes through pull requests alone. `busy` answers that it is still being made.

    A tree of more than `most_entries` is truncated.
    """

    id: int
    full_name: str
    git: GitRepo
    default_branch: str
    created: datetime
    private: bool = False
    permissions: dict[str, Permission] = field(default_factory=dict)
    protected: set[str] = field(default_factory=set)
    parent: Repo | None = None
    busy: int = 0
    most_entries: int = 100_000
    issues: dict[int, Issue] = field(default_factory=dict)
    labels: dict[str, Label] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    workflow_ids: dict[str, int] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        return self.full_name.partition("/")[0]

    @property
    def name(self) -> str:
        return self.full_name.partition("/")[2]

    @property
    def source(self) -> Repo:
        """The repository that this one was, perhaps through others, forked from; itself where it is no fork."""
        return self.parent.source if self.parent else self

    def permission(self, login: str | None) -> Permission:
        """What someone may do here; a public repository can be read by all."""
        given = self.permissions.get(login or "", "admin" if login == self.owner else "none")
        return "pull" if given == "none" and not self.private else given

    def allows(self, login: str | None, needed: Permission) -> bool:
        return LEVELS.index(self.permission(login)) >= LEVELS.index(needed)


class Records:
    """Everything, by name; ids are counted through all kinds."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.tokens: dict[str, Token] = {}
        self.users: dict[str, int] = {}
        self._ids = itertools.count(1001)

    def next_id(self) -> int:
        return next(self._ids)

    def user_id(self, login: str) -> int:
        return self.users.setdefault(login, len(self.users) + 1)

    def repo(self, full_name: str) -> Repo | None:
        """Names are the same in upper and lower case."""
        return next((repo for name, repo in self.repos.items() if name.lower() == full_name.lower()), None)

    def forks(self, repo: Repo) -> list[Repo]:
        return [other for other in self.repos.values() if other.parent is repo]


def utc_now() -> datetime:
    return datetime.now(timezone.utc)
