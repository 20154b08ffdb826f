"""Questions to GitHub's REST API, for which a public repository needs no token."""

from __future__ import annotations

import dataclasses
import re
import time
import urllib.parse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Union

from npc_lims.clients.http import HttpClient, HttpResponse, RequestFailed, RetryPolicy, bearer_auth
from npc_lims.errors import GitHubError
from npc_lims.utils.timestamps import utc_text, utc_time

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = ["Answer", "ask_github"]

_LAST_PAGE = re.compile(r'<[^>]*[?&]page=([0-9]{1,9})[^>]*>; rel="last"')


@dataclasses.dataclass(frozen=True)
class Answer:
    """What GitHub answered.

    Attributes:
        body: The JSON.
        link: The Link header, which names other pages of a list; empty if there is none.
    """

    body: Any
    link: str = ""

    @property
    def last_page(self) -> int:
        """Number of the last page of a list; 1 where there are no more."""
        last = _LAST_PAGE.search(self.link)
        return int(last[1]) if last else 1


def ask_github(settings: Settings, doing: str, path: str, query: Mapping[str, Union[str, int]] | None = None) -> Answer:
    """The answer to a GET, with GITHUB_TOKEN if there is one.

    Args:
        doing: What it is for (`reading commits of lab/state`): errors begin with it.
        path: Below the address of the API, quoted.

    Raises:
        GitHubError: GitHub refused, or could not be reached.
    """
    url = f"{settings.github_api_url}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
    token = settings.github_token

    def parse(response: HttpResponse) -> Answer:
        if response.status != 200:
            raise GitHubError(f"{doing}: {_refusal(settings, response)}", response.status)
        return Answer(response.json(), response.headers.get("Link", ""))

    headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
    try:
        auth = bearer_auth(None if token is None else token.get_secret_value())
        with HttpClient(RetryPolicy.interactive(settings), auth) as client:
            return client.request("GET", url, parse, headers=headers)
    except RequestFailed as error:
        hint = "; GITHUB_TOKEN raises the limit" if "429" in str(error) and settings.github_token is None else ""
        raise GitHubError(f"{doing}: {settings.github_api_url} {error}{hint}") from None


def _refusal(settings: Settings, response: HttpResponse) -> str:
    """What GitHub said, and what can be done about it."""
    try:
        said = str(response.json()["message"]).strip().rstrip(".")
    except (KeyError, RecursionError, TypeError, ValueError):
        said = response.reason
    return f"GitHub answered {response.status} ({said}); {_remedy(settings, response)}"


def _remedy(settings: Settings, response: HttpResponse) -> str:
    has_token = settings.github_token is not None
    status = response.status
    if status == 403 and _is_limit(response):
        more = "" if has_token else ", or set GITHUB_TOKEN: 5,000 requests an hour in place of 60"
        return f"the limit of requests is used up: try again {_when(response)}{more}"
    if status == 401:
        return "GITHUB_TOKEN has expired or is wrong: make a new one, or unset it to read a public repository"
    if status in (301, 302, 307, 308):
        return f"{settings.repo} has moved: set NPC_LIMS_REPO to its new name"
    if status in (403, 404):
        hidden = "hidden from GITHUB_TOKEN" if has_token else "private: set GITHUB_TOKEN"
        return f"check NPC_LIMS_REPO ({settings.repo}): it may be named otherwise, or {hidden}"
    return "check the name of the branch, tag or commit"


def _is_limit(response: HttpResponse) -> bool:
    return response.headers.get("X-RateLimit-Remaining") == "0" or b"rate limit" in response.content.lower()


def _when(response: HttpResponse) -> str:
    reset = response.headers.get("X-RateLimit-Reset", "")
    asked = response.headers.get("Retry-After", "")
    if asked.isdecimal():
        return f"in {asked} s"
    if not reset.isdecimal():
        return "later"
    then = utc_time(utc_text(float(reset)))  # which is no later than calendars go
    return f"after {then:%H:%M:%S} UTC ({max(0.0, float(reset) - time.time()):.0f} s from now)"
