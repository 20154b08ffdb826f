"""A bare repository behind git's own smart HTTP, which takes pushes from those whose token may write."""

from __future__ import annotations

import base64
import binascii
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from tests.git_environment import plain_environment
from tests.servers.web import Request, Response, Server

BOT = "github-actions[bot]"
"""Whose tokens the jobs get."""
NOTHING = "0" * 40


class Remote(Server):
    """`<url>/<name>` in a folder of its own: anyone may clone it, a token with `contents: write` may push.

    The folder may hold a bare repository already; a new one begins with a commit of `files` on `main`.
    """

    def __init__(self, folder: Path, name: str, files: Mapping[str, bytes] | None = None) -> None:
        super().__init__()
        self.name = name
        self.folder = folder
        self._tokens: dict[str, tuple[str, Mapping[str, str]]] = {}
        if files is None:
            return
        folder.mkdir(parents=True)
        self.git("init", "--quiet", "--bare", "--initial-branch=main")
        # who may push is decided below, before git is asked
        self.git("config", "http.receivepack", "true")
        self.git("config", "uploadpack.allowAnySHA1InWant", "true")
        self.commit(files, "Begin")

    # -- what tests and the runner do to it ----------------------------------------------------------

    def git(self, *arguments: str, text: bytes = b"", variables: Mapping[str, str] | None = None) -> bytes:
        """What git prints, in the bare repository, without the settings of the person who runs the tests."""
        done = self._call(arguments, text, variables or {})
        if done.returncode:
            raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def _call(
        self, arguments: Sequence[str], text: bytes, variables: Mapping[str, str]
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={**plain_environment(), **variables},
            input=text,
            capture_output=True,
            check=False,
        )

    def head(self, ref: str = "main") -> str:
        """The commit that a branch, tag or any other name stands for."""
        return self.git("rev-parse", "--verify", f"{ref}^{{commit}}").decode().strip()

    def read(self, path: str, ref: str = "main") -> bytes:
        """A file's content."""
        return self.git("cat-file", "blob", f"{ref}:{path}")

    def files(self, ref: str = "main", below: str = "") -> list[str]:
        """Paths of files, of a folder only where one is named."""
        listed = self.git("ls-tree", "-r", "--name-only", "-z", ref, *([below] if below else []))
        return listed.decode().split("\0")[:-1]

    def log(self, ref: str = "main") -> list[str]:
        """Messages of a branch's commits, the newest first."""
        return self.git("log", "--format=%B%x00", ref).decode().split("\0\n")[:-1]

    def commit(
        self, files: Mapping[str, bytes | None], message: str, branch: str = "main", base: str | None = None
    ) -> str:
        """Commit files (None deletes one) on top of a branch, which begins at `base` if it is new. The commit."""
        there = self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}").decode().strip()
        parent = there or (self.head(base) if base else "")
        lines = [f"commit refs/heads/{branch}", f"committer {PERSON['NAME']} <{PERSON['EMAIL']}> now"]
        lines += [f"data {len(message.encode())}", message, *([f"from {parent}"] if parent else [])]
        stream = ["\n".join(lines).encode()]
        for path, content in files.items():
            if content is None:
                stream.append(f'D "{path}"'.encode())
            else:
                stream += [f'M 100644 inline "{path}"\ndata {len(content)}'.encode(), content]
        text = b"\n".join([*stream, b"done\n"])
        self.git("fast-import", "--quiet", "--date-format=now", "--done", text=text)
        return self.head(branch)

    def commit_tree(self, tree: str, message: str, *parents: str) -> str:
        """A commit of a tree that is there already."""
        person = {f"GIT_{role}_{fact}": value for role in ("AUTHOR", "COMMITTER") for fact, value in PERSON.items()}
        named = [word for parent in parents for word in ("-p", parent)]
        return self.git("commit-tree", tree, "-m", message, *named, variables=person).decode().strip()

    def merge(self, base: str, head: str, ref: str) -> str:
        """Let `ref` be the merge of two commits, as GitHub keeps one of each pull request. The merge commit."""
        tree = self.git("merge-tree", "--write-tree", base, head).decode().split("\n")[0]
        sha = self.commit_tree(tree, f"Merge {head} into {base}", base, head)
        self.git("update-ref", ref, sha)
        return sha

    def changed(self, before: str, after: str) -> list[str]:
        """Paths that differ between two commits; all of them where there was none before."""
        if before == NOTHING:
            return self.files(after)
        return self.git("diff", "--name-only", "-z", before, after).decode().split("\0")[:-1]

    # -- who may do what -----------------------------------------------------------------------------

    def grant(self, token: str, permissions: Mapping[str, str], login: str = BOT) -> None:
        """Take this token from now on, as that of this user or App."""
        self._tokens[token] = (login, permissions)

    def protect(self, branch: str, *bypass: str) -> None:
        """Refuse pushes to a branch but from these users or Apps, with a rule such as GitHub has."""
        hook = self.folder / "hooks" / "update"
        allowed = "|".join(map(re.escape, bypass)) or "-"
        hook.write_text(
            f"""#!/bin/sh
[ "$1" = refs/heads/{branch} ] || exit 0
case "$REMOTE_USER" in {allowed}) exit 0;; esac
echo 'error: GH013: Repository rule violations found for refs/heads/{branch}.' >&2
exit 1
"""
        )
        hook.chmod(0o755)

    def revoke(self, token: str) -> None:
        """And no more."""
        self._tokens.pop(token, None)

    def answer(self, request: Request) -> Response:
        address = urlsplit(request.path)
        owner, repository, *rest = address.path.lstrip("/").split("/")
        if f"{owner}/{repository}".removesuffix(".git") != self.name:
            return Response(404, {}, b"Not Found")
        pushes = "git-receive-pack" in address.path or "git-receive-pack" in address.query
        token = _token(request.headers.get("authorization", ""))
        if token is None and pushes:
            return Response(401, {"www-authenticate": 'Basic realm="GitHub"'}, b"who are you?")
        if token is not None and token not in self._tokens:
            return Response(401, {"www-authenticate": 'Basic realm="GitHub"'}, b"Bad credentials")
        login, permissions = self._tokens.get(token or "", ("", {}))
        if pushes and permissions.get("contents") != "write":
            return Response(403, {}, f"Permission to {self.name}.git denied to {login}.".encode())
        return self._backend(request, "/".join(rest), address.query, login)

    def _backend(self, request: Request, path: str, query: str, login: str) -> Response:
        """What git's CGI program answers."""
        variables = {
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{path}",
            "QUERY_STRING": query,
            "REQUEST_METHOD": request.method,
            "CONTENT_TYPE": request.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(request.body)),
            "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
            "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
            "REMOTE_USER": login,
            "REMOTE_ADDR": "127.0.0.1",
        }
        # its exit code is that of a client which wants no more, too: web servers do not look at it
        done = self._call(["http-backend"], request.body, variables)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        if not head:
            return Response(500, {}, done.stderr)
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200").split()[0])
        return Response(status, headers, body)


PERSON = {"NAME": "Lab", "EMAIL": "lab@example.org"}


def _token(authorization: str) -> str | None:
    """The password of a Basic header, which is where git sends tokens; None where nothing is sent."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(value).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
