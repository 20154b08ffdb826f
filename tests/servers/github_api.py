"""GitHub's REST API as a thin face over real bare git repositories.

What git knows is in the repositories, read and written with git itself, so a test may push to them by path. What
git does not know (users, pull requests, issues, runs) is in memory, see github_records.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from tests.servers import github_actions, github_contents, github_issues
from tests.servers.github_call import Call, Refused, Route, answer
from tests.servers.github_git import GitRepo
from tests.servers.github_json import error, etag_of
from tests.servers.github_records import AREAS, Budget, Json, Permission, Records, Repo, Run, Token, utc_now
from tests.servers.raw_github import none_match
from tests.servers.web import Request, Response, Server

ROUTES: Sequence[Route] = (*github_contents.ROUTES, *github_issues.ROUTES, *github_actions.ROUTES)
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Exchange:
    """A call and its answer; `template` is the path as GitHub's description writes it, None where it has none."""

    request: Request
    template: str | None
    response: Response


class GitHubApiServer(Server):
    """`url` is what GITHUB_API_URL is set to.

    `on_dispatch` is called in a thread of its own, with each run that a dispatch starts; `hides_runs` keeps runs
    out of listings, as GitHub does for a while. `fork_takes` is how often a new fork answers that it is not
    ready yet; it sees the objects of its source if `forks_share`. `now` is the clock.
    """

    def __init__(self, *, now: Callable[[], datetime] = utc_now) -> None:
        super().__init__()
        self.records = Records()
        self.now = now
        self.on_dispatch: Callable[[Run], None] | None = None
        self.hides_runs = False
        self.fork_takes = 0
        self.forks_share = True
        self._world = threading.RLock()
        self._exchanges: list[Exchange] = []
        self._budgets: dict[str | None, Budget] = {}
        self._slowed: deque[tuple[int, float | None]] = deque()
        self._hooks: list[threading.Thread] = []

    # -- what a test says ------------------------------------------------------------------------

    def add_repo(
        self,
        full_name: str,
        path: Path,
        *,
        permissions: Mapping[str, Permission] | None = None,
        private: bool = False,
        protected: Collection[str] = (),
        default_branch: str = "main",
    ) -> Repo:
        """Serve the bare repository at `path`. Its owner may do everything, others what `permissions` say."""
        with self._world:
            git, repo_id = GitRepo(path), self.records.next_id()
            repo = Repo(repo_id, full_name, git, default_branch, self.now(), private, dict(permissions or {}))
            repo.protected.update(protected)
            for login in (repo.owner, *repo.permissions):
                self.records.user_id(login)
            self.records.repos[full_name] = repo
            return repo

    def add_token(self, token: str, login: str, *, may_write: Collection[str] = AREAS) -> None:
        """Let this token stand for a user. `may_write` are the areas it was made for, of `AREAS`."""
        with self._world:
            self.records.user_id(login)
            self.records.tokens[token] = Token(login, frozenset(may_write))

    def revoke(self, token: str) -> None:
        """The token has expired."""
        with self._world:
            del self.records.tokens[token]

    def limit(self, login: str | None, *, remaining: int, reset_in: float = 3600) -> None:
        """The user (None: strangers) has this many requests left until then."""
        with self._world:
            budget = self.budget(login)
            budget.used, budget.reset = budget.limit - remaining, self.now() + timedelta(seconds=reset_in)

    def slow_down(self, *, times: int = 1, retry_after: float | None = None, status: int = 403) -> None:
        """The next requests hit the secondary rate limit."""
        with self._world:
            self._slowed.extend([(status, retry_after)] * times)

    def set_run(
        self, run_id: int, *, status: str, conclusion: str | None = None, jobs: Sequence[Json] | None = None
    ) -> None:
        """How far a run is; each job is a part of what the API tells of one, `name` and `status` at least."""
        with self._world:
            run = next(run for repo in self.records.repos.values() for run in repo.runs if run.id == run_id)
            run.status, run.conclusion, run.updated = status, conclusion, self.now()
            if jobs is not None:
                run.jobs = [dict(job) for job in jobs]

    def runs(self, full_name: str) -> list[Run]:
        """The runs of a repository, oldest first (a copy)."""
        with self._world:
            return list(self.records.repos[full_name].runs)

    # -- what clients get ------------------------------------------------------------------------

    @property
    def exchanges(self) -> list[Exchange]:
        """Every call answered since the start or the last `reset`, in order (a copy)."""
        with self._lock:
            return list(self._exchanges)

    def reset(self) -> None:
        super().reset()
        with self._lock:
            self._exchanges.clear()

    def stop(self) -> None:
        super().stop()
        for hook in self._hooks:
            hook.join(10)

    def budget(self, login: str | None) -> Budget:
        """The requests that a user (None: strangers) has left."""
        limit = 60 if login is None else 1000 if login.endswith("[bot]") else 5000
        return self._budgets.setdefault(login, Budget(limit, self.now() + HOUR))

    def dispatched(self, run: Run) -> None:
        """Tell the test of a run that was started."""
        if self.on_dispatch is not None:
            hook = threading.Thread(target=self.on_dispatch, args=(run,), daemon=True)
            self._hooks.append(hook)
            hook.start()

    def answer(self, request: Request) -> Response:
        with self._world:
            route, params = _find(request)
            response = self._answer(request, route, params)
        with self._lock:
            self._exchanges.append(Exchange(request, route.template if route else None, response))
        return response

    def _answer(self, request: Request, route: Route | None, params: dict[str, str]) -> Response:
        try:
            token = self._token(request)
        except Refused as refused:
            return refused.response
        if self._slowed:
            return self._slow_down_now()
        budget = self.budget(token.login if token else None)
        is_free = route is not None and route.template == "/rate_limit"
        if not is_free and not budget.spend(self.now()):
            text = f"API rate limit exceeded for user ID {token.login}." if token else "API rate limit exceeded."
            return self._with_limits(answer(error(403, text), 403), budget)
        response = self._handle(request, route, params, token)
        if request.method == "GET" and response.status == 200:
            response = Response(200, {**response.headers, "etag": etag_of(response.body)}, response.body)
            if none_match(request.headers.get("if-none-match", ""), response.headers["etag"]):
                budget.used -= token is not None
                response = Response(304, {"etag": response.headers["etag"]})
        return self._with_limits(response, budget)

    def _handle(self, request: Request, route: Route | None, params: dict[str, str], token: Token | None) -> Response:
        if route is None:
            return answer(error(404, "Not Found"), 404)
        try:
            return route.handler(Call(self, request, route.template, params, token))
        except Refused as refused:
            return refused.response

    def _token(self, request: Request) -> Token | None:
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        if not kind:
            return None
        token = self.records.tokens.get(value.strip()) if kind.lower() in ("token", "bearer") else None
        if token is None:
            raise Refused(401, "Bad credentials")
        return token

    def _slow_down_now(self) -> Response:
        status, retry_after = self._slowed.popleft()
        text = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
        headers = {} if retry_after is None else {"retry_after": f"{retry_after:g}"}
        return answer(error(status, text), status, **headers)

    def _with_limits(self, response: Response, budget: Budget) -> Response:
        limits = {f"x-ratelimit-{name}": str(value) for name, value in budget.told().items()}
        return Response(response.status, {**limits, "x-ratelimit-resource": "core", **response.headers}, response.body)


def _find(request: Request) -> tuple[Route | None, dict[str, str]]:
    path = urlsplit(request.path).path
    for route in ROUTES:
        if route.method == request.method:
            params = route.match(path)
            if params is not None:
                return route, params
    return None, {}
