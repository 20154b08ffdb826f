"""Serves files the way GitHub Pages serves a site."""

from __future__ import annotations

import email.utils
import gzip
import hashlib
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from tests.servers.raw_github import accepts_gzip, none_match
from tests.servers.web import Request, Response, Server

TYPES = {"html": "text/html; charset=utf-8", "json": "application/json; charset=utf-8"}


class PagesServer(Server):
    """GET /{path} of the site that was deployed last. `url` is the address of the site.

    Every file of a site bears the time of its deployment. As found there, an ETag is weak where the answer is
    compressed, If-None-Match wins over If-Modified-Since, and what is missing is a page of HTML.
    """

    def __init__(self, files: Mapping[str, bytes] | None = None, deployed: float = 0) -> None:
        super().__init__()
        self.files = dict(files or {})
        self.deployed = int(deployed)

    def deploy(self, files: Mapping[str, bytes], deployed: float) -> None:
        """Replace the site, at a time in seconds since 1970."""
        self.files, self.deployed = dict(files), int(deployed)

    def answer(self, request: Request) -> Response:
        if request.method not in {"GET", "HEAD"}:
            return Response(405, {"content-type": TYPES["html"]}, b"<h1>405</h1>")
        path = unquote(urlsplit(request.path).path).lstrip("/") or "index.html"
        content = self.files.get(path)
        if content is None:
            return Response(404, {"content-type": TYPES["html"]}, b"<!DOCTYPE html><h1>404</h1>There is no such page")
        etag = f'"{hashlib.sha256(content + str(self.deployed).encode()).hexdigest()[:16]}"'
        headers = {
            "access-control-allow-origin": "*",
            "cache-control": "max-age=600",
            "content-type": TYPES.get(path.rpartition(".")[2], "application/octet-stream"),
            "etag": etag,
            "last-modified": email.utils.formatdate(self.deployed, usegmt=True),
            "vary": "Accept-Encoding",
        }
        if accepts_gzip(request.headers.get("accept-encoding", "")):
            headers.update({"content-encoding": "gzip", "etag": f"W/{etag}"})
            content = gzip.compress(content, mtime=0)
        if self._is_current(request, etag):
            kept = ("cache-control", "etag", "last-modified", "vary")
            return Response(304, {name: headers[name] for name in kept})
        return Response(200, headers, content)

    def _is_current(self, request: Request, etag: str) -> bool:
        """Whether a copy that the client has is current: RFC 9110, 13.2.2."""
        if "if-none-match" in request.headers:
            return none_match(request.headers["if-none-match"], etag)
        try:
            since = email.utils.parsedate_to_datetime(request.headers["if-modified-since"]).timestamp()
        except (KeyError, TypeError, ValueError):  # TypeError: of Python 3.9
            return False
        return self.deployed <= since
