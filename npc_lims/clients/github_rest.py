"""Requests to GitHub, and what to do about each kind of refusal.

PyGithub signs and sends them. Its objects are not used: they ask for what they lack whenever an attribute is
looked at, where nobody expects a refusal.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Union

from npc_lims.clients.github_paging import iterate_items
from npc_lims.errors import GitHubError, MissingCredentials, NpcLimsError
from npc_lims.utils.ca_bundle import ca_bundle_failure
from npc_lims.utils.timestamps import utc_text, utc_time

if TYPE_CHECKING:
    import github

    from npc_lims.config.settings import Settings

__all__ = ["LONGEST_WAIT", "Client", "Json", "answers_of"]

Json = dict[str, Any]
Query = Mapping[str, Union[str, int]]
LONGEST_WAIT = 60.0
"""Seconds. Whoever is asked to wait longer is told, rather than kept."""

# What GitHub's own guide says to wait where a secondary limit is hit and no time is told.
_UNTOLD_WAIT = 60.0


@contextlib.contextmanager
def answers_of(settings: Settings) -> Iterator[None]:
    """Raise GitHubError where what is done with an answer shows that a field is missing, or of another kind."""
    try:
        yield
    except NpcLimsError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        found = f"{settings.github_api_url} sent an answer that is not as GitHub's API describes it"
        raise GitHubError(f"{found} ({type(error).__name__}: {error}); check GITHUB_API_URL") from error


class Client:
    """Asks on behalf of GITHUB_TOKEN.

    Args:
        settings: Where the API is, the token, and how patient to be.
        needs: What the token must be allowed to, in GitHub's words (`contents: write`).

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
        # Only what can do no harm twice is sent again without looking; how long a limit lasts is looked at below.
        retry = urllib3.Retry(
            total=settings.attempts - 1,
            backoff_factor=settings.backoff,
            status_forcelist=(500, 502, 503, 504),
            allowed_methods=("GET",),
            respect_retry_after_header=False,
            raise_on_status=False,
        )
        self._requester = github.Github(
            auth=github.Auth.Token(settings.github_token.get_secret_value()),
            base_url=settings.github_api_url,
            timeout=max(1, round(settings.timeout)),
            retry=retry,
            seconds_between_requests=None,
            seconds_between_writes=None,
        ).requester

    @property
    def repo(self) -> str:
        """OWNER/NAME."""
        return self.settings.repo

    def ask(
        self,
        doing: str,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        query: Query | None = None,
        longest: float = LONGEST_WAIT,
    ) -> Any:
        """The JSON that GitHub answers; None if nothing.

        Args:
            doing: What it is for (`reading main of lab/state`): errors begin with it.
            longest: Seconds that may be waited where a limit of requests is hit.

        Raises:
            GitHubError: GitHub refused, or could not be reached.
        """
        return self._ask(doing, method, path, body, query, longest)[1]

    def _ask(
        self,
        doing: str,
        method: str,
        path: str,
        body: Json | None = None,
        query: Query | None = None,
        longest: float = LONGEST_WAIT,
    ) -> tuple[dict[str, Any], Any]:
        """Return the headers, in lower case, and the JSON."""
        import github

        attempts = self.settings.attempts
        for attempt in range(1, attempts + 1):
            try:
                headers, answer = self._requester.requestJsonAndCheck(method, path, dict(query or {}), input=body)
                if answer is not None and "json" not in headers.get("content-type", ""):
                    raise ValueError("a page of somebody else's")
                return headers, answer
            except github.GithubException as error:
                wait = _wait_asked(error)
                if wait is None or wait > longest or attempt == attempts:
                    raise GitHubError(self._explain(doing, error, wait), error.status) from None
            except OSError as error:  # those of requests, and that of a missing CA bundle
                reason = ca_bundle_failure(error) or type(error).__name__
                why = f"{self.settings.github_api_url} could not be reached ({reason})"
                raise GitHubError(f"{doing}: {why}; check GITHUB_API_URL and the network, and try again") from None
            except (AttributeError, RecursionError, ValueError):  # PyGithub takes every refusal for an object
                why = f"{self.settings.github_api_url} sent an answer that cannot be read"
                raise GitHubError(f"{doing}: {why}; check GITHUB_API_URL, and try again") from None
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def find(self, doing: str, path: str, absent: tuple[int, ...] = (404,)) -> Any:
        """What is at *path*; None where GitHub answers with one of *absent*. Raises as `ask`."""
        try:
            return self.ask(doing, "GET", path)
        except GitHubError as error:
            if error.status in absent:
                return None
            raise

    def every(self, doing: str, path: str, query: Query | None = None, key: str | None = None) -> Iterator[Json]:
        """Every item of a list, however many pages it has; below *key* where the API has it so. Raises as `ask`."""

        def fetch(target: str) -> tuple[str, Any]:
            headers, answer = self._ask(doing, "GET", target)
            return str(headers.get("link", "")), answer

        return iterate_items(doing, self.settings.github_api_url, path, query or {}, fetch, key)

    def login(self) -> str | None:
        """Whose token it is; None for that of a workflow or an app, which is nobody's."""
        with answers_of(self.settings):
            user = self.find("asking whose GITHUB_TOKEN is", "/user", absent=(403,))
            return None if user is None else str(user["login"])

    def _explain(self, doing: str, error: github.GithubException, wait: float | None) -> str:
        return f"{doing}: GitHub answered {error.status} ({_said(error)}); {self._remedy(error, wait)}"

    def _remedy(self, error: github.GithubException, wait: float | None) -> str:
        if wait is not None:
            then = utc_time(utc_text(time.time() + wait))  # which is no later than calendars go
            return f"the limit of requests is used up: try again after {then:%H:%M:%S} UTC ({wait:.0f} s from now)"
        if error.status == 401:
            return "GITHUB_TOKEN has expired or is wrong: make a new one that allows " + self._needs
        if error.status == 403:
            wanted = _headers(error).get("x-accepted-github-permissions", "").replace("=", ": ") or self._needs
            return f"GITHUB_TOKEN must allow {wanted} for {self.settings.repo}"
        if error.status == 404:
            name = self.settings.repo
            return f"check NPC_LIMS_REPO ({name}): the repository may be named otherwise, or hidden from GITHUB_TOKEN"
        if error.status >= 500:
            return "GitHub has trouble: try again later"
        return "correct that, and try again"


def _headers(error: github.GithubException) -> dict[str, str]:
    return {name.lower(): value for name, value in (error.headers or {}).items()}


def _said(error: github.GithubException) -> str:
    """GitHub's message, with what it says of single fields, in one line."""
    data = error.data if isinstance(error.data, dict) else {}
    parts = [str(data.get("message") or "no reason given").strip().rstrip(".")]
    for item in data.get("errors") or []:
        if isinstance(item, dict):
            item = item.get("message") or " ".join(str(item[key]) for key in ("field", "code") if item.get(key))
        parts.append(str(item).rstrip("."))
    return " ".join(": ".join(parts).split())


def _wait_asked(error: github.GithubException) -> float | None:
    """Seconds until GitHub will answer again, if a limit of requests is why it did not."""
    from npc_lims.clients.http import retry_after_seconds

    headers = _headers(error)
    if error.status not in (403, 429):
        return None
    asked = retry_after_seconds(headers.get("retry-after"))
    if asked is not None:
        return asked
    reset = headers.get("x-ratelimit-reset", "")
    if headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
        return max(0.0, float(reset) - time.time()) + 1  # it is not told when in that second
    if error.status == 429 or "rate limit" in _said(error).lower():
        return _UNTOLD_WAIT
    return None
