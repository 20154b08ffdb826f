"""A web server for one site, for this machine alone."""

from __future__ import annotations

import gzip
import http.server
import re
import sys
import urllib.parse
from http import HTTPStatus
from pathlib import Path
from typing import Any

_TEXT = "text/plain; charset=utf-8"
MIME_TYPES = {
    ".atom": "application/atom+xml; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".jsonl": "application/x-ndjson; charset=utf-8",
    ".md": _TEXT,
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml; charset=utf-8",
    ".txt": _TEXT,
    ".woff2": "font/woff2",
}
"""Fixed, as installed programs change the types of Windows, and browsers refuse modules of another type."""
_UNKNOWN = "application/octet-stream"
_MIN_GZIP_BYTES = 1_000
_GZIP = re.compile(r"gzip(;q=(?!0[.0]*$).*)?")
"""An item of a header Accept-Encoding, unless its weight is 0."""
_INDEX = "index.html"
_SLASHES = "/\\"
_LOCAL = ("127.0.0.1", "localhost")


class SiteServer(http.server.ThreadingHTTPServer):
    """Serves *folder* at 127.0.0.1. Port 0 takes a free one, which `address` has."""

    daemon_threads = True

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder = folder.resolve()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore browsers that close the connection."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: SiteServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""

    def do_GET(self) -> None:
        if self.headers.get("Host", "").rsplit(":", 1)[0] not in _LOCAL:
            # DNS rebinding: a page of another site may have given this machine a name
            self._send(HTTPStatus.FORBIDDEN, _TEXT, b"use the address 127.0.0.1\n")
            return
        url = urllib.parse.urlsplit(self.path)
        path = self._find(url.path)
        if path is not None and path.name == _INDEX and url.path and not url.path.endswith(("/", _INDEX)):
            # one slash in front: two would name another host
            self._redirect(url._replace(scheme="", netloc="", path=f"/{url.path.strip(_SLASHES)}/").geturl())
            return
        status = HTTPStatus.OK
        if path is None:
            path, status = self.server.folder / "404.html", HTTPStatus.NOT_FOUND
        try:
            content = path.read_bytes()
        except OSError:
            self._send(HTTPStatus.NOT_FOUND, _TEXT, b"there is no such page\n")
            return
        self._send(status, MIME_TYPES.get(path.suffix.lower(), _UNKNOWN), content)

    def do_HEAD(self) -> None:
        self.do_GET()  # without content, by `_send`

    def _find(self, quoted: str) -> Path | None:
        """Return the requested file, if the site has it."""
        try:
            path = (self.server.folder / urllib.parse.unquote(quoted).lstrip(_SLASHES)).resolve()
            if path.is_dir():
                path = (path / _INDEX).resolve()
            # a symbolic link must not lead out of the site
            return path if path.is_file() and self.server.folder in path.parents else None
        except (OSError, ValueError):  # a name that no file can have
            return None

    def _redirect(self, folder: str) -> None:
        """Redirect to a folder, so that the relative links of its page work."""
        self.send_response(HTTPStatus.MOVED_PERMANENTLY)
        self.send_header("Location", folder)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        accepted = self.headers.get("Accept-Encoding", "").lower().replace(" ", "").split(",")
        takes_gzip = any(map(_GZIP.fullmatch, accepted))
        if takes_gzip and "charset" in kind and len(content) >= _MIN_GZIP_BYTES:
            content = gzip.compress(content, compresslevel=6, mtime=0)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Vary", "Accept-Encoding")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)
