"""GitHub's REST API by the standard library alone: alerts are raised where nothing is installed."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import ssl
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from npc_lims.clients.github import MAX_PAGES, PAGE, Refusal, require_token
from npc_lims.clients.http import (
    CA_BUNDLE,
    HttpClient,
    HttpRequest,
    HttpResponse,
    RequestFailed,
    RetryPolicy,
    TransientFailure,
    bearer_auth,
    too_large,
)
from npc_lims.config.settings import OFFLINE, Settings
from npc_lims.errors import GitHubError, NpcLimsError

ISSUES_PERMISSION = "issues: write"
_HAS_NEXT = re.compile(r'\brel\s*=\s*"?next\b')


class PlainGitHubClient:
    """A client of one repository, which writes issues. Its methods raise GitHubError as those of `GitHubClient`."""

    def __init__(self, api_url: str, repo: str, token: str, policy: RetryPolicy) -> None:
        self.repo = repo
        self._api_url = api_url.rstrip("/")
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        self._http = PlainHttpClient(policy, {**headers, **bearer_auth(token)})

    @classmethod
    def of_job(cls, environ: Mapping[str, str]) -> PlainGitHubClient:
        """Return the client of a job of GitHub Actions; GITHUB_TOKEN must be set."""
        policy = RetryPolicy(4, 30, float(environ.get("NPC_LIMS_BACKOFF", "2")))
        return cls(environ["GITHUB_API_URL"], environ["GITHUB_REPOSITORY"], environ["GITHUB_TOKEN"], policy)

    @classmethod
    def authorized(cls, settings: Settings) -> PlainGitHubClient:
        """Return a client with GITHUB_TOKEN. MissingCredentials without one."""
        if settings.offline:
            raise GitHubError(OFFLINE)
        token, policy = require_token(settings, ISSUES_PERMISSION), RetryPolicy.from_settings(settings)
        return cls(settings.github_api_url, settings.repo, token, policy)

    def request(self, action: str, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON of GitHub's response, None if it is empty.

        Args:
            action: Purpose (`opening an issue`): errors begin with it.
            path: Below the repository, quoted, with its query.
        """
        return self._fetch(action, method, path, body)[0]

    def find(self, action: str, path: str) -> Any:
        """Return the JSON at *path*; None if there is nothing."""
        try:
            return self.request(action, "GET", path)
        except GitHubError as error:
            if error.status == 404:
                return None
            raise

    def list_items(self, action: str, path: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Yield every item of a list, page by page; GitHubError if it is inconsistent or too long."""
        before: list[dict[str, Any]] = []
        for number in range(1, MAX_PAGES + 1):
            page_query = urllib.parse.urlencode({**query, "per_page": PAGE, "page": number})
            items, link = self._fetch(action, "GET", f"{path}?{page_query}")
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise GitHubError(f"{action}: a list was expected, GitHub's answer is none; check GITHUB_API_URL")
            if items and items == before:
                raise GitHubError(f"{action}: page {number} of GitHub's answer repeats the one before; try again")
            yield from items
            before = items
            if len(items) < PAGE and not _HAS_NEXT.search(link):  # proxies may strip the header
                return
        raise GitHubError(f"{action}: GitHub's answer does not end within {MAX_PAGES} pages")

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

    def _fetch(self, action: str, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[Any, str]:
        """Return the JSON of a response, and its Link header, which names other pages of a list."""

        def parse(response: HttpResponse) -> tuple[Any, str]:
            if 200 <= response.status < 300:
                return response.json() if response.content else None, response.headers.get("Link", "")
            refusal = _refusal(response)
            if refusal.delay is None:
                raise refusal.error(action, self.repo, ISSUES_PERMISSION, has_token=True)
            failure = TransientFailure(refusal.message, response)
            failure.retry_after = refusal.delay
            raise failure

        try:
            return self._http.request(method, f"{self._api_url}/repos/{self.repo}{path}", parse, json=body)
        except RequestFailed as error:
            if error.response is not None:
                refusal = _refusal(error.response)
                raise refusal.error(action, self.repo, ISSUES_PERMISSION, has_token=True) from None
            advice = "check GITHUB_API_URL and the network, and try again"
            raise GitHubError(f"{action}: {self._api_url} {error}; {advice}") from None


def _refusal(response: HttpResponse) -> Refusal:
    try:
        body = response.json()
    except (RecursionError, ValueError):
        body = {"message": response.reason}
    return Refusal(response.status, {name.lower(): value for name, value in response.headers.items()}, body)


class PlainHttpClient(HttpClient):
    """Sends requests by urllib, each by a connection of its own."""

    ca_bundle_variables = (*CA_BUNDLE, "SSL_CERT_FILE")

    def _exchange(self, request: HttpRequest) -> HttpResponse:
        bundle = next(filter(None, map(os.environ.get, CA_BUNDLE)), None)  # else that of OpenSSL
        https = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=bundle))
        opener = urllib.request.OpenerDirector()  # which follows no redirect, and takes any status for a response
        for handler in (urllib.request.ProxyHandler(), urllib.request.HTTPHandler(), https):
            opener.add_handler(handler)
        try:
            headers = {**request.headers, "Accept-Encoding": "identity"}
            plain = urllib.request.Request(  # noqa: S310  # only HTTP is opened
                request.url, request.body, headers, method=request.method
            )
            response: http.client.HTTPResponse | None = opener.open(plain, timeout=self.policy.timeout)
        except (OverflowError, ValueError, http.client.InvalidURL) as error:
            # an address or a header, which may be a secret, that cannot be sent
            raise RequestFailed(f"cannot be queried ({type(error).__name__})", is_sent=False) from None
        if response is None:
            raise RequestFailed("cannot be queried (no address of HTTP)", is_sent=False)
        with response:
            content = response.read(request.max_bytes + 1)
            if len(content) > request.max_bytes:
                raise too_large(request.max_bytes)
            if response.length:
                raise ValueError(f"ended {response.length} bytes early")
        return HttpResponse(request.url, response.status, response.reason, response.headers, content)
