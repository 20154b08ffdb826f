"""PyPI: which release of a package is the newest."""

from __future__ import annotations

import re
import urllib.parse

from npc_lims.clients.http import HttpClient, HttpResponse, RequestFailed, RetryPolicy
from npc_lims.config.settings import OFFLINE, Settings
from npc_lims.errors import SourceError

_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.!+_-]{0,99}")


def newest_release(settings: Settings) -> str:
    """Return the version of the newest release of npc_sessions, such as `0.0.300`; SourceError if PyPI gives none."""
    # PyPI redirects to the spelling of the name that it prefers
    url = settings.pypi_url
    if settings.offline:
        raise SourceError("pypi", f"{url}: {OFFLINE}")
    try:
        return HttpClient(RetryPolicy.from_settings(settings)).request(
            "GET", url, _parse_version, may_follow=_is_same_host
        )
    except RequestFailed as error:
        raise SourceError("pypi", f"{url} {error}") from None


def _is_same_host(url: str, target: str) -> bool:
    before, after = urllib.parse.urlsplit(url), urllib.parse.urlsplit(target)
    return (before.scheme, before.netloc) == (after.scheme, after.netloc)


def _parse_version(response: HttpResponse) -> str:
    if response.status != 200:
        target = "" if response.location is None else f" and redirects to {response.location}, which is not followed"
        raise SourceError("pypi", f"{response.url} answered {response.status}{target}; check NPC_LIMS_PYPI_URL")
    content = response.json()
    info = content.get("info") if isinstance(content, dict) else None
    version = info.get("version") if isinstance(info, dict) else None
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise ValueError("no info.version in it")
    return version
