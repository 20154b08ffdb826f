"""Requests to GitHub by the standard library alone: for jobs in which nothing is installed.

`client.py` has those of the package, with PyGithub and its settings.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import IO, Any

from npc_lims.clients.github_paging import iterate_items
from npc_lims.errors import GitHubError
from npc_lims.utils.ca_bundle import SSL_BUNDLE, ca_bundle_failure
from npc_lims.utils.redaction import safe_text
from npc_lims.utils.text import single_line

__all__ = ["PlainClient"]

_TIMEOUT = 30.0
_DEADLINE = 60.0
_MAX_BYTES = 20_000_000
_RETRYABLE = (429, 500, 502, 503, 504)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none: the token would go along, wherever it leads."""


class PlainClient:
    """A client of one repository.

    Args:
        api_url: Address of the API.
        token: Of the job.
        repo: OWNER/NAME.
        attempts: Requests sent at most where GitHub does not answer or has trouble. What is sent twice does no harm
            here: of two issues one is closed as a duplicate.
        delay: Seconds before the second one; it doubles.

    Raises:
        GitHubError: The address is none of HTTP.
    """

    def __init__(self, api_url: str, token: str, repo: str, *, attempts: int = 4, delay: float = 2) -> None:
        if not api_url.startswith(("https://", "http://")):
            raise GitHubError(f"GITHUB_API_URL must be an https address, not {single_line(api_url, 100)!r}")
        self._api_url = api_url.rstrip("/")
        self._token = token
        self.repo = repo
        self._attempts = attempts
        self._delay = delay
        self._opener = urllib.request.build_opener(_NoRedirect)

    @classmethod
    def of_job(cls, environ: Mapping[str, str]) -> PlainClient:
        """Return the client of a job of GitHub Actions, by its variables; GITHUB_TOKEN must be among them."""
        delay = float(environ.get("NPC_LIMS_BACKOFF", "2"))
        return cls(environ["GITHUB_API_URL"], environ["GITHUB_TOKEN"], environ["GITHUB_REPOSITORY"], delay=delay)

    def ask(self, doing: str, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON that GitHub answers; None if nothing.

        Raises:
            GitHubError: GitHub refused, or could not be reached.
        """
        return self._ask(doing, method, path, body)[1]

    def _ask(self, doing: str, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[str, Any]:
        for attempt in range(1, self._attempts + 1):
            try:
                return self._send(method, path, body)
            except urllib.error.HTTPError as error:
                failure = GitHubError(f"{doing}: GitHub answered {error.code} ({_message_of(error)})", error.code)
                if error.code not in _RETRYABLE:
                    raise failure from None
            except (OSError, http.client.HTTPException) as error:
                bundle = ca_bundle_failure(error, SSL_BUNDLE)
                reason = bundle or safe_text(getattr(error, "reason", error) or type(error).__name__, 200)
                failure = GitHubError(f"{doing}: {self._api_url} could not be reached ({reason})")
            except (ValueError, RecursionError):
                failure = GitHubError(f"{doing}: {self._api_url} sent an answer that cannot be read")
            if attempt < self._attempts:
                time.sleep(self._delay * 2 ** (attempt - 1))
        raise failure

    def find(self, doing: str, path: str) -> Any:
        """Return what is at *path*, None if GitHub answers 404. Raises as `ask`."""
        try:
            return self.ask(doing, "GET", path)
        except GitHubError as error:
            if error.status == 404:
                return None
            raise

    def every(self, doing: str, path: str, query: Mapping[str, str | int]) -> Iterator[dict[str, Any]]:
        """Yield every item of a list, page by page. Raises as `ask`."""
        return iterate_items(doing, self._api_url, path, query, lambda target: self._ask(doing, "GET", target))

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[str, Any]:
        """Return the Link header and the JSON."""
        request = urllib.request.Request(  # noqa: S310 (__init__ has looked at the scheme)
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
        with self._opener.open(request, timeout=_TIMEOUT) as response:
            content, link = _read(response), response.headers.get("Link", "")
        return link, json.loads(content) if content else None


def _read(response: IO[bytes]) -> bytes:
    """The body, within a size and a time: a time-out of a connection bounds only the wait for the next bytes."""
    end = time.monotonic() + _DEADLINE
    parts: list[bytes] = []
    while part := response.read(65536):
        parts.append(part)
        if sum(map(len, parts)) > _MAX_BYTES or time.monotonic() > end:
            raise TimeoutError(f"more than {_MAX_BYTES // 10**6} MB, or not done within {_DEADLINE:.0f} s")
    return b"".join(parts)


def _message_of(error: urllib.error.HTTPError) -> str:
    """GitHub's reason, with the codes that it gives for single fields."""
    try:
        said = json.loads(_read(error))
        codes = [str(item.get("code")) for item in said.get("errors", []) if isinstance(item, dict)]
        return safe_text(": ".join([str(said["message"]), *codes]), 300)
    except (AttributeError, KeyError, OSError, RecursionError, TypeError, ValueError):
        return safe_text(error.reason, 100)
