"""GitHub's REST API by the standard library alone, for jobs in which nothing is installed.

Such a job reports that a workflow fails, most of all when packages cannot be had. `github.py` uses PyGithub instead.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from npc_lims.clients.github_responses import Refusal, iterate_items
from npc_lims.errors import GitHubError, MissingCredentials
from npc_lims.utils.ca_bundle import HTTP_BUNDLE, SSL_BUNDLE, ca_bundle_failure
from npc_lims.utils.deadline import DeadlineExceeded, call_within
from npc_lims.utils.redaction import safe_text
from npc_lims.utils.text import single_line

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

NEEDS = "issues: write"
"""Permission of the token."""

_TIMEOUT = 30.0
_MAX_DELAY = 60.0
_MAX_BYTES = 20_000_000
# The issues with a label of ours: more than one is open only where runs fail at the same time.
_MAX_PAGES = 10


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none: the token would go along, to any host."""


class RestClient:
    """A client of one repository.

    Args:
        api_url: Address of the API.
        repo: OWNER/NAME.
        attempts: Maximum number of requests where GitHub does not answer or has trouble. Repeated writes do no harm
            here: of two issues one is closed as a duplicate.
        backoff: Seconds before the second one; it doubles.
        deadline: Seconds that one request may take in all.
        ca_file: Certificates to trust. Default: those of the system, or SSL_CERT_FILE.

    Raises:
        GitHubError: The address is none of HTTP.
    """

    def __init__(
        self,
        api_url: str,
        token: str,
        repo: str,
        *,
        attempts: int = 4,
        backoff: float = 2,
        deadline: float = 60,
        ca_file: str | None = None,
    ) -> None:
        if not api_url.startswith(("https://", "http://")):
            raise GitHubError(f"GITHUB_API_URL must be an https address, not {single_line(api_url, 100)!r}")
        self._api_url = api_url.rstrip("/")
        self._token = token
        self.repo = repo
        self._attempts = attempts
        self._backoff = backoff
        self._deadline = deadline
        self._ca_file = ca_file

    @classmethod
    def from_job(cls, environ: Mapping[str, str]) -> RestClient:
        """Return the client of a job of GitHub Actions, by its variables; GITHUB_TOKEN must be among them."""
        backoff = float(environ.get("NPC_LIMS_BACKOFF", "2"))
        return cls(environ["GITHUB_API_URL"], environ["GITHUB_TOKEN"], environ["GITHUB_REPOSITORY"], backoff=backoff)

    @classmethod
    def from_settings(cls, settings: Settings) -> RestClient:
        """Return a client for GITHUB_TOKEN.

        Raises:
            MissingCredentials: There is no token.
        """
        from requests.utils import DEFAULT_CA_BUNDLE_PATH

        if settings.github_token is None:
            raise MissingCredentials(f"GITHUB_TOKEN is not set: make a token for {settings.repo} that allows {NEEDS}")
        return cls(
            settings.github_api_url,
            settings.github_token.get_secret_value(),
            settings.repo,
            attempts=settings.attempts,
            backoff=settings.backoff,
            ca_file=next(filter(None, map(os.environ.get, HTTP_BUNDLE)), DEFAULT_CA_BUNDLE_PATH),
        )

    def request(self, action: str, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON of GitHub's response; None if it is empty.

        Args:
            action: Purpose (`opening an issue`): errors begin with it.
            path: Below the address of the repository.

        Raises:
            GitHubError: GitHub refused, or could not be reached.
        """
        return self._page(action, method, f"/repos/{self.repo}{path}", body)[1]

    def find(self, action: str, path: str) -> Any:
        """Return the JSON at *path*, None if GitHub answers 404. Raises as `request`."""
        try:
            return self.request(action, "GET", path)
        except GitHubError as error:
            if error.status == 404:
                return None
            raise

    def list_items(self, action: str, path: str, query: Mapping[str, str | int]) -> Iterator[dict[str, Any]]:
        """Yield every item of a list, page by page. Raises as `request`."""

        def read(target: str) -> tuple[str, Any]:
            return self._page(action, "GET", target)

        return iterate_items(action, self._api_url, f"/repos/{self.repo}{path}", query, read, max_pages=_MAX_PAGES)

    def _page(self, action: str, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[str, Any]:
        """Return the Link header and the JSON."""
        for attempt in range(1, self._attempts + 1):
            delay: float | None = self._backoff * 2 ** (attempt - 1)
            try:
                return call_within(self._deadline, lambda: self._send(method, path, body))
            except urllib.error.HTTPError as error:
                refusal = self._refusal(error)
                failure = refusal.error(action, self.repo, NEEDS)
                if error.code < 500:
                    delay = refusal.delay
            except DeadlineExceeded as error:
                failure = GitHubError(f"{action}: {self._api_url} gave no complete answer ({error})")
            except (OSError, http.client.HTTPException) as error:
                bundle = ca_bundle_failure(error, HTTP_BUNDLE if self._ca_file else SSL_BUNDLE)
                reason = bundle or safe_text(getattr(error, "reason", error) or type(error).__name__, 200)
                failure = GitHubError(f"{action}: {self._api_url} could not be reached ({reason})")
            except (ValueError, RecursionError):
                failure = GitHubError(f"{action}: {self._api_url} sent an answer that cannot be read")
            if delay is None or delay > _MAX_DELAY or attempt == self._attempts:
                break
            time.sleep(delay)
        raise failure

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[str, Any]:
        request = urllib.request.Request(  # noqa: S310 (__init__ checks the scheme)
            f"{self._api_url}{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
                "User-Agent": "npc-lims",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        context = ssl.create_default_context(cafile=self._ca_file)
        opener = urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=context))
        with opener.open(request, timeout=_TIMEOUT) as response:
            content, link = response.read(_MAX_BYTES + 1), response.headers.get("Link", "")
        if len(content) > _MAX_BYTES:
            raise ValueError(f"more than {_MAX_BYTES} bytes")
        return link, json.loads(content) if content else None

    def _refusal(self, error: urllib.error.HTTPError) -> Refusal:
        headers = {name.lower(): value for name, value in error.headers.items()}

        def read() -> bytes:
            with error:
                return error.read(_MAX_BYTES)

        try:
            body = json.loads(call_within(self._deadline, read))
        except (OSError, http.client.HTTPException, RecursionError, ValueError):
            body = {"message": error.reason}
        return Refusal(error.code, headers, body)
