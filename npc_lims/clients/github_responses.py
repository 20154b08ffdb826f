"""Responses of GitHub's REST API: refusals with their remedy, and lists page by page. Takes the standard library alone.

The next page is the one that the Link header names, if that is at the same API: a token never follows it elsewhere. Of
a list without that header, which proxies may strip, full pages are followed by number.
"""

from __future__ import annotations

import dataclasses
import re
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Optional, Union

from npc_lims.clients.http import retry_after_seconds
from npc_lims.errors import GitHubError
from npc_lims.utils.text import single_line
from npc_lims.utils.timestamps import utc_text, utc_time

PAGE = 100
"""Items of a page, the most that GitHub gives."""
MAX_PAGES = 100
"""Pages of a list unless a caller expects more: 10,000 items, at which GitHub's own lists end."""
# GitHub's guide: what to wait at a secondary limit that names no time.
_DEFAULT_DELAY = 60.0
_LINK = re.compile(r'<([^<>]*)>((?:\s*;\s*[\w*-]+\s*=\s*(?:"[^"]*"|[^",;\s]*))*)')
_IS_NEXT = re.compile(r'\brel\s*=\s*"?next\b')

PageReader = Callable[[str], "tuple[str, Any]"]
"""Returns the Link header (empty if there is none) and the JSON at a path of the API, with its query."""


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A response by which GitHub refuses a request.

    Attributes:
        headers: Their names in lower case.
        body: The JSON; anything else if it is none.
    """

    status: int
    headers: Mapping[str, str]
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
        if self.status not in (403, 429):
            return None
        requested = retry_after_seconds(self.headers.get("retry-after"))
        if requested is not None:
            return requested
        reset = self.headers.get("x-ratelimit-reset", "")
        if self.headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
            return max(0.0, float(reset) - time.time()) + 1  # the header does not say when in that second
        return _DEFAULT_DELAY if self.status == 429 or "rate limit" in self.message.lower() else None

    def error(self, action: str, repo: str, needs: str | None, *, has_token: bool = True) -> GitHubError:
        """Return the error for a refused request.

        Args:
            action: Purpose of the request (`reading main of lab/state`).
            needs: Permissions of the token, in GitHub's words (`contents: write`); None for a public read.
            has_token: A token was sent.
        """
        remedy = self._remedy(repo, needs, has_token)
        return GitHubError(f"{action}: GitHub answered {self.status} ({self.message}); {remedy}", self.status)

    def _remedy(self, repo: str, needs: str | None, has_token: bool) -> str:
        delay = self.delay
        if delay is not None:
            then = utc_time(utc_text(time.time() + delay))  # which is no later than calendars go
            more = "" if has_token else ", or set GITHUB_TOKEN: 5,000 requests an hour in place of 60"
            return (
                f"the limit of requests is used up: try again after {then:%H:%M:%S} UTC ({delay:.0f} s from now){more}"
            )
        if self.status == 401:
            new = f"that allows {needs}" if needs else "or unset it to read a public repository"
            return f"GITHUB_TOKEN has expired or is wrong: make a new one{'' if needs else ','} {new}"
        if self.status in (301, 302, 307, 308):
            return f"{repo} has moved: set NPC_LIMS_REPO to its new name"
        if self.status == 403 and needs:
            allowed = self.headers.get("x-accepted-github-permissions", "").replace("=", ": ") or needs
            return f"GITHUB_TOKEN must allow {allowed} for {repo}"
        if self.status in (403, 404):
            hidden = "hidden from GITHUB_TOKEN" if has_token else "private: set GITHUB_TOKEN"
            return f"check NPC_LIMS_REPO ({repo}): it may be named otherwise, or {hidden}"
        if self.status >= 500:
            return "GitHub has trouble: try again later"
        return "correct that, and try again" if needs else "check the name of the branch, tag or commit"


def iterate_items(
    action: str,
    api_url: str,
    path: str,
    query: Mapping[str, Union[str, int]],
    fetch: PageReader,
    key: Optional[str] = None,
    *,
    max_pages: int = MAX_PAGES,
) -> Iterator[dict[str, Any]]:
    """Yield every item of a list, or of the list below *key*.

    Args:
        action: Purpose: errors begin with it.

    Raises:
        GitHubError: A page is no list, or inconsistent with those before it; or the list does not end.
    """

    def page_of(number: int) -> str:
        return f"{path}?{urllib.parse.urlencode({**query, 'per_page': PAGE, 'page': number})}"

    target = page_of(1)
    visited: set[str] = set()
    before: list[dict[str, Any]] = []
    count = 0
    for number in range(1, max_pages + 1):
        visited.add(target)
        link, body = fetch(target)
        items = items_of(action, body, key)
        if items and items == before:
            raise GitHubError(f"{action}: page {number} of GitHub's answer repeats the one before; try again")
        yield from items
        count, before = count + len(items), items
        following = _next_path(action, api_url, link)
        if following is None and not link and len(items) >= PAGE:
            following = page_of(number + 1)
        if following is None:
            total = body.get("total_count") if isinstance(body, dict) else None
            if isinstance(total, int) and total > count:
                raise GitHubError(f"{action}: GitHub's answer ends after {count} of {total} items; try again")
            return
        if following in visited:
            raise GitHubError(f"{action}: page {number} of GitHub's answer leads back to an earlier one; try again")
        target = following
    raise GitHubError(f"{action}: GitHub's answer does not end within {max_pages} pages")


def items_of(action: str, body: Any, key: Optional[str] = None) -> list[dict[str, Any]]:
    """Return the items of one page.

    Raises:
        GitHubError: It is no list of objects, or says that it is incomplete.
    """
    items = body.get(key) if key and isinstance(body, dict) else body
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise GitHubError(f"{action}: a list was expected, GitHub's answer is none; check GITHUB_API_URL")
    if isinstance(body, dict) and body.get("incomplete_results"):
        raise GitHubError(f"{action}: GitHub's answer is incomplete (incomplete_results); try again")
    return items


def _next_path(action: str, api_url: str, link: str) -> Optional[str]:
    for url, parameters in _LINK.findall(link):
        if _IS_NEXT.search(parameters):
            if not url.startswith(f"{api_url}/"):
                where = single_line(url, 100)
                raise GitHubError(
                    f"{action}: GitHub's answer goes on at {where}, not at {api_url}; check GITHUB_API_URL"
                )
            return str(url[len(api_url) :])
    return None
