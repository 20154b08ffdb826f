"""GitHub through PyGithub's public objects, with one policy of retries and one translation of failures.

Its objects request what they lack when an attribute is read, so attributes are read within `GitHubClient.call`. Alerts
take `clients/github_plain.py` instead, which imports this module where PyGithub is not installed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Container, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from npc_lims.clients.http import RETRYABLE_STATUS, RetryPolicy, call_within, connection_failure, retry_after_seconds
from npc_lims.config.settings import OFFLINE, Settings
from npc_lims.errors import GitHubError, MissingCredentials, NpcLimsError
from npc_lims.utils.timestamps import utc_text, utc_time

if TYPE_CHECKING:
    from github import Github
    from github.PaginatedList import PaginatedList
    from github.Repository import Repository

PAGE = 100
"""Items of a page, the most that GitHub gives."""
MAX_PAGES = 100
"""10,000 items, at which GitHub's own lists end."""
# GitHub's guide: what to wait at a secondary limit that names no time.
_DEFAULT_DELAY = 60.0
# PyGithub takes every body for an object, and asserts that addresses in it are of its host.
_UNREADABLE = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A response by which GitHub refuses a request."""

    status: int
    headers: Mapping[str, str]
    """Their names are in lower case."""
    body: Any

    @property
    def message(self) -> str:
        """GitHub's message, with its reasons for single fields."""
        body = self.body if isinstance(self.body, dict) else {}
        parts = [str(body.get("message") or "no reason given").strip().rstrip(".")]
        errors = body.get("errors")
        for item in errors if isinstance(errors, list) else ():
            if isinstance(item, dict):
                item = item.get("message") or " ".join(str(item[key]) for key in ("field", "code") if item.get(key))
            parts.append(str(item).rstrip("."))
        return " ".join(": ".join(parts).split())

    @property
    def delay(self) -> float | None:
        """Seconds until GitHub answers again; None if no limit of requests is the reason."""
        status, headers = self.status, self.headers
        if status not in (403, 429):
            return None
        requested = retry_after_seconds(headers.get("retry-after"))
        if requested is not None:
            return requested
        reset = headers.get("x-ratelimit-reset", "")
        if headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
            return max(0.0, float(reset) - time.time()) + 1  # the header does not say when in that second
        return _DEFAULT_DELAY if status == 429 or "rate limit" in self.message.lower() else None

    def error(self, action: str, repo: str, needs: str | None, has_token: bool) -> GitHubError:
        remedy = self._remedy(repo, needs, has_token)
        return GitHubError(
            f"{action}: GitHub answered {self.status} ({self.message}); {remedy}", self.status, self.delay
        )

    def _remedy(self, repo: str, needs: str | None, has_token: bool) -> str:
        status, delay = self.status, self.delay
        if delay is not None:
            then = utc_time(utc_text(time.time() + delay))  # which is no later than calendars go
            more = "" if has_token else ", or set GITHUB_TOKEN: 5,000 requests an hour in place of 60"
            return (
                f"the limit of requests is used up: try again after {then:%H:%M:%S} UTC ({delay:.0f} s from now){more}"
            )
        if status == 401:
            new = f"that allows {needs}" if needs else "or unset it to read a public repository"
            return f"GITHUB_TOKEN has expired or is wrong: make a new one{'' if needs else ','} {new}"
        if status in (301, 302, 307, 308):
            return f"{repo} has moved: set NPC_LIMS_REPO to its new name"
        if status == 403 and needs:
            allowed = self.headers.get("x-accepted-github-permissions", "").replace("=", ": ") or needs
            return f"GITHUB_TOKEN must allow {allowed} for {repo}"
        if status in (403, 404):
            hidden = "hidden from GITHUB_TOKEN" if has_token else "private: set GITHUB_TOKEN"
            return f"check NPC_LIMS_REPO ({repo}): it may be named otherwise, or {hidden}"
        if status >= 500:
            return "GitHub has trouble: try again later"
        return "correct that, and try again" if needs else "check the name of the branch, tag or commit"


def present(value: _T | None) -> _T:
    """Return a value that GitHub always sends; PyGithub gives None for one that is missing."""
    if value is None:
        raise ValueError("a field is missing")
    return value


class GitHubClient:
    """PyGithub on behalf of GITHUB_TOKEN. Its methods raise GitHubError if GitHub refuses, or cannot be reached.

    A call ends at a deadline. Its responses have no other bound: PyGithub reads them whole, and the only public way to
    intervene replaces the connections of all its users in the process.

    Args:
        repo: OWNER/NAME.
        needs: Permissions of the token, in GitHub's words (`contents: write`); None for public reads.
    """

    def __init__(self, settings: Settings, policy: RetryPolicy, needs: str | None = None, page: int = PAGE) -> None:
        self.repo = settings.repo
        self.policy = policy
        self._settings = settings
        self._needs = needs
        self._page = page
        self._repository: Repository | None = None

    @classmethod
    def for_reading(cls, settings: Settings, page: int = PAGE) -> GitHubClient:
        """Return a client with GITHUB_TOKEN, if there is one, whose lists have *page* items a page."""
        return cls(settings, RetryPolicy.interactive(settings), page=page)

    @classmethod
    def authorized(cls, settings: Settings, needs: str) -> GitHubClient:
        """Return a client with GITHUB_TOKEN. MissingCredentials without one."""
        require_token(settings, needs)
        return cls(settings, RetryPolicy.from_settings(settings), needs)

    @functools.cached_property
    def github(self) -> Github:
        import github

        token = self._settings.github_token
        return github.Github(
            auth=None if token is None else github.Auth.Token(token.get_secret_value()),
            base_url=self._settings.github_api_url,
            timeout=max(1, round(self.policy.timeout)),
            per_page=self._page,
            lazy=True,
            retry=None,  # `call` repeats
            seconds_between_requests=None,
            seconds_between_writes=None,
        )

    def read_repository(self, name: str) -> Repository:
        """Return a repository by OWNER/NAME, to be used within `call`.

        Requests with a query need its current address: PyGithub follows the redirect of a repository that was renamed,
        but leaves out the query.
        """
        repository = self.github.get_repo(name)
        present(repository.id)
        return repository

    def repository(self) -> Repository:
        """Return the repository of the settings."""
        if self._repository is None:
            self._repository = self.call(f"looking at {self.repo}", lambda: self.read_repository(self.repo))
        return self._repository

    def call(self, action: str, request: Callable[[], _T], *, is_idempotent: bool = True) -> _T:
        """Return the result of *request*, which uses objects of PyGithub.

        Args:
            action: Purpose (`reading commits of lab/state`): errors begin with it.
            is_idempotent: Repeat it where GitHub may have carried it out without saying so.
        """
        if self._settings.offline:
            raise GitHubError(f"{action}: {OFFLINE}")
        policy = self.policy
        deadline = time.monotonic() + policy.deadline
        attempt = 1
        while True:
            try:
                with self.translated(action):
                    return call_within(deadline - time.monotonic(), request)
            except _Failure as error:
                attempt += 1
                delay = policy.delay(attempt) + (error.delay or 0)
                is_transient = is_idempotent and (error.status is None or error.status in RETRYABLE_STATUS)
                is_late = (error.delay or 0) > policy.max_delay or time.monotonic() + delay >= deadline
                if attempt > policy.attempts or is_late or not (is_transient or error.delay is not None):
                    raise GitHubError(*error.args) from None
            time.sleep(delay)

    def find(self, action: str, request: Callable[[], _T], absent: Container[int] = (404,)) -> _T | None:
        """Return the result of *request*; None if GitHub answers with one of the statuses *absent*."""
        try:
            return self.call(action, request)
        except GitHubError as error:
            if error.status in absent:
                return None
            raise

    def list_items(
        self,
        action: str,
        listing: Callable[[], PaginatedList[Any]],
        convert: Callable[[Any], _R],
        *,
        is_counted: bool = False,
    ) -> list[_R]:
        """Return every item of a list, converted; GitHubError if it is inconsistent or too long.

        Args:
            is_counted: GitHub sends the number of items along.
        """
        pages = self.call(action, listing)

        def read(number: int) -> list[_R]:
            return [convert(item) for item in pages.get_page(number)]

        found: list[_R] = []
        before: list[_R] = []
        for number in range(MAX_PAGES):
            items = self.call(action, functools.partial(read, number))
            if items and items == before:
                raise GitHubError(f"{action}: page {number + 1} of GitHub's answer repeats the one before; try again")
            found += items
            before = items
            if len(items) < self._page:
                total = self.call(action, lambda: pages.totalCount) if is_counted else len(found)
                if total > len(found):
                    count = f"after {len(found)} of {total} items"
                    raise GitHubError(f"{action}: GitHub's answer ends {count}; try again")
                return found
        raise GitHubError(f"{action}: GitHub's answer does not end within {MAX_PAGES} pages")

    def login(self) -> str | None:
        """Return the user of the token; None for that of a workflow or an app, which has none."""
        try:
            return self.call("looking for the user of GITHUB_TOKEN", lambda: present(self.github.get_user().login))
        except GitHubError as error:
            if error.status == 403 and error.delay is None:
                return None
            raise

    @contextlib.contextmanager
    def translated(self, action: str) -> Iterator[None]:
        """Raise GitHubError for every exception of PyGithub."""
        from github.GithubException import BadAttributeException, GithubException, IncompletableObject

        url = self._settings.github_api_url
        try:
            yield
        except NpcLimsError:
            raise
        except (BadAttributeException, IncompletableObject, *_UNREADABLE) as error:
            found = f"{url} sent an answer that cannot be read ({type(error).__name__})"
            raise _Failure(f"{action}: {found}; check GITHUB_API_URL, and try again") from None
        except RuntimeError:  # which PyGithub raises for a redirect to another host
            raise GitHubError(
                f"{action}: {self.repo} has moved to another host: set NPC_LIMS_REPO to its new name and "
                f"GITHUB_API_URL to that host"
            ) from None
        except GithubException as error:
            headers = {name.lower(): str(value) for name, value in (error.headers or {}).items()}
            has_token = self._settings.github_token is not None
            refusal = Refusal(error.status, headers, error.data).error(action, self.repo, self._needs, has_token)
            raise _Failure(*refusal.args) from None
        except OSError as error:
            found = f"{url} {connection_failure(error, self.policy)}"
            raise _Failure(f"{action}: {found}; check GITHUB_API_URL and the network, and try again") from None


class _Failure(GitHubError):
    """Of a request, which may be repeated; other errors are those of our own checks."""


def require_token(settings: Settings, needs: str) -> str:
    """Return GITHUB_TOKEN. MissingCredentials without one."""
    if settings.github_token is None:
        raise MissingCredentials(f"GITHUB_TOKEN is not set: make a token for {settings.repo} that allows {needs}")
    return settings.github_token.get_secret_value()
