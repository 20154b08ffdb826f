"""PyGithub on behalf of GITHUB_TOKEN: its public objects, with one translation of failures.

Its objects request what they lack whenever an attribute is read, so attributes are read within `GitHubClient.call`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from npc_lims.clients.github_rest import PAGE, Refusal
from npc_lims.errors import GitHubError, MissingCredentials, NpcLimsError
from npc_lims.utils.ca_bundle import ca_bundle_failure
from npc_lims.utils.deadline import call_within

if TYPE_CHECKING:
    from github.GithubException import GithubException
    from github.PaginatedList import PaginatedList
    from github.Repository import Repository

    from npc_lims.config.settings import Settings

MAX_DELAY = 60.0
"""Seconds to wait at most for the end of a limit of requests; a longer one is an error."""
# Jobs of a run (GitHub allows 256 of a matrix), pull requests of a branch: no list that is read has so many pages.
_MAX_PAGES = 20
_UNREADABLE = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

_T = TypeVar("_T")
_R = TypeVar("_R")


def present(value: _T | None) -> _T:
    """Return a value that GitHub always sends; PyGithub gives None for one that is missing."""
    if value is None:
        raise ValueError("a field is missing")
    return value


class GitHubClient:
    """A client of NPC_LIMS_REPO and its forks.

    Args:
        settings: The address of the API, the token, and how often and how long to try.
        needs: Permissions of the token, in GitHub's words (`contents: write`).

    Raises:
        MissingCredentials: There is no token.
    """

    def __init__(self, settings: Settings, needs: str) -> None:
        import github
        import urllib3

        if settings.github_token is None:
            raise MissingCredentials(f"GITHUB_TOKEN is not set: make a token for {settings.repo} that allows {needs}")
        self.settings = settings
        self._needs = needs
        self._repositories: dict[str, Repository] = {}
        # Only reads are repeated here; of a limit of requests `call` knows how long it lasts.
        retry = urllib3.Retry(
            total=settings.attempts - 1,
            backoff_factor=settings.backoff,
            status_forcelist=(500, 502, 503, 504),
            allowed_methods=("GET",),
            respect_retry_after_header=False,
            raise_on_status=False,
        )
        self._github = github.Github(
            auth=github.Auth.Token(settings.github_token.get_secret_value()),
            base_url=settings.github_api_url,
            timeout=max(1, round(settings.timeout)),
            per_page=PAGE,
            retry=retry,
            lazy=True,
            seconds_between_requests=None,
            seconds_between_writes=None,
        )

    def repository(self, name: str) -> Repository:
        """Return a repository by OWNER/NAME. PyGithub from 2.9 on reads it when that is needed. Raises as `call`."""
        if name not in self._repositories:
            self._repositories[name] = self.call(f"looking at {name}", lambda: self._github.get_repo(name))
        return self._repositories[name]

    def call(self, action: str, request: Callable[[], _T], *, max_delay: float = MAX_DELAY) -> _T:
        """Return the result of *request*, which uses objects of PyGithub.

        It is repeated only where a limit of requests is the reason for a refusal.

        Args:
            action: Purpose (`reading main of lab/state`): errors begin with it.
            max_delay: Seconds to wait at most where a limit of requests is reached.

        Raises:
            GitHubError: GitHub refused, or could not be reached.
        """
        from github.GithubException import GithubException

        for _ in range(self.settings.attempts - 1):
            with self.translated(action):
                try:
                    return self._within_deadline(request)
                except GithubException as error:
                    delay = _refusal(error).delay
                    if delay is None or delay > max_delay:
                        raise
            time.sleep(delay)
        with self.translated(action):
            return self._within_deadline(request)

    def find(self, action: str, request: Callable[[], _T], absent: tuple[int, ...] = (404,)) -> _T | None:
        """Return the result of *request*, None where GitHub answers with one of *absent*. Raises as `call`."""
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
        max_delay: float = MAX_DELAY,
    ) -> list[_R]:
        """Return every item of a list, converted. Raises as `call`, and if the list is inconsistent or too long.

        Args:
            is_counted: GitHub sends the number of items along.
        """

        def read() -> list[_R]:
            pages, ids = listing(), set[int]()
            found: list[_R] = []
            for number in range(_MAX_PAGES):
                page = pages.get_page(number)
                if not ids.isdisjoint(item.id for item in page):
                    raise GitHubError(
                        f"{action}: page {number + 1} of GitHub's answer repeats the one before; try again"
                    )
                ids.update(item.id for item in page)
                found += map(convert, page)
                if len(page) < PAGE:
                    if is_counted and pages.totalCount > len(found):
                        count = f"after {len(found)} of {pages.totalCount} items"
                        raise GitHubError(f"{action}: GitHub's answer ends {count}; try again")
                    return found
            raise GitHubError(f"{action}: GitHub's answer does not end within {_MAX_PAGES} pages")

        return self.call(action, read, max_delay=max_delay)

    def login(self) -> str | None:
        """Return the user of the token; None for that of a workflow or an app, which has none."""
        action = "looking for the user of GITHUB_TOKEN"
        return self.find(action, lambda: present(self._github.get_user().login), absent=(403,))

    @contextlib.contextmanager
    def translated(self, action: str) -> Iterator[None]:
        """Raise GitHubError for every exception of PyGithub."""
        from github.GithubException import BadAttributeException, GithubException, IncompletableObject

        url = self.settings.github_api_url
        try:
            yield
        except NpcLimsError:
            raise
        except (BadAttributeException, IncompletableObject, *_UNREADABLE) as error:
            # PyGithub takes every body for an object, and refuses addresses of other hosts by an assertion
            found = f"{url} sent an answer that cannot be read ({type(error).__name__})"
            raise GitHubError(f"{action}: {found}; check GITHUB_API_URL, and try again") from None
        except GithubException as error:
            raise _refusal(error).error(action, self.settings.repo, self._needs) from None
        except OSError as error:  # those of requests, of the deadline, and that of a missing CA bundle
            reason = ca_bundle_failure(error) or type(error).__name__
            found = f"{url} could not be reached ({reason})"
            raise GitHubError(f"{action}: {found}; check GITHUB_API_URL and the network, and try again") from None

    def _within_deadline(self, request: Callable[[], _T]) -> _T:
        return call_within(10 * self.settings.timeout, request)


def _refusal(error: GithubException) -> Refusal:
    headers = {name.lower(): str(value) for name, value in (error.headers or {}).items()}
    return Refusal(error.status, headers, error.data)
