"""One call of the API: who asks what of which repository, and the ways to answer it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlencode

from tests.servers.github_json import Writer, error
from tests.servers.github_records import Json, Permission, Records, Repo, Token
from tests.servers.web import Request, Response

if TYPE_CHECKING:
    from tests.servers.github_api import GitHubApiServer

T = TypeVar("T")
# Parameters that may hold slashes.
_WHOLE = frozenset({"ref", "path", "branch", "basehead"})


class Refused(Exception):
    """The call ends with an error."""

    def __init__(self, status: int, message: str, errors: list[Json] | None = None, **headers: str) -> None:
        super().__init__(message)
        self.response = answer(error(status, message, errors), status, **headers)


def invalid(resource: str, field_name: str, code: str = "invalid", **more: Any) -> Refused:
    """422 as GitHub says which field is wrong."""
    return Refused(422, "Validation Failed", [{"resource": resource, "field": field_name, "code": code, **more}])


def answer(body: object, status: int = 200, **headers: str) -> Response:
    """JSON, or nothing where `body` is None. Header names are given with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is None:
        return Response(status, named)
    return Response(status, {"content-type": "application/json; charset=utf-8", **named}, json.dumps(body).encode())


@dataclass
class Call:
    """`params` are those of the path, decoded; `token` is None for a stranger."""

    server: GitHubApiServer
    request: Request
    template: str
    params: dict[str, str]
    token: Token | None
    query: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.query = dict(parse_qsl(self.request.path.partition("?")[2], keep_blank_values=True))

    @property
    def records(self) -> Records:
        return self.server.records

    @property
    def now(self) -> datetime:
        return self.server.now().replace(microsecond=0)

    @property
    def login(self) -> str | None:
        return self.token.login if self.token else None

    @property
    def base(self) -> str:
        """The address that the client used, perhaps that of a proxy before this server."""
        return f"http://{self.request.headers['host']}"

    @property
    def write(self) -> Writer:
        return Writer(self.records, self.base)

    @property
    def repo(self) -> Repo:
        """The repository that the path names. Refused (404) to those who may not know of it."""
        repo = self.records.repo(f"{self.params['owner']}/{self.params['repo']}")
        if repo is None or not repo.allows(self.login, "pull"):
            raise Refused(404, "Not Found")
        return repo

    def user(self) -> str:
        """Who asks. Refused (401) to strangers."""
        if self.token is None:
            raise Refused(401, "Requires authentication")
        return self.token.login

    def need(self, level: Permission, area: str) -> str:
        """Who asks, allowed to write in `area` of the repository. Refused otherwise."""
        repo, login = self.repo, self.user()
        if not repo.allows(login, level) or (self.token and area not in self.token.may_write):
            kind = "integration" if self.token and self.token.is_app else "personal access token"
            raise Refused(403, f"Resource not accessible by {kind}", x_accepted_github_permissions=f"{area}=write")
        return login

    def json(self) -> Json:
        """The body. Refused (400) where it is no JSON object."""
        try:
            body = self.request.json() if self.request.body else {}
        except ValueError:
            raise Refused(400, "Problems parsing JSON") from None
        if not isinstance(body, dict):
            raise Refused(400, "Body should be a JSON object")
        return body

    def text(self, body: Json, name: str, resource: str) -> str:
        """A text that the body must hold."""
        value = body.get(name)
        if not isinstance(value, str) or not value:
            raise invalid(resource, name, "missing_field")
        return value

    def cut(self, items: Sequence[T], size: int = 30) -> Sequence[T]:
        """The items of the page asked for, of `size` where none is asked for."""
        size, number, _ = self._page(items, size)
        return items[(number - 1) * size : number * size]

    def page(self, items: Sequence[T], render: Callable[[T], Json], key: str | None = None, size: int = 30) -> Response:
        """The page asked for, and where the others are; below `key`, beside the count, where the API has it so."""
        shown = [render(item) for item in self.cut(items, size)]
        body = {"total_count": len(items), key: shown} if key else shown
        return answer(body, 200, **self.links(items, size))

    def links(self, items: Sequence[T], size: int = 30) -> dict[str, str]:
        """The header that tells where other pages are, if there are any."""
        _, number, last = self._page(items, size)
        to = {"prev": number - 1, "next": number + 1, "last": last, "first": 1}
        links = [
            f'<{self.base}{self.request.path.partition("?")[0]}?{urlencode({**self.query, "page": n})}>; rel="{name}"'
            for name, n in to.items()
            if (n < number if name in ("prev", "first") else n > number) and 1 <= n <= last
        ]
        return {"link": ", ".join(links)} if links else {}

    def _page(self, items: Sequence[T], size: int) -> tuple[int, int, int]:
        """Items a page, number of the page asked for, number of the last one."""
        asked = int(self.query.get("per_page") or 0)
        size = min(max(asked, 1), 100) if asked else size
        return size, max(int(self.query.get("page") or 1), 1), max(-(-len(items) // size), 1)


Handler = Callable[[Call], Response]


@dataclass(frozen=True)
class Route:
    """One operation, by the method and the path that GitHub's description gives it."""

    method: str
    template: str
    handler: Handler
    pattern: re.Pattern[str]

    def match(self, path: str) -> dict[str, str] | None:
        found = self.pattern.fullmatch(path)
        return {name: unquote(value or "") for name, value in found.groupdict().items()} if found else None


class Routes(list[Route]):
    """Operations in the order they are tried."""

    def on(self, method: str, template: str) -> Callable[[Handler], Handler]:
        """Registers a function for an operation."""
        pattern = re.sub(
            r"\\{(\w+)\\}",
            lambda found: f"(?P<{found[1]}>{'.*' if found[1] in _WHOLE else '[^/]+'})",
            re.escape(template),
        )
        # the root folder may be asked for with a slash at its end, or without
        pattern = pattern.replace("/(?P<path>.*)", "(?:/(?P<path>.*))?")

        def register(handler: Handler) -> Handler:
            self.append(Route(method, template, handler, re.compile(pattern)))
            return handler

        return register
