"""Reads of GitHub's REST API, for which a public repository needs no token."""

from __future__ import annotations

import dataclasses
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Union

from npc_lims.clients.github_responses import Refusal, iterate_items
from npc_lims.clients.http import HttpClient, HttpResponse, RequestFailed, RetryPolicy, bearer_auth
from npc_lims.errors import GitHubError

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

_LAST_PAGE = re.compile(r'<[^>]*[?&]page=([0-9]{1,9})[^>]*>; rel="last"')
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
Query = Mapping[str, Union[str, int]]


@dataclasses.dataclass(frozen=True)
class GitHubPage:
    """A response of GitHub.

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


def get_github(settings: Settings, action: str, path: str, query: Query | None = None) -> GitHubPage:
    """Return the response to a GET, with GITHUB_TOKEN if there is one.

    Args:
        action: Purpose (`reading commits of lab/state`): errors begin with it.
        path: Below the address of the API, quoted.

    Raises:
        GitHubError: GitHub refused, or could not be reached.
    """
    url = f"{settings.github_api_url}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
    token = None if settings.github_token is None else settings.github_token.get_secret_value()

    def parse(response: HttpResponse) -> GitHubPage:
        if response.status != 200:
            raise _refusal(response).error(action, settings.repo, None, has_token=token is not None)
        return GitHubPage(response.json(), response.headers.get("Link", ""))

    try:
        with HttpClient(RetryPolicy.interactive(settings), bearer_auth(token)) as client:
            return client.request("GET", url, parse, headers=_HEADERS)
    except RequestFailed as error:
        hint = "; GITHUB_TOKEN raises the limit" if "429" in str(error) and token is None else ""
        raise GitHubError(f"{action}: {settings.github_api_url} {error}{hint}") from None


def list_github(settings: Settings, action: str, path: str, query: Query) -> Iterator[dict[str, Any]]:
    """Yield every item of a list, page by page. Raises as `get_github`."""

    def read(target: str) -> tuple[str, Any]:
        page = get_github(settings, action, target)
        return page.link, page.body

    return iterate_items(action, settings.github_api_url, path, query, read)


def _refusal(response: HttpResponse) -> Refusal:
    try:
        body = response.json()
    except (RecursionError, ValueError):
        body = {"message": response.reason}
    return Refusal(response.status, {name.lower(): value for name, value in response.headers.items()}, body)
