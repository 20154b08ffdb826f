"""PyPI: which release of a package is the newest."""

from __future__ import annotations

import re
import urllib.parse
from typing import TYPE_CHECKING, Any

from npc_lims.errors import SourceError
from npc_lims.utils.json_answer import parse_json

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
    import requests

    from npc_lims.clients.http import GaveUp, Patience, request

    patience = Patience.of(settings)
    url = settings.pypi_url
    with requests.Session() as session:
        try:
            for _ in range(_MOST_REDIRECTS):
                answer = request(session, "GET", url, patience, parse=_version_or_place)
                if "version" in answer:
                    return str(answer["version"])
                url = _same_host(url, answer["place"])
        except GaveUp as error:
            raise SourceError(SOURCE, f"{url} {error}") from None
    raise SourceError(SOURCE, f"{url} sends on and on; check NPC_LIMS_PYPI_URL")


def _version_or_place(response: Any) -> dict[str, str]:
    """The version, or where to ask instead."""
    if response.is_redirect:
        return {"place": response.headers["Location"]}
    if response.status_code != 200:
        raise SourceError(SOURCE, f"{response.url} answered {response.status_code}; check NPC_LIMS_PYPI_URL")
    content = parse_json(response.content)
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
