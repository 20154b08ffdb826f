"""GitHub's REST API."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import re
import time
import urllib.parse
from collections.abc import Container, Iterator, Mapping
from typing import Any, Union

from npc_lims.clients.http import (
    HttpClient,
    HttpResponse,
    RequestFailed,
    RetryPolicy,
    TransientFailure,
    bearer_auth,
    retry_after_seconds,
)
from npc_lims.config.settings import Settings
from npc_lims.errors import GitHubError, MissingCredentials, NpcLimsError
from npc_lims.utils.timestamps import utc_text, utc_time

PAGE = 100
"""Items of a page, the most that GitHub gives."""
ISSUES_PERMISSION = "issues: write"
_MAX_PAGES = 100  # 10,000 items, at which GitHub's own lists end
# GitHub's guide: what to wait at a secondary limit that names no time.
_DEFAULT_DELAY = 60.0
_LAST_PAGE = re.compile(r'<[^>]*[?&]page=([0-9]{1,9})[^>]*>; rel="last"')
_HAS_NEXT = re.compile(r'\brel\s*=\s*"?next\b')

Query = Mapping[str, Union[str, int]]


@dataclasses.dataclass(frozen=True)
class _Refusal:
    """A response by which GitHub refuses a request."""

    response: HttpResponse

    @property
    def message(self) -> str:
        """GitHub's message, with its reasons for single fields."""
        try:
            body = self.response.json()
        except (RecursionError, ValueError):
            body = {"message": self.response.reason}
        body = body if isinstance(body, dict) else {}
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
        status, headers = self.response.status, self.response.headers
        if status not in (403, 429):
            return None
        requested = retry_after_seconds(headers.get("Retry-After"))
        if requested is not None:
            return requested
        reset = headers.get("X-RateLimit-Reset", "")
        if headers.get("X-RateLimit-Remaining") == "0" and reset.isdecimal():
            return max(0.0, float(reset) - time.time()) + 1  # the header does not say when in that second
        return _DEFAULT_DELAY if status == 429 or "rate limit" in self.message.lower() else None

    def remedy(self, repo: str, needs: str | None, has_token: bool) -> str:
        status, delay = self.response.status, self.delay
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
            allowed = self.response.headers.get("X-Accepted-GitHub-Permissions", "").replace("=", ": ") or needs
            return f"GITHUB_TOKEN must allow {allowed} for {repo}"
        if status in (403, 404):
            hidden = "hidden from GITHUB_TOKEN" if has_token else "private: set GITHUB_TOKEN"
            return f"check NPC_LIMS_REPO ({repo}): it may be named otherwise, or {hidden}"
        if status >= 500:
            return "GitHub has trouble: try again later"
        return "correct that, and try again" if needs else "check the name of the branch, tag or commit"


@dataclasses.dataclass(frozen=True)
class GitHubPage:
    """The JSON of a response (None if it is empty), and the Link header, which names other pages of a list."""

    body: Any
    link: str = ""

    @property
    def last_page(self) -> int:
        """Number of the last page of a list; 1 where there are no more."""
        last = _LAST_PAGE.search(self.link)
        return int(last[1]) if last else 1


class GitHubClient:
    """A client of one repository. Its methods raise GitHubError if GitHub refuses, or cannot be reached.

    Args:
        repo: OWNER/NAME.
        needs: Permissions of the token, in GitHub's words (`contents: write`); None for public reads.
    """

    def __init__(
        self,
        api_url: str,
        repo: str,
        token: str | None,
        policy: RetryPolicy,
        needs: str | None = None,
        http: type[HttpClient] = HttpClient,
    ) -> None:
        self.repo = repo
        self._api_url = api_url.rstrip("/")
        self._needs = needs
        self._has_token = token is not None
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        self._http = http(policy, {**headers, **bearer_auth(token)})

    @classmethod
    def for_reading(cls, settings: Settings) -> GitHubClient:
        """Return a client with GITHUB_TOKEN, if there is one."""
        token = None if settings.github_token is None else settings.github_token.get_secret_value()
        return cls(settings.github_api_url, settings.repo, token, RetryPolicy.interactive(settings))

    @classmethod
    def authorized(cls, settings: Settings, needs: str) -> GitHubClient:
        """Return a client with GITHUB_TOKEN. MissingCredentials without one."""
        if settings.github_token is None:
            raise MissingCredentials(f"GITHUB_TOKEN is not set: make a token for {settings.repo} that allows {needs}")
        token, policy = settings.github_token.get_secret_value(), RetryPolicy.from_settings(settings)
        return cls(settings.github_api_url, settings.repo, token, policy, needs)

    def at(self, repo: str) -> GitHubClient:
        other = copy.copy(self)
        other.repo = repo
        return other

    def fetch(
        self,
        action: str,
        path: str,
        query: Query | None = None,
        *,
        method: str = "GET",
        body: Mapping[str, Any] | None = None,
        is_idempotent: bool = True,
    ) -> GitHubPage:
        """Return GitHub's response.

        Args:
            action: Purpose (`reading commits of lab/state`): errors begin with it.
            path: Below the address of the API, quoted.
            is_idempotent: Repeat the request where GitHub may have carried it out without saying so.
        """

        def parse(response: HttpResponse) -> GitHubPage:
            if 200 <= response.status < 300:
                return GitHubPage(response.json() if response.content else None, response.headers.get("Link", ""))
            refusal = _Refusal(response)
            if refusal.delay is None:
                raise self._error(action, refusal)
            failure = TransientFailure(refusal.message, response)
            failure.retry_after = refusal.delay
            raise failure

        url = f"{self._api_url}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        try:
            return self._http.request(method, url, parse, json=body, is_idempotent=is_idempotent)
        except RequestFailed as error:
            if error.response is not None:
                raise self._error(action, _Refusal(error.response)) from None
            advice = "check GITHUB_API_URL and the network, and try again"
            raise GitHubError(f"{action}: {self._api_url} {error}; {advice}") from None

    def request(
        self, action: str, method: str, path: str, body: Mapping[str, Any] | None = None, *, is_idempotent: bool = True
    ) -> Any:
        """Return the JSON of GitHub's response, None if it is empty. As `fetch`, but *path* is of the repository."""
        path = f"/repos/{self.repo}{path}"
        return self.fetch(action, path, method=method, body=body, is_idempotent=is_idempotent).body

    def find(self, action: str, path: str, query: Query | None = None, absent: Container[int] = (404,)) -> Any:
        """Return the JSON at *path* of the repository; None if GitHub answers with one of the statuses *absent*."""
        try:
            return self.fetch(action, f"/repos/{self.repo}{path}", query).body
        except GitHubError as error:
            if error.status in absent:
                return None
            raise

    def list_items(
        self, action: str, path: str, query: Query | None = None, key: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield every item of a list of the repository, page by page; GitHubError if it is inconsistent or too long.

        Args:
            key: Of the list in GitHub's response, if that is an object with the total count.
        """
        before: list[dict[str, Any]] = []
        count = 0
        for number in range(1, _MAX_PAGES + 1):
            page_query = {**(query or {}), "per_page": PAGE, "page": number}
            page = self.fetch(action, f"/repos/{self.repo}{path}", page_query)
            items = page.body
            if key is not None:
                items = items.get(key) if isinstance(items, dict) else None
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise GitHubError(f"{action}: a list was expected, GitHub's answer is none; check GITHUB_API_URL")
            if items and items == before:
                raise GitHubError(f"{action}: page {number} of GitHub's answer repeats the one before; try again")
            yield from items
            count, before = count + len(items), items
            # proxies may strip the header
            if len(items) < PAGE and not _HAS_NEXT.search(page.link):
                total = page.body.get("total_count") if key else None
                if isinstance(total, int) and total > count:
                    raise GitHubError(f"{action}: GitHub's answer ends after {count} of {total} items; try again")
                return
        raise GitHubError(f"{action}: GitHub's answer does not end within {_MAX_PAGES} pages")

    @contextlib.contextmanager
    def validated(self, action: str) -> Iterator[None]:
        """Raise GitHubError where a response that is read meanwhile lacks what it should have."""
        try:
            yield
        except NpcLimsError:
            raise
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            found = f"{self._api_url} sent an answer that cannot be read ({type(error).__name__})"
            raise GitHubError(f"{action}: {found}; check GITHUB_API_URL, and try again") from None

    def _error(self, action: str, refusal: _Refusal) -> GitHubError:
        status, remedy = refusal.response.status, refusal.remedy(self.repo, self._needs, self._has_token)
        return GitHubError(f"{action}: GitHub answered {status} ({refusal.message}); {remedy}", status, refusal.delay)
