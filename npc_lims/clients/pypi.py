"""PyPI: which release of a package is the newest."""

from __future__ import annotations

import re
import urllib.parse
from typing import TYPE_CHECKING

from npc_lims.clients.http import HttpClient, HttpResponse, RequestFailed, RetryPolicy
from npc_lims.errors import SourceError

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = ["newest_release"]

SOURCE = "pypi"
# PyPI sends on to the spelling of the name that it prefers.
_MOST_REDIRECTS = 3
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.!+_-]{0,99}")


def newest_release(settings: Settings) -> str:
    """The version of the newest release of npc_sessions, such as `0.0.300`.

    Raises:
        SourceError: It cannot be asked, or does not say.
    """
    url = settings.pypi_url
    with HttpClient(RetryPolicy.from_settings(settings)) as client:
        try:
            for _ in range(_MOST_REDIRECTS):
                answer = client.request("GET", url, _version_or_place)
                if "version" in answer:
                    return str(answer["version"])
                url = _same_host(url, answer["place"])
        except RequestFailed as error:
            raise SourceError(SOURCE, f"{url} {error}") from None
    raise SourceError(SOURCE, f"{url} sends on and on; check NPC_LIMS_PYPI_URL")


def _version_or_place(response: HttpResponse) -> dict[str, str]:
    """The version, or where to ask instead."""
    if response.location is not None:
        return {"place": response.location}
    if response.status != 200:
        raise SourceError(SOURCE, f"{response.url} answered {response.status}; check NPC_LIMS_PYPI_URL")
    content = response.json()
    info = content.get("info") if isinstance(content, dict) else None
    version = info.get("version") if isinstance(info, dict) else None
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise ValueError("no info.version in it")
    return {"version": version}


def _same_host(url: str, place: str) -> str:
    try:
        there = urllib.parse.urljoin(url, place)
        before, after = urllib.parse.urlsplit(url), urllib.parse.urlsplit(there)
    except ValueError:  # brackets that hold no IPv6 address
        raise SourceError(SOURCE, f"{url} sends on to no address ({place}); check NPC_LIMS_PYPI_URL") from None
    if (before.scheme, before.netloc) != (after.scheme, after.netloc):
        raise SourceError(SOURCE, f"{url} sends on to {after.netloc}, which is not followed; check NPC_LIMS_PYPI_URL")
    return there
