"""Lists of GitHub's REST API, page after page, each checked. Takes the standard library alone.

A next page is where the Link header says, if that is at the same API: a token never follows it elsewhere. What a proxy
has stripped of that header is followed by number while pages are full.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Optional, Union

from npc_lims.errors import GitHubError
from npc_lims.utils.text import single_line

__all__ = ["PAGE", "Fetch", "entries_of", "items_of", "iterate_items"]

PAGE = 100
"""Items of a page, the most that GitHub gives."""
_MAX_PAGES = 1_000
_LINK = re.compile(r'<([^<>]*)>((?:\s*;\s*[\w*-]+\s*=\s*(?:"[^"]*"|[^",;\s]*))*)')
_IS_NEXT = re.compile(r'\brel\s*=\s*"?next\b')

Fetch = Callable[[str], "tuple[str, Any]"]
"""Gives the Link header (empty if there is none) and the JSON of what is at a path of the API, with its query."""


def iterate_items(
    doing: str,
    api_url: str,
    path: str,
    query: Mapping[str, Union[str, int]],
    fetch: Fetch,
    key: Optional[str] = None,
) -> Iterator[dict[str, Any]]:
    """Yield every item of a list, or of the list below *key*.

    Args:
        doing: What it is for: errors begin with it.

    Raises:
        GitHubError: A page is no list, or inconsistent with those before it; or the list does not end.
    """

    def page_of(number: int) -> str:
        return f"{path}?{urllib.parse.urlencode({**query, 'per_page': PAGE, 'page': number})}"

    target = page_of(1)
    visited: set[str] = set()
    before: list[dict[str, Any]] = []
    count = 0
    for number in range(1, _MAX_PAGES + 1):
        visited.add(target)
        link, body = fetch(target)
        items = items_of(doing, body, key)
        if items and items == before:
            raise GitHubError(f"{doing}: page {number} of GitHub's answer repeats the one before; try again")
        yield from items
        count, before = count + len(items), items
        following = _next_path(doing, api_url, link)
        if following is None and not link and len(items) >= PAGE:
            following = page_of(number + 1)
        if following is None:
            total = body.get("total_count") if isinstance(body, dict) else None
            if isinstance(total, int) and total > count:
                raise GitHubError(f"{doing}: GitHub's answer ends after {count} of {total} items; try again")
            return
        if following in visited:
            raise GitHubError(f"{doing}: page {number} of GitHub's answer leads back to an earlier one; try again")
        target = following
    raise GitHubError(f"{doing}: GitHub's answer does not end within {_MAX_PAGES} pages")


def items_of(doing: str, body: Any, key: Optional[str] = None) -> list[dict[str, Any]]:
    """Return the items of one page.

    Raises:
        GitHubError: It is no list of objects, or says that it is incomplete.
    """
    items = body.get(key) if key and isinstance(body, dict) else body
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise GitHubError(f"{doing}: a list was expected, GitHub's answer is none; check GITHUB_API_URL")
    if isinstance(body, dict) and body.get("incomplete_results"):
        raise GitHubError(f"{doing}: GitHub's answer is incomplete (incomplete_results); try again")
    return items


def entries_of(doing: str, tree: Any) -> list[dict[str, Any]]:
    """Return the entries of a git tree. Raises as `items_of`; a truncated tree is incomplete."""
    entries = items_of(doing, tree, "tree")
    if isinstance(tree, dict) and tree.get("truncated"):
        raise GitHubError(f"{doing}: GitHub's answer is incomplete (a truncated tree); use a clone instead")
    return entries


def _next_path(doing: str, api_url: str, link: str) -> Optional[str]:
    for url, parameters in _LINK.findall(link):
        if _IS_NEXT.search(parameters):
            if not url.startswith(f"{api_url}/"):
                where = single_line(url, 100)
                raise GitHubError(
                    f"{doing}: GitHub's answer goes on at {where}, not at {api_url}; check GITHUB_API_URL"
                )
            return str(url[len(api_url) :])
    return None
