"""URLs of GitHub, Code Ocean and the S3 console. Pure.

Recorded values are external input: they are quoted in URLs, and a value that is itself a URL is checked.
"""

from __future__ import annotations

import dataclasses
import re
import urllib.parse
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

_S3 = re.compile(r"s3://(?P<bucket>[A-Za-z0-9][A-Za-z0-9._-]*)(?:/(?P<key>.*))?", re.DOTALL)


def web_address(text: object) -> str | None:
    """Return *text* if it is an http or https URL of a host, else None.

    >>> web_address("https://github.com/AllenInstitute/npc_lims/issues/5")
    'https://github.com/AllenInstitute/npc_lims/issues/5'
    >>> web_address("javascript:alert(1)") is None
    True
    """
    # a browser drops line feeds and tabs, which changes the URL
    if not isinstance(text, str) or any(char.isspace() or not char.isprintable() for char in text):
        return None
    try:
        parts = urllib.parse.urlsplit(text)
        host = parts.hostname
    except ValueError:
        return None
    # user information before an @ looks like the host
    return text if parts.scheme in ("http", "https") and host and "@" not in parts.netloc and "\\" not in text else None


@dataclasses.dataclass(frozen=True)
class Links:
    """Makes URLs, each of which is None if it has no target."""

    repository: str | None
    """`OWNER/NAME` on GitHub; None if state is not on GitHub."""
    branch: str = "main"
    tracked: str | None = "tracked_sessions.yaml"
    """Path of the tracked file in the repository; None if it has none."""
    state: str = "state"
    """Path of the state folder in the repository."""
    codeocean: str = "https://codeocean.allenneuraldynamics.org"
    codeocean_bucket: str = ""
    """Bucket of results inside Code Ocean."""
    github: str = "https://github.com"
    site: str | None = None
    """URL of the status site; None if there is none."""

    def commit(self, sha: str | None) -> str | None:
        return self._on_github("commit", sha) if sha else None

    def session(self, session: str) -> str | None:
        """Return the URL of a session's page on the site, else of its file on GitHub."""
        if self.site is None:
            return self.state_file(session)
        return f"{self.site}/session.html?{urllib.parse.urlencode({'id': session})}"

    def state_file(self, session: str) -> str | None:
        return self._on_github("blob", self.branch, self._path_of(session))

    def state_history(self, session: str) -> str | None:
        return self._on_github("commits", self.branch, self._path_of(session))

    def tracked_line(self, line: int | None) -> str | None:
        return self._in_tracked("blob", line)

    def edit(self, line: int | None) -> str | None:
        """Return the URL of the tracked file in the editor of GitHub, which makes a pull request."""
        return self._in_tracked("edit", line)

    def new_issue(self, session: str) -> str | None:
        """Return the URL of the form 'Report a wrong fact' for a session."""
        form = self._on_github("issues", "new")
        query = {"template": "wrong-fact.yml", "title": f"Wrong fact: {session}", "session": session}
        return None if form is None else f"{form}?{urllib.parse.urlencode(query, quote_via=urllib.parse.quote)}"

    def asset(self, asset: Mapping[str, Any]) -> dict[str, str | None]:
        """Return the URLs of a recorded data asset on Code Ocean, and of its files on S3."""
        id_ = str(asset["id"])
        location = asset.get("location") or (f"s3://{self.codeocean_bucket}/{id_}" if self.codeocean_bucket else None)
        return {"codeocean": f"{self.codeocean}/data-assets/{_quoted(id_)}", "s3": s3_console(location)}

    def capsule(self, capsule_id: str) -> str:
        """Return the URL of a capsule or pipeline on Code Ocean, which lists its runs."""
        return f"{self.codeocean}/capsule/{_quoted(capsule_id)}"

    def _path_of(self, session: str) -> str:
        subject = session.partition("_")[0]
        return PurePosixPath(self.state, "sessions", subject, f"{session}.yaml").as_posix()

    def _in_tracked(self, view: str, line: int | None) -> str | None:
        if self.tracked is None:
            return None
        page = self._on_github(view, self.branch, self.tracked)
        return page if page is None or not line else f"{page}#L{line:d}"

    def _on_github(self, *parts: str) -> str | None:
        if self.repository is None:
            return None
        return "/".join([self.github, *(_quoted(part, "/") for part in (self.repository, *parts))])


def s3_console(location: object) -> str | None:
    """Return the URL of a folder on S3 in the AWS console.

    >>> s3_console("s3://aind-ephys-data/ecephys_626791 a")
    'https://console.aws.amazonaws.com/s3/buckets/aind-ephys-data?prefix=ecephys_626791%20a%2F'
    """
    match = _S3.fullmatch(location) if isinstance(location, str) else None
    if match is None:
        return None
    page = f"https://console.aws.amazonaws.com/s3/buckets/{match['bucket']}"
    key = (match["key"] or "").rstrip("/")
    return f"{page}?prefix={_quoted(key + '/')}" if key else page


def _quoted(text: str, safe: str = "") -> str:
    # a lone surrogate is not text that has bytes
    return urllib.parse.quote(text.encode("utf-8", "replace"), safe)
