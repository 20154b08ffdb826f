"""The files of a run or a data asset: as a test gives them, as the service lists them, as their URLs send them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Union
from urllib.parse import parse_qs, quote, urlsplit

from tests.servers.web import Request, Response

# What a test gives: the content of a file, or of a folder.
Files = Mapping[str, Union[bytes, str, "Files"]]
Tree = dict[str, Union[bytes, "Tree"]]
FOLDER = "/files/"


class NotFoundError(KeyError):
    """There is nothing of this id or path."""


def tree(files: Files) -> Tree:
    """A copy of `files`, texts encoded; ValueError for a name that no file can have."""
    copied: Tree = {}
    for name, value in files.items():
        if name in ("", ".", "..") or "/" in name:
            raise ValueError(f"{name!r} is not the name of a file or folder")
        copied[name] = value if isinstance(value, bytes) else value.encode() if isinstance(value, str) else tree(value)
    return copied


def folder(root: Tree, path: str) -> Tree:
    """The folder at `path`, the root where it is empty; NotFoundError where none is."""
    found = _at(root, path)
    if isinstance(found, bytes):
        raise NotFoundError(path)
    return found


def content(root: Tree, path: str) -> bytes:
    """The file at `path`; NotFoundError where none is."""
    found = _at(root, path)
    if not isinstance(found, bytes):
        raise NotFoundError(path)
    return found


def listing(root: Tree, path: str) -> dict[str, Any]:
    """A folder as the API lists it: only its own items, their paths from the root."""
    inside = folder(root, path)
    items: list[dict[str, Any]] = []
    for name in sorted(inside):
        item = inside[name]
        base = {"name": name, "path": "/".join([*_parts(path), name])}
        items.append(
            {**base, "type": "file", "size": len(item)} if isinstance(item, bytes) else {**base, "type": "folder"}
        )
    return {"items": items}


def measure(root: Tree) -> tuple[int, int]:
    """How many files there are at any depth, and their bytes in total."""
    inside = [(1, len(item)) if isinstance(item, bytes) else measure(item) for item in root.values()]
    return sum(count for count, _ in inside), sum(size for _, size in inside)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _at(root: Tree, path: str) -> bytes | Tree:
    found: bytes | Tree = root
    for part in _parts(path):
        if isinstance(found, bytes) or part not in found:
            raise NotFoundError(path)
        found = found[part]
    return found


class Downloads:
    """URLs that are good for one file each by their signature alone, as those of S3."""

    def __init__(self) -> None:
        self._signed: dict[str, tuple[str, bytes]] = {}

    def urls(self, base: str, path: str, data: bytes) -> dict[str, str]:
        """What the API answers for a file; each call signs anew."""
        place = FOLDER + quote("/".join(_parts(path)))
        signatures = {name: uuid.uuid4().hex for name in ("download_url", "view_url")}
        for signature in signatures.values():
            self._signed[signature] = (place, data)
        return {name: f"{base}{place}?X-Amz-Signature={signature}" for name, signature in signatures.items()}

    def revoke(self) -> None:
        """No URL that was given out is good any longer."""
        self._signed.clear()

    def answer(self, request: Request) -> Response:
        """The file, or an error in XML as S3 words it."""
        split = urlsplit(request.path)
        if "authorization" in request.headers:
            return _xml(400, "InvalidArgument", "Only one auth mechanism allowed")
        place, data = self._signed.get(parse_qs(split.query).get("X-Amz-Signature", [""])[0], ("", b""))
        if request.method != "GET" or split.path != place:
            return _xml(403, "AccessDenied", "The signature is missing, wrong or expired")
        return Response(200, {"content-type": "application/octet-stream"}, data)


def _xml(status: int, code: str, message: str) -> Response:
    text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Response(status, {"content-type": "application/xml"}, text.encode())
