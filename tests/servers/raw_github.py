"""Serves a local git repository the way raw.githubusercontent.com serves one from GitHub."""

from __future__ import annotations

import gzip
import hashlib
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.git_environment import plain_environment
from tests.servers.web import Request, Response, Server

# What a commit may be called in an address besides a branch or tag: names such as main~1 mean nothing there.
COMMIT = re.compile(r"HEAD|[0-9a-f]{7,40}")
# What git never lets a name hold (git check-ref-format), but reads as a way to walk from it.
NOT_A_NAME = re.compile(r"[~^:?*\[\\\s]|\.\.|@\{")
# As found on raw.githubusercontent.com; the cache lifetime is why a branch read can be five minutes old.
HEADERS = {
    "cache-control": "max-age=300",
    "content-type": "text/plain; charset=utf-8",
    "vary": "Authorization,Accept-Encoding",
    "x-content-type-options": "nosniff",
}


class RawGitHubServer(Server):
    """GET /{owner}/{repo}/{branch, tag or commit}/{path}, read from git anew for each request.

    An ETag is strong, or weak where the answer was compressed if `weak_when_gzip`, as behind a proxy. With
    `token` set the repository is private: who has not got it sees 404, like a stranger. `repo_name`
    ("owner/repo") makes all other repositories 404.
    """

    def __init__(
        self,
        repo_dir: Path,
        *,
        repo_name: str | None = None,
        token: str | None = None,
        weak_when_gzip: bool = False,
    ) -> None:
        super().__init__()
        self.repo_dir = repo_dir
        self.repo_name = repo_name
        self.token = token
        self.weak_when_gzip = weak_when_gzip

    def answer(self, request: Request) -> Response:
        if request.method not in {"GET", "HEAD"}:
            return Response(405, {"content-type": "text/plain; charset=utf-8"}, b"405: Method Not Allowed")
        content = self._content(request)
        if content is None:
            return Response(404, {"content-type": "text/plain; charset=utf-8"}, b"404: Not Found")
        headers = {**HEADERS, "etag": f'"{hashlib.sha256(content).hexdigest()}"'}
        if accepts_gzip(request.headers.get("accept-encoding", "")):
            if self.weak_when_gzip:
                headers["etag"] = "W/" + headers["etag"]
            headers["content-encoding"] = "gzip"
            content = gzip.compress(content, mtime=0)
        if none_match(request.headers.get("if-none-match", ""), headers["etag"]):
            kept = ("cache-control", "etag", "vary")
            return Response(304, {name: headers[name] for name in kept})
        return Response(200, headers, content)

    def _content(self, request: Request) -> bytes | None:
        given = request.headers.get("authorization")
        if self.token is not None and given not in (f"token {self.token}", f"Bearer {self.token}"):
            return None
        owner, repo, ref, path = split_address(unquote(urlsplit(request.path).path))
        if not path or NOT_A_NAME.search(ref) or self.repo_name not in (None, f"{owner}/{repo}"):
            return None
        names = [ref] if ref.startswith("refs/") else [f"refs/heads/{ref}", f"refs/tags/{ref}"]
        if COMMIT.fullmatch(ref):
            names.append(ref)
        for name in names:
            commit = self._git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
            if commit is not None:
                return self._git("cat-file", "blob", f"{commit.decode().strip()}:{path}")
        return None

    def _git(self, *arguments: str) -> bytes | None:
        command = ["git", "-C", str(self.repo_dir), *arguments]
        done = subprocess.run(command, env=plain_environment(), capture_output=True, check=False)
        return done.stdout if done.returncode == 0 else None


def split_address(path: str) -> tuple[str, str, str, str]:
    """Owner, repository, ref and path, empty where they are missing; a ref may be refs/heads/{branch}."""
    owner, repo, *rest = (path.lstrip("/") + "//").split("/")
    length = 3 if rest[:2] in (["refs", "heads"], ["refs", "tags"]) else 1
    return owner, repo, "/".join(rest[:length]), "/".join(rest[length:]).strip("/")


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding names gzip without refusing it (q=0)."""
    offers = (offer.replace(" ", "").lower() for offer in accept_encoding.split(","))
    return any(re.fullmatch(r"gzip(;q=(1(\.0*)?|0\.\d*[1-9]\d*))?", offer) for offer in offers)


def none_match(if_none_match: str, etag: str) -> bool:
    """Whether a copy that the client has is current: the weak comparison of RFC 9110, 13.1.2."""
    known = (tag.strip() for tag in if_none_match.split(","))
    return any(tag == "*" or tag.replace("W/", "", 1) == etag.replace("W/", "", 1) for tag in known)
